//! The answers of `explain`, `status`, `doctor` and `check` as Markdown.

use std::io::{self, Write};

use crate::outcome::answers::{
    CheckReport, Checkup, CheckupResult, Explanation, HostStatus, ProjectStatus, Status,
};
use crate::report::Sources;
use crate::report::diagnostic::diagnostics;
use crate::report::style::Style;
use crate::report::tally::{checked, examined};
use crate::report::wording::{commit, count, detail};

use super::{code, fenced, listed, messages};

/// Writes for each path who reads it, by which line, and what a change of it would do.
///
/// # Errors
///
/// When `w` fails.
pub fn explanations(w: &mut dyn Write, explanations: &[Explanation]) -> io::Result<()> {
    for explanation in explanations {
        writeln!(w, "### {}\n", code(&explanation.path))?;
        if !explanation.known {
            writeln!(w, "It is not in the repository.\n")?;
        } else if !explanation.managed {
            writeln!(w, "It is not synced to a host.\n")?;
        }
        if explanation.readers.is_empty() {
            writeln!(w, "No service reads it.\n")?;
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
    }
    Ok(())
}

/// Writes for each host its release, and for each project its containers, drift and what it is owed.
///
/// # Errors
///
/// When `w` fails.
pub fn status(w: &mut dyn Write, status: &Status) -> io::Result<()> {
    status.hosts.iter().try_for_each(|host| host_status(w, host))
}

fn host_status(w: &mut dyn Write, host: &HostStatus) -> io::Result<()> {
    writeln!(w, "### Host {}\n", code(&host.name))?;
    let release = host.release.map(|release| format!("release {release}"));
    let id = host.commit.as_deref().map(|id| format!("commit {}", code(&commit(id))));
    let time = host.deployed_at.as_deref().map(|time| format!("deployed {}", code(time)));
    let parts: Vec<_> = release.into_iter().chain(id).chain(time).collect();
    if !parts.is_empty() {
        writeln!(w, "{}\n", parts.join(" · "))?;
    }
    messages(w, &host.problems)?;
    if !host.projects.is_empty() {
        writeln!(
            w,
            "| project | release | containers | drift and owed actions |\n| --- | --- | --- | --- |"
        )?;
        host.projects.iter().try_for_each(|project| project_status(w, project))?;
        writeln!(w)?;
    }
    Ok(())
}

fn project_status(w: &mut dyn Write, project: &ProjectStatus) -> io::Result<()> {
    let containers = project.containers.iter().map(|container| {
        let health = container.health.as_ref().map(|health| format!(", {health}")).unwrap_or_default();
        format!("{} {}", code(&container.service), code(&format!("{}{health}", container.state)))
    });
    let drift = project.drift.iter().map(|path| format!("drift {}", code(path)));
    let owed = project.owed.iter().map(|owed| format!("{} {}", owed.kind.word(), code(&owed.service)));
    let left = project.left.iter().map(|left| format!("rolled back from {left}"));
    let (containers, odd): (Vec<_>, Vec<_>) = (containers.collect(), left.chain(drift).chain(owed).collect());
    let release = project.release.map(|release| release.to_string()).unwrap_or_default();
    writeln!(w, "| {} | {release} | {} | {} |", code(&project.name), listed(&containers), listed(&odd))
}

/// Writes for each host what was looked at, how it is, and how to mend what is not well.
///
/// # Errors
///
/// When `w` fails.
pub fn checkup(w: &mut dyn Write, checkup: &Checkup) -> io::Result<()> {
    writeln!(w, "### ghdeploy doctor: {}\n", examined(checkup))?;
    for host in &checkup.hosts {
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

/// Writes everything that is wrong or doubtful.
///
/// # Errors
///
/// When `w` fails.
pub fn check(w: &mut dyn Write, report: &CheckReport, sources: Sources<'_>) -> io::Result<()> {
    writeln!(w, "### ghdeploy check: {}\n", checked(report))?;
    if report.diagnostics.is_empty() {
        return Ok(());
    }
    let errors = report.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    if errors > 0 {
        writeln!(w, "{} must be mended before a deploy.\n", count(errors, "error"))?;
    }
    let mut text = Vec::new();
    diagnostics(&mut text, &report.diagnostics, sources, Style::default())?;
    fenced(w, &String::from_utf8_lossy(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{self, text_of};

    #[test]
    fn explain_is_a_table_a_path() {
        insta::assert_snapshot!(text_of(|w| explanations(w, &samples::explanations())), @"
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
    fn status_is_a_table_a_host() {
        insta::assert_snapshot!(text_of(|w| status(w, &samples::status())), @"
        ### Host `web`

        release 42 · commit `1a2b3c4d5e` · deployed `2025-06-01T02:03:00Z`

        | project | release | containers | drift and owed actions |
        | --- | --- | --- | --- |
        | `blog` | 42 | `web` `running, healthy`, `worker` `exited` | rolled back from 40, drift `blog/nginx.conf`, restart `web` |

        ### Host `db`

        ```text
        error: failed to connect to db: connection refused
        ```
        ");
    }

    #[test]
    fn doctor_is_a_table_a_host() {
        insta::assert_snapshot!(text_of(|w| checkup(w, &samples::checkup())), @"
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
    fn check_shows_its_messages_in_a_block() {
        insta::assert_snapshot!(text_of(|w| check(w, &samples::check(), &samples::source)), @"
        ### ghdeploy check: 24 projects, 60 services: 1 error, 1 warning

        1 error must be mended before a deploy.

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
    fn hostile_names_are_shown_and_do_nothing() {
        samples::assert_harmless(&text_of(|w| explanations(w, &samples::hostile_explanations())));
        samples::assert_harmless(&text_of(|w| status(w, &samples::hostile_status())));
    }
}
