//! Content of the stage on the host: staged files, and the lists that the driver works from.
//!
//! Owns the layout of a unit in the stage. A unit is a project's files, or the shared files.
//!
//! | name | content |
//! | --- | --- |
//! | `files/…` | staged files, by their paths below the root |
//! | `inplace/…` | the same, for files that are written in place |
//! | `put`, `in_place` | manifest lines of those two |
//! | `keep` | manifest lines of what is replaced or removed: its content is moved to `objects` first |
//! | `delete`, `sweep` | files to remove, and directories that may be empty then |
//! | `undo`, `undo_in_place`, `added` | manifest lines for the restore |
//! | `new`, `old` | the manifests after and before |
//! | `changes`, `sums` | instead of those two: how the recorded one becomes the one after, and both digests |
//! | `well-…` | the lists of a restore of the last version that was well, if it is not the one before |
//! | `well-over` | manifest lines of what such a restore replaces or removes |
//! | `reads`, `removed` | the files of the project that Compose reads, and those of them that are removed |

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;

use crate::base::manifest::{Entry, Kind, Manifest, push_line};
use crate::base::path::RootPath;
use crate::plan::{FileChange, FileChangeKind};
use crate::state::deployed::{Deployed, Found};

/// Source of the content of a staged file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file on this machine.
    File(PathBuf),
    /// The target of a link.
    Link(String),
}

/// One unit in the stage.
#[derive(Debug, Clone, Default)]
pub struct Unit {
    /// The name of the unit.
    pub name: String,
    /// The lists, by name.
    pub lists: BTreeMap<&'static str, String>,
    /// Staged files: directory in the unit, path, entry.
    pub files: Vec<(&'static str, RootPath, Entry)>,
}

impl Unit {
    /// The stage of a unit whose files change by `changes`. `reads` are the files of it that Compose reads,
    /// `stays` the directories that are not removed when they become empty. The directories of a file that is
    /// gone already are removed, too: an interrupted run leaves them.
    #[must_use]
    pub fn new(
        name: &str,
        changes: &[&FileChange],
        new: &Manifest,
        deployed: &Deployed,
        reads: &[RootPath],
        stays: &BTreeSet<RootPath>,
    ) -> Self {
        let mut unit = Self { name: name.to_owned(), ..Self::default() };
        let mut lists: BTreeMap<&'static str, String> = [
            "put",
            "in_place",
            "keep",
            "delete",
            "sweep",
            "undo",
            "undo_in_place",
            "added",
            "reads",
            "removed",
        ]
        .map(|name| (name, String::new()))
        .into();
        let mut add = |list: &'static str, path: &RootPath, entry: &Entry| {
            push_line(lists.entry(list).or_default(), path, entry);
        };
        let (mut deleted, mut folders) = (Vec::new(), Vec::new());
        for change in changes.iter().filter(|change| change.change != FileChangeKind::Conflict) {
            if let Some(before) = &change.before {
                add("keep", &change.at, before);
                add("undo", &change.at, before);
                if change.in_place {
                    add("undo_in_place", &change.at, before);
                }
            }
            match &change.after {
                Some(after) if change.in_place => {
                    add("in_place", &change.at, after);
                    unit.files.push(("inplace", change.at.clone(), after.clone()));
                }
                Some(after) => {
                    add("put", &change.at, after);
                    unit.files.push(("files", change.at.clone(), after.clone()));
                }
                None => {
                    if let Some(before) = &change.before {
                        add("delete", &change.at, before);
                        deleted.push(&change.at);
                    }
                }
            }
            if let (None, Some(after)) = (&change.before, &change.after) {
                add("added", &change.at, after);
                if deployed.found.get(&change.at) == Some(&Found::EmptyDirectory) {
                    folders.push(change.at.clone());
                }
            }
        }
        let old = deployed.manifests.get(name);
        let ours = old.into_iter().chain(deployed.pending.get(name)).flat_map(|manifest| manifest.0.keys());
        let gone = ours.filter(|path| new.get(path).is_none()).chain(deleted.iter().copied());
        lists.insert("sweep", path_lines(&emptied(gone, stays)) + &path_lines(&folders));
        lists.insert("reads", path_lines(reads));
        lists.insert("removed", path_lines(&deleted.into_iter().cloned().collect::<Vec<_>>()));
        lists.insert("new", new.to_text());
        lists.insert("old", old.map(Manifest::to_text).unwrap_or_default());
        unit.lists = lists;
        unit
    }

    /// Sends of the manifests after and before only what changes, if that is much less. The host has recorded `old`.
    pub fn shorten(&mut self, old: &Manifest, new: &Manifest) {
        let changes = line_changes(old, new);
        let whole =
            self.lists.get("old").map_or(0, String::len) + self.lists.get("new").map_or(0, String::len);
        if changes.len() + WORTH_SHORTENING > whole {
            return;
        }
        self.lists.retain(|name, _| !matches!(*name, "old" | "new"));
        let sums = format!("{}  old\n{}  new\n", old.digest().as_str(), new.digest().as_str());
        self.lists.extend([("changes", changes), ("sums", sums)]);
    }
}

/// Number of bytes that [`Unit::shorten`] must spare: fewer arrive with what is sent anyway.
const WORTH_SHORTENING: usize = 16 << 10;

/// How the text of one manifest becomes that of another: `=COUNT` lines stay, `-` a line goes, `+LINE` one comes.
fn line_changes(old: &Manifest, new: &Manifest) -> String {
    let (mut text, mut same) = (String::new(), 0);
    let paths: BTreeSet<&RootPath> = old.0.keys().chain(new.0.keys()).collect();
    for path in paths {
        let (before, after) = (old.get(path), new.get(path));
        if before == after {
            same += 1;
            continue;
        }
        if same > 0 {
            text += &format!("={same}\n");
            same = 0;
        }
        if before.is_some() {
            text += "-\n";
        }
        if let Some(after) = after {
            text.push('+');
            push_line(&mut text, path, after);
        }
    }
    if same > 0 { text + &format!("={same}\n") } else { text }
}

impl Unit {
    /// Adds the lists for a restore of the version with the manifest `well`, from the one with the manifest
    /// `new`.
    pub fn lead_back(&mut self, new: &Manifest, well: &Manifest) {
        let is_same = |entry: &Entry, other: &Entry| {
            entry.same_content(other)
                && (entry.kind == Kind::Symlink || entry.is_executable() == other.is_executable())
        };
        let in_place: BTreeSet<&RootPath> =
            self.files.iter().filter(|(dir, ..)| *dir == "inplace").map(|(_, path, _)| path).collect();
        let (mut undo, mut undo_in_place, mut added, mut over) =
            <(String, String, String, String)>::default();
        for (path, entry) in &well.0 {
            if new.get(path).is_some_and(|there| is_same(there, entry)) {
                continue;
            }
            push_line(&mut undo, path, entry);
            if in_place.contains(path) && entry.kind == Kind::File {
                push_line(&mut undo_in_place, path, entry);
            }
            if let Some(there) = new.get(path) {
                push_line(&mut over, path, there);
            }
        }
        let leaving = || new.0.iter().filter(|(path, _)| well.get(path).is_none());
        for (path, entry) in leaving() {
            push_line(&mut added, path, entry);
            push_line(&mut over, path, entry);
        }
        let stays: BTreeSet<RootPath> =
            well.0.keys().flat_map(|path| std::iter::successors(path.parent(), RootPath::parent)).collect();
        let sweep = path_lines(&emptied(leaving().map(|(path, _)| path), &stays));
        self.lists.extend([
            ("well-undo", undo),
            ("well-undo_in_place", undo_in_place),
            ("well-added", added),
            ("well-over", over),
            ("well-sweep", sweep),
            ("well-old", well.to_text()),
        ]);
    }
}

/// The directories that hold `paths`, deepest first, without the root and those that stay.
fn emptied<'p>(paths: impl Iterator<Item = &'p RootPath>, stays: &BTreeSet<RootPath>) -> Vec<RootPath> {
    let mut dirs = BTreeSet::new();
    for path in paths {
        let mut dir = path.parent();
        while let Some(parent) = dir.filter(|dir| !dir.is_root()) {
            dir = parent.parent();
            if !stays.contains(&parent) {
                dirs.insert(parent);
            }
        }
    }
    let mut dirs: Vec<RootPath> = dirs.into_iter().collect();
    dirs.sort_by_key(|dir| std::cmp::Reverse(dir.components().count()));
    dirs
}

fn path_lines(paths: &[RootPath]) -> String {
    paths.iter().map(|path| crate::host::path_line(path.as_str()) + "\n").collect()
}

/// Largest number of files, and of bytes in them, whose content the host keeps a second time: all that people write
/// by hand, and no more than an upload of moderate size.
const KEPT_FILES: usize = 1000;
const KEPT_BYTES: u64 = 8 << 20;

/// Largest size in bytes of a file that is sent twice. gzip finds what was within the last 32 KiB, so the second time
/// it takes next to nothing; a larger one is copied on the host.
const SENT_TWICE: u64 = 24 << 10;

/// Writes the stage as a tar stream. The content of a file is read while it is packed, in pieces. Unless there is too
/// much of it, the host gets each content once more, for a rollback to this release: below `+objects`, or copies it
/// there by the list `+copies`, which has lines `SHA256 p PATH-IN-STAGE`.
///
/// # Errors
///
/// When a file cannot be read any more or has another size now, or the stream breaks off.
pub fn pack(
    units: &[Unit],
    source: &dyn Fn(&RootPath) -> Option<Source>,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let files = || units.iter().flat_map(|unit| &unit.files);
    let is_kept =
        files().count() <= KEPT_FILES && files().map(|(_, _, entry)| entry.size).sum::<u64>() <= KEPT_BYTES;
    pack_with(units, source, is_kept, out)
}

/// Does the same for a look, after which nothing is kept.
///
/// # Errors
///
/// As [`pack`].
pub fn pack_to_look(
    units: &[Unit],
    source: &dyn Fn(&RootPath) -> Option<Source>,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    pack_with(units, source, false, out)
}

fn pack_with(
    units: &[Unit],
    source: &dyn Fn(&RootPath) -> Option<Source>,
    is_kept: bool,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let mut tar = tar::Builder::new(out);
    tar.mode(tar::HeaderMode::Deterministic);
    let mut kept: BTreeSet<&str> = BTreeSet::new();
    let mut copies = String::new();
    for unit in units {
        for (name, text) in &unit.lists {
            let mut header = header(text.len() as u64, 0o600);
            tar.append_data(&mut header, format!("{}/{name}", unit.name), text.as_bytes())?;
        }
        for (dir, path, entry) in &unit.files {
            let (digest, to) = (entry.digest.as_str(), format!("{}/{dir}/{path}", unit.name));
            if is_kept && kept.insert(digest) {
                if entry.size <= SENT_TWICE {
                    append(&mut tar, format!("+objects/{digest}"), path, entry, source, false)?;
                } else {
                    copies += &format!("{digest} {}\n", crate::host::path_line(&to));
                }
            }
            append(&mut tar, to, path, entry, source, true)?;
        }
    }
    if !copies.is_empty() {
        tar.append_data(&mut header(copies.len() as u64, 0o600), "+copies", copies.as_bytes())?;
    }
    tar.into_inner()?.flush()
}

/// Appends the file at `path` under the name `to`; a link as one (`as_link`), or as a file with its target.
fn append(
    tar: &mut tar::Builder<&mut dyn Write>,
    to: String,
    path: &RootPath,
    entry: &Entry,
    source: &dyn Fn(&RootPath) -> Option<Source>,
    as_link: bool,
) -> std::io::Result<()> {
    match (entry.kind, source(path)) {
        (Kind::File, Some(Source::File(from))) => {
            let named = |error: std::io::Error| {
                std::io::Error::new(error.kind(), format!("{}: {error}", from.display()))
            };
            let file = File::open(&from).map_err(named)?;
            if file.metadata().map_err(named)?.len() != entry.size {
                let what = format!("{} changed while it was being deployed", from.display());
                return Err(std::io::Error::other(what));
            }
            let mut header = header(entry.size, u32::from(entry.mode));
            tar.append_data(&mut header, to, Exactly { file, left: entry.size })
        }
        (Kind::Symlink, Some(Source::Link(target))) if as_link => {
            let mut header = header(0, 0o777);
            header.set_entry_type(tar::EntryType::Symlink);
            tar.append_link(&mut header, to, target)
        }
        (Kind::Symlink, Some(Source::Link(target))) => {
            tar.append_data(&mut header(target.len() as u64, 0o600), to, target.as_bytes())
        }
        _ => Err(std::io::Error::other(format!("{path} is gone or has become something else"))),
    }
}

fn header(size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header
}

/// A file of exactly this size: a shorter one is an error, because the header has been written.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read(&mut buffer[..room])?;
        if read == 0 && room > 0 {
            return Err(std::io::Error::other("a file became shorter while it was being deployed"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}
