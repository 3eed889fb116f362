//! Blocks by the many, as a chain is pulled: what can be asked of each alone is asked of all at once.

use super::{
    BlockError, Checked, ParentContext, check_link, check_segment, check_size, check_time,
    check_tx_root, check_verdicts, check_work, decode_transactions,
};
use crate::block::{Block, Header};
use crate::chain_spec::ChainSpec;
use crate::signature::{BatchSeed, KnownKeys, SignatureError, verify_batch_with};
use crate::transaction::Transaction;
use crate::units::Timestamp;

/// A block that keeps the rules that can be asked of it alone: 1, 2, the signature and `tx_root` of 5, and 6 but for the accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnlinkedBlock(Block);

impl UnlinkedBlock {
    /// The block's token.
    pub fn header(&self) -> &Header {
        &self.0.header
    }

    /// Checks what is left to ask of the block in its place: rules 3 and 4, and `segment` of 5.
    ///
    /// # Errors
    /// [`BlockError`], the first rule that is broken.
    pub fn link(
        self,
        parent: Option<&ParentContext>,
        now: Timestamp,
    ) -> Result<Checked<Block>, BlockError> {
        check_link(&self.0.header, parent)?;
        let parent = parent.expect("check_link refuses a block without a parent");
        check_time(self.0.header.claims(), parent, now)?;
        check_segment(self.0.header.claims(), parent)?;
        Ok(Checked(self.0))
    }
}

/// Checks block lines by all that can be asked of each alone, their signatures in one batch.
///
/// The verdict on each is as if it stood by itself. Lines may be spread over threads, some hundreds or thousands of signatures a call; `keys` are
/// those that all the threads know.
pub fn check_unlinked(
    lines: &[&str],
    spec: &ChainSpec,
    seed: &BatchSeed,
    keys: &KnownKeys,
) -> Vec<Result<UnlinkedBlock, BlockError>> {
    let blocks: Vec<_> = lines.iter().map(|line| decode_block(line, spec)).collect();
    let sound = || blocks.iter().flatten();
    let count = sound().map(|block| 1 + block.transactions.len()).sum();
    let mut messages = Vec::with_capacity(count);
    for block in sound() {
        messages.push(block.header.signed_message());
        messages.extend(block.transactions.iter().map(Transaction::signed_message));
    }
    let mut verdicts = verify_batch_with(&messages, seed, keys).into_iter();
    let judge = |block: Result<Block, BlockError>| {
        let block = block?;
        let count = 1 + block.transactions.len();
        let verdicts: Vec<_> = verdicts.by_ref().take(count).collect();
        check_signed(block, verdicts)
    };
    blocks.into_iter().map(judge).collect()
}

/// The block, if it and its transactions are signed as they say.
fn check_signed(
    block: Block,
    verdicts: Vec<Result<(), SignatureError>>,
) -> Result<UnlinkedBlock, BlockError> {
    let mut verdicts = verdicts.into_iter();
    verdicts.next().expect("one for the block's token")?;
    check_verdicts(verdicts)?;
    Ok(UnlinkedBlock(block))
}

/// Reads a block line back that was checked before: by rules 1 and 2, `tx_root`, and rule 6 but for signatures and accounts.
///
/// # Errors
/// [`BlockError`], the first rule that is broken.
pub fn decode_block(line: &str, spec: &ChainSpec) -> Result<Block, BlockError> {
    let line = check_size(line, spec)?;
    let header = Header::decode(line.token(), spec)?;
    check_work(&header, spec)?;
    check_tx_root(line, header.claims())?;
    let transactions = decode_transactions(line, spec)?;
    Ok(Block {
        header,
        transactions,
    })
}
