//! Health of services, judged from what Docker reports of their containers.
//!
//! Pure: the caller brings the containers and the time. `docker compose up --wait` is not used: it
//! calls a crash loop healthy and a one-shot that has completed a failure.

use std::collections::BTreeMap;
use std::time::Duration;

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
}

/// Watches the containers of some services until they are healthy.
#[derive(Debug)]
pub struct HealthWatch<'a> {
    project: &'a str,
    services: &'a [String],
    stable_for: Duration,
    /// Whether it must complete, because others wait for that.
    must_complete: bool,
    /// By container: when it was first seen running as it is now (start time and restart count).
    since: BTreeMap<String, (String, u64, Duration)>,
}

impl<'a> HealthWatch<'a> {
    /// Watches `services` of Compose's `project`; each must be healthy for `stable_for`.
    #[must_use]
    pub fn new(project: &'a str, services: &'a [String], stable_for: Duration) -> Self {
        Self { project, services, stable_for, must_complete: false, since: BTreeMap::new() }
    }

    /// Watches one-shots until they have completed.
    #[must_use]
    pub fn until_completed(project: &'a str, services: &'a [String]) -> Self {
        Self { must_complete: true, ..Self::new(project, services, Duration::ZERO) }
    }

    /// How long a service must run without a restart.
    #[must_use]
    pub fn stable_for(&self) -> Duration {
        self.stable_for
    }

    /// Judges what Docker says `now`, a time since the watch began.
    pub fn see(&mut self, containers: &[Container], now: Duration) -> HealthVerdict {
        let (mut unhealthy, mut waiting) = (Vec::new(), Vec::new());
        let exists = |service: &&String| {
            containers.iter().filter(self.concerns()).any(|container| container.service == **service)
        };
        waiting.extend(
            self.services
                .iter()
                .filter(|service| !exists(service))
                .map(|service| format!("{service}: no container")),
        );
        for container in containers.iter().filter(self.concerns()) {
            match self.judge(container, now) {
                Judgement::Healthy => {}
                Judgement::Waiting(why) => waiting.push(format!("{}: {why}", container.service)),
                Judgement::Unhealthy(why) => unhealthy.push(Unhealthy {
                    service: container.service.clone(),
                    container: container.id.clone(),
                    why,
                }),
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

    /// What to say when the time is over, `now`: each service that is missing or not healthy yet.
    #[must_use]
    pub fn overdue(&mut self, containers: &[Container], now: Duration) -> Vec<Unhealthy> {
        let exists = |service: &&String| {
            containers.iter().filter(self.concerns()).any(|container| container.service == **service)
        };
        let missing = self.services.iter().filter(|service| !exists(service));
        let mut overdue: Vec<Unhealthy> = missing
            .map(|service| Unhealthy {
                service: service.clone(),
                container: String::new(),
                why: "no container".to_owned(),
            })
            .collect();
        for container in containers.iter().filter(self.concerns()) {
            match self.judge(container, now) {
                Judgement::Healthy => {}
                Judgement::Waiting(why) | Judgement::Unhealthy(why) => overdue.push(Unhealthy {
                    service: container.service.clone(),
                    container: container.id.clone(),
                    why,
                }),
            }
        }
        overdue
    }

    fn concerns(&self) -> impl Fn(&&Container) -> bool + use<'a> {
        let (project, services) = (self.project, self.services);
        move |container| {
            container.project == project && !container.is_oneoff() && services.contains(&container.service)
        }
    }

    fn judge(&mut self, container: &Container, now: Duration) -> Judgement {
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
                    Some(HealthStatus::Unhealthy) => Judgement::Unhealthy("failing healthcheck".to_owned()),
                    Some(HealthStatus::Starting) => {
                        Judgement::Waiting("healthcheck has not passed yet".to_owned())
                    }
                    _ if stable => Judgement::Healthy,
                    _ if container.restarts > 0 => Judgement::Waiting(format!(
                        "restarting again and again ({} times)",
                        container.restarts
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
                    "exited with status {} and keeps restarting ({} times)",
                    container.exit_code, container.restarts
                ))
            }
            state => Judgement::Waiting(state.to_string()),
        }
    }
}

enum Judgement {
    Healthy,
    Waiting(String),
    Unhealthy(String),
}

#[cfg(test)]
mod tests {
    use super::*;

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
            stop_timeout: None,
            health: None,
        }
    }

    fn seen(steps: &[(u64, Container)]) -> Vec<HealthVerdict> {
        let services = ["web".to_owned()];
        let mut watch = HealthWatch::new("blog", &services, Duration::from_secs(5));
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
            (16, again(3, "d")),
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
    fn a_one_shot_is_watched_until_it_completes() {
        let services = ["web".to_owned()];
        let mut watch = HealthWatch::until_completed("blog", &services);
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
    fn after_the_timeout_missing_and_waiting_services_are_reported() {
        let services = ["web".to_owned(), "worker".to_owned()];
        let mut watch = HealthWatch::new("blog", &services, Duration::from_secs(5));
        assert_eq!(watch.stable_for(), Duration::from_secs(5));
        let mut of = |containers: &[Container]| -> Vec<(String, String)> {
            let overdue = watch.overdue(containers, Duration::from_secs(60));
            overdue.into_iter().map(|one| (one.service, one.container)).collect()
        };
        let starting = Container { health: Some(HealthStatus::Starting), ..container("running") };
        let named = |service: &str, container: &str| (service.to_owned(), container.to_owned());
        assert_eq!(of(&[starting]), [named("worker", ""), named("web", "c1")]);
        assert_eq!(of(&[container("exited")]), [named("worker", "")]);
        let other = Container { project: "shop".into(), ..container("exited") };
        assert_eq!(of(&[other]), [named("web", ""), named("worker", "")]);
    }

    #[test]
    fn after_the_timeout_healthy_services_are_not_reported() {
        let services = ["web".to_owned(), "worker".to_owned()];
        let web = container("running");
        let health = Some("starting".to_owned().into());
        let worker = Container { id: "c2".into(), service: "worker".into(), health, ..web.clone() };
        let mut watch = HealthWatch::new("blog", &services, Duration::from_secs(5));
        for secs in [0, 60] {
            let verdict = watch.see(&[web.clone(), worker.clone()], Duration::from_secs(secs));
            assert!(matches!(verdict, HealthVerdict::Waiting(_)));
        }
        let overdue = watch.overdue(&[web, worker], Duration::from_secs(60));
        assert_eq!(overdue.iter().map(|one| one.service.as_str()).collect::<Vec<_>>(), ["worker"]);
    }

    #[test]
    fn a_one_shot_that_has_not_completed_in_time_is_reported() {
        let services = ["web".to_owned()];
        let mut watch = HealthWatch::until_completed("blog", &services);
        let overdue = watch.overdue(&[container("running")], Duration::from_secs(60));
        assert_eq!(overdue.len(), 1);
    }
}
