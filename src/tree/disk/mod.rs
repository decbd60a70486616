//! Wanted files of the working directory.
//!
//! Owns the walk through it: which folders are entered, which files the ignore files leave, and what is
//! refused. Links are never followed. An edge: it reads the filesystem, and starts `git` for the commit and,
//! only if there is an ignored file, for the files that git tracks.

mod tracked;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use walkdir::{DirEntry, WalkDir};

use super::filter::{Filter, FilterVerdict, IGNORE_FILE, Scope};
use super::git::command::{self, git};
use super::git::work_tree::WorkTree;
use super::git::{not_a_folder, not_utf8, target_not_utf8, wrong_patterns};
use super::{Refused, Snapshot, Tree, TreeFile, TreeFileKind, Trouble, hash};
use crate::base::diagnostic::Diagnostic;
use crate::base::error::Result;
use crate::base::manifest::Manifest;
use crate::base::path::RootPath;
use crate::base::patterns::Patterns;
use crate::compose::{Files, NodeKind};
use crate::config::FileRules;
use crate::config::layout::Layout;

use tracked::Tracked;

const GIT_IGNORE: &str = ".gitignore";

/// Wanted files of the working directory.
#[derive(Debug)]
pub struct DiskTree {
    base: PathBuf,
    tree: Tree,
    commit: Option<String>,
}

impl DiskTree {
    /// Lists the wanted files. `dir` is the folder of `ghdeploy.yml`, where the patterns of the layout start.
    ///
    /// # Errors
    ///
    /// If a fixed prefix is missing, git does not trust the repository, or a problem makes the whole tree
    /// unreliable. Lists everything that cannot be deployed.
    pub fn open(dir: &Path, layout: &Layout, rules: &FileRules) -> Result<Self> {
        let filter = Filter::new(rules)?;
        let work_tree = WorkTree::find(dir);
        // Runs in parallel with the walk.
        let head = work_tree
            .as_ref()
            .map(|_| command::spawn(git(dir).args(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])));
        let mut walk = Walk {
            base: dir,
            inside: work_tree.as_ref().map_or("", |work_tree| &work_tree.inside),
            filter: &filter,
            tracked: Tracked::new(dir, work_tree.is_some(), layout),
            found: Vec::new(),
            trouble: Trouble::default(),
        };
        for prefix in layout.prefixes() {
            walk.prefix(prefix, work_tree.as_ref())?;
        }
        let Walk { found, trouble, .. } = walk;
        let tree = Tree::new(layout, found, trouble)?;
        let commit = match head.map(|child| child.and_then(command::finish)) {
            Some(Ok(name)) => Some(String::from_utf8_lossy(&name).trim_end().to_owned()),
            // No message: there is no commit yet.
            Some(Err(command::GitError::Failed(message))) if message.starts_with("exit status") => None,
            Some(Err(err)) if !err.is_without_git() => return Err(err.into_error("read the commit", dir)),
            Some(Err(_)) | None => None,
        };
        Ok(Self { base: dir.to_owned(), tree, commit })
    }

    /// The content of the file at a path, or the target of the link; `None` if there is neither.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn content(&self, path: &RootPath) -> io::Result<Option<Vec<u8>>> {
        match self.tree.nodes().get(path).map(|node| &node.what) {
            Some(TreeFileKind::Symlink { target }) => Ok(Some(target.clone().into_bytes())),
            Some(TreeFileKind::File { .. }) => self.source(path).map(fs::read).transpose(),
            None => Ok(None),
        }
    }

    /// The local path of a wanted file; `None` if `path` is not a wanted regular file.
    #[must_use]
    pub fn source(&self, path: &RootPath) -> Option<PathBuf> {
        let node = self.tree.nodes().get(path)?;
        matches!(node.what, TreeFileKind::File { .. }).then(|| self.base.join(&node.repo_path))
    }
}

impl Files for DiskTree {
    fn kind(&self, path: &RootPath) -> Option<NodeKind> {
        self.tree.kind(path)
    }

    fn read(&self, path: &RootPath) -> Result<Option<Arc<[u8]>>, String> {
        let Some((_, node)) = self.tree.file(path)? else { return Ok(None) };
        match fs::read(self.base.join(&node.repo_path)) {
            Ok(content) => Ok(Some(content.into())),
            Err(err) => Err(format!("`{}` cannot be read: {err}", node.repo_path)),
        }
    }

    fn shown(&self, path: &RootPath) -> String {
        self.tree.shown(path)
    }
}

impl Snapshot for DiskTree {
    fn nodes(&self) -> &BTreeMap<RootPath, TreeFile> {
        self.tree.nodes()
    }

    fn manifest(&self, paths: &mut dyn Iterator<Item = &RootPath>) -> Result<Manifest> {
        let jobs = paths.map(|path| Ok((path, self.tree.entry(path)?))).collect::<Result<Vec<_>>>()?;
        hash::manifest(&self.base, &jobs)
    }

    fn commit(&self) -> Option<&str> {
        self.commit.as_deref()
    }

    fn refused(&self) -> &[Refused] {
        &self.tree.refused
    }
}

/// Walk through the working directory.
struct Walk<'a> {
    base: &'a Path,
    /// Path from the top of the work tree to `base`, with its slash. Ignore files apply from the top down.
    inside: &'a str,
    filter: &'a Filter,
    tracked: Tracked<'a>,
    found: Vec<(RootPath, TreeFile)>,
    trouble: Trouble,
}

impl Walk<'_> {
    /// Adds everything below a fixed prefix.
    fn prefix(&mut self, prefix: &str, work_tree: Option<&WorkTree>) -> Result<()> {
        if let Some(problem) = self.missing(prefix) {
            self.trouble.fatal.push(problem);
            return Ok(());
        }
        let mut scope = self.scope_of(prefix, work_tree);
        let dir = format!("{}{prefix}", self.inside);
        self.add_ignore_files_of(&mut scope, &dir);
        // One scope for each folder from the prefix down to the current one.
        let mut scopes = vec![scope];
        let mut walk = WalkDir::new(self.base.join(prefix)).min_depth(1).into_iter();
        while let Some(found) = walk.next() {
            let entry = match found {
                Ok(entry) => entry,
                Err(err) => {
                    self.unwalkable(&err);
                    continue;
                }
            };
            scopes.truncate(entry.depth());
            let Some(scope) = scopes.last() else { continue };
            match self.entry(&entry, scope, prefix)? {
                Some(scope) => scopes.push(scope),
                None if entry.file_type().is_dir() => walk.skip_current_dir(),
                None => {}
            }
        }
        Ok(())
    }

    /// Refuses a folder that cannot be listed. A folder that was removed meanwhile holds nothing.
    fn unwalkable(&mut self, err: &walkdir::Error) {
        let path = err.path().unwrap_or(self.base);
        let shown = path.strip_prefix(self.base).unwrap_or(path).to_string_lossy();
        match err.io_error() {
            Some(err) if err.kind() == io::ErrorKind::NotFound => {}
            Some(err) => self.trouble.fatal.push(unlistable(&shown, err)),
            None => self.trouble.fatal.push(Diagnostic::error(format!("`{shown}` cannot be walked"), None)),
        }
    }

    /// The reason why a fixed prefix cannot be walked. A link on the way to it would lead to other paths than
    /// those shown.
    fn missing(&self, prefix: &str) -> Option<Diagnostic> {
        let ends = prefix.match_indices('/').map(|(end, _)| end).chain([prefix.len()]);
        for dir in ends.map(|end| &prefix[..end]) {
            match self.base.join(dir).symlink_metadata() {
                Ok(found) if found.is_dir() => {}
                Ok(_) => return Some(not_a_folder(dir)),
                Err(err) if err.kind() == io::ErrorKind::NotFound => {
                    let message = format!("there is no folder `{prefix}` in {}", self.base.display());
                    let help = "name the folder that holds the projects with `services` in ghdeploy.yml";
                    return Some(Diagnostic::error(message, None).help(help));
                }
                Err(err) => return Some(unlistable(dir, &err)),
            }
        }
        None
    }

    /// The rules that apply in a fixed prefix, from the ignore files of all folders above it.
    fn scope_of(&mut self, prefix: &str, work_tree: Option<&WorkTree>) -> Scope {
        let mut scope = Scope::top(self.filter, self.inside.len());
        if let Some(work_tree) = work_tree {
            let exclude = work_tree.common_dir.join("info/exclude");
            scope.add_git(Patterns::parse(&text_of(&exclude)).0, 0);
        }
        let way = format!("{}{prefix}", self.inside);
        let mut start = 0;
        for name in way.split('/').filter(|name| !name.is_empty()) {
            let folder = match work_tree {
                Some(work_tree) => work_tree.top.join(&way[..start]),
                None => self.base.join(&way[..start]),
            };
            let is_file =
                |name: &str| folder.join(name).symlink_metadata().is_ok_and(|found| found.is_file());
            let git = is_file(GIT_IGNORE).then(|| folder.join(GIT_IGNORE));
            // `.ghdeployignore` applies from the folder of ghdeploy.yml down.
            let own = (start >= self.inside.len() && is_file(IGNORE_FILE)).then(|| folder.join(IGNORE_FILE));
            self.add_ignore_files(&mut scope, &way[..start], git.as_deref(), own.as_deref());
            let end = start + name.len();
            scope = scope.enter(scope.judge(&way.as_bytes()[..end], true));
            start = end + 1;
        }
        scope
    }

    /// Adds the ignore files of a folder. Its path from the top ends with a slash unless it is empty.
    fn add_ignore_files(&mut self, scope: &mut Scope, dir: &str, git: Option<&Path>, own: Option<&Path>) {
        if let Some(path) = git {
            scope.add_git(Patterns::parse(&text_of(path)).0, dir.len());
        }
        if let Some(path) = own {
            let (patterns, wrong) = Patterns::parse(&text_of(path));
            let shown = format!("{}{IGNORE_FILE}", dir.strip_prefix(self.inside).unwrap_or(dir));
            self.trouble.fatal.extend(wrong_patterns(&shown, wrong));
            scope.add_own(patterns, dir.len());
        }
    }

    /// Adds the ignore files that are in a folder. Its path starts at the top of the work tree.
    fn add_ignore_files_of(&mut self, scope: &mut Scope, dir: &str) {
        let folder = self.base.join(dir.strip_prefix(self.inside).unwrap_or(dir));
        let find = |name: &str| {
            let path = folder.join(name);
            path.symlink_metadata().is_ok_and(|found| found.is_file()).then_some(path)
        };
        let dir = if dir.is_empty() || dir.ends_with('/') { dir.to_owned() } else { format!("{dir}/") };
        self.add_ignore_files(scope, &dir, find(GIT_IGNORE).as_deref(), find(IGNORE_FILE).as_deref());
    }

    /// Adds one entry of a folder. Returns the scope of a folder that the walk should enter.
    fn entry(&mut self, entry: &DirEntry, scope: &Scope, prefix: &str) -> Result<Option<Scope>> {
        // The repository itself, or the pointer to it in a submodule.
        if entry.file_name() == ".git" {
            return Ok(None);
        }
        let base_path = entry.path().strip_prefix(self.base).unwrap_or(entry.path()).as_os_str().as_bytes();
        let path = [self.inside.as_bytes(), base_path].concat();
        let kind = entry.file_type();
        let verdict = scope.judge(&path, kind.is_dir());
        let wanted = verdict.is_wanted(|| self.tracked.holds(base_path))?;
        let entered = kind.is_dir() && scope.may_include_below(self.filter, &path);
        if !wanted && !entered {
            return Ok(None);
        }
        let Ok(repo_path) = std::str::from_utf8(base_path) else {
            // A folder may be a project, which must not look removed.
            if kind.is_dir() {
                self.trouble.fatal.push(not_utf8(base_path));
            } else {
                self.refuse(&String::from_utf8_lossy(base_path), prefix, not_utf8(base_path));
            }
            return Ok(None);
        };
        if kind.is_dir() {
            let mut scope = scope.enter(verdict);
            self.add_ignore_files_of(&mut scope, &format!("{}{repo_path}", self.inside));
            return Ok(Some(scope));
        }
        match self.file(entry, repo_path, verdict)? {
            Ok(Some(what)) => match RootPath::new(below(repo_path, prefix)) {
                Ok(root_path) => {
                    self.found.push((root_path, TreeFile { repo_path: repo_path.to_owned(), what }));
                }
                Err(err) => self.trouble.fatal.push(Diagnostic::error(err.to_string(), None)),
            },
            Ok(None) => {}
            Err(why) => self.refuse(repo_path, prefix, why),
        }
        Ok(None)
    }

    fn refuse(&mut self, repo_path: &str, prefix: &str, why: Diagnostic) {
        match RootPath::new(below(repo_path, prefix)) {
            Ok(path) => self.trouble.refuse(&path, why),
            Err(_) => self.trouble.fatal.push(why),
        }
    }

    /// The kind of a wanted entry that is not a folder; `None` if it was removed meanwhile. The inner error
    /// is the reason why it cannot be deployed.
    fn file(
        &mut self,
        entry: &DirEntry,
        repo_path: &str,
        verdict: FilterVerdict,
    ) -> Result<Result<Option<TreeFileKind>, Diagnostic>> {
        let unreadable = |err: io::Error| match err.kind() {
            io::ErrorKind::NotFound => Ok(None),
            _ => Err(Diagnostic::error(format!("`{repo_path}` cannot be read: {err}"), None)),
        };
        let kind = entry.file_type();
        if kind.is_symlink() {
            return Ok(match fs::read_link(entry.path()) {
                Ok(target) => match target.to_str() {
                    Some(target) => Ok(Some(TreeFileKind::Symlink { target: target.to_owned() })),
                    None => Err(target_not_utf8(repo_path, target.as_os_str().as_bytes())),
                },
                Err(err) => unreadable(err),
            });
        }
        if !kind.is_file() {
            return Ok(Err(special(repo_path, kind)));
        }
        Ok(match entry.path().symlink_metadata() {
            Ok(found) => Ok(Some(TreeFileKind::File {
                executable: found.mode() & 0o100 != 0,
                private: found.mode() & 0o077 == 0 && self.is_brought_in(verdict, repo_path.as_bytes())?,
                size: found.len(),
            })),
            Err(err) => unreadable(err),
        })
    }

    /// Whether a file is wanted only because of `sync.include`. Its permissions are then its owner's choice,
    /// not a result of the checkout.
    fn is_brought_in(&mut self, verdict: FilterVerdict, base_path: &[u8]) -> Result<bool> {
        Ok(verdict.included && !self.tracked.holds(base_path)?)
    }
}

/// Part of a path below a fixed prefix.
fn below<'p>(repo_path: &'p str, prefix: &str) -> &'p str {
    repo_path[prefix.len()..].trim_start_matches('/')
}

/// Text of an ignore file. As in git, an unreadable one excludes nothing.
fn text_of(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn unlistable(dir: &str, err: &io::Error) -> Diagnostic {
    Diagnostic::error(format!("folder `{dir}` cannot be listed: {err}"), None)
        .help("make it readable, or list it in `.ghdeployignore`")
}

fn special(repo_path: &str, kind: fs::FileType) -> Diagnostic {
    let kind = match () {
        () if kind.is_socket() => "a socket",
        () if kind.is_fifo() => "a named pipe",
        () => "a device",
    };
    Diagnostic::error(format!("`{repo_path}` is {kind}, which cannot be deployed"), None)
        .help("remove it, or list it in `.ghdeployignore`")
}

#[cfg(test)]
mod tests;
