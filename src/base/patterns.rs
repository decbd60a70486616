//! Patterns in the syntax of `.gitignore`.
//!
//! Owns how such text is parsed and matched, by git's rules. Pure: [`crate::tree`] reads the files and
//! decides which source wins.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// Patterns of one ignore file.
#[derive(Debug, Clone)]
pub(crate) struct Patterns(Gitignore);

impl Patterns {
    /// Parses patterns, one per line. Also returns the lines that git would never match, each with its
    /// number, counted from 1, and the reason.
    pub(crate) fn parse(text: &str) -> (Self, Vec<(usize, String)>) {
        // Paths are relative to the folder of the file; `.` keeps the matcher from stripping a prefix.
        let mut builder = GitignoreBuilder::new(".");
        // In git an unclosed class never matches.
        builder.allow_unclosed_class(false);
        let mut wrong = Vec::new();
        for (index, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
            if let Err(err) = builder.add_line(None, &without_braces(line)) {
                let reason = match &err {
                    ignore::Error::Glob { err, .. } => err.clone(),
                    err => err.to_string(),
                };
                wrong.push((index + 1, reason));
            }
        }
        match builder.build() {
            Ok(patterns) => (Self(patterns), wrong),
            Err(err) => {
                wrong.push((1, err.to_string()));
                (Self(Gitignore::empty()), wrong)
            }
        }
    }

    /// The patterns, or `None` if there are none.
    pub(crate) fn non_empty(self) -> Option<Self> {
        (!self.0.is_empty()).then_some(self)
    }

    /// Whether the last matching pattern excludes the path (`true`) or re-includes it with `!` (`false`);
    /// `None` if none matches. The path is relative to the folder of the file.
    pub(crate) fn verdict(&self, path: &[u8], is_dir: bool) -> Option<bool> {
        let matched = self.0.matched(Path::new(OsStr::from_bytes(path)), is_dir);
        if matched.is_none() { None } else { Some(matched.is_ignore()) }
    }
}

/// Escapes braces: git takes them literally, the matcher as alternatives.
pub(crate) fn without_braces(line: &str) -> std::borrow::Cow<'_, str> {
    if !line.contains(['{', '}']) {
        return line.into();
    }
    let mut plain = String::with_capacity(line.len() + 8);
    let mut chars = line.chars();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                plain.push(c);
                plain.extend(chars.next());
                continue;
            }
            '[' => in_class = true,
            ']' => in_class = false,
            '{' | '}' if !in_class => plain.push('\\'),
            _ => {}
        }
        plain.push(c);
    }
    plain.into()
}
