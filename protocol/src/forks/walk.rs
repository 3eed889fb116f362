//! Ways through the tree: ancestors, forks, locators, reorganisation paths.
//!
//! Each header points to its parent and to one ancestor further down, its *jump*. A header's jump is its parent, unless the parent's jump and the
//! jump after that are equally long: then it is where the second ends. Any ancestor is so at most O(log n) steps away,
//! headers of one height have jumps of one length, and no header needs more than one.
//!
//! Source: E. W. Myers, "An applicative random-access stack", Information Processing Letters 17 (1983).

use super::{HeaderTree, Index};
use crate::hash::BlockHash;
use crate::units::Height;
use crate::work::Work;

/// Headers at the tip that a locator lists one by one; then the steps double.
const LOCATOR_DENSE_LEN: usize = 10;

/// The longest locator: below its dense part steps double, and heights have 53 bits.
pub const LOCATOR_LEN_MAX: usize = LOCATOR_DENSE_LEN + 54;

/// How to get from one tip to another.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ReorgPath {
    /// Blocks to undo, the highest first.
    pub disconnect: Vec<BlockHash>,
    /// Blocks to do, the lowest first.
    pub connect: Vec<BlockHash>,
}

impl HeaderTree {
    /// The hash of the best tip.
    #[must_use]
    pub fn tip(&self) -> BlockHash {
        self.hash(self.tip_index())
    }

    /// The height of the best tip.
    #[must_use]
    pub fn tip_height(&self) -> Height {
        self.height(self.tip_index())
    }

    /// The hash of the root.
    #[must_use]
    pub fn root(&self) -> BlockHash {
        self.hash(self.main[0])
    }

    /// Is the header in the tree?
    #[must_use]
    pub fn contains(&self, hash: &BlockHash) -> bool {
        self.by_hash.contains_key(hash)
    }

    /// A known header's height.
    #[must_use]
    pub fn height_of(&self, hash: &BlockHash) -> Option<Height> {
        self.index(hash).map(|index| self.height(index))
    }

    /// Work from the root to a known header, both included.
    #[must_use]
    pub fn total_work(&self, hash: &BlockHash) -> Option<Work> {
        self.index(hash)
            .map(|index| self.nodes[index as usize].total)
    }

    /// The hash at `height` on the main chain.
    #[must_use]
    pub fn main_hash(&self, height: Height) -> Option<BlockHash> {
        let above = height.get().checked_sub(self.root_height())?;
        let index = self.main.get(usize::try_from(above).ok()?)?;
        Some(self.hash(*index))
    }

    /// Is the header on the main chain?
    #[must_use]
    pub fn is_main(&self, hash: &BlockHash) -> bool {
        self.index(hash)
            .is_some_and(|index| self.is_main_index(index))
    }

    /// The ancestor of `hash` at `height`: itself, at its own height; `None` above it or below the root.
    #[must_use]
    pub fn ancestor(&self, hash: &BlockHash, height: Height) -> Option<BlockHash> {
        let ancestor = self.ancestor_index(self.index(hash)?, height.get())?;
        Some(self.hash(ancestor))
    }

    /// The highest header that is below both or one of them; `None` if either is unknown.
    #[must_use]
    pub fn common_ancestor(&self, a: &BlockHash, b: &BlockHash) -> Option<BlockHash> {
        let common = self.common_index(self.index(a)?, self.index(b)?);
        Some(self.hash(common))
    }

    /// What to undo and do to get from `from` to `to`; `None` if either is unknown.
    ///
    /// A former tip may be forgotten by the next insertion or by [`HeaderTree::invalidate`]: ask before.
    #[must_use]
    pub fn reorg_path(&self, from: &BlockHash, to: &BlockHash) -> Option<ReorgPath> {
        let (from, to) = (self.index(from)?, self.index(to)?);
        let common = self.common_index(from, to);
        let mut connect = self.hashes_down_to(to, common);
        connect.reverse();
        Some(ReorgPath {
            disconnect: self.hashes_down_to(from, common),
            connect,
        })
    }

    /// Hashes from a known header down to the root: the ten highest, then in doubling steps, the root last.
    ///
    /// At most [`LOCATOR_LEN_MAX`].
    #[must_use]
    pub fn locator(&self, tip: &BlockHash) -> Option<Vec<BlockHash>> {
        let mut index = self.index(tip)?;
        let root = self.root_height();
        let (mut locator, mut step) = (Vec::new(), 1_u64);
        loop {
            locator.push(self.hash(index));
            let height = self.nodes[index as usize].height;
            if height == root {
                return Some(locator);
            }
            if locator.len() >= LOCATOR_DENSE_LEN {
                step *= 2;
            }
            let below = height.saturating_sub(step).max(root);
            index = self.ancestor_index(index, below)?;
        }
    }

    /// At most `limit` main-chain hashes, ascending, after the first of `locator` that is on the main chain; after the root if none is.
    ///
    /// Looks at [`LOCATOR_LEN_MAX`] hashes only, however long a locator a peer sends.
    #[must_use]
    pub fn first_after_locator(&self, locator: &[BlockHash], limit: usize) -> Vec<BlockHash> {
        let looked_at = locator.iter().take(LOCATOR_LEN_MAX);
        let mut known = looked_at.filter_map(|hash| self.index(hash));
        let start = known.find(|&index| self.is_main_index(index));
        let start = start.unwrap_or(self.main[0]);
        let above = self.nodes[start as usize].height - self.root_height();
        let after = self.main[above as usize..].iter().skip(1).take(limit);
        after.map(|&index| self.hash(index)).collect()
    }

    /// The jump of a header to be put above `parent`.
    pub(super) fn jump_above(&self, parent: Index) -> Index {
        let height = |index: Index| self.nodes[index as usize].height;
        let first = self.nodes[parent as usize].jump;
        let second = self.nodes[first as usize].jump;
        if height(parent) - height(first) == height(first) - height(second) {
            second
        } else {
            parent
        }
    }

    pub(super) fn ancestor_index(&self, mut index: Index, height: u64) -> Option<Index> {
        if height < self.root_height() || height > self.nodes[index as usize].height {
            return None;
        }
        while self.nodes[index as usize].height > height {
            let node = &self.nodes[index as usize];
            let jump = &self.nodes[node.jump as usize];
            index = if jump.height >= height {
                node.jump
            } else {
                node.parent
            };
        }
        Some(index)
    }

    /// Level the two, then go down together: by jumps while these end apart.
    pub(super) fn common_index(&self, a: Index, b: Index) -> Index {
        let height = |index: Index| self.nodes[index as usize].height;
        let level = height(a).min(height(b));
        let leveled = |index| {
            self.ancestor_index(index, level)
                .expect("between the root and the header")
        };
        let (mut a, mut b) = (leveled(a), leveled(b));
        while a != b {
            let (left, right) = (&self.nodes[a as usize], &self.nodes[b as usize]);
            (a, b) = match left.jump == right.jump {
                true => (left.parent, right.parent),
                false => (left.jump, right.jump),
            };
        }
        a
    }

    /// From `index` down to just above `end`, an ancestor.
    fn hashes_down_to(&self, mut index: Index, end: Index) -> Vec<BlockHash> {
        let mut hashes = Vec::new();
        while index != end {
            hashes.push(self.hash(index));
            index = self.nodes[index as usize].parent;
        }
        hashes
    }

    fn hash(&self, index: Index) -> BlockHash {
        self.nodes[index as usize].hash
    }

    fn height(&self, index: Index) -> Height {
        Height::new(self.nodes[index as usize].height).expect("it was a height when inserted")
    }
}
