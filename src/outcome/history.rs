//! Releases of a host: what each one changed, and which one precedes another.
//!
//! Owns the format of a line of `history.jsonl`. Pure values.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::outcome::ProjectResult;
use crate::plan::ProjectChange;

/// Release, which is one line of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its number, counted from 1.
    pub release: u64,
    /// The commit; `None` outside of git.
    pub commit: Option<String>,
    /// Its time, RFC 3339 in UTC, by the clock of the machine that ran the deploy.
    pub at: String,
    /// The user or account that deployed it.
    pub actor: Option<String>,
    /// The page of the workflow run.
    pub run_url: Option<String>,
    /// The release that it restored, if it is a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<u64>,
    /// Whether the run was cut off, so that no release has this number.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut_off: bool,
    /// Each project that changed, with its result.
    pub projects: BTreeMap<String, ReleasedProject>,
}

/// Note of a run that is under way. If the next run finds it, this one was cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunNote {
    /// The line to enter for it; each project has the result that it has if it is left halfway.
    #[serde(flatten)]
    pub line: Release,
    /// The projects of which the host had nothing before.
    #[serde(default)]
    pub absent: Vec<String>,
}

/// Project in a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedProject {
    /// The planned change.
    pub change: ProjectChange,
    /// The result.
    pub result: ProjectResult,
}

impl Release {
    /// Reads a line of the history; `None` if it was cut off.
    #[must_use]
    pub fn from_line(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }
}

/// Newest of `releases` that is older than `release`.
#[must_use]
pub fn before(releases: &[u64], release: u64) -> Option<u64> {
    releases.iter().copied().filter(|kept| *kept < release).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_newer_keys_is_read_and_half_a_line_is_not() {
        let line = r#"{"release":2,"commit":null,"at":"2026-01-01T00:00:00Z","actor":"ann","run_url":null,"projects":{"blog":{"change":"changed","result":"rolled_back"}}}"#;
        let release = Release::from_line(line).unwrap();
        assert_eq!((release.release, release.back_to, release.cut_off), (2, None, false));
        assert_eq!(release.projects["blog"].result, ProjectResult::RolledBack);
        assert_eq!(serde_json::to_string(&release).unwrap(), line);
        assert_eq!(Release::from_line(&line[..40]), None);
    }

    #[test]
    fn the_release_before_another_need_not_be_the_next_number() {
        assert_eq!(before(&[3, 7, 5], 7), Some(5));
        assert_eq!(before(&[3], 3), None);
    }
}
