//! A plan as text.

use std::collections::BTreeSet;
use std::io::{self, Write};

use crate::plan::{FileChange, HostPlan, Plan, ProjectChange, ProjectPlan};
use crate::report::diagnostic::brief;
use crate::report::escape::name;
use crate::report::style::{Ink, Style};
use crate::report::tally::Tally;

use super::{blocked_first, number_shown};
use crate::report::text::{Row, actions, files, hooks, host_heading, in_short, part, project_heading};

/// Writes what would change and why, and the counts at the end.
///
/// # Errors
///
/// When `w` fails.
pub(super) fn plan(w: &mut dyn Write, plan: &Plan, style: Style) -> io::Result<()> {
    for shown in &plan.hosts {
        host(w, shown, plan.hosts.len(), style)?;
    }
    let tally = Tally::of_plan(plan);
    writeln!(w, "{}", style.ink(Ink::Heading, tally.line(&tally.future())))?;
    for host in plan.hosts.iter().filter(|_| number_shown(&plan.hosts) > 1) {
        for blocked in host.projects.iter().filter(|project| !project.problems.is_empty()) {
            let label = match plan.hosts.len() {
                1 => blocked.name.clone(),
                _ => format!("{}/{}", host.name, blocked.name),
            };
            in_short(w, "blocked:", &label, &blocked.problems, style)?;
        }
    }
    Ok(())
}

fn host(w: &mut dyn Write, host: &HostPlan, hosts: usize, style: Style) -> io::Result<()> {
    host_heading(w, &host.name, hosts, style)?;
    for shown in blocked_first(host) {
        let amounts = Tally::amounts_of(&shown.files, shown.actions.iter());
        part(w, !shown.problems.is_empty(), &amounts, style, |w| project(w, shown, style))?;
    }
    let unread = unread(host);
    if !unread.is_empty() {
        writeln!(w, "{}", style.ink(Ink::Faint, "shared files that no project reads"))?;
        files(w, &unread, style)?;
        writeln!(w)?;
    }
    if !host.networks.is_empty() {
        for network in &host.networks {
            writeln!(w, "would create network {}, which the host lacks", name(network))?;
        }
        writeln!(w)?;
    }
    if !host.notes.is_empty() {
        brief(w, &host.notes, "", style)?;
        writeln!(w)?;
    }
    if hosts > 1 && host.is_empty() {
        writeln!(w, "nothing to do\n")?;
    }
    Ok(())
}

fn project(w: &mut dyn Write, project: &ProjectPlan, style: Style) -> io::Result<()> {
    let word = match project.change {
        _ if !project.problems.is_empty() => (Ink::Bad, "blocked, nothing in it is touched"),
        ProjectChange::Added => (Ink::Good, "new"),
        ProjectChange::Removed => (Ink::Bad, "removed"),
        ProjectChange::Changed | ProjectChange::Unchanged => (Ink::Plain, ""),
    };
    project_heading(w, &project.name, &project.path, word, style)?;
    files(w, &project.files, style)?;
    let rows: Vec<_> = project.actions.iter().map(|action| Row { result: None, action }).collect();
    actions(w, &rows, &project.path, style)?;
    hooks(w, project.hooks.iter().map(|hook| (None, hook)), style)?;
    brief(w, &project.problems, "  ", style)
}

/// The shared files that no project shows: those whose last reader is gone.
fn unread(host: &HostPlan) -> Vec<FileChange> {
    let shown: BTreeSet<_> =
        host.projects.iter().flat_map(|project| &project.files).map(|file| &file.path).collect();
    host.shared.iter().filter(|file| !shown.contains(&file.path)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::FileChangeKind;
    use crate::report::samples::{self, text_of};

    fn shown(shown: &Plan) -> String {
        text_of(|w| plan(w, shown, Style::default()))
    }

    #[test]
    fn a_plan_says_who_restarts_and_why() {
        insta::assert_snapshot!(shown(&samples::plan_of(vec![samples::usual()])), @"
        traefik  stacks/edge
          ~ services/traefik/entry.sh  (executable bit)
          ~ shared/tz.env
          ! services/traefik/traefik.yml  (drift: changed on the host)
          signal  proxy (SIGHUP)       services/traefik/traefik.yml  (services/traefik/compose.yml:9)  and 1 other cause
          exec    sidecar (reload -q)  shared/tz.env  (shared/common.yml:3)  owed since release 40
          remove  old                  services/traefik/compose.yml:1

        blog
          ~ services/blog/compose.yml
          ~ services/blog/nginx.conf
          up       worker  services/blog/compose.yml:22
          restart  web     services/blog/nginx.conf  (compose.yml:14)

        shop  new
          + 12 files added  (-v lists them)
          up  web  services/shop/compose.yml:1  new project

        warning: project `wiki` is no longer in the repository and still runs
        help: run ghdeploy sync --prune to take it down; its volumes are kept

        3 projects change: 17 files, 2 up, 1 restart, 1 signal, 1 exec, 1 removed; 2 unchanged
        ");
    }

    #[test]
    fn networks_that_would_be_created_are_named() {
        let mut host = samples::host("web", vec![]);
        host.networks = vec!["proxy".to_owned(), "a\x1b[2Jb".to_owned()];
        let shown = shown(&samples::plan_of(vec![host]));
        assert!(shown.contains("would create network proxy, which the host lacks\n"), "{shown}");
        assert!(!shown.contains('\x1b'), "{shown}");
    }

    #[test]
    fn hooks_are_named_without_their_commands() {
        insta::assert_snapshot!(shown(&samples::plan_of(vec![samples::host("web", vec![samples::migrating()])])), @"
        blog
          up  web  services/blog/compose.yml:22
          hook  before web
          hook  after web

        1 project changes: 1 up
        ");
    }

    #[test]
    fn verbose_writes_every_file_and_reason_out() {
        let style = Style { verbose: true, ..Style::default() };
        insta::assert_snapshot!(text_of(|w| plan(w, &samples::plan_of(vec![samples::usual()]), style)), @"
        traefik  stacks/edge
          ~ services/traefik/entry.sh  (executable bit)
          ~ shared/tz.env
          ! services/traefik/traefik.yml  (drift: changed on the host)
          signal  proxy (SIGHUP)       services/traefik/traefik.yml  (bind, services/traefik/compose.yml:9)
                                       services/traefik/entry.sh  (bind, services/traefik/compose.yml:10)
          exec    sidecar (reload -q)  shared/tz.env  (bind, shared/common.yml:3)  owed since release 40
          remove  old                  services/traefik/compose.yml:1

        blog
          ~ services/blog/compose.yml
          ~ services/blog/nginx.conf
          up       worker  services/blog/compose.yml:22
          restart  web     services/blog/nginx.conf  (bind, compose.yml:14)

        shop  new
          + services/shop/0.conf
          + services/shop/1.conf
          + services/shop/2.conf
          + services/shop/3.conf
          + services/shop/4.conf
          + services/shop/5.conf
          + services/shop/6.conf
          + services/shop/7.conf
          + services/shop/8.conf
          + services/shop/9.conf
          + services/shop/10.conf
          + services/shop/11.conf
          up  web  services/shop/compose.yml:1  new project

        warning: project `wiki` is no longer in the repository and still runs
        help: run ghdeploy sync --prune to take it down; its volumes are kept

        3 projects change: 17 files, 2 up, 1 restart, 1 signal, 1 exec, 1 removed; 2 unchanged
        ");
    }

    #[test]
    fn several_hosts_have_headings_and_a_conflict_blocks() {
        let mut gone = samples::unchanged("wiki");
        gone.change = ProjectChange::Removed;
        let hosts = vec![
            samples::host("web", vec![samples::conflict(), gone, samples::unchanged("mail")]),
            samples::host("db", vec![samples::unchanged("postgres")]),
        ];
        insta::assert_snapshot!(shown(&samples::plan_of(hosts)), @"
        host web

        grafana  blocked, nothing in it is touched
          ! services/grafana/grafana.ini  (conflict: not managed on the host)
          error: an unmanaged file of other content is in the way
            --> services/grafana/grafana.ini:1:1
          help: run with --adopt if the repository wins; the host's version is kept

        host db

        nothing to do

        1 project blocked; 1 no longer in the repository; 2 unchanged
        ");
    }

    #[test]
    fn an_empty_plan_is_one_line() {
        let host = samples::host("web", vec![samples::unchanged("a"), samples::unchanged("b")]);
        insta::assert_snapshot!(shown(&samples::plan_of(vec![host])), @"nothing to do; 2 unchanged");
        insta::assert_snapshot!(shown(&samples::plan_of(vec![])), @"nothing to do");
    }

    #[test]
    fn a_shared_file_that_lost_its_last_reader_is_shown() {
        let mut host = samples::host("web", vec![samples::unchanged("a")]);
        host.shared.push(samples::file("shared/tz.env", FileChangeKind::Removed));
        insta::assert_snapshot!(shown(&samples::plan_of(vec![host])), @"
        shared files that no project reads
          - shared/tz.env

        1 file; 1 unchanged
        ");
    }

    #[test]
    fn hostile_names_are_shown_and_do_nothing() {
        let text = shown(&samples::hostile());
        samples::assert_harmless(&text);
        insta::assert_snapshot!(text.lines().take(21).collect::<Vec<_>>().join("\n"), @r"
        host \u{3a}:set-output name=x::y

        \u{3a}:set-output name=x::y  blocked, nothing in it is touched
          ~ \u{3a}:set-output name=x::y
          ~ a\n::error file=x::y
          ~ a\r\n##\u{5b}set-env name=PATH]/tmp
          ~ \u{1b}[2J\u{1b}]0;owned\u{7}
          ~ a%0A::b
          ~ a|b`c`<img src=x onerror=y>@all
          ~ </details>```\n# x
          ~ \u{202e}fdp.exe
          ~ \u{3a}
          restart  \u{3a}:set-output name=x::y  \u{3a}:set-output name=x::y  (\u{3a}:set-output name=x::y:1)  and 1 other cause
          exec     \u{3a}:set-output name=x::y (\u{3a}:set-output name=x::y)  :1
          error: \u{3a}:set-output name=x::y
            --> \u{3a}:set-output name=x::y:1:1
          help: \u{3a}:set-output name=x::y

        a\n::error file=x::y  blocked, nothing in it is touched
          ~ \u{3a}:set-output name=x::y
          ~ a\n::error file=x::y
        ");
    }
}
