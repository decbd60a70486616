//! Workflows that `act` runs one after the other, and the gate that judges what they left at the commit.

use serde_json::json;

use crate::act::{NOTHING_BEFORE, Workflows, chain, plugins, push};
use crate::gates::job;
use crate::registry::Registry;

/// Runs the job `test` of a workflow, and records its result the way GitHub does.
fn test(workflows: &Workflows, name: &str, run: u64, attempt: u32) {
    let mut act = workflows.act("push", &json!({}));
    act.args(["-W", &format!(".github/workflows/{name}.yml")]);
    let says = if workflows.run(&mut act).code == Some(0) { "success" } else { "failure" };
    let check = job(run, attempt, &workflows.head(), "test", says);
    workflows.github.state().checks.push(check);
}

#[test]
fn the_test_of_every_workflow_must_succeed_before_anything_is_built_or_deployed() {
    let (workflows, registry) = (Workflows::new("actnames"), Registry::start());
    let bed = &workflows.bed;
    // The test of one workflow fails until this file exists.
    let mended = bed.path("mended");
    for (name, command) in [("unit", format!("test -e '{}'", mended.display())), ("e2e", "true".to_owned())] {
        bed.write(
            &format!(".github/workflows/{name}.yml"),
            format!(
                "name: {name}\non: push\njobs:\n  test:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: {command}\n"
            ),
        );
    }
    chain(&workflows, &registry, "@echo all well");
    let config = std::fs::read_to_string(bed.repo("ghdeploy.yml")).unwrap();
    bed.write("ghdeploy.yml", config.replace("timeout: 2s", "timeout: 2s, checks: [test]"));
    bed.commit();
    plugins(bed);
    test(&workflows, "unit", 97, 1);
    test(&workflows, "e2e", 98, 1);
    push(&workflows, &registry, NOTHING_BEFORE)
        .exits(1)
        .prints("check `test`: `test` failure; another `test` succeeded, but each of them must");
    assert!(registry.tags("ann/app").is_empty(), "{:?}", registry.tags("ann/app"));
    assert!(!bed.root("app/compose.yml").exists());
    // Another run of the other workflow does not help. A re-run of the one that failed does.
    test(&workflows, "e2e", 98, 2);
    push(&workflows, &registry, NOTHING_BEFORE).exits(1).prints("`test` failure");
    std::fs::write(&mended, "").unwrap();
    test(&workflows, "unit", 97, 2);
    push(&workflows, &registry, NOTHING_BEFORE).exits(0).prints("1 image built").prints("3 projects done");
    assert_eq!(bed.inside("app/web", &["cat", "/page"]), "one");
}
