//! JSON → expressions, in JsonLogic's notation.

use serde_json::Value;

use super::ast::{Expr, ExprKind, Op};
use super::bounds::{EXPRESSION_DEPTH_MAX, KEY_PARTS_MAX};
use super::error::{DefinitionError, child, describe};
use super::parse::bounded_text;

type Result<T> = std::result::Result<T, DefinitionError>;

/// Reads one expression at `at`, nested `depth` deep.
pub(super) fn expression(value: &Value, at: &str, depth: usize) -> Result<Expr> {
    if depth > EXPRESSION_DEPTH_MAX {
        let want = format!("at most {EXPRESSION_DEPTH_MAX} nested");
        return Err(DefinitionError::new(at, "a deeper expression", want));
    }
    let kind =
        match value {
            Value::Null => ExprKind::Null,
            Value::Bool(b) => ExprKind::Bool(*b),
            Value::Number(n) => ExprKind::Int(n.as_i64().ok_or_else(|| {
                DefinitionError::new(at, n.to_string(), "a signed 64-bit integer")
            })?),
            Value::String(_) => ExprKind::Text(bounded_text(value, at)?.to_owned()),
            Value::Object(object) if object.len() == 1 => {
                let (symbol, operand) = object.iter().next().expect("it has one member");
                operation(symbol, operand, &child(at, symbol), depth)?
            }
            other => {
                let want = "an expression: a literal, or an object of one operator";
                return Err(DefinitionError::new(at, describe(other), want));
            }
        };
    Ok(Expr {
        at: at.to_owned(),
        kind,
    })
}

fn operation(symbol: &str, operand: &Value, at: &str, depth: usize) -> Result<ExprKind> {
    match symbol {
        "var" => Ok(ExprKind::Var(single_text(
            operand,
            at,
            "the name of a variable",
        )?)),
        "count" => Ok(ExprKind::Count {
            record: single_text(operand, at, "the name of a record")?,
        }),
        "get" => match operand.as_array().map(Vec::as_slice) {
            Some([Value::String(record), key]) => Ok(ExprKind::Get {
                record: record.clone(),
                key: key_parts(key, &child(at, "1"), depth + 1)?,
                field: None,
            }),
            Some([Value::String(record), key, Value::String(field)]) => Ok(ExprKind::Get {
                record: record.clone(),
                key: key_parts(key, &child(at, "1"), depth + 1)?,
                field: Some(field.clone()),
            }),
            _ => Err(DefinitionError::new(
                at,
                describe(operand),
                "[RECORD,KEY] or [RECORD,KEY,FIELD]",
            )),
        },
        "exists" => match operand.as_array().map(Vec::as_slice) {
            Some([Value::String(record), key]) => Ok(ExprKind::Exists {
                record: record.clone(),
                key: key_parts(key, &child(at, "1"), depth + 1)?,
            }),
            _ => Err(DefinitionError::new(at, describe(operand), "[RECORD,KEY]")),
        },
        _ => {
            let op = Op::parse(symbol).ok_or_else(|| {
                DefinitionError::new(
                    at,
                    format!("the unknown operator \"{symbol}\""),
                    "an operator of the language",
                )
            })?;
            operator(op, operand, at, depth)
        }
    }
}

/// A record's key: an expression, or an array of one for each part.
pub(super) fn key_parts(value: &Value, at: &str, depth: usize) -> Result<Vec<Expr>> {
    let Value::Array(parts) = value else {
        return Ok(vec![expression(value, at, depth)?]);
    };
    if parts.is_empty() || parts.len() > KEY_PARTS_MAX {
        let want = format!("a key of 1 to {KEY_PARTS_MAX} parts");
        return Err(DefinitionError::new(at, describe(value), want));
    }
    parts
        .iter()
        .enumerate()
        .map(|(i, part)| expression(part, &child(at, &i.to_string()), depth))
        .collect()
}

fn operator(op: Op, operand: &Value, at: &str, depth: usize) -> Result<ExprKind> {
    let (least, most) = op.operands();
    // JsonLogic lets a single operand stand without its array.
    let single = std::slice::from_ref(operand);
    let list = operand.as_array().map_or(single, Vec::as_slice);
    let even_if = op == Op::If && list.len().is_multiple_of(2);
    if list.len() < least || list.len() > most || even_if {
        let want = match op {
            Op::If => "[CONDITION,VALUE,…,ELSE], an odd number of operands".to_owned(),
            _ if least == most => format!("{least} operands"),
            _ => format!("{least} to {most} operands"),
        };
        return Err(DefinitionError::new(
            at,
            format!("{} operands", list.len()),
            want,
        ));
    }
    let operands = list
        .iter()
        .enumerate()
        .map(|(i, value)| {
            let at = if operand.is_array() {
                child(at, &i.to_string())
            } else {
                at.to_owned()
            };
            expression(value, &at, depth + 1)
        })
        .collect::<Result<_>>()?;
    Ok(ExprKind::Op(op, operands))
}

/// A text, or an array of one.
fn single_text(value: &Value, at: &str, want: &str) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Array(list) => match list.as_slice() {
            [Value::String(text)] => Ok(text.clone()),
            _ => Err(DefinitionError::new(at, describe(value), want)),
        },
        other => Err(DefinitionError::new(at, describe(other), want)),
    }
}
