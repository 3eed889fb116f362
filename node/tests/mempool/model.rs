//! The mempool's rules once more, as plainly as can be: one list, searched from end to end.

use std::cmp::Reverse;

use lyceum_node::core::{DropCause, Dropped, MempoolLimits};
use lyceum_protocol::{Address, Checked, Transaction, TxId};

use crate::world::Accounts;

/// Gas amounts that divide this give prices that are whole numbers.
pub(crate) const GAS_MULTIPLE: u64 = 12;

#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) tx: Checked<Transaction>,
    seen: u64,
}

impl Held {
    fn price(&self) -> u64 {
        price(&self.tx)
    }

    fn seq(&self) -> u64 {
        self.tx.claims().seq.get()
    }

    fn fee(&self) -> u64 {
        self.tx.claims().fee.get()
    }

    fn sender(&self) -> Address {
        self.tx.claims().sender
    }
}

pub(crate) fn price(tx: &Transaction) -> u64 {
    let gas = tx.claims().gas.get().max(1);
    assert_eq!(GAS_MULTIPLE % gas, 0);
    tx.claims().fee.get() * (GAS_MULTIPLE / gas)
}

/// Ready, the lowest price on the way, its arrival.
type Worth = (bool, u64, Reverse<u64>);

#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) limits: MempoolLimits,
    pub(crate) held: Vec<Held>,
    arrivals: u64,
}

impl Model {
    pub(crate) fn new(limits: MempoolLimits) -> Self {
        Self {
            limits,
            held: Vec::new(),
            arrivals: 0,
        }
    }

    pub(crate) fn ids(&self) -> Vec<TxId> {
        let mut ids: Vec<_> = self.held.iter().map(|held| held.tx.id()).collect();
        ids.sort();
        ids
    }

    pub(crate) fn bytes(&self) -> usize {
        self.held.iter().map(|held| held.tx.token().len()).sum()
    }

    fn is_over(&self) -> bool {
        self.held.len() > self.limits.transactions || self.bytes() > self.limits.bytes
    }

    fn is_ready(&self, held: &Held, accounts: &Accounts) -> bool {
        let next = accounts[&held.sender()].seq.get();
        (next..held.seq()).all(|seq| {
            let same = |other: &Held| other.sender() == held.sender() && other.seq() == seq;
            self.held.iter().any(same)
        })
    }

    fn worth(&self, held: &Held, accounts: &Accounts) -> Worth {
        let before = |other: &&Held| other.sender() == held.sender() && other.seq() <= held.seq();
        let way = self.held.iter().filter(before);
        let (price, seen) = way.map(|h| (h.price(), Reverse(h.seen))).min().unwrap();
        (self.is_ready(held, accounts), price, seen)
    }

    /// The one to go first, and its worth.
    fn worst(&self, accounts: &Accounts) -> (usize, Worth) {
        let worths = self.held.iter().map(|held| self.worth(held, accounts));
        let order = |(at, worth): &(usize, Worth)| (*worth, Reverse(self.held[*at].seq()));
        worths.enumerate().min_by_key(order).unwrap()
    }

    fn arrive(&mut self, tx: Checked<Transaction>) -> Held {
        self.arrivals += 1;
        let seen = self.arrivals;
        Held { tx, seen }
    }

    pub(crate) fn insert(
        &mut self,
        tx: Checked<Transaction>,
        accounts: &Accounts,
    ) -> Result<Vec<Dropped>, &'static str> {
        let (id, claims) = (tx.id(), tx.claims().clone());
        let account = accounts[&claims.sender];
        if self.held.iter().any(|held| held.tx.id() == id) {
            return Err("known");
        }
        if claims.seq < account.seq {
            return Err("seq_too_old");
        }
        if claims.seq.get() - account.seq.get() >= self.limits.sender_seqs {
            return Err("seq_too_far");
        }
        let mut gone = Vec::new();
        let mut next = self.clone();
        let same = |h: &Held| h.sender() == claims.sender && h.seq() == claims.seq.get();
        if let Some(at) = self.held.iter().position(same) {
            let old = next.held.remove(at);
            let fee = claims.fee.get();
            let pays_more = fee > old.fee() && 100 * fee >= 110 * old.fee();
            if !pays_more || price(&tx) <= old.price() {
                return Err("underpriced");
            }
            let cause = DropCause::Replaced;
            gone.push(Dropped {
                id: old.tx.id(),
                cause,
            });
        }
        let held = next.arrive(tx);
        next.held.push(held.clone());
        let own = next.held.iter().filter(|h| h.sender() == claims.sender);
        if own.map(Held::fee).sum::<u64>() > account.balance.get() {
            return Err("pending_funds");
        }
        let (is_ready, price, _) = next.worth(&held, accounts);
        while next.is_over() {
            let (at, worth) = next.worst(accounts);
            if (worth.0, worth.1) >= (is_ready, price) {
                return Err("mempool_full");
            }
            let id = next.held.remove(at).tx.id();
            let cause = DropCause::Full;
            gone.push(Dropped { id, cause });
        }
        *self = next;
        Ok(gone)
    }

    /// Drops what `accounts` no longer allows.
    pub(crate) fn settle(&mut self, accounts: &Accounts) -> Vec<Dropped> {
        let fate = |held: &Held| {
            let account = accounts[&held.sender()];
            let next = account.seq.get();
            if held.seq() < next {
                return Some(DropCause::Past);
            }
            if held.seq() - next >= self.limits.sender_seqs {
                return Some(DropCause::TooFar);
            }
            let upto =
                |h: &&Held| h.sender() == held.sender() && h.seq() >= next && h.seq() <= held.seq();
            let fees: u64 = self.held.iter().filter(upto).map(Held::fee).sum();
            (fees > account.balance.get()).then_some(DropCause::Funds)
        };
        let fates: Vec<_> = self.held.iter().map(fate).collect();
        let with_fate = std::mem::take(&mut self.held).into_iter().zip(fates);
        let mut gone = Vec::new();
        for (held, fate) in with_fate {
            match fate {
                Some(cause) => gone.push(Dropped {
                    id: held.tx.id(),
                    cause,
                }),
                None => self.held.push(held),
            }
        }
        gone
    }

    pub(crate) fn reorganise(
        &mut self,
        disconnected: &[Checked<Transaction>],
        accounts: &Accounts,
    ) -> Vec<Dropped> {
        for tx in disconnected {
            let claims = tx.claims();
            let same = |h: &Held| h.sender() == claims.sender && h.seq() == claims.seq.get();
            if !self.held.iter().any(same) {
                let held = self.arrive(tx.clone());
                self.held.push(held);
            }
        }
        let mut gone = self.settle(accounts);
        while self.is_over() {
            let (at, _) = self.worst(accounts);
            let id = self.held.remove(at).tx.id();
            let cause = DropCause::Full;
            gone.push(Dropped { id, cause });
        }
        gone
    }

    pub(crate) fn template(&self, gas: u64, bytes: usize, accounts: &Accounts) -> Vec<TxId> {
        let (mut gas, mut bytes) = (gas, bytes);
        let mut left = self.held.clone();
        left.retain(|held| self.is_ready(held, accounts));
        let mut chosen = Vec::new();
        loop {
            let is_head = |held: &&Held| {
                let before = |h: &Held| h.sender() == held.sender() && h.seq() < held.seq();
                !left.iter().any(before)
            };
            let heads = left.iter().filter(is_head);
            let best = heads.max_by_key(|held| (held.price(), Reverse(held.seen)));
            let Some(best) = best.cloned() else {
                return chosen;
            };
            let (cost, len) = (best.tx.claims().gas.get(), best.tx.token().len() + 1);
            if cost > gas || len > bytes {
                left.retain(|held| held.sender() != best.sender());
                continue;
            }
            gas -= cost;
            bytes -= len;
            left.retain(|held| held.tx.id() != best.tx.id());
            chosen.push(best.tx.id());
        }
    }
}
