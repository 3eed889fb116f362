//! `netsim run`: a scenario on real nodes, over netsim's own network.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;

use crate::client::Client;
use crate::folder::Folder;
use crate::load::{Load, Targets};
use crate::local::{Local, write};
use crate::node::{Node, Place, Ports, stop_all};
use crate::scenario::{At, Fault, SHIPPED, Scenario};
use crate::stop::Stop;
use crate::up::find_lyceum;
use crate::verdict::{Verdict, agree};
use crate::watch::{View, best, look};
use crate::wire::Wire;

pub mod html;
pub mod report;

use report::{Report, Sample};

/// How often the nodes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Every node has an address of its own, so the node's usual ports do.
const PORTS: Ports = Ports {
    http: 8650,
    p2p: 8651,
    torrent: 8652,
};

/// More help.
pub(crate) const HELP: &str = "\
Each node is a process in a network namespace of its own; netsim forwards what they send, with the scenario's latency, jitter, loss, bandwidth
and partitions. That needs root, `ip` (iproute2) and /dev/net/tun. The exit status is 0 only if all nodes agree in the end, and all that the
scenario expects holds.

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
    /// What the calls and the links' faults follow from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Keep all files in this new or empty folder [default: a temporary one, deleted unless something went wrong]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The program `lyceum` [default: the one beside netsim]
    #[arg(long, value_name = "FILE", env = "LYCEUM_BIN")]
    lyceum: Option<PathBuf>,
    /// Print the report as JSON; progress goes to standard error
    #[arg(long)]
    json: bool,
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
        let stop = Stop::on_signals()?;
        let lyceum = find_lyceum(self.lyceum.clone())?;
        let folder = Folder::make(self.dir.clone())?;
        let path = folder.path()?;
        let played = Play::start(&self, scenario, &lyceum, &path, stop).and_then(Play::run);
        let report = match played {
            Ok(report) => report,
            Err(error) => {
                folder.keep();
                return Err(error.context(format!("see the logs in {}", path.display())));
            }
        };
        if let Some(dir) = &self.report {
            std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
            write(&dir.join("report.json"), &serde_json::to_string(&report)?)?;
            write(&dir.join("report.html"), &html::page(&report))?;
        }
        match self.json {
            true => println!("{}", serde_json::to_string(&report)?),
            false => print!("\n{}: {}", report.scenario, report.verdict),
        }
        let is_good = report.verdict.is_good();
        if !is_good {
            folder.keep();
            eprintln!("what there is to see lies in {}", path.display());
        }
        Ok(is_good)
    }
}

/// A scenario that is being played.
struct Play<'a> {
    name: &'a str,
    scenario: Scenario,
    lyceum: &'a Path,
    local: Local,
    nodes: Vec<Node>,
    addresses: BTreeMap<String, Ipv4Addr>,
    /// Nodes that were killed and not started again.
    down: BTreeSet<String>,
    bootnodes: Vec<String>,
    targets: Targets,
    load: Load,
    samples: Vec<Sample>,
    started: Instant,
    stop: Stop,
    // Last, so that the nodes are gone before their network is.
    wire: Wire,
}

impl<'a> Play<'a> {
    fn start(
        run: &'a Run,
        scenario: Scenario,
        lyceum: &'a Path,
        dir: &Path,
        stop: Stop,
    ) -> anyhow::Result<Self> {
        let wire = Wire::new(run.seed, scenario.link)?;
        eprintln!("{}; files in {}", scenario.about, dir.display());
        let mut local = Local::create(dir, lyceum, scenario.miners)?;
        let targets = Targets::default();
        let people = std::mem::take(&mut local.people);
        let load = Load::prepare(
            run.seed,
            scenario.calls,
            &local.spec,
            people,
            targets.clone(),
        );
        let mut play = Self {
            name: &run.scenario,
            lyceum,
            local,
            nodes: Vec::new(),
            addresses: BTreeMap::new(),
            down: BTreeSet::new(),
            bootnodes: Vec::new(),
            targets,
            load,
            samples: Vec::new(),
            started: Instant::now(),
            stop,
            wire,
            scenario,
        };
        for at in 0..play.scenario.nodes {
            play.add(
                &format!("node{}", at + 1),
                Some(at).filter(|at| *at < play.scenario.miners),
            )?;
            if at == 0 {
                let status = play.nodes[0].wait_until_up(&play.stop)?;
                let place = Place::local(PORTS).at(play.addresses["node1"]);
                play.bootnodes.push(place.multiaddress(&status));
            }
        }
        for at in 0..play.nodes.len() {
            play.nodes[at].wait_until_up(&play.stop)?;
            play.targets.add(play.nodes[at].client.clone());
        }
        play.load.begin()?;
        play.started = Instant::now();
        Ok(play)
    }

    fn add(&mut self, name: &str, miner: Option<usize>) -> anyhow::Result<()> {
        let (host, before) = self.wire.plug()?;
        let place = Place {
            host,
            ports: PORTS,
            before,
        };
        let (lyceum, local) = (self.lyceum, &self.local);
        let node = Node::start(lyceum, local, name, place, miner, &self.bootnodes)?;
        self.nodes.push(node);
        self.addresses.insert(name.to_owned(), host);
        Ok(())
    }

    fn run(mut self) -> anyhow::Result<Report> {
        let length = Duration::from_secs_f64(self.scenario.seconds);
        let mut ahead = std::mem::take(&mut self.scenario.at).into_iter().peekable();
        let all: Vec<At> = ahead.clone().collect();
        while self.started.elapsed() < length {
            anyhow::ensure!(!self.stop.is_set(), "asked to stop");
            let next = Instant::now() + LOOK_EVERY;
            let now = self.started.elapsed().as_secs_f64();
            while let Some(at) = ahead.next_if(|at| at.second <= now) {
                eprintln!("{now:>6.1} s  {:?}", at.fault);
                self.happen(at.fault)?;
            }
            self.sample()?;
            self.stop.sleep_until(next);
        }
        self.scenario.at = all;
        self.judge()
    }

    fn node(&mut self, name: &str) -> anyhow::Result<&mut Node> {
        let mut nodes = self.nodes.iter_mut();
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
                    self.add(&name, None)?;
                }
            }
            Fault::Kill(name) => {
                self.node(&name)?.kill();
                self.down.insert(name);
            }
            Fault::Start(name) => {
                self.node(&name)?.restart()?;
                self.down.remove(&name);
            }
        }
        Ok(())
    }

    fn clients(&self) -> Vec<(String, Client)> {
        let up = self
            .nodes
            .iter()
            .filter(|node| !self.down.contains(&node.name));
        up.map(|node| (node.name.clone(), node.client.clone()))
            .collect()
    }

    /// Looks at the nodes, and remembers.
    fn sample(&mut self) -> anyhow::Result<Vec<View>> {
        for node in &mut self.nodes {
            if !self.down.contains(&node.name) {
                node.process().check_alive()?;
            }
        }
        let views = look(&self.clients());
        let second = self.started.elapsed().as_secs_f64();
        let height = best(&views).map_or(0, |(_, height)| height);
        let last = self.samples.last().map_or(0, |sample| sample.best);
        if height / 10 > last / 10 {
            eprintln!("{second:>6.1} s  height {height}");
        }
        self.samples.push(Sample::new(second, height, &views));
        Ok(views)
    }

    fn judge(mut self) -> anyhow::Result<Report> {
        let tally = self.load.stop()?;
        let clients = self.clients();
        let mut verdict = Verdict::new(clients.len(), agree(&clients), tally);
        let views = self.sample()?;
        if let (Some(common), Some((_, client))) = (&verdict.agreement, clients.first()) {
            verdict.transactions = client.count_transactions(common.height)?;
        }
        verdict.reorganisations = views.iter().map(View::reorganisations).sum();
        verdict.seconds = self.started.elapsed().as_secs_f64();
        let packets = self.wire.packets();
        let unclean = stop_all(&mut self.nodes);
        verdict
            .faults
            .extend(unclean.iter().map(|error| format!("{error:#}")));
        verdict
            .faults
            .extend(report::unmet(&self.scenario, &verdict, &views));
        Ok(Report::new(
            self.name,
            &self.scenario,
            verdict,
            self.samples,
            &views,
            packets,
        ))
    }
}
