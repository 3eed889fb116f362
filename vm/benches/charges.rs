//! Nanoseconds for each unit of gas, for each kind of charge of a contract's call, over records in memory.
//!
//! Each charge is measured by the difference of two calls, one that has much of it and one that has none; what it can't be had without comes
//! along. None may be under-priced by more than 2 times the nominal 5 ns.

#![allow(clippy::unwrap_used, reason = "a bench may panic")]

use std::time::{Duration, Instant};

use lyceum_protocol::{Address, Amount, Gas, Height, SecretKey, Timestamp, TxBody, Wallet};
use lyceum_vm::{CallContext, Executor, MemoryWorld, World, definition_path};
use serde_json::{Value, json};

const ROUNDS: usize = 25;
const UNIT: f64 = 5.0;
const TIMES: u64 = 200;

fn main() {
    let empty = json!({"action": "empty", "contract": "bench"});
    let with = |action: &str| json!({"action": action, "contract": "bench"});
    let text = |action: &str, bytes: usize| json!({"action": action, "contract": "bench", "t": "x".repeat(bytes)});
    let amounts: Vec<(String, Value)> = (0..30).map(|i| (format!("p{i}"), json!(i))).collect();
    let mut values = with("values");
    values.as_object_mut().unwrap().extend(amounts);
    let wallet = Wallet::create(&key(), &"alice".parse().unwrap(), 0).unwrap();
    let wallet = json!({"action": "register_wallet", "wallet": wallet.token()});
    let pay =
        json!({"action": "transfer", "to": Address::from_bytes([7; 32]).to_string(), "amount": 1});
    let mut small = definition();
    small["contract"] = "other".into();
    let deploy = json!({"action": "deploy_contract", "definition": small});
    let cases = [
        ("call (against nothing)", None, empty.clone()),
        ("cells of a call", Some(empty.clone()), with("long")),
        (
            "bytes of a value",
            Some(text("text", 1)),
            text("text", 16_000),
        ),
        ("values", Some(empty.clone()), values),
        (
            "port exists, one record",
            Some(empty.clone()),
            with("exists_one"),
        ),
        (
            "state read (exists, many records)",
            Some(empty.clone()),
            with("exists_many"),
        ),
        ("port load", Some(empty.clone()), with("load")),
        ("port count", Some(empty.clone()), with("count")),
        ("port emit", Some(empty.clone()), with("emit")),
        (
            "state write (put, many records)",
            Some(empty.clone()),
            with("put"),
        ),
        (
            "stored bytes",
            Some(text("store", 1)),
            text("store", 16_000),
        ),
        ("port transfer", Some(empty), with("pay")),
        ("native transfer", None, pay),
        ("deployed bytes and cells", None, deploy),
        ("wallet check", None, wallet),
    ];
    println!("{:36} {:>10} {:>10}", "charge", "gas", "ns/gas");
    let mut dear = 0.0_f64;
    for (name, without, with) in cases {
        let (base, spared) = without.map_or((Duration::ZERO, 0), |action| measure(&action));
        let (time, gas) = measure(&with);
        let gas = gas - spared;
        let unit = time.saturating_sub(base).as_secs_f64() * 1e9 / gas as f64;
        println!("{name:36} {gas:>10} {unit:>10.2}");
        dear = dear.max(unit);
    }
    println!(
        "dearest unit: {dear:.1} ns, {:.2} times the nominal {UNIT} ns (want 2 at most)",
        dear / UNIT
    );
}

fn key() -> SecretKey {
    SecretKey::from_seed(&[7; 32])
}

/// A contract with an action for each charge.
fn definition() -> Value {
    let repeat =
        |body: Value| json!({"params": {}, "do": [{"repeat": TIMES, "as": "i", "do": [body]}]});
    let i = || json!({"var": "i"});
    let params: serde_json::Map<_, _> = (0..30).map(|i| (format!("p{i}"), json!("int"))).collect();
    let skipped: Vec<_> = (0..100)
        .map(|k| json!({"emit": ["e", {"n": {"+": [{"var": "height"}, k]}}]}))
        .collect();
    json!({
        "contract": "bench",
        "records": {
            "r": {"key": "id", "fields": {"id": "int", "n": "int"}},
            "s": {"key": "id", "fields": {"id": "int", "t": "text"}}},
        "actions": {
            "empty": {"params": {}, "do": [{"require": true, "else": "never"}]},
            "long": {"params": {}, "do": [{"if": {"<": [{"var": "height"}, 0]}, "then": skipped}]},
            "text": {"params": {"t": "text"}, "do": [{"require": true, "else": "never"}]},
            "values": {"params": params, "do": [{"require": true, "else": "never"}]},
            "exists_one": repeat(json!({"require": {"exists": ["r", 0]}, "else": "gone"})),
            "exists_many": repeat(json!({"require": {"exists": ["r", i()]}, "else": "gone"})),
            "load": repeat(json!({"let": {"b": {"get": ["r", i()]}}})),
            "count": repeat(json!({"require": {">": [{"count": "r"}, 0]}, "else": "none"})),
            "emit": repeat(json!({"emit": ["e", {"n": i()}]})),
            "put": repeat(json!({"put": ["r", {"id": {"+": [i(), 1000]}, "n": 1}]})),
            "store": {"params": {"t": "text"}, "do": [{"put": ["s", {"id": 1, "t": {"var": "t"}}]}]},
            "pay": repeat(json!({"transfer": {"from": "caller", "to": "contract", "amount": 1}}))}})
}

/// The shortest of some calls of an action, each over the same records, and its gas.
fn measure(action: &Value) -> (Duration, u64) {
    let caller = Address::from_bytes(key().public()).to_string();
    let mut start = MemoryWorld::new();
    start
        .store(&definition_path("bench"), definition())
        .unwrap();
    start
        .store(
            &format!("credits/account/{caller}"),
            json!({"balance": 1_000_000, "seq": 0}),
        )
        .unwrap();
    for id in 0..TIMES {
        start
            .store(&format!("bench/r/{id}"), json!({"id": id, "n": 1}))
            .unwrap();
    }
    let executor = Executor::new(true, vec!["bench".to_owned()]);
    let context = CallContext {
        caller: &caller,
        height: Height::ZERO,
        timestamp: Timestamp::ZERO,
    };
    let body = TxBody::parse(&json!({"actions": [action]}).to_string()).unwrap();
    let limit: Gas = Amount::new(1 << 40).unwrap();
    let (mut best, mut gas) = (Duration::MAX, 0);
    for _ in 0..ROUNDS {
        let mut world = start.clone();
        let started = Instant::now();
        let receipt = executor
            .execute(&mut world, &context, &body, limit)
            .unwrap();
        best = best.min(started.elapsed());
        assert!(receipt.ok(), "{:?}", receipt.error());
        gas = receipt.gas;
    }
    (best, gas)
}
