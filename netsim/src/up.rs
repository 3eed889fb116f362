//! `netsim up`: a network on this machine's loopback address, for people to watch.

use std::str::FromStr;
use std::time::{Duration, Instant};

use clap::Args;

use crate::duration;
use crate::load::{Load, Tally};
use crate::metrics::name;
use crate::node::{Node, Place, Ports};
use crate::nodes::Nodes;
use crate::ports;
use crate::stage::{Common, Stage};
use crate::stop::Stop;
use crate::verdict::{Newcomer, Verdict};
use crate::watch::{View, best};

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
    #[command(flatten)]
    common: Common,
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
        let play = |stage| Network::start(&self, stage)?.run();
        let is_good = self.common.perform(play)?;
        if let Some(dir) = self.common.dir.as_ref().filter(|_| is_good) {
            let dir = std::fs::canonicalize(dir)?;
            let config = dir.join("node1/lyceum.toml");
            eprintln!(
                "to run a node of it again: lyceum node --config {}",
                config.display()
            );
        }
        Ok(is_good)
    }
}

/// A network that runs.
struct Network<'a> {
    up: &'a Up,
    nodes: Nodes,
    /// Where the newcomer will be.
    late_place: Place,
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
    fn start(up: &'a Up, stage: Stage) -> anyhow::Result<Self> {
        let mut screen = Screen::new(up.common.json);
        let started = Instant::now();
        let (count, miners) = (up.nodes as usize, up.miners as usize);
        screen.say(&format!(
            "{count} nodes, {miners} of them mine; files in {}",
            stage.dir.display()
        ));
        let stop = stage.stop.clone();
        let mut nodes = Nodes::new(stage, miners)?;
        let free = ports::free(3 * (count + 1))?;
        let place = |at: usize| {
            Place::local(Ports {
                http: free[3 * at],
                p2p: free[3 * at + 1],
                torrent: free[3 * at + 2],
            })
        };
        for at in 0..count {
            let name = format!("node{}", at + 1);
            nodes.start(&name, place(at), (at < miners).then_some(at))?;
        }
        nodes.wait()?;
        for node in &nodes.all {
            screen.say(&addresses(node));
        }
        let load = nodes.load(up.common.seed, up.rate)?;
        Ok(Self {
            up,
            nodes,
            late_place: place(count),
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
        self.nodes.check_alive()?;
        let views = self.nodes.look();
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

    fn print_blocks(&mut self, views: &[View]) {
        let Some((at, height)) = best(views) else {
            return;
        };
        let last = height.min(self.shown + BLOCK_LINES_MAX);
        for height in self.shown + 1..=last {
            // A reorganisation may just have taken it away: next time.
            let Ok(block) = self.nodes.all[at].client.block(height) else {
                return;
            };
            let have = views
                .iter()
                .filter(|view| view.height() >= Some(height))
                .count();
            let miner = self.nodes.local.name_of(&block.claims.iss).to_owned();
            self.screen.block(&block, &miner, have, views.len());
            self.shown = height;
        }
    }

    /// Starts the newcomer.
    fn join(&mut self) -> anyhow::Result<()> {
        let views = self.nodes.look();
        let joined_at = best(&views).map_or(0, |(_, height)| height);
        let started = Instant::now();
        let node = self.nodes.start("late", self.late_place.clone(), None)?;
        self.screen.say(&format!(
            "a newcomer joins at height {joined_at} with an empty disk"
        ));
        self.screen.say(&addresses(node));
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
        if let Some(node) = self.nodes.all.last() {
            self.nodes.targets.add(node.client.clone());
        }
        self.screen
            .say(&format!("the newcomer is in step after {seconds:.1} s"));
    }

    /// Waits for the nodes to agree, counts, and stops them.
    fn judge(mut self, tally: Tally) -> anyhow::Result<Verdict> {
        let (mut verdict, views) = self.nodes.judge(tally)?;
        self.follow_newcomer(&views);
        verdict.newcomer = self.late.take().map(|late| late.newcomer);
        verdict.seconds = self.started.elapsed().as_secs_f64();
        verdict.faults.extend(self.nodes.stop());
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
