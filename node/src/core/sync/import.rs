//! Pulled segments: read, checked by the rules of the chain, kept.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use libp2p::PeerId;
use lyceum_protocol::SegmentIndex;
use lyceum_storage::{Durability, StoreError};

use super::Pulled;
use super::blocks::hash_of;
use crate::core::chain::{ChainError, PartError, SegmentPart};
use crate::core::event::{Action, Source};
use crate::core::step::Core;

/// Parts of a segment that wait: the next one is read and checked while one is imported.
const PARTS_MAX: usize = 2;

/// A segment that is being imported, and how far it is read.
#[derive(Debug)]
pub(super) struct Import {
    index: SegmentIndex,
    /// Where the next part starts in its text.
    offset: u64,
    parts: VecDeque<SegmentPart>,
    is_read: bool,
    /// A part has just come: it is imported once the next one has been asked for.
    is_new: bool,
}

impl Import {
    pub(super) fn index(&self) -> SegmentIndex {
        self.index
    }
}

impl Core {
    /// Has the next pulled segment read, once the chain has taken its file over, where it can.
    pub(super) fn start_reading(&mut self) -> Result<(), ChainError> {
        if self.sync.reading.is_some() || self.sync.import.is_some() {
            return Ok(());
        }
        let next = self.next_segment();
        let repaired = self.damaged.iter().copied();
        let mut pulled = repaired.chain([next]);
        let found = pulled.find_map(|index| Some((index, self.sync.file_of(index)?.clone())));
        match found {
            Some((index, file)) if self.damaged.contains(&index) => self.restore(index, &file),
            Some((index, file)) => {
                let file = self.adopt(index, file)?;
                self.sync.import = Some(Import {
                    index,
                    offset: 0,
                    parts: VecDeque::new(),
                    is_read: false,
                    is_new: false,
                });
                self.read_part(index, file, 0);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn read_part(&mut self, index: SegmentIndex, file: PathBuf, offset: u64) {
        self.sync.reading = Some((index, offset));
        self.act(Action::ReadSegment {
            index,
            file,
            offset,
        });
    }

    /// Has the next part of the segment that is being imported read.
    fn read_on(&mut self) {
        let Some(import) = &self.sync.import else {
            return;
        };
        let (index, offset) = (import.index, import.offset);
        let is_enough = import.is_read || import.parts.len() >= PARTS_MAX;
        let file = self.sync.file_of(index).cloned();
        if let Some(file) = file.filter(|_| !is_enough && self.sync.reading.is_none()) {
            self.read_part(index, file, offset);
        }
    }

    /// Moves the file of the next segment to the sealed ones, where the chain takes it; gives where it lies now.
    fn adopt(&mut self, index: SegmentIndex, file: PathBuf) -> Result<PathBuf, ChainError> {
        let is_new = index == self.next_segment();
        let pulled = self.sync.files.get(&index);
        let is_new = is_new && pulled.is_some_and(|pulled| !pulled.is_adopted);
        if !is_new || !self.chain.adopt_segment(index, &file)? {
            return Ok(file);
        }
        self.adopted(index)?;
        Ok(self.sync.file_of(index).cloned().unwrap_or(file))
    }

    /// The chain has taken a pulled segment over: it is seeded from its new place.
    fn adopted(&mut self, index: SegmentIndex) -> Result<(), ChainError> {
        let Some(file) = self.chain.segment_file(index) else {
            return Ok(());
        };
        let pulled = self.sync.files.entry(index).or_insert_with(Pulled::default);
        (pulled.file, pulled.is_adopted) = (file, true);
        if let Some(metainfo) = self.metainfo_of(index)? {
            self.offer(index, metainfo, None);
        }
        Ok(())
    }

    /// Goes on with a segment that the process before did not finish.
    pub(in crate::core) fn resume_segment(&mut self) -> Result<(), ChainError> {
        match self.chain.unfinished_segment()? {
            // A damaged one is pulled again first.
            Some((index, _)) if !self.damaged.contains(&index) => self.adopted(index),
            _ => Ok(()),
        }
    }

    /// Gives up a segment that the chain has taken over.
    pub(super) fn abandon(&mut self, index: SegmentIndex) -> Result<(), ChainError> {
        match self.chain.abandon_segment(index) {
            Err(ChainError::Store(StoreError::SegmentDamaged { .. })) => {
                self.damaged.insert(index);
                Ok(())
            }
            abandoned => abandoned,
        }
    }

    /// A part of a pulled segment was read.
    pub(in crate::core) fn segment_part(
        &mut self,
        index: SegmentIndex,
        offset: u64,
        part: Result<SegmentPart, PartError>,
    ) -> Result<(), ChainError> {
        if self.sync.reading != Some((index, offset)) {
            return Ok(());
        }
        self.sync.reading = None;
        let import = self.sync.import.as_mut();
        let import = import.filter(|import| (import.index, import.offset) == (index, offset));
        let Some(import) = import else {
            return Ok(());
        };
        let part = match part {
            Ok(part) => part,
            Err(PartError::NotText) => return self.segment_refused(index, "segment_text"),
            Err(PartError::Unreadable) => {
                self.drop_file(index)?;
                self.fall_back(index, "unreadable");
                return Ok(());
            }
        };
        import.is_read = part.bytes == 0;
        import.offset += part.bytes;
        import.is_new = true;
        if !import.is_read {
            import.parts.push_back(part);
        }
        self.read_on();
        Ok(())
    }

    /// Puts a damaged segment's text back.
    fn restore(&mut self, index: SegmentIndex, file: &Path) -> Result<(), ChainError> {
        match self.chain.restore_segment(index, file) {
            Ok(()) => {
                self.damaged.remove(&index);
                if let Some(metainfo) = self.metainfo_of(index)? {
                    self.offer(index, metainfo, None);
                }
            }
            // Its text is another, or gone: it is pulled again.
            Err(ChainError::Store(StoreError::SegmentOther { .. })) => {}
            Err(ChainError::Store(StoreError::Io { path, .. })) if path == file => {}
            Err(error) => return Err(error),
        }
        if let Some(file) = self.sync.forget_file(index) {
            self.act(Action::DeleteFetched(file));
        }
        Ok(())
    }

    /// Imports a part of the segment that is being imported.
    pub(super) fn import_some(&mut self) -> Result<(), ChainError> {
        let Some(import) = &mut self.sync.import else {
            return Ok(());
        };
        if std::mem::take(&mut import.is_new) {
            self.act(Action::Continue);
            return Ok(());
        }
        let index = import.index;
        let Some(mut part) = import.parts.pop_front() else {
            // Nothing more comes of one whose file is gone.
            let is_coming = self.sync.reading.is_some() && !import.is_read;
            if !is_coming {
                self.sync.import = None;
            }
            return Ok(());
        };
        self.read_on();
        let blame = self.answerable(index);
        let last = part.lines.last().map(|line| hash_of(line));
        part.skip_known(|hash| self.chain.tree().contains(hash));
        let lines: Vec<&str> = part.lines.iter().map(AsRef::as_ref).collect();
        let is_good = lines.is_empty() || {
            let now = self.now();
            let run = self
                .chain
                .import_checked(part.run, now, Durability::Buffered);
            self.imported(run, &lines, Source::Torrent, &blame)?
        };
        if !is_good {
            return self.segment_refused(index, "invalid");
        }
        if last.is_some_and(|last| !self.chain.tree().contains(&last)) {
            // It is of another branch than ours: its blocks tell where they part.
            self.drop_file(index)?;
            self.sync.blocks_until = u64::MAX;
            return Ok(());
        }
        // There is more to do: this segment's rest, or the next one.
        self.act(Action::Continue);
        Ok(())
    }

    /// Who answers for what a segment holds: who gave its boundary, and who served it with the blocks on its own chain. A fellow
    /// joiner that passes bytes on before it can judge them is not to blame.
    fn answerable(&self, index: SegmentIndex) -> Vec<PeerId> {
        let giver = self.sync.boundaries.get(&index).map(|known| known.from);
        let served = self.sync.files.get(&index);
        let served = served.into_iter().flat_map(|pulled| &pulled.from);
        let end = self.end_of(index);
        let vouches = |peer: &PeerId| {
            let claim = self.peers.get(peer).and_then(|peer| peer.claim.as_ref());
            claim.is_some_and(|claim| claim.height.get() + 1 >= end)
        };
        let served = served.copied().filter(vouches);
        let mut answerable: Vec<_> = served.chain(giver).collect();
        answerable.sort_unstable();
        answerable.dedup();
        answerable
    }

    /// A segment breaks the rules: it is thrown away, and asked for again from whoever is left.
    fn segment_refused(
        &mut self,
        index: SegmentIndex,
        reason: &'static str,
    ) -> Result<(), ChainError> {
        self.drop_file(index)?;
        self.sync.boundaries.remove(&index);
        let failures = self.sync.failures.entry(index).or_default();
        *failures += 1;
        if *failures >= 2 {
            self.fall_back(index, reason);
        }
        Ok(())
    }
}
