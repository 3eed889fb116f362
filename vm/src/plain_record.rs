//! The members of a record's canonical text, as slices of it: for those that hold nothing but integers, booleans and texts without escapes.

/// Members of a record at the most; one that has more is read as a tree.
const MEMBERS_MAX: usize = 16;

/// A value that stands in the text as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plain<'t> {
    Integer(i64),
    Bool(bool),
    Text(&'t str),
}

/// The members of a plain record, in their order.
#[derive(Debug)]
pub(crate) struct PlainMembers<'t> {
    members: [(&'t str, Plain<'t>); MEMBERS_MAX],
    len: usize,
}

impl<'t> PlainMembers<'t> {
    /// Splits canonical JSON; `None` where it is not plain, or not canonical.
    pub(crate) fn of(text: &'t str) -> Option<Self> {
        let mut rest = text.strip_prefix('{')?.strip_suffix('}')?;
        let members = [("", Plain::Bool(false)); MEMBERS_MAX];
        let mut found = Self { members, len: 0 };
        while !rest.is_empty() {
            if found.len > 0 {
                rest = rest.strip_prefix(',')?;
            }
            let (name, after) = quoted(rest)?;
            let (value, after) = value(after.strip_prefix(':')?)?;
            *found.members.get_mut(found.len)? = (name, value);
            found.len += 1;
            rest = after;
        }
        // Canonical order; so no name stands twice.
        found
            .all()
            .is_sorted_by(|(a, _), (b, _)| a < b)
            .then_some(found)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn all(&self) -> &[(&'t str, Plain<'t>)] {
        &self.members[..self.len]
    }

    /// The value of a member.
    pub(crate) fn find(&self, name: &str) -> Option<Plain<'t>> {
        let found = self.all().iter().find(|(member, _)| *member == name);
        found.map(|(_, value)| *value)
    }
}

/// A text without escapes at the start, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('"')?;
    let end = inner
        .bytes()
        .position(|byte| byte == b'"' || byte == b'\\')?;
    let (text, rest) = inner.split_at(end);
    Some((text, rest.strip_prefix('"')?))
}

fn value(text: &str) -> Option<(Plain<'_>, &str)> {
    if text.starts_with('"') {
        let (text, rest) = quoted(text)?;
        return Some((Plain::Text(text), rest));
    }
    let end = text.find(',').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let value = match word {
        "true" => Plain::Bool(true),
        "false" => Plain::Bool(false),
        _ => Plain::Integer(integer(word)?),
    };
    Some((value, rest))
}

/// An integer as canonical JSON writes it.
fn integer(word: &str) -> Option<i64> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    let is_canonical =
        digits == word && digits == "0" || matches!(digits.as_bytes(), [b'1'..=b'9', ..]);
    word.parse().ok().filter(|_| is_canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_members_are_slices() {
        let text = r#"{"a":-12,"b":"x, y","c":true,"d":"","e":9223372036854775807}"#;
        let members = PlainMembers::of(text).unwrap();
        let want = [
            ("a", Plain::Integer(-12)),
            ("b", Plain::Text("x, y")),
            ("c", Plain::Bool(true)),
            ("d", Plain::Text("")),
            ("e", Plain::Integer(i64::MAX)),
        ];
        assert_eq!(members.all(), want);
        assert_eq!(members.find("c"), Some(Plain::Bool(true)));
        assert_eq!(members.find("f"), None);
        assert_eq!(PlainMembers::of("{}").unwrap().len(), 0);
    }

    #[test]
    fn everything_else_is_left_to_the_reader_of_trees() {
        for text in [
            "",
            "{",
            "[]",
            r#"{"a":null}"#,
            r#"{"a":1.5}"#,
            r#"{"a":-0}"#,
            r#"{"a":+1}"#,
            r#"{"a":01}"#,
            r#"{"a":9223372036854775808}"#,
            r#"{"a":[1]}"#,
            r#"{"a":{"b":1}}"#,
            r#"{"a":"\u0007"}"#,
            r#"{"a":"\""}"#,
            r#"{"a":1,}"#,
            r#"{"a":1"b":2}"#,
            r#"{"b":1,"a":2}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a": 1}"#,
            r#"{"a":1} "#,
        ] {
            assert!(PlainMembers::of(text).is_none(), "{text}");
        }
        let many: Vec<String> = (10..27).map(|i| format!("\"{i}\":1")).collect();
        assert!(PlainMembers::of(&format!("{{{}}}", many[..16].join(","))).is_some());
        assert!(PlainMembers::of(&format!("{{{}}}", many.join(","))).is_none());
    }
}
