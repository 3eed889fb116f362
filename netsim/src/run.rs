//! `netsim run`: a scenario on real nodes, over netsim's own network.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;

use crate::liar::{Liar, find_liar};
use crate::load::Load;
use crate::local::write;
use crate::node::{Node, Place, Ports};
use crate::nodes::Nodes;
use crate::scenario::{At, Fault, SHIPPED, Scenario};
use crate::stage::{Common, Stage};
use crate::stop::Stop;
use crate::watch::best;
use crate::wire::{Wire, check_rights};

pub mod html;
pub mod report;

use report::{Report, Sample};

/// How often the nodes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How much longer than its seconds a scenario takes, at most, until all are banned that lied: a claim that was not kept is not believed for a
/// minute, and punished the second time.
const PUNISHED_WITHIN: Duration = Duration::from_secs(150);
/// Every node has an address of its own, so the node's usual ports do.
const PORTS: Ports = Ports {
    http: 8650,
    p2p: 8651,
    torrent: 8652,
};

/// More help.
pub(crate) const HELP: &str = "\
Each node is a process in a network namespace of its own; netsim forwards what they send, with the scenario's latency, jitter, loss, bandwidth
and partitions. That needs root, `ip` (iproute2) and /dev/net/tun. The exit status is 0 only if all nodes agree in the end, no honest node has
banned another, every liar is banned by all that it lied to, and all that the scenario expects holds.

Scenarios with liars need their program: cargo build -p lyceum-node --example lyceum-liar (`make scenario` does it)

Examples:
  netsim list
  netsim run partition --report /tmp/partition
  netsim run ./mine.toml --seed 7 --json";

/// Options of `netsim run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// A scenario's file, or the name of one that comes with netsim
    #[arg(value_name = "SCENARIO.toml|NAME")]
    scenario: String,
    /// Write report.json and report.html into this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// The program `lyceum-liar`, for scenarios with liars [default: the one in the folder `examples` beside netsim]
    #[arg(long, value_name = "FILE", env = "LYCEUM_LIAR")]
    liar: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// `netsim list`.
pub(crate) fn list() -> anyhow::Result<bool> {
    for (name, _) in SHIPPED {
        println!("{name:<12} {}", Scenario::read(name)?.about);
    }
    Ok(true)
}

impl Run {
    /// Plays the scenario; true where all went as it should.
    pub(crate) fn run(self) -> anyhow::Result<bool> {
        let scenario = Scenario::read(&self.scenario)?;
        let liar = match scenario.has_liars() {
            true => Some(find_liar(self.liar.clone())?),
            false => None,
        };
        check_rights()?;
        self.common.perform(|stage| {
            let report = Play::start(&self, scenario, liar, stage)?.run()?;
            if let Some(dir) = &self.report {
                std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
                write(&dir.join("report.json"), &serde_json::to_string(&report)?)?;
                write(&dir.join("report.html"), &html::page(&report))?;
            }
            Ok(report)
        })
    }
}

/// A scenario that is being played.
struct Play<'a> {
    name: &'a str,
    scenario: Scenario,
    nodes: Nodes,
    liars: Vec<Liar>,
    /// The program that lies.
    liar: Option<PathBuf>,
    addresses: BTreeMap<String, Ipv4Addr>,
    load: Load,
    samples: Vec<Sample>,
    /// What it goes on for beyond its time, as it was last said.
    waits_for: Vec<String>,
    started: Instant,
    stop: Stop,
    // Last, so that the nodes are gone before their network is.
    wire: Wire,
}

impl<'a> Play<'a> {
    fn start(
        run: &'a Run,
        scenario: Scenario,
        liar: Option<PathBuf>,
        stage: Stage,
    ) -> anyhow::Result<Self> {
        let seed = run.common.seed;
        let mut wire = Wire::new(seed, scenario.link)?;
        eprintln!("{}; files in {}", scenario.about, stage.dir.display());
        let stop = stage.stop.clone();
        let mut nodes = Nodes::new(stage, scenario.miners)?;
        let mut addresses = BTreeMap::new();
        for at in 0..scenario.nodes {
            let (name, place) = (format!("node{}", at + 1), plug(&mut wire)?);
            addresses.insert(name.clone(), place.host);
            nodes.start(&name, place, (at < scenario.miners).then_some(at))?;
        }
        nodes.wait()?;
        let load = nodes.load(seed, scenario.calls)?;
        Ok(Self {
            name: &run.scenario,
            scenario,
            nodes,
            liars: Vec::new(),
            liar,
            addresses,
            load,
            samples: Vec::new(),
            waits_for: Vec::new(),
            started: Instant::now(),
            stop,
            wire,
        })
    }

    fn run(mut self) -> anyhow::Result<Report> {
        let length = Duration::from_secs_f64(self.scenario.seconds);
        let mut ahead = std::mem::take(&mut self.scenario.at).into_iter().peekable();
        let all: Vec<At> = ahead.clone().collect();
        while self.goes_on(length)? {
            anyhow::ensure!(!self.stop.is_set(), "asked to stop");
            let next = Instant::now() + LOOK_EVERY;
            let now = self.started.elapsed().as_secs_f64();
            while let Some(at) = ahead.next_if(|at| at.second <= now) {
                eprintln!("{now:>6.1} s  {}", at.fault);
                self.happen(at.fault)?;
            }
            self.sample()?;
            self.stop.sleep_until(next);
        }
        self.scenario.at = all;
        self.judge()
    }

    /// Is it not over yet? Lies that came at an unlucky moment are told again.
    fn goes_on(&mut self, length: Duration) -> anyhow::Result<bool> {
        let (names, now) = (self.nodes.names(), self.started.elapsed());
        if now < length || now > length + PUNISHED_WITHIN {
            return Ok(now < length);
        }
        let mut open = Vec::new();
        for liar in &self.liars {
            let exposure = liar.expose(&self.nodes.all, &names)?;
            open.extend(exposure.faults(&liar.name));
        }
        if !open.is_empty() && self.waits_for != open {
            eprintln!("{:>6.1} s  goes on: {}", now.as_secs_f64(), open.join("; "));
            self.waits_for.clone_from(&open);
        }
        Ok(!open.is_empty())
    }

    fn node(&mut self, name: &str) -> anyhow::Result<&mut Node> {
        let mut nodes = self.nodes.all.iter_mut();
        let node = nodes.find(|node| node.name == name);
        node.with_context(|| format!("there is no {name}"))
    }

    fn happen(&mut self, fault: Fault) -> anyhow::Result<()> {
        match fault {
            Fault::Split(parts) => {
                let parts = parts.iter().map(|names| {
                    let addresses = names.iter().filter_map(|name| self.addresses.get(name));
                    addresses.copied().collect()
                });
                self.wire.split(&parts.collect::<Vec<_>>());
            }
            Fault::Heal => self.wire.heal(),
            Fault::Join(names) => {
                for name in names {
                    let place = plug(&mut self.wire)?;
                    self.addresses.insert(name.clone(), place.host);
                    self.nodes.start(&name, place, None)?;
                }
            }
            Fault::Kill(name) => self.node(&name)?.kill(),
            Fault::Start(name) => self.node(&name)?.restart()?,
            Fault::Lie(lies) => {
                self.nodes.wait()?;
                for lie in lies {
                    self.lie(&lie)?;
                }
            }
        }
        Ok(())
    }

    /// Starts a liar; newcomers know it as they know the first node.
    fn lie(&mut self, name: &str) -> anyhow::Result<()> {
        let program = self.liar.as_deref().context("looked for at the start")?;
        let place = plug(&mut self.wire)?;
        self.addresses.insert(name.to_owned(), place.host);
        let Nodes { local, all, .. } = &self.nodes;
        let follow = all.first().context("there is a first node")?.http;
        let liar = Liar::start(program, local, name, place, follow, all, &self.stop)?;
        self.nodes.bootnodes.push(liar.multiaddress()?);
        self.liars.push(liar);
        Ok(())
    }

    /// Looks at the nodes, and remembers.
    fn sample(&mut self) -> anyhow::Result<()> {
        self.nodes.check_alive()?;
        self.liars.iter_mut().try_for_each(Liar::check_alive)?;
        let views = self.nodes.look();
        let second = self.started.elapsed().as_secs_f64();
        let height = best(&views).map_or(0, |(_, height)| height);
        let last = self.samples.last().map_or(0, |sample| sample.best);
        if height / 10 > last / 10 {
            eprintln!("{second:>6.1} s  height {height}");
        }
        self.samples.push(Sample::new(second, height, &views));
        Ok(())
    }

    fn judge(mut self) -> anyhow::Result<Report> {
        let tally = self.load.stop()?;
        self.sample()?;
        // What they have said until now counts.
        self.liars.iter_mut().for_each(Liar::kill);
        let (mut verdict, views) = self.nodes.judge(tally)?;
        verdict.seconds = self.started.elapsed().as_secs_f64();
        let (names, mut liars) = (self.nodes.names(), BTreeMap::new());
        for liar in &self.liars {
            let exposure = liar.expose(&self.nodes.all, &names)?;
            verdict.faults.extend(exposure.faults(&liar.name));
            liars.insert(liar.name.clone(), exposure);
        }
        drop(names);
        verdict.faults.extend(self.nodes.stop());
        let unmet = report::unmet(&self.scenario, &verdict, &views);
        verdict.faults.extend(unmet);
        let shown = (self.samples, liars);
        let packets = self.wire.packets();
        Ok(Report::new(
            self.name,
            &self.scenario,
            verdict,
            shown,
            &views,
            packets,
        ))
    }
}

/// A place of its own on the network, where the node's usual ports do.
fn plug(wire: &mut Wire) -> anyhow::Result<Place> {
    let (host, before) = wire.plug()?;
    Ok(Place {
        host,
        ports: PORTS,
        before,
    })
}
