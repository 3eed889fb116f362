//! JSON as a transaction gives it: a tree whose names and texts are slices of what was read, where they have no escapes.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Given<'t> {
    /// `null`, and numbers that are no 64-bit integers.
    Other(Value),
    Bool(bool),
    Integer(i64),
    Text(Cow<'t, str>),
    Array(Vec<Given<'t>>),
    Object(Members<'t>),
}

/// An object's members, in the order of their names; no name stands twice.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Members<'t>(Vec<(Cow<'t, str>, Given<'t>)>);

impl<'t> Given<'t> {
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_object(&self) -> Option<&Members<'t>> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// A tree of its own.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Other(value) => value.clone(),
            Self::Bool(value) => Value::Bool(*value),
            Self::Integer(value) => Value::from(*value),
            Self::Text(text) => Value::from(text.as_ref()),
            Self::Array(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Self::Object(members) => Value::Object(members.to_map()),
        }
    }
}

impl<'t> Members<'t> {
    /// The members, in the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Given<'t>)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Given<'t>> {
        let found = self
            .0
            .binary_search_by(|(known, _)| known.as_ref().cmp(name));
        found.ok().map(|at| &self.0[at].1)
    }

    /// The first member whose name is none of `names`, which are sorted.
    pub(crate) fn foreign<'n>(&self, mut names: impl Iterator<Item = &'n str>) -> Option<&str> {
        let mut own = self.iter().map(|(name, _)| name);
        own.find(|own| !names.any(|name| name == *own))
    }

    pub(crate) fn to_map(&self) -> Map<String, Value> {
        let members = self.iter();
        members
            .map(|(name, value)| (name.to_owned(), value.to_value()))
            .collect()
    }

    /// Of members of one name the last one stands, as in a [`Map`].
    fn new(mut members: Vec<(Cow<'t, str>, Given<'t>)>) -> Self {
        if !members.is_sorted_by(|(a, _), (b, _)| a < b) {
            members.reverse();
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            members.dedup_by(|(a, _), (b, _)| a == b);
        }
        Self(members)
    }
}

impl<'de> Deserialize<'de> for Given<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        match Given::deserialize(reader)? {
            Given::Object(members) => Ok(members),
            _ => Err(D::Error::custom("not an object")),
        }
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Given<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Given<'de>, E> {
        Ok(Given::Other(Value::Null))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Given<'de>, E> {
        Ok(Given::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Given<'de>, E> {
        Ok(Given::Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Given<'de>, E> {
        Ok(i64::try_from(value).map_or(Given::Other(value.into()), Given::Integer))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Given<'de>, E> {
        Ok(Given::Other(value.into()))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Given<'de>, E> {
        Ok(Given::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Given<'de>, E> {
        Ok(Given::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut reader: A) -> Result<Given<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = reader.next_element()? {
            items.push(item);
        }
        Ok(Given::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut reader: A) -> Result<Given<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(Name(name)) = reader.next_key()? {
            members.push((name, reader.next_value()?));
        }
        Ok(Given::Object(Members::new(members)))
    }
}

/// A member's name.
struct Name<'t>(Cow<'t, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct NameReader;

        impl<'de> Visitor<'de> for NameReader {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }

        reader.deserialize_str(NameReader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn members_are_sorted_and_the_last_of_a_name_stands() {
        let text = r#"{"b":1,"a":[true,"x\n",null],"\u0062":{"c":-1.5},"d":18446744073709551615}"#;
        let given: Given<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(
            given.to_value(),
            serde_json::from_str::<Value>(text).unwrap()
        );
        let members = given.as_object().unwrap();
        let names: Vec<_> = members.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "b", "d"]);
        assert!(members.get("b").unwrap().as_object().is_some());
        assert_eq!(members.get("c"), None);
        assert_eq!(members.foreign(["a", "b", "c", "d"].into_iter()), None);
        assert_eq!(members.foreign(["a", "c", "d"].into_iter()), Some("b"));
        assert_eq!(members.foreign(["a", "b"].into_iter()), Some("d"));
    }

    #[test]
    fn texts_without_escapes_are_borrowed() {
        let given: Given<'_> = serde_json::from_str(r#"["plain","\u0041"]"#).unwrap();
        let want = [
            Given::Text(Cow::Borrowed("plain")),
            Given::Text(Cow::Borrowed("A")),
        ];
        assert_eq!(given, Given::Array(want.to_vec()));
        let Given::Array(items) = given else {
            unreachable!("it was an array")
        };
        let borrowed = items
            .iter()
            .map(|item| matches!(item, Given::Text(Cow::Borrowed(_))));
        assert_eq!(borrowed.collect::<Vec<_>>(), [true, false]);
    }

    proptest! {
        #[test]
        fn reads_what_a_tree_reads(text in r#"[\[\]{}:,"a-c0-9.e \\-]{0,24}"#) {
            let given = serde_json::from_str::<Given<'_>>(&text).map(|given| given.to_value());
            let value = serde_json::from_str::<Value>(&text);
            prop_assert_eq!(given.map_err(|e| e.to_string()), value.map_err(|e| e.to_string()));
        }
    }
}
