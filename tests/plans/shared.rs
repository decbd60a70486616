//! Files outside the projects' folders, selections of projects, and files that change owners.

use ghdeploy::base::path::RootPath;
use ghdeploy::state::deployed::{Found, SHARED, unit};

use crate::bench::{Projects, applied, found, path, plan_lines, project};

fn two() -> Projects {
    let reads = "services:\n  web:\n    image: a\n    volumes: ['../shared/tz:/tz']\n";
    Projects::new(&[
        ("blog/compose.yml", reads),
        ("shop/compose.yml", reads),
        ("lone/compose.yml", "services:\n  web: {image: a}\n"),
        ("shared/tz", "1"),
        ("shared/unread", "1"),
    ])
}

#[test]
fn a_shared_file_is_synced_once_and_every_reader_is_affected() {
    let repo = two();
    let host = repo.deployed();
    assert_eq!(host.manifests[SHARED].0.keys().map(RootPath::as_str).collect::<Vec<_>>(), ["shared/tz"]);
    repo.write("shared/tz", "2");
    let work = repo.plan(&host);
    assert_eq!(
        plan_lines(&work),
        [
            "blog changed",
            "  modified shared/tz",
            "  restart web: shared/tz bind@4",
            "shop changed",
            "  modified shared/tz",
            "  restart web: shared/tz bind@4"
        ]
    );
    assert_eq!(work.shared.files.len(), 1);
    assert!(work.shared.manifest.is_some());
}

#[test]
fn a_file_that_is_shared_by_definition_is_an_up_of_every_reader() {
    let extends = "services:\n  web:\n    extends: {file: ../shared/common.yml, service: base}\n";
    let repo = Projects::new(&[
        ("blog/compose.yml", extends),
        ("shop/compose.yml", extends),
        ("shared/common.yml", "services:\n  base: {image: a}\n"),
    ]);
    let host = repo.deployed();
    repo.write("shared/common.yml", "services:\n  base: {image: b}\n");
    assert_eq!(
        plan_lines(&repo.plan(&host)),
        [
            "blog changed",
            "  modified shared/common.yml",
            "  up web: shared/common.yml:2",
            "shop changed",
            "  modified shared/common.yml",
            "  up web: shared/common.yml:2"
        ]
    );
}

#[test]
fn an_unselected_project_owes_what_it_missed() {
    let repo = two();
    let host = repo.deployed();
    repo.write("shared/tz", "2")
        .write("shop/compose.yml", "services:\n  web:\n    image: b\n    volumes: ['../shared/tz:/tz']\n");
    let work = repo.plan_with(&host, |asked| asked.projects = vec!["blog"]);
    assert_eq!(
        plan_lines(&work),
        ["blog changed", "  modified shared/tz", "  restart web: shared/tz bind@4"]
    );
    let host = applied(&work, &host);
    assert_eq!(
        plan_lines(&repo.plan(&host)),
        ["shop changed", "  modified shop/compose.yml", "  up web: shop/compose.yml:2"]
    );
    let work = repo.plan_with(&host, |asked| asked.projects = vec!["blog"]);
    assert!(work.is_idle());
}

#[test]
fn a_shared_file_that_no_selected_project_reads_stays() {
    let repo = two();
    let host = repo.deployed();
    repo.write("shared/tz", "2");
    let work = repo.plan_with(&host, |asked| asked.projects = vec!["lone"]);
    assert!(work.is_idle(), "{:?}", plan_lines(&work));
}

#[test]
fn a_project_that_missed_a_shared_change_is_restarted_later() {
    let repo = two();
    let host = repo.deployed();
    repo.write("shared/tz", "2");
    let host = applied(&repo.plan_with(&host, |asked| asked.projects = vec!["blog"]), &host);
    assert_eq!(
        plan_lines(&repo.plan(&host)),
        ["shop changed", "  restart web: shop/compose.yml:4 (owed since release 7)"]
    );
}

#[test]
fn a_shared_file_goes_with_its_last_reader() {
    let repo = two();
    let host = repo.deployed();
    let alone = "services:\n  web:\n    image: a\n";
    repo.write("blog/compose.yml", alone);
    let work = repo.plan(&host);
    assert!(work.shared.files.is_empty() && work.shared.manifest.is_none());
    repo.write("shop/compose.yml", alone);
    let work = repo.plan(&host);
    assert_eq!(work.shared.files.len(), 1);
    assert_eq!(format!("{:?}", work.shared.files[0].change), "Removed");
}

#[test]
fn a_conflict_over_a_shared_file_stops_its_readers_alone() {
    let repo = two();
    let mut host = repo.deployed();
    host.manifests.remove(SHARED);
    host.found.insert(path("shared/tz"), found("theirs"));
    let work = repo.plan(&host);
    assert_eq!(project(&work, "blog").problems.len(), 1);
    assert_eq!(project(&work, "shop").problems.len(), 1);
    assert!(project(&work, "lone").problems.is_empty());
    // A file that was not written must not be recorded as managed, or the next sync would overwrite it.
    let recorded = work.shared.manifest.as_ref().and_then(|shared| shared.get(&path("shared/tz")));
    assert_eq!(recorded, None);
}

#[test]
fn a_file_moves_from_a_project_to_the_shared_ones_and_back() {
    let repo = Projects::new(&[
        ("blog/compose.yml", "services:\n  web: {image: a, volumes: ['../lib/x:/x']}\n"),
        ("lib/compose.yml", "services:\n  l: {image: l}\n"),
        ("lib/x", "1"),
    ]);
    let mut host = repo.deployed();
    assert!(host.manifests[&unit("lib")].get(&path("lib/x")).is_some());
    // `lib` is no project any more, but its files are still read. The host is asked for the content of a path
    // that is new to its unit.
    repo.remove("lib/compose.yml");
    host.found.insert(path("lib/x"), found("1"));
    let work = repo.plan_with(&host, |asked| asked.prune = true);
    assert_eq!(
        plan_lines(&work),
        ["lib removed", "  removed lib/compose.yml", "  down: lib (no longer in the repository)"]
    );
    assert!(work.shared.manifest.as_ref().unwrap().get(&path("lib/x")).is_some());
    let host = applied(&work, &host);
    repo.write("lib/compose.yml", "services:\n  l: {image: l}\n");
    let mut host = host;
    host.found.insert(path("lib/x"), found("1"));
    let work = repo.plan(&host);
    assert_eq!(
        plan_lines(&work),
        ["lib added", "  added lib/compose.yml", "  up l: lib/compose.yml:2 (new project)"]
    );
    assert!(work.shared.files.is_empty(), "the file is elsewhere now: {:?}", work.shared.files);
}

#[test]
fn a_managed_file_that_changes_its_owner_and_its_content_is_no_conflict() {
    let repo = Projects::new(&[
        ("blog/compose.yml", "services:\n  web: {image: a, volumes: ['../lib/x:/x']}\n"),
        ("lib/compose.yml", "services:\n  l: {image: l}\n"),
        ("lib/x", "1"),
    ]);
    let mut host = repo.deployed();
    repo.remove("lib/compose.yml").write("lib/x", "2");
    host.found.insert(path("lib/x"), found("1"));
    let work = repo.plan(&host);
    assert_eq!(project(&work, "blog").problems, []);
    assert_eq!(format!("{:?}", project(&work, "blog").files[0].change), "Modified");
}

#[test]
fn a_file_of_a_project_that_does_not_run_on_the_host_is_synced_for_its_readers() {
    let repo = Projects::new(&[
        ("blog/compose.yml", "services:\n  web: {image: a, volumes: ['../db/ca.pem:/ca.pem']}\n"),
        ("db/compose.yml", "services:\n  db: {image: d}\n"),
        ("db/ca.pem", "1"),
    ]);
    let wanted = repo.wanted_where(&|name| name == "blog");
    assert!(wanted.shared.get(&path("db/ca.pem")).is_some(), "{:?}", wanted.shared);
    assert!(wanted.shared.get(&path("db/compose.yml")).is_none());
}

#[test]
fn a_file_of_another_project_is_an_input_without_being_shared() {
    let repo = Projects::new(&[
        ("blog/compose.yml", "services:\n  web: {image: a, volumes: ['../db/ca.pem:/ca.pem']}\n"),
        ("db/compose.yml", "services:\n  db: {image: d}\n"),
        ("db/ca.pem", "1"),
    ]);
    let host = repo.deployed();
    repo.write("db/ca.pem", "2");
    let work = repo.plan(&host);
    assert!(work.shared.files.is_empty());
    let plan = plan_lines(&work);
    assert!(plan.contains(&"  modified db/ca.pem".to_owned()), "{plan:?}");
    let restart =
        plan.iter().find(|line| line.starts_with("  restart web")).unwrap_or_else(|| panic!("{plan:?}"));
    assert_eq!(restart, "  restart web: db/ca.pem bind@2");
}

#[test]
fn a_shared_file_that_was_deleted_on_the_host_is_restored() {
    let repo = two();
    let mut host = repo.deployed();
    host.found.insert(path("shared/tz"), Found::Missing);
    let work = repo.plan(&host);
    assert_eq!(
        plan_lines(&work),
        [
            "blog changed",
            "  drift shared/tz",
            "  restart web: shared/tz bind@4 (changed on the host)",
            "shop changed",
            "  drift shared/tz",
            "  restart web: shared/tz bind@4 (changed on the host)"
        ]
    );
}

/// A reader of a shared file that has left the repository, and another file that only it reads.
fn without_the_reader(repo: &Projects) {
    repo.remove("blog/compose.yml").remove("shared/tz").remove("shared/common.yml");
}

fn with_a_reader() -> Projects {
    Projects::new(&[
        (
            "blog/compose.yml",
            "services:\n  web:\n    extends: {file: ../shared/common.yml, service: base}\n    volumes: ['../shared/tz:/tz']\n",
        ),
        ("lone/compose.yml", "services:\n  web: {image: a}\n"),
        ("shared/common.yml", "services:\n  base: {image: a}\n"),
        ("shared/tz", "1"),
    ])
}

#[test]
fn what_a_project_on_the_host_reads_stays_until_it_is_taken_down() {
    let repo = with_a_reader();
    let host = repo.deployed();
    without_the_reader(&repo);
    let work = repo.plan(&host);
    assert!(work.is_idle(), "{:?}", plan_lines(&work));
    let work = repo.plan_with(&host, |asked| asked.prune = true);
    assert_eq!(
        plan_lines(&work),
        ["blog removed", "  removed blog/compose.yml", "  down: blog (no longer in the repository)"]
    );
    let leaving: Vec<&str> = work.shared.leaving.0.keys().map(RootPath::as_str).collect();
    assert_eq!(leaving, ["shared/common.yml", "shared/tz"]);
    assert!(repo.plan(&applied(&work, &host)).is_idle());
}

#[test]
fn what_a_project_that_moved_to_another_host_or_is_not_selected_reads_stays() {
    let repo = with_a_reader();
    let host = repo.deployed();
    let work = repo.plan_of(&repo.wanted_where(&|name| name != "blog"), &host, |_| {});
    assert!(work.is_idle(), "{:?}", plan_lines(&work));
    without_the_reader(&repo);
    for prune in [false, true] {
        let work = repo.plan_with(&host, |asked| (asked.projects, asked.prune) = (vec!["lone"], prune));
        assert!(work.is_idle(), "{:?}", plan_lines(&work));
    }
}

#[test]
fn what_a_project_on_the_host_reads_stays_while_its_new_version_cannot_be_read() {
    let repo = with_a_reader();
    let host = repo.deployed();
    repo.write("blog/compose.yml", "services: [").remove("shared/tz").remove("shared/common.yml");
    let work = repo.plan(&host);
    assert!(!project(&work, "blog").problems.is_empty());
    assert!(work.shared.files.is_empty() && work.shared.manifest.is_none(), "{:?}", work.shared);
}

#[test]
fn a_file_in_another_projects_folder_stays_for_a_project_that_has_left_the_repository() {
    let repo = Projects::new(&[
        ("blog/compose.yml", "services:\n  web: {image: a, volumes: ['../lib/x:/x']}\n"),
        ("lib/compose.yml", "services:\n  l: {image: l}\n"),
        ("lib/x", "1"),
    ]);
    let host = repo.deployed();
    repo.remove("blog/compose.yml").remove("lib/x");
    let work = repo.plan(&host);
    assert_eq!(plan_lines(&work), ["blog removed"]);
    assert!(work.shared.manifest.as_ref().unwrap().get(&path("lib/x")).is_some());
    let host = applied(&work, &host);
    assert!(repo.plan(&host).is_idle());
    let work = repo.plan_with(&host, |asked| asked.prune = true);
    assert!(work.shared.leaving.get(&path("lib/x")).is_some(), "{:?}", work.shared);
}

#[test]
fn every_shared_file_stays_for_a_project_whose_record_does_not_say_what_it_reads() {
    let repo = with_a_reader();
    let mut host = repo.deployed();
    host.state.projects.get_mut("blog").unwrap().reads = None;
    without_the_reader(&repo);
    let work = repo.plan(&host);
    assert!(work.is_idle(), "{:?}", plan_lines(&work));
    let notes: Vec<&str> = work.notes.iter().map(|note| note.message.as_str()).collect();
    assert_eq!(
        notes,
        [
            "2 shared files stay on the host: an older version of ghdeploy deployed services/blog and did not record what it reads",
            "services/blog is no longer in the repository and stays as it is on the host"
        ]
    );
}
