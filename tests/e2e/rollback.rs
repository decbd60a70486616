//! Rollbacks to earlier releases, from the content that the host keeps.

use std::process::Command;

use crate::bed::observe::fates;
use crate::bed::{Bed, stdout_of};

/// A bed with two projects and three releases: `one`, `two` and `three` of `app`, and `blog` in the second.
fn three_releases(test: &str) -> Bed {
    let bed = Bed::new(test);
    for mode in ["one", "two", "three"] {
        version(&bed, mode);
        if mode == "two" {
            bed.compose("blog", "services:\n  web: {<<: *s}");
        }
        bed.sync([]).exits(0);
    }
    bed
}

fn version(bed: &Bed, mode: &str) {
    bed.compose("app", &format!("services:\n  web: {{<<: *s, volumes: ['./web.conf:/web.conf:ro', '../shared/tz:/tz:ro']}}\n  worker: {{<<: *s, environment: {{MODE: {mode}}}}}\n  cron: {{<<: *s}}"));
    bed.write("services/app/web.conf", mode).write("services/shared/tz", mode);
    bed.write(&format!("services/app/only in {mode} $(x)"), mode);
}

#[track_caller]
fn is_at(bed: &Bed, mode: &str) {
    assert_eq!((bed.on_host("app/web.conf"), bed.on_host("shared/tz")), (mode.to_owned(), mode.to_owned()));
    assert_eq!(bed.inside("app/web", &["cat", "/web.conf"]), mode);
    assert_eq!(bed.inside("app/web", &["cat", "/tz"]), mode);
    assert_eq!(bed.env("app/worker", "MODE"), mode);
    let newest = ["one", "two", "three"].iter().position(|other| *other == mode).unwrap();
    for (number, other) in ["one", "two", "three"].iter().enumerate() {
        let is_there = bed.root(&format!("app/only in {other} $(x)")).exists();
        assert_eq!(is_there, number <= newest, "{other}");
    }
}

#[test]
fn a_rollback_restores_the_previous_release_and_a_sync_does_not_silently_undo_it() {
    let bed = three_releases("back");
    let before = bed.containers();
    bed.call(["rollback", "--dry-run"]).run().exits(0).prints("services/app/web.conf").prints("restart");
    assert_eq!(bed.containers(), before);
    is_at(&bed, "three");
    bed.call(["rollback"]).run().exits(0).prints("release 4 (a rollback to release 2)");
    is_at(&bed, "two");
    let after = bed.containers();
    assert_eq!(
        fates(&before, &after).into_iter().collect::<Vec<_>>(),
        [("app/web".to_owned(), "restarted"), ("app/worker".to_owned(), "recreated")]
    );
    // A re-run of the workflow must not deploy the bad version again.
    bed.call(["sync"]).run().exits(5).prints("rolled back from release 3").prints("--allow-older");
    bed.call(["sync", "--dry-run"]).run().exits(5).prints("rolled back from release 3");
    is_at(&bed, "two");
    // Other projects are still deployed.
    bed.write("services/blog/notes", "new");
    bed.sync([]).exits(5);
    assert_eq!(bed.on_host("blog/notes"), "new");
    is_at(&bed, "two");
    // A fixed version is deployed, and so is the bad one with `--force`.
    bed.write("services/app/mended", "yes");
    bed.sync([]).exits(0);
    is_at(&bed, "three");
    assert_eq!(bed.on_host("app/mended"), "yes");
    bed.call(["sync"]).run().exits(0).prints("nothing to do");
}

#[test]
fn each_rollback_goes_one_release_further_and_a_number_goes_anywhere() {
    let bed = three_releases("further");
    bed.call(["rollback"]).run().exits(0);
    bed.call(["rollback"])
        .run()
        .exits(0)
        .prints("release 5 (a rollback to release 1)")
        .prints("services/blog was not in release 1");
    is_at(&bed, "one");
    assert!(bed.containers().contains_key("blog/web"), "nothing is taken down by a rollback");
    bed.call(["sync"]).run().exits(5).prints("rolled back from release 3");
    is_at(&bed, "one");
    bed.call(["rollback"]).run().exits(2).prints("keeps no release before 1");
    bed.call(["rollback", "--to", "3"]).run().exits(0).prints("release 6 (a rollback to release 3)");
    is_at(&bed, "three");
    bed.call(["rollback", "--to", "77"])
        .run()
        .exits(2)
        .prints("does not keep release 77")
        .ends_with("nothing was changed");
    let json = bed.call(["rollback", "--to", "77", "--format", "json"]).run().exits(2).json();
    assert_eq!(json["hosts"][0]["failure"]["state"], "unchanged");
    let history = bed.call(["history"]).run().exits(0).prints("rollback to release 1");
    assert!(history.stdout.find("release 6").unwrap() < history.stdout.find("release 5").unwrap());
    let json = bed.call(["history", "--format", "json"]).run().exits(0).json();
    let releases = json["hosts"][0]["releases"].as_array().unwrap();
    assert_eq!((releases.len(), &releases[0]["back_to"], &releases[0]["kept"]), (6, &3.into(), &true.into()));
    bed.call(["sync", "--allow-older"]).run().exits(0).prints("nothing to do");
}

#[test]
fn one_project_can_be_rolled_back_alone() {
    let bed = three_releases("alone");
    bed.write("services/blog/notes", "new");
    bed.sync([]).exits(0);
    // All projects read shared files, so only the project's own files are rolled back.
    bed.call(["rollback", "--project", "app"]).run().exits(0).prints("release 5 (a rollback to release 2)");
    is_at(&bed, "two");
    assert_eq!(bed.on_host("blog/notes"), "new");
    bed.call(["status"]).run().exits(0);
    bed.call(["rollback", "--project", "nobody"]).run().exits(2).prints("`nobody` matches no project");
}

#[test]
fn drift_does_not_block_a_rollback() {
    let bed = three_releases("edited");
    // It was edited before the third release replaced it: the first content is not lost.
    version(&bed, "one");
    bed.sync([]).exits(0);
    std::fs::write(bed.root("app/web.conf"), "by hand").unwrap();
    version(&bed, "three");
    bed.sync([]).exits(0);
    std::fs::write(bed.root("app/web.conf"), "again by hand").unwrap();
    bed.call(["rollback"]).run().exits(0).prints("drift");
    assert_eq!(bed.on_host("app/web.conf"), "one");
    assert_eq!(bed.inside("app/web", &["cat", "/web.conf"]), "one");
}

#[test]
fn a_rollback_that_stays_unhealthy_is_undone() {
    let bed = Bed::new("backfails");
    let version = |mode: &str, command: &str| {
        bed.compose("app", &format!("services:\n  web: {{<<: *s, environment: {{MODE: {mode}}}, command: [sh, -c, '{command}'], volumes: ['./data:/data']}}"));
    };
    // The old version fails on the data of the new one.
    version("one", "test ! -e /data/migrated || exit 9; exec sleep 100000");
    bed.sync([]).exits(0);
    version("two", "exec sleep 100000");
    bed.sync([]).exits(0);
    bed.allow("app/data");
    bed.inside("app/web", &["touch", "/data/migrated"]);
    bed.call(["rollback"]).run().exits(5).prints("status 9").ends_with("rolled back to release 2");
    assert_eq!(bed.env("app/web", "MODE"), "two");
    bed.call(["sync"]).run().exits(0).prints("nothing to do");
}

#[test]
fn only_the_last_releases_are_kept_and_objects_do_not_grow() {
    let bed = Bed::new("keep");
    bed.write("ghdeploy.yml", "health: {stable_for: 0s, timeout: 90s}\nkeep: 2\n");
    bed.compose("app", "services:\n  web: {<<: *s}");
    for n in 0..6 {
        bed.write("services/app/notes", format!("notes of {n}"))
            .write(&format!("services/app/n{n}"), format!("{n}"));
        bed.sync([]).exits(0);
    }
    bed.settle();
    let json = bed.call(["history", "--format", "json"]).run().exits(0).json();
    let kept: Vec<_> =
        json["hosts"][0]["releases"].as_array().unwrap().iter().map(|r| r["kept"].as_bool()).collect();
    assert_eq!(kept, [Some(true), Some(true), Some(false), Some(false), Some(false), Some(false)]);
    let objects = || {
        let dir = std::fs::read_dir(bed.root(".ghdeploy/objects")).unwrap();
        let mut all: Vec<String> = dir
            .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
            .filter(|text| text.starts_with("notes"))
            .collect();
        all.sort();
        all
    };
    // The oldest kept release replaced the first of these.
    assert_eq!(objects(), ["notes of 3", "notes of 4", "notes of 5"]);
    bed.call(["rollback", "--to", "3"]).run().exits(2);
    bed.call(["rollback"]).run().exits(0);
    assert_eq!((bed.on_host("app/notes"), bed.root("app/n5").exists()), ("notes of 4".to_owned(), false));
    // The release that was left is kept, because a run may go forward to it.
    bed.settle();
    assert_eq!(objects(), ["notes of 4", "notes of 5"]);
    bed.call(["rollback", "--to", "6"]).run().exits(0);
    assert_eq!(bed.on_host("app/notes"), "notes of 5");
}

#[test]
fn a_rollback_points_a_moved_tag_back_at_the_old_image() {
    let bed = Bed::new("moved");
    let image = format!("{}-app:stable", bed.id);
    let docker = |args: &[&str]| stdout_of(Command::new("docker").args(args));
    let id = |image: &str| docker(&["image", "inspect", "--format", "{{.Id}}", image]).trim().to_owned();
    docker(&["tag", "ghdeploy-test/busybox:1", &image]);
    let compose = format!("services:\n  web: {{<<: *s, image: '{image}'}}\n  worker: {{<<: *s}}");
    bed.compose("app", &compose);
    bed.sync([]).exits(0);
    bed.write("services/app/notes", "new");
    bed.sync([]).exits(0);
    // A watcher pulled a newer image of the same name and replaced the container.
    docker(&["tag", "ghdeploy-test/web:1", &image]);
    stdout_of(Command::new("docker").args(["compose", "up", "-d"]).current_dir(bed.root("app")));
    assert_eq!(bed.inspect("app/web", "{{.Image}}"), id("ghdeploy-test/web:1"));
    let before = bed.containers();
    bed.call(["rollback"]).run().exits(0).prints(&format!("{image}: image "));
    assert_eq!(bed.inspect("app/web", "{{.Image}}"), id("ghdeploy-test/busybox:1"));
    assert_eq!(id(&image), id("ghdeploy-test/busybox:1"));
    assert_eq!(bed.containers()["app/worker"], before["app/worker"]);
    assert!(!bed.root("app/notes").exists());
}
