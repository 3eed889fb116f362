//! Why a definition was refused.

/// A definition that cannot be deployed: where, what was there, what was expected.
///
/// `path` is a JSON pointer (RFC 6901) into the definition; the whole document is the empty pointer, shown as `/`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: got {got}, want {want}", if path.is_empty() { "/" } else { path })]
pub struct DefinitionError {
    /// JSON pointer to the offending part.
    pub path: String,
    /// What was there.
    pub got: String,
    /// What was expected.
    pub want: String,
}

impl DefinitionError {
    pub(crate) fn new(path: &str, got: impl Into<String>, want: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            got: got.into(),
            want: want.into(),
        }
    }
}

/// Appends `segment` to the JSON pointer `path`, escaped as RFC 6901 asks.
pub(crate) fn child(path: &str, segment: &str) -> String {
    format!("{path}/{}", segment.replace('~', "~0").replace('/', "~1"))
}

/// Names the JSON type of `value` for an error message, short values spelled out.
pub(crate) fn describe(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => n.to_string(),
        Value::String(s) if s.len() <= 40 => format!("\"{s}\""),
        Value::String(s) => format!("a text of {} bytes", s.len()),
        Value::Array(a) => format!("an array of {}", a.len()),
        Value::Object(o) => format!("an object of {}", o.len()),
    }
}
