//! Mining, modelled: how long it takes is drawn, the block is a real one.

use std::sync::Arc;
use std::time::Duration;

use lyceum_protocol::{
    Address, BlockClaims, BlockHash, ChainSpec, Mined, Miner as Search, SecretKey,
};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use tokio::time::Instant;

/// Attempts of the real search between two looks at its end.
const ATTEMPTS: u64 = 4_096;

/// A miner of so many attempts a second.
///
/// Attempts are independent, so the wait for one that succeeds is exponential: its mean is the target's expected number of attempts by the rate.
/// A new template draws anew, which changes nothing, for the wait has no memory.
pub(crate) struct Miner {
    key: Arc<SecretKey>,
    /// Attempts a second.
    rate: f64,
    rng: ChaCha8Rng,
    current: Option<(Instant, u64, BlockClaims)>,
}

/// A block that was found.
pub(crate) struct Sealed {
    pub(crate) template: u64,
    pub(crate) token: String,
    pub(crate) hash: BlockHash,
    pub(crate) claims: BlockClaims,
}

impl Miner {
    pub(crate) fn new(key: Arc<SecretKey>, rate: f64, rng: ChaCha8Rng) -> Self {
        Self {
            key,
            rate,
            rng,
            current: None,
        }
    }

    /// Who is paid.
    pub(crate) fn address(&self) -> Address {
        Address::from_bytes(self.key.public())
    }

    /// Mines on this from now on.
    pub(crate) fn mine(&mut self, template: u64, claims: BlockClaims) {
        let attempts: f64 = claims.bits.target().work().get().into();
        let wait = exponential(self.rng.random(), attempts / self.rate);
        self.current = Some((Instant::now() + wait, template, claims));
    }

    /// Mines nothing until the next template.
    pub(crate) fn pause(&mut self) {
        self.current = None;
    }

    /// When it finds a block.
    pub(crate) fn finds_at(&self) -> Option<Instant> {
        self.current.as_ref().map(|(at, _, _)| *at)
    }

    /// Seals the block that it has found.
    pub(crate) fn seal(&mut self, spec: &ChainSpec) -> Option<Sealed> {
        let (_, template, claims) = self.current.take()?;
        let entropy = self.rng.random();
        let mut search = Search::fast(&claims, &self.key, spec, &entropy).ok()?;
        loop {
            match search.mine(ATTEMPTS) {
                Mined::Unfinished(more) => search = more,
                Mined::Sealed(sealed) => {
                    return Some(Sealed {
                        template,
                        token: sealed.token,
                        hash: sealed.hash,
                        claims,
                    });
                }
            }
        }
    }
}

/// A wait of that mean in seconds, by a number from 0 to 1.
fn exponential(uniform: f64, mean: f64) -> Duration {
    Duration::from_secs_f64(-(1.0 - uniform).ln() * mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_exponential() {
        let count = 100_000;
        let waits = (0..count).map(|at| exponential(f64::from(at) / f64::from(count), 15.0));
        let waits: Vec<_> = waits.map(|wait| wait.as_secs_f64()).collect();
        let mean = waits.iter().sum::<f64>() / f64::from(count);
        assert!((14.9..15.1).contains(&mean), "{mean}");
        let long = waits.iter().filter(|wait| **wait > 30.0).count() as f64;
        let part = long / f64::from(count);
        assert!((0.133..0.137).contains(&part), "e^-2, and not {part}");
        assert_eq!(exponential(0.0, 15.0), Duration::ZERO);
    }
}
