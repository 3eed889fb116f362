//! Why an action failed, and why running it could not be decided.

use crate::WorldError;

/// Why an action failed: its transaction has no effect, and the receipt says this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A `require` did not hold; its `else` text.
    #[error("{0}")]
    Require(String),
    /// A result beyond signed 64 bits.
    #[error("overflow")]
    Overflow,
    /// `/` or `%` by 0.
    #[error("division by zero")]
    DivisionByZero,
    /// The gas limit was reached.
    #[error("out of gas")]
    OutOfGas,
    /// `get`, `set` or `delete` of a record that is not there.
    #[error("missing record {path}")]
    Missing {
        /// Its path.
        path: String,
    },
    /// A record's key that cannot stand in a path.
    #[error(
        "key {got:?} of {record}: want 1 to {} bytes without \"/\" and control characters, in a key of parts without \",\"",
        crate::KEY_BYTES_MAX
    )]
    Key {
        /// The record type.
        record: String,
        /// The key.
        got: String,
    },
    /// A stored record that does not have the fields of its type.
    #[error("record {path}: {problem}")]
    Record {
        /// Its path.
        path: String,
        /// The first field that is wrong, and how.
        problem: String,
    },
    /// A parameter, or a member of a native action, that is missing, unknown or of another type.
    #[error("parameter {0}")]
    Param(String),
    /// No such contract.
    #[error("unknown contract {0:?}")]
    UnknownContract(String),
    /// No such action, or one that several contracts have.
    #[error("{0}")]
    UnknownAction(String),
    /// An action that is no object with a text `action`.
    #[error("not an action: {0}")]
    Malformed(String),
    /// The account has less than the amount.
    #[error("insufficient credits: {account} has {got}, want {want}")]
    InsufficientCredits {
        /// Whose account.
        account: String,
        /// Its balance.
        got: u64,
        /// The amount.
        want: u64,
    },
    /// A transfer to the wallet `""`.
    #[error("a transfer to no wallet")]
    NoWallet,
    /// An amount that cannot be moved.
    #[error("amount {0}: want 0 to 2^53 - 1")]
    Amount(i64),
    /// The receiver's balance would pass 2^53 − 1.
    #[error("balance of {0} would pass 2^53 - 1")]
    BalanceOverflow(String),
    /// A definition that was refused.
    #[error("definition {0}")]
    Definition(#[from] crate::DefinitionError),
    /// A contract's name that is taken.
    #[error("contract {0:?} is already deployed")]
    ContractTaken(String),
    /// A wallet token that was refused.
    #[error("wallet: {0}")]
    Wallet(String),
    /// A user id that another wallet has.
    #[error("user id {0:?} is taken")]
    UserIdTaken(String),
    /// A wallet that has registered.
    #[error("wallet {0} is registered already")]
    WalletRegistered(String),
    /// The machine stopped as translated code never should.
    #[error("machine: {0}")]
    Machine(String),
}

/// A failure of the action, or of the state below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    Failure(Failure),
    World(WorldError),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<WorldError> for Stop {
    fn from(error: WorldError) -> Self {
        Self::World(error)
    }
}
