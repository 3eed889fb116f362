mod walk;

pub use walk::{LOCATOR_LEN_MAX, ReorgPath};

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::block::Header;
use crate::hash::BlockHash;
use crate::rules::Verdict;
use crate::units::Height;
use crate::work::Work;

/// A bound on headers off the main chain that suits most chains: some 40 MB (150 bytes a header), and more than six days of 2-second blocks, so
/// that a network split for a week-end heals.
pub const SIDE_HEADERS_MAX: usize = 1 << 18;

/// What fork choice needs of a header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TreeHeader {
    /// The block's hash.
    pub hash: BlockHash,
    /// The hash of the block before.
    pub parent: BlockHash,
    /// The parent's height + 1.
    pub height: Height,
    /// The work of this block alone.
    pub work: Work,
}

impl From<&Header> for TreeHeader {
    fn from(header: &Header) -> Self {
        let claims = header.claims();
        Self {
            hash: header.hash(),
            parent: claims.parent,
            height: claims.height,
            work: claims.work(),
        }
    }
}

/// What became of an inserted header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Insertion {
    /// It was there before.
    Known,
    /// It is in the tree, off the main chain.
    Side,
    /// It is the new tip, perhaps of another branch than before: see [`HeaderTree::reorg_path`].
    Tip,
}

/// All headers not known to be invalid, from a root upwards, and which chain of them is the best.
///
/// The best tip is the header of most cumulative work; at equal work, the one inserted first. The chain from the
/// root to it is the *main chain*, the rest is *side* headers.
///
/// The caller inserts only headers whose own proof of work and target hold (rules 1 to 4 of SPEC.md section 4), so a hostile peer pays
/// for each with work. Yet work on an old fork is cheap, so side headers are bounded: past the bound, the side leaf of
/// least cumulative work makes room for a header of more, and a header of no more is refused. Forgetting a header is
/// harmless: it is unknown again, and can be inserted again.
///
/// `Clone` is deep; insertion, ancestors and forks take O(log n) steps besides the length of a reorganisation.
///
/// Source: SPEC.md section 5.
#[derive(Clone, Debug)]
pub struct HeaderTree {
    /// Slots of the arena; those in `free` hold nothing that anybody points to.
    nodes: Vec<Node>,
    free: Vec<Index>,
    by_hash: BTreeMap<BlockHash, Index>,
    /// The main chain, by height above the root.
    main: Vec<Index>,
    /// Headers without children, weakest first: the last is the tip.
    leaves: BTreeSet<Rank>,
    /// Invalid headers, all their descendants included, and in which order they were found out.
    invalid: BTreeSet<BlockHash>,
    invalid_order: VecDeque<BlockHash>,
    arrivals: u64,
    side_headers_max: usize,
}

type Index = u32;

/// Cumulative work, then how early the header came; the index makes it point back.
type Rank = (Work, Reverse<u64>, Index);

#[derive(Clone, Debug)]
struct Node {
    hash: BlockHash,
    height: u64,
    /// Work from the root to here, both included.
    total: Work,
    arrival: u64,
    /// Itself, for the root.
    parent: Index,
    /// An ancestor further down (see `walk`).
    jump: Index,
    children: u32,
}

impl HeaderTree {
    /// A tree of one header, usually genesis, which can't be invalid. Its `parent` is not looked at.
    ///
    /// Keeps at most `side_headers_max` headers off the main chain (see [`SIDE_HEADERS_MAX`]) and as many hashes of invalid ones; only the main
    /// chain that a reorganisation has just left may exceed that, until the next insertion. A branch that forks more
    /// headers back than this can't be followed.
    #[must_use]
    pub fn new(root: TreeHeader, side_headers_max: usize) -> Self {
        let node = Node {
            hash: root.hash,
            height: root.height.get(),
            total: root.work,
            arrival: 0,
            parent: 0,
            jump: 0,
            children: 0,
        };
        Self {
            leaves: BTreeSet::from([(node.total, Reverse(0), 0)]),
            nodes: vec![node],
            free: Vec::new(),
            by_hash: BTreeMap::from([(root.hash, 0)]),
            main: vec![0],
            invalid: BTreeSet::new(),
            invalid_order: VecDeque::new(),
            arrivals: 0,
            side_headers_max,
        }
    }

    /// Adds a header above one that is known, and moves the tip if it is better.
    ///
    /// # Errors
    /// [`TreeError`]; the tree may have forgotten side headers of less work, nothing else changed.
    pub fn insert(&mut self, header: TreeHeader) -> Result<Insertion, TreeError> {
        if self.by_hash.contains_key(&header.hash) {
            return Ok(Insertion::Known);
        }
        if self.is_invalid(&header.hash) || self.is_invalid(&header.parent) {
            return Err(TreeError::Invalid(header.hash));
        }
        let parent = self.index(&header.parent);
        let parent = parent.ok_or(TreeError::UnknownParent(header.parent))?;
        let above = &self.nodes[parent as usize];
        let (got, want) = (header.height.get(), above.height + 1);
        if got != want {
            return Err(TreeError::Height { got, want });
        }
        if header.work == Work::ZERO {
            return Err(TreeError::NoWork(header.hash));
        }
        let total = above.total.saturating_add(header.work);
        if parent != self.tip_index() {
            self.make_room(parent, total)?;
        }
        let index = self.attach(&header, parent, total);
        self.follow_best();
        Ok(match self.tip_index() == index {
            true => Insertion::Tip,
            false => Insertion::Side,
        })
    }

    /// Forgets a header found to be invalid, and all above it; they are refused from now on. The tip becomes
    /// the best of what is left.
    ///
    /// # Errors
    /// [`TreeError::Unknown`]; [`TreeError::Root`]: the root is valid by definition.
    pub fn invalidate(&mut self, hash: &BlockHash) -> Result<(), TreeError> {
        if self.is_invalid(hash) {
            return Ok(());
        }
        let index = self.index(hash).ok_or(TreeError::Unknown(*hash))?;
        if index == self.main[0] {
            return Err(TreeError::Root);
        }
        if self.is_main_index(index) {
            let keep = self.nodes[index as usize].height - self.root_height();
            self.main.truncate(keep as usize);
        }
        let height = self.nodes[index as usize].height;
        let leaves = self.leaves.iter().map(|rank| rank.2);
        let above = leaves.filter(|&leaf| self.ancestor_index(leaf, height) == Some(index));
        for leaf in above.collect::<Vec<_>>() {
            for hash in self.remove_branch(leaf, height) {
                self.mark_invalid(hash);
            }
        }
        self.follow_best();
        Ok(())
    }

    /// Forgets the branches that leave the main chain below `height`. The main chain stays whole.
    ///
    /// They may be inserted again: this frees memory, it does not make the main chain final.
    pub fn prune(&mut self, height: Height) {
        let tip = self.tip_index();
        let leaves = self.leaves.iter().map(|rank| rank.2);
        let forks = leaves.filter(|&leaf| leaf != tip).map(|leaf| {
            let fork = self.common_index(leaf, tip);
            (leaf, self.nodes[fork as usize].height)
        });
        for (leaf, fork) in forks.collect::<Vec<_>>() {
            if fork < height.get() {
                self.remove_branch(leaf, fork + 1);
            }
        }
    }

    /// Was the header found to be invalid, or is it above one that was?
    #[must_use]
    pub fn is_invalid(&self, hash: &BlockHash) -> bool {
        self.invalid.contains(hash)
    }

    /// How many headers are off the main chain.
    #[must_use]
    pub fn side_len(&self) -> usize {
        self.by_hash.len() - self.main.len()
    }

    /// Drops the weakest side leaves until one more side header fits.
    fn make_room(&mut self, parent: Index, total: Work) -> Result<(), TreeError> {
        while self.side_len() >= self.side_headers_max {
            let tip = self.tip_index();
            let mut leaves = self.leaves.iter().map(|rank| rank.2);
            let weakest = leaves.find(|&leaf| leaf != tip && leaf != parent);
            match weakest.map(|leaf| (leaf, &self.nodes[leaf as usize])) {
                Some((leaf, node)) if node.total < total => {
                    let height = node.height;
                    self.remove_branch(leaf, height);
                }
                _ => {
                    let max = self.side_headers_max;
                    return Err(TreeError::Full { max });
                }
            }
        }
        Ok(())
    }

    fn attach(&mut self, header: &TreeHeader, parent: Index, total: Work) -> Index {
        self.arrivals += 1;
        let node = Node {
            hash: header.hash,
            height: header.height.get(),
            total,
            arrival: self.arrivals,
            parent,
            jump: self.jump_above(parent),
            children: 0,
        };
        self.leaves.remove(&self.rank(parent));
        self.nodes[parent as usize].children += 1;
        let index = match self.free.pop() {
            Some(index) => {
                self.nodes[index as usize] = node;
                index
            }
            None => {
                self.nodes.push(node);
                Index::try_from(self.nodes.len() - 1)
                    .expect("4 billion headers do not fit in memory")
            }
        };
        self.by_hash.insert(header.hash, index);
        self.leaves.insert(self.rank(index));
        index
    }

    /// Removes `leaf` and what it alone stands on, down to `height`; gives their hashes.
    fn remove_branch(&mut self, leaf: Index, height: u64) -> Vec<BlockHash> {
        let mut removed = Vec::new();
        let mut index = leaf;
        loop {
            self.leaves.remove(&self.rank(index));
            let node = &self.nodes[index as usize];
            let (hash, parent, at) = (node.hash, node.parent, node.height);
            self.by_hash.remove(&hash);
            self.free.push(index);
            removed.push(hash);
            let below = &mut self.nodes[parent as usize];
            below.children -= 1;
            if below.children > 0 {
                return removed;
            }
            self.leaves.insert(self.rank(parent));
            if at == height {
                return removed;
            }
            index = parent;
        }
    }

    fn mark_invalid(&mut self, hash: BlockHash) {
        if self.invalid.insert(hash) {
            self.invalid_order.push_back(hash);
        }
        if self.invalid_order.len() > self.side_headers_max.max(1) {
            let oldest = self.invalid_order.pop_front();
            self.invalid.remove(&oldest.expect("longer than one"));
        }
    }

    /// Makes the main chain lead to the best leaf.
    fn follow_best(&mut self) {
        let best = self.leaves.last().expect("the root is never removed").2;
        let mut path = Vec::new();
        let mut index = best;
        while !self.is_main_index(index) {
            path.push(index);
            index = self.nodes[index as usize].parent;
        }
        let keep = self.nodes[index as usize].height - self.root_height() + 1;
        self.main.truncate(keep as usize);
        self.main.extend(path.into_iter().rev());
    }

    fn rank(&self, index: Index) -> Rank {
        let node = &self.nodes[index as usize];
        (node.total, Reverse(node.arrival), index)
    }

    fn index(&self, hash: &BlockHash) -> Option<Index> {
        self.by_hash.get(hash).copied()
    }

    fn tip_index(&self) -> Index {
        *self.main.last().expect("the root is never removed")
    }

    fn root_height(&self) -> u64 {
        self.nodes[self.main[0] as usize].height
    }

    fn is_main_index(&self, index: Index) -> bool {
        let above = self.nodes[index as usize].height - self.root_height();
        self.main.get(above as usize) == Some(&index)
    }
}

/// Why a header is refused, or can't be dropped.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TreeError {
    /// The parent is not in the tree.
    #[error("parent {0} is unknown")]
    UnknownParent(BlockHash),
    /// It, or one below it, was found to be invalid.
    #[error("block {0} is invalid or follows an invalid block")]
    Invalid(BlockHash),
    /// Not one more than the parent's.
    #[error("height {got}, want {want}")]
    Height {
        /// The header's.
        got: u64,
        /// The parent's height + 1.
        want: u64,
    },
    /// Every target stands for some work.
    #[error("block {0} has no work")]
    NoWork(BlockHash),
    /// No room beside the main chain for a header of so little cumulative work.
    #[error("{max} headers off the main chain, each of as much work")]
    Full {
        /// The bound.
        max: usize,
    },
    /// Not in the tree.
    #[error("block {0} is unknown")]
    Unknown(BlockHash),
    /// The root can't be invalid.
    #[error("the root of the tree is valid by definition")]
    Root,
}

impl TreeError {
    /// What the refusal says of who sent the header.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Invalid(_) | Self::Height { .. } | Self::NoWork(_) => Verdict::Reject,
            Self::UnknownParent(_) | Self::Full { .. } | Self::Unknown(_) | Self::Root => {
                Verdict::Ignore
            }
        }
    }

    /// The error's short name, for metrics and the API.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UnknownParent(_) => "unknown_parent",
            Self::Invalid(_) => "invalid_ancestor",
            Self::Height { .. } => "height",
            Self::NoWork(_) => "work",
            Self::Full { .. } => "side_headers",
            Self::Unknown(_) => "unknown_block",
            Self::Root => "root",
        }
    }
}

#[cfg(test)]
mod tests;
