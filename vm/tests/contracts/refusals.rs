//! What the checker refuses: where, and what was expected.

use lyceum_vm::{
    ACTION_CELLS_MAX, ACTIONS_MAX, BLOCK_DEPTH_MAX, CompiledContract, DEFINITION_BYTES_MAX,
    EXPRESSION_DEPTH_MAX, FIELDS_MAX, KEY_PARTS_MAX, LITERAL_BYTES_MAX, OPERANDS_MAX, PARAMS_MAX,
    RECORDS_MAX, STATEMENTS_MAX,
};
use serde_json::{Map, Value, json};

/// A contract whose action `a` is `statements`, with an int, a text, a bool, a wallet, JSON and a whole record as parameters.
fn of(statements: Value) -> Value {
    json!({
        "contract": "c",
        "records": {
            "item": {"key": "id", "fields": {"id": "text", "n": "int", "owner": "wallet", "more": "json"}},
            "pair": {"key": ["a", "b"], "fields": {"a": "int", "b": "text"}},
            "member": {"of": "dao", "key": "wallet", "fields": {"wallet": "wallet", "role": "text"}}},
        "actions": {"a": {"params": {"i": "int", "t": "text", "f": "bool", "w": "wallet", "j": "json", "r": "item"}, "do": statements}},
    })
}

fn refusal(definition: &Value) -> String {
    match CompiledContract::compile(definition) {
        Ok(_) => panic!("accepted: {definition}"),
        Err(error) => error.to_string(),
    }
}

fn accepted(statements: Value) {
    CompiledContract::compile(&of(statements)).unwrap();
}

/// Each statement is refused with that text, its path from the statement on.
fn refused(cases: &[(Value, &str)]) {
    for (statement, why) in cases {
        assert_eq!(
            refusal(&of(json!([statement]))),
            format!("/actions/a/do/0{why}"),
            "{statement}"
        );
    }
}

fn var(name: &str) -> Value {
    json!({"var": name})
}

#[test]
fn a_definition_has_its_members_and_no_others() {
    for (change, why) in [
        (json!([]), "/: got an array of 0, want a contract"),
        (
            json!({"contract": "c"}),
            "/: got nothing, want the member \"actions\"",
        ),
        (
            json!({"actions": {}}),
            "/: got nothing, want the member \"contract\"",
        ),
        (
            json!({"contract": "c", "actions": {}, "x/y": 1}),
            "/x~1y: got an unknown member, want contract, keys, records, actions, owner",
        ),
        (
            json!({"contract": "C", "actions": {}}),
            "/contract: got \"C\", want a name [a-z][a-z0-9_]* of at most 32 bytes",
        ),
        (
            json!({"contract": "credits", "actions": {}}),
            "/contract: got the reserved name \"credits\", want another name",
        ),
        (
            json!({"contract": "contracts", "actions": {}}),
            "/contract: got the reserved name \"contracts\", want another name",
        ),
        (
            json!({"contract": "identity", "actions": {}}),
            "/contract: got the reserved name \"identity\", want another name",
        ),
        (
            json!({"contract": "c", "actions": 1}),
            "/actions: got 1, want an object",
        ),
        (
            json!({"contract": "c", "actions": {"transfer": {"do": []}}}),
            "/actions/transfer: got the native action \"transfer\", want another name",
        ),
        (
            json!({"contract": "c", "actions": {"a": {"do": {}}}}),
            "/actions/a/do: got an object of 0, want an array of statements",
        ),
        (
            json!({"contract": "c", "actions": {"a": {"params": {}}}}),
            "/actions/a: got nothing, want the member \"do\"",
        ),
        (
            json!({"contract": "c", "actions": {"a": {"params": {"type": "int"}, "do": []}}}),
            "/actions/a/params/type: got the reserved name \"type\", want another name",
        ),
        (
            json!({"contract": "c", "actions": {"a": {"params": {"height": "int"}, "do": []}}}),
            "/actions/a/params/height: got \"height\", which is taken, want a new name",
        ),
        (
            json!({"contract": "c", "actions": {"a": {"params": {"p": "float"}, "do": []}}}),
            "/actions/a/params/p: got \"float\", want int, bool, text, wallet, json, encrypted:KEY or the name of a record",
        ),
        (
            json!({"contract": "c", "actions": {"a": {"params": {"p": "encrypted:k"}, "do": []}}}),
            "/actions/a/params/p: got the unknown key \"k\", want a key that the contract declares",
        ),
    ] {
        assert_eq!(refusal(&change), why);
    }
}

#[test]
fn record_types_are_checked() {
    for (record, why) in [
        (
            json!({"fields": {"id": "text"}}),
            "/records/r: got nothing, want the member \"key\"",
        ),
        (
            json!({"key": "id"}),
            "/records/r: got nothing, want the member \"fields\"",
        ),
        (
            json!({"key": "x", "fields": {"id": "text"}}),
            "/records/r/key: got \"x\", want the name of a field",
        ),
        (
            json!({"key": ["id", "id"], "fields": {"id": "text"}}),
            "/records/r/key: got \"id\" twice, want each field once",
        ),
        (
            json!({"key": [], "fields": {"id": "text"}}),
            "/records/r/key: got an array of 0, want the name of a field, or an array of 1 to 3",
        ),
        (
            json!({"key": "id", "fields": {"id": "bool"}}),
            "/records/r/fields/id: got bool, want a key of type text, int or wallet",
        ),
        (
            json!({"key": "id", "fields": {"id": "text", "x": "r"}}),
            "/records/r/fields/x: got \"r\", want int, bool, text, wallet, json or encrypted:KEY",
        ),
        (
            json!({"key": "id", "fields": {"id": "text", "1x": "int"}}),
            "/records/r/fields/1x: got \"1x\", want a name [A-Za-z][A-Za-z0-9_]* of at most 32 bytes",
        ),
        (
            json!({"key": "id", "fields": {"id": "text", "var": "int"}}),
            "/records/r/fields/var: got the reserved name \"var\", want another name",
        ),
        (
            json!({"key": "id", "fields": {"id": "text"}, "of": "c"}),
            "/records/r/of: got the contract itself, want another contract",
        ),
        (
            json!({"key": "id", "fields": {"id": "text"}, "if": 1}),
            "/records/r/if: got an unknown member, want key, fields, of",
        ),
    ] {
        assert_eq!(
            refusal(&json!({"contract": "c", "records": {"r": record}, "actions": {}})),
            why
        );
    }
}

#[test]
fn statements_have_their_shapes() {
    refused(&[
        (json!(1), ": got 1, want a statement"),
        (
            json!({}),
            ": got no member, want require, let, set, put, delete, if, repeat, emit or transfer",
        ),
        (
            json!({"while": true}),
            ": got \"while\", want require, let, set, put, delete, if, repeat, emit or transfer",
        ),
        (
            json!({"require": true}),
            ": got nothing, want the member \"else\"",
        ),
        (
            json!({"require": true, "else": 1}),
            "/else: got 1, want a text",
        ),
        (
            json!({"require": true, "else": "", "then": []}),
            "/then: got an unknown member, want require, else",
        ),
        (
            json!({"let": {}}),
            "/let: got an empty object, want at least one name",
        ),
        (
            json!({"put": ["item"]}),
            "/put: got an array of 1, want [RECORD,{FIELD:EXPRESSION,…}]",
        ),
        (
            json!({"put": ["item", 1]}),
            "/put/1: got 1, want an object of fields, or a name that stands for a record",
        ),
        (
            json!({"emit": ["no event", {}]}),
            "/emit/0: got \"no event\", want a name [A-Za-z][A-Za-z0-9_]* of at most 32 bytes",
        ),
        (
            json!({"if": true}),
            ": got nothing, want the member \"then\"",
        ),
        (
            json!({"transfer": {"amount": 1}}),
            "/transfer: got nothing, want the member \"to\"",
        ),
        (
            json!({"transfer": {"from": "w", "to": "contract", "amount": 1}}),
            "/transfer/from: got \"w\", want \"caller\" or \"contract\"",
        ),
        (
            json!({"transfer": {"to": "me", "amount": 1}}),
            "/transfer/to: got \"me\", want a wallet, did:key:z6Mk…",
        ),
    ]);
}

#[test]
fn expressions_have_their_shapes() {
    let case = |e: Value| json!({"let": {"x": e}});
    refused(&[
        (
            case(json!([1])),
            "/let/x: got an array of 1, want an expression: a literal, or an object of one operator",
        ),
        (
            case(json!({"+": 1, "-": 1})),
            "/let/x: got an object of 2, want an expression: a literal, or an object of one operator",
        ),
        (
            case(json!({"pow": [1, 2]})),
            "/let/x/pow: got the unknown operator \"pow\", want an operator of the language",
        ),
        (
            case(json!({"/": [1, 2, 3]})),
            "/let/x/~1: got 3 operands, want 2 operands",
        ),
        (
            case(json!({"<": [1]})),
            "/let/x/<: got 1 operands, want 2 to 3 operands",
        ),
        (
            case(json!({"if": [true, 1]})),
            "/let/x/if: got 2 operands, want [CONDITION,VALUE,…,ELSE], an odd number of operands",
        ),
        (
            case(json!({"if": [true, 1, false, 2]})),
            "/let/x/if: got 4 operands, want [CONDITION,VALUE,…,ELSE], an odd number of operands",
        ),
        (
            case(json!({"+": []})),
            "/let/x/+: got 0 operands, want 1 to 32 operands",
        ),
        (
            case(json!(1.5)),
            "/let/x: got 1.5, want a signed 64-bit integer",
        ),
        (
            case(json!(1u64 << 63)),
            "/let/x: got 9223372036854775808, want a signed 64-bit integer",
        ),
        (
            case(json!({"var": ["i", 0]})),
            "/let/x/var: got an array of 2, want the name of a variable",
        ),
        (
            case(json!({"get": "item"})),
            "/let/x/get: got \"item\", want [RECORD,KEY] or [RECORD,KEY,FIELD]",
        ),
        (
            case(json!({"exists": ["item"]})),
            "/let/x/exists: got an array of 1, want [RECORD,KEY]",
        ),
    ]);
}

#[test]
fn names_are_resolved() {
    let case = |e: Value| json!({"let": {"x": e}});
    refused(&[
        (
            case(var("y")),
            "/let/x/var: got the unknown name \"y\", want a parameter, a let name, caller, height, timestamp or open",
        ),
        (
            case(var("x")),
            "/let/x/var: got the unknown name \"x\", want a parameter, a let name, caller, height, timestamp or open",
        ),
        (
            case(var("i.n")),
            "/let/x/var: got a field of the plain value \"i\", want a record's name",
        ),
        (
            case(var("r")),
            "/let/x/var: got the whole record \"r\", want one of its fields, NAME.FIELD",
        ),
        (
            case(var("r.x")),
            "/let/x/var: got the unknown field \"x\", want a field of \"item\"",
        ),
        (
            case(json!({"count": "items"})),
            "/let/x/count: got the unknown record \"items\", want a record that the contract declares",
        ),
        (
            case(json!({"get": ["item", "a", "x"]})),
            "/let/x/get/2: got the unknown field \"x\", want a field of \"item\"",
        ),
        (
            case(json!({"if": [true, {"get": ["item", "a"]}, 1]})),
            "/let/x/if/1/get: got a whole record, want a let name for it, or [RECORD,KEY,FIELD] for one field",
        ),
        (
            json!({"let": {"i": 1}}),
            "/let/i: got \"i\", which is taken, want a new name",
        ),
        (
            json!({"let": {"a b": 1}}),
            "/let/a b: got \"a b\", want a name [A-Za-z][A-Za-z0-9_]* of at most 32 bytes",
        ),
        (
            json!({"set": {"y": 1}}),
            "/set/y: got the unknown name \"y\", want a name bound by let",
        ),
        (
            json!({"set": {"i": 1}}),
            "/set/i: got \"i\", which cannot be set, want a name bound by let, or a field of a record bound by let",
        ),
        (
            json!({"set": {"r.n": 1}}),
            "/set/r.n: got \"r.n\", which cannot be set, want a name bound by let, or a field of a record bound by let",
        ),
        (
            json!({"put": ["member", {"wallet": var("w")}]}),
            "/put/0: got \"member\" of contract \"dao\", want a record of this contract: others' can only be read",
        ),
        (
            json!({"delete": ["member", var("w")]}),
            "/delete/0: got \"member\" of contract \"dao\", want a record of this contract: others' can only be read",
        ),
        (
            json!({"put": ["item", {"id": "a", "x": 1}]}),
            "/put/1/x: got the unknown field \"x\", want a field of \"item\"",
        ),
        (
            json!({"put": ["item", {"n": 1}]}),
            "/put/1: got nothing, want the field \"id\", which is the key",
        ),
        (
            json!({"put": ["pair", {"var": "r"}]}),
            "/put/1: got \"r\", want a name that stands for a record \"pair\"",
        ),
        (
            json!({"repeat": 2, "as": "i", "do": []}),
            "/as: got \"i\", which is taken, want a new name",
        ),
    ]);
    let bound = json!({"let": {"b": {"get": ["item", "a"]}, "m": {"get": ["member", var("w")]}}});
    for (statement, why) in [
        (
            json!({"set": {"b": 1}}),
            "/actions/a/do/1/set/b: got the record \"b\", want one of its fields, NAME.FIELD",
        ),
        (
            json!({"set": {"b.x": 1}}),
            "/actions/a/do/1/set/b.x: got the unknown field \"x\", want a field of \"item\"",
        ),
        (
            json!({"set": {"b.id": "c"}}),
            "/actions/a/do/1/set/b.id: got the key \"id\", want another field: a record keeps its key, put a new record instead",
        ),
        (
            json!({"set": {"m.role": "admin"}}),
            "/actions/a/do/1/set/m.role: got a record of contract \"dao\", want a record of this contract: others' can only be read",
        ),
        (
            json!({"let": {"b": 1}}),
            "/actions/a/do/1/let/b: got \"b\", which is taken, want a new name",
        ),
    ] {
        assert_eq!(refusal(&of(json!([bound, statement]))), why);
    }
    // A name ends with its block, and can be had again.
    let block = json!({"if": true, "then": [{"let": {"x": 1}}], "else": [{"let": {"x": "text"}}]});
    accepted(json!([block, {"let": {"x": true}}]));
    assert_eq!(
        refusal(&of(json!([block, {"let": {"y": var("x")}}]))),
        "/actions/a/do/1/let/y/var: got the unknown name \"x\", want a parameter, a let name, caller, height, timestamp or open"
    );
}

#[test]
fn types_are_checked() {
    let case = |e: Value| json!({"let": {"x": e}});
    refused(&[
        (
            json!({"require": 1, "else": ""}),
            "/require: got int, want bool",
        ),
        (
            json!({"if": var("t"), "then": []}),
            "/if: got text, want bool",
        ),
        (
            json!({"repeat": "3", "do": []}),
            "/repeat: got text, want int",
        ),
        (
            case(json!({"+": [var("i"), "1"]})),
            "/let/x/+/1: got text, want int",
        ),
        (
            case(json!({"*": [true, 2]})),
            "/let/x/*/0: got bool, want int",
        ),
        (
            case(json!({"-": var("w")})),
            "/let/x/-: got wallet, want int",
        ),
        (
            case(json!({"<": [1, var("t")]})),
            "/let/x/</1: got text, want int",
        ),
        (
            case(json!({"==": [var("i"), var("t")]})),
            "/let/x/==/1: got text, want int",
        ),
        (
            case(json!({"==": [var("i"), true]})),
            "/let/x/==/1: got bool, want int",
        ),
        (
            case(json!({"!=": [var("j"), var("t")]})),
            "/let/x/!=/1: got text, want json",
        ),
        (case(json!({"!": 0})), "/let/x/!: got int, want bool"),
        (
            case(json!({"and": [true, 1]})),
            "/let/x/and/1: got int, want bool",
        ),
        (
            case(json!({"if": [1, 2, 3]})),
            "/let/x/if/0: got int, want bool",
        ),
        (
            case(json!({"if": [true, var("i"), "a"]})),
            "/let/x/if/2: got text, want int",
        ),
        (
            case(json!({"exists": ["item", 1]})),
            "/let/x/exists/1: got int, want text",
        ),
        (
            case(json!({"exists": ["pair", "a"]})),
            "/let/x/exists/1: got 1 parts, want an array of 2, the parts of the key",
        ),
        (
            case(json!({"exists": ["item", ["a", "b"]]})),
            "/let/x/exists/1: got 2 parts, want one key",
        ),
        (
            case(json!({"exists": ["pair", [1, 2]]})),
            "/let/x/exists/1/1: got int, want text",
        ),
        (
            case(json!({"exists": ["member", var("t")]})),
            "/let/x/exists/1: got text, want wallet",
        ),
        (
            case(json!({"exists": ["member", "someone"]})),
            "/let/x/exists/1: got \"someone\", want a wallet, did:key:z6Mk…",
        ),
        (
            json!({"put": ["item", {"id": "a", "n": "1"}]}),
            "/put/1/n: got text, want int",
        ),
        (
            json!({"put": ["item", {"id": "a", "owner": var("t")}]}),
            "/put/1/owner: got text, want wallet",
        ),
        (
            json!({"transfer": {"to": var("t"), "amount": 1}}),
            "/transfer/to: got text, want wallet",
        ),
        (
            json!({"transfer": {"to": var("w"), "amount": "1"}}),
            "/transfer/amount: got text, want int",
        ),
    ]);
    // What JsonLogic's users write, and what a wallet is.
    accepted(json!([
        {"let": {"x": {"!": var("f")}, "y": {"!": [var("f")]}, "z": {"var": ["i"]}}},
        {"require": {"==": [var("w"), var("t")]}, "else": "a wallet is a text"},
        {"require": {"==": [var("j"), null]}, "else": "a literal beside JSON is JSON"},
        {"put": ["item", {"id": var("w"), "more": "text"}]},
        {"put": ["item", {"var": "r"}]},
    ]));
}

#[test]
fn everything_is_bounded() {
    let names = |n: usize, value: Value| -> Value {
        (0..n)
            .map(|i| (format!("n{i}"), value.clone()))
            .collect::<Map<_, _>>()
            .into()
    };
    let with = |member: &str, value: Value| {
        let mut definition = of(json!([]));
        definition["actions"] = json!({});
        definition[member] = value;
        definition
    };
    let record = json!({"key": "id", "fields": {"id": "text"}});
    let action = json!({"do": []});
    let param = |n: usize| json!({"a": {"params": names(n, json!("int")), "do": []}});
    let field = |n: usize| json!({"r": {"key": "n0", "fields": names(n, json!("int"))}});
    let nest = |n: usize| (0..n).fold(json!([]), |inner, _| json!([{"if": true, "then": inner}]));
    let deep = |n: usize| (0..n).fold(json!(1), |inner, _| json!({"-": inner}));
    let cases: [(Value, Value, &str); 11] = [
        (
            with("records", names(RECORDS_MAX, record.clone())),
            with("records", names(RECORDS_MAX + 1, record)),
            "/records",
        ),
        (
            with("actions", names(ACTIONS_MAX, action.clone())),
            with("actions", names(ACTIONS_MAX + 1, action)),
            "/actions",
        ),
        (
            with("actions", param(PARAMS_MAX)),
            with("actions", param(PARAMS_MAX + 1)),
            "/actions/a/params",
        ),
        (
            with("records", field(FIELDS_MAX)),
            with("records", field(FIELDS_MAX + 1)),
            "/records/r/fields",
        ),
        (
            of(json!(vec![json!({"emit": ["e", {}]}); STATEMENTS_MAX])),
            of(json!(vec![json!({"emit": ["e", {}]}); STATEMENTS_MAX + 1])),
            "/actions/a/do",
        ),
        (
            of(nest(BLOCK_DEPTH_MAX)),
            of(nest(BLOCK_DEPTH_MAX + 1)),
            "/actions/a/do/0/then/0/then",
        ),
        (
            of(json!([{"let": {"x": deep(EXPRESSION_DEPTH_MAX)}}])),
            of(json!([{"let": {"x": deep(EXPRESSION_DEPTH_MAX + 1)}}])),
            "/actions/a/do/0/let/x/-/-",
        ),
        (
            of(json!([{"let": {"x": {"+": vec![1; OPERANDS_MAX]}}}])),
            of(json!([{"let": {"x": {"+": vec![1; OPERANDS_MAX + 1]}}}])),
            "/actions/a/do/0/let/x/+",
        ),
        (
            of(json!([{"let": {"x": "x".repeat(LITERAL_BYTES_MAX)}}])),
            of(json!([{"let": {"x": "x".repeat(LITERAL_BYTES_MAX + 1)}}])),
            "/actions/a/do/0/let/x",
        ),
        (
            of(json!([{"repeat": 1000, "do": [{"repeat": 1000, "do": []}]}])),
            of(json!([{"repeat": 1000, "do": [{"repeat": 1001, "do": []}]}])),
            "/actions/a/do/0/do/0/repeat",
        ),
        (
            of(json!([{"repeat": 0, "do": []}])),
            of(json!([{"repeat": -1, "do": []}])),
            "/actions/a/do/0/repeat",
        ),
    ];
    for (good, bad, path) in cases {
        CompiledContract::compile(&good).unwrap_or_else(|error| panic!("{error}"));
        assert!(refusal(&bad).starts_with(path), "{}", refusal(&bad));
    }
    assert_eq!(KEY_PARTS_MAX, 3, "the message of record types says so");
    let long = of(json!([{"require": true, "else": "x".repeat(DEFINITION_BYTES_MAX)}]));
    assert!(refusal(&long).ends_with(&format!("want at most {DEFINITION_BYTES_MAX}")));
    // A product by a literal of 16 bits is unrolled to some 60 instructions, from 25 bytes of text.
    let sum = json!({"+": vec![json!({"*": [var("i"), 65_535]}); 30]});
    let wide = of(json!(vec![json!({"emit": ["e", {"x": sum}]}); 60]));
    let error = refusal(&wide);
    assert!(
        error.starts_with("/actions/a: got ")
            && error.ends_with(&format!("want at most {ACTION_CELLS_MAX}")),
        "{error}"
    );
}
