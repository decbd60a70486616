//! Files of a release that a host has kept.
//!
//! Owns the conversion of manifests back into a tree, which makes a rollback a sync like any other. Pure: the
//! caller supplies the content and asks which content is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Refused, Snapshot, Tree, TreeFile, TreeFileKind, Trouble};
use crate::base::error::{Error, Result};
use crate::base::manifest::{Digest, Entry, Kind, Manifest};
use crate::base::path::RootPath;
use crate::compose::{Files, NodeKind};
use crate::config::compose_files::ComposeFiles;
use crate::config::layout::Layout;
use crate::state::deployed::Deployed;

/// Content of files by digest.
pub type Contents = BTreeMap<Digest, Arc<[u8]>>;

/// Files of a release.
#[derive(Debug)]
pub struct ReleaseTree<'c> {
    layout: Layout,
    tree: Tree,
    manifest: Manifest,
    contents: &'c Contents,
    commit: Option<String>,
    /// The compose and env files that Compose got as options, by the folder of the project.
    options: BTreeMap<RootPath, ComposeFiles>,
    /// Files that were read although their content is not known.
    missing: Mutex<BTreeSet<(Digest, RootPath)>>,
}

impl<'c> ReleaseTree<'c> {
    /// Makes the tree of what was `deployed`. `contents` holds the content that is known so far.
    ///
    /// # Errors
    ///
    /// If the manifests hold something that no sync puts on a host.
    pub fn new(deployed: &Deployed, contents: &'c Contents) -> Result<Self> {
        let projects: Vec<(&str, &str)> = deployed
            .state
            .projects
            .values()
            .map(|project| (prefix(&project.path, project.dir.as_str()), project.path.as_str()))
            .collect();
        let layout = Layout::exactly(&projects);
        let manifest =
            Manifest(deployed.manifests.values().flat_map(|manifest| manifest.0.clone()).collect());
        let mut found = Vec::new();
        let mut missing = BTreeSet::new();
        for (path, entry) in &manifest.0 {
            let what = match entry.kind {
                Kind::File => TreeFileKind::File {
                    executable: entry.is_executable(),
                    private: entry.mode & 0o077 == 0,
                    size: entry.size,
                },
                Kind::Symlink => match contents.get(&entry.digest) {
                    Some(target) => {
                        TreeFileKind::Symlink { target: String::from_utf8_lossy(target).into_owned() }
                    }
                    None => {
                        missing.insert((entry.digest.clone(), path.clone()));
                        continue;
                    }
                },
            };
            let repo_path = deployed
                .state
                .projects
                .values()
                .filter(|project| project.path != ".")
                .find_map(|project| Some(format!("{}/{}", project.path, path.relative_to(&project.dir)?)))
                .or_else(|| layout.repo_paths(path).next())
                .unwrap_or_else(|| path.to_string());
            found.push((path.clone(), TreeFile { repo_path, what }));
        }
        let tree = Tree::new(&layout, found, Trouble::default())?;
        let commit = deployed.state.commit.clone();
        let projects = deployed.state.projects.values();
        let options = projects.map(|project| (project.dir.clone(), project.compose.clone())).collect();
        Ok(Self { layout, tree, manifest, contents, commit, options, missing: Mutex::new(missing) })
    }

    /// The layout of its projects.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns the files that were read although their content is not known. As long as there are any, a
    /// result that was computed from the tree is invalid.
    #[must_use]
    pub fn missing(&self) -> Vec<(Digest, RootPath)> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// The part of a project's folder in the repository that precedes its folder below the root.
fn prefix<'p>(path: &'p str, dir: &str) -> &'p str {
    if path == "." {
        return "";
    }
    path.strip_suffix(dir).map_or("", |prefix| prefix.trim_end_matches('/'))
}

impl Files for ReleaseTree<'_> {
    fn kind(&self, path: &RootPath) -> Option<NodeKind> {
        self.tree.kind(path)
    }

    fn read(&self, path: &RootPath) -> Result<Option<Arc<[u8]>>, String> {
        let Some((path, _)) = self.tree.file(path)? else { return Ok(None) };
        let Some(entry) = self.manifest.get(&path) else { return Ok(None) };
        if let Some(content) = self.contents.get(&entry.digest) {
            return Ok(Some(Arc::clone(content)));
        }
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        missing.insert((entry.digest.clone(), path.clone()));
        Err(format!("`{}` is no longer on the host", self.tree.shown(&path)))
    }

    fn shown(&self, path: &RootPath) -> String {
        self.tree.shown(path)
    }

    fn way(&self, path: &RootPath) -> Vec<RootPath> {
        self.tree.way(path)
    }

    fn options(&self, dir: &RootPath) -> ComposeFiles {
        self.options.get(dir).cloned().unwrap_or_default()
    }

    fn widened(&self) -> Option<String> {
        self.tree.widened()
    }

    fn list(&self, dir: &RootPath) -> Vec<RootPath> {
        self.tree.list(dir)
    }
}

impl Snapshot for ReleaseTree<'_> {
    fn nodes(&self) -> &BTreeMap<RootPath, TreeFile> {
        self.tree.nodes()
    }

    fn manifest(&self, paths: &mut dyn Iterator<Item = &RootPath>) -> Result<Manifest> {
        let entry = |path: &RootPath| -> Result<(RootPath, Entry)> {
            let found = self.manifest.get(path).cloned();
            let found = found.ok_or_else(|| Error::unforeseen(format!("{path} is in no manifest")))?;
            Ok((path.clone(), found))
        };
        paths.map(entry).collect::<Result<_>>().map(Manifest)
    }

    fn commit(&self) -> Option<&str> {
        self.commit.as_deref()
    }

    fn refused(&self) -> &[Refused] {
        &self.tree.refused
    }

    fn was_deployed(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::deployed::{ProjectState, SHARED, unit};
    use crate::tree::project_dirs;

    fn deployed(projects: &[(&str, &str)], files: &[(&str, &str)]) -> (Deployed, Contents) {
        let mut deployed = Deployed::default();
        for (name, path) in projects {
            let state = ProjectState {
                dir: RootPath::new(name).unwrap(),
                path: (*path).to_owned(),
                project: (*name).replace('/', "-"),
                ..ProjectState::default()
            };
            deployed.state.projects.insert((*name).to_owned(), state);
        }
        let mut contents = Contents::new();
        for (path, content) in files {
            let path = RootPath::new(path).unwrap();
            let owner = projects.iter().find(|(name, _)| path.is_within(&RootPath::new(name).unwrap()));
            let entry = Entry {
                kind: Kind::File,
                mode: 0o644,
                size: content.len() as u64,
                digest: Digest::of(content.as_bytes()),
            };
            contents.insert(entry.digest.clone(), content.as_bytes().into());
            let unit = owner.map_or(SHARED.to_owned(), |(name, _)| unit(name));
            deployed.manifests.entry(unit).or_default().0.insert(path, entry);
        }
        (deployed, contents)
    }

    #[test]
    fn a_release_is_the_tree_that_it_was_made_from() {
        let compose = "services: {web: {image: a, env_file: [../shared/tz.env], volumes: ['./conf:/conf']}}";
        let files = [
            ("web/blog/compose.yml", compose),
            ("web/blog/conf/a [1]", "1"),
            ("web/blog/nested/compose.yml", "services: {}"),
            ("web/shared/tz.env", "TZ=UTC"),
            ("shop/compose.yml", "services: {web: {image: b}}"),
        ];
        let (deployed, contents) =
            deployed(&[("web/blog", "stacks/web/blog"), ("shop", "stacks/shop")], &files);
        let tree = ReleaseTree::new(&deployed, &contents).unwrap();
        let dirs = project_dirs(&tree, tree.layout()).unwrap();
        let names: Vec<&str> = dirs.iter().map(|dir| dir.repo_path.as_str()).collect();
        assert_eq!(names, ["stacks/shop", "stacks/web/blog"]);
        let wanted = crate::tree::read(&tree, tree.layout(), "/srv/services", &|_, _| true).unwrap();
        assert_eq!(tree.missing(), []);
        assert_eq!(wanted.projects[1].manifest, deployed.manifests[&unit("web/blog")]);
        assert_eq!(wanted.shared, deployed.manifests[SHARED]);
        let read = &wanted.projects[1].model.services["web"].reads;
        assert!(read.iter().any(|read| read.path.as_str() == "web/shared/tz.env"));
        assert_eq!(tree.shown(&RootPath::new("web/shared/tz.env").unwrap()), "stacks/web/shared/tz.env");
    }

    #[test]
    fn unknown_content_is_listed() {
        let (deployed, mut contents) = deployed(
            &[("blog", "services/blog")],
            &[
                ("blog/compose.yml", "include: [b.yml]"),
                ("blog/b.yml", "services: {web: {image: a}}"),
                ("blog/x", ""),
            ],
        );
        let all = std::mem::take(&mut contents);
        let mut asked = Vec::new();
        for _ in 0..2 {
            let tree = ReleaseTree::new(&deployed, &contents).unwrap();
            let _ = crate::tree::read(&tree, tree.layout(), "/srv/services", &|_, _| true);
            let missing = tree.missing();
            asked.extend(missing.iter().map(|(_, path)| path.to_string()));
            contents
                .extend(missing.into_iter().map(|(digest, _)| (digest.clone(), Arc::clone(&all[&digest]))));
        }
        assert_eq!(asked, ["blog/compose.yml", "blog/b.yml"]);
    }
}
