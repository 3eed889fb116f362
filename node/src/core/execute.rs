//! What a block does to the state: its transactions in order, then the subsidy.

use lyceum_protocol::{
    Address, BlockClaims, ChainSpec, Credits, Height, Timestamp, Transaction, TxError,
    check_account,
};
use lyceum_vm::{Account, CallContext, Executor, Receipt, World, WorldError};

/// Where a block stands, as its transactions see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockSite {
    /// Who is paid.
    pub miner: Address,
    /// Its height.
    pub height: Height,
    /// Its time.
    pub timestamp: Timestamp,
}

impl From<&BlockClaims> for BlockSite {
    fn from(claims: &BlockClaims) -> Self {
        Self {
            miner: claims.miner,
            height: claims.height,
            timestamp: claims.timestamp,
        }
    }
}

/// Why a block could not be executed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecuteError {
    /// A transaction that its sender's account does not allow: the block is invalid.
    #[error("transaction {index}: {error}")]
    Transaction {
        /// Its place in the block.
        index: usize,
        /// Why.
        error: TxError,
    },
    /// The state could not be read or written: no verdict on the block.
    #[error(transparent)]
    World(#[from] WorldError),
}

/// Executes a block's transactions on `world`, pays its miner, and gives a receipt for each transaction.
///
/// Each transaction pays its fee and uses its `seq` before it runs, whether it succeeds or fails; the miner has the fee at once. A miner who
/// holds all the credits that an account can hold is given no more.
///
/// # Errors
/// [`ExecuteError`]; `world` then holds part of the block and must be dropped.
///
/// Source: SPEC.md sections 4 (rule 6) and 7.
pub fn execute_block<'t>(
    world: &mut dyn World,
    executor: &Executor,
    spec: &ChainSpec,
    site: &BlockSite,
    transactions: impl IntoIterator<Item = &'t Transaction>,
) -> Result<Vec<Receipt>, ExecuteError> {
    let transactions = transactions.into_iter().enumerate();
    let receipts = transactions.map(|(index, transaction)| {
        execute_transaction(world, executor, site, transaction).map_err(|error| match error {
            TransactionError::Rule(error) => ExecuteError::Transaction { index, error },
            TransactionError::World(error) => error.into(),
        })
    });
    let receipts = receipts.collect::<Result<_, _>>()?;
    pay(world, site.miner, spec.subsidy)?;
    Ok(receipts)
}

/// Why one transaction could not be executed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TransactionError {
    #[error(transparent)]
    Rule(#[from] TxError),
    #[error(transparent)]
    World(#[from] WorldError),
}

/// Executes one transaction; on an error `world` is as before.
pub(crate) fn execute_transaction(
    world: &mut dyn World,
    executor: &Executor,
    site: &BlockSite,
    transaction: &Transaction,
) -> Result<Receipt, TransactionError> {
    let claims = transaction.claims();
    let sender = claims.sender.to_string();
    let path = Account::path(&sender);
    let account = Account::load_at(world, &path)?;
    check_account(transaction, account.balance, account.seq)?;
    let balance = account.balance.checked_sub(claims.fee);
    let paid = Account {
        balance: balance.expect("check_account compares the fee with the balance"),
        seq: lyceum_protocol::Seq::new(account.seq.get() + 1).unwrap_or(lyceum_protocol::Seq::MAX),
    };
    paid.store_at(world, path)?;
    pay(world, site.miner, claims.fee)?;
    let context = CallContext {
        caller: &sender,
        height: site.height,
        timestamp: site.timestamp,
    };
    Ok(executor.execute(world, &context, &claims.body, claims.gas)?)
}

fn pay(world: &mut dyn World, to: Address, amount: Credits) -> Result<(), WorldError> {
    if amount == Credits::ZERO {
        return Ok(());
    }
    let path = Account::path(&to.to_string());
    let mut account = Account::load_at(world, &path)?;
    account.balance = account.balance.checked_add(amount).unwrap_or(Credits::MAX);
    account.store_at(world, path)
}
