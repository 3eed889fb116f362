//! Scenarios: a network, what happens to it and when, and what must hold in the end.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

use crate::wire::{Link, NODES_MAX};

/// The scenarios that come with netsim, by name.
pub const SHIPPED: [(&str, &str); 7] = [
    ("smoke", include_str!("../scenarios/smoke.toml")),
    ("late-join", include_str!("../scenarios/late-join.toml")),
    ("partition", include_str!("../scenarios/partition.toml")),
    ("crash", include_str!("../scenarios/crash.toml")),
    ("flash-crowd", include_str!("../scenarios/flash-crowd.toml")),
    ("churn", include_str!("../scenarios/churn.toml")),
    ("liars", include_str!("../scenarios/liars.toml")),
];

/// A scenario's file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is about, in a sentence.
    pub about: String,
    /// Nodes at the start: `node1`, `node2` and so on.
    pub nodes: usize,
    /// How many of them mine, the first ones.
    pub miners: usize,
    /// How long it runs, in seconds, before all must agree.
    pub seconds: f64,
    /// Calls handed in a second.
    pub calls: f64,
    /// What every link is like.
    #[serde(default)]
    pub link: Link,
    /// What happens.
    #[serde(default)]
    pub at: Vec<At>,
    /// What must hold in the end, beside that all nodes agree.
    #[serde(default)]
    pub expect: Expect,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "AtFields")]
pub struct At {
    /// When, in seconds from the start.
    pub second: f64,
    /// What.
    pub fault: Fault,
}

/// How [`At`] is written: the second, and one of the others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AtFields {
    second: f64,
    split: Option<Vec<Vec<String>>>,
    heal: Option<bool>,
    join: Option<Vec<String>>,
    kill: Option<String>,
    start: Option<String>,
    lie: Option<Vec<String>>,
}

impl TryFrom<AtFields> for At {
    type Error = &'static str;

    fn try_from(fields: AtFields) -> Result<Self, Self::Error> {
        let faults = [
            fields.split.map(Fault::Split),
            fields.heal.filter(|heal| *heal).map(|_| Fault::Heal),
            fields.join.map(Fault::Join),
            fields.kill.map(Fault::Kill),
            fields.start.map(Fault::Start),
            fields.lie.map(Fault::Lie),
        ];
        let mut faults = faults.into_iter().flatten();
        match (faults.next(), faults.next()) {
            (Some(fault), None) => Ok(Self {
                second: fields.second,
                fault,
            }),
            _ => Err("want one of split, heal = true, join, kill, start and lie"),
        }
    }
}

/// What happens.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The network falls into parts; who is in none is alone.
    Split(Vec<Vec<String>>),
    /// It is whole again.
    Heal,
    /// New nodes come, with empty disks.
    Join(Vec<String>),
    /// A node is ended by SIGKILL.
    Kill(String),
    /// It is started again.
    Start(String),
    /// Liars come, one for each of these kinds of lies, by which they are named.
    Lie(Vec<String>),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Split(parts) => {
                let parts: Vec<_> = parts.iter().map(|names| names.join(", ")).collect();
                write!(f, "split: {}", parts.join(" | "))
            }
            Self::Heal => f.write_str("heal"),
            Self::Join(names) => write!(f, "join: {}", names.join(", ")),
            Self::Kill(name) => write!(f, "kill: {name}"),
            Self::Start(name) => write!(f, "start: {name}"),
            Self::Lie(names) => write!(f, "lie: {}", names.join(", ")),
        }
    }
}

/// What must hold.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// At least so many blocks.
    pub blocks: u64,
    /// At least so many transactions in the chain.
    pub transactions: u64,
    /// At least so many reorganisations, of all nodes together.
    pub reorganisations: u64,
    /// Newcomers took at least so many blocks by torrent, each.
    pub blocks_by_torrent: u64,
    /// What a node sends by BitTorrent is at most so many times the segments that there are; 0: no bound.
    pub uploads: f64,
}

impl Scenario {
    /// Reads a scenario: a file, or one that comes with netsim.
    ///
    /// # Errors
    /// Where there is none, or it can't be played.
    pub fn read(name: &str) -> anyhow::Result<Self> {
        let shipped = SHIPPED.iter().find(|(shipped, _)| *shipped == name);
        let text = match shipped {
            Some((_, text)) => (*text).to_owned(),
            None if !Path::new(name).exists() => {
                anyhow::bail!("{name}: no such file, and no scenario of `netsim list`")
            }
            None => std::fs::read_to_string(name).with_context(|| name.to_owned())?,
        };
        Self::parse(&text).with_context(|| name.to_owned())
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut scenario: Self = toml::from_str(text)?;
        scenario.at.sort_by(|a, b| a.second.total_cmp(&b.second));
        scenario.check()?;
        Ok(scenario)
    }

    /// Does anybody lie?
    pub fn has_liars(&self) -> bool {
        let mut faults = self.at.iter().map(|at| &at.fault);
        faults.any(|fault| matches!(fault, Fault::Lie(_)))
    }

    /// Refuses what can't be played.
    ///
    /// # Errors
    /// What is wrong, for the user.
    pub fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            (1..=self.nodes).contains(&self.miners),
            "1 to {} of the nodes mine",
            self.nodes
        );
        anyhow::ensure!(
            self.seconds > 0.0 && self.seconds <= 86_400.0,
            "a scenario takes at most a day"
        );
        anyhow::ensure!(
            self.calls > 0.0 && self.calls <= 1_000.0,
            "want up to 1000 calls a second"
        );
        self.link.check()?;
        self.check_names()
    }

    /// Is everybody there, and once, who is named?
    fn check_names(&self) -> anyhow::Result<()> {
        let mut known: BTreeSet<_> = (1..=self.nodes).map(|at| format!("node{at}")).collect();
        let mut liars = BTreeSet::new();
        for At { second, fault } in &self.at {
            anyhow::ensure!(
                (0.0..=self.seconds).contains(second),
                "second {second} is not within the scenario"
            );
            let (named, may_lie): (Vec<&String>, _) = match fault {
                Fault::Split(parts) => (parts.iter().flatten().collect(), true),
                Fault::Kill(name) | Fault::Start(name) => (vec![name], false),
                Fault::Heal => continue,
                Fault::Join(names) | Fault::Lie(names) => {
                    for name in names {
                        let is_plain = name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
                        anyhow::ensure!(
                            is_plain && !name.is_empty() && !name.starts_with('-'),
                            "{name:?}: a name is letters, digits and hyphens"
                        );
                        if matches!(fault, Fault::Lie(_)) {
                            liars.insert(name.clone());
                        }
                        anyhow::ensure!(known.insert(name.clone()), "{name} is there already");
                    }
                    continue;
                }
            };
            for name in named {
                anyhow::ensure!(
                    known.contains(name) && (may_lie || !liars.contains(name)),
                    "at second {second} there is no {name}"
                );
            }
        }
        anyhow::ensure!(known.len() <= NODES_MAX, "at most {NODES_MAX} nodes");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_scenario_can_be_played() {
        for (name, _) in SHIPPED {
            let scenario = Scenario::read(name).unwrap();
            assert!(!scenario.about.is_empty(), "{name}");
        }
    }

    #[test]
    fn what_can_t_be_played_is_refused() {
        let good = "about = \"a\"\nnodes = 2\nminers = 1\nseconds = 10\ncalls = 1\n";
        let scenario = Scenario::parse(&format!(
            "{good}[[at]]\nsecond = 5\nheal = true\n[[at]]\nsecond = 2\nsplit = [[\"node1\"], [\"node2\"]]"
        ));
        let faults: Vec<_> = scenario
            .unwrap()
            .at
            .into_iter()
            .map(|at| at.second)
            .collect();
        assert_eq!(faults, [2.0, 5.0], "in order");
        for (bad, why) in [
            ("[[at]]\nsecond = 5\nkill = \"node3\"", "no node3"),
            ("[[at]]\nsecond = 50\nheal = true", "not within"),
            ("[[at]]\nsecond = 5\njoin = [\"node2\"]", "already"),
            ("[[at]]\nsecond = 5\njoin = [\"../x\"]", "letters"),
            ("[[at]]\nsecond = 5\nexplode = true", "explode"),
            (
                "[[at]]\nsecond = 5\nlie = [\"boast\", \"boast\"]",
                "already",
            ),
            (
                "[[at]]\nsecond = 5\nlie = [\"boast\"]\n[[at]]\nsecond = 6\nkill = \"boast\"",
                "no boast",
            ),
            (
                "[[at]]\nsecond = 5\nheal = true\nkill = \"node1\"",
                "one of",
            ),
            ("[[at]]\nsecond = 5", "one of"),
            ("[link]\nloss = 2", "loss"),
            ("[link]\nlatency = 2", "latency"),
        ] {
            let error = Scenario::parse(&format!("{good}{bad}")).unwrap_err();
            assert!(format!("{error:#}").contains(why), "{bad}: {error:#}");
        }
    }
}
