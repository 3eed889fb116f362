//! Memory for pieces that come and are not written yet.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use lyceum_protocol::PIECE_BYTES;

/// So many pieces, 12 MiB, are in memory at most, of all pulls together: each peer that is pulled from has up to eight on their way, and the
/// disk must be able to lag a little. Further ones are written chunk by chunk as they come.
pub(super) const PIECES_IN_MEMORY_MAX: usize = 48;

/// Lends buffers of one piece each, and keeps those that come back for as long as others are lent.
#[derive(Debug, Default)]
pub(super) struct PieceMemory(Mutex<Loans>);

#[derive(Debug, Default)]
struct Loans {
    lent: usize,
    spare: Vec<Box<[u8]>>,
}

impl PieceMemory {
    /// A buffer with anything in it; `None` where too many are lent.
    pub(super) fn take(self: &Arc<Self>) -> Option<PieceBuffer> {
        let mut loans = self.loans();
        if loans.lent >= PIECES_IN_MEMORY_MAX {
            return None;
        }
        loans.lent += 1;
        let spare = loans.spare.pop();
        drop(loans);
        let bytes = spare.unwrap_or_else(|| vec![0; PIECE_BYTES].into_boxed_slice());
        let memory = self.clone();
        Some(PieceBuffer { bytes, memory })
    }

    fn loans(&self) -> std::sync::MutexGuard<'_, Loans> {
        // Nothing in here panics half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// [`PIECE_BYTES`] bytes, on loan.
#[derive(Debug)]
pub(super) struct PieceBuffer {
    bytes: Box<[u8]>,
    memory: Arc<PieceMemory>,
}

impl Deref for PieceBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for PieceBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for PieceBuffer {
    fn drop(&mut self) {
        let mut loans = self.memory.loans();
        loans.lent -= 1;
        loans.spare.push(std::mem::take(&mut self.bytes));
        if loans.lent == 0 {
            // Nothing is pulled: the memory goes back.
            loans.spare = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_lent_than_the_bound() {
        let memory = Arc::new(PieceMemory::default());
        let mut lent: Vec<_> = (0..PIECES_IN_MEMORY_MAX)
            .map(|_| memory.take().unwrap())
            .collect();
        assert!(memory.take().is_none());
        lent.pop();
        assert_eq!(memory.loans().spare.len(), 1);
        let again = memory.take().unwrap();
        assert_eq!(again.len(), PIECE_BYTES);
        assert!(memory.take().is_none());
        assert!(memory.loans().spare.is_empty());
    }

    #[test]
    fn the_memory_goes_back_when_nothing_is_lent() {
        let memory = Arc::new(PieceMemory::default());
        let (one, two) = (memory.take(), memory.take());
        drop(one);
        assert_eq!(memory.loans().spare.len(), 1);
        drop(two);
        let loans = memory.loans();
        assert_eq!((loans.lent, loans.spare.capacity()), (0, 0));
    }
}
