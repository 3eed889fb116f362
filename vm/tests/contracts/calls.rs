//! Calls: parameters, keys, names that stand for one record, gas.

use lyceum_vm::World;
use serde_json::{Value, json};

use super::chain::{Chain, wallet};

/// A contract of items and pairs with the action `f`.
fn chain(params: Value, statements: Value) -> Chain {
    let mut chain = Chain::of(&[json!({
        "contract": "c",
        "records": {
            "item": {"key": "id", "fields": {"id": "text", "n": "int", "owner": "wallet", "more": "json", "on": "bool"}},
            "pair": {"key": ["a", "b"], "fields": {"a": "int", "b": "text", "v": "int"}},
            "account": {"of": "credits", "key": "wallet", "fields": {"wallet": "wallet", "balance": "int"}}},
        "actions": {"f": {"params": params, "do": statements}},
    })]);
    for id in ["a", "b"] {
        let item = json!({"id": id, "n": 1, "owner": "", "more": null, "on": false});
        chain.world.store(&format!("c/item/{id}"), item).unwrap();
    }
    chain
}

fn call(params: Value) -> Value {
    let mut action = params;
    action["action"] = "f".into();
    action
}

#[test]
fn parameters_have_their_types() {
    let params =
        json!({"i": "int", "t": "text", "f": "bool", "w": "wallet", "j": "json", "r": "item"});
    let mut chain = chain(
        params,
        json!([{"put": ["item", {"var": "r"}]}, {"emit": ["e", {
        "i": {"var": "i"}, "t": {"var": "t"}, "f": {"var": "f"}, "w": {"var": "w"}, "j": {"var": "j"}}]}]),
    );
    let me = wallet(1).to_string();
    let good = json!({"i": i64::MIN, "t": "ü\"\n", "f": true, "w": me, "j": {"b": [1, {"a": null}], "a": "x"}, "r": {"id": "new"}});
    let receipt = chain.ok(call(good.clone()));
    let mut data = good.clone();
    data.as_object_mut().unwrap().remove("r");
    assert_eq!(receipt.events[0].data(), data);
    let zero = json!({"id": "new", "n": 0, "owner": "", "more": null, "on": false});
    assert_eq!(chain.record("c/item/new"), zero, "fields left out are zero");

    for (name, value, why) in [
        ("i", json!("1"), "\"i\": got \"1\", want int"),
        (
            "i",
            json!(1u64 << 63),
            "\"i\": got 9223372036854775808, want int",
        ),
        ("i", json!(1.0), "\"i\": got 1.0, want int"),
        ("t", json!(1), "\"t\": got 1, want text"),
        (
            "t",
            json!("x".repeat(16_385)),
            "\"t\": got 16385 bytes, want at most 16384",
        ),
        ("f", json!(1), "\"f\": got 1, want bool"),
        (
            "w",
            json!("bob"),
            "\"w\": got \"bob\", want wallet, did:key:z6Mk…",
        ),
        (
            "w",
            json!(""),
            "\"w\": got \"\", want wallet, did:key:z6Mk…",
        ),
        (
            "j",
            json!([1.5]),
            "\"j\": JSON with a number that is no 64-bit integer, want integers",
        ),
        (
            "r",
            json!("a"),
            "\"r\": got \"a\", want an object of \"item\"",
        ),
        (
            "r",
            json!({}),
            "\"r\".id: missing, a record's key has no default",
        ),
        (
            "r",
            json!({"id": "a", "n": true}),
            "\"r\".n: got true, want int",
        ),
        (
            "r",
            json!({"id": "a", "x": 1}),
            "\"r\".x: unknown field of \"item\"",
        ),
        (
            "r",
            json!({"id": "a", "owner": "bob"}),
            "\"r\".owner: got \"bob\", want wallet, did:key:z6Mk…",
        ),
        ("z", json!(1), "\"z\": unknown"),
    ] {
        let mut bad = good.clone();
        bad[name] = value;
        assert_eq!(chain.fails(call(bad)), format!("parameter {why}"));
    }
    for name in ["i", "t", "f", "w", "j", "r"] {
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove(name);
        assert_eq!(
            chain.fails(call(bad)),
            format!("parameter \"{name}\": missing")
        );
    }
}

#[test]
fn keys_stand_in_paths() {
    let mut chain = chain(
        json!({"t": "text", "i": "int"}),
        json!([{"put": ["item", {"id": {"var": "t"}}]}, {"put": ["pair", {"a": {"var": "i"}, "b": {"var": "t"}}]}]),
    );
    let long = "k".repeat(128);
    for key in ["x", " ", "ü", &long] {
        chain.ok(call(json!({"t": key, "i": -3})));
        assert_eq!(chain.record(&format!("c/item/{key}"))["id"], key);
        assert_eq!(chain.record(&format!("c/pair/-3,{key}"))["b"], key);
    }
    for key in ["", "a/b", "\n", "\u{7f}", "\u{85}", &"k".repeat(129)] {
        let error = chain.fails(call(json!({"t": key, "i": 0})));
        assert!(
            error.starts_with("key ") && error.contains("of c/item: want 1 to 128 bytes"),
            "{error}"
        );
    }
    assert!(
        chain
            .fails(call(json!({"t": "a,b", "i": 0})))
            .starts_with("key \"a,b\" of c/pair")
    );
}

#[test]
fn two_names_of_one_record_are_one_record() {
    let mut one = chain(
        json!({"k": "text"}),
        json!([
            {"let": {"x": {"get": ["item", "a"]}, "y": {"get": ["item", {"var": "k"}]}}},
            {"set": {"x.n": {"+": [{"var": "y.n"}, 10]}, "y.on": true}},
            {"set": {"y.n": {"*": [{"var": "x.n"}, 2]}}},
            {"emit": ["seen", {"x": {"var": "x.n"}, "y": {"var": "y.n"}, "on": {"var": "x.on"}, "got": {"get": ["item", "a", "n"]}}]},
        ]),
    );
    let receipt = one.ok(call(json!({"k": "a"})));
    assert_eq!(
        receipt.events[0].data(),
        json!({"x": 22, "y": 22, "on": true, "got": 22})
    );
    let receipt = one.ok(call(json!({"k": "b"})));
    assert_eq!(
        receipt.events[0].data(),
        json!({"x": 11, "y": 22, "on": true, "got": 11})
    );
}

#[test]
fn put_get_delete_and_count_see_each_other() {
    let mut chain = chain(
        json!({}),
        json!([
            {"let": {"a": {"get": ["item", "a"]}}},
            {"put": ["item", {"id": "c", "n": 3}]},
            {"let": {"c": {"get": ["item", "c"]}, "after_put": {"count": "item"}}},
            {"set": {"c.n": 4}},
            {"put": ["item", {"id": "a", "n": 50}]},
            {"delete": ["item", "b"]},
            {"emit": ["e", {"a": {"var": "a.n"}, "c": {"get": ["item", "c", "n"]}, "b": {"exists": ["item", "b"]},
                "after_put": {"var": "after_put"}, "after_delete": {"count": "item"}}]},
        ]),
    );
    let receipt = chain.ok(call(json!({})));
    assert_eq!(
        receipt.events[0].data(),
        json!({"a": 50, "c": 4, "b": false, "after_put": 3, "after_delete": 2})
    );
    assert_eq!(chain.record("c/item/b"), Value::Null);
    assert_eq!(
        chain.fails(call(json!({}))),
        "missing record c/item/b",
        "deleted by the first call"
    );
}

#[test]
fn a_deleted_record_is_gone_for_its_names_too() {
    let gone = |statement: Value| {
        chain(
            json!({}),
            json!([{"let": {"x": {"get": ["item", "a"]}}}, {"delete": ["item", "a"]}, statement]),
        )
        .fails(call(json!({})))
    };
    for statement in [
        json!({"emit": ["e", {"n": {"var": "x.n"}}]}),
        json!({"set": {"x.n": 1}}),
        json!({"delete": ["item", "a"]}),
        json!({"let": {"y": {"get": ["item", "a"]}}}),
    ] {
        assert_eq!(
            gone(statement.clone()),
            "missing record c/item/a",
            "{statement}"
        );
    }
}

#[test]
fn loops_count_and_reload() {
    let mut chain = chain(
        json!({"n": "int"}),
        json!([
            {"let": {"sum": 0, "x": {"get": ["item", "a"]}, "y": {"get": ["item", "a"]}}},
            {"repeat": {"var": "n"}, "as": "i", "do": [
                {"set": {"sum": {"+": [{"var": "sum"}, {"var": "i"}]}, "x.n": {"+": [{"var": "y.n"}, 1]}}},
                {"repeat": 2, "do": [{"set": {"y.n": {"+": [{"var": "x.n"}, 1]}}}]}]},
            {"emit": ["e", {"sum": {"var": "sum"}, "n": {"var": "x.n"}}]},
        ]),
    );
    for (n, sum, last) in [(5, 10, 16), (0, 0, 16), (-7, 0, 16), (1, 0, 19)] {
        let receipt = chain.ok(call(json!({"n": n})));
        assert_eq!(
            receipt.events[0].data(),
            json!({"sum": sum, "n": last}),
            "n {n}"
        );
    }
    chain.gas = 200_000;
    assert_eq!(chain.fails(call(json!({"n": i64::MAX}))), "out of gas");
}

#[test]
fn contracts_move_credits() {
    let me = wallet(1).to_string();
    let mut chain = chain(
        json!({"to": "wallet", "in": "int", "out": "int"}),
        json!([
            {"let": {"before": {"get": ["account", {"var": "caller"}]}, "was": {"get": ["account", {"var": "caller"}, "balance"]}}},
            {"transfer": {"to": "contract", "amount": {"var": "in"}}},
            {"transfer": {"from": "contract", "to": {"var": "to"}, "amount": {"var": "out"}}},
            {"emit": ["e", {"was": {"var": "was"}, "is": {"var": "before.balance"}}]},
        ]),
    );
    chain
        .world
        .store(
            &format!("credits/account/{me}"),
            json!({"balance": 100, "seq": 9}),
        )
        .unwrap();
    let you = wallet(2).to_string();
    let receipt = chain.ok(call(json!({"to": you, "in": 30, "out": 20})));
    assert_eq!(receipt.events[0].data(), json!({"was": 100, "is": 70}));
    assert_eq!(
        chain.record(&format!("credits/account/{me}")),
        json!({"balance": 70, "seq": 9})
    );
    assert_eq!(
        chain.record("credits/account/contract:c"),
        json!({"balance": 10, "seq": 0})
    );
    assert_eq!(
        chain.record(&format!("credits/account/{you}")),
        json!({"balance": 20, "seq": 0})
    );
    assert_eq!(
        chain.fails(call(json!({"to": you, "in": 71, "out": 0}))),
        format!("insufficient credits: {me} has 70, want 71")
    );
    assert_eq!(
        chain.fails(call(json!({"to": you, "in": 0, "out": 11}))),
        "insufficient credits: contract:c has 10, want 11"
    );
    assert_eq!(
        chain.fails(call(json!({"to": you, "in": -1, "out": 0}))),
        "amount -1: want 0 to 2^53 - 1"
    );
    chain.ok(call(json!({"to": you, "in": 0, "out": 0})));
}

#[test]
fn a_broken_record_fails_the_call() {
    for (record, why) in [
        (json!({"id": "a"}), "field \"more\" is missing"),
        (
            json!({"id": "a", "n": "1", "owner": "", "more": null, "on": false}),
            "field \"n\": got \"1\", want int",
        ),
        (
            json!({"id": "b", "n": 1, "owner": "", "more": null, "on": false}),
            "field \"id\" is not the record's key",
        ),
        (
            json!({"id": "a", "n": 1, "owner": "", "more": null, "on": false, "x": 1}),
            "unknown field \"x\"",
        ),
    ] {
        let mut chain = chain(json!({}), json!([{"let": {"x": {"get": ["item", "a"]}}}]));
        chain.world.store("c/item/a", record).unwrap();
        assert_eq!(
            chain.fails(call(json!({}))),
            format!("record c/item/a: {why}")
        );
    }
}

#[test]
fn every_gas_limit_ends_the_call_or_suffices() {
    let statements = json!([
        {"let": {"x": {"get": ["item", "a"]}}},
        {"repeat": 3, "do": [{"set": {"x.n": {"*": [{"var": "x.n"}, {"+": [{"var": "x.n"}, 3]}]}}}]},
        {"put": ["pair", {"a": {"count": "item"}, "b": "b"}]},
        {"emit": ["e", {"n": {"var": "x.n"}}]},
    ]);
    let used = chain(json!({}), statements.clone()).ok(call(json!({}))).gas;
    for limit in (0..used).step_by(37).chain([used - 1]) {
        let mut chain = chain(json!({}), statements.clone());
        chain.gas = limit;
        assert_eq!(chain.fails(call(json!({}))), "out of gas", "limit {limit}");
    }
    let mut chain = chain(json!({}), statements);
    chain.gas = used;
    let receipt = chain.ok(call(json!({})));
    assert_eq!(receipt.gas, used, "the same call, the same gas");
}
