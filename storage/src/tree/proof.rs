use borsh::{BorshDeserialize, BorshSerialize};
use lyceum_protocol::StateRoot;

use super::{EMPTY, Key, Node, PAGE_SLOTS, PagePath, Pages, hash_bytes, hash_internal};
use crate::error::StoreError;

/// How long a proof can be: one sibling for each bit of a key.
const SIBLINGS_MAX: usize = 256;

/// The one record of the subtree where a proof's path ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ProofLeaf {
    /// SHA-256 of its path.
    pub key: [u8; 32],
    /// SHA-256 of its canonical JSON.
    pub value_hash: [u8; 32],
}

/// Proves that a record is in the state, or that there is none.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TreeProof {
    /// What stands where the path ends: the record itself, or another one that proves by its place that there is none, or nothing.
    pub leaf: Option<ProofLeaf>,
    /// The hashes beside the path, from the root downwards; at most 256.
    pub siblings: Vec<[u8; 32]>,
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Longer than any path.
    #[error("{got} siblings, at most {max} are possible")]
    Length {
        /// How many there are.
        got: usize,
        /// How many are possible.
        max: usize,
    },
    /// The leaf is not the record that is claimed.
    #[error("the proof's leaf is not the record's")]
    Leaf,
    /// The record is claimed to be missing, and the proof shows it, or another one from elsewhere.
    #[error("the proof's leaf does not show that the record is missing")]
    NotMissing,
    /// It is a proof of another state.
    #[error("the proof gives the root {got}, want {want}")]
    Root {
        /// What the proof gives.
        got: StateRoot,
        /// What is trusted.
        want: StateRoot,
    },
}

/// Checks that under `root` the record at `path` is `record`, or that there is none if that is `None`.
///
/// Pure: it needs nothing but a block's state root that the caller trusts.
///
/// # Errors
/// [`ProofError`] where it does not follow.
///
/// Source: SPEC.md section 7.
pub fn verify_proof(
    root: StateRoot,
    path: &str,
    record: Option<&str>,
    proof: &TreeProof,
) -> Result<(), ProofError> {
    let got = proof.siblings.len();
    if got > SIBLINGS_MAX {
        let max = SIBLINGS_MAX;
        return Err(ProofError::Length { got, max });
    }
    let key = hash_bytes(path.as_bytes());
    match (record, &proof.leaf) {
        (Some(record), Some(leaf)) => {
            if leaf.key != key || leaf.value_hash != hash_bytes(record.as_bytes()) {
                return Err(ProofError::Leaf);
            }
        }
        (Some(_), None) => return Err(ProofError::Leaf),
        (None, Some(leaf)) => {
            let shares_path = (0..got).all(|at| bit(&leaf.key, at) == bit(&key, at));
            if leaf.key == key || !shares_path {
                return Err(ProofError::NotMissing);
            }
        }
        (None, None) => {}
    }
    let start = proof.leaf.map_or(EMPTY, |leaf| {
        let (key, value) = (leaf.key, leaf.value_hash);
        Node::Leaf { key, value }.hash()
    });
    let siblings = proof.siblings.iter().enumerate().rev();
    let got = siblings.fold(start, |hash, (at, sibling)| match bit(&key, at) {
        false => hash_internal(&hash, sibling),
        true => hash_internal(sibling, &hash),
    });
    let got = StateRoot::from_bytes(got);
    if got != root {
        return Err(ProofError::Root { got, want: root });
    }
    Ok(())
}

/// The key's bit at a depth of the binary tree.
fn bit(key: &Key, at: usize) -> bool {
    key[at / 8] & (0x80 >> (at % 8)) != 0
}

/// Collects the proof for a key.
pub(crate) fn prove(pages: &impl Pages, key: &Key) -> Result<TreeProof, StoreError> {
    let mut siblings = Vec::new();
    let mut path = PagePath::TOP;
    loop {
        let page = pages.load(&path)?;
        let mut at = 1;
        while at < PAGE_SLOTS && matches!(page.node(at), Node::Inner(_)) {
            let own = 2 * at + usize::from(bit(key, siblings.len()));
            siblings.push(page.node(own ^ 1).hash());
            at = own;
        }
        let leaf = match page.node(at) {
            Node::Inner(_) => {
                path = path.child(path.slot(key));
                continue;
            }
            Node::Empty => None,
            Node::Leaf { key, value } => Some(ProofLeaf {
                key,
                value_hash: value,
            }),
        };
        return Ok(TreeProof { leaf, siblings });
    }
}
