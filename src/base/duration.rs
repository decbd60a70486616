//! Durations such as `120s`, `5m`, `1m30s` and `2h`.
//!
//! Owns the notation that `ghdeploy.yml` and the command line share. Never reads a clock.

use std::time::Duration;

/// Units from large to small, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Parses a duration: one or more numbers, each with its unit (`d`, `h`, `m`, `s`, `ms`), larger units first.
/// A number without a unit is refused because it could mean seconds or minutes.
///
/// # Errors
///
/// If the text is not a duration. The message shows the notation.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration; write it like `90s`, `5m` or `1m30s`");
    let mut rest = text.trim();
    if !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{text}` has no unit; write `{rest}s` for seconds or `{rest}m` for minutes"));
    }
    let mut total: u64 = 0;
    let mut smaller = &UNITS[..];
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(rest.len());
        let unit = smaller.iter().position(|(name, _)| *name == &rest[..letters]).ok_or_else(wrong)?;
        let millis = number.checked_mul(smaller[unit].1).ok_or_else(wrong)?;
        total = total.checked_add(millis).ok_or_else(wrong)?;
        smaller = &smaller[unit + 1..];
        rest = rest[letters..].trim_start();
        if rest.is_empty() {
            return Ok(Duration::from_millis(total));
        }
    }
}

/// Shows a duration in this notation, to the second: `1m 30s`.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let secs = duration.as_secs();
    let parts = [(secs / 3600, "h"), (secs / 60 % 60, "m"), (secs % 60, "s")];
    let shown: Vec<String> = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, unit)| format!("{number}{unit}"))
        .collect();
    if shown.is_empty() { format!("{}ms", duration.as_millis()) } else { shown.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_to_the_second() {
        for (secs, shown) in [(45, "45s"), (90, "1m 30s"), (7_200, "2h"), (3_661, "1h 1m 1s")] {
            assert_eq!(show_duration(Duration::from_secs(secs)), shown);
        }
        assert_eq!(show_duration(Duration::from_millis(500)), "500ms");
    }

    #[test]
    fn durations_are_parsed() {
        for (text, millis) in [
            ("120s", 120_000),
            ("5m", 300_000),
            ("1m30s", 90_000),
            ("1h 5m", 3_900_000),
            ("2h", 7_200_000),
            ("0s", 0),
            ("1500ms", 1_500),
            ("1d", 86_400_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn other_text_is_refused_with_the_notation() {
        for text in
            ["", "s", "5 minutes", "5M", "-5s", "1.5h", "5s5m", "5s5s", "5m3", "99999999999999999999s"]
        {
            let message = parse_duration(text).unwrap_err();
            assert!(message.contains("write it like `90s`"), "{text}: {message}");
        }
        assert_eq!(
            parse_duration("30").unwrap_err(),
            "`30` has no unit; write `30s` for seconds or `30m` for minutes"
        );
    }
}
