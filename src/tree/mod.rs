//! Files that the repository wants on the hosts, as a value.
//!
//! Owns the list of wanted files by their path below the root, the rules for what it must not contain, and how
//! links and projects are found in it. [`disk`] reads it from the working directory, [`git`] from a revision, and
//! [`release`] from what a host has kept.

mod ciphertext;
pub mod disk;
pub(crate) mod filter;
pub mod git;
mod hash;
mod host;
mod links;
mod models;
mod projects;
mod read;
pub mod regular;
pub mod release;

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Result};
use crate::base::manifest::{Kind, Manifest};
use crate::base::path::RootPath;
use crate::compose::{self, Files, MAX_BYTES, NodeKind};
use crate::config::layout::Layout;
use crate::state::unusable::UnusableFile;

pub use host::OnHost;
pub use models::models;
pub use projects::{ProjectDir, left_out, owner, project_dirs, skipped};
pub use read::{read, read_again};

/// Directory below the root that holds the host's own records.
const RESERVED: &str = ".ghdeploy";

/// One wanted file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// Its path in the repository.
    pub repo_path: String,
    /// Its kind.
    pub what: TreeFileKind,
}

/// Kind of a [`TreeFile`]. Directories are implicit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeFileKind {
    /// A regular file.
    File {
        /// Whether its owner may execute it.
        executable: bool,
        /// Whether only its owner may read it, as with an untracked file that `sync.include` brings in.
        private: bool,
        /// Size in bytes.
        size: u64,
    },
    /// A symbolic link that stays below the root.
    Symlink {
        /// The path that it points to.
        target: String,
    },
}

impl TreeFile {
    /// Permission bits on the host.
    #[must_use]
    pub fn mode(&self) -> u16 {
        match self.what {
            TreeFileKind::File { executable: false, private: false, .. } => 0o644,
            TreeFileKind::File { executable: true, private: false, .. } => 0o755,
            TreeFileKind::File { executable: false, private: true, .. } => 0o600,
            TreeFileKind::File { executable: true, private: true, .. } => 0o700,
            TreeFileKind::Symlink { .. } => 0o777,
        }
    }

    /// Kind of its manifest entry.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.what {
            TreeFileKind::File { .. } => Kind::File,
            TreeFileKind::Symlink { .. } => Kind::Symlink,
        }
    }
}

/// File of the repository that cannot be deployed and is left out. A project that reads it or has it in its
/// folder is not deployed either.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refused {
    /// Its path below the root.
    pub path: RootPath,
    /// The reason.
    pub why: Diagnostic,
}

/// Problems that a walk found.
#[derive(Debug, Default)]
struct Trouble {
    /// Problems that make the whole tree unreliable.
    fatal: Vec<Diagnostic>,
    /// Problems of a single project.
    refused: Vec<Refused>,
}

impl Trouble {
    fn refuse(&mut self, path: &RootPath, why: Diagnostic) {
        self.refused.push(Refused { path: path.clone(), why });
    }
}

/// Wanted files at one moment, with their content.
pub trait Snapshot: Files {
    /// Every wanted file.
    fn nodes(&self) -> &BTreeMap<RootPath, TreeFile>;

    /// The manifest of these files.
    ///
    /// # Errors
    ///
    /// If a path is not a wanted file, or a file can no longer be read.
    fn manifest(&self, paths: &mut dyn Iterator<Item = &RootPath>) -> Result<Manifest>;

    /// Full object name of the commit that the files belong to; `None` outside git.
    fn commit(&self) -> Option<&str>;

    /// The files that are left out because they cannot be deployed.
    fn refused(&self) -> &[Refused];

    /// The files of the commit that are not there as they are, as far as is known: placeholders are found when
    /// their manifest is made.
    fn unusable(&self) -> Vec<UnusableFile> {
        Vec::new()
    }

    /// Whether a path is in a submodule whose files are not known: its manifest entry stands for all of them.
    fn is_closed(&self, _path: &RootPath) -> bool {
        false
    }

    /// Whether these files were deployed before, and checked then.
    fn was_deployed(&self) -> bool {
        false
    }

    /// Paths in the repository of the files that differ from the commit, sorted.
    fn changes(&self) -> &[String] {
        &[]
    }
}

/// List of wanted files, without their content.
#[derive(Debug, Clone)]
pub struct Tree {
    layout: Layout,
    nodes: BTreeMap<RootPath, TreeFile>,
    /// Files at the very top of several fixed prefixes. They are in no project, so they are left out: each
    /// folder may have its README. To read one is an error.
    clashes: BTreeMap<RootPath, [String; 2]>,
    refused: Vec<Refused>,
}

impl Tree {
    /// Makes a tree of the files and the problems that a walk found.
    ///
    /// # Errors
    ///
    /// If a problem is fatal. Lists the other problems too, so that all of them can be fixed at once.
    fn new(layout: &Layout, found: Vec<(RootPath, TreeFile)>, trouble: Trouble) -> Result<Self> {
        let (tree, mut fatal) = Self::past(layout, found, trouble);
        if fatal.is_empty() {
            return Ok(tree);
        }
        fatal.extend(tree.refused.into_iter().map(|refused| refused.why));
        fatal.sort();
        Err(Error::invalid(fatal))
    }

    /// Makes a tree that is only compared with, whose problems no longer matter. Also returns the fatal ones.
    fn past(
        layout: &Layout,
        mut found: Vec<(RootPath, TreeFile)>,
        mut trouble: Trouble,
    ) -> (Self, Vec<Diagnostic>) {
        found.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.repo_path.cmp(&b.1.repo_path)));
        let mut clashes = BTreeMap::new();
        found.dedup_by(|later, earlier| {
            if later.0 != earlier.0 {
                return false;
            }
            clashes
                .entry(later.0.clone())
                .or_insert_with(|| [earlier.1.repo_path.clone(), later.1.repo_path.clone()]);
            true
        });
        let mut nodes: BTreeMap<RootPath, TreeFile> = found.into_iter().collect();
        for (path, both) in &clashes {
            nodes.remove(path);
            if path.components().nth(1).is_some() {
                trouble.refuse(path, both_map_to(both, path));
            }
        }
        if layout.prefixes().len() > 1 {
            refuse_files_in_the_way(&mut nodes, &mut trouble);
        }
        refuse_reserved(&mut nodes, &mut trouble);
        refuse_stray_links(layout, &mut nodes, &mut trouble);
        refuse_lost_compose_files(&mut nodes, &mut trouble);
        let Trouble { fatal, mut refused } = trouble;
        refused.sort();
        (Self { layout: layout.clone(), nodes, clashes, refused }, fatal)
    }

    /// Every wanted file.
    #[must_use]
    pub fn nodes(&self) -> &BTreeMap<RootPath, TreeFile> {
        &self.nodes
    }

    /// The file or directory that `path` leads to once links are followed; `None` if they lead nowhere.
    fn resolve(&self, path: &RootPath) -> Option<RootPath> {
        links::resolve(path, |path| link_target(&self.nodes, path)).ok()
    }

    /// The links on the way to `path` and the path that they lead to; empty without links or if they lead out.
    fn way(&self, path: &RootPath) -> Vec<RootPath> {
        links::way(path, |path| link_target(&self.nodes, path)).unwrap_or_default()
    }

    /// The pattern by which the folder above the root would be the root.
    fn widened(&self) -> Option<String> {
        self.layout.widened(self.layout.top()?)
    }

    /// The files that lie directly in a directory.
    fn list(&self, dir: &RootPath) -> Vec<RootPath> {
        let start = if dir.is_root() { String::new() } else { format!("{dir}/") };
        let below = self.nodes.range::<str, _>((Bound::Included(start.as_str()), Bound::Unbounded));
        let below = below.map(|(path, _)| path).take_while(|path| path.as_str().starts_with(&start));
        below.filter(|path| !path.as_str()[start.len()..].contains('/')).cloned().collect()
    }

    fn kind(&self, path: &RootPath) -> Option<NodeKind> {
        let path = self.resolve(path)?;
        if self.nodes.contains_key(&path) || self.clashes.contains_key(&path) {
            return Some(NodeKind::File);
        }
        if path.is_root() || self.first_below(&path).is_some() {
            return Some(NodeKind::Dir);
        }
        None
    }

    /// The file that `path` leads to, for the compose reader.
    ///
    /// # Errors
    ///
    /// If two files of the repository map to that path, or the file is larger than the reader accepts.
    fn file(&self, path: &RootPath) -> Result<Option<(RootPath, &TreeFile)>, String> {
        let Some(path) = self.resolve(path) else { return Ok(None) };
        if let Some(both) = self.clashes.get(&path) {
            return Err(both_map_to(both, &path).message);
        }
        let node = self.nodes.get(&path);
        if let Some(TreeFile { repo_path, what: TreeFileKind::File { size, .. } }) = node
            && *size > MAX_BYTES as u64
        {
            return Err(format!("`{repo_path}` is larger than {} MiB", MAX_BYTES >> 20));
        }
        Ok(node.map(|node| (path, node)))
    }

    /// The file at `path` itself, for a manifest.
    fn entry(&self, path: &RootPath) -> Result<&TreeFile> {
        if let Some(both) = self.clashes.get(path) {
            return Err(Error::invalid(vec![both_map_to(both, path)]));
        }
        self.nodes
            .get(path)
            .ok_or_else(|| Error::unforeseen(format!("{} is not a wanted file", self.shown(path))))
    }

    /// The path in the repository that `path` has or would have.
    fn shown(&self, path: &RootPath) -> String {
        if let Some(node) = self.nodes.get(path) {
            return node.repo_path.clone();
        }
        if let Some([first, _]) = self.clashes.get(path) {
            return first.clone();
        }
        // The nearest directory that exists shows which fixed prefix it is.
        let prefix = std::iter::successors(Some(path.clone()), RootPath::parent)
            .filter(|dir| !dir.is_root())
            .find_map(|dir| self.first_below(&dir))
            .and_then(|(found, node)| node.repo_path.strip_suffix(found.as_str()));
        match prefix {
            Some(prefix) => format!("{prefix}{path}"),
            None => self.layout.repo_paths(path).next().unwrap_or_else(|| path.to_string()),
        }
    }

    /// The first file below a directory that is not the root.
    fn first_below(&self, dir: &RootPath) -> Option<(&RootPath, &TreeFile)> {
        let start = format!("{dir}/");
        self.nodes
            .range::<str, _>((Bound::Included(start.as_str()), Bound::Unbounded))
            .next()
            .filter(|(path, _)| path.as_str().starts_with(&start))
    }
}

fn link_target<'n>(nodes: &'n BTreeMap<RootPath, TreeFile>, path: &str) -> Option<&'n str> {
    match &nodes.get(path)?.what {
        TreeFileKind::Symlink { target } => Some(target),
        TreeFileKind::File { .. } => None,
    }
}

fn both_map_to([first, second]: &[String; 2], path: &RootPath) -> Diagnostic {
    Diagnostic::error(format!("`{first}` and `{second}` both map to `{path}` below the root"), None)
        .help("rename one of them, or give both folders one pattern in `services`, such as `*/*`")
}

/// Refuses files of one fixed prefix where another has a directory.
fn refuse_files_in_the_way(nodes: &mut BTreeMap<RootPath, TreeFile>, trouble: &mut Trouble) {
    let mut gone = Vec::new();
    for (path, node) in &*nodes {
        let above = std::iter::successors(path.parent(), RootPath::parent).filter(|dir| !dir.is_root());
        for dir in above {
            if let Some(file) = nodes.get(&dir) {
                let both = [file.repo_path.clone(), node.repo_path.clone()];
                trouble.refuse(&dir, both_map_to(&both, &dir));
                gone.push(dir);
            }
        }
    }
    for path in gone {
        nodes.remove(&path);
    }
}

fn refuse_reserved(nodes: &mut BTreeMap<RootPath, TreeFile>, trouble: &mut Trouble) {
    let below: Vec<RootPath> = nodes
        .range::<str, _>((Bound::Included(RESERVED), Bound::Unbounded))
        .map(|(path, _)| path)
        .take_while(|path| path.as_str().starts_with(RESERVED))
        .filter(|path| path.components().next() == Some(RESERVED))
        .cloned()
        .collect();
    for path in below {
        if let Some(node) = nodes.remove(&path) {
            let message =
                format!("`{}` would overwrite the host's own records in `{RESERVED}`", node.repo_path);
            let help = "rename it, or list it in `.ghdeployignore`";
            trouble.fatal.push(Diagnostic::error(message, None).help(help));
        }
    }
}

fn refuse_stray_links(layout: &Layout, nodes: &mut BTreeMap<RootPath, TreeFile>, trouble: &mut Trouble) {
    let mut gone = Vec::new();
    for (path, node) in &*nodes {
        if let TreeFileKind::Symlink { target } = &node.what
            && links::leaves(path, target, |path| link_target(nodes, path))
        {
            let message = format!(
                "symbolic link `{}` points to `{}`, outside of what is deployed",
                node.repo_path,
                target.escape_debug()
            );
            let help = stray_help(layout, node, target);
            trouble.refuse(path, Diagnostic::error(message, None).help(help));
            gone.push(path.clone());
        }
    }
    for path in gone {
        nodes.remove(&path);
    }
}

/// Advice on a link that leads out of what is deployed: one to another folder of the repository can be deployed
/// once that folder is.
fn stray_help(layout: &Layout, node: &TreeFile, target: &str) -> String {
    let dir = node.repo_path.rsplit_once('/').map_or("", |(dir, _)| dir);
    let end = RootPath::new(dir).and_then(|dir| dir.join(target)).ok();
    let prefix = layout.prefix_of(&node.repo_path).unwrap_or_default();
    match (end, layout.widened(prefix)) {
        (Some(end), Some(pattern)) if layout.root_path(end.as_str()).is_none() => format!(
            "move `{end}` below `{prefix}`; or write `services: \"{pattern}\"`: then `{prefix}` is a folder below the root on the host, and `{end}` has its place beside it"
        ),
        _ => "point it to a file below the folder that holds the projects, or list it in `.ghdeployignore`"
            .to_owned(),
    }
}

/// Refuses compose files that are links to nothing: their projects would look removed.
fn refuse_lost_compose_files(nodes: &mut BTreeMap<RootPath, TreeFile>, trouble: &mut Trouble) {
    let is_lost = |path: &RootPath| {
        let end = links::resolve(path, |path| link_target(nodes, path)).ok();
        end.is_none_or(|end| !nodes.contains_key(&end))
    };
    let links = nodes.iter().filter(|(path, node)| {
        let name = path.file_name();
        matches!(node.what, TreeFileKind::Symlink { .. }) && name != ".env" && compose::makes_project(name)
    });
    let lost: Vec<RootPath> = links.map(|(path, _)| path.clone()).filter(is_lost).collect();
    for path in lost {
        if let Some(node) = nodes.remove(&path) {
            let message = format!("symbolic link `{}` leads to no file", node.repo_path);
            let help = "point it to the compose file, or list it in `.ghdeployignore`";
            trouble.refuse(&path, Diagnostic::error(message, None).help(help));
        }
    }
}

#[cfg(test)]
#[allow(dead_code, reason = "the integration tests use the rest of it")]
#[path = "../../tests/support/repo.rs"]
mod repo;
#[cfg(test)]
mod tests;
