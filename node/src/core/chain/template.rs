//! What a miner works on: the next block, but for its nonce and signature.

use lyceum_protocol::{
    Address, BlockClaims, Checked, Gas, LINE_SEPARATOR, Nonce, Timestamp, Transaction, TxError,
    TxId, tx_root,
};
use lyceum_storage::StoreError;

use super::context::parent_context;
use super::{Chain, ChainError};
use crate::core::execute::{BlockSite, TransactionError, execute_block, execute_transaction};
use crate::core::state_world::StateWorld;

/// Room for a block's own token in its line.
const TOKEN_BYTES: usize = 2_048;

/// The next block, to be mined.
#[derive(Debug, Clone)]
pub struct Template {
    /// Its claims, with nonce 0.
    pub claims: BlockClaims,
    /// Its transactions, in order.
    pub transactions: Vec<Checked<Transaction>>,
    /// Candidates that the state does not allow, and why.
    pub refused: Vec<(TxId, TxError)>,
}

impl Template {
    /// The block's line, once its token is mined.
    pub fn line(&self, token: &str) -> String {
        let mut line = token.to_owned();
        for transaction in &self.transactions {
            line.push(LINE_SEPARATOR);
            line.push_str(transaction.token());
        }
        line
    }
}

impl Chain {
    /// Makes the block that follows the tip, of those candidates that fit and that the state allows, in their order.
    ///
    /// # Errors
    /// [`ChainError::Store`], [`ChainError::World`].
    pub fn template(
        &self,
        miner: Address,
        candidates: impl IntoIterator<Item = Checked<Transaction>>,
        now: Timestamp,
    ) -> Result<Template, ChainError> {
        let view = self.store.read();
        let tip = view.tip()?.ok_or(StoreError::NoTip)?;
        let parent = parent_context(&view, &self.spec, tip.hash)?.ok_or(StoreError::NoTip)?;
        let site = BlockSite {
            miner,
            height: tip.height.next(),
            timestamp: now.max(parent.median_time.saturating_add(1)),
        };
        let mut world = StateWorld::new(&view);
        let (mut transactions, mut refused) = (Vec::<Checked<Transaction>>::new(), Vec::new());
        let (mut gas, mut bytes) = (Gas::ZERO, TOKEN_BYTES);
        for candidate in candidates {
            let more = candidate.token().len() + 1;
            let sum = gas.checked_add(candidate.claims().gas);
            let sum = sum.filter(|sum| *sum <= self.spec.block_gas);
            let Some(sum) = sum.filter(|_| bytes + more <= self.spec.max_block_bytes as usize)
            else {
                continue;
            };
            match execute_transaction(&mut world, &self.executor, &site, &candidate) {
                Ok(_) => {
                    (gas, bytes) = (sum, bytes + more);
                    transactions.push(candidate);
                }
                Err(TransactionError::Rule(error)) => refused.push((candidate.id(), error)),
                Err(TransactionError::World(error)) => return Err(error.into()),
            }
        }
        // The subsidy: what a block without transactions does.
        let paid = execute_block(&mut world, &self.executor, &self.spec, &site, []);
        paid.map_err(|error| match error {
            crate::core::ExecuteError::World(error) => ChainError::World(error),
            other => unreachable!("no transaction to refuse: {other}"),
        })?;
        let claims = BlockClaims {
            miner,
            height: site.height,
            parent: tip.hash,
            timestamp: site.timestamp,
            bits: parent.next_bits,
            tx_root: tx_root(transactions.iter().map(|tx| tx.token())),
            state_root: view.state_root_of(&world.into_changes())?,
            segment: parent.segment,
            nonce: Nonce::ZERO,
        };
        Ok(Template {
            claims,
            transactions,
            refused,
        })
    }
}
