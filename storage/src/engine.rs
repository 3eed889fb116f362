//! What the ledger needs of a database: ordered maps of bytes, snapshots and atomic batches.

mod memory;
mod rocks;

use std::ops::ControlFlow;

pub(crate) use memory::MemoryEngine;
pub(crate) use rocks::RocksEngine;

use crate::error::StoreError;
use crate::family::Family;
use crate::schema::damaged;
use crate::tree::{Page, PagePath};

/// What is done with each entry of a scan.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError>;

/// Reads of one consistent state.
pub(crate) trait View {
    /// The value under a key.
    fn read(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits the entries from `from` on, in the order of their keys.
    fn scan(&self, family: Family, from: &[u8], visit: Visit<'_>) -> Result<(), StoreError>;

    /// A page of the state tree as it is committed. Only the top one can be missing: it is empty then.
    fn page(&self, path: &PagePath) -> Result<Page, StoreError> {
        let key = path.key();
        match self.read(Family::Tree, key)? {
            Some(bytes) => Page::from_value(&bytes)
                .ok_or_else(|| damaged(Family::Tree, key, "not a page of the state tree")),
            None if *path == PagePath::TOP => Ok(Page::empty()),
            None => Err(StoreError::Missing {
                family: Family::Tree.name(),
                what: format!("page {key:02x?}"),
            }),
        }
    }
}

impl<V: View + ?Sized> View for &V {
    fn read(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        (**self).read(family, key)
    }

    fn scan(&self, family: Family, from: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        (**self).scan(family, from, visit)
    }

    fn page(&self, path: &PagePath) -> Result<Page, StoreError> {
        (**self).page(path)
    }
}

/// What becomes of the value under a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change<'w> {
    Put(&'w [u8]),
    /// A page of the state tree that is there is changed by a patch (see `tree::patched`), of `tree` alone.
    Patch(&'w [u8]),
    Delete,
}

impl<'w> From<Option<&'w [u8]>> for Change<'w> {
    fn from(value: Option<&'w [u8]>) -> Self {
        value.map_or(Self::Delete, Self::Put)
    }
}

/// A key, and what becomes of its value.
pub(crate) type Write<'w> = (Family, &'w [u8], Change<'w>);

/// How many bytes some writes are, keys and values.
pub(crate) fn write_bytes<'w>(writes: impl Iterator<Item = Write<'w>>) -> usize {
    let bytes = writes.map(|(_, key, change)| match change {
        Change::Put(value) | Change::Patch(value) => key.len() + value.len(),
        Change::Delete => key.len(),
    });
    bytes.sum()
}

/// How far a commit reaches before it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// On the disk: it survives a power failure. For blocks at the tip; 0.2 to 0.3 ms.
    Synced,
    /// In the system's hands: it survives the death of the process. A power failure may take the last commits, in reverse order and
    /// each whole. For the sync of many blocks.
    Buffered,
    /// In the database's write buffers: the end of the process, too, may take the last commits, in reverse order and each whole, as many as
    /// the buffers hold. Closing the store keeps them, and so does the next commit of another kind. For an import that can be done again.
    Unlogged,
}

/// A database. Reads outside a snapshot see the last write.
pub(crate) trait Engine: View + Send + Sync {
    /// Freezes the present state for several reads.
    fn snapshot(&self) -> Box<dyn View + '_>;

    /// Makes all of some changes visible, and durable, together, or none. `bytes` is about how many they are, keys and values.
    fn write(
        &self,
        writes: &mut dyn Iterator<Item = Write<'_>>,
        bytes: usize,
        durability: Durability,
    ) -> Result<(), StoreError>;

    /// Bytes on disk and in memory, as far as the engine knows.
    fn sizes(&self) -> EngineSizes;

    /// Makes what was written durable, before a clean end.
    fn flush(&self) -> Result<(), StoreError>;
}

/// What a database takes up, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EngineSizes {
    /// Files of all column families.
    pub disk: u64,
    /// Write buffers, not yet in files.
    pub write_buffers: u64,
    /// The block cache in use, with its pinned blocks.
    pub cache: u64,
    /// Indexes and filters outside the cache.
    pub tables: u64,
}
