//! Hooks of a project: migrations and the like.

use crate::bed::Bed;

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

/// A hook in the service `web` that runs this.
fn run(script: &str) -> String {
    format!("{{before: {{service: web, run: [sh, -c, '{script}'], timeout: 20s}}}}")
}

#[test]
fn a_migration_runs_in_the_new_definition_before_anything_is_replaced() {
    let bed = Bed::new("migrate");
    bed.guard("app/rows/.keep", "");
    bed.guarded_no_more("app/rows/.keep");
    let note = "echo $$MODE $$(cat /web.conf) >>/rows/migrations";
    compose(&bed, "one", &run(note));
    bed.guarded_no_more("app/rows/.keep");
    let planned = bed.sync(["--dry-run"]).exits(0).says("hook  before web");
    assert!(!planned.stdout.contains("migrations"), "{}", planned.all());
    bed.call(["sync"]).run().exits(0);
    assert_eq!(bed.on_host("app/rows/migrations"), "one one\n");
    let before = bed.containers();
    compose(&bed, "two", &run(note));
    bed.guarded_no_more("app/rows/.keep");
    bed.sync([]).exits(0);
    assert_eq!(bed.on_host("app/rows/migrations"), "one one\ntwo two\n");
    assert_eq!(bed.containers()["app/worker"], before["app/worker"]);
    assert_eq!(bed.containers().len(), 3, "nothing is left of it: {:?}", bed.containers());
    bed.call(["sync"]).run().exits(0).says("nothing to do");
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
        .says("hook `before` of service `web` failed: it exited with status 3")
        .says("| cannot migrate");
    failed.says("services/app/compose.yml:4:").never_says("hunter2");
    assert_eq!(bed.containers(), before, "a container was touched");
    assert_eq!(
        (bed.on_host("app/web.conf"), bed.env("app/web", "MODE")),
        ("one".to_owned(), "one".to_owned())
    );
    bed.write("ghdeploy.yml", "health: {stable_for: 1s, log_lines: 0}\n");
    compose(&bed, "two", &run("echo cannot migrate; sleep 100").replace("20s", "1s"));
    let late = bed.sync([]).exits(5).says("it was not through after 1 s").never_says("cannot migrate\n");
    assert_eq!(bed.containers(), before, "{}", late.all());
    compose(&bed, "two", &run("true"));
    bed.sync([]).exits(0);
    assert_eq!(bed.env("app/web", "MODE"), "two");
}

#[test]
fn a_hook_afterwards_runs_in_the_service_and_its_failure_is_the_deploys() {
    let bed = Bed::new("after");
    let exec = |script: &str| format!("{{after: {{service: web, exec: [sh, -c, '{script}']}}}}");
    compose(&bed, "one", &exec("echo $$MODE >/rows/warm"));
    bed.guarded_no_more("app/rows/.keep");
    bed.sync([]).exits(0);
    assert_eq!(bed.on_host("app/rows/warm"), "one\n");
    compose(&bed, "two", &exec("echo it is cold; exit 1"));
    bed.sync([]).exits(5).says("hook `after` of service `web` failed").says("it is cold");
    assert_eq!(
        (bed.env("app/web", "MODE"), bed.on_host("app/web.conf")),
        ("one".to_owned(), "one".to_owned())
    );
}
