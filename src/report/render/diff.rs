//! `diff`: for each host the files that differ. The host's content is the old side.

use std::io::{self, Write};

use crate::outcome::queries::{DiffReport, FileDiff};
use crate::report::diagnostic::brief;
use crate::report::escape::{kept_tabs, name};
use crate::report::markdown::{code, fenced_as, messages};
use crate::report::style::{Ink, Style};
use crate::report::text::host_heading;
use crate::report::wording::{remark_of, sign};
use crate::report::{Render, json};

impl Render for DiffReport {
    fn text(&self, w: &mut dyn Write, style: Style) -> io::Result<()> {
        for host in &self.hosts {
            host_heading(w, &host.name, self.hosts.len(), style)?;
            host.files.iter().try_for_each(|file| text_of_file(w, file, style))?;
            brief(w, &host.problems, "", style)?;
            if host.files.is_empty() && host.problems.is_empty() {
                writeln!(w, "no file differs")?;
            }
        }
        Ok(())
    }

    fn markdown(&self, w: &mut dyn Write) -> io::Result<()> {
        for host in &self.hosts {
            writeln!(w, "### Files of {}\n", code(&host.name))?;
            messages(w, &host.problems)?;
            if host.files.is_empty() && host.problems.is_empty() {
                writeln!(w, "No file differs.\n")?;
            }
            for file in &host.files {
                let remark = remark_of(file.change).into_iter().chain(file.note.as_deref());
                let remark = remark.map(|remark| format!(" ({remark})")).collect::<String>();
                writeln!(w, "#### {}{remark}\n", code(&file.path))?;
                if let Some(diff) = file.diff.as_deref().filter(|diff| !diff.is_empty()) {
                    let lines: Vec<String> = diff.lines().map(kept_tabs).collect();
                    fenced_as(w, "diff", &lines.join("\n"))?;
                }
            }
        }
        Ok(())
    }

    fn json(&self, w: &mut dyn Write) -> io::Result<()> {
        json::versioned(w, self)
    }
}

fn text_of_file(w: &mut dyn Write, file: &FileDiff, style: Style) -> io::Result<()> {
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
    use crate::report::samples::{self, markdown, text};

    #[test]
    fn each_file_has_its_heading_and_its_lines() {
        insta::assert_snapshot!(text(&samples::diff()), @"
        host web

        ! services/blog/nginx.conf  (drift: changed on the host)
        --- host/services/blog/nginx.conf
        +++ repository/services/blog/nginx.conf
        @@ -1,3 +1,3 @@
         user nginx;
        -	listen 80;
        +	listen 8080;

        ~ services/blog/app.env  (not shown: it may hold secrets)

        ~ services/blog/run.sh  (executable bit)

        host db

        error: failed to connect to db: connection refused
        host new

        no file differs
        ");
    }

    #[test]
    fn each_file_has_its_block() {
        insta::assert_snapshot!(markdown(&samples::diff()), @"
        ### Files of `web`

        #### `services/blog/nginx.conf` (drift: changed on the host)

        ```diff
        --- host/services/blog/nginx.conf
        +++ repository/services/blog/nginx.conf
        @@ -1,3 +1,3 @@
         user nginx;
        -	listen 80;
        +	listen 8080;
        ```

        #### `services/blog/app.env` (not shown: it may hold secrets)

        #### `services/blog/run.sh` (executable bit)

        ### Files of `db`

        ```text
        error: failed to connect to db: connection refused
        ```

        ### Files of `new`

        No file differs.
        ");
    }

    #[test]
    fn hostile_content_is_shown_and_does_nothing() {
        for shown in [text(&samples::hostile_diff()), markdown(&samples::hostile_diff())] {
            samples::assert_harmless(&shown.replace('\t', " "));
        }
    }
}
