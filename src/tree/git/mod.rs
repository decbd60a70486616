//! Wanted files of a revision.
//!
//! Owns the reading of trees by git. An edge: it starts one `git ls-tree` for each revision and one
//! `git cat-file` for all of them, and never touches the work tree.

pub(crate) mod command;
mod history;
mod objects;
pub(crate) mod work_tree;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::mem::take;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::filter::{Filter, IGNORE_FILE, Scope};
use super::{Refused, Snapshot, Tree, TreeFile, TreeFileKind, Trouble};
use crate::base::commit::short;
use crate::base::diagnostic::{Diagnostic, Location};
use crate::base::error::{Error, Result};
use crate::base::manifest::{Digest, Entry, Kind, Manifest};
use crate::base::path::RootPath;
use crate::base::patterns::Patterns;
use crate::compose::{Files, NodeKind};
use crate::config::FileRules;
use crate::config::layout::Layout;

use command::{GitError, git, run};
pub use history::{Depth, Login};
use objects::{Object, Objects};
use work_tree::WorkTree;

/// Size in bytes of the largest file that is read ahead.
const READ_AHEAD_BYTES: u64 = 64 << 10;

/// Largest number of files that are read ahead.
const READ_AHEAD: usize = 2_000;

/// Mode of a submodule.
const SUBMODULE: &str = "160000";

/// Git repository, read by the `git` command.
#[derive(Debug)]
pub struct Repository {
    dir: PathBuf,
    work_tree: WorkTree,
    objects: Arc<Objects>,
}

/// Wanted files of a revision. The digests in its manifests are git's object names, which are comparable only
/// with those of other revisions.
#[derive(Debug)]
pub struct GitTree {
    tree: Tree,
    names: HashMap<RootPath, Digest>,
    objects: Arc<Objects>,
    commit: String,
    closed: BTreeMap<RootPath, Submodule>,
}

/// Submodule of a revision whose files are not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submodule {
    /// Its path in the repository.
    pub repo_path: String,
    /// Its commit.
    pub commit: String,
}

impl Repository {
    /// Opens the repository around `dir`, the folder of `ghdeploy.yml`, where the patterns of a layout start.
    ///
    /// # Errors
    ///
    /// If `dir` is not in a git repository.
    pub fn open(dir: &Path) -> Result<Self> {
        let work_tree = WorkTree::find(dir).ok_or_else(|| {
            GitError::Failed("not a git repository".into()).into_error("read a revision", dir)
        })?;
        Ok(Self { dir: dir.to_owned(), work_tree, objects: Arc::new(Objects::new(dir)) })
    }

    /// The full name of the commit that a revision resolves to.
    ///
    /// # Errors
    ///
    /// If git is missing, does not trust the repository, or knows no such commit.
    pub fn commit(&self, rev: &str) -> Result<String> {
        if rev.is_empty() || rev.starts_with('-') || rev.contains(char::is_control) {
            return Err(Error::usage(format!("`{}` is not a revision", rev.escape_debug())));
        }
        let found = self
            .objects
            .find(&format!("{rev}^{{commit}}"))
            .map_err(|err| err.into_error(&format!("find the revision `{rev}`"), &self.dir))?;
        if let Some(object) = found.filter(Object::is_commit) {
            return Ok(object.name);
        }
        let err = Error::usage(format!("the repository has no revision `{rev}`"));
        Err(if self.work_tree.is_shallow() {
            err.help("this clone is shallow: set `fetch-depth: 0` for actions/checkout, or run `git fetch --unshallow`")
        } else {
            err.help("name a commit, branch or tag that `git rev-parse` knows here, or fetch it first")
        })
    }

    /// The content of a file of a revision; `path` starts at the top of the repository.
    #[must_use]
    pub fn content(&self, rev: &str, path: &str) -> Option<Vec<u8>> {
        if path.contains(char::is_control) {
            return None;
        }
        let name = format!("{rev}:{path}");
        let object = self.objects.find(&name).ok()??;
        object.is_blob().then_some(object.content)
    }

    /// The wanted files of a revision. Submodules at the paths `closed` in the repository are not looked into.
    ///
    /// # Errors
    ///
    /// Those of [`Repository::commit`], and problems in the revision that make the whole tree unreliable.
    /// They are listed with everything that cannot be deployed.
    pub fn tree(
        &self,
        rev: &str,
        layout: &Layout,
        rules: &FileRules,
        closed: &BTreeSet<String>,
    ) -> Result<GitTree> {
        let (mut loading, commit) = self.load(rev, layout, rules, closed)?;
        let tree = Tree::new(layout, take(&mut loading.found), take(&mut loading.trouble))?;
        Ok(loading.end(tree, commit))
    }

    /// The files that were wanted in a revision that is only compared with, `closed` as in [`Repository::tree`].
    /// Files that could not be deployed are left out.
    ///
    /// # Errors
    ///
    /// Those of [`Repository::commit`].
    pub fn past_tree(
        &self,
        rev: &str,
        layout: &Layout,
        rules: &FileRules,
        closed: &BTreeSet<String>,
    ) -> Result<GitTree> {
        let (mut loading, commit) = self.load(rev, layout, rules, closed)?;
        let (mut tree, _) = Tree::past(layout, take(&mut loading.found), take(&mut loading.trouble));
        tree.refused.clear();
        Ok(loading.end(tree, commit))
    }

    /// The files of a revision, its problems and its commit.
    fn load<'r>(
        &'r self,
        rev: &str,
        layout: &Layout,
        rules: &FileRules,
        not_into: &'r BTreeSet<String>,
    ) -> Result<(Loading<'r>, String)> {
        let filter = Filter::new(rules)?;
        let commit = self.commit(rev)?;
        let fail = |err: GitError| err.into_error(&format!("read the files of {rev}"), &self.dir);
        let listing = self.list(&commit, layout).map_err(fail)?;
        let mut loading = Loading {
            repository: self,
            scopes: HashMap::new(),
            ignore_files: HashMap::new(),
            top: Scope::top(&filter, 0),
            found: Vec::new(),
            names: HashMap::new(),
            trouble: Trouble::default(),
            not_into,
            closed: BTreeMap::new(),
        };
        loading.take_all(&listing, layout).map_err(fail)?;
        Ok((loading, commit))
    }

    /// The files of a submodule at a path from the top of the work tree, like [`Repository::list`]; `None` if it
    /// is not checked out, or does not have the commit.
    fn list_submodule(&self, path: &[u8], commit: &str) -> Option<Vec<u8>> {
        let dir = self.work_tree.top.join(OsStr::from_bytes(path));
        let own = WorkTree::find(&dir).filter(|found| found.inside.is_empty())?;
        let mut command = git(&dir);
        command.env("GIT_NO_LAZY_FETCH", "1").args(["ls-tree", "-r", "-z", "-l", "--full-tree", commit]);
        let listing = run(&mut command).ok()?;
        self.objects.add(&own.common_dir.join("objects"));
        let mut all = Vec::with_capacity(listing.len());
        for line in listing.split(|byte| *byte == 0) {
            let Some(tab) = line.iter().position(|byte| *byte == b'\t') else { continue };
            all.extend_from_slice(&line[..=tab]);
            all.extend_from_slice(path);
            all.push(b'/');
            all.extend_from_slice(&line[tab + 1..]);
            all.push(0);
        }
        Some(all)
    }

    /// Reads in one batch the files that the compose reader will read one by one.
    fn read_ahead(&self, entries: &[Listed<'_>]) -> Result<(), GitError> {
        let is_wanted = |entry: &&Listed<'_>| {
            let name = split(entry.path).1;
            let is_read = name.ends_with(b".env") || name.ends_with(b".yml") || name.ends_with(b".yaml");
            is_read && entry.mode.starts_with("100") && entry.size <= READ_AHEAD_BYTES
        };
        let names: Vec<&str> =
            entries.iter().filter(is_wanted).take(READ_AHEAD).map(|entry| entry.name).collect();
        self.objects.prefetch(&names)
    }

    /// The output of `ls-tree` for everything below the fixed prefixes and for the ignore files above them.
    fn list(&self, commit: &str, layout: &Layout) -> Result<Vec<u8>, GitError> {
        let inside = &self.work_tree.inside;
        let mut paths: Vec<String> = Vec::new();
        for prefix in layout.prefixes() {
            if prefix.is_empty() {
                paths.push(inside.trim_end_matches('/').to_owned());
                continue;
            }
            paths.push(format!("{inside}{prefix}"));
            let ends = prefix.match_indices('/').map(|(end, _)| end + 1);
            paths.extend(
                std::iter::once(0).chain(ends).map(|end| format!("{inside}{}{IGNORE_FILE}", &prefix[..end])),
            );
        }
        paths.sort();
        paths.dedup();
        let mut command = git(&self.dir);
        // The size of a blob that a partial clone left out is not worth a download.
        command.env("GIT_NO_LAZY_FETCH", "1").args(["ls-tree", "-r", "-z", "-l", "--full-tree", commit]);
        if !paths.iter().any(String::is_empty) {
            command.arg("--").args(&paths);
        }
        run(&mut command)
    }
}

/// One line of `git ls-tree -l -z`.
struct Listed<'a> {
    mode: &'a str,
    name: &'a str,
    size: u64,
    /// From the top of the work tree.
    path: &'a [u8],
}

impl<'a> Listed<'a> {
    /// Reads `MODE TYPE NAME SIZE<TAB>PATH`.
    fn read(line: &'a [u8]) -> Option<Self> {
        let tab = line.iter().position(|byte| *byte == b'\t')?;
        let mut fields = std::str::from_utf8(&line[..tab]).ok()?.split_ascii_whitespace();
        let (mode, _, name, size) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        // `-` for a submodule, `BAD` for a blob that a partial clone left out. 0 makes no difference there:
        // equal object names have equal sizes.
        Some(Self { mode, name, size: size.parse().unwrap_or(0), path: &line[tab + 1..] })
    }
}

/// State of reading a revision.
struct Loading<'r> {
    repository: &'r Repository,
    /// Paths in the repository of submodules that are not looked into.
    not_into: &'r BTreeSet<String>,
    /// Scope of each folder that was looked up, by its path from the folder of `ghdeploy.yml`.
    scopes: HashMap<Vec<u8>, Scope>,
    ignore_files: HashMap<Vec<u8>, Patterns>,
    top: Scope,
    found: Vec<(RootPath, TreeFile)>,
    names: HashMap<RootPath, Digest>,
    trouble: Trouble,
    closed: BTreeMap<RootPath, Submodule>,
}

impl Loading<'_> {
    fn end(self, tree: Tree, commit: String) -> GitTree {
        let objects = Arc::clone(&self.repository.objects);
        GitTree { tree, names: self.names, objects, commit, closed: self.closed }
    }

    /// Takes what `ls-tree` has listed.
    fn take_all(&mut self, listing: &[u8], layout: &Layout) -> Result<(), GitError> {
        let entries: Vec<Listed<'_>> = listing.split(|b| *b == 0).filter_map(Listed::read).collect();
        self.repository.read_ahead(&entries)?;
        self.read_ignore_files(&entries)?;
        for entry in &entries {
            self.take(entry, layout)?;
        }
        Ok(())
    }

    /// The path from the folder of `ghdeploy.yml`.
    fn inside<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        path.strip_prefix(self.repository.work_tree.inside.as_bytes())
    }

    fn read_ignore_files(&mut self, entries: &[Listed<'_>]) -> Result<(), GitError> {
        for entry in entries {
            let Some(path) = self.inside(entry.path) else { continue };
            let (dir, name) = split(path);
            if name != IGNORE_FILE.as_bytes() || !entry.mode.starts_with("100") {
                continue;
            }
            let content = self.repository.objects.blob(entry.name)?.unwrap_or_default();
            let (patterns, wrong) = Patterns::parse(&String::from_utf8_lossy(&content));
            self.trouble.fatal.extend(wrong_patterns(&String::from_utf8_lossy(path), wrong));
            self.ignore_files.insert(dir.to_vec(), patterns);
        }
        Ok(())
    }

    /// The rules that apply in a folder.
    fn scope(&mut self, dir: &[u8]) -> Scope {
        if let Some(scope) = self.scopes.get(dir) {
            return scope.clone();
        }
        let mut scope = if dir.is_empty() {
            self.top.clone()
        } else {
            let outer = self.scope(split(dir).0);
            outer.enter(outer.judge(dir, true))
        };
        if let Some(patterns) = self.ignore_files.get(dir) {
            let strip = if dir.is_empty() { 0 } else { dir.len() + 1 };
            scope.add_own(patterns.clone(), strip);
        }
        self.scopes.insert(dir.to_vec(), scope.clone());
        scope
    }

    fn take(&mut self, entry: &Listed<'_>, layout: &Layout) -> Result<(), GitError> {
        let Some(path) = self.inside(entry.path) else { return Ok(()) };
        let verdict = self.scope(split(path).0).judge(path, entry.mode == SUBMODULE);
        if !verdict.is_wanted(|| Ok::<_, GitError>(true))? {
            return Ok(());
        }
        let Ok(repo_path) = std::str::from_utf8(path) else {
            match layout.root_path(&String::from_utf8_lossy(path)) {
                Some(at) => self.trouble.refuse(&at, not_utf8(path)),
                None => self.trouble.fatal.push(not_utf8(path)),
            }
            return Ok(());
        };
        if entry.mode == SUBMODULE
            && !self.not_into.contains(repo_path)
            && let Some(listing) = self.repository.list_submodule(entry.path, entry.name)
        {
            return self.take_all(&listing, layout);
        }
        // The ignore files above a fixed prefix are listed, but not wanted.
        let Some(root_path) = layout.root_path(repo_path) else { return Ok(()) };
        if root_path.is_root() {
            self.trouble.fatal.push(not_a_folder(repo_path));
            return Ok(());
        }
        let what = match entry.mode {
            // Its commit stands for all of its files.
            SUBMODULE => {
                let submodule = Submodule { repo_path: repo_path.to_owned(), commit: entry.name.to_owned() };
                self.closed.insert(root_path.clone(), submodule);
                TreeFileKind::File { executable: false, private: false, size: 0 }
            }
            "120000" => match self.repository.objects.blob(entry.name)? {
                Some(target) => match std::str::from_utf8(&target) {
                    Ok(target) => TreeFileKind::Symlink { target: target.to_owned() },
                    Err(_) => {
                        self.trouble.refuse(&root_path, target_not_utf8(repo_path, &target));
                        return Ok(());
                    }
                },
                None => return Err(GitError::Failed(format!("object {} is missing", entry.name))),
            },
            mode => TreeFileKind::File { executable: mode == "100755", private: false, size: entry.size },
        };
        self.names.insert(root_path.clone(), Digest::from_text(entry.name));
        self.found.push((root_path, TreeFile { repo_path: repo_path.to_owned(), what }));
        Ok(())
    }
}

impl GitTree {
    /// The submodules whose files are not known, or not looked at.
    #[must_use]
    pub fn submodules(&self) -> &BTreeMap<RootPath, Submodule> {
        &self.closed
    }

    /// The submodule that a path is in or is.
    fn submodule(&self, path: &RootPath) -> Option<&Submodule> {
        let mut above = std::iter::successors(Some(path.clone()), RootPath::parent);
        above.find_map(|path| self.closed.get(&path))
    }
}

impl Files for GitTree {
    fn kind(&self, path: &RootPath) -> Option<NodeKind> {
        let kind = self.tree.kind(path)?;
        Some(if self.closed.contains_key(path) { NodeKind::Dir } else { kind })
    }

    fn read(&self, path: &RootPath) -> Result<Option<Arc<[u8]>>, String> {
        if let Some(Submodule { repo_path, commit }) = self.submodule(path) {
            let name = path.file_name();
            let is_compose = name.ends_with(".yml") || name.ends_with(".yaml");
            // An env file may be on the host.
            return if is_compose {
                let shown = self.tree.shown(path);
                Err(format!(
                    "{shown} is in the submodule {repo_path}, whose commit {} is not here",
                    short(commit)
                ))
            } else {
                Ok(None)
            };
        }
        let Some((path, node)) = self.tree.file(path)? else { return Ok(None) };
        let Some(name) = self.names.get(&path) else { return Ok(None) };
        match self.objects.blob(name.as_str()) {
            Ok(Some(content)) => Ok(Some(content)),
            Ok(None) => {
                Err(format!("`{}` cannot be read: object {} is missing", node.repo_path, name.as_str()))
            }
            Err(err) => {
                Err(err.into_error(&format!("read `{}`", node.repo_path), Path::new(".")).to_string())
            }
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

impl Snapshot for GitTree {
    fn nodes(&self) -> &BTreeMap<RootPath, TreeFile> {
        self.tree.nodes()
    }

    fn manifest(&self, paths: &mut dyn Iterator<Item = &RootPath>) -> Result<Manifest> {
        let mut entries = BTreeMap::new();
        for path in paths {
            if let Some(submodule) = self.submodule(path) {
                let (kind, digest) = (Kind::File, Digest::from_text(&submodule.commit));
                entries.insert(path.clone(), Entry { kind, mode: 0o644, size: 0, digest });
                continue;
            }
            let node = self.tree.entry(path)?;
            let size = match &node.what {
                TreeFileKind::File { size, .. } => *size,
                TreeFileKind::Symlink { target } => target.len() as u64,
            };
            let Some(digest) = self.names.get(path).cloned() else {
                return Err(Error::unforeseen(format!("`{}` has no object name", node.repo_path)));
            };
            entries.insert(path.clone(), Entry { kind: node.kind(), mode: node.mode(), size, digest });
        }
        Ok(Manifest(entries))
    }

    fn commit(&self) -> Option<&str> {
        Some(&self.commit)
    }

    fn refused(&self) -> &[Refused] {
        &self.tree.refused
    }

    fn is_closed(&self, path: &RootPath) -> bool {
        self.submodule(path).is_some()
    }
}

/// Splits a path into its folder and its name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

/// Errors for lines of a `.ghdeployignore` that are not patterns.
pub(super) fn wrong_patterns(path: &str, wrong: Vec<(usize, String)>) -> impl Iterator<Item = Diagnostic> {
    wrong.into_iter().map(move |(line, reason)| {
        let at = Location { path: path.to_owned(), line, column: 1 };
        Diagnostic::error(format!("not a pattern: {reason}"), Some(at))
    })
}

/// Error for a name that is not UTF-8.
pub(super) fn not_utf8(path: &[u8]) -> Diagnostic {
    Diagnostic::error(format!("the name `{}` is not UTF-8", path.escape_ascii()), None)
        .help("rename it, or list it in `.ghdeployignore`")
}

/// Error for a link whose target is not UTF-8.
pub(super) fn target_not_utf8(repo_path: &str, target: &[u8]) -> Diagnostic {
    let target = target.escape_ascii();
    Diagnostic::error(format!("symbolic link `{repo_path}` points to `{target}`, which is not UTF-8"), None)
        .help("rename its target, or list the link in `.ghdeployignore`")
}

/// Error for a fixed prefix that is not a folder.
pub(super) fn not_a_folder(repo_path: &str) -> Diagnostic {
    Diagnostic::error(format!("`{repo_path}`, which `services` names, is not a folder"), None)
        .help("name the folder that holds the projects, or a compose file with one of Compose's own names; symbolic links to a folder are not followed")
}

#[cfg(test)]
mod tests;
