//! Files alone: `--no-restart`, and hosts that have no Docker.

use ghdeploy::base::error::Exit;
use ghdeploy::outcome::{ActionResult, ProjectResult};

use crate::bench::{Ask, Projects};
use crate::host::Host;

const FILES_ONLY: Ask = Ask {
    stable_for: std::time::Duration::ZERO,
    force: false,
    prune: false,
    no_restart: true,
    login: None,
    prune_images: false,
    network: None,
    back_to: None,
    faults: [None, None],
};

fn repo() -> Projects {
    Projects::new(&[
        ("blog/compose.yml", "services:\n  web: {image: a, volumes: ['./x:/x']}\n"),
        ("blog/x", "1"),
    ])
}

#[test]
fn no_restart_changes_nothing_in_docker() {
    let repo = repo();
    let run = repo.sync(&Host::default(), FILES_ONLY);
    assert_eq!(run.exit, Exit::Done);
    assert!(run.host.containers.is_empty());
    let live: Vec<&String> = run
        .commands
        .iter()
        .filter(|command| {
            command.starts_with("blog: ") || command.starts_with("remove") || *command == "containers"
        })
        .collect();
    assert!(live.is_empty(), "{live:?}");
    assert_eq!(run.actions("blog"), [("up web".to_owned(), ActionResult::Owed)]);
}

#[test]
fn a_restart_that_was_left_out_stays_owed() {
    let repo = repo();
    let host = repo.deployed();
    repo.write("blog/x", "2");
    let run = repo.sync(&host, FILES_ONLY);
    assert_eq!(
        run.commands,
        ["snapshot 1 state", "upload", "note", "swap blog", "state", "release", "history", "note", "finish"]
    );
    let services = |host: &Host| host.state.as_ref().unwrap()["projects"]["blog"]["services"].clone();
    assert_eq!(services(&run.host), services(&host));
    let again = repo.sync(&run.host, FILES_ONLY);
    assert_eq!(again.commands, Vec::<String>::new());
    let last = repo.sync(&run.host, Ask::default());
    assert_eq!((last.exit, repo.misses(&last.host)), (Exit::Done, Vec::new()));
    assert!(last.did("blog: restart"));
}

#[test]
fn a_host_without_docker_takes_files() {
    let repo = repo();
    let host = Host { has_no_docker: true, ..Host::default() };
    let run = repo.sync(&host, FILES_ONLY);
    assert_eq!((run.exit, run.result("blog")), (Exit::Done, ProjectResult::Done));
    assert_eq!(run.host.files.len(), 2);
}

#[test]
fn a_host_without_docker_is_not_touched_if_services_must_act() {
    let repo = repo();
    let host = Host { has_no_docker: true, ..Host::default() };
    let run = repo.sync(&host, Ask::default());
    assert_eq!(run.result("blog"), ProjectResult::NothingChanged);
    assert!(run.host.files.is_empty() && run.host.manifests.is_empty());
    assert_eq!(run.project("blog").problems[0].message, "the host has no docker");
    assert!(matches!(run.exit, Exit::RolledBack | Exit::Unreachable), "{:?}", run.exit);
}

#[test]
fn a_pruned_project_stays_whole_with_no_restart() {
    let repo = repo();
    repo.write("shop/compose.yml", "services:\n  web: {image: a}\n");
    let host = repo.deployed();
    repo.remove("shop");
    let run = repo.sync(&host, Ask { prune: true, ..FILES_ONLY });
    assert_eq!((run.exit, run.commands.len()), (Exit::Done, 0), "{:?}", run.commands);
    assert_eq!(run.host, host);
}
