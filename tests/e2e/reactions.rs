//! Reactions that `x-ghdeploy` sets: signals, commands, nothing, a new container.

use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use crate::bed::{Bed, stdout_of};

#[test]
fn signal_exec_and_none_keep_the_container_running_with_the_new_content() {
    let bed = Bed::new("mild");
    let mounts = "volumes: ['./conf:/conf.txt:ro']";
    bed.compose("app", &format!(r#"services:
  signal: {{<<: *s, {mounts}, command: ["sh", "-c", "trap 'cat /conf.txt >/seen' HUP; while :; do sleep 0.1; done"], x-ghdeploy: {{on-change: "signal: SIGHUP"}}}}
  exec: {{<<: *s, {mounts}, x-ghdeploy: {{on-change: {{exec: [cp, /conf.txt, /seen]}}}}}}
  none: {{<<: *s, {mounts}, x-ghdeploy: {{on-change: none}}}}
  worker: {{<<: *s}}"#));
    bed.write("services/app/conf", "one");
    bed.sync([]).exits(0);
    let (before, inode) = (bed.containers(), bed.root("app/conf").metadata().unwrap().ino());
    bed.write("services/app/conf", "two, which is longer");
    let change = bed.deploy();
    assert_eq!(change.actions, ["signal app/signal", "exec app/exec", "none app/none"]);
    assert_eq!(bed.containers(), before);
    assert_eq!(bed.root("app/conf").metadata().unwrap().ino(), inode, "the file was not written in place");
    bed.wait_for_output("app/signal", "cat /seen", "two, which is longer");
    bed.wait_for_output("app/exec", "cat /seen", "two, which is longer");
    assert_eq!(bed.inside("app/none", &["cat", "/conf.txt"]), "two, which is longer");
    bed.write("services/app/conf", "3");
    bed.deploy();
    assert_eq!(bed.inside("app/none", &["cat", "/conf.txt"]), "3");
}

#[test]
fn recreate_makes_a_new_container() {
    let bed = Bed::new("recreate");
    bed.compose("app", "services:\n  web: {<<: *s, volumes: ['./t:/t:ro'], x-ghdeploy: {on-change: recreate}}\n  worker: {<<: *s}");
    bed.write("services/app/t/a.template", "one");
    bed.sync([]).exits(0);
    bed.write("services/app/t/a.template", "two");
    let change = bed.deploy();
    assert_eq!(
        (change.actions, change.fates),
        (vec!["recreate app/web".to_owned()], vec!["app/web recreated".to_owned()])
    );
    assert_eq!(bed.inside("app/web", &["cat", "/t/a.template"]), "two");
}

#[test]
fn the_most_specific_path_decides() {
    let bed = Bed::new("paths");
    bed.compose("app", "services:\n  web: {<<: *s, volumes: ['./conf:/conf:ro'], x-ghdeploy: {paths: {'conf/dynamic/**': none}}}");
    bed.write("services/app/conf/main.yml", "one").write("services/app/conf/dynamic/a.yml", "one");
    bed.sync([]).exits(0);
    bed.write("services/app/conf/dynamic/a.yml", "two");
    let change = bed.deploy();
    assert_eq!((change.actions, change.fates), (vec!["none app/web".to_owned()], vec![]));
    assert_eq!(bed.inside("app/web", &["cat", "/conf/dynamic/a.yml"]), "two");
    bed.write("services/app/conf/main.yml", "two");
    assert_eq!(bed.deploy().fates, ["app/web restarted"]);
}

#[test]
fn a_service_that_waits_for_a_one_shot_restarts_after_it() {
    let bed = Bed::new("oneshot");
    bed.compose("app", "services:
  init: {<<: *s, command: [sh, -c, 'sleep 0.5; cp /src.conf /shared/app.conf'], volumes: ['./app.conf:/src.conf:ro', 'shared:/shared']}
  web: {<<: *s, command: [sh, -c, 'cp /shared/app.conf /started-with; sleep 100000'], volumes: ['shared:/shared'], depends_on: {init: {condition: service_completed_successfully}}}
  worker: {<<: *s}
volumes: {shared: {}}");
    bed.write("services/app/app.conf", "one");
    bed.sync([]).exits(0);
    assert_eq!(bed.inside("app/web", &["cat", "/started-with"]), "one");
    bed.write("services/app/app.conf", "two");
    let change = bed.deploy();
    assert_eq!(change.actions, ["restart app/init", "restart app/web"]);
    assert_eq!(change.fates, ["app/init restarted", "app/web restarted"]);
    assert_eq!(bed.inside("app/web", &["cat", "/started-with"]), "two");
    assert_eq!(bed.containers()["app/init"].state, "exited");
}

#[test]
fn a_finished_one_shot_does_not_run_again_for_a_new_definition_of_its_dependant() {
    let bed = Bed::new("ended");
    let compose = |mode: &str, text: &str| {
        bed.compose("app", &format!("services:
  db: {{<<: *s}}
  init: {{<<: *s, command: 'true', depends_on: [db]}}
  web: {{<<: *s, environment: {{MODE: {mode}}}, depends_on: {{init: {{condition: service_completed_successfully}}, db: {{condition: service_started}}}}}}
  page: {{<<: *s, configs: [{{source: text, target: /text}}], depends_on: {{init: {{condition: service_completed_successfully}}}}}}
  edge: {{<<: *s, environment: {{MODE: {mode}}}, depends_on: [web]}}
configs: {{text: {{content: '{text}'}}}}"));
    };
    compose("one", "one");
    bed.sync([]).exits(0);
    compose("two", "one");
    assert_eq!(bed.deploy().fates, ["app/edge recreated", "app/web recreated"]);
    compose("two", "two");
    assert_eq!(bed.deploy().fates, ["app/page recreated"]);
    // A stopped dependency is started all the same.
    stdout_of(Command::new("docker").args(["stop", "-t", "0", &bed.containers()["app/db"].id]));
    compose("three", "two");
    bed.sync([]).exits(0);
    assert_eq!(bed.containers()["app/db"].state, "running");
}

#[test]
fn a_recreated_service_stays_when_its_dependant_changes() {
    let bed = Bed::new("chain");
    let compose = |text: &str, mode: &str| {
        bed.compose(
            "app",
            &format!(
                "services:
  db: {{<<: *s}}
  page: {{<<: *s, configs: [{{source: text, target: /text}}], depends_on: [db]}}
  edge: {{<<: *s, environment: {{MODE: {mode}}}, depends_on: [page]}}
configs: {{text: {{content: '{text}'}}}}"
            ),
        );
    };
    compose("one", "one");
    bed.sync([]).exits(0);
    compose("two", "one");
    assert_eq!(bed.deploy().fates, ["app/page recreated"]);
    compose("two", "two");
    assert_eq!(bed.deploy().fates, ["app/edge recreated"]);
}
