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

impl Bytes for PagePath {
    fn bytes(&self) -> usize {
        0
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

/// When there is no room, such a part of it is made free at once: each time it is looked for from the start of a map.
const EVICTED_PART: usize = 16;
/// When no more than such a part of a map is left, the rest goes, too.
const SPARSE_PART: usize = 8;

/// Values as of the last commit, by key. Where there is no room for more, some go that were not asked for in a while.
struct Recent<K, V> {
    recent: HashMap<K, V, SeededState>,
    /// What was recent before, and was not asked for since. Of an entry of both maps `recent` has the one that is right: when that comes here, what was
    /// here is gone.
    older: HashMap<K, V, SeededState>,
    /// Of the keys and values, beside their places.
    recent_bytes: usize,
    older_bytes: usize,
    bytes_max: usize,
}

impl<K: Hash + Eq + Bytes, V: Bytes> Recent<K, V> {
    fn new(bytes_max: usize) -> Self {
        Self {
            recent: HashMap::default(),
            older: HashMap::default(),
            recent_bytes: 0,
            older_bytes: 0,
            bytes_max,
        }
    }

    /// What all of it takes up.
    fn bytes(&self) -> usize {
        let contents = self.recent_bytes + self.older_bytes;
        contents + Self::place_bytes(&self.recent) + Self::place_bytes(&self.older)
    }

    /// What a map takes up: it is at most 7/8 full.
    fn place_bytes(map: &HashMap<K, V, SeededState>) -> usize {
        map.capacity() / 7 * 8 * size_of::<(K, V)>()
    }

    /// What `read` makes of the value, if it is known; it is recent again.
    fn find<Q: Hash + Eq + ?Sized, R>(&mut self, key: &Q, read: impl FnOnce(&V) -> R) -> Option<R>
    where
        K: Borrow<Q>,
    {
        if let Some(value) = self.recent.get(key) {
            return Some(read(value));
        }
        let (own, value) = self.older.remove_entry(key)?;
        let found = read(&value);
        self.older_bytes -= own.bytes() + value.bytes();
        self.keep(own, value);
        Some(found)
    }

    /// Gives the value out of the cache, if it is known. Whoever takes a value before each [`Recent::keep`] never has it in both maps.
    fn take(&mut self, key: &K) -> Option<V> {
        let (value, bytes) = match self.recent.remove(key) {
            Some(value) => (value, &mut self.recent_bytes),
            None => (self.older.remove(key)?, &mut self.older_bytes),
        };
        *bytes -= key.bytes() + value.bytes();
        Some(value)
    }

    fn keep(&mut self, key: K, value: V) {
        let key_bytes = key.bytes();
        self.recent_bytes += value.bytes();
        match self.recent.insert(key, value) {
            Some(before) => self.recent_bytes -= before.bytes(),
            None => self.recent_bytes += key_bytes,
        }
        while self.bytes() > self.bytes_max {
            self.evict();
        }
    }

    /// Forgets what is older, or some of it while that is more than what is recent.
    fn evict(&mut self) {
        if self.recent_bytes >= self.older_bytes {
            // The next ones will be about as many.
            let places = self.recent.len();
            let recent = HashMap::with_capacity_and_hasher(places, SeededState::default());
            self.older = std::mem::replace(&mut self.recent, recent);
            self.older_bytes = std::mem::take(&mut self.recent_bytes);
            return;
        }
        let mut wanted = self.bytes_max / EVICTED_PART;
        for (key, value) in self.older.extract_if(|_, _| true) {
            let bytes = key.bytes() + value.bytes();
            self.older_bytes -= bytes;
            wanted = wanted.saturating_sub(bytes + size_of::<(K, V)>());
            if wanted == 0 {
                break;
            }
        }
        // Few of many are not worth their places.
        if self.older.len() < self.older.capacity() / SPARSE_PART {
            self.older = HashMap::default();
            self.older_bytes = 0;
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
        self.recent.take(path)
    }

    /// Keeps a page that is committed, or forgets one that is no more.
    pub(crate) fn keep(&mut self, path: PagePath, page: Option<Page>) {
        match page {
            Some(mut page) => {
                page.written();
                self.recent.keep(path, page);
            }
            None => drop(self.recent.take(&path)),
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
        self.family(family)?.find(key, read)
    }

    pub(crate) fn keep(&mut self, family: Family, key: Vec<u8>, value: Option<Vec<u8>>) {
        if let Some(recent) = self.family(family) {
            recent.keep(key.into(), value.map(Vec::into_boxed_slice));
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
            recent.keep(key.into(), Some(vec![7; 100].into()));
            check(recent);
        }
    }

    fn check(recent: &Values) {
        for (map, bytes) in [
            (&recent.recent, recent.recent_bytes),
            (&recent.older, recent.older_bytes),
        ] {
            let contents = map.iter().map(|(key, value)| key.bytes() + value.bytes());
            assert_eq!(bytes, contents.sum::<usize>());
        }
        assert!(recent.bytes() <= recent.bytes_max);
    }

    fn find(recent: &mut Values, number: u32) -> Option<Option<Vec<u8>>> {
        let read = |value: &Option<Box<[u8]>>| value.as_deref().map(<[u8]>::to_vec);
        recent.find(&number.to_be_bytes()[..], read)
    }

    #[test]
    fn keeps_what_is_asked_for_within_its_bound() {
        let mut recent = Recent::new(64 << 10);
        fill(&mut recent, 0..1);
        let mut lost = 0;
        for round in 1..1_000 {
            fill(&mut recent, round * 100..round * 100 + 100);
            match find(&mut recent, 0) {
                Some(found) => assert_eq!(found, Some(vec![7; 100])),
                None => {
                    lost += 1;
                    fill(&mut recent, 0..1);
                }
            }
            check(&recent);
        }
        // What goes first when it has just become full, before a half of it is recent, is a matter of chance.
        assert!(lost < 5, "lost in {lost} rounds");
        assert_eq!(find(&mut recent, 1_000), None);
        recent.keep(0_u32.to_be_bytes().into(), None);
        assert_eq!(find(&mut recent, 0), Some(None));
    }

    #[test]
    fn what_fits_stays_however_often_it_is_asked_for() {
        let mut recent = Recent::new(64 << 10);
        for round in 0..10 {
            for number in 0..200 {
                let known = find(&mut recent, number).is_some();
                assert_eq!(known, round > 0, "{number} in round {round}");
                fill(&mut recent, number..number + 1);
            }
        }
        // Near the bound only what was not asked for in a while goes.
        fill(&mut recent, 200..10_000);
        assert!(recent.bytes() > (64 << 10) / 2);
    }

    #[test]
    fn what_is_taken_is_gone_and_weighs_nothing() {
        let mut recent = Recent::new(64 << 10);
        fill(&mut recent, 0..500);
        assert!(!recent.older.is_empty());
        for number in 0..500_u32 {
            let key = number.to_be_bytes().into();
            let taken = recent.take(&key);
            assert!(taken.is_none_or(|value| value == Some(vec![7; 100].into())));
            assert_eq!(recent.take(&key), None);
        }
        assert_eq!((recent.recent_bytes, recent.older_bytes), (0, 0));
    }

    #[test]
    fn a_bound_of_nothing_keeps_nothing() {
        let mut recent = Recent::new(0);
        fill(&mut recent, 0..10);
        assert!(recent.recent.is_empty() && recent.older.is_empty());
        assert_eq!(find(&mut recent, 9), None);
    }
}
