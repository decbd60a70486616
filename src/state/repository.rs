//! Identity of a repository: the marks by which a host recognises the one that it is deployed from.
//!
//! Owns the comparison. No single mark is always known: a workflow's clone is shallow and has no first commit,
//! a laptop knows no id, and a remote may be renamed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Number of marks of a kind that are recorded. A repository has one or two.
const MAX_MARKS: usize = 20;

/// Marks of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryMarks {
    /// Its ids on GitHub, each with its server: `github.com#1296269`. They survive a rename and a transfer.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ids: BTreeSet<String>,
    /// Its names: the last two parts of the address of `origin`, in lower case: `ann/side`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub names: BTreeSet<String>,
    /// The first commits of its history. A fork has the same.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub roots: BTreeSet<String>,
}

/// Relation of a repository to the one that a host was deployed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinship {
    /// The same, or the host records none.
    Same,
    /// Another one with the same history: a fork, or the same one under a new name.
    Related,
    /// Nothing that is known of both can be compared.
    Unknown,
    /// Another one.
    Other,
}

impl RepositoryMarks {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.names.is_empty() && self.roots.is_empty()
    }

    /// Compares a repository with the `owner` of a host. `has_deployed` says whether it has the commit that
    /// is deployed there.
    #[must_use]
    pub fn kinship(&self, owner: &Self, has_deployed: bool) -> Kinship {
        let meet = |a: &BTreeSet<String>, b: &BTreeSet<String>| !a.is_disjoint(b);
        let differ =
            |a: &BTreeSet<String>, b: &BTreeSet<String>| !a.is_empty() && !b.is_empty() && a.is_disjoint(b);
        if owner.is_empty() || meet(&self.ids, &owner.ids) || meet(&self.names, &owner.names) {
            return Kinship::Same;
        }
        let is_named_otherwise = differ(&self.ids, &owner.ids) || differ(&self.names, &owner.names);
        match (has_deployed || meet(&self.roots, &owner.roots), is_named_otherwise) {
            (true, false) => Kinship::Same,
            (true, true) => Kinship::Related,
            (false, true) => Kinship::Other,
            (false, false) if differ(&self.roots, &owner.roots) => Kinship::Other,
            (false, false) => Kinship::Unknown,
        }
    }

    /// Adds the marks of the same repository.
    pub fn learn(&mut self, other: &Self) {
        let pairs =
            [(&mut self.ids, &other.ids), (&mut self.names, &other.names), (&mut self.roots, &other.roots)];
        for (known, new) in pairs {
            for mark in new {
                if known.len() < MAX_MARKS {
                    known.insert(mark.clone());
                }
            }
        }
    }

    /// Its name for people; `None` if nothing is known.
    #[must_use]
    pub fn shown(&self) -> Option<String> {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        if !names.is_empty() {
            return Some(names.join(", "));
        }
        let id = self.ids.first().map(|id| format!("the repository with the id {id}"));
        id.or_else(|| {
            self.roots.first().map(|root| format!("the repository whose first commit is {root:.10}"))
        })
    }
}

/// Returns the name of a repository by the address of a remote: its last two parts, in lower case. The name
/// of a server is no part of it, because a laptop may have an alias for it.
#[must_use]
pub fn name_of(address: &str) -> Option<String> {
    let address = address.trim().trim_end_matches('/');
    let address = address.strip_suffix(".git").unwrap_or(address);
    let mut parts: Vec<&str> = address.rsplit(['/', ':']).filter(|part| !part.is_empty()).take(2).collect();
    parts.reverse();
    // A user and a password come before the server.
    let name: Vec<&str> = parts.into_iter().map(|part| part.rsplit('@').next().unwrap_or(part)).collect();
    (!name.is_empty()).then(|| name.join("/").to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(ids: &[&str], names: &[&str], roots: &[&str]) -> RepositoryMarks {
        let set = |marks: &[&str]| marks.iter().map(|mark| (*mark).to_owned()).collect();
        RepositoryMarks { ids: set(ids), names: set(names), roots: set(roots) }
    }

    #[test]
    fn a_repository_is_the_same_under_another_name_and_in_a_shallow_clone() {
        let owner = marks(&["github.com#1"], &["ann/side"], &["c0"]);
        for (what, ours, has_deployed) in [
            ("a shallow clone in a workflow", marks(&["github.com#1"], &["ann/side"], &[]), false),
            ("the same, renamed", marks(&["github.com#1"], &["ann/services"], &[]), false),
            ("moved to another server, or an alias of it", marks(&[], &["ann/side"], &[]), false),
            ("deleted and made anew", marks(&["github.com#2"], &["ann/side"], &["c9"]), false),
            ("a laptop without a remote", marks(&[], &[], &["c0"]), false),
            ("a shallow clone without a remote", marks(&[], &[], &[]), true),
            ("rewritten, but the deployed commit is known", marks(&[], &[], &["c9"]), true),
        ] {
            assert_eq!(ours.kinship(&owner, has_deployed), Kinship::Same, "{what}");
        }
        assert_eq!(owner.kinship(&RepositoryMarks::default(), false), Kinship::Same);
    }

    #[test]
    fn a_fork_is_related_and_another_repository_is_another() {
        let owner = marks(&["github.com#1"], &["ann/side"], &["c0"]);
        let fork = |roots: &[&str]| marks(&["github.com#2"], &["bob/side"], roots);
        assert_eq!(fork(&["c0"]).kinship(&owner, false), Kinship::Related);
        assert_eq!(fork(&[]).kinship(&owner, true), Kinship::Related);
        assert_eq!(fork(&[]).kinship(&owner, false), Kinship::Other);
        assert_eq!(fork(&["c9"]).kinship(&owner, false), Kinship::Other);
        assert_eq!(marks(&[], &[], &["c9"]).kinship(&owner, false), Kinship::Other);
    }

    #[test]
    fn what_cannot_be_compared_is_unknown() {
        let laptop = marks(&[], &[], &["c0"]);
        assert_eq!(marks(&["github.com#1"], &["ann/side"], &[]).kinship(&laptop, false), Kinship::Unknown);
        assert_eq!(RepositoryMarks::default().kinship(&laptop, false), Kinship::Unknown);
    }

    #[test]
    fn a_name_is_the_end_of_an_address() {
        for address in [
            "https://github.com/Ann/Side.git",
            "https://x-access-token:secret@github.com/ann/side/",
            "git@github.com:ann/side.git",
            "git@work:ann/side",
            "ssh://git@git.example.org:2222/ann/side.git",
            "/srv/git/ann/side.git",
        ] {
            assert_eq!(name_of(address).as_deref(), Some("ann/side"), "{address}");
        }
        assert_eq!(name_of("git@host:side.git").as_deref(), Some("host/side"));
        assert_eq!(name_of(""), None);
    }

    #[test]
    fn a_record_has_a_name_for_people() {
        assert_eq!(marks(&["github.com#1"], &["ann/side"], &[]).shown().as_deref(), Some("ann/side"));
        let long = "0123456789abcdef";
        assert_eq!(
            marks(&[], &[], &[long]).shown().as_deref(),
            Some("the repository whose first commit is 0123456789")
        );
        assert_eq!(RepositoryMarks::default().shown(), None);
    }
}
