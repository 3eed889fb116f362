//! `netsim sim`: a scenario on whole nodes in virtual time.
//!
//! The simulator is a program of its own, `netsim-sim`, in a workspace of its own: it runs libp2p with other timers. This builds it where it
//! lies beside its sources, and becomes it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use crate::duration;

/// The simulator's program.
const PROGRAM: &str = "netsim-sim";

/// More help.
pub const HELP: &str = "\
Each node is whole: the core, a ledger in memory, libp2p with all its protocols; only sockets, clocks and entropy are the simulator's. Mining and
transfers by BitTorrent are modelled. The same options and --sim-seed give the same trace, and the same hash of it. The exit status is 0 only
if no check failed on the way, and all nodes agree in the end.

Examples:
  netsim sim partition
  netsim sim churn --sim-seed 7 --json
  netsim sim smoke --nodes 100 --miners 10 --for 1h --interval 15s --calls 0.2 --connections 20 --world";

/// Options of `netsim sim`.
#[derive(Debug, Clone, Args)]
pub struct Sim {
    /// A scenario's file, or the name of one that comes with netsim
    #[arg(value_name = "SCENARIO.toml|NAME")]
    pub scenario: String,
    /// What everything that is random follows from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub sim_seed: u64,
    /// So many nodes at the start, instead of the scenario's
    #[arg(long, value_name = "N")]
    pub nodes: Option<usize>,
    /// So many of them mine, instead of the scenario's
    #[arg(long, value_name = "N")]
    pub miners: Option<usize>,
    /// Run for so long, instead of the scenario's seconds
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    pub length: Option<Duration>,
    /// The time between blocks that the chain aims at
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "1s")]
    pub interval: Duration,
    /// Calls handed in a second, instead of the scenario's
    #[arg(long, value_name = "RATE")]
    pub calls: Option<f64>,
    /// Connections of each node at most, instead of its own bounds; each then starts from some of those before it, not from the first alone
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(8..))]
    pub connections: Option<u32>,
    /// Spread the nodes over the world: latencies of city pairs instead of the scenario's
    #[arg(long)]
    pub world: bool,
    /// Write report.json and report.html into this folder
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Write every event of the trace into this file
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Compare propagation with real nodes': the folder of a `netsim run` of the same scenario with --dir
    #[arg(long, value_name = "DIR")]
    pub compare: Option<PathBuf>,
    /// Print the report as JSON; progress goes to standard error
    #[arg(long)]
    pub json: bool,
    /// For tests of the checks: what is wrong on purpose
    #[arg(long, value_name = "WHAT", hide = true)]
    pub sabotage: Option<String>,
}

impl Sim {
    /// Becomes the simulator.
    ///
    /// # Errors
    /// Where there is none, or it can't be built.
    pub(crate) fn run(self) -> anyhow::Result<bool> {
        let own = std::env::current_exe().context("netsim does not know where it lies")?;
        let program = match sources() {
            Some(folder) => build(&folder, &own)?,
            None => own.with_file_name(PROGRAM),
        };
        anyhow::ensure!(
            program.is_file(),
            "the simulator is built from the project's sources, which are not there any more, and there is no {}",
            program.display()
        );
        // What follows `sim`: the simulator reads the same options.
        let arguments: Vec<OsString> = std::env::args_os().skip(2).collect();
        let error = Command::new(&program).args(arguments).exec();
        Err(error).with_context(|| format!("{}: cannot be run", program.display()))
    }
}

/// The simulator's sources, where this program was built from them.
fn sources() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sim");
    folder.join("Cargo.toml").is_file().then_some(folder)
}

/// Builds the simulator, and says where it lies: in this program's own target folder, so that they share compiled dependencies.
fn build(folder: &Path, own: &Path) -> anyhow::Result<PathBuf> {
    let target = own.parent().and_then(Path::parent);
    let target = target.context("netsim lies in no target folder")?;
    let program = target.join("debug").join(PROGRAM);
    if !program.is_file() {
        eprintln!("building the simulator, once: some minutes");
    }
    // Lends RocksDB's library to the command, which Cargo alone would compile anew.
    let lender = folder.join("../../.ci/rocksdb");
    let mut command = match lender.is_file() {
        true => Command::new(lender),
        false => Command::new("env"),
    };
    let built = command
        .args(["cargo", "build", "--locked", "--quiet", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", target)
        .status()
        .context("cargo cannot be run")?;
    anyhow::ensure!(built.success(), "the simulator cannot be built");
    Ok(program)
}
