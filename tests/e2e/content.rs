//! Content that Compose does not watch: mounts, configs, secrets. Its readers restart and read it.

use crate::bed::Bed;

#[test]
fn a_mounted_file_restarts_only_the_services_that_mount_it() {
    let bed = Bed::new("file");
    bed.compose(
        "app",
        "services:\n  web: {<<: *s, volumes: ['./web.conf:/web.conf:ro']}\n  worker: {<<: *s}",
    );
    bed.write("services/app/web.conf", "one");
    bed.sync([]).exits(0);
    bed.write("services/app/web.conf", "two");
    let change = bed.deploy();
    assert_eq!(change.files, ["modified services/app/web.conf"]);
    assert_eq!(change.actions, ["restart app/web"]);
    assert_eq!(change.fates, ["app/web restarted"]);
    assert_eq!(bed.inside("app/web", &["cat", "/web.conf"]), "two");
    // The old content again: an older digest is no shortcut.
    bed.write("services/app/web.conf", "one");
    assert_eq!(bed.deploy().fates, ["app/web restarted"]);
    assert_eq!(bed.inside("app/web", &["cat", "/web.conf"]), "one");
}

#[test]
fn a_file_below_a_mounted_directory_restarts_the_services_that_mount_it() {
    let bed = Bed::new("dir");
    bed.compose("app", "services:\n  web: {<<: *s, volumes: ['./conf:/conf:ro']}\n  sub: {<<: *s, volumes: ['./conf/b:/b:ro']}\n  worker: {<<: *s}");
    bed.write("services/app/conf/a/x.conf", "one").write("services/app/conf/b/y.conf", "one");
    bed.sync([]).exits(0);
    bed.write("services/app/conf/a/x.conf", "two");
    assert_eq!(bed.deploy().fates, ["app/web restarted"]);
    assert_eq!(bed.inside("app/web", &["cat", "/conf/a/x.conf"]), "two");
    bed.write("services/app/conf/b/new.conf", "new");
    assert_eq!(bed.deploy().fates, ["app/sub restarted", "app/web restarted"]);
    assert_eq!(bed.inside("app/sub", &["cat", "/b/new.conf"]), "new");
    // The last files of a mounted directory are removed; the directory itself stays mounted.
    std::fs::remove_dir_all(bed.repo("services/app/conf/b")).unwrap();
    assert_eq!(bed.deploy().fates, ["app/sub restarted", "app/web restarted"]);
    bed.write("services/app/conf/b/again.conf", "again");
    assert_eq!(bed.deploy().fates, ["app/sub restarted", "app/web restarted"]);
    assert_eq!(bed.inside("app/sub", &["ls", "/b"]), "again.conf\n");
}

#[test]
fn a_file_of_a_config_or_a_secret_restarts_its_reader() {
    let bed = Bed::new("configs");
    bed.compose("app", "services:\n  web: {<<: *s, configs: [page]}\n  db: {<<: *s, secrets: [word]}\n  worker: {<<: *s}\nconfigs: {page: {file: ./page.txt}}\nsecrets: {word: {file: ./word.txt}}");
    bed.write("services/app/page.txt", "one").write("services/app/word.txt", "one");
    bed.sync([]).exits(0);
    bed.write("services/app/page.txt", "two");
    assert_eq!(bed.deploy().fates, ["app/web restarted"]);
    assert_eq!(bed.inside("app/web", &["cat", "/page"]), "two");
    bed.write("services/app/word.txt", "two");
    let change = bed.deploy();
    assert_eq!(
        (change.actions, change.fates),
        (vec!["restart app/db".to_owned()], vec!["app/db restarted".to_owned()])
    );
    assert_eq!(bed.inside("app/db", &["cat", "/run/secrets/word"]), "two");
}

#[test]
fn an_inline_config_recreates_its_reader() {
    let bed = Bed::new("inline");
    let compose = |text: &str| {
        bed.compose("app", &format!("services:\n  web: {{<<: *s, configs: [{{source: page, target: /page}}]}}\n  worker: {{<<: *s}}\nconfigs: {{page: {{content: '{text}'}}}}"));
    };
    compose("one");
    bed.sync([]).exits(0);
    compose("two");
    let change = bed.deploy();
    assert_eq!(
        (change.actions, change.fates),
        (vec!["recreate app/web".to_owned()], vec!["app/web recreated".to_owned()])
    );
    assert_eq!(bed.inside("app/web", &["cat", "/page"]).trim(), "two");
}

#[test]
fn a_file_that_no_service_reads_is_synced_and_restarts_nothing() {
    let bed = Bed::new("readme");
    bed.compose("app", "services:\n  web: {<<: *s}");
    bed.write("services/app/README.md", "one").write("services/app/run.sh", "one");
    bed.sync([]).exits(0);
    bed.write("services/app/README.md", "two");
    let change = bed.deploy();
    assert_eq!(change.files, ["modified services/app/README.md"]);
    assert!(change.actions.is_empty() && change.fates.is_empty(), "{change:?}");
    assert_eq!(bed.on_host("app/README.md"), "two");
}

#[test]
fn a_definition_and_content_that_change_together_act_once() {
    let bed = Bed::new("together");
    let compose = |mode: &str| {
        bed.compose("app", &format!("services:\n  web: {{<<: *s, environment: {{MODE: {mode}}}, volumes: ['./web.conf:/web.conf:ro']}}\n  worker: {{<<: *s, volumes: ['./web.conf:/web.conf:ro']}}"));
    };
    compose("one");
    bed.write("services/app/web.conf", "one");
    bed.sync([]).exits(0);
    compose("two");
    bed.write("services/app/web.conf", "two");
    let change = bed.deploy();
    assert_eq!(change.actions, ["up app/web", "restart app/worker"]);
    assert_eq!(change.fates, ["app/web recreated", "app/worker restarted"]);
    for service in ["app/web", "app/worker"] {
        assert_eq!(bed.inside(service, &["cat", "/web.conf"]), "two");
    }
}

#[test]
fn a_service_without_a_grace_period_can_be_restarted() {
    let bed = Bed::new("hasty");
    bed.compose(
        "app",
        "services:\n  web: {<<: *s, stop_grace_period: 0s, volumes: ['./web.conf:/web.conf:ro']}",
    );
    bed.write("services/app/web.conf", "one");
    bed.sync([]).exits(0);
    bed.write("services/app/web.conf", "two");
    assert_eq!(bed.deploy().fates, ["app/web restarted"]);
    assert_eq!(bed.inside("app/web", &["cat", "/web.conf"]), "two");
}

#[test]
fn a_missed_restart_is_caught_up() {
    let bed = Bed::new("missed");
    bed.compose(
        "app",
        "services:\n  web: {<<: *s, volumes: ['./web.conf:/web.conf:ro']}\n  worker: {<<: *s}",
    );
    bed.write("services/app/web.conf", "one");
    bed.sync([]).exits(0);
    bed.write("services/app/web.conf", "two");
    bed.sync(["--no-restart"]).exits(0);
    assert_eq!(bed.on_host("app/web.conf"), "two");
    let change = bed.deploy();
    assert!(change.files.is_empty(), "{change:?}");
    assert_eq!(change.fates, ["app/web restarted"]);
    assert_eq!(bed.inside("app/web", &["cat", "/web.conf"]), "two");
}
