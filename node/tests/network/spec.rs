//! A chain that is easy to mine.

use std::time::{SystemTime, UNIX_EPOCH};

use lyceum_protocol::{ChainFields, ChainSpec, Timestamp};

/// One in 256 attempts meets its target; a block every half a second, for a miner that makes them fast enough.
pub(crate) fn spec(change: impl FnOnce(&mut ChainFields)) -> ChainSpec {
    let mut fields = (*ChainSpec::dev()).clone();
    fields.chain = "tests".parse().unwrap();
    fields.limit_bits = "2000ffff".parse().unwrap();
    fields.initial_bits = fields.limit_bits;
    fields.genesis_time = now();
    fields.block_interval_ms = 500;
    fields.half_life_ms = 20_000;
    fields.segment_blocks = 8;
    fields.segment_depth = 2;
    change(&mut fields);
    ChainSpec::new(fields).unwrap()
}

/// The same, far behind its schedule: blocks come as fast as they are found.
pub(crate) fn late_spec(change: impl FnOnce(&mut ChainFields)) -> ChainSpec {
    spec(|fields| {
        let hours = 24 * 3_600_000;
        fields.genesis_time = Timestamp::new(now().get() - hours).unwrap();
        change(fields);
    })
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::new(since.as_millis() as u64).unwrap()
}
