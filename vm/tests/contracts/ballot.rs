//! Encrypted fields: the example `ballot`, and what is refused.

use dashu_int::UBig;
use lyceum_vm::{CompiledContract, Modulus, PaillierPrivate, Residue};
use serde_json::{Value, json};

use super::chain::{Chain, wallet};

const BALLOT: &str = include_str!("../../examples/ballot.json");

/// The primes of the example's key. They are public, here: use a key of your own.
const P: &str = "1716125124547500563596944277432968586870170858685303859817306973325079942053351292005926218855533030\
     5312954896262790915773427836357082246368250054694755602210141742865581274087819410588453024110432805\
     2248933491893670601935504650864391792364793780822190769242205360498050734522241496104813095429046197\
     858130773";
const Q: &str = "1374829271044821827469976281482819774958896218725415217244070248903871785325772921856873916161996752\
     7835924636031047664693344726192984996287163277568307572728910426859769550976718446553638706364356449\
     5366192917326558602757313200321096858393693129119655324053970292588762685721677835768666840609183435\
     714759417";

fn key() -> PaillierPrivate {
    let prime = |text: &str| UBig::from_str_radix(text, 10).unwrap();
    PaillierPrivate::new(&prime(P), &prime(Q)).unwrap()
}

fn ballot() -> Value {
    serde_json::from_str(BALLOT).unwrap()
}

fn modulus() -> Modulus {
    Modulus::from_decimal(ballot()["keys"]["committee"]["modulus"].as_str().unwrap()).unwrap()
}

fn encrypt(m: u64, r: u64) -> String {
    key()
        .public()
        .encrypt(&UBig::from(m), &UBig::from(r))
        .unwrap()
        .to_hex()
}

fn vote(ciphertext: &str) -> Value {
    json!({"action": "vote", "poll": "Q1", "vote": ciphertext})
}

fn opened() -> Chain {
    let mut chain = Chain::of(&[ballot()]);
    chain.ok(json!({"action": "open_poll", "id": "Q1", "question": "More books?", "blocks": 10}));
    chain
}

#[test]
fn votes_are_tallied_without_being_read() {
    assert_eq!(
        key().public().modulus().n(),
        modulus().n(),
        "the example's key is the test's"
    );
    let mut chain = opened();
    assert_eq!(
        chain.record("ballot/poll/Q1")["yes"],
        "1",
        "0, trivially encrypted"
    );
    for (voter, choice) in [(1, 1), (2, 0), (3, 1), (4, 1)] {
        chain
            .by(voter)
            .ok(vote(&encrypt(choice, 1000 + u64::from(voter))));
    }
    assert_eq!(chain.by(2).fails(vote(&encrypt(1, 5))), "already voted");
    let poll = chain.record("ballot/poll/Q1");
    assert_eq!((decrypt(&poll["yes"]), &poll["voters"]), (3, &json!(4)));
    chain.by(3).ok(json!({"action": "withdraw", "poll": "Q1"}));
    assert_eq!(
        chain.record(&format!("ballot/cast/Q1,{}", wallet(3))),
        Value::Null
    );
    chain.height += 11;
    assert_eq!(
        chain.by(9).fails(vote(&encrypt(1, 5))),
        "the poll is closed"
    );
    let receipt = chain.ok(json!({"action": "tally", "poll": "Q1"}));
    let data = &receipt.events[0].data();
    assert_eq!((decrypt(&data["yes"]), &data["voters"]), (2, &json!(3)));
    assert_eq!(decrypt(&data["balance"]), 1, "2 × yes − voters");
}

#[test]
fn a_ciphertext_must_be_a_unit_in_its_one_spelling() {
    let mut chain = opened();
    let multiple = (UBig::from_str_radix(P, 10).unwrap() * UBig::from(7u8))
        .in_radix(16)
        .to_string();
    let squared = modulus().n_squared().in_radix(16).to_string();
    for (text, why) in [
        (
            "0",
            "got \"0\", want a residue in lower-case hex without leading zeros",
        ),
        (
            "01",
            "got \"01\", want a residue in lower-case hex without leading zeros",
        ),
        (
            "",
            "got \"\", want a residue in lower-case hex without leading zeros",
        ),
        (
            "ABC",
            "got \"ABC\", want a residue in lower-case hex without leading zeros",
        ),
        (
            &squared,
            "of type encrypted: the residue is zero or not below N²",
        ),
        (
            &multiple,
            "of type encrypted: the residue shares a factor with N",
        ),
        (
            &"f".repeat(5000),
            "got 5000 digits, want a residue below N²",
        ),
    ] {
        let error = chain.fails(vote(text));
        assert!(error.ends_with(why), "{error}");
    }
    assert!(
        chain
            .fails(json!({"action": "vote", "poll": "Q1", "vote": 1}))
            .contains("got 1, want a residue")
    );
}

/// The path and message of the refusal of an action that has the ciphertext `x` and the integer `n`.
fn refusal(statement: Value) -> String {
    let mut definition = ballot();
    definition["actions"] = json!({"a": {
        "params": {"x": "encrypted:committee", "n": "int", "p": "poll"}, "do": [statement]}});
    CompiledContract::compile(&definition)
        .expect_err("it must be refused")
        .to_string()
}

#[test]
fn a_ciphertext_is_never_looked_at() {
    let x = json!({"var": "x"});
    for (statement, why) in [
        (
            json!({"require": {"<": [x, 1]}, "else": ""}),
            "/actions/a/do/0/require/</0: got encrypted, want int: ciphertexts cannot be compared",
        ),
        (
            json!({"require": {"==": [1, x]}, "else": ""}),
            "/actions/a/do/0/require/==/1: got encrypted, want an open value: ciphertexts cannot be compared",
        ),
        (
            json!({"if": x, "then": []}),
            "/actions/a/do/0/if: got encrypted, want a bool: nothing can branch on a ciphertext",
        ),
        (
            json!({"let": {"y": {"*": [x, {"var": "n"}]}}}),
            "/actions/a/do/0/let/y: got a product of a ciphertext and a variable, want one encrypted factor, the others literal integers",
        ),
        (
            json!({"let": {"y": {"*": [x, x]}}}),
            "/actions/a/do/0/let/y: got a product of a ciphertext and a variable, want one encrypted factor, the others literal integers",
        ),
        (
            json!({"let": {"y": {"/": [x, 2]}}}),
            "/actions/a/do/0/let/y/~1/0: got encrypted, want int: a ciphertext has no open value",
        ),
        (
            json!({"let": {"y": {"min": [x, 2]}}}),
            "/actions/a/do/0/let/y/min/0: got encrypted, want int: a ciphertext has no open value",
        ),
        (
            json!({"let": {"y": {"get": ["poll", x]}}}),
            "/actions/a/do/0/let/y/get/1: got encrypted, want text: a ciphertext has no open value",
        ),
        (
            json!({"repeat": x, "do": []}),
            "/actions/a/do/0/repeat: got encrypted, want int: a ciphertext has no open value",
        ),
        (
            json!({"put": ["poll", {"id": "a", "voters": x}]}),
            "/actions/a/do/0/put/1/voters: got encrypted, want int: a ciphertext has no open value",
        ),
        (
            json!({"transfer": {"to": "contract", "amount": x}}),
            "/actions/a/do/0/transfer/amount: got encrypted, want int: a ciphertext has no open value",
        ),
    ] {
        assert_eq!(refusal(statement.clone()), why, "{statement}");
    }
}

#[test]
fn an_action_has_one_key() {
    let mut definition = ballot();
    definition["keys"]["other"] = definition["keys"]["committee"].clone();
    definition["actions"] =
        json!({"a": {"params": {"x": "encrypted:other", "p": "poll"}, "do": []}});
    let error = CompiledContract::compile(&definition)
        .expect_err("it must be refused")
        .to_string();
    assert_eq!(
        error,
        "/actions/a/params/x: got a second key \"other\", want one key in a record"
    );
    for (modulus, why) in [
        ("15".to_owned(), "got 4 bits"),
        (
            format!("1{}", "0".repeat(700)),
            "got the modulus must be odd and at least 3",
        ),
        (format!("1{}1", "0".repeat(2000)), "bits"),
        ("x".to_owned(), "got the modulus is no decimal number"),
    ] {
        let mut definition = ballot();
        definition["keys"]["committee"]["modulus"] = modulus.into();
        let error = CompiledContract::compile(&definition)
            .expect_err("it must be refused")
            .to_string();
        assert!(
            error.starts_with("/keys/committee/modulus: ") && error.contains(why),
            "{error}"
        );
    }
}

#[test]
fn open_integers_stand_for_their_encryption() {
    let mut definition = ballot();
    let expressions = json!([
        {"+": [{"var": "x"}, {"var": "n"}]}, {"-": [{"var": "n"}, {"var": "x"}]}, {"-": {"var": "x"}},
        {"*": [{"var": "x"}, -3]}, {"*": [3, {"var": "x"}, 2]}, {"*": [{"var": "x"}, 0]},
        {"if": [{"<": [{"var": "n"}, 0]}, {"var": "x"}, {"var": "n"}]},
        {"+": [{"var": "x"}, {"var": "x"}, {"var": "x"}]}, {"-": [{"var": "x"}, {"var": "x"}]}
    ]);
    let fields: serde_json::Map<_, _> = expressions
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
        .map(|(i, e)| (format!("e{i}"), e.clone()))
        .collect();
    definition["actions"] = json!({"a": {"params": {"x": "encrypted:committee", "n": "int"}, "do": [{"emit": ["e", fields]}]}});
    let mut chain = Chain::of(&[definition]);
    for (x, n) in [(5i64, 7i64), (0, -1), (1, i64::MAX), (9, -100)] {
        let ciphertext = encrypt(x.unsigned_abs(), 12345);
        let receipt = chain.ok(json!({"action": "a", "x": ciphertext, "n": n}));
        let got: Vec<_> = receipt.events[0]
            .data()
            .as_object()
            .unwrap()
            .values()
            .map(decrypt)
            .collect();
        let (x, n) = (i128::from(x), i128::from(n));
        let choice = if n < 0 { x } else { n };
        assert_eq!(
            got,
            [x + n, n - x, -x, -3 * x, 6 * x, 0, choice, 3 * x, 0],
            "x {x}, n {n}"
        );
    }
}

/// The plaintext of a stored ciphertext, as a signed number.
fn decrypt(value: &Value) -> i128 {
    let m = key()
        .decrypt(&Residue::from_hex(value.as_str().unwrap()).unwrap())
        .unwrap();
    match i128::try_from(&m) {
        Ok(small) => small,
        Err(_) => -i128::try_from(&(modulus().n().clone() - m)).unwrap(),
    }
}
