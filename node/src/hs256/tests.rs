use std::io;

use jsonwebtoken::{EncodingKey, Header, encode};
use proptest::prelude::*;
use serde_json::json;

use super::*;

const SECRET: &[u8] = b"chalk";
const EASY: Hs256Difficulty = Hs256Difficulty(1);

fn sign(header: &Header, claims: &Value, secret: &[u8]) -> String {
    encode(header, claims, &EncodingKey::from_secret(secret)).unwrap()
}

/// Varies the nonce until the token meets [`EASY`].
fn mine(mut claims: Value) -> String {
    let mut nonces = 0_u64..;
    loop {
        claims["nonce"] = nonces.next().into();
        let token = sign(&Header::default(), &claims, SECRET);
        if EASY.is_met_by(&Hs256Hash::of(token.as_bytes())) {
            return token;
        }
    }
}

fn claims(parent: &str, transactions: Value) -> Value {
    json!({"prev_hash": parent, "timestamp": 1.5, "transaction_data": transactions, "nonce": 0})
}

fn first(transactions: Value) -> String {
    mine(claims("0", transactions))
}

fn read(input: impl AsRef<[u8]>) -> Result<Vec<Hs256Block>, Hs256Error> {
    Hs256Reader::new(input.as_ref(), SECRET, EASY).collect()
}

fn refusal(input: impl AsRef<[u8]>) -> (u64, &'static str) {
    let error = read(input).unwrap_err();
    assert!(error.to_string().starts_with("line "), "{error}");
    (error.line, error.reason())
}

#[test]
fn the_vector_chain_is_read() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/hs256");
    let blocks = std::fs::read(format!("{folder}/blocks.txt")).unwrap();
    let summary = std::fs::read_to_string(format!("{folder}/blocks.json")).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    let secret = summary["secret"].as_str().unwrap();
    let difficulty = Hs256Difficulty::default();
    assert_eq!(difficulty.to_string(), summary["difficulty"].to_string());
    let reader = Hs256Reader::new(blocks.as_slice(), secret.as_bytes(), difficulty);
    let blocks: Vec<_> = reader.map(|block| block.unwrap()).collect();
    let want = summary["blocks"].as_array().unwrap();
    assert_eq!(blocks.len(), want.len());
    for (at, (block, want)) in blocks.iter().zip(want).enumerate() {
        assert_eq!(block.line, at as u64 + 1);
        assert_eq!(block.hash.to_string(), want["hash"].as_str().unwrap());
        let bodies = block.bodies.iter().map(|body| match body {
            TxBody::Actions(_) => json!({"actions": body.to_value()}),
            TxBody::Contract(_) => json!({"contract": body.to_value()}),
        });
        assert_eq!(bodies.collect::<Value>(), want["bodies"]);
    }
}

#[test]
fn line_ends_and_first_parents_may_vary() {
    let one = mine(claims(&"0".repeat(64), Value::Null));
    let hash = Hs256Hash::of(one.as_bytes()).to_string();
    let two = mine(claims(&hash, json!([])));
    for text in [
        format!("{one}\n{two}"),
        format!("{one}\r\n{two}\r\n"),
        format!("\n{one}\n\n{two}\n\n"),
    ] {
        let blocks = read(&text).expect(&text);
        assert!(blocks.len() == 2 && blocks.iter().all(|block| block.bodies.is_empty()));
    }
    assert_eq!(read("").unwrap(), []);
}

#[test]
fn links_and_work_are_verified() {
    let one = first(json!([]));
    assert_eq!(refusal(mine(claims("00", json!([])))), (1, "first_block"));
    assert_eq!(refusal(format!("{one}\n{one}\n")), (2, "link"));
    let capital = Hs256Hash::of(one.as_bytes()).to_string().to_uppercase();
    let two = mine(claims(&capital, json!([])));
    assert_eq!(refusal(format!("{one}\n\n{two}")), (3, "link"));

    let hard = Hs256Difficulty(64);
    let error = Hs256Reader::new(one.as_bytes(), SECRET, hard).next();
    assert_eq!(error.unwrap().unwrap_err().reason(), "work");
    let none = Hs256Difficulty(0);
    let idle = sign(&Header::default(), &claims("0", Value::Null), SECRET);
    let block = Hs256Reader::new(idle.as_bytes(), SECRET, none).next();
    assert!(block.unwrap().is_ok());
}

#[test]
fn signatures_are_verified_by_hs256_alone() {
    let good = claims("0", json!([]));
    let reason = |token: &str| refusal(token).1;
    assert_eq!(
        reason(&sign(&Header::default(), &good, b"dust")),
        "signature"
    );
    let other = Header::new(Algorithm::HS512);
    assert_eq!(reason(&sign(&other, &good, SECRET)), "algorithm");
    let critical = Header {
        crit: Some(vec!["exp".to_owned()]),
        ..Header::default()
    };
    assert_eq!(reason(&sign(&critical, &good, SECRET)), "header_member");
    // {"alg":"none","typ":"JWT"}
    let token = sign(&Header::default(), &good, SECRET);
    let parts: Vec<_> = token.split('.').collect();
    let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", parts[1]);
    assert_eq!(reason(&none), "token");
    assert_eq!(reason(&format!("{token}=")), "token");
    assert_eq!(reason(&format!(" {token}")), "token");
    assert_eq!(reason(&format!("{token}.e30")), "token");
    assert_eq!(reason("hello"), "token");
    assert_eq!(refusal([0xff, 0xfe, b'\n']), (1, "not_text"));
    // An old `exp` does not matter: a chain is history.
    let mut old = good;
    old["exp"] = 1.into();
    old["aud"] = "someone".into();
    assert!(read(mine(old)).is_ok());
}

#[test]
fn claims_are_verified() {
    for (name, value, reason) in [
        ("prev_hash", json!(0), "claims"),
        ("timestamp", json!([1]), "claim"),
        ("nonce", json!({}), "claim"),
        ("timestamp", Value::Null, "claim"),
    ] {
        let mut claims = claims("0", json!([]));
        claims[name] = value;
        let token = sign(&Header::default(), &claims, SECRET);
        assert_eq!(refusal(token).1, reason, "{name}");
    }
    for name in ["prev_hash", "timestamp", "transaction_data", "nonce"] {
        let mut claims = claims("0", json!([]));
        claims.as_object_mut().unwrap().remove(name);
        let token = sign(&Header::default(), &claims, SECRET);
        let error = read(token).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
    let token = sign(&Header::default(), &json!(["claims"]), SECRET);
    assert_eq!(refusal(token).1, "token");
}

#[test]
fn what_is_no_body_is_named() {
    let action = json!({"action": "a"});
    let body = json!({"actions": [action]});
    for (transactions, reason) in [
        (json!({}), "no_body"),
        (json!({"actions": []}), "action_count"),
        (json!({"actions": [1]}), "action_type"),
        (json!({"actions": [action], "contract": {}}), "two_bodies"),
        (json!({"actions": [action], "more": 1}), "unknown_claim"),
        (json!({"contract": {"x": 0.5}}), "float"),
        (json!("genesis"), "body_shape"),
        (json!(""), "body_shape"),
        (json!("{\"actions\":[{}]"), "json_syntax"),
        (
            json!("{\"contract\":{\"a\":1,\"a\":2}}"),
            "duplicate_member",
        ),
        (json!("\"{}\""), "body_shape"),
        (json!("null"), "body_shape"),
        (json!(7), "body_shape"),
        (json!([[body]]), "body_shape"),
        (json!([body, null]), "body_shape"),
        (json!([json!([body]).to_string()]), "body_shape"),
        (json!([body, {"contract": []}]), "action_type"),
    ] {
        let name = transactions.to_string();
        assert_eq!(refusal(first(transactions)), (1, reason), "{name}");
    }
    let error = read(first(json!([body, {}]))).unwrap_err();
    let want = "line 1: transaction_data[1]: claim \"actions\" or \"contract\" is missing";
    assert_eq!(error.to_string(), want);
}

#[test]
fn lines_are_bounded_and_an_error_is_the_end() {
    let endless = io::repeat(b'x');
    let mut reader = Hs256Reader::new(io::BufReader::new(endless), SECRET, EASY);
    let error = reader.next().unwrap().unwrap_err();
    assert_eq!((error.line, error.reason()), (1, "line_size"));
    assert!(reader.next().is_none());
}

#[test]
fn a_difficulty_is_a_number_of_digits() {
    assert_eq!("64".parse(), Ok(Hs256Difficulty(64)));
    for bad in ["65", "-1", "", "four", "256"] {
        assert_eq!(bad.parse::<Hs256Difficulty>(), Err(Hs256DifficultyError));
    }
}

proptest! {
    #[test]
    fn no_bytes_and_no_contents_panic(bytes in any::<Vec<u8>>(), text in r#"[\[\]{}":,a-c0 \\]{0,16}"#) {
        let _ = read(bytes);
        let _ = collect_bodies(&text, Place::default(), &mut Vec::new());
    }
}
