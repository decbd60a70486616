//! Hooks of a project, such as migrations.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::bed::{Bed, chmod, stdout_of};
use crate::support::wait;

fn compose(bed: &Bed, mode: &str, hooks: &str) {
    bed.compose(
        "app",
        &format!(
            "x-ghdeploy: {{hooks: {hooks}}}
services:
  web: {{<<: *s, environment: {{MODE: {mode}, SECRET: hunter2}}, depends_on: [db], volumes: ['./rows:/rows', './web.conf:/web.conf:ro']}}
  db: {{<<: *s, environment: {{DB: {mode}}}}}
  worker: {{<<: *s}}"
        ),
    );
    bed.write("services/app/web.conf", mode);
    bed.guard("app/rows/.keep", "");
}

/// A `before` hook that runs this script in the service `web`.
fn run(script: &str) -> String {
    format!("{{before: {{service: web, run: [sh, -c, '{script}'], timeout: 20s}}}}")
}

#[test]
fn a_migration_runs_in_the_new_definition_before_anything_is_replaced() {
    let bed = Bed::new("migrate");
    bed.guard("app/rows/.keep", "");
    bed.allow("app/rows/.keep");
    let note = "echo $$MODE $$(cat /web.conf) >>/rows/migrations";
    compose(&bed, "one", &run(note));
    bed.allow("app/rows/.keep");
    let planned = bed.sync(["--dry-run"]).exits(0).prints("hook  before web");
    assert!(!planned.stdout.contains("migrations"), "{}", planned.all());
    bed.call(["sync"]).run().exits(0);
    assert_eq!(bed.on_host("app/rows/migrations"), "one one\n");
    let before = bed.containers();
    compose(&bed, "two", &run(note));
    bed.allow("app/rows/.keep");
    bed.sync([]).exits(0);
    assert_eq!(bed.on_host("app/rows/migrations"), "one one\ntwo two\n");
    assert_eq!(bed.containers()["app/worker"], before["app/worker"]);
    assert_eq!(bed.containers().len(), 3, "nothing is left of it: {:?}", bed.containers());
    bed.call(["sync"]).run().exits(0).prints("nothing to do");
    assert_eq!(bed.on_host("app/rows/migrations"), "one one\ntwo two\n");
}

#[test]
fn a_migration_that_fails_leaves_the_containers_as_they_were() {
    let bed = Bed::new("migfails");
    compose(&bed, "one", &run("true"));
    bed.sync([]).exits(0);
    let before = bed.containers();
    compose(&bed, "two", &run("echo cannot migrate; exit 3"));
    let failed = bed.sync([]).exits(5).ends_with("rolled back to release 1");
    let failed = failed
        .prints("hook `before` of service `web` failed: it exited with status 3")
        .prints("| cannot migrate");
    failed.prints("services/app/compose.yml:4:").never_prints("hunter2");
    assert_eq!(bed.containers(), before, "a container was touched");
    assert_eq!(
        (bed.on_host("app/web.conf"), bed.env("app/web", "MODE")),
        ("one".to_owned(), "one".to_owned())
    );
    bed.write("ghdeploy.yml", "health: {stable_for: 0s, log_lines: 0}\n");
    compose(&bed, "two", &run("echo cannot migrate; sleep 100").replace("20s", "1s"));
    let late = bed.sync([]).exits(5).prints("it timed out after 1 s").never_prints("cannot migrate\n");
    assert_eq!(bed.containers(), before, "{}", late.all());
    compose(&bed, "two", &run("true"));
    bed.sync([]).exits(0);
    assert_eq!(bed.env("app/web", "MODE"), "two");
}

#[test]
fn an_after_hook_runs_in_the_service_and_its_failure_fails_the_deploy() {
    let bed = Bed::new("after");
    let exec = |script: &str| format!("{{after: {{service: web, exec: [sh, -c, '{script}']}}}}");
    compose(&bed, "one", &exec("echo $$MODE >/rows/warm"));
    bed.allow("app/rows/.keep");
    bed.sync([]).exits(0);
    assert_eq!(bed.on_host("app/rows/warm"), "one\n");
    compose(&bed, "two", &exec("echo it is cold; exit 1"));
    bed.sync([]).exits(5).prints("hook `after` of service `web` failed").prints("it is cold");
    assert_eq!(
        (bed.env("app/web", "MODE"), bed.on_host("app/web.conf")),
        ("one".to_owned(), "one".to_owned())
    );
}

#[test]
fn a_migration_that_fails_on_the_first_deploy_leaves_nothing() {
    let bed = Bed::new("migfirst");
    bed.log_docker();
    // The services that it depends on start before it.
    compose(&bed, "one", &run("echo the status is its own; exit 124"));
    let failed = bed.sync([]).exits(5).prints("failed: it exited with status 124");
    let failed = failed.prints("failed   hook  before web").prints("| the status is its own");
    assert!(bed.docker_calls().iter().any(|call| call.ends_with("up -d --no-recreate db")));
    assert!(bed.containers().is_empty(), "{:?}: {}", bed.containers(), failed.all());
    assert!(!bed.root("app/compose.yml").exists() && !bed.root("app/web.conf").exists());
}

#[test]
fn a_hanging_hook_is_reported_and_the_lock_is_released() {
    let bed = Bed::new("hangs");
    let exec = |script: &str| format!("{{after: {{service: web, exec: [sh, -c, '{script}'], timeout: 2s}}}}");
    compose(&bed, "one", &exec("true"));
    bed.sync([]).exits(0);
    compose(&bed, "two", &exec("echo it is slow; sleep 100"));
    let begin = Instant::now();
    let late = bed.sync([]).exits(5).prints("it timed out after 2 s, and may still run in the container");
    assert!(begin.elapsed() < Duration::from_secs(60), "{}", late.all());
    assert_eq!(bed.env("app/web", "MODE"), "one");
    compose(&bed, "two", &exec("true"));
    bed.sync(["--lock-wait", "0s"]).exits(0);
}

#[test]
fn a_container_with_the_name_of_a_hooks_container_is_left_alone() {
    let bed = Bed::new("name");
    compose(&bed, "one", &run("true"));
    let name = format!("{}-app.web.hook", bed.id);
    stdout_of(Command::new("docker").args(["create", "--name", &name, "ghdeploy-test/busybox:1"]));
    bed.sync([]).exits(5).prints("another container has the name");
    stdout_of(Command::new("docker").args(["rm", &name]));
    bed.sync([]).exits(0);
}

#[test]
fn a_hook_whose_client_is_killed_times_out_and_runs_again() {
    let bed = Bed::new("killed");
    bed.guard("app/rows/.keep", "");
    let script = "echo begins >>/rows/migrations; [ $$(wc -l </rows/migrations) -gt 1 ] || sleep 100";
    compose(&bed, "one", &run(script).replace("20s", "5s"));
    bed.allow("app/rows/.keep");
    bed.commit();
    let mut client =
        bed.call(["sync"]).command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait::until("the hook begins", || bed.root("app/rows/migrations").exists());
    client.kill().unwrap();
    client.wait().unwrap();
    bed.call(["sync", "--lock-wait", "0s"]).run().exits(4);
    bed.call(["sync"]).run().exits(0);
    assert_eq!(bed.on_host("app/rows/migrations"), "begins\nbegins\n");
    assert_eq!(bed.containers().len(), 3, "nothing is left of it: {:?}", bed.containers());
}

#[test]
fn commands_run_on_the_host_and_in_another_project() {
    let bed = Bed::new("onhost");
    bed.compose("data", "services:\n  db: {<<: *s}");
    let hooks = "{before: [{host: [./note.sh, before], timeout: 20s}, {service: data/db, exec: [sh, -c, 'echo dumped >/dump']}], after: {host: [./note.sh, after]}}";
    bed.write(
        "services/app/note.sh",
        "#!/bin/sh\necho \"$1 $(cat web.conf) ${SECRET-none} $PWD\" >>../notes\n",
    );
    chmod(bed.repo("services/app/note.sh"), 0o755);
    compose(&bed, "one", hooks);
    bed.sync(["--dry-run"]).exits(0).prints("hook  before on the host").prints("hook  before data/db");
    bed.call(["sync"]).run().exits(0);
    let folder = bed.root("app").canonicalize().unwrap().display().to_string();
    assert_eq!(bed.on_host("notes"), format!("before one none {folder}\nafter one none {folder}\n"));
    assert_eq!(bed.inside("data/db", &["cat", "/dump"]), "dumped\n");
    // Nothing of the project starts, so nothing runs.
    bed.write("services/app/README.md", "x");
    bed.sync([]).exits(0);
    assert_eq!(bed.on_host("notes").lines().count(), 2);
    let before = bed.containers();
    compose(&bed, "two", "{before: {host: [sh, -c, 'echo no room; exit 3']}}");
    let failed = bed.sync([]).exits(5).ends_with("rolled back to release 2");
    let failed =
        failed.prints("hook `before` on the host failed: it exited with status 3").prints("| no room");
    assert_eq!(bed.containers(), before, "{}", failed.all());
    compose(&bed, "two", "{before: {host: [./nothing.sh]}}");
    bed.sync([]).exits(5).prints("it exited with status 127: the host has no such command");
    // The container of the other project is not there.
    stdout_of(Command::new("docker").args(["pause", &format!("{}-data-db-1", bed.id)]));
    compose(&bed, "two", hooks);
    let lacks = "hook `before` runs in `data/db`, which has no running container";
    bed.sync(["--dry-run"]).exits(5).prints(lacks);
    bed.call(["sync"]).run().exits(5).prints(lacks);
    assert_eq!(
        (bed.on_host("app/web.conf"), bed.env("app/web", "MODE")),
        ("one".to_owned(), "one".to_owned())
    );
}
