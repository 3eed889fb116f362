//! Where in the world the nodes are.

use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::wire::Host;

/// Cities with many servers.
const CITIES: usize = 8;
/// One way between them, in milliseconds: Frankfurt, London, New York, San Francisco, São Paulo, Mumbai, Singapore, Tokyo. Halves of usual
/// round trips between data centres, rounded.
const LATENCY_MS: [[f64; CITIES]; CITIES] = [
    [1.0, 7.0, 44.0, 75.0, 102.0, 60.0, 80.0, 118.0],
    [7.0, 1.0, 37.0, 69.0, 95.0, 56.0, 84.0, 112.0],
    [44.0, 37.0, 1.0, 35.0, 58.0, 94.0, 115.0, 84.0],
    [75.0, 69.0, 35.0, 1.0, 87.0, 115.0, 88.0, 54.0],
    [102.0, 95.0, 58.0, 87.0, 1.0, 150.0, 165.0, 130.0],
    [60.0, 56.0, 94.0, 115.0, 150.0, 1.0, 30.0, 62.0],
    [80.0, 84.0, 115.0, 88.0, 165.0, 30.0, 1.0, 36.0],
    [118.0, 112.0, 84.0, 54.0, 130.0, 62.0, 36.0, 1.0],
];

/// Which city each node is in: drawn from a seed.
#[derive(Debug, Clone)]
pub(crate) struct Places(Vec<usize>);

impl Places {
    /// Draws the cities of hosts 0 to `hosts - 1`.
    pub(crate) fn draw(seed: u64, hosts: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let cities: Vec<usize> = (0..CITIES).collect();
        let city = |_| cities.choose(&mut rng).copied().unwrap_or_default();
        Self((0..hosts).map(city).collect())
    }

    /// How long a packet travels between two hosts.
    pub(crate) fn latency_ms(&self, from: Host, to: Host) -> f64 {
        let city = |host: Host| self.0.get(usize::from(host.0)).copied().unwrap_or_default();
        LATENCY_MS[city(from)][city(to)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_far_there_as_back() {
        for (from, row) in LATENCY_MS.iter().enumerate() {
            for (to, there) in row.iter().enumerate() {
                assert_eq!(*there, LATENCY_MS[to][from], "{from} {to}");
                assert!(*there > 0.0);
            }
        }
        let (one, other) = (Places::draw(1, 100), Places::draw(2, 100));
        assert_eq!(one.0, Places::draw(1, 100).0);
        assert_ne!(one.0, other.0);
    }
}
