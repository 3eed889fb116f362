//! Importing a chain of registrations, enrolments and votes, against bare batch verification of the same signatures on the same cores.
//!
//! `LYCEUM_BENCH_TRANSACTIONS` says how many transactions (default 100 000). Prints ratios of one run.

use std::time::Instant;

use lyceum_node::core::Chain;
use lyceum_protocol::{
    Address, Amount, BatchSeed, ChainSpec, Checked, Mined, Miner, SecretKey, SignedMessage,
    Timestamp, Transaction, TxBody, TxClaims, check_transaction, decode_block, verify_batch,
};
use lyceum_storage::{Durability, Options, Store};
use rayon::prelude::*;

const BLOCK_TRANSACTIONS: usize = 200;
const WALLETS: usize = 1_000;
const COURSES: usize = 100;
const RUN_LINES: usize = 64;
/// Items that are verified together, as an import of blocks of this size does.
const BATCH_LEN: usize = 16 * (BLOCK_TRANSACTIONS + 1);

fn main() {
    let count = std::env::var("LYCEUM_BENCH_TRANSACTIONS").ok();
    let count = count.map_or(100_000, |count| {
        count.parse().expect("a number of transactions")
    });
    let spec = spec();
    let started = Instant::now();
    let lines = generate(&spec, count);
    let bytes: usize = lines.iter().map(String::len).sum();
    println!(
        "{count} transactions in {} blocks, {:.1} MB, made in {:.1} s",
        lines.len(),
        bytes as f64 / 1e6,
        started.elapsed().as_secs_f64()
    );
    let verify = verify(&spec, &lines);
    println!(
        "batch verification alone {:8.0} transactions/s, 1.00",
        count as f64 / verify
    );
    let folder = std::env::temp_dir().join(format!("lyceum-bench-{}", std::process::id()));
    let import = import(&spec, &lines, |spec, genesis| {
        Store::open(&folder, spec, genesis, &Options::default())
    });
    let removed = std::fs::remove_dir_all(&folder);
    println!(
        "import, on disk          {:8.0} transactions/s, {:.2} of it",
        count as f64 / import,
        verify / import
    );
    let memory = self::import(&spec, &lines, |spec, genesis| {
        Ok(Store::in_memory(spec, genesis, &Options::default()))
    });
    println!(
        "import, in memory        {:8.0} transactions/s, {:.2} of it",
        count as f64 / memory,
        verify / memory
    );
    removed.expect("the bench's own folder");
}

fn spec() -> ChainSpec {
    let mut fields = (*ChainSpec::dev()).clone();
    fields.limit_bits = "207fffff".parse().expect("an easy target");
    fields.initial_bits = fields.limit_bits;
    fields.block_gas = Amount::new(100_000_000).expect("small");
    ChainSpec::new(fields).expect("within bounds")
}

fn key(i: usize) -> SecretKey {
    let mut seed = [5; 32];
    seed[..8].copy_from_slice(&i.to_le_bytes());
    SecretKey::from_seed(&seed)
}

/// The action of a wallet's transaction `seq`: it registers, then enrols and votes in turn.
fn action(wallet: usize, seq: usize) -> String {
    match seq {
        0 => format!(
            r#"{{"action":"register_student","student":{{"id":"S{wallet}","name":"Student {wallet}","department":"Computer Science"}}}}"#
        ),
        _ if seq % 2 == 1 => {
            let course = seq / 2 % COURSES;
            format!(
                r#"{{"action":"enroll","student":"S{wallet}","course":"C{course}-{}"}}"#,
                seq / 2 / COURSES
            )
        }
        _ => format!(
            r#"{{"action":"vote_proposal","proposal":{{"id":"P{seq}","description":"Open the library at night","vote":"yes"}}}}"#
        ),
    }
}

fn call(spec: &ChainSpec, from: usize, seq: usize, actions: &str) -> Checked<Transaction> {
    let key = key(from);
    let claims = TxClaims {
        sender: Address::from_bytes(key.public()),
        seq: Amount::new(seq as u64).expect("small"),
        gas: Amount::new(200_000).expect("small"),
        fee: Amount::ZERO,
        body: TxBody::parse(&format!("{{\"actions\":[{actions}]}}")).expect("a body"),
    };
    let transaction = claims.sign(&key, spec).expect("a transaction");
    check_transaction(transaction.token(), spec).expect("a good one")
}

/// The chain's lines, without genesis.
fn generate(spec: &ChainSpec, count: usize) -> Vec<String> {
    let mut chain = open(spec, |spec, genesis| {
        Ok(Store::in_memory(spec, genesis, &Options::default()))
    });
    let rounds = count.div_ceil(WALLETS);
    let courses = (0..rounds.div_ceil(2).max(1)).map(|i| {
        let (course, part) = (i % COURSES, i / COURSES);
        let action = format!(
            r#"{{"action":"add_course","course":{{"id":"C{course}-{part}","name":"Course","department":"Computer Science","capacity":{WALLETS}}}}}"#
        );
        call(spec, WALLETS, i, &action)
    });
    let mut queue: Vec<_> = courses.collect();
    let calls = (0..count).into_par_iter();
    let calls = calls.map(|i| {
        call(
            spec,
            i % WALLETS,
            i / WALLETS,
            &action(i % WALLETS, i / WALLETS),
        )
    });
    queue.extend(calls.collect::<Vec<_>>());
    let mut lines = Vec::new();
    for transactions in queue.chunks(BLOCK_TRANSACTIONS) {
        let now = spec
            .genesis_time
            .saturating_add(2_000 * (lines.len() as u64 + 1));
        let miner = Address::from_bytes(key(WALLETS).public());
        let template = chain
            .template(miner, transactions.iter().cloned(), now)
            .expect("a template");
        assert_eq!(
            template.transactions.len(),
            transactions.len(),
            "{:?}",
            template.refused.first()
        );
        let miner = Miner::plain(&template.claims, &key(WALLETS), spec).expect("the miner's key");
        let Mined::Sealed(sealed) = miner.mine(1 << 20) else {
            unreachable!("an easy target")
        };
        let line = template.line(&sealed.token);
        chain.import(&line, Timestamp::MAX).expect("a good block");
        lines.push(line);
    }
    lines
}

fn open(
    spec: &ChainSpec,
    store: impl FnOnce(
        &ChainSpec,
        lyceum_protocol::BlockHash,
    ) -> Result<Store, lyceum_storage::StoreError>,
) -> Chain {
    Chain::open(spec.clone(), store, BatchSeed::new([9; 32])).expect("a chain")
}

/// Seconds to verify all signatures, in batches on all cores, and nothing else.
fn verify(spec: &ChainSpec, lines: &[String]) -> f64 {
    let blocks: Vec<_> = lines
        .iter()
        .map(|line| decode_block(line, spec).expect("a block"))
        .collect();
    let messages: Vec<SignedMessage<'_>> = blocks
        .iter()
        .flat_map(|block| {
            let transactions = block.transactions.iter().map(Transaction::signed_message);
            std::iter::once(block.header.signed_message()).chain(transactions)
        })
        .collect();
    let started = Instant::now();
    let good = messages.par_chunks(BATCH_LEN).all(|items| {
        verify_batch(items, &BatchSeed::new([9; 32]))
            .iter()
            .all(Result::is_ok)
    });
    assert!(good);
    started.elapsed().as_secs_f64()
}

/// Seconds to import all lines, segments sealed.
fn import(
    spec: &ChainSpec,
    lines: &[String],
    store: impl FnOnce(
        &ChainSpec,
        lyceum_protocol::BlockHash,
    ) -> Result<Store, lyceum_storage::StoreError>,
) -> f64 {
    let mut chain = open(spec, store);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let started = Instant::now();
    for run in lines.chunks(RUN_LINES) {
        let imported = chain.import_run(run, Timestamp::MAX, Durability::Buffered);
        assert!(imported.error.is_none(), "{:?}", imported.error);
        chain.seal_ready().expect("sealed");
    }
    let seconds = started.elapsed().as_secs_f64();
    chain.close().expect("closed");
    seconds
}
