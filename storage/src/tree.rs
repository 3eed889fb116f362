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
mod patch;
mod proof;
mod update;

use sha2::block_api::compress256;
use sha2::{Digest, Sha256};

pub(crate) use overlay::PageOverlay;
pub(crate) use page::{Page, PagePath};
pub(crate) use patch::{joined, patched};
pub(crate) use proof::prove;
pub use proof::{ProofError, ProofLeaf, TreeProof, verify_proof};
pub(crate) use update::update;

use crate::error::StoreError;

/// The hash of a subtree without records.
const EMPTY: [u8; 32] = *b"SPARSE_MERKLE_PLACEHOLDER_HASH__";
/// How many children a page has: four levels of the binary tree in one read.
const PAGE_SLOTS: usize = 16;
/// How many pages stand above a leaf at the most: one for each half byte of its key.
const PAGE_DEPTH_MAX: usize = 64;

/// SHA-256 of a record's path.
pub(crate) type Key = [u8; 32];
/// What becomes of the record under a key: the hash of the new value, or `None` for no record.
pub(crate) type KeyChange = (Key, Option<[u8; 32]>);
/// Of some records: sorted by key, each once.
pub(crate) type KeyChanges = [KeyChange];

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

/// What SHA-256 is given for a leaf or an internal node: a domain, two hashes, and the padding. Two blocks, without the hasher's buffer, which takes
/// as long as they do.
struct NodeBytes<const DOMAIN: usize>([u8; 128]);

impl<const DOMAIN: usize> NodeBytes<DOMAIN> {
    const fn new(domain: &[u8; DOMAIN]) -> Self {
        let length = DOMAIN + 64;
        let mut bytes = [0; 128];
        bytes.split_at_mut(DOMAIN).0.copy_from_slice(domain);
        bytes[length] = 0x80;
        [bytes[126], bytes[127]] = (8 * length as u16).to_be_bytes();
        Self(bytes)
    }

    fn left(&mut self) -> &mut [u8] {
        &mut self.0[DOMAIN..DOMAIN + 32]
    }

    fn right(&mut self) -> &mut [u8] {
        &mut self.0[DOMAIN + 32..DOMAIN + 64]
    }

    fn hash_pair(mut self, left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
        self.left().copy_from_slice(left);
        self.right().copy_from_slice(right);
        self.hash()
    }

    fn hash(&self) -> [u8; 32] {
        let mut state = SHA256_START;
        let (blocks, _) = self.0.as_chunks::<64>();
        compress256(&mut state, blocks);
        let mut hash = [0; 32];
        for (bytes, word) in hash.chunks_exact_mut(4).zip(state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        hash
    }
}

const LEAF: NodeBytes<13> = NodeBytes::new(b"JMT::LeafNode");
const INTERNAL: NodeBytes<16> = NodeBytes::new(b"JMT::IntrnalNode");

pub(crate) fn hash_internal(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    INTERNAL.hash_pair(left, right)
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
            Self::Leaf { key, value } => LEAF.hash_pair(key, value),
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

/// The root of the records as they stand.
pub(crate) fn root(pages: &impl Pages) -> Result<[u8; 32], StoreError> {
    Ok(pages.load(&PagePath::TOP)?.top().hash())
}

#[cfg(test)]
mod tests;
