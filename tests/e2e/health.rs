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
