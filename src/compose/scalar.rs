//! Parses scalars like Compose.
//!
//! Owns numbers, booleans, sizes, durations and command lines, so that two notations of one value compare
//! equal.

use super::yaml::Text;

/// Returns the text of a scalar where Compose expects a string: `0x10` without quotes is 16, `1.0` is 1.
pub(super) fn display(text: &Text) -> String {
    if text.plain {
        if let Some(other) = number(&text.text).or_else(|| timestamp(&text.text)) {
            return other;
        }
        match &*text.text {
            "true" | "True" | "TRUE" => return "true".to_owned(),
            "false" | "False" | "FALSE" => return "false".to_owned(),
            _ => {}
        }
    }
    text.text.to_string()
}

/// Returns a date, with or without a time, as Go prints it; `None` if the text is not a date.
pub(super) fn timestamp(text: &str) -> Option<String> {
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, time.trim_end_matches(['Z', 'z'])),
        None => (text, "00:00:00"),
    };
    let fits = |part: &str, digits: std::ops::RangeInclusive<usize>, last: u32| {
        let number = part.parse().ok().filter(|number| (1..=last).contains(number));
        number.is_some() && digits.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts[..] else { return None };
    let is_time = time.split(':').count() == 3
        && time.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
    let is_date = fits(year, 4..=4, 9999) && fits(month, 1..=2, 12) && fits(day, 1..=2, 31);
    (is_date && is_time).then(|| format!("{year}-{month:0>2}-{day:0>2} {time} +0000 UTC"))
}

/// Returns a number as Go's YAML reader parses and Go prints it; `None` if the text is not a number.
pub(super) fn number(text: &str) -> Option<String> {
    let first = text.chars().next()?;
    if !(first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return None;
    }
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    if let Some(integer) = integer(&plain) {
        return Some(integer.to_string());
    }
    let digits = plain.trim_start_matches(['+', '-']);
    let looks_right = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.contains(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    let value = plain.parse::<f64>().ok().filter(|_| looks_right)?;
    Some(float(value))
}

/// Returns a float as Go's `%v` prints it: with an exponent below 1e-4 and from 1e6 on.
fn float(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

fn integer(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    i128::from_str_radix(digits, radix).ok().map(|value| sign * value)
}

/// Parses a boolean of YAML 1.1 or of Go's `strconv.ParseBool`.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" | "y" | "yes" | "on" => Some(true),
        "false" | "f" | "0" | "n" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Parses a size such as `512m`, `1.5GB` or `1024` into bytes, with powers of 1024 like Docker's units
/// package.
pub(super) fn bytes(text: &str) -> Option<i128> {
    let text = text.trim();
    if let Some(integer) = integer(text) {
        return Some(integer);
    }
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let power = match lower[digits.len()..].trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return None,
    };
    let value = digits.trim().parse::<f64>().ok()?;
    Some((value * 1024f64.powi(power)) as i128)
}

/// Parses a duration in Go's notation, such as `1m30s` or `500ms`, into nanoseconds.
pub(super) fn duration(text: &str) -> Option<i128> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let value = rest[..end].parse::<f64>().ok()?;
        rest = &rest[end..];
        let units: [(&str, f64); 9] = [
            ("ns", 1.0),
            ("us", 1e3),
            ("µs", 1e3),
            ("ms", 1e6),
            ("s", 1e9),
            ("m", 6e10),
            ("h", 3.6e12),
            ("d", 8.64e13),
            ("w", 6.048e14),
        ];
        let (unit, length) = units.iter().find(|(unit, _)| rest.starts_with(unit))?;
        total += value * length;
        rest = &rest[unit.len()..];
    }
    Some(total as i128)
}

/// Splits a command line like go-shellwords; `None` if a quote is left open.
pub(super) fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            // Unlike a shell, go-shellwords takes only the first command.
            (None, ';' | '&' | '|' | '<' | '>') => break,
            (None | Some('"'), '\\') => word.get_or_insert_default().push(match chars.next()? {
                't' => '\t',
                'n' => '\n',
                c => c,
            }),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if open == c => quote = None,
            (None, ' ' | '\t' | '\r' | '\n') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_value_has_one_form() {
        let plain = |text: &str| display(&Text { plain: true, ..Text::quoted(text) });
        for (text, wanted) in [
            ("0x10", "16"),
            ("010", "8"),
            ("1_000", "1000"),
            ("1.50", "1.5"),
            (".5", "0.5"),
            ("-.5", "-0.5"),
            ("1e3", "1000"),
            ("True", "true"),
            ("2001-1-02", "2001-01-02 00:00:00 +0000 UTC"),
            ("2001-01-02T10:00:00Z", "2001-01-02 10:00:00 +0000 UTC"),
        ] {
            assert_eq!(plain(text), wanted);
        }
        for text in [
            "yes",
            "1.2.3",
            "-",
            "x1",
            "1-2",
            "127.0.0.1",
            ".",
            "0x",
            "1e",
            "2001-13-01",
            "2001-01",
            "1-1-1",
            "2001-01-01 00:00:00 +0000 UTC",
        ] {
            assert_eq!(plain(text), text);
        }
        assert_eq!(plain("123456789.5"), "1.234567895e+08");
        assert_eq!(display(&Text::quoted("0x10")), "0x10");
    }

    #[test]
    fn sizes_and_durations_are_compared_by_value() {
        assert_eq!(bytes("512m"), bytes("0.5GB"));
        assert_eq!(bytes("1024"), bytes("1kib"));
        assert_eq!(bytes("many"), None);
        assert_eq!(duration("1m30s"), Some(90_000_000_000));
        assert_eq!(duration("1.5s"), duration("1500ms"));
        assert_eq!(duration("soon"), None);
    }

    #[test]
    fn command_lines_are_split_like_go_shellwords() {
        let split = |line: &str| words(line).unwrap();
        assert_eq!(split("nginx -g 'daemon off;'"), ["nginx", "-g", "daemon off;"]);
        assert_eq!(split("a\\ b \"c \\\" d\" ''"), ["a b", "c \" d", ""]);
        assert_eq!(split("first && second"), ["first"]);
        assert_eq!(words("an 'open quote"), None);
    }
}
