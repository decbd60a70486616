//! `check`: all errors and warnings about the repository, with their lines.

use std::io::{self, Write};

use crate::outcome::queries::CheckReport;
use crate::report::diagnostic::diagnostics;
use crate::report::markdown::fenced;
use crate::report::style::{Ink, Style};
use crate::report::tally::checked;
use crate::report::wording::count;
use crate::report::{Render, Sources, json};

/// A report of `check` with the lines that it is about.
#[derive(Clone, Copy)]
pub struct Checked<'a> {
    /// The report.
    pub report: &'a CheckReport,
    /// Looks up the files that its messages name.
    pub sources: Sources<'a>,
}

impl Render for Checked<'_> {
    fn text(&self, w: &mut dyn Write, style: Style) -> io::Result<()> {
        diagnostics(w, &self.report.diagnostics, self.sources, style)?;
        if !self.report.diagnostics.is_empty() {
            writeln!(w)?;
        }
        writeln!(w, "{}", style.ink(Ink::Heading, checked(self.report)))
    }

    fn markdown(&self, w: &mut dyn Write) -> io::Result<()> {
        writeln!(w, "### ghdeploy check: {}\n", checked(self.report))?;
        if self.report.diagnostics.is_empty() {
            return Ok(());
        }
        let errors = self.report.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
        if errors > 0 {
            writeln!(w, "{} must be fixed before a deploy.\n", count(errors, "error"))?;
        }
        let mut text = Vec::new();
        diagnostics(&mut text, &self.report.diagnostics, self.sources, Style::default())?;
        fenced(w, &String::from_utf8_lossy(&text))
    }

    fn json(&self, w: &mut dyn Write) -> io::Result<()> {
        json::versioned(w, self.report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{self, json, markdown, text};

    #[test]
    fn check_shows_every_problem_with_its_line() {
        insta::assert_snapshot!(
            text(&Checked { report: &samples::check(), sources: &samples::source }), @"
        error: service `web` mounts a file that is not in the repository
          --> services/shop/compose.yml:4:9
           |
         4 |       - ./nginx.conf:/etc/nginx/nginx.conf:ro
           |         ^
        help: add services/shop/nginx.conf

        warning: image `nginx` has no tag
          --> services/shop/compose.yml:2:12
           |
         2 |     image: nginx
           |            ^

        24 projects, 60 services: 1 error, 1 warning
        ");
        let clean = CheckReport { projects: 1, services: 1, diagnostics: vec![] };
        insta::assert_snapshot!(text(&Checked { report: &clean, sources: &|_| None }), @"1 project, 1 service: no problems");
    }

    #[test]
    fn check_shows_its_messages_in_a_block() {
        insta::assert_snapshot!(markdown(&Checked { report: &samples::check(), sources: &samples::source }), @"
        ### ghdeploy check: 24 projects, 60 services: 1 error, 1 warning

        1 error must be fixed before a deploy.

        ```text
        error: service `web` mounts a file that is not in the repository
          --> services/shop/compose.yml:4:9
           |
         4 |       - ./nginx.conf:/etc/nginx/nginx.conf:ro
           |         ^
        help: add services/shop/nginx.conf

        warning: image `nginx` has no tag
          --> services/shop/compose.yml:2:12
           |
         2 |     image: nginx
           |            ^
        ```
        ");
    }

    #[test]
    fn the_form_of_a_check() {
        insta::assert_snapshot!(json(&Checked { report: &samples::check(), sources: &samples::source }), @r#"
        {
          "version": 1,
          "projects": 24,
          "services": 60,
          "diagnostics": [
            {
              "severity": "error",
              "message": "service `web` mounts a file that is not in the repository",
              "at": {
                "path": "services/shop/compose.yml",
                "line": 4,
                "column": 9
              },
              "help": "add services/shop/nginx.conf"
            },
            {
              "severity": "warning",
              "message": "image `nginx` has no tag",
              "at": {
                "path": "services/shop/compose.yml",
                "line": 2,
                "column": 12
              },
              "help": null
            }
          ]
        }
        "#);
    }
}
