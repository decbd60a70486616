//! Dry runs: the checks of a run, and nothing else.

use std::collections::BTreeSet;

use ghdeploy::base::error::Exit;

use crate::bench::{Ask, Projects, Run};
use crate::host::Host;

const APP: &str = "\
services:
  web: {image: 'web:1', volumes: ['/opt/x.conf:/x']}
  worker: {image: 'worker:1'}
";

/// The checks of a run before it changes anything.
fn checks(run: &Run) -> BTreeSet<&String> {
    let to =
        run.commands.iter().position(|command| command.starts_with("swap ")).unwrap_or(run.commands.len());
    run.commands[..to].iter().filter(|command| is_check(command)).collect()
}

/// Whether it is a question: no upload, no record, no pull.
fn is_check(command: &str) -> bool {
    !["upload", "note", "room", "state", "history", "finish", "docker manifest", "docker info"]
        .iter()
        .any(|other| command.starts_with(other))
        && !command.contains(": pull ")
}

#[test]
fn a_dry_run_makes_the_checks_of_the_run() {
    let repo = Projects::new(&[("blog/compose.yml", APP)]);
    for (host, ask, exit) in [
        (Host::default(), Ask::default(), Exit::RolledBack),
        (Host { has_no_docker: true, ..Host::default() }, Ask::default(), Exit::RolledBack),
        (Host::default(), Ask { no_restart: true, ..Ask::default() }, Exit::Done),
    ] {
        let run = repo.sync(&host, ask);
        let (commands, plan) = repo.dry_run(&host, ask);
        assert_eq!(run.exit, exit);
        let asked: BTreeSet<&String> = commands.iter().filter(|command| is_check(command)).collect();
        assert_eq!(asked, checks(&run), "{ask:?}");
        assert_eq!(plan.projects[0].problems, run.project("blog").problems, "{ask:?}");
    }
}

#[test]
fn a_dry_run_sends_only_what_compose_reads_and_changes_nothing() {
    let repo = Projects::new(&[
        ("blog/compose.yml", "services:\n  web: {image: a, env_file: web.env, volumes: ['./x:/x']}\n"),
        ("blog/web.env", "A=1"),
        ("blog/x", "1"),
    ]);
    let (commands, plan) = repo.dry_run(&Host::default(), Ask::default());
    assert!(plan.projects[0].problems.is_empty(), "{plan:#?}");
    let changes = |command: &&String| {
        ["swap", "state", "note", "release", "finish", "history", "restore", "hook", "remove"]
            .iter()
            .any(|word| command.starts_with(word))
            || command.contains(" up ")
            || command.contains(": pull ")
    };
    assert_eq!(commands.iter().find(changes), None, "{commands:#?}");
    assert!(commands.iter().any(|command| command == "blog (candidate): config -q"), "{commands:#?}");
}

#[test]
fn an_image_that_cannot_be_found_blocks_its_project() {
    let repo = Projects::new(&[("blog/compose.yml", "services: {web: {image: 'web:1'}}\n")]);
    let host = Host { lacks: ["web:1".to_owned()].into(), ..Host::default() };
    let (commands, plan) = repo.dry_run(&host, Ask::default());
    assert!(commands.contains(&"docker manifest inspect web:1".to_owned()), "{commands:#?}");
    assert!(plan.projects[0].problems.is_empty());
    let host = Host { unfindable: ["web:1".to_owned()].into(), ..host };
    let (_, plan) = repo.dry_run(&host, Ask::default());
    assert_eq!(
        plan.projects[0].problems[0].message,
        "image web:1 of service `web` cannot be pulled: its registry does not have it"
    );
    assert!(plan.projects[0].actions.is_empty());
    // What is not known of the engine proves nothing.
    let host = Host { registries: Some(String::new()), ..host };
    let (_, plan) = repo.dry_run(&host, Ask::default());
    assert!(plan.projects[0].problems.is_empty());
    assert!(plan.notes.iter().any(|note| note.message.contains("is known only after the pull")), "{plan:#?}");
}
