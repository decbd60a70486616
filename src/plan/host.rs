//! From what is wanted and what a host has to the plan for that host.

use std::collections::{BTreeMap, BTreeSet};

use super::actions::Actions;
use super::files::Files;
use super::order::{before, order};
use super::{Action, Deed, FileChange, FileChangeKind, HostPlan, ProjectChange, ProjectPlan, Reason};
use crate::compose::model::Reaction;
use crate::deployed::{Deployed, Found, ProjectState, SHARED, ServiceState, unit};
use crate::diagnostic::Diagnostic;
use crate::manifest::{Entry, Manifest};
use crate::path::RootPath;
use crate::wanted::{Reactions, Wanted, WantedProject, is_file, service_state, union};

/// What decides about a plan besides facts.
pub struct Options<'a> {
    /// Whether a project takes part.
    pub selects: &'a dyn Fn(&str) -> bool,
    /// Whether every service acts whatever is owed.
    pub force: bool,
    /// Whether projects that are gone from the repository are taken down.
    pub prune: bool,
    /// Whether the repository wins over unmanaged files of other content.
    pub adopt: bool,
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("force", &self.force)
            .field("prune", &self.prune)
            .field("adopt", &self.adopt)
            .finish_non_exhaustive()
    }
}

/// A plan with all that carrying it out takes and nobody reads.
#[derive(Debug, Clone)]
pub struct Work {
    /// The plan.
    pub plan: HostPlan,
    /// By the names of projects.
    pub projects: BTreeMap<String, ProjectWork>,
    /// The manifest of the shared files, if it has to be replaced.
    pub shared: Option<Manifest>,
}

/// What carrying out a project's plan takes.
#[derive(Debug, Clone)]
pub struct ProjectWork {
    /// Its manifest once it is carried out.
    pub manifest: Manifest,
    /// Whether the manifest on the host has to be replaced though no file may change.
    pub needs_record: bool,
    /// What to record of it; each service's part only once it has no action left.
    pub state: ProjectState,
    /// What was recorded; `None`: it is new.
    pub recorded: Option<ProjectState>,
}

impl Work {
    /// Whether the host is as wanted, the books included.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.plan.is_empty()
            && self.shared.is_none()
            && self.projects.values().all(|project| !project.needs_record)
    }
}

/// Makes the plan for a host. `shown` tells where a path below the root lies in the repository.
#[must_use]
pub fn host(
    name: &str,
    wanted: &Wanted,
    deployed: &Deployed,
    options: &Options<'_>,
    shown: &dyn Fn(&RootPath) -> String,
) -> Work {
    let selected: Vec<&WantedProject> =
        wanted.projects.iter().filter(|project| (options.selects)(&project.name)).collect();
    let known: BTreeSet<&str> = wanted.projects.iter().map(|project| project.name.as_str()).collect();
    let gone: Vec<(&String, &ProjectState)> = deployed
        .state
        .projects
        .iter()
        .filter(|(name, _)| !known.contains(name.as_str()) && (options.selects)(name))
        .collect();
    let all_selected = selected.len() == wanted.projects.len();
    let shared = shared_manifest(wanted, deployed, &selected, all_selected);
    // What the host will have once this plan is carried out: the others stay as they are.
    let others = wanted.projects.iter().filter(|project| !(options.selects)(&project.name));
    let others: Vec<&Manifest> = others
        .map(|project| deployed.manifests.get(&unit(&project.name)).unwrap_or(&project.manifest))
        .collect();
    let kept =
        gone.iter().filter(|_| !options.prune).filter_map(|(name, _)| deployed.manifests.get(&unit(name)));
    let files =
        union(kept.chain(others).chain(selected.iter().map(|project| &project.manifest)).chain([&shared]));
    let elsewhere = |path: &RootPath| files.contains_key(path);
    let of_unit = |unit: &str, manifest: &Manifest| {
        let files =
            Files { unit, wanted: manifest, deployed, elsewhere: &elsewhere, shown, adopt: options.adopt };
        (files.changes(), files.needs_record())
    };

    let (shared_changes, shared_record) = of_unit(SHARED, &shared);
    let mut after = before(&wanted.projects);
    let (names, mut notes) = order(&mut after);
    let mut plans = Vec::new();
    let mut works = BTreeMap::new();
    for project in names.iter().filter_map(|name| selected.iter().find(|project| project.name == *name)) {
        let (changes, needs_record) = of_unit(&unit(&project.name), &project.manifest);
        let recorded = deployed.state.projects.get(&project.name);
        let states = states(project, recorded, &files);
        let mut changes: Vec<FileChange> = changes
            .into_iter()
            .chain(shared_changes.iter().filter(|file| project.reads(&file.at)).cloned())
            .collect();
        let mut problems: Vec<Diagnostic> =
            project.model.diagnostics.iter().filter(|d| d.is_error()).cloned().collect();
        let actions = if problems.is_empty() {
            Actions {
                model: &project.model,
                wanted: &states,
                recorded,
                files: &changes,
                force: options.force,
            }
            .list()
        } else {
            Vec::new()
        };
        if changes.is_empty() && actions.is_empty() && recorded.is_some() {
            problems.clear();
        }
        problems.extend(
            changes
                .iter()
                .filter(|file| file.change == FileChangeKind::Conflict)
                .map(|file| conflict(file, deployed)),
        );
        write_in_place(project, &actions, &mut changes);
        notes.extend(
            changes
                .iter()
                .filter(|file| file.change == FileChangeKind::Drift && file.before.is_some())
                .map(|file| kept_aside(&file.path)),
        );
        let change = if recorded.is_none() {
            ProjectChange::Added
        } else if changes.is_empty() && actions.is_empty() {
            ProjectChange::Unchanged
        } else {
            ProjectChange::Changed
        };
        let state = ProjectState {
            dir: project.model.dir.clone(),
            path: project.path.clone(),
            project: project.model.name.clone(),
            release: deployed.state.release + 1,
            commit: wanted.commit.clone(),
            services: states,
        };
        if let Some(recorded) =
            recorded.filter(|recorded| recorded.project != state.project && !recorded.services.is_empty())
        {
            problems.push(renamed(recorded, &state, project));
        }
        works.insert(
            project.name.clone(),
            ProjectWork {
                manifest: project.manifest.clone(),
                needs_record,
                state,
                recorded: recorded.cloned(),
            },
        );
        let after = after.get(&project.name).into_iter().flatten().cloned().collect();
        plans.push(ProjectPlan {
            name: project.name.clone(),
            path: project.path.clone(),
            change,
            files: changes,
            actions,
            problems,
            after,
        });
    }
    for (name, recorded) in gone {
        let (changes, _) = of_unit(&unit(name), &Manifest::default());
        let (files, actions) = if options.prune {
            let reason = Reason {
                path: recorded.path.clone(),
                line: None,
                how: None,
                by: None,
                note: Some("no longer in the repository".to_owned()),
            };
            (changes, vec![Action { deed: Deed::Down, service: None, reasons: vec![reason] }])
        } else {
            notes.push(
                Diagnostic::warning(
                    format!(
                        "{} is no longer in the repository and stays as it is on the host",
                        recorded.path
                    ),
                    None,
                )
                .help("--prune takes it down: its managed files go, its volumes and all other files stay"),
            );
            (Vec::new(), Vec::new())
        };
        let state = ProjectState { services: BTreeMap::new(), ..recorded.clone() };
        works.insert(
            name.clone(),
            ProjectWork {
                manifest: Manifest::default(),
                needs_record: options.prune,
                state,
                recorded: Some(recorded.clone()),
            },
        );
        plans.push(ProjectPlan {
            name: name.clone(),
            path: recorded.path.clone(),
            change: ProjectChange::Removed,
            files,
            actions,
            problems: Vec::new(),
            after: Vec::new(),
        });
    }
    notes.sort();
    notes.dedup();
    let plan = HostPlan { name: name.to_owned(), notes, projects: plans, shared: shared_changes };
    Work { plan, projects: works, shared: shared_record.then_some(shared) }
}

/// The shared files once the plan is carried out: those that no selected project reads stay.
fn shared_manifest(
    wanted: &Wanted,
    deployed: &Deployed,
    selected: &[&WantedProject],
    all_selected: bool,
) -> Manifest {
    if all_selected {
        return wanted.shared.clone();
    }
    let mut shared = deployed.manifests.get(SHARED).cloned().unwrap_or_default();
    let read = wanted.shared.0.iter().filter(|(path, _)| selected.iter().any(|project| project.reads(path)));
    shared.0.extend(read.map(|(path, entry)| (path.clone(), entry.clone())));
    shared
}

/// What to record of each service. One whose profile is not active keeps its record, for its
/// containers may run on.
fn states(
    project: &WantedProject,
    recorded: Option<&ProjectState>,
    files: &BTreeMap<&RootPath, &Entry>,
) -> BTreeMap<String, ServiceState> {
    let of = |(name, service): (&String, &crate::compose::model::Service)| {
        if service.active {
            return Some((name.clone(), service_state(&project.model, service, files)));
        }
        recorded.and_then(|recorded| recorded.services.get(name)).map(|state| (name.clone(), state.clone()))
    };
    project.model.services.iter().filter_map(of).collect()
}

/// Marks the files that a container keeps running with: it holds on to the inode.
fn write_in_place(project: &WantedProject, actions: &[Action], changes: &mut [FileChange]) {
    let starts = |name: &str| {
        actions.iter().any(|action| {
            action.service.as_deref() == Some(name)
                && matches!(action.deed, Deed::Up | Deed::Recreate | Deed::Restart)
        })
    };
    for (name, service) in
        project.model.services.iter().filter(|(name, service)| service.active && !starts(name))
    {
        let reactions = Reactions::new(&project.model, service);
        for file in changes.iter_mut() {
            let is_replaced =
                file.before.as_ref().is_some_and(is_file) && file.after.as_ref().is_some_and(is_file);
            let keeps_running =
                matches!(reactions.to(&file.at), Reaction::Signal(_) | Reaction::Exec(_) | Reaction::None);
            if is_replaced && keeps_running && reactions.mounts_file(&file.at) {
                tracing::trace!(service = name, "written in place");
                file.in_place = true;
            }
        }
    }
}

fn conflict(file: &FileChange, deployed: &Deployed) -> Diagnostic {
    let what = match deployed.found.get(&file.at) {
        Some(Found::Directory) => "a directory that is not managed lies where the host should have the file",
        Some(Found::Unreadable) => "a file that cannot be read lies where the host should have",
        Some(Found::Other) => "something that is no regular file lies where the host should have",
        _ => "the host has another, unmanaged version of",
    };
    let help = match deployed.found.get(&file.at) {
        Some(Found::Directory) => {
            "if Docker made it because the file was missing, remove the empty directory on the host"
        }
        Some(Found::Unreadable | Found::Other) => {
            "look at it on the host; `ghdeploy` touches nothing that it did not put there"
        }
        _ => "--adopt lets the repository win and keeps the host's version in .ghdeploy/objects",
    };
    Diagnostic::error(format!("{what} {}", file.path), None).help(help)
}

fn kept_aside(path: &str) -> Diagnostic {
    Diagnostic::warning(format!("{path} was changed on the host since it was deployed"), None)
        .help("the host's version is kept in .ghdeploy/objects when it is replaced")
}

fn renamed(recorded: &ProjectState, state: &ProjectState, project: &WantedProject) -> Diagnostic {
    let at = project.model.services.values().next().map(|service| service.at.clone());
    Diagnostic::error(format!("Compose's project name changes from {:?} to {:?}: volumes and containers of the old name would be left behind", recorded.project, state.project), at)
        .help(format!("keep the name (`name: {}`), or take the old project down on the host first and move its volumes", recorded.project))
}

impl Deployed {
    /// What a host would have on which `wanted` was deployed in full: the base of a comparison of
    /// two trees.
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
