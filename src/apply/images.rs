//! Which images run after a deploy, and from which commit they were built.

use std::collections::{BTreeMap, BTreeSet};

use super::run::HostRun;
use super::steps::acting;
use crate::images::reference::{REVISION, parts};
use crate::outcome::{ProjectOutcome, ProjectResult, RunningImage};
use crate::plan::ProjectWork;
use crate::state::container::Container;

impl HostRun<'_> {
    /// Which images the services of each deployed project run, with the name of the project. `containers` are those
    /// of the last look, when the services were healthy. They are only reported, so not to know them is no failure.
    pub(super) async fn running_images(
        &self,
        results: &BTreeMap<String, ProjectOutcome>,
        containers: &[Container],
    ) -> Vec<(String, RunningImage)> {
        if self.task.settings.no_restart {
            return Vec::new();
        }
        let is_done = |work: &&ProjectWork| {
            results.get(work.name()).is_some_and(|outcome| outcome.result == ProjectResult::Done)
        };
        let mut running = Vec::new();
        for work in self.task.work.projects.iter().filter(is_done).filter(|work| work.wanted.is_some()) {
            for service in acting(&work.plan) {
                let is_its = |container: &&Container| container.is_of(&work.state.project, &service);
                if let Some(container) = containers.iter().find(is_its) {
                    let (id, name) = (container.image.clone(), container.image_name.clone());
                    let model = work.wanted.as_ref().map(|wanted| &wanted.model);
                    let own = model.and_then(|model| model.services.get(&service));
                    // A variable in it may be secret.
                    let written = own.and_then(|own| own.image_written.clone());
                    let shown =
                        written.filter(|written| written.contains('$')).unwrap_or_else(|| name.clone());
                    running.push((work.name(), service, id, name, shown));
                }
            }
        }
        if running.is_empty() {
            return Vec::new();
        }
        let ids: BTreeSet<String> = running.iter().map(|(.., id, _, _)| id.clone()).collect();
        let facts = self.docker.images(&ids).await;
        let with_facts = |(project, service, id, name, image): (&str, String, String, String, String)| {
            let facts = facts.iter().find(|facts| facts.id == id)?;
            let name = parts(&name).0;
            let of = |digest: &&String| digest.split_once('@').is_some_and(|(known, _)| known == name);
            let digests = facts.digests.iter().flatten();
            let digest = digests.clone().find(of).or_else(|| digests.clone().next());
            let digest =
                digest.and_then(|digest| digest.split_once('@')).map(|(_, digest)| digest.to_owned());
            let revision = facts.labels.as_ref().and_then(|labels| labels.get(REVISION)).cloned();
            let revision = revision.filter(|text| !text.is_empty());
            Some((project.to_owned(), RunningImage { service, image, digest, revision }))
        };
        running.into_iter().filter_map(with_facts).collect()
    }
}
