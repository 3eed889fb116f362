//! The assembler: text to cells. vm/ASM.md describes the format.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::notation;

/// Cells of the longest assembled program.
const CELLS_MAX: usize = crate::CODE_CELLS_MAX;

/// An assembled program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembly {
    /// Memory from address 0 on.
    pub cells: Vec<AsmCell>,
    /// The address of the first step.
    pub entry: i64,
}

/// A cell of an assembled program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AsmCell {
    /// A 64-bit integer.
    Word(i64),
    /// What only the domain `paillier` reads, as in a JSON program: a longer integer, or `"T.S"` with its quotes.
    Token(String),
}

/// An error of the assembler and its place, line and column from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {problem}")]
pub struct AsmError {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
    /// What is wrong there.
    pub problem: AsmProblem,
}

/// What is wrong at a place of an assembler text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AsmProblem {
    /// No expression.
    #[error("got {0:?}, want an integer, a 'character', a label or ?, joined by + and -")]
    Expression(String),
    /// A name that no line defines.
    #[error("label {0:?} is not defined")]
    Undefined(String),
    /// A name that a line before this one defines.
    #[error("label {0:?} is defined twice")]
    Twice(String),
    /// Not a name: letters, digits, `_` and `.`, not starting with a digit.
    #[error("{0:?} is no name for a label")]
    Label(String),
    /// A directive other than `.data`, `.text` and `.entry`.
    #[error("{0:?} is no directive; there are .data, .text and .entry")]
    Directive(String),
    /// A directive or a step with the wrong number of operands.
    #[error("got {got} operands, want {want}")]
    Operands {
        /// How many there are.
        got: usize,
        /// How many there may be.
        want: &'static str,
    },
    /// A value beyond signed 64 bits.
    #[error("the value does not fit 64 bits")]
    Range,
    /// The entry is no address.
    #[error("the entry is negative")]
    Entry,
    /// A `.text` whose string is wrong, or a string elsewhere that is no cell.
    #[error("got {0}, want a string in double quotes; in .data one of the form \"T\" or \"T.S\"")]
    Text(String),
    /// Too many cells.
    #[error("more than {CELLS_MAX} cells")]
    Long,
}

impl Assembly {
    /// The integers, where the program has no other cells.
    pub fn words(&self) -> Option<Vec<i64>> {
        self.cells
            .iter()
            .map(|cell| {
                if let AsmCell::Word(word) = cell {
                    Some(*word)
                } else {
                    None
                }
            })
            .collect()
    }

    /// The program as a JSON file, one line without its line feed.
    pub fn to_json(&self) -> String {
        let mut text = String::from("{\"memory\":[");
        for (index, cell) in self.cells.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            // Writing to a string cannot fail.
            let _ = match cell {
                AsmCell::Word(word) => write!(text, "{comma}{word}"),
                AsmCell::Token(token) => write!(text, "{comma}{token}"),
            };
        }
        let _ = write!(text, "],\"entry\":{}}}", self.entry);
        text
    }
}

/// Assembles a program.
///
/// # Errors
/// [`AsmError`], the first one in the text.
pub fn assemble(text: &str) -> Result<Assembly, AsmError> {
    let mut source = Source::default();
    for (index, line) in text.lines().enumerate() {
        source.line(index + 1, line)?;
    }
    source.resolve()
}

#[derive(Clone, Copy, Debug)]
struct Token<'a> {
    line: usize,
    column: usize,
    text: &'a str,
}

impl Token<'_> {
    fn wrong(self, problem: AsmProblem) -> AsmError {
        AsmError {
            line: self.line,
            column: self.column,
            problem,
        }
    }
}

/// A cell of the first pass.
enum Slot<'a> {
    Done(AsmCell),
    Expression(Token<'a>),
    /// The address after the step that this cell ends.
    After,
}

#[derive(Default)]
struct Source<'a> {
    slots: Vec<Slot<'a>>,
    labels: HashMap<&'a str, i64>,
    entry: Option<Token<'a>>,
}

impl<'a> Source<'a> {
    fn here(&self) -> i64 {
        i64::try_from(self.slots.len()).expect("the number of cells is limited")
    }

    fn line(&mut self, line: usize, text: &'a str) -> Result<(), AsmError> {
        let mut operands = tokens(line, text);
        while let Some(token) = operands.first().copied() {
            let Some(name) = token.text.strip_suffix(':') else {
                break;
            };
            if !is_name(name) {
                return Err(token.wrong(AsmProblem::Label(name.to_owned())));
            }
            if self.labels.insert(name, self.here()).is_some() {
                return Err(token.wrong(AsmProblem::Twice(name.to_owned())));
            }
            operands.remove(0);
        }
        let Some(first) = operands.first().copied() else {
            return Ok(());
        };
        if first.text.starts_with('.') {
            self.directive(first, &operands[1..])?;
        } else {
            self.instruction(&operands)?;
        }
        if self.slots.len() > CELLS_MAX {
            Err(first.wrong(AsmProblem::Long))
        } else {
            Ok(())
        }
    }

    fn directive(&mut self, name: Token<'a>, operands: &[Token<'a>]) -> Result<(), AsmError> {
        let operand_count = |want| {
            name.wrong(AsmProblem::Operands {
                got: operands.len(),
                want,
            })
        };
        match (name.text, operands) {
            (".data", []) => return Err(operand_count("1 or more")),
            (".data", values) => {
                for value in values {
                    self.slots
                        .push(literal(*value)?.map_or(Slot::Expression(*value), Slot::Done));
                }
            }
            (".text", [string]) => {
                let text = serde_json::from_str::<String>(string.text)
                    .map_err(|_| string.wrong(AsmProblem::Text(string.text.to_owned())))?;
                self.slots.extend(
                    text.chars()
                        .map(|c| Slot::Done(AsmCell::Word(i64::from(u32::from(c))))),
                );
            }
            (".entry", [value]) => self.entry = Some(*value),
            (".text" | ".entry", _) => return Err(operand_count("1")),
            _ => return Err(name.wrong(AsmProblem::Directive(name.text.to_owned()))),
        }
        Ok(())
    }

    /// `A B C`; `A B` goes on after itself; `A` clears A.
    fn instruction(&mut self, operands: &[Token<'a>]) -> Result<(), AsmError> {
        let (a, b, c) = match *operands {
            [a] => (a, a, Slot::After),
            [a, b] => (a, b, Slot::After),
            [a, b, c] => (a, b, Slot::Expression(c)),
            _ => {
                let problem = AsmProblem::Operands {
                    got: operands.len(),
                    want: "1 to 3",
                };
                return Err(operands[0].wrong(problem));
            }
        };
        self.slots
            .extend([Slot::Expression(a), Slot::Expression(b), c]);
        Ok(())
    }

    fn resolve(self) -> Result<Assembly, AsmError> {
        let mut cells = Vec::with_capacity(self.slots.len());
        let mut after = 0;
        for slot in self.slots {
            after += 1;
            cells.push(match slot {
                Slot::Done(cell) => cell,
                Slot::After => AsmCell::Word(after),
                Slot::Expression(token) => AsmCell::Word(evaluate(token, &self.labels, after)?),
            });
        }
        let entry = match self.entry {
            Some(token) => match evaluate(token, &self.labels, after)? {
                entry if entry < 0 => return Err(token.wrong(AsmProblem::Entry)),
                entry => entry,
            },
            None => 0,
        };
        Ok(Assembly { cells, entry })
    }
}

/// Splits a line at white space and commas, outside of quotes, up to a comment.
fn tokens(line: usize, text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut start = None;
    let (mut quote, mut escaped) = (None, false);
    // A space at the end closes the last token.
    for (column, (at, c)) in text.char_indices().chain([(text.len(), ' ')]).enumerate() {
        if let Some(open) = quote {
            // An escape hides a quote; an unclosed quote ends with its line.
            if c == open && !escaped {
                quote = None;
            }
            escaped = c == '\\' && !escaped;
            if at < text.len() {
                continue;
            }
        }
        let comment = matches!(c, '#' | ';');
        if comment || c == ',' || c.is_whitespace() {
            if let Some((from, column)) = start.take() {
                tokens.push(Token {
                    line,
                    column,
                    text: &text[from..at],
                });
            }
            if comment {
                break;
            }
            continue;
        }
        start.get_or_insert((at, column + 1));
        // A label's colon may touch what follows it.
        if c == ':' {
            if let Some((from, column)) = start.take() {
                tokens.push(Token {
                    line,
                    column,
                    text: &text[from..=at],
                });
            }
        } else if matches!(c, '"' | '\'') {
            quote = Some(c);
        }
    }
    tokens
}

fn is_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    text.chars().all(inner) && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// A cell that is no expression: `"T.S"`, or an integer beyond 64 bits.
fn literal(token: Token<'_>) -> Result<Option<AsmCell>, AsmError> {
    if let Some(rest) = token.text.strip_prefix('"') {
        let ts = rest.strip_suffix('"').unwrap_or_default();
        let (t, s) = ts.split_once('.').unwrap_or((ts, "0"));
        if notation::decimal(t).is_none() || notation::decimal(s).is_none() {
            return Err(token.wrong(AsmProblem::Text(token.text.to_owned())));
        }
        return Ok(Some(AsmCell::Token(token.text.to_owned())));
    }
    let digits = token.text.strip_prefix('-').unwrap_or(token.text);
    let long = notation::decimal(digits).is_some() && token.text.parse::<i64>().is_err();
    Ok(long.then(|| AsmCell::Token(token.text.to_owned())))
}

/// The value of an expression; `after` is the address after its cell.
fn evaluate(token: Token<'_>, labels: &HashMap<&str, i64>, after: i64) -> Result<i64, AsmError> {
    let wrong = || token.wrong(AsmProblem::Expression(token.text.to_owned()));
    let mut sum: i128 = 0;
    let mut rest = token.text;
    loop {
        let (negative, tail) = match rest.strip_prefix('-') {
            Some(tail) => (true, tail),
            None if rest.len() < token.text.len() => {
                (false, rest.strip_prefix('+').ok_or_else(wrong)?)
            }
            None => (false, rest),
        };
        let (term, tail) = split_term(tail).ok_or_else(wrong)?;
        let value = match term.as_bytes() {
            b"?" => i128::from(after),
            [b'\'', ..] => i128::from(u32::from(character(term).ok_or_else(wrong)?)),
            [b'0'..=b'9', ..] => term
                .parse::<u64>()
                .map(i128::from)
                .map_err(|_| token.wrong(AsmProblem::Range))?,
            _ if is_name(term) => {
                let address = labels
                    .get(term)
                    .ok_or_else(|| token.wrong(AsmProblem::Undefined(term.to_owned())))?;
                i128::from(*address)
            }
            _ => return Err(wrong()),
        };
        sum += if negative { -value } else { value };
        if tail.is_empty() {
            return i64::try_from(sum).map_err(|_| token.wrong(AsmProblem::Range));
        }
        rest = tail;
    }
}

/// Splits the first term off an expression.
fn split_term(text: &str) -> Option<(&str, &str)> {
    let end = if text.starts_with('\'') {
        let close = text
            .char_indices()
            .skip(2)
            .find(|&(at, c)| c == '\'' && !text[..at].ends_with("'\\"))?;
        close.0 + 1
    } else if let Some(digits) = text
        .find(|c: char| !c.is_ascii_digit())
        .filter(|&end| end > 0)
    {
        digits
    } else {
        text.find(['+', '-']).unwrap_or(text.len())
    };
    (end > 0).then(|| text.split_at(end))
}

/// The character of a term such as `'a'` or `'\n'`.
fn character(term: &str) -> Option<char> {
    let inner = term.strip_prefix('\'')?.strip_suffix('\'')?;
    let mut chars = inner.chars();
    match (chars.next()?, chars.next(), chars.next()) {
        (c, None, _) if c != '\\' => Some(c),
        ('\\', Some(c), None) => match c {
            'n' => Some('\n'),
            't' => Some('\t'),
            '0' => Some('\0'),
            '\\' | '\'' => Some(c),
            _ => None,
        },
        _ => None,
    }
}
