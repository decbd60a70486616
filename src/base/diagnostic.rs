//! Errors and warnings about the repository.
//!
//! Owns the shape of such a message: severity, text, location, help. Never prints.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// Location in a file of the repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Location {
    /// The path in the repository, as a user would type it.
    pub path: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path, self.line, self.column)
    }
}

/// Severity of a [`Diagnostic`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The project can be deployed all the same.
    Warning,
    /// The project cannot be deployed.
    Error,
}

/// Message about the repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Diagnostic {
    /// The severity.
    pub severity: Severity,
    /// The problem, in lowercase and without a full stop. Never holds a value that could be secret.
    pub message: String,
    /// The location, if there is one.
    pub at: Option<Location>,
    /// Advice on how to fix it.
    pub help: Option<String>,
    /// The group that it is shown with, if it is of a kind that may come many times.
    #[serde(skip)]
    pub group: Option<Box<Group>>,
}

/// Group of messages of one kind, which may be shown as one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// What is said of all of them, after their number: `images of `shop` without a version`.
    pub what: String,
    /// This one among them: `web`.
    pub item: String,
    /// The number from which on they are shown as one.
    pub from: usize,
}

/// Number of items of a group that are named.
const NAMED_ITEMS: usize = 10;

/// The same messages, those of a group as one in the place of its first. The advice of several groups is given once.
#[must_use]
pub fn folded(diagnostics: &[Diagnostic]) -> Vec<Diagnostic> {
    let mut groups: BTreeMap<&str, Vec<&Group>> = BTreeMap::new();
    for group in diagnostics.iter().filter_map(|diagnostic| diagnostic.group.as_deref()) {
        groups.entry(&group.what).or_default().push(group);
    }
    let mut advised = BTreeSet::new();
    let mut shown = Vec::new();
    for diagnostic in diagnostics {
        let group = diagnostic.group.as_deref();
        let members = group.and_then(|group| groups.get(&*group.what));
        match (members, group) {
            (Some(members), Some(group)) if members.len() >= group.from => {
                if members.first().is_some_and(|first| std::ptr::eq(*first, group)) {
                    let items: Vec<&str> =
                        members.iter().take(NAMED_ITEMS).map(|member| member.item.as_str()).collect();
                    let more = match members.len() - items.len() {
                        0 => String::new(),
                        more => format!(" and {more} more"),
                    };
                    let message = format!("{} {}: {}{more}", members.len(), group.what, items.join(", "));
                    let help = diagnostic.help.clone().filter(|help| advised.insert(help.clone()));
                    shown.push(Diagnostic { message, at: None, help, group: None, ..diagnostic.clone() });
                }
            }
            _ => shown.push(diagnostic.clone()),
        }
    }
    shown
}

impl Diagnostic {
    /// Creates an error.
    #[must_use]
    pub fn error(message: impl Into<String>, at: Option<Location>) -> Self {
        Self { severity: Severity::Error, message: message.into(), at, help: None, group: None }
    }

    /// Creates a warning.
    #[must_use]
    pub fn warning(message: impl Into<String>, at: Option<Location>) -> Self {
        Self { severity: Severity::Warning, message: message.into(), at, help: None, group: None }
    }

    /// Adds advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the group that it is shown with.
    #[must_use]
    pub fn in_group(mut self, what: String, item: String, from: usize) -> Self {
        self.group = Some(Box::new(Group { what, item, from }));
        self
    }

    /// Whether it is an error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Returns the known word that is closest to a misspelled one, if the edits are at most a third of its
/// length.
#[must_use]
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    // A longer word is not a typo, and the cost grows with the square of the length.
    if word.len() > 64 {
        return None;
    }
    let plain = |word: &str| word.to_lowercase().replace('-', "_");
    let edits = |candidate: &str| strsim::osa_distance(&plain(word), &plain(candidate));
    let (edits, candidate) = known.iter().map(|candidate| (edits(candidate), *candidate)).min()?;
    (edits <= (candidate.len() / 3).max(1)).then_some(candidate)
}

/// Number of known words that advice lists.
const MAX_LISTED: usize = 20;

/// Advice on a name that is not among those that are known: the nearest ones, or else all of them. `noun` is
/// what they are called, in the plural.
#[must_use]
pub(crate) fn suggestion(word: &str, noun: &str, known: &[&str]) -> String {
    fn last(name: &str) -> &str {
        name.trim_end_matches('/').rsplit('/').next().unwrap_or(name)
    }
    // People write the path of a folder, or leave out the folder that a project is in.
    let mut near: Vec<&str> = known.iter().copied().filter(|name| last(name) == last(word)).collect();
    near.extend(nearest(word, known).or_else(|| nearest(last(word), known)));
    if near.is_empty() && word.len() > 2 {
        let lower = word.to_lowercase();
        near.extend(known.iter().filter(|name| name.to_lowercase().contains(&lower)).take(3));
    }
    let mut seen = std::collections::BTreeSet::new();
    near.retain(|name| seen.insert(*name));
    match near.as_slice() {
        [] if known.is_empty() => format!("there are no {noun}"),
        [] => {
            let more = match known.len().saturating_sub(MAX_LISTED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let listed = known.iter().take(MAX_LISTED).copied().collect::<Vec<_>>().join(", ");
            format!("the {noun} are: {listed}{more}")
        }
        near => {
            let quoted: Vec<String> = near.iter().take(3).map(|name| format!("`{name}`")).collect();
            format!("did you mean {}?", quoted.join(" or "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_known_is_answered_with_the_nearest_ones() {
        let known = ["blog", "mail", "web/shop", "old/shop"];
        let advice = |word| suggestion(word, "projects", &known);
        assert_eq!(advice("bolg"), "did you mean `blog`?");
        assert_eq!(advice("Blog"), "did you mean `blog`?");
        assert_eq!(advice("services/blog/"), "did you mean `blog`?");
        assert_eq!(advice("services/bolg"), "did you mean `blog`?");
        assert_eq!(advice("shop"), "did you mean `web/shop` or `old/shop`?");
        assert_eq!(advice("hop"), "did you mean `web/shop` or `old/shop`?");
        assert_eq!(advice("x"), "the projects are: blog, mail, web/shop, old/shop");
        assert_eq!(suggestion("x", "projects", &[]), "there are no projects");
        let many: Vec<String> = (0..30).map(|number| format!("project-{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(suggestion("x", "projects", &many).ends_with("project-19 and 10 more"));
    }

    #[test]
    fn messages_of_a_group_are_shown_as_one() {
        let of = |what: &str, item: &str| {
            Diagnostic::warning(format!("{item}!"), None).help("name a version").in_group(
                what.to_owned(),
                item.to_owned(),
                2,
            )
        };
        let mut all: Vec<Diagnostic> = vec![Diagnostic::error("first", None), of("images of `a`", "web")];
        all.extend((0..12).map(|number| of("images of `b`", &format!("s{number}"))));
        all.push(of("images of `a`", "db"));
        all.push(of("images of `c`", "one"));
        let shown: Vec<String> =
            folded(&all).into_iter().map(|it| format!("{} {}", it.message, it.help.is_some())).collect();
        assert_eq!(
            shown,
            [
                "first false",
                "2 images of `a`: web, db true",
                "12 images of `b`: s0, s1, s2, s3, s4, s5, s6, s7, s8, s9 and 2 more false",
                "one! true",
            ]
        );
    }
}
