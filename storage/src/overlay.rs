use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use crate::engine::{View, Visit, WriteSet};
use crate::error::StoreError;
use crate::family::Family;
use crate::tree::{Page, PagePath, Pages};

type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Changes on top of a view: reads see them, the view does not.
pub(crate) struct Overlay<'v> {
    base: &'v dyn View,
    families: [Changes; Family::ALL.len()],
    /// The state tree's pages stay decoded until the end: block after block touches the upper ones.
    pages: HashMap<PagePath, Option<Page>>,
}

impl<'v> Overlay<'v> {
    pub(crate) fn new(base: &'v dyn View) -> Self {
        Self {
            base,
            families: Default::default(),
            pages: HashMap::new(),
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
        let mut writes = WriteSet::new();
        for (family, changes) in Family::ALL.into_iter().zip(self.families) {
            let changes = changes.into_iter();
            writes.extend(changes.map(|(key, value)| (family, key, value)));
        }
        let mut pages: Vec<_> = self.pages.into_iter().collect();
        pages.sort_unstable_by_key(|(path, _)| *path);
        for (path, page) in pages {
            let value = page.map(|page| page.to_value());
            writes.push((Family::Tree, path.encode(), value));
        }
        writes
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
        match self.pages.get(path) {
            Some(page) => Ok(page.clone().unwrap_or(Page::EMPTY)),
            None => self.base.page(path),
        }
    }
}

impl Pages for Overlay<'_> {
    fn load(&self, path: &PagePath) -> Result<Page, StoreError> {
        self.page(path)
    }

    fn store(&mut self, path: PagePath, page: Option<Page>) {
        self.pages.insert(path, page);
    }
}
