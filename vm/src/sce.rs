//! `.sce`: the translated programs of the CEAL compiler, read as they stand.
//!
//! The first line is `#pragma N=… [entry=…] [io=ts|a|ascii|x] [cqtype=ts|x] …`; after it come cells, `[ADDRESS:]CELL`, separated by white
//! space. An address moves the place of this and the following cells; what stays between is the open 0.

use dashu_int::{IBig, UBig};

use crate::program::{ProgramError, ProgramProblem, RunDomain, residues, shown};
use crate::{Cell, Modulus, Program, notation};

/// How a `.sce` program wants its output printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SceIo {
    /// `T` or `T.S`, separated by spaces.
    Ts,
    /// Characters.
    Ascii,
    /// x itself, a line each.
    X,
}

/// A `.sce` file, read.
#[derive(Clone, Debug)]
pub(crate) struct Sce {
    program: Program,
    domain: RunDomain,
    io: SceIo,
}

struct Pragma {
    domain: RunDomain,
    entry: i64,
    io: SceIo,
    cells_are_x: bool,
}

impl Sce {
    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    pub(crate) fn domain(&self) -> &RunDomain {
        &self.domain
    }

    pub(crate) fn io(&self) -> SceIo {
        self.io
    }

    /// Reads a file; its addresses stay below `cells_max`.
    pub(crate) fn parse(text: &str, cells_max: usize) -> Result<Self, ProgramError> {
        let (first, _) = text.split_once('\n').unwrap_or((text, ""));
        let pragma = Pragma::parse(first)?;
        let mut memory: Vec<Cell> = Vec::new();
        let mut places: Vec<(usize, String)> = Vec::new();
        let mut at = 0;
        for (place, token) in tokens(text).filter(|((line, _), _)| *line > 1) {
            let place = format!("{}:{}", place.0, place.1);
            let wrong = |problem| ProgramError {
                path: place.clone(),
                problem,
            };
            let (address, cell) = match token.split_once(':') {
                Some((address, cell)) => (Some(address), cell),
                None => (None, token),
            };
            if let Some(address) = address {
                at = address
                    .parse()
                    .map_err(|_| wrong(ProgramProblem::Entry(shown(address))))?;
                if cell.is_empty() {
                    continue;
                }
            }
            if at >= cells_max {
                return Err(wrong(ProgramProblem::Long(at.saturating_add(1))));
            }
            let cell = pragma
                .cell(cell)
                .ok_or_else(|| wrong(ProgramProblem::Cell(shown(cell))))?;
            if at >= memory.len() {
                memory.resize(at + 1, Cell::Open(0));
            }
            if matches!(cell, Cell::Enc(_)) {
                places.push((at, place));
            }
            memory[at] = cell;
            at += 1;
        }
        let Pragma {
            domain, entry, io, ..
        } = pragma;
        if let RunDomain::Paillier(modulus) = &domain {
            check_units(&memory, modulus, &places)?;
        }
        Ok(Self {
            program: Program {
                memory,
                entry,
                input: Vec::new(),
            },
            domain,
            io,
        })
    }
}

fn check_units(
    memory: &[Cell],
    modulus: &Modulus,
    places: &[(usize, String)],
) -> Result<(), ProgramError> {
    modulus
        .check_all(residues(memory).map(|(_, residue)| residue))
        .map_err(|(nth, error)| {
            let address = residues(memory).nth(nth).map_or(0, |(address, _)| address);
            let place = places.iter().rev().find(|(at, _)| *at == address);
            ProgramError {
                path: place.map_or_else(String::new, |(_, place)| place.clone()),
                problem: error.into(),
            }
        })
}

/// The tokens of a text, each with its line and column from 1.
fn tokens(text: &str) -> impl Iterator<Item = ((usize, usize), &str)> {
    text.lines().enumerate().flat_map(|(row, line)| {
        line.split_whitespace().map(move |token| {
            let offset = token.as_ptr() as usize - line.as_ptr() as usize;
            ((row + 1, line[..offset].chars().count() + 1), token)
        })
    })
}

impl Pragma {
    fn parse(line: &str) -> Result<Self, ProgramError> {
        let wrong = |problem: String| ProgramError {
            path: "1:1".to_owned(),
            problem: ProgramProblem::Shape(problem),
        };
        let mut pragma = Self {
            domain: RunDomain::Open,
            entry: 0,
            io: SceIo::Ts,
            cells_are_x: false,
        };
        let mut named = false;
        for (name, value) in line
            .split_whitespace()
            .filter_map(|token| token.split_once('='))
        {
            let unknown = || wrong(format!("{name}={}: unknown", shown(value)));
            match (name, value) {
                ("N", "0") => (pragma.domain, named) = (RunDomain::Open, true),
                ("N", n) => {
                    let modulus =
                        Modulus::from_decimal(n).map_err(|error| wrong(format!("N: {error}")))?;
                    (pragma.domain, named) = (RunDomain::Paillier(modulus), true);
                }
                ("entry", entry) => {
                    pragma.entry = entry
                        .parse()
                        .ok()
                        .filter(|&entry| entry >= 0)
                        .ok_or_else(unknown)?;
                }
                ("io", "ts") => pragma.io = SceIo::Ts,
                ("io", "a" | "ascii") => pragma.io = SceIo::Ascii,
                ("io", "x") => pragma.io = SceIo::X,
                ("cqtype", "ts") => pragma.cells_are_x = false,
                ("cqtype", "x") => pragma.cells_are_x = true,
                ("io" | "cqtype", _) => return Err(unknown()),
                _ => {}
            }
        }
        if named {
            Ok(pragma)
        } else {
            Err(wrong("no N=… in the #pragma line".to_owned()))
        }
    }

    fn cell(&self, text: &str) -> Option<Cell> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let RunDomain::Paillier(modulus) = &self.domain else {
            let magnitude = IBig::from(notation::decimal(digits)?);
            let value = if negative { -magnitude } else { magnitude };
            return i64::try_from(value).ok().map(Cell::Open);
        };
        let negated = |value: UBig, modulus: &UBig| {
            if negative && !value.is_zero() {
                modulus - value
            } else {
                value
            }
        };
        if self.cells_are_x {
            let x = notation::decimal(digits).filter(|x| x < modulus.n_squared())?;
            return Some(Cell::Enc(crate::Residue::new(negated(
                x,
                modulus.n_squared(),
            ))));
        }
        let (t, s) = match digits.split_once('.') {
            Some((t, s)) => (notation::decimal(t)?, notation::decimal(s)?),
            None => (notation::decimal(digits)?, UBig::ZERO),
        };
        let t = Some(t).filter(|t| t < modulus.n())?;
        notation::residue_of_ts(&negated(t, modulus.n()), &s, modulus).map(Cell::Enc)
    }
}
