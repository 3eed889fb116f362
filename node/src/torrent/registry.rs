//! The segments that can be seeded: all of them, of which a few are live.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use lyceum_protocol::{InfoHash, Metainfo, SegmentIndex};

/// A registered segment. Its torrent is not kept: it is made anew from the file, which must be read anyway before it is seeded.
#[derive(Debug, Clone)]
pub(super) struct Registered {
    pub(super) info_hash: InfoHash,
    pub(super) length: u64,
    pub(super) file: Box<Path>,
}

/// The registered segments, by number and by infohash.
#[derive(Debug, Default)]
pub(super) struct Registry {
    segments: BTreeMap<SegmentIndex, Registered>,
    by_hash: HashMap<InfoHash, SegmentIndex>,
}

impl Registry {
    pub(super) fn len(&self) -> usize {
        self.segments.len()
    }

    pub(super) fn get(&self, index: SegmentIndex) -> Option<&Registered> {
        self.segments.get(&index)
    }

    pub(super) fn find(&self, info_hash: InfoHash) -> Option<SegmentIndex> {
        self.by_hash.get(&info_hash).copied()
    }

    /// Registers a segment. Did it have another infohash until now?
    pub(super) fn insert(
        &mut self,
        index: SegmentIndex,
        metainfo: &Metainfo,
        file: PathBuf,
    ) -> bool {
        let info_hash = metainfo.info_hash();
        let entry = Registered {
            info_hash,
            length: metainfo.length(),
            file: file.into_boxed_path(),
        };
        let before = self.segments.insert(index, entry);
        let before = before.map(|entry| entry.info_hash);
        if let Some(before) = before {
            self.by_hash.remove(&before);
        }
        self.by_hash.insert(info_hash, index);
        before.is_some_and(|before| before != info_hash)
    }

    pub(super) fn remove(&mut self, index: SegmentIndex) -> Option<Registered> {
        let entry = self.segments.remove(&index)?;
        self.by_hash.remove(&entry.info_hash);
        Some(entry)
    }
}
