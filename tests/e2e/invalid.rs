//! Errors that are found before anything changes: the project stays as it is, the others are deployed.

use crate::bed::Bed;
use crate::bed::observe::fates;
use crate::support::program::Output;

/// A bed with the projects `app` and `blog`, both running.
fn two_projects(test: &str) -> Bed {
    let bed = Bed::new(test);
    bed.compose("app", "services:\n  web: {<<: *s, volumes: ['./web.conf:/web.conf:ro']}");
    bed.compose("blog", "services:\n  web: {<<: *s}");
    bed.write("services/app/web.conf", "one").write("services/blog/notes", "one");
    bed.sync([]).exits(0);
    bed
}

/// Syncs, and asserts that `app` is as it was, to the last byte, and that `blog` is deployed.
#[track_caller]
fn leaves_app_alone(bed: &Bed) -> Output {
    let notes = format!("{} and more", bed.on_host("blog/notes"));
    bed.write("services/blog/notes", &notes);
    let (before, files) = (bed.containers(), bed.listing("root/app"));
    let ran = bed.sync([]).exits(5);
    assert_eq!(bed.listing("root/app"), files, "{}", ran.all());
    assert!(fates(&before, &bed.containers()).is_empty(), "{}", ran.all());
    assert_eq!(bed.on_host("blog/notes"), notes, "{}", ran.all());
    ran.ends_with("nothing was changed: app")
}

#[test]
fn a_typo_in_yaml_stops_only_its_project() {
    let bed = two_projects("typo");
    bed.compose("app", "services:\n  web: {<<: *s\n  worker: [");
    leaves_app_alone(&bed).prints("services/app/compose.yml:");
    bed.call(["check"]).run().exits(2).prints("services/app/compose.yml:");
}

#[test]
fn an_error_that_only_compose_finds_stops_only_its_project() {
    let bed = two_projects("badkey");
    bed.compose("app", "services:\n  web: {<<: *s, imagge: x}");
    leaves_app_alone(&bed).prints("imagge");
    bed.compose("app", "services:\n  web: {<<: *s, depends_on: [nobody]}");
    leaves_app_alone(&bed).prints("nobody");
}

#[test]
fn an_unset_variable_stops_its_project_and_is_named() {
    let bed = two_projects("unset");
    bed.compose("app", "services:\n  web: {<<: *s, environment: {TOKEN: '${NOBODY_SETS_ME}'}}");
    leaves_app_alone(&bed).prints("NOBODY_SETS_ME").prints(".env").never_prints("only-the-host-knows");
}

#[test]
fn a_missing_bind_source_stops_its_project() {
    let bed = two_projects("nosource");
    bed.compose("app", "services:\n  web: {<<: *s, volumes: ['./nginx.conf:/nginx.conf:ro']}");
    leaves_app_alone(&bed).prints("nginx.conf").prints("services/app/compose.yml:");
    assert!(!bed.root("app/nginx.conf").exists(), "Docker has made a directory of it");
}

#[test]
fn a_directory_in_place_of_a_mounted_file_stops_its_project() {
    let bed = two_projects("wrongtype");
    // Docker makes such a directory when the source of a mount is missing.
    bed.guard("app/nginx.conf/made-by-docker", "");
    bed.compose("app", "services:\n  web: {<<: *s, volumes: ['./nginx.conf:/nginx.conf:ro']}");
    leaves_app_alone(&bed)
        .prints("is a directory on the host, though a file is meant")
        .prints("services/app/compose.yml:");
}

#[test]
fn an_image_that_cannot_be_pulled_leaves_the_old_container_running() {
    let bed = two_projects("nopull");
    bed.compose("app", "services:\n  web: {<<: *s, image: '127.0.0.1:1/nobody/nothing:1'}");
    leaves_app_alone(&bed).prints("127.0.0.1:1");
}

#[test]
fn a_refused_first_deploy_leaves_no_trace_of_the_project() {
    let bed = Bed::new("firstbad");
    bed.compose("app", "services:\n  web: {<<: *s, imagge: x}");
    let files = bed.listing("root/app");
    bed.sync([]).exits(5).ends_with("nothing was changed");
    assert_eq!(bed.listing("root/app"), files);
    assert!(bed.containers().is_empty());
    bed.compose("app", "services:\n  web: {<<: *s}");
    assert_eq!(bed.deploy().fates, ["app/web started"]);
}

#[test]
fn a_configuration_with_an_unknown_key_is_refused_with_its_line() {
    let bed = Bed::new("badconfig");
    bed.compose("app", "services:\n  web: {<<: *s}");
    bed.write("ghdeploy.yml", "health: {stable_for: 1s}\nsinc: {ignore: []}\n");
    bed.sync([]).exits(2).prints("ghdeploy.yml:2").prints("sync");
    bed.call(["sync", "--project", "nobody"]).run().exits(2);
    bed.call(["sync", "--no-such-option"]).run().exits(2);
}
