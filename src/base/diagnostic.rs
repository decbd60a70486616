//! What is wrong or doubtful in the input, and where.
//!
//! Owns the shape of a message about the repository: severity, text, place, help. Never prints.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in a file of the repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Location {
    /// The path in the repository, as a person would type it.
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

/// How bad a [`Diagnostic`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing is refused for it.
    Warning,
    /// The project cannot be deployed as it stands.
    Error,
}

/// One message about the repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in lowercase, without a full stop. Never holds a value that could be secret.
    pub message: String,
    /// Where, when a place is known.
    pub at: Option<Location>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    #[must_use]
    pub fn error(message: impl Into<String>, at: Option<Location>) -> Self {
        Self { severity: Severity::Error, message: message.into(), at, help: None }
    }

    /// A warning at a place.
    #[must_use]
    pub fn warning(message: impl Into<String>, at: Option<Location>) -> Self {
        Self { severity: Severity::Warning, message: message.into(), at, help: None }
    }

    /// The same with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Whether the project cannot be deployed because of it.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// The known word that was probably meant: the one that takes the fewest edits, if those are at most a
/// third of its length.
#[must_use]
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    // Longer words are no slips, and the work grows with the square.
    if word.len() > 64 {
        return None;
    }
    let plain = |word: &str| word.to_lowercase().replace('-', "_");
    let edits = |candidate: &str| strsim::osa_distance(&plain(word), &plain(candidate));
    let (edits, candidate) = known.iter().map(|candidate| (edits(candidate), *candidate)).min()?;
    (edits <= (candidate.len() / 3).max(1)).then_some(candidate)
}
