//! Any sequence of events, read from any bytes: the mempool does what the model does, and keeps its promises.
//!
//! [`check_events`] is fit for a fuzzer: every input means something.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use lyceum_node::core::{Dropped, Mempool, MempoolError, MempoolLimits};
use lyceum_protocol::{Checked, Gas, Transaction};
use proptest::prelude::*;

use crate::model::{GAS_MULTIPLE, Model};
use crate::world::{Accounts, Recipe, account, address};

const SENDERS: u8 = 4;
const SEQS: u64 = 8;
const LIMITS: MempoolLimits = MempoolLimits {
    transactions: 9,
    bytes: 4_000,
    sender_seqs: 5,
};

/// Every sender's transactions: each `seq` at several prices and lengths.
static UNIVERSE: LazyLock<Vec<Checked<Transaction>>> = LazyLock::new(|| {
    let kinds = [
        (0, 1, 0),
        (1, 12, 0),
        (1, 0, 0),
        (10, 12, 40),
        (11, 12, 0),
        (12, 12, 700),
        (10, 2, 0),
        (30, 6, 10),
    ];
    let mut all = Vec::new();
    for sender in 0..SENDERS {
        for seq in 0..SEQS {
            for (fee, gas, padding) in kinds {
                all.push(Recipe::new(sender, seq, fee, gas).padded(padding).make());
            }
        }
    }
    all
});

/// How often something came up, by its kind and its name.
type Counts = BTreeMap<(&'static str, &'static str), u32>;

struct Bytes<'a>(std::slice::Iter<'a, u8>);

impl Bytes<'_> {
    fn below(&mut self, bound: usize) -> usize {
        let mut next = || self.0.next().copied().map_or(0, usize::from);
        (next() << 8 | next()) % bound
    }
}

/// A chain, in little: blocks with the accounts before each.
struct Play {
    /// How often each refusal and each cause of a drop came up.
    reasons: Counts,
    pool: Mempool,
    model: Model,
    accounts: Accounts,
    blocks: Vec<(Accounts, Vec<Checked<Transaction>>)>,
}

impl Play {
    fn new() -> Self {
        let senders = (0..SENDERS).map(address);
        Self {
            reasons: BTreeMap::new(),
            pool: Mempool::new(LIMITS),
            model: Model::new(LIMITS),
            accounts: senders.map(|sender| (sender, account(40, 0))).collect(),
            blocks: Vec::new(),
        }
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.below(16) {
            0..=10 => self.insert(bytes),
            11 | 12 => {
                let (gas, len) = (bytes.below(40) as u64, bytes.below(2_500));
                let chosen = self.template(gas, len);
                self.mine(chosen);
            }
            13 => {
                let tx = UNIVERSE[bytes.below(UNIVERSE.len())].clone();
                self.mine(vec![tx]);
            }
            14 => {
                let at = bytes.below(SENDERS.into());
                let account = self.accounts.values_mut().nth(at).expect("below");
                let more = account.balance.get() + bytes.below(30) as u64;
                *account = crate::world::account(more, account.seq.get());
            }
            _ => self.reorganise(bytes),
        }
        self.check();
    }

    fn insert(&mut self, bytes: &mut Bytes<'_>) {
        let tx = &UNIVERSE[bytes.below(UNIVERSE.len())];
        let want = self.model.insert(tx.clone(), &self.accounts);
        let got = self.pool.insert(tx.clone(), |sender| self.accounts[sender]);
        let got = got.map(|accepted| {
            let before = self.pool.ready_len(&tx.claims().sender) as u64;
            let next = self.accounts[&tx.claims().sender].seq.get();
            assert_eq!(accepted.is_ready, tx.claims().seq.get() < next + before);
            accepted.dropped
        });
        let got = got.map_err(|error: MempoolError| error.reason());
        assert_eq!(got, want);
        match got {
            Ok(dropped) => self.count(&dropped),
            Err(reason) => *self.reasons.entry(("refused", reason)).or_default() += 1,
        }
    }

    fn count(&mut self, dropped: &[Dropped]) {
        for dropped in dropped {
            let reason = dropped.cause.reason();
            *self.reasons.entry(("dropped", reason)).or_default() += 1;
        }
    }

    /// The template, which must be valid by itself and the model's too.
    fn template(&self, gas: u64, len: usize) -> Vec<Checked<Transaction>> {
        let chosen = self.pool.template(Gas::new(gas).unwrap(), len);
        let ids: Vec<_> = chosen.iter().map(|tx| tx.id()).collect();
        assert_eq!(ids, self.model.template(gas, len, &self.accounts));
        assert!(chosen.iter().map(|tx| tx.claims().gas.get()).sum::<u64>() <= gas);
        assert!(chosen.iter().map(|tx| tx.token().len() + 1).sum::<usize>() <= len);
        let mut accounts = self.accounts.clone();
        for tx in &chosen {
            include(tx, &mut accounts).expect("rule 6");
        }
        chosen.into_iter().cloned().collect()
    }

    /// Adds a block of what is valid in `transactions`.
    fn mine(&mut self, mut transactions: Vec<Checked<Transaction>>) {
        let before = self.accounts.clone();
        transactions.retain(|tx| include(tx, &mut self.accounts).is_some());
        let included = transactions.iter().map(|tx| &**tx);
        let mut got = self.pool.connect(included, |sender| self.accounts[sender]);
        let mut want = self.model.settle(&self.accounts);
        got.sort();
        want.sort();
        assert_eq!(got, want);
        self.count(&got);
        self.blocks.push((before, transactions));
    }

    /// Leaves up to 3 blocks for a branch that includes up to 3 of their transactions again.
    fn reorganise(&mut self, bytes: &mut Bytes<'_>) {
        let depth = bytes.below(4).min(self.blocks.len());
        let left = self.blocks.split_off(self.blocks.len() - depth);
        let Some((before, _)) = left.first() else {
            return;
        };
        self.accounts = before.clone();
        let old: Vec<_> = left.into_iter().flat_map(|(_, txs)| txs).collect();
        let mut again: Vec<_> = old.iter().take(bytes.below(4)).cloned().collect();
        again.retain(|tx| include(tx, &mut self.accounts).is_some());
        let accounts = &self.accounts;
        let mut got = self.pool.reorganise(old.clone(), |sender| accounts[sender]);
        let mut want = self.model.reorganise(&old, accounts);
        got.sort();
        want.sort();
        assert_eq!(got, want);
        self.count(&got);
    }

    fn check(&self) {
        let ids: Vec<_> = self.pool.after(None).map(|tx| tx.id()).collect();
        assert_eq!(ids, self.model.ids());
        let stats = self.pool.stats();
        assert_eq!(stats.transactions, ids.len());
        assert_eq!(stats.bytes, self.model.bytes());
        assert!(stats.transactions <= LIMITS.transactions && stats.bytes <= LIMITS.bytes);
        let mut count = 0;
        for (sender, account) in &self.accounts {
            let own: Vec<_> = self.pool.of_sender(sender).collect();
            count += own.len();
            let window = account.seq.get()..account.seq.get() + LIMITS.sender_seqs;
            assert!(own.iter().all(|tx| window.contains(&tx.claims().seq.get())));
            assert!(own.is_sorted_by_key(|tx| tx.claims().seq));
            let fees: u64 = own.iter().map(|tx| tx.claims().fee.get()).sum();
            assert!(fees <= account.balance.get());
        }
        assert_eq!(count, ids.len());
        let all = self.template(1_000_000, 1_000_000).len();
        let ready = self
            .accounts
            .keys()
            .map(|sender| self.pool.ready_len(sender));
        assert_eq!(all, ready.sum::<usize>());
    }
}

/// Includes a transaction in a block if rule 6 allows it.
fn include(tx: &Transaction, accounts: &mut Accounts) -> Option<()> {
    let claims = tx.claims();
    let account = accounts.get_mut(&claims.sender)?;
    lyceum_protocol::check_account(tx, account.balance, account.seq).ok()?;
    account.balance = account.balance.checked_sub(claims.fee)?;
    *account = crate::world::account(account.balance.get(), account.seq.get() + 1);
    Some(())
}

/// Plays the events that `bytes` spell.
fn check_events(bytes: &[u8]) -> Counts {
    let mut play = Play::new();
    let mut bytes = Bytes(bytes.iter());
    while bytes.0.len() > 0 {
        play.step(&mut bytes);
    }
    play.reasons
}

#[test]
fn the_universe_has_whole_prices() {
    assert!(
        UNIVERSE
            .iter()
            .all(|tx| crate::model::price(tx) <= 30 * GAS_MULTIPLE)
    );
}

#[test]
fn the_events_come_to_everything() {
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    });
    let bytes: Vec<_> = noise.take(200_000).collect();
    let mut counts = Counts::new();
    for events in bytes.chunks(400) {
        for (name, count) in check_events(events) {
            *counts.entry(name).or_default() += count;
        }
    }
    for name in [
        ("refused", "known"),
        ("refused", "seq_too_old"),
        ("refused", "seq_too_far"),
        ("refused", "underpriced"),
        ("refused", "pending_funds"),
        ("refused", "mempool_full"),
        ("dropped", "past"),
        ("dropped", "seq_too_far"),
        ("dropped", "pending_funds"),
        ("dropped", "replaced"),
        ("dropped", "mempool_full"),
    ] {
        let count = counts.get(&name).copied().unwrap_or_default();
        assert!(count > 20, "{name:?}: {counts:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn any_events_do_as_the_model_does(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        check_events(&bytes);
    }
}
