//! Segments whose file comes first: pulled whole, then connected block by block. Their text is written to the disk once.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use lyceum_protocol::{Height, MetainfoBuilder, PIECE_BYTES, SegmentIndex};

use super::{SegmentEntry, put_entry, sealed};
use crate::connector::Connector;
use crate::engine::{Durability, View};
use crate::error::StoreError;
use crate::failpoint;
use crate::family::Family;
use crate::overlay::Overlay;
use crate::schema::{
    META_SEALED, OffsetValue, SegmentValue, block_key, decode, encode, height_key, segment_key,
};
use crate::store::Store;

impl Store {
    /// Takes over the file of the next segment before its blocks are connected: it is moved to where sealed segments lie, and the segment counts
    /// as sealed. Of a block that is then connected and found in the file, the database keeps the offset only; the first one that is not
    /// there unseals the segment.
    ///
    /// # Errors
    /// [`StoreError::NotSealable`] where the segment is not the next, the chain is past it or not yet at it, or the file can't be its
    /// text: then the file stays where it is. Those of the disk.
    pub fn adopt_segment(
        &mut self,
        index: SegmentIndex,
        file: &Path,
    ) -> Result<SegmentEntry, StoreError> {
        let refuse = |reason| Err(StoreError::NotSealable { index, reason });
        let view = self.read();
        let tip = view.tip()?.ok_or(StoreError::NoTip)?.height;
        let (first, last) = self.ends(index);
        if index != view.sealed_segments()? {
            return refuse("it is not the next");
        }
        if tip >= last || tip.next() < first {
            return refuse("the chain does not stand at it");
        }
        let Some(entry) = self.read_file(index, file)? else {
            return refuse("the file does not hold its number of lines");
        };
        let mut overlay = Overlay::new(self.shared.engine.as_ref());
        let opened = File::open(file).map_err(|error| StoreError::io(file, error))?;
        let (mut text, mut offset) = (BufReader::new(opened), 0);
        for height in self
            .shared
            .heights(index)
            .take_while(|height| *height <= tip)
        {
            let hash = view.hash_at(height)?.ok_or(StoreError::NoTip)?;
            let line = view.line_at(height)?.ok_or(StoreError::NoTip)?;
            let mut found = vec![0; line.len() + 1];
            let read = text.read_exact(&mut found);
            if read.is_err() || !is_line(&found, &line) {
                return refuse("the file does not hold the chain's blocks");
            }
            overlay.delete(Family::Blocks, block_key(height, &hash));
            let bytes = line.len() as u32; // a block is at most 16 MiB
            let place = encode(&OffsetValue { offset, bytes });
            overlay.put(Family::Offsets, height_key(height), place);
            offset += u64::from(bytes) + 1;
        }
        put_entry(&mut overlay, &entry);
        overlay.put(Family::Meta, META_SEALED, encode(&(index.get() + 1)));
        drop(view);
        self.shared.files.adopt(index, file)?;
        failpoint::reach("adopt:before_commit");
        self.shared.write(overlay, Durability::Synced)?;
        failpoint::reach("adopt:after_commit");
        Ok(entry)
    }

    /// Gives up the segment that was adopted last, where its blocks did not turn out good: those of them that are connected go back to the
    /// database, and the file goes. Of any other segment nothing happens.
    ///
    /// # Errors
    /// Those of the database and the disk.
    pub fn abandon_segment(&mut self, index: SegmentIndex) -> Result<(), StoreError> {
        let view = self.read();
        let is_last = view.sealed_segments()?.get() == index.get() + 1;
        let tip = view.tip()?.ok_or(StoreError::NoTip)?.height;
        if !is_last || tip >= self.ends(index).1 {
            return Ok(());
        }
        drop(view);
        let mut batch = self.begin();
        batch.unseal(index)?;
        failpoint::reach("abandon:before_commit");
        batch.commit(Durability::Synced)
    }

    /// The first and the last height of a segment.
    fn ends(&self, index: SegmentIndex) -> (Height, Height) {
        let mut heights = self.shared.heights(index);
        let first = heights.next().unwrap_or(Height::MAX);
        (first, heights.last().unwrap_or(first))
    }

    /// Hashes a file; `None` where it is not a segment's number of lines.
    fn read_file(
        &self,
        index: SegmentIndex,
        file: &Path,
    ) -> Result<Option<SegmentEntry>, StoreError> {
        let failed = |error| StoreError::io(file, error);
        let mut text = File::open(file).map_err(failed)?;
        let mut builder = MetainfoBuilder::new(&self.shared.chain, index);
        let mut buffer = vec![0; PIECE_BYTES];
        let (mut lines, mut last) = (0_u64, 0);
        loop {
            let read = text.read(&mut buffer).map_err(failed)?;
            let read = &buffer[..read];
            let Some(end) = read.last() else {
                break;
            };
            builder.update(read);
            lines += read.iter().filter(|byte| **byte == b'\n').count() as u64;
            last = *end;
        }
        let is_whole = lines == u64::from(self.shared.segment_blocks) && last == b'\n';
        Ok(is_whole.then(|| SegmentEntry {
            index,
            metainfo: builder.finish(),
            is_missing: false,
        }))
    }
}

/// Are these bytes the line and a line feed?
fn is_line(bytes: &[u8], line: &str) -> bool {
    bytes.split_last() == Some((&b'\n', line.as_bytes()))
}

/// Where the line of the next block stands in the file of its segment, which is there already; `None` where the file has another line there.
pub(crate) fn place_in_file(
    batch: &Connector<'_>,
    index: SegmentIndex,
    height: Height,
    line: &str,
) -> Result<Option<Vec<u8>>, StoreError> {
    let mut offset = 0;
    if batch.shared().heights(index).next() != Some(height) {
        let key = (height.get() - 1).to_be_bytes();
        let Some(before) = batch.overlay.read(Family::Offsets, &key)? else {
            return Ok(None);
        };
        let before: OffsetValue = decode(Family::Offsets, &key, &before)?;
        offset = before.offset + u64::from(before.bytes) + 1;
    }
    let file = &batch.shared().files;
    let found = file.read_at(index, offset, line.len() + 1);
    if !found.is_ok_and(|found| is_line(&found, line)) {
        return Ok(None);
    }
    let bytes = line.len() as u32; // a block is at most 16 MiB
    Ok(Some(encode(&OffsetValue { offset, bytes })))
}

/// Is the file of a block's segment there before the block? One that is damaged is of no use until it is restored.
pub(crate) fn has_file(view: &dyn View, index: SegmentIndex) -> Result<bool, StoreError> {
    if index.get() >= sealed(view)? {
        return Ok(false);
    }
    let key = segment_key(index);
    let Some(value) = view.read(Family::Segments, &key)? else {
        return Ok(false);
    };
    let value: SegmentValue = decode(Family::Segments, &key, &value)?;
    Ok(!value.is_missing)
}
