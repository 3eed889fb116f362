//! The tree against the crate `jmt`: roots and proofs.

use std::collections::{BTreeMap, HashMap};

use jmt::mock::MockTreeStore;
use jmt::{JellyfishMerkleTree, KeyHash, SimpleHasher};
use lyceum_protocol::StateRoot;
use proptest::prelude::*;

use super::*;

/// SHA-256 for `jmt`. Its own feature for that would change features of crates that the node shares, and they would compile twice.
struct OracleHash(Sha256);

impl SimpleHasher for OracleHash {
    fn new() -> Self {
        Self(<Sha256 as Digest>::new())
    }

    fn update(&mut self, bytes: &[u8]) {
        Digest::update(&mut self.0, bytes);
    }

    fn finalize(self) -> [u8; 32] {
        Digest::finalize(self.0).into()
    }
}

type Oracle<'a> = JellyfishMerkleTree<'a, MockTreeStore, OracleHash>;

#[derive(Default, Clone, PartialEq, Debug)]
struct MapPages(HashMap<PagePath, Page>);

impl Pages for MapPages {
    fn load(&self, path: &PagePath) -> Result<Page, StoreError> {
        let page = self.0.get(path).cloned();
        assert!(page.is_some() || *path == PagePath::TOP, "{path:?}");
        Ok(page.unwrap_or_else(Page::empty))
    }

    fn take(&mut self, path: &PagePath) -> Result<Page, StoreError> {
        self.load(path)
    }

    fn store(&mut self, path: PagePath, page: Option<Page>) {
        match page {
            Some(mut page) => {
                let mut patch = Vec::new();
                patch::write_patch(&page, &mut patch);
                if !patch.is_empty() {
                    let before = self.0.get(&path).map(Page::value);
                    let after = patched(before, [&patch[..]].into_iter());
                    assert_eq!(after.as_deref(), Some(page.value()));
                }
                page.written();
                // Changed in place, it is what is read anew.
                assert_eq!(Page::from_value(page.value()).as_ref(), Some(&page));
                self.0.insert(path, page);
            }
            None => {
                assert!(self.0.remove(&path).is_some() || path == PagePath::TOP);
            }
        }
    }
}

/// Keys that share long prefixes, so that few records make deep trees.
fn key(number: u16) -> Key {
    let mut key = hash_bytes(&number.to_be_bytes());
    let shared = usize::from(number % 5) * 3;
    key[..shared].fill(0x5a);
    key
}

type Records = BTreeMap<u16, u8>;

/// What one batch sets (`Some`) or deletes.
fn batches() -> impl Strategy<Value = Vec<BTreeMap<u16, Option<u8>>>> {
    let batch = proptest::collection::btree_map(0..200_u16, any::<Option<u8>>(), 0..40);
    proptest::collection::vec(batch, 1..8)
}

fn changes(batch: &BTreeMap<u16, Option<u8>>) -> Vec<(Key, Option<[u8; 32]>)> {
    let hash = |value: &u8| hash_bytes(&[*value]);
    let changes = batch
        .iter()
        .map(|(number, value)| (key(*number), value.as_ref().map(hash)));
    let mut changes: Vec<_> = changes.collect();
    changes.sort_unstable();
    changes
}

fn apply(records: &mut Records, batch: &BTreeMap<u16, Option<u8>>) {
    for (number, value) in batch {
        match value {
            Some(value) => records.insert(*number, *value),
            None => records.remove(number),
        };
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn roots_are_those_of_jmt(batches in batches()) {
        let store = MockTreeStore::default();
        let oracle = Oracle::new(&store);
        let mut pages = MapPages::default();
        for (version, batch) in batches.iter().enumerate() {
            let values = batch.iter();
            let values = values.map(|(number, value)| (KeyHash(key(*number)), value.map(|v| vec![v])));
            let (want, written) = oracle.put_value_set(values, version as u64).unwrap();
            store.write_tree_update_batch(written).unwrap();
            let got = update(&mut pages, &changes(batch)).unwrap();
            prop_assert_eq!(got, want.0);
            prop_assert_eq!(root(&pages).unwrap(), want.0);
        }
    }

    #[test]
    fn pages_depend_on_the_records_alone(batches in batches()) {
        let mut pages = MapPages::default();
        let mut records = Records::new();
        for batch in &batches {
            update(&mut pages, &changes(batch)).unwrap();
            apply(&mut records, batch);
        }
        let mut fresh = MapPages::default();
        let all = records.iter().map(|(number, value)| (*number, Some(*value)));
        update(&mut fresh, &changes(&all.collect())).unwrap();
        prop_assert_eq!(pages, fresh);
    }

    #[test]
    fn proofs_hold_and_are_those_of_jmt(batches in batches(), asked in 0..200_u16) {
        let store = MockTreeStore::default();
        let oracle = Oracle::new(&store);
        let mut pages = MapPages::default();
        let mut records = Records::new();
        for (version, batch) in batches.iter().enumerate() {
            let values = batch.iter();
            let values = values.map(|(number, value)| (KeyHash(key(*number)), value.map(|v| vec![v])));
            let (_, written) = oracle.put_value_set(values, version as u64).unwrap();
            store.write_tree_update_batch(written).unwrap();
            update(&mut pages, &changes(batch)).unwrap();
            apply(&mut records, batch);
        }
        let proof = prove(&pages, &key(asked)).unwrap();
        let (value, want) = oracle.get_with_proof(KeyHash(key(asked)), batches.len() as u64 - 1).unwrap();
        prop_assert_eq!(value.map(|value| value[0]), records.get(&asked).copied());
        let shown = serde_json::to_value(&want).unwrap();
        let siblings = shown["siblings"].as_array().unwrap();
        let siblings: Vec<_> = siblings.iter().rev().map(sibling_hash).collect();
        prop_assert_eq!(&proof.siblings, &siblings);
        prop_assert_eq!(proof.leaf.is_some(), want.leaf().is_some());
    }
}

/// The hash that a node of jmt's proofs stands for: its type is private, its serde form is not.
fn sibling_hash(node: &serde_json::Value) -> [u8; 32] {
    let bytes = |value: &serde_json::Value| -> [u8; 32] {
        let value = value
            .get(0)
            .filter(|inner| inner.is_array())
            .unwrap_or(value);
        serde_json::from_value(value.clone()).unwrap()
    };
    if let Some(inner) = node.get("Internal") {
        return hash_internal(&bytes(&inner["left_child"]), &bytes(&inner["right_child"]));
    }
    let Some(leaf) = node.get("Leaf") else {
        return EMPTY;
    };
    let (key, value) = (bytes(&leaf["key_hash"]), bytes(&leaf["value_hash"]));
    Node::Leaf { key, value }.hash()
}

/// A state of `count` records, as paths; record `i` is `{"n":i}`.
fn state(count: u32) -> (MapPages, StateRoot) {
    let changes = (0..count).map(|i| {
        let record = format!(r#"{{"n":{i}}}"#);
        let path = format!("c/r/{i}");
        (
            hash_bytes(path.as_bytes()),
            Some(hash_bytes(record.as_bytes())),
        )
    });
    let mut changes: Vec<_> = changes.collect();
    changes.sort_unstable();
    let mut pages = MapPages::default();
    let root = update(&mut pages, &changes).unwrap();
    (pages, StateRoot::from_bytes(root))
}

#[test]
fn proofs_of_presence_and_absence_are_told_apart() {
    for count in [0, 1, 2, 3, 17, 300] {
        let (pages, root) = state(count);
        for i in 0..count + 20 {
            let path = format!("c/r/{i}");
            let record = format!(r#"{{"n":{i}}}"#);
            let proof = prove(&pages, &hash_bytes(path.as_bytes())).unwrap();
            let present = verify_proof(root, &path, Some(&record), &proof);
            let absent = verify_proof(root, &path, None, &proof);
            assert_eq!(present.is_ok(), i < count, "{i} of {count}");
            assert_eq!(absent.is_ok(), i >= count, "{i} of {count}");
            let other = verify_proof(root, &path, Some(r#"{"n":-1}"#), &proof);
            assert_eq!(other, Err(ProofError::Leaf));
        }
    }
}

#[test]
fn forged_proofs_are_refused() {
    let (pages, root) = state(100);
    let path = "c/r/7";
    let record = r#"{"n":7}"#;
    let good = prove(&pages, &hash_bytes(path.as_bytes())).unwrap();
    assert_eq!(verify_proof(root, path, Some(record), &good), Ok(()));

    let mut short = good.clone();
    short.siblings.pop();
    let refused = verify_proof(root, path, Some(record), &short);
    assert!(matches!(refused, Err(ProofError::Root { .. })));

    // The proof of another record, offered as proof that this one is missing.
    let other = prove(&pages, &hash_bytes(b"c/r/8")).unwrap();
    let refused = verify_proof(root, path, None, &other);
    assert_eq!(refused, Err(ProofError::NotMissing));

    let mut without = good.clone();
    without.leaf = None;
    let refused = verify_proof(root, path, None, &without);
    assert!(matches!(refused, Err(ProofError::Root { .. })));

    let mut long = good;
    long.siblings.resize(257, EMPTY);
    let refused = verify_proof(root, path, Some(record), &long);
    assert_eq!(refused, Err(ProofError::Length { got: 257, max: 256 }));
}

#[test]
fn small_trees_hash_as_documented() {
    let mut pages = MapPages::default();
    assert_eq!(root(&pages).unwrap(), EMPTY);
    let (key, value) = (hash_bytes(b"a/b/c"), hash_bytes(b"{}"));
    let leaf = hash_bytes(&[&b"JMT::LeafNode"[..], &key, &value].concat());
    assert_eq!(update(&mut pages, &[(key, Some(value))]).unwrap(), leaf);
    assert_eq!(update(&mut pages, &[(key, None)]).unwrap(), EMPTY);
    assert_eq!(pages, MapPages::default());
}

#[test]
fn damaged_pages_are_refused() {
    let (pages, _) = state(40);
    let value = pages.0[&PagePath::TOP].value().to_vec();
    assert!(Page::from_value(&value).is_some());
    assert_eq!(Page::from_value(&value[..value.len() - 1]), None);
    assert_eq!(Page::from_value(&[&value[..], &[0]].concat()), None);
    assert_eq!(Page::from_value(&[]), None);
    let mut other_version = value.clone();
    other_version[0] += 1;
    assert_eq!(Page::from_value(&other_version), None);
    assert_eq!(
        Page::from_value(&[1, 0, 1, 0, 2]),
        None,
        "a leaf in no slot"
    );
}
