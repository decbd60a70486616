//! Shows plans, outcomes, answers and errors: as text, JSON and Markdown, and progress as it happens.
//!
//! Owns the wording and the layout. Every renderer is a function of a value and a writer; it decides
//! nothing and asks nobody whether there is a terminal: [`Style`] is the caller's. What comes from a
//! repository or a host (names, messages, log lines) is hostile: it passes through [`escape`] before it
//! is written, so that it can neither move a cursor nor be a workflow command.

pub mod announce;
pub mod diagnostic;
pub mod escape;
mod excerpt;
pub mod json;
pub mod markdown;
pub mod marker;
pub mod progress;
mod style;
mod tally;
pub mod text;
mod wording;
pub mod workflow;

#[cfg(test)]
mod samples;

use std::io::{self, Write};

use crate::images::builds::Builds;
use crate::images::gate::Verdict;
use crate::outcome::Outcome;
use crate::outcome::answers::{CheckReport, Checkup, Diff, Explanation, History, Status};
use crate::plan::Plan;

pub use style::Style;
pub use wording::note as cause_in_words;

/// In which form a result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For a person at a terminal or in a log.
    #[default]
    Text,
    /// For programs: one document, versioned.
    Json,
    /// For a job summary or a comment.
    Markdown,
}

/// Where the text of a file of the repository can be had, to show the line that a message is about.
pub type Sources<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Writes a plan.
///
/// # Errors
///
/// When `w` fails.
pub fn render_plan(format: Format, w: &mut dyn Write, plan: &Plan, style: Style) -> io::Result<()> {
    match format {
        Format::Text => text::plan(w, plan, style),
        Format::Json => json::plan(w, plan),
        Format::Markdown => markdown::plan(w, plan),
    }
}

/// Writes what became of a plan.
///
/// # Errors
///
/// When `w` fails.
pub fn render_outcome(format: Format, w: &mut dyn Write, outcome: &Outcome, style: Style) -> io::Result<()> {
    match format {
        Format::Text => text::outcome(w, outcome, style),
        Format::Json => json::outcome(w, outcome),
        Format::Markdown => markdown::outcome(w, outcome),
    }
}

/// Writes who reads which path.
///
/// # Errors
///
/// When `w` fails.
pub fn render_explanations(
    format: Format,
    w: &mut dyn Write,
    explanations: &[Explanation],
    style: Style,
) -> io::Result<()> {
    match format {
        Format::Text => text::explanations(w, explanations, style),
        Format::Json => json::explanations(w, explanations),
        Format::Markdown => markdown::explanations(w, explanations),
    }
}

/// Writes what is deployed and how it is.
///
/// # Errors
///
/// When `w` fails.
pub fn render_status(format: Format, w: &mut dyn Write, status: &Status, style: Style) -> io::Result<()> {
    match format {
        Format::Text => text::status(w, status, style),
        Format::Json => json::status(w, status),
        Format::Markdown => markdown::status(w, status),
    }
}

/// Writes how files of hosts differ.
///
/// # Errors
///
/// When `w` fails.
pub fn render_diff(format: Format, w: &mut dyn Write, diff: &Diff, style: Style) -> io::Result<()> {
    match format {
        Format::Text => text::diff(w, diff, style),
        Format::Json => json::diff(w, diff),
        Format::Markdown => markdown::diff(w, diff),
    }
}

/// Writes the releases of hosts.
///
/// # Errors
///
/// When `w` fails.
pub fn render_history(format: Format, w: &mut dyn Write, history: &History, style: Style) -> io::Result<()> {
    match format {
        Format::Text => text::history(w, history, style),
        Format::Json => json::history(w, history),
        Format::Markdown => markdown::history(w, history),
    }
}

/// Writes what a checkup of hosts found.
///
/// # Errors
///
/// When `w` fails.
pub fn render_checkup(format: Format, w: &mut dyn Write, checkup: &Checkup, style: Style) -> io::Result<()> {
    match format {
        Format::Text => text::checkup(w, checkup, style),
        Format::Json => json::checkup(w, checkup),
        Format::Markdown => markdown::checkup(w, checkup),
    }
}

/// Writes whether images may be built, and why.
///
/// # Errors
///
/// When `w` fails.
pub fn render_verdict(format: Format, w: &mut dyn Write, verdict: &Verdict, style: Style) -> io::Result<()> {
    match format {
        Format::Text => text::verdict(w, verdict, style),
        Format::Json => json::verdict(w, verdict),
        Format::Markdown => markdown::verdict(w, verdict),
    }
}

/// Writes which images were built.
///
/// # Errors
///
/// When `w` fails.
pub fn render_builds(format: Format, w: &mut dyn Write, builds: &Builds, style: Style) -> io::Result<()> {
    match format {
        Format::Text => text::builds(w, builds, style),
        Format::Json => json::builds(w, builds),
        Format::Markdown => markdown::builds(w, builds),
    }
}

/// Writes what a check of the repository found.
///
/// # Errors
///
/// When `w` fails.
pub fn render_check(
    format: Format,
    w: &mut dyn Write,
    report: &CheckReport,
    sources: Sources<'_>,
    style: Style,
) -> io::Result<()> {
    match format {
        Format::Text => text::check(w, report, sources, style),
        Format::Json => json::check(w, report),
        Format::Markdown => markdown::check(w, report, sources),
    }
}
