//! Problems and notes of a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::containers::Remark;
use super::{Action, FileChange, FileChangeKind, HostWork, Origin, ProjectWork};
use crate::base::commit::{hash, short};
use crate::base::diagnostic::{Diagnostic, Location, suggestion};
use crate::base::path::RootPath;
use crate::compose::model::{Hook, Project, Resource, Service, VariableNeed};
use crate::compose::{self, Files};
use crate::state::container::{DockerFailure, ListedContainer};
use crate::state::deployed::{Damage, Deployed, Elsewhere, Found, Held, ProjectState, STATE_FILE, unit};
use crate::state::host_only::dotenvs;
use crate::state::reach::PROXY_HELP;
use crate::state::unusable::listed;
use crate::state::wanted::{Wanted, WantedProject};

/// Unmanaged files are in the way of wanted ones, or links lead to them. `known` has what is already known of
/// some of them, by path.
pub(super) fn conflicts(
    files: &[FileChange],
    deployed: &Deployed,
    mut known: BTreeMap<RootPath, Diagnostic>,
) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let mut behind: BTreeMap<(&RootPath, &str), Vec<&FileChange>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.change == FileChangeKind::Conflict) {
        match deployed.found.get(&file.at) {
            Some(Found::Behind { link, target }) => {
                behind.entry((link, target)).or_default().push(file);
            }
            found => {
                problems.push(known.remove(&file.at).unwrap_or_else(|| conflict(file, found)));
            }
        }
    }
    problems.extend(behind.into_iter().map(|((link, target), files)| behind_link(link, target, &files)));
    problems
}

/// Variables that the compose files of a project need are not set on the host. All of them are named, because Compose
/// stops at the first that is required, and takes an empty text for each other one. `root` is that of the host.
#[must_use]
pub fn unset(model: &Project, deployed: &Deployed, root: &str) -> Option<Diagnostic> {
    let unset = deployed.host_only.unset(model);
    let (_, first) = unset.first()?;
    let names: Vec<&str> = unset.iter().map(|(name, _)| *name).collect();
    let message = match names[..] {
        [name] => format!("variable {name} is not set on the host"),
        _ => format!("{} variables are not set on the host: {}", names.len(), names.join(", ")),
    };
    let env_files = dotenvs(model);
    let path = |path: &RootPath| format!("{}/{path}", root.trim_end_matches('/'));
    let env_files: Vec<String> = env_files.map(path).collect();
    let them = if names.len() == 1 { "it" } else { "them" };
    let place = match env_files.first() {
        Some(file) => format!("set {them} in {file} on the host"),
        // The repository has a `.env`.
        None => format!("set {them} in the project's .env"),
    };
    let default = names.iter().zip(&unset).find(|(_, (_, variable))| variable.need == VariableNeed::Value);
    let default = default.map(|(name, _)| format!(", or give a default (`${{{name}:-}}`)"));
    let mut help = format!("{place}{}; write `$$` where no variable is meant", default.unwrap_or_default());
    if unset.len() > 1 {
        for (name, variable) in &unset {
            let is_required = variable.need > VariableNeed::Value;
            let required = if is_required { ", required" } else { "" };
            help.push_str(&format!("\n{name}: {}{required}", variable.at));
        }
    }
    Some(Diagnostic::error(message, Some(first.at.clone())).help(help))
}

/// A link is in the place of a folder of managed files.
fn behind_link(link: &RootPath, target: &str, files: &[&FileChange]) -> Diagnostic {
    let others = match files.len() {
        0 | 1 => String::new(),
        2 => " and another file".to_owned(),
        more => format!(" and {} other files", more - 1),
    };
    let first = files.first().map(|file| file.path.as_str()).unwrap_or_default();
    let shown = files.first().map(|file| file.shown_above(link)).unwrap_or_default();
    let message = format!(
        "{shown} on the host is a link to {target}, and ghdeploy did not make it: {first}{others} would be read and written there"
    );
    Diagnostic::error(message, None).help(format!(
        "on the host, remove the link ({link} below the root) and run sync again, which makes the folder; only a project's own folder may be moved elsewhere and linked"
    ))
}

/// An unmanaged file is in the way of a wanted one.
fn conflict(file: &FileChange, found: Option<&Found>) -> Diagnostic {
    let (what, help) = match found {
        Some(Found::Directory) => (
            "an unmanaged directory is in the place of",
            "if Docker made it because the file was missing, remove the empty directory on the host",
        ),
        Some(Found::Unreadable) => (
            "the deploying user may not read what the host has in the place of",
            "a container has probably made the file or its folder its own; on the host, as root, let that user in again (setfacl -R -m u:USER:rwX,d:u:USER:rwX FOLDER, or chown), or deploy as root, or leave the file to the application: list it in .ghdeployignore",
        ),
        Some(Found::Other) => (
            "something that is no regular file is in the place of",
            "look at it on the host; ghdeploy touches only files that it put there",
        ),
        _ => (
            "the host has another, unmanaged version of",
            "--adopt replaces it by the repository's and keeps the host's version in .ghdeploy/objects",
        ),
    };
    Diagnostic::error(format!("{what} {}", file.path), None).help(help)
}

/// Compose files that only the host has and that decide what runs in a project.
#[must_use]
pub fn rivals(
    project: &WantedProject,
    deployed: &Deployed,
    shown: &dyn Fn(&RootPath) -> String,
) -> Vec<Diagnostic> {
    rivals_by_path(project, deployed, shown).into_values().collect()
}

/// The same by their paths.
pub(super) fn rivals_by_path(
    project: &WantedProject,
    deployed: &Deployed,
    shown: &dyn Fn(&RootPath) -> String,
) -> BTreeMap<RootPath, Diagnostic> {
    let own = unit(&project.name);
    let rivals = deployed.host_only.rivals(&project.model);
    let rivals = rivals.filter(|(path, _)| !deployed.manages(&own, path));
    let problem = |(path, replaced): (&RootPath, Option<&RootPath>)| {
        let effect = match replaced {
            Some(replaced) => format!("reads it instead of {}", shown(replaced)),
            None => format!("merges it over the compose files of {}", project.path),
        };
        let message = format!("the host has an unmanaged {}, and Compose {effect}", shown(path));
        let take = match deployed.found.get(path) {
            Some(Found::Entry(_)) => "; --adopt moves it to .ghdeploy/objects",
            _ => "",
        };
        let help = format!("remove or rename it on the host, or bring it into the repository{take}");
        (path.clone(), Diagnostic::error(message, None).help(help))
    };
    rivals.map(problem).collect()
}

/// A compose file that only the host has is in the folder of a project that is to be taken down.
pub(super) fn decides_what_goes(path: &str, recorded: &ProjectState) -> Diagnostic {
    let message = format!(
        "the host has an unmanaged {path}, which would decide what is taken down, so {} is left alone",
        recorded.path
    );
    Diagnostic::error(message, None).help(format!(
        "remove or rename it on the host and run sync again; or take the project down there: docker compose -p {} down",
        recorded.project
    ))
}

/// Containers of a project were started in another folder, where its data may be.
#[must_use]
pub fn elsewhere(elsewhere: &Elsewhere, project: &WantedProject) -> Diagnostic {
    let Elsewhere { folder, here, .. } = elsewhere;
    let message = format!(
        "containers of {} were started in {folder} on the host, not in {here}: relative paths, such as that of a database, would lead to another folder, which may be empty",
        project.path
    );
    Diagnostic::error(message, None).help(format!(
        "take them down there (docker compose down) and move their data to {here}; or set `root` to where they are; --take-over recreates them in {here}, with the data that is there"
    ))
}

/// Notes on what a plan without a host does not know: a `.env` that only a host has may name compose files
/// and activate profiles. `files` is the wanted tree, and `root` the absolute root on the host.
#[must_use]
pub fn left_to_hosts(work: &HostWork, files: &dyn Files, root: &str) -> Vec<Diagnostic> {
    let mut notes = Vec::new();
    for ProjectWork { plan, wanted, .. } in work.projects.iter().filter(|work| !work.plan.files.is_empty()) {
        let Some(wanted) = wanted.as_deref().filter(|wanted| wanted.model.has_host_env()) else { continue };
        let alternatives = compose::alternatives(files, &wanted.model, root, wanted.manifest.0.keys());
        let may_be_named = |path: &RootPath| {
            wanted.model.may_be_named(path)
                || alternatives.iter().any(|alternative| alternative.file == *path)
        };
        for file in &plan.files {
            if may_be_named(&file.at) {
                let message = format!(
                    "{} counts only on a host whose own .env names it in COMPOSE_FILE, which this plan does not know",
                    file.path
                );
                notes.push(Diagnostic::warning(message, None));
                continue;
            }
            let names = alternatives.iter().filter_map(|alternative| {
                let readers: Vec<&str> = alternative.further_readers(&wanted.model, &file.at).collect();
                (!readers.is_empty()).then(|| (files.shown(&alternative.file), readers.join(", ")))
            });
            notes.extend(names.map(|(named, readers)| {
                let message = format!(
                    "{} is read by {readers} only on a host whose own .env names {named} in COMPOSE_FILE, which this plan does not know",
                    file.path
                );
                Diagnostic::warning(message, None)
            }));
        }
        let redefines = |file: &FileChange| wanted.model.definition_files.iter().any(|d| d.path == file.at);
        let inactive: Vec<&str> = wanted
            .model
            .services
            .iter()
            .filter(|(_, service)| !service.active)
            .map(|(name, _)| name.as_str())
            .collect();
        if !inactive.is_empty() && plan.files.iter().any(redefines) {
            let message = format!(
                "{}: {} may run on a host whose own .env activates a profile, which this plan does not know",
                plan.path,
                inactive.join(", ")
            );
            notes.push(Diagnostic::warning(message, None));
        }
    }
    for note in &mut notes {
        note.help = Some("`ghdeploy sync --dry-run` shows what happens on a host".to_owned());
    }
    notes
}

/// The key of the digests of env files is another one than before.
pub(super) fn replaced_key() -> Diagnostic {
    let message = "the key in .ghdeploy on the host was replaced: a change of a .env or env file that only the host has, since the last deploy, is not noticed";
    Diagnostic::warning(message, None)
        .help("if there was one, `ghdeploy sync --force` recreates every service, and so those that read it")
}

/// A record on the host is damaged.
#[must_use]
pub fn damaged(damage: &Damage) -> Diagnostic {
    let Damage { file, is_missing, instead } = damage;
    let what = if *is_missing { "is missing" } else { "is damaged" };
    let message = format!(".ghdeploy/{file} on the host {what}");
    let help = match (file == STATE_FILE, instead) {
        (true, Some(release)) => format!(
            "the state of release {release} takes its place; projects that have changed since then are brought up again"
        ),
        (true, None) => {
            "no kept release has a copy: every service is brought up, which leaves containers alone that are as wanted".to_owned()
        }
        (false, _) => {
            "files that are as wanted count as deployed; others that it no longer lists count as unmanaged and are not removed".to_owned()
        }
    };
    Diagnostic::warning(message, None).help(help)
}

/// Managed files were changed on the host.
pub(super) fn drift(files: usize) -> Option<Diagnostic> {
    let message = match files {
        0 => return None,
        1 => "1 file was changed on the host since it was deployed".to_owned(),
        files => format!("{files} files were changed on the host since they were deployed"),
    };
    Some(
        Diagnostic::warning(message, None)
            .help("the host's version is kept in .ghdeploy/objects when it is replaced"),
    )
}

/// The repository wins over files that only the host had.
pub(super) fn adopted(files: &BTreeSet<&str>) -> Option<Diagnostic> {
    let shown = listed(files.iter().copied(), files.len());
    let (verb, them) = match files.len() {
        0 => return None,
        1 => ("is", "it"),
        _ => ("are", "them"),
    };
    Some(
        Diagnostic::warning(
            format!("{shown} {verb} on the host and not managed yet: --adopt replaces {them}"),
            None,
        )
        .help("the host's version is kept in .ghdeploy/objects"),
    )
}

/// A project has left the repository, and `prune` is off.
pub(super) fn gone(recorded: &ProjectState, origin: Origin, runs_elsewhere: bool) -> Diagnostic {
    if origin != Origin::Repository {
        let message = format!("{} was not in {origin} and stays as it is on the host", recorded.path);
        return Diagnostic::warning(message, None);
    }
    let what = if runs_elsewhere {
        "belongs to another host now and stays as it is on this one"
    } else {
        "is no longer in the repository and stays as it is on the host"
    };
    Diagnostic::warning(format!("{} {what}", recorded.path), None)
        .help("--prune takes it down: its managed files go, its volumes and all other files stay")
}

/// A hook names another project that does not exist.
#[must_use]
pub fn no_project_of_hook(hook: &Hook, project: &str, known: &[&str]) -> Diagnostic {
    let message = format!("{} names project `{project}`, which does not exist on this host", hook.name());
    Diagnostic::error(message, Some(hook.at.clone())).help(suggestion(project, "projects", known))
}

/// A hook names a service that another project lacks.
#[must_use]
pub fn no_service_of_hook(hook: &Hook, project: &str, service: &str, known: &[&str]) -> Diagnostic {
    let message = format!("{} names service `{service}`, which project `{project}` lacks", hook.name());
    Diagnostic::error(message, Some(hook.at.clone())).help(suggestion(service, "services", known))
}

/// A hook runs in a container that is not there.
pub(super) fn hook_lacks_container(hook: &Hook, project: &str, service: &str) -> Diagnostic {
    let message = format!("{} runs in `{project}/{service}`, which has no running container", hook.name());
    Diagnostic::error(message, Some(hook.at.clone())).help(format!(
        "start it first: `ghdeploy sync {project}`, or `docker start` if it was stopped by hand"
    ))
}

/// Services that do not take part stay as they are.
pub(super) fn left_owed(project: &WantedProject, owed: &[Action]) -> Option<Diagnostic> {
    let services: BTreeSet<&str> = owed.iter().filter_map(|action| action.service.as_deref()).collect();
    if services.is_empty() {
        return None;
    }
    let (count, name) = (services.len(), &project.name);
    let verb = if count == 1 { "stays" } else { "stay" };
    let listed = services.into_iter().map(|service| format!("`{service}`")).collect::<Vec<_>>().join(", ");
    let message = format!("{name}: {listed} {verb} as before, and the next sync owes what changes for it");
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/'));
    let quoted = if is_plain { name.clone() } else { format!("'{name}'") };
    Some(Diagnostic::warning(message, None).help(format!("`ghdeploy sync {quoted}` does the rest")))
}

/// The wanted tree differs from its commit.
#[must_use]
pub fn differs_from_commit(wanted: &Wanted) -> Option<Diagnostic> {
    let files = &wanted.changes;
    let label = wanted.commit.as_deref().filter(|_| !files.is_empty())?;
    let shown = listed(files.iter().map(String::as_str), files.len());
    let (commit, verb) = (short(hash(label)), if files.len() == 1 { "differs" } else { "differ" });
    Some(
        Diagnostic::warning(format!("{shown} {verb} from commit {commit}: this is {}", short(label)), None)
            .help("commit the files, or let git ignore what is made here and name it in `sync.include`; --require-clean refuses this"),
    )
}

/// Shared files stay, because it is not known what projects that stay on the host read.
pub(super) fn kept_for_unknown(projects: &[&str], files: usize) -> Option<Diagnostic> {
    let [first, others @ ..] = projects else { return None };
    let files = match files {
        0 => return None,
        1 => "1 shared file stays".to_owned(),
        files => format!("{files} shared files stay"),
    };
    let others = match others.len() {
        0 => String::new(),
        1 => " and 1 other project".to_owned(),
        others => format!(" and {others} other projects"),
    };
    let reads = if projects.len() == 1 { "it reads" } else { "they read" };
    let message = format!(
        "{files} on the host: an older version of ghdeploy deployed {first}{others} and did not record what {reads}"
    );
    Some(Diagnostic::warning(message, None).help(
        "a later sync removes what no project reads, once each of them was deployed again or taken down",
    ))
}

/// Containers that a sync leaves alone, or that start only because the service has something else to do.
pub(super) fn remark(
    project: &WantedProject,
    name: &str,
    service: &Service,
    remark: &Remark,
    starts: bool,
) -> Diagnostic {
    let of = format!("{}/{name}", project.name);
    // Docker begins `Less than a second` and `About a minute` with a capital.
    let ago = |since: &str| match since.chars().next() {
        None => String::new(),
        Some(first) => format!(" {}{} ago", first.to_lowercase(), &since[first.len_utf8()..]),
    };
    let status = |container: &ListedContainer| container.exit_code.unwrap_or_default();
    let (message, help) = match remark {
        Remark::Stopped(container) => {
            let said = format!("{of} was stopped by hand{}", ago(&container.since));
            let help = format!("on the host: docker start {}", container.name);
            if starts {
                (format!("{said}; this starts it again"), None)
            } else {
                (format!("{said} and stays so"), Some(help))
            }
        }
        Remark::Paused(container) => {
            let said = format!("{of} was paused by hand");
            let help = format!("on the host: docker unpause {}", container.name);
            if starts {
                (format!("{said}; this lets it run again"), None)
            } else {
                (format!("{said} and stays so"), Some(help))
            }
        }
        Remark::Failed(container) => {
            let said = format!("{of} exited{} with status {}", ago(&container.since), status(container));
            let help = format!("on the host: docker logs {}; then docker start {0}", container.name);
            if starts {
                (format!("{said}; this starts it again"), None)
            } else {
                (format!("{said}, and its restart policy leaves it at that"), Some(help))
            }
        }
        Remark::Excess { wanted, names } => {
            let said = format!("{of} has {} containers, and the compose file asks for {wanted}", names.len());
            if starts {
                let excess = names.len().saturating_sub(usize::try_from(*wanted).unwrap_or(usize::MAX));
                let what =
                    if excess == 1 { "1 container".to_owned() } else { format!("{excess} containers") };
                (format!("{said}; this `up` removes {what}"), None)
            } else {
                let help = format!(
                    "somebody has scaled it by hand; to undo that, on the host: docker compose up -d {name}"
                );
                (said, Some(help))
            }
        }
    };
    let note = Diagnostic::warning(message, Some(service.at.clone()));
    match help {
        Some(help) => note.help(help),
        None => note,
    }
}

/// A service runs although its profile is not active: Compose leaves it alone, too.
pub(super) fn inactive(
    project: &WantedProject,
    name: &str,
    service: &Service,
    containers: &[&str],
) -> Diagnostic {
    let message = format!("{}/{name} runs, although its profile is not active", project.name);
    let help = format!("on the host, to end it: docker stop {0} && docker rm {0}", containers.join(" "));
    Diagnostic::warning(message, Some(service.at.clone())).help(help)
}

/// Docker did not list the containers of the host.
pub(super) fn containers_unknown(failure: DockerFailure) -> Diagnostic {
    let (why, help) = match failure {
        DockerFailure::NotInstalled => ("the host has no docker", "install Docker Engine there"),
        DockerFailure::NotRunning => {
            ("Docker Engine is not running on the host", "start it: systemctl start docker")
        }
        DockerFailure::Forbidden => (
            "the user of the connection may not use Docker",
            "on the host, as root: usermod -aG docker <user>",
        ),
        DockerFailure::Refused => ("the proxy before Docker refuses to list containers", PROXY_HELP),
        DockerFailure::NoAnswer => {
            ("Docker on the host did not answer in time", "on the host: systemctl status docker")
        }
        DockerFailure::Other => ("Docker on the host did not list its containers", "run ghdeploy doctor"),
    };
    Diagnostic::warning(format!("{why}, so it is not known whether the services run"), None).help(help)
}

/// A rollback left the wanted version.
pub(super) fn held(held: &Held, project: &WantedProject) -> Diagnostic {
    let message = format!(
        "{} was rolled back from release {}, and the repository still has that version",
        project.path, held.release
    );
    Diagnostic::error(message, None)
        .help("change the project, and it is deployed again; --allow-older deploys this version once more")
}

/// Compose would take the project for another one, because its name changes.
pub(super) fn renamed(
    recorded: &ProjectState,
    state: &ProjectState,
    project: &WantedProject,
) -> Option<Diagnostic> {
    if recorded.project == state.project || recorded.services.is_empty() {
        return None;
    }
    let message = format!(
        "Compose's project name changes from {:?} to {:?}: volumes and containers of the old name would be left behind",
        recorded.project, state.project
    );
    let old = &recorded.project;
    let keep = match &project.model.named_in {
        Some(file) => {
            format!(
                "`COMPOSE_PROJECT_NAME` in {file} decides over `name:`; keep the name: write COMPOSE_PROJECT_NAME={old} there"
            )
        }
        None => format!("keep the name (`name: {old}`)"),
    };
    let help = format!(
        "{keep}; or take the old project down on the host first (docker compose -p {old} down) and move its volumes"
    );
    Some(Diagnostic::error(message, place(project)).help(help))
}

/// A project was deployed by itself and is now a part of another one, or the other way round.
pub(super) fn apart(apart: &ProjectState, project: &WantedProject) -> Diagnostic {
    let message = format!(
        "{} was deployed as the project {:?}, and its services are now those of {}: they would run twice on the same files",
        apart.path, apart.project, project.path
    );
    Diagnostic::error(message, place(project)).help(format!(
        "--prune takes {:?} down first; its named volumes stay under that name, so move what is in them, or keep the name",
        apart.project
    ))
}

/// The other projects that are one project for Compose, because they have the same name there.
fn namesakes<'p>(
    project: &'p WantedProject,
    projects: &'p [Arc<WantedProject>],
) -> impl Iterator<Item = &'p Arc<WantedProject>> {
    projects.iter().filter(|other| other.name != project.name && other.model.name == project.model.name)
}

/// Folders that share one name of Compose's must not define the same thing twice: each would act on the containers of
/// the other, or replace its network.
#[must_use]
pub fn same_name(project: &WantedProject, projects: &[Arc<WantedProject>]) -> Option<Diagnostic> {
    let both = |other: &WantedProject| {
        let service =
            project.model.services.iter().find(|(name, _)| other.model.services.contains_key(*name));
        let service =
            service.map(|(name, service)| (format!("a service `{name}`"), Some(service.at.clone())));
        service.or_else(|| {
            let resource = project.model.resources.iter().find(|own| {
                let differs = |theirs: &&Resource| {
                    theirs.kind == own.kind
                        && theirs.name == own.name
                        && !own.is_external
                        && !theirs.is_external
                        && theirs.settings != own.settings
                };
                other.model.resources.iter().any(|theirs| differs(&theirs))
            })?;
            let what = format!("a {} `{}`, with other settings", resource.kind, resource.key);
            Some((what, resource.at.clone()))
        })
    };
    let (other, (what, at)) = namesakes(project, projects).find_map(|other| Some((other, both(other)?)))?;
    let message = format!(
        "{} and {} have the same Compose project name {:?}, and both define {what}: each would act on what the other has",
        project.path, other.path, project.model.name
    );
    let help = match (&project.model.named_in, &other.model.named_in) {
        (Some(file), _) | (None, Some(file)) => {
            format!(
                "rename it in one of them, or change `COMPOSE_PROJECT_NAME` in {file}, which decides over `name:`"
            )
        }
        (None, None) => "rename it in one of them, or give one of them another `name:`".to_owned(),
    };
    let at = match project.model.named_in {
        Some(_) => None,
        None => project.model.name_at.clone().or(at).or_else(|| place(project)),
    };
    Some(Diagnostic::error(message, at).help(help))
}

/// A warning about folders that have one name of Compose's although neither a compose file nor `.env` says so.
#[must_use]
pub fn same_folder_name(project: &WantedProject, projects: &[Arc<WantedProject>]) -> Option<Diagnostic> {
    let is_by_folder = project.model.name_at.is_none() && project.model.named_in.is_none();
    let other = namesakes(project, projects).next().filter(|_| is_by_folder)?;
    let message = format!(
        "{} and {} are one project {:?} for Compose, by the name of the folder: they share networks and volumes of one name",
        project.path, other.path, project.model.name
    );
    let help = "if that is meant, say so with `name:` in both; otherwise give one of them another `name:`";
    Some(Diagnostic::warning(message, place(project)).help(help))
}

/// Where the name of a project is written: `None` for a `.env`, whose lines are not shown.
fn place(project: &WantedProject) -> Option<Location> {
    if project.model.named_in.is_some() {
        return None;
    }
    let first = project.model.services.values().next().map(|service| service.at.clone());
    project.model.name_at.clone().or(first)
}

/// Services without an image that could have been tested, although that is required.
pub(super) fn untested(project: &WantedProject, actions: &[Action]) -> Vec<Diagnostic> {
    let acts = |name: &str| actions.iter().any(|action| action.service.as_deref() == Some(name));
    let services =
        project.model.services.iter().filter(|(name, service)| service.build.is_some() && acts(name));
    let untested =
        services.filter(|(_, service)| service.image.as_deref().is_none_or(|image| image.contains("${")));
    let problem = |(name, service): (&String, &crate::compose::model::Service)| {
        let message = format!(
            "service `{name}` is built from the repository and names no image in a registry, so no tested image can be deployed"
        );
        Diagnostic::error(message, Some(service.at.clone()))
            .help("give it an `image:`, or leave gate.require_tested out of ghdeploy.yml")
    };
    untested.map(problem).collect()
}
