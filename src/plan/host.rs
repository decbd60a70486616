//! The plan for a host, from what is wanted and what the host has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::actions::{Actions, Outer};
use super::containers::{End, Standing};
use super::files::UnitFiles;
use super::invalidate;
use super::making_way;
use super::options::PlanOptions;
use super::order::{before, container_owner, order, place};
use super::partial;
use super::problems;
use super::shared_files::{KeptFiles, shared_manifest};
use super::standings::{remarks, standings};
use super::work::{HostWork, ProjectWork, SharedWork};
use super::{
    Action, ActionKind, Cause, DefinitionChange, FileChange, FileChangeKind, ImageToBuild, ProjectChange,
    ProjectPlan, Reason, Relation,
};
use crate::base::diagnostic::Diagnostic;
use crate::base::manifest::{Entry, Manifest};
use crate::base::path::RootPath;
use crate::compose::model::{Hook, Reaction, Service, ShareOf, SharedPart};
use crate::state::container::{ContainerState, Containers};
use crate::state::deployed::{Deployed, Found, ProjectState, SHARED, ServiceState, State, unit};
use crate::state::host_only::{EnvFile, EnvFileChange};
use crate::state::unusable;
use crate::state::wanted::{Reactions, Wanted, WantedProject, is_file, service_state, union};

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

/// What the services of a project are to be started with, and their actions.
#[derive(Default)]
struct ProjectActions {
    /// What the containers of each service say, as far as it is known.
    standings: BTreeMap<String, Standing>,
    /// What each service is to be started with.
    services: BTreeMap<String, ServiceState>,
    actions: Vec<Action>,
    /// Those that stay owed.
    later: Vec<Action>,
    recorded: Option<ProjectState>,
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

    /// The shared files that are removed once every project is deployed. What is in the way of a file that
    /// comes, or of a reader that has to notice, goes at once.
    fn leaving(&self, changes: &[FileChange]) -> Manifest {
        let Some(old) = self.deployed.manifests.get(SHARED) else { return Manifest::default() };
        let comes = |file: &FileChange| file.after.is_some() && file.change == FileChangeKind::Added;
        let is_in_the_way = |path: &RootPath| {
            let mut all = changes.iter().filter(|file| comes(file));
            all.any(|file| file.at.is_within(path) || path.is_within(&file.at))
        };
        let leaving = changes.iter().filter(|file| {
            file.after.is_none()
                && !self.selected.iter().any(|project| project.reads(&file.at))
                && !is_in_the_way(&file.at)
        });
        Manifest(leaving.filter_map(|file| Some((file.at.clone(), old.get(&file.at)?.clone()))).collect())
    }

    /// A note that digests of env files cannot be compared with those that were recorded.
    fn replaced_key(&self) -> Option<Diagnostic> {
        let key = self.deployed.host_only.key.as_deref()?;
        let services = self.deployed.state.projects.values().flat_map(|project| project.services.values());
        let mut marks = services.flat_map(|service| service.env_files.values());
        let is_of_other = |mark: &String| mark.split_once('.').is_some_and(|(other, _)| other != key);
        marks.any(is_of_other).then(problems::replaced_key)
    }

    /// The changes of a unit, and whether its manifest has to be replaced.
    fn unit(&self, unit: &str, wanted: &Manifest) -> (Vec<FileChange>, bool) {
        let elsewhere = |path: &RootPath| self.files.contains_key(path);
        let files = UnitFiles {
            unit,
            wanted,
            deployed: self.deployed,
            elsewhere: &elsewhere,
            shown: self.shown,
            adopt: self.options.adopt,
        };
        (files.changes(), files.needs_record())
    }

    /// A note on the files that `--adopt` takes over with another content.
    fn adopted(&self, works: &[ProjectWork]) -> Option<Diagnostic> {
        let adopted = works.iter().filter(|_| self.options.adopt).flat_map(|work| {
            let own = unit(work.name());
            work.plan.files.iter().filter(move |file| {
                matches!(self.deployed.found.get(&file.at), Some(Found::Entry(_)))
                    && !self.deployed.manages(&own, &file.at)
                    && matches!(file.change, FileChangeKind::Modified | FileChangeKind::Removed)
            })
        });
        problems::adopted(&adopted.map(|file| file.path.as_str()).collect())
    }

    /// Compose files that only the host has and that Compose would read for a project. They are in the way
    /// unless the repository wins: then they are removed.
    fn rivals(&self, project: &WantedProject) -> Vec<FileChange> {
        let own = unit(&project.name);
        let rivals = self.deployed.host_only.rivals(&project.model).map(|(path, _)| path);
        let rivals = rivals.filter(|path| !self.deployed.manages(&own, path));
        let change = |path: &RootPath| {
            let before = match self.deployed.found.get(path) {
                Some(Found::Entry(entry)) => Some(entry.clone()),
                _ => None,
            };
            let wins = self.options.adopt && before.is_some();
            let change = if wins { FileChangeKind::Removed } else { FileChangeKind::Conflict };
            let path_shown = (self.shown)(path);
            FileChange { path: path_shown, change, at: path.clone(), before, after: None, in_place: false }
        };
        rivals.map(change).collect()
    }

    /// What a project's services are to be started with, and their actions.
    fn actions(&self, project: &WantedProject, files: &[FileChange], outer: &[Outer]) -> ProjectActions {
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
    fn outer(&self, project: &WantedProject, owed: &BTreeMap<&str, ProjectActions>) -> Vec<Outer> {
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
    fn inactive(&self, project: &WantedProject) -> Vec<Diagnostic> {
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
    fn states(
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

    /// The recorded projects that are no longer any, whose folder holds that of a project or lies in it, and that have
    /// a service of it: the same service would run twice on the same files.
    fn apart<'p>(
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

    /// The plan of a project that has left the repository. Its containers are removed only if no other
    /// project has taken over Compose's name, for example after its folder was renamed.
    fn gone(&self, name: &str, recorded: &ProjectState) -> (ProjectPlan, Option<Diagnostic>) {
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
    fn absent(&self, name: &str) -> ProjectWork {
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

    /// The shared manifest to record: where an unmanaged file is in the way, the old entry stays.
    fn without_conflicts(&self, changes: &[FileChange]) -> Manifest {
        let mut shared = self.shared.clone();
        for file in changes.iter().filter(|file| file.change == FileChangeKind::Conflict) {
            let old = self.deployed.manifests.get(SHARED).and_then(|old| old.get(&file.at));
            match old {
                Some(old) => drop(shared.0.insert(file.at.clone(), old.clone())),
                None => drop(shared.0.remove(&file.at)),
            }
        }
        shared
    }
}

/// Marks the files that a running container keeps by their inode to be written in place.
fn write_in_place<'f>(
    project: &WantedProject,
    actions: &[Action],
    files: impl Iterator<Item = &'f mut FileChange>,
) {
    let starts = |name: &str| {
        let starting = |action: &&Action| {
            matches!(action.kind, ActionKind::Up | ActionKind::Recreate | ActionKind::Restart)
        };
        actions.iter().filter(starting).any(|action| action.service.as_deref() == Some(name))
    };
    let running: Vec<Reactions<'_>> = project
        .model
        .services
        .iter()
        .filter(|(name, service)| service.active && !starts(name))
        .map(|(_, service)| Reactions::new(&project.model, service))
        .collect();
    for file in files {
        let is_replaced =
            file.before.as_ref().is_some_and(is_file) && file.after.as_ref().is_some_and(is_file);
        let keeps_running =
            |to: &Reaction| matches!(to, Reaction::Signal(_) | Reaction::Exec(_) | Reaction::None);
        file.in_place |= is_replaced
            && running
                .iter()
                .any(|service| service.mounts_file(&file.at) && keeps_running(service.to(&file.at)));
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
