//! Chains of blocks that keep no rule but the links and the state roots, which is all that storage looks at. The same seed gives the same chain.

use std::collections::BTreeMap;

use lyceum_protocol::{
    Address, BlockClaims, BlockHash, BlockLine, ChainSpec, Header, InfoHash, SecretKey,
    SegmentIndex, TxId,
};

use crate::{ConnectBlock, Durability, Options, StateChanges, Store, state_root_of};

pub(super) const SEGMENT_BLOCKS: u32 = 4;
pub(super) const SEGMENT_DEPTH: u32 = 2;
/// How many different records there are at the most.
const KEYS: u64 = 40;

pub(super) fn spec() -> ChainSpec {
    let mut fields = (*ChainSpec::dev()).clone();
    fields.segment_blocks = SEGMENT_BLOCKS;
    fields.segment_depth = SEGMENT_DEPTH;
    ChainSpec::new(fields).unwrap()
}

/// A block with what it does.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) header: Header,
    pub(super) line: String,
    pub(super) ids: Vec<TxId>,
    pub(super) changes: StateChanges,
    pub(super) receipts: Vec<Vec<u8>>,
}

/// The ids of a line's transactions.
pub(super) fn ids_of(line: &str) -> Vec<TxId> {
    let tokens = BlockLine::new(line).transactions();
    tokens.map(|token| TxId::of(token.as_bytes())).collect()
}

/// splitmix64.
#[derive(Debug, Clone)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Makes blocks on top of each other.
pub(super) struct Miner {
    pub(super) spec: ChainSpec,
    /// The records after the last block: a model of the state.
    pub(super) state: BTreeMap<String, String>,
    store: Store,
    random: Random,
    key: SecretKey,
    first: Option<Made>,
}

impl Miner {
    pub(super) fn new(seed: u64) -> Self {
        let spec = spec();
        let changes =
            StateChanges::from([("c/r0/genesis".to_owned(), Some(r#"{"n":0}"#.to_owned()))]);
        let header = spec.genesis(state_root_of(&changes));
        let first = Made {
            line: header.token().to_owned(),
            header,
            ids: Vec::new(),
            changes,
            receipts: Vec::new(),
        };
        let store = Store::in_memory(&spec, first.header.hash(), &Options::default());
        Self {
            store,
            state: BTreeMap::new(),
            random: Random(seed),
            key: SecretKey::from_seed(&[7; 32]),
            first: Some(first),
            spec,
        }
    }

    pub(super) fn genesis(&self) -> BlockHash {
        self.store.genesis()
    }

    /// All paths that records may have, and one that none has.
    pub(super) fn paths(&self) -> impl Iterator<Item = String> + use<> {
        (0..=KEYS).map(path)
    }

    pub(super) fn chain(&mut self, blocks: usize) -> Vec<Made> {
        (0..blocks).map(|_| self.next()).collect()
    }

    /// Takes the last block back, to go on from its parent.
    pub(super) fn back(&mut self) {
        let mut batch = self.store.begin();
        batch.disconnect().unwrap();
        batch.commit(Durability::Buffered).unwrap();
        let records = self.store.read().records("", None, usize::MAX).unwrap();
        self.state = records.into_iter().collect();
    }

    /// The next block; genesis first.
    pub(super) fn next(&mut self) -> Made {
        let made = match self.first.take() {
            Some(first) => first,
            None => self.make(),
        };
        for (path, record) in &made.changes {
            match record {
                Some(record) => self.state.insert(path.clone(), record.clone()),
                None => self.state.remove(path),
            };
        }
        let mut batch = self.store.begin();
        batch
            .connect(ConnectBlock {
                header: &made.header,
                line: BlockLine::new(&made.line),
                ids: &made.ids,
                changes: made.changes.clone(),
                receipts: &made.receipts,
            })
            .unwrap();
        batch.commit(Durability::Buffered).unwrap();
        made
    }

    fn make(&mut self) -> Made {
        let changes = self.changes();
        let view = self.store.read();
        let tip = view.tip().unwrap().unwrap();
        let parent = view.line(&tip.hash).unwrap().unwrap();
        let parent = Header::decode(BlockLine::new(&parent).token(), &self.spec).unwrap();
        let height = tip.height.next();
        let segment = self.spec.demanded_segment(height);
        let claims = BlockClaims {
            miner: Address::from_bytes(self.key.public()),
            height,
            parent: tip.hash,
            timestamp: parent.claims().timestamp.saturating_add(1),
            state_root: view.state_root_of(&changes).unwrap(),
            segment: segment.map(|index| self.info_hash(index)),
            ..parent.claims().clone()
        };
        drop(view);
        let header = claims.sign(&self.key, &self.spec).unwrap();
        let mut line = header.token().to_owned();
        let transactions = self.random.below(4);
        for _ in 0..transactions {
            let token = format!("~{:x}.{:x}.sig", self.random.next(), self.random.next());
            line.push_str(&token);
        }
        let receipt = |i: u64| format!("receipt {i} of {height}").into_bytes();
        Made {
            header,
            ids: ids_of(&line),
            line,
            changes,
            receipts: (0..transactions).map(receipt).collect(),
        }
    }

    fn info_hash(&self, index: SegmentIndex) -> InfoHash {
        let metainfo = self.store.read().metainfo(index).unwrap();
        metainfo.unwrap().info_hash()
    }

    /// Some records set, some deleted, some left as they are.
    fn changes(&mut self) -> StateChanges {
        let count = self.random.below(12);
        let change = |random: &mut Random| {
            let record = match random.below(4) {
                0 => None,
                n => Some(format!(r#"{{"n":{}}}"#, n * random.below(3))),
            };
            (path(random.below(KEYS)), record)
        };
        (0..count).map(|_| change(&mut self.random)).collect()
    }
}

fn path(key: u64) -> String {
    format!("c/r{}/key {key}", key % 2)
}
