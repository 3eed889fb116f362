use std::hash::{Hash, Hasher};

use super::{EMPTY, INTERNAL, Key, LEAF, Node, PAGE_DEPTH_MAX, PAGE_SLOTS};

/// The first byte of a page's value.
pub(super) const PAGE_VERSION: u8 = 1;
/// What stands before the slots of a page's value: the version, and two bit fields.
pub(super) const HEAD_BYTES: usize = 1 + 2 + 2;
/// Bytes of a hash.
pub(super) const HASH_BYTES: usize = 32;

/// Where a page stands: the first half bytes of the keys below it.
///
/// As it is a key of the database: the depth, then the half bytes, two in a byte, the rest zero.
#[derive(Debug, Clone, Copy, Eq, PartialOrd, Ord)]
pub(crate) struct PagePath([u8; 1 + size_of::<Key>()]);

/// The depth and the first fifteen half bytes or so: hardly a page lies deeper, and a block looks up thousands.
impl Hash for PagePath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let start = self.0.first_chunk();
        state.write_u64(start.map_or(0, |start| u64::from_le_bytes(*start)));
    }
}

/// In two parts, which are compared where they stand; 33 bytes at once are compared by a call.
impl PartialEq for PagePath {
    fn eq(&self, other: &Self) -> bool {
        let ([depth, half_bytes @ ..], [other_depth, other_half_bytes @ ..]) = (&self.0, &other.0);
        depth == other_depth && half_bytes == other_half_bytes
    }
}

impl PagePath {
    /// The page that holds the root.
    pub(crate) const TOP: Self = Self([0; 1 + size_of::<Key>()]);

    /// How many pages stand above it.
    pub(crate) fn depth(&self) -> usize {
        usize::from(self.0[0])
    }

    /// The slot of this page that a key belongs to.
    pub(crate) fn slot(&self, key: &Key) -> usize {
        half_byte(key, self.depth())
    }

    /// The page below a slot.
    pub(crate) fn child(&self, slot: usize) -> Self {
        let depth = self.depth();
        debug_assert!(depth < PAGE_DEPTH_MAX && slot < PAGE_SLOTS);
        let mut child = *self;
        let shift = if depth.is_multiple_of(2) { 4 } else { 0 };
        child.0[1 + depth / 2] |= (slot as u8) << shift;
        child.0[0] += 1;
        child
    }

    /// The slot of the page above that it is below.
    pub(crate) fn own_slot(&self) -> usize {
        let half_bytes = &self.0[1..];
        let last = self.depth() - 1;
        half_byte(half_bytes, last)
    }

    /// The database key: the depth, then the half bytes, the last byte padded with zero. So the few upper pages, which every block touches, are
    /// neighbours.
    pub(crate) fn key(&self) -> &[u8] {
        &self.0[..1 + self.depth().div_ceil(2)]
    }
}

fn half_byte(key: &[u8], at: usize) -> usize {
    let byte = key[at / 2];
    usize::from(if at.is_multiple_of(2) {
        byte >> 4
    } else {
        byte & 15
    })
}

/// The slots below each node above them, one bit each; as in a binary heap node 1 is the whole page, and the two below node `n` are `2n` and
/// `2n + 1`.
const SLOTS_BELOW: [u16; PAGE_SLOTS] = {
    let mut below = [0; PAGE_SLOTS];
    let mut at = 1;
    while at < PAGE_SLOTS {
        let depth = at.ilog2();
        let width = PAGE_SLOTS >> depth;
        let first = (at - (1 << depth)) * width;
        below[at] = (((1_u32 << width) - 1) << first) as u16;
        at += 1;
    }
    below
};

/// The nodes above the slots, by their height, one bit each; the lowest first, for those above are hashed from them.
pub(crate) const HEIGHTS: [u16; 4] = [0xff00, 0x00f0, 0x000c, 0x0002];

/// Which slots of a page hold what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Shape {
    /// Slots that are not empty, slot 0 the lowest bit.
    pub(super) used: u16,
    /// Those of them that hold one record.
    pub(super) leaves: u16,
}

impl Shape {
    /// Are all leaves in use?
    pub(super) fn is_sound(self) -> bool {
        self.leaves & !self.used == 0
    }

    /// Of some of the slots alone.
    pub(super) fn of(self, slots: u16) -> Self {
        Self {
            used: self.used & slots,
            leaves: self.leaves & slots,
        }
    }

    /// Does a node above the slots have a hash of its own? A subtree of at most one record is that record.
    fn is_inner(self, at: usize) -> bool {
        let used = self.used & SLOTS_BELOW[at];
        used.count_ones() > 1 || used & !self.leaves != 0
    }

    /// The nodes above the slots that have a hash of their own, one bit each.
    fn inners(self) -> u16 {
        (1..PAGE_SLOTS).fold(0, |inners, at| inners | u16::from(self.is_inner(at)) << at)
    }

    /// How many hashes some of the slots hold.
    pub(super) fn hashes(self, slots: u16) -> usize {
        let Self { used, leaves } = self.of(slots);
        (u32::from(used) << 16 | u32::from(leaves)).count_ones() as usize
    }

    /// Where a slot's bytes start in the page, and how many they are.
    fn place(self, slot: usize) -> (usize, usize) {
        let start = HEAD_BYTES + HASH_BYTES * self.hashes((1 << slot) - 1);
        let used = self.used >> slot & 1;
        let leaf = self.leaves >> slot & 1;
        (start, HASH_BYTES * usize::from(used + leaf))
    }

    /// The length of the page's value.
    pub(super) fn value_len(self) -> usize {
        HEAD_BYTES + HASH_BYTES * self.hashes(u16::MAX)
    }

    fn with(self, slot: usize, node: &Node) -> Self {
        let bit = 1 << slot;
        let (is_used, is_leaf) = match node {
            Node::Empty => (false, false),
            Node::Leaf { .. } => (true, true),
            Node::Inner(_) => (true, false),
        };
        Self {
            used: self.used & !bit | u16::from(is_used) << slot,
            leaves: self.leaves & !bit | u16::from(is_leaf) << slot,
        }
    }
}

/// Four levels of the binary tree: the sixteen subtrees at their bottom, and the fifteen nodes above them.
///
/// It is changed as it lies in memory: its value in the database, and behind that the hashes of the nodes above the slots. A node above is hashed
/// once, and again where something below it changed: of a page that one record changes, four nodes.
///
/// The value is a version byte; two bit fields of 16 bits, big-endian, slot 0 the lowest bit: which slots are in use, and which of them hold a
/// leaf; then, slot by slot, a leaf's key and value hash, or a subtree's hash. A leaf stands in its parent's page, not in a value of its own: 64
/// bytes a record, and one read fewer on the way down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// The value, then the hash of each node of `inners`, the lowest first.
    bytes: Box<[u8]>,
    shape: Shape,
    /// The nodes above the slots that have a hash of their own, one bit each.
    inners: u16,
    /// Which of them have to be hashed anew.
    stale: u16,
    /// The slots that are not as the database has them, one bit each.
    changed: u16,
}

impl Page {
    /// A page without records.
    pub(crate) fn empty() -> Self {
        Self {
            bytes: Box::new([PAGE_VERSION, 0, 0, 0, 0]),
            shape: Shape::default(),
            inners: 0,
            stale: 0,
            changed: u16::MAX,
        }
    }

    /// A subtree at the bottom.
    pub(crate) fn slot(&self, slot: usize) -> Node {
        let (hashes, _) = self.slot_bytes(slot).as_chunks::<HASH_BYTES>();
        match *hashes {
            [key, value] => Node::Leaf { key, value },
            [hash] => Node::Inner(hash),
            _ => Node::Empty,
        }
    }

    /// Nothing, a subtree's hash, or a leaf's key and value hash.
    pub(super) fn slot_bytes(&self, slot: usize) -> &[u8] {
        let (start, length) = self.shape.place(slot);
        &self.bytes[start..start + length]
    }

    /// Changes a subtree at the bottom. [`Page::fold_at`] brings the nodes above it up to date.
    pub(crate) fn set(&mut self, slot: usize, node: &Node) {
        if self.slot(slot) == *node {
            return;
        }
        let shape = self.shape.with(slot, node);
        if shape != self.shape {
            self.reshape(shape, slot);
        }
        let (start, length) = shape.place(slot);
        let place = &mut self.bytes[start..start + length];
        match node {
            Node::Empty => {}
            Node::Leaf { key, value } => {
                place[..HASH_BYTES].copy_from_slice(key);
                place[HASH_BYTES..].copy_from_slice(value);
            }
            Node::Inner(hash) => place.copy_from_slice(hash),
        }
        let at = PAGE_SLOTS + slot;
        self.stale |= 1 << (at / 2) | 1 << (at / 4) | 1 << (at / 8) | 1 << (at / 16);
        self.stale &= self.inners;
        self.changed |= 1 << slot;
    }

    /// Makes room for another shape that differs in one slot; that slot's bytes, and the hashes of the nodes above it, mean nothing then.
    fn reshape(&mut self, shape: Shape, slot: usize) {
        let inners = shape.inners();
        let mut bytes =
            Vec::with_capacity(shape.value_len() + HASH_BYTES * inners.count_ones() as usize);
        let (start, old_length) = self.shape.place(slot);
        let (_, length) = shape.place(slot);
        bytes.extend_from_slice(&self.bytes[..start]);
        bytes.resize(start + length, 0);
        bytes.extend_from_slice(&self.bytes[start + old_length..self.shape.value_len()]);
        bytes[1..3].copy_from_slice(&shape.used.to_be_bytes());
        bytes[3..HEAD_BYTES].copy_from_slice(&shape.leaves.to_be_bytes());
        for at in (1..PAGE_SLOTS).filter(|at| inners & 1 << at != 0) {
            match self.inners & 1 << at {
                0 => bytes.extend([0; HASH_BYTES]),
                _ => bytes.extend_from_slice(&self.bytes[self.hash_place(at)]),
            }
        }
        self.bytes = bytes.into_boxed_slice();
        (self.shape, self.inners) = (shape, inners);
    }

    /// Where the hash of a node of `inners` stands: counted from the end.
    fn hash_place(&self, at: usize) -> std::ops::Range<usize> {
        let from_end = (self.inners >> at).count_ones() as usize;
        let start = self.bytes.len() - HASH_BYTES * from_end;
        start..start + HASH_BYTES
    }

    /// Hashes the nodes of one of [`HEIGHTS`], where something below them changed: the heights come in their order.
    pub(crate) fn fold_at(&mut self, height: u16) {
        let mut stale = self.stale & height;
        self.stale ^= stale;
        while stale != 0 {
            let at = stale.trailing_zeros() as usize;
            let mut bytes = INTERNAL;
            self.copy_hash(2 * at, bytes.left());
            self.copy_hash(2 * at + 1, bytes.right());
            let place = self.hash_place(at);
            self.bytes[place].copy_from_slice(&bytes.hash());
            stale &= stale - 1;
        }
    }

    /// The hash of a node, as [`Page::node`] gives it, with fewer moves.
    fn copy_hash(&self, at: usize, to: &mut [u8]) {
        let lone = match at.checked_sub(PAGE_SLOTS) {
            Some(slot) => self.shape.used & 1 << slot,
            None if self.inners & 1 << at != 0 => {
                return to.copy_from_slice(&self.bytes[self.hash_place(at)]);
            }
            None => self.shape.used & SLOTS_BELOW[at],
        };
        if lone == 0 {
            return to.copy_from_slice(&EMPTY);
        }
        let (start, length) = self.shape.place(lone.trailing_zeros() as usize);
        let (hashes, _) = self.bytes[start..start + length].as_chunks();
        match hashes {
            [key, value] => to.copy_from_slice(&LEAF.hash_pair(key, value)),
            hash => to.copy_from_slice(hash.as_flattened()),
        }
    }

    /// A node of a folded page, by its number in the heap; the slots come last.
    pub(crate) fn node(&self, at: usize) -> Node {
        if at >= PAGE_SLOTS {
            return self.slot(at - PAGE_SLOTS);
        }
        debug_assert!(self.stale & 1 << at == 0, "folded");
        if self.inners & 1 << at != 0 {
            let mut hash = [0; HASH_BYTES];
            hash.copy_from_slice(&self.bytes[self.hash_place(at)]);
            return Node::Inner(hash);
        }
        match self.shape.used & SLOTS_BELOW[at] {
            0 => Node::Empty,
            lone => self.slot(lone.ilog2() as usize),
        }
    }

    /// The whole of a folded page.
    pub(crate) fn top(&self) -> Node {
        self.node(1)
    }

    /// Is there anything below?
    pub(crate) fn is_used(&self) -> bool {
        self.shape.used != 0
    }

    /// What the page takes up, beside its place.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The value in the database.
    pub(crate) fn value(&self) -> &[u8] {
        &self.bytes[..self.shape.value_len()]
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// The slots that are not as the database has them, one bit each; all, where it does not have the page.
    pub(super) fn changed(&self) -> u16 {
        self.changed
    }

    /// It is written: the database has it as it is.
    pub(crate) fn written(&mut self) {
        self.changed = 0;
    }

    /// Reads what [`Page::value`] gave, and folds it; `None` where it did not.
    pub(crate) fn from_value(value: &[u8]) -> Option<Self> {
        let (head, _) = value.split_first_chunk::<HEAD_BYTES>()?;
        let [PAGE_VERSION, a, b, c, d] = *head else {
            return None;
        };
        let shape = Shape {
            used: u16::from_be_bytes([a, b]),
            leaves: u16::from_be_bytes([c, d]),
        };
        if !shape.is_sound() || value.len() != shape.value_len() {
            return None;
        }
        let inners = shape.inners();
        let length = value.len() + HASH_BYTES * inners.count_ones() as usize;
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(value);
        bytes.resize(length, 0);
        let mut page = Self {
            bytes: bytes.into_boxed_slice(),
            shape,
            inners,
            stale: inners,
            changed: 0,
        };
        for height in HEIGHTS {
            page.fold_at(height);
        }
        Some(page)
    }
}
