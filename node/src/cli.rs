//! The command line: what it takes, and how it ends (0 done, 1 failed, 2 wrong usage).

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};

mod chain;
mod contract;
mod progress;
mod vm;
mod wallet;

/// The longest file that a command reads.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// A public learning centre, run by its members on one shared ledger.
#[derive(Debug, Parser)]
#[command(name = "lyceum", version, arg_required_else_help = true)]
struct Lyceum {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make, copy and check a ledger, without a running node
    #[command(subcommand)]
    Chain(chain::ChainCommand),
    /// Check contracts, list their code, call them offline
    #[command(subcommand)]
    Contract(contract::ContractCommand),
    /// Run, assemble and disassemble programs of the Cryptoleq machine
    #[command(subcommand)]
    Vm(vm::VmCommand),
    /// Make, show, import and export wallets: keys and their identity cards
    #[command(subcommand)]
    Wallet(wallet::WalletCommand),
}

/// Runs the `lyceum` program on this process's arguments.
pub fn main() -> ExitCode {
    let result = match Lyceum::parse().command {
        Command::Chain(command) => command.run(),
        Command::Contract(command) => command.run(),
        Command::Vm(command) => command.run(),
        Command::Wallet(command) => command.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lyceum: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What an error calls an input.
fn name(path: &Path) -> String {
    match path == Path::new("-") {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    }
}

/// Reads a text file; `-` is standard input.
fn read_text(path: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let name = name(path);
    let read = match path == Path::new("-") {
        true => io::stdin()
            .lock()
            .take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes),
        false => std::fs::File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)),
    };
    read.with_context(|| name.clone())?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        bail!("{name}: longer than {} MiB", FILE_BYTES_MAX >> 20);
    }
    String::from_utf8(bytes)
        .ok()
        .with_context(|| format!("{name}: not UTF-8"))
}

/// Writes a command's result; a reader that has gone away is no failure.
fn print(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("standard output")
        }
        _ => Ok(()),
    }
}
