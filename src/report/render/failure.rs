//! Failures that have no other result.

use std::io::{self, Write};

use crate::base::diagnostic::Diagnostic;
use crate::base::error::Error;
use crate::plan::Plan;
use crate::report::markdown::{fenced, messages};
use crate::report::style::Style;
use crate::report::{Render, Sources, diagnostic};

/// Writes a failure as Markdown; [`diagnostic::error`] writes it as text.
///
/// # Errors
///
/// When `w` fails.
pub fn failure_as_markdown(w: &mut dyn Write, error: &Error, sources: Sources<'_>) -> io::Result<()> {
    writeln!(w, "### ghdeploy: failed\n")?;
    let mut text = Vec::new();
    diagnostic::error(&mut text, error, sources, Style::default())?;
    fenced(w, &String::from_utf8_lossy(&text))
}

/// Writes a plan that could not become a comment, and why. `plan` is `None` if it is shown already.
///
/// # Errors
///
/// When `w` fails.
pub fn no_comment_as_markdown(w: &mut dyn Write, plan: Option<&Plan>, why: &Diagnostic) -> io::Result<()> {
    if let Some(plan) = plan {
        plan.markdown(w)?;
    }
    writeln!(w, "This is not a comment on the pull request:\n")?;
    messages(w, std::slice::from_ref(why))
}
