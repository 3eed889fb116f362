//! The example of SPEC.md section 8, as it stands there.

use lyceum_vm::offline::{self, Run};
use serde_json::{Value, json};

use super::chain::wallet;

const LIBRARY: &str = include_str!("../../examples/library.json");

fn lend(world: &Value, params: &Value) -> Value {
    let (world, params) = (world.to_string(), params.to_string());
    let run = Run {
        action: "lend",
        params: &params,
        world: &world,
        caller: wallet(1),
        height: lyceum_protocol::Height::new(5).unwrap(),
        ..Run::default()
    };
    offline::run(LIBRARY, &run).unwrap()
}

#[test]
fn a_book_is_lent_while_copies_last() {
    let world = json!({"library/book/B1": {"id": "B1", "title": "Logic", "copies": 1, "lent": 0}});
    let once = lend(&world, &json!({"id": "L1", "book": "B1"}));
    let reader = wallet(1).to_string();
    assert_eq!(once["ok"], true, "{once}");
    assert_eq!(once["error"], Value::Null);
    assert_eq!(
        once["world"],
        json!({
            "library/book/B1": {"id": "B1", "title": "Logic", "copies": 1, "lent": 1},
            "library/loan/L1": {"id": "L1", "book": "B1", "reader": reader, "due": 1005},
        })
    );
    assert_eq!(
        once["events"],
        json!([{"event": "lent", "data": {"book": "B1", "reader": reader}}])
    );

    let twice = lend(&once["world"], &json!({"id": "L2", "book": "B1"}));
    assert_eq!(
        (&twice["ok"], &twice["error"]),
        (&json!(false), &json!("no copy left"))
    );
    assert_eq!(twice["world"], once["world"], "a failed call has no effect");
    assert_eq!(twice["events"], json!([]));

    let missing = lend(&world, &json!({"id": "L1", "book": "B2"}));
    assert_eq!(missing["error"], "missing record library/book/B2");
}

#[test]
fn check_sums_the_contract_up() {
    let summary = offline::check(LIBRARY).unwrap();
    assert_eq!(summary.contract, "library");
    let [lend] = summary.actions.as_slice() else {
        panic!("{summary:?}")
    };
    assert_eq!((lend.name.as_str(), lend.encrypted), ("lend", false));
    assert!(
        lend.instructions > 10 && lend.cells > lend.instructions * 3,
        "{lend:?}"
    );
}
