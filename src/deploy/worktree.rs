//! The working directory of the repository, read once for all hosts.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::OnceCell;

use super::Target;
use super::host_only::Settings;
use super::repository::{OwnRepository, RunRepository};
use crate::base::error::{Error, Result};
use crate::compose::ProjectCache;
use crate::config::FileRules;
use crate::config::layout::Layout;
use crate::config::selection::{Known, Selected, Selection};
use crate::state::deployed::{Deployed, State};
use crate::state::wanted::Wanted;
use crate::tree;
use crate::tree::disk::DiskTree;
use crate::tree::{OnHost, Snapshot as _};

/// The working directory of the repository.
#[derive(Debug)]
pub struct Worktree {
    dir: PathBuf,
    layout: Layout,
    rules: FileRules,
    tree: OnceCell<Result<Arc<DiskTree>>>,
    cache: Arc<ProjectCache>,
    repository: OnceCell<Result<Arc<OwnRepository>>>,
}

impl Worktree {
    /// The tree in `dir`; nothing is read yet.
    #[must_use]
    pub fn new(dir: PathBuf, layout: Layout, rules: FileRules) -> Self {
        Self { dir, layout, rules, tree: OnceCell::new(), cache: Arc::default(), repository: OnceCell::new() }
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &std::path::Path {
        &self.dir
    }

    /// The commit of the tree, once it was read; `None` outside of git.
    #[must_use]
    pub fn commit(&self) -> Option<String> {
        self.tree.get()?.as_ref().ok()?.commit().map(str::to_owned)
    }

    /// Whether the tree differs from its commit, once it was read.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.tree.get().and_then(|tree| tree.as_ref().ok()).is_some_and(|tree| !tree.changes().is_empty())
    }

    /// The tree; read by the first caller.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub async fn tree(&self) -> Result<Arc<DiskTree>> {
        let tree = self.tree.get_or_init(|| async {
            let (dir, layout, rules) = (self.dir.clone(), self.layout.clone(), self.rules.clone());
            in_background(move || DiskTree::open(&dir, &layout, &rules).map(Arc::new)).await
        });
        tree.await.as_ref().map(Arc::clone).map_err(Clone::clone)
    }

    /// The tree and what it wants of a host.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or two folders are the same project.
    pub async fn wanted(&self, target: &Target) -> Result<(Arc<DiskTree>, Wanted)> {
        let tree = self.tree().await?;
        let (snapshot, layout, target) = (Arc::clone(&tree), self.layout.clone(), target.clone());
        let cache = Arc::clone(&self.cache);
        let read = move || {
            let runs = |name: &str, settings: &_| target.runs(name, settings);
            let tree = OnHost::new(&*snapshot).compose(&target.compose);
            tree::read_again(&cache, &tree, &layout, &target.root, &runs)
        };
        Ok((tree, in_background(read).await?))
    }
}

impl Worktree {
    /// The names of all projects, also of those that do not run on the host. A host may have further compose
    /// files.
    ///
    /// # Errors
    ///
    /// As [`Worktree::wanted`].
    pub async fn project_names(&self, target: &Target) -> Result<Vec<String>> {
        let tree = self.tree().await?;
        let dirs = tree::project_dirs(&OnHost::new(&*tree).compose(&target.compose), &self.layout)?;
        Ok(dirs.into_iter().map(|dir| dir.name).collect())
    }

    /// What a selection means on a host: of the projects that the tree or the host has. What runs on another
    /// host is fine: there is nothing to do for it on this one.
    ///
    /// # Errors
    ///
    /// Each name that nothing has, with the nearest ones.
    pub(super) async fn selected(
        &self,
        target: &Target,
        selection: Option<&Selection>,
        wanted: &Wanted,
        deployed: &Deployed,
    ) -> Result<Selected> {
        let Some(selection) = selection else { return Ok(Selected::default()) };
        let mut known = known(Some(wanted), &deployed.state);
        self.project_names(target).await?.iter().for_each(|name| known.add_project(name));
        selection.refuse_unknown(&known)?;
        Ok(selection.among(&known))
    }

    /// The repository around it.
    ///
    /// # Errors
    ///
    /// When it could not be read in the background.
    pub(super) async fn repository(&self, run: &RunRepository) -> Result<Arc<OwnRepository>> {
        let own = self.repository.get_or_init(|| async {
            let (dir, run) = (self.dir.clone(), run.clone());
            in_background(move || Ok(Arc::new(OwnRepository::read(&dir, &run)))).await
        });
        own.await.as_ref().map(Arc::clone).map_err(Clone::clone)
    }

    /// What the tree wants of a host that has settings of its own; `known` was read without them.
    ///
    /// # Errors
    ///
    /// As [`Worktree::wanted`].
    pub(super) async fn wanted_with(
        &self,
        target: &Target,
        settings: &Settings,
        known: &Wanted,
    ) -> Result<Wanted> {
        let tree = self.tree().await?;
        let (layout, target, settings) = (self.layout.clone(), target.clone(), settings.clone());
        let (cache, known) = (Arc::clone(&self.cache), known.clone());
        in_background(move || {
            let runs = |name: &str, project: &_| target.runs(name, project);
            let tree = OnHost::new(&*tree).compose(&target.compose).settings(&settings, &known);
            tree::read_again(&cache, &tree, &layout, &target.root, &runs)
        })
        .await
    }
}

async fn in_background<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::unforeseen(format!("failed to read the repository: {error}")))?
}

/// The projects that a tree wants or a host has. The services of one that cannot be read are unknown.
pub(crate) fn known(wanted: Option<&Wanted>, state: &State) -> Known {
    let mut known = Known::default();
    for (name, project) in &state.projects {
        known.add_services(name, project.services.keys());
    }
    for project in wanted.iter().flat_map(|wanted| &wanted.projects) {
        match project.is_broken() {
            true => known.add_project(&project.name),
            false => known.add_services(&project.name, project.model.services.keys()),
        }
    }
    for absent in wanted.iter().flat_map(|wanted| &wanted.absent) {
        known.add_project(&absent.name);
    }
    known
}
