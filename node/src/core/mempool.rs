//! Transactions that wait for a block: which are held, which go first, which give way.

use std::collections::btree_map;
use std::collections::{BTreeMap, BTreeSet};

use lyceum_protocol::{Address, BLOCK_BYTES_LIMIT, Checked, Seq, Transaction, TxId};
use lyceum_vm::Account;

mod error;
mod price;
mod queue;
mod template;

pub use error::{DropCause, Dropped, MempoolError};
pub use price::Price;

use price::Standing;
use queue::{Entry, Queue};

/// The most pending transactions, by default: some minutes of full blocks.
pub const TRANSACTIONS_MAX: usize = 50_000;
/// The most bytes of pending tokens, by default: twice the largest block of any chain. In memory a transaction takes about twice
/// its token, and 500 bytes.
pub const BYTES_MAX: usize = 2 * BLOCK_BYTES_LIMIT as usize;
/// How many of a sender's next `seq`s are held, by default. It bounds the transactions of one sender, and how far ahead of a gap they may be.
pub const SENDER_SEQS_MAX: u64 = 64;
/// How much more than the old fee one must pay to replace a pending transaction, in percent: each replacement crosses the whole
/// network, so it has to cost.
pub const REPLACEMENT_BUMP_PERCENT: u64 = 10;

const _: () = assert!(TRANSACTIONS_MAX as u64 > SENDER_SEQS_MAX);

/// The bounds of a mempool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MempoolLimits {
    /// The most transactions.
    pub transactions: usize,
    /// The most bytes of their tokens.
    pub bytes: usize,
    /// How many `seq`s from each sender's next on.
    pub sender_seqs: u64,
}

impl Default for MempoolLimits {
    fn default() -> Self {
        Self {
            transactions: TRANSACTIONS_MAX,
            bytes: BYTES_MAX,
            sender_seqs: SENDER_SEQS_MAX,
        }
    }
}

/// How much a mempool holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MempoolStats {
    /// Pending transactions.
    pub transactions: usize,
    /// Bytes of their tokens.
    pub bytes: usize,
    /// Different senders.
    pub senders: usize,
}

/// What taking a transaction did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accepted {
    /// Can it be mined as things stand? If not, it waits for others of its sender.
    pub is_ready: bool,
    /// What went for it.
    pub dropped: Vec<Dropped>,
}

/// The pending transactions of one chain.
///
/// What it knows of accounts it is told: `accounts` gives an account's balance and `seq` at the tip. After the tip has moved,
/// [`connect`](Self::connect) or [`reorganise`](Self::reorganise) comes before anything else.
///
/// Always so, whatever is done:
/// - it holds no more than its limits, and no two transactions of one sender and `seq`;
/// - a sender's `seq`s lie within `sender_seqs` of its next one, and its balance pays all its fees;
/// - what has to make room is worth strictly less than what comes in, and is the last of its sender, so that it leaves no gap. Worth is the
///   lowest fee per gas among a transaction and those that it waits for; one behind a gap is worth less than any that is not.
#[derive(Debug, Default)]
pub struct Mempool {
    limits: MempoolLimits,
    queues: BTreeMap<Address, Queue>,
    ids: BTreeMap<TxId, (Address, Seq)>,
    /// The last transaction of each sender, by worth: the first one goes first.
    lasts: BTreeSet<(Standing, Address)>,
    bytes: usize,
    arrivals: u64,
}

impl Mempool {
    /// An empty mempool.
    pub fn new(limits: MempoolLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Takes a transaction.
    ///
    /// One of the same sender and `seq` is replaced where the new one pays at least [`REPLACEMENT_BUMP_PERCENT`] more (and at least 1 credit
    /// more) and more per gas.
    ///
    /// # Errors
    /// [`MempoolError`]; nothing has changed then.
    pub fn insert(
        &mut self,
        transaction: Checked<Transaction>,
        accounts: impl Fn(&Address) -> Account,
    ) -> Result<Accepted, MempoolError> {
        let id = transaction.id();
        if self.contains(&id) {
            return Err(MempoolError::Known(id));
        }
        let (sender, seq) = (transaction.claims().sender, transaction.claims().seq);
        let account = accounts(&sender);
        self.check(&transaction, account)?;
        let entry = self.arrive(transaction);
        let replaced = self.put(entry, account);
        let standing = self.queues[&sender].standing(seq);
        let standing = standing.expect("it has just been put there");
        let room = self.make_room(&standing);
        let Ok(evicted) = room else {
            self.take(sender, seq);
            replaced.and_then(|entry| self.put(entry, account));
            return Err(MempoolError::Full);
        };
        let replaced = replaced.map(|entry| dropped(&entry, DropCause::Replaced));
        Ok(Accepted {
            is_ready: standing.is_ready,
            dropped: replaced.into_iter().chain(evicted).collect(),
        })
    }

    /// Everything that may be wrong but for a lack of room.
    fn check(&self, transaction: &Transaction, account: Account) -> Result<(), MempoolError> {
        let claims = transaction.claims();
        let (got, want) = (claims.seq, account.seq);
        if got < want {
            return Err(MempoolError::SeqTooOld { got, want });
        }
        let max = want.get().saturating_add(self.limits.sender_seqs);
        if got.get() >= max {
            return Err(MempoolError::SeqTooFar { got, max });
        }
        let queue = self.queues.get(&claims.sender);
        if let Some(pending) = queue.and_then(|queue| queue.entries.get(&got)) {
            let (got, want) = (claims.fee, replacement_fee(&pending.transaction));
            if got.get() < want || Price::of(transaction) <= pending.price() {
                let pending = pending.transaction.id();
                return Err(MempoolError::Underpriced { pending, got, want });
            }
        }
        let others = queue.map_or(0, |queue| queue.fees_except(got));
        let fees = others + u128::from(claims.fee.get());
        if fees > u128::from(account.balance.get()) {
            let balance = account.balance;
            return Err(MempoolError::Funds { balance, fees });
        }
        Ok(())
    }

    /// Follows the chain to a new tip, a child of the last one, whose transactions are `included`.
    ///
    /// Drops what is in the chain now, and what its sender can no longer pay.
    pub fn connect<'a>(
        &mut self,
        included: impl IntoIterator<Item = &'a Transaction>,
        accounts: impl Fn(&Address) -> Account,
    ) -> Vec<Dropped> {
        // Credits leave an account only by a transaction of its own.
        let senders: BTreeSet<_> = included.into_iter().map(|tx| tx.claims().sender).collect();
        let settled = senders.into_iter().map(|sender| {
            let account = accounts(&sender);
            self.settle(sender, account)
        });
        settled.flatten().collect()
    }

    /// Follows the chain to a tip on another branch, giving back the transactions of the blocks that it left, in their order.
    ///
    /// Those that the new branch includes are dropped again. So is what no longer fits; of one sender, the later ones.
    pub fn reorganise(
        &mut self,
        disconnected: impl IntoIterator<Item = Checked<Transaction>>,
        accounts: impl Fn(&Address) -> Account,
    ) -> Vec<Dropped> {
        for transaction in disconnected {
            let claims = transaction.claims();
            let queue = self.queues.get(&claims.sender);
            if queue.is_none_or(|queue| !queue.entries.contains_key(&claims.seq)) {
                let account = accounts(&claims.sender);
                let entry = self.arrive(transaction);
                self.put(entry, account);
            }
        }
        // Anyone may have lost credits that the old branch had brought.
        let senders: Vec<_> = self.queues.keys().copied().collect();
        let settled = senders.into_iter().map(|sender| {
            let account = accounts(&sender);
            self.settle(sender, account)
        });
        let mut gone: Vec<_> = settled.flatten().collect();
        while self.is_over() {
            let worst = self.take_worst();
            gone.extend(worst.map(|(entry, _)| dropped(&entry, DropCause::Full)));
        }
        gone
    }

    /// Is it pending?
    pub fn contains(&self, id: &TxId) -> bool {
        self.ids.contains_key(id)
    }

    /// A pending transaction.
    pub fn transaction(&self, id: &TxId) -> Option<&Checked<Transaction>> {
        let (sender, seq) = self.ids.get(id)?;
        let entry = self.queues.get(sender)?.entries.get(seq)?;
        Some(&entry.transaction)
    }

    /// The pending transactions in the order of their ids, from the first after `after`.
    pub fn after(&self, after: Option<TxId>) -> impl Iterator<Item = &Checked<Transaction>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        let ids = self.ids.range((from, Unbounded));
        ids.filter_map(|(id, _)| self.transaction(id))
    }

    /// The pending transactions of one sender, by `seq`.
    pub fn of_sender(&self, sender: &Address) -> impl Iterator<Item = &Checked<Transaction>> {
        let queue = self.queues.get(sender);
        let entries = queue.into_iter().flat_map(|queue| queue.entries.values());
        entries.map(|entry| &entry.transaction)
    }

    /// How many transactions of `sender` stand ready: its next free `seq` is its account's and so many more.
    pub fn ready_len(&self, sender: &Address) -> usize {
        let queue = self.queues.get(sender);
        queue.map_or(0, |queue| queue.ready().count())
    }

    /// How much it holds.
    pub fn stats(&self) -> MempoolStats {
        MempoolStats {
            transactions: self.ids.len(),
            bytes: self.bytes,
            senders: self.queues.len(),
        }
    }

    /// Its bounds.
    pub fn limits(&self) -> MempoolLimits {
        self.limits
    }

    /// How many transactions have come so far: another number says that there is news.
    pub(super) fn arrivals(&self) -> u64 {
        self.arrivals
    }

    fn is_over(&self) -> bool {
        self.ids.len() > self.limits.transactions || self.bytes > self.limits.bytes
    }

    /// Drops the worst until the rest is within the limits; puts all back where that would take more than what is below `standing`.
    fn make_room(&mut self, standing: &Standing) -> Result<Vec<Dropped>, MempoolError> {
        let mut evicted = Vec::new();
        while self.is_over() {
            let worst = self.lasts.first();
            if !worst.is_some_and(|(worst, _)| worst.is_below(standing)) {
                for (entry, account) in evicted {
                    self.put(entry, account);
                }
                return Err(MempoolError::Full);
            }
            evicted.extend(self.take_worst());
        }
        let evicted = evicted.iter();
        let evicted = evicted.map(|(entry, _)| dropped(entry, DropCause::Full));
        Ok(evicted.collect())
    }

    /// Takes out the worst, and gives it with its sender's account, which is forgotten with the sender's last.
    fn take_worst(&mut self) -> Option<(Entry, Account)> {
        let (_, sender) = *self.lasts.first()?;
        let queue = self.queues.get(&sender)?;
        let (seq, account) = (*queue.entries.last_key_value()?.0, queue.account);
        Some((self.take(sender, seq)?, account))
    }

    fn arrive(&mut self, transaction: Checked<Transaction>) -> Entry {
        self.arrivals += 1;
        let seen = self.arrivals;
        Entry { transaction, seen }
    }

    /// Puts an entry in its place, where its sender's account is `account`; what stood there before.
    fn put(&mut self, entry: Entry, account: Account) -> Option<Entry> {
        let (sender, seq) = (entry.transaction.claims().sender, entry.seq());
        self.ids.insert(entry.transaction.id(), (sender, seq));
        self.bytes += entry.bytes();
        let replaced = self.change(sender, |queue| {
            queue.account = account;
            queue.entries.insert(seq, entry)
        });
        replaced.inspect(|entry| self.forget(entry))
    }

    fn take(&mut self, sender: Address, seq: Seq) -> Option<Entry> {
        let entry = self.change(sender, |queue| queue.entries.remove(&seq));
        entry.inspect(|entry| self.forget(entry))
    }

    fn settle(&mut self, sender: Address, account: Account) -> Vec<Dropped> {
        let seqs_max = self.limits.sender_seqs;
        let gone = self.change(sender, |queue| {
            queue.account = account;
            queue.settle(seqs_max)
        });
        let gone = gone.iter();
        gone.map(|(entry, cause)| {
            self.forget(entry);
            dropped(entry, *cause)
        })
        .collect()
    }

    /// Takes an entry that has left its queue out of the sums.
    fn forget(&mut self, entry: &Entry) {
        self.ids.remove(&entry.transaction.id());
        self.bytes -= entry.bytes();
    }

    /// Changes a sender's queue, and keeps `lasts` in step; an empty queue is not kept.
    fn change<T>(&mut self, sender: Address, change: impl FnOnce(&mut Queue) -> T) -> T {
        let mut place = match self.queues.entry(sender) {
            btree_map::Entry::Vacant(place) => place.insert_entry(Queue::default()),
            btree_map::Entry::Occupied(place) => place,
        };
        if let Some(standing) = place.get().last_standing() {
            self.lasts.remove(&(standing, sender));
        }
        let out = change(place.get_mut());
        match place.get().last_standing() {
            Some(standing) => drop(self.lasts.insert((standing, sender))),
            None => drop(place.remove()),
        }
        out
    }
}

/// The least fee that replaces `pending`.
fn replacement_fee(pending: &Transaction) -> u64 {
    let fee = pending.claims().fee.get();
    let bump = u128::from(fee) * u128::from(REPLACEMENT_BUMP_PERCENT);
    let bump = u64::try_from(bump.div_ceil(100)).unwrap_or(u64::MAX);
    fee.saturating_add(bump.max(1))
}

fn dropped(entry: &Entry, cause: DropCause) -> Dropped {
    let id = entry.transaction.id();
    Dropped { id, cause }
}
