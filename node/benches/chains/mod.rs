//! Chains for the bench, seeded.

use lyceum_node::core::Chain;
use lyceum_protocol::{
    Address, Amount, BatchSeed, BlockHash, ChainSpec, Checked, GenesisContract, Mined, Miner,
    SecretKey, Timestamp, Transaction, TxBody, TxClaims, check_transaction,
};
use lyceum_storage::{Options, Store, StoreError};
use rayon::prelude::*;
use serde_json::json;

/// Transactions of a block.
pub(crate) const BLOCK_TRANSACTIONS: usize = 200;
const WALLETS: usize = 1_000;
const COURSES: usize = 100;
/// Records that one transaction puts on the shelf, and such transactions of a block.
const FILL: usize = 100;
const BLOCK_FILLS: usize = 100;

/// What a chain is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Registrations, enrolments, votes.
    School,
    /// A number of records, of which some are changed.
    Shelf,
}

impl Shape {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::School => "school",
            Self::Shelf => "shelf",
        }
    }

    pub(crate) fn named(name: &str) -> Self {
        match name {
            "school" => Self::School,
            _ => Self::Shelf,
        }
    }
}

pub(crate) fn spec(shape: Shape) -> ChainSpec {
    let mut fields = (*ChainSpec::dev()).clone();
    fields.limit_bits = "207fffff".parse().expect("an easy target");
    fields.initial_bits = fields.limit_bits;
    fields.block_gas = Amount::new(1_000_000_000).expect("small");
    if shape == Shape::Shelf {
        fields.contracts.push(GenesisContract::Inline(json!({
            "contract": "shelf",
            "records": {"book": {"key": "id", "fields": {"id": "int", "title": "text", "lent": "int"}}},
            "actions": {
                "fill": {"params": {"from": "int"}, "do": [
                    {"repeat": FILL, "as": "i", "do": [
                        {"put": ["book", {"id": {"+": [{"var": "from"}, {"var": "i"}]}, "title": "Of Learning", "lent": 0}]}]}]},
                "lend": {"params": {"id": "int", "new": "int"}, "do": [
                    {"let": {"b": {"get": ["book", {"var": "id"}]}}},
                    {"set": {"b.lent": {"+": [{"var": "b.lent"}, 1]}}},
                    {"put": ["book", {"id": {"var": "new"}, "title": "Of Lending", "lent": 0}]}]}}
        })));
    }
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
        gas: Amount::new(4_000_000).expect("small"),
        fee: Amount::ZERO,
        body: TxBody::parse(&format!("{{\"actions\":[{actions}]}}")).expect("a body"),
    };
    let transaction = claims.sign(&key, spec).expect("a transaction");
    check_transaction(transaction.token(), spec).expect("a good one")
}

/// Registrations, enrolments and votes: the chain's lines, without genesis.
pub(crate) fn school(spec: &ChainSpec, count: usize) -> Vec<String> {
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
        let (wallet, seq) = (i % WALLETS, i / WALLETS);
        call(spec, wallet, seq, &action(wallet, seq))
    });
    queue.extend(calls.collect::<Vec<_>>());
    let mut mint = Mint::new(spec);
    for transactions in queue.chunks(BLOCK_TRANSACTIONS) {
        mint.block(transactions);
    }
    mint.lines
}

/// A shelf of `records` records, then `count` transactions that each change one at random and put a new one. The chain's lines, without
/// genesis, and how many of them fill the shelf.
pub(crate) fn shelf(spec: &ChainSpec, records: usize, count: usize) -> (Vec<String>, usize) {
    let mut mint = Mint::new(spec);
    let fills: Vec<_> = (0..records / FILL)
        .into_par_iter()
        .map(|i| {
            let action = format!(
                r#"{{"action":"fill","contract":"shelf","from":{}}}"#,
                i * FILL
            );
            call(spec, WALLETS, i, &action)
        })
        .collect();
    for transactions in fills.chunks(BLOCK_FILLS) {
        mint.block(transactions);
    }
    let filled = mint.lines.len();
    let calls: Vec<_> = (0..count)
        .into_par_iter()
        .map(|i| {
            // Fibonacci hashing: any place of the shelf, the same ones in each run.
            let random = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            let id = random as usize % records;
            let action = format!(
                r#"{{"action":"lend","contract":"shelf","id":{id},"new":{}}}"#,
                records + i
            );
            call(spec, i % WALLETS, i / WALLETS, &action)
        })
        .collect();
    for transactions in calls.chunks(BLOCK_TRANSACTIONS) {
        mint.block(transactions);
    }
    (mint.lines, filled)
}

/// Makes a chain's blocks.
struct Mint<'s> {
    spec: &'s ChainSpec,
    chain: Chain,
    lines: Vec<String>,
}

impl<'s> Mint<'s> {
    fn new(spec: &'s ChainSpec) -> Self {
        let chain = open(spec, |spec, genesis| {
            Ok(Store::in_memory(spec, genesis, &Options::default()))
        });
        let lines = Vec::new();
        Self { spec, chain, lines }
    }

    fn block(&mut self, transactions: &[Checked<Transaction>]) {
        let spec = self.spec;
        let after = 2_000 * (self.lines.len() as u64 + 1);
        let now = spec.genesis_time.saturating_add(after);
        let miner = key(WALLETS);
        let address = Address::from_bytes(miner.public());
        let candidates = transactions.iter().cloned();
        let template = self.chain.template(address, candidates, now);
        let template = template.expect("a template");
        assert_eq!(
            template.transactions.len(),
            transactions.len(),
            "{:?}",
            template.refused.first()
        );
        let mining = Miner::plain(&template.claims, &miner, spec).expect("the miner's key");
        let Mined::Sealed(sealed) = mining.mine(1 << 20) else {
            unreachable!("an easy target")
        };
        let line = template.line(&sealed.token);
        let imported = self.chain.import(&line, Timestamp::MAX);
        imported.expect("a good block");
        self.lines.push(line);
    }
}

pub(crate) fn open(
    spec: &ChainSpec,
    store: impl FnOnce(&ChainSpec, BlockHash) -> Result<Store, StoreError>,
) -> Chain {
    Chain::open(spec.clone(), store, BatchSeed::new([9; 32])).expect("a chain")
}
