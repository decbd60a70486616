//! What happens to the services of a project, and what is recorded of them.

use std::collections::BTreeMap;

use super::Planner;
use crate::base::diagnostic::Diagnostic;
use crate::base::path::RootPath;
use crate::compose::model::{Service, ShareOf, SharedPart};
use crate::plan::actions::{Actions, Outer};
use crate::plan::containers::{End, Standing};
use crate::plan::order::container_owner;
use crate::plan::standings::standings;
use crate::plan::{Action, ActionKind, Cause, FileChange, Reason, Relation, invalidate, partial, problems};
use crate::state::deployed::{Found, ProjectState, ServiceState};
use crate::state::wanted::{WantedProject, service_state};

/// What the services of a project are to be started with, and their actions.
#[derive(Default)]
pub(super) struct ProjectActions {
    /// What the containers of each service say, as far as it is known.
    pub(super) standings: BTreeMap<String, Standing>,
    /// What each service is to be started with.
    pub(super) services: BTreeMap<String, ServiceState>,
    pub(super) actions: Vec<Action>,
    /// Those that stay owed.
    pub(super) later: Vec<Action>,
    pub(super) recorded: Option<ProjectState>,
}

impl Planner<'_> {
    /// What a project's services are to be started with, and their actions.
    pub(super) fn actions(
        &self,
        project: &WantedProject,
        files: &[FileChange],
        outer: &[Outer],
    ) -> ProjectActions {
        let mut recorded = self.deployed.state.projects.get(&project.name).cloned();
        let standings = standings(project, recorded.as_ref(), &self.deployed.containers);
        let mut services = self.states(project, recorded.as_ref(), &standings);
        let asked = (self.options.services)(&project.name);
        if let Some(recorded) = &mut recorded {
            invalidate::drifted(project, recorded, files);
        }
        // Which services a project has is unknown if it cannot be read.
        let actions = if project.model.diagnostics.iter().any(Diagnostic::is_error) {
            Vec::new()
        } else {
            let (model, recorded) = (&project.model, recorded.as_ref());
            let takes_part = |name: &str| asked.as_ref().is_none_or(|asked| asked.contains(name));
            let is_forced = &|name: &str| self.options.force && takes_part(name);
            let pulls_builds = self.options.require_tested;
            let rivals = &self.rivals(project);
            let (wanted, shown, standings) = (&services, self.shown, &standings);
            let elsewhere = self.deployed.elsewhere.get(&project.name).filter(|_| self.options.take_over);
            let is_elsewhere = &|service: &str| {
                self.wanted.projects.iter().any(|other| {
                    other.name != project.name
                        && other.model.name == project.model.name
                        && other.model.services.contains_key(service)
                })
            };
            let was_folder = &|path: &RootPath| self.deployed.found.get(path) == Some(&Found::EmptyDirectory);
            Actions {
                model,
                wanted,
                recorded,
                files,
                rivals,
                elsewhere,
                standings,
                outer,
                is_forced,
                pulls_builds,
                was_folder,
                is_elsewhere,
                shown,
            }
            .list()
        };
        let (actions, later) = match &asked {
            Some(asked) => partial::split(actions, asked, &project.model),
            None => (actions, Vec::new()),
        };
        partial::keep_records(&mut services, recorded.as_ref(), &later);
        ProjectActions { services, actions, later, recorded, standings }
    }

    /// Services of a project that follow a container of another project which acts.
    pub(super) fn outer(&self, project: &WantedProject, owed: &BTreeMap<&str, ProjectActions>) -> Vec<Outer> {
        let mut all = Vec::new();
        for (name, service) in project.model.services.iter().filter(|(_, service)| service.active) {
            for share in &service.shares {
                let ShareOf::Container(container) = &share.of else { continue };
                let Some((owner, other)) = container_owner(&self.wanted.projects, container) else {
                    continue;
                };
                let actions = owed.get(owner).map(|owed| owed.actions.as_slice()).unwrap_or_default();
                let does = |kinds: &[ActionKind]| {
                    actions.iter().any(|action| {
                        action.service.as_deref() == Some(other) && kinds.contains(&action.kind)
                    })
                };
                let is_replaced = does(&[ActionKind::Up, ActionKind::Recreate]);
                let relation = match share.what {
                    SharedPart::Namespace => Relation::SharesNamespace,
                    SharedPart::Volumes => Relation::SharesVolumes,
                };
                let is_restarted = does(&[ActionKind::Restart]) && relation == Relation::SharesNamespace;
                let knows = self.deployed.state.projects.get(&project.name);
                if (is_replaced || is_restarted)
                    && knows.is_some_and(|known| known.services.contains_key(name))
                {
                    let other =
                        if owner == project.name { other.to_owned() } else { format!("{owner}/{other}") };
                    let reason = Reason::at(&service.at, Cause::Follows { service: other, relation });
                    all.push(Outer { service: name.clone(), is_replaced, reason });
                }
            }
        }
        all
    }

    /// Notes about services whose profile is not active and that run all the same.
    pub(super) fn inactive(&self, project: &WantedProject) -> Vec<Diagnostic> {
        let all = self.deployed.containers.known().unwrap_or_default();
        let recorded = self.deployed.state.projects.get(&project.name);
        let inactive = project.model.services.iter().filter(|(name, service)| {
            !service.active && recorded.is_some_and(|recorded| recorded.services.contains_key(*name))
        });
        let of = |(name, service): (&String, &Service)| {
            let own = all.iter().filter(|container| container.is_of(&project.model.name, name));
            let running: Vec<&str> = own
                .filter(|container| End::of(container, service.restart.as_ref()) == End::Runs)
                .map(|container| container.name.as_str())
                .collect();
            (!running.is_empty()).then(|| problems::inactive(project, name, service, &running))
        };
        inactive.filter_map(of).collect()
    }

    /// What to record of each service. A service whose profile is not active keeps its record, because its
    /// containers may still run.
    pub(super) fn states(
        &self,
        project: &WantedProject,
        recorded: Option<&ProjectState>,
        standings: &BTreeMap<String, Standing>,
    ) -> BTreeMap<String, ServiceState> {
        let of = |(name, service): (&String, &Service)| {
            let recorded = recorded.and_then(|recorded| recorded.services.get(name));
            if !service.active {
                return recorded.map(|state| (name.clone(), state.clone()));
            }
            let marks = recorded.map(|recorded| &recorded.env_files);
            let env_files = self.deployed.host_only.marks(&project.model, service, marks);
            let state = service_state(&project.model, service, &self.files);
            let completed = match standings.get(name).filter(|standing| !standing.is_gone) {
                Some(standing) => standing.has_completed,
                None => recorded.is_some_and(|recorded| recorded.completed),
            };
            Some((name.clone(), ServiceState { env_files, completed, ..state }))
        };
        project.model.services.iter().filter_map(of).collect()
    }
}
