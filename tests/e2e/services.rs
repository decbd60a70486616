//! One service of a project, and names behind the commands.

use serde_json::Value;

use crate::bed::Bed;

fn compose(bed: &Bed, mode: &str) {
    bed.compose(
        "app",
        &format!(
            "services:\n  web: {{<<: *s, environment: {{MODE: {mode}}}, depends_on: [db]}}\n  db: {{<<: *s}}\n  worker: {{<<: *s, environment: {{MODE: {mode}}}, volumes: ['./conf:/conf:ro']}}\n  cron: {{<<: *s, volumes: ['./conf:/conf:ro']}}"
        ),
    );
    bed.write("services/app/conf/a", mode);
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn one_service_acts_and_the_others_are_owed() {
    let bed = Bed::new("service");
    compose(&bed, "one");
    bed.compose("blog", "services:\n  web: {<<: *s}");
    bed.sync([]).exits(0);
    compose(&bed, "two");
    bed.compose("blog", "services:\n  web: {<<: *s, environment: {MODE: two}}");
    let left = "app: `cron`, `worker` stay as before, and the next sync owes what changes for it";
    bed.sync(["--dry-run", "app/web"]).exits(0).prints(left).prints("`ghdeploy sync app` does the rest");
    let before = bed.containers();
    let done = bed.sync(["app/web", "--format", "json"]).exits(0);
    let outcome = json(&done.stdout);
    let projects = outcome["hosts"][0]["projects"].as_array().unwrap();
    let app = projects.iter().find(|project| project["name"] == "app").unwrap();
    let results: Vec<String> = app["actions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|action| {
            format!("{} {} {}", action["kind"], action["service"], action["result"]).replace('"', "")
        })
        .collect();
    assert_eq!(results, ["up web done", "up worker owed", "restart cron owed"]);
    let after = bed.containers();
    for service in ["app/db", "app/worker", "app/cron", "blog/web"] {
        assert_eq!(after[service], before[service], "{service}");
    }
    assert_eq!(
        (bed.env("app/web", "MODE"), bed.env("app/worker", "MODE")),
        ("two".to_owned(), "one".to_owned())
    );
    assert_eq!(bed.on_host("app/conf/a"), "two", "files are of the project");
    // It is owed, and that is said.
    bed.call(["status", "app"]).run().exits(0).prints("worker").never_prints("blog");
    bed.call(["status", "app/worker", "--exit-code"]).run().exits(10).prints("worker").never_prints("cron");
    bed.call(["sync", "app/web"]).run().exits(0).prints(left);
    assert_eq!(bed.containers(), after);
    // A failure leads back to the last release in which all of it was well.
    bed.call(["sync", "app/web", "--force"]).run().exits(0);
    let forced = bed.containers();
    assert_ne!(forced["app/web"], after["app/web"]);
    assert_eq!((&forced["app/db"], &forced["app/worker"]), (&after["app/db"], &after["app/worker"]));
    let change = bed.deploy_with(["app"]);
    assert_eq!(change.actions, ["up app/worker", "restart app/cron"]);
    assert_eq!(bed.env("app/worker", "MODE"), "two");
    assert_eq!(bed.containers()["blog/web"], before["blog/web"]);
    bed.call(["sync", "--exit-code", "--dry-run", "app"]).run().exits(0);
    // Names that nothing has, and commands for whole projects.
    bed.call(["sync", "app/wbe"])
        .run()
        .exits(2)
        .prints("project `app` has no service `wbe`")
        .prints("did you mean `web`?");
    bed.call(["sync", "app", "blgo"])
        .run()
        .exits(2)
        .prints("`blgo` matches no project")
        .prints("did you mean `blog`?");
    bed.call(["rollback", "--project", "app/web"]).run().exits(2).prints("rollback works on whole projects");
    bed.call(["rollback", "abc"]).run().exits(2).prints("expected the number of a release");
    let history = bed.call(["history", "blog"]).run().exits(0);
    history.prints("release 1").never_prints("release 2").never_prints("app");
    bed.call(["history", "blgo"]).run().exits(2).prints("did you mean `blog`?");
    bed.call(["rollback", "1", "--project", "app"]).run().exits(0).prints("a rollback to release 1");
    assert_eq!(bed.env("app/web", "MODE"), "one");
}

#[test]
fn a_failure_after_one_service_goes_back_to_what_was_well() {
    let bed = Bed::new("partial");
    compose(&bed, "one");
    bed.sync([]).exits(0);
    compose(&bed, "two");
    bed.sync(["app/web"]).exits(0);
    let text = std::fs::read_to_string(bed.repo("services/app/compose.yml")).unwrap();
    bed.write("services/app/compose.yml", text.replace("db: {<<: *s}", "db: {<<: *s, command: 'false'}"));
    bed.sync([]).exits(5).ends_with("release 2; rolled back: app (to release 1)");
    assert_eq!(
        (bed.env("app/web", "MODE"), bed.env("app/worker", "MODE")),
        ("one".to_owned(), "one".to_owned())
    );
    assert_eq!(bed.on_host("app/conf/a"), "one");
}
