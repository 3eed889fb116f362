//! The rules of a block, in the order in which they are checked: cheap before dear (SPEC.md section 4).

use std::ops::Deref;

use crate::block::{Block, BlockClaims, BlockLine, Header, HeaderError};
use crate::chain_spec::ChainSpec;
use crate::hash::{BlockHash, InfoHash, StateRoot, TxRoot};
use crate::signature::{BatchSeed, SignatureError, SignedMessage, verify_batch};
use crate::token::TokenError;
use crate::transaction::{Transaction, TxError};
use crate::units::{Credits, Gas, Height, Seq, Timestamp};
use crate::work::{Bits, Target};

/// How many of the last timestamps the median is taken of.
pub const MEDIAN_TIME_BLOCKS: usize = 11;
/// How far ahead of the node's clock a block may be, in milliseconds.
pub const FUTURE_MS_MAX: u64 = 30_000;

/// Something that has passed its rules. Storage and mempool accept nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked<T>(T);

impl<T> Checked<T> {
    /// Gives the thing up.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Checked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// What a block's rules ask of the block before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentContext {
    /// The parent's hash.
    pub hash: BlockHash,
    /// The parent's height.
    pub height: Height,
    /// The bits that a child must have.
    pub next_bits: Bits,
    /// The median of the last timestamps, the parent's included.
    pub median_time: Timestamp,
    /// The infohash that a child must carry, if any.
    pub segment: Option<InfoHash>,
}

impl ParentContext {
    /// Describes `parent` to its children.
    ///
    /// `times` are the timestamps of the last [`MEDIAN_TIME_BLOCKS`] blocks up to the parent (of all, if fewer), in any order; `segment` is
    /// the infohash of the segment that [`ChainSpec::demanded_segment`] names for the child's height.
    pub fn new(
        spec: &ChainSpec,
        parent: &Header,
        times: &[Timestamp],
        segment: Option<InfoHash>,
    ) -> Self {
        let claims = parent.claims();
        Self {
            hash: parent.hash(),
            height: claims.height,
            next_bits: spec.next_bits(claims),
            median_time: median_time(times).unwrap_or(claims.timestamp),
            segment,
        }
    }
}

/// The median of some timestamps: the upper one of the middle two, where there are two.
pub fn median_time(times: &[Timestamp]) -> Option<Timestamp> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

/// Rule 2: the hash meets the header's own target, and that is no easier than the chain's limit.
///
/// # Errors
/// [`BlockError::Limit`], [`BlockError::Work`].
pub fn check_work(header: &Header, spec: &ChainSpec) -> Result<(), BlockError> {
    let (bits, limit) = (header.claims().bits, spec.limit_bits);
    if bits.target() > limit.target() {
        return Err(BlockError::Limit { got: bits, limit });
    }
    let (hash, target) = (header.hash(), bits.target());
    if !target.is_met_by(hash) {
        return Err(BlockError::Work { hash, target });
    }
    Ok(())
}

/// Rule 3: the header follows `parent`.
///
/// # Errors
/// [`BlockError::UnknownParent`], [`BlockError::Height`], [`BlockError::Bits`].
pub fn check_link(header: &Header, parent: Option<&ParentContext>) -> Result<(), BlockError> {
    let claims = header.claims();
    let parent = parent.filter(|parent| parent.hash == claims.parent);
    let parent = parent.ok_or(BlockError::UnknownParent(claims.parent))?;
    let (got, want) = (claims.height, parent.height.next());
    if got != want {
        return Err(BlockError::Height { got, want });
    }
    let (got, want) = (claims.bits, parent.next_bits);
    if got != want {
        return Err(BlockError::Bits { got, want });
    }
    Ok(())
}

/// Rule 4: the header is later than the blocks before it, and not too far ahead of `now`, the node's clock.
///
/// # Errors
/// [`BlockError::TooOld`]; [`BlockError::TooNew`], which time heals.
pub fn check_time(
    claims: &BlockClaims,
    parent: &ParentContext,
    now: Timestamp,
) -> Result<(), BlockError> {
    let (got, median) = (claims.timestamp, parent.median_time);
    if got <= median {
        return Err(BlockError::TooOld { got, median });
    }
    if got > now.saturating_add(FUTURE_MS_MAX) {
        return Err(BlockError::TooNew { got, now });
    }
    Ok(())
}

/// Rule 5, but for the signature: `tx_root` and `segment`.
///
/// # Errors
/// [`BlockError::TxRoot`], [`BlockError::Segment`].
pub fn check_contents(
    line: BlockLine<'_>,
    claims: &BlockClaims,
    parent: &ParentContext,
) -> Result<(), BlockError> {
    let (got, want) = (claims.tx_root, line.tx_root());
    if got != want {
        return Err(BlockError::TxRoot { got, want });
    }
    let (got, want) = (claims.segment, parent.segment);
    if got != want {
        return Err(BlockError::Segment { got, want });
    }
    Ok(())
}

/// Checks a block line by rules 1 to 6, but for what rule 6 asks of the state (see [`check_account`]).
///
/// `parent` finds the context of the block of that hash; `now` is the node's clock; `seed` is unpredictable to peers.
///
/// # Errors
/// [`BlockError`], the first rule that is broken.
pub fn check_block(
    line: &str,
    spec: &ChainSpec,
    parent: impl FnOnce(BlockHash) -> Option<ParentContext>,
    now: Timestamp,
    seed: &BatchSeed,
) -> Result<Checked<Block>, BlockError> {
    let line = check_size(line, spec)?;
    let header = Header::decode(line.token(), spec)?;
    check_work(&header, spec)?;
    let parent = parent(header.claims().parent);
    check_link(&header, parent.as_ref())?;
    let parent = parent.expect("check_link refuses a block without a parent");
    check_time(header.claims(), &parent, now)?;
    let message = header.signed_message();
    crate::verify_strict(message.key, message.message, message.signature)?;
    check_contents(line, header.claims(), &parent)?;
    let transactions = decode_transactions(line, spec)?;
    let messages: Vec<_> = transactions
        .iter()
        .map(Transaction::signed_message)
        .collect();
    for (index, verdict) in verify_batch(&messages, seed).into_iter().enumerate() {
        verdict.map_err(|error| BlockError::Transaction {
            index,
            error: error.into(),
        })?;
    }
    Ok(Checked(Block {
        header,
        transactions,
    }))
}

/// Rule 1, of the line as a whole.
fn check_size<'a>(line: &'a str, spec: &ChainSpec) -> Result<BlockLine<'a>, BlockError> {
    let (got, max) = (line.len(), spec.max_block_bytes as usize);
    if got > max {
        return Err(BlockError::LineSize { got, max });
    }
    Ok(BlockLine::new(line))
}

/// Rule 6: each transaction's token, its fee, and the sum of their gas.
fn decode_transactions(
    line: BlockLine<'_>,
    spec: &ChainSpec,
) -> Result<Vec<Transaction>, BlockError> {
    let mut sum = Gas::ZERO;
    let decoded = line.transactions().enumerate().map(|(index, token)| {
        let refuse = |error| BlockError::Transaction { index, error };
        let transaction = Transaction::decode(token, spec).map_err(refuse)?;
        check_price(&transaction, spec).map_err(refuse)?;
        let max = spec.block_gas;
        let total = sum.checked_add(transaction.claims().gas);
        sum = total
            .filter(|total| *total <= max)
            .ok_or(BlockError::Gas { index, max })?;
        Ok(transaction)
    });
    decoded.collect()
}

/// Checks a transaction by what rule 6 asks of it alone: token, `aud`, fee, gas, signature.
///
/// # Errors
/// [`TxError`], the first rule that is broken.
pub fn check_transaction(token: &str, spec: &ChainSpec) -> Result<Checked<Transaction>, TxError> {
    let transaction = Transaction::decode(token, spec)?;
    check_price(&transaction, spec)?;
    let SignedMessage {
        key,
        message,
        signature,
    } = transaction.signed_message();
    crate::verify_strict(key, message, signature)?;
    Ok(Checked(transaction))
}

fn check_price(transaction: &Transaction, spec: &ChainSpec) -> Result<(), TxError> {
    let claims = transaction.claims();
    if claims.gas > spec.block_gas {
        let (got, max) = (claims.gas, spec.block_gas);
        return Err(TxError::Gas { got, max });
    }
    let want = u128::from(claims.gas.get()) * u128::from(spec.min_gas_price);
    if u128::from(claims.fee.get()) < want {
        let got = claims.fee;
        return Err(TxError::Fee { got, want });
    }
    Ok(())
}

/// Checks a transaction by what rule 6 asks of its sender's account, as it is just before the transaction.
///
/// # Errors
/// [`TxError::Seq`], [`TxError::Funds`]: nobody's fault in gossip, fatal in a block.
pub fn check_account(transaction: &Transaction, balance: Credits, seq: Seq) -> Result<(), TxError> {
    let claims = transaction.claims();
    if claims.seq != seq {
        let (got, want) = (claims.seq, seq);
        return Err(TxError::Seq { got, want });
    }
    if balance < claims.fee {
        let fee = claims.fee;
        return Err(TxError::Funds { balance, fee });
    }
    Ok(())
}

/// Rule 7: execution gave the state root that the block claims.
///
/// # Errors
/// [`BlockError::StateRoot`].
pub fn check_state_root(claims: &BlockClaims, executed: StateRoot) -> Result<(), BlockError> {
    let (got, want) = (claims.state_root, executed);
    if got != want {
        return Err(BlockError::StateRoot { got, want });
    }
    Ok(())
}

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
