//! Program files in JSON: strict reading, each error with the path of what is wrong.

use std::fmt;

use dashu_int::{IBig, UBig};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{CODE_CELLS_MAX, Cell, Modulus, UnitError, notation};

/// The domain that a tool runs a program in.
#[derive(Clone, Debug)]
pub enum RunDomain {
    /// Signed 64-bit integers.
    Open,
    /// Masked integers, with their key.
    Xor(i64),
    /// Residues modulo N².
    Paillier(Modulus),
}

/// A program as a file holds it: canonical cells, checked for its domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Memory from address 0 on.
    pub memory: Vec<Cell>,
    /// The address of the first step, 0 or more.
    pub entry: i64,
    /// The cells that input reads.
    pub input: Vec<Cell>,
}

/// What is wrong with a program file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct ProgramError {
    /// A JSON path such as `memory[3]`; `$` is the whole file. In `.sce` files line and column.
    pub path: String,
    /// What was found there and what was wanted.
    pub problem: ProgramProblem,
}

/// What is wrong at a place of a program file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgramProblem {
    /// Not JSON, or not of the wanted shape.
    #[error("{0}")]
    Shape(String),
    /// A member that programs do not have.
    #[error("no such member; a program has memory, entry and input")]
    Unknown,
    /// A member stands twice.
    #[error("stands twice")]
    Twice,
    /// No member `memory`.
    #[error("missing")]
    Missing,
    /// Not an integer of 64 bits.
    #[error("got {0}, want an integer of 64 bits")]
    Integer(String),
    /// Neither an integer nor `"T"` or `"T.S"`.
    #[error("got {0}, want an integer, \"T\" or \"T.S\" with T and S below N")]
    Cell(String),
    /// A residue that is no cell.
    #[error("{0}")]
    Unit(#[from] UnitError),
    /// Not an address.
    #[error("got {0}, want an address of 0 or more")]
    Entry(String),
    /// Longer than a machine holds.
    #[error("{0} cells, want {CODE_CELLS_MAX} at most")]
    Long(usize),
}

/// Characters of an offending value that an error repeats.
const SHOWN_LEN_MAX: usize = 40;

pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_LEN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl Program {
    /// Reads a program file for a domain.
    ///
    /// An integer is a cell as stored in `xor`, and an open value of any length, taken modulo N, in `paillier`. Strings are
    /// cells of `paillier` only. All residues are checked, with one gcd.
    ///
    /// # Errors
    /// [`ProgramError`], for the first thing wrong.
    ///
    /// Source: SPEC-VM.md section 6.
    pub fn parse(text: &str, domain: &RunDomain) -> Result<Self, ProgramError> {
        let Members(members) = serde_json::from_str(text)
            .map_err(|error| wrong("$", ProgramProblem::Shape(error.to_string())))?;
        let (mut memory, mut entry, mut input) = (None, None, None);
        for (name, value) in members {
            let slot = match name.as_str() {
                "memory" => &mut memory,
                "entry" => &mut entry,
                "input" => &mut input,
                _ => return Err(wrong(&shown(&name), ProgramProblem::Unknown)),
            };
            if slot.replace(value).is_some() {
                return Err(wrong(&name, ProgramProblem::Twice));
            }
        }
        let memory = memory.ok_or_else(|| wrong("memory", ProgramProblem::Missing))?;
        let program = Self {
            memory: cells("memory", &memory, domain)?,
            entry: entry.map_or(Ok(0), |raw| entry_address(raw.get()))?,
            input: input.map_or(Ok(Vec::new()), |raw| cells("input", &raw, domain))?,
        };
        if let RunDomain::Paillier(modulus) = domain {
            check_units("memory", &program.memory, modulus)?;
            check_units("input", &program.input, modulus)?;
        }
        Ok(program)
    }
}

fn wrong(path: &str, problem: ProgramProblem) -> ProgramError {
    ProgramError {
        path: path.to_owned(),
        problem,
    }
}

fn entry_address(text: &str) -> Result<i64, ProgramError> {
    let address = integer(text)
        .and_then(|value| i64::try_from(value).ok())
        .filter(|&address| address >= 0);
    address.ok_or_else(|| wrong("entry", ProgramProblem::Entry(shown(text))))
}

fn cells(name: &str, raw: &RawValue, domain: &RunDomain) -> Result<Vec<Cell>, ProgramError> {
    let items: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| {
        wrong(
            name,
            ProgramProblem::Shape("want an array of cells".to_owned()),
        )
    })?;
    if items.len() > CODE_CELLS_MAX {
        return Err(wrong(name, ProgramProblem::Long(items.len())));
    }
    let item = |(index, raw): (usize, &&RawValue)| {
        cell(raw.get(), domain).map_err(|problem| wrong(&format!("{name}[{index}]"), problem))
    };
    items.iter().enumerate().map(item).collect()
}

fn cell(text: &str, domain: &RunDomain) -> Result<Cell, ProgramProblem> {
    let RunDomain::Paillier(modulus) = domain else {
        let value = integer(text).and_then(|value| i64::try_from(value).ok());
        return value
            .map(Cell::Open)
            .ok_or_else(|| ProgramProblem::Integer(shown(text)));
    };
    if let Some(value) = integer(text) {
        return Ok(match i64::try_from(&value) {
            Ok(value) => Cell::Open(value),
            Err(_) => Cell::Enc(modulus.residue_of_t(&modulus.t_of(&value))),
        });
    }
    let cell = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .map(|ts| notation::parse_ts(ts, modulus));
    match cell {
        Some(Some(residue)) => Ok(Cell::Enc(residue)),
        _ => Err(ProgramProblem::Cell(shown(text))),
    }
}

/// A JSON integer; `-0` is 0, a fraction or an exponent is none.
fn integer(text: &str) -> Option<IBig> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let magnitude = IBig::from(notation::decimal(digits)?);
    Some(if digits.len() < text.len() {
        -magnitude
    } else {
        magnitude
    })
}

pub(crate) fn residues(cells: &[Cell]) -> impl Iterator<Item = (usize, &crate::Residue)> + Clone {
    cells
        .iter()
        .enumerate()
        .filter_map(|(index, cell)| match cell {
            Cell::Enc(residue) => Some((index, residue)),
            Cell::Open(_) => None,
        })
}

fn check_units(name: &str, cells: &[Cell], modulus: &Modulus) -> Result<(), ProgramError> {
    modulus
        .check_all(residues(cells).map(|(_, residue)| residue))
        .map_err(|(nth, error)| {
            let index = residues(cells).nth(nth).map_or(0, |(index, _)| index);
            wrong(&format!("{name}[{index}]"), ProgramProblem::Unit(error))
        })
}

/// An object's members in order, duplicates and all.
pub(crate) struct Members(pub(crate) Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with memory, entry and input")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Members, M::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

/// The open integer of a cell in `paillier`, or its residue, as t and s.
pub(crate) fn parts(cell: &Cell, modulus: &Modulus) -> (UBig, UBig) {
    match cell {
        Cell::Open(value) => (modulus.t_of(&IBig::from(*value)), UBig::ZERO),
        Cell::Enc(residue) => modulus.parts(residue),
    }
}
