//! What was read or written of late, in memory, so that blocks need not ask the database again.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use crate::family::Family;
use crate::hasher::SeededState;
use crate::store::Options;
use crate::tree::{Page, PagePath};

/// Memory for the headers that the next blocks are judged by, in bytes: the median of times asks for eleven of them.
const HEADERS_BYTES: usize = 256 << 10;

/// How many bytes a thing takes up, beside its place.
trait Bytes {
    fn bytes(&self) -> usize;
}

/// What bytes of many lengths take up, for allocators round up, and can't use all that was freed: a quarter more, as measured.
fn allocated(bytes: usize) -> usize {
    bytes + bytes / 4
}

impl Bytes for Box<[u8]> {
    fn bytes(&self) -> usize {
        allocated(self.len())
    }
}

impl Bytes for Page {
    fn bytes(&self) -> usize {
        allocated(Page::bytes(self))
    }
}

impl<V: Bytes> Bytes for Option<V> {
    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, V::bytes)
    }
}

/// Values as of the last commit, by key; those that were not asked for in a while go.
struct Recent<K, V> {
    recent: HashMap<K, V, SeededState>,
    /// What was recent before; it goes when `recent` has half of the bound.
    older: HashMap<K, V, SeededState>,
    recent_bytes: usize,
    bytes_max: usize,
}

impl<K: Hash + Eq, V: Bytes> Recent<K, V> {
    /// What an entry takes up beside the bytes of its key and value: its place in a map that is between 7/16 and 7/8 full.
    const ENTRY_BYTES: usize = size_of::<(K, V)>() * 3 / 2;

    fn new(bytes_max: usize) -> Self {
        Self {
            recent: HashMap::default(),
            older: HashMap::default(),
            recent_bytes: 0,
            bytes_max,
        }
    }

    /// What `read` makes of the value, if it is known; it is recent again.
    fn find<Q: Hash + Eq + ?Sized, R>(
        &mut self,
        key: &Q,
        key_bytes: usize,
        read: impl FnOnce(&V) -> R,
    ) -> Option<R>
    where
        K: Borrow<Q>,
    {
        if let Some(value) = self.recent.get(key) {
            return Some(read(value));
        }
        let (own, value) = self.older.remove_entry(key)?;
        let found = read(&value);
        self.keep(own, key_bytes, value);
        Some(found)
    }

    /// Gives the value out of the cache, if it is known.
    fn take(&mut self, key: &K, key_bytes: usize) -> Option<V> {
        if let Some(value) = self.recent.remove(key) {
            self.recent_bytes -= value.bytes() + key_bytes + Self::ENTRY_BYTES;
            return Some(value);
        }
        self.older.remove(key)
    }

    fn keep(&mut self, key: K, key_bytes: usize, value: V) {
        self.recent_bytes += value.bytes();
        match self.recent.insert(key, value) {
            Some(before) => self.recent_bytes -= before.bytes(),
            None => self.recent_bytes += key_bytes + Self::ENTRY_BYTES,
        }
        if self.recent_bytes > self.bytes_max / 2 {
            // The next ones will be about as many.
            let recent =
                HashMap::with_capacity_and_hasher(self.recent.len(), SeededState::default());
            self.older = std::mem::replace(&mut self.recent, recent);
            self.recent_bytes = 0;
        }
    }

    fn clear(&mut self) {
        *self = Self::new(self.bytes_max);
    }
}

/// What the writer knows of the last commit. Only its batches read it and build on it; readers have their snapshots.
pub(crate) struct Caches {
    pub(crate) pages: PageCache,
    pub(crate) values: ValueCache,
}

/// How many entries the maps of the last batch had: the next one's start with room for as many.
pub(crate) type Sizes = [usize; Family::ALL.len()];

impl Caches {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            pages: PageCache {
                recent: Recent::new(options.tree_cache_bytes),
                last_batch: 0,
            },
            values: ValueCache {
                last_batch: Sizes::default(),
                records: Recent::new(options.record_cache_bytes),
                headers: Recent::new(HEADERS_BYTES),
            },
        }
    }
}

/// Pages of the state tree. Every block touches the upper ones, and each record one at the bottom; reading a page from the database costs some
/// 20 µs where it is not in memory.
pub(crate) struct PageCache {
    recent: Recent<PagePath, Page>,
    /// How many pages the last batch changed.
    pub(crate) last_batch: usize,
}

impl PageCache {
    /// A copy of a page, if it is known.
    pub(crate) fn page(&self, path: &PagePath) -> Option<Page> {
        let Recent { recent, older, .. } = &self.recent;
        recent.get(path).or_else(|| older.get(path)).cloned()
    }

    /// Gives a page out, to be changed: it comes back by [`PageCache::keep`], or is read anew the next time.
    pub(crate) fn take(&mut self, path: &PagePath) -> Option<Page> {
        self.recent.take(path, 0)
    }

    /// Keeps a page that is committed, or forgets one that is no more.
    pub(crate) fn keep(&mut self, path: PagePath, page: Option<Page>) {
        match page {
            Some(page) => self.recent.keep(path, 0, page),
            None => drop(self.recent.take(&path, 0)),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.recent.clear();
    }
}

type Values = Recent<Box<[u8]>, Option<Box<[u8]>>>;

/// Values of some families, `None` where there is none.
pub(crate) struct ValueCache {
    /// Records, and their counts: no count's prefix is a record's path.
    records: Values,
    /// Headers, and the heights of hashes: their keys differ in length.
    headers: Values,
    pub(crate) last_batch: Sizes,
}

impl ValueCache {
    fn family(&mut self, family: Family) -> Option<&mut Values> {
        match family {
            Family::Records | Family::Counts => Some(&mut self.records),
            Family::Headers | Family::Heights => Some(&mut self.headers),
            _ => None,
        }
    }

    /// A value, if it is known, or known to be missing.
    pub(crate) fn value(&mut self, family: Family, key: &[u8]) -> Option<Option<Vec<u8>>> {
        let read = |value: &Option<Box<[u8]>>| value.as_ref().map(|value| value.to_vec());
        self.family(family)?.find(key, allocated(key.len()), read)
    }

    pub(crate) fn keep(&mut self, family: Family, key: Vec<u8>, value: Option<Vec<u8>>) {
        if let Some(recent) = self.family(family) {
            let key_bytes = allocated(key.len());
            recent.keep(key.into(), key_bytes, value.map(Vec::into_boxed_slice));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.headers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(recent: &mut Values, numbers: std::ops::Range<u32>) {
        for number in numbers {
            let key = number.to_be_bytes();
            recent.keep(key.into(), key.len(), Some(vec![7; 100].into()));
        }
    }

    fn bytes(recent: &Values) -> usize {
        let entries = recent.recent.iter().chain(&recent.older);
        let entries = entries.map(|(key, value)| key.len() + value.bytes());
        entries.sum()
    }

    #[test]
    fn keeps_what_is_asked_for_within_its_bound() {
        let mut recent = Recent::new(64 << 10);
        fill(&mut recent, 0..1);
        for round in 1..100 {
            fill(&mut recent, round * 100..round * 100 + 100);
            let first = recent.find(&0_u32.to_be_bytes()[..], 4, |value| {
                value.as_deref().map(<[u8]>::to_vec)
            });
            assert_eq!(first, Some(Some(vec![7; 100])), "round {round}");
            assert!(bytes(&recent) <= 64 << 10);
        }
        let known = |recent: &mut Values, number: u32| {
            recent.find(&number.to_be_bytes()[..], 4, |value| value.is_some())
        };
        assert_eq!(known(&mut recent, 1_000), None);
        recent.keep(0_u32.to_be_bytes().into(), 4, None);
        assert_eq!(known(&mut recent, 0), Some(false));
    }

    #[test]
    fn what_is_taken_is_gone_and_weighs_nothing() {
        let mut recent = Recent::new(64 << 10);
        fill(&mut recent, 0..200);
        assert!(!recent.older.is_empty());
        for number in 0..200_u32 {
            let key = number.to_be_bytes();
            let taken = recent.take(&key.into(), key.len());
            assert_eq!(taken, Some(Some(vec![7; 100].into())), "{number}");
            assert_eq!(recent.take(&key.into(), key.len()), None);
        }
        assert_eq!(recent.recent_bytes, 0);
    }

    #[test]
    fn a_bound_of_nothing_keeps_nothing_for_long() {
        let mut recent = Recent::new(0);
        fill(&mut recent, 0..10);
        assert!(recent.recent.is_empty() && recent.older.len() == 1);
        assert!(recent.find(&9_u32.to_be_bytes()[..], 4, |_| ()).is_some());
    }
}
