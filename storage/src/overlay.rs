use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::ControlFlow;

use crate::cache::Caches;
use crate::engine::{View, Visit, Write};
use crate::error::StoreError;
use crate::family::Family;
use crate::tree::{Page, PagePath, Pages};

/// By key; sorted once, when they are written.
type Changes = HashMap<Vec<u8>, Option<Vec<u8>>>;

/// What a page of the tree takes up while it is changed: decoded, and its place in a map.
const PAGE_BYTES: usize = size_of::<Page>() + 2 * size_of::<(PagePath, usize)>();

/// Changes on top of a view: reads see them, the view does not.
pub(crate) struct Overlay<'v> {
    base: &'v dyn View,
    caches: Option<RefCell<&'v mut Caches>>,
    families: [Changes; Family::ALL.len()],
    /// The state tree's pages stay decoded until the end: block after block touches the upper ones.
    pages: HashMap<PagePath, Option<Box<Page>>>,
    /// Of the keys and values in `families`.
    bytes: usize,
}

impl<'v> Overlay<'v> {
    pub(crate) fn new(base: &'v dyn View) -> Self {
        Self {
            base,
            caches: None,
            families: Default::default(),
            pages: HashMap::new(),
            bytes: 0,
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
        let key = key.into();
        self.bytes += key.len() + value.len();
        self.families[family.index()].insert(key, Some(value));
    }

    pub(crate) fn delete(&mut self, family: Family, key: impl Into<Vec<u8>>) {
        self.families[family.index()].insert(key.into(), None);
    }

    /// About how much memory the changes take up.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.pages.len() * PAGE_BYTES
    }

    /// All changes, and what is to be done with the caches once they are written.
    pub(crate) fn into_changes(self) -> CommitChanges<'v> {
        let entries = self.families.iter().map(HashMap::len).sum::<usize>();
        let mut values = Vec::with_capacity(entries);
        for (family, changes) in Family::ALL.into_iter().zip(self.families) {
            let first = values.len();
            let changes = changes.into_iter();
            values.extend(changes.map(|(key, value)| (family, key, value)));
            // In the order of the keys: so it is the same each time, and the database finds its place faster.
            values[first..].sort_unstable_by(|(_, a, _), (_, b, _)| a.cmp(b));
        }
        // Each decoded page goes at once: together they are the most of a batch.
        let encode = |(path, page): (PagePath, Option<Box<Page>>)| PageWrite {
            path,
            key: path.encode(),
            page: page.map(|page| page.to_memory()),
        };
        let mut pages: Vec<_> = self.pages.into_iter().map(encode).collect();
        pages.sort_unstable_by_key(|write| write.path);
        CommitChanges {
            caches: self.caches.map(RefCell::into_inner),
            values,
            pages,
        }
    }
}

struct PageWrite {
    path: PagePath,
    key: Vec<u8>,
    /// The page as it is kept in memory, and how much of that is its value.
    page: Option<(Box<[u8]>, usize)>,
}

/// What a batch writes, and so does to what the caches hold.
pub(crate) struct CommitChanges<'v> {
    caches: Option<&'v mut Caches>,
    values: Vec<(Family, Vec<u8>, Option<Vec<u8>>)>,
    pages: Vec<PageWrite>,
}

impl CommitChanges<'_> {
    pub(crate) fn writes(&self) -> Vec<Write<'_>> {
        let values = self.values.iter();
        let values = values.map(|(family, key, value)| (*family, key.as_slice(), value.as_deref()));
        let pages = self.pages.iter().map(|write| {
            let page = write.page.as_ref();
            let value = page.map(|(page, value)| &page[..*value]);
            (Family::Tree, write.key.as_slice(), value)
        });
        values.chain(pages).collect()
    }

    /// They are committed: the next batch builds on them.
    pub(crate) fn keep(self) {
        let Some(caches) = self.caches else {
            return;
        };
        for write in self.pages {
            caches.keep_page(write.path, write.page.map(|(page, _)| page));
        }
        for (family, key, value) in self.values {
            caches.keep_value(family, key.into(), value.map(Vec::into_boxed_slice));
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
            return Ok(known);
        }
        let value = self.base.read(family, key)?;
        if let Some(caches) = caches.as_mut() {
            caches.keep_value(family, key.into(), value.as_deref().map(Box::from));
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

    fn page(&self, path: &PagePath) -> Result<Box<Page>, StoreError> {
        if let Some(page) = self.pages.get(path) {
            return Ok(page.clone().unwrap_or_else(Page::empty));
        }
        let caches = self.caches.as_ref();
        match caches.and_then(|caches| caches.borrow_mut().page(path)) {
            Some(page) => Ok(page),
            None => self.base.page(path),
        }
    }
}

impl Pages for Overlay<'_> {
    fn load(&self, path: &PagePath) -> Result<Box<Page>, StoreError> {
        self.page(path)
    }

    fn take(&mut self, path: &PagePath) -> Result<Box<Page>, StoreError> {
        match self.pages.get_mut(path) {
            Some(page) => Ok(page.take().unwrap_or_else(Page::empty)),
            None => self.page(path),
        }
    }

    fn store(&mut self, path: PagePath, page: Option<Box<Page>>) {
        self.pages.insert(path, page);
    }
}
