//! A quick look at JSON as programs write it: one pass over the bytes that builds nothing.
//!
//! It knows only what is plain: no white space, no escapes, integers alone, few members. What it takes, the strict reader takes too, and in the
//! same way; what it does not take it leaves to that reader, which also says what is wrong.

use crate::units::INTEGER_MAX;

/// Members of an object at the most: their names are compared with each other.
const MEMBERS_MAX: usize = 16;
/// Digits of the largest integer.
const DIGITS_MAX: usize = 16;

/// The members of an object, names and raw values in their order, if all of `text` is plain and nested no deeper than `depth_max`.
pub(crate) fn members(text: &str, depth_max: usize) -> Option<Vec<(&str, &str)>> {
    let mut scan = Scan { text, at: 0 };
    let mut members = Vec::with_capacity(10);
    scan.object(depth_max, &mut |name, value| members.push((name, value)))?;
    (scan.at == text.len()).then_some(members)
}

/// How many values an array has, if all of them are objects, and all of `text` is plain and nested no deeper than `depth_max`.
pub(crate) fn objects(text: &str, depth_max: usize) -> Option<usize> {
    let mut scan = Scan { text, at: 0 };
    let mut objects = 0;
    let mut others = 0;
    scan.array(depth_max, &mut |value| match value.starts_with('{') {
        true => objects += 1,
        false => others += 1,
    })?;
    (scan.at == text.len() && others == 0).then_some(objects)
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Scan<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next.then_some(())
    }

    fn value(&mut self, depth_left: usize) -> Option<&'t str> {
        let start = self.at;
        match self.peek()? {
            b'"' => {
                self.quoted()?;
            }
            b'{' => self.object(depth_left, &mut |_, _| {})?,
            b'[' => self.array(depth_left, &mut |_| {})?,
            b't' => self.word("true")?,
            b'f' => self.word("false")?,
            b'n' => self.word("null")?,
            _ => self.integer()?,
        }
        Some(&self.text[start..self.at])
    }

    fn object(&mut self, depth_left: usize, each: &mut dyn FnMut(&'t str, &'t str)) -> Option<()> {
        let depth_left = depth_left.checked_sub(1)?;
        self.take(b'{')?;
        let mut names = [""; MEMBERS_MAX];
        let mut count = 0;
        while self.take(b'}').is_none() {
            if count > 0 {
                self.take(b',')?;
            }
            let name = self.quoted()?;
            self.take(b':')?;
            let value = self.value(depth_left)?;
            if names[..count].contains(&name) {
                return None;
            }
            *names.get_mut(count)? = name;
            count += 1;
            each(name, value);
        }
        Some(())
    }

    fn array(&mut self, depth_left: usize, each: &mut dyn FnMut(&'t str)) -> Option<()> {
        let depth_left = depth_left.checked_sub(1)?;
        self.take(b'[')?;
        let mut is_first = true;
        while self.take(b']').is_none() {
            if !is_first {
                self.take(b',')?;
            }
            is_first = false;
            each(self.value(depth_left)?);
        }
        Some(())
    }

    /// A text without its quotes.
    fn quoted(&mut self) -> Option<&'t str> {
        self.take(b'"')?;
        let inner = &self.text.as_bytes()[self.at..];
        let ends = |byte: &u8| *byte == b'"' || *byte == b'\\' || *byte < b' ';
        let length = inner.iter().position(ends)?;
        let text = &self.text[self.at..self.at + length];
        self.at += length;
        self.take(b'"')?;
        Some(text)
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let is_next = self.text[self.at..].starts_with(word);
        self.at += word.len();
        is_next.then_some(())
    }

    fn integer(&mut self) -> Option<()> {
        let is_negative = self.take(b'-').is_some();
        let digits = &self.text.as_bytes()[self.at..];
        let is_digit = |byte: &&u8| byte.is_ascii_digit();
        let length = digits
            .iter()
            .take(DIGITS_MAX + 1)
            .take_while(is_digit)
            .count();
        let digits = &digits[..length];
        let is_canonical = match digits {
            [] => false,
            [b'0', ..] => length == 1 && !is_negative,
            _ => length <= DIGITS_MAX,
        };
        let add = |sum: u64, digit: &u8| sum * 10 + u64::from(digit - b'0');
        self.at += length;
        (is_canonical && digits.iter().fold(0, add) <= INTEGER_MAX).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::check_strict;
    use super::*;

    #[test]
    fn members_are_slices() {
        let text = r#"{"a":[{"b":{}},[]],"c":-9007199254740991,"d":"é ","e":true,"f":null,"":0}"#;
        let want = [
            ("a", r#"[{"b":{}},[]]"#),
            ("c", "-9007199254740991"),
            ("d", "\"é \""),
            ("e", "true"),
            ("f", "null"),
            ("", "0"),
        ];
        assert_eq!(members(text, 4).unwrap(), want);
        assert_eq!(members(text, 3), None);
        assert_eq!(members("{}", 1).unwrap(), []);
        assert_eq!(members("{}", 0), None);
        assert_eq!(objects(r#"[{},{"a":[1]}]"#, 3), Some(2));
        assert_eq!(objects("[]", 3), Some(0));
        assert_eq!(objects("[{},1]", 3), None);
        assert_eq!(objects("[{}]x", 3), None);
    }

    #[test]
    fn what_is_not_plain_is_left() {
        for text in [
            "",
            "[]",
            "{",
            "{} ",
            " {}",
            r#"{"a": 1}"#,
            r#"{"a":1,}"#,
            r#"{,"a":1}"#,
            r#"{"a":1"b":2}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":"\n"}"#,
            "{\"a\":\"\u{1}\"}",
            r#"{"a":"x}"#,
            r#"{"a":-0}"#,
            r#"{"a":01}"#,
            r#"{"a":1.5}"#,
            r#"{"a":1e3}"#,
            r#"{"a":-}"#,
            r#"{"a":9007199254740992}"#,
            r#"{"a":10000000000000000000000}"#,
            r#"{"a":truth}"#,
            r#"{"a":tru}"#,
            r#"{"a":tré}"#,
            r#"{"a":[1,]}"#,
            r#"{"a":[,1]}"#,
            r#"{"a":[1}"#,
        ] {
            assert_eq!(members(text, 4), None, "{text}");
        }
        let many: Vec<String> = (0..17).map(|i| format!("\"{i}\":1")).collect();
        assert!(members(&format!("{{{}}}", many[..16].join(",")), 1).is_some());
        assert_eq!(members(&format!("{{{}}}", many.join(",")), 1), None);
    }

    proptest! {
        #[test]
        fn what_it_takes_the_strict_reader_takes(inner in r#"([\[\]{}:,"a0-9.e \\-]|"[ab]":|[0-9]{1,20}|true|null|\{\}){0,10}"#) {
            for text in [inner.clone(), format!("{{{inner}}}"), format!("{{\"a\":{inner}}}")] {
                if let Some(members) = members(&text, 3) {
                    prop_assert_eq!(check_strict(&text, 3), Ok(()));
                    let tree: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
                    prop_assert_eq!(members.len(), tree.len());
                    for (name, value) in members {
                        let value: serde_json::Value = serde_json::from_str(value).unwrap();
                        prop_assert_eq!(&tree[name], &value);
                    }
                }
            }
        }
    }
}
