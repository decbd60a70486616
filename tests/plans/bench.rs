//! A folder with projects, a host as a value, and plans as short lines.

use std::collections::BTreeSet;

use ghdeploy::base::manifest::{Digest, Entry, Kind, Manifest};
use ghdeploy::base::path::RootPath;
use ghdeploy::compose::Files as _;
use ghdeploy::config::FileRules;
use ghdeploy::config::layout::Layout;
use ghdeploy::plan::{self, FileChangeKind, HostPlan, HostWork, PlanOptions, ProjectPlan, Reason};
use ghdeploy::report::cause_in_words;
use ghdeploy::state::deployed::{Deployed, Found, SHARED, unit};
use ghdeploy::state::wanted::Wanted;
use ghdeploy::tree;
use ghdeploy::tree::disk::DiskTree;

pub(crate) use crate::support::projects::Projects;

pub(crate) const ROOT: &str = "/srv/services";

impl Projects {
    pub(crate) fn tree(&self) -> DiskTree {
        DiskTree::open(self.top(), &Layout::default(), &FileRules::default()).unwrap()
    }

    pub(crate) fn wanted(&self) -> Wanted {
        self.wanted_where(&|_| true)
    }

    /// The wanted state of a host that does not run every project.
    pub(crate) fn wanted_where(&self, runs: &dyn Fn(&str) -> bool) -> Wanted {
        tree::read(&self.tree(), &Layout::default(), ROOT, &|name, _| runs(name)).unwrap()
    }

    /// A host on which all of this was deployed, in release 7.
    pub(crate) fn deployed(&self) -> Deployed {
        let mut deployed = Deployed::from_wanted(&self.wanted());
        deployed.state.release = 7;
        deployed.state.projects.values_mut().for_each(|project| project.release = 7);
        deployed
    }

    /// Plan for a host without options.
    pub(crate) fn plan(&self, deployed: &Deployed) -> HostWork {
        self.plan_with(deployed, |_| {})
    }

    pub(crate) fn plan_with(&self, deployed: &Deployed, ask: impl FnOnce(&mut Asked)) -> HostWork {
        self.plan_of(&self.wanted(), deployed, ask)
    }

    pub(crate) fn plan_of(
        &self,
        wanted: &Wanted,
        deployed: &Deployed,
        ask: impl FnOnce(&mut Asked),
    ) -> HostWork {
        let mut asked = Asked::default();
        ask(&mut asked);
        let selects = |name: &str| asked.projects.is_empty() || asked.projects.contains(&name);
        let options = PlanOptions {
            services: &|name: &str| {
                let services = asked.services.iter().filter(|(project, _)| *project == name);
                let services: BTreeSet<String> = services.map(|(_, service)| (*service).to_owned()).collect();
                (!services.is_empty()).then_some(services)
            },
            force: asked.force,
            prune: asked.prune,
            adopt: asked.adopt,
            take_over: asked.take_over,
            ..PlanOptions::new(&selects)
        };
        let tree = self.tree();
        plan::host("web", wanted, deployed, &options, &|path| tree.shown(path))
    }
}

/// PlanOptions of a plan.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) projects: Vec<&'static str>,
    /// Services of projects that take part with these alone.
    pub(crate) services: Vec<(&'static str, &'static str)>,
    pub(crate) force: bool,
    pub(crate) prune: bool,
    pub(crate) adopt: bool,
    pub(crate) take_over: bool,
}

pub(crate) fn path(text: &str) -> RootPath {
    RootPath::new(text).unwrap()
}

pub(crate) fn entry(content: &str) -> Entry {
    Entry {
        kind: Kind::File,
        mode: 0o644,
        size: content.len() as u64,
        digest: Digest::of(content.as_bytes()),
    }
}

pub(crate) fn found(content: &str) -> Found {
    Found::Entry(entry(content))
}

pub(crate) fn project<'w>(work: &'w HostWork, name: &str) -> &'w ProjectPlan {
    &work.project(name).unwrap_or_else(|| panic!("no project {name}")).plan
}

/// Lines of a plan: `blog changed`, `  modified x`, `  restart web: why`. Unchanged projects are left
/// out. Paths are those below `services/`.
pub(crate) fn plan_lines(work: &HostWork) -> Vec<String> {
    host_plan_lines(&work.plan())
}

pub(crate) fn host_plan_lines(plan: &HostPlan) -> Vec<String> {
    let mut lines = Vec::new();
    let short = |path: &str| path.strip_prefix("services/").unwrap_or(path).to_owned();
    for project in &plan.projects {
        let change = format!("{:?}", project.change).to_lowercase();
        if change == "unchanged" && project.is_empty() {
            continue;
        }
        lines.push(format!("{} {change}", project.name));
        for file in &project.files {
            let kind = format!("{:?}", file.change).to_lowercase();
            lines.push(format!(
                "  {kind} {}{}",
                short(&file.path),
                if file.in_place { " in place" } else { "" }
            ));
        }
        for action in &project.actions {
            let why: Vec<String> = action.reasons.iter().map(|reason| short(&why(reason))).collect();
            let service = action.service.as_deref().map(|service| format!(" {service}")).unwrap_or_default();
            lines.push(format!("  {}{service}: {}", action.kind.word(), why.join(", ")));
        }
        lines.extend(project.problems.iter().map(|problem| format!("  problem: {}", problem.message)));
    }
    lines
}

/// `path:line how@line (note)`, each part only if there is one.
fn why(reason: &Reason) -> String {
    let mut text = reason.path.clone();
    if let Some(line) = reason.line {
        text += &format!(":{line}");
    }
    if let Some(how) = reason.how {
        text += &format!(" {}", format!("{how:?}").to_lowercase());
    }
    if let Some(by) = &reason.by {
        text += &format!("@{}", by.line);
    }
    if let Some(note) = cause_in_words(&reason.cause) {
        text += &format!(" ({note})");
    }
    text
}

/// The host once the plan was carried out in full.
pub(crate) fn applied(work: &HostWork, deployed: &Deployed) -> Deployed {
    let mut after = Deployed {
        state: deployed.state.clone(),
        manifests: deployed.manifests.clone(),
        ..Deployed::default()
    };
    after.state.release += 1;
    for plan in work.projects.iter().map(|work| &work.plan).filter(|plan| plan.problems.is_empty()) {
        let of = work.project(&plan.name).unwrap();
        if plan.actions.iter().any(|action| action.kind.word() == "down") {
            after.manifests.remove(&unit(&plan.name));
            after.state.projects.remove(&plan.name);
        } else if format!("{:?}", plan.change) != "Removed" {
            after.manifests.insert(unit(&plan.name), of.manifest.clone());
            after.state.projects.insert(plan.name.clone(), of.state.clone());
        }
    }
    if let Some(shared) = &work.shared.manifest {
        after.manifests.insert(SHARED.to_owned(), shared.clone());
    }
    after
}

/// Files of a unit once the planned changes are made on the host.
pub(crate) fn changed(work: &HostWork, deployed: &Deployed, unit_name: &str) -> Manifest {
    let mut files = deployed.manifests.get(unit_name).cloned().unwrap_or_default().0;
    for (path, found) in &deployed.found {
        match found {
            Found::Entry(entry) if files.contains_key(path) => {
                drop(files.insert(path.clone(), entry.clone()));
            }
            Found::Missing => drop(files.remove(path)),
            _ => {}
        }
    }
    let own = work
        .projects
        .iter()
        .map(|work| &work.plan)
        .filter(|plan| unit(&plan.name) == unit_name)
        .flat_map(|plan| &plan.files);
    let shared = work.shared.files.iter().filter(|_| unit_name == SHARED);
    let is_shared = |path: &RootPath| work.shared.files.iter().any(|file| file.at == *path);
    for file in own
        .filter(|file| !is_shared(&file.at))
        .chain(shared)
        .filter(|file| file.change != FileChangeKind::Conflict)
    {
        match &file.after {
            Some(entry) => drop(files.insert(file.at.clone(), entry.clone())),
            None => drop(files.remove(&file.at)),
        }
    }
    Manifest(files)
}
