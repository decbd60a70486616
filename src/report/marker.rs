//! The marker of a comment. By it, a run finds the comment again and sees which run is newer. Pure.

use std::fmt::Write as _;

/// Subject and origin of a comment, in a line that GitHub does not show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// The configuration. Each has a comment of its own.
    pub key: String,
    /// The newest commit of the pull request.
    pub head: String,
    /// The run that wrote it.
    pub run: u64,
    /// The attempt of that run.
    pub attempt: u64,
}

/// Start of a marker's line.
const BEGIN: &str = "<!-- ghdeploy:plan ";

impl Marker {
    /// Formats the line, with everything escaped that could end it.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { key, head, run, attempt } = self;
        format!("{BEGIN}key={} head={} run={run}.{attempt} -->", plain(key), plain(head))
    }

    /// Reads the marker at the start of a comment.
    #[must_use]
    pub fn read(body: &str) -> Option<Self> {
        let fields = body.lines().next()?.trim_end().strip_prefix(BEGIN)?.strip_suffix(" -->")?;
        let field =
            |name: &str| fields.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        let (run, attempt) = field("run")?.split_once('.')?;
        Some(Self {
            key: unplain(field("key")?)?,
            head: unplain(field("head")?)?,
            run: run.parse().ok()?,
            attempt: attempt.parse().ok()?,
        })
    }

    /// Returns this marker's commit, if a later run than that of `other` wrote it about another commit.
    #[must_use]
    pub fn overtakes(&self, other: &Self) -> Option<String> {
        let is_later = (self.run, self.attempt) > (other.run, other.attempt);
        (is_later && self.head != other.head).then(|| self.head.clone())
    }
}

/// Encodes a text as one word of letters, digits and `.`, `_`, `/`; all else becomes bytes in hex.
fn plain(text: &str) -> String {
    text.bytes().fold(String::new(), |mut word, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'/' => word.push(byte.into()),
            byte => {
                let _ = write!(word, "%{byte:02x}");
            }
        }
        word
    })
}

fn unplain(word: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = word.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn marker() -> Marker {
        Marker { key: "ghdeploy.yml".to_owned(), head: "1a2b3c4d5e".to_owned(), run: 118, attempt: 2 }
    }

    #[test]
    fn a_later_run_about_another_commit_is_not_overwritten() {
        let with = |head: &str, run, attempt| Marker { head: head.to_owned(), run, attempt, ..marker() };
        assert_eq!(with("b", 119, 1).overtakes(&with("a", 118, 1)), Some("b".to_owned()));
        assert_eq!(with("a", 119, 1).overtakes(&with("a", 118, 1)), None);
        assert_eq!(with("b", 117, 9).overtakes(&with("a", 118, 1)), None);
    }

    proptest! {
        #[test]
        fn a_marker_is_read_as_it_was_written(key in "\\PC{0,20}|[-> <!]{0,9}", head in "[0-9a-f]{40}", run in 0u64.., attempt in 0u64..9) {
            let marker = Marker { key, head, run, attempt };
            let line = marker.line();
            prop_assert_eq!(line.matches("-->").count(), 1);
            prop_assert_eq!(Marker::read(&format!("{line}\nmore")), Some(marker));
        }

        #[test]
        fn any_first_line_is_read_or_none(line in "(<!-- ghdeploy:plan )?[-a-z=%. 0-9>]{0,60}") {
            let _ = Marker::read(&line);
        }
    }
}
