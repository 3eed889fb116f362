//! A node's HTTP API, as far as netsim uses it.
//!
//! Source: SPEC.md section 14.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::http::StatusCode;

use crate::metrics::Metrics;

/// How long a node may take to answer; one that is busy answers within a second.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 16 << 20;
/// Blocks asked for at once.
const PAGE_BLOCKS: u64 = 50;

/// Asks one node.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    agent: Agent,
    base: String,
}

/// Where a node stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Status {
    /// The tip's height.
    pub(crate) height: u64,
    /// The tip's hash.
    pub(crate) tip: String,
    /// The state after it.
    pub(crate) state_root: String,
    /// How many peers are connected.
    pub(crate) peers: u64,
    /// Its name among libp2p's.
    pub(crate) peer_id: String,
    /// Its multiaddresses.
    pub(crate) listen: Vec<String>,
}

/// A block of the main chain.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Block {
    /// Its hash.
    pub(crate) hash: String,
    /// Its height.
    pub(crate) height: u64,
    /// What it says.
    pub(crate) claims: BlockClaims,
    /// Its transactions' ids.
    pub(crate) txs: Vec<String>,
}

/// What a block says, as far as it is shown.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct BlockClaims {
    /// Its miner's address.
    pub(crate) iss: String,
    /// The state after it.
    pub(crate) state_root: String,
}

/// What became of a transaction that was handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is pending.
    Taken,
    /// It is refused, for a reason that has a short name.
    Refused(String),
}

/// RFC 9457 problem details.
#[derive(Debug, Deserialize)]
struct Problem {
    reason: String,
}

#[derive(Debug, Deserialize)]
struct Page {
    items: Vec<Block>,
}

#[derive(Debug, Deserialize)]
struct Account {
    seq: u64,
}

impl Client {
    /// Asks the node that listens at `http`.
    pub(crate) fn new(http: SocketAddr) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(ANSWER_WITHIN))
            .http_status_as_error(false)
            .proxy(None)
            .build();
        Self {
            agent: config.new_agent(),
            base: format!("http://{http}"),
        }
    }

    fn read(&self, path: &str) -> anyhow::Result<(StatusCode, String)> {
        let answer = self.agent.get(format!("{}{path}", self.base)).call();
        let mut answer = answer.with_context(|| format!("GET {}{path}", self.base))?;
        let status = answer.status();
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        Ok((status, body.read_to_string()?))
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let (status, text) = self.read(path)?;
        anyhow::ensure!(
            status.is_success(),
            "GET {}{path}: {status}: {text}",
            self.base
        );
        serde_json::from_str(&text).with_context(|| format!("GET {}{path}: {text}", self.base))
    }

    /// Where the node stands.
    pub(crate) fn status(&self) -> anyhow::Result<Status> {
        self.get("/api/v1/status")
    }

    /// The block at a height of the main chain.
    pub(crate) fn block(&self, height: u64) -> anyhow::Result<Block> {
        self.get(&format!("/api/v1/blocks/{height}"))
    }

    /// The transactions of the blocks from 1 to `last`, counted.
    pub(crate) fn count_transactions(&self, last: u64) -> anyhow::Result<u64> {
        let (mut from, mut count) = (1, 0);
        while from <= last {
            let limit = PAGE_BLOCKS.min(last + 1 - from);
            let page: Page = self.get(&format!("/api/v1/blocks?from={from}&limit={limit}"))?;
            let next = page.items.iter().map(|block| block.height + 1).max();
            let got = page.items.iter().filter(|block| block.height <= last);
            count += got.map(|block| block.txs.len() as u64).sum::<u64>();
            from = next.context("a page of blocks is empty")?.max(from + 1);
        }
        Ok(count)
    }

    /// The `seq` of an account's next transaction, as the ledger has it.
    pub(crate) fn seq(&self, address: &str) -> anyhow::Result<u64> {
        let account: Account = self.get(&format!("/api/v1/accounts/{address}"))?;
        Ok(account.seq)
    }

    /// Hands in a transaction.
    ///
    /// # Errors
    /// Where the node gives no answer that can be read; a refusal is an answer.
    pub(crate) fn submit(&self, token: &str) -> anyhow::Result<Answer> {
        let request = self.agent.post(format!("{}/api/v1/txs", self.base));
        let mut answer = request.content_type("application/jwt").send(token)?;
        let (status, body) = (answer.status(), answer.body_mut());
        if status == StatusCode::ACCEPTED {
            return Ok(Answer::Taken);
        }
        let text = body
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_string()?;
        let problem: Result<Problem, _> = serde_json::from_str(&text);
        let unnamed = format!("status_{}", status.as_u16());
        let reason = problem.map_or(unnamed, |problem| problem.reason);
        Ok(Answer::Refused(reason))
    }

    /// What the node counts.
    pub(crate) fn metrics(&self) -> anyhow::Result<Metrics> {
        let (status, text) = self.read("/metrics")?;
        anyhow::ensure!(status.is_success(), "GET {}/metrics: {status}", self.base);
        Ok(Metrics::parse(&text))
    }
}
