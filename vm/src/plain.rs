//! The middle path: one plain step on 64-bit integers, for what the decoded operations leave aside.
//!
//! Operands past the end of memory, code in cells that memory grew by, the one integer that is marked special in `paillier`:
//! rare in honest code, and made quick here so that nobody gets them cheap. Whatever is not plain is the slow path's.

use crate::Limits;
use crate::fast::SPECIAL;
use crate::gas;
use crate::machine::{Domain, Machine};

/// Plain steps made before the decoded operations have their turn again: going back and forth costs as much as some steps.
const STEPS_IN_A_ROW: u32 = 8;

impl Machine {
    /// Makes plain steps up to one that decoded operations or the slow path take; whether it made any.
    pub(crate) fn run_plain(&mut self, limits: Limits) -> bool {
        if !self.step_plain(limits) {
            return false;
        }
        let mut made = 1;
        while (made < STEPS_IN_A_ROW || self.decoded.is_slow(self.pc)) && self.step_plain(limits) {
            made += 1;
        }
        true
    }

    /// Makes the step at `pc` if it is plain: a subtraction of integers that neither faults nor halts, writes below
    /// the end of memory and no decoded code.
    fn step_plain(&mut self, limits: Limits) -> bool {
        if self.steps >= limits.steps || self.gas >= limits.gas {
            return false;
        }
        let Some((address, result, next)) = self.plain() else {
            return false;
        };
        self.memory[address] = result;
        if result == SPECIAL
            && let Domain::Paillier(residues) = &mut self.domain
        {
            residues.keep_smallest(address);
        }
        self.steps += 1;
        self.gas += gas::OPEN_STEP;
        self.pc = next;
        true
    }

    /// The address that the plain step at `pc` writes, its result, and where it continues.
    fn plain(&self) -> Option<(usize, i64, i64)> {
        let at = usize::try_from(self.pc).ok()?;
        let end = at.checked_add(3)?;
        let cells = self.memory.get(at..end)?;
        let marked = match &self.domain {
            Domain::Open => None,
            Domain::Paillier(residues) if residues.holds_i64() => Some(residues),
            Domain::Paillier(_) | Domain::Xor(_) => return None,
        };
        let integer = |word: i64, address: usize| match marked {
            Some(residues) if word == SPECIAL && !residues.is_smallest(address) => None,
            _ => Some(word),
        };
        // A special operand reads as a negative address, and those are not plain.
        let from = usize::try_from(cells[0])
            .ok()
            .filter(|&from| from < self.cells_max)?;
        let to = usize::try_from(cells[1]).ok()?;
        let y = integer(*self.memory.get(to)?, to)?;
        let x = self
            .memory
            .get(from)
            .map_or(Some(0), |&word| integer(word, from))?;
        let result = y.checked_sub(x)?;
        if self.decoded.is_covered(to) {
            return None;
        }
        let c = if to == at + 2 { result } else { cells[2] };
        let next = if result > 0 {
            i64::try_from(end).ok()?
        } else {
            c
        };
        (next >= -1).then_some((to, result, next))
    }
}
