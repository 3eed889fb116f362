//! What changed of a page, as it is written: a large state's pages take up some 600 bytes each, of which a block changes 32 or 64.
//!
//! A patch's bytes: a version byte, 2; three bit fields of 16 bits, big-endian, slot 0 the lowest bit: the slots that it tells of, those of them
//! that are in use, and those that hold a leaf; then, slot by slot, a leaf's key and value hash, or a subtree's hash. Of two patches the later
//! one holds for a slot that both tell of.

use super::page::{HASH_BYTES, HEAD_BYTES, PAGE_VERSION, Shape};
use super::{PAGE_SLOTS, Page};

/// The first byte of a patch.
const PATCH_VERSION: u8 = 2;
/// What stands before the slots of a patch: the version, and three bit fields.
const PATCH_HEAD_BYTES: usize = 1 + 3 * size_of::<u16>();

/// Subtrees at the bottom of a page: all of them, or those that a patch tells of.
struct Slots<'v> {
    told: u16,
    shape: Shape,
    /// Of each slot nothing, a hash, or a leaf's two.
    bytes: [&'v [u8]; PAGE_SLOTS],
}

impl<'v> Slots<'v> {
    /// Reads the value of a page, or a patch; `None` where it is neither.
    fn read(bytes: &'v [u8]) -> Option<Self> {
        let (told, rest) = match *bytes.first()? {
            PAGE_VERSION => (u16::MAX, &bytes[1..]),
            PATCH_VERSION => bit_field(&bytes[1..])?,
            _ => return None,
        };
        let (used, rest) = bit_field(rest)?;
        let (leaves, mut rest) = bit_field(rest)?;
        let shape = Shape { used, leaves };
        if shape != shape.of(told) || !shape.is_sound() {
            return None;
        }
        let mut slots = [&rest[..0]; PAGE_SLOTS];
        for (slot, bytes) in slots.iter_mut().enumerate() {
            (*bytes, rest) = rest.split_at_checked(HASH_BYTES * shape.hashes(1 << slot))?;
        }
        rest.is_empty().then_some(Self {
            told,
            shape,
            bytes: slots,
        })
    }

    /// What stands after the slots of another, which came later.
    fn then(&mut self, later: &Self) {
        let kept = self.shape.of(!later.told);
        self.told |= later.told;
        self.shape = Shape {
            used: kept.used | later.shape.used,
            leaves: kept.leaves | later.shape.leaves,
        };
        for slot in (0..PAGE_SLOTS).filter(|slot| later.told & 1 << slot != 0) {
            self.bytes[slot] = later.bytes[slot];
        }
    }

    /// All of some in turn, the earliest first.
    fn all(mut self, later: impl Iterator<Item = &'v [u8]>) -> Option<Self> {
        for later in later {
            self.then(&Self::read(later)?);
        }
        Some(self)
    }

    fn value(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(self.shape.value_len());
        value.push(PAGE_VERSION);
        self.write_to(&mut value);
        value
    }

    fn patch_to(&self, out: &mut Vec<u8>) {
        out.push(PATCH_VERSION);
        out.extend(self.told.to_be_bytes());
        self.write_to(out);
    }

    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend(self.shape.used.to_be_bytes());
        out.extend(self.shape.leaves.to_be_bytes());
        for bytes in &self.bytes {
            out.extend_from_slice(bytes);
        }
    }
}

fn bit_field(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (field, rest) = bytes.split_first_chunk()?;
    Some((u16::from_be_bytes(*field), rest))
}

/// A page's value after some patches, the earliest first. `None` where there is no such page, or these are no patches of one.
pub(crate) fn patched<'v>(
    value: Option<&'v [u8]>,
    patches: impl Iterator<Item = &'v [u8]>,
) -> Option<Vec<u8>> {
    let page = Slots::read(value?)?;
    if page.told != u16::MAX {
        return None;
    }
    Some(page.all(patches)?.value())
}

/// Several patches of a page as one, the earliest first.
pub(crate) fn joined<'v>(mut patches: impl Iterator<Item = &'v [u8]>) -> Option<Vec<u8>> {
    let first = Slots::read(patches.next()?)?;
    let mut patch = Vec::new();
    first.all(patches)?.patch_to(&mut patch);
    Some(patch)
}

/// Adds what changed of a page to `out`, where that is less than half of its value.
pub(super) fn write_patch(page: &Page, out: &mut Vec<u8>) {
    let told = page.changed();
    let shape = page.shape().of(told);
    let length = PATCH_HEAD_BYTES - HEAD_BYTES + shape.value_len();
    if 2 * length >= page.value().len() {
        return;
    }
    let slots = std::array::from_fn(|slot| match told >> slot & 1 {
        0 => &[][..],
        _ => page.slot_bytes(slot),
    });
    let patch = Slots {
        told,
        shape,
        bytes: slots,
    };
    patch.patch_to(out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tree::Node;

    /// What some slots are set to.
    fn sets() -> impl Strategy<Value = Vec<(usize, Node)>> {
        let node = prop_oneof![
            Just(Node::Empty),
            any::<[u8; 32]>().prop_map(Node::Inner),
            any::<[u8; 32]>().prop_map(|value| Node::Leaf { key: value, value }),
        ];
        proptest::collection::vec((0..PAGE_SLOTS, node), 0..5)
    }

    fn patch_of(page: &Page) -> Option<Vec<u8>> {
        let mut patch = Vec::new();
        write_patch(page, &mut patch);
        (!patch.is_empty()).then_some(patch)
    }

    proptest! {
        #[test]
        fn patches_lead_from_each_value_to_the_next(
            first in proptest::collection::vec(any::<[u8; 32]>(), PAGE_SLOTS),
            rounds in proptest::collection::vec(sets(), 1..5),
        ) {
            let mut page = Page::empty();
            for (slot, hash) in first.into_iter().enumerate() {
                page.set(slot, &Node::Inner(hash));
            }
            prop_assert_eq!(patch_of(&page), None, "it is nowhere yet");
            page.written();
            let start = page.value().to_vec();
            let mut patches = Vec::new();
            for sets in &rounds {
                let before = page.value().to_vec();
                for (slot, node) in sets {
                    page.set(*slot, node);
                }
                let Some(patch) = patch_of(&page) else {
                    // It pays no more to write the difference.
                    return Ok(());
                };
                page.written();
                let one = [&patch[..]].into_iter();
                prop_assert_eq!(patched(Some(&before), one), Some(page.value().to_vec()));
                patches.push(patch);
            }
            let all = || patches.iter().map(Vec::as_slice);
            prop_assert_eq!(patched(Some(&start), all()), Some(page.value().to_vec()));
            let (early, late) = patches.split_at(patches.len() / 2);
            let join = |part: &[Vec<u8>]| joined(part.iter().map(Vec::as_slice));
            let halves: Vec<_> = [join(early), join(late)].into_iter().flatten().collect();
            let halves = halves.iter().map(Vec::as_slice);
            prop_assert_eq!(patched(Some(&start), halves), Some(page.value().to_vec()));
        }

        #[test]
        fn no_bytes_are_too_strange(
            value in proptest::collection::vec(any::<u8>(), 0..120),
            version in 0..4_u8,
        ) {
            let bytes = [&[version], &value[..]].concat();
            let one = || [&bytes[..]].into_iter();
            if let Some(value) = patched(Some(&bytes), std::iter::empty()) {
                prop_assert!(Page::from_value(&value).is_some());
                prop_assert_eq!(&value, &bytes);
            }
            if let Some(patch) = joined(one()) {
                prop_assert_eq!(&patch, &bytes);
            }
            prop_assert_eq!(patched(None, one()), None);
        }
    }

    #[test]
    fn what_is_no_patch_is_refused() {
        let empty = Page::empty().value().to_vec();
        let after = |patch: &[u8]| patched(Some(&empty), [patch].into_iter());
        let hash = [7; HASH_BYTES];
        let good = [&[2, 0, 3, 0, 1, 0, 0], &hash[..]].concat();
        assert_eq!(after(&good), Some([&[1, 0, 1, 0, 0], &hash[..]].concat()));
        assert_eq!(after(&good[..good.len() - 1]), None);
        assert_eq!(after(&[&good[..], &[0]].concat()), None);
        // A slot that it does not tell of; a leaf in no slot; a later version; nothing.
        assert_eq!(after(&[&[2, 0, 2, 0, 1, 0, 0], &hash[..]].concat()), None);
        assert_eq!(after(&[&[2, 0, 3, 0, 0, 0, 1], &hash[..]].concat()), None);
        assert_eq!(after(&[&[3], &good[1..]].concat()), None);
        assert_eq!(after(&[]), None);
        // A patch of a patch is no page.
        assert_eq!(patched(Some(&good), std::iter::empty()), None);
    }
}
