//! `explain`: the services that read a path, by which line, and what a change of it causes.

use std::io::{self, Write};

use crate::outcome::queries::{Explanation, Explanations, PathReader};
use crate::report::escape::name;
use crate::report::markdown::code;
use crate::report::style::{Ink, Style};
use crate::report::wording::{detail, place};
use crate::report::{Render, json};

impl Render for Explanations {
    fn text(&self, w: &mut dyn Write, style: Style) -> io::Result<()> {
        for (number, shown) in self.paths.iter().enumerate() {
            if number > 0 {
                writeln!(w)?;
            }
            text_of_path(w, shown, style)?;
        }
        Ok(())
    }

    fn markdown(&self, w: &mut dyn Write) -> io::Result<()> {
        for explanation in &self.paths {
            writeln!(w, "### {}\n", code(&explanation.path))?;
            if !explanation.known {
                writeln!(w, "It is not in the repository.\n")?;
            } else if !explanation.managed {
                writeln!(w, "It is not synced to a host.\n")?;
            }
            if explanation.readers.is_empty() {
                writeln!(w, "No service reads it.\n")?;
                if let Some(note) = &explanation.note {
                    writeln!(w, "{}\n", code(note))?;
                }
                continue;
            }
            writeln!(
                w,
                "| project | service | reads it as | by | a change means |\n| --- | --- | --- | --- | --- |"
            )?;
            for reader in &explanation.readers {
                let by = code(&format!("{}:{}", reader.at.path, reader.at.line));
                let detail = detail(&reader.kind).into_iter().chain(reader.detail.clone());
                let detail: Vec<_> = detail.map(|detail| format!(" {}", code(&detail))).collect();
                let (project, service) = (code(&reader.project), code(&reader.service));
                let (how, kind) = (reader.how.word(), reader.kind.word());
                writeln!(w, "| {project} | {service} | {how} | {by} | {kind}{} |", detail.concat())?;
            }
            writeln!(w)?;
            if let Some(note) = &explanation.note {
                writeln!(w, "{}\n", code(note))?;
            }
        }
        Ok(())
    }

    fn json(&self, w: &mut dyn Write) -> io::Result<()> {
        json::versioned(w, self)
    }
}

fn text_of_path(w: &mut dyn Write, explanation: &Explanation, style: Style) -> io::Result<()> {
    writeln!(w, "{}", style.ink(Ink::Heading, name(&explanation.path)))?;
    if !explanation.known {
        writeln!(w, "  is not in the repository")?;
    } else if !explanation.managed {
        writeln!(w, "  is not synced to a host")?;
    }
    if explanation.readers.is_empty() {
        let also = if explanation.managed { ": a change is synced, and nothing restarts" } else { "" };
        writeln!(w, "  no service reads it{also}")?;
        return explanation.note.iter().try_for_each(|note| writeln!(w, "  {}", name(note)));
    }
    let cells: Vec<[String; 4]> = explanation.readers.iter().map(text_of_reader).collect();
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let (who, how, at) = (width(0), width(1), width(2));
    for row in &cells {
        let line = format!("  {:<who$}  {:<how$}  {:<at$}  {}", row[0], row[1], row[2], row[3]);
        writeln!(w, "{}", line.trim_end())?;
    }
    explanation.note.iter().try_for_each(|note| writeln!(w, "  {}", name(note)))
}

fn text_of_reader(reader: &PathReader) -> [String; 4] {
    let kind = match detail(&reader.kind) {
        Some(detail) => format!("{} ({detail})", reader.kind.word()),
        None => reader.kind.word().to_owned(),
    };
    let note = reader.detail.as_deref().map(|note| format!(", {}", name(note))).unwrap_or_default();
    [
        format!("{}/{}", name(&reader.project), name(&reader.service)),
        reader.how.word().to_owned(),
        place(&reader.at, ""),
        format!("{kind}{note}"),
    ]
}

#[cfg(test)]
mod tests {
    use crate::report::samples::{self, json, markdown, text};

    #[test]
    fn explain_names_the_readers_of_a_path_and_what_a_change_causes() {
        insta::assert_snapshot!(text(&samples::explanations()), @"
        services/blog/nginx.conf
          blog/web     bind      services/blog/compose.yml:14   restart
          blog/worker  env_file  services/blog/compose.yml:103  signal (SIGHUP), if DATA_DIR is ./data

        services/blog/README.md
          is not synced to a host
          no service reads it

        services/blog/run.sh
          no service reads it: a change is synced, and nothing restarts

        services/nowhere
          is not in the repository
          no service reads it
        ");
    }

    #[test]
    fn explain_is_one_table_per_path() {
        insta::assert_snapshot!(markdown(&samples::explanations()), @"
        ### `services/blog/nginx.conf`

        | project | service | reads it as | by | a change means |
        | --- | --- | --- | --- | --- |
        | `blog` | `web` | bind | `services/blog/compose.yml:14` | restart |
        | `blog` | `worker` | env_file | `services/blog/compose.yml:103` | signal `SIGHUP` `if DATA_DIR is ./data` |

        ### `services/blog/README.md`

        It is not synced to a host.

        No service reads it.

        ### `services/blog/run.sh`

        No service reads it.

        ### `services/nowhere`

        It is not in the repository.

        No service reads it.
        ");
    }

    #[test]
    fn the_form_of_explanations() {
        let mut explanations = samples::explanations();
        explanations.paths.truncate(2);
        insta::assert_snapshot!(json(&explanations), @r#"
        {
          "version": 1,
          "paths": [
            {
              "path": "services/blog/nginx.conf",
              "known": true,
              "managed": true,
              "readers": [
                {
                  "project": "blog",
                  "service": "web",
                  "how": "bind",
                  "at": {
                    "path": "services/blog/compose.yml",
                    "line": 14,
                    "column": 9
                  },
                  "kind": "restart"
                },
                {
                  "project": "blog",
                  "service": "worker",
                  "how": "env_file",
                  "at": {
                    "path": "services/blog/compose.yml",
                    "line": 103,
                    "column": 9
                  },
                  "kind": "signal",
                  "signal": "SIGHUP",
                  "detail": "if DATA_DIR is ./data"
                }
              ]
            },
            {
              "path": "services/blog/README.md",
              "known": true,
              "managed": false,
              "readers": []
            }
          ]
        }
        "#);
    }

    #[test]
    fn hostile_names_are_shown_and_do_nothing() {
        samples::assert_harmless(&text(&samples::hostile_explanations()));
        samples::assert_harmless(&markdown(&samples::hostile_explanations()));
    }
}
