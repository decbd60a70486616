//! The results of commands, each in its three forms.
//!
//! One file per result: it implements [`Render`], and holds what no other result needs.

mod builds;
mod check;
mod diff;
mod doctor;
mod explain;
mod failure;
mod history;
mod outcome;
pub(super) mod plan;
mod status;
mod verdict;

use std::io::{self, Write};

use super::style::Style;

pub use check::Checked;
pub use failure::{failure_as_markdown, no_comment_as_markdown};

/// The form in which a result is written.
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

/// A result with its three forms.
pub trait Render {
    /// Writes it for a person at a terminal or in a log.
    ///
    /// # Errors
    ///
    /// When `w` fails.
    fn text(&self, w: &mut dyn Write, style: Style) -> io::Result<()>;

    /// Writes it for a job summary or a comment.
    ///
    /// # Errors
    ///
    /// When `w` fails.
    fn markdown(&self, w: &mut dyn Write) -> io::Result<()>;

    /// Writes it for programs: one document with its version.
    ///
    /// # Errors
    ///
    /// When `w` fails.
    fn json(&self, w: &mut dyn Write) -> io::Result<()>;
}

/// Writes a result in a form; `style` matters to text alone.
///
/// # Errors
///
/// When `w` fails.
pub fn render(value: &dyn Render, format: Format, w: &mut dyn Write, style: Style) -> io::Result<()> {
    match format {
        Format::Text => value.text(w, style),
        Format::Json => value.json(w),
        Format::Markdown => value.markdown(w),
    }
}
