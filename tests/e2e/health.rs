//! How long services may take, and what is said of those that do not become healthy.

use crate::bed::Bed;

fn bed(test: &str, service: &str) -> Bed {
    let bed = Bed::new(test);
    bed.write("ghdeploy.yml", "health: {stable_for: 0s, timeout: 1s}\n");
    bed.compose("app", &format!("services:\n  web: {{<<: *s, {service}}}"));
    bed
}

/// A service that is healthy after three seconds.
const SLOW: &str = "command: [sh, -c, 'sleep 3; touch /ok; exec sleep 1000'], healthcheck: {test: [CMD, test, -e, /ok], interval: 1s, retries: 30}";

#[test]
fn a_healthcheck_extends_the_timeout() {
    assert_eq!(bed("slowhealth", SLOW).deploy().fates, ["app/web started"]);
}

#[test]
fn a_service_has_a_timeout_of_its_own() {
    let bed = bed("owntimeout", &format!("{SLOW}, x-ghdeploy: {{health: {{timeout: 1s}}}}"));
    bed.sync([])
        .exits(5)
        .prints("service `web` is unhealthy: healthcheck has not passed yet: `test -e /ok` (every 1s, ")
        .prints(" after 1s");
}

#[test]
fn a_failing_healthcheck_is_told_with_its_test_and_status() {
    let bed = bed("badhealth", "healthcheck: {test: 'echo $SECRET; exit 7', interval: 1s, retries: 2}");
    bed.sync([])
        .exits(5)
        .prints("service `web` is unhealthy: failing healthcheck after ")
        .prints(": `echo $SECRET; exit 7` (every 1s, last exit status 7)")
        .never_prints("only-the-host-knows");
}

#[test]
fn three_restarts_after_a_failure_end_the_wait_with_and_without_a_healthcheck() {
    for check in ["", ", healthcheck: {test: 'true', interval: 60s}"] {
        let bed = bed("restarts", &format!("command: [sh, -c, 'exit 9'], restart: always{check}"));
        bed.write("ghdeploy.yml", "health: {stable_for: 5s, timeout: 1h}\n");
        bed.sync([]).exits(5).prints("service `web` is unhealthy: restarted ").prints(" times, exit 9");
    }
}

#[test]
fn a_service_whose_namespace_another_one_uses_is_blamed_for_both() {
    let bed = Bed::new("sidecar");
    bed.write("ghdeploy.yml", "health: {stable_for: 1s, timeout: 20s}\n");
    let compose = |vpn: &str| {
        bed.compose("app", &format!("services:\n  app: {{<<: *n, network_mode: 'service:vpn', restart: always, command: [sh, -c, 'sleep 1; test -e /proc/self; sleep 1000']}}\n  vpn: {{<<: *s, {vpn}}}"));
    };
    for (vpn, why) in [
        ("command: [sh, -c, 'echo no key; exit 3']", "exited with status 3"),
        ("restart: always, command: [sh, -c, 'echo no key; exit 3']", "restart"),
    ] {
        compose(vpn);
        let output = bed.sync([]).exits(5).prints("service `vpn`").prints(why).prints("no key");
        // It comes first.
        let first = output.stdout.lines().find(|line| line.trim_start().starts_with("error: ")).unwrap();
        assert!(first.contains("service `vpn`"), "{}", output.all());
    }
    compose("environment: {A: '1'}");
    bed.sync([]).exits(0);
}
