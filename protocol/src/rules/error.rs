//! Why blocks are refused.

use super::FUTURE_MS_MAX;
use crate::block::HeaderError;
use crate::hash::{BlockHash, InfoHash, StateRoot, TxRoot};
use crate::signature::SignatureError;
use crate::token::TokenError;
use crate::transaction::TxError;
use crate::units::{Gas, Height, Timestamp};
use crate::work::{Bits, Target};

/// What a refusal says of who sent the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The sender broke a rule.
    Reject,
    /// Nobody's fault: it can't be judged here and now.
    Ignore,
    /// Right, perhaps, but early: try it again later.
    RetryLater,
}

/// Why a block is refused: the rules in their order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Rule 1: the line is too long.
    #[error("a block line of {got} bytes, at most {max} are allowed")]
    LineSize {
        /// Bytes.
        got: usize,
        /// The chain's `max_block_bytes`.
        max: usize,
    },
    /// Rule 1: the block's token.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Rule 2: easier than the chain allows.
    #[error("bits {got} are easier than the chain's limit {limit}")]
    Limit {
        /// The claim.
        got: Bits,
        /// The chain's `limit_bits`.
        limit: Bits,
    },
    /// Rule 2: not enough work.
    #[error("hash {hash} is above the target {:064x}", target.get())]
    Work {
        /// The block's hash.
        hash: BlockHash,
        /// The target of its bits.
        target: Target,
    },
    /// Rule 3: its parent has not been seen.
    #[error("parent {0} is unknown")]
    UnknownParent(BlockHash),
    /// Rule 3: not one above its parent.
    #[error("height {got}, want {want}")]
    Height {
        /// The claim.
        got: Height,
        /// One above the parent.
        want: Height,
    },
    /// Rule 3: another difficulty than the schedule's.
    #[error("bits {got}, want {want}")]
    Bits {
        /// The claim.
        got: Bits,
        /// What ASERT gives.
        want: Bits,
    },
    /// Rule 4: not later than the blocks before it.
    #[error("timestamp {got} is not after the median {median} of the blocks before")]
    TooOld {
        /// The claim.
        got: Timestamp,
        /// The median of the last timestamps.
        median: Timestamp,
    },
    /// Rule 4: from the future.
    #[error("timestamp {got} is more than {FUTURE_MS_MAX} ms ahead of the clock, {now}")]
    TooNew {
        /// The claim.
        got: Timestamp,
        /// The node's clock.
        now: Timestamp,
    },
    /// Rule 5: the miner did not sign it.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Rule 5: other transactions than it commits to.
    #[error("tx_root {got}, the transactions give {want}")]
    TxRoot {
        /// The claim.
        got: TxRoot,
        /// The root of the line's transactions.
        want: TxRoot,
    },
    /// Rule 5: another infohash than demanded, none where one is, or one where none is.
    #[error("segment {got:?}, want {want:?}")]
    Segment {
        /// The claim.
        got: Option<InfoHash>,
        /// What stands in the segment before.
        want: Option<InfoHash>,
    },
    /// Rule 6: a transaction breaks a rule.
    #[error("transaction {index}: {error}")]
    Transaction {
        /// Its place in the block.
        index: usize,
        /// Why.
        error: TxError,
    },
    /// Rule 6: the transactions ask for more gas than a block has.
    #[error("transaction {index}: the sum of gas is above the block's {max}")]
    Gas {
        /// The first transaction that does not fit.
        index: usize,
        /// The chain's `block_gas`.
        max: Gas,
    },
    /// Rule 7: execution gives another state.
    #[error("state_root {got}, execution gives {want}")]
    StateRoot {
        /// The claim.
        got: StateRoot,
        /// What execution gives.
        want: StateRoot,
    },
}

impl BlockError {
    /// Whose fault it is.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::UnknownParent(_) => Verdict::Ignore,
            Self::TooNew { .. } => Verdict::RetryLater,
            _ => Verdict::Reject,
        }
    }

    /// The error's short name, for metrics and the API.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::LineSize { .. } => "block_size",
            Self::Header(error) => error.reason(),
            Self::Limit { .. } => "limit",
            Self::Work { .. } => "work",
            Self::UnknownParent(_) => "unknown_parent",
            Self::Height { .. } => "height",
            Self::Bits { .. } => "bits",
            Self::TooOld { .. } => "too_old",
            Self::TooNew { .. } => "too_new",
            Self::Signature(error) => error.reason(),
            Self::TxRoot { .. } => "tx_root",
            Self::Segment { .. } => "segment",
            Self::Transaction { error, .. } => error.reason(),
            Self::Gas { .. } => "block_gas",
            Self::StateRoot { .. } => "state_root",
        }
    }
}

impl From<TokenError> for BlockError {
    fn from(error: TokenError) -> Self {
        Self::Header(error.into())
    }
}
