//! Chains for the bench, seeded.

use lyceum_node::core::Chain;
use lyceum_protocol::{
    Address, Amount, BatchSeed, BlockHash, ChainSpec, Checked, Mined, Miner, SecretKey, Timestamp,
    Transaction, TxBody, TxClaims, check_transaction,
};
use lyceum_storage::{Options, Store, StoreError};
use rayon::prelude::*;

/// Transactions of a block.
pub(crate) const BLOCK_TRANSACTIONS: usize = 200;
const WALLETS: usize = 1_000;
const COURSES: usize = 100;
/// The courses that each student of a large school is enrolled in, and the records that this makes of each.
const ENROLMENTS: usize = 8;
const STUDENT_RECORDS: usize = 1 + ENROLMENTS;
/// Among students in this step there is no order, and none comes twice before all the others came: it is a prime.
const STUDENT_STEP: usize = 7_919;

pub(crate) fn spec() -> ChainSpec {
    let mut fields = (*ChainSpec::dev()).clone();
    fields.limit_bits = "207fffff".parse().expect("an easy target");
    fields.initial_bits = fields.limit_bits;
    fields.block_gas = Amount::new(1_000_000_000).expect("small");
    ChainSpec::new(fields).expect("within bounds")
}

fn key(i: usize) -> SecretKey {
    let mut seed = [5; 32];
    seed[..8].copy_from_slice(&i.to_le_bytes());
    SecretKey::from_seed(&seed)
}

fn add_course(id: &str, capacity: usize) -> String {
    format!(
        r#"{{"action":"add_course","course":{{"id":"{id}","name":"Course","department":"Computer Science","capacity":{capacity}}}}}"#
    )
}

fn register(id: &str) -> String {
    format!(
        r#"{{"action":"register_student","student":{{"id":"{id}","name":"Student {id}","department":"Computer Science"}}}}"#
    )
}

fn enroll(student: usize, course: &str) -> String {
    format!(r#"{{"action":"enroll","student":"S{student}","course":"{course}"}}"#)
}

fn vote(proposal: usize) -> String {
    format!(
        r#"{{"action":"vote_proposal","proposal":{{"id":"P{proposal}","description":"Open the library at night","vote":"yes"}}}}"#
    )
}

/// The action of a wallet's transaction `seq`: it registers, then enrols and votes in turn.
fn action(wallet: usize, seq: usize) -> String {
    match seq {
        0 => register(&format!("S{wallet}")),
        _ if seq % 2 == 1 => enroll(wallet, &course(seq / 2)),
        _ => vote(seq),
    }
}

fn course(i: usize) -> String {
    format!("C{}-{}", i % COURSES, i / COURSES)
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
    let courses = (0..rounds.div_ceil(2).max(1))
        .map(|i| call(spec, WALLETS, i, &add_course(&course(i), WALLETS)));
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
    let made = ["learning/student/", "learning/enrolment/", "dao/vote/"];
    let made = made.map(|prefix| mint.records(prefix));
    assert_eq!(made.iter().sum::<usize>(), count);
    mint.lines
}

/// A school of so many records, then `count` transactions of as many wallets as [`school`] has: of ten, one registers a student, five enrol one
/// of all the students, and four vote. The chain's lines, without genesis, and how many of them make the school.
pub(crate) fn large_school(spec: &ChainSpec, records: usize, count: usize) -> (Vec<String>, usize) {
    let students = records / STUDENT_RECORDS;
    let courses = ENROLMENTS + count.div_ceil(BLOCK_TRANSACTIONS);
    let courses = (0..courses).map(|i| call(spec, WALLETS, i, &add_course(&course(i), students)));
    let mut queue: Vec<_> = courses.collect();
    let entries = (0..students).into_par_iter().map(|student| {
        let mut actions = vec![register(&format!("S{student}"))];
        actions.extend((0..ENROLMENTS).map(|i| enroll(student, &course(i))));
        let (wallet, seq) = (student % WALLETS, student / WALLETS);
        call(spec, wallet, seq, &actions.join(","))
    });
    queue.extend(entries.collect::<Vec<_>>());
    let mut mint = Mint::new(spec);
    for transactions in queue.chunks(BLOCK_TRANSACTIONS) {
        mint.block(transactions);
    }
    let filled = mint.lines.len();
    assert_eq!(mint.records("learning/student/"), students);
    assert_eq!(mint.records("learning/enrolment/"), students * ENROLMENTS);
    let calls = (students..students + count).into_par_iter().map(|i| {
        let (wallet, seq) = (i % WALLETS, i / WALLETS);
        // Neither a wallet nor a student comes twice in a block, so none votes or is enrolled twice.
        let i = i - students;
        let block = i / BLOCK_TRANSACTIONS;
        let action = match i % 10 {
            0 => register(&format!("T{i}")),
            kind if kind % 2 == 1 => {
                enroll(i * STUDENT_STEP % students, &course(ENROLMENTS + block))
            }
            _ => vote(block),
        };
        call(spec, wallet, seq, &action)
    });
    let calls: Vec<_> = calls.collect();
    for transactions in calls.chunks(BLOCK_TRANSACTIONS) {
        mint.block(transactions);
    }
    let kinds = |of: fn(usize) -> bool| (0..count).filter(|i| of(i % 10)).count();
    let enrolments = students * ENROLMENTS + kinds(|kind| kind % 2 == 1);
    assert_eq!(mint.records("learning/enrolment/"), enrolments);
    let votes = kinds(|kind| kind > 0 && kind % 2 == 0);
    assert_eq!(mint.records("dao/vote/"), votes);
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

    /// How many records there are whose paths begin so: a call that failed would be cheap, and make none.
    fn records(&self, prefix: &str) -> usize {
        let view = self.chain.store().read();
        view.count(prefix).expect("a count") as usize
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
