//! Cryptoleq code under construction: instructions over named cells and labels.
//!
//! Two scratch cells keep a value between instruction sequences: `zero` holds 0, `ones` holds −1. A value that cannot be
//! i64::MIN is moved through `zero` (its negation fits); any other through `ones`, since −1 − x fits for every x.

use std::collections::BTreeMap;

/// A place in the code that instructions continue at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Label(usize);

/// A cell of data, by its place behind the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(pub(crate) usize);

/// What A or B names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operand {
    Slot(Slot),
    /// A port's number, or the number that it takes as it stands.
    Number(i64),
    /// The C cell of the instruction at a label, where a routine's return address lies.
    Continuation(Label),
}

/// Where an instruction continues when its result is ≤ 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Following,
    At(Label),
    Halt,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Instruction {
    pub(crate) a: Operand,
    pub(crate) b: Operand,
    pub(crate) c: Next,
}

/// What a data cell holds when a call begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Init {
    Number(i64),
    /// The address of a label, negated: adding it to 0 is one subtraction.
    NegatedAddress(Label),
}

#[derive(Debug, Clone)]
pub(crate) struct Datum {
    pub(crate) name: String,
    pub(crate) init: Init,
}

/// A cell with what is known of the open integer in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value {
    pub(crate) cell: Slot,
    pub(crate) low: i64,
    pub(crate) high: i64,
}

impl Value {
    pub(crate) fn any(cell: Slot) -> Self {
        Self {
            cell,
            low: i64::MIN,
            high: i64::MAX,
        }
    }

    /// The one integer that it can be.
    pub(crate) fn constant(&self) -> Option<i64> {
        (self.low == self.high).then_some(self.low)
    }

    /// Whether −x fits.
    fn negatable(&self) -> bool {
        self.low > i64::MIN
    }
}

/// Draft and data of one action.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) instructions: Vec<Instruction>,
    pub(crate) data: Vec<Datum>,
    /// Index of the instruction that each label stands before.
    labels: Vec<Option<usize>>,
    /// Remarks for the listing, each before the instruction of that index.
    pub(crate) notes: Vec<(usize, String)>,
    constants: BTreeMap<i64, Slot>,
    pub(crate) zero: Slot,
    pub(crate) ones: Slot,
}

impl Draft {
    pub(crate) fn new() -> Self {
        let mut code = Self {
            instructions: Vec::new(),
            data: Vec::new(),
            labels: Vec::new(),
            notes: Vec::new(),
            constants: BTreeMap::new(),
            zero: Slot(0),
            ones: Slot(0),
        };
        code.zero = code.slot("zero", 0);
        code.ones = code.slot("ones", -1);
        code
    }

    pub(crate) fn slot(&mut self, name: impl Into<String>, init: i64) -> Slot {
        self.data.push(Datum {
            name: name.into(),
            init: Init::Number(init),
        });
        Slot(self.data.len() - 1)
    }

    /// The cell of a constant, shared.
    pub(crate) fn constant(&mut self, value: i64) -> Slot {
        if let Some(cell) = self.constants.get(&value) {
            return *cell;
        }
        let name = if value < 0 {
            format!("m{}", value.unsigned_abs())
        } else {
            format!("k{value}")
        };
        let cell = self.slot(name, value);
        self.constants.insert(value, cell);
        cell
    }

    pub(crate) fn constant_value(&mut self, value: i64) -> Value {
        Value {
            cell: self.constant(value),
            low: value,
            high: value,
        }
    }

    pub(crate) fn address_of(&mut self, label: Label) -> Slot {
        self.data.push(Datum {
            name: format!("to_{}", label.0),
            init: Init::NegatedAddress(label),
        });
        Slot(self.data.len() - 1)
    }

    pub(crate) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    pub(crate) fn index_of(&self, label: Label) -> usize {
        self.labels[label.0].expect("every label is placed before the code is assembled")
    }

    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push((self.instructions.len(), text.into()));
    }

    /// Puts `label` here. A jump to it that ends just before is dropped.
    pub(crate) fn place(&mut self, label: Label) {
        let end = self.instructions.len();
        let zero = Operand::Slot(self.zero);
        let last = self.instructions.last();
        if last.is_some_and(|i| i.a == zero && i.b == zero && i.c == Next::At(label)) {
            self.instructions.pop();
            for known in self
                .labels
                .iter_mut()
                .flatten()
                .filter(|known| **known == end)
            {
                *known = end - 1;
            }
            for (index, _) in self.notes.iter_mut().filter(|(index, _)| *index == end) {
                *index = end - 1;
            }
        }
        self.labels[label.0] = Some(self.instructions.len());
    }

    fn push(&mut self, a: Operand, b: Operand, c: Next) {
        self.instructions.push(Instruction { a, b, c });
    }

    /// `b ← b − a`.
    pub(crate) fn sub(&mut self, a: Slot, b: Slot) {
        self.push(Operand::Slot(a), Operand::Slot(b), Next::Following);
    }

    /// `b ← b − a`, continuing at `label` if the result is ≤ 0.
    pub(crate) fn sub_branch(&mut self, a: Slot, b: Slot, label: Label) {
        self.push(Operand::Slot(a), Operand::Slot(b), Next::At(label));
    }

    /// `cell ← cell − value`.
    pub(crate) fn sub_constant(&mut self, value: i64, cell: Slot) {
        let constant = self.constant(value);
        self.sub(constant, cell);
    }

    /// Continues at `label` if `cell` ≤ 0.
    pub(crate) fn branch(&mut self, cell: Slot, label: Label) {
        self.sub_branch(self.zero, cell, label);
    }

    pub(crate) fn jump(&mut self, label: Label) {
        self.sub_branch(self.zero, self.zero, label);
    }

    pub(crate) fn halt(&mut self) {
        self.push(
            Operand::Slot(self.zero),
            Operand::Slot(self.zero),
            Next::Halt,
        );
    }

    /// A port step; `b` is the address of its argument block.
    pub(crate) fn port(&mut self, number: i64, block: Slot) {
        self.push(
            Operand::Number(number),
            Operand::Slot(block),
            Next::Following,
        );
    }

    /// A port step that takes a number as it stands and ends the run: nothing follows it, least of all the data behind the code.
    pub(crate) fn port_fail(&mut self, number: i64, argument: i64) {
        self.push(
            Operand::Number(number),
            Operand::Number(argument),
            Next::Halt,
        );
    }

    pub(crate) fn clear(&mut self, cell: Slot) {
        self.sub(cell, cell);
    }

    /// `cell ← value`.
    pub(crate) fn set(&mut self, cell: Slot, value: i64) {
        self.clear(cell);
        match value {
            0 => {}
            i64::MIN => {
                self.sub_constant(i64::MAX, cell);
                self.sub_constant(1, cell);
            }
            _ => self.sub_constant(-value, cell),
        }
    }

    /// `to ← from`, exact for every integer.
    pub(crate) fn copy(&mut self, from: Value, to: Slot) {
        let (zero, ones) = (self.zero, self.ones);
        if from.cell == to {
        } else if let Some(value) = from.constant() {
            self.set(to, value);
        } else if from.negatable() {
            self.clear(to);
            self.sub(from.cell, zero);
            self.sub(zero, to);
            self.clear(zero);
        } else {
            self.sub(from.cell, ones);
            self.take_ones(to);
        }
    }

    /// `to ← −x` for an `x` whose negation fits; faults `overflow` otherwise.
    pub(crate) fn negate(&mut self, x: Slot, to: Slot) {
        if x == to {
            let zero = self.zero;
            self.sub(x, zero);
            self.clear(to);
            // zero holds −x: move it on without a second scratch cell.
            self.sub(zero, self.ones);
            self.clear(zero);
            self.take_ones(to);
        } else {
            self.clear(to);
            self.sub(x, to);
        }
    }

    /// `to ← −1 − ones`, and `ones` is −1 again. What was subtracted from `ones` before is the sum that `to` gets.
    pub(crate) fn take_ones(&mut self, to: Slot) {
        let ones = self.ones;
        self.clear(to);
        self.sub_constant(1, to);
        self.sub(ones, to);
        self.clear(ones);
        self.sub_constant(1, ones);
    }

    /// `to ← to + x` in place, for an `x` whose negation fits.
    pub(crate) fn add(&mut self, x: Value, to: Slot) {
        match x.constant() {
            Some(value) if value != i64::MIN => self.sub_constant(-value, to),
            _ => {
                let zero = self.zero;
                self.sub(x.cell, zero);
                self.sub(zero, to);
                self.clear(zero);
            }
        }
    }

    /// Lets every branch to a jump go where that jump goes.
    pub(crate) fn thread(&mut self) {
        let zero = Operand::Slot(self.zero);
        let jump = |label: Label| {
            let target = self.instructions.get(self.index_of(label))?;
            match target.c {
                Next::At(next) if target.a == zero && target.b == zero => Some(next),
                _ => None,
            }
        };
        let threaded: Vec<_> = self
            .instructions
            .iter()
            .map(|instruction| {
                let Next::At(mut label) = instruction.c else {
                    return instruction.c;
                };
                // A chain of jumps is no longer than the code; an endless one stays as it is.
                for _ in 0..self.instructions.len() {
                    match jump(label) {
                        Some(next) => label = next,
                        None => break,
                    }
                }
                Next::At(label)
            })
            .collect();
        for (instruction, next) in self.instructions.iter_mut().zip(threaded) {
            instruction.c = next;
        }
    }

    /// Calls the routine at `entry`, whose last instruction is at `exit`.
    pub(crate) fn call(&mut self, entry: Label, exit: Label) {
        let back = self.label();
        let address = self.address_of(back);
        let continuation = Operand::Continuation(exit);
        self.push(continuation, continuation, Next::Following);
        self.push(Operand::Slot(address), continuation, Next::Following);
        // −1 − 0 is ≤ 0, so this always jumps; unlike a plain jump it shows a reader of the code that what follows is reached.
        let minus_one = self.constant(-1);
        self.branch(minus_one, entry);
        self.labels[back.0] = Some(self.instructions.len());
    }

    /// The last instruction of a routine; the caller has filled in where it continues.
    pub(crate) fn leave(&mut self, exit: Label) {
        self.labels[exit.0] = Some(self.instructions.len());
        self.push(
            Operand::Slot(self.zero),
            Operand::Slot(self.zero),
            Next::Halt,
        );
    }
}
