//! Settings as a file that can be used as it stands.

use std::fmt;

use toml::Value;

use super::{Settings, command, table};

impl fmt::Display for Settings {
    /// The settings in TOML, each under its description; those that are not set stand there as comments.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = table(self);
        writeln!(f, "# lyceum node --config FILE")?;
        let mut heading = None;
        for argument in command().get_arguments() {
            let key = argument.get_id().as_str();
            let part = argument.get_help_heading();
            if part != heading {
                heading = part;
                writeln!(f, "\n# {}", part.unwrap_or_default().to_uppercase())?;
            }
            let help = argument.get_help().map(ToString::to_string);
            writeln!(f, "\n# {}", help.unwrap_or_default())?;
            match values.get(key) {
                Some(value) => writeln!(f, "{key} = {}", one_line(value))?,
                None => {
                    let names = argument.get_value_names().unwrap_or_default();
                    writeln!(f, "#{key} = {}", names.join(" "))?;
                }
            }
        }
        Ok(())
    }
}

/// A value in one line.
fn one_line(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(one_line).collect();
            format!("[{}]", items.join(", "))
        }
        value => value.to_string(),
    }
}
