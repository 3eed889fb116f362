//! A segment that was pulled whole: its file is moved to the sealed ones before its blocks are connected, so that its text is written once.

use std::path::{Path, PathBuf};

use lyceum_protocol::SegmentIndex;
use lyceum_storage::{Durability, StoreError};

use super::{Chain, ChainError};

impl Chain {
    /// Takes over the file of a pulled segment, where it is the first that is not whole on the main chain; false where it can't be that, or the
    /// ledger is in memory: then the file stays where it is.
    ///
    /// From then on the segment counts as sealed, and of a block that is connected and found in the file, the database keeps the offset only.
    /// Segments before it that came as blocks are sealed, however deep they are: only the next one can be taken over.
    ///
    /// # Errors
    /// [`ChainError::Store`].
    pub fn adopt_segment(&mut self, index: SegmentIndex, file: &Path) -> Result<bool, ChainError> {
        if self.store.segments_folder().is_none() {
            return Ok(false);
        }
        loop {
            let next = self.store.read().sealed_segments()?;
            let taken = match next < index {
                true => self.store.seal(next, Durability::Synced),
                false => self.store.adopt_segment(index, file),
            };
            match taken {
                Ok(_) if next < index => {}
                Ok(_) => return Ok(true),
                Err(StoreError::NotSealable { .. }) => return Ok(false),
                // It can't be read: that is for who reads it next to say.
                Err(StoreError::Io { path, .. }) if path == file => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Gives up a segment that was taken over and is not whole on the main chain: its file goes, and its blocks that are connected stay.
    ///
    /// # Errors
    /// [`ChainError::Store`]; [`StoreError::SegmentDamaged`] where the connected blocks can't be read from the file.
    pub fn abandon_segment(&mut self, index: SegmentIndex) -> Result<(), ChainError> {
        Ok(self.store.abandon_segment(index)?)
    }

    /// A segment that was taken over, but is not whole on the main chain yet, and where its file lies: the process before ended in between.
    ///
    /// # Errors
    /// [`ChainError::Store`].
    pub fn unfinished_segment(&self) -> Result<Option<(SegmentIndex, PathBuf)>, ChainError> {
        let view = self.store.read();
        let blocks = self.tree.tip_height().get() + 1;
        let whole = blocks / u64::from(self.spec.segment_blocks);
        let index = SegmentIndex::new(whole).unwrap_or(SegmentIndex::MAX);
        let is_unfinished = view.sealed_segments()? > index;
        Ok(self
            .segment_file(index)
            .filter(|_| is_unfinished)
            .map(|file| (index, file)))
    }

    /// Where a sealed segment's file lies; `None` where the ledger is in memory.
    pub fn segment_file(&self, index: SegmentIndex) -> Option<PathBuf> {
        let folder = self.store.segments_folder()?;
        Some(folder.join(self.store.read().segment_name(index)))
    }
}
