//! The rules of a block, in the order in which they are checked: cheap before dear (SPEC.md section 4).

mod error;
mod unlinked;

pub use error::{BlockError, Verdict};
pub use unlinked::{UnlinkedBlock, check_unlinked, decode_block};

use std::ops::Deref;

use crate::block::{Block, BlockClaims, BlockLine, Header};
use crate::chain_spec::ChainSpec;
use crate::hash::{BlockHash, InfoHash, StateRoot};
use crate::signature::{BatchSeed, SignatureError, SignedMessage, verify_batch};
use crate::transaction::{Transaction, TxError};
use crate::units::{Credits, Gas, Height, Seq, Timestamp};
use crate::work::Bits;

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

impl Checked<Block> {
    /// The block's transactions, in order: the block's rules ask of each all that [`check_transaction`] does.
    pub fn into_checked_transactions(self) -> Vec<Checked<Transaction>> {
        self.0.transactions.into_iter().map(Checked).collect()
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

/// Rule 5: `tx_root` is that of the line's transactions.
///
/// # Errors
/// [`BlockError::TxRoot`].
pub fn check_tx_root(line: BlockLine<'_>, claims: &BlockClaims) -> Result<(), BlockError> {
    let (got, want) = (claims.tx_root, line.tx_root());
    if got != want {
        return Err(BlockError::TxRoot { got, want });
    }
    Ok(())
}

/// Rule 5: `segment` is there where it is demanded, and nowhere else, and is right.
///
/// # Errors
/// [`BlockError::Segment`].
pub fn check_segment(claims: &BlockClaims, parent: &ParentContext) -> Result<(), BlockError> {
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
    check_tx_root(line, header.claims())?;
    check_segment(header.claims(), &parent)?;
    let transactions = decode_transactions(line, spec)?;
    let messages: Vec<_> = transactions
        .iter()
        .map(Transaction::signed_message)
        .collect();
    check_verdicts(verify_batch(&messages, seed))?;
    Ok(Checked(Block {
        header,
        transactions,
    }))
}

/// The first transaction whose signature does not hold, if any.
fn check_verdicts(
    verdicts: impl IntoIterator<Item = Result<(), SignatureError>>,
) -> Result<(), BlockError> {
    for (index, verdict) in verdicts.into_iter().enumerate() {
        verdict.map_err(|error| BlockError::Transaction {
            index,
            error: error.into(),
        })?;
    }
    Ok(())
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
