//! Containers whose namespace a service uses (`network_mode: service:vpn`), when something of it fails.
//!
//! Docker then complains about the service that cannot join, and its own checks fail for want of a network. To
//! blame is the container that is joined. Pure.

use std::collections::BTreeSet;

use crate::compose::model::{Project, ShareOf, SharedPart};
use crate::state::container::{Container, ContainerState, HealthStatus};

/// Container that is joined and not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadProvider {
    /// The service, if it is one of the project.
    pub(super) service: Option<String>,
    /// Its name in messages: ``service `vpn` ``.
    pub(super) shown: String,
    /// The service that uses its namespace.
    pub(super) user: String,
    /// Its id; empty when there is none.
    pub(super) container: String,
    /// What is wrong, in words.
    pub(super) why: String,
}

/// The containers that `services` of a project join, directly or by way of another, and that are not well.
/// `before` are the containers before anything was done.
pub(super) fn bad_providers<'s>(
    model: &Project,
    services: impl IntoIterator<Item = &'s str>,
    containers: &[Container],
    before: &[Container],
) -> Vec<BadProvider> {
    let mut found: Vec<BadProvider> = Vec::new();
    let mut left: Vec<String> = services.into_iter().map(str::to_owned).collect();
    let mut seen: BTreeSet<String> = left.iter().cloned().collect();
    while let Some(user) = left.pop() {
        let shares = model.services.get(&user).map(|service| service.shares.as_slice()).unwrap_or_default();
        for share in shares.iter().filter(|share| share.what == SharedPart::Namespace) {
            let (service, shown, own): (_, _, Vec<&Container>) = match &share.of {
                ShareOf::Service(name) => {
                    if seen.insert(name.clone()) {
                        left.push(name.clone());
                    }
                    let own =
                        containers.iter().filter(|own| own.is_of(&model.name, name) && !own.is_oneoff());
                    (Some(name), format!("service `{name}`"), own.collect())
                }
                // Of containers that no compose file describes nothing is known.
                ShareOf::Container(name) => {
                    let own = containers.iter().filter(|own| own.name.trim_start_matches('/') == name);
                    (None, format!("container `{name}`"), own.collect())
                }
            };
            let bad = match (own.as_slice(), service) {
                ([], Some(_)) => Some((String::new(), "has no container".to_owned())),
                (own, _) => own.iter().find_map(|own| Some((own.id.clone(), fault(own, before)?))),
            };
            let Some((container, why)) = bad else { continue };
            if !found.iter().any(|known| known.shown == shown) {
                found.push(BadProvider {
                    service: service.cloned(),
                    shown,
                    user: user.clone(),
                    container,
                    why,
                });
            }
        }
    }
    found
}

/// What is wrong with a container that others join; `None`: nothing.
fn fault(container: &Container, before: &[Container]) -> Option<String> {
    let status = container.exit_code;
    let old = before.iter().find(|old| old.id == container.id).map_or(0, |old| old.restarts);
    Some(match &container.state {
        ContainerState::Running => match container.health {
            Some(HealthStatus::Unhealthy) => "is unhealthy: its healthcheck fails".to_owned(),
            // It runs for a moment.
            _ if container.restarts > old => format!("keeps restarting ({} times)", container.restarts),
            Some(HealthStatus::Starting) => "is not healthy yet: its healthcheck has not passed".to_owned(),
            _ => return None,
        },
        ContainerState::Restarting => {
            format!("exited with status {status} and keeps restarting ({} times)", container.restarts)
        }
        ContainerState::Exited | ContainerState::Dead => format!("exited with status {status}"),
        ContainerState::Created => "has not started".to_owned(),
        ContainerState::Paused => "is paused".to_owned(),
        state => format!("is {state}"),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::base::path::RootPath;
    use crate::compose::{Files, NodeKind};

    struct One(BTreeMap<RootPath, Arc<[u8]>>);

    impl Files for One {
        fn kind(&self, path: &RootPath) -> Option<NodeKind> {
            self.0.get(path).map(|_| NodeKind::File)
        }

        fn read(&self, path: &RootPath) -> Result<Option<Arc<[u8]>>, String> {
            Ok(self.0.get(path).cloned())
        }

        fn shown(&self, path: &RootPath) -> String {
            path.to_string()
        }
    }

    const COMPOSE: &str = "\
services:
  vpn: {image: a}
  app: {image: b, network_mode: 'service:vpn'}
  far: {image: b, pid: 'service:app'}
  other: {image: b, network_mode: 'container:gate'}
  alone: {image: b}
";

    fn blamed(services: &[&str], containers: &[(&str, &str, i64, Option<&str>)]) -> Vec<String> {
        let compose = RootPath::new("blog/compose.yml").unwrap();
        let files = One(BTreeMap::from([(compose, COMPOSE.as_bytes().into())]));
        let model = crate::compose::load(&files, &RootPath::new("blog").unwrap(), "/srv");
        let containers: Vec<Container> = containers
            .iter()
            .map(|(service, state, exit_code, health)| Container {
                id: format!("{service}-id"),
                name: format!("/{service}"),
                project: if *service == "gate" { "edge" } else { "blog" }.to_owned(),
                service: (*service).to_owned(),
                oneoff: "False".to_owned(),
                state: (*state).to_owned().into(),
                exit_code: *exit_code,
                health: health.map(|health| health.to_owned().into()),
                ..Container::default()
            })
            .collect();
        let bad = bad_providers(&model, services.iter().copied(), &containers, &[]);
        bad.into_iter().map(|bad| format!("{} for {}: {}", bad.shown, bad.user, bad.why)).collect()
    }

    #[test]
    fn the_container_that_is_joined_is_blamed() {
        let app = ("app", "running", 0, None);
        for (state, exit, health, why) in [
            ("exited", 3, None, Some("exited with status 3")),
            ("restarting", 9, None, Some("exited with status 9 and keeps restarting (0 times)")),
            ("running", 0, Some("unhealthy"), Some("is unhealthy: its healthcheck fails")),
            ("running", 0, Some("starting"), Some("is not healthy yet: its healthcheck has not passed")),
            ("created", 0, None, Some("has not started")),
            ("running", 0, Some("healthy"), None),
            ("running", 0, None, None),
        ] {
            let said: Vec<String> =
                why.map(|why| format!("service `vpn` for app: {why}")).into_iter().collect();
            let vpn = ("vpn", state, exit, health);
            assert_eq!(blamed(&["app"], &[vpn, app]), said);
            assert_eq!(blamed(&["far"], &[vpn, app]), said, "by way of app");
            assert_eq!(blamed(&["alone"], &[vpn, app]), [""; 0]);
        }
        assert_eq!(blamed(&["app"], &[app]), ["service `vpn` for app: has no container"]);
    }

    #[test]
    fn a_container_that_has_restarted_meanwhile_is_blamed_although_it_runs() {
        let vpn = |restarts| Container {
            id: "1".to_owned(),
            restarts,
            state: "running".to_owned().into(),
            ..Container::default()
        };
        assert_eq!(fault(&vpn(3), &[vpn(3)]), None);
        assert_eq!(fault(&vpn(4), &[vpn(3)]).as_deref(), Some("keeps restarting (4 times)"));
        assert_eq!(fault(&vpn(1), &[]).as_deref(), Some("keeps restarting (1 times)"));
    }

    #[test]
    fn a_container_of_another_project_is_blamed_by_its_name() {
        let gate = ("gate", "exited", 1, None);
        assert_eq!(blamed(&["other"], &[gate]), ["container `gate` for other: exited with status 1"]);
        // It may be one that no compose file describes.
        assert_eq!(blamed(&["other"], &[]), [""; 0]);
    }
}
