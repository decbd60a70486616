//! Paths below the root on the host.
//!
//! Owns the one coordinate system of the whole program. The path of a file in the repository is looked up
//! only to show it. Never touches a filesystem.

use std::borrow::Borrow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Path below the root on the host, such as `blog/compose.yml`.
///
/// Relative, `/`-separated, UTF-8, and without empty, `.` or `..` components, so joining it to a root never
/// leaves the root. The empty path is the root itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RootPath(String);

/// Reason why a text is not a path below the root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The path is absolute.
    #[error("path {0:?} is absolute")]
    Absolute(String),
    /// A `..` leads out of the root.
    #[error("path {0:?} leads above the root")]
    AboveRoot(String),
    /// The path holds a NUL byte, which no filesystem can store.
    #[error("path {0:?} holds a NUL byte")]
    Nul(String),
}

impl RootPath {
    /// The root itself.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// Parses a relative path and resolves `.` and `..` in it by text, like Compose.
    ///
    /// # Errors
    ///
    /// If the path is absolute, leads above the root or holds a NUL byte.
    pub fn new(path: &str) -> Result<Self, PathError> {
        Self::root().join(path)
    }

    /// Resolves a relative path against this one as the directory.
    ///
    /// # Errors
    ///
    /// Those of [`RootPath::new`].
    pub fn join(&self, path: &str) -> Result<Self, PathError> {
        if path.starts_with('/') {
            return Err(PathError::Absolute(path.to_owned()));
        }
        if path.contains('\0') {
            return Err(PathError::Nul(path.to_owned()));
        }
        let mut parts: Vec<&str> = self.components().collect();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    if parts.pop().is_none() {
                        return Err(PathError::AboveRoot(path.to_owned()));
                    }
                }
                part => parts.push(part),
            }
        }
        Ok(Self(parts.join("/")))
    }

    /// The path as text; `""` for the root.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the root itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The names from the root down.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }

    /// The last name; `""` for the root.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or("")
    }

    /// The parent directory; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        Some(match self.0.rsplit_once('/') {
            Some((parent, _)) => Self(parent.to_owned()),
            None => Self::root(),
        })
    }

    /// Whether this path is `dir` or below it.
    #[must_use]
    pub fn is_within(&self, dir: &Self) -> bool {
        self.relative_to(dir).is_some()
    }

    /// The part of this path below `dir`: `""` if they are equal, `None` if it is not within `dir`.
    #[must_use]
    pub fn relative_to(&self, dir: &Self) -> Option<&str> {
        if dir.is_root() {
            return Some(&self.0);
        }
        let rest = self.0.strip_prefix(&dir.0)?;
        if rest.is_empty() {
            return Some("");
        }
        rest.strip_prefix('/')
    }
}

/// Compares like its text, so maps can be searched by text.
impl Borrow<str> for RootPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RootPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RootPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl TryFrom<String> for RootPath {
    type Error = PathError;

    fn try_from(path: String) -> Result<Self, PathError> {
        Self::new(&path)
    }
}

impl From<RootPath> for String {
    fn from(path: RootPath) -> Self {
        path.0
    }
}

/// Names of files without an extension that services mount: configuration, credentials, keys and tables. In
/// small letters, because programs differ in that (`Caddyfile`, `caddyfile`).
const FILES_WITHOUT_EXTENSION: [&str; 30] = [
    ".bash_profile",
    ".bashrc",
    ".dockerconfigjson",
    ".env",
    ".gitconfig",
    ".htaccess",
    ".htpasswd",
    ".netrc",
    ".npmrc",
    ".pgpass",
    ".pypirc",
    "authorized_keys",
    "caddyfile",
    "corefile",
    "cronfile",
    "crontab",
    "dockerfile",
    "gemfile",
    "htpasswd",
    "id_ecdsa",
    "id_ed25519",
    "id_rsa",
    "jenkinsfile",
    "known_hosts",
    "makefile",
    "passwd",
    "procfile",
    "ssh_config",
    "sshd_config",
    "vagrantfile",
];

/// Names of files in `/etc` that may also be those of folders elsewhere.
const FILES_IN_ETC: [&str; 9] =
    ["fstab", "group", "hostname", "hosts", "localtime", "machine-id", "shadow", "subgid", "subuid"];

/// Extensions of files that are longer than most.
const LONG_EXTENSIONS: [&str; 7] =
    ["htpasswd", "password", "properties", "service", "sqlite", "sqlite3", "template"];

/// Whether the last name of a path looks like that of a file: it has an extension other than `.d` or the end of a
/// domain, or it is a well-known name without one.
#[must_use]
pub fn looks_like_a_file(path: &str) -> bool {
    if path.ends_with('/') {
        return false;
    }
    let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
    let lower = name.to_lowercase();
    if FILES_WITHOUT_EXTENSION.contains(&lower.as_str())
        || name.starts_with(".env.")
        || dir == "/etc" && FILES_IN_ETC.contains(&name)
    {
        return true;
    }
    match name.trim_start_matches('.').rsplit_once('.') {
        Some((stem, ending)) => {
            let is_usual = (1..=5).contains(&ending.len())
                && ending.chars().all(|c| c.is_ascii_alphanumeric())
                && !ending.chars().all(|c| c.is_ascii_digit());
            !stem.is_empty()
                && !matches!(ending, "d" | "com" | "net" | "org")
                && (is_usual || LONG_EXTENSIONS.contains(&ending))
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_resolved_by_text() {
        assert_eq!(RootPath::new("./a/../b//c/.").unwrap().as_str(), "b/c");
        let blog = RootPath::new("blog").unwrap();
        assert_eq!(blog.join("../shared/tz.env").unwrap().as_str(), "shared/tz.env");
        assert!(blog.join("..").unwrap().is_root());
    }

    #[test]
    fn no_path_leads_out_of_the_root() {
        let blog = RootPath::new("blog").unwrap();
        assert!(matches!(blog.join("../../etc/passwd"), Err(PathError::AboveRoot(_))));
        assert!(matches!(RootPath::new("/etc"), Err(PathError::Absolute(_))));
        assert!(matches!(RootPath::new("a\0b"), Err(PathError::Nul(_))));
    }

    #[test]
    fn a_sibling_with_the_same_prefix_is_not_within() {
        let blog = RootPath::new("blog").unwrap();
        assert!(!RootPath::new("blog2/x").unwrap().is_within(&blog));
        assert_eq!(RootPath::new("blog/x/y").unwrap().relative_to(&blog), Some("x/y"));
        assert_eq!(blog.relative_to(&blog), Some(""));
        assert!(blog.is_within(&RootPath::root()));
    }

    #[test]
    fn names_with_an_extension_look_like_files() {
        for name in
            ["./nginx.conf", "/etc/app/config.yaml", "/var/run/docker.sock", "a/.htpasswd.txt", "db.sqlite3"]
        {
            assert!(looks_like_a_file(name), "{name}");
        }
        for name in ["./data", "conf.d", "/srv/data/", "v1.2", ".config", "/var/lib/docker", "letsencrypt"] {
            assert!(!looks_like_a_file(name), "{name}");
        }
        assert!(!looks_like_a_file("./html/example.com") && !looks_like_a_file("a/Caddyfile/"));
    }

    #[test]
    fn well_known_files_have_no_extension() {
        for name in [
            "./Caddyfile",
            "/etc/coredns/Corefile",
            ".htpasswd",
            "a/crontab",
            ".env",
            ".env.local",
            "/etc/hosts",
        ] {
            assert!(looks_like_a_file(name), "{name}");
        }
        for name in ["./hosts", "/data/group", "./caddy", "./secrets"] {
            assert!(!looks_like_a_file(name), "{name}");
        }
    }
}
