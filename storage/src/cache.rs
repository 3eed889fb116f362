//! What was read or written of late, in memory, so that blocks need not ask the database again.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use crate::family::Family;
use crate::store::Options;
use crate::tree::{Page, PagePath};

/// Memory for the headers that the next blocks are judged by, in bytes: the median of times asks for eleven of them.
const HEADERS_BYTES: usize = 256 << 10;

/// Values as of the last commit, `None` where there is none, by key; those that were not asked for in a while go.
struct Recent<K> {
    recent: HashMap<K, Option<Box<[u8]>>>,
    /// What was recent before; it goes when `recent` has half of the bound.
    older: HashMap<K, Option<Box<[u8]>>>,
    recent_bytes: usize,
    bytes_max: usize,
}

impl<K: Hash + Eq> Recent<K> {
    /// What an entry takes up beside the bytes of its key and value: its place in a map that is three quarters full, and what the allocator adds.
    const ENTRY_BYTES: usize = size_of::<(K, Option<Box<[u8]>>)>() * 4 / 3 + 16;

    fn new(bytes_max: usize) -> Self {
        Self {
            recent: HashMap::new(),
            older: HashMap::new(),
            recent_bytes: 0,
            bytes_max,
        }
    }

    /// What `read` makes of the value, if it is known; it is recent again.
    fn find<Q: Hash + Eq + ?Sized, R>(
        &mut self,
        key: &Q,
        key_bytes: usize,
        read: impl FnOnce(Option<&[u8]>) -> R,
    ) -> Option<R>
    where
        K: Borrow<Q>,
    {
        if let Some(value) = self.recent.get(key) {
            return Some(read(value.as_deref()));
        }
        let (own, value) = self.older.remove_entry(key)?;
        let found = read(value.as_deref());
        self.keep(own, key_bytes, value);
        Some(found)
    }

    fn keep(&mut self, key: K, key_bytes: usize, value: Option<Box<[u8]>>) {
        let bytes = |value: &Option<Box<[u8]>>| value.as_ref().map_or(0, |value| value.len());
        self.recent_bytes += bytes(&value);
        match self.recent.insert(key, value) {
            Some(before) => self.recent_bytes -= bytes(&before),
            None => self.recent_bytes += key_bytes + Self::ENTRY_BYTES,
        }
        if self.recent_bytes > self.bytes_max / 2 {
            self.older = std::mem::take(&mut self.recent);
            self.recent_bytes = 0;
        }
    }

    fn clear(&mut self) {
        *self = Self::new(self.bytes_max);
    }
}

/// What the writer knows of the last commit. Only its batches read it and build on it; readers have their snapshots.
pub(crate) struct Caches {
    /// Pages of the state tree. Every block touches the upper ones, and each record one at the bottom; reading a page from the
    /// database costs some 20 µs where it is not in memory.
    pages: Recent<PagePath>,
    /// Records, and their counts: no count's prefix is a record's path.
    records: Recent<Box<[u8]>>,
    /// Headers, and the heights of hashes: their keys differ in length.
    headers: Recent<Box<[u8]>>,
}

impl Caches {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            pages: Recent::new(options.tree_cache_bytes),
            records: Recent::new(options.record_cache_bytes),
            headers: Recent::new(HEADERS_BYTES),
        }
    }

    pub(crate) fn page(&mut self, path: &PagePath) -> Option<Box<Page>> {
        let read =
            |page: Option<&[u8]>| page.map_or_else(|| Some(Page::empty()), Page::from_memory);
        self.pages.find(path, 0, read)?
    }

    /// Keeps a page as [`Page::to_memory`] gives it.
    pub(crate) fn keep_page(&mut self, path: PagePath, page: Option<Box<[u8]>>) {
        self.pages.keep(path, 0, page);
    }

    fn family(&mut self, family: Family) -> Option<&mut Recent<Box<[u8]>>> {
        match family {
            Family::Records | Family::Counts => Some(&mut self.records),
            Family::Headers | Family::Heights => Some(&mut self.headers),
            _ => None,
        }
    }

    /// A value, if it is known, or known to be missing.
    pub(crate) fn value(&mut self, family: Family, key: &[u8]) -> Option<Option<Vec<u8>>> {
        let read = |value: Option<&[u8]>| value.map(<[u8]>::to_vec);
        self.family(family)?.find(key, key.len(), read)
    }

    pub(crate) fn keep_value(&mut self, family: Family, key: Box<[u8]>, value: Option<Box<[u8]>>) {
        if let Some(recent) = self.family(family) {
            let key_bytes = key.len();
            recent.keep(key, key_bytes, value);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.pages.clear();
        self.records.clear();
        self.headers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(recent: &mut Recent<Box<[u8]>>, numbers: std::ops::Range<u32>) {
        for number in numbers {
            let key = number.to_be_bytes();
            recent.keep(key.into(), key.len(), Some(vec![7; 100].into()));
        }
    }

    fn bytes(recent: &Recent<Box<[u8]>>) -> usize {
        let entries = recent.recent.iter().chain(&recent.older);
        let entries = entries.map(|(key, value)| key.len() + value.as_ref().map_or(0, |v| v.len()));
        entries.sum()
    }

    #[test]
    fn keeps_what_is_asked_for_within_its_bound() {
        let mut recent = Recent::new(64 << 10);
        fill(&mut recent, 0..1);
        for round in 1..100 {
            fill(&mut recent, round * 100..round * 100 + 100);
            let first = recent.find(&0_u32.to_be_bytes()[..], 4, |value| {
                value.map(<[u8]>::to_vec)
            });
            assert_eq!(first, Some(Some(vec![7; 100])), "round {round}");
            assert!(bytes(&recent) <= 64 << 10);
        }
        let known = |recent: &mut Recent<Box<[u8]>>, number: u32| {
            recent.find(&number.to_be_bytes()[..], 4, |value| value.is_some())
        };
        assert_eq!(known(&mut recent, 1_000), None);
        recent.keep(0_u32.to_be_bytes().into(), 4, None);
        assert_eq!(known(&mut recent, 0), Some(false));
    }

    #[test]
    fn a_bound_of_nothing_keeps_nothing_for_long() {
        let mut recent = Recent::new(0);
        fill(&mut recent, 0..10);
        assert!(recent.recent.is_empty() && recent.older.len() == 1);
        assert!(recent.find(&9_u32.to_be_bytes()[..], 4, |_| ()).is_some());
    }
}
