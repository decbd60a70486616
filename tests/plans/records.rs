//! Records on the host: owed actions, interrupted runs, and projects that are not selected.

use ghdeploy::state::deployed::{Found, unit};

use crate::bench::{Projects, applied, entry, found, path, plan_lines, project};

const COMPOSE: &str = "\
services:
  web:
    image: nginx:1
    volumes: [./conf:/conf]
  debug:
    image: d
    profiles: [debug]
    volumes: [./conf:/conf]
";

fn repo() -> Projects {
    Projects::new(&[("blog/compose.yml", COMPOSE), ("blog/conf/a", "1")])
}

#[test]
fn a_restart_is_owed_until_it_is_recorded() {
    let repo = repo();
    let old = repo.deployed();
    repo.write("blog/conf/a", "2");
    // The run was interrupted after it recorded the manifest.
    let mut host = repo.deployed();
    host.state = old.state;
    let work = repo.plan(&host);
    assert_eq!(
        plan_lines(&work),
        ["blog changed", "  restart web: blog/compose.yml:4 (owed since release 7)"]
    );
    assert_eq!(plan_lines(&repo.plan(&applied(&work, &host))), Vec::<String>::new());
}

#[test]
fn an_up_is_owed_until_it_is_recorded() {
    let repo = repo();
    let old = repo.deployed();
    repo.write("blog/compose.yml", &COMPOSE.replace("nginx:1", "nginx:2"));
    let mut host = repo.deployed();
    host.state = old.state;
    assert_eq!(
        plan_lines(&repo.plan(&host)),
        ["blog changed", "  up web: blog/compose.yml:2 (owed since release 7)"]
    );
}

#[test]
fn owed_and_new_reasons_are_reported_together() {
    let repo = repo();
    let old = repo.deployed();
    repo.write("blog/compose.yml", &COMPOSE.replace("nginx:1", "nginx:2"));
    let mut host = repo.deployed();
    host.state = old.state;
    repo.write("blog/conf/a", "2");
    assert_eq!(
        plan_lines(&repo.plan(&host))[1..],
        ["  modified blog/conf/a", "  up web: blog/compose.yml:2 (owed since release 7)"]
    );
}

#[test]
fn an_interrupted_first_start_is_owed() {
    let repo = repo();
    let mut host = repo.deployed();
    host.state.projects.clear();
    assert_eq!(plan_lines(&repo.plan(&host)), ["blog added", "  up web: blog/compose.yml:2 (new project)"]);
    let mut host = repo.deployed();
    host.state.projects.get_mut("blog").unwrap().services.clear();
    assert_eq!(plan_lines(&repo.plan(&host)), ["blog changed", "  up web: blog/compose.yml:2 (new service)"]);
}

#[test]
fn an_interrupted_swap_is_finished() {
    let repo = repo();
    let mut host = repo.deployed();
    repo.write("blog/conf/a", "2").write("blog/conf/b", "b");
    let next = repo.deployed().manifests[&unit("blog")].clone();
    // One file is in place, the other is not.
    host.pending.insert(unit("blog"), next);
    host.found.insert(path("blog/conf/a"), found("2"));
    let work = repo.plan(&host);
    assert_eq!(
        plan_lines(&work),
        ["blog changed", "  added blog/conf/b", "  restart web: blog/conf/b bind@4"]
    );
    assert!(work.project("blog").unwrap().needs_record);
}

#[test]
fn an_interrupted_swap_that_is_no_longer_wanted_is_undone() {
    let repo = repo();
    let mut host = repo.deployed();
    repo.write("blog/conf/a", "2").write("blog/conf/b", "b");
    host.pending.insert(unit("blog"), repo.deployed().manifests[&unit("blog")].clone());
    host.found.insert(path("blog/conf/a"), found("2"));
    host.found.insert(path("blog/conf/b"), found("b"));
    repo.write("blog/conf/a", "1").remove("blog/conf/b");
    let work = repo.plan(&host);
    // Both contents are known: neither is drift, and neither needs --adopt.
    assert_eq!(plan_lines(&work), ["blog changed", "  modified blog/conf/a", "  removed blog/conf/b"]);
}

#[test]
fn an_interrupted_swap_that_changed_nothing_still_replaces_its_record() {
    let repo = repo();
    let mut host = repo.deployed();
    host.pending.insert(unit("blog"), host.manifests[&unit("blog")].clone());
    let work = repo.plan(&host);
    assert!(work.plan().is_empty() && !work.is_idle());
}

#[test]
fn force_recreates_every_active_service() {
    let repo = repo();
    let work = repo.plan_with(&repo.deployed(), |asked| asked.force = true);
    assert_eq!(plan_lines(&work), ["blog changed", "  recreate web: blog/compose.yml:2 (--force)"]);
}

#[test]
fn force_recreates_a_service_only_once() {
    let repo = repo();
    let host = repo.deployed();
    repo.write("blog/compose.yml", &COMPOSE.replace("nginx:1", "nginx:2")).write("blog/conf/a", "2");
    let work = repo.plan_with(&host, |asked| asked.force = true);
    let kinds: Vec<&str> = project(&work, "blog").actions.iter().map(|action| action.kind.word()).collect();
    assert_eq!(kinds, ["recreate"], "{:?}", plan_lines(&work));
}

#[test]
fn a_service_with_an_inactive_profile_keeps_its_record() {
    let repo = repo();
    repo.write("blog/.env", "COMPOSE_PROFILES=debug\n");
    let host = repo.deployed();
    assert_eq!(host.state.projects["blog"].services.len(), 2);
    repo.write("blog/.env", "");
    let work = repo.plan(&host);
    assert_eq!(plan_lines(&work), ["blog changed", "  modified blog/.env"]);
    assert_eq!(
        work.project("blog").unwrap().state.services["debug"],
        host.state.projects["blog"].services["debug"]
    );
    // Once it is active again, it is owed what it missed.
    let host = applied(&work, &host);
    repo.write("blog/conf/a", "2");
    let work = repo.plan(&host);
    assert_eq!(plan_lines(&work)[2..], ["  restart web: blog/conf/a bind@4"]);
    let host = applied(&work, &host);
    repo.write("blog/.env", "COMPOSE_PROFILES=debug\n");
    assert_eq!(
        plan_lines(&repo.plan(&host))[2..],
        ["  restart debug: blog/compose.yml:8 (owed since release 9)"]
    );
}

#[test]
fn drift_is_reported_and_the_repository_wins() {
    let repo = repo();
    let mut host = repo.deployed();
    host.found.insert(path("blog/conf/a"), found("by hand"));
    let work = repo.plan(&host);
    // The service may have read the interrupted content, so it starts again with the restored one.
    assert_eq!(
        plan_lines(&work),
        ["blog changed", "  drift blog/conf/a", "  restart web: blog/conf/a bind@4 (changed on the host)"]
    );
    assert_eq!(work.notes[0].message, "1 file was changed on the host since it was deployed");
    assert_eq!(project(&work, "blog").files[0].before, Some(entry("by hand")));
    repo.write("blog/conf/a", "2");
    assert_eq!(
        plan_lines(&repo.plan(&host))[1..],
        ["  drift blog/conf/a", "  restart web: blog/conf/a bind@4 (changed on the host)"]
    );
}

#[test]
fn drift_to_the_wanted_content_is_none() {
    let repo = repo();
    let mut host = repo.deployed();
    repo.write("blog/conf/a", "2");
    host.found.insert(path("blog/conf/a"), found("2"));
    let work = repo.plan(&host);
    assert_eq!(
        plan_lines(&work),
        ["blog changed", "  restart web: blog/compose.yml:4 (owed since release 7)"]
    );
}

#[test]
fn a_file_that_was_deleted_on_the_host_is_restored() {
    let repo = repo();
    let mut host = repo.deployed();
    host.found.insert(path("blog/conf/a"), Found::Missing);
    let work = repo.plan(&host);
    assert_eq!(
        plan_lines(&work),
        ["blog changed", "  drift blog/conf/a", "  restart web: blog/conf/a bind@4 (changed on the host)"]
    );
    assert!(work.notes.is_empty(), "there is nothing to keep: {:?}", work.notes);
}

#[test]
fn drift_in_a_removed_file_is_kept_too() {
    let repo = repo();
    let mut host = repo.deployed();
    host.found.insert(path("blog/conf/a"), found("by hand"));
    repo.remove("blog/conf/a").write("blog/conf/b", "b");
    let work = repo.plan(&host);
    assert_eq!(plan_lines(&work)[1..3], ["  drift blog/conf/a", "  added blog/conf/b"]);
    assert_eq!(project(&work, "blog").files[0].after, None);
    assert_eq!(work.notes.len(), 1);
}
