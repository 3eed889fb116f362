//! Processes that are killed while they import, at every failpoint and at random moments.
//!
//! The child is this test program itself, told by an environment variable to import a chain into a folder. It reorganises on the way,
//! seals segments, takes files of others over and gives some up, and closes and reopens the store, so that it meets every write point there is.

use std::env;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lyceum_protocol::SegmentIndex;

use super::miner::{Made, Miner, Random, SEGMENT_BLOCKS};
use super::pipeline::pipe;
use super::{Dump, dump, options, state_only};
use crate::failpoint::{FAILPOINT_VARIABLE, FAILPOINTS};
use crate::{Durability, Store};

/// Tells the child its folder, and the seed of its chain.
const CHILD_VARIABLE: &str = "LYCEUM_CRASH_CHILD";
/// How many kills at random moments; the quick test has few, `make crash` sets more.
const KILLS_VARIABLE: &str = "LYCEUM_CRASH_KILLS";
const KILLS_QUICK: u64 = 10;
const BLOCKS: usize = 60;
const SEED: u64 = 77;
/// How often the child goes back before it goes on, and how far: past the depth of a sealed segment.
const REORG_EVERY: usize = 17;
const REORG_DEPTH: usize = 5;
/// So many blocks are connected by two threads, every third time.
const PIPED: usize = 6;
/// After how many blocks, modulo seven, the child gives up the segment whose file came before its blocks.
const ABANDONED: usize = 3;

/// The chain that the child imports, with the branch that it leaves again at each reorganisation.
struct Plan {
    miner: Miner,
    chain: Vec<Made>,
}

impl Plan {
    fn new() -> Self {
        let mut miner = Miner::new(SEED);
        let chain = miner.chain(BLOCKS);
        Self { miner, chain }
    }

    fn open(&self, folder: &Path) -> Store {
        Store::open(folder, &self.miner.spec, self.miner.genesis(), &options()).unwrap()
    }
}

/// How many blocks the store holds; checks that the tip is whole.
fn blocks(plan: &Plan, store: &Store) -> usize {
    let view = store.read();
    let Some(tip) = view.tip().unwrap() else {
        assert_eq!(view.records("", None, 1).unwrap(), []);
        return 0;
    };
    let height = tip.height.get() as usize;
    let made = &plan.chain[height];
    assert_eq!(tip.hash, made.header.hash());
    assert_eq!(tip.state_root, made.header.claims().state_root);
    assert_eq!(view.state_root().unwrap(), tip.state_root);
    height + 1
}

/// Imports the rest of the chain: in batches of one to four blocks, by one thread and by two, with reorganisations, sealing, and a restart half-way.
fn import(plan: &Plan, folder: &Path, reorganises: bool) -> Store {
    let mut store = plan.open(folder);
    // The process before may have died between its last block and the seal that was due after it.
    store.seal_ready(Durability::Synced).unwrap();
    let mut at = blocks(plan, &store);
    let mut last_reorg = at;
    while at < BLOCKS {
        take_over(plan, &mut store, folder, at);
        let is_reorg = reorganises && at >= last_reorg + REORG_EVERY;
        // Unlogged ones most often: before those that the log has, and after them.
        let durability = match at % 5 {
            0 => Durability::Synced,
            1 => Durability::Buffered,
            _ => Durability::Unlogged,
        };
        if !is_reorg && at % 3 == 1 {
            // Batches that are filled while the one before is committed.
            let end = (at + PIPED).min(BLOCKS);
            pipe(&mut store, &plan.chain[at..end], 1 + at % 4, durability);
            at = end;
        } else {
            let mut batch = store.begin();
            if is_reorg {
                for _ in 0..REORG_DEPTH {
                    batch.disconnect().unwrap();
                }
                at -= REORG_DEPTH;
                last_reorg = at;
            }
            let end = (at + 1 + at % 4).min(BLOCKS);
            for made in &plan.chain[at..end] {
                batch.connect(made.block()).unwrap();
            }
            at = end;
            batch.commit(durability).unwrap();
        }
        if reorganises && at % 7 == ABANDONED {
            let index = SegmentIndex::new((at / SEGMENT_BLOCKS as usize) as u64);
            store.abandon_segment(index.unwrap()).unwrap();
        }
        store.seal_ready(durability).unwrap();
        if at.is_multiple_of(23) {
            store.close().unwrap();
            store = plan.open(folder);
        }
    }
    store
}

/// Has the file of every second segment come before its blocks, or in the midst of them.
fn take_over(plan: &Plan, store: &mut Store, folder: &Path, at: usize) {
    let number = at / SEGMENT_BLOCKS as usize;
    let sealed = store.read().sealed_segments().unwrap().get() as usize;
    if number.is_multiple_of(2) || sealed > number || at == 0 {
        return;
    }
    // The segments before it are whole, if not deep enough to be sealed for their own sake.
    for index in sealed..number {
        let index = SegmentIndex::new(index as u64).unwrap();
        store.seal(index, Durability::Synced).unwrap();
    }
    let file = super::segments::pulled(folder, &plan.chain, number as u64);
    let index = SegmentIndex::new(number as u64).unwrap();
    store.adopt_segment(index, &file).unwrap();
}

/// The child's part; nothing in an ordinary run.
#[test]
fn child() {
    if let Some(folder) = env::var_os(CHILD_VARIABLE) {
        import(&Plan::new(), Path::new(&folder), true)
            .close()
            .unwrap();
    }
}

fn spawn(folder: &Path, failpoint: Option<&str>) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "tests::crash::child", "--nocapture"]);
    command.env(CHILD_VARIABLE, folder);
    if let Some(failpoint) = failpoint {
        command.env(FAILPOINT_VARIABLE, failpoint);
    }
    let command = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}

/// The store is whole, and its state is that of a replay in memory.
fn assert_consistent(plan: &Plan, folder: &Path) -> usize {
    let store = plan.open(folder);
    assert_eq!(store.report().log_cut, None);
    assert_eq!(store.report().damaged_segments, []);
    let height = blocks(plan, &store);
    let view = store.read();
    for made in &plan.chain[..height] {
        let line = view.line(&made.header.hash()).unwrap();
        assert_eq!(line.as_ref(), Some(&made.line));
    }
    let mut replay = Store::in_memory(&plan.miner.spec, plan.miner.genesis(), &options());
    for made in &plan.chain[..height] {
        super::connect(&mut replay, made);
    }
    let families = [
        "main",
        "transactions",
        "receipts",
        "records",
        "counts",
        "tree",
    ];
    let part = |store: &Store| {
        let mut all = state_only(dump(store));
        all.retain(|(family, _), _| families.contains(family));
        all
    };
    assert!(
        part(&store) == part(&replay),
        "the state is not that of a replay"
    );
    height
}

/// What an import without any crash ends with.
fn end(plan: &Plan) -> Dump {
    let folder = tempfile::tempdir().unwrap();
    without_undo(&import(plan, folder.path(), false))
}

/// After a crash in a reorganisation fewer undo records may be left: they are forgotten going up, not made again going down.
fn without_undo(store: &Store) -> Dump {
    let mut all = dump(store);
    all.retain(|(family, _), _| *family != "undo");
    all
}

/// The import goes on to the same bytes as without any crash.
fn assert_same_end(plan: &Plan, folder: &Path, want: &Dump) {
    let got = without_undo(&import(plan, folder, false));
    let differs =
        |(key, value): &(&(&'static str, Vec<u8>), &Vec<u8>)| want.get(*key) != Some(*value);
    let more: Vec<_> = got.iter().filter(differs).map(|(key, _)| key).collect();
    let less: Vec<_> = want.keys().filter(|key| !got.contains_key(*key)).collect();
    assert!(
        got == *want,
        "the end differs: {more:?} instead of {less:?}"
    );
}

#[test]
fn every_failpoint_leaves_a_whole_tip() {
    let plan = Plan::new();
    let end = end(&plan);
    for failpoint in FAILPOINTS {
        let mut reached = false;
        for visit in [1, 4] {
            let folder = tempfile::tempdir().unwrap();
            let status = spawn(folder.path(), Some(&format!("{failpoint}={visit}"))).wait();
            if status.unwrap().success() {
                assert!(visit > 1, "{failpoint} is never reached");
                continue;
            }
            reached = true;
            assert_consistent(&plan, folder.path());
            assert_same_end(&plan, folder.path(), &end);
        }
        assert!(reached, "{failpoint}");
    }
}

/// Two deaths in a row, each between a block and the seal that was due after it: once seen at random.
#[test]
fn a_seal_that_never_came_is_made_up_for() {
    let plan = Plan::new();
    let folder = tempfile::tempdir().unwrap();
    let mut store = plan.open(folder.path());
    let mut batch = store.begin();
    for made in &plan.chain {
        batch.connect(made.block()).unwrap();
    }
    batch.commit(Durability::Buffered).unwrap();
    store.is_closed = true; // so that dropping it does not close it cleanly
    drop(store);
    assert_eq!(assert_consistent(&plan, folder.path()), BLOCKS);
    assert_same_end(&plan, folder.path(), &end(&plan));
}

#[test]
fn killed_at_random_moments_it_stands_at_a_whole_tip() {
    let kills = env::var(KILLS_VARIABLE).ok();
    let kills = kills.map_or(KILLS_QUICK, |text| text.parse().unwrap());
    let plan = Plan::new();
    let end = end(&plan);
    let mut random = Random(kills);
    let mut folder = tempfile::tempdir().unwrap();
    // How long the child takes when nobody kills it.
    let start = Instant::now();
    assert!(spawn(folder.path(), None).wait().unwrap().success());
    let whole = start.elapsed().as_micros() as u64;
    folder = tempfile::tempdir().unwrap();
    let (mut killed, mut heights) = (0, Vec::new());
    while killed < kills {
        let mut child = spawn(folder.path(), None);
        sleep(Duration::from_micros(random.below(whole)));
        // It may have come to its end before.
        let ended = child.try_wait().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        killed += u64::from(ended.is_none());
        let height = assert_consistent(&plan, folder.path());
        heights.push(height);
        if height == BLOCKS {
            assert_same_end(&plan, folder.path(), &end);
            folder = tempfile::tempdir().unwrap();
        }
    }
    println!("{killed} kills; blocks found after each: {heights:?}");
}
