//! What a simulation has shown: the report of `netsim run`, and what only a simulation knows.

use std::fmt;

use lyceum_netsim::run::report::Report;
use lyceum_netsim::scenario::Scenario;
use lyceum_netsim::verdict::Verdict;
use serde::Serialize;

/// Upper bounds of the propagation histogram, in seconds.
const BOUNDS: [f64; 12] = [
    0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// A simulation's report.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SimReport {
    /// What `netsim run` reports.
    #[serde(flatten)]
    pub(crate) report: Report,
    /// What everything random followed from.
    pub(crate) sim_seed: u64,
    /// SHA-256 of all events, in order.
    pub(crate) trace_hash: String,
    /// How many there were.
    pub(crate) trace_events: u64,
    /// How long it ran.
    pub(crate) simulated_seconds: f64,
    /// How long that took.
    pub(crate) wall_seconds: f64,
    /// Blocks that were mined, those that no chain kept too.
    pub(crate) blocks_mined: usize,
    /// From a block's miner to each other node, by gossip.
    pub(crate) propagation_ms: Percentiles,
    /// Peers banned, of all nodes together.
    pub(crate) bans: u64,
}

/// How a set of delays is spread, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) count: usize,
    pub(crate) p50: u64,
    pub(crate) p90: u64,
    pub(crate) p99: u64,
    pub(crate) max: u64,
}

impl Percentiles {
    pub(crate) fn of(mut delays: Vec<u64>) -> Self {
        delays.sort_unstable();
        let at = |percent: usize| {
            let index = (delays.len() * percent).div_ceil(100).saturating_sub(1);
            delays.get(index).copied().unwrap_or_default()
        };
        Self {
            count: delays.len(),
            p50: at(50),
            p90: at(90),
            p99: at(99),
            max: at(100),
        }
    }
}

/// Delays by upper bounds in seconds, and how many are within each; those beyond the last are left out.
pub(crate) fn histogram(delays: &[u64]) -> Vec<(f64, u64)> {
    let mut counts: Vec<_> = BOUNDS.map(|bound| (bound, 0)).to_vec();
    for delay in delays {
        let seconds = *delay as f64 / 1e3;
        if let Some((_, count)) = counts.iter_mut().find(|(bound, _)| seconds <= *bound) {
            *count += 1;
        }
    }
    counts
}

/// What a node's part in the load was.
pub(crate) struct Share<'a> {
    pub(crate) name: &'a str,
    pub(crate) by_torrent: u64,
    pub(crate) uploaded: u64,
    pub(crate) downloaded: u64,
}

/// What the scenario expects and was not so.
pub(crate) fn unmet(scenario: &Scenario, verdict: &Verdict, shares: &[Share<'_>]) -> Vec<String> {
    let expect = &scenario.expect;
    let height = verdict.agreement.as_ref().map_or(0, |common| common.height);
    let mut unmet = Vec::new();
    let mut least = |what: String, got: u64, want: u64| {
        if got < want {
            unmet.push(format!("{got} {what}, want at least {want}"));
        }
    };
    least("blocks".to_owned(), height, expect.blocks);
    least(
        "transactions".to_owned(),
        verdict.transactions,
        expect.transactions,
    );
    least(
        "reorganisations".to_owned(),
        verdict.reorganisations,
        expect.reorganisations,
    );
    for share in shares
        .iter()
        .filter(|share| !share.name.starts_with("node"))
    {
        let what = format!("blocks of {} by torrent", share.name);
        least(what, share.by_torrent, expect.blocks_by_torrent);
    }
    let pulled = shares.iter().map(|share| share.downloaded).max();
    let chain = pulled.unwrap_or(0).max(1) as f64;
    for share in shares.iter().filter(|_| expect.uploads > 0.0) {
        let times = share.uploaded as f64 / chain;
        if times > expect.uploads {
            let (name, most) = (share.name, expect.uploads);
            unmet.push(format!(
                "{name} has sent {times:.1} times the segments, want at most {most}"
            ));
        }
    }
    unmet
}

impl fmt::Display for SimReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.report.scenario, self.report.verdict)?;
        let spread = &self.propagation_ms;
        writeln!(
            f,
            "  blocks: {} mined; by gossip to {} nodes' tips in {} ms (median), {} ms (90 %), {} ms (99 %), {} ms (all)",
            self.blocks_mined, spread.count, spread.p50, spread.p90, spread.p99, spread.max
        )?;
        let (simulated, wall) = (self.simulated_seconds, self.wall_seconds);
        writeln!(
            f,
            "  {simulated:.0} s simulated in {wall:.1} s; {} events",
            self.trace_events
        )?;
        writeln!(f, "  sim seed {}, trace {}", self.sim_seed, self.trace_hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_was_seen() {
        assert_eq!(Percentiles::of(Vec::new()), Percentiles::default());
        let spread = Percentiles::of((1..=200).rev().collect());
        let want = Percentiles {
            count: 200,
            p50: 100,
            p90: 180,
            p99: 198,
            max: 200,
        };
        assert_eq!(spread, want);
        assert_eq!(Percentiles::of(vec![7]).p50, 7);
    }

    #[test]
    fn a_delay_counts_within_its_bound_alone() {
        let counts = histogram(&[10, 11, 50, 31_000]);
        let within: u64 = counts.iter().map(|(_, count)| count).sum();
        assert_eq!(within, 3);
        assert_eq!(counts[..3], [(0.01, 1), (0.025, 1), (0.05, 1)]);
    }
}
