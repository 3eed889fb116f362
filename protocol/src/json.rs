//! Strict JSON: what a token may hold, and the one canonical way to write a record.

pub(crate) mod scan;

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::units::INTEGER_MAX;

/// How deep a token's claims may nest; the claims object itself is level 1.
///
/// Source: SPEC.md section 1.
pub const JSON_DEPTH_MAX: usize = 16;

/// Why a JSON text is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON at all.
    #[error("not JSON: {0}")]
    Syntax(String),
    /// Two members of one object have the same name.
    #[error("member {0:?} stands twice")]
    Duplicate(String),
    /// A number with a fraction or an exponent, or too long for 64 bits.
    #[error("a number is not an integer")]
    Float,
    /// An integer beyond ±(2^53 − 1).
    #[error("{0} is outside ±(2^53 - 1)")]
    IntegerRange(i128),
    /// Arrays and objects nest too deep.
    #[error("nested deeper than {max} levels")]
    Depth {
        /// The deepest level allowed.
        max: usize,
    },
}

impl JsonError {
    /// The error's short name.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Syntax(_) => "json_syntax",
            Self::Duplicate(_) => "duplicate_member",
            Self::Float => "float",
            Self::IntegerRange(_) => "integer_range",
            Self::Depth { .. } => "nesting_depth",
        }
    }
}

/// Reads a JSON text strictly into a tree.
///
/// Refused are duplicate members, numbers that are not integers within ±(2^53 − 1), and arrays and objects nested
/// deeper than `depth_max`. White space between tokens is allowed, as JSON has it.
///
/// # Errors
/// [`JsonError`], the first one in the text.
pub fn parse_strict(text: &str, depth_max: usize) -> Result<Value, JsonError> {
    walk(text, depth_max, Tree)
}

/// Checks a JSON text by the rules of [`parse_strict`] without building anything.
pub(crate) fn check_strict(text: &str, depth_max: usize) -> Result<(), JsonError> {
    walk(text, depth_max, Nothing)
}

/// Writes a value canonically (RFC 8785): members sorted by their UTF-16 names, no white space.
///
/// Integers are written in full decimal digits over all of i64 and u64. (RFC 8785 knows doubles alone; up to 2^53 the two agree.)
pub fn canonical(value: &Value) -> String {
    let mut out = String::new();
    write_canonical(value, &mut out);
    out
}

/// Appends what [`canonical`] gives.
pub fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            // Of ASCII names, which nearly all are, the order is that of their bytes, and a map's own.
            let is_sorted = members.is_sorted_by(|(a, _), (b, _)| a < b)
                && members.iter().all(|(name, _)| name.is_ascii());
            if !is_sorted {
                members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            }
            out.push('{');
            for (i, (name, member)) in members.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_text(name, out);
                out.push(':');
                write_canonical(member, out);
            }
            out.push('}');
        }
        Value::String(text) => write_text(text, out),
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(&number.to_string()),
    }
}

/// Appends a JSON string, as RFC 8785 writes it.
pub fn write_text(text: &str, out: &mut String) {
    let is_escaped = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    if text.bytes().any(is_escaped) {
        // `serde_json` escapes exactly what RFC 8785 escapes.
        out.push_str(&serde_json::to_string(text).expect("a string always serializes"));
        return;
    }
    out.push('"');
    out.push_str(text);
    out.push('"');
}

/// A JSON value without parts.
enum Leaf<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    Text(&'a str),
}

/// What a walk over a JSON text makes of it.
trait Build: Copy {
    type Out;
    fn leaf(self, leaf: Leaf<'_>) -> Self::Out;
    fn array(self, items: Vec<Self::Out>) -> Self::Out;
    fn object(self, members: Vec<(Cow<'_, str>, Self::Out)>) -> Self::Out;
}

#[derive(Clone, Copy)]
struct Tree;

impl Build for Tree {
    type Out = Value;

    fn leaf(self, leaf: Leaf<'_>) -> Value {
        match leaf {
            Leaf::Null => Value::Null,
            Leaf::Bool(value) => Value::Bool(value),
            Leaf::Integer(value) => Value::from(value),
            Leaf::Text(text) => Value::from(text),
        }
    }

    fn array(self, items: Vec<Value>) -> Value {
        Value::Array(items)
    }

    fn object(self, members: Vec<(Cow<'_, str>, Value)>) -> Value {
        let members = members.into_iter();
        Value::Object(Map::from_iter(members.map(|(k, v)| (k.into_owned(), v))))
    }
}

#[derive(Clone, Copy)]
struct Nothing;

impl Build for Nothing {
    type Out = ();

    fn leaf(self, _: Leaf<'_>) {}

    fn array(self, _: Vec<()>) {}

    fn object(self, _: Vec<(Cow<'_, str>, ())>) {}
}

fn walk<B: Build>(text: &str, depth_max: usize, build: B) -> Result<B::Out, JsonError> {
    let error = Cell::new(None);
    let mut reader = serde_json::Deserializer::from_str(text);
    let node = Node {
        build,
        error: &error,
        depth: 0,
        depth_max,
    };
    let result = node.deserialize(&mut reader);
    let result = result.and_then(|out| reader.end().map(|()| out));
    result.map_err(|syntax| {
        error
            .take()
            .unwrap_or_else(|| JsonError::Syntax(syntax.to_string()))
    })
}

/// One value of the text. serde's errors are texts, so the named error travels beside, in `error`.
struct Node<'e, B> {
    build: B,
    error: &'e Cell<Option<JsonError>>,
    depth: usize,
    depth_max: usize,
}

impl<B: Build> Node<'_, B> {
    fn fail<E: serde::de::Error>(&self, error: JsonError) -> E {
        let text = error.to_string();
        self.error.set(Some(error));
        E::custom(text)
    }

    fn integer<E: serde::de::Error>(&self, value: i128) -> Result<B::Out, E> {
        if value.unsigned_abs() > u128::from(INTEGER_MAX) {
            return Err(self.fail(JsonError::IntegerRange(value)));
        }
        let value = i64::try_from(value).expect("within 53 bits");
        Ok(self.build.leaf(Leaf::Integer(value)))
    }

    /// The node inside an array or object.
    fn inner<E: serde::de::Error>(&self) -> Result<Self, E> {
        if self.depth == self.depth_max {
            let max = self.depth_max;
            return Err(self.fail(JsonError::Depth { max }));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..*self
        })
    }
}

impl<'de, B: Build> DeserializeSeed<'de> for Node<'_, B> {
    type Value = B::Out;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<B::Out, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de, B: Build> Visitor<'de> for Node<'_, B> {
    type Value = B::Out;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<B::Out, E> {
        Ok(self.build.leaf(Leaf::Null))
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<B::Out, E> {
        Ok(self.build.leaf(Leaf::Bool(value)))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<B::Out, E> {
        self.integer(value.into())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<B::Out, E> {
        self.integer(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<B::Out, E> {
        Err(self.fail(JsonError::Float))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<B::Out, E> {
        Ok(self.build.leaf(Leaf::Text(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<B::Out, A::Error> {
        let mut out = Vec::new();
        let inner = self.inner()?;
        while let Some(item) = items.next_element_seed(Node { ..inner })? {
            out.push(item);
        }
        Ok(self.build.array(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<B::Out, A::Error> {
        let mut out = Vec::new();
        let inner = self.inner()?;
        while let Some(name) = members.next_key_seed(Name)? {
            out.push((name, members.next_value_seed(Node { ..inner })?));
        }
        if let Some(name) = duplicate(&mut out) {
            return Err(self.fail(JsonError::Duplicate(name)));
        }
        Ok(self.build.object(out))
    }
}

/// Sorts the members by name; the first name that stands twice, if any.
pub(crate) fn duplicate<T>(members: &mut [(Cow<'_, str>, T)]) -> Option<String> {
    members.sort_by(|(a, _), (b, _)| a.cmp(b));
    let twice = members.windows(2).find(|pair| pair[0].0 == pair[1].0)?;
    Some(twice[0].0.to_string())
}

/// Reads a member's name, borrowed where it has no escapes.
pub(crate) struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reason(text: &str) -> &'static str {
        let error = parse_strict(text, 4).expect_err(text);
        assert_eq!(check_strict(text, 4), Err(error.clone()));
        error.reason()
    }

    #[test]
    fn refusals_are_named() {
        assert_eq!(
            reason(r#"{"a":1,"b":{"c":2,"\u0063":3}}"#),
            "duplicate_member"
        );
        assert_eq!(reason("[1.0]"), "float");
        assert_eq!(reason("1e3"), "float");
        assert_eq!(reason("-0"), "float");
        assert_eq!(reason("99999999999999999999999"), "float");
        assert_eq!(reason("9007199254740992"), "integer_range");
        assert_eq!(reason("-9007199254740992"), "integer_range");
        assert_eq!(reason("18446744073709551615"), "integer_range");
        assert_eq!(reason("[[[[[1]]]]]"), "nesting_depth");
        assert_eq!(reason("{} {}"), "json_syntax");
        assert_eq!(reason("[01]"), "json_syntax");
        assert_eq!(reason(r#""\ud800""#), "json_syntax");
        assert_eq!(reason("\"\u{1}\""), "json_syntax");
        assert_eq!(reason(""), "json_syntax");
        assert_eq!(reason(&"[".repeat(100_000)), "nesting_depth");
    }

    #[test]
    fn edges_are_accepted() {
        for good in [
            "[[[[1]]]]",
            "-9007199254740991",
            "9007199254740991",
            " null\n",
        ] {
            assert!(parse_strict(good, 4).is_ok(), "{good}");
            assert_eq!(check_strict(good, 4), Ok(()));
        }
    }

    #[test]
    fn canonical_form_follows_rfc_8785() {
        // The sorting example of RFC 8785 section 3.2.3: by UTF-16 code units, not by code points.
        let text = r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",
            "\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#;
        let names: Vec<String> = {
            let canonical = canonical(&parse_strict(text, 2).unwrap());
            let pairs = canonical.trim_matches(['{', '}']).split("\",\"");
            pairs
                .map(|p| p.split("\":").next().unwrap().trim_matches('"').to_owned())
                .collect()
        };
        assert_eq!(
            names,
            ["\\r", "1", "\u{80}", "ö", "€", "\u{1f600}", "\u{fb33}"]
        );
        let value = parse_strict(r#"{"b":[1, true ,null],"a":"\u0007\u0008/\"\\é\u000f"}"#, 3);
        let want = r#"{"a":"\u0007\b/\"\\é\u000f","b":[1,true,null]}"#;
        assert_eq!(canonical(&value.unwrap()), want);
        assert_eq!(canonical(&Value::from(i64::MIN)), "-9223372036854775808");
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json_on_what_it_accepts(text in r#"[\[\]{}:,"a-c0-9.e \\-]{0,24}"#) {
            if let Ok(value) = parse_strict(&text, 8) {
                prop_assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), &value);
                let canonical = canonical(&value);
                prop_assert_eq!(parse_strict(&canonical, 8).unwrap(), value);
            }
        }
    }
}
