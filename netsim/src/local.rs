//! The files of a local network: its chain, its wallets, and a folder for each node.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use lyceum_protocol::{Address, Bits, ChainSpec, Credits, Gas, Target, Timestamp, U256};

use crate::wallets::{PEOPLE, Person, Role, make};

/// The time between blocks.
pub(crate) const BLOCK_INTERVAL_MS: u32 = 1_000;
/// How fast the difficulty follows: within half a minute.
const HALF_LIFE_MS: u32 = 30_000;
/// Blocks in a segment: a newcomer after 30 s finds three of them.
const SEGMENT_BLOCKS: u32 = 8;
/// Blocks that seal a segment: on loopback a fork of two is rare.
const SEGMENT_DEPTH: u32 = 3;
/// Attempts a second of each miner: enough for an even pace, and a small part of a core.
pub(crate) const MINE_RATE: u64 = 1_000;
/// The easiest target: 256 attempts a block.
const LIMIT_BITS: u32 = 0x2001_0000;
/// What each person is given at genesis.
const CREDITS: u64 = 1_000_000;

/// A local network's files.
pub(crate) struct Local {
    /// Where they are.
    pub(crate) dir: PathBuf,
    /// The chain.
    pub(crate) spec: ChainSpec,
    /// The chain's file.
    pub(crate) chain_file: PathBuf,
    /// Those who send transactions.
    pub(crate) people: Vec<Person>,
    /// Those who mine.
    pub(crate) miners: Vec<Person>,
}

impl Local {
    /// Makes the chain and the wallets in `dir`.
    ///
    /// # Errors
    /// Where a file can't be written, or `lyceum` fails.
    pub(crate) fn create(dir: &Path, lyceum: &Path, miners: usize) -> anyhow::Result<Self> {
        let folder = dir.join("wallets");
        let people = PEOPLE
            .iter()
            .map(|(name, role)| make(lyceum, &folder, name, *role));
        let people: Vec<_> = people.collect::<anyhow::Result<_>>()?;
        let miners = (1..=miners).map(|at| {
            let name = format!("miner{at}");
            make(lyceum, &folder, &name, Role::Miner)
        });
        let miners: Vec<_> = miners.collect::<anyhow::Result<_>>()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.context("this machine's clock stands before 1970; set it")?;
        let now = Timestamp::new(u64::try_from(now.as_millis())?)?;
        let spec = chain(
            now,
            miners.len(),
            people.iter().map(|person| person.address),
        )?;
        let chain_file = dir.join("chain.json");
        write(&chain_file, &spec.to_json())?;
        Ok(Self {
            dir: dir.to_owned(),
            spec,
            chain_file,
            people,
            miners,
        })
    }

    /// Whose address this is.
    pub(crate) fn name_of<'a>(&'a self, address: &'a str) -> &'a str {
        let mut all = self.miners.iter().chain(&self.people);
        let known = all.find(|person| person.address.to_string() == address);
        known.map_or(address, |person| &person.name)
    }
}

/// A chain with quick blocks and short segments, on which everyone may do everything.
fn chain(
    now: Timestamp,
    miners: usize,
    people: impl Iterator<Item = Address>,
) -> anyhow::Result<ChainSpec> {
    let attempts = MINE_RATE * miners.max(1) as u64 * u64::from(BLOCK_INTERVAL_MS) / 1_000;
    let limit = Bits::new(LIMIT_BITS)?;
    let initial = Bits::of(Target::new(U256::MAX / U256::from(attempts))?);
    let initial = if initial.target() > limit.target() {
        limit
    } else {
        initial
    };
    let mut fields = (*ChainSpec::dev()).clone();
    fields.chain = "local".parse()?;
    fields.genesis_time = now;
    fields.block_interval_ms = BLOCK_INTERVAL_MS;
    fields.half_life_ms = HALF_LIFE_MS;
    fields.initial_bits = initial;
    fields.limit_bits = limit;
    fields.segment_blocks = SEGMENT_BLOCKS;
    fields.segment_depth = SEGMENT_DEPTH;
    fields.block_gas = Gas::new(100_000_000)?;
    let credits = Credits::new(CREDITS)?;
    fields.alloc = people
        .map(|address| (address, credits))
        .collect::<BTreeMap<_, _>>();
    Ok(ChainSpec::new(fields)?)
}

/// Writes a file whole.
pub(crate) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("{}: cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_s_file_is_read_back_as_it_was() {
        let address = Address::from_bytes([7; 32]);
        let now = Timestamp::new(1_800_000_000_000).unwrap();
        for miners in [0, 1, 2, 50] {
            let spec = chain(now, miners, [address].into_iter()).unwrap();
            assert_eq!(ChainSpec::parse(&spec.to_json()).unwrap(), spec);
            let expected = U256::from(MINE_RATE * miners.max(1) as u64);
            let work = spec.initial_bits.target().work().get();
            assert!(
                work >= expected && work <= expected * U256::from(2),
                "{miners}: {work}"
            );
        }
    }
}
