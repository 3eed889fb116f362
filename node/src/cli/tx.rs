//! `lyceum tx`: transactions.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use lyceum_protocol::{
    Address, ChainFields, ChainSpec, Credits, Gas, SecretKey, Seq, Transaction, TxBody, TxClaims,
};
use serde_json::{Value, json};

use super::estimate::dry_run;
use super::look::{plain, print_json, rows};
use super::source::{Ledger, Source};
use super::wallet::find_wallet;
use super::{name, print, read_text};
use crate::config::HTTP_DEFAULT;
use crate::wallet_file::{PassphraseSource, load_key};

/// How often a node is asked whether a transaction is in a block.
const POLL: Duration = Duration::from_millis(250);
/// More gas than the dry run took, in percent: by the time it runs, the state may be another.
const GAS_MARGIN_PERCENT: u64 = 25;
/// And so much more on top: a record that has come or gone meanwhile.
const GAS_MARGIN: u64 = 10_000;

#[derive(Debug, Subcommand)]
pub(crate) enum TxCommand {
    /// Sign a transaction and give it to a running node
    #[command(after_help = SEND_HELP)]
    Send(Send),
    /// Show a transaction: what it says, where it stands, how it went
    #[command(after_help = SHOW_EXAMPLES)]
    Show(Show),
}

const SEND_HELP: &str = "\
ACTIONS.json is {\"actions\":[…]}, {\"contract\":{…}}, a list of actions, or one action.

Without --gas the transaction is run here first, over the node's state: what it takes, a quarter and 10000 more is its gas, and one that would
fail is not sent. Without --fee it pays what the chain asks at least: gas × min_gas_price.

Examples:
  lyceum tx send --wallet alice register.json --wait
  echo '[{\"action\":\"transfer\",\"to\":\"did:key:z6Mk…\",\"amount\":5}]' | lyceum tx send --wallet alice -
  lyceum tx send --wallet ./key.pem --gas 200000 --fee 200000 --http 127.0.0.1:8650 vote.json --json";

const SHOW_EXAMPLES: &str = "Examples:
  lyceum tx show 5d1e…7a
  lyceum tx show 5d1e…7a --http 127.0.0.1:8650 --json";

#[derive(Debug, Args)]
pub(crate) struct Send {
    /// The sender's wallet: its name, or its key file
    #[arg(long, value_name = "NAME|FILE")]
    wallet: PathBuf,
    /// Read the wallet's passphrase from the first line of FILE
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// What the block's miner is paid [default: gas × the chain's min_gas_price]
    #[arg(long, value_name = "N")]
    fee: Option<u64>,
    /// The most gas it may use [default: what a run of it here takes, and some more]
    #[arg(long, value_name = "N")]
    gas: Option<u64>,
    /// The sender's transaction count before this one [default: after what is pending]
    #[arg(long, value_name = "N")]
    seq: Option<u64>,
    /// Wait until it is in a block; fails where it fails
    #[arg(long)]
    wait: bool,
    /// Wait at most so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
    /// The node
    #[arg(long, value_name = "ADDR", default_value = HTTP_DEFAULT)]
    http: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// What it does; - reads standard input
    #[arg(value_name = "ACTIONS.json")]
    file: PathBuf,
}

/// Show a transaction.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Its id
    id: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    ledger: Ledger,
}

impl TxCommand {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Send(send) => send.run(),
            Self::Show(show) => show.run(),
        }
    }
}

impl Send {
    fn run(self) -> anyhow::Result<()> {
        let body = parse_body(&read_text(&self.file)?).with_context(|| name(&self.file))?;
        let source = Source::http(&self.http)?;
        let status = source.get("/api/v1/status")?;
        let spec = spec_of(&status)?;
        let paths = find_wallet(&self.wallet, None)?;
        let passphrase = PassphraseSource::choose(self.passphrase_file.clone())?;
        let key = load_key(&paths.key, &passphrase)?;
        let transaction = self.sign(&source, &status, &spec, &key, body)?;
        let sent = source.submit(transaction.token())?;
        let id = transaction.id().to_string();
        if sent["id"].as_str() != Some(id.as_str()) {
            bail!("the node took it for {}, but its id is {id}", sent["id"]);
        }
        if !self.wait {
            return match self.json {
                true => print_json(&json!({"id": id})),
                false => print(format!("{id}\n").as_bytes()),
            };
        }
        let tx = self.wait_for(&source, &id)?;
        match self.json {
            true => print_json(&tx)?,
            false => print_tx(&tx)?,
        }
        match tx["receipt"]["ok"].as_bool() {
            Some(true) => Ok(()),
            _ => bail!("{id} has failed: {}", plain(&tx["receipt"]["error"])),
        }
    }

    fn sign(
        &self,
        source: &Source,
        status: &Value,
        spec: &ChainSpec,
        key: &SecretKey,
        body: TxBody,
    ) -> anyhow::Result<Transaction> {
        let sender = Address::from_bytes(key.public());
        let seq = match self.seq {
            Some(seq) => Seq::new(seq).context("--seq")?,
            None => next_seq(source, &sender)?,
        };
        let gas = match self.gas {
            Some(gas) => Gas::new(gas).context("--gas")?,
            None => estimate(source, status, spec, sender, &body)?,
        };
        let fee = match self.fee {
            Some(fee) => Credits::new(fee).context("--fee")?,
            None => {
                let fee = gas.get().checked_mul(spec.min_gas_price);
                let fee = fee.and_then(|fee| Credits::new(fee).ok());
                fee.context("gas × min_gas_price is more than there can be")?
            }
        };
        let claims = TxClaims {
            sender,
            seq,
            gas,
            fee,
            body,
        };
        Ok(claims.sign(key, spec)?)
    }

    fn wait_for(&self, source: &Source, id: &str) -> anyhow::Result<Value> {
        let begun = Instant::now();
        loop {
            let tx = source.find(&format!("/api/v1/txs/{id}"))?;
            let tx = tx.with_context(|| {
                format!("{id} is no longer pending, and in no block: the node has dropped it")
            })?;
            if !tx["receipt"].is_null() {
                return Ok(tx);
            }
            if begun.elapsed() >= Duration::from_secs(self.timeout) {
                bail!(
                    "{id} is in no block after {} s; it is still pending",
                    self.timeout
                );
            }
            std::thread::sleep(POLL);
        }
    }
}

impl Show {
    fn run(self) -> anyhow::Result<()> {
        let is_id = self.id.len() == 64 && self.id.bytes().all(|c| c.is_ascii_hexdigit());
        if !is_id {
            bail!("{:?} is no transaction's id: want 64 hex digits", self.id);
        }
        let source = self.ledger.open()?;
        let tx = source.find(&format!("/api/v1/txs/{}", self.id))?;
        let tx = tx.with_context(|| format!("{}: no such transaction", self.id))?;
        match self.json {
            true => print_json(&tx),
            false => print_tx(&tx),
        }
    }
}

fn print_tx(tx: &Value) -> anyhow::Result<()> {
    let (claims, receipt) = (&tx["claims"], &tx["receipt"]);
    let state = match receipt["ok"].as_bool() {
        None => "pending",
        Some(true) => "done",
        Some(false) => "failed",
    };
    let mut text = rows(&[
        ("id", &tx["id"]),
        ("sender", &claims["iss"]),
        ("seq", &claims["seq"]),
        ("fee", &claims["fee"]),
        ("state", &state.into()),
        ("error", &receipt["error"]),
        ("gas", &receipt["gas"]),
        ("block", &tx["block"]),
    ]);
    for event in receipt["events"].as_array().into_iter().flatten() {
        text += &format!("  {} {}\n", plain(&event["event"]), event["data"]);
    }
    print(text.as_bytes())
}

/// A transaction's body as users write it.
fn parse_body(text: &str) -> anyhow::Result<TxBody> {
    let text = text.trim();
    let object = match text.as_bytes().first() {
        Some(b'[') => format!("{{\"actions\":{text}}}"),
        _ => text.to_owned(),
    };
    let parsed = TxBody::parse(&object);
    // One action by itself.
    let is_action = || {
        let value: Option<Value> = serde_json::from_str(text).ok();
        value.is_some_and(|value| value["action"].is_string())
    };
    match parsed {
        Err(_) if is_action() => Ok(TxBody::parse(&format!("{{\"actions\":[{text}]}}"))?),
        parsed => Ok(parsed?),
    }
}

/// As much of the node's chain as a transaction has to know.
fn spec_of(status: &Value) -> anyhow::Result<ChainSpec> {
    let chain = status["chain"].as_str();
    let chain = chain.context("the status names no chain: is that a Lyceum node?")?;
    let number = |member: &str| {
        let number = status["limits"][member].as_u64();
        number.with_context(|| {
            format!("the status has no {member}: is that node of another version?")
        })
    };
    let dev = ChainSpec::dev();
    let fields = ChainFields {
        chain: chain.parse()?,
        max_tx_bytes: number("max_tx_bytes")?.try_into()?,
        max_block_bytes: u32::try_from(number("max_tx_bytes")?)?
            .saturating_add(2_048)
            .max(dev.max_block_bytes),
        block_gas: Gas::new(number("block_gas")?)?,
        min_gas_price: number("min_gas_price")?,
        ..(*dev).clone()
    };
    Ok(ChainSpec::new(fields)?)
}

fn next_seq(source: &Source, sender: &Address) -> anyhow::Result<Seq> {
    let account = source.find(&format!("/api/v1/accounts/{sender}"))?;
    let account = account.unwrap_or_default();
    let seq = account["next_seq"].as_u64().or(account["seq"].as_u64());
    Ok(Seq::new(seq.unwrap_or_default())?)
}

/// The gas that a transaction should have.
fn estimate(
    source: &Source,
    status: &Value,
    spec: &ChainSpec,
    sender: Address,
    body: &TxBody,
) -> anyhow::Result<Gas> {
    let receipt = dry_run(source, status, sender, body, spec.block_gas);
    let receipt = receipt.context("a run of it here; give --gas to send it without")?;
    if let Some(error) = receipt.error() {
        bail!("it would fail: {error}; not sent (give --gas to send it all the same)");
    }
    let gas = receipt.gas + receipt.gas * GAS_MARGIN_PERCENT / 100 + GAS_MARGIN;
    Ok(Gas::new(gas.min(spec.block_gas.get()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_taken_in_every_form() {
        let action = r#"{"action":"delete_course","id":"C1"}"#;
        let want = TxBody::Actions(format!("[{action}]"));
        for text in [
            format!("{{\"actions\":[{action}]}}"),
            format!(" [{action}]\n"),
            action.to_owned(),
        ] {
            assert_eq!(parse_body(&text).unwrap(), want, "{text}");
        }
        let contract = r#"{"type":"course_management","course_id":1,"action":"delete"}"#;
        let parsed = parse_body(&format!("{{\"contract\":{contract}}}")).unwrap();
        assert_eq!(parsed, TxBody::Contract(contract.to_owned()));
        for text in ["", "{}", "[]", "7", "{\"actions\":[7]}", "{\"action\":7}"] {
            assert!(parse_body(text).is_err(), "{text}");
        }
    }
}
