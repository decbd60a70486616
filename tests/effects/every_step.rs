//! For every change and every command of its apply: the command fails, stops halfway, or the connection
//! breaks. Whatever happens, nothing forbidden is done, the outcome is true, and the next sync finishes the
//! work.

use std::collections::BTreeMap;

use ghdeploy::base::error::{Exit, HostState};
use ghdeploy::outcome::ProjectResult;

use crate::bench::{Ask, Projects, Run};
use crate::host::{Files, Host};
use crate::peer::Fault;

/// A change that is not on the host yet.
struct Case {
    repo: Projects,
    /// The projects before it; `None`: there were none.
    before: Option<Projects>,
    host: Host,
    ask: Ask,
}

fn case(files: &[(&str, &str)], change: impl for<'r> FnOnce(&'r Projects) -> &'r Projects) -> Case {
    let repo = Projects::new(files);
    let host = repo.deployed();
    change(&repo);
    Case { repo, before: Some(Projects::new(files)), host, ask: Ask::default() }
}

const BLOG: &str = "services:\n  web: {image: 'web:1', volumes: ['./conf:/conf']}\n  worker: {image: 'worker:1', env_file: [e.env]}\n";
const FILES: &[(&str, &str)] =
    &[("blog/compose.yml", BLOG), ("blog/conf/a", "1"), ("blog/conf/b", "1"), ("blog/e.env", "A=1\n")];

/// The project that a command is about, if any.
fn project(command: &str) -> &str {
    let word = command.split([' ', ':']).next().unwrap_or_default();
    match word {
        "candidate" | "swap" | "restore" | "fetch" | "list" => command.split(' ').nth(1).unwrap_or_default(),
        "remove" => command.split(' ').nth(1).unwrap_or_default(),
        "containers" | "probe" | "docker" | "upload" | "state" | "note" | "history" | "release"
        | "finish" | "script" => "",
        dir => dir,
    }
}

fn recorded<'h>(host: &'h Host, name: &str) -> Option<&'h serde_json::Value> {
    host.state.as_ref().map(|state| &state["projects"][name]).filter(|project| !project.is_null())
}

/// Violations that a user or data would suffer from, in words.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn unless(&mut self, holds: bool, what: &str) {
        if !holds {
            self.0.push(what.to_owned());
        }
    }
}

fn judge(case: &Case, clean: &[String], at: usize, fault: Fault, run: &Run) -> Vec<String> {
    let mut wrong = Wrong(run.host.wrong.clone());
    let is_cut = matches!(fault, Fault::CutBefore | Fault::CutAfter);
    let later = &run.commands[at + 1..];
    wrong.unless(run.commands[..=at] == clean[..=at], "the same run went another way before anything failed");
    wrong.unless(!is_cut || later.is_empty(), "commands were sent over a connection that was lost");
    let command = clean[at].as_str();
    let only_tells = command.starts_with("docker volume") || command.starts_with("list");
    // Which images run is only told, and asked while the records are written.
    let only_tells = only_tells || command.starts_with("docker image inspect --format {\"id");
    let is_through = command == "finish";
    // Images are then looked up one by one.
    let is_lookup = command.starts_with("docker image inspect --format {{.Os}}");
    if is_through || (only_tells || is_lookup) && !is_cut {
        // Everything is done and recorded; leftovers in the stage, or a missing answer, do no harm.
        wrong.unless(run.exit == Exit::Done, "a deploy that is through is told as failed");
        wrong.0.extend(case.repo.misses(&run.host));
        return wrong.0;
    }
    wrong.unless(run.exit != Exit::Done, "the failure is not told");

    let changes = |command: &String| command.starts_with("swap") || command.contains(": down");
    let first_change = clean.iter().position(changes).unwrap_or(clean.len());
    // A project that is about to go down is recorded first.
    let is_noted = first_change > 0 && clean[first_change - 1] == "state";
    let first_change = first_change - usize::from(is_noted);
    // The files of a single project go along with the upload, if nothing is checked before.
    let swaps = clean.iter().filter(|command| command.starts_with("swap")).count();
    let goes_at_once = swaps == 1 && clean.get(2).is_some_and(|command| command.starts_with("swap"));
    let first_change = if is_cut && goes_at_once { 0 } else { first_change };
    // If the connection breaks at the swap, the client does not know whether it was made.
    let is_changed = at > first_change || (at == first_change && fault != Fault::Refused);
    let has = |wanted: ProjectResult| run.outcome.projects.iter().any(|project| project.result == wanted);
    let unknown_host =
        run.outcome.failure.as_ref().is_some_and(|failure| failure.state == HostState::Unknown);
    let is_unknown = has(ProjectResult::Unknown) || unknown_host;
    wrong.unless(
        is_unknown == (run.exit == Exit::NeedsLook),
        "6 means that the state is unknown, and nothing else does",
    );
    if is_cut && is_changed {
        wrong.unless(is_unknown, "the connection broke in the middle: nobody knows");
    }
    if is_cut && !is_changed {
        wrong.unless(run.exit == Exit::Unreachable, "the connection broke before anything was changed: 4");
        wrong.unless(!is_unknown, "nothing was changed, and that is known");
    }
    if !is_cut && at < first_change {
        let told = matches!(run.exit, Exit::RolledBack | Exit::Unreachable);
        wrong.unless(told, "a failed check: 5, or 4 if it is the host's");
        // After a failed check of a project, nothing in it may be touched.
        let name = project(command);
        let touches = |later: &String| project(later) == name && !later.contains("candidate");
        wrong.unless(
            name.is_empty() || !later.iter().any(touches),
            "a project was touched whose check failed",
        );
    }
    if !is_changed && !has(ProjectResult::Done) {
        let files = |host: &Host| format!("{:?}{:?}{:?}", host.files, host.manifests, host.pending);
        wrong.unless(files(&run.host) == files(&case.host), "files changed before the swap");
        let effects = |host: &Host| format!("{:?}{:?}{:?}", host.containers, host.state, host.history);
        wrong.unless(
            effects(&run.host) == effects(&case.host),
            "something acted or was recorded before the swap",
        );
        wrong.unless(!has(ProjectResult::RolledBack), "there was nothing to roll back");
    }
    for project in &run.outcome.projects {
        judge_project(case, run, &project.name, project.result, &mut wrong);
    }
    wrong.unless(
        is_unknown || is_cut || run.host.pending.is_empty(),
        "something is pending, and nobody says so",
    );
    wrong.0
}

/// Checks whether the outcome of one project is true.
fn judge_project(case: &Case, run: &Run, name: &str, result: ProjectResult, wrong: &mut Wrong) {
    let (before, after) = (&case.host, &run.host);
    if matches!(result, ProjectResult::Done | ProjectResult::Interrupted | ProjectResult::Unknown) {
        return;
    }
    // Services that run with shared files which others keep owe an action once the old files are wanted
    // again.
    let keeps_shared = after
        .files
        .iter()
        .any(|(path, entry)| path.as_str().starts_with("shared/") && before.files.get(path) != Some(entry));
    wrong.unless(
        keeps_shared || recorded(before, name) == recorded(after, name),
        "a project that was not deployed has another record",
    );
    if result == ProjectResult::Unchanged {
        return;
    }
    let own = |files: &Files| -> Files {
        let files = files.iter().filter(|(path, _)| path.as_str().starts_with(&format!("{name}/")));
        files.map(|(path, entry)| (path.clone(), entry.clone())).collect()
    };
    wrong.unless(
        own(&before.files) == own(&after.files),
        "the files of a project are said to be as before, and are not",
    );
    let services = |host: &Host| -> BTreeMap<String, (Files, u32)> {
        let containers = host.containers.iter().filter(|container| container.project == name);
        containers
            .map(|container| (container.service.clone(), (own(&container.seen), container.image)))
            .collect()
    };
    wrong.unless(services(before) == services(after), "services are said to be as before, and are not");
    wrong.unless(
        !after.containers.iter().any(|container| container.project == name && container.is_stopped),
        "a container stays stopped",
    );
}

/// Checks what a stopped run must have done.
fn judge_stopped(case: &Case, run: &Run) -> Vec<String> {
    let mut wrong = Wrong(run.host.wrong.clone());
    let has = |wanted: ProjectResult| run.outcome.projects.iter().any(|project| project.result == wanted);
    let exit = match (has(ProjectResult::Interrupted), has(ProjectResult::NothingChanged)) {
        (true, _) => Exit::NeedsLook,
        (false, true) => Exit::RolledBack,
        (false, false) => Exit::Done,
    };
    wrong.unless(run.exit == exit, "6: something is half done; 5: something was not begun; 0: all is done");
    wrong.unless(!has(ProjectResult::Unknown) && !has(ProjectResult::RolledBack), "nothing has failed");
    wrong.unless(run.host.pending.is_empty(), "a step was not ended");
    for project in &run.outcome.projects {
        judge_project(case, run, &project.name, project.result, &mut wrong);
    }
    wrong.0
}

/// Tries every command with every fault.
fn try_all(case: &Case) {
    let clean = case.repo.sync(&case.host, case.ask);
    assert_eq!((clean.exit, case.repo.misses(&clean.host)), (Exit::Done, Vec::new()), "{clean:#?}");
    let mut wrong = Vec::new();
    for at in 0..clean.commands.len() {
        for fault in [Fault::Refused, Fault::Half, Fault::CutBefore, Fault::CutAfter, Fault::Stop] {
            let run = case.repo.sync(&case.host, Ask { faults: [Some((at, fault)), None], ..case.ask });
            let place = format!("{fault:?} at {at} {:?}", clean.commands[at]);
            let judged = match fault {
                Fault::Stop => judge_stopped(case, &run),
                fault => judge(case, &clean.commands, at, fault, &run),
            };
            wrong.extend(judged.into_iter().map(|what| format!("{place}: {what}")));
            let again = case.repo.sync(&run.host, case.ask);
            if again.exit != Exit::Done {
                let why: Vec<_> = again
                    .outcome
                    .projects
                    .iter()
                    .flat_map(|project| &project.problems)
                    .map(|problem| &problem.message)
                    .collect();
                wrong.push(format!(
                    "{place}: the next sync fails: {:?} {why:?} {:?}",
                    again.exit, again.commands
                ));
            }
            wrong.extend(
                case.repo
                    .misses(&again.host)
                    .into_iter()
                    .map(|what| format!("{place}: after the next sync {what}")),
            );
            // Or the change is reverted meanwhile.
            if let Some(before) = &case.before {
                let back = before.sync(&run.host, case.ask);
                let misses = before.misses(&back.host).into_iter();
                wrong.extend(misses.map(|what| format!("{place}: after it was taken back {what}")));
                if back.exit != Exit::Done {
                    wrong.push(format!("{place}: it cannot be taken back: {:?}", back.commands));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{:#?}\n{}", clean.commands, wrong.join("\n"));
}

#[test]
fn of_a_first_sync() {
    let repo = Projects::new(FILES);
    repo.write("shop/compose.yml", &format!("x-ghdeploy: {{after: [blog]}}\n{BLOG}"))
        .write("shop/conf/a", "1")
        .write("shop/e.env", "");
    // One image has to be pulled.
    let host = Host { lacks: ["worker:1".to_owned()].into(), ..Host::default() };
    try_all(&Case { repo, before: None, host, ask: Ask::default() });
}

#[test]
fn of_a_mounted_file() {
    try_all(&case(FILES, |repo| {
        repo.write("blog/conf/a", "2").write("blog/conf/c", "new").remove("blog/conf/b")
    }));
}

#[test]
fn of_a_file_that_no_service_reads() {
    try_all(&case(FILES, |repo| repo.write("blog/README.md", "2")));
}

#[test]
fn of_a_definition_and_a_mounted_file() {
    try_all(&case(FILES, |repo| {
        repo.write("blog/compose.yml", &BLOG.replace("worker:1", "worker:2")).write("blog/conf/a", "2")
    }));
}

#[test]
fn of_a_project_with_hooks() {
    let compose = |image: &str| {
        format!(
            "x-ghdeploy:\n  hooks:\n    before: {{service: web, run: [migrate]}}\n    after: {{service: web, exec: [warm]}}\nservices:\n  web: {{image: {image}, depends_on: [db]}}\n  db: {{image: d}}\n"
        )
    };
    try_all(&case(&[("blog/compose.yml", &compose("a")), ("blog/x", "1")], |repo| {
        repo.write("blog/compose.yml", &compose("b")).write("blog/x", "2")
    }));
}

#[test]
fn of_a_rollback() {
    let (past, present) = (Projects::new(FILES), Projects::new(FILES));
    let host = past.deployed();
    present.write("blog/compose.yml", &BLOG.replace("worker:1", "worker:2")).write("blog/conf/a", "2");
    present.write("blog/conf/c", "new").remove("blog/conf/b");
    let host = present.sync(&host, Ask::default()).host;
    let ask = Ask { back_to: Some(1), ..Ask::default() };
    assert!(past.sync(&host, ask).did("stage_kept blog"));
    try_all(&Case { repo: past, before: Some(present), host, ask });
}

#[test]
fn of_an_env_file() {
    try_all(&case(FILES, |repo| repo.write("blog/e.env", "A=2\n")));
}

#[test]
fn of_an_image_that_is_built() {
    try_all(&case(
        &[
            ("app/compose.yml", "services:\n  web: {build: image}\n  db: {image: d}\n"),
            ("app/image/Dockerfile", "FROM a\n"),
        ],
        |repo| repo.write("app/image/Dockerfile", "FROM b\n"),
    ));
}

const WEB: &str = "services:\n  web: {image: b, volumes: ['./x:/x']}\n";

#[test]
fn of_a_removed_and_an_added_service() {
    try_all(&case(FILES, |repo| repo.write("blog/compose.yml", &BLOG.replace("worker:", "other:"))));
}

#[test]
fn of_a_signal_and_a_command() {
    let compose = "services:\n  a: {image: a, volumes: ['./x:/x'], x-ghdeploy: {on-change: {signal: HUP}}}\n  b: {image: b, volumes: ['./x:/x'], x-ghdeploy: {on-change: {exec: [reload]}}}\n";
    try_all(&case(&[("blog/compose.yml", compose), ("blog/x", "1")], |repo| repo.write("blog/x", "2")));
}

#[test]
fn of_several_projects_and_a_shared_file() {
    let reads = |after: &str| {
        format!(
            "x-ghdeploy: {{after: [{after}]}}\nservices:\n  web: {{image: a, volumes: ['../shared/tz:/tz', './own:/own']}}\n"
        )
    };
    let files: [(&str, &str); 7] = [
        ("a/compose.yml", &reads("c")),
        ("a/own", "1"),
        ("b/compose.yml", &reads("a")),
        ("b/own", "1"),
        ("c/compose.yml", &reads("")),
        ("c/own", "1"),
        ("shared/tz", "1"),
    ];
    try_all(&case(&files, |repo| repo.write("shared/tz", "2").write("a/own", "2")));
}

#[test]
fn of_shared_files_that_nobody_reads_any_more() {
    let reads = "services:\n  web: {image: a, volumes: ['../shared/tz:/tz', './own:/own']}\n";
    let files =
        [("a/compose.yml", reads), ("a/own", "1"), ("b/compose.yml", WEB), ("b/x", "1"), ("shared/tz", "1")];
    try_all(&case(&files, |repo| {
        repo.write("a/compose.yml", &reads.replace("'../shared/tz:/tz', ", ""))
            .remove("shared/tz")
            .write("b/x", "2")
    }));
}

#[test]
fn of_projects_in_parallel() {
    let own = "services:\n  web: {image: a, volumes: ['./own:/own']}\n";
    let files = [("a/compose.yml", own), ("a/own", "1"), ("b/compose.yml", own), ("b/own", "1")];
    try_all(&case(&files, |repo| repo.write("a/own", "2").write("b/own", "2")));
}

#[test]
fn of_a_project_that_is_pruned() {
    let repo = Projects::new(FILES);
    repo.write("shop/compose.yml", "services:\n  web: {image: a}\n");
    let host = repo.deployed();
    let before = Projects::new(FILES);
    before.write("shop/compose.yml", "services:\n  web: {image: a}\n");
    repo.remove("shop");
    try_all(&Case { repo, before: Some(before), host, ask: Ask { prune: true, ..Ask::default() } });
}

#[test]
fn of_files_alone() {
    let Case { repo, host, .. } =
        case(FILES, |repo| repo.write("blog/conf/a", "2").write("blog/README.md", "2"));
    let ask = Ask { no_restart: true, ..Ask::default() };
    // What is owed is not lost: the sync with restarts comes last.
    let clean = repo.sync(&host, ask);
    for at in 0..clean.commands.len() {
        for fault in [Fault::Refused, Fault::Half, Fault::CutBefore, Fault::CutAfter] {
            let run = repo.sync(&host, Ask { faults: [Some((at, fault)), None], ..ask });
            let last = repo.sync(&run.host, Ask::default());
            assert_eq!(
                (last.exit, repo.misses(&last.host)),
                (Exit::Done, Vec::new()),
                "{fault:?} at {:?}",
                clean.commands[at]
            );
        }
    }
}
