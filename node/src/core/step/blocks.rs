//! Blocks: taken in, and what follows from a new tip.

use std::cell::RefCell;

use libp2p::PeerId;
use lyceum_protocol::{
    Address, BlockLine, Checked, SegmentIndex, Transaction, Verdict, check_transaction,
    decode_block,
};
use lyceum_storage::{Durability, LedgerView, StoreError};
use lyceum_vm::{Account, WorldError};

use super::Core;
use crate::core::chain::{ChainError, Imported, TipChange};
use crate::core::event::{Action, Notice, Source};
use crate::core::mempool::Dropped;
use crate::core::state_world::StateWorld;

/// Blocks off the tip whose transactions are looked up again to settle the mempool; a longer run comes with its lines.
const LINES_READ_MAX: usize = 64;

/// Why a block was not taken: the verdict of a rule, with its short name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused {
    pub(crate) reason: &'static str,
    pub(crate) verdict: Verdict,
}

/// Tells a verdict on a block from trouble of our own.
pub(crate) fn refusal(error: ChainError) -> Result<Refused, ChainError> {
    let (reason, verdict) = match &error {
        ChainError::Block(error) => (error.reason(), error.verdict()),
        ChainError::Tree(error) => (error.reason(), error.verdict()),
        ChainError::Store(StoreError::TooDeep { .. }) => ("too_deep", Verdict::Ignore),
        _ => return Err(error),
    };
    Ok(Refused { reason, verdict })
}

/// The account of an address.
pub(crate) fn account(view: &LedgerView<'_>, owner: &Address) -> Result<Account, WorldError> {
    Account::load(&StateWorld::new(view), &owner.to_string())
}

impl Core {
    /// Takes a block line, and does what follows from it.
    ///
    /// # Errors
    /// [`ChainError`] only where the store is in trouble.
    pub(super) fn take_line(
        &mut self,
        line: &str,
        source: Source,
        from: Option<PeerId>,
    ) -> Result<Result<Imported, Refused>, ChainError> {
        let imported = match self.chain.import(line, self.now) {
            Ok(imported) => imported,
            Err(error) => {
                let refused = refusal(error)?;
                if refused.verdict == Verdict::Reject {
                    let reason = refused.reason;
                    self.notice(Notice::BlockRejected { reason, from });
                }
                return Ok(Err(refused));
            }
        };
        match &imported {
            Imported::Known | Imported::Orphan(_) => {}
            Imported::Side => self.notice(Notice::Imported { source, blocks: 1 }),
            Imported::Tip(change) => {
                let blocks = change.connected.len();
                self.notice(Notice::Imported { source, blocks });
                self.changed(change, source, None)?;
            }
        }
        Ok(Ok(imported))
    }

    /// The main chain has changed: settles the mempool, seals what is deep enough, tells of the tip.
    ///
    /// `lines` are those of the connected blocks, where the caller has them.
    pub(in crate::core) fn changed(
        &mut self,
        change: &TipChange,
        source: Source,
        lines: Option<&[&str]>,
    ) -> Result<(), ChainError> {
        if change.connected.is_empty() {
            return Ok(());
        }
        if !change.disconnected.is_empty() {
            self.unseal_after(change)?;
        }
        let transactions = match lines {
            Some(lines) => self.settle_mempool(change, lines)?,
            None => {
                let read = self.lines_of(change)?;
                let lines: Vec<_> = read.iter().map(String::as_str).collect();
                self.settle_mempool(change, &lines)?
            }
        };
        self.follow_seals()?;
        let tip = self.chain.tip()?;
        let entry = self.chain.store().read().block(&tip.hash)?;
        self.notice(Notice::Tip {
            height: tip.height,
            hash: tip.hash,
            state_root: tip.state_root,
            timestamp: entry.ok_or(StoreError::NoTip)?.timestamp,
            blocks: change.connected.len(),
            transactions,
            disconnected: change.disconnected.len(),
            source,
        });
        Ok(())
    }

    fn lines_of(&self, change: &TipChange) -> Result<Vec<String>, StoreError> {
        let view = self.chain.store().read();
        let last = change.connected.iter().rev().take(LINES_READ_MAX).rev();
        let lines = last.map(|hash| view.line(hash)?.ok_or(StoreError::NoTip));
        lines.collect()
    }

    /// Takes what new blocks hold out of the mempool, and puts back what dropped ones held; gives how many transactions the new ones hold.
    fn settle_mempool(&mut self, change: &TipChange, lines: &[&str]) -> Result<usize, ChainError> {
        let count = |line: &&str| BlockLine::new(line).transactions().count();
        let transactions = lines.iter().map(count).sum();
        let mut gone = Vec::new();
        if self.mempool.stats().transactions > 0 {
            let blocks = lines
                .iter()
                .map(|line| decode_block(line, self.chain.spec()));
            // They were checked before they were connected.
            let included: Vec<Transaction> = blocks
                .filter_map(Result::ok)
                .flat_map(|block| block.transactions)
                .collect();
            gone.extend(self.settled(|mempool, accounts| mempool.connect(&included, accounts))?);
        }
        if !change.disconnected.is_empty() {
            let spec = self.chain.spec();
            let tokens = change.dropped.iter();
            let back: Vec<Checked<Transaction>> = tokens
                .filter_map(|token| check_transaction(token, spec).ok())
                .collect();
            gone.extend(self.settled(|mempool, accounts| mempool.reorganise(back, accounts))?);
        }
        for Dropped { id, cause } in gone {
            self.notice(Notice::Dropped { id, cause });
        }
        Ok(transactions)
    }

    /// Changes the mempool with a look at the tip's accounts.
    pub(in crate::core) fn settled<T>(
        &mut self,
        change: impl FnOnce(&mut crate::core::Mempool, &dyn Fn(&Address) -> Account) -> T,
    ) -> Result<T, ChainError> {
        let view = self.chain.store().read();
        let trouble = RefCell::new(None);
        let accounts = |owner: &Address| {
            account(&view, owner).unwrap_or_else(|error| {
                trouble.replace(Some(error));
                Account::default()
            })
        };
        let out = change(&mut self.mempool, &accounts);
        match trouble.into_inner() {
            Some(error) => Err(error.into()),
            None => Ok(out),
        }
    }

    /// Seals what is deep enough, and offers what is sealed to others.
    pub(in crate::core) fn follow_seals(&mut self) -> Result<(), ChainError> {
        self.chain.seal_ready(Durability::Synced)?;
        let sealed = self.chain.store().read().sealed_segments()?;
        // One that was taken over is sealed once it is whole on the main chain.
        let sealed = sealed.min(self.next_segment()).get();
        for index in (self.sealed.len() as u64)..sealed {
            let index = SegmentIndex::new(index).unwrap_or(SegmentIndex::MAX);
            let segment = self.chain.store().read().segment(index)?;
            let metainfo = segment.ok_or(StoreError::NoTip)?.metainfo;
            self.sealed.push(metainfo.info_hash());
            self.offer(index, metainfo.clone(), None);
            if let Some(file) = self.sync.forget_file(index) {
                self.act(Action::DeleteFetched(file));
            }
            self.notice(Notice::Sealed { index, metainfo });
        }
        Ok(())
    }

    /// Offers a segment to others, unless it is damaged.
    pub(in crate::core) fn offer(
        &mut self,
        index: SegmentIndex,
        metainfo: lyceum_protocol::Metainfo,
        file: Option<std::path::PathBuf>,
    ) {
        if !self.has_torrents || self.damaged.contains(&index) {
            return;
        }
        let key = metainfo.info_hash().as_bytes().to_vec();
        self.act(Action::Register {
            index,
            metainfo,
            file,
        });
        self.act(Action::Provide { key, held: true });
    }

    /// A reorganisation has taken the segments away that reach above the fork.
    fn unseal_after(&mut self, change: &TipChange) -> Result<(), ChainError> {
        let view = self.chain.store().read();
        let first = change.connected.first().map(|hash| view.block(hash));
        let first = first.transpose()?.flatten().ok_or(StoreError::NoTip)?;
        let blocks = u64::from(self.chain.spec().segment_blocks);
        let whole = usize::try_from(first.height.get() / blocks).unwrap_or(usize::MAX);
        drop(view);
        while self.sealed.len() > whole {
            let info_hash = self.sealed.pop();
            let index = SegmentIndex::new(self.sealed.len() as u64).unwrap_or(SegmentIndex::MAX);
            self.damaged.remove(&index);
            self.act(Action::Unregister(index));
            if let Some(key) = info_hash.map(|hash| hash.as_bytes().to_vec()) {
                self.act(Action::Provide { key, held: false });
            }
            self.notice(Notice::Unsealed(index));
        }
        Ok(())
    }
}
