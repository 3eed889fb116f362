//! `lyceum contract`: contracts without a chain.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use lyceum_protocol::{Address, Amount};
use lyceum_vm::offline::{self, Run as Call};
use serde_json::{Value, json};

use super::{name, print, read_text};

#[derive(Debug, Subcommand)]
pub(crate) enum ContractCommand {
    /// Check a contract, and say what it translates to
    Check {
        /// The contract (JSON); - reads standard input
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the Cryptoleq code of each action
    Asm {
        /// The contract (JSON); - reads standard input
        file: PathBuf,
    },
    /// Call an action over records of your own; prints the result and the records after it as JSON
    #[command(after_help = RUN_EXAMPLES)]
    Run(Run),
}

const RUN_EXAMPLES: &str = "Examples:
  lyceum contract run protocol/contracts/course_management.json \\
      --action add --params '{\"course_id\":1,\"course_info\":100}'
  lyceum contract run LIBRARY.json --action lend --params '{\"id\":\"L1\",\"book\":\"B1\"}' --world WORLD.json

WORLD.json is an object of records by path, such as the \"world\" that a run prints:
  {\"library/book/B1\":{\"id\":\"B1\",\"title\":\"Elements\",\"copies\":2,\"lent\":0}}";

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The contract (JSON); - reads standard input
    file: PathBuf,
    /// The action to call
    #[arg(long, value_name = "NAME")]
    action: String,
    /// Its parameters
    #[arg(long, value_name = "JSON", default_value = "{}")]
    params: String,
    /// The records before the call (default: none)
    #[arg(long, value_name = "WORLD.json")]
    world: Option<PathBuf>,
    /// Who calls
    #[arg(long, value_name = "DID", default_value_t = Call::default().caller)]
    caller: Address,
    /// The height of the block that it runs in
    #[arg(long, value_name = "N", default_value_t = 0)]
    height: u64,
    /// The time of that block, in Unix milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    timestamp: u64,
    /// The most gas that it may use
    #[arg(long, value_name = "N", default_value_t = Call::default().gas.get())]
    gas: u64,
}

impl ContractCommand {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Check { file, json } => check(&file, json),
            Self::Asm { file } => {
                let listing = offline::asm(&read_text(&file)?);
                print(listing.with_context(|| name(&file))?.as_bytes())
            }
            Self::Run(run) => run.run(),
        }
    }
}

fn check(file: &Path, as_json: bool) -> anyhow::Result<()> {
    let summary = offline::check(&read_text(file)?).with_context(|| name(file))?;
    let actions = summary.actions.iter();
    if as_json {
        let actions = actions.map(|action| {
            json!({
                "action": action.name, "instructions": action.instructions,
                "cells": action.cells, "encrypted": action.encrypted,
            })
        });
        let actions: Vec<_> = actions.collect();
        let summary = json!({"contract": summary.contract, "actions": actions});
        return print(format!("{summary}\n").as_bytes());
    }
    let mut text = format!("{}: good\n", summary.contract);
    for action in actions {
        let domain = if action.encrypted { ", encrypted" } else { "" };
        let line = format!(
            "  {:24} {:6} instructions, {:6} cells{domain}\n",
            action.name, action.instructions, action.cells
        );
        text.push_str(&line);
    }
    print(text.as_bytes())
}

impl Run {
    fn run(self) -> anyhow::Result<()> {
        let definition = read_text(&self.file)?;
        let world = match &self.world {
            Some(file) => read_text(file)?,
            None => "{}".to_owned(),
        };
        let call = Call {
            action: &self.action,
            params: &self.params,
            world: &world,
            caller: self.caller,
            height: Amount::new(self.height).context("--height")?,
            timestamp: Amount::new(self.timestamp).context("--timestamp")?,
            gas: Amount::new(self.gas).context("--gas")?,
        };
        let result = offline::run(&definition, &call).with_context(|| name(&self.file))?;
        let events = result["events"].as_array().into_iter().flatten();
        let events: Vec<_> = events
            .map(|event| object(event, &["event", "data"]))
            .collect();
        let head = object(&result, &["ok", "error", "gas", "steps"]);
        let head = head.trim_end_matches('}');
        let (events, world) = (events.join(","), &result["world"]);
        print(format!("{head},\"events\":[{events}],\"world\":{world}}}\n").as_bytes())
    }
}

/// The named members of an object as JSON, in that order.
fn object(value: &Value, names: &[&str]) -> String {
    let members = names
        .iter()
        .map(|name| format!("\"{name}\":{}", value[name]));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}
