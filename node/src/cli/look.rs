//! `lyceum block`, `lyceum state` and `lyceum status`: what stands in a ledger.

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

use super::print;
use super::source::{Ledger, Source, segment};

/// As `Date.toISOString` has it.
const DATE: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

pub(crate) const BLOCK_EXAMPLES: &str = "Examples:
  lyceum block 0
  lyceum block 120 --http 127.0.0.1:8650 --json
  lyceum block 3f1c…e9 --raw > block.jwts";

/// Show a block.
#[derive(Debug, Args)]
pub(crate) struct Block {
    /// Its height, or its hash
    #[arg(value_name = "HEIGHT|HASH")]
    block: String,
    /// Print the block line: its token and its transactions' tokens
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    ledger: Ledger,
}

impl Block {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let is_height = !self.block.is_empty() && self.block.bytes().all(|c| c.is_ascii_digit());
        if self.block.len() != 64 && !is_height {
            bail!("{:?} is neither a height nor a block's hash", self.block);
        }
        let source = self.ledger.open()?;
        let path = format!("/api/v1/blocks/{}", segment(&self.block));
        if self.raw {
            let mut line = source.get_bytes(&path, "text/plain")?;
            if !line.ends_with(b"\n") {
                line.push(b'\n');
            }
            return print(&line);
        }
        let block = source.get(&path)?;
        if self.json {
            return print_json(&block);
        }
        let claims = &block["claims"];
        let empty = Vec::new();
        let txs = block["txs"].as_array().unwrap_or(&empty);
        let mut text = rows(&[
            ("height", &block["height"]),
            ("hash", &block["hash"]),
            ("before", &claims["prev_hash"]),
            ("time", &time(&claims["timestamp"])),
            ("miner", &claims["iss"]),
            ("bits", &claims["bits"]),
            ("state root", &claims["state_root"]),
            ("segment", &claims["segment"]),
            ("transactions", &txs.len().into()),
        ]);
        for id in txs {
            text += &format!("  {}\n", plain(id));
        }
        print(text.as_bytes())
    }
}

pub(crate) const STATE_EXAMPLES: &str = "Examples:
  lyceum state learning/student/S001
  lyceum state learning/student --limit 20 --http 127.0.0.1:8650
  lyceum state credits/account/did:key:z6Mk… --proof --json";

/// Show a record of the state, or the records of one kind.
#[derive(Debug, Args)]
pub(crate) struct State {
    /// CONTRACT/RECORD/KEY for one record, CONTRACT/RECORD for all of a kind
    path: String,
    /// At most so many records
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Those that come after this key
    #[arg(long, value_name = "KEY")]
    after: Option<String>,
    /// With the proof against the state root
    #[arg(long)]
    proof: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    ledger: Ledger,
}

/// Records that one question asks for.
const PAGE_LEN: usize = 100;

impl State {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let parts: Vec<&str> = self.path.splitn(3, '/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            bail!(
                "{:?}: want CONTRACT/RECORD/KEY or CONTRACT/RECORD",
                self.path
            );
        }
        let source = self.ledger.open()?;
        match parts[..] {
            [contract, record] => self.list(&source, contract, record),
            [contract, record, key] => self.one(&source, contract, record, key),
            _ => bail!(
                "{:?}: want CONTRACT/RECORD/KEY or CONTRACT/RECORD",
                self.path
            ),
        }
    }

    fn one(&self, source: &Source, contract: &str, record: &str, key: &str) -> anyhow::Result<()> {
        let parts = [contract, record, key].map(segment).join("/");
        let proof = if self.proof { "?proof=1" } else { "" };
        let found = source.find(&format!("/api/v1/state/{parts}{proof}"))?;
        let found = found.with_context(|| format!("{}: no such record", self.path))?;
        match self.json || self.proof {
            true => print_json(&found),
            false => {
                let record = found.get("record").unwrap_or(&found);
                print(format!("{record:#}\n").as_bytes())
            }
        }
    }

    fn list(&self, source: &Source, contract: &str, record: &str) -> anyhow::Result<()> {
        let base = format!("/api/v1/state/{}/{}", segment(contract), segment(record));
        let (mut all, mut after) = (Vec::new(), self.after.clone());
        while all.len() < self.limit {
            let limit = PAGE_LEN.min(self.limit - all.len());
            let from = after
                .as_deref()
                .map(|key| format!("&after={}", segment(key)));
            let page = source.get(&format!("{base}?limit={limit}{}", from.unwrap_or_default()))?;
            let items = page["items"].as_array().cloned().unwrap_or_default();
            all.extend(items);
            match page["next"].as_str() {
                Some(next) => after = Some(next.to_owned()),
                None => break,
            }
        }
        if self.json {
            return print_json(&Value::Array(all));
        }
        let lines = all.iter();
        let lines = lines.map(|item| format!("{}  {}\n", plain(&item["key"]), item["record"]));
        print(lines.collect::<String>().as_bytes())
    }
}

pub(crate) const STATUS_EXAMPLES: &str = "Examples:
  lyceum status
  lyceum status --http 127.0.0.1:8650 --json";

/// Show where a node, or a ledger, stands.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    ledger: Ledger,
}

impl Status {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut status = self.ledger.open()?.get("/api/v1/status")?;
        if self.json {
            return print_json(&status);
        }
        if let Some(at) = status.get_mut("tip_timestamp") {
            *at = time(at);
        }
        let members = status.as_object();
        let members = members.context("the answer is no object: is that a Lyceum node?")?;
        let members: Vec<_> = members
            .iter()
            .map(|(key, value)| (key.as_str(), value))
            .collect();
        print(rows(&members).as_bytes())
    }
}

pub(crate) fn print_json(value: &Value) -> anyhow::Result<()> {
    print(format!("{value}\n").as_bytes())
}

/// Names and values in two columns; what is null is left out.
pub(crate) fn rows(rows: &[(&str, &Value)]) -> String {
    let rows = rows.iter().filter(|(_, value)| !value.is_null());
    let width = rows
        .clone()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or_default();
    let lines =
        rows.map(|(name, value)| format!("{:width$}  {}\n", name.replace('_', " "), plain(value)));
    lines.collect()
}

/// A value for people: a text without quotes.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(members) => {
            let members = members.iter().filter(|(_, value)| !value.is_null());
            let members =
                members.map(|(key, value)| format!("{} {}", key.replace('_', " "), plain(value)));
            members.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// Unix milliseconds as a date in UTC; as they stand, where they are beyond the year 9999.
pub(crate) fn time(millis: &Value) -> Value {
    let Some(unix) = millis.as_u64() else {
        return Value::Null;
    };
    let date = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix) * 1_000_000).ok();
    match date.and_then(|date| date.format(DATE).ok()) {
        Some(date) => Value::String(date),
        None => millis.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_is_none_and_null_is_left_out() {
        let value = serde_json::json!({"fetches": [], "live_max": 2, "listen": null});
        assert_eq!(plain(&value), "fetches none, live max 2");
        let pair = serde_json::json!([1, "a"]);
        assert_eq!(rows(&[("two", &pair), ("no", &Value::Null)]), "two  1, a\n");
    }

    #[test]
    fn a_time_is_shown_as_date() {
        for (millis, want) in [
            (0_u64, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (1_795_305_600_000, "2026-11-22T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(time(&Value::from(millis)), want);
        }
        assert_eq!(time(&Value::from(u64::MAX)), Value::from(u64::MAX));
        assert_eq!(time(&Value::Null), Value::Null);
    }
}
