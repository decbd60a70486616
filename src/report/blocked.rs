//! Projects that are blocked, below a result that leaves them out.

use std::io::{self, Write};

use super::diagnostic::brief;
use super::escape::name;
use super::markdown::{code, messages};
use super::style::{Ink, Style};
use crate::images::gate::BlockedProject;

/// Writes each project with the reasons.
pub(super) fn text(w: &mut dyn Write, blocked: &[BlockedProject], style: Style) -> io::Result<()> {
    for project in blocked {
        writeln!(w, "{}  {}", style.ink(Ink::Heading, name(&project.name)), style.ink(Ink::Bad, "blocked"))?;
        brief(w, &project.problems, "  ", style)?;
    }
    Ok(())
}

/// Writes each project with the reasons as Markdown.
pub(super) fn markdown(w: &mut dyn Write, blocked: &[BlockedProject]) -> io::Result<()> {
    for project in blocked {
        writeln!(w, "{} **blocked**\n", code(&project.name))?;
        messages(w, &project.problems)?;
    }
    Ok(())
}
