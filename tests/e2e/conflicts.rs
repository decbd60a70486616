//! Files on the host that were changed after their deploy, and files that were never deployed.

use std::os::unix::fs::MetadataExt as _;

use crate::bed::observe::fates;
use crate::bed::{Bed, stdout_of};

/// Asserts that the host keeps this content as an object.
#[track_caller]
fn is_kept(bed: &Bed, content: &str) {
    let mut sum = std::process::Command::new("sha256sum");
    let file = bed.path("content");
    std::fs::write(&file, content).unwrap();
    let digest = stdout_of(sum.arg(file)).split(' ').next().unwrap().to_owned();
    assert_eq!(bed.on_host(&format!(".ghdeploy/objects/{digest}")), content);
}

#[test]
fn drift_is_shown_and_overwritten_and_the_hosts_version_is_kept() {
    let bed = Bed::new("drift");
    bed.compose(
        "app",
        "services:\n  web: {<<: *s, volumes: ['./web.conf:/web.conf:ro']}\n  worker: {<<: *s}",
    );
    bed.write("services/app/web.conf", "one").write("services/app/notes", "one");
    bed.sync([]).exits(0);
    // The size is the same, so only times and content differ.
    std::fs::write(bed.root("app/web.conf"), "two").unwrap();
    std::fs::remove_file(bed.root("app/notes")).unwrap();
    bed.call(["sync", "--dry-run"]).run().exits(0).prints("drift").prints("services/app/web.conf");
    let change = bed.deploy();
    assert_eq!(change.files, ["drift services/app/notes", "drift services/app/web.conf"]);
    assert_eq!((bed.on_host("app/web.conf"), bed.on_host("app/notes")), ("one".to_owned(), "one".to_owned()));
    is_kept(&bed, "two");
    assert!(!change.fates.contains(&"app/worker restarted".to_owned()), "{change:?}");
}

#[test]
fn drift_in_a_mounted_file_ends_with_the_repositorys_content_in_the_container() {
    let bed = Bed::new("driftseen");
    bed.compose("app", "services:\n  web: {<<: *s, volumes: ['./web.conf:/web.conf:ro']}");
    bed.write("services/app/web.conf", "one");
    bed.sync([]).exits(0);
    std::fs::write(bed.root("app/web.conf"), "changed by hand").unwrap();
    assert_eq!(bed.inside("app/web", &["cat", "/web.conf"]), "changed by hand");
    bed.sync([]).exits(0);
    assert_eq!(bed.inside("app/web", &["cat", "/web.conf"]), "one");
}

#[test]
fn an_unmanaged_file_in_the_way_stops_its_project_until_it_is_adopted() {
    let bed = Bed::new("conflict");
    bed.compose("app", "services:\n  web: {<<: *s}");
    bed.compose("blog", "services:\n  web: {<<: *s}");
    bed.write("services/app/site.conf", "repository").write("services/app/equal.conf", "equal");
    bed.guard("app/site.conf", "host");
    bed.guard("app/equal.conf", "equal");
    let files = bed.listing("root/app");
    bed.call(["sync", "--dry-run"]).run().exits(5).prints("site.conf").prints("--adopt");
    bed.sync([])
        .exits(5)
        .prints("services/app/site.conf")
        .prints("--adopt")
        .ends_with("nothing was changed: app");
    assert_eq!(bed.listing("root/app"), files);
    assert_eq!(bed.containers().into_keys().collect::<Vec<_>>(), ["blog/web"]);

    let inode = bed.root("app/equal.conf").metadata().unwrap().ino();
    bed.allow("app/site.conf");
    bed.sync(["--adopt"]).exits(0);
    assert_eq!(bed.on_host("app/site.conf"), "repository");
    assert_eq!(bed.root("app/equal.conf").metadata().unwrap().ino(), inode, "an equal file was replaced");
    is_kept(&bed, "host");
    // An adopted file is managed, so it is removed with the repository's file.
    bed.allow("app/equal.conf");
    std::fs::remove_file(bed.repo("services/app/equal.conf")).unwrap();
    assert_eq!(bed.deploy().files, ["removed services/app/equal.conf"]);
    assert!(!bed.root("app/equal.conf").exists());
}

#[test]
fn a_directory_or_a_link_where_a_file_is_wanted_is_a_conflict() {
    let bed = Bed::new("inway");
    bed.compose("app", "services:\n  web: {<<: *s}");
    bed.write("services/app/web.conf", "x").write("services/app/link.conf", "x");
    bed.guard("app/web.conf/made-by-docker", "x");
    std::os::unix::fs::symlink("/etc/hostname", bed.root("app/link.conf")).unwrap();
    let hostname = std::fs::read_to_string("/etc/hostname").unwrap();
    for options in [[].as_slice(), &["--adopt"]] {
        bed.commit();
        let ran = options.iter().fold(bed.call(["sync"]), |call, option| call.args([*option])).run();
        ran.exits(5).prints("web.conf");
    }
    assert_eq!(std::fs::read_to_string("/etc/hostname").unwrap(), hostname);
    assert!(bed.containers().is_empty());
}

#[test]
fn a_folder_that_became_a_link_stops_its_project_and_nothing_behind_it_is_touched_or_shown() {
    let bed = Bed::new("linked");
    bed.compose("app", "services:\n  web: {<<: *s}");
    bed.compose("blog", "services:\n  web: {<<: *s}");
    bed.write("services/app/conf/a", "one").write("services/app/conf/b", "one");
    bed.sync([]).exits(0);
    // A container that may write to the folder has put a link in its place.
    bed.guard("../outside/a", "precious");
    bed.guard("../outside/b", "precious");
    std::fs::remove_dir_all(bed.root("app/conf")).unwrap();
    std::os::unix::fs::symlink(bed.path("outside"), bed.root("app/conf")).unwrap();
    let before = bed.containers();
    let told = format!("services/app/conf on the host is a link to {}", bed.path("outside").display());
    bed.call(["sync", "--dry-run"]).run().exits(5).prints(&told);
    bed.sync([])
        .exits(5)
        .prints(&told)
        .prints("remove the link")
        .ends_with("nothing was changed (release 1)");
    std::fs::remove_file(bed.repo("services/app/conf/b")).unwrap();
    bed.write("services/app/conf/a", "two").write("services/app/conf/c", "new");
    bed.sync(["--adopt"]).exits(5).prints(&told);
    let shown = bed.call(["diff"]).run();
    shown.prints("not shown: services/app/conf on the host is a link").never_prints("precious");
    bed.call(["status"]).run().exits(0);
    bed.call(["rollback"]).run().never_prints("precious");
    std::fs::rename(bed.repo("services/app"), bed.path("app")).unwrap();
    bed.sync(["--prune"]).exits(5).prints(&told);
    assert_eq!(bed.containers(), before);
    assert!(std::fs::read_link(bed.root("app/conf")).is_ok(), "the link is gone");
    std::fs::rename(bed.path("app"), bed.repo("services/app")).unwrap();
    std::fs::remove_file(bed.root("app/conf")).unwrap();
    bed.sync([]).exits(0);
    assert_eq!(bed.on_host("app/conf/a"), "two");
}

#[test]
fn a_project_that_was_moved_to_another_disk_and_linked_goes_on() {
    let bed = Bed::new("moved");
    bed.compose("app", "services:\n  web: {<<: *s, volumes: ['./conf:/conf:ro']}");
    bed.write("services/app/conf/a", "one");
    bed.sync([]).exits(0);
    let outside = bed.path("outside");
    std::fs::rename(bed.root("app"), &outside).unwrap();
    std::os::unix::fs::symlink(&outside, bed.root("app")).unwrap();
    bed.sync([]).exits(0).prints("nothing to do");
    bed.write("services/app/conf/a", "two");
    bed.call(["diff"]).run().prints("+two");
    assert_eq!(bed.deploy().files, ["modified services/app/conf/a"]);
    assert_eq!(std::fs::read_to_string(outside.join("conf/a")).unwrap(), "two");
    bed.call(["rollback"]).run().exits(0);
    assert_eq!(std::fs::read_to_string(outside.join("conf/a")).unwrap(), "one");
    std::fs::remove_dir_all(bed.repo("services/app")).unwrap();
    bed.compose("other", "services:\n  web: {<<: *s}");
    bed.sync(["--prune"]).exits(0);
    assert!(!outside.join("compose.yml").exists());
    assert!(std::fs::read_link(bed.root("app")).is_ok(), "the link is gone");
}

#[test]
fn drift_in_a_compose_file_that_was_brought_up_by_hand_is_undone() {
    let bed = Bed::new("driftup");
    bed.compose("app", "services:\n  web: {<<: *s, environment: {MODE: one}}\n  worker: {<<: *s}");
    bed.sync([]).exits(0);
    std::fs::write(
        bed.root("app/compose.yml"),
        bed.on_host("app/compose.yml").replace("MODE: one", "MODE: by hand"),
    )
    .unwrap();
    stdout_of(
        std::process::Command::new("docker").args(["compose", "up", "-d"]).current_dir(bed.root("app")),
    );
    assert_eq!(bed.env("app/web", "MODE"), "by hand");
    let before = bed.containers();
    bed.sync([]).exits(0);
    assert_eq!(bed.env("app/web", "MODE"), "one");
    assert_eq!(bed.containers()["app/worker"], before["app/worker"]);
}

/// Copies a project to the host by hand and starts it, without ghdeploy.
fn by_hand(bed: &Bed, conf: &str) {
    bed.compose(
        "app",
        "services:\n  web: {<<: *s, volumes: ['./web.conf:/web.conf:ro', './conf:/conf:ro']}\n  worker: {<<: *s}",
    );
    std::fs::write(bed.root("app/web.conf"), conf).unwrap();
    std::fs::create_dir(bed.root("app/conf")).unwrap();
    std::fs::write(bed.root("app/conf/a"), "same").unwrap();
    std::fs::copy(bed.repo("services/app/compose.yml"), bed.root("app/compose.yml")).unwrap();
    let mut up = std::process::Command::new("docker");
    stdout_of(up.args(["compose", "up", "-d"]).current_dir(bed.root("app")));
    bed.write("services/app/web.conf", "repository").write("services/app/conf/a", "same");
}

#[test]
fn a_service_started_by_hand_from_the_same_files_keeps_running() {
    let bed = Bed::new("adopted");
    by_hand(&bed, "repository");
    let before = bed.containers();
    bed.sync([]).exits(0);
    assert_eq!(bed.containers(), before);
}

#[test]
fn a_service_started_by_hand_from_other_content_is_restarted() {
    let bed = Bed::new("adoptother");
    by_hand(&bed, "by hand");
    assert_eq!(bed.inside("app/web", &["cat", "/web.conf"]), "by hand");
    let before = bed.containers();
    bed.sync(["--adopt"]).exits(0);
    assert_eq!(fates(&before, &bed.containers()), [("app/web".to_owned(), "restarted")].into());
    assert_eq!(bed.inside("app/web", &["cat", "/web.conf"]), "repository");
    is_kept(&bed, "by hand");
}

#[test]
fn diff_shows_differing_content_but_no_secret() {
    let bed = Bed::new("diff");
    bed.compose(
        "app",
        "services:\n  web: {<<: *s, env_file: [app.env], volumes: ['./web.conf:/web.conf:ro', '../shared/tz:/tz:ro']}",
    );
    let names = ["a name\n$(touch x)", "-rf", "gone", "new"];
    bed.write("services/app/web.conf", "user nginx;\n\tlisten 80;\n").write("services/shared/tz", "UTC\n");
    bed.write("services/app/app.env", "A=1\n");
    for name in &names[..3] {
        bed.write(&format!("services/app/{name}"), "one\n");
    }
    bed.write("services/app/binary", b"\0one").write("services/app/long", "x".repeat(2 << 20));
    bed.sync([]).exits(0);
    bed.call(["diff"]).run().exits(0).prints("no file differs");
    bed.call(["diff", "services/app/web.cnf"])
        .run()
        .exits(2)
        .prints("services/app/web.cnf is neither in the repository nor a managed file of a host")
        .prints("did you mean `services/app/web.conf`?");
    std::fs::write(bed.root("app/web.conf"), "user nginx;\n\tlisten 81;\n").unwrap();
    std::fs::write(bed.root("app/app.env"), "A=hunter2\n").unwrap();
    bed.guard("app/new", "theirs\n");
    bed.write("services/shared/tz", "CET\n").write("services/app/binary", b"\0two");
    bed.write("services/app/long", "y".repeat(2 << 20));
    for name in names {
        bed.write(&format!("services/app/{name}"), "two\n");
    }
    std::fs::remove_file(bed.repo("services/app/gone")).unwrap();
    bed.commit();
    let all = bed.call(["diff", "--exit-code"]).run().exits(10).never_prints("hunter2");
    for shown in [
        "! services/app/web.conf  (drift: changed on the host)\n--- host/services/app/web.conf\n+++ repository/services/app/web.conf\n@@ -1,2 +1,2 @@\n user nginx;\n-\tlisten 81;\n+\tlisten 80;\n",
        "! services/app/app.env  (drift: changed on the host)  (not shown: it may hold secrets)\n",
        "! services/app/new  (conflict: not managed on the host)\n",
        "-theirs\n+two\n",
        "~ services/app/a name\\n$(touch x)\n",
        "~ services/app/-rf\n",
        "- services/app/gone\n--- host/services/app/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-one\n",
        "~ services/app/binary  (binary)\n",
        "~ services/app/long  (too large to be shown)\n",
        "-UTC\n+CET\n",
    ] {
        assert!(all.stdout.contains(shown), "{shown:?} is not in {}", all.all());
    }
    let one = bed.call(["diff", "services/shared/"]).run().exits(0);
    assert!(one.stdout.contains("+CET") && !one.stdout.contains("web.conf"), "{}", one.all());
    let json = bed.call(["diff", "services/app/web.conf", "--format", "json"]).run().exits(0).json();
    assert_eq!(json["hosts"][0]["files"].as_array().unwrap().len(), 1);
    assert_eq!(json["hosts"][0]["files"][0]["change"], "drift");
    bed.call(["diff", "--format", "markdown"]).run().exits(0).prints("```diff").never_prints("hunter2");
}
