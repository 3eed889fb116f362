//! Where a command reads the ledger: at a running node, by its API; or in a data folder that no node has open, by the same API, served by
//! this process to itself. So both give the same answers.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::chain::Place;
use super::local::Local;
use crate::config::HTTP_DEFAULT;

/// The longest answer that is read: the largest block there can be, as JSON, many times over.
const ANSWER_BYTES_MAX: u64 = 128 << 20;
/// How long a node may take for an answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// Which ledger.
#[derive(Debug, Args)]
pub(crate) struct Ledger {
    /// Ask the running node there instead of reading a data folder
    #[arg(
        long,
        value_name = "ADDR",
        num_args = 0..=1,
        default_missing_value = HTTP_DEFAULT,
        conflicts_with_all = ["chain", "data_dir"]
    )]
    http: Option<String>,
    #[command(flatten)]
    place: Place,
}

impl Ledger {
    pub(crate) fn open(&self) -> anyhow::Result<Source> {
        match &self.http {
            Some(address) => Source::http(address),
            None => {
                let local = Local::open(&self.place)?;
                let source = Source::http(&local.address())?;
                Ok(Source {
                    _local: Some(local),
                    ..source
                })
            }
        }
    }
}

/// What answers.
pub(crate) struct Source {
    base: String,
    agent: ureq::Agent,
    _local: Option<Local>,
}

/// An answer of the API.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Source {
    /// A running node; `address` is `HOST:PORT`, or a URL.
    pub(crate) fn http(address: &str) -> anyhow::Result<Self> {
        let base = match address.starts_with("http://") {
            true => address.trim_end_matches('/').to_owned(),
            false if address.contains("://") => bail!("{address}: want HOST:PORT, or http://…"),
            false => format!("http://{address}"),
        };
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER_TIME_MAX))
            .build();
        Ok(Self {
            base,
            agent: config.into(),
            _local: None,
        })
    }

    fn ask(&self, path: &str, accept: &str) -> anyhow::Result<Answer> {
        let request = self.agent.get(format!("{}{path}", self.base));
        self.read(request.header("accept", accept).call())
    }

    /// What stands at a path of the API; `None` where there is nothing.
    pub(crate) fn find(&self, path: &str) -> anyhow::Result<Option<Value>> {
        let answer = self.ask(path, "application/json")?;
        match answer.status {
            404 => Ok(None),
            _ => answer.json().map(Some),
        }
    }

    /// What stands at a path of the API.
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(path, "application/json")?.json()
    }

    /// What stands at a path of the API, as it is sent.
    pub(crate) fn get_bytes(&self, path: &str, accept: &str) -> anyhow::Result<Vec<u8>> {
        self.ask(path, accept)?.good()
    }

    /// Gives a transaction to the node.
    pub(crate) fn submit(&self, token: &str) -> anyhow::Result<Value> {
        let url = format!("{}/api/v1/txs", self.base);
        let request = self.agent.post(url);
        let request = request.header("content-type", "application/jwt");
        self.read(request.send(token))?.json()
    }

    fn read(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> anyhow::Result<Answer> {
        let base = &self.base;
        let mut answer = answer.with_context(|| {
            format!("no node answers at {base}: is one running there (lyceum node)?")
        })?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let body = body.read_to_vec();
        let body = body.with_context(|| format!("the answer of {base}"))?;
        Ok(Answer { status, body })
    }
}

impl Answer {
    /// The body of a good answer.
    fn good(self) -> anyhow::Result<Vec<u8>> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        // RFC 9457.
        let problem: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let text = |member: &str| problem[member].as_str().map(str::to_owned);
        let said = text("detail").or_else(|| text("title"));
        let said = said.unwrap_or_else(|| String::from_utf8_lossy(&self.body).into_owned());
        bail!("{said} (status {})", self.status)
    }

    fn json(self) -> anyhow::Result<Value> {
        let body = self.good()?;
        serde_json::from_slice(&body).context("the answer is not JSON: is that a Lyceum node?")
    }
}

/// All but RFC 3986's unreserved characters, and `:`, which addresses have.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':');

/// A text as one segment of a URL's path, or the value of a parameter.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// Where the output of a command goes.
pub(crate) fn write_out(out: Option<&PathBuf>, bytes: &[u8]) -> anyhow::Result<()> {
    match out {
        None => super::print(bytes),
        Some(path) => std::fs::write(path, bytes).with_context(|| path.display().to_string()),
    }
}
