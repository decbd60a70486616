//! Files: conflicts, adoption, and changes between files and directories.

use ghdeploy::plan::FileChangeKind;
use ghdeploy::state::deployed::{Deployed, Found, unit};

use crate::bench::{Projects, applied, changed, found, path, plan_lines, project};

const COMPOSE: &str = "services:\n  web: {image: a, volumes: ['./conf:/conf']}\n";

fn first(files: &[(&str, Found)]) -> Deployed {
    Deployed {
        found: files.iter().map(|(at, found)| (path(at), found.clone())).collect(),
        ..Deployed::default()
    }
}

#[test]
fn an_unmanaged_file_of_other_content_is_a_conflict() {
    let repo = Projects::new(&[("blog/compose.yml", COMPOSE), ("blog/conf/a", "1")]);
    let work = repo.plan(&first(&[("blog/compose.yml", found(COMPOSE)), ("blog/conf/a", found("theirs"))]));
    assert_eq!(plan_lines(&work)[1], "  conflict blog/conf/a");
    let plan = project(&work, "blog");
    assert_eq!(plan.problems.len(), 1);
    assert_eq!(plan.problems[0].message, "the host has another, unmanaged version of services/blog/conf/a");
    assert!(plan.problems[0].help.as_deref().unwrap().contains("--adopt"));
}

#[test]
fn an_unmanaged_file_of_equal_content_is_adopted_silently() {
    let repo = Projects::new(&[("blog/compose.yml", COMPOSE), ("blog/conf/a", "1")]);
    let work = repo.plan(&first(&[("blog/compose.yml", found(COMPOSE)), ("blog/conf/a", found("1"))]));
    assert_eq!(plan_lines(&work), ["blog added", "  up web: blog/compose.yml:2 (new project)"]);
    assert!(work.project("blog").unwrap().needs_record);
}

#[test]
fn adopt_lets_the_repository_win_over_files_alone() {
    let repo = Projects::new(&[
        ("blog/compose.yml", COMPOSE),
        ("blog/conf/a", "1"),
        ("blog/conf/b", "1"),
        ("blog/x", "1"),
        ("blog/y", "1"),
    ]);
    let host = first(&[
        ("blog/conf/a", found("theirs")),
        ("blog/conf/b", Found::Directory),
        ("blog/x", Found::Unreadable),
        ("blog/y", Found::Other),
    ]);
    let work = repo.plan_with(&host, |asked| asked.adopt = true);
    let notes: Vec<&str> = work.notes.iter().map(|note| note.message.as_str()).collect();
    assert_eq!(notes, ["`services/blog/conf/a` is on the host and not managed yet: --adopt replaces it"]);
    assert_eq!(work.notes[0].help.as_deref(), Some("the host's version is kept in .ghdeploy/objects"));
    assert_eq!(repo.plan(&host).notes, [], "nothing is replaced");
    assert_eq!(
        plan_lines(&work)[1..6],
        [
            "  added blog/compose.yml",
            "  modified blog/conf/a",
            "  conflict blog/conf/b",
            "  conflict blog/x",
            "  conflict blog/y"
        ]
    );
    assert_eq!(project(&work, "blog").problems.len(), 3);
}

#[test]
fn a_conflict_in_one_project_leaves_the_others_alone() {
    let repo =
        Projects::new(&[("blog/compose.yml", COMPOSE), ("blog/x", "1"), ("shop/compose.yml", COMPOSE)]);
    let work = repo.plan(&first(&[("blog/x", found("theirs"))]));
    assert!(!project(&work, "blog").problems.is_empty());
    assert!(project(&work, "shop").problems.is_empty());
}

#[test]
fn a_new_file_in_a_deployed_project_may_be_in_conflict_too() {
    let repo = Projects::new(&[("blog/compose.yml", COMPOSE)]);
    let mut host = repo.deployed();
    repo.write("blog/conf/a", "1");
    host.found.insert(path("blog/conf/a"), found("theirs"));
    let work = repo.plan(&host);
    assert_eq!(plan_lines(&work)[1], "  conflict blog/conf/a");
    assert_eq!(project(&work, "blog").problems.len(), 1);
}

#[test]
fn a_file_makes_room_for_a_directory_and_back() {
    let repo = Projects::new(&[("blog/compose.yml", COMPOSE), ("blog/conf/a", "1")]);
    let host = repo.deployed();
    repo.remove("blog/conf/a").write("blog/conf/a/b", "1");
    let work = repo.plan(&host);
    assert_eq!(plan_lines(&work)[1..3], ["  removed blog/conf/a", "  added blog/conf/a/b"]);
    let mut host = applied(&work, &host);
    repo.remove("blog/conf/a").write("blog/conf/a", "1");
    host.found.insert(path("blog/conf/a"), Found::Directory);
    let work = repo.plan(&host);
    assert_eq!(plan_lines(&work)[1..3], ["  added blog/conf/a", "  removed blog/conf/a/b"]);
    assert!(project(&work, "blog").problems.is_empty());
}

#[test]
fn an_unmanaged_directory_in_the_way_is_a_conflict() {
    let repo = Projects::new(&[("blog/compose.yml", COMPOSE)]);
    let mut host = repo.deployed();
    repo.write("blog/conf/a", "1");
    host.found.insert(path("blog/conf/a"), Found::Directory);
    let work = repo.plan(&host);
    assert_eq!(project(&work, "blog").files[0].change, FileChangeKind::Conflict);
    assert!(
        project(&work, "blog").problems[0].help.as_deref().unwrap().contains("remove the empty directory")
    );
}

#[test]
fn managed_files_behind_a_link_stop_their_project_with_one_problem() {
    let files = [("blog/conf/a", "1"), ("blog/conf/b", "1"), ("blog/conf/sub/c", "1"), ("blog/x", "1")];
    let repo = Projects::new(&[("blog/compose.yml", COMPOSE)]);
    files.iter().fold(&repo, |repo, (path, text)| repo.write(path, text));
    let mut host = repo.deployed();
    let behind = || Found::Behind { link: path("blog/conf"), target: "/etc".to_owned() };
    for (at, _) in &files[..3] {
        host.found.insert(path(at), behind());
    }
    repo.remove("blog/conf/b").write("blog/conf/new", "1");
    host.found.insert(path("blog/conf/new"), behind());
    for adopt in [false, true] {
        let work = repo.plan_with(&host, |asked| asked.adopt = adopt);
        assert_eq!(
            plan_lines(&work)[1..5],
            [
                "  conflict blog/conf/a",
                "  conflict blog/conf/b",
                "  conflict blog/conf/new",
                "  conflict blog/conf/sub/c"
            ]
        );
        let problems: Vec<&str> =
            project(&work, "blog").problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(
            problems,
            [
                "services/blog/conf on the host is a link to /etc, and ghdeploy did not make it: services/blog/conf/a and 3 other files would be read and written there"
            ]
        );
    }
    // A project that is taken down keeps its containers, too.
    repo.remove("blog/compose.yml").write("shop/compose.yml", COMPOSE);
    let work = repo.plan_with(&host, |asked| asked.prune = true);
    assert_eq!(project(&work, "blog").problems.len(), 1);
}

#[test]
fn a_directory_that_replaced_a_managed_file_on_the_host_is_not_removed() {
    let repo = Projects::new(&[("blog/compose.yml", COMPOSE), ("blog/x", "1")]);
    let mut host = repo.deployed();
    repo.remove("blog/x");
    for there in [Found::Directory, Found::Other, Found::Unreadable, Found::Missing] {
        host.found.insert(path("blog/x"), there.clone());
        let work = repo.plan(&host);
        assert_eq!(plan_lines(&work), Vec::<String>::new(), "{there:?}");
        assert!(work.project("blog").unwrap().needs_record, "{there:?}");
    }
}

#[test]
fn the_changes_make_the_wanted_manifest_of_what_the_host_has() {
    let repo = Projects::new(&[
        ("blog/compose.yml", COMPOSE),
        ("blog/a", "1"),
        ("blog/b", "1"),
        ("blog/conf/x", "1"),
    ]);
    let mut host = repo.deployed();
    host.found.insert(path("blog/b"), found("drifted"));
    host.found.insert(path("blog/conf/x"), Found::Missing);
    repo.remove("blog/a").write("blog/c", "c").make_executable("blog/b");
    let work = repo.plan(&host);
    assert_eq!(
        plan_lines(&work)[1..],
        [
            "  removed blog/a",
            "  drift blog/b",
            "  added blog/c",
            "  drift blog/conf/x",
            "  restart web: blog/conf/x bind@2 (changed on the host)"
        ]
    );
    assert_eq!(changed(&work, &host, &unit("blog")), work.project("blog").unwrap().manifest);
}
