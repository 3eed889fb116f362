//! A segment that was pulled whole: its text stays in its file.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use lyceum_protocol::{BlockHash, BlockLine, SegmentIndex, Timestamp};
use lyceum_storage::{Durability, StoreError};

use super::{Chain, ChainError, ImportRun, LineRuns, LinesError};

/// How the import of a pulled segment's runs ends early.
enum Stop {
    Lines(LinesError),
    /// The total says why.
    Refused,
}

impl From<LinesError> for Stop {
    fn from(error: LinesError) -> Self {
        Self::Lines(error)
    }
}

impl Chain {
    /// Imports a pulled segment from its file, with all checks.
    ///
    /// Where it is the next one to be sealed, the file is moved to the sealed segments, and the database keeps offsets only; where a block turns out
    /// invalid, or is not of this chain, the file goes, and the blocks before it are kept. Elsewhere its lines are
    /// imported as any others, and the file stays where it is.
    ///
    /// # Errors
    /// [`ChainError::Store`], [`ChainError::Lines`]; a verdict on a block is in [`ImportRun::error`].
    pub fn import_segment_file(
        &mut self,
        index: SegmentIndex,
        file: &Path,
        now: Timestamp,
    ) -> Result<ImportRun, ChainError> {
        // Opened first: the file is read on wherever it is moved.
        let text = File::open(file).map_err(LinesError::Io)?;
        let is_adopted = match self.store.adopt_segment(index, file) {
            Ok(_) => true,
            Err(StoreError::NotSealable { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        let imported = self.import_lines(BufReader::new(text), now);
        let is_good = imported.as_ref().is_ok_and(|run| run.error.is_none());
        if is_adopted && !is_good {
            self.store.abandon_segment(index)?;
        }
        imported
    }

    /// Imports lines to the end, or to the first that is refused. Those that are known at the start are passed over.
    fn import_lines(
        &mut self,
        text: BufReader<File>,
        now: Timestamp,
    ) -> Result<ImportRun, ChainError> {
        let mut lines = LineRuns::new(text, self.spec.max_block_bytes as usize);
        let mut total = ImportRun::default();
        let mut first = None;
        while let Some(line) = lines.next_line()? {
            let hash = BlockHash::of(BlockLine::new(&line).token().as_bytes());
            if !self.tree.contains(&hash) {
                first = Some(Ok(vec![line]));
                break;
            }
            total.done += 1;
            total.bytes += line.len() as u64 + 1;
        }
        let runs = first.into_iter().chain(lines);
        let runs = runs.map(|run| run.map_err(Stop::from));
        let ended = self.import_runs(
            runs,
            || now,
            Durability::Buffered,
            |_, run| {
                total.add(run);
                match total.error {
                    None => Ok(()),
                    Some(_) => Err(Stop::Refused),
                }
            },
        );
        match ended {
            Err(Stop::Lines(error)) => Err(error.into()),
            Ok(()) | Err(Stop::Refused) => Ok(total),
        }
    }
}
