//! The answers of `explain`, `status`, `doctor` and `check` as text.

use std::io::{self, Write};

use crate::outcome::answers::{
    CheckReport, Checkup, CheckupResult, CheckupStep, Container, Explanation, HostStatus, ProjectStatus,
    Reader, Status,
};
use crate::report::Sources;
use crate::report::diagnostic::{brief, diagnostics};
use crate::report::escape::{lines, name};
use crate::report::style::{Ink, Style};
use crate::report::tally::{checked, examined};
use crate::report::wording::{commit, detail, place};

/// Writes for each path who reads it, by which line, and what a change of it would do.
///
/// # Errors
///
/// When `w` fails.
pub fn explanations(w: &mut dyn Write, explanations: &[Explanation], style: Style) -> io::Result<()> {
    for (number, shown) in explanations.iter().enumerate() {
        if number > 0 {
            writeln!(w)?;
        }
        explanation(w, shown, style)?;
    }
    Ok(())
}

fn explanation(w: &mut dyn Write, explanation: &Explanation, style: Style) -> io::Result<()> {
    writeln!(w, "{}", style.ink(Ink::Heading, name(&explanation.path)))?;
    if !explanation.known {
        writeln!(w, "  is not in the repository")?;
    } else if !explanation.managed {
        writeln!(w, "  is not synced to a host")?;
    }
    if explanation.readers.is_empty() {
        let also = if explanation.managed { ": a change is synced, and nothing restarts" } else { "" };
        return writeln!(w, "  no service reads it{also}");
    }
    let cells: Vec<[String; 4]> = explanation.readers.iter().map(reader).collect();
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let (who, how, at) = (width(0), width(1), width(2));
    for row in &cells {
        let line = format!("  {:<who$}  {:<how$}  {:<at$}  {}", row[0], row[1], row[2], row[3]);
        writeln!(w, "{}", line.trim_end())?;
    }
    Ok(())
}

fn reader(reader: &Reader) -> [String; 4] {
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

/// Writes for each host its release, and for each project its containers, drift and what it is owed.
///
/// # Errors
///
/// When `w` fails.
pub fn status(w: &mut dyn Write, status: &Status, style: Style) -> io::Result<()> {
    for (number, shown) in status.hosts.iter().enumerate() {
        if number > 0 {
            writeln!(w)?;
        }
        host_status(w, shown, style)?;
    }
    Ok(())
}

fn host_status(w: &mut dyn Write, host: &HostStatus, style: Style) -> io::Result<()> {
    write!(w, "{}: ", style.ink(Ink::Heading, format!("host {}", name(&host.name))))?;
    match host.release {
        Some(release) => write!(w, "release {release}")?,
        None if host.problems.is_empty() => write!(w, "nothing deployed yet")?,
        None => write!(w, "unknown")?,
    }
    if let Some(id) = &host.commit {
        write!(w, ", commit {}", commit(id))?;
    }
    if let Some(time) = &host.deployed_at {
        write!(w, ", deployed {}", name(time))?;
    }
    writeln!(w)?;
    host.projects.iter().try_for_each(|shown| project_status(w, shown, style))?;
    brief(w, &host.problems, "  ", style)
}

fn project_status(w: &mut dyn Write, project: &ProjectStatus, style: Style) -> io::Result<()> {
    write!(w, "  {}", style.ink(Ink::Heading, name(&project.name)))?;
    if let Some(release) = project.release {
        write!(w, "  {}", style.ink(Ink::Faint, format!("release {release}")))?;
    }
    writeln!(w)?;
    let cells: Vec<[String; 4]> = project.containers.iter().map(container).collect();
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let (service, state, since) = (width(0), width(1), width(2));
    for (container, row) in project.containers.iter().zip(&cells) {
        let ink = if container.is_well() { Ink::Good } else { Ink::Warning };
        let state = style.ink(ink, format!("{:<state$}", row[1]));
        writeln!(w, "    {:<service$}  {state}  {:<since$}  {}", row[0], row[2], row[3])?;
    }
    if let Some(left) = project.left {
        writeln!(w, "    {}", style.ink(Ink::Warning, format!("rolled back from release {left}")))?;
    }
    for path in &project.drift {
        let remark = style.ink(Ink::Faint, "(drift: changed on the host)");
        writeln!(w, "    {} {}  {remark}", style.ink(Ink::Warning, "!"), name(path))?;
    }
    for owed in &project.owed {
        let word = style.ink(Ink::Warning, "owed");
        writeln!(w, "    {word}: {} {}", owed.kind.word(), name(&owed.service))?;
    }
    Ok(())
}

fn container(container: &Container) -> [String; 4] {
    let health = container
        .health
        .as_ref()
        .map(|health| format!(", {}", name(&health.to_string())))
        .unwrap_or_default();
    [
        name(&container.service).into_owned(),
        format!("{}{health}", name(&container.state.to_string())),
        container.since.as_deref().map(|since| format!("since {}", name(since))).unwrap_or_default(),
        name(&container.image).into_owned(),
    ]
}

/// Writes for each host what was looked at, how it is, and how to mend what is not well.
///
/// # Errors
///
/// When `w` fails.
pub fn checkup(w: &mut dyn Write, checkup: &Checkup, style: Style) -> io::Result<()> {
    for host in &checkup.hosts {
        writeln!(w, "{}", style.ink(Ink::Heading, format!("host {}", name(&host.name))))?;
        let width = host.steps.iter().map(|step| name(&step.what).chars().count()).max().unwrap_or_default();
        host.steps.iter().try_for_each(|step| checkup_step(w, step, width, style))?;
        writeln!(w)?;
    }
    writeln!(w, "{}", style.ink(Ink::Heading, examined(checkup)))
}

fn checkup_step(w: &mut dyn Write, step: &CheckupStep, width: usize, style: Style) -> io::Result<()> {
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

/// Writes everything that is wrong or doubtful with its line, and the counts at the end.
///
/// # Errors
///
/// When `w` fails.
pub fn check(w: &mut dyn Write, report: &CheckReport, sources: Sources<'_>, style: Style) -> io::Result<()> {
    diagnostics(w, &report.diagnostics, sources, style)?;
    if !report.diagnostics.is_empty() {
        writeln!(w)?;
    }
    writeln!(w, "{}", style.ink(Ink::Heading, checked(report)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{self, text_of};

    #[test]
    fn explain_says_who_reads_a_path_and_what_a_change_does() {
        insta::assert_snapshot!(text_of(|w| explanations(w, &samples::explanations(), Style::default())), @"
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
    fn status_shows_releases_containers_drift_and_what_is_owed() {
        insta::assert_snapshot!(text_of(|w| status(w, &samples::status(), Style::default())), @"
        host web: release 42, commit 1a2b3c4d5e, deployed 2025-06-01T02:03:00Z
          blog  release 42
            web     running, healthy  since 2025-06-01T02:03:04Z  ghcr.io/owner/blog:latest
            worker  exited            since 2025-06-01T02:03:04Z  ghcr.io/owner/blog:latest
            rolled back from release 40
            ! blog/nginx.conf  (drift: changed on the host)
            owed: restart web

        host db: unknown
          error: failed to connect to db: connection refused
        ");
    }

    #[test]
    fn doctor_says_how_to_mend_what_is_not_well() {
        insta::assert_snapshot!(text_of(|w| checkup(w, &samples::checkup(), Style::default())), @"
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
    fn check_shows_every_problem_with_its_line() {
        insta::assert_snapshot!(
            text_of(|w| check(w, &samples::check(), &samples::source, Style::default())), @"
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
        let well = CheckReport { projects: 1, services: 1, diagnostics: vec![] };
        insta::assert_snapshot!(text_of(|w| check(w, &well, &|_| None, Style::default())), @"1 project, 1 service: all well");
    }

    #[test]
    fn hostile_names_are_shown_and_do_nothing() {
        samples::assert_harmless(&text_of(|w| {
            explanations(w, &samples::hostile_explanations(), Style::default())
        }));
        samples::assert_harmless(&text_of(|w| status(w, &samples::hostile_status(), Style::default())));
    }
}
