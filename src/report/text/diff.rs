//! Differences of files as text.

use std::io::{self, Write};

use crate::outcome::answers::{Diff, FileDiff};
use crate::report::diagnostic::brief;
use crate::report::escape::{kept_tabs, name};
use crate::report::style::{Ink, Style};
use crate::report::wording::{remark_of, sign};

use super::host_heading;

/// Writes for each host the files that differ: what the host has is the old side.
///
/// # Errors
///
/// When `w` fails.
pub fn diff(w: &mut dyn Write, diff: &Diff, style: Style) -> io::Result<()> {
    for host in &diff.hosts {
        host_heading(w, &host.name, diff.hosts.len(), style)?;
        host.files.iter().try_for_each(|file| file_diff(w, file, style))?;
        brief(w, &host.problems, "", style)?;
        if host.files.is_empty() && host.problems.is_empty() {
            writeln!(w, "no file differs")?;
        }
    }
    Ok(())
}

fn file_diff(w: &mut dyn Write, file: &FileDiff, style: Style) -> io::Result<()> {
    let remark = remark_of(file.change).into_iter().chain(file.note.as_deref());
    let remark = remark.map(|remark| format!("  ({remark})")).collect::<String>();
    let heading = style.ink(Ink::Heading, format!("{} {}", sign(file.change), name(&file.path)));
    writeln!(w, "{heading}{}", style.ink(Ink::Faint, remark))?;
    for line in file.diff.iter().flat_map(|diff| diff.lines()) {
        let shown = kept_tabs(line);
        match line.chars().next() {
            Some('+') => writeln!(w, "{}", style.ink(Ink::Good, shown))?,
            Some('-') => writeln!(w, "{}", style.ink(Ink::Bad, shown))?,
            Some('@') => writeln!(w, "{}", style.ink(Ink::Faint, shown))?,
            _ => writeln!(w, "{shown}")?,
        }
    }
    writeln!(w)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{self, text_of};

    #[test]
    fn each_file_has_its_heading_and_its_lines() {
        insta::assert_snapshot!(text_of(|w| diff(w, &samples::diff(), Style::default())), @"
        host web

        ! services/blog/nginx.conf  (drift: changed on the host)
        --- host/services/blog/nginx.conf
        +++ repository/services/blog/nginx.conf
        @@ -1,3 +1,3 @@
         user nginx;
        -	listen 80;
        +	listen 8080;

        ~ services/blog/app.env  (not shown, for it may hold secrets)

        ~ services/blog/run.sh  (executable bit)

        host db

        error: failed to connect to db: connection refused
        host new

        no file differs
        ");
    }

    #[test]
    fn hostile_content_is_shown_and_does_nothing() {
        let text = text_of(|w| diff(w, &samples::hostile_diff(), Style::default()));
        samples::assert_harmless(&text.replace('\t', " "));
    }
}
