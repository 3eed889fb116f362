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

mod overlay;
mod page;
mod proof;

use std::collections::BTreeMap;

use sha2::block_api::compress256;
use sha2::{Digest, Sha256};

pub(crate) use overlay::PageOverlay;
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

/// The first state of SHA-256 (FIPS 180-4, section 5.3.3).
const SHA256_START: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// SHA-256 of a domain and two hashes: two blocks whose padding is known. Without the hasher's buffer, which takes as long as the blocks.
fn hash_pair(domain: &[u8], left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let length = domain.len() + 64;
    let mut bytes = [0; 128];
    bytes[..domain.len()].copy_from_slice(domain);
    bytes[domain.len()..length - 32].copy_from_slice(left);
    bytes[length - 32..length].copy_from_slice(right);
    bytes[length] = 0x80;
    bytes[120..].copy_from_slice(&(8 * length as u64).to_be_bytes());
    let mut state = SHA256_START;
    let (blocks, _) = bytes.as_chunks::<64>();
    compress256(&mut state, blocks);
    let mut hash = [0; 32];
    for (bytes, word) in hash.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    hash
}

fn hash_leaf(key: &Key, value: &[u8; 32]) -> [u8; 32] {
    hash_pair(LEAF_DOMAIN, key, value)
}

pub(crate) fn hash_internal(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    hash_pair(INTERNAL_DOMAIN, left, right)
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
    /// As [`Pages::load`], of a page that is then given back to [`Pages::store`]: it need not be copied.
    fn take(&mut self, path: &PagePath) -> Result<Page, StoreError>;
    /// Writes a page, or deletes it.
    fn store(&mut self, path: PagePath, page: Option<Page>);
}

/// Applies some changes; the root after them.
pub(crate) fn update(pages: &mut impl Pages, changes: &KeyChanges) -> Result<[u8; 32], StoreError> {
    let top = PagePath::TOP;
    let mut page = pages.take(&top)?;
    update_page(pages, top, &mut page, changes)?;
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
    page: &mut Page,
    changes: &KeyChanges,
) -> Result<(), StoreError> {
    for group in changes.chunk_by(|(a, _), (b, _)| path.slot(a) == path.slot(b)) {
        let slot = path.slot(&group[0].0);
        let node = page.slot(slot);
        page.set(slot, &update_node(pages, path.child(slot), node, group)?);
    }
    page.fold();
    Ok(())
}

/// What one change makes of a subtree of at most one record, where that leaves at most one.
fn lone_after(node: Node, changes: &KeyChanges) -> Option<Node> {
    let &[(key, change)] = changes else {
        return None;
    };
    match node {
        Node::Leaf { key: own, .. } if own != key && change.is_some() => None,
        Node::Leaf { key: own, .. } if own != key => Some(node),
        _ => Some(change.map_or(Node::Empty, |value| Node::Leaf { key, value })),
    }
}

/// The subtree at `path` after some changes, all of them below it.
fn update_node(
    pages: &mut impl Pages,
    path: PagePath,
    node: Node,
    changes: &KeyChanges,
) -> Result<Node, StoreError> {
    let mut page = match node {
        Node::Inner(_) => pages.take(&path)?,
        Node::Empty | Node::Leaf { .. } => {
            if let Some(after) = lone_after(node, changes) {
                return Ok(after);
            }
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
            let mut page = Page::empty();
            if let Node::Leaf { key, .. } = node {
                page.set(path.slot(&key), &node);
            }
            page
        }
    };
    update_page(pages, path, &mut page, changes)?;
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
