//! Files that are still encrypted: Compose would take the ciphertext for the values.
//!
//! Owns how it is recognised. What Compose itself reads must be in clear. A mounted file is only pointed out,
//! because a service may decrypt it by itself. Pure: asks the tree for content, and quotes none of it.

use std::collections::BTreeSet;

use super::{Snapshot, TreeFileKind};
use crate::base::diagnostic::{Diagnostic, Location, Severity};
use crate::base::path::RootPath;
use crate::compose::model::{Project, ReadMethod};

/// Size in bytes of the largest mounted file that is looked at: more than people encrypt value by value.
const MOUNTED_BYTES: u64 = 64 << 10;

/// Endings of mounted files whose values [SOPS](https://github.com/getsops/sops) encrypts one by one.
const STRUCTURED: [&str; 5] = [".yaml", ".yml", ".json", ".ini", ".env"];

/// What was found in the files of one project.
#[derive(Debug, Default)]
pub(super) struct Ciphertext {
    /// Files that Compose reads.
    pub(super) errors: Vec<Diagnostic>,
    /// Files that a service reads.
    pub(super) warnings: Vec<Diagnostic>,
    /// Paths in the repository of the files that Compose reads.
    pub(super) files: Vec<String>,
}

impl Ciphertext {
    /// Looks at the files that Compose and the services of a project read. What a host has kept was deployed
    /// already.
    pub(super) fn of(tree: &dyn Snapshot, project: &Project) -> Self {
        let mut found = Self::default();
        if tree.was_deployed() {
            return found;
        }
        let mut seen: BTreeSet<&RootPath> = BTreeSet::new();
        let definition =
            project.definition_files.iter().filter(|file| file.present).map(|file| (&file.path, None));
        let reads = || project.services.values().flat_map(|service| &service.reads);
        let files = reads().filter(|read| matches!(read.how, ReadMethod::EnvFile | ReadMethod::LabelFile));
        for (path, at) in definition.chain(files.map(|read| (&read.path, Some(&read.at)))) {
            if seen.insert(path)
                && let Some(by) = text(tree, path).as_deref().and_then(encrypted_by)
            {
                found.files.push(tree.shown(path));
                found.errors.push(message(
                    &tree.shown(path),
                    by,
                    at,
                    "Compose would take the ciphertext for the values",
                ));
            }
        }
        for read in reads().filter(|read| read.how.is_input()) {
            let Some(node) = tree.nodes().get(&read.path) else { continue };
            let is_small = matches!(node.what, TreeFileKind::File { size, .. } if size <= MOUNTED_BYTES);
            if is_small
                && STRUCTURED.iter().any(|ending| read.path.as_str().ends_with(ending))
                && seen.insert(&read.path)
                && let Some(by) = text(tree, &read.path).as_deref().and_then(encrypted_by)
            {
                let why = "a service mounts it and has to decrypt it by itself";
                let mut warning = message(&node.repo_path, by, Some(&read.at), why);
                warning.severity = Severity::Warning;
                found.warnings.push(warning);
            }
        }
        found
    }
}

fn text(tree: &dyn Snapshot, path: &RootPath) -> Option<String> {
    let content = tree.read(path).ok()??;
    String::from_utf8(content.to_vec()).ok()
}

/// The tool that has encrypted a text.
fn encrypted_by(text: &str) -> Option<&'static str> {
    if text.contains("ENC[AES256_GCM,") {
        Some("SOPS")
    } else if text.starts_with("$ANSIBLE_VAULT;") {
        Some("ansible-vault")
    } else if text.starts_with("age-encryption.org/")
        || text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----")
    {
        Some("age")
    } else if text.starts_with("-----BEGIN PGP MESSAGE-----") {
        Some("GnuPG")
    } else {
        None
    }
}

fn message(file: &str, by: &str, at: Option<&Location>, why: &str) -> Diagnostic {
    Diagnostic::error(format!("`{file}` is encrypted by {by}: {why}"), at.cloned()).help(
        "decrypt it in an earlier step of the job, and name the result in `sync.include` if git ignores it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tool_is_recognised_and_plain_text_is_not() {
        for (text, by) in [
            ("DB_PASSWORD=ENC[AES256_GCM,data:Zm9v,iv:YmFy,tag:YmF6,type:str]\n", Some("SOPS")),
            ("$ANSIBLE_VAULT;1.1;AES256\n6438\n", Some("ansible-vault")),
            ("-----BEGIN AGE ENCRYPTED FILE-----\n", Some("age")),
            ("age-encryption.org/v1\n-> X25519 x\n", Some("age")),
            ("-----BEGIN PGP MESSAGE-----\n", Some("GnuPG")),
            ("A=1\n# encrypted by age-encryption.org\nB=ENC[x]\n", None),
            ("", None),
        ] {
            assert_eq!(encrypted_by(text), by, "{text}");
        }
    }
}
