//! Does the simulator tell what real nodes do? Propagation here beside that in the logs of a `netsim run`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;

use crate::report::Percentiles;

/// How far the two may lie apart: what a node takes to think is a constant here, and TCP's congestion control is left out.
const FACTOR: f64 = 1.5;
/// Fewer deliveries say nothing.
const COUNT_MIN: usize = 100;
/// The log of a node, in its folder.
const LOG: &str = "log";
const DAY_MICROS: u64 = 86_400_000_000;

/// A line `tip changed` of a log.
#[derive(Debug, PartialEq)]
struct Tip<'a> {
    /// Microseconds since midnight.
    at: u64,
    hash: &'a str,
    source: &'a str,
}

/// Reads the logs, prints both figures, and says whether the medians are alike.
///
/// # Errors
/// Where there are no logs, or too little is in them.
pub(crate) fn compare(dir: &Path, simulated: Percentiles) -> anyhow::Result<bool> {
    let mut logs = Vec::new();
    let entries = std::fs::read_dir(dir).with_context(|| dir.display().to_string())?;
    for entry in entries {
        let log = entry?.path().join(LOG);
        if log.is_file() {
            let text = std::fs::read_to_string(&log);
            logs.push(text.with_context(|| log.display().to_string())?);
        }
    }
    let real = Percentiles::of(delays(&logs));
    for (what, real, simulated) in [
        ("median", real.p50, simulated.p50),
        ("90 %", real.p90, simulated.p90),
        ("99 %", real.p99, simulated.p99),
    ] {
        let ratio = ratio(real, simulated);
        println!(
            "  propagation, {what}: {real} ms real, {simulated} ms simulated: ratio {ratio:.2}"
        );
    }
    let least = real.count.min(simulated.count);
    anyhow::ensure!(
        least >= COUNT_MIN,
        "{least} deliveries are too few to compare; want {COUNT_MIN}"
    );
    // The tail is that of the machine, on which all nodes share some cores.
    Ok((1.0 / FACTOR..=FACTOR).contains(&ratio(real.p50, simulated.p50)))
}

fn ratio(real: u64, simulated: u64) -> f64 {
    simulated.max(1) as f64 / real.max(1) as f64
}

/// From each block's miner to each node that gossip brought it to, in milliseconds.
fn delays(logs: &[String]) -> Vec<u64> {
    let tips: Vec<Tip<'_>> = logs
        .iter()
        .flat_map(|log| log.lines())
        .filter_map(tip)
        .collect();
    let mined = tips.iter().filter(|tip| tip.source == "Mined");
    let mined: BTreeMap<&str, u64> = mined.map(|tip| (tip.hash, tip.at)).collect();
    let gossiped = tips.iter().filter(|tip| tip.source == "Gossip");
    let delays = gossiped.filter_map(|tip| {
        let since = mined.get(tip.hash)?;
        // Midnight may lie between.
        let micros = (tip.at + DAY_MICROS - since) % DAY_MICROS;
        Some(micros.div_ceil(1_000))
    });
    delays.collect()
}

/// Reads a line: `2026-11-26T15:23:48.123456Z  INFO tip changed height=7 hash=… transactions=0 source=Gossip`.
fn tip(line: &str) -> Option<Tip<'_>> {
    let (time, said) = line.split_once(' ')?;
    let said = said.trim_start().strip_prefix("INFO tip changed ")?;
    let clock = time.split_once('T')?.1.strip_suffix('Z')?;
    let mut parts = clock.split([':', '.']);
    let mut number = || parts.next()?.parse::<u64>().ok();
    let (hours, minutes, seconds, micros) = (number()?, number()?, number()?, number()?);
    let field = |name: &str| {
        let mut fields = said.split(' ');
        fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
    };
    Some(Tip {
        at: ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros,
        hash: field("hash")?,
        source: field("source")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_read_from_logs() {
        let line = |time: &str, hash: &str, source: &str| {
            format!(
                "2026-11-26T{time}Z  INFO tip changed height=7 hash={hash} transactions=0 source={source}\n"
            )
        };
        let miner = line("23:59:59.950000", "aa", "Mined")
            + "other\n"
            + &line("12:00:00.000000", "bb", "Gossip");
        let other =
            line("00:00:00.001000", "aa", "Gossip") + &line("11:59:59.900100", "bb", "Mined");
        let late = line("12:00:30.000000", "bb", "Sync");
        assert_eq!(delays(&[miner, other, late]), [100, 51]);
        assert_eq!(
            tip("2026-11-26T00:00:00.000001Z  WARN reorganised height=7"),
            None
        );
    }
}
