//! JSON → statements.

use serde_json::{Map, Value};

use super::ast::{Account, Expr, Payee, PutValue, Stmt, StmtKind};
use super::bounds::{BLOCK_DEPTH_MAX, FIELDS_MAX, STATEMENTS_MAX};
use super::error::{DefinitionError, child, describe};
use super::parse::{
    RESERVED_FIELDS, Result, as_array, as_object, bounded_text, free_name, members, required, text,
};
use super::parse_expr::{expression, key_parts};

pub(super) fn block(
    value: &Value,
    at: &str,
    depth: usize,
    statements: &mut usize,
) -> Result<Vec<Stmt>> {
    let list = as_array(value, at, "an array of statements")?;
    if depth > BLOCK_DEPTH_MAX {
        return Err(DefinitionError::new(
            at,
            "a deeper block",
            format!("at most {BLOCK_DEPTH_MAX} nested"),
        ));
    }
    *statements += list.len();
    if *statements > STATEMENTS_MAX {
        return Err(DefinitionError::new(
            at,
            "more statements",
            format!("at most {STATEMENTS_MAX} in an action"),
        ));
    }
    list.iter()
        .enumerate()
        .map(|(i, value)| {
            let at = child(at, &i.to_string());
            let object = as_object(value, &at, "a statement")?;
            let kind = statement(object, &at, depth, statements)?;
            Ok(Stmt { at, kind })
        })
        .collect()
}

/// The members that each statement may have, its keyword first.
const STATEMENTS: [&[&str]; 9] = [
    &["require", "else"],
    &["let"],
    &["set"],
    &["put"],
    &["delete"],
    &["if", "then", "else"],
    &["repeat", "as", "do"],
    &["emit"],
    &["transfer"],
];

fn statement(
    object: &Map<String, Value>,
    at: &str,
    depth: usize,
    statements: &mut usize,
) -> Result<StmtKind> {
    let Some(allowed) = STATEMENTS
        .iter()
        .find(|allowed| object.contains_key(allowed[0]))
    else {
        let got = object
            .keys()
            .next()
            .map_or("no member".to_owned(), |key| format!("\"{key}\""));
        let want = "require, let, set, put, delete, if, repeat, emit or transfer";
        return Err(DefinitionError::new(at, got, want));
    };
    members(object, at, allowed)?;
    let keyword = allowed[0];
    let (value, inner) = (&object[keyword], child(at, keyword));
    let nested = |name: &str, statements: &mut usize| {
        block(
            required(object, at, name)?,
            &child(at, name),
            depth + 1,
            statements,
        )
    };
    Ok(match keyword {
        "require" => {
            let reason = bounded_text(required(object, at, "else")?, &child(at, "else"))?;
            StmtKind::Require {
                cond: expression(value, &inner, 0)?,
                reason: reason.to_owned(),
            }
        }
        "let" => StmtKind::Let(bindings(value, &inner)?),
        "set" => StmtKind::Set(bindings(value, &inner)?),
        "put" => put(value, &inner)?,
        "delete" => {
            let (record, key) = record_and(value, &inner, "[RECORD,KEY]")?;
            StmtKind::Delete {
                record,
                key: key_parts(key, &child(&inner, "1"), 0)?,
            }
        }
        "if" => StmtKind::If {
            cond: expression(value, &inner, 0)?,
            then: nested("then", statements)?,
            otherwise: if object.contains_key("else") {
                nested("else", statements)?
            } else {
                Vec::new()
            },
        },
        "repeat" => {
            let counter = match object.get("as") {
                Some(name) => Some(text(name, &child(at, "as"))?.to_owned()),
                None => None,
            };
            StmtKind::Repeat {
                times: expression(value, &inner, 0)?,
                counter,
                body: nested("do", statements)?,
            }
        }
        "emit" => emit(value, &inner)?,
        _ => transfer(value, &inner)?,
    })
}

fn bindings(value: &Value, at: &str) -> Result<Vec<(String, Expr)>> {
    let object = as_object(value, at, "an object of names and expressions")?;
    if object.is_empty() {
        return Err(DefinitionError::new(
            at,
            "an empty object",
            "at least one name",
        ));
    }
    object
        .iter()
        .map(|(name, value)| Ok((name.clone(), expression(value, &child(at, name), 0)?)))
        .collect()
}

fn put(value: &Value, at: &str) -> Result<StmtKind> {
    let (record, value) = record_and(value, at, "[RECORD,{FIELD:EXPRESSION,…}]")?;
    let at = child(at, "1");
    let object = as_object(
        value,
        &at,
        "an object of fields, or a name that stands for a record",
    )?;
    let whole = object.len() == 1
        && RESERVED_FIELDS
            .iter()
            .any(|name| object.contains_key(*name));
    let value = match whole {
        true => PutValue::Whole(expression(value, &at, 0)?),
        false => PutValue::Fields(
            object
                .iter()
                .map(|(name, value)| Ok((name.clone(), expression(value, &child(&at, name), 0)?)))
                .collect::<Result<_>>()?,
        ),
    };
    Ok(StmtKind::Put { record, value })
}

fn emit(value: &Value, at: &str) -> Result<StmtKind> {
    let (event, fields) = record_and(value, at, "[EVENT,{NAME:EXPRESSION,…}]")?;
    free_name(&event, &child(at, "0"))?;
    let at = child(at, "1");
    let object = as_object(fields, &at, "an object of names and expressions")?;
    if object.len() > FIELDS_MAX {
        return Err(DefinitionError::new(
            &at,
            format!("{} members", object.len()),
            format!("at most {FIELDS_MAX}"),
        ));
    }
    let fields = object
        .iter()
        .map(|(name, value)| {
            let at = child(&at, name);
            free_name(name, &at)?;
            Ok((name.clone(), expression(value, &at, 0)?))
        })
        .collect::<Result<_>>()?;
    Ok(StmtKind::Emit { event, fields })
}

fn transfer(value: &Value, at: &str) -> Result<StmtKind> {
    let object = as_object(value, at, "{\"from\":…,\"to\":…,\"amount\":…}")?;
    members(object, at, &["from", "to", "amount"])?;
    let from = match object.get("from") {
        None => Account::Caller,
        Some(Value::String(from)) if from == "caller" => Account::Caller,
        Some(Value::String(from)) if from == "contract" => Account::Contract,
        Some(other) => {
            return Err(DefinitionError::new(
                &child(at, "from"),
                describe(other),
                "\"caller\" or \"contract\"",
            ));
        }
    };
    let to = match required(object, at, "to")? {
        Value::String(to) if to == "contract" => Payee::Contract,
        to => Payee::Wallet(expression(to, &child(at, "to"), 0)?),
    };
    let amount = expression(required(object, at, "amount")?, &child(at, "amount"), 0)?;
    Ok(StmtKind::Transfer { from, to, amount })
}

/// Reads `[NAME, SECOND]`.
fn record_and<'a>(value: &'a Value, at: &str, want: &str) -> Result<(String, &'a Value)> {
    match value.as_array().map(Vec::as_slice) {
        Some([Value::String(name), second]) => Ok((name.clone(), second)),
        _ => Err(DefinitionError::new(at, describe(value), want)),
    }
}
