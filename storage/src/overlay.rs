use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::ControlFlow;

use crate::cache::{Sizes, ValueCache};
use crate::engine::{View, Visit, Write};
use crate::error::StoreError;
use crate::family::Family;
use crate::hasher::SeededState;
use crate::tree::{Page, PagePath};

/// By key; sorted once, when they are written.
type Changes = HashMap<Vec<u8>, Option<Vec<u8>>, SeededState>;

/// What a change takes up beside its key and value: its place in a map that is between 7/16 and 7/8 full, and what the allocator adds.
const ENTRY_BYTES: usize = size_of::<(Vec<u8>, Option<Vec<u8>>)>() * 3 / 2 + 32;

/// Changes on top of a view, of all but the state's tree: reads see them, the view does not.
pub(crate) struct Overlay<'v> {
    base: &'v dyn View,
    cache: Option<RefCell<&'v mut ValueCache>>,
    families: [Changes; Family::ALL.len()],
    /// What `families` take up.
    bytes: usize,
}

impl<'v> Overlay<'v> {
    pub(crate) fn new(base: &'v dyn View) -> Self {
        Self {
            base,
            cache: None,
            families: Default::default(),
            bytes: 0,
        }
    }

    /// An overlay on the last commit, of which the cache knows a part.
    pub(crate) fn with_cache(base: &'v dyn View, cache: &'v mut ValueCache) -> Self {
        let changes = |size| Changes::with_capacity_and_hasher(size, SeededState::default());
        Self {
            families: cache.last_batch.map(changes),
            cache: Some(RefCell::new(cache)),
            base,
            bytes: 0,
        }
    }

    pub(crate) fn put(&mut self, family: Family, key: impl Into<Vec<u8>>, value: Vec<u8>) {
        let key = key.into();
        self.bytes += key.len() + value.len() + ENTRY_BYTES;
        self.families[family.index()].insert(key, Some(value));
    }

    pub(crate) fn delete(&mut self, family: Family, key: impl Into<Vec<u8>>) {
        let key = key.into();
        self.bytes += key.len() + ENTRY_BYTES;
        self.families[family.index()].insert(key, None);
    }

    /// About how much memory the changes take up; more, where keys were changed again.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// All changes, and what is to be done with the cache once they are written.
    pub(crate) fn into_changes(self) -> CommitChanges<'v> {
        let sizes: Sizes = self.families.each_ref().map(HashMap::len);
        let mut values = Vec::with_capacity(sizes.iter().sum());
        for (family, changes) in Family::ALL.into_iter().zip(self.families) {
            let first = values.len();
            let changes = changes.into_iter();
            values.extend(changes.map(|(key, value)| (family, key, value)));
            // In the order of the keys: so it is the same each time, and the database finds its place faster.
            values[first..].sort_unstable_by(|(_, a, _), (_, b, _)| a.cmp(b));
        }
        let mut cache = self.cache.map(RefCell::into_inner);
        if let Some(cache) = &mut cache {
            cache.last_batch = sizes;
        }
        CommitChanges { cache, values }
    }
}

/// What a batch writes, and so does to what the cache holds.
pub(crate) struct CommitChanges<'v> {
    cache: Option<&'v mut ValueCache>,
    values: Vec<(Family, Vec<u8>, Option<Vec<u8>>)>,
}

impl CommitChanges<'_> {
    pub(crate) fn writes(&self) -> impl Iterator<Item = Write<'_>> {
        let values = self.values.iter();
        values.map(|(family, key, value)| (*family, key.as_slice(), value.as_deref().into()))
    }

    /// They are committed: the next batch builds on them.
    pub(crate) fn keep(self) {
        if let Some(cache) = self.cache {
            for (family, key, value) in self.values {
                cache.keep(family, key, value);
            }
        }
    }

    /// The commit failed: what the database holds is read anew.
    pub(crate) fn forget(self) {
        if let Some(cache) = self.cache {
            cache.clear();
        }
    }
}

impl View for Overlay<'_> {
    fn read(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(change) = self.families[family.index()].get(key) {
            return Ok(change.clone());
        }
        let mut cache = self.cache.as_ref().map(RefCell::borrow_mut);
        if let Some(known) = cache.as_mut().and_then(|cache| cache.value(family, key)) {
            return Ok(known);
        }
        let value = self.base.read(family, key)?;
        if let Some(cache) = cache.as_mut() {
            cache.keep(family, key.into(), value.clone());
        }
        Ok(value)
    }

    fn scan(&self, family: Family, from: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let changes = self.families[family.index()].iter();
        let mut changes: Vec<_> = changes.filter(|(key, _)| key.as_slice() >= from).collect();
        changes.sort_unstable_by_key(|(key, _)| *key);
        let mut changes = changes.into_iter().peekable();
        let mut stopped = false;
        self.base.scan(family, from, &mut |key, value| {
            let mut replaced = false;
            while let Some((own, change)) = changes.next_if(|(own, _)| own.as_slice() <= key) {
                replaced = own.as_slice() == key;
                if let Some(change) = change
                    && visit(own, change)?.is_break()
                {
                    stopped = true;
                    return Ok(ControlFlow::Break(()));
                }
            }
            let flow = match replaced {
                true => ControlFlow::Continue(()),
                false => visit(key, value)?,
            };
            stopped = flow.is_break();
            Ok(flow)
        })?;
        for (key, change) in changes {
            if stopped {
                break;
            }
            if let Some(value) = change {
                stopped = visit(key, value)?.is_break();
            }
        }
        Ok(())
    }

    /// The tree's pages are changed beside an overlay; those below are not of the same state.
    fn page(&self, _: &PagePath) -> Result<Page, StoreError> {
        Err(StoreError::Missing {
            family: Family::Tree.name(),
            what: "the tree of a batch that is taken apart".to_owned(),
        })
    }
}
