//! Parts of a service's definition. `up` applies a change to that service only.

use crate::bed::Bed;

#[test]
fn a_changed_definition_recreates_only_its_service() {
    let bed = Bed::new("definition");
    let compose = |image: &str, mode: &str, label: &str| {
        bed.compose(
            "app",
            &format!(
                "services:
  web: {{image: 'ghdeploy-test/web:{image}', network_mode: none}}
  worker: {{<<: *s, environment: {{MODE: '{mode}'}}}}
  cron: {{<<: *s, labels: {{team: '{label}'}}}}"
            ),
        );
    };
    compose("1", "slow", "a");
    let first = bed.deploy();
    assert_eq!(first.actions, ["up app/cron", "up app/web", "up app/worker"]);
    compose("2", "slow", "a");
    assert_eq!(bed.deploy().fates, ["app/web recreated"]);
    assert_eq!(bed.inspect("app/web", "{{.Config.Image}}"), "ghdeploy-test/web:2");
    compose("2", "fast", "a");
    assert_eq!(bed.deploy().fates, ["app/worker recreated"]);
    assert_eq!(bed.env("app/worker", "MODE"), "fast");
    compose("2", "fast", "b");
    assert_eq!(bed.deploy().fates, ["app/cron recreated"]);
    assert_eq!(bed.inspect("app/cron", "{{index .Config.Labels \"team\"}}"), "b");
}

#[test]
fn comments_and_order_in_a_compose_file_restart_nothing() {
    let bed = Bed::new("comments");
    bed.compose("app", "services:\n  web: {<<: *s, environment: {A: '1', B: '2'}}");
    bed.sync([]).exits(0);
    bed.compose("app", "# the same\nservices:\n  web: {<<: *s, environment: ['B=2', 'A=1']}");
    let change = bed.deploy();
    assert_eq!(change.files, ["modified services/app/compose.yml"]);
    assert!(change.actions.is_empty() && change.fates.is_empty(), "{change:?}");
}

#[test]
fn an_override_file_recreates_the_services_it_changes() {
    let bed = Bed::new("override");
    bed.compose("app", "services:\n  web: {<<: *s}\n  worker: {<<: *s}");
    bed.write("services/app/compose.override.yml", "services: {web: {environment: {MODE: one}}}");
    bed.sync([]).exits(0);
    bed.write("services/app/compose.override.yml", "services: {web: {environment: {MODE: two}}}");
    assert_eq!(bed.deploy().fates, ["app/web recreated"]);
    assert_eq!(bed.env("app/web", "MODE"), "two");
    std::fs::remove_file(bed.repo("services/app/compose.override.yml")).unwrap();
    let change = bed.deploy();
    assert_eq!(
        (change.files, change.fates),
        (vec!["removed services/app/compose.override.yml".to_owned()], vec!["app/web recreated".to_owned()])
    );
}

#[test]
fn an_extended_and_an_included_file_recreate_what_they_define() {
    let bed = Bed::new("extends");
    let sleeps =
        "image: ghdeploy-test/busybox:1, command: sleep 100000, stop_signal: SIGKILL, network_mode: none";
    let write = |base: &str, metrics: &str| {
        bed.write(
            "services/app/base.yml",
            format!("services: {{base: {{{sleeps}, environment: {{FROM: {base}}}}}}}"),
        );
        bed.write(
            "services/app/metrics.yml",
            format!("services: {{metrics: {{{sleeps}, environment: {{FROM: {metrics}}}}}}}"),
        );
    };
    bed.compose("app", "include: [metrics.yml]\nservices:\n  web: {extends: {file: base.yml, service: base}}\n  worker: {<<: *s}");
    write("one", "one");
    bed.sync([]).exits(0);
    write("two", "one");
    assert_eq!(bed.deploy().fates, ["app/web recreated"]);
    assert_eq!(bed.env("app/web", "FROM"), "two");
    write("two", "two");
    assert_eq!(bed.deploy().fates, ["app/metrics recreated"]);
    assert_eq!(bed.env("app/metrics", "FROM"), "two");
}

#[test]
fn an_env_file_recreates_its_readers() {
    let bed = Bed::new("envfile");
    bed.compose("app", "services:\n  web: {<<: *s, env_file: web.env}\n  worker: {<<: *s}");
    bed.write("services/app/web.env", "MODE=one\n");
    bed.sync([]).exits(0);
    bed.write("services/app/web.env", "MODE=two\n");
    let change = bed.deploy();
    assert_eq!(
        (change.actions, change.fates),
        (vec!["up app/web".to_owned()], vec!["app/web recreated".to_owned()])
    );
    assert_eq!(bed.env("app/web", "MODE"), "two");
}

#[test]
fn a_value_in_the_repositorys_env_file_recreates_the_services_that_use_it() {
    let bed = Bed::new("dotenv");
    bed.compose("app", "services:\n  web: {<<: *s, environment: {MODE: '${MODE}'}}\n  worker: {<<: *s}");
    bed.remove_guarded("app/.env");
    bed.write("services/app/.env", "MODE=one\n");
    bed.sync([]).exits(0);
    bed.write("services/app/.env", "MODE=two\nUNUSED=1\n");
    assert_eq!(bed.deploy().fates, ["app/web recreated"]);
    assert_eq!(bed.env("app/web", "MODE"), "two");
    bed.write("services/app/.env", "MODE=two\nUNUSED=2\n");
    assert!(bed.deploy().fates.is_empty());
}

#[test]
fn a_value_known_only_to_the_host_is_used_and_never_shown() {
    let bed = Bed::new("hostenv");
    bed.compose(
        "app",
        "services:\n  web: {<<: *s, environment: {TOKEN: '${SECRET}', MODE: one}}\n  worker: {<<: *s}",
    );
    bed.sync([]).exits(0).never_prints("only-the-host-knows");
    assert_eq!(bed.env("app/web", "TOKEN"), "only-the-host-knows");
    bed.compose(
        "app",
        "services:\n  web: {<<: *s, environment: {TOKEN: '${SECRET}', MODE: two}}\n  worker: {<<: *s}",
    );
    assert_eq!(bed.deploy().fates, ["app/web recreated"]);
    bed.call(["-v", "sync", "--dry-run", "--force"]).run().exits(0).never_prints("only-the-host-knows");
}

#[test]
fn a_build_context_is_built_and_its_service_recreated() {
    let bed = Bed::new("build");
    bed.compose("app", "services:\n  web: {build: ./image, command: sleep 100000, stop_signal: SIGKILL, network_mode: none}\n  worker: {<<: *s}");
    bed.write("services/app/image/Dockerfile", "FROM ghdeploy-test/busybox:1\nCOPY page /page\n")
        .write("services/app/image/page", "one");
    bed.write("services/app/image/.dockerignore", "notes\n");
    bed.sync([]).exits(0);
    assert_eq!(bed.inside("app/web", &["cat", "/page"]), "one");
    bed.write("services/app/image/page", "two");
    let change = bed.deploy();
    assert_eq!(change.actions, ["build app/web", "up app/web"]);
    assert_eq!(change.fates, ["app/web recreated"]);
    assert_eq!(bed.inside("app/web", &["cat", "/page"]), "two");
}

#[test]
fn a_service_that_leaves_the_compose_file_is_removed_and_its_volume_stays() {
    let bed = Bed::new("leaves");
    bed.compose(
        "app",
        "services:\n  web: {<<: *s}\n  old: {<<: *s, volumes: ['kept:/kept']}\nvolumes: {kept: {}}",
    );
    bed.sync([]).exits(0);
    bed.inside("app/old", &["sh", "-c", "echo precious >/kept/file"]);
    bed.compose("app", "services:\n  web: {<<: *s}\nvolumes: {kept: {}}");
    let change = bed.deploy();
    assert_eq!(
        (change.actions, change.fates),
        (vec!["remove app/old".to_owned()], vec!["app/old removed".to_owned()])
    );
    bed.compose(
        "app",
        "services:\n  web: {<<: *s}\n  old: {<<: *s, volumes: ['kept:/kept']}\nvolumes: {kept: {}}",
    );
    assert_eq!(bed.deploy().fates, ["app/old started"]);
    assert_eq!(bed.inside("app/old", &["cat", "/kept/file"]), "precious\n");
}
