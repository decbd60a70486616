//! Projects that come and go, and files that several of them read.

use std::process::Command;

use crate::bed::{Bed, stdout_of};

#[test]
fn a_new_project_is_brought_up_and_the_others_keep_running() {
    let bed = Bed::new("appears");
    bed.compose("app", "services:\n  web: {<<: *s}");
    bed.sync([]).exits(0);
    bed.compose("blog", "services:\n  web: {<<: *s}\n  worker: {<<: *s}");
    let change = bed.deploy();
    assert_eq!(change.actions, ["up blog/web", "up blog/worker"]);
    assert_eq!(change.fates, ["blog/web started", "blog/worker started"]);
}

#[test]
fn a_project_that_disappears_is_reported_and_only_prune_takes_it_down() {
    let bed = Bed::new("disappears");
    bed.compose("app", "services:\n  web: {<<: *s}");
    bed.compose("old", "services:\n  db: {<<: *s, volumes: ['rows:/rows']}\nvolumes: {rows: {}}");
    bed.write("services/old/sub/db.conf", "x");
    bed.sync([]).exits(0);
    bed.inside("old/db", &["sh", "-c", "echo precious >/rows/file"]);
    let before = bed.containers();
    std::fs::remove_dir_all(bed.repo("services/old")).unwrap();
    bed.sync([]).exits(0).prints("services/old").prints("--prune");
    assert_eq!(bed.containers(), before, "a project that left was touched");
    assert_eq!(bed.on_host("old/sub/db.conf"), "x");
    bed.call(["sync", "--dry-run", "--exit-code"]).run().exits(0);

    let change = bed.deploy_with(["--prune"]);
    assert_eq!(
        (change.actions, change.fates),
        (vec!["down old/-".to_owned()], vec!["old/db removed".to_owned()])
    );
    // Managed files are removed with their directories. The bed guards the rest.
    assert!(!bed.root("old/compose.yml").exists() && !bed.root("old/sub").exists());
    assert_eq!(bed.on_host("old/.env"), "SECRET=only-the-host-knows\n");
    let volume = format!("{}-old_rows", bed.id);
    assert_eq!(
        stdout_of(Command::new("docker").args([
            "run",
            "--rm",
            "--network",
            "none",
            "-v",
            &format!("{volume}:/rows"),
            "ghdeploy-test/busybox:1",
            "cat",
            "/rows/file"
        ])),
        "precious\n"
    );
}

#[test]
fn a_shared_file_restarts_its_readers_in_every_project() {
    let bed = Bed::new("shared");
    for project in ["app", "blog"] {
        bed.compose(
            project,
            "services:\n  web: {<<: *s, volumes: ['../shared/tz:/tz:ro']}\n  worker: {<<: *s}",
        );
    }
    bed.compose("none", "services:\n  web: {<<: *s}");
    bed.write("services/shared/tz", "UTC").write("services/shared/unread", "x");
    bed.sync([]).exits(0);
    assert!(!bed.root("shared/unread").exists());
    bed.write("services/shared/tz", "CET");
    let change = bed.deploy();
    assert_eq!(change.actions, ["restart app/web", "restart blog/web"]);
    assert_eq!(change.fates, ["app/web restarted", "blog/web restarted"]);
    for service in ["app/web", "blog/web"] {
        assert_eq!(bed.inside(service, &["cat", "/tz"]), "CET");
    }
}

#[test]
fn a_shared_definition_recreates_the_services_that_extend_it() {
    let bed = Bed::new("common");
    let common = |mode: &str| {
        bed.write(
            "services/shared/common.yml",
            format!("services: {{base: {{environment: {{MODE: {mode}}}}}}}"),
        );
    };
    for project in ["app", "blog"] {
        bed.compose(project, "services:\n  web: {<<: *s, extends: {file: ../shared/common.yml, service: base}}\n  worker: {<<: *s}");
    }
    common("one");
    bed.sync([]).exits(0);
    common("two");
    assert_eq!(bed.deploy().fates, ["app/web recreated", "blog/web recreated"]);
    assert_eq!(bed.env("blog/web", "MODE"), "two");
}

#[test]
fn a_project_that_has_left_the_repository_works_until_it_is_taken_down() {
    let bed = Bed::new("left");
    bed.compose("app", "services:\n  web: {<<: *s, volumes: ['../shared/tz:/tz:ro']}");
    bed.compose("old", "services:\n  web: {<<: *s, extends: {file: ../shared/common.yml, service: base}, volumes: ['../shared/tz:/tz:ro', '../shared/own:/own:ro']}");
    bed.write("services/shared/common.yml", "services: {base: {environment: {MODE: one}}}");
    bed.write("services/shared/tz", "UTC").write("services/shared/own", "x");
    bed.sync([]).exits(0);
    for gone in ["old", "shared/common.yml", "shared/own"] {
        bed.git(&["rm", "-q", "-r", "--cached", &format!("services/{gone}")]);
        let path = bed.repo(&format!("services/{gone}"));
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.unwrap();
    }
    bed.sync([]).exits(0).prints("services/old is no longer in the repository");
    let restart = |project: &str| {
        let mut compose = std::process::Command::new("docker");
        compose.args(["compose", "--progress", "quiet", "up", "-d", "--force-recreate"]);
        compose.current_dir(bed.root(project)).status().unwrap().success()
    };
    assert!(restart("old"), "Compose finds what the project reads");
    assert_eq!(
        (bed.inside("old/web", &["cat", "/own"]), bed.env("old/web", "MODE")),
        ("x".into(), "one".into())
    );
    let taken_down = bed.deploy_with(["--prune"]);
    assert_eq!(taken_down.fates, ["old/web removed"]);
    assert!(!bed.root("shared/common.yml").exists() && !bed.root("shared/own").exists());
    assert!(bed.root("shared/tz").exists() && restart("app"));
}

#[test]
fn one_project_can_be_synced_alone_and_a_network_comes_before_its_users() {
    let bed = Bed::new("order");
    let network = format!("{}-edge", bed.id);
    // In order of names, the project that joins the network would come first.
    bed.compose("app", &format!("services:\n  web: {{<<: *n, networks: [edge]}}\nnetworks: {{edge: {{external: true, name: {network}}}}}"));
    bed.compose(
        "proxy",
        &format!("services:\n  web: {{<<: *n, networks: [edge]}}\nnetworks: {{edge: {{name: {network}}}}}"),
    );
    bed.write("services/app/notes", "one").write("services/proxy/notes", "one");
    bed.sync([]).exits(0);
    bed.write("services/app/notes", "two").write("services/proxy/notes", "two");
    bed.sync(["--project", "proxy"]).exits(0);
    assert_eq!((bed.on_host("app/notes"), bed.on_host("proxy/notes")), ("one".to_owned(), "two".to_owned()));
    assert_eq!(bed.deploy().files, ["modified services/app/notes"]);
}

#[test]
fn data_of_a_removed_project_is_listed_and_used_when_it_returns() {
    let bed = Bed::new("kept");
    let old = "services:\n  db: {<<: *s, volumes: ['rows:/rows', './data:/data:ro']}\nvolumes: {rows: {}}";
    bed.compose("app", "services:\n  web: {<<: *s}");
    bed.compose("old", old);
    bed.sync([]).exits(0);
    bed.inside("old/db", &["sh", "-c", "echo precious >/rows/file"]);
    std::fs::remove_dir_all(bed.repo("services/old")).unwrap();
    let text = bed.sync(["--prune"]).exits(0);
    for kept in [&format!("volume {}-old_rows", bed.id), "old/.env", "old/data"] {
        assert!(text.stdout.contains(&format!("  kept     {kept}\n")), "{kept}: {}", text.all());
    }
    assert!(!text.stdout.contains("kept     old/compose.yml"), "{}", text.all());
    bed.compose("old", old);
    bed.sync([]).exits(0);
    assert_eq!(bed.inside("old/db", &["cat", "/rows/file"]), "precious\n");
}
