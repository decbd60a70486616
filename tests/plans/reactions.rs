//! Reactions that a service sets with `x-ghdeploy`, and services that follow others.

use crate::bench::{Projects, plan_lines};

fn compose(settings: &str) -> String {
    format!(
        "services:\n  web:\n    image: a\n    volumes: [./one:/one, ./conf:/conf]\n    x-ghdeploy: {settings}\n  other: {{image: b}}\n"
    )
}

/// Plan for changes of `one` and `conf/a`, for a service with these settings.
fn reaction(settings: &str) -> Vec<String> {
    let repo =
        Projects::new(&[("blog/compose.yml", &compose(settings)), ("blog/one", "1"), ("blog/conf/a", "1")]);
    let deployed = repo.deployed();
    repo.write("blog/one", "2").write("blog/conf/a", "2");
    plan_lines(&repo.plan(&deployed)).split_off(1)
}

#[test]
fn on_change_decides_how_a_service_reacts() {
    let all = "blog/conf/a bind@4, services/blog/one bind@4".replace("services/", "");
    assert_eq!(
        reaction("{on-change: restart}"),
        ["  modified blog/conf/a", "  modified blog/one", &format!("  restart web: {all}")]
    );
    assert_eq!(
        reaction("{on-change: recreate}"),
        ["  modified blog/conf/a", "  modified blog/one", &format!("  recreate web: {all}")]
    );
    assert_eq!(
        reaction("{on-change: {signal: HUP}}"),
        ["  modified blog/conf/a", "  modified blog/one in place", &format!("  signal web: {all}")]
    );
    assert_eq!(
        reaction("{on-change: {exec: [x, -s]}}"),
        ["  modified blog/conf/a", "  modified blog/one in place", &format!("  exec web: {all}")]
    );
    assert_eq!(
        reaction("{on-change: none}"),
        ["  modified blog/conf/a", "  modified blog/one in place", &format!("  none web: {all}")]
    );
}

#[test]
fn what_only_a_container_of_pre_start_reads_means_a_new_container() {
    let lines = |settings: &str, changed: &[&str]| {
        let hook = "{image: i, command: x, env_file: e.env, volumes: ['./init:/i']}";
        let compose = format!(
            "services: {{web: {{image: a, volumes: ['./one:/one'], pre_start: [{hook}], x-ghdeploy: {settings}}}}}"
        );
        let files =
            [("blog/compose.yml", &*compose), ("blog/one", "1"), ("blog/init", "1"), ("blog/e.env", "A=1")];
        let repo = Projects::new(&files);
        let deployed = repo.deployed();
        for file in changed {
            repo.write(file, "A=2");
        }
        plan_lines(&repo.plan(&deployed)).split_off(1 + changed.len())
    };
    assert_eq!(lines("{}", &["blog/one"]), ["  restart web: blog/one bind@1"]);
    assert_eq!(lines("{}", &["blog/init"]), ["  recreate web: blog/init bind@1"]);
    assert_eq!(lines("{on-change: {signal: HUP}}", &["blog/init"]), ["  recreate web: blog/init bind@1"]);
    assert_eq!(lines("{}", &["blog/init", "blog/one"]), ["  recreate web: blog/init bind@1"]);
    assert_eq!(lines("{on-change: none}", &["blog/init"]), ["  none web: blog/init bind@1"]);
    assert_eq!(lines("{}", &["blog/e.env"]), ["  up web: blog/e.env envfile@1"]);
}

#[test]
fn the_most_specific_path_wins() {
    assert_eq!(
        reaction("{on-change: none, paths: {'conf/**': recreate, conf/a: {signal: USR1}}}"),
        [
            "  modified blog/conf/a",
            "  modified blog/one in place",
            "  signal web: blog/conf/a bind@4",
            "  none web: blog/one bind@4"
        ]
    );
}

#[test]
fn the_strongest_of_several_reactions_suffices() {
    assert_eq!(
        reaction("{paths: {'conf/**': {signal: USR1}}}"),
        ["  modified blog/conf/a", "  modified blog/one", "  restart web: blog/one bind@4"]
    );
    assert_eq!(
        reaction("{paths: {'conf/**': recreate}}"),
        ["  modified blog/conf/a", "  modified blog/one", "  recreate web: blog/conf/a bind@4"]
    );
    assert_eq!(
        reaction("{on-change: {exec: [b]}, paths: {'conf/**': {signal: USR1}}}"),
        [
            "  modified blog/conf/a",
            "  modified blog/one in place",
            "  signal web: blog/conf/a bind@4",
            "  exec web: blog/one bind@4"
        ]
    );
}

#[test]
fn a_change_of_on_change_alone_owes_nothing() {
    for (before, after) in [
        ("{}", "{on-change: {signal: HUP}}"),
        ("{on-change: none}", "{on-change: recreate}"),
        ("{on-change: {exec: [a]}}", "{paths: {'conf/**': none}}"),
    ] {
        let repo =
            Projects::new(&[("blog/compose.yml", &compose(before)), ("blog/one", "1"), ("blog/conf/a", "1")]);
        let deployed = repo.deployed();
        repo.write("blog/compose.yml", &compose(after));
        assert_eq!(
            plan_lines(&repo.plan(&deployed)),
            ["blog changed", "  modified blog/compose.yml"],
            "{after}"
        );
    }
}

#[test]
fn a_file_and_on_change_that_change_together_act_by_the_new_on_change() {
    let repo = Projects::new(&[
        ("blog/compose.yml", &compose("{on-change: {signal: HUP}}")),
        ("blog/one", "1"),
        ("blog/conf/a", "1"),
    ]);
    let deployed = repo.deployed();
    repo.write("blog/compose.yml", &compose("{on-change: restart}")).write("blog/one", "2");
    assert_eq!(plan_lines(&repo.plan(&deployed))[3..], ["  restart web: blog/one bind@4"]);
    repo.write("blog/compose.yml", &compose("{paths: {one: none}}"));
    // The record does not name single files, so the file that means a restart now may have changed: it acts.
    assert_eq!(
        plan_lines(&repo.plan(&deployed))[3..],
        ["  restart web: blog/compose.yml:4 (owed since release 7)"]
    );
}

#[test]
fn a_file_is_replaced_by_a_rename_where_the_container_starts_anew() {
    let repo = Projects::new(&[
        ("blog/compose.yml", &compose("{on-change: none}")),
        ("blog/one", "1"),
        ("blog/conf/a", "1"),
    ]);
    let deployed = repo.deployed();
    repo.write("blog/one", "2")
        .write("blog/compose.yml", &compose("{on-change: none}").replace("image: a", "image: a2"));
    assert_eq!(
        plan_lines(&repo.plan(&deployed))[1..],
        ["  modified blog/compose.yml", "  modified blog/one", "  up web: blog/compose.yml:2"]
    );
}

#[test]
fn a_file_that_two_services_mount_is_written_in_place_if_one_keeps_running() {
    let compose = "services:\n  a: {image: a, volumes: ['./one:/one'], x-ghdeploy: {on-change: {signal: HUP}}}\n  b: {image: b, volumes: ['./one:/one']}\n";
    let repo = Projects::new(&[("blog/compose.yml", compose), ("blog/one", "1")]);
    let deployed = repo.deployed();
    repo.write("blog/one", "2");
    assert_eq!(
        plan_lines(&repo.plan(&deployed))[1..],
        ["  modified blog/one in place", "  restart b: blog/one bind@3", "  signal a: blog/one bind@2"]
    );
}

const ONE_SHOT: &str = "\
services:
  init:
    image: i
    volumes: [./conf:/conf]
  web:
    image: w
    depends_on: {init: {condition: service_completed_successfully}}
  log:
    image: l
    depends_on: {web: {condition: service_started, restart: true}}
  cache:
    image: c
    depends_on: [web]
";

#[test]
fn a_service_that_waits_for_a_one_shot_is_restarted_after_it() {
    let repo = Projects::new(&[("blog/compose.yml", ONE_SHOT), ("blog/conf/a", "1")]);
    let deployed = repo.deployed();
    repo.write("blog/conf/a", "2");
    assert_eq!(
        plan_lines(&repo.plan(&deployed))[2..],
        [
            "  restart init: blog/conf/a bind@4",
            "  restart log: blog/compose.yml:8 (restarts with web)",
            "  restart web: blog/compose.yml:5 (waits for init, which runs again)",
        ]
    );
}

#[test]
fn a_service_that_waits_for_a_one_shot_follows_its_new_definition_too() {
    let repo = Projects::new(&[("blog/compose.yml", ONE_SHOT), ("blog/conf/a", "1")]);
    let deployed = repo.deployed();
    repo.write("blog/compose.yml", &ONE_SHOT.replace("image: i", "image: i2"));
    let plan = plan_lines(&repo.plan(&deployed));
    assert_eq!(
        plan[2..4],
        ["  up init: blog/compose.yml:2", "  restart log: blog/compose.yml:8 (restarts with web)"]
    );
    assert_eq!(plan[4], "  restart web: blog/compose.yml:5 (waits for init, which runs again)");
}

#[test]
fn a_service_that_merely_depends_is_left_alone() {
    let repo = Projects::new(&[("blog/compose.yml", ONE_SHOT), ("blog/conf/a", "1")]);
    let deployed = repo.deployed();
    repo.write("blog/compose.yml", &ONE_SHOT.replace("image: w", "image: w2"));
    assert_eq!(
        plan_lines(&repo.plan(&deployed))[2..],
        ["  up web: blog/compose.yml:5", "  restart log: blog/compose.yml:8 (restarts with web)"]
    );
}

#[test]
fn a_one_shot_that_only_gets_a_signal_does_not_run_again() {
    let compose = ONE_SHOT.replace("[./conf:/conf]", "[./conf:/conf]\n    x-ghdeploy: {on-change: none}");
    let repo = Projects::new(&[("blog/compose.yml", &compose), ("blog/conf/a", "1")]);
    let deployed = repo.deployed();
    repo.write("blog/conf/a", "2");
    assert_eq!(plan_lines(&repo.plan(&deployed))[2..], ["  none init: blog/conf/a bind@4"]);
}

/// Another definition recreates the container anyway, with the new content in it.
#[test]
fn a_new_definition_needs_no_additional_recreate() {
    let compose = |tag: u8| {
        format!(
            "services:\n  web:\n    image: a:{tag}\n    x-ghdeploy: {{on-change: recreate}}\n    volumes: [./conf:/conf]\n"
        )
    };
    let repo = Projects::new(&[("blog/compose.yml", &compose(1)), ("blog/conf", "1\n")]);
    let deployed = repo.deployed();
    repo.write("blog/compose.yml", &compose(2)).write("blog/conf", "2\n");
    let plan = plan_lines(&repo.plan(&deployed));
    assert_eq!(plan[3..], ["  up web: blog/compose.yml:2"]);
}
