use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::ControlFlow;

use crate::cache::ValueCache;
use crate::engine::{View, Visit, Write};
use crate::error::StoreError;
use crate::family::Family;
use crate::hasher::SeededState;
use crate::tree::{Page, PagePath};

/// By key; sorted once, when they are written.
type Changes = HashMap<Vec<u8>, Option<Vec<u8>>, SeededState>;

/// What a change takes up beside its key and value: its place in a map that is between 7/16 and 7/8 full, and what the allocator adds.
const ENTRY_BYTES: usize = size_of::<(Vec<u8>, Option<Vec<u8>>)>() * 3 / 2 + 32;

/// Changes of all but the state's tree, family by family.
#[derive(Default)]
pub(crate) struct Layer([Changes; Family::ALL.len()]);

impl Layer {
    fn of(&self, family: Family) -> &Changes {
        &self.0[family.index()]
    }

    /// All changes, in the order of the families and of their keys: so it is the same each time, and the database finds their places faster.
    pub(crate) fn writes(&self) -> Vec<Write<'_>> {
        let mut writes: Vec<Write<'_>> = Vec::with_capacity(self.0.iter().map(HashMap::len).sum());
        for family in Family::ALL {
            let first = writes.len();
            let changes = self.of(family).iter();
            writes.extend(changes.map(|(key, value)| {
                let change = value.as_deref().into();
                (family, key.as_slice(), change)
            }));
            writes[first..].sort_unstable_by_key(|(_, key, _)| *key);
        }
        writes
    }

    /// They are committed: what follows builds on them.
    pub(crate) fn keep_in(self, cache: &mut ValueCache) {
        for (family, changes) in Family::ALL.into_iter().zip(self.0) {
            for (key, value) in changes {
                cache.keep(family, key, value);
            }
        }
    }

    /// Visits what `below` does, with the changes on top.
    fn scan(
        &self,
        family: Family,
        from: &[u8],
        visit: Visit<'_>,
        below: impl FnOnce(Visit<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let changes = self.of(family).iter();
        let mut changes: Vec<_> = changes.filter(|(key, _)| key.as_slice() >= from).collect();
        changes.sort_unstable_by_key(|(key, _)| *key);
        let mut changes = changes.into_iter().peekable();
        let mut stopped = false;
        below(&mut |key, value| {
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
}

/// Changes on top of a view, of all but the state's tree: reads see them, the view does not.
pub(crate) struct Overlay<'v> {
    base: &'v dyn View,
    /// What another thread is committing: the base may have it, or not yet.
    passed: Option<&'v Layer>,
    cache: Option<RefCell<&'v mut ValueCache>>,
    own: Layer,
    /// What the changes take up.
    bytes: usize,
}

impl<'v> Overlay<'v> {
    pub(crate) fn new(base: &'v dyn View) -> Self {
        Self {
            base,
            passed: None,
            cache: None,
            own: Layer::default(),
            bytes: 0,
        }
    }

    /// An overlay on the last commit, of which the cache knows a part, and on what was passed on to be committed next.
    pub(crate) fn with_cache(
        base: &'v dyn View,
        passed: Option<&'v Layer>,
        cache: &'v mut ValueCache,
    ) -> Self {
        let changes = |size| Changes::with_capacity_and_hasher(size, SeededState::default());
        Self {
            base,
            passed,
            own: Layer(cache.last_batch.map(changes)),
            cache: Some(RefCell::new(cache)),
            bytes: 0,
        }
    }

    pub(crate) fn put(&mut self, family: Family, key: impl Into<Vec<u8>>, value: Vec<u8>) {
        let key = key.into();
        self.bytes += key.len() + value.len() + ENTRY_BYTES;
        self.own.0[family.index()].insert(key, Some(value));
    }

    pub(crate) fn delete(&mut self, family: Family, key: impl Into<Vec<u8>>) {
        let key = key.into();
        self.bytes += key.len() + ENTRY_BYTES;
        self.own.0[family.index()].insert(key, None);
    }

    /// About how much memory the changes take up; more, where keys were changed again.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The changes, and the cache, which does not know of them yet.
    pub(crate) fn into_parts(self) -> (Layer, Option<&'v mut ValueCache>) {
        let mut cache = self.cache.map(RefCell::into_inner);
        if let Some(cache) = &mut cache {
            cache.last_batch = self.own.0.each_ref().map(HashMap::len);
        }
        (self.own, cache)
    }
}

impl View for Overlay<'_> {
    fn read(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let mut layers = [Some(&self.own), self.passed].into_iter().flatten();
        if let Some(change) = layers.find_map(|layer| layer.of(family).get(key)) {
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
        let base = |visit: Visit<'_>| self.base.scan(family, from, visit);
        self.own
            .scan(family, from, visit, |visit| match self.passed {
                Some(passed) => passed.scan(family, from, visit, base),
                None => base(visit),
            })
    }

    /// The tree's pages are changed beside an overlay; those below are not of the same state.
    fn page(&self, _: &PagePath) -> Result<Page, StoreError> {
        Err(StoreError::Missing {
            family: Family::Tree.name(),
            what: "the tree of a batch that is taken apart".to_owned(),
        })
    }
}
