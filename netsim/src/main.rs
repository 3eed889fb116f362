//! The `netsim` program: local networks of real Lyceum nodes.
//!
//! It starts `lyceum node` processes, loads them with calls of the built-in contracts, shows what they do, and judges in the end whether
//! they agree. It knows a node by its files, its HTTP API and its metrics alone, as a user does.

mod client;
mod duration;
mod folder;
mod liar;
mod load;
mod local;
mod metrics;
mod node;
mod nodes;
mod ports;
mod process;
mod run;
mod scenario;
mod stage;
mod stop;
mod up;
mod verdict;
mod wallets;
mod watch;
mod wire;

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
    #[command(after_help = up::HELP)]
    Up(up::Up),
    /// Play a scenario on real nodes over a network with faults, and report
    #[command(after_help = run::HELP)]
    Run(run::Run),
    /// List the scenarios that come with netsim
    List,
    /// Become the given program, which ends when this program's parent does
    #[command(hide = true)]
    Guard(process::Guard),
}

fn main() -> ExitCode {
    let done = match Netsim::parse().command {
        Command::Up(up) => up.run(),
        Command::Run(run) => run.run(),
        Command::List => run::list(),
        Command::Guard(guard) => guard.run(),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("netsim: {error:#}");
            ExitCode::FAILURE
        }
    }
}
