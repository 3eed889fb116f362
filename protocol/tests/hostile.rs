//! The corpus of hostile tokens: each is refused with the error that the vectors name.

#![allow(clippy::unwrap_used)]

use lyceum_protocol::{ChainSpec, Header, Wallet, check_transaction, verify_strict};
use serde_json::Value;

fn corpus() -> Value {
    serde_json::from_str(include_str!("../../vectors/hostile/tokens.json")).unwrap()
}

/// Reads a token as one of `kind`; the error's name, if it is refused.
fn refusal(kind: &str, token: &str, spec: &ChainSpec) -> Option<&'static str> {
    match kind {
        "transaction" => check_transaction(token, spec)
            .err()
            .map(|error| error.reason()),
        "wallet" => Wallet::decode(token).err().map(|error| error.reason()),
        "block" => match Header::decode(token, spec) {
            Err(error) => Some(error.reason()),
            Ok(header) => {
                let signed = header.signed_message();
                let verdict = verify_strict(signed.key, signed.message, signed.signature);
                verdict.err().map(|error| error.reason())
            }
        },
        other => panic!("kind {other}"),
    }
}

#[test]
fn each_hostile_token_is_refused_by_name() {
    let (corpus, spec) = (corpus(), ChainSpec::dev());
    let refused = corpus["refused"].as_array().unwrap();
    assert!(refused.len() >= 60);
    let mut wrong = Vec::new();
    for case in refused {
        let [name, kind, token, error] =
            ["name", "kind", "token", "error"].map(|k| case[k].as_str().unwrap());
        let got = refusal(kind, token, &spec);
        if got != Some(error) {
            wrong.push(format!("{name}: got {got:?}, want {error}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_tokens_they_were_made_from_are_accepted() {
    let (corpus, spec) = (corpus(), ChainSpec::dev());
    for (kind, token) in corpus["accepted"].as_object().unwrap() {
        assert_eq!(
            refusal(kind, token.as_str().unwrap(), &spec),
            None,
            "{kind}"
        );
    }
}

#[test]
fn the_size_of_a_transaction_is_bounded() {
    let spec = ChainSpec::dev();
    let longest = "A".repeat(spec.max_tx_bytes as usize);
    assert_eq!(refusal("transaction", &longest, &spec), Some("token_parts"));
    assert_eq!(
        refusal("transaction", &(longest + "A"), &spec),
        Some("token_size")
    );
    assert_eq!(
        refusal("wallet", &"A".repeat(4097), &spec),
        Some("token_size")
    );
    let line = "A".repeat(spec.max_block_bytes as usize + 1);
    assert_eq!(refusal("block", &line, &spec), Some("token_size"));
}

#[test]
fn header_members_may_stand_in_either_order() {
    let spec = ChainSpec::dev();
    let good = corpus()["accepted"]["transaction"]
        .as_str()
        .unwrap()
        .to_owned();
    let (_, rest) = good.split_once('.').unwrap();
    for header in [
        r#"{"typ":"JWT","alg":"EdDSA"}"#,
        r#"{"alg":"EdDSA"}"#,
        "{ \"alg\" :\n\"EdDSA\"}",
    ] {
        let header = base64_simd::URL_SAFE_NO_PAD.encode_to_string(header);
        // Another header is another signing input: the token is well formed, its signature is not of it.
        assert_eq!(
            refusal("transaction", &format!("{header}.{rest}"), &spec),
            Some("signature")
        );
    }
}
