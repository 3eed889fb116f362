//! Blocks whose parent has not come yet.

use std::collections::{HashMap, VecDeque};

use lyceum_protocol::BlockHash;

/// The most orphans held: more than a peer that is a little ahead sends at once.
pub const ORPHANS_MAX: usize = 256;
/// The most bytes of orphans held; at least one block of any size fits.
pub const ORPHAN_BYTES_MAX: usize = 32 << 20;

const _: () = assert!(ORPHAN_BYTES_MAX as u64 >= lyceum_protocol::BLOCK_BYTES_LIMIT);

/// Blocks by the parent they wait for; the oldest make room for new ones.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    by_parent: HashMap<BlockHash, Vec<String>>,
    /// Parents and lengths in the order of arrival; those taken since are skipped.
    order: VecDeque<(BlockHash, usize)>,
    count: usize,
    bytes: usize,
}

impl Orphans {
    /// Holds a line, once.
    pub(super) fn hold(&mut self, parent: BlockHash, line: &str) {
        let siblings = self.by_parent.entry(parent).or_default();
        if siblings.iter().any(|held| held == line) {
            return;
        }
        siblings.push(line.to_owned());
        self.order.push_back((parent, line.len()));
        self.count += 1;
        self.bytes += line.len();
        while self.count > ORPHANS_MAX || self.bytes > ORPHAN_BYTES_MAX {
            self.drop_oldest();
        }
    }

    /// Takes those that wait for `parent`.
    pub(super) fn take(&mut self, parent: &BlockHash) -> Vec<String> {
        let lines = self.by_parent.remove(parent).unwrap_or_default();
        self.count -= lines.len();
        self.bytes -= lines.iter().map(String::len).sum::<usize>();
        self.order.retain(|(waits_for, _)| waits_for != parent);
        lines
    }

    fn drop_oldest(&mut self) {
        let Some((parent, bytes)) = self.order.pop_front() else {
            return;
        };
        let siblings = self.by_parent.entry(parent).or_default();
        siblings.remove(0);
        if siblings.is_empty() {
            self.by_parent.remove(&parent);
        }
        self.count -= 1;
        self.bytes -= bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_make_room() {
        let mut orphans = Orphans::default();
        let parent = |i: usize| BlockHash::of(&i.to_le_bytes());
        for i in 0..ORPHANS_MAX + 10 {
            orphans.hold(parent(i / 2), &i.to_string());
            orphans.hold(parent(i / 2), &i.to_string());
        }
        assert_eq!(orphans.count, ORPHANS_MAX);
        assert!(orphans.take(&parent(4)).is_empty());
        assert_eq!(orphans.take(&parent(5)), ["10", "11"]);
        assert!(orphans.take(&parent(5)).is_empty());
        let large = "x".repeat(ORPHAN_BYTES_MAX);
        orphans.hold(parent(0), &large);
        assert_eq!((orphans.count, orphans.bytes), (1, large.len()));
    }
}
