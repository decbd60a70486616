//! A failure that has no other result.

use std::io::{self, Write};

use crate::base::error::Error;
use crate::report::markdown::fenced;
use crate::report::style::Style;
use crate::report::{Sources, diagnostic};

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
