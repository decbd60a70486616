//! One-shots, and services that wait for them.

use ghdeploy::base::error::Exit;
use ghdeploy::outcome::ProjectResult;

use crate::bench::{Ask, Projects};
use crate::host::Host;

const COMPOSE: &str = "\
services:
  init:
    image: i
    volumes: [./conf:/conf]
  web:
    image: w
    depends_on: {init: {condition: service_completed_successfully}}
";

fn repo() -> Projects {
    Projects::new(&[("blog/compose.yml", COMPOSE), ("blog/conf/a", "1")])
}

#[test]
fn a_one_shot_that_completed_is_healthy() {
    let repo = repo();
    let host = Host { one_shots: [("init".to_owned(), 0)].into(), ..Host::default() };
    let run = repo.sync(&host, Ask::default());
    assert_eq!((run.exit, repo.misses(&run.host)), (Exit::Done, Vec::new()));
}

#[test]
fn a_service_that_waits_for_a_one_shot_restarts_after_it_completes() {
    let repo = repo();
    let mut host = repo.deployed();
    host.one_shots.insert("init".to_owned(), 2);
    repo.write("blog/conf/a", "2");
    let run = repo.sync(&host, Ask::default());
    assert_eq!((run.exit, repo.misses(&run.host)), (Exit::Done, Vec::new()));
    let (first, then) = (run.at("blog: restart --no-deps init"), run.at("blog: restart --no-deps web"));
    // It still runs in the first two listings, of which the first comes with the restart; only the third one shows
    // that it has exited.
    let asked = run.commands[first..then].iter().filter(|command| *command == "containers").count();
    assert!(asked >= 2, "`web` was restarted while `init` was at work: {:#?}", run.commands);
}

#[test]
fn a_completed_one_shot_without_a_part_in_the_plan_does_not_run_again() {
    let with = |image: &str| {
        format!("{COMPOSE}  db: {{image: {image}}}\n  edge: {{image: {image}, depends_on: [web, db]}}\n")
    };
    let repo = Projects::new(&[("blog/compose.yml", &with("one")), ("blog/conf/a", "1")]);
    let mut host = repo.deployed();
    host.one_shots.insert("init".to_owned(), 0);
    for container in host.containers.iter_mut().filter(|container| container.service == "init") {
        container.runs_for = Some(0);
    }
    repo.write("blog/compose.yml", &with("two"));
    let run = repo.sync(&host, Ask::default());
    let ups: Vec<&String> = run.commands.iter().filter(|command| command.contains(": up ")).collect();
    assert_eq!(ups, ["blog: up -d --quiet-pull db", "blog: up -d --quiet-pull --no-deps edge"]);
}

#[test]
fn a_failing_one_shot_stops_the_services_that_wait_for_it() {
    let repo = repo();
    let mut host = repo.deployed();
    repo.write("blog/conf/a", "bad");
    host.one_shots.insert("init".to_owned(), 0);
    host.poison = repo.wanted().projects[0]
        .manifest
        .0
        .iter()
        .filter(|(path, _)| path.as_str() == "blog/conf/a")
        .map(|(path, entry)| (path.clone(), entry.digest.clone()))
        .collect();
    // `web` keeps running, and is not restarted into the failure.
    let run = repo.sync(&host, Ask::default());
    assert_eq!((run.exit, run.result("blog")), (Exit::RolledBack, ProjectResult::RolledBack));
    let restarts: Vec<&String> =
        run.commands[..run.at("restore blog")].iter().filter(|command| command.contains("restart")).collect();
    assert_eq!(restarts, ["blog: restart --no-deps init"]);
}
