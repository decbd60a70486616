//! Results for programs: one pretty-printed document with a newline at its end.
//!
//! The shapes are those of the values' own `Serialize`; their version is
//! [`crate::plan::VERSION`]. Strings are escaped further than JSON asks for, so that a
//! document may be printed into a terminal or a workflow's log.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde::Serialize;

use crate::images::builds::Builds;
use crate::images::gate::Verdict;
use crate::outcome::Outcome;
use crate::outcome::answers::{CheckReport, Checkup, Diff, Explanation, History, Status};
use crate::plan::Plan;

/// Version of the JSON form of everything but plans, outcomes and verdicts, which have their own.
const ANSWER_VERSION: u32 = 1;

use super::escape::is_unseen;

/// An answer with the version of its form.
#[derive(Serialize)]
struct Versioned<'a, T> {
    version: u32,
    #[serde(flatten)]
    answer: &'a T,
}

#[derive(Serialize)]
struct Paths<'a> {
    paths: &'a [Explanation],
}

/// Writes a plan.
///
/// # Errors
///
/// When `w` fails.
pub fn plan(w: &mut dyn Write, plan: &Plan) -> io::Result<()> {
    document(w, plan)
}

/// Writes what became of a plan.
///
/// # Errors
///
/// When `w` fails.
pub fn outcome(w: &mut dyn Write, outcome: &Outcome) -> io::Result<()> {
    document(w, outcome)
}

/// Writes who reads which path: `{"version": 1, "paths": […]}`.
///
/// # Errors
///
/// When `w` fails.
pub fn explanations(w: &mut dyn Write, explanations: &[Explanation]) -> io::Result<()> {
    versioned(w, &Paths { paths: explanations })
}

/// Writes what is deployed: `{"version": 1, "hosts": […]}`.
///
/// # Errors
///
/// When `w` fails.
pub fn status(w: &mut dyn Write, status: &Status) -> io::Result<()> {
    versioned(w, status)
}

/// Writes how files differ: `{"version": 1, "hosts": [{"name": "web", "files": [{"path", "change", "diff"}]}]}`.
///
/// # Errors
///
/// When `w` fails.
pub fn diff(w: &mut dyn Write, diff: &Diff) -> io::Result<()> {
    versioned(w, diff)
}

/// Writes releases: `{"version": 1, "hosts": [{"name": "web", "releases": […]}]}`.
///
/// # Errors
///
/// When `w` fails.
pub fn history(w: &mut dyn Write, history: &History) -> io::Result<()> {
    versioned(w, history)
}

/// Writes what a checkup found: `{"version": 1, "hosts": […]}`.
///
/// # Errors
///
/// When `w` fails.
pub fn checkup(w: &mut dyn Write, checkup: &Checkup) -> io::Result<()> {
    versioned(w, checkup)
}

/// Writes a verdict: `{"version": 1, "sha": "…", "gate": "open", "requirements": […], "projects": […]}`.
///
/// # Errors
///
/// When `w` fails.
pub fn verdict(w: &mut dyn Write, verdict: &Verdict) -> io::Result<()> {
    document(w, verdict)
}

/// Writes which images were built: `{"version": 1, "sha": "…", "images": […], "verdict": {…}}`.
///
/// # Errors
///
/// When `w` fails.
pub fn builds(w: &mut dyn Write, builds: &Builds) -> io::Result<()> {
    versioned(w, builds)
}

/// Writes what a check found: `{"version": 1, "projects": 24, "services": 60, "diagnostics": […]}`.
///
/// # Errors
///
/// When `w` fails.
pub fn check(w: &mut dyn Write, report: &CheckReport) -> io::Result<()> {
    versioned(w, report)
}

fn versioned<T: Serialize>(w: &mut dyn Write, answer: &T) -> io::Result<()> {
    document(w, &Versioned { version: ANSWER_VERSION, answer })
}

fn document<T: Serialize>(w: &mut dyn Write, value: &T) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    writeln!(w, "{}", harmless(&text))
}

/// Escapes inside strings what JSON lets pass: characters that do not show, and `##[`, which GitHub's
/// runner takes for a command anywhere in a line. Outside of strings neither can occur.
fn harmless(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut hashes = 0;
    for c in text.chars() {
        match c {
            '[' if hashes >= 2 => plain.push_str("\\u005b"),
            // All that do not show lie below U+10000, so that one escape does.
            c if c != '\n' && is_unseen(c) => {
                let _ = write!(plain, "\\u{:04x}", u32::from(c));
            }
            c => plain.push(c),
        }
        hashes = if c == '#' { hashes + 1 } else { 0 };
    }
    plain
}

#[cfg(test)]
mod tests;
