//! The `netsim` program, and what the simulator shares with it: scenarios, people and their calls, links, verdicts and reports.
//!
//! It starts `lyceum node` processes, loads them with calls of the built-in contracts, shows what they do, and judges in the end whether
//! they agree. It knows a node by its files, its HTTP API and its metrics alone, as a user does.

mod client;
pub mod duration;
mod folder;
pub mod liar;
pub mod load;
mod local;
mod metrics;
mod node;
mod nodes;
mod ports;
mod process;
pub mod run;
pub mod scenario;
pub mod sim;
mod stage;
mod stop;
mod up;
pub mod verdict;
pub mod wallets;
mod watch;
pub mod wire;

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
    /// Play a scenario on whole nodes in virtual time, and report
    #[command(after_help = sim::HELP)]
    Sim(sim::Sim),
    /// List the scenarios that come with netsim
    List,
    /// Become the given program, which ends when this program's parent does
    #[command(hide = true)]
    Guard(process::Guard),
}

/// The program.
pub fn main() -> ExitCode {
    let done = match Netsim::parse().command {
        Command::Up(up) => up.run(),
        Command::Run(run) => run.run(),
        Command::Sim(sim) => sim.run(),
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
