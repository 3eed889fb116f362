//! JSON → tree: shapes, names and bounds; no types yet.

use serde_json::{Map, Value};

use super::ast::{Action, Definition, Key, RecordType, Type};
use super::bounds::{
    ACTIONS_MAX, DEFINITION_BYTES_MAX, FIELDS_MAX, KEY_PARTS_MAX, KEYS_MAX, LITERAL_BYTES_MAX,
    NAME_BYTES_MAX, PARAMS_MAX, RECORDS_MAX,
};
use super::error::{DefinitionError, child, describe};
use super::parse_stmt::block;

pub(super) type Result<T> = std::result::Result<T, DefinitionError>;

/// Names that a contract cannot have: they hold the chain's own records.
const RESERVED_CONTRACTS: [&str; 3] = ["credits", "contracts", "identity"];

/// Names that no action can have: the host runs these itself.
pub(crate) const NATIVE_ACTIONS: [&str; 3] = ["transfer", "deploy_contract", "register_wallet"];

/// Names that no parameter can have: the call's own members.
const RESERVED_PARAMS: [&str; 3] = ["action", "contract", "type"];

/// Names that no field can have: an object of one such member is an expression.
pub(super) const RESERVED_FIELDS: [&str; 2] = ["var", "get"];

/// Reads a definition. `owner` is skipped: the chain adds it when a user deploys the contract.
pub(crate) fn definition(value: &Value) -> Result<Definition> {
    let object = as_object(value, "", "a contract")?;
    let bytes = value.to_string().len();
    if bytes > DEFINITION_BYTES_MAX {
        return Err(DefinitionError::new(
            "",
            format!("{bytes} bytes"),
            format!("at most {DEFINITION_BYTES_MAX}"),
        ));
    }
    members(
        object,
        "",
        &["contract", "keys", "records", "actions", "owner"],
    )?;
    let name = text(required(object, "", "contract")?, "/contract")?;
    lower_name(name, "/contract")?;
    if RESERVED_CONTRACTS.contains(&name) {
        return Err(DefinitionError::new(
            "/contract",
            format!("the reserved name \"{name}\""),
            "another name",
        ));
    }
    let keys = match object.get("keys") {
        Some(keys) => each(keys, "/keys", KEYS_MAX, key)?,
        None => Vec::new(),
    };
    let records = match object.get("records") {
        Some(records) => each(records, "/records", RECORDS_MAX, record_type)?,
        None => Vec::new(),
    };
    let actions = each(
        required(object, "", "actions")?,
        "/actions",
        ACTIONS_MAX,
        action,
    )?;
    Ok(Definition {
        name: name.to_owned(),
        keys,
        records,
        actions,
    })
}

fn key(name: &str, value: &Value, at: &str) -> Result<Key> {
    lower_name(name, at)?;
    let object = as_object(value, at, "{\"modulus\":DECIMAL}")?;
    members(object, at, &["modulus"])?;
    let modulus_at = child(at, "modulus");
    let modulus = text(required(object, at, "modulus")?, &modulus_at)?;
    Ok(Key {
        at: modulus_at,
        name: name.to_owned(),
        modulus: modulus.to_owned(),
    })
}

fn record_type(name: &str, value: &Value, at: &str) -> Result<RecordType> {
    lower_name(name, at)?;
    let object = as_object(value, at, "a record type")?;
    members(object, at, &["key", "fields", "of"])?;
    let fields = each(
        required(object, at, "fields")?,
        &child(at, "fields"),
        FIELDS_MAX,
        |name, ty, at| {
            free_name(name, at)?;
            if RESERVED_FIELDS.contains(&name) {
                return Err(DefinitionError::new(
                    at,
                    format!("the reserved name \"{name}\""),
                    "another name",
                ));
            }
            Ok((name.to_owned(), parse_type(ty, at)?))
        },
    )?;
    let key = key_fields(required(object, at, "key")?, &fields, &child(at, "key"))?;
    let of = match object.get("of") {
        Some(of) => {
            let of_at = child(at, "of");
            let of = text(of, &of_at)?;
            lower_name(of, &of_at)?;
            Some(of.to_owned())
        }
        None => None,
    };
    Ok(RecordType {
        at: at.to_owned(),
        name: name.to_owned(),
        key,
        fields,
        of,
    })
}

/// The places of the fields that make up the key: one name, or an array of several.
fn key_fields(value: &Value, fields: &[(String, Type)], at: &str) -> Result<Vec<usize>> {
    let single = std::slice::from_ref(value);
    let names = value.as_array().map_or(single, Vec::as_slice);
    if names.is_empty() || names.len() > KEY_PARTS_MAX {
        let want = format!("the name of a field, or an array of 1 to {KEY_PARTS_MAX}");
        return Err(DefinitionError::new(at, describe(value), want));
    }
    let mut places = Vec::with_capacity(names.len());
    for name in names {
        let name = text(name, at)?;
        match fields.iter().position(|(field, _)| field == name) {
            Some(place) if !places.contains(&place) => places.push(place),
            Some(_) => {
                return Err(DefinitionError::new(
                    at,
                    format!("\"{name}\" twice"),
                    "each field once",
                ));
            }
            None => {
                return Err(DefinitionError::new(
                    at,
                    format!("\"{name}\""),
                    "the name of a field",
                ));
            }
        }
    }
    Ok(places)
}

fn parse_type(value: &Value, at: &str) -> Result<Type> {
    Ok(match text(value, at)? {
        "int" => Type::Int,
        "bool" => Type::Bool,
        "text" => Type::Text,
        "wallet" => Type::Wallet,
        "json" => Type::Json,
        other => match other.strip_prefix("encrypted:") {
            Some(key) => Type::Encrypted(key.to_owned()),
            None => Type::Record(other.to_owned()),
        },
    })
}

fn action(name: &str, value: &Value, at: &str) -> Result<Action> {
    lower_name(name, at)?;
    if NATIVE_ACTIONS.contains(&name) {
        return Err(DefinitionError::new(
            at,
            format!("the native action \"{name}\""),
            "another name",
        ));
    }
    let object = as_object(value, at, "an action")?;
    members(object, at, &["params", "do"])?;
    let params = match object.get("params") {
        Some(params) => each(params, &child(at, "params"), PARAMS_MAX, |name, ty, at| {
            free_name(name, at)?;
            if RESERVED_PARAMS.contains(&name) {
                return Err(DefinitionError::new(
                    at,
                    format!("the reserved name \"{name}\""),
                    "another name",
                ));
            }
            Ok((name.to_owned(), parse_type(ty, at)?))
        })?,
        None => Vec::new(),
    };
    let mut statements = 0;
    let body = block(
        required(object, at, "do")?,
        &child(at, "do"),
        0,
        &mut statements,
    )?;
    Ok(Action {
        at: at.to_owned(),
        name: name.to_owned(),
        params,
        body,
    })
}

fn each<T>(
    value: &Value,
    at: &str,
    most: usize,
    mut item: impl FnMut(&str, &Value, &str) -> Result<T>,
) -> Result<Vec<T>> {
    let object = as_object(value, at, "an object")?;
    if object.len() > most {
        return Err(DefinitionError::new(
            at,
            format!("{} members", object.len()),
            format!("at most {most}"),
        ));
    }
    object
        .iter()
        .map(|(name, value)| item(name, value, &child(at, name)))
        .collect()
}

pub(super) fn members(object: &Map<String, Value>, at: &str, allowed: &[&str]) -> Result<()> {
    match object.keys().find(|key| !allowed.contains(&key.as_str())) {
        Some(key) => Err(DefinitionError::new(
            &child(at, key),
            "an unknown member",
            allowed.join(", "),
        )),
        None => Ok(()),
    }
}

pub(super) fn required<'a>(
    object: &'a Map<String, Value>,
    at: &str,
    name: &str,
) -> Result<&'a Value> {
    object
        .get(name)
        .ok_or_else(|| DefinitionError::new(at, "nothing", format!("the member \"{name}\"")))
}

pub(super) fn as_object<'a>(
    value: &'a Value,
    at: &str,
    want: &str,
) -> Result<&'a Map<String, Value>> {
    value
        .as_object()
        .ok_or_else(|| DefinitionError::new(at, describe(value), want))
}

pub(super) fn as_array<'a>(value: &'a Value, at: &str, want: &str) -> Result<&'a [Value]> {
    value
        .as_array()
        .map(Vec::as_slice)
        .ok_or_else(|| DefinitionError::new(at, describe(value), want))
}

pub(super) fn text<'a>(value: &'a Value, at: &str) -> Result<&'a str> {
    value
        .as_str()
        .ok_or_else(|| DefinitionError::new(at, describe(value), "a text"))
}

pub(super) fn bounded_text<'a>(value: &'a Value, at: &str) -> Result<&'a str> {
    let text = text(value, at)?;
    if text.len() > LITERAL_BYTES_MAX {
        let got = format!("{} bytes", text.len());
        return Err(DefinitionError::new(
            at,
            got,
            format!("at most {LITERAL_BYTES_MAX}"),
        ));
    }
    Ok(text)
}

/// `[a-z][a-z0-9_]*`: a name that becomes part of a path.
pub(crate) fn is_lower_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn lower_name(name: &str, at: &str) -> Result<()> {
    match is_lower_name(name) {
        true => Ok(()),
        false => {
            let want = format!("a name [a-z][a-z0-9_]* of at most {NAME_BYTES_MAX} bytes");
            Err(DefinitionError::new(at, format!("\"{name}\""), want))
        }
    }
}

/// `[A-Za-z][A-Za-z0-9_]*`: a field, parameter, local or event.
pub(super) fn free_name(name: &str, at: &str) -> Result<()> {
    let good = name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    match good {
        true => Ok(()),
        false => {
            let want = format!("a name [A-Za-z][A-Za-z0-9_]* of at most {NAME_BYTES_MAX} bytes");
            Err(DefinitionError::new(at, format!("\"{name}\""), want))
        }
    }
}
