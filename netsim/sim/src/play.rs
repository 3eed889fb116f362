//! A scenario, played in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use libp2p::Multiaddr;
use lyceum_netsim::scenario::{At, Fault, Scenario};
use lyceum_netsim::sim::Sim;
use lyceum_storage::{Store, Tip};
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::cast::Cast;
use crate::check::{Violation, empty_chain, replay};
use crate::load::{Load, Target, Targets};
use crate::node::{Running, World, start};
use crate::places::Places;
use crate::report::SimReport;
use crate::torrents::Swarm;
use crate::trace::Trace;
use crate::watch::Watch;
use crate::wire::{Host, Wire};

mod judge;

/// How many times the nodes are looked at for the report, and how often at most.
const SAMPLES: f64 = 600.0;
const SAMPLE_EVERY_MIN: f64 = 0.5;
/// How long the nodes may take to agree once the faults are over: four searches of a lonely node for peers, 30 s apart, and some blocks.
const AGREE_WITHIN: Duration = Duration::from_secs(120);
const AGREE_WITHIN_BLOCKS: u32 = 20;
/// How often it is looked whether they do.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Blocks mined after the faults that all must have.
const BLOCKS_AFTER: u64 = 2;
/// Whom a node starts from, where the first one has not room for all: with three each, a random graph is of one piece.
const BOOTNODES: usize = 3;
/// How often progress is told: so many times in all.
const TELLS: u32 = 10;

/// What is wrong on purpose, for tests of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// The network is not healed in the end.
    NeverHeal,
    /// A wrong state root is read at every node.
    StateRoot,
}

impl FromStr for Sabotage {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        match text {
            "never-heal" => Ok(Self::NeverHeal),
            "state-root" => Ok(Self::StateRoot),
            _ => anyhow::bail!("want never-heal or state-root"),
        }
    }
}

/// A scenario that is being played.
pub(crate) struct Play {
    sim: Sim,
    scenario: Scenario,
    cast: Cast,
    world: Arc<World>,
    /// All nodes that there ever were; the number of each is its place.
    names: Vec<String>,
    runs: Vec<u64>,
    running: BTreeMap<usize, Running>,
    /// What killed nodes had committed.
    stores: BTreeMap<usize, Store>,
    /// Every node's address, by its number.
    addresses: Vec<Multiaddr>,
    targets: Targets,
    samples: Vec<lyceum_netsim::run::report::Sample>,
    begun: std::time::Instant,
}

impl Play {
    /// Sets the stage.
    ///
    /// # Errors
    /// Where the scenario makes no chain, or no trace can be written.
    pub(crate) fn new(sim: Sim, scenario: Scenario, folder: &Path) -> anyhow::Result<Self> {
        let cast = Cast::new(sim.sim_seed, sim.interval, scenario.miners)?;
        let joiners = scenario.at.iter().map(|at| match &at.fault {
            Fault::Join(names) => names.len(),
            _ => 0,
        });
        let hosts = scenario.nodes + joiners.sum::<usize>();
        let places = sim.world.then(|| Places::draw(sim.sim_seed, hosts));
        let wire = Wire::new(sim.sim_seed, scenario.link, places);
        let trace = Trace::new(sim.trace.as_deref()).context("the trace cannot be written")?;
        let genesis = empty_chain(&cast.spec)?.tip()?;
        let sabotage = sim.sabotage.as_deref().map(str::parse).transpose()?;
        let world = World {
            spec: Arc::clone(&cast.spec),
            swarm: Swarm::new(wire.clone(), Arc::clone(&cast.spec)),
            wire,
            started: Instant::now(),
            epoch: cast.epoch(),
            folder: folder.to_owned(),
            watch: Mutex::new(Watch::new(trace, &genesis)),
            sabotage,
            connections_max: sim.connections,
            alarm: CancellationToken::new(),
        };
        Ok(Self {
            sim,
            scenario,
            cast,
            world: Arc::new(world),
            names: Vec::new(),
            runs: Vec::new(),
            running: BTreeMap::new(),
            stores: BTreeMap::new(),
            addresses: Vec::new(),
            targets: Targets::default(),
            samples: Vec::new(),
            begun: std::time::Instant::now(),
        })
    }

    /// Plays it.
    ///
    /// # Errors
    /// Where a node does not start, or the trace could not be written. A check that fails is the report's.
    pub(crate) async fn run(mut self) -> anyhow::Result<SimReport> {
        for at in 1..=self.scenario.nodes {
            self.join(&format!("node{at}"))?;
        }
        let (seed, calls) = (self.sim.sim_seed, self.scenario.calls);
        let people = self.cast.people()?;
        let load = Load::start(seed, calls, &self.cast.spec, people, self.targets.clone());
        self.faults().await?;
        let tally = load.stop();
        let agreed = match self.world.alarm.is_cancelled() {
            true => None,
            false => self.agree().await,
        };
        self.judge(agreed, tally).await
    }

    /// The first phase: everything that the scenario has in store.
    async fn faults(&mut self) -> anyhow::Result<()> {
        let length = Duration::from_secs_f64(self.scenario.seconds);
        let (start, end) = (self.world.started, self.world.started + length);
        let every = (self.scenario.seconds / SAMPLES).max(SAMPLE_EVERY_MIN);
        let every = Duration::from_secs_f64(every);
        let mut ahead = self.scenario.at.clone().into_iter().peekable();
        let (mut sample, mut tell) = (start, start + length / TELLS);
        loop {
            let due = |at: &At| start + Duration::from_secs_f64(at.second);
            let fault = ahead.peek().map_or(end, due);
            let wake = fault.min(sample).min(end);
            tokio::select! {
                biased;
                () = self.world.alarm.cancelled() => return Ok(()),
                () = sleep_until(wake) => {}
            }
            while let Some(at) = ahead.next_if(|at| due(at) <= Instant::now()) {
                self.say(&format!("{:?}", at.fault));
                self.happen(at.fault).await?;
            }
            if sample <= Instant::now() {
                self.sample()?;
                sample += every;
            }
            if tell <= Instant::now() {
                self.say(&format!("height {}", self.best()?.height));
                tell += length / TELLS;
            }
            if end <= Instant::now() {
                return Ok(());
            }
        }
    }

    fn say(&self, what: &str) {
        let (now, wall) = (self.world.started.elapsed(), self.begun.elapsed());
        let (now, wall) = (now.as_secs_f64(), wall.as_secs_f64());
        eprintln!("{now:>7.1} s ({wall:>5.1} s)  {what}");
    }

    fn number(&self, name: &str) -> anyhow::Result<usize> {
        let number = self.names.iter().position(|known| known == name);
        number.with_context(|| format!("there is no {name}"))
    }

    async fn happen(&mut self, fault: Fault) -> anyhow::Result<()> {
        match fault {
            Fault::Split(parts) => {
                let hosts = |names: Vec<String>| -> anyhow::Result<Vec<Host>> {
                    let numbers = names.iter().map(|name| self.number(name));
                    numbers
                        .map(|number| Ok(Host(u16::try_from(number?)?)))
                        .collect()
                };
                let parts: anyhow::Result<Vec<Vec<Host>>> = parts.into_iter().map(hosts).collect();
                self.world.wire.split(&parts?);
            }
            Fault::Heal => self.world.wire.heal(),
            Fault::Join(names) => {
                for name in names {
                    self.join(&name)?;
                }
            }
            Fault::Kill(name) => {
                let number = self.number(&name)?;
                self.targets.remove(number);
                if let Some(running) = self.running.remove(&number) {
                    let store = running.kill().await.with_context(|| name.clone())?;
                    self.stores.insert(number, store);
                }
            }
            Fault::Start(name) => {
                let number = self.number(&name)?;
                let store = self.stores.remove(&number);
                let store = store.with_context(|| format!("{name} is running"))?;
                self.start(number, store)?;
            }
            Fault::Lie(_) => anyhow::bail!("nobody lies in a simulation"),
        }
        Ok(())
    }

    /// A node comes, with an empty ledger.
    fn join(&mut self, name: &str) -> anyhow::Result<()> {
        let number = self.names.len();
        self.names.push(name.to_owned());
        self.runs.push(0);
        let store = empty_chain(&self.cast.spec)?.into_store();
        self.start(number, store)
    }

    fn start(&mut self, number: usize, store: Store) -> anyhow::Result<()> {
        let name = self.names[number].clone();
        let bootnodes = self.bootnodes(number);
        let identity = self
            .cast
            .node(number, self.runs[number], &name, bootnodes)?;
        self.runs[number] += 1;
        let address = identity.address();
        let running = start(identity, store, &self.world).with_context(|| name)?;
        if number == self.addresses.len() {
            self.addresses.push(address);
        }
        let target = Target {
            orders: running.orders.clone(),
            reader: running.reader.clone(),
        };
        self.targets.add(number, target);
        self.running.insert(number, running);
        Ok(())
    }

    /// Whom a node starts from: the first one, as in `netsim run`; where that one has not room for all, some of those before it.
    fn bootnodes(&self, number: usize) -> Vec<Multiaddr> {
        let before = &self.addresses[..number.min(self.addresses.len())];
        match self.sim.connections {
            None => before.first().cloned().into_iter().collect(),
            Some(_) => {
                let mut rng = ChaCha8Rng::seed_from_u64(self.sim.sim_seed);
                rng.set_stream(number as u64);
                let some = before.choose_multiple(&mut rng, BOOTNODES);
                some.cloned().collect()
            }
        }
    }

    /// The tips of those who run, by their numbers.
    fn tips(&self) -> anyhow::Result<BTreeMap<usize, Tip>> {
        let tip = |(number, running): (&usize, &Running)| {
            let tip = running.reader.read().tip()?;
            Ok((*number, tip.context("a ledger without a tip")?))
        };
        self.running.iter().map(tip).collect()
    }

    fn best(&self) -> anyhow::Result<Tip> {
        let tips = self.tips()?.into_values();
        let best = tips.max_by_key(|tip| tip.height);
        best.context("no node is running")
    }

    /// The second phase: the network is whole, and must come to agree.
    async fn agree(&mut self) -> Option<Tip> {
        if self.world.sabotage != Some(Sabotage::NeverHeal) {
            self.world.wire.heal();
        }
        let within = AGREE_WITHIN + self.sim.interval * AGREE_WITHIN_BLOCKS;
        let deadline = Instant::now() + within;
        let goal = self.best().ok()?.height.get() + BLOCKS_AFTER;
        while Instant::now() < deadline && !self.world.alarm.is_cancelled() {
            let tips: BTreeSet<_> = self.tips().ok()?.into_values().map(key).collect();
            if let (Some((height, _, _)), 1) = (tips.first(), tips.len())
                && *height >= goal
            {
                return self.best().ok();
            }
            sleep_until(Instant::now() + LOOK_EVERY).await;
        }
        let seconds = within.as_secs();
        let mut watch = self.world.watch();
        watch.note(Err(Violation::Liveness { seconds }));
        None
    }

    /// Each different chain that somebody follows is checked from its first block on.
    fn replay(&self) -> anyhow::Result<()> {
        let mut seen = BTreeSet::new();
        for (number, tip) in self.tips()? {
            if seen.insert(tip.hash) {
                let (name, running) = (&self.names[number], &self.running[&number]);
                let checked = replay(name, &self.cast.spec, &running.reader);
                self.world.watch().note(checked);
            }
        }
        Ok(())
    }
}

fn key(tip: Tip) -> (u64, Vec<u8>, Vec<u8>) {
    let (hash, root) = (tip.hash.as_bytes(), tip.state_root.as_bytes());
    (tip.height.get(), hash.to_vec(), root.to_vec())
}

/// The folder that nodes put their bans in.
pub(crate) fn scratch() -> anyhow::Result<(tempfile::TempDir, PathBuf)> {
    let folder = tempfile::Builder::new().prefix("lyceum-sim-").tempdir()?;
    let path = folder.path().to_owned();
    Ok((folder, path))
}
