//! The slow reference: SPEC-VM.md sections 1 to 3 sentence by sentence, on big integers, with nothing clever.

use dashu_int::ops::BitTest;
use dashu_int::{IBig, UBig};
use lyceum_vm::gas;

/// The domain of a run.
#[derive(Clone, Debug)]
pub(crate) enum Domain {
    Open,
    Xor(i64),
    Paillier(UBig),
}

/// A program; cells are integers, in `paillier` the canonical x.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub domain: Domain,
    pub memory: Vec<IBig>,
    pub entry: i64,
    pub input: Vec<IBig>,
    pub steps_max: u64,
    pub cells_max: usize,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub halt: &'static str,
    pub pc: IBig,
    pub steps: u64,
    /// By the classes of gas.rs, tracked apart from the cells.
    pub gas: u64,
    pub memory: Vec<IBig>,
    pub output: Vec<IBig>,
}

/// Runs a program to its end.
pub(crate) fn run(program: &Program) -> Ended {
    let mut run = Run {
        program,
        memory: program.memory.clone(),
        output: Vec::new(),
        input_at: 0,
        encrypted: Vec::new(),
        gas: 0,
    };
    run.encrypted = run
        .memory
        .iter()
        .map(|cell| run.open_value(cell).is_none())
        .collect();
    let mut pc = IBig::from(program.entry);
    let mut steps = 0;
    let halt = loop {
        if pc == IBig::from(-1) {
            break "halt";
        }
        if &pc + IBig::from(3) > IBig::from(run.memory.len()) {
            break "end";
        }
        if steps == program.steps_max {
            break "steps";
        }
        let at = usize::try_from(&pc).unwrap();
        // A fault leaves the step undone: keep what it may change.
        let before = (
            run.memory.clone(),
            run.output.clone(),
            run.input_at,
            run.encrypted.clone(),
            run.gas,
        );
        run.gas += gas::OPEN_STEP;
        let stepped = match &program.domain {
            Domain::Xor(key) => run.step_xor(at, *key),
            Domain::Open | Domain::Paillier(_) => run.step(at),
        };
        match stepped {
            Ok(next) => pc = next,
            Err(halt) => {
                (run.memory, run.output, run.input_at, run.encrypted, run.gas) = before;
                break halt;
            }
        }
        steps += 1;
    };
    Ended {
        halt,
        pc,
        steps,
        gas: run.gas,
        memory: run.memory,
        output: run.output,
    }
}

struct Run<'a> {
    program: &'a Program,
    memory: Vec<IBig>,
    output: Vec<IBig>,
    input_at: usize,
    /// Which cells are of the class ciphertext.
    encrypted: Vec<bool>,
    gas: u64,
}

const FAULT_ADDRESS: &str = "fault:address";
const FAULT_OVERFLOW: &str = "fault:overflow";
const FAULT_BRANCH: &str = "fault:branch";

impl Run<'_> {
    fn step(&mut self, at: usize) -> Result<IBig, &'static str> {
        let minus_one = IBig::from(-1);
        self.observe(at);
        let a = self.open_value(&self.memory[at]).ok_or(FAULT_ADDRESS)?;
        self.observe(at + 1);
        let b = self.open_value(&self.memory[at + 1]).ok_or(FAULT_ADDRESS)?;
        if a < minus_one || b < minus_one {
            return Err(FAULT_ADDRESS);
        }
        if a == minus_one && b == minus_one {
            let cell = self.next_input()?;
            self.output.push(cell);
            self.gas += gas::CELL_OUTPUT;
            return self.jump(at);
        }
        if a == minus_one {
            let b = self.address(&b)?;
            let cell = self.next_input()?;
            let encrypted = self.open_value(&cell).is_none();
            self.write(b, cell, encrypted);
            return self.jump(at);
        }
        if b == minus_one {
            let a = self.address(&a)?;
            self.output.push(self.read(a));
            self.gas += gas::CELL_OUTPUT;
            return self.jump(at);
        }
        let (a, b) = (self.address(&a)?, self.address(&b)?);
        let result = self.subtract(&self.read(b), &self.read(a))?;
        let encrypted = a != b && (self.is_encrypted(a) || self.is_encrypted(b));
        if encrypted {
            self.gas += gas::ciphertext_step(self.bits()) - gas::OPEN_STEP;
        }
        self.write(b, result.clone(), encrypted);
        let after = IBig::from(at + 3);
        if encrypted {
            self.observe(at + 2);
            if self.open_value(&self.memory[at + 2]) != Some(after.clone()) {
                self.gas += gas::normalisation(self.bits());
            }
            if self.open_value(&self.memory[at + 2]) == Some(after.clone()) {
                return Ok(after);
            }
            return match self.open_value(&result) {
                Some(_) if self.is_low(&result) => self.target(at),
                Some(_) => Ok(after),
                None => Err(FAULT_BRANCH),
            };
        }
        match self.open_value(&result) {
            Some(_) if self.is_low(&result) => self.jump(at),
            Some(_) => Ok(after),
            None => unreachable!("a ciphertext from open cells"),
        }
    }

    /// Charges for reading the value of a ciphertext, if the cell is of that class.
    fn observe(&mut self, address: usize) {
        if self.is_encrypted(address) {
            self.gas += gas::normalisation(self.bits());
        }
    }

    fn is_encrypted(&self, address: usize) -> bool {
        self.encrypted.get(address) == Some(&true)
    }

    fn bits(&self) -> u64 {
        let Domain::Paillier(n) = &self.program.domain else {
            unreachable!("ciphertexts are of paillier")
        };
        n.bit_len() as u64
    }

    fn step_xor(&mut self, at: usize, key: i64) -> Result<IBig, &'static str> {
        let (a, b, c) = (
            self.memory[at].clone(),
            self.memory[at + 1].clone(),
            self.memory[at + 2].clone(),
        );
        let (a, b) = (self.address(&a)?, self.address(&b)?);
        let mask = |cell: &IBig| i64::try_from(cell).unwrap() ^ key;
        let result = i128::from(mask(&self.read(b))) - i128::from(mask(&self.read(a)));
        let result = i64::try_from(result).map_err(|_| FAULT_OVERFLOW)?;
        self.write(b, IBig::from(result ^ key), false);
        if result > 0 {
            return Ok(IBig::from(at + 3));
        }
        if c < IBig::ZERO {
            Err(FAULT_ADDRESS)
        } else {
            Ok(c)
        }
    }

    fn jump(&mut self, at: usize) -> Result<IBig, &'static str> {
        self.observe(at + 2);
        self.target(at)
    }

    fn target(&self, at: usize) -> Result<IBig, &'static str> {
        let c = self.open_value(&self.memory[at + 2]).ok_or(FAULT_ADDRESS)?;
        if c < IBig::from(-1) {
            Err(FAULT_ADDRESS)
        } else {
            Ok(c)
        }
    }

    fn address(&self, value: &IBig) -> Result<usize, &'static str> {
        usize::try_from(value)
            .ok()
            .filter(|&address| address < self.program.cells_max)
            .ok_or(FAULT_ADDRESS)
    }

    fn next_input(&mut self) -> Result<IBig, &'static str> {
        let cell = self.program.input.get(self.input_at).ok_or("input")?;
        self.input_at += 1;
        Ok(cell.clone())
    }

    /// The cell that reads as 0.
    fn zero(&self) -> IBig {
        match self.program.domain {
            Domain::Open => IBig::ZERO,
            Domain::Xor(key) => IBig::from(key),
            Domain::Paillier(_) => IBig::ONE,
        }
    }

    fn read(&self, address: usize) -> IBig {
        self.memory
            .get(address)
            .cloned()
            .unwrap_or_else(|| self.zero())
    }

    fn write(&mut self, address: usize, cell: IBig, encrypted: bool) {
        while self.memory.len() <= address {
            self.memory.push(self.zero());
            self.encrypted.push(false);
            self.gas += gas::CELL_GROWN;
        }
        self.encrypted[address] = encrypted;
        self.memory[address] = cell;
    }

    fn subtract(&self, b: &IBig, a: &IBig) -> Result<IBig, &'static str> {
        let Domain::Paillier(n) = &self.program.domain else {
            let result = b - a;
            return if i64::try_from(&result).is_ok() {
                Ok(result)
            } else {
                Err(FAULT_OVERFLOW)
            };
        };
        let n_squared = IBig::from(n * n);
        let x = (inverse(a, &n_squared) * b) % &n_squared;
        Ok(if x < IBig::ZERO { x + n_squared } else { x })
    }

    /// The integer of an open cell; `None` for a ciphertext.
    fn open_value(&self, cell: &IBig) -> Option<IBig> {
        let Domain::Paillier(n) = &self.program.domain else {
            return Some(cell.clone());
        };
        let n_signed = IBig::from(n.clone());
        let (t, s) = (
            (cell - IBig::ONE) / &n_signed,
            (cell - IBig::ONE) % &n_signed,
        );
        if s != IBig::ZERO {
            return None;
        }
        Some(if sign(&t, n) { t - n_signed } else { t })
    }

    fn is_low(&self, cell: &IBig) -> bool {
        let Domain::Paillier(n) = &self.program.domain else {
            return *cell <= IBig::ZERO;
        };
        let t = (cell - IBig::ONE) / IBig::from(n.clone());
        t == IBig::ZERO || sign(&t, n)
    }
}

/// Whether t counts as negative.
fn sign(t: &IBig, n: &UBig) -> bool {
    UBig::try_from(t.clone())
        .unwrap()
        .bit((n - UBig::ONE).bit_len() - 1)
}

/// The inverse of a unit, by Euclid as he is taught.
fn inverse(a: &IBig, n: &IBig) -> IBig {
    let (mut r0, mut r1) = (n.clone(), a.clone());
    let (mut t0, mut t1) = (IBig::ZERO, IBig::ONE);
    while r1 != IBig::ZERO {
        let quotient = &r0 / &r1;
        (r0, r1) = (r1.clone(), r0 - &quotient * r1);
        (t0, t1) = (t1.clone(), t0 - quotient * t1);
    }
    assert_eq!(r0, IBig::ONE, "{a} is no unit");
    t0
}
