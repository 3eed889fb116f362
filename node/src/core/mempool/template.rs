use std::cmp::Ordering;
use std::collections::BinaryHeap;

use lyceum_protocol::{Checked, Gas, Transaction};

use super::Mempool;
use super::queue::Entry;

/// The first transaction of a sender that is not in the block yet, and those that follow it.
struct Head<'a, Rest> {
    entry: &'a Entry,
    rest: Rest,
}

impl<Rest> Ord for Head<'_, Rest> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.entry.rank().cmp(&other.entry.rank())
    }
}

impl<Rest> PartialOrd for Head<'_, Rest> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<Rest> PartialEq for Head<'_, Rest> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<Rest> Eq for Head<'_, Rest> {}

impl Mempool {
    /// Chooses transactions for a block: at most `max_gas` together, and `max_bytes` of the block line, of which each takes its length and
    /// one for the separator.
    ///
    /// The dearest per gas first, each sender's in the order of `seq`. One that does not fit is passed over, with all that its
    /// sender has behind it. That is a heuristic: the best filling of a block is a knapsack problem.
    ///
    /// A transaction may spend the credits that a later one of its sender pays its fee with, which only execution tells: see
    /// [`template_where`](Self::template_where).
    pub fn template(&self, max_gas: Gas, max_bytes: usize) -> Vec<&Checked<Transaction>> {
        self.template_where(max_gas, max_bytes, |_| true)
    }

    /// Chooses as [`template`](Self::template), asking `admit` of each that fits, in the block's order.
    ///
    /// One that is not admitted costs no gas and no bytes, and is passed over with all that its sender has behind it. So a caller can execute
    /// as it goes, and leave out what rule 6 refuses by then.
    pub fn template_where(
        &self,
        max_gas: Gas,
        max_bytes: usize,
        mut admit: impl FnMut(&Checked<Transaction>) -> bool,
    ) -> Vec<&Checked<Transaction>> {
        let (mut gas, mut bytes) = (max_gas, max_bytes);
        let heads = self.queues.values().filter_map(|queue| {
            let mut rest = queue.ready();
            let entry = rest.next()?;
            Some(Head { entry, rest })
        });
        let mut heap: BinaryHeap<_> = heads.collect();
        let mut chosen = Vec::new();
        while let Some(Head { entry, mut rest }) = heap.pop() {
            let transaction = &entry.transaction;
            let gas_left = gas.checked_sub(transaction.claims().gas);
            let bytes_left = bytes.checked_sub(entry.bytes() + 1);
            let (Some(gas_left), Some(bytes_left)) = (gas_left, bytes_left) else {
                continue;
            };
            if !admit(transaction) {
                continue;
            }
            (gas, bytes) = (gas_left, bytes_left);
            chosen.push(transaction);
            if let Some(entry) = rest.next() {
                heap.push(Head { entry, rest });
            }
        }
        chosen
    }
}
