//! A comparison of a long manifest on the host: checks of the wanted lines go there, and only the lines that have no
//! such check come back. A manifest of a thousand lines would take as long as several round trips.

use crate::base::manifest::Manifest;

/// From this number of lines on, a comparison is sooner done than a manifest is sent.
pub(super) const LONG: usize = 150;

/// Digits of the digest of a file that are part of a check.
const DIGITS: usize = 5;

/// A check of each line of a manifest, in the order of its text form: the first digits of the file's digest and the
/// last digit of the length of the line in bytes. Two lines may have the same check.
pub(super) fn checks(manifest: &Manifest) -> String {
    let digests = manifest.0.values().map(|entry| entry.digest.as_str());
    let text = manifest.to_text();
    let lines = text.lines().zip(digests);
    lines
        .map(|(line, digest)| format!("{}{}\n", &digest[..DIGITS.min(digest.len())], line.len() % 10))
        .collect()
}

/// Makes the text of the recorded manifest out of the wanted one and the answer of the host: `=COUNT` lines are the same,
/// `-COUNT` lines are not recorded, and `+LINE` is. `None` if the answer does not fit the wanted manifest. The caller
/// checks the digest of the result, because two lines may have the same check.
pub(super) fn recorded<'a>(wanted: &str, said: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let (mut left, mut text) = (wanted.split_inclusive('\n'), String::with_capacity(wanted.len()));
    for change in said {
        let (kind, rest) = change.split_at_checked(1)?;
        match kind {
            "+" => {
                text.push_str(rest);
                text.push('\n');
            }
            "=" | "-" => {
                for _ in 0..rest.parse::<usize>().ok()? {
                    let line = left.next()?;
                    if kind == "=" {
                        text.push_str(line);
                    }
                }
            }
            _ => return None,
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::manifest::{Digest, Entry, Kind};
    use crate::base::path::RootPath;

    #[test]
    fn a_check_is_of_the_content_and_of_the_length() {
        let entry = |content: &str| Entry {
            kind: Kind::File,
            mode: 0o644,
            size: content.len() as u64,
            digest: Digest::of(content.as_bytes()),
        };
        let of = |path: &str, content: &str| {
            checks(&Manifest([(RootPath::new(path).unwrap(), entry(content))].into()))
        };
        // f 644 1 DIGEST app/a
        assert_eq!(of("app/a", "x"), "2d7118\n");
        assert_eq!(of("app/b", "x"), of("app/a", "x"));
        assert_ne!(of("app/ab", "x"), of("app/a", "x"));
        assert_ne!(of("app/a", "y"), of("app/a", "x"));
    }

    #[test]
    fn what_is_recorded_is_made_of_what_is_wanted() {
        let made = |said: &[&str]| recorded("a\nb\nc\n", said.iter().copied());
        assert_eq!(made(&["=1", "+x", "-1", "=1", "+y"]).as_deref(), Some("a\nx\nc\ny\n"));
        assert_eq!(made(&["-3"]).as_deref(), Some(""));
        for wrong in [&["=4"][..], &["=1", "-3"], &["=x"], &["?1"], &[""], &["é"]] {
            assert_eq!(made(wrong), None, "{wrong:?}");
        }
    }
}
