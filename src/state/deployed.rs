//! What a host has: the state that ghdeploy keeps there, and what deviates from it.
//!
//! Owns the form of `state.json` and the facts that a plan needs from a host. Pure values; [`crate::host`]
//! fetches them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::host_only::HostOnly;
use super::repository::RepositoryMarks;
use crate::base::manifest::{Digest, Entry, Kind, Manifest, read_line};
use crate::base::path::RootPath;
use crate::config::compose_files::ComposeFiles;
use crate::state::container::Containers;

/// Name of the state below `.ghdeploy`.
pub const STATE_FILE: &str = "state.json";

/// Version of `state.json` that this program writes and reads.
pub const STATE_VERSION: u32 = 1;

/// Unit of the files outside the projects' folders that projects read. No project's unit contains a `+`.
pub const SHARED: &str = "+shared";

/// Returns the name of a project's manifest on the host: the project's name, with `%XX` for bytes that are
/// not plain in a file name, or a digest if that would be too long for one.
#[must_use]
pub fn unit(project: &str) -> String {
    let mut unit = String::with_capacity(project.len());
    for (number, byte) in project.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => unit.push(char::from(byte)),
            b'-' | b'.' if number > 0 => unit.push(char::from(byte)),
            byte => {
                let _ = write!(unit, "%{byte:02X}");
            }
        }
    }
    // 255 bytes is the longest name on Linux filesystems; some room for endings.
    if unit.len() > 200 { format!("%{}", Digest::of(project.as_bytes()).as_str()) } else { unit }
}

/// Content of `state.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// [`STATE_VERSION`].
    pub version: u32,
    /// The number of the last release, counted from 1; 0 before the first.
    pub release: u64,
    /// The commit of the last release.
    pub commit: Option<String>,
    /// Time of the last release, RFC 3339 in UTC, by the clock of the machine that made it.
    pub at: Option<String>,
    /// The newest commit that was ever deployed. A rollback does not change it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Commit>,
    /// The release that a rollback of the whole host has deployed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<u64>,
    /// The repository that it was deployed from.
    #[serde(default, skip_serializing_if = "RepositoryMarks::is_empty")]
    pub repository: RepositoryMarks,
    /// The number of the last run that was cut off. It is used up, although it names no release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_off: Option<u64>,
    /// Projects that a run has left halfway, or whose services have not acted on their files yet, by name. No
    /// release that is made meanwhile has them as they should be.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unsettled: BTreeMap<String, Unsettled>,
    /// Images that releases used. Recorded only where replaced images are removed, and only until they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: UsedImages,
    /// The deployed projects, by name.
    pub projects: BTreeMap<String, ProjectState>,
}

/// Ids of images, each with the names by which releases used it.
pub type UsedImages = BTreeMap<String, BTreeSet<String>>;

/// Project that is not as any release has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsettled {
    /// The number of the run that left it so.
    pub run: u64,
    /// The last release in which it was well; `None`: no such release is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub well: Option<u64>,
    /// Whether the host had nothing of it before: no record, no file and no container.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub was_absent: bool,
}

impl State {
    /// The number of the next run that changes anything.
    #[must_use]
    pub fn next_release(&self) -> u64 {
        self.release.max(self.cut_off.unwrap_or_default()) + 1
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            version: STATE_VERSION,
            release: 0,
            commit: None,
            at: None,
            newest: None,
            back_to: None,
            repository: RepositoryMarks::default(),
            cut_off: None,
            unsettled: BTreeMap::new(),
            images: BTreeMap::new(),
            projects: BTreeMap::new(),
        }
    }
}

/// Commit and its date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Its full name.
    pub commit: String,
    /// Committer date, in seconds since 1970; `None` if it is unknown.
    pub committed: Option<i64>,
}

/// Record of a deployed project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectState {
    /// Its folder below the root.
    pub dir: RootPath,
    /// Its folder in the repository.
    pub path: String,
    /// Compose's project name.
    pub project: String,
    /// The release that changed it last; 0 while it is being deployed for the first time.
    pub release: u64,
    /// The commit of that release.
    pub commit: Option<String>,
    /// The release that first deployed it in this version, if a rollback has restored it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<u64>,
    /// The version that a rollback left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// The paths outside of its folder that it reads, each a file or a directory; they stay as long as it is on
    /// the host. `None`: a version recorded it that did not know this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads: Option<Vec<RootPath>>,
    /// The compose and env files that Compose got as options.
    #[serde(default, skip_serializing_if = "ComposeFiles::is_empty")]
    pub compose: ComposeFiles,
    /// What each service was started with. A service that is still owed its first start is absent.
    pub services: BTreeMap<String, ServiceState>,
}

/// Version of a project that a rollback left: a plain sync must not deploy it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The release that it was deployed in.
    pub release: u64,
    /// The digest of its manifest.
    pub manifest: String,
    /// The digest of the manifest of the shared files.
    pub shared: String,
}

/// What the running containers of a service were started with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceState {
    /// The [`crate::compose::DIGEST_SCHEME`] of the next two digests. Digests of different schemes cannot be
    /// compared.
    #[serde(default)]
    pub scheme: u32,
    /// The digest of its definition.
    pub definition: String,
    /// The digest of what gives Compose no reason to recreate; see
    /// [`crate::compose::model::Service::unhashed`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unhashed: Option<String>,
    /// The digest of the content of its build context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// The number of its containers, as the compose files had it; `None` if it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<u32>,
    /// Whether its containers had completed with status 0 when they were seen last: then it is a one-shot, and
    /// nothing is missing when they are gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub completed: bool,
    /// The digests of its inputs, grouped by the action that a change to them calls for; see [`crate::plan`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, String>,
    /// The env files that only the host has and that it reads, each with the mark of what was there; see
    /// [`EnvFile::mark`](super::host_only::EnvFile::mark).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env_files: BTreeMap<String, String>,
}

/// Finding at a path on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Missing,
    /// A file or a link. Its size is not known.
    Entry(Entry),
    /// A directory, of which it is not known that it is empty.
    Directory,
    /// A directory without entries, such as Docker makes it where a mounted file is missing.
    EmptyDirectory,
    /// A file that the user of the connection may not read, or whatever is in a folder that is closed to that user.
    Unreadable,
    /// A socket, a device, a named pipe.
    Other,
    /// Whatever it is, a link on the way leads to it that ghdeploy did not make: it is not touched.
    Behind {
        /// The link.
        link: RootPath,
        /// The target of the link, to be shown.
        target: String,
    },
}

/// Reads one line in which the driver reports a finding.
#[must_use]
pub fn read_found(line: &str) -> Option<(RootPath, Found)> {
    let (kind, rest) = line.split_at_checked(1)?;
    let plain = |found| {
        // Only the path is of interest; read_line can read its form.
        let (path, _) =
            read_line(&format!("{}{rest}", if kind.chars().all(char::is_uppercase) { 'F' } else { 'f' }))?;
        Some((path, found))
    };
    match kind {
        "f" | "F" | "l" | "L" => read_line(line).map(|(path, entry)| (path, Found::Entry(entry))),
        "m" | "M" => plain(Found::Missing),
        "d" | "D" => plain(Found::Directory),
        "e" | "E" => plain(Found::EmptyDirectory),
        "u" | "U" => plain(Found::Unreadable),
        "o" | "O" => plain(Found::Other),
        _ => None,
    }
}

/// Record on a host that something else has damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Its path below `.ghdeploy`.
    pub file: String,
    /// Whether it is not there at all, although others are.
    pub is_missing: bool,
    /// The release whose state has taken the place of a damaged one.
    pub instead: Option<u64>,
}

/// Everything that is known of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deployed {
    /// Its recorded state.
    pub state: State,
    /// The manifest of each unit, as the host has it. One that is damaged is not among them.
    pub manifests: BTreeMap<String, Manifest>,
    /// The manifests that were being swapped in when a run was interrupted: files that they list may be on
    /// the host already, and are ours.
    pub pending: BTreeMap<String, Manifest>,
    /// Records that are damaged.
    pub damaged: Vec<Damage>,
    /// The note of a run that has the lock or was cut off, as it was written.
    pub note: Option<String>,
    /// Findings that deviate from the manifests, and those that were asked for.
    pub found: BTreeMap<RootPath, Found>,
    /// The containers of every Compose project.
    pub containers: Containers,
    /// What Compose reads there beside managed files.
    pub host_only: HostOnly,
    /// Links on the way to managed or wanted files, and their targets. Those in the place of a project's
    /// folder, or of one above it, are not among them: an administrator may move a project elsewhere.
    pub links: BTreeMap<RootPath, String>,
    /// The wanted projects with containers that were started in another folder, by name.
    pub elsewhere: BTreeMap<String, Elsewhere>,
}

/// Containers of a project that were started in another folder than its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// That folder, absolute.
    pub folder: String,
    /// The folder of the project, absolute.
    pub here: String,
    /// The services that they belong to.
    pub services: BTreeSet<String>,
}

impl Deployed {
    /// Enters what the links mean for these paths. Behind a link that a run has put there, for example while
    /// it replaced a folder, there is nothing of ours.
    pub fn bar(&mut self, paths: impl IntoIterator<Item = RootPath>) {
        for path in paths {
            let above = std::iter::successors(path.parent(), RootPath::parent);
            let links = above.filter_map(|folder| self.links.get_key_value(&folder));
            // The outermost one decides.
            let Some((link, target)) = links.last() else { continue };
            let digest = Digest::of(target.as_bytes());
            let is_it = |entry: &Entry| entry.kind == Kind::Symlink && entry.digest == digest;
            let mut all = self.manifests.values().chain(self.pending.values());
            let found = if all.any(|manifest| manifest.get(link).is_some_and(is_it)) {
                Found::Missing
            } else {
                Found::Behind { link: link.clone(), target: target.clone() }
            };
            self.found.insert(path, found);
        }
    }

    /// The finding at `path`, which belongs to `unit`.
    #[must_use]
    pub fn at(&self, unit: &str, path: &RootPath) -> Found {
        if let Some(found) = self.found.get(path) {
            return found.clone();
        }
        match self.known(&self.manifests, unit, path) {
            Some(entry) => Found::Entry(entry.clone()),
            None => Found::Missing,
        }
    }

    /// Whether a run has put `entry` at `path`.
    #[must_use]
    pub fn put(&self, unit: &str, path: &RootPath, entry: &Entry) -> bool {
        let all = [&self.manifests, &self.pending];
        all.into_iter().any(|all| self.known(all, unit, path).is_some_and(|known| known.same_content(entry)))
    }

    /// Whether a run has put anything at `path`.
    #[must_use]
    pub fn manages(&self, unit: &str, path: &RootPath) -> bool {
        [&self.manifests, &self.pending].into_iter().any(|all| self.known(all, unit, path).is_some())
    }

    /// The entry of `unit`, or of the unit that the file has belonged to until now.
    fn known<'m>(
        &self,
        all: &'m BTreeMap<String, Manifest>,
        unit: &str,
        path: &RootPath,
    ) -> Option<&'m Entry> {
        let own = all.get(unit).and_then(|manifest| manifest.get(path));
        own.or_else(|| all.values().find_map(|manifest| manifest.get(path)))
    }
}

/// Whether `found` has the content of `entry`.
#[must_use]
pub fn has_content(found: &Found, entry: &Entry) -> bool {
    matches!(found, Found::Entry(there) if there.same_content(entry))
}

/// Whether `found` has the content of `entry` and, for a file, its executable bit.
#[must_use]
pub fn is_same(found: &Found, entry: &Entry) -> bool {
    matches!(found, Found::Entry(there) if there.same_content(entry) && (entry.kind == Kind::Symlink || there.is_executable() == entry.is_executable()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_plain_file_names_and_differ_when_projects_do() {
        assert_eq!(unit("blog"), "blog");
        assert_eq!(unit("web/blog"), "web%2Fblog");
        assert_eq!(unit(".hidden -x"), "%2Ehidden%20-x");
        assert_eq!(unit("a+b"), "a%2Bb");
        assert_eq!(unit(&"é".repeat(120)).len(), 65);
    }

    #[test]
    fn what_the_driver_found_is_read_whatever_the_name() {
        let (path, found) = read_found("m 644 0 - blog/a b").unwrap();
        assert_eq!((path.as_str(), found), ("blog/a b", Found::Missing));
        let (path, found) = read_found(r"D 644 0 - blog/a\0012b").unwrap();
        assert_eq!((path.as_str(), found), ("blog/a\nb", Found::Directory));
        assert!(matches!(read_found("f 755 0 abc x"), Some((_, Found::Entry(entry))) if entry.mode == 0o755));
        assert_eq!(read_found(""), None);
    }
}
