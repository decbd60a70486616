//! `doctor`: the checks of each host with their results, and how to fix what is wrong.

use std::io::{self, Write};

use crate::outcome::queries::{Checkup, CheckupResult, CheckupStep};
use crate::report::escape::{lines, name};
use crate::report::markdown::code;
use crate::report::style::{Ink, Style};
use crate::report::tally::examined;
use crate::report::{Render, json};

impl Render for Checkup {
    fn text(&self, w: &mut dyn Write, style: Style) -> io::Result<()> {
        for host in &self.hosts {
            writeln!(w, "{}", style.ink(Ink::Heading, format!("host {}", name(&host.name))))?;
            let width =
                host.steps.iter().map(|step| name(&step.what).chars().count()).max().unwrap_or_default();
            host.steps.iter().try_for_each(|step| text_of_step(w, step, width, style))?;
            writeln!(w)?;
        }
        writeln!(w, "{}", style.ink(Ink::Heading, examined(self)))
    }

    fn markdown(&self, w: &mut dyn Write) -> io::Result<()> {
        writeln!(w, "### ghdeploy doctor: {}\n", examined(self))?;
        for host in &self.hosts {
            writeln!(
                w,
                "#### Host {}\n\n| what | result | found | help |\n| --- | --- | --- | --- |",
                code(&host.name)
            )?;
            for step in &host.steps {
                let result = match step.result {
                    CheckupResult::Ok => "ok",
                    CheckupResult::Warning => "warning",
                    CheckupResult::Failed => "**failed**",
                };
                let cell = |text: &str| if text.is_empty() { String::new() } else { code(text) };
                let help = step.help.as_deref().unwrap_or_default().lines().map(cell);
                let help = help.collect::<Vec<_>>().join("<br>");
                writeln!(w, "| {} | {result} | {} | {help} |", code(&step.what), cell(&step.detail))?;
            }
            writeln!(w)?;
        }
        Ok(())
    }

    fn json(&self, w: &mut dyn Write) -> io::Result<()> {
        json::versioned(w, self)
    }
}

fn text_of_step(w: &mut dyn Write, step: &CheckupStep, width: usize, style: Style) -> io::Result<()> {
    let (word, ink) = match step.result {
        CheckupResult::Ok => ("ok", Ink::Good),
        CheckupResult::Warning => ("warning", Ink::Warning),
        CheckupResult::Failed => ("failed", Ink::Bad),
    };
    let line = format!("{:<width$}  {}", name(&step.what), name(&step.detail));
    writeln!(w, "  {}  {}", style.ink(ink, format!("{word:<7}")), line.trim_end())?;
    for (number, line) in lines(step.help.as_deref().unwrap_or_default()).enumerate() {
        let word = if number == 0 { "help:" } else { "     " };
        writeln!(w, "           {} {line}", style.ink(Ink::Help, word))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::report::samples::{self, json, markdown, text};

    #[test]
    fn doctor_says_how_to_fix_what_is_wrong() {
        insta::assert_snapshot!(text(&samples::checkup()), @"
        host web
          ok       ssh             deploy@203.0.113.10
          failed   docker compose  not found
                   help: apt-get install docker-compose-v2
                         then try again
          warning  disk            3 GB left | 97 % used

        1 failed, 1 warning
        ");
    }

    #[test]
    fn doctor_is_one_table_per_host() {
        insta::assert_snapshot!(markdown(&samples::checkup()), @"
        ### ghdeploy doctor: 1 failed, 1 warning

        #### Host `web`

        | what | result | found | help |
        | --- | --- | --- | --- |
        | `ssh` | ok | `deploy@203.0.113.10` |  |
        | `docker compose` | **failed** | `not found` | `apt-get install docker-compose-v2`<br>`then try again` |
        | `disk` | warning | <code>3 GB left &#124; 97 &#37; used</code> |  |
        ");
    }

    #[test]
    fn the_form_of_a_checkup() {
        insta::assert_snapshot!(json(&samples::checkup()), @r#"
        {
          "version": 1,
          "hosts": [
            {
              "name": "web",
              "steps": [
                {
                  "what": "ssh",
                  "result": "ok",
                  "detail": "deploy@203.0.113.10"
                },
                {
                  "what": "docker compose",
                  "result": "failed",
                  "detail": "not found",
                  "help": "apt-get install docker-compose-v2\nthen try again"
                },
                {
                  "what": "disk",
                  "result": "warning",
                  "detail": "3 GB left | 97 % used"
                }
              ],
              "engine": {
                "kind": "docker",
                "version": "28.5.2",
                "rootless": true,
                "address": "unix:///run/user/1000/docker.sock",
                "named_by": "context",
                "context": "rootless",
                "elsewhere": false,
                "refused": [
                  "DELETE /volumes"
                ]
              }
            }
          ]
        }
        "#);
    }
}
