//! The shared pieces of the text form: headings, and the lines of files, actions and hooks.
//!
//! Results are read at a terminal or in a log. They are grouped by host and project: one line per file, one
//! line per service with its cause. What does not change is only counted. The counts, or the states of the
//! hosts, come last.

mod files;

pub(super) use files::files;

use std::io::{self, Write};

use crate::base::diagnostic::Diagnostic;
use crate::compose::model::Hook;
use crate::outcome::ActionResult;
use crate::plan::Action;

use super::escape::name;
use super::style::{Ink, Style};
use super::wording::{ReasonText, action_result, cause, count, subject, when};
use super::workflow::{END_GROUP, group};

/// Writes hooks, with their results if these are known.
pub(super) fn hooks<'h>(
    w: &mut dyn Write,
    hooks: impl Iterator<Item = (Option<ActionResult>, &'h Hook)>,
    style: Style,
) -> io::Result<()> {
    for (result, hook) in hooks {
        write!(w, "  ")?;
        if let Some(result) = result {
            action_result_column(w, result, style)?;
        }
        writeln!(
            w,
            "hook  {} {}",
            when(hook.when),
            name(&hook.container().unwrap_or_else(|| "on the host".to_owned()))
        )?;
    }
    Ok(())
}

/// Writes the result of an action or a hook, padded to the width of the longest.
fn action_result_column(w: &mut dyn Write, result: ActionResult, style: Style) -> io::Result<()> {
    let ink = match result {
        ActionResult::Done => Ink::Good,
        ActionResult::Failed => Ink::Bad,
        ActionResult::Owed => Ink::Warning,
        ActionResult::Skipped => Ink::Faint,
    };
    write!(w, "{}  ", style.ink(ink, format!("{:<7}", action_result(result))))
}

/// Writes the heading of a host, if there are several.
pub(super) fn host_heading(w: &mut dyn Write, host: &str, hosts: usize, style: Style) -> io::Result<()> {
    if hosts > 1 {
        writeln!(w, "{}\n", style.ink(Ink::Heading, format!("host {}", name(host))))
    } else {
        Ok(())
    }
}

/// Writes a project's heading: its name, its folder if the name does not show it, and a word on its change or
/// result.
pub(super) fn project_heading(
    w: &mut dyn Write,
    project: &str,
    path: &str,
    word: (Ink, &str),
    style: Style,
) -> io::Result<()> {
    write!(w, "{}", style.ink(Ink::Heading, name(project)))?;
    if !path.ends_with(project) {
        write!(w, "  {}", style.ink(Ink::Faint, name(path)))?;
    }
    if word.1.is_empty() { writeln!(w) } else { writeln!(w, "  {}", style.ink(word.0, word.1)) }
}

/// Writes a failed or blocked project in one line at the end, where people look first: why, and what to do.
pub(super) fn in_short(
    w: &mut dyn Write,
    word: &str,
    project: &str,
    problems: &[Diagnostic],
    style: Style,
) -> io::Result<()> {
    short(problems)
        .iter()
        .try_for_each(|why| writeln!(w, "{} {}: {}", style.ink(Ink::Bad, word), name(project), name(why)))
}

/// The first problem and what to do about it, in one line; `None` if there is none.
pub(super) fn short(problems: &[Diagnostic]) -> Option<String> {
    let line = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    let first = problems.iter().find(|problem| problem.is_error()).or(problems.first())?;
    let more = match problems.len() - 1 {
        0 => String::new(),
        more => format!(" (and {})", count(more, "further problem")),
    };
    let help = first.help.as_deref().map(|help| format!("; {}", line(help))).unwrap_or_default();
    Some(format!("{}{more}{help}", line(&first.message)))
}

/// Writes the part of one project. In a workflow's log it is folded, with its counts in the visible line,
/// unless it needs a look.
pub(super) fn part(
    w: &mut dyn Write,
    needs_look: bool,
    amounts: &str,
    style: Style,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    if needs_look || !style.groups {
        write(w)?;
        return writeln!(w);
    }
    let mut text = Vec::new();
    write(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let (heading, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let title = if amounts.is_empty() { heading.to_owned() } else { format!("{heading}: {amounts}") };
    writeln!(w, "{}\n{rest}{END_GROUP}", group(&title))
}

/// Widest service, in characters, that others are aligned to. Long commands stick out.
const WIDEST: usize = 32;

/// Line of an action, with its result if that is known.
pub(super) struct Row<'a> {
    pub(super) result: Option<ActionResult>,
    pub(super) action: &'a Action,
}

/// Writes one line per action, in columns.
pub(super) fn actions(w: &mut dyn Write, rows: &[Row<'_>], folder: &str, style: Style) -> io::Result<()> {
    let subjects: Vec<String> = rows.iter().map(|row| subject(row.action)).collect();
    let width = rows.iter().map(|row| row.action.kind.word().len()).max().unwrap_or_default();
    let who = subjects.iter().map(|subject| subject.chars().count()).filter(|who| *who <= WIDEST);
    let who = who.max().unwrap_or_default();
    for (row, subject) in rows.iter().zip(&subjects) {
        write!(w, "  ")?;
        if let Some(result) = row.result {
            action_result_column(w, result, style)?;
        }
        let kind = format!("{:<width$}", row.action.kind.word());
        write!(w, "{}  {subject:<who$}", style.ink(Ink::Warning, kind))?;
        let causes = row.action.reasons.iter().map(|reason| cause(reason, folder, style.verbose));
        let indent = 2 + width + 2 + who + if row.result.is_some() { 9 } else { 0 };
        reasons(w, &causes.collect::<Vec<_>>(), indent, style)?;
    }
    Ok(())
}

/// Writes the rest of an action's line: the first reason and the number of others, or all of them.
fn reasons(w: &mut dyn Write, causes: &[ReasonText], indent: usize, style: Style) -> io::Result<()> {
    let shown = if style.verbose { causes.len() } else { 1 };
    for (number, cause) in causes.iter().take(shown).enumerate() {
        if number > 0 {
            write!(w, "\n{:indent$}", "")?;
        }
        if !cause.file.is_empty() {
            write!(w, "  {}", cause.file)?;
        }
        if let Some(by) = &cause.by {
            write!(w, "  {}", style.ink(Ink::Faint, format!("({by})")))?;
        }
        if let Some(note) = &cause.note {
            write!(w, "  {note}")?;
        }
    }
    if causes.len() > shown {
        let more = count(causes.len() - shown, "other cause");
        write!(w, "  {}", style.ink(Ink::Faint, format!("and {more}")))?;
    }
    writeln!(w)
}
