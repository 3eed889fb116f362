//! Pages of the state's tree that are written as what changed of them: both engines give the same pages back.

use proptest::prelude::*;

use crate::engine::{Change, Durability, Engine, MemoryEngine, RocksEngine, View as _};
use crate::family::Family;
use crate::{Options, StoreError};

const HASH_BYTES: usize = 32;

#[derive(Debug, Clone)]
enum Step {
    /// A page whose slots are all in use.
    Put(u8, u8),
    /// One slot of a page is set to a hash.
    Patch(u8, u8, u8),
    Delete(u8),
    Flush,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (key, slot, fill) = (0..4_u8, 0..16_u8, any::<u8>());
    let step = prop_oneof![
        2 => (key.clone(), fill).prop_map(|(key, fill)| Step::Put(key, fill)),
        8 => (key.clone(), slot, fill).prop_map(|(key, slot, fill)| Step::Patch(key, slot, fill)),
        1 => key.prop_map(Step::Delete),
        2 => Just(Step::Flush),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..60)
}

fn page(fill: u8) -> Vec<u8> {
    [&[1, 255, 255, 0, 0], &[fill; 16 * HASH_BYTES][..]].concat()
}

fn patch(slot: u8, fill: u8) -> Vec<u8> {
    let told = (1_u16 << slot).to_be_bytes();
    [&[2], &told[..], &told, &[0, 0], &[fill; HASH_BYTES]].concat()
}

fn write(engine: &dyn Engine, key: u8, change: Change<'_>) -> Result<(), StoreError> {
    let key = [key];
    let mut writes = [(Family::Tree, &key[..], change)].into_iter();
    engine.write(&mut writes, 0, Durability::Buffered)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn patched_pages_are_the_same_in_both_engines(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        let open = || RocksEngine::open(folder.path(), &Options::default()).unwrap().0;
        let mut disk = Some(open());
        let memory = MemoryEngine::default();
        for step in steps {
            let engine = disk.as_ref().unwrap();
            match step {
                Step::Put(key, fill) => {
                    let page = page(fill);
                    write(engine, key, Change::Put(&page)).unwrap();
                    write(&memory, key, Change::Put(&page)).unwrap();
                }
                Step::Patch(key, slot, fill) => {
                    let patch = patch(slot, fill);
                    // Whoever patches a page has read it.
                    if memory.read(Family::Tree, &[key]).unwrap().is_some() {
                        write(engine, key, Change::Patch(&patch)).unwrap();
                        write(&memory, key, Change::Patch(&patch)).unwrap();
                    }
                }
                Step::Delete(key) => {
                    write(engine, key, Change::Delete).unwrap();
                    write(&memory, key, Change::Delete).unwrap();
                }
                Step::Flush => engine.flush().unwrap(),
                Step::Reopen => {
                    drop(disk.take());
                    disk = Some(open());
                }
            }
            let engine = disk.as_ref().unwrap();
            for key in 0..4 {
                let want = memory.read(Family::Tree, &[key]).unwrap();
                prop_assert_eq!(engine.read(Family::Tree, &[key]).unwrap(), want);
            }
        }
    }
}

#[test]
fn a_patch_without_its_page_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, _) = RocksEngine::open(folder.path(), &Options::default()).unwrap();
    write(&engine, 1, Change::Patch(&patch(3, 7))).unwrap();
    let read = engine.read(Family::Tree, &[1]);
    assert!(matches!(read, Err(StoreError::Damaged { .. })), "{read:?}");
    let memory = MemoryEngine::default();
    let written = write(&memory, 1, Change::Patch(&patch(3, 7)));
    assert!(
        matches!(written, Err(StoreError::Value { .. })),
        "{written:?}"
    );
}
