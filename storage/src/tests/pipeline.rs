//! Batches that are filled while the one before is committed.

use std::sync::mpsc::channel;
use std::thread;

use super::miner::{Made, Miner};
use super::{connect, dump, options, stores};
use crate::pipeline::Filled;
use crate::{Back, Durability, Front, Store, TreeChanges};

/// Fills a batch with some blocks.
fn fill(front: &mut Front<'_>, blocks: &[Made]) -> (Vec<TreeChanges>, Filled) {
    let mut connector = front.begin();
    let connected = blocks.iter().map(|made| connector.connect(made.block()));
    let changes = connected.collect::<Result<_, _>>().unwrap();
    (changes, connector.finish())
}

fn commit(
    back: &mut Back<'_>,
    blocks: &[Made],
    (changes, filled): &(Vec<TreeChanges>, Filled),
    durability: Durability,
) {
    for (made, changes) in blocks.iter().zip(changes) {
        let root = back.root(changes).unwrap();
        assert_eq!(root, made.header.claims().state_root);
    }
    back.commit(filled, durability).unwrap();
    back.seal_ready(durability).unwrap();
}

/// Connects blocks, so many a batch, by two threads.
pub(super) fn pipe(store: &mut Store, blocks: &[Made], batch_len: usize, durability: Durability) {
    let (mut front, mut back) = store.pipeline();
    let (passed, work) = channel::<(&[Made], _)>();
    let (committed, answers) = channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            for (blocks, batch) in work {
                commit(&mut back, blocks, &batch, durability);
                drop(batch);
                committed.send(()).unwrap();
            }
        });
        let mut is_under_way = false;
        for blocks in blocks.chunks(batch_len) {
            let batch = fill(&mut front, blocks);
            if std::mem::replace(&mut is_under_way, true) {
                answers.recv().unwrap();
                front.committed();
            }
            front.pass(&batch.1);
            passed.send((blocks, batch)).unwrap();
        }
        drop(passed);
        if is_under_way {
            answers.recv().unwrap();
            front.committed();
        }
    });
}

#[test]
fn it_leaves_what_one_block_after_the_other_does() {
    let mut miner = Miner::new(5);
    let chain = miner.chain(60);
    for batch_len in [1, 3, 7, 60] {
        let (_folder, stores) = stores(&miner);
        for mut store in stores {
            pipe(&mut store, &chain, batch_len, Durability::Buffered);
            let mut other = Store::in_memory(&miner.spec, miner.genesis(), &options());
            for made in &chain {
                connect(&mut other, made);
                other.seal_ready(Durability::Buffered).unwrap();
            }
            assert!(dump(&store) == dump(&other), "batches of {batch_len}");
        }
    }
}

/// What is not told to the front part, or never committed, is read anew: no value that it remembers is older than the commit.
#[test]
fn an_end_at_any_moment_leaves_what_was_committed() {
    let mut miner = Miner::new(6);
    let chain = miner.chain(30);
    let (before, rest) = chain.split_at(10);
    for are_committed in 0..=2 {
        let (_folder, stores) = stores(&miner);
        for mut store in stores {
            pipe(&mut store, before, 4, Durability::Unlogged);
            let mut blocks = rest.chunks(5);
            {
                let (mut front, mut back) = store.pipeline();
                for index in 0..2 {
                    let (blocks, batch) = {
                        let blocks = blocks.next().unwrap();
                        (blocks, fill(&mut front, blocks))
                    };
                    if index > 0 {
                        front.committed();
                    }
                    front.pass(&batch.1);
                    if index < are_committed {
                        commit(&mut back, blocks, &batch, Durability::Unlogged);
                    } else {
                        // The tree may be ahead of the commit.
                        back.root(&batch.0[0]).unwrap();
                        break;
                    }
                }
            }
            let height = store.read().tip().unwrap().unwrap().height.get() as usize;
            assert_eq!(height + 1, 10 + 5 * are_committed);
            pipe(&mut store, &chain[height + 1..], 4, Durability::Buffered);
            let records = store.read().records("", None, usize::MAX).unwrap();
            assert_eq!(records, miner.state.clone().into_iter().collect::<Vec<_>>());
        }
    }
}
