use std::hash::{BuildHasher, RandomState};

use foldhash::fast::{FixedState, FoldHasher};

/// How the maps hash that each block asks thousands of times: some four times as fast as the standard library's way.
///
/// Peers choose the keys, in part, and never see a hash: what they would have to know to make many keys fall together is drawn anew for each map,
/// from the same entropy as the standard library's maps have.
#[derive(Debug, Clone)]
pub struct SeededState(FixedState);

impl Default for SeededState {
    fn default() -> Self {
        let seed = RandomState::new().hash_one(0_u8);
        Self(FixedState::with_seed(seed))
    }
}

impl BuildHasher for SeededState {
    type Hasher = FoldHasher<'static>;

    fn build_hasher(&self) -> Self::Hasher {
        self.0.build_hasher()
    }
}
