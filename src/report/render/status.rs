//! `status`: the release of each host, and for each project its services, drift and owed actions.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::outcome::queries::{
    ContainerStatus, HostStatus, ProjectStatus, ServiceCondition, ServiceStatus, Status,
};
use crate::report::diagnostic::brief;
use crate::report::escape::name;
use crate::report::markdown::{code, listed, messages};
use crate::report::style::{Ink, Style};
use crate::report::wording::commit;
use crate::report::{Render, json};
use crate::state::container::{ContainerState, PublishedPort};

/// Columns that a line has at most, unless names are long: those of a plain terminal.
const COLUMNS: usize = 80;

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
    match (host.deployed_secs_ago, &host.deployed_at) {
        (Some(secs), _) => write!(w, ", deployed {} ago", span(secs))?,
        (None, Some(time)) => write!(w, ", deployed {}", name(time))?,
        (None, None) => {}
    }
    if let Some(repository) = &host.repository {
        write!(w, ", from {}", name(repository))?;
    }
    writeln!(w)?;
    host.projects.iter().try_for_each(|shown| text_of_project(w, shown, style))?;
    if host.projects.iter().any(|project| !project.services.is_empty()) {
        writeln!(w, "  {}", style.ink(Ink::Heading, totals(host)))?;
    }
    brief(w, &host.problems, "  ", style)
}

/// `2 projects, 5 services: 3 running, 1 stopped, 1 missing`.
fn totals(host: &HostStatus) -> String {
    let services = host.projects.iter().flat_map(|project| &project.services);
    let mut counts: BTreeMap<ServiceCondition, usize> = BTreeMap::new();
    for service in services.clone() {
        *counts.entry(service.condition).or_default() += 1;
    }
    let plural = |number: usize, word: &str| format!("{number} {word}{}", if number == 1 { "" } else { "s" });
    let counts: Vec<String> =
        counts.into_iter().map(|(condition, number)| format!("{number} {}", condition.words())).collect();
    format!(
        "{}, {}: {}",
        plural(host.projects.len(), "project"),
        plural(services.count(), "service"),
        counts.join(", ")
    )
}

/// A number of seconds in words, rounded down: `45 s`, `3 h`.
fn span(secs: u64) -> String {
    match secs {
        0..60 => format!("{secs} s"),
        60..3_600 => format!("{} min", secs / 60),
        3_600..172_800 => format!("{} h", secs / 3_600),
        _ => format!("{} days", secs / 86_400),
    }
}

/// Docker's words for a duration, shorter: `3 h` for `3 hours`.
fn short(age: &str) -> String {
    match age {
        "Less than a second" => return "0 s".to_owned(),
        "About a minute" => return "1 min".to_owned(),
        "About an hour" => return "1 h".to_owned(),
        _ => {}
    }
    let (number, unit) = age.split_once(' ').unwrap_or((age, ""));
    let unit = match unit {
        "second" | "seconds" => "s",
        "minute" | "minutes" => "min",
        "hour" | "hours" => "h",
        unit => unit,
    };
    name(format!("{number} {unit}").trim()).into_owned()
}

fn text_of_project(w: &mut dyn Write, project: &ProjectStatus, style: Style) -> io::Result<()> {
    write!(w, "  {}", style.ink(Ink::Heading, name(&project.name)))?;
    if let Some(release) = project.release {
        write!(w, "  {}", style.ink(Ink::Faint, format!("release {release}")))?;
    }
    writeln!(w)?;
    let rows = rows(project);
    let width =
        |column: usize| rows.iter().map(|row| row.cells[column].chars().count()).max().unwrap_or_default();
    let (service, state, age) = (width(0), width(1), width(2));
    for Row { cells: [name, words, since, ports], ink } in &rows {
        let room = COLUMNS.saturating_sub(4 + service + 2 + state + 2 + age + 2);
        let words = style.ink(*ink, format!("{words:<state$}"));
        let ports = cut(ports, room);
        let line = format!("    {name:<service$}  {words}  {since:<age$}  {ports}");
        writeln!(w, "{}", line.trim_end())?;
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

/// One line about a service or one of its containers.
struct Row {
    /// The service, the state, how long, and the ports.
    cells: [String; 4],
    ink: Ink,
}

/// The lines about the services of a project: one per container, and one per service that lacks some.
fn rows(project: &ProjectStatus) -> Vec<Row> {
    let mut rows = Vec::new();
    for service in &project.services {
        let own = project.containers.iter().filter(|container| container.service == service.service);
        let many = service.containers > 1;
        rows.extend(own.map(|container| row(service, container, many)));
        if let Some(words) = lacks(service) {
            let ink = if service.condition.is_good() { Ink::Faint } else { Ink::Bad };
            let cells = [name(&service.service).into_owned(), words, String::new(), String::new()];
            rows.push(Row { cells, ink });
        }
    }
    // Without knowledge of services, all containers stay of interest.
    let is_known = |container: &&ContainerStatus| {
        project.services.iter().any(|known| known.service == container.service)
    };
    for container in project.containers.iter().filter(|container| !is_known(container)) {
        rows.push(Row {
            cells: [
                name(&container.service).into_owned(),
                state_words(container),
                age_words(container),
                ports(&container.ports),
            ],
            ink: if container.is_healthy() { Ink::Good } else { Ink::Warning },
        });
    }
    rows
}

/// That a service has no container, or too few.
fn lacks(service: &ServiceStatus) -> Option<String> {
    let ServiceStatus { expected, containers, condition, .. } = service;
    match (condition, containers) {
        (ServiceCondition::Missing, 0) => Some("no container".to_owned()),
        (ServiceCondition::Missing, found) => Some(
            expected.map_or_else(|| "missing".to_owned(), |wanted| format!("{found} of {wanted} containers")),
        ),
        (condition, 0) => Some(condition.words().to_owned()),
        _ => None,
    }
}

fn row(service: &ServiceStatus, container: &ContainerStatus, is_one_of_many: bool) -> Row {
    let mut state = state_words(container);
    let condition = service.condition;
    let is_down = container.state == ContainerState::Exited;
    if is_down && condition == ServiceCondition::Stopped {
        state = state.replacen("exited", "stopped", 1);
    }
    if condition == ServiceCondition::Unexpected {
        state += ", not in use";
    }
    let shown = if is_one_of_many { &container.name } else { &container.service };
    let completed = condition == ServiceCondition::Completed && is_down;
    let ink = match condition {
        _ if container.is_healthy() => Ink::Good,
        _ if completed => Ink::Faint,
        condition if condition.is_good() => Ink::Warning,
        ServiceCondition::Paused | ServiceCondition::Stopped => Ink::Warning,
        _ => Ink::Bad,
    };
    Row { cells: [name(shown).into_owned(), state, age_words(container), ports(&container.ports)], ink }
}

/// `running, healthy`, `exited (3)`.
fn state_words(container: &ContainerStatus) -> String {
    let mut words = name(&container.state.to_string()).into_owned();
    if let Some(code) = container.exit_code {
        words += &format!(" ({code})");
    }
    if let Some(health) = &container.health {
        words += &format!(", {}", name(&health.to_string()));
    }
    words
}

fn age_words(container: &ContainerStatus) -> String {
    let Some(age) = &container.age else { return String::new() };
    let runs = matches!(container.state, ContainerState::Running | ContainerState::Paused);
    if runs { short(age) } else { format!("{} ago", short(age)) }
}

/// `8080->80, 127.0.0.1:53->53/udp`, each port once although Docker lists it for both IP versions.
fn ports(ports: &[PublishedPort]) -> String {
    let mut shown: Vec<String> = Vec::new();
    for PublishedPort { address, first, last, container, protocol } in ports {
        let address = if matches!(address.as_str(), "0.0.0.0" | "[::]") { "" } else { address };
        let range = if first == last { first.to_string() } else { format!("{first}-{last}") };
        let protocol = if protocol == "tcp" { String::new() } else { format!("/{protocol}") };
        let separator = if address.is_empty() { "" } else { ":" };
        let port = name(&format!("{address}{separator}{range}->{container}{protocol}")).into_owned();
        if !shown.contains(&port) {
            shown.push(port);
        }
    }
    shown.join(", ")
}

/// As many of the ports as there is room for.
fn cut(ports: &str, room: usize) -> String {
    if ports.chars().count() <= room {
        return ports.to_owned();
    }
    let kept: String = ports.chars().take(room.saturating_sub(1)).collect();
    let end = kept.rfind(", ").map_or(0, |at| at + 2);
    format!("{}…", &kept[..end])
}

fn markdown_of_host(w: &mut dyn Write, host: &HostStatus) -> io::Result<()> {
    writeln!(w, "### Host {}\n", code(&host.name))?;
    let release = host.release.map(|release| format!("release {release}"));
    let id = host.commit.as_deref().map(|id| format!("commit {}", code(&commit(id))));
    let time = host.deployed_at.as_deref().map(|time| format!("deployed {}", code(time)));
    let repository = host.repository.as_deref().map(|repository| format!("from {}", code(repository)));
    let parts: Vec<_> = release.into_iter().chain(id).chain(time).chain(repository).collect();
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
        if host.projects.iter().any(|project| !project.services.is_empty()) {
            writeln!(w, "{}\n", totals(host))?;
        }
    }
    Ok(())
}

fn markdown_of_project(w: &mut dyn Write, project: &ProjectStatus) -> io::Result<()> {
    let containers = project
        .containers
        .iter()
        .map(|container| format!("{} {}", code(&container.service), code(&state_words(container))));
    let lacking = project.services.iter().filter_map(|service| {
        let words = lacks(service).filter(|_| !service.condition.is_good())?;
        Some(format!("{} **{words}**", code(&service.service)))
    });
    let containers = containers.chain(lacking);
    let drift = project.drift.iter().map(|path| format!("drift {}", code(path)));
    let owed = project.owed.iter().map(|owed| format!("{} {}", owed.kind.word(), code(&owed.service)));
    let left = project.left.iter().map(|left| format!("rolled back from {left}"));
    let (containers, odd): (Vec<_>, Vec<_>) = (containers.collect(), left.chain(drift).chain(owed).collect());
    let release = project.release.map(|release| release.to_string()).unwrap_or_default();
    writeln!(w, "| {} | {release} | {} | {} |", code(&project.name), listed(&containers), listed(&odd))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{self, json, markdown, text};

    #[test]
    fn status_shows_releases_containers_drift_and_what_is_owed() {
        insta::assert_snapshot!(text(&samples::status()), @"
        host web: release 42, commit 1a2b3c4d5e, deployed 3 h ago, from ann/side
          blog  release 42
            heavy   no container
            init    completed
            web     running, healthy   3 h      8080->80, 127.0.0.1:53->80/udp
            worker  exited (3)         3 h ago
            worker  1 of 2 containers
            rolled back from release 40
            ! blog/nginx.conf  (drift: changed on the host)
            owed: restart web
          1 project, 4 services: 1 completed, 1 running, 2 missing

        host db: unknown
          error: failed to connect to db: connection refused
        ");
    }

    #[test]
    fn lines_fit_a_plain_terminal_and_ages_are_short() {
        let mut status = samples::status();
        let container = &mut status.hosts[0].projects[0].containers[0];
        let port = container.ports[0].clone();
        container.ports =
            (8000..8020).map(|first| PublishedPort { first, last: first, ..port.clone() }).collect();
        let text = text(&status);
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        assert!(text.contains("8001->80, 8002->80, …"), "{text}");
        for (age, words) in [
            ("Less than a second", "0 s"),
            ("17 seconds", "17 s"),
            ("About a minute", "1 min"),
            ("About an hour", "1 h"),
            ("3 weeks", "3 weeks"),
        ] {
            assert_eq!(short(age), words);
        }
        assert_eq!(
            [span(59), span(3_599), span(172_799), span(172_800)],
            ["59 s", "59 min", "47 h", "2 days"]
        );
    }

    #[test]
    fn status_is_one_table_per_host() {
        insta::assert_snapshot!(markdown(&samples::status()), @"
        ### Host `web`

        release 42 · commit `1a2b3c4d5e` · deployed `2025-06-01T02:03:00Z` · from `ann/side`

        | project | release | containers | drift and owed actions |
        | --- | --- | --- | --- |
        | `blog` | 42 | `web` `running, healthy`, `worker` `exited (3)`, `heavy` **no container**, `worker` **1 of 2 containers** | rolled back from 40, drift `blog/nginx.conf`, restart `web` |

        1 project, 4 services: 1 completed, 1 running, 2 missing

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
              "repository": "ann/side",
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
                  "services": [
                    {
                      "service": "heavy",
                      "expected": 1,
                      "containers": 0,
                      "condition": "missing"
                    },
                    {
                      "service": "init",
                      "expected": 1,
                      "containers": 0,
                      "condition": "completed"
                    },
                    {
                      "service": "web",
                      "expected": 1,
                      "containers": 1,
                      "condition": "running"
                    },
                    {
                      "service": "worker",
                      "expected": 2,
                      "containers": 1,
                      "condition": "missing"
                    }
                  ],
                  "containers": [
                    {
                      "service": "web",
                      "name": "blog-web-1",
                      "state": "running",
                      "health": "healthy",
                      "since": "2025-06-01T02:03:04Z",
                      "image": "ghcr.io/owner/blog:latest",
                      "exit_code": null,
                      "age": "3 hours",
                      "ports": [
                        {
                          "address": "0.0.0.0",
                          "first": 8080,
                          "last": 8080,
                          "container": "80",
                          "protocol": "tcp"
                        },
                        {
                          "address": "[::]",
                          "first": 8080,
                          "last": 8080,
                          "container": "80",
                          "protocol": "tcp"
                        },
                        {
                          "address": "127.0.0.1",
                          "first": 53,
                          "last": 53,
                          "container": "80",
                          "protocol": "udp"
                        }
                      ]
                    },
                    {
                      "service": "worker",
                      "name": "blog-worker-1",
                      "state": "exited",
                      "health": null,
                      "since": "2025-06-01T02:03:04Z",
                      "image": "ghcr.io/owner/blog:latest",
                      "exit_code": 3,
                      "age": "3 hours",
                      "ports": []
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
