use std::collections::BTreeMap;

use lyceum_protocol::{Checked, Seq, Transaction};
use lyceum_vm::Account;

use super::DropCause;
use super::price::{Price, Rank, Standing};

/// One pending transaction.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) transaction: Checked<Transaction>,
    /// The number of its arrival.
    pub(super) seen: u64,
}

impl Entry {
    pub(super) fn price(&self) -> Price {
        Price::of(&self.transaction)
    }

    pub(super) fn rank(&self) -> Rank {
        Rank {
            price: self.price(),
            seen: std::cmp::Reverse(self.seen),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.transaction.token().len()
    }

    pub(super) fn seq(&self) -> Seq {
        self.transaction.claims().seq
    }
}

/// The pending transactions of one sender, by `seq`. There may be gaps; what stands behind one waits.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) account: Account,
    pub(super) entries: BTreeMap<Seq, Entry>,
}

impl Queue {
    /// Those that can be mined as they stand, in order: the unbroken run from the account's `seq`.
    pub(super) fn ready(&self) -> impl Iterator<Item = &Entry> {
        let next = self.account.seq.get();
        let run = self.entries.values().zip(next..);
        run.take_while(|(entry, want)| entry.seq().get() == *want)
            .map(|(entry, _)| entry)
    }

    /// The sum of the fees but for that of the one at `except`, in credits.
    pub(super) fn fees_except(&self, except: Seq) -> u128 {
        let others = self.entries.values().filter(|entry| entry.seq() != except);
        others.map(fee).sum()
    }

    /// What the transaction at `seq` is worth; `None` where nothing is pending up to it.
    pub(super) fn standing(&self, seq: Seq) -> Option<Standing> {
        let upto = || self.entries.range(..=seq).map(|(_, entry)| entry);
        let worst = upto().map(Entry::rank).min()?;
        let is_ready = self.account.seq.get() + upto().count() as u64 == seq.get() + 1;
        Some(Standing { is_ready, worst })
    }

    /// What the last transaction is worth, which is the least.
    pub(super) fn last_standing(&self) -> Option<Standing> {
        self.standing(*self.entries.last_key_value()?.0)
    }

    /// Takes out what the account, as it is now, does not allow: `seq`s that are used or too far ahead, and from the first fee that it
    /// can't pay on, all that follow.
    pub(super) fn settle(&mut self, seqs_max: u64) -> Vec<(Entry, DropCause)> {
        let Account { balance, seq } = self.account;
        let waiting = self.entries.split_off(&seq);
        let past = std::mem::replace(&mut self.entries, waiting);
        let mut dropped: Vec<_> = past.into_values().map(|e| (e, DropCause::Past)).collect();

        let end = Seq::new(seq.get().saturating_add(seqs_max));
        if let Ok(end) = end {
            let far = self.entries.split_off(&end);
            dropped.extend(far.into_values().map(|entry| (entry, DropCause::TooFar)));
        }

        let mut sum = 0;
        let unpaid = self.entries.iter().find_map(|(seq, entry)| {
            sum += fee(entry);
            (sum > u128::from(balance.get())).then_some(*seq)
        });
        if let Some(first) = unpaid {
            let unpaid = self.entries.split_off(&first);
            dropped.extend(unpaid.into_values().map(|entry| (entry, DropCause::Funds)));
        }
        dropped
    }
}

fn fee(entry: &Entry) -> u128 {
    u128::from(entry.transaction.claims().fee.get())
}
