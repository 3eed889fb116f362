//! Sealed segments: block lines as plain files, which torrents seed in place.

mod adopt;
mod files;

use std::collections::BTreeMap;
use std::io::Read;

use lyceum_protocol::{
    ChainName, Height, InfoHash, Metainfo, MetainfoBuilder, PIECE_BYTES, SegmentIndex,
};

pub(crate) use adopt::{has_file, place_in_file};
pub(crate) use files::{FolderFiles, MemoryFiles, SegmentFiles};

use crate::connector::Connector;
use crate::engine::{Durability, View, write_bytes};
use crate::error::StoreError;
use crate::failpoint;
use crate::family::Family;
use crate::overlay::Overlay;
use crate::schema::{
    META_SEALED, OffsetValue, SegmentValue, block_key, decode, encode, height_key, segment_key,
};
use crate::store::{OpenProgress, Shared, Store};

/// A sealed segment.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentEntry {
    /// Which one.
    pub index: SegmentIndex,
    /// Its torrent.
    pub metainfo: Metainfo,
    /// The file was found damaged or gone: its blocks can't be read until [`Store::restore_segment`].
    pub is_missing: bool,
}

impl SegmentEntry {
    pub(crate) fn new(
        chain: &ChainName,
        index: SegmentIndex,
        value: SegmentValue,
    ) -> Result<Self, StoreError> {
        let metainfo = Metainfo::from_pieces(chain, index, value.length, value.pieces);
        let metainfo = metainfo.ok_or_else(|| {
            let reason = "the pieces don't fit the length";
            crate::schema::damaged(Family::Segments, &segment_key(index), reason)
        })?;
        Ok(Self {
            index,
            metainfo,
            is_missing: value.is_missing,
        })
    }

    fn value(&self) -> SegmentValue {
        SegmentValue {
            length: self.metainfo.length(),
            pieces: self.metainfo.pieces().to_vec(),
            is_missing: self.is_missing,
        }
    }

    pub(crate) fn damaged(&self, reason: impl Into<String>) -> StoreError {
        StoreError::SegmentDamaged {
            index: self.index,
            info_hash: self.metainfo.info_hash(),
            reason: reason.into(),
        }
    }
}

/// A segment whose file is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedSegment {
    /// Which one.
    pub index: SegmentIndex,
    /// Its torrent, to fetch it by.
    pub info_hash: InfoHash,
    /// What is wrong.
    pub reason: String,
}

impl Store {
    /// The next segment to be sealed, once the tip is deep enough: `segment_depth` blocks past the segment's end.
    ///
    /// Ask after each commit, and once after a start: the process before may have died between a block and its seal.
    pub fn sealable(&self) -> Result<Option<SegmentIndex>, StoreError> {
        self.shared.sealable()
    }

    /// Moves a segment's block lines from the database to a file: written, synced, renamed; then one commit drops the lines from the database
    /// and keeps their offsets. A crash at any point, and the loss of that commit, leaves the lines in one place or in both, never in none.
    ///
    /// # Errors
    /// [`StoreError::NotSealable`] for any segment but the next, or before the chain reaches its end; those of the disk.
    pub fn seal(
        &mut self,
        index: SegmentIndex,
        durability: Durability,
    ) -> Result<SegmentEntry, StoreError> {
        self.shared.seal(index, durability)
    }

    /// Seals all segments that are deep enough; gives how many.
    ///
    /// # Errors
    /// As [`Store::seal`].
    pub fn seal_ready(&mut self, durability: Durability) -> Result<usize, StoreError> {
        self.shared.seal_ready(durability)
    }

    /// Puts a damaged segment's text back, from whoever had it.
    ///
    /// # Errors
    /// [`StoreError::SegmentOther`] where the text is not the segment's: then nothing changes. [`StoreError::NotSealable`] where the
    /// segment is not sealed here.
    pub fn restore_segment(
        &mut self,
        index: SegmentIndex,
        text: &mut dyn Read,
    ) -> Result<(), StoreError> {
        let entry = self.read().segment(index)?;
        let Some(mut entry) = entry else {
            let reason = "it is not sealed, so there is nothing to restore";
            return Err(StoreError::NotSealable { index, reason });
        };
        let want = entry.metainfo.info_hash();
        let mut builder = MetainfoBuilder::new(&self.shared.chain, index);
        let mut buffer = vec![0; PIECE_BYTES];
        let name = self.read().segment_name(index);
        let mut is_checked = false;
        self.shared.files.write(index, &mut |out| {
            let read = text.read(&mut buffer);
            let read = read.map_err(|error| StoreError::io(name.as_ref(), error))?;
            builder.update(&buffer[..read]);
            out.extend_from_slice(&buffer[..read]);
            if read == 0 && !is_checked {
                is_checked = true;
                let got = builder.clone().finish().info_hash();
                if got != want {
                    return Err(StoreError::SegmentOther { index, got, want });
                }
            }
            Ok(read > 0)
        })?;
        entry.is_missing = false;
        self.write_entry(&entry)
    }

    fn write_entry(&mut self, entry: &SegmentEntry) -> Result<(), StoreError> {
        let mut overlay = Overlay::new(self.shared.engine.as_ref());
        put_entry(&mut overlay, entry);
        self.shared.write(overlay, Durability::Synced)
    }

    /// Checks the sealed segments' files: their lengths, and if `thorough` every piece. Those found damaged are marked, so that reading
    /// their blocks says so; the ledger goes on without them.
    pub fn verify_segments(&mut self, thorough: bool) -> Result<Vec<DamagedSegment>, StoreError> {
        self.check_segments(thorough, &OpenProgress::default())
    }

    pub(crate) fn check_segments(
        &mut self,
        thorough: bool,
        progress: &OpenProgress,
    ) -> Result<Vec<DamagedSegment>, StoreError> {
        let mut damaged = Vec::new();
        let sealed = self.read().sealed_segments()?.get();
        for index in 0..sealed {
            progress.set(index, sealed);
            let index = SegmentIndex::new(index).unwrap_or(SegmentIndex::MAX);
            let entry = self.read().segment(index)?;
            let Some(mut entry) = entry else {
                continue;
            };
            let checked = check(&self.shared, &entry, thorough);
            if let Err(reason) = checked {
                if !entry.is_missing {
                    entry.is_missing = true;
                    self.write_entry(&entry)?;
                }
                let info_hash = entry.metainfo.info_hash();
                damaged.push(DamagedSegment {
                    index,
                    info_hash,
                    reason,
                });
            } else if entry.is_missing && thorough {
                entry.is_missing = false;
                self.write_entry(&entry)?;
            }
        }
        progress.set(sealed, sealed);
        Ok(damaged)
    }
}

impl Shared {
    fn sealable(&self) -> Result<Option<SegmentIndex>, StoreError> {
        let view = self.read();
        let index = view.sealed_segments()?;
        let Some(tip) = view.tip()? else {
            return Ok(None);
        };
        let last = self.heights(index).last();
        let depth = u64::from(self.segment_depth);
        let is_deep = last.is_some_and(|last| tip.height.get() >= last.get() + depth);
        Ok(is_deep.then_some(index))
    }

    pub(crate) fn seal_ready(&self, durability: Durability) -> Result<usize, StoreError> {
        let mut sealed = 0;
        while let Some(index) = self.sealable()? {
            self.seal(index, durability)?;
            sealed += 1;
        }
        Ok(sealed)
    }

    fn seal(
        &self,
        index: SegmentIndex,
        durability: Durability,
    ) -> Result<SegmentEntry, StoreError> {
        let view = self.read();
        let tip = view.tip()?.ok_or(StoreError::NoTip)?.height;
        let last = self.heights(index).last();
        if view.sealed_segments()? != index || last.is_none_or(|last| tip < last) {
            let reason = "it is not the next, or not whole";
            return Err(StoreError::NotSealable { index, reason });
        }
        let metainfo = view.metainfo(index)?.ok_or(StoreError::NoTip)?;
        let mut overlay = Overlay::new(self.engine.as_ref());
        let mut offset = 0;
        let mut heights = self.heights(index);
        self.files.write(index, &mut |out| {
            let Some(height) = heights.next() else {
                return Ok(false);
            };
            let hash = view.hash_at(height)?.ok_or(StoreError::NoTip)?;
            let line = view.line(&hash)?.ok_or(StoreError::NoTip)?;
            out.extend_from_slice(line.as_bytes());
            out.push(b'\n');
            overlay.delete(Family::Blocks, block_key(height, &hash));
            let bytes = line.len() as u32; // a block is at most 16 MiB
            let place = encode(&OffsetValue { offset, bytes });
            overlay.put(Family::Offsets, height_key(height), place);
            offset += u64::from(bytes) + 1;
            Ok(true)
        })?;
        let entry = SegmentEntry {
            index,
            metainfo,
            is_missing: false,
        };
        put_entry(&mut overlay, &entry);
        let sealed = encode(&(index.get() + 1));
        overlay.put(Family::Meta, META_SEALED, sealed);
        failpoint::reach("seal:before_commit");
        drop(view);
        self.write(overlay, durability)?;
        failpoint::reach("seal:after_commit");
        Ok(entry)
    }

    /// Commits what is of no batch.
    fn write(&self, overlay: Overlay<'_>, durability: Durability) -> Result<(), StoreError> {
        let (layer, _) = overlay.into_parts();
        let writes = layer.writes();
        let bytes = write_bytes(writes.iter().copied());
        let mut writes = writes.iter().copied();
        self.engine.write(&mut writes, bytes, durability)
    }
}

fn put_entry(overlay: &mut Overlay<'_>, entry: &SegmentEntry) {
    let value = encode(&entry.value());
    overlay.put(Family::Segments, segment_key(entry.index), value);
}

/// Compares a file with its entry; what is wrong with it.
fn check(shared: &Shared, entry: &SegmentEntry, thorough: bool) -> Result<(), String> {
    let want = entry.metainfo.length();
    let got = shared.files.length(entry.index);
    let got = got.map_err(|error| error.to_string())?;
    if got != want {
        return Err(format!("{got} bytes long, want {want}"));
    }
    if !thorough {
        return Ok(());
    }
    let mut builder = MetainfoBuilder::new(&shared.chain, entry.index);
    let mut offset = 0;
    while offset < want {
        let bytes = (want - offset).min(PIECE_BYTES as u64);
        let piece = shared.files.read_at(entry.index, offset, bytes as usize);
        builder.update(&piece.map_err(|error| error.to_string())?);
        offset += bytes;
    }
    let found = builder.finish();
    let pieces = |metainfo: &Metainfo| metainfo.pieces().to_vec();
    let (got, want) = (pieces(&found), pieces(&entry.metainfo));
    match got
        .chunks(20)
        .zip(want.chunks(20))
        .position(|(a, b)| a != b)
    {
        Some(piece) => Err(format!("piece {piece} has another hash")),
        None => Ok(()),
    }
}

/// Takes back the last sealed segment: its lines into the overlay, its offsets and entry out. The file stays until after the commit.
pub(crate) fn unseal(batch: &mut Connector<'_>, index: SegmentIndex) -> Result<(), StoreError> {
    let heights: Vec<Height> = batch.shared().heights(index).collect();
    let mut lines = BTreeMap::new();
    for height in heights {
        let view = batch.read();
        let hash = view.hash_at(height)?;
        // Above the tip there is nothing: those blocks are disconnected in this batch already.
        if let Some(hash) = hash
            && let Some(line) = view.line(&hash)?
        {
            lines.insert(height, (hash, line));
        }
    }
    let overlay = &mut batch.overlay;
    for (height, (hash, line)) in lines {
        overlay.put(Family::Blocks, block_key(height, &hash), line.into_bytes());
        overlay.delete(Family::Offsets, height_key(height));
    }
    overlay.delete(Family::Segments, segment_key(index));
    overlay.put(Family::Meta, META_SEALED, encode(&index.get()));
    Ok(())
}

/// How many segments are sealed.
pub(crate) fn sealed(view: &dyn View) -> Result<u64, StoreError> {
    match view.read(Family::Meta, META_SEALED)? {
        Some(value) => decode(Family::Meta, META_SEALED, &value),
        None => Ok(0),
    }
}
