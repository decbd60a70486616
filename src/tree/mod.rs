//! What the repository wants on the hosts, as a value.
//!
//! Owns the list of wanted files in the coordinates of the root, what may not be in it, and how links
//! and projects are found in it. The value itself is pure; [`disk`] and [`git`] are the edges that fill
//! it, from the working directory and from a revision.

pub mod disk;
pub(crate) mod filter;
pub mod git;
mod hash;
mod links;
mod models;
mod projects;
mod read;
pub mod release;

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Result};
use crate::base::manifest::{Kind, Manifest};
use crate::base::path::RootPath;
use crate::compose::{self, Files, MAX_BYTES, NodeKind};
use crate::config::layout::Layout;

pub use models::models;
pub use projects::{ProjectDir, owner, project_dirs};
pub use read::{read, read_again};

/// The directory below the root that holds the host's own records.
const RESERVED: &str = ".ghdeploy";

/// One wanted file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it lies in the repository.
    pub repo_path: String,
    /// What it is.
    pub what: NodeWhat,
}

/// What a [`Node`] is. Directories are implicit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeWhat {
    /// A regular file.
    File {
        /// Whether its owner may execute it.
        executable: bool,
        /// Whether nobody but its owner may read it: an untracked file that `sync.include` brought in.
        private: bool,
        /// Size in bytes.
        size: u64,
    },
    /// A symbolic link that stays below the root.
    Symlink {
        /// What it points to.
        target: String,
    },
}

impl Node {
    /// Permission bits on the host.
    #[must_use]
    pub fn mode(&self) -> u16 {
        match self.what {
            NodeWhat::File { executable: false, private: false, .. } => 0o644,
            NodeWhat::File { executable: true, private: false, .. } => 0o755,
            NodeWhat::File { executable: false, private: true, .. } => 0o600,
            NodeWhat::File { executable: true, private: true, .. } => 0o700,
            NodeWhat::Symlink { .. } => 0o777,
        }
    }

    /// What it is in a manifest.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.what {
            NodeWhat::File { .. } => Kind::File,
            NodeWhat::Symlink { .. } => Kind::Symlink,
        }
    }
}

/// Something in the repository that cannot be deployed and is left out: whoever reads it or has it in its
/// folder must not be touched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refused {
    /// Where it would lie below the root.
    pub path: RootPath,
    /// Why it cannot be deployed.
    pub why: Diagnostic,
}

/// What a walk found to be wrong.
#[derive(Debug, Default)]
struct Trouble {
    /// What makes it unsafe to say anything about the tree.
    fatal: Vec<Diagnostic>,
    /// What concerns a single project.
    refused: Vec<Refused>,
}

impl Trouble {
    fn refuse(&mut self, path: &RootPath, why: Diagnostic) {
        self.refused.push(Refused { path: path.clone(), why });
    }
}

/// The wanted files at one moment, with their content.
pub trait Snapshot: Files {
    /// Every wanted file.
    fn nodes(&self) -> &BTreeMap<RootPath, Node>;

    /// The manifest of these files.
    ///
    /// # Errors
    ///
    /// When a path is no wanted file, or a file cannot be read any more.
    fn manifest(&self, paths: &mut dyn Iterator<Item = &RootPath>) -> Result<Manifest>;

    /// The commit that the files are of: the full object name; `None` outside of git.
    fn commit(&self) -> Option<&str>;

    /// What is left out because it cannot be deployed.
    fn refused(&self) -> &[Refused];
}

/// The list of wanted files, without their content.
#[derive(Debug, Clone)]
pub struct Tree {
    layout: Layout,
    nodes: BTreeMap<RootPath, Node>,
    /// Files at the very top of several fixed prefixes. They are in no project, so they are left out
    /// (each folder may have its README), and are an error only for whoever reads one.
    clashes: BTreeMap<RootPath, [String; 2]>,
    refused: Vec<Refused>,
}

impl Tree {
    /// Makes a tree of what was found and of what was refused on the way.
    ///
    /// # Errors
    ///
    /// With a fatal trouble: all that is wrong, for whoever mends one wants to know of the others.
    fn new(layout: &Layout, found: Vec<(RootPath, Node)>, trouble: Trouble) -> Result<Self> {
        let (tree, mut fatal) = Self::past(layout, found, trouble);
        if fatal.is_empty() {
            return Ok(tree);
        }
        fatal.extend(tree.refused.into_iter().map(|refused| refused.why));
        fatal.sort();
        Err(Error::invalid(fatal))
    }

    /// Makes a tree that is only compared with: what is wrong with it is wrong no more. Returns what is
    /// fatal beside it.
    fn past(
        layout: &Layout,
        mut found: Vec<(RootPath, Node)>,
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
        let mut nodes: BTreeMap<RootPath, Node> = found.into_iter().collect();
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
        refuse_stray_links(&mut nodes, &mut trouble);
        refuse_lost_compose_files(&mut nodes, &mut trouble);
        let Trouble { fatal, mut refused } = trouble;
        refused.sort();
        (Self { layout: layout.clone(), nodes, clashes, refused }, fatal)
    }

    /// Every wanted file.
    #[must_use]
    pub fn nodes(&self) -> &BTreeMap<RootPath, Node> {
        &self.nodes
    }

    /// The file or directory that `path` leads to once links are followed; `None` when they lead
    /// nowhere.
    fn resolve(&self, path: &RootPath) -> Option<RootPath> {
        links::resolve(path, |path| link_target(&self.nodes, path)).ok()
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

    /// The file that `path` leads to, for the reader of compose files.
    ///
    /// # Errors
    ///
    /// When two files of the repository claim that place, or it is larger than anything that is read.
    fn file(&self, path: &RootPath) -> Result<Option<(RootPath, &Node)>, String> {
        let Some(path) = self.resolve(path) else { return Ok(None) };
        if let Some(both) = self.clashes.get(&path) {
            return Err(both_map_to(both, &path).message);
        }
        let node = self.nodes.get(&path);
        if let Some(Node { repo_path, what: NodeWhat::File { size, .. } }) = node
            && *size > MAX_BYTES as u64
        {
            return Err(format!("`{repo_path}` is larger than {} MiB", MAX_BYTES >> 20));
        }
        Ok(node.map(|node| (path, node)))
    }

    /// The node at `path` itself, for a manifest.
    fn entry(&self, path: &RootPath) -> Result<&Node> {
        if let Some(both) = self.clashes.get(path) {
            return Err(Error::invalid(vec![both_map_to(both, path)]));
        }
        self.nodes
            .get(path)
            .ok_or_else(|| Error::unforeseen(format!("{} is not a wanted file", self.shown(path))))
    }

    /// Where a path lies in the repository, or would lie.
    fn shown(&self, path: &RootPath) -> String {
        if let Some(node) = self.nodes.get(path) {
            return node.repo_path.clone();
        }
        if let Some([first, _]) = self.clashes.get(path) {
            return first.clone();
        }
        // The nearest directory that exists tells which fixed prefix it is.
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
    fn first_below(&self, dir: &RootPath) -> Option<(&RootPath, &Node)> {
        let start = format!("{dir}/");
        self.nodes
            .range::<str, _>((Bound::Included(start.as_str()), Bound::Unbounded))
            .next()
            .filter(|(path, _)| path.as_str().starts_with(&start))
    }
}

fn link_target<'n>(nodes: &'n BTreeMap<RootPath, Node>, path: &str) -> Option<&'n str> {
    match &nodes.get(path)?.what {
        NodeWhat::Symlink { target } => Some(target),
        NodeWhat::File { .. } => None,
    }
}

fn both_map_to([first, second]: &[String; 2], path: &RootPath) -> Diagnostic {
    Diagnostic::error(format!("`{first}` and `{second}` both map to `{path}` below the root"), None)
        .help("rename one of them, or give both folders one pattern in `services`, such as `*/*`")
}

/// With several fixed prefixes, one may have a file where another has a directory.
fn refuse_files_in_the_way(nodes: &mut BTreeMap<RootPath, Node>, trouble: &mut Trouble) {
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

fn refuse_reserved(nodes: &mut BTreeMap<RootPath, Node>, trouble: &mut Trouble) {
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

fn refuse_stray_links(nodes: &mut BTreeMap<RootPath, Node>, trouble: &mut Trouble) {
    let mut gone = Vec::new();
    for (path, node) in &*nodes {
        if let NodeWhat::Symlink { target } = &node.what
            && links::leaves(path, target, |path| link_target(nodes, path))
        {
            let message = format!(
                "symbolic link `{}` points to `{}`, outside of what is deployed",
                node.repo_path,
                target.escape_debug()
            );
            let help = "point it to a file of the same folder, or list it in `.ghdeployignore`";
            trouble.refuse(path, Diagnostic::error(message, None).help(help));
            gone.push(path.clone());
        }
    }
    for path in gone {
        nodes.remove(&path);
    }
}

/// A compose file that is a link to nothing: its project would look as if it had left the repository.
fn refuse_lost_compose_files(nodes: &mut BTreeMap<RootPath, Node>, trouble: &mut Trouble) {
    let is_lost = |path: &RootPath| {
        let end = links::resolve(path, |path| link_target(nodes, path)).ok();
        end.is_none_or(|end| !nodes.contains_key(&end))
    };
    let links = nodes.iter().filter(|(path, node)| {
        let name = path.file_name();
        matches!(node.what, NodeWhat::Symlink { .. }) && name != ".env" && compose::makes_project(name)
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
mod tests;
