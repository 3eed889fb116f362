//! Tests of the whole store, on both engines.

mod crash;
mod damage;
mod miner;
mod patches;
mod pipeline;
mod random;
mod segments;
mod snapshot;

use std::collections::BTreeMap;

use lyceum_protocol::{BlockLine, Height, StateRoot, TxId};
use miner::{Made, Miner};
use tempfile::TempDir;

use crate::family::Family;
use crate::{
    ConnectBlock, Durability, Options, StateChanges, Store, StoreError, state_root_of, verify_proof,
};

/// Everything in a database: family, key, value.
type Dump = BTreeMap<(&'static str, Vec<u8>), Vec<u8>>;

fn dump(store: &Store) -> Dump {
    let mut all = Dump::new();
    for family in Family::ALL {
        let engine = store.shared.engine.as_ref();
        engine
            .scan(family, &[], &mut |key, value| {
                all.insert((family.name(), key.to_vec()), value.to_vec());
                Ok(std::ops::ControlFlow::Continue(()))
            })
            .unwrap();
    }
    all
}

/// What must come back byte for byte when a block is taken back: all but the blocks that are known.
fn state_only(mut dump: Dump) -> Dump {
    dump.retain(|(family, _), _| !matches!(*family, "headers" | "heights" | "blocks"));
    dump
}

impl Made {
    fn block(&self) -> ConnectBlock<'_> {
        ConnectBlock {
            header: &self.header,
            line: BlockLine::new(&self.line),
            ids: &self.ids,
            changes: self.changes.clone(),
            receipts: &self.receipts,
        }
    }
}

fn connect(store: &mut Store, made: &Made) {
    let mut batch = store.begin();
    let root = batch.connect(made.block()).unwrap();
    assert_eq!(root, made.header.claims().state_root);
    batch.commit(Durability::Buffered).unwrap();
}

fn options() -> Options {
    Options {
        reorg_depth_max: 12,
        tree_cache_bytes: 20_000,  // some dozen pages: they come and go
        record_cache_bytes: 4_000, // a dozen records, likewise
        ..Options::default()
    }
}

/// A store of each kind for the miner's chain; the folder lives as long as they do.
fn stores(miner: &Miner) -> (TempDir, [Store; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let genesis = miner.genesis();
    let disk = Store::open(folder.path(), &miner.spec, genesis, &options()).unwrap();
    let memory = Store::in_memory(&miner.spec, genesis, &options());
    (folder, [disk, memory])
}

#[test]
fn what_was_connected_is_read_back() {
    let mut miner = Miner::new(1);
    let chain = miner.chain(10);
    let (_folder, stores) = stores(&miner);
    for mut store in stores {
        assert_eq!(store.read().tip().unwrap(), None);
        chain.iter().for_each(|made| connect(&mut store, made));
        let view = store.read();
        let last = chain.last().unwrap();
        let tip = view.tip().unwrap().unwrap();
        assert_eq!(tip.hash, last.header.hash());
        assert_eq!(tip.state_root, last.header.claims().state_root);
        assert_eq!(view.state_root().unwrap(), tip.state_root);
        let mut work = lyceum_protocol::Work::ZERO;
        for made in &chain {
            let (hash, claims) = (made.header.hash(), made.header.claims());
            work = work.saturating_add(claims.work());
            let entry = view.block(&hash).unwrap().unwrap();
            assert_eq!((entry.height, entry.parent), (claims.height, claims.parent));
            assert_eq!(
                (entry.timestamp, entry.bits),
                (claims.timestamp, claims.bits)
            );
            assert_eq!((entry.work, entry.segment), (work, claims.segment));
            assert_eq!(entry.line_bytes as usize, made.line.len());
            assert_eq!(entry.transactions as usize, made.receipts.len());
            assert_eq!(view.hash_at(claims.height).unwrap(), Some(hash));
            assert_eq!(view.line(&hash).unwrap().as_ref(), Some(&made.line));
            assert_eq!(
                view.line_at(claims.height).unwrap().as_ref(),
                Some(&made.line)
            );
            assert_eq!(view.receipts_at(claims.height).unwrap(), made.receipts);
            for (index, token) in BlockLine::new(&made.line).transactions().enumerate() {
                let id = TxId::of(token.as_bytes());
                let at = view.transaction(&id).unwrap().unwrap();
                assert_eq!(
                    (at.height, at.block, at.index as usize),
                    (claims.height, hash, index)
                );
                assert_eq!(
                    view.receipt(&id).unwrap(),
                    Some(made.receipts[index].clone())
                );
            }
        }
        assert_eq!(tip.work, work);
        let unknown = TxId::of(b"unknown");
        assert_eq!(view.transaction(&unknown).unwrap(), None);
        assert_eq!(view.receipt(&unknown).unwrap(), None);
        assert_eq!(view.line_at(Height::new(10).unwrap()).unwrap(), None);
        let mut heights = Vec::new();
        view.for_each_block(Height::new(3).unwrap(), |entry| {
            heights.push(entry.height.get());
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(heights, [3, 4, 5, 6, 7, 8, 9]);
    }
}

#[test]
fn records_are_paged_counted_and_proven() {
    let mut miner = Miner::new(2);
    let chain = miner.chain(8);
    let (_folder, stores) = stores(&miner);
    for mut store in stores {
        chain.iter().for_each(|made| connect(&mut store, made));
        let view = store.read();
        let root = view.tip().unwrap().unwrap().state_root;
        for prefix in ["c/r0/", "c/r1/", "c/none/"] {
            let of_prefix = miner
                .state
                .iter()
                .filter(|(path, _)| path.starts_with(prefix));
            let want: Vec<_> = of_prefix.map(|(k, v)| (k.clone(), v.clone())).collect();
            assert_eq!(view.count(prefix).unwrap(), want.len() as u64);
            let mut got: Vec<(String, String)> = Vec::new();
            loop {
                let after = got.last().map(|(path, _)| path.clone());
                let page = view.records(prefix, after.as_deref(), 3).unwrap();
                if page.is_empty() {
                    break;
                }
                got.extend(page);
            }
            assert_eq!(got, want);
        }
        assert!(view.records("c/r0/", None, 0).unwrap().is_empty());
        for path in miner.paths() {
            let proven = view.prove(&path).unwrap();
            assert_eq!(proven.record.as_ref(), miner.state.get(&path));
            verify_proof(root, &path, proven.record.as_deref(), &proven.proof).unwrap();
        }
    }
}

#[test]
fn connect_then_disconnect_is_the_identity() {
    let mut miner = Miner::new(3);
    let chain = miner.chain(11);
    let (_folder, stores) = stores(&miner);
    for mut store in stores {
        let mut dumps = Vec::new();
        for made in &chain {
            dumps.push(state_only(dump(&store)));
            connect(&mut store, made);
        }
        for (made, want) in chain.iter().zip(&dumps).rev() {
            let mut batch = store.begin();
            let entry = batch.disconnect().unwrap();
            assert_eq!(entry.hash, made.header.hash());
            batch.commit(Durability::Buffered).unwrap();
            assert_eq!(&state_only(dump(&store)), want, "block {}", entry.height);
            // It is a side block now.
            let view = store.read();
            assert_eq!(view.line(&entry.hash).unwrap().as_ref(), Some(&made.line));
            assert!(!view.is_main(&entry.hash).unwrap());
        }
        let nothing = store.begin().disconnect();
        assert!(matches!(nothing, Err(StoreError::NoTip)));
        chain.iter().for_each(|made| connect(&mut store, made));
        assert_eq!(
            store.read().tip().unwrap().unwrap().hash,
            chain[10].header.hash()
        );
    }
}

#[test]
fn a_dropped_batch_leaves_no_trace() {
    let mut miner = Miner::new(4);
    let chain = miner.chain(6);
    let (_folder, stores) = stores(&miner);
    for mut store in stores {
        chain[..3].iter().for_each(|made| connect(&mut store, made));
        let before = dump(&store);
        let mut batch = store.begin();
        for made in &chain[3..] {
            batch.connect(made.block()).unwrap();
        }
        assert_eq!(
            batch.read().tip().unwrap().unwrap().hash,
            chain[5].header.hash()
        );
        let last = chain[5].header.claims().height;
        assert!(batch.read().line_at(last).unwrap().is_some());
        drop(batch);
        assert_eq!(dump(&store), before);

        // A block of which the caller learns too late that it is bad.
        let mut batch = store.begin();
        batch.connect(chain[3].block()).unwrap();
        batch.connect(chain[4].block()).unwrap();
        batch.disconnect().unwrap();
        batch.commit(Durability::Synced).unwrap();
        assert_eq!(
            store.read().tip().unwrap().unwrap().hash,
            chain[3].header.hash()
        );
    }
}

#[test]
fn one_batch_is_many_single_blocks() {
    let mut miner = Miner::new(5);
    let chain = miner.chain(9);
    let (_folder, [mut at_once, mut one_by_one]) = stores(&miner);
    let mut batch = at_once.begin();
    for made in &chain {
        batch.connect(made.block()).unwrap();
    }
    batch.commit(Durability::Buffered).unwrap();
    chain.iter().for_each(|made| connect(&mut one_by_one, made));
    assert_eq!(dump(&at_once), dump(&one_by_one));
}

#[test]
fn what_does_not_follow_is_refused() {
    let mut miner = Miner::new(6);
    let chain = miner.chain(4);
    let (_folder, stores) = stores(&miner);
    for mut store in stores {
        let mut batch = store.begin();
        let refused = batch.connect(chain[1].block());
        assert!(matches!(refused, Err(StoreError::Genesis { .. })));
        batch.connect(chain[0].block()).unwrap();
        let refused = batch.connect(chain[2].block());
        assert!(matches!(refused, Err(StoreError::NotNext { .. })));
        let refused = batch.connect(chain[0].block());
        assert!(matches!(refused, Err(StoreError::NotNext { .. })));
        for path in ["", "a", "a/b", "a/b/", "/b/c", "a//c"] {
            let changes = StateChanges::from([(path.to_owned(), None)]);
            let block = ConnectBlock {
                changes,
                ..chain[1].block()
            };
            let refused = batch.connect(block);
            assert!(matches!(refused, Err(StoreError::Path(_))), "{path}");
        }
        assert_eq!(
            batch.read().tip().unwrap().unwrap().hash,
            chain[0].header.hash()
        );
    }
}

#[test]
fn a_reorganisation_has_its_deepest_depth() {
    let mut miner = Miner::new(7);
    let chain = miner.chain(30);
    let (_folder, stores) = stores(&miner);
    for mut store in stores {
        // Side blocks at all heights.
        let mut other = Miner::new(8);
        let others = other.chain(30);
        for (made, side) in chain.iter().zip(&others) {
            let mut batch = store.begin();
            batch.connect(made.block()).unwrap();
            let work = side.header.claims().work();
            let line = BlockLine::new(&side.line);
            batch.put_side_block(&side.header, line, work).unwrap();
            batch.commit(Durability::Buffered).unwrap();
        }
        let mut batch = store.begin();
        for _ in 0..12 {
            batch.disconnect().unwrap();
        }
        let refused = batch.disconnect();
        assert!(
            matches!(refused, Err(StoreError::TooDeep { kept: 12, .. })),
            "{refused:?}"
        );
        drop(batch);
        // Whole segments' side blocks beyond the depth are forgotten: the heights 0 to 15 here.
        for side in &others[1..] {
            let height = side.header.claims().height.get();
            let known = store.read().block(&side.header.hash()).unwrap().is_some();
            assert_eq!(known, height >= 16, "{height}");
        }
    }
}

#[test]
fn the_root_is_known_before() {
    let mut miner = Miner::new(9);
    let chain = miner.chain(3);
    assert_eq!(
        state_root_of(&chain[0].changes),
        chain[0].header.claims().state_root
    );
    let (_folder, stores) = stores(&miner);
    for mut store in stores {
        let before = dump(&store);
        let root = store.read().state_root_of(&chain[0].changes).unwrap();
        assert_eq!(root, chain[0].header.claims().state_root);
        assert_eq!(dump(&store), before);
        connect(&mut store, &chain[0]);
        let root = store.read().state_root_of(&chain[1].changes).unwrap();
        assert_eq!(root, chain[1].header.claims().state_root);
        let empty = store.read().state_root_of(&StateChanges::new()).unwrap();
        assert_eq!(empty, chain[0].header.claims().state_root);
    }
    let placeholder = StateRoot::from_bytes(*b"SPARSE_MERKLE_PLACEHOLDER_HASH__");
    assert_eq!(state_root_of(&StateChanges::new()), placeholder);
}

#[test]
fn a_view_stays_as_it_was() {
    let mut miner = Miner::new(10);
    let chain = miner.chain(3);
    let (_folder, stores) = stores(&miner);
    for mut store in stores {
        connect(&mut store, &chain[0]);
        let reader = store.reader();
        let view = reader.read();
        connect(&mut store, &chain[1]);
        assert_eq!(view.tip().unwrap().unwrap().hash, chain[0].header.hash());
        assert_eq!(view.hash_at(Height::new(1).unwrap()).unwrap(), None);
        assert_eq!(
            reader.read().tip().unwrap().unwrap().hash,
            chain[1].header.hash()
        );
    }
}
