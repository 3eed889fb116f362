//! Chains for the benches: real block tokens, transactions of random text, records of the usual size. Seeded.

use lyceum_protocol::{
    Address, BlockClaims, BlockLine, ChainSpec, Header, SecretKey, StateRoot, TxId,
};
use lyceum_storage::{ConnectBlock, StateChanges};

/// The bytes of a transaction's token: one action with a few texts.
const TX_BYTES: usize = 600;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A block ready to be connected.
pub(crate) struct Made {
    pub(crate) header: Header,
    pub(crate) line: String,
    pub(crate) ids: Vec<TxId>,
    pub(crate) changes: StateChanges,
    pub(crate) receipts: Vec<Vec<u8>>,
}

impl Made {
    pub(crate) fn block(&self) -> ConnectBlock<'_> {
        ConnectBlock {
            header: &self.header,
            line: BlockLine::new(&self.line),
            ids: &self.ids,
            changes: self.changes.clone(),
            receipts: &self.receipts,
        }
    }
}

/// Makes block after block.
pub(crate) struct Miner {
    pub(crate) spec: ChainSpec,
    key: SecretKey,
    last: Header,
    random: u64,
    is_started: bool,
}

impl Miner {
    pub(crate) fn new(segment_blocks: u32) -> Self {
        let mut fields = (*ChainSpec::dev()).clone();
        fields.segment_blocks = segment_blocks;
        let spec = ChainSpec::new(fields).expect("a chain");
        Self {
            last: spec.genesis(StateRoot::ZERO),
            key: SecretKey::from_seed(&[7; 32]),
            random: 1,
            is_started: false,
            spec,
        }
    }

    pub(crate) fn genesis(&self) -> lyceum_protocol::BlockHash {
        self.spec.genesis(StateRoot::ZERO).hash()
    }

    /// splitmix64.
    pub(crate) fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A block of some transactions that sets the records of some students, each one or anew.
    pub(crate) fn block(&mut self, transactions: usize, students: &[u64]) -> Made {
        if std::mem::replace(&mut self.is_started, true) {
            let claims = BlockClaims {
                miner: Address::from_bytes(self.key.public()),
                height: self.last.claims().height.next(),
                parent: self.last.hash(),
                timestamp: self.last.claims().timestamp.saturating_add(2_000),
                ..self.last.claims().clone()
            };
            self.last = claims
                .sign(&self.key, &self.spec)
                .expect("the key is the miner's");
        }
        let header = self.last.clone();
        let mut line = header.token().to_owned();
        for _ in 0..transactions {
            line.push('~');
            self.token(&mut line);
        }
        let mut changes = StateChanges::new();
        for student in students {
            let grade = self.random() % 100;
            let path = format!("learning/student/S{student:08}");
            let record = format!(
                r#"{{"department":"Computer Science","grade":{grade},"id":"S{student:08}","name":"John Doe {student}"}}"#
            );
            changes.insert(path, Some(record));
        }
        let receipt = |i: usize| format!("\u{1}\u{0}{i:08}{i:08}").into_bytes();
        let tokens = BlockLine::new(&line).transactions();
        let ids = tokens.map(|token| TxId::of(token.as_bytes())).collect();
        Made {
            header,
            ids,
            line,
            changes,
            receipts: (0..transactions).map(receipt).collect(),
        }
    }

    fn token(&mut self, line: &mut String) {
        for _ in 0..TX_BYTES / 10 {
            let mut bits = self.random();
            for _ in 0..10 {
                line.push(char::from(ALPHABET[(bits & 63) as usize]));
                bits >>= 6;
            }
        }
    }
}
