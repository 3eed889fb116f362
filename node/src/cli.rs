//! The command line: what it takes, and how it ends (0 done, 1 failed, 2 wrong usage).

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

mod chain;
mod contract;
mod estimate;
mod fetch;
mod local;
mod look;
mod node;
mod progress;
mod segment;
mod source;
mod sync_progress;
mod tx;
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
    #[command(after_help = node::EXAMPLES)]
    Node(Box<node::NodeCommand>),
    #[command(after_help = look::STATUS_EXAMPLES)]
    Status(look::Status),
    #[command(after_help = look::BLOCK_EXAMPLES)]
    Block(look::Block),
    #[command(after_help = look::STATE_EXAMPLES)]
    State(look::State),
    /// Send transactions, and follow them
    #[command(subcommand)]
    Tx(tx::TxCommand),
    /// List, fetch and hand out segments of the chain as torrents
    #[command(subcommand)]
    Segment(segment::SegmentCommand),
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
    /// Print completions for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

const COMPLETIONS_EXAMPLES: &str = "Examples:
  lyceum completions bash > ~/.local/share/bash-completion/completions/lyceum
  lyceum completions zsh > ~/.zfunc/_lyceum
  lyceum completions fish > ~/.config/fish/completions/lyceum.fish";

/// Runs the `lyceum` program on this process's arguments.
pub fn main() -> ExitCode {
    let matches = Lyceum::command().get_matches();
    let parsed = Lyceum::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let result = match parsed.command {
        Command::Node(command) => match matches.subcommand() {
            Some((_, matches)) => command.run(matches),
            None => unreachable!("the command has just been parsed"),
        },
        Command::Status(command) => command.run(),
        Command::Block(command) => command.run(),
        Command::State(command) => command.run(),
        Command::Tx(command) => command.run(),
        Command::Segment(command) => command.run(),
        Command::Chain(command) => command.run(),
        Command::Contract(command) => command.run(),
        Command::Vm(command) => command.run(),
        Command::Wallet(command) => command.run(),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Lyceum::command(), "lyceum", &mut script);
            print(&script)
        }
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
