//! The JSON form, for programs: one pretty-printed document with a newline at its end.
//!
//! The shapes are those of the values' own `Serialize`. Strings are escaped further than JSON asks for, so
//! that a document may be printed into a terminal or a workflow's log.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde::Serialize;

use super::escape::is_unseen;

/// Version of the JSON form of everything but plans, outcomes and verdicts, which have their own.
const ANSWER_VERSION: u32 = 1;

/// Result with the version of its form.
#[derive(Serialize)]
struct Versioned<'a, T> {
    version: u32,
    #[serde(flatten)]
    answer: &'a T,
}

/// Writes a value with the version of its form in front.
pub(super) fn versioned<T: Serialize>(w: &mut dyn Write, answer: &T) -> io::Result<()> {
    document(w, &Versioned { version: ANSWER_VERSION, answer })
}

/// Writes a value that holds its version.
pub(super) fn document<T: Serialize>(w: &mut dyn Write, value: &T) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    writeln!(w, "{}", harmless(&text))
}

/// Escapes, inside strings, what JSON allows but a log must not contain: invisible characters, and `##[`,
/// which GitHub's runner treats as a command anywhere in a line. Neither occurs outside of strings.
fn harmless(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut hashes = 0;
    for c in text.chars() {
        match c {
            '[' if hashes >= 2 => plain.push_str("\\u005b"),
            // All invisible characters lie below U+10000, so one escape is enough.
            c if c != '\n' && is_unseen(c) => {
                let _ = write!(plain, "\\u{:04x}", u32::from(c));
            }
            c => plain.push(c),
        }
        hashes = if c == '#' { hashes + 1 } else { 0 };
    }
    plain
}
