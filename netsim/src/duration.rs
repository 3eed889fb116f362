//! Durations as users write them: `90`, `90s`, `5m`, `1h`, `500ms`.

use std::time::Duration;

/// Reads a duration; a bare number counts seconds.
///
/// # Errors
/// A text for the user, where it is none.
pub fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let millis = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(format!("{unit:?} is no unit; want ms, s, m or h")),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "want a number and a unit, as in 90s or 5m".to_owned())?;
    let millis = number.checked_mul(millis).ok_or("too long")?;
    Ok(Duration::from_millis(millis))
}

/// Writes a duration in seconds, with a tenth where it is short.
pub fn show(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 10.0 {
        return format!("{seconds:.1} s");
    }
    format!("{seconds:.0} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_with_units() {
        let cases = [
            ("90", 90_000),
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("500ms", 500),
        ];
        for (text, millis) in cases {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "1d", "-1s", "1.5s", "18446744073709551615h"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
