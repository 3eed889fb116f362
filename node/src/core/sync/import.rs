//! Pulled segments: read, checked by the rules of the chain, kept.

use libp2p::PeerId;
use lyceum_protocol::SegmentIndex;
use lyceum_storage::StoreError;

use super::blocks::hash_of;
use crate::core::chain::ChainError;
use crate::core::event::{Action, Source};
use crate::core::step::Core;

/// Blocks imported in one step, and about how many bytes: between two steps the node answers others.
const STEP_BLOCKS: usize = 256;
const STEP_BYTES: usize = 2 << 20;

/// A segment's text, and how far it is imported.
pub(super) struct Import {
    index: SegmentIndex,
    text: String,
    done: usize,
}

impl std::fmt::Debug for Import {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} from byte {} of {}",
            self.index,
            self.done,
            self.text.len()
        )
    }
}

impl Import {
    pub(super) fn index(&self) -> SegmentIndex {
        self.index
    }
}

impl Core {
    /// Has the next pulled segment read.
    pub(super) fn start_reading(&mut self) {
        if self.sync.reading.is_some() || self.sync.import.is_some() {
            return;
        }
        let next = self.next_segment();
        let repaired = self.damaged.iter().copied();
        let mut pulled = repaired.chain([next]);
        let found = pulled.find_map(|index| Some((index, self.sync.file_of(index)?.clone())));
        if let Some((index, file)) = found {
            self.sync.reading = Some(index);
            self.act(Action::ReadSegment { index, file });
        }
    }

    /// A pulled segment was read.
    pub(in crate::core) fn segment_text(
        &mut self,
        index: SegmentIndex,
        text: Option<Vec<u8>>,
    ) -> Result<(), ChainError> {
        if self.sync.reading.take() != Some(index) || self.sync.file_of(index).is_none() {
            return Ok(());
        }
        let Some(text) = text else {
            self.drop_file(index);
            self.fall_back(index, "unreadable");
            return Ok(());
        };
        if self.damaged.contains(&index) {
            return self.restore(index, &text);
        }
        match String::from_utf8(text) {
            Ok(text) => {
                let done = 0;
                self.sync.import = Some(Import { index, text, done });
            }
            Err(_) => self.segment_refused(index, "segment_text"),
        }
        Ok(())
    }

    /// Puts a damaged segment's text back.
    fn restore(&mut self, index: SegmentIndex, text: &[u8]) -> Result<(), ChainError> {
        match self.chain.restore_segment(index, text) {
            Ok(()) => {
                self.damaged.remove(&index);
                if let Some(metainfo) = self.metainfo_of(index)? {
                    self.offer(index, metainfo, None);
                }
            }
            Err(ChainError::Store(StoreError::SegmentOther { .. })) => {}
            Err(error) => return Err(error),
        }
        if let Some(file) = self.sync.forget_file(index) {
            self.act(Action::DeleteFetched(file));
        }
        Ok(())
    }

    /// Imports some blocks of the segment that is being imported.
    pub(super) fn import_some(&mut self) -> Result<(), ChainError> {
        let Some(mut import) = self.sync.import.take() else {
            return Ok(());
        };
        let index = import.index;
        let blame = self.answerable(index);
        let rest = &import.text[import.done..];
        let mut bytes = 0;
        let mut lines = Vec::new();
        for line in rest.split_inclusive('\n') {
            if lines.len() == STEP_BLOCKS || bytes >= STEP_BYTES {
                break;
            }
            bytes += line.len();
            lines.push(line.strip_suffix('\n').unwrap_or(line));
        }
        let is_good = self.import_lines(&lines, Source::Torrent, &blame)?;
        let is_linked = lines
            .last()
            .is_none_or(|line| self.chain.tree().contains(&hash_of(line)));
        if !is_good {
            self.segment_refused(index, "invalid");
            return Ok(());
        }
        if !is_linked {
            // It is of another branch than ours: its blocks tell where they part.
            self.drop_file(index);
            self.sync.blocks_until = u64::MAX;
            return Ok(());
        }
        import.done += bytes;
        if import.done < import.text.len() {
            self.sync.import = Some(import);
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
    fn segment_refused(&mut self, index: SegmentIndex, reason: &'static str) {
        self.drop_file(index);
        self.sync.boundaries.remove(&index);
        let failures = self.sync.failures.entry(index).or_default();
        *failures += 1;
        if *failures >= 2 {
            self.fall_back(index, reason);
        }
    }
}
