//! The disassembler: a program to text that assembles back to the same cells.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::value::RawValue;

use crate::program::Members;
use crate::{AsmCell, Assembly, notation};

/// Cells of data on one line.
const DATA_CELLS_A_LINE: usize = 8;

/// Why a program cannot be disassembled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct DisasmError {
    /// A JSON path.
    pub path: String,
    /// What is wrong there.
    pub problem: String,
}

/// Writes a program as assembler text.
///
/// What can be reached from the entry without running anything is shown as steps, all else as data. The text assembles back to the
/// same cells and entry; the file's input is not part of it.
///
/// # Errors
/// [`DisasmError`] for a file that is no JSON program.
pub fn disassemble(json: &str) -> Result<String, DisasmError> {
    Ok(read(json)?.disassemble())
}

fn read(json: &str) -> Result<Assembly, DisasmError> {
    let wrong = |path: &str, problem: &str| DisasmError {
        path: path.to_owned(),
        problem: problem.to_owned(),
    };
    let Members(members) =
        serde_json::from_str(json).map_err(|error| wrong("$", &error.to_string()))?;
    let member = |name: &str| {
        members
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value)
    };
    let memory = member("memory").ok_or_else(|| wrong("memory", "missing"))?;
    let items: Vec<&RawValue> =
        serde_json::from_str(memory.get()).map_err(|_| wrong("memory", "want an array"))?;
    let mut cells = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let cell = cell(item.get());
        cells.push(cell.ok_or_else(|| {
            wrong(
                &format!("memory[{index}]"),
                "want an integer, \"T\" or \"T.S\"",
            )
        })?);
    }
    let entry = member("entry").map_or(Ok(0), |raw| raw.get().parse());
    let entry = entry
        .ok()
        .filter(|&entry: &i64| entry >= 0)
        .ok_or_else(|| wrong("entry", "want an address"))?;
    Ok(Assembly { cells, entry })
}

fn cell(token: &str) -> Option<AsmCell> {
    if let Ok(word) = token.parse() {
        return Some(AsmCell::Word(word));
    }
    let quoted = token
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let (t, s) = match quoted {
        Some(ts) => ts.split_once('.').unwrap_or((ts, "0")),
        None => (token.strip_prefix('-').unwrap_or(token), "0"),
    };
    (notation::decimal(t).is_some() && notation::decimal(s).is_some())
        .then(|| AsmCell::Token(token.to_owned()))
}

impl Assembly {
    /// Writes the program as assembler text.
    pub fn disassemble(&self) -> String {
        let layout = Layout::new(self);
        let mut text = String::new();
        if self.entry != 0 {
            let _ = writeln!(text, ".entry {}", layout.operand(self.entry));
        }
        let mut at = 0;
        while at < self.cells.len() {
            if layout.labels.contains(&at) {
                let _ = writeln!(text, "L{at}:");
            }
            at = if layout.steps.contains(&at) {
                layout.step(at, &mut text)
            } else {
                layout.data(at, &mut text)
            };
        }
        text
    }

    fn word(&self, at: usize) -> Option<i64> {
        if let Some(AsmCell::Word(word)) = self.cells.get(at) {
            Some(*word)
        } else {
            None
        }
    }
}

/// Which cells are steps, and which have labels.
struct Layout<'a> {
    program: &'a Assembly,
    /// Where steps start; they do not overlap.
    steps: BTreeSet<usize>,
    /// Starts of lines that some operand names.
    labels: BTreeSet<usize>,
}

impl<'a> Layout<'a> {
    fn new(program: &'a Assembly) -> Self {
        let mut layout = Self {
            program,
            steps: BTreeSet::new(),
            labels: BTreeSet::new(),
        };
        let mut work = Vec::from_iter(usize::try_from(program.entry));
        while let Some(pc) = work.pop() {
            let free = layout
                .steps
                .range(pc.saturating_sub(2)..=pc.saturating_add(2))
                .next()
                .is_none();
            let words = [pc, pc.saturating_add(1), pc.saturating_add(2)].map(|at| program.word(at));
            let (true, [Some(_), Some(_), Some(c)]) = (free, words) else {
                continue;
            };
            layout.steps.insert(pc);
            work.push(pc + 3);
            work.extend(usize::try_from(c));
        }
        let operands: Vec<i64> = layout
            .steps
            .iter()
            .flat_map(|&pc| (pc..pc + 3).filter_map(|at| program.word(at)))
            .chain([program.entry])
            .collect();
        let named = operands
            .iter()
            .filter_map(|&operand| layout.line(operand))
            .map(|(start, _)| start);
        layout.labels = named.collect();
        layout
    }

    /// The start of the line that an address belongs to, and how far into it.
    fn line(&self, operand: i64) -> Option<(usize, usize)> {
        let address = usize::try_from(operand)
            .ok()
            .filter(|&address| address < self.program.cells.len())?;
        let start = self
            .steps
            .range(address.saturating_sub(2)..=address)
            .next_back()
            .copied()
            .unwrap_or(address);
        Some((start, address - start))
    }

    fn operand(&self, value: i64) -> String {
        match self.line(value) {
            Some((start, 0)) => format!("L{start}"),
            Some((start, offset)) => format!("L{start}+{offset}"),
            None => value.to_string(),
        }
    }

    fn step(&self, at: usize, text: &mut String) -> usize {
        let word = |at: usize| self.program.word(at).expect("a step has three words");
        let (a, b, c) = (word(at), word(at + 1), word(at + 2));
        let falls = usize::try_from(c) == Ok(at + 3);
        let _ = match (a == b, falls) {
            (true, true) => writeln!(text, "    {}", self.operand(a)),
            (false, true) => writeln!(text, "    {} {}", self.operand(a), self.operand(b)),
            _ => writeln!(
                text,
                "    {} {} {}",
                self.operand(a),
                self.operand(b),
                self.operand(c)
            ),
        };
        at + 3
    }

    fn data(&self, at: usize, text: &mut String) -> usize {
        text.push_str("    .data");
        let mut end = at;
        while end < self.program.cells.len()
            && end - at < DATA_CELLS_A_LINE
            && !self.steps.contains(&end)
        {
            if end > at && self.labels.contains(&end) {
                break;
            }
            let _ = match &self.program.cells[end] {
                AsmCell::Word(word) => write!(text, " {word}"),
                AsmCell::Token(token) => write!(text, " {token}"),
            };
            end += 1;
        }
        text.push('\n');
        end
    }
}
