//! How a run ends.

use std::fmt;

/// What went wrong in a step; the step is undone and `pc` stays at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Fault {
    /// A negative address, one past the limit of cells, or a cell that is no open integer.
    #[error("address")]
    Address,
    /// An open result beyond signed 64 bits (in `paillier`: of a contract only).
    #[error("overflow")]
    Overflow,
    /// A ciphertext result whose C is not the next address: the branch would hang on noise.
    #[error("branch")]
    Branch,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Halt {
    /// Fewer than three cells from `pc` on.
    End,
    /// Continued at −1.
    Halt,
    /// A step wanted input and none was left.
    Input,
    /// The limit of steps.
    Steps,
    /// The limit of gas.
    Gas,
    /// A port ended the run with the host's reason id.
    Fail(u32),
    /// A fault; the step is undone.
    Fault(Fault),
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("end"),
            Self::Halt => f.write_str("halt"),
            Self::Input => f.write_str("input"),
            Self::Steps => f.write_str("steps"),
            Self::Gas => f.write_str("gas"),
            Self::Fail(reason) => write!(f, "fail:{reason}"),
            Self::Fault(fault) => write!(f, "fault:{fault}"),
        }
    }
}
