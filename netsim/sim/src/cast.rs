//! Who takes part: the chain, the people, the nodes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use lyceum_netsim::wallets::{PEOPLE, Person};
use lyceum_protocol::{
    Address, Bits, ChainSpec, Credits, Gas, SecretKey, Target, Timestamp, U256, Wallet,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use sha2::{Digest as _, Sha256};

use crate::miner::Miner;
use crate::node::Identity;
use crate::wire::Host;

/// When the chain began: any time that is not before 1970.
const GENESIS_TIME: u64 = 1_800_000_000_000;
/// How long before the start that was. A network starts with its chain file just written.
pub(crate) const GENESIS_AGE_MS: u64 = 1_000;
/// Attempts a block at the start: the blocks are really mined, in a fraction of a millisecond each.
const ATTEMPTS: u64 = 1_024;
/// The easiest target: 256 attempts a block.
const LIMIT_BITS: u32 = 0x2001_0000;
/// How fast the difficulty follows, in block intervals: as in `netsim run`.
const HALF_LIFE_BLOCKS: u32 = 30;
/// Segments as in `netsim run`.
const SEGMENT_BLOCKS: u32 = 8;
const SEGMENT_DEPTH: u32 = 3;
/// What each person is given at genesis.
const CREDITS: u64 = 1_000_000;

/// Everybody.
pub(crate) struct Cast {
    pub(crate) spec: Arc<ChainSpec>,
    sim_seed: u64,
    miners: usize,
    /// Attempts a second of each miner.
    rate: f64,
}

impl Cast {
    /// A chain with a block every `interval` for so many miners, who share the work evenly.
    ///
    /// # Errors
    /// Where there is no such chain: the interval is too short or too long.
    pub(crate) fn new(sim_seed: u64, interval: Duration, miners: usize) -> anyhow::Result<Self> {
        let interval_ms = u32::try_from(interval.as_millis())?;
        let mut fields = (*ChainSpec::dev()).clone();
        fields.chain = "sim".parse()?;
        fields.genesis_time = Timestamp::new(GENESIS_TIME)?;
        fields.block_interval_ms = interval_ms;
        fields.half_life_ms = interval_ms.saturating_mul(HALF_LIFE_BLOCKS);
        fields.initial_bits = Bits::of(Target::new(U256::MAX / U256::from(ATTEMPTS))?);
        fields.limit_bits = Bits::new(LIMIT_BITS)?;
        fields.segment_blocks = SEGMENT_BLOCKS;
        fields.segment_depth = SEGMENT_DEPTH;
        fields.block_gas = Gas::new(100_000_000)?;
        let credits = Credits::new(CREDITS)?;
        let addresses = PEOPLE.iter().map(|(name, _)| address_of(sim_seed, name));
        fields.alloc = addresses
            .map(|address| (address, credits))
            .collect::<BTreeMap<_, _>>();
        let attempts: f64 = fields.initial_bits.target().work().get().into();
        Ok(Self {
            spec: Arc::new(ChainSpec::new(fields)?),
            sim_seed,
            miners,
            rate: attempts / interval.as_secs_f64() / miners.max(1) as f64,
        })
    }

    /// The time of all clocks at the start.
    pub(crate) fn epoch(&self) -> u64 {
        self.spec.genesis_time.get() + GENESIS_AGE_MS
    }

    /// Those who send transactions.
    ///
    /// # Errors
    /// None that the names above give.
    pub(crate) fn people(&self) -> anyhow::Result<Vec<Person>> {
        let people = PEOPLE.iter().map(|(name, role)| {
            let key = key_of(self.sim_seed, name);
            let issued_at = self.spec.genesis_time.get() / 1_000;
            let card = Wallet::create(&key, &name.parse()?, issued_at)?;
            Ok(Person {
                name: (*name).to_owned(),
                role: *role,
                address: Address::from_bytes(key.public()),
                key,
                card: card.token().to_owned(),
                key_file: PathBuf::new(),
            })
        });
        people.collect()
    }

    /// A node at its `run`-th start. The first nodes mine.
    ///
    /// # Errors
    /// Where there are more nodes than addresses.
    pub(crate) fn node(
        &self,
        number: usize,
        run: u64,
        name: &str,
        bootnodes: Vec<Multiaddr>,
    ) -> anyhow::Result<Identity> {
        let seed = seed_of(self.sim_seed, &format!("node {name} run {run}"));
        let key = Keypair::ed25519_from_bytes(seed_of(self.sim_seed, &format!("peer {name}")))?;
        let miner = (number < self.miners).then(|| {
            let key = Arc::new(key_of(self.sim_seed, &format!("miner {name}")));
            Miner::new(key, self.rate, ChaCha8Rng::from_seed(seed))
        });
        Ok(Identity {
            name: name.to_owned(),
            number,
            host: Host(u16::try_from(number)?),
            key,
            miner,
            bootnodes,
            seed,
        })
    }
}

fn seed_of(sim_seed: u64, what: &str) -> [u8; 32] {
    let hash = Sha256::new().chain_update(sim_seed.to_le_bytes());
    hash.chain_update(what).finalize().into()
}

fn key_of(sim_seed: u64, name: &str) -> SecretKey {
    SecretKey::from_seed(&seed_of(sim_seed, &format!("key {name}")))
}

fn address_of(sim_seed: u64, name: &str) -> Address {
    Address::from_bytes(key_of(sim_seed, name).public())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn miners_share_the_work_of_the_interval() {
        for (seconds, miners) in [(1, 1), (15, 10)] {
            let cast = Cast::new(7, Duration::from_secs(seconds), miners).unwrap();
            let attempts: f64 = cast.spec.initial_bits.target().work().get().into();
            let all = cast.rate * miners as f64 * seconds as f64;
            assert!((all / attempts - 1.0).abs() < 1e-9, "{all} of {attempts}");
        }
        assert!(Cast::new(7, Duration::from_millis(1), 1).is_err());
    }

    #[test]
    fn a_node_is_the_same_at_every_start_and_draws_anew() {
        let cast = Cast::new(7, Duration::from_secs(1), 1).unwrap();
        let node = |run, name| cast.node(0, run, name, Vec::new()).unwrap();
        let (first, second, other) = (node(0, "a"), node(1, "a"), node(0, "b"));
        assert_eq!(first.address(), second.address());
        assert_ne!(first.seed, second.seed);
        assert_ne!(first.address(), other.address());
        let payee = |node: &Identity| node.miner.as_ref().map(Miner::address);
        assert_eq!(payee(&first), payee(&second));
        assert_eq!(cast.people().unwrap().len(), PEOPLE.len());
    }
}
