//! Wanted files of the working directory.
//!
//! Owns the walk through it: which folders are entered, which files the ignore files leave, and what is
//! refused; what of the commit is not there, and what differs from it. Links are never followed. An edge: it reads
//! the filesystem and starts `git`.

mod checkout;
pub mod found;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use walkdir::{DirEntry, WalkDir};

use super::filter::{Filter, FilterVerdict, IGNORE_FILE, Scope};
use super::git::work_tree::WorkTree;
use super::git::{not_a_folder, not_utf8, target_not_utf8, wrong_patterns};
use super::{Refused, Snapshot, Tree, TreeFile, TreeFileKind, Trouble, hash, regular};
use crate::base::diagnostic::Diagnostic;
use crate::base::error::Result;
use crate::base::manifest::Manifest;
use crate::base::path::RootPath;
use crate::base::patterns::Patterns;
use crate::compose::{Files, MAX_BYTES, NodeKind};
use crate::config::FileRules;
use crate::config::layout::Layout;
use crate::state::unusable::{Unusable, UnusableFile};

use checkout::{Checkout, IndexKind};

const GIT_IGNORE: &str = ".gitignore";

/// Wanted files of the working directory.
#[derive(Debug)]
pub struct DiskTree {
    base: PathBuf,
    tree: Tree,
    commit: Option<String>,
    /// What differs from the commit.
    changes: Vec<String>,
    /// What of the commit is not there.
    absent: Vec<UnusableFile>,
    /// Placeholders that were found so far.
    placeholders: Mutex<HashSet<UnusableFile>>,
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
        // Git works in parallel with the walk.
        let checkout = Checkout::new(dir, work_tree.is_some(), layout);
        let mut walk = Walk {
            base: dir,
            inside: work_tree.as_ref().map_or("", |work_tree| &work_tree.inside),
            filter: &filter,
            checkout,
            found: Vec::new(),
            brought_in: HashSet::new(),
            trouble: Trouble::default(),
        };
        for prefix in layout.prefixes() {
            walk.prefix(prefix, work_tree.as_ref())?;
        }
        let (mut absent, mut changes, mut commit) = (Vec::new(), Vec::new(), None);
        if let Some(work_tree) = &work_tree {
            absent = walk.absent(layout, work_tree)?;
            (commit, changes) = walk.state(layout, work_tree, &absent)?;
        }
        let Walk { found, trouble, .. } = walk;
        let tree = Tree::new(layout, found, trouble)?;
        Ok(Self { base: dir.to_owned(), tree, commit, changes, absent, placeholders: Mutex::default() })
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
        // One byte more shows the reader that a file is too large.
        match regular::read_start(&self.base.join(&node.repo_path), MAX_BYTES as u64 + 1) {
            Ok(content) => Ok(Some(content.into())),
            Err(err) => Err(format!("`{}` cannot be read: {err}", node.repo_path)),
        }
    }

    fn shown(&self, path: &RootPath) -> String {
        self.tree.shown(path)
    }

    fn way(&self, path: &RootPath) -> Vec<RootPath> {
        self.tree.way(path)
    }

    fn widened(&self) -> Option<String> {
        self.tree.widened()
    }

    fn list(&self, dir: &RootPath) -> Vec<RootPath> {
        self.tree.list(dir)
    }
}

impl Snapshot for DiskTree {
    fn nodes(&self) -> &BTreeMap<RootPath, TreeFile> {
        self.tree.nodes()
    }

    fn manifest(&self, paths: &mut dyn Iterator<Item = &RootPath>) -> Result<Manifest> {
        let jobs = paths.map(|path| Ok((path, self.tree.entry(path)?))).collect::<Result<Vec<_>>>()?;
        let (manifest, placeholders) = hash::manifest(&self.base, &jobs)?;
        self.placeholders.lock().unwrap_or_else(PoisonError::into_inner).extend(placeholders);
        Ok(manifest)
    }

    fn commit(&self) -> Option<&str> {
        self.commit.as_deref()
    }

    fn refused(&self) -> &[Refused] {
        &self.tree.refused
    }

    fn unusable(&self) -> Vec<UnusableFile> {
        let placeholders = self.placeholders.lock().unwrap_or_else(PoisonError::into_inner);
        self.absent.iter().chain(&*placeholders).cloned().collect()
    }

    fn changes(&self) -> &[String] {
        &self.changes
    }
}

/// Largest ignore file, in bytes. Each of its lines costs time for each file.
const MAX_IGNORE_FILE: u64 = 1 << 20;

/// Walk through the working directory.
struct Walk<'a> {
    base: &'a Path,
    /// Path from the top of the work tree to `base`, with its slash. Ignore files apply from the top down.
    inside: &'a str,
    filter: &'a Filter,
    checkout: Checkout<'a>,
    found: Vec<(RootPath, TreeFile)>,
    /// Paths of the files that `sync.include` brings in, although they may not be tracked.
    brought_in: HashSet<Vec<u8>>,
    trouble: Trouble,
}

impl Walk<'_> {
    /// Adds everything below a fixed prefix.
    fn prefix(&mut self, prefix: &str, work_tree: Option<&WorkTree>) -> Result<()> {
        if let Some(problem) = self.missing(prefix) {
            // What a checkout leaves out is told for each project.
            if prefix.is_empty()
                || self.base.join(prefix).exists()
                || !self.checkout.holds(prefix.as_bytes())?
            {
                self.trouble.fatal.push(problem);
            }
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
                    let help = found::advice(self.base);
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
            let text = self.ignore_file(&exclude, ".git/info/exclude");
            scope.add_git(Patterns::parse(&text).0, 0);
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

    /// Text of an ignore file. As in git, an unreadable one excludes nothing. One that is too large is refused,
    /// because without it a file might be deployed that must not be.
    fn ignore_file(&mut self, path: &Path, shown: &str) -> String {
        let bytes = regular::read_start(path, MAX_IGNORE_FILE + 1).unwrap_or_default();
        if bytes.len() as u64 > MAX_IGNORE_FILE {
            let message = format!("`{shown}` is larger than {} MiB", MAX_IGNORE_FILE >> 20);
            let help = "shorten it: a pattern can stand for many files";
            self.trouble.fatal.push(Diagnostic::error(message, None).help(help));
            return String::new();
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Adds the ignore files of a folder. Its path from the top ends with a slash unless it is empty.
    fn add_ignore_files(&mut self, scope: &mut Scope, dir: &str, git: Option<&Path>, own: Option<&Path>) {
        if let Some(path) = git {
            let text = self.ignore_file(path, &format!("{dir}{GIT_IGNORE}"));
            scope.add_git(Patterns::parse(&text).0, dir.len());
        }
        if let Some(path) = own {
            let shown = format!("{}{IGNORE_FILE}", dir.strip_prefix(self.inside).unwrap_or(dir));
            let (patterns, wrong) = Patterns::parse(&self.ignore_file(path, &shown));
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
        let wanted = verdict.is_wanted(|| self.checkout.holds(base_path))?;
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
                    if verdict.included {
                        self.brought_in.insert(base_path.to_vec());
                    }
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
        Ok(verdict.included && !self.checkout.holds(base_path)?)
    }
}

/// Facts of git about the working directory.
impl Walk<'_> {
    /// What of the commit is wanted and not there as it is.
    fn absent(&mut self, layout: &Layout, work_tree: &WorkTree) -> Result<Vec<UnusableFile>> {
        let found: HashMap<&str, &TreeFileKind> =
            self.found.iter().map(|(_, file)| (file.repo_path.as_str(), &file.what)).collect();
        let mut candidates = Vec::new();
        for entry in self.checkout.entries()? {
            let there = std::str::from_utf8(&entry.path).ok().and_then(|path| found.get(path));
            let is_file = matches!(there, Some(TreeFileKind::File { .. }));
            let why = match (entry.kind, there) {
                (IndexKind::Unmerged, _) => Unusable::Unmerged,
                (IndexKind::Link, Some(_)) if is_file => Unusable::LinkAsText,
                (_, Some(_)) => continue,
                (IndexKind::Submodule, None) => Unusable::Submodule,
                (IndexKind::Skipped, None) => Unusable::Sparse,
                (_, None) => Unusable::Deleted,
            };
            candidates.push((entry.path.clone(), why));
        }
        let mut scopes = HashMap::new();
        let mut absent = Vec::new();
        for (path, why) in candidates {
            let repo_path = String::from_utf8_lossy(&path).into_owned();
            let Some(root_path) = layout.root_path(&repo_path) else { continue };
            let there = self.base.join(&repo_path);
            let is_there = match why {
                // A folder without files is what git makes of a submodule that is not fetched.
                Unusable::Submodule => fs::read_dir(&there).is_ok_and(|mut dir| dir.next().is_some()),
                // What is there and not wanted, or refused, is not absent.
                Unusable::Sparse | Unusable::Deleted => {
                    there.symlink_metadata().is_ok_and(|found| !found.is_dir())
                }
                _ => false,
            };
            if !is_there && self.is_wanted(&repo_path, why == Unusable::Submodule, work_tree, &mut scopes) {
                absent.push(UnusableFile { why, path: root_path, repo_path });
            }
        }
        absent.dedup();
        Ok(absent)
    }

    /// Whether the ignore files leave a tracked path in.
    fn is_wanted(
        &mut self,
        repo_path: &str,
        is_dir: bool,
        work_tree: &WorkTree,
        scopes: &mut HashMap<String, Scope>,
    ) -> bool {
        let dir = repo_path.rsplit_once('/').map_or("", |(dir, _)| dir);
        let scope = self.scope_within(dir, work_tree, scopes);
        let verdict = scope.judge(format!("{}{repo_path}", self.inside).as_bytes(), is_dir);
        verdict.included || !verdict.ignored
    }

    /// The rules that apply in a folder, which may not be there.
    fn scope_within(
        &mut self,
        dir: &str,
        work_tree: &WorkTree,
        scopes: &mut HashMap<String, Scope>,
    ) -> Scope {
        if let Some(scope) = scopes.get(dir) {
            return scope.clone();
        }
        let mut scope = match dir.rsplit_once('/') {
            None => {
                let reported = self.trouble.fatal.len();
                let scope = self.scope_of(dir, Some(work_tree));
                self.trouble.fatal.truncate(reported);
                scope
            }
            Some((outer, _)) => {
                let outer = self.scope_within(outer, work_tree, scopes);
                outer.enter(outer.judge(format!("{}{dir}", self.inside).as_bytes(), true))
            }
        };
        // The walk has reported wrong patterns already.
        let reported = self.trouble.fatal.len();
        self.add_ignore_files_of(&mut scope, &format!("{}{dir}", self.inside));
        self.trouble.fatal.truncate(reported);
        scopes.insert(dir.to_owned(), scope.clone());
        scope
    }

    /// The commit, and the paths that differ from it among those that take part. What is absent blocks its
    /// projects and is deployed nowhere; what `sync.include` brings in belongs to no commit.
    fn state(
        &mut self,
        layout: &Layout,
        work_tree: &WorkTree,
        absent: &[UnusableFile],
    ) -> Result<(Option<String>, Vec<String>)> {
        let state = self.checkout.state()?;
        let absent: HashSet<&str> = absent.iter().map(|file| file.repo_path.as_str()).collect();
        let mut scopes = HashMap::new();
        let mut changes = Vec::new();
        let mut found: Vec<&str> = Vec::new();
        if state.changes.iter().any(|change| change.path.ends_with(b"/")) {
            found = self.found.iter().map(|(_, file)| file.repo_path.as_str()).collect();
            found.sort_unstable();
        }
        let mut wanted = Vec::new();
        for change in &state.changes {
            let Some(path) = change.path.strip_prefix(self.inside.as_bytes()) else { continue };
            let Ok(path) = std::str::from_utf8(path) else { continue };
            if change.is_untracked && self.brought_in.contains(path.as_bytes()) || absent.contains(path) {
                continue;
            }
            // A repository inside of this one, whose files git does not list.
            if path.ends_with('/') {
                let at = found.partition_point(|found| *found < path);
                if found.get(at).is_some_and(|found| found.starts_with(path)) {
                    changes.push(path.to_owned());
                }
                continue;
            }
            if layout.root_path(path).is_some() {
                wanted.push(path.to_owned());
            }
        }
        wanted.retain(|path| self.is_wanted(path, false, work_tree, &mut scopes));
        changes.extend(wanted);
        changes.sort();
        let has_commit = state.commit.is_some();
        Ok((state.commit, if has_commit { changes } else { Vec::new() }))
    }
}

/// Part of a path below a fixed prefix.
fn below<'p>(repo_path: &'p str, prefix: &str) -> &'p str {
    repo_path[prefix.len()..].trim_start_matches('/')
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
