//! Errors and warnings about the repository.
//!
//! Owns the shape of such a message: severity, text, location, help. Never prints.

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
}

impl Diagnostic {
    /// Creates an error.
    #[must_use]
    pub fn error(message: impl Into<String>, at: Option<Location>) -> Self {
        Self { severity: Severity::Error, message: message.into(), at, help: None }
    }

    /// Creates a warning.
    #[must_use]
    pub fn warning(message: impl Into<String>, at: Option<Location>) -> Self {
        Self { severity: Severity::Warning, message: message.into(), at, help: None }
    }

    /// Adds advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
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
