//! Makes chains to import: an easy difficulty, wallets, calls, and blocks mined in no time.

use std::path::Path;

use lyceum_node::core::{Chain, Template};
use lyceum_protocol::{
    Address, Amount, BatchSeed, Block, BlockClaims, BlockHash, BlockLine, ChainFields, ChainSpec,
    Checked, Header, Mined, Miner, SecretKey, Timestamp, Transaction, TxBody, TxClaims,
    check_transaction, decode_block,
};
use lyceum_storage::{Options, Store};

/// A chain whose every second attempt is a block, with short segments and credits for four wallets.
pub(crate) fn spec() -> ChainSpec {
    spec_with(|_| {})
}

pub(crate) fn spec_with(change: impl FnOnce(&mut ChainFields)) -> ChainSpec {
    let mut fields = (*ChainSpec::dev()).clone();
    fields.limit_bits = "207fffff".parse().unwrap();
    fields.initial_bits = fields.limit_bits;
    fields.segment_blocks = 4;
    fields.segment_depth = 2;
    fields.alloc = (0..4)
        .map(|i| (address(i), Amount::new(1_000_000).unwrap()))
        .collect();
    change(&mut fields);
    ChainSpec::new(fields).unwrap()
}

pub(crate) fn key(i: u8) -> SecretKey {
    SecretKey::from_seed(&[i; 32])
}

pub(crate) fn address(i: u8) -> Address {
    Address::from_bytes(key(i).public())
}

/// A chain in memory.
pub(crate) fn chain(spec: &ChainSpec) -> Chain {
    let open = |spec: &ChainSpec, genesis| Ok(Store::in_memory(spec, genesis, &Options::default()));
    Chain::open(spec.clone(), open, BatchSeed::new([9; 32])).unwrap()
}

/// A chain in a folder.
pub(crate) fn chain_on_disk(spec: &ChainSpec, folder: &Path) -> Chain {
    let open = |spec: &ChainSpec, genesis| Store::open(folder, spec, genesis, &Options::default());
    Chain::open(spec.clone(), open, BatchSeed::new([9; 32])).unwrap()
}

/// A clock that is ahead of every block made here.
pub(crate) fn now() -> Timestamp {
    Timestamp::MAX
}

/// A transaction of wallet `from` with the actions given as JSON.
pub(crate) fn call(
    spec: &ChainSpec,
    from: u8,
    seq: u64,
    fee: u64,
    actions: &str,
) -> Checked<Transaction> {
    let claims = TxClaims {
        sender: address(from),
        seq: Amount::new(seq).unwrap(),
        gas: Amount::new(1_000_000).unwrap(),
        fee: Amount::new(fee).unwrap(),
        body: TxBody::parse(&format!("{{\"actions\":[{actions}]}}")).unwrap(),
    };
    let transaction = claims.sign(&key(from), spec).unwrap();
    check_transaction(transaction.token(), spec).unwrap()
}

pub(crate) fn register(spec: &ChainSpec, from: u8, seq: u64) -> Checked<Transaction> {
    let action = format!(
        r#"{{"action":"register_student","student":{{"id":"S{from}-{seq}","name":"N","department":"D"}}}}"#
    );
    call(spec, from, seq, 5, &action)
}

/// Mines the block that follows the chain's tip, `after` milliseconds later, without importing it.
pub(crate) fn next_line(
    chain: &Chain,
    miner: u8,
    after: u64,
    transactions: Vec<Checked<Transaction>>,
) -> String {
    let tip = chain.tip().unwrap();
    let time = chain
        .store()
        .read()
        .block(&tip.hash)
        .unwrap()
        .unwrap()
        .timestamp;
    let template = chain
        .template(address(miner), transactions, time.saturating_add(after))
        .unwrap();
    mine(chain.spec(), &template, miner)
}

pub(crate) fn mine(spec: &ChainSpec, template: &Template, miner: u8) -> String {
    template.line(&mine_token(spec, &template.claims, miner))
}

pub(crate) fn mine_token(spec: &ChainSpec, claims: &BlockClaims, miner: u8) -> String {
    match Miner::plain(claims, &key(miner), spec)
        .unwrap()
        .mine(1 << 20)
    {
        Mined::Sealed(sealed) => sealed.token,
        Mined::Unfinished(_) => panic!("an easy target"),
    }
}

/// Extends the chain by `count` blocks of one wallet, each with one call; gives their lines.
pub(crate) fn extend(chain: &mut Chain, miner: u8, count: u64) -> Vec<String> {
    let mut lines = Vec::new();
    for _ in 0..count {
        let owner = format!("credits/account/{}", address(miner));
        let account = chain.store().read().record(&owner).unwrap().unwrap();
        let account: serde_json::Value = serde_json::from_str(&account).unwrap();
        let seq = account["seq"].as_u64().unwrap();
        let transactions = vec![register(chain.spec(), miner, seq)];
        let line = next_line(chain, miner, 2_000 + u64::from(miner), transactions);
        chain.import(&line, now()).unwrap();
        lines.push(line);
    }
    lines
}

pub(crate) fn hash(line: &str) -> BlockHash {
    BlockHash::of(BlockLine::new(line).token().as_bytes())
}

/// The block of a line, to be changed and mined again.
pub(crate) fn block(spec: &ChainSpec, line: &str) -> Block {
    decode_block(line, spec).unwrap()
}

pub(crate) fn header(spec: &ChainSpec, line: &str) -> Header {
    Header::decode(BlockLine::new(line).token(), spec).unwrap()
}
