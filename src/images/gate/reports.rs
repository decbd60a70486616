//! JUnit reports as a requirement: whether all that a glob names prove what they must.
//!
//! Owns which of them are results of this run, and the reasons why one is no proof. Pure.

use super::checks::Standing;
use super::junit::{Report, Totals};
use super::{Finding, Requirement, failed};

/// Reports that match a glob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reports {
    /// The glob.
    pub glob: String,
    /// The files, and the folders that cannot be searched.
    pub files: Vec<ReportFile>,
}

/// File that a glob names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportFile {
    /// Its path, as the glob leads to it.
    pub path: String,
    /// Its content.
    pub content: Content,
}

/// Content of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A report.
    Report(Report),
    /// It cannot be read; the reason as a fragment.
    Unreadable(String),
    /// It is older than what it should prove; how much as a fragment: `it was written 3 days before the
    /// commit`.
    Old(String),
    /// It is part of the commit, so no test of this run has written it.
    Committed,
}

impl From<Result<Report, String>> for Content {
    fn from(read: Result<Report, String>) -> Self {
        read.map_or_else(Self::Unreadable, Self::Report)
    }
}

impl ReportFile {
    fn report(&self) -> Option<&Report> {
        match &self.content {
            Content::Report(report) => Some(report),
            _ => None,
        }
    }

    fn found(&self) -> Finding {
        let (says, totals) = match &self.content {
            Content::Report(report) => {
                let notes: String = report.notes.iter().take(3).map(|note| format!("; {note}")).collect();
                (report.totals.to_string() + &notes, Some(report.totals))
            }
            Content::Unreadable(why) => (format!("unreadable: {why}"), None),
            Content::Old(why) => (format!("not counted: {why}"), None),
            Content::Committed => ("not counted: it is part of the commit".to_owned(), None),
        };
        Finding { name: self.path.clone(), says, at: None, totals }
    }

    /// The reason why it is no proof; `None` also if it does not count at all.
    fn fault(&self) -> Option<String> {
        let path = &self.path;
        let report = match &self.content {
            Content::Committed => return None,
            Content::Unreadable(why) => return Some(format!("`{path}` cannot be read: {why}")),
            Content::Old(why) => {
                let help = "run its tests again, or remove it before they run";
                return Some(format!("`{path}` is no result of this commit: {why}; {help}"));
            }
            Content::Report(report) => report,
        };
        let totals = report.totals;
        if totals.failures + totals.errors > 0 {
            let number = totals.failures + totals.errors;
            return Some(format!("`{path}` has {number} that failed: {}", report.failing.join(", ")));
        }
        if totals.unclear > 0 {
            let number = totals.unclear;
            return Some(format!(
                "`{path}` has {number} that did not clearly pass: {}",
                report.unclear.join(", ")
            ));
        }
        if report.claims_failures {
            return Some(format!("`{path}`: {}", report.notes.join("; ")));
        }
        match report.totals.tests {
            0 => Some(format!("`{path}` has no test")),
            _ if report.is_cut => Some(format!("`{path}` is not complete: {}", report.notes.join("; "))),
            _ if report.ran() == 0 => Some(format!("`{path}` has no test that ran")),
            // A report can fail to be a proof for another reason.
            _ => (!report.is_proof()).then(|| format!("`{path}` proves nothing")),
        }
    }
}

/// Judges the reports of a glob.
pub(super) fn tests(glob: &str, min_tests: u64, all: &[Reports]) -> Requirement {
    let wants = format!("tests in `{glob}`");
    let files = all
        .iter()
        .find(|reports| reports.glob == glob)
        .map(|reports| reports.files.as_slice())
        .unwrap_or_default();
    if files.is_empty() {
        return failed(&wants, "no file matches");
    }
    let totals = files.iter().filter_map(ReportFile::report).map(|report| report.totals).sum::<Totals>();
    let mut wrong: Vec<String> = files.iter().filter_map(ReportFile::fault).collect();
    let ran = totals.tests - totals.skipped;
    if wrong.is_empty() && files.iter().all(|file| file.content == Content::Committed) {
        let path = &files[0].path;
        wrong.push(match files.len() - 1 {
            0 => format!("`{path}` is part of the commit: no test of this run has written it"),
            more => format!(
                "`{path}` and {more} more are part of the commit: no test of this run has written them"
            ),
        });
    } else if wrong.is_empty() && ran < min_tests {
        wrong.push(format!("{} ran, and at least {min_tests} must", counted(ran)));
    }
    let (standing, why) = match wrong.is_empty() {
        true if totals.skipped == 0 => (Standing::Proven, format!("{} passed", counted(ran))),
        true => (Standing::Proven, format!("{} passed, {} skipped", counted(ran), totals.skipped)),
        false => {
            let more = wrong.len().saturating_sub(5);
            wrong.truncate(5);
            let more = if more > 0 { format!("; and {more} more files") } else { String::new() };
            (Standing::Failed, wrong.join("; ") + &more)
        }
    };
    Requirement { wants, standing, why, found: files.iter().map(ReportFile::found).collect() }
}

/// `1 test`, `12 tests`.
fn counted(count: u64) -> String {
    format!("{count} test{}", if count == 1 { "" } else { "s" })
}
