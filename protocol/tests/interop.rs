//! Other people's software reads what we write, and we read what it writes: PyJWT, libtorrent, jsonwebtoken, and RFC 8037.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::process::{Command, Stdio};

use base64_simd::{STANDARD, URL_SAFE_NO_PAD};
use lyceum_protocol::{
    Address, BatchSeed, BlockClaims, ChainFields, ChainSpec, Height, MetainfoBuilder, Nonce,
    ParentContext, SecretKey, SegmentIndex, StateRoot, Timestamp, Token, TxBody, TxClaims, Wallet,
    check_block, check_transaction, segment_file_name, verify_strict,
};
use serde_json::{Value, json};

const SEED: [u8; 32] = [7; 32];

/// Lets `interop.py` do a job, in an environment that has the packages of `.ci/requirements.txt`.
fn python(work: &str, input: Value) -> Value {
    let folder = env!("CARGO_MANIFEST_DIR");
    let made = Command::new(format!("{folder}/../.ci/python"))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(made.status.success(), ".ci/python makes the environment");
    let python = String::from_utf8(made.stdout).unwrap();
    let mut child = Command::new(python.trim())
        .arg("-Wignore::DeprecationWarning")
        .arg(format!("{folder}/tests/interop.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let job = json!({ "work": work, "input": input }).to_string();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(job.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "interop.py does its job");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn easy_spec() -> ChainSpec {
    let mut fields: ChainFields = (*ChainSpec::dev()).clone();
    fields.limit_bits = "207fffff".parse().unwrap();
    fields.initial_bits = fields.limit_bits;
    fields.trackers = vec![
        "udp://tracker.example.org:6969/announce".to_owned(),
        "http://t.example.org/a?b=c+d".to_owned(),
    ];
    ChainSpec::new(fields).unwrap()
}

fn block_claims(spec: &ChainSpec, miner: Address) -> (BlockClaims, ParentContext) {
    let genesis = spec.genesis(StateRoot::ZERO);
    let times = [genesis.claims().timestamp];
    let parent = ParentContext::new(spec, &genesis, &times, None);
    let claims = BlockClaims {
        miner,
        height: Height::new(1).unwrap(),
        parent: genesis.hash(),
        timestamp: genesis.claims().timestamp.saturating_add(1),
        nonce: Nonce::ZERO,
        ..genesis.claims().clone()
    };
    (claims, parent)
}

fn transaction(key: &SecretKey, spec: &ChainSpec) -> lyceum_protocol::Transaction {
    let claims = TxClaims {
        sender: Address::from_bytes(key.public()),
        seq: lyceum_protocol::Seq::ZERO,
        gas: lyceum_protocol::Gas::new(1_000).unwrap(),
        fee: lyceum_protocol::Credits::MAX,
        body: TxBody::parse(r#"{"actions":[{"action":"é\n","n":-9007199254740991}]}"#).unwrap(),
    };
    claims.sign(key, spec).unwrap()
}

#[test]
fn pyjwt_and_jsonwebtoken_read_our_tokens() {
    let (spec, key) = (ChainSpec::dev(), SecretKey::from_seed(&SEED));
    let address = Address::from_bytes(key.public());
    let wallet = Wallet::create(&key, &"student123".parse().unwrap(), 1_700_000_000).unwrap();
    let transaction = transaction(&key, &spec);
    let genesis = spec.genesis(StateRoot::ZERO);
    let block = block_claims(&spec, address).0.sign(&key, &spec).unwrap();
    let tokens = [
        (key.public(), wallet.token()),
        (key.public(), transaction.token()),
        (key.public(), block.token()),
        (*genesis.claims().miner.as_bytes(), genesis.token()),
    ];
    let hex = |key: &[u8; 32]| lyceum_protocol::BlockHash::from_bytes(*key).to_string();
    let input = tokens
        .iter()
        .map(|(key, token)| json!({ "key": hex(key), "token": token }));
    let answer = python("read", input.collect());
    for (at, (key, token)) in tokens.iter().enumerate() {
        let theirs = &answer[at];
        let ours: Value =
            serde_json::from_str(Token::decode(token).unwrap().claims_text()).unwrap();
        assert_eq!(theirs, &ours);

        let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
        rules.validate_aud = false;
        rules.validate_exp = false;
        rules.required_spec_claims.clear();
        let key = jsonwebtoken::DecodingKey::from_ed_der(key);
        let read = jsonwebtoken::decode::<Value>(token, &key, &rules).unwrap();
        assert_eq!(read.claims, ours);
    }
}

#[test]
fn we_read_the_tokens_of_pyjwt() {
    let (spec, key) = (easy_spec(), SecretKey::from_seed(&SEED));
    let address = Address::from_bytes(key.public());
    let (claims, parent) = block_claims(&spec, address);
    let target = claims.bits.target().get();
    let bodies = [
        json!({"actions":[{"action":"register_student","student":{"id":"S001","name":"John Doe","department":"Computer Science"}}]}),
        json!({"contract":{"type":"course_management","course_id":1,"action":"add","course_info":100}}),
    ];
    for body in bodies {
        let block: Value = serde_json::from_str(&claims.to_json("dev")).unwrap();
        let job = json!({
            "seed": lyceum_protocol::BlockHash::from_bytes(SEED).to_string(),
            "address": address.to_string(), "chain": "dev", "body": body, "block": block,
            "target": format!("{target:x}"),
        });
        let made = python("make", job);
        let token = |kind: &str| made[kind].as_str().unwrap();
        let wallet = Wallet::decode(token("wallet")).unwrap();
        assert_eq!(
            (wallet.address(), wallet.user_id().as_str()),
            (address, "student123")
        );
        let transaction = check_transaction(token("transaction"), &spec).unwrap();
        assert_eq!(transaction.claims().sender, address);
        let line = format!("{}~{}", token("block"), token("transaction"));
        let now = Timestamp::MAX;
        let find = |hash| (hash == parent.hash).then(|| parent.clone());
        let block = check_block(&line, &spec, find, now, &BatchSeed::new([1; 32])).unwrap();
        assert_eq!(block.line(), line);
    }
}

#[test]
fn libtorrent_gives_the_same_infohashes() {
    let spec = easy_spec();
    let peers = [
        "127.0.0.1:6881".parse().unwrap(),
        "192.0.2.7:1".parse().unwrap(),
    ];
    let piece = lyceum_protocol::PIECE_BYTES;
    let lengths = [1, 86, piece - 1, piece, piece + 1, 2 * piece, 3 * piece + 7];
    let mut files = Vec::new();
    let mut ours = Vec::new();
    for (index, length) in lengths.into_iter().enumerate() {
        let index = SegmentIndex::new(index as u64 * 1_000).unwrap();
        let content: Vec<u8> = (0..length).map(|at| b"eyJ.~\n"[at * 7 % 6]).collect();
        let mut builder = MetainfoBuilder::new(&spec.chain, index);
        // In parts of uneven length: how the text arrives must not matter.
        content
            .chunks(100_003)
            .for_each(|part| builder.update(part));
        let metainfo = builder.finish();
        files.push(json!({
            "name": segment_file_name(&spec.chain, index),
            "content": STANDARD.encode_to_string(&content),
            "torrent": STANDARD.encode_to_string(metainfo.to_torrent(&spec.trackers)),
            "magnet": metainfo.magnet(&spec.trackers, &peers),
        }));
        ours.push(metainfo);
    }
    let answer = python("hash", Value::Array(files));
    for (at, metainfo) in ours.iter().enumerate() {
        let theirs = &answer[at];
        for field in ["made", "read", "magnet"] {
            assert_eq!(
                theirs[field],
                metainfo.info_hash().to_string(),
                "{field}, {} bytes",
                lengths[at]
            );
        }
        assert_eq!(metainfo.length(), lengths[at] as u64);
        assert_eq!(
            [&theirs["name"], &theirs["magnet_name"]],
            [metainfo.name(); 2]
        );
        assert_eq!(
            [&theirs["trackers"], &theirs["magnet_trackers"]],
            [&json!(spec.trackers); 2]
        );
        assert_eq!(theirs["magnet_peers"], json!(peers));
    }
    assert_eq!(ours[1].name(), "dev-00001000.jwts");
}

#[test]
fn the_example_of_rfc_8037_verifies() {
    // Source: RFC 8037 appendix A.4; the key is that of A.2.
    let token = concat!(
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.",
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    );
    let mut key = [0; 32];
    URL_SAFE_NO_PAD
        .decode(
            "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".as_bytes(),
            base64_simd::Out::from_slice(&mut key),
        )
        .unwrap();
    let decoded = Token::decode(token).unwrap();
    assert_eq!(decoded.claims_text(), "Example of Ed25519 signing");
    assert_eq!(
        verify_strict(
            &key,
            decoded.signing_input().as_bytes(),
            decoded.signature()
        ),
        Ok(())
    );
    // The secret of A.1 makes the same signature.
    let seed = URL_SAFE_NO_PAD
        .decode_to_vec("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
        .unwrap();
    let secret = SecretKey::from_seed(&seed.try_into().unwrap());
    assert_eq!(secret.public(), key);
    assert_eq!(
        &secret.sign(decoded.signing_input().as_bytes()),
        decoded.signature()
    );
}
