//! Failures after the swap: files and services are restored, and the report says so.

use std::process::Command;

use crate::bed::{Bed, stdout_of};
use crate::support::program::Output;

/// A bed in which a service must run for a second to be healthy.
fn bed(test: &str) -> Bed {
    let bed = Bed::new(test);
    bed.write("ghdeploy.yml", "health: {stable_for: 1s, timeout: 90s}\n");
    bed
}

/// A bed with the project `app`, running, in which `web` mounts `web.conf`.
fn running(test: &str) -> Bed {
    let bed = bed(test);
    compose(&bed, "one", "");
    bed.write("services/app/web.conf", "one");
    bed.sync([]).exits(0);
    bed
}

fn compose(bed: &Bed, mode: &str, more: &str) {
    bed.compose("app", &format!("services:\n  web: {{<<: *s, environment: {{MODE: {mode}}}, volumes: ['./web.conf:/web.conf:ro']{more}}}\n  worker: {{<<: *s}}"));
}

/// Syncs, and asserts that it fails and that the services run again with their old definition and content.
#[track_caller]
fn goes_back(bed: &Bed) -> Output {
    let (old_compose, old_conf, before) =
        (bed.on_host("app/compose.yml"), bed.on_host("app/web.conf"), bed.containers());
    let ran = bed.sync([]).exits(5).ends_with("rolled back to release 1");
    assert_eq!(
        (bed.on_host("app/compose.yml"), bed.on_host("app/web.conf")),
        (old_compose, old_conf),
        "{}",
        ran.all()
    );
    let after = bed.containers();
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "{}", ran.all());
    for (name, container) in &after {
        assert_eq!(
            (&container.state, &container.health),
            (&before[name].state, &before[name].health),
            "{name}: {}",
            ran.all()
        );
    }
    assert_eq!(after["app/worker"], before["app/worker"], "a service that is not concerned was touched");
    assert_eq!(bed.env("app/web", "MODE"), "one");
    assert_eq!(bed.inside("app/web", &["cat", "/web.conf"]), "one");
    ran
}

#[test]
fn a_service_that_exits_is_rolled_back_and_its_last_log_lines_are_shown() {
    let bed = running("exits");
    compose(&bed, "two", ", command: [sh, -c, 'echo famous last words; exit 3']");
    goes_back(&bed).prints("famous last words").prints("status 3");
    // The fixed version is deployed.
    compose(&bed, "two", "");
    assert_eq!(bed.deploy().fates, ["app/web recreated"]);
    assert_eq!(bed.env("app/web", "MODE"), "two");
}

#[test]
fn what_docker_refuses_is_told_in_our_words_and_kept_in_its_own_on_the_host() {
    let bed = running("refused");
    for (refused, told, kept) in [
        (", user: nobodyhere", "the image has no user `nobodyhere`", "unable to find user nobodyhere"),
        (
            ", command: [nosuchcmd]",
            "`nosuchcmd` of a container is not in the image",
            "executable file not found",
        ),
        (
            ", sysctls: {net.ipv4.nosuch: 1}",
            "the sysctl `net.ipv4.nosuch` is not known",
            "/proc/sys/net/ipv4/nosuch",
        ),
    ] {
        compose(&bed, "two", refused);
        goes_back(&bed).prints(told).never_prints(kept);
        // The files that were refused are gone by now, so that no command would show it.
        let log = bed.on_host(".ghdeploy/failed.log");
        assert!(log.contains(kept), "{log}");
    }
}

#[test]
fn a_crash_loop_is_unhealthy_and_logs_are_shown_only_if_configured() {
    let bed = running("crashes");
    bed.write("ghdeploy.yml", "health: {stable_for: 2s, timeout: 5s, log_lines: 0}\n");
    compose(&bed, "two", ", restart: always, command: [sh, -c, 'echo famous last words; sleep 0.3; exit 1']");
    goes_back(&bed).never_prints("famous last words");
}

#[test]
fn content_that_breaks_a_service_is_rolled_back() {
    let bed = bed("badcontent");
    let command = r#"command: [sh, -c, 'grep -q one /web.conf && exec sleep 100000; echo bad conf; exit 1'], environment: {MODE: one}"#;
    bed.compose("app", &format!("services:\n  web: {{<<: *s, {command}, volumes: ['./web.conf:/web.conf:ro']}}\n  worker: {{<<: *s}}"));
    bed.write("services/app/web.conf", "one");
    bed.sync([]).exits(0);
    bed.write("services/app/web.conf", "two");
    goes_back(&bed).prints("bad conf");
}

#[test]
fn a_failing_healthcheck_is_a_failure() {
    let bed = running("unhealthy");
    compose(&bed, "two", ", healthcheck: {test: [CMD, 'false'], interval: 1s, retries: 2}");
    goes_back(&bed).prints("unhealthy");
}

#[test]
fn a_failing_one_shot_is_a_failure_and_its_dependants_keep_running() {
    let bed = bed("migration");
    let compose = |command: &str, mode: &str| {
        bed.compose("app", &format!("services:
  init: {{<<: *s, command: {command}}}
  web: {{<<: *s, environment: {{MODE: {mode}}}, volumes: ['./web.conf:/web.conf:ro'], depends_on: {{init: {{condition: service_completed_successfully}}}}}}
  worker: {{<<: *s}}"));
    };
    compose("[sh, -c, 'exit 0']", "one");
    bed.write("services/app/web.conf", "one");
    bed.sync([]).exits(0);
    compose("[sh, -c, 'echo the migration failed; exit 1']", "two");
    goes_back(&bed).prints("the migration failed");
}

#[test]
fn a_taken_port_is_reported_and_the_old_definition_restored() {
    let bed = running("port");
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    bed.compose("app", &format!("services:\n  web: {{<<: *n, environment: {{MODE: two}}, ports: ['127.0.0.1:{port}:80'], volumes: ['./web.conf:/web.conf:ro']}}\n  worker: {{<<: *s}}"));
    bed.write("services/app/web.conf", "two");
    goes_back(&bed).prints("port");
}

#[test]
fn a_failing_new_project_leaves_no_containers_and_no_files() {
    let bed = running("newfails");
    bed.compose("blog", "services:\n  web: {<<: *s, command: [sh, -c, 'exit 7']}\n  worker: {<<: *s}");
    bed.write("services/app/notes", "new");
    bed.sync([]).exits(5).prints("status 7").ends_with("rolled back: blog");
    assert!(!bed.root("blog/compose.yml").exists());
    assert_eq!(bed.containers().into_keys().collect::<Vec<_>>(), ["app/web", "app/worker"]);
    assert_eq!(bed.on_host("app/notes"), "new");
}

#[test]
fn a_failed_deploy_restores_a_moved_tag() {
    let bed = bed("tag");
    let image = format!("{}-app:latest", bed.id);
    bed.compose("app", &format!("services:\n  web: {{<<: *s, environment: {{MODE: one}}, image: '{image}', build: ./image}}\n  worker: {{<<: *s}}"));
    bed.write("services/app/web.conf", "one").write(
        "services/app/image/Dockerfile",
        "FROM ghdeploy-test/busybox:1\nCOPY run /run.sh\nCMD [\"sh\", \"/run.sh\"]\n",
    );
    bed.write("services/app/image/run", "sleep 100000");
    bed.write(
        "services/app/compose.yml",
        std::fs::read_to_string(bed.repo("services/app/compose.yml"))
            .unwrap()
            .replace("command: sleep 100000, ", ""),
    );
    let fixed = std::fs::read_to_string(bed.repo("services/app/compose.yml"))
        .unwrap()
        .replace("worker: {<<: *s}", "worker: {<<: *s, command: sleep 100000}");
    bed.write(
        "services/app/compose.yml",
        fixed.replace("build: ./image", "build: ./image, volumes: ['./web.conf:/web.conf:ro']"),
    );
    bed.sync([]).exits(0);
    let before = bed.inspect("app/web", "{{.Image}}");
    bed.write("services/app/image/run", "exit 4");
    goes_back(&bed).prints("status 4");
    assert_eq!(bed.inspect("app/web", "{{.Image}}"), before);
    assert_eq!(
        stdout_of(Command::new("docker").args(["image", "inspect", "--format", "{{.Id}}", &image])).trim(),
        before
    );
}
