//! What a scenario's run has shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::liar::Exposure;
use crate::metrics::name;
use crate::scenario::Scenario;
use crate::verdict::Verdict;
use crate::watch::View;

/// The nodes at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sample {
    /// Since the start.
    pub second: f64,
    /// The greatest height.
    pub best: u64,
    /// Each node that answered.
    pub nodes: BTreeMap<String, Point>,
}

/// A node at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// Its height.
    pub height: u64,
    /// Its reorganisations so far.
    pub reorganisations: u64,
    /// Bytes that it sent by BitTorrent.
    pub uploaded: u64,
    /// Bytes that it took by BitTorrent.
    pub downloaded: u64,
}

impl Sample {
    pub(crate) fn new(second: f64, best: u64, views: &[View]) -> Self {
        let points = views.iter().filter_map(|view| {
            let point = Point {
                height: view.height()?,
                reorganisations: view.reorganisations(),
                uploaded: view.torrent_bytes("uploaded"),
                downloaded: view.torrent_bytes("downloaded"),
            };
            Some((view.name.clone(), point))
        });
        let nodes = points.collect();
        Self {
            second,
            best,
            nodes,
        }
    }
}

/// A scenario's run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Its name or file.
    pub scenario: String,
    /// What it is about.
    pub about: String,
    /// What happened, by second.
    pub faults: Vec<(f64, String)>,
    /// How it ended.
    pub verdict: Verdict,
    /// The nodes over time.
    pub samples: Vec<Sample>,
    /// Blocks that each node took, by source.
    pub blocks_by_source: BTreeMap<String, BTreeMap<String, u64>>,
    /// Blocks by their age when gossip brought them: upper bounds in seconds, and how many within each.
    pub propagation: Vec<(f64, u64)>,
    /// What became of each liar.
    pub liars: BTreeMap<String, Exposure>,
    /// Packets that the switch forwarded.
    pub packets: u64,
    /// Packets that it lost.
    pub packets_lost: u64,
}

impl Report {
    pub(crate) fn new(
        name: &str,
        scenario: &Scenario,
        verdict: Verdict,
        (samples, liars): (Vec<Sample>, BTreeMap<String, Exposure>),
        views: &[View],
        (packets, packets_lost): (u64, u64),
    ) -> Self {
        let faults = scenario
            .at
            .iter()
            .map(|at| (at.second, at.fault.to_string()));
        let by_source = views.iter().map(|view| (view.name.clone(), sources(view)));
        Self {
            scenario: name.to_owned(),
            about: scenario.about.clone(),
            faults: faults.collect(),
            verdict,
            samples,
            blocks_by_source: by_source.collect(),
            propagation: propagation(views),
            liars,
            packets,
            packets_lost,
        }
    }
}

impl AsRef<Verdict> for Report {
    fn as_ref(&self) -> &Verdict {
        &self.verdict
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.scenario, self.verdict)?;
        for (liar, exposure) in &self.liars {
            let Exposure { told, banned_by } = exposure;
            let reasons: BTreeSet<_> = banned_by.values().map(String::as_str).collect();
            let reasons: Vec<_> = reasons.into_iter().collect();
            writeln!(
                f,
                "  {liar}: lied to {}, banned by {} ({})",
                told.len(),
                banned_by.len(),
                reasons.join(", ")
            )?;
        }
        Ok(())
    }
}

fn sources(view: &View) -> BTreeMap<String, u64> {
    let by = view.metrics.by(name::BLOCKS_IMPORTED, "source");
    by.into_iter()
        .map(|(source, blocks)| (source, blocks as u64))
        .collect()
}

/// The nodes' histograms in one; Prometheus' buckets count all below their bound.
fn propagation(views: &[View]) -> Vec<(f64, u64)> {
    let bucket = format!("{}_bucket", name::PROPAGATION);
    let mut sums: Vec<(f64, u64)> = Vec::new();
    for view in views {
        for (bound, count) in view.metrics.by(&bucket, "le") {
            let bound = bound.parse().unwrap_or(f64::INFINITY);
            match sums.iter_mut().find(|(known, _)| *known == bound) {
                Some((_, sum)) => *sum += count as u64,
                None => sums.push((bound, count as u64)),
            }
        }
    }
    sums.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut below = 0;
    for (_, count) in &mut sums {
        let within = count.saturating_sub(below);
        below = *count;
        *count = within;
    }
    sums.retain(|(bound, _)| bound.is_finite());
    sums
}

/// What the scenario expects and was not so.
pub(super) fn unmet(scenario: &Scenario, verdict: &Verdict, views: &[View]) -> Vec<String> {
    let expect = &scenario.expect;
    let height = verdict.agreement.as_ref().map_or(0, |common| common.height);
    let mut unmet = Vec::new();
    let mut least = |what: &str, got: u64, want: u64| {
        if got < want {
            unmet.push(format!("{got} {what}, want at least {want}"));
        }
    };
    least("blocks", height, expect.blocks);
    least("transactions", verdict.transactions, expect.transactions);
    least(
        "reorganisations",
        verdict.reorganisations,
        expect.reorganisations,
    );
    for view in views.iter().filter(|view| !view.name.starts_with("node")) {
        let by_torrent = sources(view).get("torrent").copied().unwrap_or(0);
        least(
            &format!("blocks of {} by torrent", view.name),
            by_torrent,
            expect.blocks_by_torrent,
        );
    }
    if expect.uploads > 0.0 {
        let pulled = views
            .iter()
            .map(|view| view.torrent_bytes("downloaded"))
            .max();
        let chain = pulled.unwrap_or(0).max(1) as f64;
        for view in views {
            let times = view.torrent_bytes("uploaded") as f64 / chain;
            if times > expect.uploads {
                let (name, most) = (&view.name, expect.uploads);
                unmet.push(format!(
                    "{name} has sent {times:.1} times the segments, want at most {most}"
                ));
            }
        }
    }
    unmet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Tally;
    use crate::metrics::Metrics;
    use crate::verdict::Agreement;

    fn view(name: &str, text: &str) -> View {
        View {
            name: name.to_owned(),
            status: None,
            metrics: Metrics::parse(text),
        }
    }

    #[test]
    fn histograms_of_all_nodes_are_one_and_no_longer_sums() {
        let bucket = format!("{}_bucket", name::PROPAGATION);
        let text = |counts: [u64; 3]| {
            let lines = ["0.1", "0.2", "+Inf"].iter().zip(counts);
            lines
                .map(|(bound, count)| format!("{bucket}{{le=\"{bound}\"}} {count}\n"))
                .collect::<String>()
        };
        let views = [view("a", &text([1, 3, 4])), view("b", &text([0, 5, 5]))];
        assert_eq!(propagation(&views), [(0.1, 1), (0.2, 7)]);
    }

    #[test]
    fn what_is_expected_and_not_so_is_a_fault() {
        let mut scenario = Scenario::read("flash-crowd").unwrap();
        let common = Agreement {
            height: 50,
            hash: String::new(),
            state_root: String::new(),
        };
        let mut verdict = Verdict::new(2, Ok(common), Tally::default());
        verdict.transactions = 500;
        let bytes = name::TORRENT_BYTES;
        let seed = view("node1", &format!("{bytes}{{direction=\"uploaded\"}} 290\n"));
        let crowd = view(
            "crowd1",
            &format!(
                "{bytes}{{direction=\"downloaded\"}} 100\n{}{{source=\"torrent\"}} 40\n",
                name::BLOCKS_IMPORTED
            ),
        );
        let views = [seed, crowd];
        assert_eq!(unmet(&scenario, &verdict, &views), Vec::<String>::new());
        scenario.expect.uploads = 2.0;
        scenario.expect.blocks = 51;
        scenario.expect.blocks_by_torrent = 41;
        scenario.expect.reorganisations = 1;
        assert_eq!(unmet(&scenario, &verdict, &views).len(), 4);
    }
}
