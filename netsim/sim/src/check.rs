//! What must never happen, whatever the network does.

use std::collections::BTreeMap;

use lyceum_node::core::{Chain, ChainError, Imported};
use lyceum_protocol::{
    BatchSeed, BlockClaims, BlockHash, ChainSpec, Height, StateRoot, Timestamp, Work,
};
use lyceum_storage::{Options, Reader, Store, StoreError, Tip};

/// A check has failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Violation {
    /// A node follows a block that no miner of this network has made.
    #[error("UNKNOWN BLOCK: {node} follows {tip}, which nobody has mined")]
    UnknownBlock { node: String, tip: BlockHash },
    /// A block does not stand on one that was mined, at the next height.
    #[error("BROKEN CHAIN: {block} at height {height} does not follow its parent {parent}")]
    BrokenChain {
        block: BlockHash,
        height: Height,
        parent: BlockHash,
    },
    /// Nodes have one tip and two states.
    #[error("STATE ROOT: {node} has the state {got} after {tip}, want {want}")]
    StateRoot {
        node: String,
        tip: BlockHash,
        got: StateRoot,
        want: StateRoot,
    },
    /// A node counts another work than its chain has.
    #[error("WORK: {node} counts {got:?} up to {tip}, want {want:?}")]
    Work {
        node: String,
        tip: BlockHash,
        got: Work,
        want: Work,
    },
    /// A node went over to a chain of less work.
    #[error("LESS WORK: {node} went from a chain of {from:?} to one of {to:?}")]
    LessWork { node: String, from: Work, to: Work },
    /// A node's chain is not valid.
    #[error("INVALID CHAIN: the chain of {node} is refused at height {height}: {why}")]
    InvalidChain {
        node: String,
        height: Height,
        why: String,
    },
    /// The network is whole again, and does not come to agree.
    #[error("LIVENESS: the nodes do not agree within {seconds} s after the faults ended")]
    Liveness { seconds: u64 },
    /// A node has ended by itself.
    #[error("NODE ENDED: {node}: {why}")]
    Ended { node: String, why: String },
}

/// A block that was mined.
struct Known {
    height: Height,
    state_root: StateRoot,
    work: Work,
}

/// Every block of the network, and how far each node is.
pub(crate) struct Checker {
    blocks: BTreeMap<BlockHash, Known>,
    works: BTreeMap<usize, Work>,
}

impl Checker {
    /// Knows a chain's first block.
    pub(crate) fn new(genesis: &Tip) -> Self {
        let known = Known {
            height: genesis.height,
            state_root: genesis.state_root,
            work: genesis.work,
        };
        Self {
            blocks: BTreeMap::from([(genesis.hash, known)]),
            works: BTreeMap::new(),
        }
    }

    /// A block was mined.
    ///
    /// # Errors
    /// [`Violation::BrokenChain`].
    pub(crate) fn mined(&mut self, hash: BlockHash, claims: &BlockClaims) -> Result<(), Violation> {
        let parent = self.blocks.get(&claims.parent);
        let parent = parent.filter(|parent| parent.height.next() == claims.height);
        let work = parent.map(|parent| parent.work.saturating_add(claims.work()));
        let Some(work) = work else {
            return Err(Violation::BrokenChain {
                block: hash,
                height: claims.height,
                parent: claims.parent,
            });
        };
        let known = Known {
            height: claims.height,
            state_root: claims.state_root,
            work,
        };
        self.blocks.insert(hash, known);
        Ok(())
    }

    /// A node has a new tip.
    ///
    /// # Errors
    /// [`Violation`].
    pub(crate) fn follows(&mut self, at: usize, node: &str, tip: &Tip) -> Result<(), Violation> {
        let (node, hash) = (node.to_owned(), tip.hash);
        let Some(known) = self.blocks.get(&hash) else {
            return Err(Violation::UnknownBlock { node, tip: hash });
        };
        if known.state_root != tip.state_root {
            let (got, want) = (tip.state_root, known.state_root);
            let tip = hash;
            return Err(Violation::StateRoot {
                node,
                tip,
                got,
                want,
            });
        }
        if known.work != tip.work {
            let (got, want) = (tip.work, known.work);
            let tip = hash;
            return Err(Violation::Work {
                node,
                tip,
                got,
                want,
            });
        }
        let to = tip.work;
        match self.works.insert(at, to) {
            Some(from) if from.get() > to.get() => Err(Violation::LessWork { node, from, to }),
            _ => Ok(()),
        }
    }
}

/// Checks a node's whole chain anew, in a ledger of its own, as a newcomer would: every signature, target, transaction and state root.
///
/// # Errors
/// [`Violation::InvalidChain`].
pub(crate) fn replay(node: &str, spec: &ChainSpec, reader: &Reader) -> Result<(), Violation> {
    let mut height = Height::ZERO;
    let played = replay_into(spec, reader, &mut height);
    played.map_err(|error| Violation::InvalidChain {
        node: node.to_owned(),
        height,
        why: error.to_string(),
    })
}

fn replay_into(spec: &ChainSpec, reader: &Reader, height: &mut Height) -> anyhow::Result<()> {
    let view = reader.read();
    let tip = view.tip()?.ok_or(StoreError::NoTip)?;
    let mut chain = empty_chain(spec)?;
    while *height < tip.height {
        *height = height.next();
        let line = view.line_at(*height)?;
        let line = line.ok_or_else(|| anyhow::anyhow!("it has no block there"))?;
        let imported = chain.import(&line, Timestamp::MAX)?;
        anyhow::ensure!(
            matches!(imported, Imported::Tip(_)),
            "it does not follow the block before it"
        );
    }
    anyhow::ensure!(chain.tip()? == tip, "it ends elsewhere: {tip:?}");
    Ok(())
}

/// A chain with nothing but its first block, in memory.
///
/// # Errors
/// [`ChainError`], where the chain file makes no genesis.
pub(crate) fn empty_chain(spec: &ChainSpec) -> Result<Chain, ChainError> {
    let open = |spec: &ChainSpec, genesis| Ok(Store::in_memory(spec, genesis, &Options::default()));
    // Unpredictable to nobody, for nobody attacks.
    Chain::open(spec.clone(), open, BatchSeed::new([0; 32]))
}

#[cfg(test)]
mod tests;
