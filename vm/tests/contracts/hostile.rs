//! Definitions, parameters and worlds from strangers: refused or run, never a panic.

use lyceum_vm::offline::{self, Run};
use lyceum_vm::{fuzz_contract, fuzz_params};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::chain::cases;

/// Words that lead the reader deep into the language.
const WORDS: [&str; 44] = [
    "contract", "records", "actions", "keys", "modulus", "key", "fields", "of", "params", "do",
    "require", "else", "let", "set", "put", "delete", "if", "then", "repeat", "as", "emit",
    "transfer", "from", "to", "amount", "var", "get", "exists", "count", "==", "<", "+", "-", "*",
    "/", "%", "and", "min", "int", "text", "wallet", "a", "b.n", "",
];

fn json_value() -> impl Strategy<Value = Value> {
    let word = || prop::sample::select(&WORDS[..]).prop_map(str::to_owned);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-3i64..3).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((word(), inner), 0..5)
                .prop_map(|members| Value::from(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// A path into a document, by which one part is replaced.
fn replace(document: &mut Value, steps: &[usize], part: Value) {
    let Some((step, rest)) = steps.split_first() else {
        *document = part;
        return;
    };
    match document {
        Value::Array(items) if !items.is_empty() => {
            let place = step % items.len();
            replace(&mut items[place], rest, part);
        }
        Value::Object(members) if !members.is_empty() => {
            let place = step % members.len();
            let inner = members.values_mut().nth(place).unwrap();
            replace(inner, rest, part);
        }
        other => *other = part,
    }
}

#[test]
fn the_fuzz_corpus_breaks_no_promise() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/");
    for (folder, entry, least) in [
        ("vm_contract", fuzz_contract as fn(&[u8]), 6),
        ("vm_params", fuzz_params, 4),
    ] {
        let files: Vec<_> = std::fs::read_dir(format!("{corpus}{folder}"))
            .unwrap()
            .collect();
        assert!(files.len() >= least, "{folder}");
        for file in files {
            entry(&std::fs::read(file.unwrap().path()).unwrap());
        }
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn any_json_is_refused_or_runs(definition in json_value(), params in json_value(), world in json_value()) {
        fuzz_contract(definition.to_string().as_bytes());
        fuzz_params(format!("{params}\n{world}").as_bytes());
    }

    #[test]
    fn a_damaged_contract_is_refused_or_runs(
        steps in prop::collection::vec(any::<usize>(), 2..12),
        part in json_value(),
        which in 0usize..4,
    ) {
        let (_, text) = [
            ("library", include_str!("../../examples/library.json")),
            lyceum_protocol::BUILTIN_CONTRACTS[0],
            lyceum_protocol::BUILTIN_CONTRACTS[1],
            lyceum_protocol::BUILTIN_CONTRACTS[2],
        ][which];
        let mut definition: Value = serde_json::from_str(text).unwrap();
        replace(&mut definition, &steps, part);
        fuzz_contract(definition.to_string().as_bytes());
    }

    #[test]
    fn any_parameters_and_world_give_a_result(params in json_value(), book in json_value(), title in json_value()) {
        let params = json!({"id": params, "book": "B1"});
        let whole = json!({"library/book/B1": book});
        let part = json!({"library/book/B1": {"id": "B1", "title": title, "copies": 2, "lent": 1}});
        fuzz_params(format!("{params}\n{whole}").as_bytes());
        fuzz_params(format!("{params}\n{part}").as_bytes());
    }
}

#[test]
fn deep_and_long_texts_are_refused() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(
        offline::check(&deep)
            .unwrap_err()
            .to_string()
            .contains("nested deeper")
    );
    let run = Run {
        action: "lend",
        params: &deep,
        ..Run::default()
    };
    let library = include_str!("../../examples/library.json");
    assert!(
        offline::run(library, &run)
            .unwrap_err()
            .to_string()
            .starts_with("parameters: ")
    );
    assert!(
        offline::check(r#"{"contract":"a","contract":"b","actions":{}}"#)
            .unwrap_err()
            .to_string()
            .contains("twice")
    );
    let unknown = Run {
        action: "borrow",
        ..Run::default()
    };
    assert_eq!(
        offline::run(library, &unknown).unwrap_err().to_string(),
        "unknown action \"borrow\", want one of lend"
    );
}
