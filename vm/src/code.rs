//! Code: an immutable memory image, decoded once, shared by all its runs.

use std::sync::Arc;

use crate::decode::Decoded;

/// The first memory of a program and its decoded operations; cheap to clone.
///
/// A run copies the cells and shares the operations, so that a call of a compiled action costs no decoding.
#[derive(Clone, Debug)]
pub struct Code {
    cells: Arc<[i64]>,
    entry: i64,
    decoded: Arc<Decoded>,
}

/// Why cells are no code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// The first step has an address.
    #[error("the entry is {0}, want 0 or more")]
    Entry(i64),
    /// Decoded operations hold 32-bit addresses.
    #[error("{0} cells of code, want {CODE_CELLS_MAX} at most")]
    Long(usize),
}

/// Cells of the longest program: 128 MiB of open integers.
pub const CODE_CELLS_MAX: usize = 1 << 24;

impl Code {
    /// Decodes `cells`; running starts at `entry`.
    ///
    /// # Errors
    /// [`CodeError`].
    pub fn new(cells: Vec<i64>, entry: i64) -> Result<Self, CodeError> {
        Self::check(&cells, entry)?;
        let decoded = Arc::new(Decoded::new(&cells, entry));
        Ok(Self {
            cells: cells.into(),
            entry,
            decoded,
        })
    }

    /// The same program without fused operations, for comparisons: it runs alike, a step at a time.
    ///
    /// # Errors
    /// [`CodeError`].
    pub fn unfused(cells: Vec<i64>, entry: i64) -> Result<Self, CodeError> {
        Self::check(&cells, entry)?;
        let decoded = Arc::new(Decoded::unfused(cells.len()));
        Ok(Self {
            cells: cells.into(),
            entry,
            decoded,
        })
    }

    fn check(cells: &[i64], entry: i64) -> Result<(), CodeError> {
        if entry < 0 {
            return Err(CodeError::Entry(entry));
        }
        if cells.len() > CODE_CELLS_MAX {
            Err(CodeError::Long(cells.len()))
        } else {
            Ok(())
        }
    }

    /// The memory that a run starts from.
    pub fn cells(&self) -> &[i64] {
        &self.cells
    }

    /// The address of the first step.
    pub fn entry(&self) -> i64 {
        self.entry
    }

    pub(crate) fn decoded(&self) -> &Arc<Decoded> {
        &self.decoded
    }
}
