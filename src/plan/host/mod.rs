//! The plan for a host, from what is wanted and what the host has.

mod files;
mod gone;
mod services;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::diagnostic::Diagnostic;
use crate::base::manifest::{Entry, Manifest};
use crate::base::path::RootPath;
use crate::compose::model::Hook;
use crate::plan::options::PlanOptions;
use crate::plan::order::{before, order, place};
use crate::plan::shared_files::{KeptFiles, shared_manifest};
use crate::plan::standings::remarks;
use crate::plan::work::{HostWork, ProjectWork, SharedWork};
use crate::plan::{
    Action, ActionKind, FileChange, FileChangeKind, ImageToBuild, ProjectChange, ProjectPlan, making_way,
    problems,
};
use crate::state::container::{ContainerState, Containers};
use crate::state::deployed::{Deployed, ProjectState, SHARED, ServiceState, State, unit};
use crate::state::host_only::{EnvFile, EnvFileChange};
use crate::state::wanted::{Wanted, WantedProject, service_state, union};
use files::write_in_place;
use services::ProjectActions;

/// Makes the plan for a host. `shown` returns the path in the repository of a path below the root.
#[must_use]
pub fn host(
    name: &str,
    wanted: &Wanted,
    deployed: &Deployed,
    options: &PlanOptions<'_>,
    shown: &dyn Fn(&RootPath) -> String,
) -> HostWork {
    let (selected, others): (Vec<&Arc<WantedProject>>, Vec<&Arc<WantedProject>>) =
        wanted.projects.iter().partition(|project| (options.selects)(&project.name));
    let mut shared = shared_manifest(wanted, deployed, &selected, others.is_empty());
    let is_wanted = |name: &str| wanted.projects.iter().any(|project| project.name == name);
    // What is less than the commit is never taken for removed.
    let lacks = |name: &str| {
        let recorded = deployed.state.projects.get(name);
        wanted.absent.iter().any(|project| project.name == name)
            || recorded.is_some_and(|recorded| wanted.lacks(&recorded.dir))
    };
    let is_gone = |name: &str| !is_wanted(name) && !lacks(name);
    // A service of it is not all of it.
    let is_whole = |name: &str| (options.selects)(name) && (options.services)(name).is_none();
    let gone: Vec<(&str, &ProjectState)> = deployed
        .state
        .projects
        .iter()
        .map(|(name, state)| (name.as_str(), state))
        .filter(|(name, _)| is_gone(name) && is_whole(name))
        .collect();
    let recorded = deployed.state.projects.keys().map(String::as_str);
    let absent = wanted.absent.iter().map(|project| project.name.as_str()).chain(recorded);
    let absent: BTreeSet<&str> =
        absent.filter(|name| !is_wanted(name) && lacks(name) && (options.selects)(name)).collect();
    // The files on the host once this plan is carried out: projects that are not selected stay as they are.
    let stays = others
        .iter()
        .map(|project| deployed.manifests.get(&unit(&project.name)).unwrap_or(&project.manifest));
    let kept = deployed
        .state
        .projects
        .keys()
        .filter(|name| !(is_wanted(name) || is_gone(name) && options.prune && is_whole(name)));
    let kept = kept.filter_map(|name| deployed.manifests.get(&unit(name)));
    let comes = selected.iter().map(|project| &project.manifest);
    let own: Vec<&Manifest> = kept.chain(stays).chain(comes).collect();
    // What a project on the host reads stays until it is taken down or deployed in another version.
    let stays = |name: &str| match wanted.projects.iter().find(|project| project.name == name) {
        Some(project) => !(options.selects)(name) || project.is_broken(),
        None => !(is_gone(name) && options.prune && is_whole(name)),
    };
    let files = union(own.iter().copied().chain([&shared]));
    let readers = deployed.state.projects.iter().filter(|(name, _)| stays(name)).map(|(_, state)| state);
    let kept = KeptFiles::new(readers, deployed, &files);
    shared.0.extend(kept.files);
    let files = union(own.into_iter().chain([&shared]));
    let mut work =
        Planner { name, wanted, deployed, options, shown, selected, gone, absent, shared: &shared, files }
            .work();
    work.notes.extend(problems::kept_for_unknown(&kept.unknown, kept.for_unknown));
    work.notes.sort();
    work
}

/// A plan in the making.
struct Planner<'a> {
    name: &'a str,
    wanted: &'a Wanted,
    deployed: &'a Deployed,
    options: &'a PlanOptions<'a>,
    shown: &'a dyn Fn(&RootPath) -> String,
    selected: Vec<&'a Arc<WantedProject>>,
    gone: Vec<(&'a str, &'a ProjectState)>,
    /// Names of the projects of the commit that are not there.
    absent: BTreeSet<&'a str>,
    shared: &'a Manifest,
    /// Every file that the host will have.
    files: BTreeMap<&'a RootPath, &'a Entry>,
}

impl Planner<'_> {
    fn work(&self) -> HostWork {
        let (mut shared_changes, shared_record) = self.unit(SHARED, self.shared);
        let mut own: BTreeMap<&str, (Vec<FileChange>, bool)> = self
            .selected
            .iter()
            .map(|project| {
                let (mut changes, needs_record) = self.unit(&unit(&project.name), &project.manifest);
                changes.extend(self.rivals(project));
                (project.name.as_str(), (changes, needs_record))
            })
            .collect();
        let mut owed: BTreeMap<&str, ProjectActions> = BTreeMap::new();
        let mut read_by_others: BTreeSet<&str> = BTreeSet::new();
        let mut all_changes: BTreeMap<&str, Vec<FileChange>> = BTreeMap::new();
        for project in &self.selected {
            let own_changes = own.get(project.name.as_str()).into_iter().flat_map(|(changes, _)| changes);
            let mut changes: Vec<FileChange> = own_changes.cloned().collect();
            changes.extend(shared_changes.iter().filter(|file| project.reads(&file.at)).cloned());
            for (other, (theirs, _)) in own.iter().filter(|(other, _)| **other != project.name) {
                let before = changes.len();
                changes.extend(theirs.iter().filter(|file| project.reads(&file.at)).cloned());
                if changes.len() > before {
                    read_by_others.insert(other);
                }
            }
            all_changes.insert(&project.name, changes);
        }
        for project in &self.selected {
            owed.insert(&project.name, self.actions(project, &all_changes[project.name.as_str()], &[]));
        }
        for project in &self.selected {
            let outer = self.outer(project, &owed);
            if !outer.is_empty() {
                let actions = self.actions(project, &all_changes[project.name.as_str()], &outer);
                owed.insert(&project.name, actions);
            }
        }
        for project in &self.selected {
            let actions =
                owed.get(project.name.as_str()).map(|owed| owed.actions.as_slice()).unwrap_or_default();
            let all = own.values_mut().flat_map(|(changes, _)| changes).chain(&mut shared_changes);
            write_in_place(project, actions, all);
        }
        let mut before = before(&self.wanted.projects);
        let (names, mut notes) = order(&mut before, &|name| place(&self.wanted.projects, name));
        let absent = self.wanted.unusable.iter().filter(|file| file.why.is_absent());
        let absent: BTreeSet<&RootPath> = absent.map(|file| &file.path).collect();
        let mut works: Vec<ProjectWork> = Vec::new();
        for project in
            names.iter().filter_map(|name| self.selected.iter().find(|project| project.name == *name))
        {
            let name = project.name.as_str();
            let (own, needs_record) = own.remove(name).unwrap_or_default();
            let ProjectActions { services, actions, later, recorded, standings } =
                owed.remove(name).unwrap_or_default();
            notes.extend(remarks(project, &standings, &actions));
            notes.extend(self.inactive(project));
            notes.extend(problems::left_owed(project, &later));
            let is_invalidated = recorded.as_ref() != self.deployed.state.projects.get(name);
            let shared = shared_changes.iter().filter(|file| project.reads(&file.at)).cloned();
            // What is not there of the commit is not removed, although its project is blocked anyway.
            let lacks = |file: &FileChange| {
                let mut above = std::iter::successors(Some(file.at.clone()), RootPath::parent);
                file.after.is_none() && above.any(|path| absent.contains(&path))
            };
            let files: Vec<FileChange> = own.into_iter().chain(shared).filter(|file| !lacks(file)).collect();
            let after = before.get(name).into_iter().flatten().cloned().collect();
            let state = self.state(project, services);
            if !files.is_empty() || !actions.is_empty() {
                notes.extend(project.notes.iter().cloned());
            }
            works.push(ProjectWork {
                plan: ProjectPlan { owed: later, ..self.project(project, &state, files, actions, after) },
                wanted: Some(Arc::clone(project)),
                manifest: project.manifest.clone(),
                needs_record,
                was_deployed: self.deployed.manifests.contains_key(&unit(name)),
                state,
                recorded,
                is_invalidated,
                goes_first: read_by_others.contains(name),
                standings,
                pulls_ahead: BTreeSet::new(),
                images: Vec::new(),
                makes_way: Vec::new(),
                way_back: None,
            });
        }
        for (name, recorded) in &self.gone {
            let (plan, note) = self.gone(name, recorded);
            notes.extend(note);
            works.push(ProjectWork {
                plan,
                wanted: None,
                manifest: Manifest::default(),
                needs_record: self.options.prune,
                was_deployed: self.deployed.manifests.contains_key(&unit(name)),
                state: ProjectState { services: BTreeMap::new(), ..(*recorded).clone() },
                recorded: Some((*recorded).clone()),
                is_invalidated: false,
                goes_first: false,
                standings: BTreeMap::new(),
                pulls_ahead: BTreeSet::new(),
                images: Vec::new(),
                makes_way: Vec::new(),
                way_back: None,
            });
        }
        works.extend(self.absent.iter().map(|name| self.absent(name)));
        for index in 0..works.len() {
            let hooks = works[index].plan.hooks.iter();
            let lacking: Vec<Diagnostic> = hooks.filter_map(|hook| self.lacks_other(hook, &works)).collect();
            works[index].plan.problems.extend(lacking);
        }
        notes.extend(making_way::enter(&mut works, self.deployed));
        let drifted = works
            .iter()
            .flat_map(|work| &work.plan.files)
            .filter(|file| file.change == FileChangeKind::Drift && file.before.is_some());
        if let Containers::Unknown(failure) = self.deployed.containers {
            let has_services = |work: &ProjectWork| {
                work.recorded.as_ref().is_some_and(|recorded| !recorded.services.is_empty())
            };
            notes.extend(works.iter().any(has_services).then(|| problems::containers_unknown(failure)));
        }
        let blocked = |note: &Diagnostic| {
            let mut problems = works.iter().flat_map(|work| &work.plan.problems);
            problems.any(|problem| problem.message == note.message)
        };
        notes.extend(self.wanted.unknown_submodules().into_iter().filter(|note| !blocked(note)));
        notes.extend(problems::drift(drifted.map(|file| file.path.as_str()).collect::<BTreeSet<_>>().len()));
        notes.extend(self.adopted(&works));
        notes.extend(self.replaced_key());
        notes.extend(self.deployed.damaged.iter().map(problems::damaged));
        notes.sort();
        let noted = self.noted(&works);
        let manifest = shared_record.then(|| self.without_conflicts(&shared_changes));
        let leaving = self.leaving(&shared_changes);
        HostWork {
            host: self.name.to_owned(),
            commit: self.wanted.commit.clone(),
            notes,
            networks: Vec::new(),
            projects: works,
            shared: SharedWork { files: shared_changes, manifest, leaving },
            noted,
        }
    }

    /// A note that digests of env files cannot be compared with those that were recorded.
    fn replaced_key(&self) -> Option<Diagnostic> {
        let key = self.deployed.host_only.key.as_deref()?;
        let services = self.deployed.state.projects.values().flat_map(|project| project.services.values());
        let mut marks = services.flat_map(|service| service.env_files.values());
        let is_of_other = |mark: &String| mark.split_once('.').is_some_and(|(other, _)| other != key);
        marks.any(is_of_other).then(problems::replaced_key)
    }

    /// The state with marks of env files that are recorded although no service acts: those of files that
    /// nothing was known of until now. `None`: there are none.
    fn noted(&self, works: &[ProjectWork]) -> Option<State> {
        let mut state = self.deployed.state.clone();
        for work in works.iter().filter(|work| work.wanted.is_some()) {
            let Some(recorded) = state.projects.get_mut(work.name()) else { continue };
            for (name, service) in &mut recorded.services {
                let Some(wanted) = work.state.services.get(name) else { continue };
                let mark = |(path, new): (&String, &String)| {
                    let old = service
                        .env_files
                        .get(path)
                        .filter(|old| EnvFile::compare(old, new) == EnvFileChange::Changed);
                    (path.clone(), old.unwrap_or(new).clone())
                };
                service.env_files = wanted.env_files.iter().map(mark).collect();
            }
        }
        (state != self.deployed.state).then_some(state)
    }

    fn state(&self, project: &WantedProject, services: BTreeMap<String, ServiceState>) -> ProjectState {
        ProjectState {
            dir: project.model.dir.clone(),
            path: project.path.clone(),
            project: project.model.name.clone(),
            release: self.deployed.state.next_release(),
            commit: self.wanted.commit.clone(),
            back_to: None,
            held: None,
            reads: Some(project.reads_outside()),
            compose: project.model.options.clone(),
            services,
        }
    }

    fn project(
        &self,
        project: &WantedProject,
        state: &ProjectState,
        files: Vec<FileChange>,
        actions: Vec<Action>,
        after: Vec<String>,
    ) -> ProjectPlan {
        let recorded = self.deployed.state.projects.get(&project.name);
        let is_idle = files.is_empty() && actions.is_empty();
        let mut problems: Vec<Diagnostic> = Vec::new();
        // Of a project that runs and has nothing to do, only the host can have changed: what its own `.env` says.
        if !is_idle || recorded.is_none() || project.model.follows_host {
            problems.extend(project.errors().cloned());
            problems.extend(problems::same_name(project, &self.wanted.projects));
        }
        problems.extend(project.refused.iter().cloned());
        if self.options.require_tested && !is_idle {
            problems.extend(problems::untested(project, &actions));
        }
        if !is_idle {
            problems.extend(problems::unset(&project.model, self.deployed, self.options.root));
        }
        let rivals = problems::rivals_by_path(project, self.deployed, self.shown);
        problems.extend(problems::conflicts(&files, self.deployed, rivals));
        if !self.options.take_over {
            let elsewhere = self.deployed.elsewhere.get(&project.name);
            problems.extend(elsewhere.map(|elsewhere| problems::elsewhere(elsewhere, project)));
        }
        problems.extend(recorded.and_then(|recorded| problems::renamed(recorded, state, project)));
        if !self.options.allow_held && !is_idle {
            problems.extend(recorded.and_then(|recorded| self.held(recorded, project)));
        }
        let (first, last): (Vec<_>, Vec<_>) = self
            .apart(project)
            .partition(|(name, _)| self.options.prune && self.gone.iter().any(|(gone, _)| gone == name));
        problems.extend(last.into_iter().map(|(_, apart)| problems::apart(apart, project)));
        let after = after.into_iter().chain(first.into_iter().map(|(name, _)| name.clone())).collect();
        let change = match (recorded.is_none(), is_idle) {
            (true, _) => ProjectChange::Added,
            (false, true) => ProjectChange::Unchanged,
            (false, false) => ProjectChange::Changed,
        };
        let starts = |service: &str| {
            let starts = |kind: &ActionKind| {
                matches!(
                    kind,
                    ActionKind::Build | ActionKind::Up | ActionKind::Recreate | ActionKind::Restart
                )
            };
            actions.iter().any(|action| action.service.as_deref() == Some(service) && starts(&action.kind))
        };
        let starts_any = || project.model.services.keys().any(|service| starts(service));
        let runs = |hook: &&Hook| hook.own_service().map_or_else(starts_any, starts);
        let hooks: Vec<Hook> = project.model.settings.hooks.iter().filter(runs).cloned().collect();
        let builds = actions.iter().filter(|action| action.kind == ActionKind::Build);
        let images = builds.filter_map(|action| {
            let name = action.service.as_ref()?;
            let service = project.model.services.get(name)?;
            let of = service.built_of.clone()?;
            Some(ImageToBuild { service: name.clone(), of, image: service.image.clone() })
        });
        ProjectPlan {
            name: project.name.clone(),
            path: project.path.clone(),
            change,
            images: images.collect(),
            compose_files: project.model.compose_files.iter().map(self.shown).collect(),
            files,
            actions,
            owed: Vec::new(),
            hooks,
            problems,
            after,
        }
    }

    /// Why the container of another project in which a hook runs will not be there.
    fn lacks_other(&self, hook: &Hook, works: &[ProjectWork]) -> Option<Diagnostic> {
        let (project, service) = hook.other()?;
        let wanted = self.wanted.projects.iter().find(|other| other.name == project);
        let recorded = self.deployed.state.projects.get(project);
        let absent = self.wanted.absent.iter().map(|other| &other.name);
        let names = self.wanted.projects.iter().map(|other| &other.name).chain(absent);
        let names: BTreeSet<&str> =
            names.chain(self.deployed.state.projects.keys()).map(String::as_str).collect();
        let none = BTreeMap::new();
        let services = wanted.map_or(&none, |wanted| &wanted.model.services);
        if wanted.is_none() && recorded.is_none() {
            return Some(problems::no_project_of_hook(hook, project, &names.into_iter().collect::<Vec<_>>()));
        }
        let is_known = wanted.is_some_and(|wanted| wanted.is_broken())
            || services.contains_key(service)
            || recorded.is_some_and(|recorded| recorded.services.contains_key(service));
        if !is_known {
            let known: Vec<&str> = services.keys().map(String::as_str).collect();
            return Some(problems::no_service_of_hook(hook, project, service, &known));
        }
        // What this run brings up comes before the hook.
        let starts = |action: &Action| {
            matches!(
                action.kind,
                ActionKind::Build | ActionKind::Up | ActionKind::Recreate | ActionKind::Restart
            ) && action.service.as_deref() == Some(service)
        };
        let mut other = works.iter().filter(|work| work.name() == project && work.plan.problems.is_empty());
        if other.any(|work| work.plan.actions.iter().any(starts)) {
            return None;
        }
        let name = wanted.map(|wanted| &wanted.model.name).or(recorded.map(|recorded| &recorded.project))?;
        let all = self.deployed.containers.known()?;
        let mut own = all.iter().filter(|container| container.is_of(name, service));
        let runs = own.any(|container| container.state == ContainerState::Running);
        (!runs).then(|| problems::hook_lacks_container(hook, project, service))
    }

    /// Why a project stays at the version that a rollback restored: the repository still has the version that
    /// it left. If only shared files differed, they count.
    fn held(&self, recorded: &ProjectState, project: &WantedProject) -> Option<Diagnostic> {
        let held = recorded.held.as_ref()?;
        let is = |manifest: &Manifest, digest: &str| manifest.digest().as_str() == digest;
        let deployed = self.deployed.manifests.get(&unit(&project.name));
        let same_shared = || is(&self.wanted.shared, &held.shared);
        let is_held =
            is(&project.manifest, &held.manifest) && (deployed != Some(&project.manifest) || same_shared());
        is_held.then(|| problems::held(held, project))
    }
}

impl Deployed {
    /// What a host would have after `wanted` was deployed in full: the base of a comparison of two trees.
    #[must_use]
    pub fn from_wanted(wanted: &Wanted) -> Self {
        let mut deployed = Self::default();
        let files = union(wanted.projects.iter().map(|project| &project.manifest).chain([&wanted.shared]));
        for project in &wanted.projects {
            deployed.manifests.insert(unit(&project.name), project.manifest.clone());
            let services = project.model.services.iter().filter(|(_, service)| service.active);
            let state = ProjectState {
                dir: project.model.dir.clone(),
                path: project.path.clone(),
                project: project.model.name.clone(),
                release: 0,
                commit: wanted.commit.clone(),
                back_to: None,
                held: None,
                reads: Some(project.reads_outside()),
                compose: project.model.options.clone(),
                services: services
                    .map(|(name, service)| (name.clone(), service_state(&project.model, service, &files)))
                    .collect(),
            };
            deployed.state.projects.insert(project.name.clone(), state);
        }
        deployed.manifests.insert(SHARED.to_owned(), wanted.shared.clone());
        deployed
    }
}
