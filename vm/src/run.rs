//! Running a program file, text in and text out, for tools.

use std::fmt::Write as _;

use crate::sce::{Sce, SceIo};
use crate::{
    Cell, Code, CodeError, Limits, Machine, Modulus, NoPorts, OpenOverflow, Outcome, PortMemory,
    Program, ProgramError, RunDomain, TraceStep, notation,
};

/// Steps of a tool's run where the user names no limit: some seconds of open steps.
pub const RUN_STEPS_DEFAULT: u64 = 1_000_000_000;

/// Cells that a tool's machine may grow to: 8 MiB of open integers.
pub const RUN_CELLS_MAX: usize = 1 << 20;

/// How a tool runs a program.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The domain asked for. `None` is `open` for a JSON program; a `.sce` file names its own.
    pub domain: Option<RunDomain>,
    /// Steps after which the run halts with `steps`.
    pub steps: u64,
    /// Cells that memory may grow to.
    pub cells_max: usize,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            domain: None,
            steps: RUN_STEPS_DEFAULT,
            cells_max: RUN_CELLS_MAX,
        }
    }
}

/// What a tool's run gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOutput {
    /// How it ended.
    pub outcome: Outcome,
    /// What to print: for a JSON program one line of JSON with its line feed, for a `.sce` file its output in its own form.
    pub text: Vec<u8>,
}

/// Why a program file cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The file is wrong.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The cells are no code.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// More cells than the machine may have.
    #[error("the program has {got} cells, and the machine {want} at most")]
    Cells {
        /// Cells of the program.
        got: usize,
        /// Cells of the machine.
        want: usize,
    },
    /// The options name another domain than the `.sce` file.
    #[error("a .sce file names its own domain and modulus, and they differ from the options'")]
    Domain,
}

/// Runs a program file: JSON, or `.sce` where the first line starts with `#pragma`.
///
/// `trace` is shown each completed step; without it the run is faster by far.
///
/// # Errors
/// [`RunError`]; a fault of the program is no error but an outcome.
///
/// Source: SPEC-VM.md section 6.
pub fn run_program(
    text: &str,
    options: &RunOptions,
    trace: Option<&mut dyn FnMut(&TraceStep)>,
) -> Result<RunOutput, RunError> {
    if text.starts_with("#pragma") {
        let sce = Sce::parse(text, options.cells_max)?;
        if options
            .domain
            .as_ref()
            .is_some_and(|domain| !same(domain, sce.domain()))
        {
            return Err(RunError::Domain);
        }
        let (machine, outcome) = run(sce.program(), sce.domain(), options, trace)?;
        let text = sce_text(&machine.output(), sce.domain(), sce.io());
        return Ok(RunOutput { outcome, text });
    }
    let domain = options.domain.as_ref().unwrap_or(&RunDomain::Open);
    let program = Program::parse(text, domain)?;
    let (machine, outcome) = run(&program, domain, options, trace)?;
    let text = json(&outcome, &machine, domain).into_bytes();
    Ok(RunOutput { outcome, text })
}

fn same(asked: &RunDomain, named: &RunDomain) -> bool {
    match (asked, named) {
        (RunDomain::Open, RunDomain::Open) => true,
        (RunDomain::Paillier(a), RunDomain::Paillier(b)) => a.n() == b.n(),
        _ => false,
    }
}

/// A machine loaded with a program.
///
/// # Errors
/// [`RunError::Code`] and [`RunError::Cells`].
pub fn load_program(
    program: &Program,
    domain: &RunDomain,
    cells_max: usize,
) -> Result<Machine, RunError> {
    if program.memory.len() > cells_max {
        return Err(RunError::Cells {
            got: program.memory.len(),
            want: cells_max,
        });
    }
    let words = program
        .memory
        .iter()
        .map(|cell| cell.open().unwrap_or(0))
        .collect();
    let code = Code::new(words, program.entry)?;
    let mut machine = match domain {
        RunDomain::Open => Machine::open(&code, cells_max),
        RunDomain::Xor(key) => Machine::xor(&code, cells_max, *key),
        RunDomain::Paillier(modulus) => {
            Machine::paillier(&code, cells_max, modulus, OpenOverflow::Wrap)
        }
    };
    for (index, cell) in program
        .memory
        .iter()
        .enumerate()
        .filter(|(_, cell)| cell.open().is_none())
    {
        let address = i64::try_from(index).expect("memory is short");
        machine
            .write(address, cell.clone())
            .expect("a residue within memory, in paillier");
    }
    machine.feed(program.input.iter().cloned());
    Ok(machine)
}

fn run(
    program: &Program,
    domain: &RunDomain,
    options: &RunOptions,
    trace: Option<&mut dyn FnMut(&TraceStep)>,
) -> Result<(Machine, Outcome), RunError> {
    let mut machine = load_program(program, domain, options.cells_max)?;
    let limits = Limits::steps(options.steps);
    let outcome = match trace {
        Some(watch) => machine.run_traced(&mut NoPorts, limits, watch),
        None => machine.run(&mut NoPorts, limits),
    };
    Ok((machine, outcome))
}

fn json(outcome: &Outcome, machine: &Machine, domain: &RunDomain) -> String {
    let Outcome {
        halt, pc, steps, ..
    } = outcome;
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "{{\"halt\":\"{halt}\",\"pc\":{pc},\"steps\":{steps},\"memory\":"
    );
    json_cells(&mut text, &machine.cells(), domain);
    text.push_str(",\"output\":");
    json_cells(&mut text, &machine.output(), domain);
    text.push_str("}\n");
    text
}

fn json_cells(text: &mut String, cells: &[Cell], domain: &RunDomain) {
    text.push('[');
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        match domain {
            RunDomain::Paillier(modulus) => {
                let _ = write!(text, "\"{}\"", notation::ts(cell, modulus));
            }
            RunDomain::Open | RunDomain::Xor(_) => text.push_str(&plain(cell)),
        }
    }
    text.push(']');
}

/// The integer of a cell of a domain without residues.
fn plain(cell: &Cell) -> String {
    cell.open().unwrap_or_default().to_string()
}

fn sce_text(output: &[Cell], domain: &RunDomain, io: SceIo) -> Vec<u8> {
    let modulus = match domain {
        RunDomain::Paillier(modulus) => Some(modulus),
        RunDomain::Open | RunDomain::Xor(_) => None,
    };
    let cell =
        |cell: &Cell| modulus.map_or_else(|| plain(cell), |modulus| notation::ts(cell, modulus));
    let x = |cell: &Cell| {
        modulus.map_or_else(
            || plain(cell),
            |modulus| modulus.residue_of_cell(cell).get().to_string(),
        )
    };
    match io {
        SceIo::Ascii => output.iter().map(|cell| character(cell, modulus)).collect(),
        SceIo::X => output
            .iter()
            .flat_map(|cell| (x(cell) + "\n").into_bytes())
            .collect(),
        SceIo::Ts if output.is_empty() => Vec::new(),
        SceIo::Ts => (output.iter().map(cell).collect::<Vec<_>>().join(" ") + "\n").into_bytes(),
    }
}

/// The character of a cell: the low byte of its t.
fn character(cell: &Cell, modulus: Option<&Modulus>) -> u8 {
    match (cell, modulus) {
        (Cell::Open(value), _) => value.to_le_bytes()[0],
        (Cell::Enc(residue), Some(modulus)) => modulus
            .parts(residue)
            .0
            .to_le_bytes()
            .first()
            .copied()
            .unwrap_or(0),
        (Cell::Enc(_), None) => 0,
    }
}
