//! What a trace shows of a step.

use std::fmt;

use crate::residues::Value;

/// A completed step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceStep {
    /// Its number, from 0.
    pub index: u64,
    /// Its address.
    pub pc: i64,
    /// Its first operand, as an address.
    pub a: i64,
    /// Its second operand, as an address.
    pub b: i64,
    /// The value written or put out; `None` for a port.
    pub value: Option<TraceValue>,
    /// Where the run continued.
    pub next: i64,
}

/// A value in a trace. A ciphertext is not brought to its canonical form for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceValue {
    /// A 64-bit integer; in `xor` as stored, masked.
    Open(i64),
    /// An open integer beyond 64 bits.
    Large,
    /// A ciphertext.
    Ciphertext,
}

impl From<&Value> for TraceValue {
    fn from(value: &Value) -> Self {
        match value {
            Value::Small(word) => Self::Open(*word),
            Value::Big(_) => Self::Large,
            Value::Enc(_) => Self::Ciphertext,
        }
    }
}

impl fmt::Display for TraceValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(value) => write!(f, "{value}"),
            Self::Large => f.write_str("large"),
            Self::Ciphertext => f.write_str("ciphertext"),
        }
    }
}

impl fmt::Display for TraceStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} pc={} A={} B={}", self.index, self.pc, self.a, self.b)?;
        if let Some(value) = self.value {
            write!(f, " value={value}")?;
        }
        write!(f, " next={}", self.next)
    }
}
