//! `status`: the release of each host, and for each project its containers, drift and owed actions.

use std::io::{self, Write};

use crate::outcome::queries::{ContainerStatus, HostStatus, ProjectStatus, Status};
use crate::report::diagnostic::brief;
use crate::report::escape::name;
use crate::report::markdown::{code, listed, messages};
use crate::report::style::{Ink, Style};
use crate::report::wording::commit;
use crate::report::{Render, json};

impl Render for Status {
    fn text(&self, w: &mut dyn Write, style: Style) -> io::Result<()> {
        for (number, shown) in self.hosts.iter().enumerate() {
            if number > 0 {
                writeln!(w)?;
            }
            text_of_host(w, shown, style)?;
        }
        Ok(())
    }

    fn markdown(&self, w: &mut dyn Write) -> io::Result<()> {
        self.hosts.iter().try_for_each(|host| markdown_of_host(w, host))
    }

    fn json(&self, w: &mut dyn Write) -> io::Result<()> {
        json::versioned(w, self)
    }
}

fn text_of_host(w: &mut dyn Write, host: &HostStatus, style: Style) -> io::Result<()> {
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
    host.projects.iter().try_for_each(|shown| text_of_project(w, shown, style))?;
    brief(w, &host.problems, "  ", style)
}

fn text_of_project(w: &mut dyn Write, project: &ProjectStatus, style: Style) -> io::Result<()> {
    write!(w, "  {}", style.ink(Ink::Heading, name(&project.name)))?;
    if let Some(release) = project.release {
        write!(w, "  {}", style.ink(Ink::Faint, format!("release {release}")))?;
    }
    writeln!(w)?;
    let rows: Vec<[String; 4]> = project.containers.iter().map(cells).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let (service, state, since) = (width(0), width(1), width(2));
    for (container, row) in project.containers.iter().zip(&rows) {
        let ink = if container.is_healthy() { Ink::Good } else { Ink::Warning };
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

fn cells(container: &ContainerStatus) -> [String; 4] {
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

fn markdown_of_host(w: &mut dyn Write, host: &HostStatus) -> io::Result<()> {
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
        host.projects.iter().try_for_each(|project| markdown_of_project(w, project))?;
        writeln!(w)?;
    }
    Ok(())
}

fn markdown_of_project(w: &mut dyn Write, project: &ProjectStatus) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use crate::report::samples::{self, json, markdown, text};

    #[test]
    fn status_shows_releases_containers_drift_and_what_is_owed() {
        insta::assert_snapshot!(text(&samples::status()), @"
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
    fn status_is_one_table_per_host() {
        insta::assert_snapshot!(markdown(&samples::status()), @"
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
    fn the_form_of_a_status() {
        insta::assert_snapshot!(json(&samples::status()), @r#"
        {
          "version": 1,
          "hosts": [
            {
              "name": "web",
              "release": 42,
              "commit": "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d",
              "deployed_at": "2025-06-01T02:03:00Z",
              "projects": [
                {
                  "name": "blog",
                  "path": "blog",
                  "release": 42,
                  "commit": "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d",
                  "left": 40,
                  "drift": [
                    "blog/nginx.conf"
                  ],
                  "owed": [
                    {
                      "service": "web",
                      "kind": "restart"
                    }
                  ],
                  "containers": [
                    {
                      "service": "web",
                      "name": "blog-web-1",
                      "state": "running",
                      "health": "healthy",
                      "since": "2025-06-01T02:03:04Z",
                      "image": "ghcr.io/owner/blog:latest"
                    },
                    {
                      "service": "worker",
                      "name": "blog-worker-1",
                      "state": "exited",
                      "health": null,
                      "since": "2025-06-01T02:03:04Z",
                      "image": "ghcr.io/owner/blog:latest"
                    }
                  ]
                }
              ]
            },
            {
              "name": "db",
              "release": null,
              "commit": null,
              "deployed_at": null,
              "projects": [],
              "problems": [
                {
                  "severity": "error",
                  "message": "failed to connect to db: connection refused",
                  "at": null,
                  "help": null
                }
              ]
            }
          ]
        }
        "#);
    }

    #[test]
    fn hostile_names_are_shown_and_do_nothing() {
        samples::assert_harmless(&text(&samples::hostile_status()));
        samples::assert_harmless(&markdown(&samples::hostile_status()));
    }
}
