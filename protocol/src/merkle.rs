use sha2::{Digest, Sha256};

use crate::hash::TxRoot;

type Node = [u8; 32];

/// Computes the RFC 6962 tree hash over transaction tokens, in the block's order.
///
/// Of no tokens it is the SHA-256 of the empty string.
///
/// Source: SPEC.md section 4; RFC 6962 section 2.1.
pub fn tx_root<'a>(tokens: impl IntoIterator<Item = &'a str>) -> TxRoot {
    let leaves: Vec<Node> = tokens.into_iter().map(leaf).collect();
    TxRoot::from_bytes(tree_hash(&leaves))
}

/// A proof that a token stands at a place in a tree: the hashes beside its path, from the leaf up.
///
/// Source: RFC 6962 section 2.1.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// The leaf's place, from 0.
    pub index: usize,
    /// How many leaves the tree has.
    pub leaves: usize,
    /// The sibling hashes, from the leaf up; at most 64.
    pub path: Vec<[u8; 32]>,
}

impl InclusionProof {
    /// Proves the token at `index`; `None` where there is no such token.
    pub fn new<'a>(tokens: impl IntoIterator<Item = &'a str>, index: usize) -> Option<Self> {
        let hashes: Vec<Node> = tokens.into_iter().map(leaf).collect();
        if index >= hashes.len() {
            return None;
        }
        let mut path = Vec::new();
        let (mut rest, mut at) = (hashes.as_slice(), index);
        while rest.len() > 1 {
            let (left, right) = rest.split_at(split(rest.len()));
            if at < left.len() {
                path.push(tree_hash(right));
                rest = left;
            } else {
                path.push(tree_hash(left));
                at -= left.len();
                rest = right;
            }
        }
        path.reverse();
        Some(Self {
            index,
            leaves: hashes.len(),
            path,
        })
    }

    /// Does the proof lead from `token` to `root`?
    pub fn verify(&self, token: &str, root: TxRoot) -> bool {
        if self.index >= self.leaves {
            return false;
        }
        // Walk down to learn on which side each sibling stands, then up to hash.
        let mut sides = Vec::new();
        let (mut at, mut size) = (self.index, self.leaves);
        while size > 1 {
            let left = split(size);
            sides.push(at < left);
            (at, size) = if at < left {
                (at, left)
            } else {
                (at - left, size - left)
            };
        }
        if sides.len() != self.path.len() {
            return false;
        }
        let siblings = sides.into_iter().rev().zip(&self.path);
        let top = siblings.fold(leaf(token), |hash, (is_left, sibling)| {
            if is_left {
                node(&hash, sibling)
            } else {
                node(sibling, &hash)
            }
        });
        TxRoot::from_bytes(top) == root
    }
}

fn leaf(token: &str) -> Node {
    let hash = Sha256::new().chain_update([0]);
    hash.chain_update(token).finalize().into()
}

fn node(left: &Node, right: &Node) -> Node {
    let hash = Sha256::new().chain_update([1]);
    hash.chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// The largest power of two below `n`, which is at least 2.
fn split(n: usize) -> usize {
    1 << (n - 1).ilog2()
}

fn tree_hash(leaves: &[Node]) -> Node {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(&tree_hash(left), &tree_hash(right))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn follows_rfc_6962() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(tx_root([]).to_string(), empty);
        // Source: the leaf hash of the empty string as published with Certificate Transparency.
        let one = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
        assert_eq!(tx_root([""]).to_string(), one);
        let (a, b, c) = (leaf("a"), leaf("b"), leaf("c"));
        let want = node(&node(&a, &b), &c);
        assert_eq!(tx_root(["a", "b", "c"]), TxRoot::from_bytes(want));
    }

    proptest! {
        #[test]
        fn a_proof_holds_for_its_leaf_alone(count in 1_usize..70, at: prop::sample::Index, wrong: prop::sample::Index) {
            let tokens: Vec<String> = (0..count).map(|i| i.to_string()).collect();
            let tokens = || tokens.iter().map(String::as_str);
            let root = tx_root(tokens());
            let index = at.index(count);
            let proof = InclusionProof::new(tokens(), index).unwrap();
            prop_assert!(proof.verify(&index.to_string(), root));
            prop_assert!(!proof.verify("x", root));
            let other = wrong.index(count + 1);
            if other != index {
                let moved = InclusionProof { index: other, ..proof.clone() };
                prop_assert!(!moved.verify(&index.to_string(), root));
            }
            let mut longer = proof.clone();
            longer.path.push([0; 32]);
            prop_assert!(!longer.verify(&index.to_string(), root));
            prop_assert_eq!(InclusionProof::new(tokens(), count), None);
        }
    }
}
