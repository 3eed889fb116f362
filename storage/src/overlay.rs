use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use crate::engine::{View, Visit, WriteSet};
use crate::error::StoreError;
use crate::family::Family;
use crate::tree::{Page, PagePath, Pages};

type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Pages of the state tree as of the last commit, decoded: those that blocks touched of late.
///
/// Every block touches the upper ones, and each record one at the bottom; reading a page from the database costs some 20 µs where it is
/// not in memory. Only the writer has them: its next batch builds on them.
pub(crate) struct PageCache {
    recent: HashMap<PagePath, Box<Page>>,
    /// What was recent before; it goes when `recent` is half of the bound. A page that is touched again is recent again.
    older: HashMap<PagePath, Box<Page>>,
    pages_max: usize,
}

impl PageCache {
    /// What a page takes up in it.
    const PAGE_BYTES: usize = size_of::<Page>() + 2 * size_of::<(PagePath, Box<Page>)>();

    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            recent: HashMap::new(),
            older: HashMap::new(),
            pages_max: bytes_max / Self::PAGE_BYTES,
        }
    }

    fn page(&self, path: &PagePath) -> Option<&Page> {
        let page = self.recent.get(path).or_else(|| self.older.get(path));
        page.map(AsRef::as_ref)
    }

    fn keep(&mut self, path: PagePath, page: Option<Box<Page>>) {
        match page {
            Some(page) => self.recent.insert(path, page),
            None => {
                self.older.remove(&path);
                self.recent.remove(&path)
            }
        };
        if self.recent.len() > self.pages_max / 2 {
            self.older = std::mem::take(&mut self.recent);
        }
    }

    fn clear(&mut self) {
        self.recent.clear();
        self.older.clear();
    }
}

/// Changes on top of a view: reads see them, the view does not.
pub(crate) struct Overlay<'v> {
    base: &'v dyn View,
    cache: Option<&'v mut PageCache>,
    families: [Changes; Family::ALL.len()],
    /// The state tree's pages stay decoded until the end: block after block touches the upper ones.
    pages: HashMap<PagePath, Option<Box<Page>>>,
}

impl<'v> Overlay<'v> {
    pub(crate) fn new(base: &'v dyn View) -> Self {
        Self {
            base,
            cache: None,
            families: Default::default(),
            pages: HashMap::new(),
        }
    }

    /// An overlay on the last commit, whose upper pages are known.
    pub(crate) fn with_pages(base: &'v dyn View, cache: &'v mut PageCache) -> Self {
        Self {
            cache: Some(cache),
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

    /// All changes, and the pages among them for the next batch.
    pub(crate) fn into_parts(self) -> (WriteSet, PageChanges<'v>) {
        let mut writes = WriteSet::new();
        for (family, changes) in Family::ALL.into_iter().zip(self.families) {
            let changes = changes.into_iter();
            writes.extend(changes.map(|(key, value)| (family, key, value)));
        }
        let mut pages: Vec<_> = self.pages.into_iter().collect();
        pages.sort_unstable_by_key(|(path, _)| *path);
        for (path, page) in &pages {
            let value = page.as_ref().map(|page| page.to_value());
            writes.push((Family::Tree, path.encode(), value));
        }
        let cache = self.cache;
        (writes, PageChanges { cache, pages })
    }
}

/// What a batch did to the pages.
pub(crate) struct PageChanges<'v> {
    cache: Option<&'v mut PageCache>,
    pages: Vec<(PagePath, Option<Box<Page>>)>,
}

impl PageChanges<'_> {
    /// They are committed: the next batch builds on them.
    pub(crate) fn keep(self) {
        if let Some(cache) = self.cache {
            for (path, page) in self.pages {
                cache.keep(path, page);
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
        match self.families[family.index()].get(key) {
            Some(change) => Ok(change.clone()),
            None => self.base.read(family, key),
        }
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
        match self.cache.as_ref().and_then(|cache| cache.page(path)) {
            Some(page) => Ok(page.clone()),
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
