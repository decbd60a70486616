//! The folder of the repository, and its configuration.
//!
//! Owns the search for both. Without `-C`, a folder below the one with the configuration stands for that one,
//! as it does for git. Files beside the configuration that look like one are named, because they are not
//! read.

use std::path::{Path, PathBuf};

use super::args::Args;
use crate::base::error::{Error, Result};
use crate::config::layout::Layout;
use crate::config::{Config, MAX_BYTES};
use crate::tree::regular;

/// Name of the configuration when `--config` names none.
pub(super) const CONFIG: &str = "ghdeploy.yml";

/// Names under which people look for it.
const OTHER_NAMES: [&str; 6] =
    ["ghdeploy.yaml", ".ghdeploy.yml", ".ghdeploy.yaml", "Ghdeploy.yml", "GHDEPLOY.yml", "ghdeploy.yml.txt"];

/// The folder of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The folder; `.` is the working directory.
    pub(super) dir: PathBuf,
    /// The working directory below it, which paths on the command line start from; empty unless it was found
    /// above.
    pub(super) below: PathBuf,
}

impl Place {
    /// The folder that `-C` names, or else the one around the working directory.
    pub(super) fn of(args: &Args) -> Self {
        let here = || Self { dir: args.directory(), below: PathBuf::new() };
        if args.is_directory_given() {
            return here();
        }
        let Ok(working) = std::env::current_dir() else { return here() };
        match above(&working, args.config().is_some()) {
            Some(dir) => {
                let below = working.strip_prefix(&dir).unwrap_or(Path::new("")).to_owned();
                Self { dir, below }
            }
            None => here(),
        }
    }

    /// A path of the command line, from the folder of the repository.
    pub(super) fn path(&self, text: &str) -> String {
        if self.below.as_os_str().is_empty() || Path::new(text).is_absolute() {
            return text.to_owned();
        }
        self.below.join(text).to_string_lossy().into_owned()
    }
}

/// The folder above the working directory that holds the configuration, or else the projects, or else the top
/// of the work tree; `None` for the working directory itself. With a configuration of another name, only the
/// top counts.
fn above(working: &Path, has_config: bool) -> Option<PathBuf> {
    let has = |dir: &Path, name: &str| dir.join(name).symlink_metadata().is_ok();
    let folders = Layout::default();
    let holds_projects = |dir: &Path| folders.top().is_some_and(|top| dir.join(top).is_dir());
    if (has(working, CONFIG) && !has_config) || holds_projects(working) || has(working, ".git") {
        return None;
    }
    let top = working.ancestors().find(|dir| has(dir, ".git"))?;
    let inside = || working.ancestors().skip(1).take_while(|dir| dir.starts_with(top));
    let found = inside().find(|dir| has(dir, CONFIG)).or_else(|| inside().find(|dir| holds_projects(dir)));
    Some(found.unwrap_or(top).to_owned())
}

/// Reads the configuration. `note` gets remarks about files that look like one and are not read.
pub(super) fn read_config(args: &Args, place: &Place, note: &dyn Fn(&str)) -> Result<Config> {
    let dir = &place.dir;
    if !dir.is_dir() {
        return Err(Error::usage(format!("{} is not a folder", dir.display()))
            .help("-C names the folder of the repository"));
    }
    let named = args.config();
    let (shown, path) = match &named {
        // From the folder of the repository or, where that was found, from where it was typed.
        Some(path) if !dir.join(path).exists() && dir.join(&place.below).join(path).exists() => {
            (path.display().to_string(), dir.join(&place.below).join(path))
        }
        Some(path) => (path.display().to_string(), dir.join(path)),
        None => (CONFIG.to_owned(), dir.join(CONFIG)),
    };
    if regular::leads_out(dir, &path) {
        return Err(Error::usage(format!("{shown} is a link that leads out of the repository"))
            .help("put the file itself there, or name another one with --config"));
    }
    let others = || OTHER_NAMES.into_iter().filter(|name| dir.join(name).is_file());
    match regular::read(&path, MAX_BYTES as u64).and_then(text_of) {
        Ok(text) => {
            if named.is_none() {
                others()
                    .for_each(|other| note(&format!("{other} is not read: {CONFIG} is the configuration")));
            }
            Config::from_yaml(&text, &shown).map_err(Error::invalid)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => {
            // To go on without it would deploy something else than it says.
            match others().next() {
                Some(other) => {
                    Err(Error::usage(format!("{other} is not read: the configuration is {CONFIG}"))
                        .help(format!("rename it: git mv {other} {CONFIG}; or name it: --config {other}")))
                }
                None => Ok(Config::default()),
            }
        }
        Err(error) => Err(Error::usage(format!("{shown} cannot be read: {error}"))
            .help("--config names a file, relative to the folder of the repository")),
    }
}

fn text_of(bytes: Vec<u8>) -> std::io::Result<String> {
    String::from_utf8(bytes)
        .map_err(|_| std::io::Error::new(std::io::ErrorKind::InvalidData, "the file is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_found_from_a_folder_below() {
        let temp = tempfile::tempdir().unwrap();
        let top = temp.path().join("repo");
        let make = |path: &str| {
            let dir = top.join(path);
            std::fs::create_dir_all(&dir).unwrap();
            dir
        };
        let (blog, deep, other) = (make("services/blog"), make("deploy/services/shop/conf"), make("docs/a"));
        // Outside of git, nothing is searched for.
        assert_eq!(above(&blog, false), None);
        make(".git");
        assert_eq!(above(&top, false), None);
        assert_eq!(above(&blog, false), Some(top.clone()));
        assert_eq!(above(&other, false), Some(top.clone()));
        assert_eq!(above(&deep, false), Some(top.join("deploy")));
        // A folder with projects of its own is what it always was.
        assert_eq!(above(&top.join("deploy"), false), None);
        std::fs::write(top.join("docs/ghdeploy.yml"), "").unwrap();
        assert_eq!(above(&other, false), Some(top.join("docs")));
        std::fs::write(top.join("ghdeploy.yml"), "").unwrap();
        assert_eq!(above(&deep, false), Some(top.clone()));
        let place = Place { dir: top, below: PathBuf::from("services/blog") };
        assert_eq!(place.path("compose.yml"), "services/blog/compose.yml");
        assert_eq!(place.path("/etc/x"), "/etc/x");
    }
}
