//! For every change and every command of its apply: that command fails, stops half way, or takes the
//! connection with it. Whatever happens, nothing is done that must not be done, the outcome is true, and
//! the next sync finishes the work.

use std::collections::BTreeMap;

use ghdeploy::error::{Exit, HostState};
use ghdeploy::outcome::ProjectResult;

use crate::bench::{Ask, Repo, Run};
use crate::host::Host;
use crate::peer::Fault;

/// A change, not yet on the host.
struct Case {
    repo: Repo,
    host: Host,
    ask: Ask,
}

fn case(files: &[(&str, &str)], change: impl for<'r> FnOnce(&'r Repo) -> &'r Repo) -> Case {
    let repo = Repo::new(files);
    let host = repo.deployed();
    change(&repo);
    Case { repo, host, ask: Ask::default() }
}

const BLOG: &str = "services:\n  web: {image: 'web:1', volumes: ['./conf:/conf']}\n  worker: {image: 'worker:1', env_file: [e.env]}\n";
const FILES: &[(&str, &str)] = &[("blog/compose.yml", BLOG), ("blog/conf/a", "1"), ("blog/conf/b", "1"), ("blog/e.env", "A=1\n")];

/// What a command is about: a project, or nothing in particular.
fn project(command: &str) -> &str {
    let word = command.split([' ', ':']).next().unwrap_or_default();
    match word {
        "candidate" | "swap" | "restore" => command.split(' ').nth(1).unwrap_or_default(),
        "remove" => command.split(' ').nth(1).unwrap_or_default(),
        "containers" | "probe" | "docker" | "upload" | "state" | "history" | "finish" => "",
        dir => dir,
    }
}

fn recorded<'h>(host: &'h Host, name: &str) -> Option<&'h serde_json::Value> {
    host.state.as_ref().map(|state| &state["projects"][name]).filter(|project| !project.is_null())
}

/// What a person, or data, would suffer from.
fn judge(case: &Case, clean: &[String], at: usize, fault: Fault, run: &Run) -> Vec<String> {
    let mut wrong = run.host.wrong.clone();
    let mut check = |holds: bool, what: &str| {
        if !holds {
            wrong.push(what.to_owned());
        }
    };
    let is_cut = matches!(fault, Fault::CutBefore | Fault::CutAfter);
    let later = &run.commands[at + 1..];
    check(run.commands[..=at] == clean[..=at], "the same run went another way before anything failed");
    check(run.exit != Exit::Done, "the failure is not told");
    check(!is_cut || later.is_empty(), "commands were sent over a connection that was lost");

    // What failed is known by its place in the order.
    let command = clean[at].as_str();
    let first_swap = clean.iter().position(|command| command.starts_with("swap") || command.contains(": down")).unwrap_or(clean.len());
    // If the connection breaks at the swap, nobody here knows whether it was made.
    let is_swapped = at > first_swap || (at == first_swap && fault != Fault::Refused);
    let is_closing = ["history", "finish"].contains(&command) || (command == "state" && clean.get(at + 1).is_some_and(|next| next == "history"));
    let results: BTreeMap<&str, ProjectResult> = run.outcome.projects.iter().map(|project| (project.name.as_str(), project.result)).collect();
    let unknown = results.values().any(|result| *result == ProjectResult::Unknown) || run.outcome.failure.as_ref().is_some_and(|failure| failure.state == HostState::Unknown);

    check(unknown == (run.exit == Exit::NeedsLook), "the state is unknown, and the exit code is not 6, or the other way round");
    if is_cut && !is_swapped {
        check(run.exit == Exit::Unreachable, "the connection broke before anything was changed: 4");
        check(!unknown, "nothing was changed, and that is known");
    }
    if is_cut && is_swapped {
        check(unknown, "the connection broke in the middle: nobody knows");
    }
    if !is_cut && at < first_swap {
        check(matches!(run.exit, Exit::RolledBack | Exit::Unreachable), "a failed check: 5, or 4 for the host itself");
    }
    if !is_swapped {
        let same = |of: fn(&Host) -> String| of(&run.host) == of(&case.host);
        let touched = results.values().any(|result| *result == ProjectResult::Done);
        check(touched || same(|host| format!("{:?}{:?}{:?}", host.files, host.manifests, host.pending)), "files changed before the swap");
        check(touched || same(|host| format!("{:?}{:?}{:?}", host.containers, host.state, host.history)), "services acted or a release was recorded before the swap");
        check(results.values().all(|result| *result != ProjectResult::RolledBack), "there was nothing to roll back");
    }
    // After a failed check of a project nothing of it may be touched.
    let name = project(command);
    if !is_closing && !is_cut && at < first_swap && !name.is_empty() && fault != Fault::Meddle {
        let touches = later.iter().any(|command| project(command) == name && !command.contains("candidate"));
        check(!touches, "a project was touched whose check failed");
    }
    for (name, result) in results {
        let (before, after) = (recorded(&case.host, name), recorded(&run.host, name));
        match result {
            ProjectResult::Done => check(run.exit != Exit::Done, "unreachable"),
            ProjectResult::Unchanged => check(before == after, "the record of a project changed that was not worked on"),
            ProjectResult::NothingChanged | ProjectResult::RolledBack => {
                check(before == after, "a failed project was recorded as deployed");
                let files = |host: &Host| host.files.iter().filter(|(path, _)| path.as_str().starts_with(&format!("{name}/"))).map(|(path, entry)| (path.clone(), entry.clone())).collect::<Vec<_>>();
                check(files(&run.host) == files(&case.host), "a project that is said to be as before is not");
                check(run.host.pending.is_empty() || is_cut, "something is pending though the way back went well");
                let services = |host: &Host| host.containers.iter().filter(|container| container.project == name).map(|container| container.service.clone()).collect::<std::collections::BTreeSet<_>>();
                check(services(&run.host) == services(&case.host), "other services run than before");
                for container in run.host.containers.iter().filter(|container| container.project == name) {
                    let own = |files: &crate::host::Files| files.iter().filter(|(path, _)| path.as_str().starts_with(&format!("{name}/"))).map(|(path, entry)| (path.clone(), entry.digest.clone())).collect::<Vec<_>>();
                    let ran = case.host.containers.iter().any(|old| old.service == container.service && own(&old.seen) == own(&container.seen));
                    check(ran, "a service of a project that is said to be as before runs with other content");
                }
            }
            ProjectResult::Unknown => {}
        }
    }
    wrong
}

/// Tries every command with every fault.
fn try_all(case: &Case) {
    let clean = case.repo.sync(&case.host, case.ask);
    assert_eq!((clean.exit, case.repo.misses(&clean.host)), (Exit::Done, Vec::new()), "{clean:#?}");
    let mut wrong = Vec::new();
    for at in 0..clean.commands.len() {
        for fault in [Fault::Refused, Fault::Half, Fault::CutBefore, Fault::CutAfter] {
            let run = case.repo.sync(&case.host, Ask { faults: [Some((at, fault)), None], ..case.ask });
            let place = format!("{fault:?} at {at} {:?}", clean.commands[at]);
            wrong.extend(judge(case, &clean.commands, at, fault, &run).into_iter().map(|what| format!("{place}: {what}")));
            let again = case.repo.sync(&run.host, case.ask);
            if again.exit != Exit::Done {
                let why: Vec<_> = again.outcome.projects.iter().flat_map(|project| &project.problems).map(|problem| &problem.message).collect();
                wrong.push(format!("{place}: the next sync fails: {:?} {why:?} {:?}", again.exit, again.commands));
            }
            wrong.extend(case.repo.misses(&again.host).into_iter().map(|what| format!("{place}: after the next sync {what}")));
        }
    }
    assert!(wrong.is_empty(), "{:#?}\n{}", clean.commands, wrong.join("\n"));
}

#[test]
fn of_a_first_sync() {
    let repo = Repo::new(FILES);
    repo.write("shop/compose.yml", &format!("x-ghdeploy: {{after: [blog]}}\n{BLOG}")).write("shop/conf/a", "1").write("shop/e.env", "");
    try_all(&Case { repo, host: Host::default(), ask: Ask::default() });
}

#[test]
fn of_a_mounted_file() {
    try_all(&case(FILES, |repo| repo.write("blog/conf/a", "2").write("blog/conf/c", "new").remove("blog/conf/b")));
}

#[test]
fn of_a_file_that_nobody_reads() {
    try_all(&case(FILES, |repo| repo.write("blog/README.md", "2")));
}

#[test]
fn of_a_definition_and_a_mounted_file() {
    try_all(&case(FILES, |repo| repo.write("blog/compose.yml", &BLOG.replace("worker:1", "worker:2")).write("blog/conf/a", "2")));
}

#[test]
fn of_an_env_file() {
    try_all(&case(FILES, |repo| repo.write("blog/e.env", "A=2\n")));
}

#[test]
fn of_an_image_that_is_built() {
    try_all(&case(&[("app/compose.yml", "services:\n  web: {build: image}\n  db: {image: d}\n"), ("app/image/Dockerfile", "FROM a\n")], |repo| repo.write("app/image/Dockerfile", "FROM b\n")));
}

#[test]
fn of_a_service_that_leaves_and_one_that_comes() {
    try_all(&case(FILES, |repo| repo.write("blog/compose.yml", &BLOG.replace("worker:", "other:"))));
}

#[test]
fn of_a_signal_and_a_command() {
    let compose = "services:\n  a: {image: a, volumes: ['./x:/x'], x-ghdeploy: {on-change: {signal: HUP}}}\n  b: {image: b, volumes: ['./x:/x'], x-ghdeploy: {on-change: {exec: [reload]}}}\n";
    try_all(&case(&[("blog/compose.yml", compose), ("blog/x", "1")], |repo| repo.write("blog/x", "2")));
}

#[test]
fn of_several_projects_and_a_shared_file() {
    let reads = |after: &str| format!("x-ghdeploy: {{after: [{after}]}}\nservices:\n  web: {{image: a, volumes: ['../shared/tz:/tz', './own:/own']}}\n");
    let files: [(&str, &str); 7] = [("a/compose.yml", &reads("c")), ("a/own", "1"), ("b/compose.yml", &reads("a")), ("b/own", "1"), ("c/compose.yml", &reads("")), ("c/own", "1"), ("shared/tz", "1")];
    try_all(&case(&files, |repo| repo.write("shared/tz", "2").write("a/own", "2")));
}

#[test]
fn of_projects_side_by_side() {
    let own = "services:\n  web: {image: a, volumes: ['./own:/own']}\n";
    let files = [("a/compose.yml", own), ("a/own", "1"), ("b/compose.yml", own), ("b/own", "1")];
    try_all(&case(&files, |repo| repo.write("a/own", "2").write("b/own", "2")));
}

#[test]
fn of_a_project_that_is_pruned() {
    let repo = Repo::new(FILES);
    repo.write("shop/compose.yml", "services:\n  web: {image: a}\n");
    let host = repo.deployed();
    repo.remove("shop");
    try_all(&Case { repo, host, ask: Ask { prune: true, ..Ask::default() } });
}

#[test]
fn of_files_alone() {
    let Case { repo, host, .. } = case(FILES, |repo| repo.write("blog/conf/a", "2").write("blog/README.md", "2"));
    let ask = Ask { no_restart: true, ..Ask::default() };
    // Owed is not lost: the sync with restarts comes last.
    let clean = repo.sync(&host, ask);
    for at in 0..clean.commands.len() {
        for fault in [Fault::Refused, Fault::Half, Fault::CutBefore, Fault::CutAfter] {
            let run = repo.sync(&host, Ask { faults: [Some((at, fault)), None], ..ask });
            let last = repo.sync(&run.host, Ask::default());
            assert_eq!((last.exit, repo.misses(&last.host)), (Exit::Done, Vec::new()), "{fault:?} at {:?}", clean.commands[at]);
        }
    }
}
