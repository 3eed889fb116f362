//! Draft → cells: instructions from address 0 on, data behind them.

use super::bounds::ACTION_CELLS_MAX;
use super::draft::{Draft, Init, Instruction, Label, Next, Operand, Slot};

/// The code needs more cells than [`ACTION_CELLS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong(pub(crate) usize);

/// The memory of `draft` as a call finds it, before its parameters are filled in.
pub(crate) fn assemble(draft: &Draft) -> Result<Vec<i64>, TooLong> {
    let code_len = draft.instructions.len() * 3;
    let total = code_len + draft.data.len();
    if total > ACTION_CELLS_MAX {
        return Err(TooLong(total));
    }
    let layout = Layout { draft };
    let mut cells = Vec::with_capacity(total);
    for (index, instruction) in draft.instructions.iter().enumerate() {
        cells.extend(layout.instruction(index, instruction));
    }
    for datum in &draft.data {
        cells.push(match datum.init {
            Init::Number(value) => value,
            Init::NegatedAddress(label) => -layout.label(label),
        });
    }
    Ok(cells)
}

/// The address of a data cell.
pub(crate) fn address(draft: &Draft, slot: Slot) -> i64 {
    to_i64(draft.instructions.len() * 3 + slot.0)
}

struct Layout<'a> {
    draft: &'a Draft,
}

impl Layout<'_> {
    fn label(&self, label: Label) -> i64 {
        to_i64(self.draft.index_of(label) * 3)
    }

    fn operand(&self, operand: Operand) -> i64 {
        match operand {
            Operand::Slot(slot) => address(self.draft, slot),
            Operand::Number(number) => number,
            Operand::Continuation(label) => self.label(label) + 2,
        }
    }

    fn instruction(&self, index: usize, instruction: &Instruction) -> [i64; 3] {
        let next = match instruction.c {
            Next::Following => to_i64((index + 1) * 3),
            Next::At(label) => self.label(label),
            Next::Halt => -1,
        };
        [
            self.operand(instruction.a),
            self.operand(instruction.b),
            next,
        ]
    }
}

fn to_i64(address: usize) -> i64 {
    i64::try_from(address).expect("code is bounded")
}
