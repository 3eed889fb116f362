//! Code → cells: instructions from address 0 on, data behind them.

use super::bounds::CODE_CELLS_MAX;
use super::code::{Cell, Code, Init, Instruction, Label, Next, Operand};

/// An action's memory as a call finds it, before its parameters are filled in.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) cells: Vec<i64>,
    /// Cells of code; the data begin here.
    pub(crate) code_len: usize,
}

/// The code needs more cells than [`CODE_CELLS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong(pub(crate) usize);

/// Lays `code` out.
pub(crate) fn assemble(code: &Code) -> Result<Image, TooLong> {
    let code_len = code.instructions.len() * 3;
    let total = code_len + code.data.len();
    if total > CODE_CELLS_MAX {
        return Err(TooLong(total));
    }
    let layout = Layout { code };
    let mut cells = Vec::with_capacity(total);
    for (index, instruction) in code.instructions.iter().enumerate() {
        cells.extend(layout.instruction(index, instruction));
    }
    for datum in &code.data {
        cells.push(match datum.init {
            Init::Number(value) => value,
            Init::NegatedAddress(label) => -layout.label(label),
        });
    }
    Ok(Image { cells, code_len })
}

/// The address of a data cell.
pub(crate) fn address(code: &Code, cell: Cell) -> i64 {
    to_i64(code.instructions.len() * 3 + cell.0)
}

struct Layout<'a> {
    code: &'a Code,
}

impl Layout<'_> {
    fn label(&self, label: Label) -> i64 {
        to_i64(self.code.index_of(label) * 3)
    }

    fn operand(&self, operand: Operand) -> i64 {
        match operand {
            Operand::Cell(cell) => address(self.code, cell),
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
        [self.operand(instruction.a), self.operand(instruction.b), next]
    }
}

fn to_i64(address: usize) -> i64 {
    i64::try_from(address).expect("code is bounded")
}
