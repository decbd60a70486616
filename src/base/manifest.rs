//! Manifests: path → kind, mode, size and digest of a set of files.
//!
//! Owns the text form of the manifests on the host, one line per file:
//!
//! ```text
//! f 644 1234 <64 hex digits> blog/compose.yml
//! ```
//!
//! The driver turns such lines into the format of `sha256sum` with one `sed`. A name that does not fit on a
//! line (it holds a control character or a backslash) is written with the escapes of `printf %b` and marked
//! by an upper case kind. Pure: files are hashed at the edges.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::base::path::RootPath;

/// Identity of content: hex sha256 for files that are or will be on a host, git's object name where two
/// revisions are compared. Comparable only with digests of the same sort.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// Wraps the text of a digest.
    #[must_use]
    pub fn from_text(hex: impl Into<String>) -> Self {
        Self(hex.into())
    }

    /// The sha256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_hasher(Sha256::new_with_prefix(bytes))
    }

    /// The sha256 of everything that was fed to `hasher`.
    #[must_use]
    pub fn from_hasher(hasher: Sha256) -> Self {
        // By hand: `write!` would take a tenth of the time that hashing a tree of small files takes.
        let nibble = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
        Self(hasher.finalize().iter().flat_map(|byte| [nibble(byte >> 4), nibble(byte & 15)]).collect())
    }

    /// The digest as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Kind of an [`Entry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A regular file. The digest is that of its content.
    File,
    /// A symbolic link. The digest is that of its target's path.
    Symlink,
}

/// One file of a [`Manifest`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// The kind.
    pub kind: Kind,
    /// Permission bits: 0o644 or 0o755; 0o600 or 0o700 for a private file; 0o777 for a link.
    pub mode: u16,
    /// Size in bytes; for a link, the length of its target's path.
    pub size: u64,
    /// The digest of the content.
    pub digest: Digest,
}

impl Entry {
    /// Whether the content is the same and only the executable bit may differ.
    #[must_use]
    pub fn same_content(&self, other: &Self) -> bool {
        self.kind == other.kind && self.digest == other.digest
    }

    /// Whether any executable bit is set.
    #[must_use]
    pub fn is_executable(&self) -> bool {
        self.mode & 0o111 != 0
    }
}

/// Entries by path, in the order of paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest(pub BTreeMap<RootPath, Entry>);

/// Error for an invalid line of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of a manifest is not in the form `f MODE SIZE SHA256 PATH`")]
pub struct ManifestError {
    /// The line number, counted from 1.
    pub line: usize,
}

impl Manifest {
    /// The text form, one line per file.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(self.0.len() * 120);
        for (path, entry) in &self.0 {
            push_line(&mut text, path, entry);
        }
        text
    }

    /// Parses the text form.
    ///
    /// # Errors
    ///
    /// If a line is not in the form that [`Manifest::to_text`] writes.
    pub fn from_text(text: &str) -> Result<Self, ManifestError> {
        let mut entries = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let (path, entry) = read_line(line).ok_or(ManifestError { line: number + 1 })?;
            entries.insert(path, entry);
        }
        Ok(Self(entries))
    }

    /// The sha256 of the text form, as `sha256sum` computes it for the file on the host.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_text().as_bytes())
    }

    /// The entry at `path`.
    #[must_use]
    pub fn get(&self, path: &RootPath) -> Option<&Entry> {
        self.0.get(path)
    }

    /// All files at or below `dir`, in the order of paths.
    pub fn within<'a>(&'a self, dir: &'a RootPath) -> impl Iterator<Item = (&'a RootPath, &'a Entry)> {
        self.0
            .range(dir.clone()..)
            .take_while(|(path, _)| path.as_str().starts_with(dir.as_str()))
            .filter(|(path, _)| path.is_within(dir))
    }
}

/// Appends one line of the text form, with its newline.
pub fn push_line(text: &mut String, path: &RootPath, entry: &Entry) {
    let escaped = escape(path.as_str());
    let kind = match (entry.kind, escaped.is_some()) {
        (Kind::File, false) => 'f',
        (Kind::File, true) => 'F',
        (Kind::Symlink, false) => 'l',
        (Kind::Symlink, true) => 'L',
    };
    let path = escaped.as_deref().unwrap_or(path.as_str());
    let _ = writeln!(text, "{kind} {:o} {} {} {path}", entry.mode, entry.size, entry.digest.as_str());
}

/// Parses one line of the text form, without its newline.
#[must_use]
pub fn read_line(line: &str) -> Option<(RootPath, Entry)> {
    let mut fields = line.splitn(5, ' ');
    let (kind, escaped) = match fields.next()? {
        "f" => (Kind::File, false),
        "F" => (Kind::File, true),
        "l" => (Kind::Symlink, false),
        "L" => (Kind::Symlink, true),
        _ => return None,
    };
    let mode = u16::from_str_radix(fields.next()?, 8).ok()?;
    let size = fields.next()?.parse().ok()?;
    let digest = Digest::from_text(fields.next()?);
    let path = fields.next()?;
    let path = if escaped { unescape(path)? } else { path.to_owned() };
    Some((RootPath::new(&path).ok()?, Entry { kind, mode, size, digest }))
}

/// Writes `text` with the escapes of `printf %b`; `None` if it fits on a line unescaped.
#[must_use]
pub fn escape(text: &str) -> Option<String> {
    let odd = |byte: u8| byte == b'\\' || byte < 0x20 || byte == 0x7f;
    if !text.bytes().any(odd) {
        return None;
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            c if c.is_ascii() && odd(c as u8) => {
                let _ = write!(escaped, "\\0{:03o}", c as u32);
            }
            c => escaped.push(c),
        }
    }
    Some(escaped)
}

/// Reverses [`escape`]; `None` if `text` is not valid output of it.
#[must_use]
pub fn unescape(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next()? {
            '\\' => plain.push('\\'),
            '0' => {
                let octal: String = chars.by_ref().take(3).collect();
                plain.push(char::from(u8::from_str_radix(&octal, 8).ok()?));
            }
            _ => return None,
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(content: &str) -> Entry {
        Entry {
            kind: Kind::File,
            mode: 0o644,
            size: content.len() as u64,
            digest: Digest::of(content.as_bytes()),
        }
    }

    #[test]
    fn the_text_form_is_what_sed_and_sha256sum_expect() {
        let manifest = Manifest(
            [
                (RootPath::new("blog/a b").unwrap(), entry("x")),
                (RootPath::new("blog/new\nline\\").unwrap(), entry("")),
            ]
            .into(),
        );
        insta::assert_snapshot!(manifest.to_text(), @r"
        f 644 1 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 blog/a b
        F 644 0 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 blog/new\0012line\\
        ");
    }

    #[test]
    fn an_invalid_line_is_reported_by_number() {
        assert_eq!(Manifest::from_text("f 644 1 abc x\nnonsense\n"), Err(ManifestError { line: 2 }));
        assert!(Manifest::from_text("f 644 1 abc ../x\n").is_err(), "a path above the root is refused");
    }

    #[test]
    fn within_does_not_take_siblings_with_the_same_prefix() {
        let manifest = Manifest(
            ["a", "a-b", "a/x", "a/y", "b"].iter().map(|p| (RootPath::new(p).unwrap(), entry(p))).collect(),
        );
        let dir = RootPath::new("a").unwrap();
        let found: Vec<_> = manifest.within(&dir).map(|(path, _)| path.as_str()).collect();
        assert_eq!(found, ["a", "a/x", "a/y"]);
    }

    proptest! {
        #[test]
        fn every_name_survives_the_text_form(name in "[^/\0]{1,40}", mode in prop::sample::select(vec![0o644u16, 0o755, 0o600]), link: bool) {
            prop_assume!(name != "." && name != "..");
            let kind = if link { Kind::Symlink } else { Kind::File };
            let path = RootPath::new(&name).unwrap();
            let manifest = Manifest([(path, Entry { kind, mode, ..entry("x") })].into());
            let text = manifest.to_text();
            prop_assert_eq!(text.bytes().filter(|b| *b == b'\n').count(), 1);
            prop_assert_eq!(Manifest::from_text(&text).unwrap(), manifest);
        }
    }
}
