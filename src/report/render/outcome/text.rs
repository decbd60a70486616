//! An outcome as text.

use std::io::{self, Write};

use crate::outcome::{HostOutcome, Outcome, ProjectOutcome, ProjectResult, ServiceLog};
use crate::report::diagnostic::brief;
use crate::report::escape::name;
use crate::report::style::{Ink, Style};
use crate::report::tally::Tally;
use crate::report::wording::{commit, host_state, project_result};

use super::{failed_first, has_failed, number_shown};
use crate::report::text::{Row, actions, files, hooks, host_heading, in_short, part, project_heading};

/// Writes the results, the failures with their causes, the counts, and last the state of each host.
///
/// # Errors
///
/// When `w` fails.
pub(super) fn outcome(w: &mut dyn Write, outcome: &Outcome, style: Style) -> io::Result<()> {
    for shown in &outcome.hosts {
        host(w, shown, outcome.hosts.len(), style)?;
    }
    let tally = Tally::of_outcome(outcome);
    writeln!(w, "{}", style.ink(Ink::Heading, tally.line(&tally.past())))?;
    for host in outcome.hosts.iter().filter(|_| number_shown(&outcome.hosts) > 1) {
        for failed in host.projects.iter().filter(|project| has_failed(project)) {
            let label = match outcome.hosts.len() {
                1 => failed.name.clone(),
                _ => format!("{}/{}", host.name, failed.name),
            };
            in_short(w, "failed:", &label, &failed.problems, style)?;
        }
    }
    outcome.hosts.iter().try_for_each(|host| state(w, host, outcome.label().as_deref(), style))
}

fn host(w: &mut dyn Write, host: &HostOutcome, hosts: usize, style: Style) -> io::Result<()> {
    host_heading(w, &host.name, hosts, style)?;
    for shown in failed_first(host) {
        let amounts = Tally::amounts_of(&shown.files, shown.actions.iter().map(|done| &done.action));
        let needs_look = !shown.problems.is_empty() || shown.result != ProjectResult::Done;
        part(w, needs_look, &amounts, style, |w| project(w, shown, style))?;
    }
    if !host.networks.is_empty() {
        for network in &host.networks {
            writeln!(w, "created network {}", name(network))?;
        }
        writeln!(w)?;
    }
    if !host.removed_images.is_empty() {
        for image in &host.removed_images {
            writeln!(w, "removed image {}, which no kept release needs", name(image.short()))?;
        }
        writeln!(w)?;
    }
    if !host.notes.is_empty() {
        brief(w, &host.notes, "", style)?;
        writeln!(w)?;
    }
    if let Some(failure) = &host.failure {
        brief(w, &failure.diagnostics, "", style)?;
        writeln!(w)?;
    } else if hosts > 1 && host.projects.iter().all(|project| project.result == ProjectResult::Unchanged) {
        writeln!(w, "nothing to do\n")?;
    }
    Ok(())
}

fn project(w: &mut dyn Write, project: &ProjectOutcome, style: Style) -> io::Result<()> {
    let ink = match project.result {
        ProjectResult::Done | ProjectResult::Unchanged => Ink::Good,
        ProjectResult::NothingChanged
        | ProjectResult::RolledBack
        | ProjectResult::Interrupted
        | ProjectResult::Unknown => Ink::Bad,
    };
    project_heading(w, &project.name, &project.path, (ink, project_result(project.result)), style)?;
    files(w, &project.files, style)?;
    let rows: Vec<_> =
        project.actions.iter().map(|done| Row { result: Some(done.result), action: &done.action }).collect();
    actions(w, &rows, &project.path, style)?;
    hooks(w, project.hooks.iter().map(|done| (Some(done.result), &done.hook)), style)?;
    for image in project.running.iter().filter(|image| style.verbose || image.revision.is_some()) {
        write!(w, "  runs     {}  {}", name(&image.service), name(&image.image))?;
        for (word, value) in [("", &image.digest), ("commit ", &image.revision)] {
            if let Some(value) = value {
                let short = value.strip_prefix("sha256:").unwrap_or(value);
                write!(w, "  {}", style.ink(Ink::Faint, format!("{word}{}", commit(short))))?;
            }
        }
        writeln!(w)?;
    }
    for kept in &project.kept {
        writeln!(w, "  kept     {}", name(kept))?;
    }
    brief(w, &project.problems, "  ", style)?;
    project.logs.iter().try_for_each(|service| log(w, service, style))
}

fn log(w: &mut dyn Write, service: &ServiceLog, style: Style) -> io::Result<()> {
    writeln!(w, "  last lines of {}:", name(&service.service))?;
    let bar = "|";
    service.lines.iter().try_for_each(|line| writeln!(w, "    {} {}", style.ink(Ink::Faint, bar), name(line)))
}

fn state(w: &mut dyn Write, host: &HostOutcome, wanted: Option<&str>, style: Style) -> io::Result<()> {
    let is_done = host.failure.is_none()
        && host.projects.iter().all(|p| matches!(p.result, ProjectResult::Done | ProjectResult::Unchanged));
    let ink = if is_done { Ink::Good } else { Ink::Bad };
    write!(w, "host {}: {}", style.ink(Ink::Heading, name(&host.name)), style.ink(ink, host_state(host)))?;
    match wanted.filter(|_| is_done && host.changed) {
        Some(wanted) => writeln!(w, ", commit {}", commit(wanted)),
        None => writeln!(w),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{ActionResult, RemovedImage};
    use crate::report::samples::{self, text_of};

    fn shown(hosts: Vec<HostOutcome>) -> String {
        text_of(|w| outcome(w, &samples::outcome_of(hosts), Style::default()))
    }

    #[test]
    fn created_networks_and_removed_images_are_named() {
        let image = |name: Option<&str>| RemovedImage {
            id: format!("sha256:{}", "0123456789abcdef".repeat(4)),
            name: name.map(str::to_owned),
        };
        let shown = shown(vec![HostOutcome {
            networks: vec!["proxy".to_owned()],
            removed_images: vec![image(Some("app:1")), image(None)],
            ..samples::successful()
        }]);
        for line in [
            "created network proxy\n",
            "removed image app:1, which no kept release needs\n",
            "removed image 0123456789ab, which no kept release needs\n",
        ] {
            assert!(shown.contains(line), "{shown}");
        }
    }

    #[test]
    fn a_good_run_ends_with_the_release() {
        insta::assert_snapshot!(shown(vec![samples::successful()]), @"
        traefik  stacks/edge  done
          ~ services/traefik/entry.sh  (executable bit)
          ~ shared/tz.env
          ! services/traefik/traefik.yml  (drift: changed on the host)
          done     signal  proxy (SIGHUP)       services/traefik/traefik.yml  (services/traefik/compose.yml:9)  and 1 other cause
          done     exec    sidecar (reload -q)  shared/tz.env  (shared/common.yml:3)  owed since release 40
          done     remove  old                  services/traefik/compose.yml:1

        blog  done
          ~ services/blog/compose.yml
          ~ services/blog/nginx.conf
          done     up       worker  services/blog/compose.yml:22
          done     restart  web     services/blog/nginx.conf  (compose.yml:14)

        shop  done
          + 12 files added  (-v lists them)
          done     up  web  services/shop/compose.yml:1  new project

        warning: project `wiki` is no longer in the repository and still runs
        help: run ghdeploy sync --prune to take it down; its volumes are kept

        3 projects done: 17 files, 2 up, 1 restart, 1 signal, 1 exec, 1 removed; 2 unchanged
        host web: release 42, commit 1a2b3c4d5e
        ");
    }

    #[test]
    fn hooks_have_their_results_as_actions_have() {
        let host = HostOutcome { projects: vec![samples::badly_migrated()], ..samples::successful() };
        let text = shown(vec![host]);
        let lines: Vec<_> = text.lines().skip(1).take(3).collect();
        let wanted = [
            "  done     up  web  services/blog/compose.yml:22",
            "  done     hook  before web",
            "  failed   hook  after web",
        ];
        assert_eq!(lines, wanted);
    }

    #[test]
    fn a_project_that_was_rolled_back_shows_why_with_its_last_lines() {
        insta::assert_snapshot!(shown(vec![samples::failing(ProjectResult::RolledBack)]), @r#"
        blog  failed, rolled back
          ~ services/blog/compose.yml
          ~ services/blog/nginx.conf
          skipped  up       worker  services/blog/compose.yml:22
          failed   restart  web     services/blog/nginx.conf  (compose.yml:14)
          error: service `web` exited with code 1 within 5 s
            --> services/blog/compose.yml:12:3
          help: look at its last lines below
          last lines of web:
            | nginx: [emerg] unknown directive "sever" in /etc/nginx/nginx.conf:3
            | \u{3a}:error::pwned

        shop  done
          + 12 files added  (-v lists them)
          done     up  web  services/shop/compose.yml:1  new project

        1 project done: 12 files, 1 up; 1 failed and rolled back; 2 unchanged
        failed: blog: service `web` exited with code 1 within 5 s; look at its last lines below
        host web: release 42; rolled back: blog
        "#);
    }

    #[test]
    fn the_last_line_is_the_state_of_the_host() {
        let last = |host| shown(vec![host]).lines().last().unwrap_or_default().to_owned();
        assert_eq!(
            last(samples::failing(ProjectResult::Unknown)),
            "host web: unknown: run ghdeploy status (blog)"
        );
        assert_eq!(
            last(samples::failing(ProjectResult::NothingChanged)),
            "host web: release 42; nothing was changed: blog"
        );
        let mut only = samples::failing(ProjectResult::RolledBack);
        only.projects.retain(|project| project.name == "blog");
        only.release = Some(41);
        assert_eq!(last(only.clone()), "host web: rolled back to release 41");
        only.release = None;
        assert_eq!(last(only.clone()), "host web: rolled back; nothing is deployed");
        only.projects[0].result = ProjectResult::NothingChanged;
        only.changed = false;
        assert_eq!(last(only.clone()), "host web: nothing was changed");
        only.projects.clear();
        only.release = Some(41);
        assert_eq!(last(only), "host web: nothing was changed (release 41)");
    }

    #[test]
    fn a_host_that_was_not_reached_stands_beside_one_that_was() {
        let mut owed = samples::successful();
        owed.notes.clear();
        owed.projects.retain(|project| project.name == "blog");
        owed.projects[0].actions[1].result = ActionResult::Owed;
        insta::assert_snapshot!(shown(vec![owed, samples::unreachable()]), @"
        host web

        blog  done
          ~ services/blog/compose.yml
          ~ services/blog/nginx.conf
          done     up       worker  services/blog/compose.yml:22
          owed     restart  web     services/blog/nginx.conf  (compose.yml:14)

        host db

        error: failed to connect to db: connection refused
        help: run ghdeploy doctor --host db

        1 project done: 2 files, 1 up; 1 host failed; 1 action still owed
        host web: release 42, commit 1a2b3c4d5e
        host db: nothing was changed
        ");
    }

    #[test]
    fn nothing_to_do_is_said_with_the_state() {
        let mut host = samples::successful();
        host.notes.clear();
        host.changed = false;
        host.projects.retain(|project| project.result == ProjectResult::Unchanged);
        insta::assert_snapshot!(shown(vec![host]), @"
        nothing to do; 2 unchanged
        host web: nothing was changed (release 42)
        ");
    }

    #[test]
    fn colours_mark_what_failed() {
        let failed = samples::outcome_of(vec![samples::failing(ProjectResult::RolledBack)]);
        let style = Style { colour: true, ..Style::default() };
        let text = text_of(|w| outcome(w, &failed, style));
        let line = text.lines().find(|line| line.contains("failed ")).unwrap_or_default();
        insta::assert_snapshot!(line.escape_debug(), @r"  \u{1b}[1m\u{1b}[31mfailed \u{1b}[0m  \u{1b}[1m\u{1b}[33mrestart\u{1b}[0m  web     services/blog/nginx.conf  \u{1b}[2m(compose.yml:14)\u{1b}[0m");
    }

    #[test]
    fn hostile_names_are_shown_and_do_nothing() {
        let style = Style { verbose: true, ..Style::default() };
        let text = text_of(|w| outcome(w, &samples::hostile_outcome(), style));
        samples::assert_harmless(&text);
    }
}
