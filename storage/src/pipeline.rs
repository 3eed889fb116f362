//! Batches that are filled and committed at the same time: one thread connects blocks, another makes the state's roots after them and commits.

use std::sync::Arc;

use lyceum_protocol::{SegmentIndex, StateRoot};

use crate::cache::{PageCache, ValueCache};
use crate::connector::{Connector, TreeChanges};
use crate::engine::{Durability, write_bytes};
use crate::error::StoreError;
use crate::failpoint;
use crate::overlay::{Layer, Overlay};
use crate::store::{Shared, Store};
use crate::tree::{self, PageOverlay};

impl Store {
    /// Takes the writer apart, for two threads. What [`Front`] fills goes to [`Back`], in order, and one batch may be on its way while the next is
    /// filled.
    pub fn pipeline(&mut self) -> (Front<'_>, Back<'_>) {
        let front = Front {
            shared: &self.shared,
            cache: &mut self.caches.values,
            passed: None,
        };
        (front, Back::new(&self.shared, &mut self.caches.pages))
    }
}

/// The thread's part that connects blocks.
pub struct Front<'s> {
    shared: &'s Shared,
    cache: &'s mut ValueCache,
    passed: Option<Arc<Layer>>,
}

impl Front<'_> {
    /// Starts a batch, on the last one that was passed on. Dropped, it leaves no trace.
    pub fn begin(&mut self) -> Connector<'_> {
        let base = self.shared.engine.as_ref();
        let overlay = Overlay::with_cache(base, self.passed.as_deref(), self.cache);
        Connector::new(self.shared, overlay)
    }

    /// The batch that was passed on is committed, and its [`Filled`] dropped. To be told before the next is passed on.
    pub fn committed(&mut self) {
        // If it is still held elsewhere, the cache must not keep what it replaces.
        match self.passed.take().map(Arc::try_unwrap) {
            Some(Ok(layer)) => layer.keep_in(self.cache),
            Some(Err(_)) => self.cache.clear(),
            None => {}
        }
    }

    /// Builds on a batch from now on: it goes to [`Back::commit`].
    pub fn pass(&mut self, filled: &Filled) {
        debug_assert!(self.passed.is_none(), "one at a time");
        self.passed = Some(Arc::clone(&filled.layer));
    }
}

impl Drop for Front<'_> {
    /// Whether what was passed on was committed is not known: the next one reads anew.
    fn drop(&mut self) {
        if self.passed.is_some() {
            self.cache.clear();
        }
    }
}

/// A batch that is filled, and not committed.
pub struct Filled {
    layer: Arc<Layer>,
    /// Segments that the batch unsealed: their files go once it is committed.
    unsealed: Vec<SegmentIndex>,
}

impl Filled {
    pub(crate) fn new(layer: Layer, unsealed: Vec<SegmentIndex>) -> Self {
        let layer = Arc::new(layer);
        Self { layer, unsealed }
    }

    pub(crate) fn into_layer(self) -> Option<Layer> {
        Arc::into_inner(self.layer)
    }
}

/// The thread's part that makes roots and commits.
pub struct Back<'s> {
    shared: &'s Shared,
    pub(crate) pages: PageOverlay<'s>,
}

impl<'s> Back<'s> {
    pub(crate) fn new(shared: &'s Shared, cache: &'s mut PageCache) -> Self {
        let pages = PageOverlay::new(shared.engine.as_ref(), cache);
        Self { shared, pages }
    }

    /// The state's root after the changes of the next block: each block's must come here, in order.
    ///
    /// # Errors
    /// Those of the database.
    pub fn root(&mut self, changes: &TreeChanges) -> Result<StateRoot, StoreError> {
        let root = tree::update(&mut self.pages, &changes.0)?;
        Ok(StateRoot::from_bytes(root))
    }

    /// Keeps all of a batch, by one atomic write, with the tree as the roots of its blocks made it: no root of a later block may be made before.
    ///
    /// A batch that unsealed a segment is always synced, since its file goes right after.
    ///
    /// # Errors
    /// Those of the database; then nothing of the batch is kept.
    pub fn commit(&mut self, filled: &Filled, durability: Durability) -> Result<(), StoreError> {
        let durability = match filled.unsealed.is_empty() {
            true => durability,
            false => Durability::Synced,
        };
        failpoint::reach("commit:before");
        let (values, pages) = (filled.layer.writes(), self.pages.take_changes());
        let written = {
            let bytes = write_bytes(values.iter().copied()) + write_bytes(pages.writes());
            let mut writes = values.iter().copied().chain(pages.writes());
            self.shared.engine.write(&mut writes, bytes, durability)
        };
        if let Err(error) = written {
            self.pages.forget();
            return Err(error);
        }
        self.pages.keep(pages);
        failpoint::reach("commit:after");
        for index in &filled.unsealed {
            failpoint::reach("unseal:before_remove");
            self.shared.files.remove(*index)?;
        }
        Ok(())
    }

    /// Seals the segments that are deep enough by what is committed; gives how many.
    ///
    /// # Errors
    /// As [`Store::seal`].
    pub fn seal_ready(&mut self, durability: Durability) -> Result<usize, StoreError> {
        self.shared.seal_ready(durability)
    }
}
