//! The shared pieces of the Markdown form, GitHub's dialect: code, blocks, tables' cells, folded parts.
//!
//! A result is a heading with its essence and a compact table, with details folded. Names from a repository
//! are shown as code and messages in fenced blocks. Nothing in those is markup, a mention or a reference.

use std::fmt::Write as _;
use std::io::{self, Write};

use crate::base::diagnostic::Diagnostic;
use crate::compose::model::Hook;
use crate::plan::{Action, FileChange, FileChangeKind};

use super::diagnostic::brief;
use super::escape::name;
use super::style::Style;
use super::wording::{below, count, detail, note, remark, when};

/// Most files, reasons or services that are listed in one place. A comment on GitHub has room for 65,536
/// characters.
pub(super) const LISTED: usize = 50;

/// Formats text as code for a line or a table cell.
///
/// The result is a code span. Text that could end a span or a cell becomes a `code` element with all
/// punctuation as entities. GitHub looks for mentions and references in neither.
pub(super) fn code(text: &str) -> String {
    let text = name(text);
    let plain = !text.contains(['`', '|', '\\']) && text.trim() == text && !text.is_empty();
    if plain { format!("`{text}`") } else { element(&text) }
}

/// Formats escaped text as a `code` element for HTML and Markdown.
fn element(text: &str) -> String {
    let mut html = String::from("<code>");
    for c in text.chars() {
        match c {
            '-' | '/' | ',' => html.push(c),
            c if c.is_ascii_punctuation() => {
                let _ = write!(html, "&#{};", u32::from(c));
            }
            c => html.push(c),
        }
    }
    html.push_str("</code>");
    html
}

/// Writes text as a fenced block that nothing in the text can end.
pub(super) fn fenced(w: &mut dyn Write, text: &str) -> io::Result<()> {
    fenced_as(w, "text", text)
}

/// Writes text as a fenced block that is highlighted for a language.
pub(super) fn fenced_as(w: &mut dyn Write, language: &str, text: &str) -> io::Result<()> {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    writeln!(w, "{fence}{language}\n{}\n{fence}\n", text.trim_end())
}

/// Writes messages as a fenced block.
pub(super) fn messages(w: &mut dyn Write, diagnostics: &[Diagnostic]) -> io::Result<()> {
    if diagnostics.is_empty() {
        return Ok(());
    }
    let mut text = Vec::new();
    brief(&mut text, diagnostics, "", Style::default())?;
    fenced(w, &String::from_utf8_lossy(&text))
}

/// Formats a cell with actions, grouped by their words: ``restart `web`, `worker`; up `db` ``.
///
/// Each action comes with its words, such as `restart` or `restart failed`.
pub(super) fn services<'a>(
    actions: impl Iterator<Item = (&'a Action, String)>,
    hooks: impl Iterator<Item = (&'a Hook, String)>,
) -> String {
    let mut sorts: Vec<(String, Vec<String>)> = Vec::new();
    for (action, sort) in actions {
        let service = action.service.as_deref().map(code);
        match sorts.iter_mut().find(|(known, _)| *known == sort) {
            Some((_, services)) => services.extend(service),
            None => sorts.push((sort, service.into_iter().collect())),
        }
    }
    let cells = sorts
        .into_iter()
        .map(|(sort, services)| format!("{sort} {}", listed(&services)).trim_end().to_owned());
    let place = |hook: &Hook| hook.container().map_or_else(|| "on the host".to_owned(), |place| code(&place));
    let hooks = hooks.map(|(hook, sort)| format!("hook {} {sort}{}", when(hook.when), place(hook)));
    let cell = cells.chain(hooks).collect::<Vec<_>>().join("; ");
    if cell.is_empty() { "–".to_owned() } else { cell }
}

pub(super) fn listed(words: &[String]) -> String {
    let mut text = words.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if words.len() > LISTED {
        let _ = write!(text, " and {} more", words.len() - LISTED);
    }
    text
}

/// Writes the files and reasons of one project as a list.
pub(super) fn details<'a>(
    w: &mut dyn Write,
    project: &str,
    folder: &str,
    files: &[FileChange],
    actions: impl Iterator<Item = &'a Action>,
) -> io::Result<()> {
    writeln!(w, "**{}**\n", code(project))?;
    for file in files.iter().take(LISTED) {
        let remark = remark(file).map(|remark| format!(" ({remark})")).unwrap_or_default();
        writeln!(w, "- {} {}{remark}", file_word(file.change), code(&file.path))?;
    }
    if files.len() > LISTED {
        writeln!(w, "- and {}", count(files.len() - LISTED, "more file"))?;
    }
    for action in actions {
        let service =
            action.service.as_deref().map(|service| format!(" {}", code(service))).unwrap_or_default();
        let detail = detail(&action.kind).map(|detail| format!(" {}", code(&detail))).unwrap_or_default();
        writeln!(w, "- {}{service}{detail}: {}", action.kind.word(), reasons(action, folder))?;
    }
    writeln!(w)
}

fn reasons(action: &Action, folder: &str) -> String {
    let reasons = action.reasons.iter().map(|reason| {
        let line = reason.line.map(|line| format!(":{line}")).unwrap_or_default();
        let file = (!reason.path.is_empty()).then(|| code(&format!("{}{line}", reason.path)));
        let by = reason
            .by
            .as_ref()
            .map(|at| format!("({})", code(&format!("{}:{}", below(&at.path, folder), at.line))));
        let note = note(&reason.cause).as_deref().map(code);
        file.into_iter().chain(by).chain(note).collect::<Vec<_>>().join(" ")
    });
    listed(&reasons.collect::<Vec<_>>())
}

fn file_word(change: FileChangeKind) -> &'static str {
    match change {
        FileChangeKind::Added => "added",
        FileChangeKind::Modified | FileChangeKind::Mode => "modified",
        FileChangeKind::Removed => "removed",
        FileChangeKind::Drift => "overwritten",
        FileChangeKind::Conflict => "not touched",
    }
}

/// Writes the start of a folded part, with a name in its summary, which GitHub does not read as Markdown.
pub(super) fn unfold(w: &mut dyn Write, summary: &str, of: Option<&str>) -> io::Result<()> {
    let of = of.map(|of| format!(" {}", element(&name(of)))).unwrap_or_default();
    writeln!(w, "<details><summary>{summary}{of}</summary>\n")
}

/// Writes the end of a folded part.
pub(super) fn fold(w: &mut dyn Write) -> io::Result<()> {
    writeln!(w, "</details>\n")
}

/// Writes the heading of a host, if there are several.
pub(super) fn host_heading(w: &mut dyn Write, host: &str, hosts: usize) -> io::Result<()> {
    if hosts > 1 { writeln!(w, "#### Host {}\n", code(host)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_code_that_it_cannot_leave() {
        assert_eq!(code("services/blog/größe.conf"), "`services/blog/größe.conf`");
        assert_eq!(code("@all <b> #1 *x*"), "`@all <b> #1 *x*`");
        assert_eq!(code("a|b`c"), "<code>a&#124;b&#96;c</code>");
        assert_eq!(code("a\nb"), "<code>a&#92;nb</code>");
        assert_eq!(code(" x"), "<code> x</code>");
        assert_eq!(code(""), "<code></code>");
    }

    #[test]
    fn a_block_has_a_fence_longer_than_any_inside() {
        let mut text = Vec::new();
        fenced(&mut text, "a\n````\nb").unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "`````text\na\n````\nb\n`````\n\n");
    }
}
