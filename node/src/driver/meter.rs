//! How fast blocks come.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The time over which the rate is taken.
const WINDOW: Duration = Duration::from_secs(10);
/// The shortest time between two entries, so that they are few.
const GRAIN: Duration = Duration::from_millis(250);

/// Counts blocks over the last seconds.
#[derive(Debug)]
pub(super) struct Meter {
    /// When, and how many: each for [`GRAIN`] or more.
    counts: VecDeque<(Instant, u64)>,
    start: Instant,
}

impl Meter {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            counts: VecDeque::new(),
            start: now,
        }
    }

    pub(super) fn add(&mut self, now: Instant, blocks: usize) {
        match self.counts.back_mut() {
            Some((at, count)) if now.duration_since(*at) < GRAIN => *count += blocks as u64,
            _ => self.counts.push_back((now, blocks as u64)),
        }
        self.forget(now);
    }

    /// Blocks a second, over the window or the time since the start.
    pub(super) fn per_second(&mut self, now: Instant) -> f64 {
        self.forget(now);
        let blocks: u64 = self.counts.iter().map(|(_, count)| count).sum();
        let time = now.duration_since(self.start).clamp(GRAIN, WINDOW);
        blocks as f64 / time.as_secs_f64()
    }

    fn forget(&mut self, now: Instant) {
        let is_old = |at: Instant| now.duration_since(at) > WINDOW;
        while self.counts.front().is_some_and(|(at, _)| is_old(*at)) {
            self.counts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut meter = Meter::new(start);
        assert_eq!(meter.per_second(start), 0.0);
        for step in 0..=50 {
            meter.add(at(100 * step), 3);
        }
        let rate = meter.per_second(at(5_000));
        assert!((rate - 153.0 / 5.0).abs() < 1e-9, "{rate}");
        assert!(meter.counts.len() <= 21);
        assert_eq!(meter.per_second(at(20_000)), 0.0);
        assert!(meter.counts.is_empty());
    }
}
