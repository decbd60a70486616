//! Actions of a project, from changed files and records: what each service must do, and why.
//!
//! Measured with Compose: `up` applies a changed definition. Nothing applies the content of mounts, configs
//! and secrets, so a restart (or what the service asks for) is owed. Only a recreate applies inline configs,
//! and only a build applies a build context.

use std::collections::{BTreeMap, BTreeSet};

use super::Lack;
use super::containers::Standing;
use super::{
    Action, ActionKind, Cause, DefinitionChange, FileChange, FileChangeKind, NewPart, Reason, Relation,
};
use crate::base::path::RootPath;
use crate::compose::model::{
    Condition, HostVariables, Project, Reaction, Read, Service, Share, ShareOf, SharedPart,
};
use crate::state::deployed::{Elsewhere, ProjectState, ServiceState};
use crate::state::host_only::{EnvFile, EnvFileChange, env_files};
use crate::state::wanted::{ALL, Reactions, reaction_key};

/// Facts that decide about the actions of one project.
pub(super) struct Actions<'a> {
    /// Its model, read from the compose files.
    pub(super) model: &'a Project,
    /// What each service is to be started with.
    pub(super) wanted: &'a BTreeMap<String, ServiceState>,
    /// What was recorded; `None`: the project is new.
    pub(super) recorded: Option<&'a ProjectState>,
    /// The files that change, the project's own and shared ones.
    pub(super) files: &'a [FileChange],
    /// Compose files that only the host had and that the repository wins over.
    pub(super) rivals: &'a [FileChange],
    /// What the containers of each service say, as far as it is known.
    pub(super) standings: &'a BTreeMap<String, Standing>,
    /// Services that follow a container of another project, whose namespace or volumes they use.
    pub(super) outer: &'a [Outer],
    /// Containers that were started in another folder and are recreated.
    pub(super) elsewhere: Option<&'a Elsewhere>,
    /// Whether a service is recreated, whatever is owed.
    pub(super) is_forced: &'a dyn Fn(&str) -> bool,
    /// Whether images that could be built on the host come from a registry.
    pub(super) pulls_builds: bool,
    /// Whether another folder with the same name of Compose's has this service: its containers are those of that one.
    pub(super) is_elsewhere: &'a dyn Fn(&str) -> bool,
    /// Whether the host had a directory in the place of a file.
    pub(super) was_folder: &'a dyn Fn(&RootPath) -> bool,
    /// The path in the repository of a path below the root.
    pub(super) shown: &'a dyn Fn(&RootPath) -> String,
}

/// Action of a service that follows a container of another project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outer {
    /// The service.
    pub(super) service: String,
    /// Whether that container is replaced, and not only restarted.
    pub(super) is_replaced: bool,
    /// Why.
    pub(super) reason: Reason,
}

/// Causes that one service owes an action for, by kind.
#[derive(Debug, Default)]
struct Owed {
    build: Vec<Reason>,
    up: Vec<Reason>,
    /// Whether the `up` is owed because the definition differs.
    is_redefined: bool,
    recreate: Vec<Reason>,
    /// Whether a plain `up` would not do, or would come too early.
    must_recreate: bool,
    restart: Vec<Reason>,
    /// Signals and commands.
    mild: BTreeMap<Reaction, Vec<Reason>>,
    none: Vec<Reason>,
}

impl Owed {
    /// Whether its containers are started again.
    fn starts(&self) -> bool {
        !(self.up.is_empty() && self.recreate.is_empty() && self.restart.is_empty())
    }

    /// Whether its containers are recreated by force. If the definition differs, a plain `up` does that.
    fn recreates(&self, force: bool) -> bool {
        !self.recreate.is_empty() && (force || self.must_recreate || !self.is_redefined)
    }
}

impl Actions<'_> {
    /// The actions: builds, ups, recreates, restarts, signals and commands, removals.
    pub(super) fn list(&self) -> Vec<Action> {
        let mut owed: BTreeMap<&str, Owed> = BTreeMap::new();
        for (name, service) in &self.model.services {
            if service.active {
                owed.insert(name, self.owed(name, service));
            }
        }
        self.follow(&mut owed);
        let mut actions = Vec::new();
        for (name, mut owed) in owed {
            if self.pulls_builds {
                owed.build.clear();
            }
            let mut push = |kind: ActionKind, reasons: Vec<Reason>| {
                if !reasons.is_empty() {
                    actions.push(Action { kind, service: Some(name.to_owned()), reasons: sorted(reasons) });
                }
            };
            // The least action that suffices: a changed definition recreates the container anyway, a
            // recreated container has everything new, a restarted one needs no signal.
            let starts = owed.starts();
            let recreates = owed.recreates((self.is_forced)(name));
            let renewed = recreates || (!owed.up.is_empty() && owed.build.is_empty());
            push(ActionKind::Build, owed.build);
            if !recreates {
                push(ActionKind::Up, owed.up);
            }
            if recreates {
                push(ActionKind::Recreate, owed.recreate);
            }
            if renewed {
                // It starts before the one whose namespace it uses is restarted.
                owed.restart.retain(shares_namespace);
            }
            push(ActionKind::Restart, owed.restart);
            if !starts {
                let is_down = self.is_down(name);
                for (reaction, reasons) in owed.mild {
                    // Nobody is there to take it, and the service reads everything anew when it starts.
                    let kind = if is_down { ActionKind::None } else { ActionKind::from(&reaction) };
                    push(kind, reasons);
                }
                push(ActionKind::None, owed.none);
            }
        }
        actions.sort_by_key(|action| rank(&action.kind));
        actions.extend(self.removals());
        actions
    }

    fn owed(&self, name: &str, service: &Service) -> Owed {
        let mut owed = Owed::default();
        if let Some(elsewhere) = self.elsewhere.filter(|elsewhere| elsewhere.services.contains(name)) {
            let cause = Cause::TakenOver { from: elsewhere.folder.clone() };
            owed.recreate.push(Reason::at(&service.at, cause));
            // Compose may see no reason to recreate it, and its label would go on naming the other folder.
            owed.must_recreate = true;
        }
        let wanted = self.wanted.get(name).cloned().unwrap_or_default();
        let Some(recorded) = self.recorded.and_then(|project| project.services.get(name)) else {
            let what = if self.recorded.is_none() { NewPart::Project } else { NewPart::Service };
            let reason = Reason::at(&service.at, Cause::New { what });
            if service.build.is_some() {
                owed.build.push(reason.clone());
            }
            owed.up.push(reason);
            return owed;
        };
        if (self.is_forced)(name) {
            owed.recreate.push(Reason::at(&service.at, Cause::Forced));
        }
        if recorded.scheme != wanted.scheme {
            let cause = Cause::Definition { change: DefinitionChange::Unknown };
            owed.up.push(Reason::at(&service.at, cause));
        } else if recorded.definition != wanted.definition {
            owed.up = self.definition_reasons(service);
            owed.is_redefined = true;
        } else if recorded.unhashed != wanted.unhashed && wanted.unhashed.is_some() {
            let unseen = Cause::Definition { change: DefinitionChange::Unseen };
            owed.recreate.extend(
                self.definition_reasons(service)
                    .into_iter()
                    .map(|reason| Reason { cause: unseen.clone(), ..reason }),
            );
        }
        if recorded.build != wanted.build && service.build.is_some() {
            owed.build =
                self.input_reasons(service, |read, _| read.how == crate::compose::model::ReadMethod::Build);
            if owed.up.is_empty() {
                owed.up.clone_from(&owed.build);
            }
        }
        if recorded.inputs.get(ALL) != wanted.inputs.get(ALL) {
            self.add_inputs(service, recorded, &wanted, &mut owed);
        }
        // A container that was made with a directory in the place of the file does not start with the file.
        let was_folder = |read: &Read, file: &FileChange| {
            read.how.is_input() && read.path == file.at && (self.was_folder)(&file.at)
        };
        let reasons = self.input_reasons_of_changes(service, was_folder);
        if !reasons.is_empty() {
            owed.recreate.extend(reasons);
            owed.must_recreate = true;
        }
        // Until now, another definition than the recorded one may have decided.
        owed.up.extend(self.rivals.iter().map(|rival| {
            let by = Some(service.at.clone());
            Reason { path: rival.path.clone(), line: None, how: None, by, cause: Cause::Drift }
        }));
        self.add_env_files(service, recorded, &wanted, &mut owed);
        // What was changed on the host says why a definition differs that no file of the repository explains.
        if owed.up.iter().any(|reason| reason.cause == Cause::Drift) {
            owed.up.retain(|reason| !matches!(reason.cause, Cause::Owed { .. }));
        }
        let is_scaled = recorded.scale.is_some() && recorded.scale != wanted.scale;
        if is_scaled {
            let scaled = Cause::Definition { change: DefinitionChange::Scale };
            let reasons = self.definition_reasons(service).into_iter();
            owed.up.extend(reasons.map(|reason| Reason { cause: scaled.clone(), ..reason }));
        }
        match self.standings.get(name).and_then(|standing| standing.lack) {
            // Compose does not see it if the other container is not of this project.
            Some(container @ Lack::LostNamespace) if service.shares.iter().any(is_outer) => {
                owed.recreate.push(Reason::at(&service.at, Cause::Missing { container }));
                owed.must_recreate = true;
            }
            Some(Lack::Fewer { .. }) if is_scaled => {}
            Some(container) => owed.up.push(Reason::at(&service.at, Cause::Missing { container })),
            None => {}
        }
        for outer in self.outer.iter().filter(|outer| outer.service == name) {
            if outer.is_replaced {
                owed.recreate.push(outer.reason.clone());
                owed.must_recreate = true;
            } else {
                owed.restart.push(outer.reason.clone());
            }
        }
        owed
    }

    /// Adds env files that only the host has and that were changed there. Compose sees what they change in a
    /// definition.
    fn add_env_files(
        &self,
        service: &Service,
        recorded: &ServiceState,
        wanted: &ServiceState,
        owed: &mut Owed,
    ) {
        for file in env_files(self.model, service) {
            let marks = recorded.env_files.get(&file.path).zip(wanted.env_files.get(&file.path));
            if marks.is_none_or(|(old, new)| EnvFile::compare(old, new) != EnvFileChange::Changed) {
                continue;
            }
            let path =
                RootPath::new(&file.path).map_or_else(|_| file.path.clone(), |path| (self.shown)(&path));
            let reason = Reason { path, line: None, how: file.how, by: Some(file.at), cause: Cause::Drift };
            match service.host_variables {
                HostVariables::Content if file.how.is_none() => owed.recreate.push(reason),
                _ => owed.up.push(reason),
            }
        }
    }

    fn add_inputs(&self, service: &Service, recorded: &ServiceState, wanted: &ServiceState, owed: &mut Owed) {
        let reactions = Reactions::new(self.model, service);
        let mut seen = BTreeSet::new();
        let hooks = service.reads.iter().any(|read| read.by_pre_start).then_some(&Reaction::Recreate);
        let every = std::iter::once(&service.on_change.default)
            .chain(service.on_change.paths.iter().map(|(_, reaction)| reaction))
            .chain(hooks);
        for reaction in every {
            let key = reaction_key(reaction);
            if !seen.insert(key.clone()) || recorded.inputs.get(&key) == wanted.inputs.get(&key) {
                continue;
            }
            let reasons = self.input_reasons(service, |read, file| {
                read.how.is_input() && file.is_none_or(|file| reactions.of(read, &file.at) == reaction)
            });
            match reaction {
                Reaction::Restart => owed.restart.extend(reasons),
                Reaction::Recreate => owed.recreate.extend(reasons),
                // A change that a service notices by itself is of interest only while the file changes.
                Reaction::None => {
                    owed.none.extend(reasons.into_iter().filter(|reason| reason.how.is_some()));
                }
                mild => owed.mild.entry(mild.clone()).or_default().extend(reasons),
            }
        }
    }

    /// The places that make the definition: those in files that change, or else the service itself.
    fn definition_reasons(&self, service: &Service) -> Vec<Reason> {
        let changed: BTreeSet<&str> = self.files.iter().map(|file| file.path.as_str()).collect();
        let mut reasons: Vec<Reason> = service
            .defined_at
            .iter()
            .filter(|place| changed.contains(place.path.as_str()))
            .map(|place| Reason::at(place, Cause::definition()))
            .collect();
        reasons.extend(self.input_reasons_of_changes(service, |read, _| !read.how.is_input()));
        let definition = self.model.definition_files.iter();
        for file in self.files.iter().filter(|file| definition.clone().any(|d| d.path == file.at)) {
            if !reasons.iter().any(|reason| reason.path == file.path)
                && !service.defined_at.iter().any(|place| place.path == file.path)
            {
                reasons.push(Reason {
                    path: file.path.clone(),
                    line: None,
                    how: None,
                    by: Some(service.at.clone()),
                    cause: Cause::definition(),
                });
            }
        }
        if reasons.is_empty() { vec![Reason::at(&service.at, self.owed_since())] } else { reasons }
    }

    fn input_reasons(
        &self,
        service: &Service,
        concerns: impl Fn(&Read, Option<&FileChange>) -> bool + Copy,
    ) -> Vec<Reason> {
        let reasons = self.input_reasons_of_changes(service, |read, file| concerns(read, Some(file)));
        if !reasons.is_empty() {
            return reasons;
        }
        // The files are on the host already: an earlier run put them there and was interrupted.
        let read = service.reads.iter().find(|read| concerns(read, None));
        vec![Reason::at(read.map_or(&service.at, |read| &read.at), self.owed_since())]
    }

    fn input_reasons_of_changes(
        &self,
        service: &Service,
        concerns: impl Fn(&Read, &FileChange) -> bool,
    ) -> Vec<Reason> {
        let mut reasons = Vec::new();
        for file in self.files {
            for read in service.reads.iter().filter(|read| read.covers(&file.at) && concerns(read, file)) {
                reasons.push(Reason {
                    path: file.path.clone(),
                    line: None,
                    how: Some(read.how),
                    by: Some(read.at.clone()),
                    cause: if file.change == FileChangeKind::Drift {
                        Cause::Drift
                    } else {
                        Cause::File { unknown: read.unknown.to_vec() }
                    },
                });
            }
        }
        reasons
    }

    fn owed_since(&self) -> Cause {
        let release = self.recorded.map(|project| project.release);
        Cause::Owed { release: release.filter(|release| *release > 0) }
    }

    /// Adds services that follow others: those that wait for a one-shot which runs again, and those that ask
    /// Compose to restart them with a dependency.
    fn follow<'m>(&'m self, owed: &mut BTreeMap<&'m str, Owed>) {
        loop {
            let mut more = Vec::new();
            for (name, service) in &self.model.services {
                if owed.get(name.as_str()).is_none_or(Owed::starts) {
                    continue;
                }
                for (dependency, how) in &service.depends_on {
                    let relation = match (&how.condition, how.restart) {
                        (Condition::Completed, _) => Relation::WaitsForCompletion,
                        (_, true) => Relation::RestartsWith,
                        (_, false) => continue,
                    };
                    if owed.get(dependency.as_str()).is_some_and(Owed::starts) {
                        let cause = Cause::Follows { service: dependency.clone(), relation };
                        more.push((name.as_str(), Reason::at(&service.at, cause)));
                    }
                }
            }
            let mut is_done = more.is_empty();
            for (name, reason) in more {
                owed.entry(name).or_default().restart.push(reason);
            }
            is_done &= !self.follow_namespaces(owed);
            is_done &= !self.need_one_shots(owed);
            if is_done {
                return;
            }
        }
    }

    /// Adds services that use a namespace or the volumes of one that is replaced, or a namespace of one that is
    /// restarted. Returns whether there were any. A container that is replaced leaves the others behind in
    /// namespaces that nobody else uses, and they can never be restarted: Docker does not find that container
    /// any more. Compose recreates them with an `up`, but only after the other one.
    fn follow_namespaces<'m>(&'m self, owed: &mut BTreeMap<&'m str, Owed>) -> bool {
        let mut has_more = false;
        for (name, service) in self.model.services.iter().filter(|(_, service)| service.active) {
            for share in &service.shares {
                let ShareOf::Service(other) = &share.of else { continue };
                let Some(of) = owed.get(other.as_str()) else { continue };
                let (recreates, ups, restarts) =
                    (of.recreates((self.is_forced)(other)), !of.up.is_empty(), !of.restart.is_empty());
                let relation = match share.what {
                    SharedPart::Namespace => Relation::SharesNamespace,
                    SharedPart::Volumes => Relation::SharesVolumes,
                };
                let reason = Reason::at(&service.at, Cause::Follows { service: other.clone(), relation });
                let own = owed.entry(name).or_default();
                let reasons = if recreates {
                    has_more |= !own.must_recreate;
                    own.must_recreate = true;
                    &mut own.recreate
                } else if ups {
                    &mut own.up
                } else if restarts && share.what == SharedPart::Namespace {
                    &mut own.restart
                } else {
                    continue;
                };
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                    has_more = true;
                }
            }
        }
        has_more
    }

    /// Adds one-shots without a container that others wait for, once one of those is made anew: Compose runs
    /// them again then. Returns whether there were any.
    fn need_one_shots<'m>(&'m self, owed: &mut BTreeMap<&'m str, Owed>) -> bool {
        let Some(known) = self.recorded.filter(|_| !self.standings.is_empty()) else { return false };
        let mut has_more = false;
        for (name, service) in &self.model.services {
            let comes_up =
                owed.get(name.as_str()).is_some_and(|owed| !(owed.up.is_empty() && owed.recreate.is_empty()));
            for needed in service.depends_on.keys().filter(|_| comes_up) {
                let Some(of) = self.model.services.get(needed).filter(|of| of.active) else { continue };
                let is_gone = self.standings.get(needed).is_some_and(|standing| standing.is_gone);
                let own = owed.entry(needed).or_default();
                if is_gone && !own.starts() && known.services.contains_key(needed) {
                    let cause = Cause::Missing { container: Lack::Absent };
                    own.up.push(Reason::at(&of.at, cause));
                    has_more = true;
                }
            }
        }
        has_more
    }

    /// Whether a service has containers and none of them runs.
    fn is_down(&self, service: &str) -> bool {
        self.standings.get(service).is_some_and(|standing| standing.is_down)
    }

    /// Removals of services that were deployed and are no longer in a compose file. A service whose profile
    /// is not active still is in one, and is no orphan.
    fn removals(&self) -> impl Iterator<Item = Action> {
        let gone = self
            .recorded
            .into_iter()
            .flat_map(|project| project.services.keys())
            .filter(|name| !self.model.services.contains_key(*name) && !(self.is_elsewhere)(name));
        gone.map(|name| {
            let changed =
                self.files.iter().find(|file| self.model.definition_files.iter().any(|d| d.path == file.at));
            let first = self.model.definition_files.iter().find(|file| file.present);
            let path = changed.map_or_else(
                || first.map(|file| file.path.to_string()).unwrap_or_default(),
                |file| file.path.clone(),
            );
            let cause = Cause::Definition { change: DefinitionChange::ServiceRemoved };
            Action {
                kind: ActionKind::Remove,
                service: Some(name.clone()),
                reasons: vec![Reason { path, line: None, how: None, by: None, cause }],
            }
        })
    }
}

fn is_outer(share: &Share) -> bool {
    matches!(share.of, ShareOf::Container(_)) && share.what == SharedPart::Namespace
}

/// Whether the reason is that the service uses a namespace of another one.
pub(crate) fn shares_namespace(reason: &Reason) -> bool {
    matches!(&reason.cause, Cause::Follows { relation: Relation::SharesNamespace, .. })
}

fn sorted(mut reasons: Vec<Reason>) -> Vec<Reason> {
    reasons.sort();
    reasons.dedup();
    reasons
}

/// The order in which a project's actions are carried out.
fn rank(kind: &ActionKind) -> u8 {
    match kind {
        ActionKind::Build => 0,
        ActionKind::Up => 1,
        ActionKind::Recreate => 2,
        ActionKind::Restart => 3,
        ActionKind::Signal { .. } => 4,
        ActionKind::Exec { .. } => 5,
        ActionKind::None => 6,
        ActionKind::Remove => 7,
        ActionKind::Down => 8,
    }
}
