//! Which images run, of which commit they are, and whether they are the ones that were tested.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::services::acted;
use super::{Apply, Failure};
use crate::base::diagnostic::Diagnostic;
use crate::compose::model::Service;
use crate::host::Command;
use crate::images::reference::{INPUTS, REVISION};
use crate::outcome::{ProjectOutcome, ProjectResult, RunningImage};
use crate::plan::{ActionKind, ProjectPlan};
use crate::state::wanted::WantedProject;

/// What Docker tells of an image, one line each.
#[derive(Debug, Deserialize)]
struct Told {
    id: String,
    digests: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
}

/// The form of [`Told`], as `docker image inspect` fills it in.
const FORMAT: &str =
    r#"{"id":{{json .Id}},"digests":{{json .RepoDigests}},"labels":{{json .Config.Labels}}}"#;

impl Apply<'_> {
    /// What Docker knows of images, by their names or ids; what it does not know is left out.
    async fn images(&self, names: &BTreeSet<String>) -> Vec<Told> {
        let argv = ["image", "inspect", "--format", FORMAT].map(str::to_owned);
        let argv = argv.into_iter().chain(names.iter().cloned()).collect();
        let reply = self.task.driver.call(&Command::Docker(argv)).await;
        let lines = reply.into_iter().flat_map(|reply| reply.output);
        lines.filter_map(|line| serde_json::from_str(&line).ok()).collect()
    }

    /// Notes for each project that was brought up which images its services run. It is told only: not to know it is no
    /// failure.
    pub(super) async fn note_images(&self, results: &mut BTreeMap<String, ProjectOutcome>) {
        let plans = &self.task.work.plan.projects;
        let is_up = |plan: &&ProjectPlan| {
            results.get(&plan.name).is_some_and(|outcome| outcome.result == ProjectResult::Done)
                && self.acts(plan)
        };
        let services: Vec<(&ProjectPlan, String)> = plans
            .iter()
            .filter(is_up)
            .flat_map(|plan| acted(plan).into_iter().map(move |service| (plan, service)))
            .collect();
        if services.is_empty() || self.task.settings.no_restart {
            return;
        }
        // The last look at them was when the services were well.
        let containers = self.seen.lock().await.clone();
        let runs: Vec<_> = services
            .into_iter()
            .filter_map(|(plan, service)| {
                let project = &self.project(plan)?.model.name;
                let is_its = |container: &&crate::state::container::Container| {
                    container.project == *project && container.service == service
                };
                let container = containers.iter().find(is_its)?;
                Some((plan.name.clone(), service, container.image.clone(), container.image_name.clone()))
            })
            .collect();
        let told = self.images(&runs.iter().map(|(.., id, _)| id.clone()).collect()).await;
        for (project, service, id, image) in runs {
            let Some(told) = told.iter().find(|told| told.id == id) else { continue };
            let name = crate::images::reference::parts(&image).0;
            let of = |digest: &&String| digest.split_once('@').is_some_and(|(known, _)| known == name);
            let digests = told.digests.iter().flatten();
            let digest = digests.clone().find(of).or_else(|| digests.clone().next());
            let digest =
                digest.and_then(|digest| digest.split_once('@')).map(|(_, digest)| digest.to_owned());
            let revision = told.labels.as_ref().and_then(|labels| labels.get(REVISION)).cloned();
            if let Some(outcome) = results.get_mut(&project) {
                outcome.running.push(RunningImage {
                    service,
                    image,
                    digest,
                    revision: revision.filter(|text| !text.is_empty()),
                });
            }
        }
    }

    /// The services of a plan whose image must be one that was tested: those that are built of the repository and come
    /// from a registry.
    pub(super) fn tested<'p>(
        &self,
        plan: &'p ProjectPlan,
        project: &'p WantedProject,
    ) -> Vec<(&'p str, &'p Service)> {
        if !self.task.settings.require_tested {
            return Vec::new();
        }
        let acting =
            plan.actions.iter().filter(|action| matches!(action.kind, ActionKind::Up | ActionKind::Recreate));
        let acting = acting.filter_map(|action| action.service.as_deref());
        let services = acting.filter_map(|name| project.model.services.get_key_value(name));
        services
            .filter(|(_, service)| service.build.is_some())
            .map(|(name, service)| (name.as_str(), service))
            .collect()
    }

    /// Makes sure that images carry the mark of what is deployed: they were built of this commit, or of one in which all
    /// that they are built of was the same.
    pub(super) async fn check_tested(
        &self,
        plan: &ProjectPlan,
        services: &[(&str, &Service)],
    ) -> Result<(), Failure> {
        let mut problems = Vec::new();
        for (name, service) in services {
            let Some(image) = service.image.as_deref().filter(|image| !image.contains("${")) else {
                continue;
            };
            let told = self.images(&BTreeSet::from([image.to_owned()])).await;
            let labels = told.into_iter().next().map(|told| told.labels.unwrap_or_default());
            let why = match &labels {
                None => "the host does not have it".to_owned(),
                Some(labels) => {
                    let revision = labels.get(REVISION).filter(|text| !text.is_empty());
                    let inputs = labels.get(INPUTS).filter(|text| !text.is_empty());
                    let wanted = self.task.work.projects[&plan.name].state.services.get(*name);
                    let wanted = wanted.and_then(|state| state.build.as_ref());
                    if (revision.is_some() && revision == self.task.wanted.commit.as_ref())
                        || (inputs.is_some() && inputs == wanted)
                    {
                        continue;
                    }
                    match revision {
                        Some(revision) => format!("it was built of commit {revision}"),
                        None => "nothing tells of which commit it was built".to_owned(),
                    }
                }
            };
            let message = format!(
                "the image {image} of service `{name}` is not the one that was tested for this commit: {why}"
            );
            let at = service.image_at.clone().or_else(|| Some(service.at.clone()));
            problems.push(Diagnostic::error(message, at).help(
                "build it first, with `ghdeploy build --push`; gate.require_tested in ghdeploy.yml asks for that",
            ));
        }
        if problems.is_empty() { Ok(()) } else { Err(Failure { problems, ..Failure::default() }) }
    }
}
