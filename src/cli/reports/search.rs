//! Files that a glob names.
//!
//! Owns which folders are read: only those that the glob can reach. Links to folders are followed, because
//! build tools link their output folders; each folder is read once for the same part of a glob, so that no
//! circle of links is without an end. A failing report must not be missed: what cannot be searched is
//! returned, too.

use std::collections::HashSet;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::globs::{MAX_ALTERNATIVES, alternatives, is_plain};

/// Most folders that are read for a glob.
const MAX_FOLDERS: usize = 200_000;

/// Most places that are named as not searched. One of them closes the gate.
const MAX_CLOSED: usize = 100;

/// Most files that a glob may name.
const MAX_FILES: usize = 10_000;

/// Reports in a folder.
const BELOW: &str = "**/*.xml";

/// Result of a search.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The files, and whatever else is no folder.
    pub(super) files: Vec<PathBuf>,
    /// What cannot be searched, with the reason.
    pub(super) closed: Vec<(PathBuf, String)>,
}

/// Part of a glob between two slashes.
#[derive(Debug, Clone)]
enum Part {
    Name(String),
    Glob(GlobMatcher),
    /// `**`: any number of folders.
    Any,
}

/// Files and folders that are left out.
#[derive(Debug, Default)]
pub(super) struct Excluded(Vec<GlobMatcher>);

impl Excluded {
    /// Compiles the globs.
    ///
    /// # Errors
    ///
    /// The reason why one is no glob.
    pub(super) fn new(globs: &[String]) -> Result<Self, String> {
        let compiled = |glob: &String| {
            let plain = glob.trim_start_matches("./").trim_end_matches('/');
            let compiled = GlobBuilder::new(plain).literal_separator(true).build();
            Ok(compiled.map_err(|error| format!("`{glob}` is no glob: {}", error.kind()))?.compile_matcher())
        };
        globs.iter().map(compiled).collect::<Result<Vec<_>, String>>().map(Self)
    }

    /// Whether a path, or a folder on the way to it, is left out.
    fn has(&self, path: &Path) -> bool {
        self.0.iter().any(|glob| path.ancestors().any(|part| glob.is_match(part)))
    }
}

struct Search<'a> {
    dir: &'a Path,
    excluded: &'a Excluded,
    found: Found,
    /// Files that were found, by device and inode: several links may lead to one.
    files: HashSet<(u64, u64)>,
    /// Folders that were read, by device and inode, each with the alternative of the glob and the number of
    /// its parts that were left.
    folders: HashSet<(u64, u64, usize, usize)>,
    /// The alternative of the glob, by its number.
    alternative: usize,
    /// Whether a file counts that the whole alternative matches.
    takes_files: bool,
    /// Whether a folder that it matches stands for the reports below.
    takes_folders: bool,
}

/// Searches for the files that a glob names. It starts in `dir` or, with a slash in front, at the root. A
/// folder that it names stands for all `.xml` files below, unless its last part is only `*` or `**`.
///
/// # Errors
///
/// The reason why it is no glob, or matches too much.
pub(super) fn search(dir: &Path, glob: &str, excluded: &Excluded) -> Result<Found, String> {
    // Checks the whole, for a message about the whole.
    GlobBuilder::new(glob)
        .literal_separator(true)
        .build()
        .map_err(|error| format!("`{glob}` is no glob: {}", error.kind()))?;
    let mut search = Search {
        dir,
        excluded,
        found: Found::default(),
        files: HashSet::new(),
        folders: HashSet::new(),
        alternative: 0,
        takes_files: true,
        takes_folders: true,
    };
    let too_many = |what: String| format!("`{glob}` matches too much: {what}; name a narrower glob");
    let alternatives = alternatives(glob);
    if alternatives.len() > MAX_ALTERNATIVES {
        return Err(too_many(format!("more than {MAX_ALTERNATIVES} alternatives")));
    }
    // A name that looks like a glob is a name first.
    if !is_plain(glob) && search.full(Path::new(glob)).symlink_metadata().is_ok() {
        search.whole(Path::new(glob)).map_err(too_many)?;
    }
    for (number, mut alternative) in alternatives.into_iter().enumerate() {
        if alternative.ends_with("**/") {
            alternative.push_str(BELOW);
        }
        let parts = parts(&alternative).map_err(|error| format!("`{glob}` is no glob: {error}"))?;
        let last = alternative.rsplit('/').next().unwrap_or_default();
        search.alternative = number + 1;
        search.takes_files = !last.is_empty() || parts.is_empty();
        search.takes_folders = !matches!(last, "*" | "**");
        let start = if alternative.starts_with('/') { "/" } else { "" };
        search.step(Path::new(start), &parts).map_err(too_many)?;
    }
    Ok(search.found)
}

/// Parts of a glob without braces.
fn parts(glob: &str) -> Result<Vec<Part>, String> {
    let part = |text: &str| -> Result<Part, String> {
        Ok(match text {
            "**" => Part::Any,
            text if is_plain(text) => Part::Name(text.to_owned()),
            text => {
                let glob = GlobBuilder::new(text).literal_separator(true).build();
                Part::Glob(glob.map_err(|error| error.kind().to_string())?.compile_matcher())
            }
        })
    };
    let mut parts =
        glob.split('/').filter(|text| !matches!(*text, "" | ".")).map(part).collect::<Result<Vec<_>, _>>()?;
    parts.dedup_by(|one, other| matches!((one, other), (Part::Any, Part::Any)));
    Ok(parts)
}

impl Search<'_> {
    /// Follows the remaining parts of a glob from a folder.
    fn step(&mut self, at: &Path, parts: &[Part]) -> Result<(), String> {
        if self.excluded.has(at) {
            return Ok(());
        }
        let Some((part, rest)) = parts.split_first() else { return self.whole(at) };
        match part {
            Part::Name(name) => {
                let next = at.join(name);
                match (rest.is_empty(), self.is_folder(&next)) {
                    (true, _) => self.whole(&next),
                    (false, true) => self.step(&next, rest),
                    (false, false) => Ok(()),
                }
            }
            Part::Glob(glob) => {
                for name in self.names(at, parts)? {
                    let next = at.join(&name);
                    if !glob.is_match(&name) {
                        continue;
                    }
                    if rest.is_empty() {
                        self.whole(&next)?;
                    } else if self.is_folder(&next) {
                        self.step(&next, rest)?;
                    }
                }
                Ok(())
            }
            Part::Any => {
                let names = self.names(at, parts)?;
                if !rest.is_empty() && !names.is_empty() {
                    self.step(at, rest)?;
                }
                for name in names {
                    let next = at.join(&name);
                    if self.is_folder(&next) {
                        self.step(&next, parts)?;
                    } else if rest.is_empty() {
                        self.whole(&next)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Takes what the whole glob matches.
    fn whole(&mut self, at: &Path) -> Result<(), String> {
        if self.excluded.has(at) {
            return Ok(());
        }
        let full = self.full(at);
        match full.symlink_metadata() {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(());
            }
            Err(error) => {
                self.close(at, &error);
                return Ok(());
            }
        }
        if self.is_folder(at) {
            if self.takes_folders {
                let before = (self.alternative, self.takes_files, self.takes_folders);
                (self.alternative, self.takes_files, self.takes_folders) = (usize::MAX, true, false);
                let result = self.step(at, &parts(BELOW)?);
                (self.alternative, self.takes_files, self.takes_folders) = before;
                return result;
            }
            return Ok(());
        }
        // A link that leads nowhere is a report that cannot be read.
        let is_new = full.metadata().map_or(true, |data| self.files.insert(identity(&data)));
        if self.takes_files && is_new && !self.found.closed.iter().any(|(closed, _)| closed == at) {
            self.found.files.push(at.to_owned());
        }
        if self.found.files.len() > MAX_FILES { Err(format!("more than {MAX_FILES} files")) } else { Ok(()) }
    }

    /// Names in a folder, in order and links last, so that what is not behind a link is known by its own
    /// path. None if the folder was read before for the same parts of the glob. That of git is left out.
    fn names(&mut self, at: &Path, parts: &[Part]) -> Result<Vec<PathBuf>, String> {
        let full = self.full(at);
        let read = full.metadata().and_then(|data| Ok((data, full.read_dir()?)));
        let (data, entries) = match read {
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(Vec::new());
            }
            Err(error) => {
                self.close(at, &error);
                return Ok(Vec::new());
            }
        };
        let (device, inode) = identity(&data);
        if !self.folders.insert((device, inode, self.alternative, parts.len())) {
            return Ok(Vec::new());
        }
        if self.folders.len() > MAX_FOLDERS {
            return Err(format!("more than {MAX_FOLDERS} folders"));
        }
        let mut names = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) if entry.file_name() != ".git" => {
                    let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
                    names.push((is_link, PathBuf::from(entry.file_name())));
                }
                Ok(_) => {}
                Err(error) => self.close(at, &error),
            }
        }
        names.sort();
        Ok(names.into_iter().map(|(_, name)| name).collect())
    }

    /// Whether a path leads to a folder. What is behind a folder that cannot be entered is not known.
    fn is_folder(&mut self, at: &Path) -> bool {
        match self.full(at).metadata() {
            Ok(data) => data.is_dir(),
            Err(error) => {
                if error.kind() == ErrorKind::PermissionDenied {
                    self.close(at, &error);
                }
                false
            }
        }
    }

    fn close(&mut self, at: &Path, error: &std::io::Error) {
        if self.excluded.has(at) {
            return;
        }
        let at = if at.as_os_str().is_empty() { Path::new(".") } else { at };
        let closed = &self.found.closed;
        if closed.len() < MAX_CLOSED && !closed.iter().any(|(closed, _)| closed == at) {
            self.found.closed.push((at.to_owned(), error.to_string()));
        }
    }

    fn full(&self, at: &Path) -> PathBuf {
        self.dir.join(at)
    }
}

fn identity(data: &Metadata) -> (u64, u64) {
    (data.dev(), data.ino())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    struct Dir(tempfile::TempDir);

    impl Dir {
        fn new(files: &[&str]) -> Self {
            let this = Self(tempfile::tempdir().unwrap());
            for file in files {
                let path = this.path(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, "").unwrap();
            }
            this
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn found(&self, glob: &str) -> Vec<String> {
            let found = search(self.0.path(), glob, &Excluded::default()).unwrap();
            assert_eq!(found.closed, []);
            found.files.iter().map(|path| path.to_str().unwrap().to_owned()).collect()
        }
    }

    #[test]
    fn globs_are_followed_part_by_part() {
        let dir = Dir::new(&[
            "a.xml",
            "b.txt",
            "x/a.xml",
            "x/y/a.xml",
            "x/y/.hidden.xml",
            ".git/a.xml",
            "z/a.xml/b.xml",
        ]);
        for (glob, files) in [
            ("a.xml", &["a.xml"][..]),
            ("./a.xml", &["a.xml"]),
            ("x//a.xml", &["x/a.xml"]),
            ("*.xml", &["a.xml"]),
            ("*", &["a.xml", "b.txt"]),
            ("x/*", &["x/a.xml"]),
            ("**/a.xml", &["a.xml", "x/a.xml", "x/y/a.xml", "z/a.xml/b.xml"]),
            ("x/**/a.xml", &["x/a.xml", "x/y/a.xml"]),
            ("x/**", &["x/a.xml", "x/y/.hidden.xml", "x/y/a.xml"]),
            ("**/**/y/*", &["x/y/.hidden.xml", "x/y/a.xml"]),
            ("{a.xml,x/*.xml}", &["a.xml", "x/a.xml"]),
            ("{a,{b,c}}.{xml,txt}", &["a.xml", "b.txt"]),
            ("[ab].*", &["a.xml", "b.txt"]),
            ("none.xml", &[]),
            ("a.xml/", &[]),
            ("a.xml/*", &[]),
            ("x/../a.xml", &["x/../a.xml"]),
        ] {
            assert_eq!(dir.found(glob), files, "{glob}");
        }
    }

    #[test]
    fn a_folder_stands_for_the_reports_below_it() {
        let dir = Dir::new(&["r/a.xml", "r/b.txt", "r/deep/c.xml", "m/one/r/d.xml", "m/two/r/e.xml"]);
        for glob in ["r", "r/", "./r", "r/**/"] {
            assert_eq!(dir.found(glob), ["r/a.xml", "r/deep/c.xml"], "{glob}");
        }
        for glob in ["m/*/r", "m/*/r/", "m/**/r"] {
            assert_eq!(dir.found(glob), ["m/one/r/d.xml", "m/two/r/e.xml"], "{glob}");
        }
        assert_eq!(dir.found("r/*"), ["r/a.xml", "r/b.txt"]);
        assert_eq!(dir.found(".").len(), 4);
    }

    #[test]
    fn files_and_folders_can_be_left_out() {
        let dir = Dir::new(&["a.xml", "x/node_modules/y/a.xml", "x/b.xml", "x/old/a.xml"]);
        let found = |globs: &[&str]| {
            let globs: Vec<String> = globs.iter().map(|glob| (*glob).to_owned()).collect();
            let found = search(dir.0.path(), "**/*.xml", &Excluded::new(&globs).unwrap()).unwrap();
            found.files.iter().map(|path| path.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(found(&["**/node_modules"]), ["a.xml", "x/b.xml", "x/old/a.xml"]);
        assert_eq!(found(&["**/node_modules/**", "x/old/"]), ["a.xml", "x/b.xml"]);
        assert_eq!(found(&["./a.xml", "x/[no]*"]), ["x/b.xml"]);
        assert_eq!(found(&["a"]).len(), 4);
        assert!(Excluded::new(&["[x".to_owned()]).unwrap_err().starts_with("`[x` is no glob"));
    }

    #[test]
    fn a_glob_may_lead_out_of_the_folder() {
        let dir = Dir::new(&["a.xml", "in/b.xml"]);
        let top = dir.0.path().to_str().unwrap();
        let inside = dir.path("in");
        let found = |glob: &str| search(&inside, glob, &Excluded::default()).unwrap().files;
        assert_eq!(found("../a.xml"), [PathBuf::from("../a.xml")]);
        assert_eq!(found("../*.xml"), [PathBuf::from("../a.xml")]);
        assert_eq!(found(&format!("{top}/*.xml")), [dir.path("a.xml")]);
        assert_eq!(found(&format!("{top}/in/b.xml")), [dir.path("in/b.xml")]);
        assert_eq!(found(&format!("{top}/in")), [dir.path("in/b.xml")]);
    }

    #[test]
    fn links_to_folders_are_followed_and_circles_have_an_end() {
        let dir = Dir::new(&["out/pkg/test.xml", "in/x.xml"]);
        symlink(dir.path("out"), dir.path("in/link")).unwrap();
        symlink(dir.path("in"), dir.path("out/pkg/back")).unwrap();
        symlink("self", dir.path("in/self")).unwrap();
        symlink("../nowhere", dir.path("in/lost.xml")).unwrap();
        let inside = dir.path("in");
        let found = |glob: &str| {
            let found = search(&inside, glob, &Excluded::default()).unwrap();
            let mut files: Vec<String> =
                found.files.iter().map(|path| path.to_str().unwrap().to_owned()).collect();
            files.sort();
            files
        };
        assert_eq!(found("link/**/test.xml"), ["link/pkg/test.xml"]);
        // A link that leads nowhere is a report that cannot be read.
        assert_eq!(found("**/*.xml"), ["link/pkg/test.xml", "lost.xml", "x.xml"]);
        // Two links to one report are one report.
        symlink(dir.path("out"), dir.path("in/other")).unwrap();
        assert_eq!(found("*/pkg/test.xml"), ["link/pkg/test.xml"]);
    }

    #[test]
    fn what_cannot_be_searched_is_returned_if_the_glob_leads_there() {
        let dir = Dir::new(&["a.xml", "in/b.xml"]);
        symlink("circle", dir.path("circle")).unwrap();
        let closed = |dir: &Path, glob: &str| search(dir, glob, &Excluded::default()).unwrap().closed;
        assert_eq!(closed(&dir.path("circle"), "**/*.xml").len(), 1);
        assert_eq!(closed(&dir.path("circle"), "../*.xml"), []);
        assert_eq!(closed(dir.0.path(), &"x".repeat(300)).len(), 1);
        assert_eq!(closed(dir.0.path(), "in/*.xml"), []);
    }

    #[test]
    fn a_name_that_looks_like_a_glob_is_found() {
        let dir = Dir::new(&["a[1].xml", "a1.xml", "b{c}.xml"]);
        assert_eq!(dir.found("a[1].xml"), ["a[1].xml", "a1.xml"]);
        assert_eq!(dir.found("b{c}.xml"), ["b{c}.xml"]);
        assert_eq!(dir.found("a[[]1].xml"), ["a[1].xml"]);
    }

    #[test]
    fn what_is_no_glob_or_too_much_is_refused() {
        let dir = Dir::new(&[]);
        let error = |glob: &str| search(dir.0.path(), glob, &Excluded::default()).unwrap_err();
        assert!(error("[x").starts_with("`[x` is no glob: "));
        assert!(error("{a,b").starts_with("`{a,b` is no glob: "));
        assert!(error(&"{a,b}".repeat(40)).contains("more than 1000 alternatives"));
        assert_eq!(dir.found(&"x".repeat(200)), [""; 0]);
    }
}
