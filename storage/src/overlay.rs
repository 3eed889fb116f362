use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use crate::cache::Caches;
use crate::engine::{View, Visit, WriteSet};
use crate::error::StoreError;
use crate::family::Family;
use crate::tree::{Page, PagePath, Pages};

type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Changes on top of a view: reads see them, the view does not.
pub(crate) struct Overlay<'v> {
    base: &'v dyn View,
    caches: Option<RefCell<&'v mut Caches>>,
    families: [Changes; Family::ALL.len()],
    /// The state tree's pages stay decoded until the end: block after block touches the upper ones.
    pages: HashMap<PagePath, Option<Box<Page>>>,
}

impl<'v> Overlay<'v> {
    pub(crate) fn new(base: &'v dyn View) -> Self {
        Self {
            base,
            caches: None,
            families: Default::default(),
            pages: HashMap::new(),
        }
    }

    /// An overlay on the last commit, of which `caches` know a part.
    pub(crate) fn with_caches(base: &'v dyn View, caches: &'v mut Caches) -> Self {
        Self {
            caches: Some(RefCell::new(caches)),
            ..Self::new(base)
        }
    }

    pub(crate) fn put(&mut self, family: Family, key: impl Into<Vec<u8>>, value: Vec<u8>) {
        self.families[family.index()].insert(key.into(), Some(value));
    }

    pub(crate) fn delete(&mut self, family: Family, key: impl Into<Vec<u8>>) {
        self.families[family.index()].insert(key.into(), None);
    }

    /// All changes, for one atomic write.
    pub(crate) fn into_writes(self) -> WriteSet {
        self.into_parts().0
    }

    /// All changes, and what is to be done with the caches once they are written.
    pub(crate) fn into_parts(self) -> (WriteSet, CacheChanges<'v>) {
        let mut writes = WriteSet::new();
        let mut values = Vec::new();
        let mut caches = self.caches.map(RefCell::into_inner);
        for (family, changes) in Family::ALL.into_iter().zip(self.families) {
            if caches.as_mut().is_some_and(|caches| caches.has(family)) {
                let changes = changes.iter();
                values.extend(changes.map(|(key, value)| (family, key.clone(), value.clone())));
            }
            let changes = changes.into_iter();
            writes.extend(changes.map(|(key, value)| (family, key, value)));
        }
        let mut pages: Vec<_> = self.pages.into_iter().collect();
        pages.sort_unstable_by_key(|(path, _)| *path);
        for (path, page) in &pages {
            let value = page.as_ref().map(|page| page.to_value());
            writes.push((Family::Tree, path.encode(), value));
        }
        let changes = CacheChanges {
            caches,
            pages,
            values,
        };
        (writes, changes)
    }
}

/// What a batch did to what the caches hold.
pub(crate) struct CacheChanges<'v> {
    caches: Option<&'v mut Caches>,
    pages: Vec<(PagePath, Option<Box<Page>>)>,
    values: WriteSet,
}

impl CacheChanges<'_> {
    /// They are committed: the next batch builds on them.
    pub(crate) fn keep(self) {
        let Some(caches) = self.caches else {
            return;
        };
        for (path, page) in self.pages {
            caches.keep_page(path, page.as_deref());
        }
        for (family, key, value) in self.values {
            caches.keep_value(family, &key, value.as_deref());
        }
    }

    /// The commit failed: what the database holds is read anew.
    pub(crate) fn forget(self) {
        if let Some(caches) = self.caches {
            caches.clear();
        }
    }
}

impl View for Overlay<'_> {
    fn read(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(change) = self.families[family.index()].get(key) {
            return Ok(change.clone());
        }
        let mut caches = self.caches.as_ref().map(RefCell::borrow_mut);
        if let Some(known) = caches.as_mut().and_then(|caches| caches.value(family, key)) {
            return Ok(known.map(<[u8]>::to_vec));
        }
        let value = self.base.read(family, key)?;
        if let Some(caches) = caches.as_mut() {
            caches.keep_value(family, key, value.as_deref());
        }
        Ok(value)
    }

    fn scan(&self, family: Family, from: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let changes = self.families[family.index()].range(from.to_vec()..);
        let mut changes = changes.peekable();
        let mut stopped = false;
        self.base.scan(family, from, &mut |key, value| {
            let mut replaced = false;
            while let Some((own, change)) = changes.next_if(|(own, _)| own.as_slice() <= key) {
                replaced = own == key;
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

    fn page(&self, path: &PagePath) -> Result<Page, StoreError> {
        if let Some(page) = self.pages.get(path) {
            return Ok(page.as_deref().cloned().unwrap_or(Page::EMPTY));
        }
        let caches = self.caches.as_ref();
        match caches.and_then(|caches| caches.borrow_mut().page(path)) {
            Some(page) => Ok(page),
            None => self.base.page(path),
        }
    }
}

impl Pages for Overlay<'_> {
    fn load(&self, path: &PagePath) -> Result<Page, StoreError> {
        self.page(path)
    }

    fn store(&mut self, path: PagePath, page: Option<Page>) {
        self.pages.insert(path, page.map(Box::new));
    }
}
