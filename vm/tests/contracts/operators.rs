//! Every operator against direct evaluation, edges of i64 included.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::chain::{Chain, cases};

const MIN: i64 = i64::MIN;
const MAX: i64 = i64::MAX;

/// Operands where something may go wrong.
const EDGES: [i64; 37] = [
    MIN,
    MIN + 1,
    MIN + 2,
    -(1 << 62) - 1,
    -(1 << 62),
    -(1 << 62) + 1,
    -3_037_000_500,
    -(1 << 32),
    -(1 << 31) - 1,
    -(1 << 31),
    -32_769,
    -32_768,
    -129,
    -128,
    -127,
    -10,
    -3,
    -2,
    -1,
    0,
    1,
    2,
    3,
    7,
    100,
    127,
    128,
    32_767,
    32_768,
    1 << 31,
    (1 << 32) + 1,
    3_037_000_499,
    (1 << 62) - 1,
    1 << 62,
    (1 << 62) + 1,
    MAX - 1,
    MAX,
];

/// What an expression gives: a value, or the name of its failure.
type Outcome = Result<Value, &'static str>;

fn int(exact: i128) -> Outcome {
    i64::try_from(exact)
        .map(Value::from)
        .map_err(|_| "overflow")
}

/// The direct evaluation of a binary operator over wide integers.
fn direct(operator: &str, a: i64, b: i64) -> Outcome {
    let (x, y) = (i128::from(a), i128::from(b));
    match operator {
        "+" => int(x + y),
        "-" => int(x - y),
        "*" => int(x * y),
        "/" if b == 0 => Err("division by zero"),
        "%" if b == 0 => Err("division by zero"),
        "/" => int(x / y),
        "%" => int(x % y),
        "min" => int(x.min(y)),
        "max" => int(x.max(y)),
        "==" => Ok((a == b).into()),
        "!=" => Ok((a != b).into()),
        "<" => Ok((a < b).into()),
        "<=" => Ok((a <= b).into()),
        ">" => Ok((a > b).into()),
        ">=" => Ok((a >= b).into()),
        other => panic!("{other}"),
    }
}

const OPERATORS: [&str; 15] = [
    "+", "-", "*", "/", "%", "min", "max", "==", "!=", "<", "<=", ">", ">=", "+", "*",
];

/// A contract whose action `f` emits each of `expressions` of `a` and `b` in an action of its own.
fn contract(expressions: &[Value]) -> Chain {
    let action = |expression: &Value| json!({"params": {"a": "int", "b": "int"}, "do": [{"emit": ["result", {"value": expression}]}]});
    let actions = expressions
        .iter()
        .enumerate()
        .map(|(i, e)| (format!("f{i}"), action(e)));
    let actions: serde_json::Map<_, _> = actions.collect();
    Chain::of(&[json!({"contract": "sums", "actions": actions})])
}

fn outcome(chain: &mut Chain, action: usize, a: i64, b: i64) -> Result<Value, String> {
    let receipt = chain.actions(&json!([{"action": format!("f{action}"), "a": a, "b": b}]));
    match receipt.error() {
        Some(error) => Err(error),
        None => Ok(receipt.events[0].data()["value"].clone()),
    }
}

fn agree(chain: &mut Chain, action: usize, a: i64, b: i64, want: Outcome) {
    let got = outcome(chain, action, a, b);
    assert_eq!(
        got,
        want.map_err(str::to_owned),
        "action {action} of {a} and {b}"
    );
}

fn variables(operator: &str) -> Value {
    json!({operator: [{"var": "a"}, {"var": "b"}]})
}

#[test]
fn every_operator_is_exact_at_the_edges() {
    let expressions: Vec<_> = OPERATORS
        .iter()
        .map(|operator| variables(operator))
        .collect();
    let mut chain = contract(&expressions);
    for (i, operator) in OPERATORS.iter().enumerate().take(13) {
        for a in EDGES {
            for b in EDGES {
                agree(&mut chain, i, a, b, direct(operator, a, b));
            }
        }
    }
}

#[test]
fn literals_on_either_side_are_exact_at_the_edges() {
    for literal in [
        MIN,
        MIN + 1,
        -(1 << 62),
        -65_537,
        -100,
        -2,
        -1,
        0,
        1,
        2,
        3,
        100,
        65_535,
        65_536,
        1 << 40,
        MAX - 1,
        MAX,
    ] {
        let expressions: Vec<_> = OPERATORS[..13]
            .iter()
            .flat_map(|o| {
                [
                    json!({*o: [{"var": "a"}, literal]}),
                    json!({*o: [literal, {"var": "a"}]}),
                ]
            })
            .collect();
        let mut chain = contract(&expressions);
        for (i, operator) in OPERATORS[..13].iter().enumerate() {
            for a in EDGES {
                agree(&mut chain, 2 * i, a, 0, direct(operator, a, literal));
                agree(&mut chain, 2 * i + 1, a, 0, direct(operator, literal, a));
            }
        }
    }
}

#[test]
fn unary_and_variadic_forms() {
    let (a, b) = (json!({"var": "a"}), json!({"var": "b"}));
    let mut chain = contract(&[
        json!({"-": a}),
        json!({"+": [a, b, a]}),
        json!({"*": [a, b, 3]}),
        json!({"min": [a, 5, b]}),
        json!({"max": [a, 5, b]}),
        json!({"<": [a, b, 10]}),
        json!({"<=": [-10, a, b]}),
        json!({"+": [a]}),
        json!({"if": [{"<": [a, 0]}, -1, {">": [a, 0]}, 1, 0]}),
        json!({"and": [{"<": [a, b]}, {"!": {"==": [a, 1]}}]}),
        json!({"or": [{"<": [a, b]}, {"!": [{"!=": [a, 1]}]}]}),
        json!({"==": [{"<": [a, b]}, true]}),
    ]);
    for a in EDGES {
        for b in EDGES {
            let (x, y) = (i128::from(a), i128::from(b));
            agree(&mut chain, 0, a, b, int(-x));
            agree(&mut chain, 1, a, b, int(x + y).and_then(|_| int(x + y + x)));
            agree(&mut chain, 2, a, b, int(x * y).and_then(|_| int(x * y * 3)));
            agree(&mut chain, 3, a, b, int(x.min(5).min(y)));
            agree(&mut chain, 4, a, b, int(x.max(5).max(y)));
            agree(&mut chain, 5, a, b, Ok((a < b && b < 10).into()));
            agree(&mut chain, 6, a, b, Ok((-10 <= a && a <= b).into()));
            agree(&mut chain, 7, a, b, int(x));
            agree(&mut chain, 8, a, b, int(x.signum()));
            agree(&mut chain, 9, a, b, Ok((a < b && a != 1).into()));
            agree(&mut chain, 10, a, b, Ok((a < b || a == 1).into()));
            agree(&mut chain, 11, a, b, Ok((a < b).into()));
        }
    }
}

#[test]
fn what_is_not_needed_is_not_evaluated() {
    let zero = json!({"==": [{"/": [1, {"var": "b"}]}, 0]});
    let mut chain = contract(&[
        json!({"and": [{"!=": [{"var": "b"}, 0]}, zero]}),
        json!({"or": [{"==": [{"var": "b"}, 0]}, zero]}),
        json!({"if": [{"==": [{"var": "b"}, 0]}, 0, {"/": [{"var": "a"}, {"var": "b"}]}]}),
        json!({"or": [zero, true]}),
    ]);
    agree(&mut chain, 0, 1, 0, Ok(false.into()));
    agree(&mut chain, 1, 1, 0, Ok(true.into()));
    agree(&mut chain, 2, 1, 0, Ok(0.into()));
    agree(&mut chain, 3, 1, 0, Err("division by zero"));
    agree(&mut chain, 2, 7, -2, Ok((-3).into()));
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn every_operator_agrees_on_random_operands(
        operands in prop::collection::vec((any::<i64>(), any::<i64>(), 0u32..64, 0u32..64), 16)
    ) {
        let expressions: Vec<_> = OPERATORS.iter().map(|operator| variables(operator)).collect();
        let mut chain = contract(&expressions);
        for (a, b, narrow_a, narrow_b) in operands {
            let (a, b) = (a >> narrow_a, b >> narrow_b);
            for (i, operator) in OPERATORS.iter().enumerate() {
                agree(&mut chain, i, a, b, direct(operator, a, b));
            }
        }
    }
}
