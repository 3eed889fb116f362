//! The `netsim-sim` program, which `netsim sim` becomes: many whole Lyceum nodes in virtual time.
//!
//! Everything runs on one thread, under a clock that jumps to the next moment at which something is due. What is random follows from one
//! seed, so a run can be had again, event for event: the trace's hash shows it.

mod calibrate;
mod cast;
mod check;
mod entropy;
mod introduction;
mod load;
mod miner;
mod node;
mod places;
mod play;
mod report;
mod stream;
mod torrents;
mod trace;
mod transport;
mod watch;
mod wire;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use lyceum_netsim::run::html;
use lyceum_netsim::scenario::Scenario;
use lyceum_netsim::sim::{HELP, Sim};

use play::Play;
use report::SimReport;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The stack of the simulation's thread: the main thread's usual size.
const STACK_BYTES: usize = 8 << 20;

/// Play a scenario on whole nodes in virtual time, and report
#[derive(Debug, Parser)]
#[command(name = "netsim sim", version, after_help = HELP)]
struct Program {
    #[command(flatten)]
    sim: Sim,
}

fn main() -> ExitCode {
    match run(Program::parse().sim) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("netsim sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(sim: Sim) -> anyhow::Result<bool> {
    let scenario = scenario(&sim)?;
    let (_folder, path) = play::scratch()?;
    let (json, dir, compare) = (sim.json, sim.report.clone(), sim.compare.clone());
    entropy::seed(sim.sim_seed);
    // A thread of its own: whatever this one has drawn so far is of no account.
    let thread = std::thread::Builder::new().name("simulation".to_owned());
    let thread = thread.stack_size(STACK_BYTES);
    let thread = thread.spawn(move || simulate(sim, scenario, &path))?;
    let ended = thread.join();
    let report = ended.map_err(|_| anyhow::anyhow!("the simulation has panicked"))??;
    if let Some(dir) = dir {
        write(&dir, &report)?;
    }
    match json {
        true => println!("{}", serde_json::to_string(&report)?),
        false => print!("\n{report}"),
    }
    let is_alike = match compare {
        Some(dir) => calibrate::compare(&dir, report.propagation_ms)?,
        None => true,
    };
    Ok(report.report.verdict.is_good() && is_alike)
}

/// The scenario, with what the options change.
fn scenario(sim: &Sim) -> anyhow::Result<Scenario> {
    let mut scenario = Scenario::read(&sim.scenario)?;
    anyhow::ensure!(
        !scenario.has_liars(),
        "liars lie to real nodes alone: netsim run {}",
        sim.scenario
    );
    scenario.nodes = sim.nodes.unwrap_or(scenario.nodes);
    scenario.miners = sim.miners.unwrap_or(scenario.miners);
    scenario.calls = sim.calls.unwrap_or(scenario.calls);
    if let Some(length) = sim.length {
        scenario.seconds = length.as_secs_f64();
    }
    scenario
        .check()
        .context("these options do not fit the scenario")?;
    Ok(scenario)
}

fn simulate(sim: Sim, scenario: Scenario, folder: &Path) -> anyhow::Result<SimReport> {
    eprintln!("{}; sim seed {}", scenario.about, sim.sim_seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    runtime.block_on(async { Play::new(sim, scenario, folder)?.run().await })
}

fn write(dir: &Path, report: &SimReport) -> anyhow::Result<()> {
    let put = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).with_context(|| path.display().to_string())
    };
    std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    put("report.json", &serde_json::to_string(report)?)?;
    put("report.html", &html::page(&report.report))
}
