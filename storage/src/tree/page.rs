use super::{Key, Node, PAGE_DEPTH_MAX, PAGE_SLOTS};

/// The first byte of a page's value.
const PAGE_VERSION: u8 = 1;
/// A page of sixteen subtrees, or of eight leaves.
const PAGE_BYTES_USUAL: usize = 1 + 4 + 16 * 32;

/// Where a page stands: the first half bytes of the keys below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PagePath {
    depth: u8,
    prefix: Key,
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

/// Four levels of the binary tree: the sixteen subtrees at their bottom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) slots: [Node; PAGE_SLOTS],
}

impl Page {
    pub(crate) const EMPTY: Self = Self {
        slots: [Node::Empty; PAGE_SLOTS],
    };

    /// Is there anything below?
    pub(crate) fn is_used(&self) -> bool {
        self.slots.iter().any(|node| *node != Node::Empty)
    }

    /// The value in the database: a version byte, then the page.
    ///
    /// The page is two bit fields of 16 bits, big-endian, slot 0 the lowest bit: which slots are in use, and which of them hold a leaf. Then, slot by
    /// slot, a leaf's key and value hash, or a subtree's hash.
    ///
    /// A leaf stands in its parent's page, not in a value of its own: 64 bytes a record, and one read fewer on the way down.
    pub(crate) fn to_value(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(PAGE_BYTES_USUAL);
        out.push(PAGE_VERSION);
        out.extend([0; 4]);
        let (mut used, mut leaves) = (0_u16, 0_u16);
        for (slot, node) in self.slots.iter().enumerate() {
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
        out
    }

    /// Reads what [`Page::to_value`] wrote; `None` where it did not.
    pub(crate) fn from_value(bytes: &[u8]) -> Option<Self> {
        let (&PAGE_VERSION, bytes) = bytes.split_first()? else {
            return None;
        };
        let (used, rest) = bytes.split_first_chunk::<2>()?;
        let (leaves, mut rest) = rest.split_first_chunk::<2>()?;
        let (used, leaves) = (u16::from_be_bytes(*used), u16::from_be_bytes(*leaves));
        if leaves & !used != 0 {
            return None;
        }
        let mut page = Self::EMPTY;
        for (slot, node) in page.slots.iter_mut().enumerate() {
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
        rest.is_empty().then_some(page)
    }
}
