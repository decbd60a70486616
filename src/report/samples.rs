//! Sample plans, outcomes and other results for the tests of the renderers.

use std::io::{self, Write};

use crate::base::diagnostic::{Diagnostic, Location};
use crate::base::error::{Exit, HostState};
use crate::base::path::RootPath;
use crate::compose::model::{Hook, HookKind, HookPhase, ReadMethod};
use crate::outcome::history::{Release, ReleasedProject};
use crate::outcome::queries::{
    CheckReport, Checkup, CheckupResult, CheckupStep, ContainerStatus, DiffReport, EngineFacts, EngineKind,
    Explanation, Explanations, FileDiff, History, HostCheckup, HostDiff, HostHistory, HostStatus, OwedAction,
    PastRelease, PathReader, ProjectStatus, Reading, ServiceCondition, ServiceStatus, Status,
};
use crate::outcome::{
    ActionOutcome, ActionResult, HookOutcome, HostFailure, HostOutcome, Outcome, ProjectOutcome,
    ProjectResult, ServiceLog,
};
use crate::plan::{
    Action, ActionKind, Cause, FileChange, FileChangeKind, HostPlan, NewPart, Plan, ProjectChange,
    ProjectPlan, Reason, VERSION,
};

use crate::state::container::PublishedPort;

use super::escape::is_unseen;
use super::{Render, Style};

pub(super) const COMMIT: &str = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d";

/// Hostile names that a repository may contain. They must have no effect.
pub(super) const HOSTILE: [&str; 9] = [
    "::set-output name=x::y",
    "a\n::error file=x::y",
    "a\r\n##[set-env name=PATH]/tmp",
    "\u{1b}[2J\u{1b}]0;owned\u{7}",
    "a%0A::b",
    "a|b`c`<img src=x onerror=y>@all",
    "</details>```\n# x",
    "\u{202e}fdp.exe",
    ":",
];

/// Renders a result as text without colours.
pub(super) fn text(value: &dyn Render) -> String {
    text_of(|w| value.text(w, Style::default()))
}

/// Renders a result as Markdown.
pub(super) fn markdown(value: &dyn Render) -> String {
    text_of(|w| value.markdown(w))
}

/// Renders a result as JSON.
pub(super) fn json(value: &dyn Render) -> String {
    text_of(|w| value.json(w))
}

/// Returns the output of a renderer.
pub(super) fn text_of(render: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
    let mut bytes = Vec::new();
    render(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

pub(super) fn at(path: &str, line: usize, column: usize) -> Location {
    Location { path: path.to_owned(), line, column }
}

pub(super) fn file(path: &str, change: FileChangeKind) -> FileChange {
    let at = RootPath::default();
    FileChange { path: path.to_owned(), change, at, before: None, after: None, in_place: false }
}

/// Reason: a changed line of a definition.
pub(super) fn line(path: &str, line: usize) -> Reason {
    Reason { path: path.to_owned(), line: Some(line), how: None, by: None, cause: Cause::definition() }
}

/// Reason: the changed content of a mounted file.
pub(super) fn mount(path: &str, by: Location) -> Reason {
    Reason {
        path: path.to_owned(),
        line: None,
        how: Some(ReadMethod::Bind),
        by: Some(by),
        cause: Cause::file(),
    }
}

pub(super) fn action(kind: ActionKind, service: &str, reasons: Vec<Reason>) -> Action {
    Action { kind, service: Some(service.to_owned()), reasons }
}

pub(super) fn project(
    name: &str,
    change: ProjectChange,
    files: Vec<FileChange>,
    actions: Vec<Action>,
) -> ProjectPlan {
    ProjectPlan {
        name: name.to_owned(),
        path: format!("services/{name}"),
        change,
        images: Vec::new(),
        compose_files: Vec::new(),
        owed: Vec::new(),
        files,
        actions,
        hooks: Vec::new(),
        problems: Vec::new(),
        after: Vec::new(),
    }
}

pub(super) fn unchanged(name: &str) -> ProjectPlan {
    project(name, ProjectChange::Unchanged, Vec::new(), Vec::new())
}

pub(super) fn host(name: &str, projects: Vec<ProjectPlan>) -> HostPlan {
    HostPlan { name: name.to_owned(), notes: Vec::new(), networks: Vec::new(), projects, shared: Vec::new() }
}

pub(super) fn plan_of(hosts: Vec<HostPlan>) -> Plan {
    Plan { version: VERSION, commit: Some(COMMIT.to_owned()), dirty: false, base: None, hosts }
}

/// Host with the changes of a usual day: a config file, an image, a new project.
pub(super) fn usual() -> HostPlan {
    let nginx = "services/blog/nginx.conf";
    let compose = "services/blog/compose.yml";
    let blog = project(
        "blog",
        ProjectChange::Changed,
        vec![file(compose, FileChangeKind::Modified), file(nginx, FileChangeKind::Modified)],
        vec![
            action(ActionKind::Up, "worker", vec![line(compose, 22)]),
            action(ActionKind::Restart, "web", vec![mount(nginx, at(compose, 14, 9))]),
        ],
    );
    let mut traefik = project(
        "traefik",
        ProjectChange::Changed,
        vec![
            file("services/traefik/traefik.yml", FileChangeKind::Drift),
            file("services/traefik/entry.sh", FileChangeKind::Mode),
            file("shared/tz.env", FileChangeKind::Modified),
        ],
        vec![
            action(
                ActionKind::Signal { signal: "SIGHUP".to_owned() },
                "proxy",
                vec![
                    mount("services/traefik/traefik.yml", at("services/traefik/compose.yml", 9, 9)),
                    mount("services/traefik/entry.sh", at("services/traefik/compose.yml", 10, 9)),
                ],
            ),
            action(
                ActionKind::Exec { argv: vec!["reload".to_owned(), "-q".to_owned()] },
                "sidecar",
                vec![Reason {
                    cause: Cause::Owed { release: Some(40) },
                    ..mount("shared/tz.env", at("shared/common.yml", 3, 5))
                }],
            ),
            action(ActionKind::Remove, "old", vec![line("services/traefik/compose.yml", 1)]),
        ],
    );
    traefik.path = "stacks/edge".to_owned();
    let shop = project(
        "shop",
        ProjectChange::Added,
        (0..12).map(|n| file(&format!("services/shop/{n}.conf"), FileChangeKind::Added)).collect(),
        vec![action(
            ActionKind::Up,
            "web",
            vec![Reason {
                cause: Cause::New { what: NewPart::Project },
                ..line("services/shop/compose.yml", 1)
            }],
        )],
    );
    let mut host = host("web", vec![traefik, blog, shop, unchanged("mail"), unchanged("chat")]);
    host.notes.push(
        Diagnostic::warning("project `wiki` is no longer in the repository and still runs", None)
            .help("run ghdeploy sync --prune to take it down; its volumes are kept"),
    );
    host
}

/// Project that is blocked.
pub(super) fn conflict() -> ProjectPlan {
    let mut project = project(
        "grafana",
        ProjectChange::Changed,
        vec![file("services/grafana/grafana.ini", FileChangeKind::Conflict)],
        vec![],
    );
    project.problems.push(
        Diagnostic::error(
            "an unmanaged file of other content is in the way",
            Some(at("services/grafana/grafana.ini", 1, 1)),
        )
        .help("run with --adopt if the repository wins; the host's version is kept"),
    );
    project
}

/// Plan in which every name is hostile.
pub(super) fn hostile() -> Plan {
    let projects = HOSTILE.iter().map(|name| {
        let mut project = project(
            name,
            ProjectChange::Changed,
            HOSTILE.iter().map(|name| file(name, FileChangeKind::Modified)).collect(),
            vec![
                action(ActionKind::Restart, name, vec![mount(name, at(name, 1, 1)), line(name, 2)]),
                action(ActionKind::Exec { argv: vec![(*name).to_owned()] }, name, vec![line("", 1)]),
            ],
        );
        project.path = (*name).to_owned();
        project.problems.push(Diagnostic::error(*name, Some(at(name, 1, 1))).help(*name));
        project
    });
    plan_of(vec![host(HOSTILE[0], projects.collect()), host(HOSTILE[1], vec![])])
}

/// Project with hooks.
pub(super) fn migrating() -> ProjectPlan {
    let compose = "services/blog/compose.yml";
    let hook = |when, kind| Hook {
        when,
        project: None,
        service: Some("web".to_owned()),
        kind,
        argv: vec!["./secret".to_owned()],
        timeout_secs: 300,
        at: at(compose, 3, 12),
    };
    let hooks = vec![hook(HookPhase::Before, HookKind::Run), hook(HookPhase::After, HookKind::Exec)];
    let actions = vec![action(ActionKind::Up, "web", vec![line(compose, 22)])];
    ProjectPlan { hooks, ..project("blog", ProjectChange::Changed, Vec::new(), actions) }
}

/// Result of a planned project, whose actions and hooks all have the same result.
pub(super) fn done(project: ProjectPlan, result: ProjectResult, each: ActionResult) -> ProjectOutcome {
    ProjectOutcome {
        name: project.name,
        path: project.path,
        change: project.change,
        images: project.images,
        files: project.files,
        actions: project.actions.into_iter().map(|action| ActionOutcome { action, result: each }).collect(),
        hooks: project.hooks.into_iter().map(|hook| HookOutcome { hook, result: each }).collect(),
        running: Vec::new(),
        kept: Vec::new(),
        result,
        back_to: None,
        problems: project.problems,
        logs: Vec::new(),
    }
}

/// The project of [`migrating`] after a hook has failed.
pub(super) fn badly_migrated() -> ProjectOutcome {
    let mut project = done(migrating(), ProjectResult::RolledBack, ActionResult::Done);
    project.hooks[1].result = ActionResult::Failed;
    project
}

/// Host on which everything succeeded.
pub(super) fn successful() -> HostOutcome {
    let plan = usual();
    let projects = plan.projects.into_iter().map(|project| match project.change {
        ProjectChange::Unchanged => done(project, ProjectResult::Unchanged, ActionResult::Done),
        _ => done(project, ProjectResult::Done, ActionResult::Done),
    });
    HostOutcome {
        name: plan.name,
        release: Some(42),
        back_to: None,
        changed: true,
        notes: plan.notes,
        networks: plan.networks,
        removed_images: Vec::new(),
        projects: projects.collect(),
        failure: None,
    }
}

pub(super) fn outcome_of(hosts: Vec<HostOutcome>) -> Outcome {
    Outcome { version: VERSION, commit: Some(COMMIT.to_owned()), dirty: false, hosts }
}

/// Host on which one project came up and another, with logs, got `result`.
pub(super) fn failing(result: ProjectResult) -> HostOutcome {
    let mut host = successful();
    host.notes.clear();
    host.projects.retain(|project| project.name != "traefik");
    for project in host.projects.iter_mut().filter(|project| project.name == "blog") {
        project.result = result;
        project.actions[0].result = ActionResult::Skipped;
        project.actions[1].result = ActionResult::Failed;
        project.problems.push(
            Diagnostic::error(
                "service `web` exited with code 1 within 5 s",
                Some(at("services/blog/compose.yml", 12, 3)),
            )
            .help("look at its last lines below"),
        );
        project.logs.push(ServiceLog {
            service: "web".to_owned(),
            lines: vec![
                "nginx: [emerg] unknown directive \"sever\" in /etc/nginx/nginx.conf:3".to_owned(),
                "::error::pwned".to_owned(),
            ],
        });
    }
    host
}

/// Outcome in which every name is hostile.
pub(super) fn hostile_outcome() -> Outcome {
    let projects = hostile().hosts.swap_remove(0).projects.into_iter().map(|project| {
        let logs = vec![ServiceLog {
            service: project.name.clone(),
            lines: HOSTILE.iter().map(|line| (*line).to_owned()).collect(),
        }];
        ProjectOutcome { logs, ..done(project, ProjectResult::RolledBack, ActionResult::Failed) }
    });
    let host = HostOutcome { name: HOSTILE[0].to_owned(), projects: projects.collect(), ..unreachable() };
    outcome_of(vec![host])
}

/// Explanations in which every name is hostile.
pub(super) fn hostile_explanations() -> Explanations {
    let reader = |name: &&str| PathReader {
        project: (*name).to_owned(),
        service: (*name).to_owned(),
        how: Reading::Bind,
        at: at(name, 1, 1),
        kind: ActionKind::Signal { signal: (*name).to_owned() },
        detail: Some((*name).to_owned()),
    };
    let explanation = |name: &&str| Explanation {
        path: (*name).to_owned(),
        known: true,
        managed: true,
        readers: HOSTILE.iter().map(reader).collect(),
        note: Some((*name).to_owned()),
    };
    Explanations { paths: HOSTILE.iter().map(explanation).collect() }
}

/// Status in which every name is hostile.
pub(super) fn hostile_status() -> Status {
    let names = || HOSTILE.iter().map(|name| (*name).to_owned());
    let mut status = status();
    for host in &mut status.hosts {
        host.name = HOSTILE[0].to_owned();
        for project in &mut host.projects {
            project.name = HOSTILE[2].to_owned();
            project.drift = names().collect();
            project.owed = names().map(|service| OwedAction { service, kind: ActionKind::Restart }).collect();
            let container = project.containers[0].clone();
            let named = |name: String| ContainerStatus {
                service: name.clone(),
                state: name.clone().into(),
                health: Some(name.clone().into()),
                image: name,
                ..container.clone()
            };
            project.containers = names().map(named).collect();
            let service = project.services[0].clone();
            let condition = ServiceCondition::Unexpected;
            project.services =
                names().map(|name| ServiceStatus { service: name, condition, ..service.clone() }).collect();
        }
    }
    status
}

/// Asserts that text moves no cursor and is no workflow command.
pub(super) fn assert_harmless(text: &str) {
    assert!(text.chars().all(|c| c == '\n' || !is_unseen(c)), "{text}");
    assert!(text.lines().all(|line| !line.trim_start().starts_with("::")), "{text}");
    assert!(!text.contains("##["), "{text}");
}

/// Host that was not reached.
pub(super) fn unreachable() -> HostOutcome {
    HostOutcome {
        name: "db".to_owned(),
        release: None,
        back_to: None,
        changed: false,
        notes: Vec::new(),
        networks: Vec::new(),
        removed_images: Vec::new(),
        projects: Vec::new(),
        failure: Some(HostFailure {
            exit: Exit::Unreachable,
            diagnostics: vec![
                Diagnostic::error("failed to connect to db: connection refused", None)
                    .help("run ghdeploy doctor --host db"),
            ],
            state: HostState::Unchanged,
        }),
    }
}

pub(super) fn explanations() -> Explanations {
    let reader = |service: &str, how, line, kind, detail: Option<&str>| PathReader {
        project: "blog".to_owned(),
        service: service.to_owned(),
        how,
        at: at("services/blog/compose.yml", line, 9),
        kind,
        detail: detail.map(str::to_owned),
    };
    let explanation = |path: &str, known, managed, readers| Explanation {
        path: path.to_owned(),
        known,
        managed,
        readers,
        note: None,
    };
    let paths = vec![
        explanation(
            "services/blog/nginx.conf",
            true,
            true,
            vec![
                reader("web", Reading::Bind, 14, ActionKind::Restart, None),
                reader(
                    "worker",
                    Reading::EnvFile,
                    103,
                    ActionKind::Signal { signal: "SIGHUP".to_owned() },
                    Some("if DATA_DIR is ./data"),
                ),
            ],
        ),
        explanation("services/blog/README.md", true, false, vec![]),
        explanation("services/blog/run.sh", true, true, vec![]),
        explanation("services/nowhere", false, false, vec![]),
    ];
    Explanations { paths }
}

pub(super) fn status() -> Status {
    let container = |service: &str, state: &str, health: Option<&str>| ContainerStatus {
        service: service.to_owned(),
        name: format!("blog-{service}-1"),
        state: state.to_owned().into(),
        health: health.map(|health| health.to_owned().into()),
        since: Some("2025-06-01T02:03:04Z".to_owned()),
        image: "ghcr.io/owner/blog:latest".to_owned(),
        exit_code: (state == "exited").then_some(3),
        age: Some("3 hours".to_owned()),
        ports: Vec::new(),
    };
    let port = |address: &str, first: u16, protocol: &str| PublishedPort {
        address: address.to_owned(),
        first,
        last: first,
        container: "80".to_owned(),
        protocol: protocol.to_owned(),
    };
    let ports = vec![port("0.0.0.0", 8080, "tcp"), port("[::]", 8080, "tcp"), port("127.0.0.1", 53, "udp")];
    let service = |service: &str, expected: u32, containers: usize, condition| ServiceStatus {
        service: service.to_owned(),
        expected: Some(expected),
        containers,
        condition,
    };
    let blog = ProjectStatus {
        name: "blog".to_owned(),
        path: "blog".to_owned(),
        release: Some(42),
        commit: Some(COMMIT.to_owned()),
        left: Some(40),
        drift: vec!["blog/nginx.conf".to_owned()],
        owed: vec![OwedAction { service: "web".to_owned(), kind: ActionKind::Restart }],
        services: vec![
            service("heavy", 1, 0, ServiceCondition::Missing),
            service("init", 1, 0, ServiceCondition::Completed),
            service("web", 1, 1, ServiceCondition::Running),
            service("worker", 2, 1, ServiceCondition::Missing),
        ],
        containers: vec![
            ContainerStatus { ports, ..container("web", "running", Some("healthy")) },
            container("worker", "exited", None),
        ],
    };
    let web = HostStatus {
        name: "web".to_owned(),
        release: Some(42),
        commit: Some(COMMIT.to_owned()),
        deployed_at: Some("2025-06-01T02:03:00Z".to_owned()),
        deployed_secs_ago: Some(11_000),
        repository: Some("ann/side".to_owned()),
        projects: vec![blog],
        problems: Vec::new(),
        is_unknown: false,
    };
    let db = HostStatus {
        name: "db".to_owned(),
        release: None,
        commit: None,
        deployed_at: None,
        deployed_secs_ago: None,
        repository: None,
        projects: Vec::new(),
        problems: vec![Diagnostic::error("failed to connect to db: connection refused", None)],
        is_unknown: true,
    };
    Status { hosts: vec![web, db] }
}

pub(super) fn diff() -> DiffReport {
    let file = |path: &str, change, diff: Option<&str>, note: Option<&str>| FileDiff {
        path: path.to_owned(),
        change,
        diff: diff.map(str::to_owned),
        note: note.map(str::to_owned),
    };
    let text = "--- host/services/blog/nginx.conf\n+++ repository/services/blog/nginx.conf\n@@ -1,3 +1,3 @@\n user nginx;\n-\tlisten 80;\n+\tlisten 8080;\n";
    let files = vec![
        file("services/blog/nginx.conf", FileChangeKind::Drift, Some(text), None),
        file("services/blog/app.env", FileChangeKind::Modified, None, Some("not shown: it may hold secrets")),
        file("services/blog/run.sh", FileChangeKind::Mode, Some(""), None),
    ];
    let unreachable = vec![Diagnostic::error("failed to connect to db: connection refused", None)];
    let hosts = vec![
        HostDiff { name: "web".to_owned(), files, problems: Vec::new() },
        HostDiff { name: "db".to_owned(), files: Vec::new(), problems: unreachable },
        HostDiff { name: "new".to_owned(), files: Vec::new(), problems: Vec::new() },
    ];
    DiffReport { hosts }
}

/// Diff in which every name and every line is hostile.
pub(super) fn hostile_diff() -> DiffReport {
    let mut diff = diff();
    let lines: String =
        HOSTILE.iter().flat_map(|text| [" ", text, "\n+", text, "\n\t", text, "\n"]).collect();
    diff.hosts[0].name = HOSTILE[1].to_owned();
    diff.hosts[0].files = HOSTILE
        .iter()
        .map(|path| FileDiff {
            path: (*path).to_owned(),
            change: FileChangeKind::Modified,
            diff: Some(lines.clone()),
            note: None,
        })
        .collect();
    diff
}

pub(super) fn history() -> History {
    let past = |release, result, back_to: Option<u64>, is_kept| PastRelease {
        release: Release {
            release,
            commit: Some(COMMIT.to_owned()),
            at: format!("2026-01-0{release}T10:00:00Z"),
            actor: Some("ann".to_owned()),
            run_url: (release == 3).then(|| "https://github.com/ann/side/actions/runs/7".to_owned()),
            back_to,
            cut_off: false,
            projects: [
                ("blog", ProjectChange::Changed, ProjectResult::Done),
                ("shop", ProjectChange::Added, result),
            ]
            .map(|(name, change, result)| (name.to_owned(), ReleasedProject { change, result }))
            .into(),
        },
        is_kept,
    };
    let releases = vec![
        past(4, ProjectResult::Done, Some(2), true),
        past(3, ProjectResult::RolledBack, None, true),
        past(2, ProjectResult::Done, None, false),
    ];
    let unreachable = vec![Diagnostic::error("failed to connect to db: connection refused", None)];
    let hosts = vec![
        HostHistory { name: "web".to_owned(), releases, is_selection: false, problems: Vec::new() },
        HostHistory {
            name: "db".to_owned(),
            releases: Vec::new(),
            is_selection: false,
            problems: unreachable,
        },
        HostHistory {
            name: "new".to_owned(),
            releases: Vec::new(),
            is_selection: false,
            problems: Vec::new(),
        },
    ];
    History { hosts }
}

/// History in which every text is hostile.
pub(super) fn hostile_history() -> History {
    let mut history = history();
    let release = history.hosts[0].releases[0].clone();
    let hostile = |text: &&str| {
        let text = || (*text).to_owned();
        let mut past = release.clone();
        past.release.commit = Some(text());
        past.release.at = text();
        past.release.actor = Some(text());
        past.release.run_url = Some(text());
        let project = ReleasedProject { change: ProjectChange::Changed, result: ProjectResult::Done };
        past.release.projects = [(text(), project)].into();
        past
    };
    history.hosts[0].name = HOSTILE[1].to_owned();
    history.hosts[0].releases = HOSTILE.iter().map(hostile).collect();
    history
}

pub(super) fn checkup() -> Checkup {
    let step = |what: &str, result, detail: &str, help: Option<&str>| CheckupStep {
        what: what.to_owned(),
        result,
        detail: detail.to_owned(),
        help: help.map(str::to_owned),
    };
    let steps = vec![
        step("ssh", CheckupResult::Ok, "deploy@203.0.113.10", None),
        step(
            "docker compose",
            CheckupResult::Failed,
            "not found",
            Some("apt-get install docker-compose-v2\nthen try again"),
        ),
        step("disk", CheckupResult::Warning, "3 GB left | 97 % used", None),
    ];
    let engine = EngineFacts {
        kind: EngineKind::Docker,
        version: "28.5.2".to_owned(),
        rootless: true,
        address: "unix:///run/user/1000/docker.sock".to_owned(),
        named_by: "context",
        context: Some("rootless".to_owned()),
        elsewhere: false,
        refused: vec!["DELETE /volumes"],
    };
    Checkup { hosts: vec![HostCheckup { name: "web".to_owned(), steps, engine: Some(engine) }] }
}

pub(super) fn check() -> CheckReport {
    CheckReport {
        projects: 24,
        services: 60,
        diagnostics: vec![
            Diagnostic::error(
                "service `web` mounts a file that is not in the repository",
                Some(at("services/shop/compose.yml", 4, 9)),
            )
            .help("add services/shop/nginx.conf"),
            Diagnostic::warning("image `nginx` has no tag", Some(at("services/shop/compose.yml", 2, 12))),
        ],
        variables: vec![],
        left_out: vec![],
    }
}

/// Text of the file that [`check`] is about.
pub(super) fn source(path: &str) -> Option<String> {
    let text = "  web:\n    image: nginx\n    volumes:\n      - ./nginx.conf:/etc/nginx/nginx.conf:ro\n";
    (path == "services/shop/compose.yml").then(|| text.to_owned())
}
