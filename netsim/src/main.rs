//! The `netsim` program: local networks of real Lyceum nodes.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Local networks of real Lyceum nodes
#[derive(Debug, Parser)]
#[command(name = "netsim", version, arg_required_else_help = true)]
struct Netsim {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a network on this machine, live in the terminal
    Up,
}

/// What `up` waits for, until the node has it.
const MISSING: &str = "\
netsim: there is no network to run yet. Still missing:
  node      gossip, torrents, sync, mining, the HTTP API and metrics
  netsim    starting nodes, loading them with calls, and the verdict
What works now: make test; and the command `lyceum` (cargo run -p lyceum-node -- --help).";

fn main() -> ExitCode {
    match Netsim::parse().command {
        Command::Up => {
            eprintln!("{MISSING}");
            ExitCode::FAILURE
        }
    }
}
