//! Health of services, judged from what Docker reports of their containers.
//!
//! Pure: the caller brings the containers and the time. `docker compose up --wait` is not used: it
//! calls a crash loop healthy and a one-shot that has completed a failure.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::duration::show_duration;
use crate::state::container::{Container, ContainerState, HealthStatus};

/// What is known of the services that have acted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthVerdict {
    /// All are healthy.
    Healthy,
    /// Not yet; the words say what is missing.
    Waiting(Vec<String>),
    /// These are not, and will not be by waiting.
    Unhealthy(Vec<Unhealthy>),
}

/// A service that is unhealthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unhealthy {
    /// The service.
    pub service: String,
    /// The id of the container that shows it; empty when there is none.
    pub container: String,
    /// What is wrong, in words.
    pub why: String,
    /// Whether only its time was over, so that it might have become healthy later.
    pub is_late: bool,
}

/// Longest time that a healthcheck alone extends the wait: one that takes longer needs `health.timeout` of its
/// service, so that a mistyped interval does not hold the lock for a day.
const MAX_EXTENSION: Duration = Duration::from_secs(30 * 60);

/// Number of restarts after a failure that end the wait: Docker doubles the pause each time, and a service that
/// waits for another one gets through within two.
const MAX_RESTARTS: u64 = 3;

/// What is known of a service before its containers are watched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expectation {
    /// How long it may take, if that is set for this service.
    pub timeout: Option<Duration>,
    /// The test of its healthcheck, as it may be shown; `None`: the image has it.
    pub test: Option<String>,
    /// Whether the host may scale it to no containers.
    pub may_be_none: bool,
}

/// Watches the containers of some services until they are healthy.
#[derive(Debug)]
pub struct HealthWatch<'a> {
    project: &'a str,
    services: &'a [String],
    stable_for: Duration,
    /// How long each may take, unless its healthcheck or its own setting say otherwise.
    timeout: Duration,
    expected: BTreeMap<&'a str, Expectation>,
    /// Whether it must complete, because others wait for that.
    must_complete: bool,
    /// By container: when it was first seen running as it is now (start time and restart count).
    since: BTreeMap<String, (String, u64, Duration)>,
    /// By container: the restarts before the watch began.
    restarts_before: BTreeMap<String, u64>,
    /// By container: the last exit status that was not 0.
    failed_with: BTreeMap<String, i64>,
}

impl<'a> HealthWatch<'a> {
    /// Watches `services` of Compose's `project`; each must be healthy for `stable_for`, within `timeout`.
    #[must_use]
    pub fn new(project: &'a str, services: &'a [String], stable_for: Duration, timeout: Duration) -> Self {
        Self {
            project,
            services,
            stable_for,
            timeout,
            expected: BTreeMap::new(),
            must_complete: false,
            since: BTreeMap::new(),
            restarts_before: BTreeMap::new(),
            failed_with: BTreeMap::new(),
        }
    }

    /// Watches one-shots until they have completed, each within `timeout`.
    #[must_use]
    pub fn until_completed(project: &'a str, services: &'a [String], timeout: Duration) -> Self {
        Self { must_complete: true, ..Self::new(project, services, Duration::ZERO, timeout) }
    }

    /// Adds what is known of services.
    #[must_use]
    pub fn expecting(mut self, expected: BTreeMap<&'a str, Expectation>) -> Self {
        self.expected = expected;
        self
    }

    /// Leaves restarts of containers out of account that happened before.
    #[must_use]
    pub fn since(mut self, before: &[Container]) -> Self {
        self.restarts_before =
            before.iter().map(|container| (container.id.clone(), container.restarts)).collect();
        self
    }

    /// Judges what Docker says `now`, a time since the watch began.
    pub fn see(&mut self, containers: &[Container], now: Duration) -> HealthVerdict {
        let (mut unhealthy, mut waiting) = (Vec::new(), Vec::new());
        let own: Vec<&Container> = containers.iter().filter(self.concerns()).collect();
        let may_be_none = |name: &str| {
            !self.must_complete && self.expected.get(name).is_some_and(|expected| expected.may_be_none)
        };
        let is_absent = |name: &&String| !own.iter().any(|own| own.service == **name) && !may_be_none(name);
        for service in self.services.iter().filter(is_absent) {
            let why = "no container".to_owned();
            if now > self.limit(service, None) {
                unhealthy.push(Unhealthy {
                    service: service.clone(),
                    container: String::new(),
                    why,
                    is_late: true,
                });
            } else {
                waiting.push(format!("{service}: {why}"));
            }
        }
        for container in own {
            let (service, id) = (container.service.clone(), container.id.clone());
            match self.judge(container, now) {
                Judgement::Healthy => {}
                Judgement::Waiting(why) => {
                    let limit = self.limit(&service, Some(container));
                    if now > limit {
                        let why = format!("{why} after {}", show_duration(limit));
                        unhealthy.push(Unhealthy { service, container: id, why, is_late: true });
                    } else {
                        waiting.push(format!("{service}: {why}"));
                    }
                }
                Judgement::Unhealthy(why) => {
                    unhealthy.push(Unhealthy { service, container: id, why, is_late: false });
                }
            }
        }
        if !unhealthy.is_empty() {
            HealthVerdict::Unhealthy(unhealthy)
        } else if waiting.is_empty() {
            HealthVerdict::Healthy
        } else {
            HealthVerdict::Waiting(waiting)
        }
    }

    /// How long a service may take: as set for it, or else as long as all services, and at least as long as
    /// Docker needs to decide by its healthcheck.
    fn limit(&self, service: &str, container: Option<&Container>) -> Duration {
        if let Some(timeout) = self.expected.get(service).and_then(|expected| expected.timeout) {
            return timeout.max(self.stable_for);
        }
        let check = container.filter(|container| container.health.is_some());
        let check = check.and_then(|container| container.healthcheck);
        let needs = check.map(|check| check.decides_within().min(MAX_EXTENSION)).unwrap_or_default();
        self.timeout.max(self.stable_for).max(needs)
    }

    fn concerns(&self) -> impl Fn(&&Container) -> bool + use<'a> {
        let (project, services) = (self.project, self.services);
        move |container| {
            container.project == project && !container.is_oneoff() && services.contains(&container.service)
        }
    }

    fn judge(&mut self, container: &Container, now: Duration) -> Judgement {
        if matches!(
            container.state,
            ContainerState::Restarting | ContainerState::Exited | ContainerState::Dead
        ) && container.exit_code != 0
        {
            self.failed_with.insert(container.id.clone(), container.exit_code);
        }
        if let Some(why) = self.crash_loop(container) {
            return Judgement::Unhealthy(why);
        }
        match &container.state {
            ContainerState::Running if self.must_complete => {
                Judgement::Waiting("not completed yet".to_owned())
            }
            ContainerState::Running => {
                let entry = self
                    .since
                    .entry(container.id.clone())
                    .or_insert_with(|| (container.started.clone(), container.restarts, now));
                if entry.0 != container.started || entry.1 != container.restarts {
                    *entry = (container.started.clone(), container.restarts, now);
                }
                let stable = now.saturating_sub(entry.2) >= self.stable_for;
                match &container.health {
                    Some(HealthStatus::Unhealthy) => Judgement::Unhealthy(format!(
                        "failing healthcheck after {}: {}",
                        show_duration(now),
                        self.check(container)
                    )),
                    Some(HealthStatus::Starting) => Judgement::Waiting(format!(
                        "healthcheck has not passed yet: {}",
                        self.check(container)
                    )),
                    _ if stable => Judgement::Healthy,
                    _ if container.restarts > 0 => Judgement::Waiting(format!(
                        "restarting again and again ({})",
                        times(container.restarts)
                    )),
                    _ => Judgement::Waiting("not up for long enough".to_owned()),
                }
            }
            ContainerState::Exited if container.exit_code == 0 => Judgement::Healthy,
            ContainerState::Exited | ContainerState::Dead => {
                Judgement::Unhealthy(format!("exited with status {}", container.exit_code))
            }
            ContainerState::Restarting => {
                self.since.remove(&container.id);
                Judgement::Waiting(format!(
                    "exited with status {} and keeps restarting ({})",
                    container.exit_code,
                    times(container.restarts)
                ))
            }
            state => Judgement::Waiting(state.to_string()),
        }
    }

    /// What to say of a container that was restarted again and again because it fails.
    fn crash_loop(&self, container: &Container) -> Option<String> {
        let status = self.failed_with.get(&container.id)?;
        let before = self.restarts_before.get(&container.id).copied().unwrap_or_default();
        // A manual start sets the number back to 0.
        let restarts = container.restarts.checked_sub(before).unwrap_or(container.restarts);
        let is_over = restarts >= MAX_RESTARTS;
        is_over.then(|| format!("restarted {restarts} times, exit {status}"))
    }

    /// The healthcheck of a container, in words.
    fn check(&self, container: &Container) -> String {
        let test =
            self.expected.get(container.service.as_str()).and_then(|expected| expected.test.as_deref());
        let test = test.map_or_else(|| "the test of the image".to_owned(), |test| format!("`{test}`"));
        let every = container.healthcheck.map(|check| format!("every {}", show_duration(check.interval())));
        let last = match container.probe {
            None => "it has not run yet".to_owned(),
            // Docker's status of a test that it ended.
            Some(-1) => "the last run timed out".to_owned(),
            Some(status) => format!("last exit status {status}"),
        };
        format!("{test} ({})", every.into_iter().chain([last]).collect::<Vec<_>>().join(", "))
    }
}

enum Judgement {
    Healthy,
    Waiting(String),
    Unhealthy(String),
}

/// `once`, `2 times`.
fn times(number: u64) -> String {
    if number == 1 { "once".to_owned() } else { format!("{number} times") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::container::Healthcheck;

    const TIMEOUT: Duration = Duration::from_secs(120);

    fn container(state: &str) -> Container {
        Container {
            id: "c1".into(),
            name: "/blog-web-1".into(),
            project: "blog".into(),
            service: "web".into(),
            oneoff: "False".into(),
            replaces: String::new(),
            image: "sha256:1".into(),
            image_name: "web:1".into(),
            state: state.to_owned().into(),
            exit_code: 0,
            restarts: 0,
            created: "2026-01-01T00:00:00Z".into(),
            started: "2026-01-01T00:00:00Z".into(),
            ..Container::default()
        }
    }

    fn seen(steps: &[(u64, Container)]) -> Vec<HealthVerdict> {
        let services = ["web".to_owned()];
        let mut watch = HealthWatch::new("blog", &services, Duration::from_secs(5), TIMEOUT);
        steps
            .iter()
            .map(|(secs, container)| watch.see(std::slice::from_ref(container), Duration::from_secs(*secs)))
            .collect()
    }

    #[test]
    fn running_for_long_enough_is_well() {
        let verdicts =
            seen(&[(0, container("running")), (4, container("running")), (5, container("running"))]);
        assert!(matches!(
            verdicts[..],
            [HealthVerdict::Waiting(_), HealthVerdict::Waiting(_), HealthVerdict::Healthy]
        ));
    }

    #[test]
    fn a_crash_loop_never_gets_well() {
        let again =
            |restarts, started: &str| Container { restarts, started: started.into(), ..container("running") };
        let verdicts = seen(&[
            (0, again(0, "a")),
            (4, again(1, "b")),
            (8, again(2, "c")),
            (12, Container { exit_code: 1, ..container("restarting") }),
        ]);
        assert!(verdicts.iter().all(|verdict| matches!(verdict, HealthVerdict::Waiting(_))), "{verdicts:?}");
    }

    #[test]
    fn a_one_shot_that_ended_well_is_well_and_one_that_failed_is_unhealthy() {
        assert_eq!(seen(&[(0, container("exited"))]), [HealthVerdict::Healthy]);
        assert!(
            matches!(&seen(&[(0, Container { exit_code: 3, ..container("exited") })])[0], HealthVerdict::Unhealthy(unhealthy) if unhealthy[0].why == "exited with status 3")
        );
    }

    #[test]
    fn health_counts_and_stability_too() {
        let health =
            |health: &str| Container { health: Some(health.to_owned().into()), ..container("running") };
        let verdicts = seen(&[(0, health("starting")), (9, health("starting")), (10, health("healthy"))]);
        assert!(matches!(
            verdicts[..],
            [HealthVerdict::Waiting(_), HealthVerdict::Waiting(_), HealthVerdict::Healthy]
        ));
        assert!(matches!(seen(&[(0, health("unhealthy"))])[0], HealthVerdict::Unhealthy(_)));
    }

    #[test]
    fn other_services_and_one_off_containers_do_not_count() {
        for other in [
            Container { service: "worker".into(), exit_code: 1, ..container("exited") },
            Container { oneoff: "True".into(), exit_code: 1, ..container("exited") },
        ] {
            assert_eq!(seen(&[(0, other)]), [HealthVerdict::Waiting(vec!["web: no container".to_owned()])]);
        }
    }

    #[test]
    fn a_service_that_the_host_may_scale_to_zero_needs_no_container() {
        let services = ["web".to_owned()];
        let expected = Expectation { may_be_none: true, ..Expectation::default() };
        let expecting = || BTreeMap::from([("web", expected.clone())]);
        let mut watch = HealthWatch::new("blog", &services, Duration::ZERO, TIMEOUT).expecting(expecting());
        assert_eq!(watch.see(&[], Duration::ZERO), HealthVerdict::Healthy);
        let mut watch = HealthWatch::until_completed("blog", &services, TIMEOUT).expecting(expecting());
        assert!(matches!(watch.see(&[], Duration::ZERO), HealthVerdict::Waiting(_)));
    }

    #[test]
    fn a_one_shot_is_watched_until_it_completes() {
        let services = ["web".to_owned()];
        let mut watch = HealthWatch::until_completed("blog", &services, TIMEOUT);
        let mut see = |container: Container| watch.see(&[container], Duration::from_secs(60));
        assert!(matches!(see(container("running")), HealthVerdict::Waiting(_)));
        assert_eq!(see(container("exited")), HealthVerdict::Healthy);
    }

    #[test]
    fn a_restart_or_another_start_alone_begins_the_time_anew() {
        for again in [
            Container { restarts: 1, ..container("running") },
            Container { started: "2026-01-01T00:00:04Z".into(), ..container("running") },
        ] {
            let steps = [4, 8, 9].map(|secs| (secs, again.clone()));
            let verdicts = seen(&[&[(0, container("running"))][..], &steps].concat());
            assert!(
                matches!(
                    verdicts[1..],
                    [HealthVerdict::Waiting(_), HealthVerdict::Waiting(_), HealthVerdict::Healthy]
                ),
                "{verdicts:?}"
            );
        }
    }

    #[test]
    fn a_container_that_restarted_is_reported_as_restarting() {
        let words = |restarts| match &seen(&[(0, Container { restarts, ..container("running") })])[0] {
            HealthVerdict::Waiting(words) => words[0].contains("restart"),
            other => panic!("{other:?}"),
        };
        assert_eq!([words(0), words(1), words(2)], [false, true, true]);
    }

    #[test]
    fn after_the_timeout_services_that_are_missing_or_not_healthy_are_reported() {
        let services = ["web".to_owned(), "worker".to_owned()];
        let of = |containers: &[Container]| -> Vec<(String, String)> {
            let mut watch = HealthWatch::new("blog", &services, Duration::from_secs(5), TIMEOUT);
            for now in [Duration::ZERO, TIMEOUT] {
                assert!(matches!(watch.see(containers, now), HealthVerdict::Waiting(_)));
            }
            match watch.see(containers, TIMEOUT + Duration::from_secs(1)) {
                HealthVerdict::Unhealthy(overdue) => {
                    overdue.into_iter().map(|one| (one.service, one.container)).collect()
                }
                other => panic!("{other:?}"),
            }
        };
        let starting = Container { health: Some(HealthStatus::Starting), ..container("running") };
        let named = |service: &str, container: &str| (service.to_owned(), container.to_owned());
        assert_eq!(of(std::slice::from_ref(&starting)), [named("worker", ""), named("web", "c1")]);
        assert_eq!(of(&[container("exited")]), [named("worker", "")]);
        let other = Container { project: "shop".into(), ..container("exited") };
        assert_eq!(of(&[other]), [named("web", ""), named("worker", "")]);
        let worker = Container { id: "c2".into(), service: "worker".into(), ..starting };
        assert_eq!(of(&[container("running"), worker]), [named("worker", "c2")]);
    }

    #[test]
    fn a_one_shot_that_has_not_completed_in_time_is_reported() {
        let services = ["web".to_owned()];
        let mut watch = HealthWatch::until_completed("blog", &services, TIMEOUT);
        let overdue = watch.see(&[container("running")], Duration::from_secs(121));
        assert!(
            matches!(&overdue, HealthVerdict::Unhealthy(overdue) if overdue[0].why == "not completed yet after 2m"),
            "{overdue:?}"
        );
    }

    const NANOS: u64 = 1_000_000_000;

    fn checked(interval_secs: u64, probe: Option<i64>) -> Container {
        let healthcheck = Healthcheck {
            interval: interval_secs * NANOS,
            timeout: 10 * NANOS,
            start_period: 60 * NANOS,
            retries: 3,
        };
        let health = Some(HealthStatus::Starting);
        Container { healthcheck: Some(healthcheck), health, probe, ..container("running") }
    }

    #[test]
    fn a_healthcheck_extends_the_time_as_far_as_it_needs() {
        let services = ["web".to_owned()];
        for (interval, secs) in [(1, 120), (180, 60 + 4 * 190), (86_400, 1_800)] {
            let mut watch = HealthWatch::new("blog", &services, Duration::ZERO, TIMEOUT);
            let container = checked(interval, None);
            let mut see = |secs| watch.see(std::slice::from_ref(&container), Duration::from_secs(secs));
            assert!(matches!(see(secs), HealthVerdict::Waiting(_)), "{interval}");
            assert!(matches!(see(secs + 1), HealthVerdict::Unhealthy(_)), "{interval}");
        }
    }

    #[test]
    fn a_service_has_a_timeout_of_its_own() {
        let services = ["web".to_owned()];
        for secs in [20, 7_200] {
            let timeout = Some(Duration::from_secs(secs));
            let expected = BTreeMap::from([("web", Expectation { timeout, ..Expectation::default() })]);
            let watch = HealthWatch::new("blog", &services, Duration::ZERO, TIMEOUT);
            let mut watch = watch.expecting(expected);
            let container = checked(180, None);
            let mut see = |secs| watch.see(std::slice::from_ref(&container), Duration::from_secs(secs));
            assert!(matches!(see(secs), HealthVerdict::Waiting(_)), "{secs}");
            assert!(matches!(see(secs + 1), HealthVerdict::Unhealthy(_)), "{secs}");
        }
    }

    #[test]
    fn a_failing_healthcheck_is_shown_with_its_test() {
        let services = ["web".to_owned()];
        let said = |container: Container, test: Option<&str>| {
            let expected = Expectation { test: test.map(str::to_owned), ..Expectation::default() };
            let watch = HealthWatch::new("blog", &services, Duration::ZERO, TIMEOUT);
            let mut watch = watch.expecting(BTreeMap::from([("web", expected)]));
            match watch.see(&[container], Duration::from_secs(95)) {
                HealthVerdict::Unhealthy(unhealthy) => unhealthy[0].why.clone(),
                HealthVerdict::Waiting(waiting) => waiting[0].clone(),
                HealthVerdict::Healthy => "healthy".to_owned(),
            }
        };
        let unhealthy = Container { health: Some(HealthStatus::Unhealthy), ..checked(30, Some(7)) };
        assert_eq!(
            said(unhealthy, Some("pg_isready -U ${DB_USER}")),
            "failing healthcheck after 1m 35s: `pg_isready -U ${DB_USER}` (every 30s, last exit status 7)"
        );
        assert_eq!(
            said(checked(180, Some(-1)), None),
            "web: healthcheck has not passed yet: the test of the image (every 3m, the last run timed out)"
        );
        assert!(said(checked(0, None), None).ends_with("(every 30s, it has not run yet)"));
    }

    #[test]
    fn three_restarts_after_a_failure_end_the_wait() {
        let restarting = |restarts, exit_code| Container { restarts, exit_code, ..container("restarting") };
        let ends = |container: Container| match &seen(&[(1, container)])[0] {
            HealthVerdict::Unhealthy(unhealthy) => Some(unhealthy[0].why.clone()),
            _ => None,
        };
        assert_eq!(ends(restarting(2, 9)), None);
        assert_eq!(ends(restarting(3, 9)).as_deref(), Some("restarted 3 times, exit 9"));
        assert_eq!(ends(restarting(7, 0)), None, "a job that its policy repeats");
        let with_check = Container { health: Some(HealthStatus::Starting), ..restarting(3, 9) };
        assert!(ends(with_check).is_some());
        // Docker reports no exit status of a container that runs again.
        let again = Container { restarts: 3, ..container("running") };
        let verdicts = seen(&[(1, restarting(2, 9)), (2, again)]);
        assert!(matches!(verdicts[1], HealthVerdict::Unhealthy(_)), "{verdicts:?}");
    }

    #[test]
    fn restarts_from_before_do_not_count() {
        let services = ["web".to_owned()];
        let looped = |restarts| Container { restarts, exit_code: 9, ..container("restarting") };
        for (before, now, is_over) in [(5, 6, false), (5, 8, true), (5, 2, false), (5, 3, true)] {
            let watch = HealthWatch::new("blog", &services, Duration::ZERO, TIMEOUT);
            let mut watch = watch.since(&[looped(before)]);
            let verdict = watch.see(&[looped(now)], Duration::ZERO);
            assert_eq!(matches!(verdict, HealthVerdict::Unhealthy(_)), is_over, "{before} {now}");
        }
    }
}
