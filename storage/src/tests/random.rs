//! Random sequences of what a store can do: both engines hold the same bytes, and the records of a plain map.

use proptest::prelude::*;

use super::miner::{Made, Miner};
use super::pipeline::pipe;
use super::{dump, options, stores};
use crate::{Durability, Store};

/// One batch, and what happens around it.
#[derive(Debug, Clone)]
struct Round {
    disconnects: usize,
    connects: usize,
    /// The batch is dropped once before it is committed.
    dropped_first: bool,
    /// So many blocks are connected while those before are committed; 0 for all in one batch.
    batch_len: usize,
    seals: bool,
    reopens: bool,
}

fn rounds() -> impl Strategy<Value = Vec<Round>> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let round = (0..7_usize, 0..9_usize, 0..4_usize, flags);
    let round = round.prop_map(
        |(disconnects, connects, batch_len, (dropped_first, seals, reopens))| Round {
            disconnects,
            connects,
            dropped_first,
            batch_len,
            seals,
            reopens,
        },
    );
    proptest::collection::vec(round, 1..10)
}

fn play(store: &mut Store, round: &Round, disconnects: usize, connected: &[Made]) {
    for commits in [false, true] {
        if !commits && !round.dropped_first {
            continue;
        }
        let before = (!commits).then(|| dump(store));
        let mut batch = store.begin();
        for _ in 0..disconnects {
            batch.disconnect().unwrap();
        }
        if commits && round.batch_len > 0 {
            batch.commit(Durability::Buffered).unwrap();
            pipe(store, connected, round.batch_len, Durability::Buffered);
            continue;
        }
        for made in connected {
            batch.connect(made.block()).unwrap();
        }
        if commits {
            batch.commit(Durability::Buffered).unwrap();
        } else {
            drop(batch);
            assert_eq!(Some(dump(store)), before);
        }
    }
    if round.seals {
        store.seal_ready(Durability::Synced).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn both_engines_and_a_plain_map_agree(rounds in rounds(), seed in any::<u64>()) {
        let mut miner = Miner::new(seed);
        let (folder, [mut disk, mut memory]) = stores(&miner);
        // How many blocks there are, and how many of them can be taken back.
        let (mut blocks, mut undo) = (0, 0);
        for round in &rounds {
            let disconnects = round.disconnects.min(undo).min(blocks.max(1) - 1);
            (0..disconnects).for_each(|_| miner.back());
            let connected = miner.chain(round.connects);
            blocks = blocks - disconnects + connected.len();
            undo = (undo - disconnects + connected.len()).min(options().reorg_depth_max as usize);
            for store in [&mut disk, &mut memory] {
                play(store, round, disconnects, &connected);
            }
            if round.reopens {
                drop(disk);
                disk = Store::open(folder.path(), &miner.spec, miner.genesis(), &options()).unwrap();
                prop_assert_eq!(disk.report(), &crate::OpenReport::default());
            }
            prop_assert!(dump(&disk) == dump(&memory), "the engines differ");
            let records = disk.read().records("", None, usize::MAX).unwrap();
            let model: Vec<_> = miner.state.clone().into_iter().collect();
            prop_assert_eq!(records, model);
        }
    }
}
