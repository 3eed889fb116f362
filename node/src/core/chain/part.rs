//! A pulled segment by parts: while one is executed, the next is read and its signatures are verified.

use std::fmt;
use std::sync::Arc;

use lyceum_protocol::{BlockHash, BlockLine};

use super::{CheckedRun, RunChecker};

/// About so many bytes of a segment are read, checked and imported at once: between two parts the node answers others. Two are in memory, each
/// some four times over.
pub const PART_BYTES: usize = 2 << 20;

/// Lines of a segment that follow each other, checked by what can be asked of each alone.
pub struct SegmentPart {
    pub(in crate::core) lines: Vec<Arc<str>>,
    pub(in crate::core) run: CheckedRun<Arc<str>>,
    /// The length of its text.
    pub(in crate::core) bytes: u64,
}

impl fmt::Debug for SegmentPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lines, {} bytes", self.lines.len(), self.bytes)
    }
}

/// Why a part of a segment is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    /// The file can't be read.
    #[error("the file can't be read")]
    Unreadable,
    /// Its bytes are no text.
    #[error("not UTF-8")]
    NotText,
}

impl RunChecker {
    /// Checks lines of a segment, each with a line feed.
    ///
    /// # Errors
    /// [`PartError::NotText`].
    pub fn check_part(&self, text: Vec<u8>) -> Result<SegmentPart, PartError> {
        let text = String::from_utf8(text).map_err(|_| PartError::NotText)?;
        let lines: Vec<Arc<str>> = text.split_terminator('\n').map(Arc::from).collect();
        Ok(SegmentPart {
            run: self.check(lines.clone()),
            lines,
            bytes: text.len() as u64,
        })
    }
}

impl SegmentPart {
    /// Passes over the lines at the start whose blocks are known.
    pub(in crate::core) fn skip_known(&mut self, is_known: impl Fn(&BlockHash) -> bool) {
        let hash = |line: &Arc<str>| BlockHash::of(BlockLine::new(line).token().as_bytes());
        let known = self.lines.iter().take_while(|line| is_known(&hash(line)));
        let known = known.count();
        self.lines.drain(..known);
        self.run.skip(known);
    }
}
