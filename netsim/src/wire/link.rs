//! What a link does to packets.

use std::time::{Duration, Instant};

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use serde::Deserialize;

/// How long a packet may wait for those before it; then it is lost, as in a full router.
const QUEUE_MAX: Duration = Duration::from_millis(500);

/// How good a link is, in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Link {
    /// How long a packet travels, in milliseconds.
    pub latency_ms: f64,
    /// At most so much longer, in milliseconds.
    pub jitter_ms: f64,
    /// The part of packets that are lost, 0 to 1.
    pub loss: f64,
    /// KiB a second; 0: no bound.
    pub kib_per_second: f64,
}

impl Link {
    /// Refuses what no link can be.
    pub fn check(&self) -> anyhow::Result<()> {
        let numbers = [self.latency_ms, self.jitter_ms, self.kib_per_second];
        let are_good = numbers.iter().all(|number| (0.0..=1e9).contains(number));
        anyhow::ensure!(
            are_good && (0.0..=1.0).contains(&self.loss),
            "a link's numbers are not negative, loss is at most 1"
        );
        Ok(())
    }
}

/// One direction of a link, as it is.
#[derive(Debug)]
pub(super) struct Lane {
    rng: ChaCha8Rng,
    free_at: Option<Instant>,
    last_due: Option<Instant>,
}

impl Lane {
    /// The lane between two ends, by their numbers.
    pub(super) fn new(seed: u64, from: u32, to: u32) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::from(from) << 32 | u64::from(to));
        Self {
            rng,
            free_at: None,
            last_due: None,
        }
    }

    /// When a packet of `bytes` that is sent now arrives; `None` where it is lost. Packets do not overtake each other.
    pub(super) fn pass(&mut self, link: &Link, now: Instant, bytes: usize) -> Option<Instant> {
        // Both are always drawn, so that a packet's fate does not hang on the one before.
        let (fate, late): (f64, f64) = (self.rng.random(), self.rng.random());
        if fate < link.loss {
            return None;
        }
        let start = self.free_at.map_or(now, |free_at| free_at.max(now));
        if start.saturating_duration_since(now) > QUEUE_MAX {
            return None;
        }
        let sending = match link.kib_per_second > 0.0 {
            true => bytes as f64 / (link.kib_per_second * 1_024.0),
            false => 0.0,
        };
        let sent = start + Duration::from_secs_f64(sending);
        self.free_at = Some(sent);
        let travel = (link.latency_ms + late * link.jitter_ms) / 1e3;
        let due = sent + Duration::from_secs_f64(travel);
        let due = self.last_due.map_or(due, |last| last.max(due));
        self.last_due = Some(due);
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(seed: u64, link: &Link, count: usize) -> Vec<Option<Duration>> {
        let (mut lane, start) = (Lane::new(seed, 1, 2), Instant::now());
        let sent = (0..count).map(|at| start + Duration::from_millis(20 * at as u64));
        sent.map(|now| lane.pass(link, now, 1_000).map(|due| due - now))
            .collect()
    }

    #[test]
    fn a_seed_s_packets_have_one_fate() {
        let link = Link {
            latency_ms: 50.0,
            jitter_ms: 10.0,
            loss: 0.2,
            kib_per_second: 0.0,
        };
        let all = delays(7, &link, 2_000);
        assert_eq!(all, delays(7, &link, 2_000));
        assert_ne!(all, delays(8, &link, 2_000));
        let lost = all.iter().filter(|delay| delay.is_none()).count();
        assert!((300..500).contains(&lost), "{lost} of 2000 at a fifth");
        let (least, most) = (Duration::from_millis(50), Duration::from_millis(60));
        assert!(
            all.iter()
                .flatten()
                .all(|delay| (least..=most).contains(delay))
        );
    }

    #[test]
    fn a_narrow_link_delays_and_then_loses() {
        let link = Link {
            kib_per_second: 10.0,
            ..Link::default()
        };
        let (mut lane, now) = (Lane::new(1, 1, 2), Instant::now());
        let fates: Vec<_> = (0..20).map(|_| lane.pass(&link, now, 1_024)).collect();
        // 10 packets a second: the queue holds half a second of them, and the one being sent.
        let delays: Vec<_> = fates
            .iter()
            .flatten()
            .map(|due| (*due - now).as_millis())
            .collect();
        assert_eq!(delays, [100, 200, 300, 400, 500, 600]);
        assert!(fates[6..].iter().all(Option::is_none));
        let later = now + Duration::from_secs(5);
        assert_eq!(
            lane.pass(&link, later, 1_024),
            Some(later + Duration::from_millis(100))
        );
    }
}
