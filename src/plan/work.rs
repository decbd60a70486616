//! A plan with everything that carrying it out takes and no reader of the plan needs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::containers::Standing;
use super::{FileChange, HostPlan, ProjectPlan};
use crate::base::diagnostic::Diagnostic;
use crate::base::manifest::Manifest;
use crate::config::Network;
use crate::state::deployed::{ProjectState, State};
use crate::state::wanted::WantedProject;

/// Work on one host.
#[derive(Debug, Clone)]
pub struct HostWork {
    /// The host's name.
    pub host: String,
    /// Commit of what is wanted; `None` outside of git.
    pub commit: Option<String>,
    /// What is worth knowing and belongs to no action.
    pub notes: Vec<Diagnostic>,
    /// External networks that are made because the host lacks them and the configuration names them.
    pub networks: Vec<Network>,
    /// Every project, the unchanged ones too, in the order in which they are brought up.
    pub projects: Vec<ProjectWork>,
    /// Files outside the projects' folders that projects read.
    pub shared: SharedWork,
    /// The state to record before anything else is, if more is known of what services were started with.
    pub noted: Option<State>,
}

/// Work on one project.
#[derive(Debug, Clone)]
pub struct ProjectWork {
    /// Its plan.
    pub plan: ProjectPlan,
    /// What is wanted of it; `None` when it is no longer in the repository.
    pub wanted: Option<Arc<WantedProject>>,
    /// Its manifest once the plan is carried out.
    pub manifest: Manifest,
    /// Whether the manifest on the host has to be replaced although no file may change.
    pub needs_record: bool,
    /// Whether the host has a manifest of it, from a run that went through or was interrupted.
    pub was_deployed: bool,
    /// The record to write; each service's part only once the service has no action left.
    pub state: ProjectState,
    /// What was recorded, without what drift has invalidated; `None`: it is new.
    pub recorded: Option<ProjectState>,
    /// Whether drift has invalidated some of the record. Then that is recorded before the drifted files are
    /// replaced, or an interrupted run would lose what is owed for them.
    pub is_invalidated: bool,
    /// Whether another project reads a file of it that changes: then its files go first.
    pub goes_first: bool,
    /// What the containers of each service say; empty if they are not known.
    pub standings: BTreeMap<String, Standing>,
    /// Services whose image may need a login that only the pull before the first change has. If there is one, all
    /// images of the project are pulled there, and Compose pulls none.
    pub pulls_ahead: BTreeSet<String>,
    /// Images that are tagged again before services act: id and name.
    pub images: Vec<(String, String)>,
    /// Containers that hold a name or a port which its new containers need. They are stopped before those come up, as
    /// are the containers of services that are removed.
    pub makes_way: Vec<MakesWay>,
    /// Where a failure leads back to; `None`: to what was there before the run.
    pub way_back: Option<WayBack>,
}

/// Container that makes way for a new one of another service. It is started again if the new one cannot come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MakesWay {
    /// The first 12 digits of Docker's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its service.
    pub service: String,
    /// The project that it belongs to, which may be the same one.
    pub project: String,
    /// The folder of that project in the repository.
    pub path: String,
    /// Whether the new container needs its name.
    pub has_name: bool,
    /// The services whose new containers need something that only one container can have, as far as that is known.
    pub needed_by: BTreeSet<String>,
    /// Whether it runs.
    pub runs: bool,
}

impl MakesWay {
    /// Its name while it is stopped for another one that needs its name.
    #[must_use]
    pub fn parked(&self) -> String {
        format!("{}_{}", self.id, self.name)
    }
}

/// Where a failure leads back to if an earlier run has left the project halfway.
#[derive(Debug, Clone)]
pub struct WayBack {
    /// The last release in which the project was well; `None`: it was in none.
    pub release: Option<u64>,
    /// What that release has of it; `None`: nothing.
    pub version: Option<WellVersion>,
    /// Why there is no way back.
    pub obstacle: Option<String>,
}

/// Version of a project that was well.
#[derive(Debug, Clone)]
pub struct WellVersion {
    /// Its record.
    pub state: ProjectState,
    /// Its files.
    pub manifest: Manifest,
    /// The images that its services ran.
    pub images: Vec<ServiceImage>,
}

/// Image that a service ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceImage {
    /// The service.
    pub service: String,
    /// The id of the image.
    pub id: String,
    /// Its name in the definition.
    pub name: String,
}

impl WayBack {
    /// The manifest that it leads to.
    #[must_use]
    pub fn manifest(&self) -> Manifest {
        self.version.as_ref().map(|version| version.manifest.clone()).unwrap_or_default()
    }
}

/// Work on the shared files.
#[derive(Debug, Clone, Default)]
pub struct SharedWork {
    /// Their changes; each is shown with every project that reads the file.
    pub files: Vec<FileChange>,
    /// Their manifest, if it has to be replaced.
    pub manifest: Option<Manifest>,
    /// Those that are removed once every project is deployed: no wanted version of a project reads them, but a
    /// version that is on the host may, and may have to come back.
    pub leaving: Manifest,
}

impl SharedWork {
    /// Whether a file is removed once every project is deployed.
    #[must_use]
    pub fn leaves(&self, file: &FileChange) -> bool {
        self.leaving.get(&file.at).is_some()
    }

    /// Their manifest before that removal; `None`: it stays the same until then.
    #[must_use]
    pub fn manifest_at_first(&self, deployed: Option<&Manifest>) -> Option<Manifest> {
        let mut manifest = self.manifest.clone()?;
        manifest.0.extend(self.leaving.0.clone());
        (deployed != Some(&manifest)).then_some(manifest)
    }
}

impl HostWork {
    /// Whether the host is as wanted, its records included.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.shared.files.is_empty()
            && self.shared.manifest.is_none()
            && self.projects.iter().all(|project| project.plan.is_empty() && !project.needs_record)
    }

    /// The plan of the host, for readers.
    #[must_use]
    pub fn plan(&self) -> HostPlan {
        HostPlan {
            name: self.host.clone(),
            notes: self.notes.clone(),
            networks: self.networks.iter().map(|network| network.name.clone()).collect(),
            projects: self.projects.iter().map(|project| project.plan.clone()).collect(),
            shared: self.shared.files.clone(),
        }
    }

    /// The work on a project of this name.
    #[must_use]
    pub fn project(&self, name: &str) -> Option<&ProjectWork> {
        self.projects.iter().find(|project| project.plan.name == name)
    }
}

impl ProjectWork {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.plan.name
    }
}
