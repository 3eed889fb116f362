use lyceum_protocol::{Credits, Seq, TxId};

/// Why the mempool does not take a transaction. In gossip it is nobody's fault: the sender's other nodes may stand elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MempoolError {
    /// It is pending already.
    #[error("transaction {0} is pending already")]
    Known(TxId),
    /// Its `seq` is used: it, or another in its place, is in the chain.
    #[error("claim \"seq\" is {got}, the sender's next is {want}")]
    SeqTooOld {
        /// The claim.
        got: Seq,
        /// The sender's count.
        want: Seq,
    },
    /// Too many of the sender's transactions would have to come before it.
    #[error("claim \"seq\" is {got}, want less than {max}: the chain has to move first")]
    SeqTooFar {
        /// The claim.
        got: Seq,
        /// The first `seq` that is too far.
        max: u64,
    },
    /// Another with its `seq` is pending, and it does not pay enough more.
    #[error(
        "{pending} is pending with this seq; to replace it, pay a fee of at least {want} (got {got}) and more per gas"
    )]
    Underpriced {
        /// The one that is pending.
        pending: TxId,
        /// The claim `fee`.
        got: Credits,
        /// The least fee that replaces it.
        want: u64,
    },
    /// The sender can't pay the fees of all that it has pending.
    #[error("the sender has {balance} credits, its pending transactions' fees come to {fees}")]
    Funds {
        /// The sender's balance.
        balance: Credits,
        /// The sum of fees, this one's included.
        fees: u128,
    },
    /// There is no room, and nothing that is worth less.
    #[error("the mempool is full, and nothing in it pays less for its gas; pay a higher fee")]
    Full,
}

impl MempoolError {
    /// The error's short name, for metrics and problem details.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Known(_) => "known",
            Self::SeqTooOld { .. } => "seq_too_old",
            Self::SeqTooFar { .. } => "seq_too_far",
            Self::Underpriced { .. } => "underpriced",
            Self::Funds { .. } => "pending_funds",
            Self::Full => "mempool_full",
        }
    }
}

/// A transaction that is no longer pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dropped {
    /// The transaction.
    pub id: TxId,
    /// Why it went.
    pub cause: DropCause,
}

/// Why a transaction is no longer pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropCause {
    /// Its `seq` is used: it is in the chain, or another in its place.
    Past,
    /// After a reorganisation its `seq` is too far ahead.
    TooFar,
    /// The sender can no longer pay its fee, or that of one before it.
    Funds,
    /// One of the same sender and `seq` pays more.
    Replaced,
    /// It had to make room.
    Full,
}

impl DropCause {
    /// The cause's short name, for metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Past => "past",
            Self::TooFar => "seq_too_far",
            Self::Funds => "pending_funds",
            Self::Replaced => "replaced",
            Self::Full => "mempool_full",
        }
    }
}
