//! The Jellyfish Merkle tree of the state, kept in one version: that of the tip.
//!
//! The hash of a set of records does not depend on the order in which they came, nor do the pages kept here. So nothing is versioned:
//! taking a block back applies the inverse changes, and the pages are then byte for byte what they were before. There are no stale
//! nodes, and nothing has to be pruned.
//!
//! Source: SPEC.md section 7. The hashing is that of the crate `jmt` 0.12 with SHA-256, which the tests compare with:
//!
//! - key: `SHA-256(path)`; value hash: `SHA-256(record)`;
//! - a subtree without records: the 32 bytes `SPARSE_MERKLE_PLACEHOLDER_HASH__`, which is the root of the empty state, too;
//! - a subtree with one record, at whatever depth: `SHA-256("JMT::LeafNode" ‖ key ‖ value hash)`;
//! - any other: `SHA-256("JMT::IntrnalNode" ‖ left ‖ right)`, split at the key's next bit, the most significant first.

mod page;
mod proof;

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

pub(crate) use page::{Page, PagePath};
pub(crate) use proof::prove;
pub use proof::{ProofError, ProofLeaf, TreeProof, verify_proof};

use crate::error::StoreError;

/// The hash of a subtree without records.
const EMPTY: [u8; 32] = *b"SPARSE_MERKLE_PLACEHOLDER_HASH__";
const LEAF_DOMAIN: &[u8] = b"JMT::LeafNode";
const INTERNAL_DOMAIN: &[u8] = b"JMT::IntrnalNode";
/// How many children a page has: four levels of the binary tree in one read.
const PAGE_SLOTS: usize = 16;
/// How many pages stand above a leaf at the most: one for each half byte of its key.
const PAGE_DEPTH_MAX: usize = 64;

/// SHA-256 of a record's path.
pub(crate) type Key = [u8; 32];
/// What becomes of the records under some keys: the hash of the new value, or `None` for no record. Sorted by key, each once.
pub(crate) type KeyChanges = [(Key, Option<[u8; 32]>)];

/// SHA-256 of a domain and two hashes. Gathered first: one call of the hasher is faster than three.
fn hash_pair<const N: usize>(domain: &[u8], left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut bytes = [0; N];
    let (start, hashes) = bytes.split_at_mut(domain.len());
    start.copy_from_slice(domain);
    hashes[..32].copy_from_slice(left);
    hashes[32..].copy_from_slice(right);
    Sha256::digest(bytes).into()
}

fn hash_leaf(key: &Key, value: &[u8; 32]) -> [u8; 32] {
    hash_pair::<{ LEAF_DOMAIN.len() + 64 }>(LEAF_DOMAIN, key, value)
}

pub(crate) fn hash_internal(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    hash_pair::<{ INTERNAL_DOMAIN.len() + 64 }>(INTERNAL_DOMAIN, left, right)
}

/// The key of a path, or the hash of a value.
pub(crate) fn hash_bytes(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// A subtree, seen from above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Node {
    /// No record.
    Empty,
    /// One record.
    Leaf {
        /// Its key.
        key: Key,
        /// The hash of its value.
        value: [u8; 32],
    },
    /// Two records or more: the subtree's hash.
    Inner([u8; 32]),
}

impl Node {
    pub(crate) fn hash(&self) -> [u8; 32] {
        match self {
            Self::Empty => EMPTY,
            Self::Leaf { key, value } => hash_leaf(key, value),
            Self::Inner(hash) => *hash,
        }
    }
}

/// Where the pages are: in the end, the database.
pub(crate) trait Pages {
    /// Reads a page that was written before; the top page is empty until then.
    fn load(&self, path: &PagePath) -> Result<Page, StoreError>;
    /// Writes a page, or deletes it.
    fn store(&mut self, path: PagePath, page: Option<Page>);
}

/// Applies some changes; the root after them.
pub(crate) fn update(pages: &mut impl Pages, changes: &KeyChanges) -> Result<[u8; 32], StoreError> {
    let top = PagePath::TOP;
    let page = pages.load(&top)?;
    let page = update_page(pages, top, page, changes)?;
    let root = page.top().hash();
    pages.store(top, page.is_used().then_some(page));
    Ok(root)
}

/// The root of the records as they stand.
pub(crate) fn root(pages: &impl Pages) -> Result<[u8; 32], StoreError> {
    Ok(pages.load(&PagePath::TOP)?.top().hash())
}

fn update_page(
    pages: &mut impl Pages,
    path: PagePath,
    mut page: Page,
    changes: &KeyChanges,
) -> Result<Page, StoreError> {
    for group in changes.chunk_by(|(a, _), (b, _)| path.slot(a) == path.slot(b)) {
        let slot = path.slot(&group[0].0);
        let node = page.slots()[slot];
        page.set(slot, update_node(pages, path.child(slot), node, group)?);
    }
    page.fold();
    Ok(page)
}

/// The subtree at `path` after some changes, all of them below it.
fn update_node(
    pages: &mut impl Pages,
    path: PagePath,
    node: Node,
    changes: &KeyChanges,
) -> Result<Node, StoreError> {
    let mut page = Page::EMPTY;
    match node {
        Node::Inner(_) => page = pages.load(&path)?,
        // Up to one record before and after: no page needed.
        Node::Empty | Node::Leaf { .. } => {
            let mut after: BTreeMap<Key, [u8; 32]> = BTreeMap::new();
            if let Node::Leaf { key, value } = node {
                after.insert(key, value);
            }
            for (key, change) in changes {
                match change {
                    Some(value) => after.insert(*key, *value),
                    None => after.remove(key),
                };
            }
            if after.len() < 2 {
                let leaf = after.first_key_value();
                return Ok(leaf.map_or(Node::Empty, |(key, value)| Node::Leaf {
                    key: *key,
                    value: *value,
                }));
            }
            if let Node::Leaf { key, .. } = node {
                page.set(path.slot(&key), node);
            }
        }
    }
    let page = update_page(pages, path, page, changes)?;
    let folded = page.top();
    let kept = matches!(folded, Node::Inner(_));
    // A page that was not there before and is not needed now was never written.
    if kept || matches!(node, Node::Inner(_)) {
        pages.store(path, kept.then_some(page));
    }
    Ok(folded)
}

#[cfg(test)]
mod tests;
