use std::collections::HashMap;

use super::patch::write_patch;
use super::{Page, PagePath, Pages};
use crate::cache::PageCache;
use crate::engine::{Change, Engine, Write};
use crate::error::StoreError;
use crate::family::Family;
use crate::hasher::SeededState;

/// Changed pages of the state's tree on top of the last commit, of which the cache knows a part. A page that is changed leaves the cache.
pub(crate) struct PageOverlay<'e> {
    base: &'e dyn Engine,
    cache: &'e mut PageCache,
    /// `None` for a page that is no more, and for one that is being changed.
    pages: HashMap<PagePath, Option<Page>, SeededState>,
}

impl<'e> PageOverlay<'e> {
    pub(crate) fn new(base: &'e dyn Engine, cache: &'e mut PageCache) -> Self {
        let size = cache.last_batch;
        Self {
            base,
            cache,
            pages: HashMap::with_capacity_and_hasher(size, SeededState::default()),
        }
    }

    /// Takes all pages out that are not as they were, in the order of their keys. [`PageOverlay::keep`] is next, or [`PageOverlay::forget`].
    pub(crate) fn take_changes(&mut self) -> PageChanges {
        self.cache.last_batch = self.pages.len();
        let mut pages: Vec<_> = self.pages.drain().collect();
        pages.sort_unstable_by_key(|(path, _)| *path);
        let mut patches = Vec::new();
        let mut ends = Vec::with_capacity(pages.len());
        for (_, page) in &pages {
            if let Some(page) = page {
                write_patch(page, &mut patches);
            }
            ends.push(patches.len());
        }
        PageChanges {
            pages,
            patches,
            ends,
        }
    }

    /// They are committed: what follows builds on them.
    pub(crate) fn keep(&mut self, changes: PageChanges) {
        for (path, page) in changes.pages {
            self.cache.keep(path, page);
        }
    }

    /// The commit failed: what the database holds is read anew.
    pub(crate) fn forget(&mut self) {
        self.cache.clear();
    }
}

impl Pages for PageOverlay<'_> {
    fn load(&self, path: &PagePath) -> Result<Page, StoreError> {
        if let Some(page) = self.pages.get(path) {
            return Ok(page.clone().unwrap_or_else(Page::empty));
        }
        match self.cache.page(path) {
            Some(page) => Ok(page),
            None => self.base.page(path),
        }
    }

    fn take(&mut self, path: &PagePath) -> Result<Page, StoreError> {
        if let Some(page) = self.pages.get_mut(path) {
            return Ok(page.take().unwrap_or_else(Page::empty));
        }
        match self.cache.take(path) {
            Some(page) => Ok(page),
            None => self.base.page(path),
        }
    }

    fn store(&mut self, path: PagePath, page: Option<Page>) {
        self.pages.insert(path, page);
    }
}

/// What a batch writes of the tree.
pub(crate) struct PageChanges {
    pages: Vec<(PagePath, Option<Page>)>,
    /// What changed of the pages of which that is little, one after the other.
    patches: Vec<u8>,
    /// Where each page's patch ends; it is empty where the page is written whole, or deleted.
    ends: Vec<usize>,
}

impl PageChanges {
    pub(crate) fn writes(&self) -> impl Iterator<Item = Write<'_>> {
        let starts = std::iter::once(&0).chain(&self.ends);
        let patches = starts
            .zip(&self.ends)
            .map(|(start, end)| &self.patches[*start..*end]);
        self.pages.iter().zip(patches).map(|((path, page), patch)| {
            let change = match page {
                None => Change::Delete,
                Some(page) if patch.is_empty() => Change::Put(page.value()),
                Some(_) => Change::Patch(patch),
            };
            (Family::Tree, path.key(), change)
        })
    }
}
