//! Recorded projects that are none any more, and those of the commit that are not there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Planner;
use crate::base::diagnostic::Diagnostic;
use crate::base::manifest::Manifest;
use crate::plan::work::ProjectWork;
use crate::plan::{
    Action, ActionKind, Cause, DefinitionChange, ProjectChange, ProjectPlan, Reason, problems,
};
use crate::state::deployed::{ProjectState, unit};
use crate::state::unusable;
use crate::state::wanted::WantedProject;

impl Planner<'_> {
    /// The recorded projects that are no longer any, whose folder holds that of a project or lies in it, and that have
    /// a service of it: the same service would run twice on the same files.
    pub(super) fn apart<'p>(
        &'p self,
        project: &'p WantedProject,
    ) -> impl Iterator<Item = (&'p String, &'p ProjectState)> {
        let dir = &project.model.dir;
        self.deployed.state.projects.iter().filter(move |(name, other)| {
            !self.wanted.projects.iter().any(|wanted| wanted.name == **name)
                && (other.dir.is_within(dir) || dir.is_within(&other.dir))
                && other.project != project.model.name
                && other.services.keys().any(|service| project.model.services.contains_key(service))
        })
    }

    /// The plan of a project that has left the repository. Its containers are removed only if no other
    /// project has taken over Compose's name, for example after its folder was renamed.
    pub(super) fn gone(&self, name: &str, recorded: &ProjectState) -> (ProjectPlan, Option<Diagnostic>) {
        let (mut files, mut actions) = (Vec::new(), Vec::new());
        if self.options.prune {
            files = self.unit(&unit(name), &Manifest::default()).0;
            let has_taken_over = |project: &Arc<WantedProject>| {
                project.model.name == recorded.project
                    && (recorded.services.is_empty()
                        || recorded
                            .services
                            .keys()
                            .any(|service| project.model.services.contains_key(service)))
            };
            if !self.wanted.projects.iter().any(has_taken_over) {
                let cause = Cause::Definition { change: DefinitionChange::ProjectRemoved };
                let reason = Reason { path: recorded.path.clone(), line: None, how: None, by: None, cause };
                actions.push(Action { kind: ActionKind::Down, service: None, reasons: vec![reason] });
            }
        }
        // What is behind a link is not removed, nor is anything else of the project then.
        let mut problems = problems::conflicts(&files, self.deployed, BTreeMap::new());
        if !actions.is_empty() {
            let own = unit(name);
            let rivals =
                self.deployed.host_only.rivals_in(&recorded.dir, |path| self.deployed.manages(&own, path));
            problems
                .extend(rivals.map(|(path, _)| problems::decides_what_goes(&(self.shown)(path), recorded)));
        }
        let note = (!self.options.prune)
            .then(|| problems::gone(recorded, self.options.origin, self.wanted.others.contains(name)));
        let (name, path) = (name.to_owned(), recorded.path.clone());
        let plan = ProjectPlan {
            name,
            path,
            change: ProjectChange::Removed,
            images: Vec::new(),
            compose_files: Vec::new(),
            files,
            actions,
            owed: Vec::new(),
            hooks: Vec::new(),
            problems,
            after: Vec::new(),
        };
        (plan, note)
    }

    /// The work on a project of the commit that is not there: it is blocked, and nothing of it is touched.
    pub(super) fn absent(&self, name: &str) -> ProjectWork {
        let recorded = self.deployed.state.projects.get(name);
        let absent = self.wanted.absent.iter().find(|project| project.name == name);
        let dir = recorded.map(|recorded| &recorded.dir).or(absent.map(|absent| &absent.dir));
        let path = recorded.map(|recorded| &recorded.path).or(absent.map(|absent| &absent.path));
        let lacking = dir.into_iter().flat_map(|dir| self.wanted.lacking(dir));
        let plan = ProjectPlan {
            name: name.to_owned(),
            path: path.cloned().unwrap_or_default(),
            change: if recorded.is_some() { ProjectChange::Unchanged } else { ProjectChange::Added },
            images: Vec::new(),
            compose_files: Vec::new(),
            files: Vec::new(),
            actions: Vec::new(),
            owed: Vec::new(),
            hooks: Vec::new(),
            problems: unusable::problems(lacking),
            after: Vec::new(),
        };
        ProjectWork {
            plan,
            wanted: None,
            manifest: self.deployed.manifests.get(&unit(name)).cloned().unwrap_or_default(),
            needs_record: false,
            was_deployed: self.deployed.manifests.contains_key(&unit(name)),
            state: recorded.cloned().unwrap_or_default(),
            recorded: recorded.cloned(),
            is_invalidated: false,
            goes_first: false,
            pulls_ahead: BTreeSet::new(),
            images: Vec::new(),
            standings: BTreeMap::new(),
            makes_way: Vec::new(),
            way_back: None,
        }
    }
}
