//! Contracts: JSON documents, translated once into Cryptoleq code.
//!
//! The way of a definition: [`parse`](CompiledContract::compile) (shapes, names, bounds) → check (types) → lower (Cryptoleq instructions over
//! named cells) → assemble (cells). All arithmetic, comparison and branching is code; the host maps records and texts in
//! and out through the ports of `PORTS.md`.
//!
//! # The language where SPEC.md section 8 is silent
//!
//! *Expressions.* A literal is an integer, `true`, `false`, a text or `null` (the JSON null). One operand may stand without its
//! array: `{"!":x}`, `{"-":x}`. `+ * min max and or` take one operand or more, `<` and `<=` two or three ("between"), `if` any odd number
//! (`[c1,v1,c2,v2,…,else]`). `and`, `or` and `if` evaluate no more than they need; everything else from left to right.
//! A sum overflows where any prefix of it does; an operation whose true result fits succeeds at every edge (`i64::MIN % -1` is 0).
//! `{"get":[RECORD,KEY,FIELD]}` reads one field on the spot. Conditions are `bool`: nothing is truthy. Both sides of `==` have one type;
//! a wallet is also a text, a literal text that is a DID is also a wallet, and a literal beside `json` is JSON.
//!
//! *Names.* No name hides another. `let` in the body of an `if` or `repeat` lasts until its end. The members of one `let`
//! or `set` run in the order of their names, since JSON members have none. Parameters and loop counters cannot be set. `open` is the
//! chain's `open`.
//!
//! *Records.* A name bound to a `get` is a reference: it sees what any other name, `put` or `delete` did to that record. `put`
//! replaces. A field left out of a `put`, or of a parameter that is a record, is 0, `false`, `""` (of a wallet: no wallet), `null` or the trivial encryption
//! of 0; a key cannot be left out. `delete` of a missing record fails the call, as `get` does. A record's key cannot be `set`.
//! `{"put":[RECORD,{"var":NAME}]}` puts a whole record. A text key has 1 to 128 bytes, without `/` and control characters.
//! A key may have up to three parts, `"key":["proposal","voter"]`: then KEY is an array, `{"get":["vote",[P,V]]}`, no part holds a comma, and
//! the path is `CONTRACT/RECORD/P,V`.
//! `count` includes what the call itself put and deleted.
//!
//! *Other contracts' records.* A record type with `"of":CONTRACT` stands for that contract's records of the same name, read-only; its
//! fields may be some of theirs, and a field that is not stored is an error, but for the key, which the path gives. So a
//! contract asks the `dao` for a role, or `credits` for a balance (`{"of":"credits","key":"wallet","fields":{"wallet":"wallet","balance":"int"}}`),
//! and its translation depends on its own text alone.
//!
//! *Statements.* `{"repeat":N,"as":"i","do":[…]}` counts i from 0 to N − 1; N is any integer expression, read once, and ≤ 0 means
//! no round; literal counts of nested loops multiply to 10^6 at most. `{"transfer":{"from":"caller"|"contract","to":WALLET|"contract","amount":N}}`:
//! `from` is the caller where left out; a contract's own account is `credits/account/contract:NAME`; 0 moves nothing, a negative amount fails.
//!
//! *Encrypted fields.* An action that touches one runs in the domain `paillier` under its key, and only one key. Ciphertexts may be added,
//! subtracted, negated, multiplied by literals, chosen by an open `if`, stored and emitted; an open integer stands for
//! its own encryption.

mod arith;
mod assemble;
mod ast;
mod bounds;
mod check;
mod check_expr;
mod check_stmt;
mod compare;
mod compile;
mod draft;
mod error;
mod listing;
mod lower;
mod lower_expr;
mod parse;
mod parse_expr;
mod parse_stmt;
mod tree;

pub use bounds::*;
pub use compile::{CompiledAction, CompiledContract};
pub use error::DefinitionError;
pub(crate) use listing::listing;
pub(crate) use lower::{FAIL_DIVISION, port};
pub(crate) use parse::{NATIVE_ACTIONS, is_lower_name};
pub(crate) use tree::{CALLER, HEIGHT, Kind, Layout, OPEN, Param, TIMESTAMP};
