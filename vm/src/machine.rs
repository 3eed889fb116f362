//! The machine: memory, where it stands, and how it runs to an end.

use std::sync::Arc;

use crate::decode::Decoded;
use crate::fast::{self, Cursor, Exit, SPECIAL};
use crate::residues::{Residues, Value};
use crate::trace::TraceStep;
use crate::{Cell, Code, Fault, Halt, Modulus, PortMemory, Ports};

/// What open results beyond the domain's integers do in `paillier`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenOverflow {
    /// They wrap modulo N, as tools and the machine's definition have it.
    Wrap,
    /// Beyond signed 64 bits they fault as in `open`, so that a contract behaves alike in both domains.
    Fault,
}

/// What a run may use, counted from the machine's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Steps.
    pub steps: u64,
    /// Gas, by [`crate::gas`].
    pub gas: u64,
}

impl Limits {
    /// Steps only, as tools have it.
    pub fn steps(steps: u64) -> Self {
        Self {
            steps,
            gas: u64::MAX,
        }
    }

    /// Gas only, as contracts have it: each step costs at least one unit.
    pub fn gas(gas: u64) -> Self {
        Self {
            steps: u64::MAX,
            gas,
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Why.
    pub halt: Halt,
    /// Where the next step would start; −1 after [`Halt::Halt`]. An address beyond 64 bits reads as the largest one.
    pub pc: i64,
    /// Completed steps.
    pub steps: u64,
    /// The gas of the completed steps.
    pub gas: u64,
}

/// The meaning of cells.
#[derive(Clone, Debug)]
pub(crate) enum Domain {
    Open,
    Xor(i64),
    Paillier(Box<Residues>),
}

/// One run of a program.
///
/// It holds memory, `pc`, the tape of input and output, and what was used so far; [`Machine::restart`] begins anew without
/// allocating. Cells are written through [`PortMemory`] before the run and read through it afterwards.
#[derive(Clone, Debug)]
pub struct Machine {
    pub(crate) code: Code,
    pub(crate) decoded: Arc<Decoded>,
    pub(crate) memory: Vec<i64>,
    pub(crate) domain: Domain,
    pub(crate) cells_max: usize,
    pub(crate) pc: i64,
    pub(crate) steps: u64,
    pub(crate) gas: u64,
    pub(crate) input: Vec<Cell>,
    pub(crate) input_at: usize,
    pub(crate) output: Vec<Value>,
}

impl Machine {
    /// A machine of the domain `open`. Memory may grow to `cells_max` cells, never less than the code has.
    pub fn open(code: &Code, cells_max: usize) -> Self {
        Self::new(code, cells_max, Domain::Open)
    }

    /// A machine of the domain `xor` with its key: cells are as stored, masked. The masking hides nothing from an adversary.
    pub fn xor(code: &Code, cells_max: usize, key: i64) -> Self {
        Self::new(code, cells_max, Domain::Xor(key))
    }

    /// A machine of the domain `paillier` under N. The code's cells are open values, taken modulo N.
    pub fn paillier(
        code: &Code,
        cells_max: usize,
        modulus: &Modulus,
        overflow: OpenOverflow,
    ) -> Self {
        Self::new(
            code,
            cells_max,
            Domain::Paillier(Box::new(Residues::new(modulus.clone(), overflow))),
        )
    }

    fn new(code: &Code, cells_max: usize, domain: Domain) -> Self {
        let mut machine = Self {
            code: code.clone(),
            decoded: code.decoded().clone(),
            memory: Vec::new(),
            domain,
            cells_max: cells_max.max(code.cells().len()),
            pc: 0,
            steps: 0,
            gas: 0,
            input: Vec::new(),
            input_at: 0,
            output: Vec::new(),
        };
        machine.restart();
        machine
    }

    /// Back to the code's first memory and entry, with an empty tape and nothing used.
    pub fn restart(&mut self) {
        self.memory.clear();
        self.memory.extend_from_slice(self.code.cells());
        self.decoded = self.code.decoded().clone();
        (self.pc, self.steps, self.gas) = (self.code.entry(), 0, 0);
        self.input.clear();
        self.input_at = 0;
        self.output.clear();
        self.wrap_code();
    }

    /// Takes the code's integers modulo N where they are not small integers of the domain already.
    fn wrap_code(&mut self) {
        let Domain::Paillier(residues) = &mut self.domain else {
            return;
        };
        let as_they_stand = residues.holds_i64();
        for address in 0..self.memory.len() {
            let word = self.memory[address];
            if as_they_stand && word != SPECIAL {
                continue;
            }
            let kept = residues.keep_cell(address, &Cell::Open(word));
            if kept != word {
                Arc::make_mut(&mut self.decoded).written(address);
                self.memory[address] = kept;
            }
        }
    }

    /// Appends cells to the input. A residue must be a checked unit.
    pub fn feed(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.input.extend(cells);
    }

    /// All of memory, canonical; one inversion for all ciphertexts.
    pub fn cells(&self) -> Vec<Cell> {
        match &self.domain {
            Domain::Paillier(residues) => residues.cells(&self.memory, 0),
            Domain::Open | Domain::Xor(_) => self.memory.iter().copied().map(Cell::Open).collect(),
        }
    }

    /// The output so far, canonical.
    pub fn output(&self) -> Vec<Cell> {
        match &self.domain {
            Domain::Paillier(residues) => residues.cells_of(&self.output),
            Domain::Open | Domain::Xor(_) => self.output.iter().filter_map(small).collect(),
        }
    }

    /// Runs until something ends the run; afterwards it may go on with more input or wider limits.
    pub fn run(&mut self, host: &mut dyn Ports, limits: Limits) -> Outcome {
        let halt = loop {
            if let Some(halt) = self.run_fast(limits) {
                break halt;
            }
            if let Some(made) = self.step_port(host, limits) {
                match made {
                    Ok(()) => continue,
                    Err(halt) => break halt,
                }
            }
            if self.run_plain(limits) {
                continue;
            }
            if let Err(halt) = self.step(host, limits) {
                break halt;
            }
        };
        self.outcome(halt)
    }

    /// [`Machine::run`] a step at a time, each shown to `watch` once it is completed: the same halts and counts.
    pub fn run_traced(
        &mut self,
        host: &mut dyn Ports,
        limits: Limits,
        watch: &mut dyn FnMut(&TraceStep),
    ) -> Outcome {
        let halt = loop {
            let (pc, index) = (self.pc, self.steps);
            match self.step(host, limits) {
                Ok(made) => watch(&made.traced(index, pc, self.pc)),
                Err(halt) => break halt,
            }
        };
        self.outcome(halt)
    }

    fn outcome(&self, halt: Halt) -> Outcome {
        Outcome {
            halt,
            pc: self.pc,
            steps: self.steps,
            gas: self.gas,
        }
    }

    /// Runs decoded operations up to a step for the slow path, or to the halt.
    fn run_fast(&mut self, limits: Limits) -> Option<Halt> {
        if self.pc == -1 {
            return Some(Halt::Halt);
        }
        let specials = match &self.domain {
            Domain::Open => false,
            Domain::Paillier(residues) if residues.holds_i64() => true,
            Domain::Xor(_) | Domain::Paillier(_) => return None,
        };
        let pc = usize::try_from(self.pc)
            .ok()
            .filter(|&pc| pc < self.decoded.ops().len())?;
        let budget = limits
            .steps
            .saturating_sub(self.steps)
            .min(limits.gas.saturating_sub(self.gas));
        let mut cursor = Cursor { pc, budget };
        let exit = loop {
            let exit = if specials {
                fast::run::<true>(&mut self.memory, &self.decoded, &mut cursor)
            } else {
                fast::run::<false>(&mut self.memory, &self.decoded, &mut cursor)
            };
            if exit != Exit::Decode {
                break exit;
            }
            Arc::make_mut(&mut self.decoded).decode(&self.memory, cursor.pc);
        };
        let done = budget - cursor.budget;
        self.steps += done;
        self.gas += done;
        self.pc = if exit == Exit::Halt {
            -1
        } else {
            i64::try_from(cursor.pc).expect("code is short")
        };
        (exit == Exit::Halt).then_some(Halt::Halt)
    }

    /// Writes the memory word of `address`, which is below the limit, growing memory up to it.
    pub(crate) fn set_word(&mut self, address: usize, word: i64) {
        if address >= self.memory.len() {
            let fill = if let Domain::Xor(key) = self.domain {
                key
            } else {
                0
            };
            self.memory.resize(address + 1, fill);
        } else if self.decoded.is_covered(address) {
            Arc::make_mut(&mut self.decoded).written(address);
        }
        self.memory[address] = word;
    }

    fn checked(&self, address: i64) -> Result<usize, Fault> {
        usize::try_from(address)
            .ok()
            .filter(|&address| address < self.cells_max)
            .ok_or(Fault::Address)
    }
}

impl PortMemory for Machine {
    fn len(&self) -> usize {
        self.memory.len()
    }

    fn read(&self, address: i64) -> Result<Cell, Fault> {
        let address = self.checked(address)?;
        let word = match (self.memory.get(address), &self.domain) {
            (Some(&word), _) => word,
            (None, Domain::Xor(key)) => *key,
            (None, _) => 0,
        };
        match &self.domain {
            Domain::Paillier(residues) if word == SPECIAL => Ok(residues
                .cells(&[word], address)
                .pop()
                .expect("one word gives one cell")),
            _ => Ok(Cell::Open(word)),
        }
    }

    fn read_many(&self, address: i64, count: usize) -> Result<Vec<Cell>, Fault> {
        let start = self.checked(address)?;
        let end = start
            .checked_add(count)
            .filter(|&end| end <= self.cells_max)
            .ok_or(Fault::Address)?;
        let present = &self.memory[start.min(self.memory.len())..end.min(self.memory.len())];
        let mut cells = match &self.domain {
            Domain::Paillier(residues) => residues.cells(present, start),
            Domain::Open | Domain::Xor(_) => present.iter().copied().map(Cell::Open).collect(),
        };
        let unwritten = if let Domain::Xor(key) = self.domain {
            key
        } else {
            0
        };
        cells.resize(count, Cell::Open(unwritten));
        Ok(cells)
    }

    fn write(&mut self, address: i64, cell: Cell) -> Result<(), Fault> {
        let address = self.checked(address)?;
        let word = match (&mut self.domain, &cell) {
            (Domain::Paillier(residues), cell) => residues.keep_cell(address, cell),
            (_, Cell::Open(value)) => *value,
            (_, Cell::Enc(_)) => return Err(Fault::Address),
        };
        self.set_word(address, word);
        Ok(())
    }
}

fn small(value: &Value) -> Option<Cell> {
    if let Value::Small(word) = value {
        Some(Cell::Open(*word))
    } else {
        None
    }
}
