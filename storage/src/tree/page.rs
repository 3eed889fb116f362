use std::hash::{Hash, Hasher};

use super::{Key, Node, PAGE_DEPTH_MAX, PAGE_SLOTS, hash_internal};

/// The first byte of a page's value.
const PAGE_VERSION: u8 = 1;
/// A page of sixteen subtrees, or of eight leaves.
const PAGE_BYTES_USUAL: usize = 1 + 4 + 16 * 32;

/// Where a page stands: the first half bytes of the keys below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PagePath {
    depth: u8,
    prefix: Key,
}

/// The depth and the first sixteen half bytes: hardly a page lies deeper, and a block looks up thousands.
impl Hash for PagePath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let start = self
            .prefix
            .first_chunk()
            .map(|start| u64::from_le_bytes(*start));
        state.write_u64(start.unwrap_or_default());
        state.write_u8(self.depth);
    }
}

impl PagePath {
    /// The page that holds the root.
    pub(crate) const TOP: Self = Self {
        depth: 0,
        prefix: [0; 32],
    };

    /// How many pages stand above it.
    pub(crate) fn depth(&self) -> usize {
        usize::from(self.depth)
    }

    /// The slot of this page that a key belongs to.
    pub(crate) fn slot(&self, key: &Key) -> usize {
        half_byte(key, self.depth())
    }

    /// The page below a slot.
    pub(crate) fn child(&self, slot: usize) -> Self {
        debug_assert!(self.depth() < PAGE_DEPTH_MAX && slot < PAGE_SLOTS);
        let mut prefix = self.prefix;
        let shift = if self.depth.is_multiple_of(2) { 4 } else { 0 };
        prefix[self.depth() / 2] |= (slot as u8) << shift;
        Self {
            depth: self.depth + 1,
            prefix,
        }
    }

    /// The database key: the depth, then the half bytes, two in a byte, the last one padded with zero. So the few upper pages, which
    /// every block touches, are neighbours.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut key = vec![self.depth];
        key.extend_from_slice(&self.prefix[..self.depth().div_ceil(2)]);
        key
    }
}

fn half_byte(key: &Key, at: usize) -> usize {
    let byte = key[at / 2];
    usize::from(if at.is_multiple_of(2) {
        byte >> 4
    } else {
        byte & 15
    })
}

/// Four levels of the binary tree: the sixteen subtrees at their bottom, and the fifteen above them.
///
/// A node above is hashed once, and again where something below it changed: of a page that one record changes, four nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// As in a binary heap: node 1 is the whole page, the two below node `n` are `2n` and `2n + 1`; the slots come last.
    nodes: [Node; 2 * PAGE_SLOTS],
    /// Which of the nodes above the slots have to be made anew, one bit each.
    stale: u32,
}

impl Page {
    const EMPTY: Self = Self {
        nodes: [Node::Empty; 2 * PAGE_SLOTS],
        stale: 0,
    };

    /// On the heap from the start: a page is some two kilobytes.
    pub(crate) fn empty() -> Box<Self> {
        Box::new(Self::EMPTY)
    }

    /// The subtrees at the bottom.
    pub(crate) fn slots(&self) -> &[Node] {
        &self.nodes[PAGE_SLOTS..]
    }

    /// Changes a subtree at the bottom. [`Page::fold`] brings the nodes above it up to date.
    pub(crate) fn set(&mut self, slot: usize, node: Node) {
        let mut at = PAGE_SLOTS + slot;
        if self.nodes[at] == node {
            return;
        }
        self.nodes[at] = node;
        while at > 1 {
            at /= 2;
            self.stale |= 1 << at;
        }
    }

    /// Makes the nodes above the slots, where something below them changed.
    pub(crate) fn fold(&mut self) {
        while self.stale != 0 {
            // The lowest first: children have the larger numbers.
            let at = self.stale.ilog2() as usize;
            self.nodes[at] = join(&self.nodes[2 * at], &self.nodes[2 * at + 1]);
            self.stale ^= 1 << at;
        }
    }

    /// A node of a folded page, by its number in the heap.
    pub(crate) fn node(&self, at: usize) -> &Node {
        debug_assert!(self.stale == 0, "folded");
        &self.nodes[at]
    }

    /// The whole of a folded page.
    pub(crate) fn top(&self) -> Node {
        *self.node(1)
    }

    /// Is there anything below?
    pub(crate) fn is_used(&self) -> bool {
        self.slots().iter().any(|node| *node != Node::Empty)
    }

    /// The value in the database: a version byte, then the page.
    ///
    /// The page is two bit fields of 16 bits, big-endian, slot 0 the lowest bit: which slots are in use, and which of them hold a leaf. Then, slot by
    /// slot, a leaf's key and value hash, or a subtree's hash.
    ///
    /// A leaf stands in its parent's page, not in a value of its own: 64 bytes a record, and one read fewer on the way down.
    fn write_value(&self, out: &mut Vec<u8>) {
        out.push(PAGE_VERSION);
        out.extend([0; 4]);
        let (mut used, mut leaves) = (0_u16, 0_u16);
        for (slot, node) in self.slots().iter().enumerate() {
            let bit = 1 << slot;
            match node {
                Node::Empty => continue,
                Node::Leaf { key, value } => {
                    leaves |= bit;
                    out.extend(key);
                    out.extend(value);
                }
                Node::Inner(hash) => out.extend(hash),
            }
            used |= bit;
        }
        out[1..3].copy_from_slice(&used.to_be_bytes());
        out[3..5].copy_from_slice(&leaves.to_be_bytes());
    }

    /// Reads what [`Page::write_value`] wrote, and folds it; `None` where it did not.
    pub(crate) fn from_value(bytes: &[u8]) -> Option<Box<Self>> {
        let (mut page, rest) = Self::read_slots(bytes)?;
        page.stale = (1 << PAGE_SLOTS) - 2;
        page.fold();
        rest.is_empty().then_some(page)
    }

    /// The page as it is kept in memory: its value, then the hashes of the nodes above the slots; also the length of its value.
    pub(crate) fn to_memory(&self) -> (Box<[u8]>, usize) {
        let mut out = Vec::with_capacity(PAGE_BYTES_USUAL + PAGE_SLOTS * 32);
        self.write_value(&mut out);
        let value_len = out.len();
        for at in 1..PAGE_SLOTS {
            if let Node::Inner(hash) = self.node(at) {
                out.extend(hash);
            }
        }
        (out.into_boxed_slice(), value_len)
    }

    /// Reads what [`Page::to_memory`] wrote, without hashing; `None` where it did not.
    pub(crate) fn from_memory(bytes: &[u8]) -> Option<Box<Self>> {
        let (mut page, rest) = Self::read_slots(bytes)?;
        let (hashes, []) = rest.as_chunks::<32>() else {
            return None;
        };
        let mut hashes = hashes.iter().rev();
        for at in (1..PAGE_SLOTS).rev() {
            page.nodes[at] = match lone(&page.nodes[2 * at], &page.nodes[2 * at + 1]) {
                Some(node) => node,
                None => Node::Inner(*hashes.next()?),
            };
        }
        Some(page)
    }

    /// Reads the slots; the nodes above are left empty.
    fn read_slots(bytes: &[u8]) -> Option<(Box<Self>, &[u8])> {
        let (&PAGE_VERSION, bytes) = bytes.split_first()? else {
            return None;
        };
        let (used, rest) = bytes.split_first_chunk::<2>()?;
        let (leaves, mut rest) = rest.split_first_chunk::<2>()?;
        let (used, leaves) = (u16::from_be_bytes(*used), u16::from_be_bytes(*leaves));
        if leaves & !used != 0 {
            return None;
        }
        let mut page = Self::empty();
        for (slot, node) in page.nodes[PAGE_SLOTS..].iter_mut().enumerate() {
            let bit = 1 << slot;
            if used & bit == 0 {
                continue;
            }
            let (hash, after) = rest.split_first_chunk::<32>()?;
            rest = after;
            *node = Node::Inner(*hash);
            if leaves & bit != 0 {
                let (value, after) = rest.split_first_chunk::<32>()?;
                rest = after;
                *node = Node::Leaf {
                    key: *hash,
                    value: *value,
                };
            }
        }
        Some((page, rest))
    }
}

/// The node over two, where it needs no hash: a subtree of at most one record is that record.
fn lone(left: &Node, right: &Node) -> Option<Node> {
    match (left, right) {
        (Node::Empty, Node::Empty) => Some(Node::Empty),
        (leaf @ Node::Leaf { .. }, Node::Empty) | (Node::Empty, leaf @ Node::Leaf { .. }) => {
            Some(*leaf)
        }
        _ => None,
    }
}

/// The node over two.
fn join(left: &Node, right: &Node) -> Node {
    lone(left, right).unwrap_or_else(|| Node::Inner(hash_internal(&left.hash(), &right.hash())))
}
