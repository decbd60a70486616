//! Patterns in the syntax of `.gitignore`.
//!
//! Owns how such text is read and matched, by git's own rules. Pure: where it comes from, and which
//! source beats which, is the business of [`crate::tree`].

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// The patterns of one ignore file, in the syntax of `.gitignore`.
#[derive(Debug, Clone)]
pub(crate) struct Patterns(Gitignore);

impl Patterns {
    /// Reads patterns, one a line. Lines that git would never match are left out, and listed with
    /// their number, counted from 1, and what is wrong with them.
    pub(crate) fn parse(text: &str) -> (Self, Vec<(usize, String)>) {
        // Paths are handed in relative to the file's own folder; `.` keeps the matcher from stripping.
        let mut builder = GitignoreBuilder::new(".");
        // A class without its bracket never matches in git.
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

    /// The patterns, unless there are none.
    pub(crate) fn non_empty(self) -> Option<Self> {
        (!self.0.is_empty()).then_some(self)
    }

    /// Whether the last pattern that matches is a plain one (`true`) or a `!` (`false`). The path is
    /// relative to the file's folder.
    pub(crate) fn verdict(&self, path: &[u8], is_dir: bool) -> Option<bool> {
        let matched = self.0.matched(Path::new(OsStr::from_bytes(path)), is_dir);
        if matched.is_none() { None } else { Some(matched.is_ignore()) }
    }
}

/// Escapes braces, which are plain characters to git and a choice to the matcher.
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
