//! `netsim up`: a network on this machine's loopback address, for people to watch.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::duration;
use crate::folder::Folder;
use crate::load::{Load, Tally, Targets};
use crate::local::Local;
use crate::metrics::name;
use crate::node::{Node, Place, Ports, stop_all};
use crate::ports;
use crate::stop::Stop;
use crate::verdict::{Newcomer, Verdict, agree};
use crate::watch::{View, best, look};
use anyhow::Context as _;
use clap::Args;

mod screen;

use screen::{Scene, Screen};

/// The most nodes: each takes three ports and some threads.
const NODES_MAX: u64 = 50;
/// How often the nodes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// When the newcomer joins a network that has no end.
const JOIN_AFTER: Duration = Duration::from_secs(30);
/// The most lines of blocks printed at one look.
const BLOCK_LINES_MAX: u64 = 20;

/// More help.
pub(crate) const HELP: &str = "\
Half-way, one more node joins with an empty disk, and pulls the chain by BitTorrent. In the end all nodes must have the same chain and the
same state: the exit status is 0 only then. Ctrl-C ends it early, in good order; a second Ctrl-C at once.

Examples:
  netsim up
  netsim up --nodes 10 --miners 3 --for 5m --dir /tmp/network
  netsim up --for forever --rate 20";

/// Options of `netsim up`.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// How many nodes, beside the one that joins half-way
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=NODES_MAX))]
    nodes: u64,
    /// How many of them mine
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=NODES_MAX))]
    miners: u64,
    /// How long: 90s, 5m, 1h, or `forever`
    #[arg(long = "for", value_name = "DURATION", default_value = "60s")]
    length: Length,
    /// Calls handed in a second
    #[arg(long, value_name = "N", default_value_t = 8.0, value_parser = rate)]
    rate: f64,
    /// What the calls follow from: the same seed, the same calls
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Keep all files in this new or empty folder [default: a temporary one, deleted unless something went wrong]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The program `lyceum` [default: the one beside netsim]
    #[arg(long, value_name = "FILE", env = "LYCEUM_BIN")]
    lyceum: Option<PathBuf>,
    /// Print the verdict as JSON; progress goes to standard error
    #[arg(long)]
    json: bool,
}

/// How long a network runs; `None`: until asked to stop.
#[derive(Debug, Clone, Copy)]
struct Length(Option<Duration>);

impl FromStr for Length {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "forever" => Ok(Self(None)),
            _ => duration::parse(text).map(|length| Self(Some(length))),
        }
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "want a number".to_owned())?;
    match (0.01..=1_000.0).contains(&rate) {
        true => Ok(rate),
        false => Err("want 0.01 to 1000".to_owned()),
    }
}

impl Up {
    /// Runs the network; true where it converged.
    pub(crate) fn run(self) -> anyhow::Result<bool> {
        anyhow::ensure!(
            self.miners <= self.nodes,
            "{} miners are more than {} nodes; give --nodes {0}",
            self.miners,
            self.nodes
        );
        let stop = Stop::on_signals()?;
        let lyceum = find_lyceum(self.lyceum.clone())?;
        let folder = Folder::make(self.dir.clone())?;
        let path = folder.path()?;
        let done = Network::start(&self, &lyceum, &path, stop).and_then(|network| network.run());
        let verdict = match done {
            Ok(verdict) => verdict,
            Err(error) => {
                folder.keep();
                return Err(error.context(format!("see the logs in {}", path.display())));
            }
        };
        if self.json {
            println!("{}", serde_json::to_string(&verdict)?);
        } else {
            print!("\n{verdict}");
        }
        if verdict.is_good() {
            folder.end();
        } else {
            folder.keep();
            eprintln!("what there is to see lies in {}", path.display());
        }
        Ok(verdict.is_good())
    }
}

/// Finds the program `lyceum`.
pub(crate) fn find_lyceum(given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let path = match given {
        Some(path) => path,
        None => std::env::current_exe()?.with_file_name("lyceum"),
    };
    // A child may run in another folder.
    std::fs::canonicalize(&path).with_context(|| {
        let path = path.display();
        format!("{path}: no such program; build it with `cargo build -p lyceum-node`, or say where it is with --lyceum FILE")
    })
}

/// A network that runs.
struct Network<'a> {
    up: &'a Up,
    lyceum: &'a std::path::Path,
    local: Local,
    nodes: Vec<Node>,
    bootnodes: Vec<String>,
    free: Vec<Place>,
    targets: Targets,
    load: Load,
    late: Option<Late>,
    screen: Screen,
    shown: u64,
    started: Instant,
    stop: Stop,
}

/// The newcomer, and when it came.
struct Late {
    started: Instant,
    newcomer: Newcomer,
}

impl<'a> Network<'a> {
    fn start(
        up: &'a Up,
        lyceum: &'a std::path::Path,
        dir: &std::path::Path,
        stop: Stop,
    ) -> anyhow::Result<Self> {
        let mut screen = Screen::new(up.json);
        let started = Instant::now();
        let (count, miners) = (up.nodes as usize, up.miners as usize);
        screen.say(&format!(
            "{count} nodes, {miners} of them mine; files in {}",
            dir.display()
        ));
        let mut local = Local::create(dir, lyceum, miners)?;
        let numbers = ports::free(3 * (count + 1))?;
        let free = numbers.chunks_exact(3).map(|three| {
            Place::local(Ports {
                http: three[0],
                p2p: three[1],
                torrent: three[2],
            })
        });
        let mut free: Vec<_> = free.collect();
        let (mut nodes, mut bootnodes) = (Vec::new(), Vec::new());
        for at in 0..count {
            let (name, place) = (format!("node{}", at + 1), free.remove(0));
            let miner = (at < miners).then_some(at);
            let mut node = Node::start(lyceum, &local, &name, place.clone(), miner, &bootnodes)?;
            // The others find the first one by its peer id, which it makes when it starts.
            if bootnodes.is_empty() {
                bootnodes.push(place.multiaddress(&node.wait_until_up(&stop)?));
            }
            nodes.push(node);
        }
        let targets = Targets::default();
        for node in &mut nodes {
            node.wait_until_up(&stop)?;
            targets.add(node.client.clone());
            screen.say(&addresses(node));
        }
        let people = std::mem::take(&mut local.people);
        let mut load = Load::prepare(up.seed, up.rate, &local.spec, people, targets.clone());
        load.begin()?;
        Ok(Self {
            up,
            lyceum,
            local,
            nodes,
            bootnodes,
            free,
            targets,
            load,
            late: None,
            screen,
            shown: 0,
            started,
            stop,
        })
    }

    fn run(mut self) -> anyhow::Result<Verdict> {
        let length = self.up.length.0;
        let join_after = length.map_or(JOIN_AFTER, |length| length / 2);
        let begun = Instant::now();
        while !self.stop.is_set() && length.is_none_or(|length| begun.elapsed() < length) {
            let next = Instant::now() + LOOK_EVERY;
            if self.late.is_none() && begun.elapsed() >= join_after {
                self.join()?;
            }
            self.step(begun.elapsed())?;
            self.stop.sleep_until(next);
        }
        if self.stop.is_set() {
            self.screen
                .say("asked to stop: do the nodes agree? (Ctrl-C again to end at once)");
        } else {
            self.screen.say("time is up: do the nodes agree?");
        }
        let tally = self.load.stop()?;
        self.judge(tally)
    }

    /// Looks at the nodes, and shows them.
    fn step(&mut self, elapsed: Duration) -> anyhow::Result<()> {
        for node in &mut self.nodes {
            node.process().check_alive()?;
        }
        let views = look(&self.clients());
        self.follow_newcomer(&views);
        if self.screen.is_table() {
            let tally = self.load.tally();
            let (views, length) = (&views, self.up.length.0);
            self.screen.draw(&Scene {
                views,
                tally: &tally,
                elapsed,
                length,
            });
        } else {
            self.print_blocks(&views);
        }
        Ok(())
    }

    fn clients(&self) -> Vec<(String, Client)> {
        let nodes = self.nodes.iter();
        nodes
            .map(|node| (node.name.clone(), node.client.clone()))
            .collect()
    }

    fn print_blocks(&mut self, views: &[View]) {
        let Some((at, height)) = best(views) else {
            return;
        };
        let last = height.min(self.shown + BLOCK_LINES_MAX);
        for height in self.shown + 1..=last {
            // A reorganisation may just have taken it away: next time.
            let Ok(block) = self.nodes[at].client.block(height) else {
                return;
            };
            let have = views
                .iter()
                .filter(|view| view.height() >= Some(height))
                .count();
            let miner = self.local.name_of(&block.claims.iss).to_owned();
            self.screen.block(&block, &miner, have, views.len());
            self.shown = height;
        }
    }

    /// Starts the newcomer.
    fn join(&mut self) -> anyhow::Result<()> {
        let views = look(&self.clients());
        let joined_at = best(&views).map_or(0, |(_, height)| height);
        let place = self
            .free
            .pop()
            .context("ports for one more node were found")?;
        let started = Instant::now();
        let node = Node::start(
            self.lyceum,
            &self.local,
            "late",
            place,
            None,
            &self.bootnodes,
        )?;
        self.screen.say(&format!(
            "a newcomer joins at height {joined_at} with an empty disk"
        ));
        self.screen.say(&addresses(&node));
        self.nodes.push(node);
        self.late = Some(Late {
            started,
            newcomer: Newcomer {
                joined_at,
                seconds_to_sync: None,
                blocks_by_source: Default::default(),
            },
        });
        Ok(())
    }

    /// Notices when the newcomer has what the others have.
    fn follow_newcomer(&mut self, views: &[View]) {
        let (Some(late), Some((view, others))) = (&mut self.late, views.split_last()) else {
            return;
        };
        let wanted = others.iter().filter_map(View::height).min();
        let is_there = view.height() >= wanted && view.height() >= Some(late.newcomer.joined_at);
        if late.newcomer.seconds_to_sync.is_some() || !is_there {
            return;
        }
        let seconds = late.started.elapsed().as_secs_f64();
        late.newcomer.seconds_to_sync = Some(seconds);
        let by_source = view.metrics.by(name::BLOCKS_IMPORTED, "source");
        let by_source = by_source.into_iter().filter(|(_, blocks)| *blocks > 0.0);
        late.newcomer.blocks_by_source = by_source
            .map(|(source, blocks)| (source, blocks as u64))
            .collect();
        if let Some(node) = self.nodes.last() {
            self.targets.add(node.client.clone());
        }
        self.screen
            .say(&format!("the newcomer is in step after {seconds:.1} s"));
    }

    /// Waits for the nodes to agree, counts, and stops them.
    fn judge(mut self, tally: Tally) -> anyhow::Result<Verdict> {
        let clients = self.clients();
        let agreement = agree(&clients);
        let mut verdict = Verdict::new(clients.len(), agreement, tally);
        let views = look(&clients);
        self.follow_newcomer(&views);
        if let (Some(common), Some((_, client))) = (&verdict.agreement, clients.first()) {
            verdict.transactions = client.count_transactions(common.height)?;
        }
        verdict.reorganisations = views.iter().map(View::reorganisations).sum();
        verdict.newcomer = self.late.take().map(|late| late.newcomer);
        verdict.seconds = self.started.elapsed().as_secs_f64();
        for node in &mut self.nodes {
            if let Err(error) = node.process().check_alive() {
                verdict.faults.push(format!("{error:#}"));
            }
        }
        let unclean = stop_all(&mut self.nodes);
        verdict
            .faults
            .extend(unclean.iter().map(|error| format!("{error:#}")));
        Ok(verdict)
    }
}

fn addresses(node: &Node) -> String {
    let (name, http, log) = (&node.name, node.http, node.log());
    format!(
        "  {name:<8} http://{http}/api/v1/status   http://{http}/metrics   {}",
        log.display()
    )
}
