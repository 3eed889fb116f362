//! The rules of a block, each with a block that breaks it and nothing else.

#![allow(clippy::unwrap_used)]

use lyceum_protocol::{
    Address, BatchSeed, Bits, Block, BlockClaims, BlockError, BlockHash, ChainFields, ChainSpec,
    Checked, Credits, Gas, Header, Height, InfoHash, KnownKeys, Nonce, ParentContext, SecretKey,
    SegmentIndex, Seq, StateRoot, Timestamp, Transaction, TxBody, TxClaims, TxError, TxRoot,
    Verdict, check_account, check_block, check_state_root, check_transaction, check_unlinked,
    median_time, tx_root,
};

/// A chain whose every second attempt is a block, and one block on top of its genesis, open to changes.
struct Forge {
    spec: ChainSpec,
    key: SecretKey,
    genesis: Header,
    segment: Option<InfoHash>,
    now: Timestamp,
}

fn spec(change: impl FnOnce(&mut ChainFields)) -> ChainSpec {
    let mut fields = (*ChainSpec::dev()).clone();
    let bits: Bits = "207fffff".parse().unwrap();
    (fields.initial_bits, fields.limit_bits) = (bits, bits);
    change(&mut fields);
    ChainSpec::new(fields).unwrap()
}

fn root() -> StateRoot {
    StateRoot::from_bytes([5; 32])
}

impl Forge {
    fn new(spec: ChainSpec) -> Self {
        let genesis = spec.genesis(root());
        let now = genesis.claims().timestamp.saturating_add(1_000_000);
        let key = SecretKey::from_seed(&[7; 32]);
        Self {
            spec,
            key,
            genesis,
            segment: None,
            now,
        }
    }

    fn address(&self) -> Address {
        Address::from_bytes(self.key.public())
    }

    fn parent(&self) -> ParentContext {
        let times = [self.genesis.claims().timestamp];
        ParentContext::new(&self.spec, &self.genesis, &times, self.segment)
    }

    fn claims(&self, transactions: &[Transaction]) -> BlockClaims {
        let genesis = self.genesis.claims();
        BlockClaims {
            miner: self.address(),
            height: Height::new(1).unwrap(),
            parent: self.genesis.hash(),
            timestamp: genesis.timestamp.saturating_add(2_000),
            bits: self.parent().next_bits,
            tx_root: tx_root(transactions.iter().map(Transaction::token)),
            state_root: root(),
            segment: None,
            nonce: Nonce::ZERO,
        }
    }

    fn transaction(&self, seq: u64, gas: u64, fee: u64) -> Transaction {
        let claims = TxClaims {
            sender: self.address(),
            seq: Seq::new(seq).unwrap(),
            gas: Gas::new(gas).unwrap(),
            fee: Credits::new(fee).unwrap(),
            body: TxBody::parse(r#"{"actions":[{"action":"a"}]}"#).unwrap(),
        };
        claims.sign(&self.key, &self.spec).unwrap()
    }

    /// Signs with nonce after nonce until the hash meets the block's own target.
    fn mine(&self, mut claims: BlockClaims) -> Header {
        for nonce in 0.. {
            claims.nonce = Nonce::new(nonce).unwrap();
            let header = claims.sign(&self.key, &self.spec).unwrap();
            if claims.bits.target().is_met_by(header.hash()) {
                return header;
            }
        }
        unreachable!()
    }

    fn line(&self, claims: BlockClaims, transactions: &[Transaction]) -> String {
        let header = self.mine(claims);
        Block {
            header,
            transactions: transactions.to_vec(),
        }
        .line()
    }

    /// Checks a line alone, and in company; a block that breaks one rule gets one verdict.
    fn check(&self, line: &str) -> Result<Checked<Block>, BlockError> {
        let seed = BatchSeed::new([9; 32]);
        let known = self.genesis.hash();
        let find = |hash: BlockHash| (hash == known).then(|| self.parent());
        let alone = check_block(line, &self.spec, find, self.now, &seed);
        let good = self.mine(self.claims(&[]));
        let verdicts = check_unlinked(
            &[good.token(), line, "", line],
            &self.spec,
            &seed,
            &KnownKeys::default(),
        );
        let linked: Vec<_> = verdicts
            .into_iter()
            .map(|block| {
                let block = block?;
                let parent = find(block.header().claims().parent);
                block.link(parent.as_ref(), self.now)
            })
            .collect();
        assert_eq!([&linked[1], &linked[3]], [&alone; 2]);
        assert_eq!(linked[2].as_ref().unwrap_err().reason(), "token_parts");
        alone
    }

    /// The refusal of a block that differs from a good one by `change`.
    fn refuse(&self, change: impl FnOnce(&mut BlockClaims)) -> BlockError {
        let transactions = [self.transaction(0, 10, 10)];
        let mut claims = self.claims(&transactions);
        change(&mut claims);
        self.check(&self.line(claims, &transactions)).unwrap_err()
    }
}

#[test]
fn a_good_block_passes_and_keeps_its_line() {
    let forge = Forge::new(spec(|_| {}));
    for count in [0, 1, 60] {
        let transactions: Vec<_> = (0..count).map(|seq| forge.transaction(seq, 1, 0)).collect();
        let line = forge.line(forge.claims(&transactions), &transactions);
        let block = forge.check(&line).unwrap();
        assert_eq!(block.line(), line);
        // What the block gives up is what each transaction would have got by itself.
        let alone = transactions.iter().map(Transaction::token);
        let alone = alone.map(|token| check_transaction(token, &forge.spec).unwrap());
        assert_eq!(block.into_checked_transactions(), alone.collect::<Vec<_>>());
    }
}

#[test]
fn rule_1_size_and_chain() {
    let forge = Forge::new(spec(|fields| fields.max_tx_bytes = 2_048));
    let max = forge.spec.max_block_bytes as usize;
    let error = forge.check(&"~".repeat(max + 1)).unwrap_err();
    assert_eq!(error, BlockError::LineSize { got: max + 1, max });
    let other = Forge::new(spec(|fields| fields.chain = "other".parse().unwrap()));
    let line = other.line(other.claims(&[]), &[]);
    assert_eq!(forge.check(&line).unwrap_err().reason(), "wrong_chain");
}

#[test]
fn rule_2_work() {
    let forge = Forge::new(spec(|_| {}));
    let mut claims = forge.claims(&[]);
    let header = loop {
        let header = claims.sign(&forge.key, &forge.spec).unwrap();
        if !claims.bits.target().is_met_by(header.hash()) {
            break header;
        }
        claims.nonce = Nonce::new(claims.nonce.get() + 1).unwrap();
    };
    assert_eq!(forge.check(header.token()).unwrap_err().reason(), "work");
    let error = forge.refuse(|claims| claims.bits = "2100ffff".parse().unwrap());
    assert_eq!(error.reason(), "limit");
    assert_eq!(error.verdict(), Verdict::Reject);
}

#[test]
fn rule_3_parent_height_and_bits() {
    let forge = Forge::new(spec(|_| {}));
    let error = forge.refuse(|claims| claims.parent = BlockHash::ZERO);
    assert_eq!(error, BlockError::UnknownParent(BlockHash::ZERO));
    assert_eq!(error.verdict(), Verdict::Ignore);
    let error = forge.refuse(|claims| claims.height = Height::new(2).unwrap());
    assert_eq!(error.reason(), "height");
    let error = forge.refuse(|claims| claims.bits = "207ffffe".parse().unwrap());
    assert_eq!(error.reason(), "bits");
}

#[test]
fn rule_4_time() {
    let forge = Forge::new(spec(|_| {}));
    let genesis = forge.genesis.claims().timestamp;
    let error = forge.refuse(|claims| claims.timestamp = genesis);
    assert_eq!(error.reason(), "too_old");
    let latest = forge.now.saturating_add(30_000);
    let error = forge.refuse(|claims| claims.timestamp = latest.saturating_add(1));
    assert_eq!(
        (error.reason(), error.verdict()),
        ("too_new", Verdict::RetryLater)
    );
    let mut claims = forge.claims(&[]);
    claims.timestamp = latest;
    assert!(forge.check(&forge.line(claims, &[])).is_ok());
}

#[test]
fn the_median_is_the_upper_middle_one() {
    let times = |times: &[u64]| -> Option<u64> {
        let times: Vec<_> = times.iter().map(|t| Timestamp::new(*t).unwrap()).collect();
        median_time(&times).map(Timestamp::get)
    };
    assert_eq!(times(&[]), None);
    assert_eq!(times(&[3]), Some(3));
    assert_eq!(times(&[1, 9]), Some(9));
    assert_eq!(times(&[9, 1, 5]), Some(5));
}

#[test]
fn rule_5_signature_root_and_segment() {
    let mut forge = Forge::new(spec(|_| {}));
    // The right hash over the wrong signature: mine with one key in the name of another.
    let other = SecretKey::from_seed(&[8; 32]);
    let mut claims = forge.claims(&[]);
    let line = loop {
        let mut forged = claims.clone();
        forged.miner = Address::from_bytes(other.public());
        let signed = forged.sign(&other, &forge.spec).unwrap();
        let (input, _) = signed.token().rsplit_once('.').unwrap();
        let signature = forge.key.sign(input.as_bytes());
        let signature = base64_simd::URL_SAFE_NO_PAD.encode_to_string(signature);
        let token = format!("{input}.{signature}");
        if claims
            .bits
            .target()
            .is_met_by(BlockHash::of(token.as_bytes()))
        {
            break token;
        }
        claims.nonce = Nonce::new(claims.nonce.get() + 1).unwrap();
    };
    assert_eq!(forge.check(&line).unwrap_err().reason(), "signature");

    assert_eq!(
        forge
            .refuse(|claims| claims.tx_root = TxRoot::ZERO)
            .reason(),
        "tx_root"
    );
    let hash = InfoHash::from_bytes([1; 20]);
    assert_eq!(
        forge.refuse(|claims| claims.segment = Some(hash)).reason(),
        "segment"
    );
    forge.segment = Some(hash);
    assert_eq!(forge.refuse(|_| {}).reason(), "segment");
    assert_eq!(
        forge
            .refuse(|claims| claims.segment = Some(InfoHash::from_bytes([2; 20])))
            .reason(),
        "segment"
    );
    let mut claims = forge.claims(&[]);
    claims.segment = Some(hash);
    assert!(forge.check(&forge.line(claims, &[])).is_ok());
}

#[test]
fn rule_6_transactions() {
    let forge = Forge::new(spec(|fields| {
        fields.min_gas_price = 2;
        fields.block_gas = Gas::new(100).unwrap();
    }));
    let refuse = |transactions: &[Transaction]| {
        let line = forge.line(forge.claims(transactions), transactions);
        forge.check(&line).unwrap_err()
    };
    let good = forge.transaction(0, 50, 100);
    assert_eq!(
        refuse(&[good.clone(), forge.transaction(1, 50, 99)]).reason(),
        "fee"
    );
    assert_eq!(refuse(&[forge.transaction(0, 101, 202)]).reason(), "gas");
    let error = refuse(&[good.clone(), good.clone(), forge.transaction(1, 1, 2)]);
    assert_eq!(
        error,
        BlockError::Gas {
            index: 2,
            max: forge.spec.block_gas
        }
    );

    // A transaction whose signature is another's.
    let (input, _) = good.token().rsplit_once('.').unwrap();
    let other = forge.transaction(1, 50, 100);
    let (_, signature) = other.token().rsplit_once('.').unwrap();
    let forged = Transaction::decode(&format!("{input}.{signature}"), &forge.spec).unwrap();
    let error = refuse(&[good, forged]);
    assert_eq!(error.reason(), "signature");
    assert!(matches!(error, BlockError::Transaction { index: 1, .. }));
}

#[test]
fn an_empty_token_in_a_line_is_a_transaction_that_is_none() {
    let forge = Forge::new(spec(|_| {}));
    let mut claims = forge.claims(&[]);
    claims.tx_root = tx_root([""]);
    let line = format!("{}~", forge.mine(claims).token());
    assert_eq!(forge.check(&line).unwrap_err().reason(), "token_parts");
}

#[test]
fn rule_6_accounts_and_rule_7() {
    let forge = Forge::new(spec(|_| {}));
    let transaction = forge.transaction(3, 10, 10);
    let check = |balance: u64, seq: u64| {
        check_account(
            &transaction,
            Credits::new(balance).unwrap(),
            Seq::new(seq).unwrap(),
        )
    };
    assert_eq!(check(10, 3), Ok(()));
    assert!(matches!(check(10, 2), Err(TxError::Seq { .. })));
    assert!(matches!(check(10, 4), Err(TxError::Seq { .. })));
    assert!(matches!(check(9, 3), Err(TxError::Funds { .. })));
    let claims = forge.claims(&[]);
    assert!(check_state_root(&claims, root()).is_ok());
    assert_eq!(
        check_state_root(&claims, StateRoot::ZERO)
            .unwrap_err()
            .reason(),
        "state_root"
    );
}

#[test]
fn genesis_is_fixed_by_the_chain_file() {
    let spec = ChainSpec::dev();
    let genesis = spec.genesis(root());
    assert_eq!(genesis, ChainSpec::dev().genesis(root()));
    let claims = genesis.claims();
    assert_eq!(claims.height, Height::ZERO);
    assert_eq!(claims.parent, BlockHash::ZERO);
    assert_eq!(claims.timestamp, spec.genesis_time);
    assert_eq!(claims.bits, spec.initial_bits);
    let signed = genesis.signed_message();
    assert_eq!(
        lyceum_protocol::verify_strict(signed.key, signed.message, signed.signature),
        Ok(())
    );
    let seed: [u8; 32] = *BlockHash::of(b"dev").as_bytes();
    assert_eq!(
        claims.miner.as_bytes(),
        &SecretKey::from_seed(&seed).public()
    );
}

#[test]
fn a_segment_is_demanded_at_each_boundary_and_nowhere_else() {
    let spec = ChainSpec::dev();
    let demanded = |height: u64| {
        spec.demanded_segment(Height::new(height).unwrap())
            .map(SegmentIndex::get)
    };
    let heights = [0, 1, 63, 64, 65, 127, 128, 6_400];
    let want = [None, None, None, Some(0), None, None, Some(1), Some(99)];
    assert_eq!(heights.map(demanded), want);
}
