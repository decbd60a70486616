//! The lines for the files of a project.

use std::io::{self, Write};

use crate::plan::{FileChange, FileChangeKind};
use crate::report::escape::name;
use crate::report::style::{Ink, Style};
use crate::report::wording::{count, remark, sign};

/// Most files of a project that are listed; more are only counted. A screen has some 50 lines, and the
/// actions matter more.
const LISTED: usize = 10;

/// Writes one line per file. Files that need a look are always listed, the others unless they are too many.
pub(in crate::report) fn files(w: &mut dyn Write, files: &[FileChange], style: Style) -> io::Result<()> {
    let (odd, plain): (Vec<_>, Vec<_>) = files.iter().partition(|file| needs_look(file));
    if style.verbose || plain.len() <= LISTED {
        plain.iter().try_for_each(|file| line(w, file, style))?;
    } else {
        folded(w, &plain, style)?;
    }
    let listed = if style.verbose { odd.len() } else { LISTED };
    odd.iter().take(listed).try_for_each(|file| line(w, file, style))?;
    if odd.len() > listed {
        let more = count(odd.len() - listed, "other file");
        writeln!(w, "  {} and {more} like these", style.ink(Ink::Warning, "!"))?;
    }
    Ok(())
}

fn needs_look(file: &FileChange) -> bool {
    matches!(file.change, FileChangeKind::Drift | FileChangeKind::Conflict)
}

fn line(w: &mut dyn Write, file: &FileChange, style: Style) -> io::Result<()> {
    let ink = match file.change {
        FileChangeKind::Added => Ink::Good,
        FileChangeKind::Removed | FileChangeKind::Conflict => Ink::Bad,
        FileChangeKind::Drift => Ink::Warning,
        FileChangeKind::Modified | FileChangeKind::Mode => Ink::Plain,
    };
    write!(w, "  {} {}", style.ink(ink, sign(file.change)), name(&file.path))?;
    match remark(file) {
        Some(remark) => writeln!(w, "  {}", style.ink(Ink::Faint, format!("({remark})"))),
        None => writeln!(w),
    }
}

/// Writes one line for each kind of change: `+ 14 files added`.
fn folded(w: &mut dyn Write, files: &[&FileChange], style: Style) -> io::Result<()> {
    let kinds = [
        (FileChangeKind::Modified, Ink::Plain, "modified"),
        (FileChangeKind::Mode, Ink::Plain, "with another executable bit"),
        (FileChangeKind::Added, Ink::Good, "added"),
        (FileChangeKind::Removed, Ink::Bad, "removed"),
    ];
    let hint = style.ink(Ink::Faint, "(-v lists them)");
    for (kind, ink, word) in kinds {
        let number = files.iter().filter(|file| file.change == kind).count();
        if number > 0 {
            writeln!(w, "  {} {} {word}  {hint}", style.ink(ink, sign(kind)), count(number, "file"))?;
        }
    }
    Ok(())
}
