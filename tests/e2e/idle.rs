//! Runs that have nothing to do, may not change anything, or leave the restarts out.

use std::path::Path;

use crate::bed::observe::{differences, fates};
use crate::bed::{Bed, stdout_of};

#[test]
fn a_sync_with_nothing_to_do_costs_one_login_and_one_command_and_one_list_of_containers() {
    let bed = Bed::new("idle");
    bed.log_docker();
    bed.compose("app", "services:\n  web: {<<: *s, volumes: ['./conf:/conf:ro', '../shared/tz:/tz:ro']}");
    bed.write("services/app/conf/a", "x").write("services/shared/tz", "UTC");
    bed.compose("blog", "services:\n  web: {<<: *s}");
    bed.sync([]).exits(0);
    let (containers, root, calls, sshd) =
        (bed.containers(), bed.listing("root"), bed.docker_calls(), bed.sshd.logins_and_commands());
    let lists = bed.docker_lists();
    // A fresh checkout has new times.
    bed.write("services/app/conf/a", "x").write("services/shared/tz", "UTC");
    bed.call(["sync"]).run().exits(0).prints("nothing to do");
    assert_eq!(bed.sshd.logins_and_commands(), (sshd.0 + 1, sshd.1 + 1));
    assert_eq!((bed.docker_calls(), bed.docker_lists()), (calls, lists + 1));
    assert_eq!(bed.containers(), containers);
    assert_eq!(differences(&root, &bed.listing("root")), [""; 0]);
}

#[test]
fn the_examples_are_synced_once_and_then_there_is_nothing_to_do() {
    let bed = Bed::new("examples");
    let services = Path::new(env!("CARGO_MANIFEST_DIR")).join("services");
    stdout_of(std::process::Command::new("cp").arg("-R").arg(&services).arg(bed.repo("")));
    // The host has the files that the examples expect there.
    for entry in std::fs::read_dir(&services).unwrap() {
        let folder = entry.unwrap();
        if let Ok(example) = std::fs::read_to_string(folder.path().join(".env.example")) {
            bed.guard(&format!("{}/.env", folder.file_name().display()), &example);
        }
    }
    bed.sync(["--no-restart"]).exits(0);
    for path in ["app/compose.yml", "shared/common.yml", "traefik/traefik.yml"] {
        assert_eq!(bed.on_host(path), std::fs::read_to_string(services.join(path)).unwrap());
    }
    let (root, sshd) = (bed.listing("root"), bed.sshd.logins_and_commands());
    bed.call(["sync", "--no-restart"]).run().exits(0);
    assert_eq!(bed.sshd.logins_and_commands(), (sshd.0 + 1, sshd.1 + 1));
    assert_eq!(differences(&root, &bed.listing("root")), [""; 0]);
    assert!(bed.containers().is_empty());
}

#[test]
fn no_restart_needs_no_docker_and_the_next_sync_does_exactly_what_is_owed() {
    let bed = Bed::new("owed");
    let compose = |mode: &str| {
        bed.compose("app", &format!("services:\n  web: {{<<: *s, volumes: ['./web.conf:/web.conf:ro']}}\n  worker: {{<<: *s, environment: {{MODE: {mode}}}}}\n  cron: {{<<: *s}}"));
    };
    compose("one");
    bed.write("services/app/web.conf", "one");
    bed.sync([]).exits(0);
    let before = bed.containers();
    compose("two");
    bed.write("services/app/web.conf", "two");
    bed.write("services/app/README.md", "new");
    bed.remove_docker();
    bed.sync(["--no-restart"]).exits(0).prints("owed");
    bed.call(["sync", "--no-restart"]).run().exits(0).prints("owed");
    bed.restore_docker();
    assert_eq!(
        (bed.on_host("app/web.conf"), bed.on_host("app/README.md")),
        ("two".to_owned(), "new".to_owned())
    );
    assert_eq!(bed.containers(), before);
    // The records say so, whatever is checked out.
    let owed = || bed.call(["status"]).run().exits(0).prints("owed: up worker").prints("owed: restart web");
    owed();
    bed.write("services/app/README.md", "newer");
    owed();
    std::fs::remove_file(bed.repo("services/app/compose.yml")).unwrap();
    owed();
    compose("two");
    bed.write("services/app/README.md", "new");
    let change = bed.deploy();
    assert!(change.files.is_empty(), "{change:?}");
    assert_eq!(change.actions, ["up app/worker", "restart app/web"]);
    assert_eq!(bed.env("app/worker", "MODE"), "two");
    assert_eq!(bed.inside("app/web", &["cat", "/web.conf"]), "two");
    bed.write("services/app/README.md", "newer");
    let status = bed.call(["status"]).run().exits(0);
    assert!(!status.all().contains("owed"), "{}", status.all());
    // Without the files that were deployed, that is not known.
    std::fs::remove_dir_all(bed.root(".ghdeploy/objects")).unwrap();
    std::fs::write(bed.root("app/compose.yml"), "# changed\n").unwrap();
    let said = "what the services of services/app owe is not known: app/compose.yml is no longer on the host as it was deployed";
    bed.call(["status"]).run().exits(0).prints(said);
}

#[test]
fn a_first_sync_without_restart_owes_every_service() {
    let bed = Bed::new("firstowed");
    bed.compose("app", "services:\n  web: {<<: *s}\n  worker: {<<: *s}");
    bed.sync(["--no-restart"]).exits(0);
    assert!(bed.containers().is_empty());
    let change = bed.deploy();
    assert_eq!(
        (change.actions, change.files),
        (vec!["up app/web".to_owned(), "up app/worker".to_owned()], vec![])
    );
}

#[test]
fn a_dry_run_changes_nothing_at_all() {
    let bed = Bed::new("dry");
    bed.log_docker();
    bed.compose("app", "services:\n  web: {<<: *s, volumes: ['./web.conf:/web.conf:ro']}");
    bed.write("services/app/web.conf", "one");
    bed.commit();
    let empty = bed.listing("root");
    bed.call(["sync", "--dry-run", "--exit-code"]).run().exits(10);
    bed.call(["sync", "--dry-run"]).run().exits(0).prints("web.conf");
    assert_eq!(bed.listing("root"), empty);
    // A missing root is not created.
    let elsewhere = format!("local:{}", bed.path("elsewhere").display());
    bed.call(["sync", "--dry-run", "--exit-code"]).host(elsewhere).run().exits(10);
    assert!(!bed.path("elsewhere").exists());

    bed.sync([]).exits(0);
    bed.call(["sync", "--dry-run", "--exit-code"]).run().exits(0);
    bed.write("services/app/web.conf", "two");
    let (root, containers, calls) = (bed.listing("root"), bed.containers(), bed.docker_calls());
    bed.call(["sync", "--dry-run", "--exit-code"]).run().exits(10);
    bed.call(["sync", "--dry-run", "--adopt", "--prune", "--force"]).run().exits(0);
    assert_eq!(bed.listing("root"), root);
    assert_eq!(bed.containers(), containers);
    // It only asks.
    let is_question =
        |call: &&String| ["inspect", "config", "version", "ps "].iter().any(|word| call.contains(word));
    assert_eq!(bed.docker_calls()[calls.len()..].iter().find(|call| !is_question(call)), None);
}

#[test]
fn force_recreates_every_service_and_only_of_the_named_projects() {
    let bed = Bed::new("force");
    for project in ["app", "blog"] {
        bed.compose(project, "services:\n  web: {<<: *s}");
    }
    bed.sync([]).exits(0);
    let before = bed.containers();
    bed.call(["sync", "--force", "--project", "blog"]).run().exits(0);
    assert_eq!(
        fates(&before, &bed.containers()).into_iter().collect::<Vec<_>>(),
        [("blog/web".to_owned(), "recreated")]
    );
}

#[test]
fn an_older_commit_is_refused_without_allow_older() {
    let bed = Bed::new("older");
    bed.compose("app", "services:\n  web: {<<: *s}");
    bed.write("services/app/notes", "one");
    bed.sync([]).exits(0);
    bed.write("services/app/notes", "two");
    bed.sync([]).exits(0);
    bed.git(&["checkout", "-q", "--detach", "HEAD~1"]);
    let root = bed.listing("root");
    let refused = bed.call(["sync"]).run().prints("--allow-older");
    assert!(!refused.all().contains("(exit Some(0))"), "{}", refused.all());
    assert_eq!(differences(&root, &bed.listing("root")), [""; 0]);
    bed.call(["sync", "--allow-older"]).run().exits(0);
    assert_eq!(bed.on_host("app/notes"), "one");
}
