//! `check`: all errors and warnings about the repository, with their lines.

use std::io::{self, Write};

use crate::base::diagnostic::folded;
use crate::compose::model::VariableNeed;
use crate::outcome::queries::{CheckReport, LeftOutFolder, ProjectVariables, VariableUse};
use crate::report::diagnostic::diagnostics;
use crate::report::escape::name;
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
        let report = self.report;
        let shown = if style.verbose { report.diagnostics.clone() } else { folded(&report.diagnostics) };
        diagnostics(w, &shown, self.sources, style)?;
        if !report.diagnostics.is_empty() {
            writeln!(w)?;
        }
        if shown.len() < report.diagnostics.len() {
            writeln!(w, "`-v` shows each of them with its line\n")?;
        }
        if style.verbose && !report.left_out.is_empty() {
            for LeftOutFolder { path, by } in &report.left_out {
                writeln!(w, "left out: {}: {}", name(path), why_left_out(by))?;
            }
            writeln!(w)?;
        }
        if !report.variables.is_empty() {
            writeln!(w, "{}", style.ink(Ink::Heading, VARIABLES))?;
            variables(w, &report.variables)?;
            writeln!(w)?;
        }
        writeln!(w, "{}", style.ink(Ink::Heading, checked(report)))
    }

    fn markdown(&self, w: &mut dyn Write) -> io::Result<()> {
        writeln!(w, "### ghdeploy check: {}\n", checked(self.report))?;
        if !self.report.variables.is_empty() {
            writeln!(w, "{VARIABLES}:\n")?;
            let mut text = Vec::new();
            variables(&mut text, &self.report.variables)?;
            fenced(w, &String::from_utf8_lossy(&text))?;
        }
        if self.report.diagnostics.is_empty() {
            return Ok(());
        }
        let errors = self.report.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
        if errors > 0 {
            writeln!(w, "{} must be fixed before a deploy.\n", count(errors, "error"))?;
        }
        let mut text = Vec::new();
        diagnostics(&mut text, &folded(&self.report.diagnostics), self.sources, Style::default())?;
        fenced(w, &String::from_utf8_lossy(&text))
    }

    fn json(&self, w: &mut dyn Write) -> io::Result<()> {
        json::versioned(w, self.report)
    }
}

/// Heading of the variables.
const VARIABLES: &str =
    "variables that the repository does not define, for the .env of the project on each host";

/// Writes the variables of each project, with the place that needs them most.
fn variables(w: &mut dyn Write, projects: &[ProjectVariables]) -> io::Result<()> {
    for ProjectVariables { project, variables } in projects {
        writeln!(w, "  {}", name(project))?;
        let width = variables.iter().map(|variable| variable.name.len()).max().unwrap_or_default();
        for VariableUse { name: variable, need, at } in variables {
            let need = match need {
                VariableNeed::Nothing => ", has a default",
                VariableNeed::Value => "",
                VariableNeed::Required | VariableNeed::NotEmpty => ", required",
            };
            writeln!(w, "    {variable:width$}  {}:{}{need}", name(&at.path), at.line)?;
        }
    }
    Ok(())
}

/// Why a folder is no project.
fn why_left_out(by: &str) -> String {
    match by {
        "!" => "a pattern in `services` excludes it".to_owned(),
        by => format!("`{}` begins with `{}`", name(by), by.chars().next().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::diagnostic::{Diagnostic, Location};
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
        let clean = CheckReport { diagnostics: vec![], projects: 1, services: 1, ..samples::check() };
        insta::assert_snapshot!(text(&Checked { report: &clean, sources: &|_| None }), @"1 project, 1 service: no problems");
    }

    #[test]
    fn check_lists_what_hosts_must_define_and_folds_what_comes_often() {
        let at = |line| Location { path: "services/shop/compose.yml".to_owned(), line, column: 5 };
        let of = |name: &str, need, line| VariableUse { name: name.to_owned(), need, at: at(line) };
        let image = |service: &str, line| {
            let message = format!("the image of service `{service}` has no tag");
            let what = "images of `shop` without a version".to_owned();
            Diagnostic::warning(message, Some(at(line))).help("name a version").in_group(
                what,
                format!("`{service}` (no tag)"),
                2,
            )
        };
        let report = CheckReport {
            projects: 1,
            services: 2,
            diagnostics: vec![image("web", 2), image("db", 9)],
            variables: vec![ProjectVariables {
                project: "shop".to_owned(),
                variables: vec![
                    of("DB_PASSWORD", VariableNeed::NotEmpty, 12),
                    of("PORT", VariableNeed::Nothing, 8),
                    of("TZ", VariableNeed::Value, 14),
                ],
            }],
            left_out: vec![
                LeftOutFolder { path: "services/_old/a".to_owned(), by: "_old".to_owned() },
                LeftOutFolder { path: "services/b".to_owned(), by: "!".to_owned() },
            ],
        };
        let shown = Checked { report: &report, sources: &|_| None };
        insta::assert_snapshot!(text(&shown), @"
            warning: 2 images of `shop` without a version: `web` (no tag), `db` (no tag)
            help: name a version

            `-v` shows each of them with its line

            variables that the repository does not define, for the .env of the project on each host
              shop
                DB_PASSWORD  services/shop/compose.yml:12, required
                PORT         services/shop/compose.yml:8, has a default
                TZ           services/shop/compose.yml:14

            1 project, 2 services: 2 warnings
            ");
        let verbose = |w: &mut Vec<u8>| shown.text(w, Style { verbose: true, ..Style::default() });
        let mut all = Vec::new();
        verbose(&mut all).unwrap();
        insta::assert_snapshot!(String::from_utf8(all).unwrap(), @"
            warning: the image of service `web` has no tag
              --> services/shop/compose.yml:2:5
            help: name a version

            warning: the image of service `db` has no tag
              --> services/shop/compose.yml:9:5
            help: name a version

            left out: services/_old/a: `_old` begins with `_`
            left out: services/b: a pattern in `services` excludes it

            variables that the repository does not define, for the .env of the project on each host
              shop
                DB_PASSWORD  services/shop/compose.yml:12, required
                PORT         services/shop/compose.yml:8, has a default
                TZ           services/shop/compose.yml:14

            1 project, 2 services: 2 warnings
            ");
        insta::assert_snapshot!(markdown(&shown), @"
            ### ghdeploy check: 1 project, 2 services: 2 warnings

            variables that the repository does not define, for the .env of the project on each host:

            ```text
              shop
                DB_PASSWORD  services/shop/compose.yml:12, required
                PORT         services/shop/compose.yml:8, has a default
                TZ           services/shop/compose.yml:14
            ```

            ```text
            warning: 2 images of `shop` without a version: `web` (no tag), `db` (no tag)
            help: name a version
            ```
            ");
        let json: serde_json::Value = serde_json::from_str(&json(&shown)).unwrap();
        assert_eq!(json["diagnostics"].as_array().unwrap().len(), 2);
        assert_eq!(json["variables"][0]["variables"][0]["need"], "not_empty");
        assert_eq!(json["left_out"][0]["by"], "_old");
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
