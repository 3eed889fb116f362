//! Each rule by an example.

use lyceum_node::core::{DropCause, Mempool, MempoolError, MempoolLimits};
use lyceum_protocol::{Address, Checked, Gas, Transaction};
use lyceum_vm::Account;

use crate::world::{Recipe, account, address};

fn rich(_: &Address) -> Account {
    account(1_000_000, 0)
}

fn small(transactions: usize) -> Mempool {
    Mempool::new(MempoolLimits {
        transactions,
        ..MempoolLimits::default()
    })
}

fn put(pool: &mut Mempool, recipe: Recipe) -> Result<bool, &'static str> {
    let accepted = pool.insert(recipe.make(), rich);
    accepted.map(|a| a.is_ready).map_err(|error| error.reason())
}

fn template(pool: &Mempool) -> Vec<(Address, u64)> {
    let chosen = pool.template(Gas::MAX, usize::MAX);
    let name = |tx: &&Checked<Transaction>| (tx.claims().sender, tx.claims().seq.get());
    chosen.iter().map(name).collect()
}

#[test]
fn the_dearest_gas_goes_first_and_each_sender_keeps_its_order() {
    let mut pool = Mempool::default();
    // Sender 0's first is cheap and holds up its second, the dearest of all.
    assert_eq!(put(&mut pool, Recipe::new(0, 0, 10, 10)), Ok(true));
    assert_eq!(put(&mut pool, Recipe::new(0, 1, 900, 10)), Ok(true));
    assert_eq!(put(&mut pool, Recipe::new(1, 0, 20, 10)), Ok(true));
    // As dear as sender 1's, seen later.
    assert_eq!(put(&mut pool, Recipe::new(2, 0, 40, 20)), Ok(true));
    let [a, b, c] = [0, 1, 2].map(address);
    assert_eq!(template(&pool), [(b, 0), (c, 0), (a, 0), (a, 1)]);
}

#[test]
fn a_template_keeps_within_gas_and_bytes() {
    let mut pool = Mempool::default();
    let long = Recipe::new(0, 0, 100, 10).padded(500).make();
    let short = Recipe::new(1, 0, 1, 10).make();
    let (long_len, short_len) = (long.token().len() + 1, short.token().len() + 1);
    pool.insert(long.clone(), rich).unwrap();
    pool.insert(short.clone(), rich).unwrap();
    let ids = |gas, bytes| {
        let chosen = pool.template(Gas::new(gas).unwrap(), bytes);
        chosen.into_iter().map(|tx| tx.id()).collect::<Vec<_>>()
    };
    assert_eq!(ids(20, long_len + short_len), [long.id(), short.id()]);
    assert_eq!(ids(19, long_len + short_len), [long.id()]);
    assert_eq!(ids(20, long_len + short_len - 1), [long.id()]);
    // What does not fit is passed over.
    assert_eq!(ids(20, long_len - 1), [short.id()]);
    assert_eq!(ids(20, short_len - 1), []);
}

#[test]
fn what_is_not_admitted_takes_no_room_and_holds_up_its_sender() {
    let mut pool = Mempool::default();
    for seq in 0..3 {
        put(&mut pool, Recipe::new(0, seq, 100, 10)).unwrap();
    }
    put(&mut pool, Recipe::new(1, 0, 10, 10)).unwrap();
    let gas = Gas::new(20).unwrap();
    let chosen = pool.template_where(gas, usize::MAX, |tx| tx.claims().seq.get() != 1);
    let senders: Vec<_> = chosen.iter().map(|tx| tx.claims().sender).collect();
    assert_eq!(senders, [address(0), address(1)]);
}

#[test]
fn what_stands_behind_a_gap_waits_for_it() {
    let mut pool = Mempool::default();
    assert_eq!(put(&mut pool, Recipe::new(0, 2, 10, 10)), Ok(false));
    assert_eq!(put(&mut pool, Recipe::new(0, 0, 10, 10)), Ok(true));
    assert_eq!(template(&pool).len(), 1);
    assert_eq!(pool.ready_len(&address(0)), 1);
    assert_eq!(put(&mut pool, Recipe::new(0, 1, 10, 10)), Ok(true));
    assert_eq!(template(&pool).len(), 3);
    assert_eq!(put(&mut pool, Recipe::new(0, 63, 10, 10)), Ok(false));
    let far = put(&mut pool, Recipe::new(0, 64, 10, 10));
    assert_eq!(far, Err("seq_too_far"));
}

#[test]
fn refusals_are_named() {
    let mut pool = Mempool::default();
    let first = Recipe::new(0, 5, 100, 10);
    let poor = |_: &Address| account(150, 5);
    pool.insert(first.make(), poor).unwrap();
    let mut reason = |recipe: Recipe| pool.insert(recipe.make(), poor).unwrap_err().reason();
    assert_eq!(reason(first), "known");
    assert_eq!(reason(Recipe::new(0, 4, 100, 10)), "seq_too_old");
    assert_eq!(reason(Recipe::new(0, 6, 51, 10)), "pending_funds");
    assert_eq!(reason(Recipe::new(0, 5, 151, 10)), "pending_funds");
    assert_eq!(reason(Recipe::new(0, 5, 109, 1)), "underpriced");
    // A higher fee, but no more per gas.
    assert_eq!(reason(Recipe::new(0, 5, 150, 15)), "underpriced");
    assert_eq!(pool.stats().transactions, 1);
}

#[test]
fn a_tenth_more_replaces() {
    let mut pool = Mempool::default();
    let (old, new) = (Recipe::new(0, 0, 100, 10), Recipe::new(0, 0, 110, 10));
    let old = old.make();
    pool.insert(old.clone(), rich).unwrap();
    let accepted = pool.insert(new.make(), rich).unwrap();
    let [gone] = accepted.dropped[..] else {
        panic!("{accepted:?}");
    };
    assert_eq!((gone.id, gone.cause), (old.id(), DropCause::Replaced));
    assert!(!pool.contains(&old.id()));
    assert_eq!(pool.stats().bytes, new.make().token().len());
    // A free one costs at least a credit to replace.
    put(&mut pool, Recipe::new(1, 0, 0, 10)).unwrap();
    let free = pool.insert(Recipe::new(1, 0, 0, 5).make(), rich);
    assert!(matches!(
        free,
        Err(MempoolError::Underpriced { want: 1, .. })
    ));
}

#[test]
fn a_full_pool_drops_the_last_of_the_worst_sender() {
    let mut pool = small(3);
    put(&mut pool, Recipe::new(0, 0, 10, 10)).unwrap();
    // A dear one does not protect the cheap one that it waits for.
    put(&mut pool, Recipe::new(0, 1, 900, 10)).unwrap();
    put(&mut pool, Recipe::new(1, 0, 20, 10)).unwrap();
    assert_eq!(
        put(&mut pool, Recipe::new(2, 0, 10, 10)),
        Err("mempool_full")
    );
    assert_eq!(put(&mut pool, Recipe::new(2, 0, 11, 10)), Ok(true));
    let [a, b, c] = [0, 1, 2].map(address);
    assert_eq!(template(&pool), [(b, 0), (c, 0), (a, 0)]);
    // One that waits for a cheap one is worth no more than that.
    assert_eq!(
        put(&mut pool, Recipe::new(0, 1, 900, 10)),
        Err("mempool_full")
    );
    // One behind a gap gives way to any that is ready, and takes nobody's place.
    assert_eq!(
        put(&mut pool, Recipe::new(3, 1, 900, 10)),
        Err("mempool_full")
    );
}

#[test]
fn a_refused_transaction_leaves_all_as_it_was() {
    let old = |_: &Address| account(1_000_000, 7);
    let one = Recipe::new(0, 7, 0, 10).make().token().len();
    let mut pool = Mempool::new(MempoolLimits {
        bytes: 4 * one,
        ..MempoolLimits::default()
    });
    for (sender, fee) in [(0, 10), (1, 20), (2, 30)] {
        let tx = Recipe::new(sender, 7, fee, 10).make();
        pool.insert(tx, old).unwrap();
    }
    let before = template(&pool);
    assert_eq!(before.len(), 3);
    // It would take all three places, and is worth more than two of them.
    let long = Recipe::new(3, 7, 25, 10).padded(3 * one / 2).make();
    assert_eq!(pool.insert(long, old), Err(MempoolError::Full));
    assert_eq!(template(&pool), before);
    assert_eq!(pool.stats().transactions, 3);
}

#[test]
fn a_new_tip_drops_what_is_included_or_unpaid() {
    let mut pool = Mempool::default();
    let txs: Vec<_> = (0..4)
        .map(|seq| Recipe::new(0, seq, 100, 10).make())
        .collect();
    for tx in &txs {
        pool.insert(tx.clone(), rich).unwrap();
    }
    // The first was included, and spent most that there was.
    let gone = pool.connect([&*txs[0]], |_| account(150, 1));
    let causes: Vec<_> = gone.iter().map(|gone| (gone.id, gone.cause)).collect();
    let want = [
        (txs[0].id(), DropCause::Past),
        (txs[2].id(), DropCause::Funds),
        (txs[3].id(), DropCause::Funds),
    ];
    assert_eq!(causes, want);
    assert_eq!(template(&pool), [(address(0), 1)]);
}

#[test]
fn a_reorganisation_gives_back_what_the_new_branch_lacks() {
    let mut pool = Mempool::default();
    let txs: Vec<_> = (0..4)
        .map(|seq| Recipe::new(0, seq, 100, 10).make())
        .collect();
    for tx in &txs {
        pool.insert(tx.clone(), rich).unwrap();
    }
    pool.connect(txs[..3].iter().map(|tx| &**tx), |_| account(700, 3));
    assert_eq!(template(&pool), [(address(0), 3)]);
    // The new branch has the first of them only.
    let gone = pool.reorganise(txs[..3].to_vec(), |_| account(900, 1));
    assert_eq!(gone.len(), 1);
    assert_eq!(gone[0].cause, DropCause::Past);
    assert_eq!(template(&pool), [1, 2, 3].map(|seq| (address(0), seq)));
}

#[test]
fn pages_follow_one_another() {
    let mut pool = Mempool::default();
    for sender in 0..7 {
        put(&mut pool, Recipe::new(sender, 0, 10, 10)).unwrap();
    }
    let mut seen = Vec::new();
    while let Some(page) = {
        let page: Vec<_> = pool.after(seen.last().copied()).take(3).collect();
        (!page.is_empty()).then_some(page)
    } {
        seen.extend(page.into_iter().map(|tx| tx.id()));
    }
    assert_eq!(seen.len(), 7);
    assert!(seen.is_sorted());
    assert!(seen.iter().all(|id| pool.transaction(id).is_some()));
}
