//! JUnit reports on disk: which files the globs name, and which of them are results of this run.
//!
//! Owns the reading. A file that is part of a commit was written by no test. One that is older than the
//! commit, or than the event that started the workflow run, was written for another commit. What the rest
//! proves is decided by [`crate::images::gate`].

mod globs;
mod search;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::base::duration::show_duration;
use crate::base::error::{Error, Result};
use crate::github::WorkflowRun;
use crate::images::gate::junit::{MAX_BYTES, Report};
use crate::images::gate::reports::{Content, ReportFile, Reports};
use crate::tree::git::Repository;
use crate::tree::regular;
pub(super) use globs::listed;
use search::{Excluded, search};

/// How far the clocks of two machines may differ.
const CLOCKS: Duration = Duration::from_secs(10);

/// Coarsest step of the times that archives and filesystems keep: zip's and FAT's.
const STEP: Duration = Duration::from_secs(2);

/// Time before which a report says nothing about a commit.
#[derive(Debug, Default)]
pub(super) struct Since {
    /// The latest of the commit and the event, and what it is.
    begin: Option<(SystemTime, &'static str)>,
    /// When this job began, by the clock of this machine: what was written since then is a result of this
    /// run, whatever the other clocks show.
    job: Option<SystemTime>,
}

impl Since {
    /// Finds the time for the commit that is checked out.
    pub(super) fn new(
        repository: Option<&Repository>,
        head: Option<&str>,
        run: Option<&WorkflowRun>,
    ) -> Self {
        let at =
            |seconds: i64| SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let committed =
            repository.zip(head).and_then(|(repository, head)| repository.committed(head)).map(at);
        let event = run.and_then(|run| run.event_time).map(at);
        let begins = [(committed, "the commit"), (event, "the event that started this run")];
        Self {
            begin: begins
                .into_iter()
                .filter_map(|(time, what)| Some((time?, what)))
                .max_by_key(|(time, _)| *time),
            job: run.and_then(|run| run.job_began),
        }
    }

    /// Why a report of this time is too old; `None` if it is not.
    fn too_old(&self, written: SystemTime) -> Option<String> {
        let (begin, what) = self.begin?;
        if self.job.is_some_and(|job| written + STEP >= job) || written + CLOCKS >= begin {
            return None;
        }
        let age = begin.duration_since(written).unwrap_or_default();
        let age = match age.as_secs() {
            secs if secs < 86_400 => show_duration(age),
            secs => match (secs + 43_200) / 86_400 {
                1 => "a day".to_owned(),
                days => format!("{days} days"),
            },
        };
        Some(format!("it was written {age} before {what}"))
    }
}

/// Reads the reports that the globs name, starting in `dir`, without those that a glob in `excluded` names.
///
/// # Errors
///
/// When a glob is none, or matches too much.
pub(super) fn reports(
    dir: &Path,
    globs: &[String],
    excluded: &[String],
    since: &Since,
) -> Result<Vec<Reports>> {
    let excluded = Excluded::new(excluded).map_err(Error::usage)?;
    let mut committed = Committed::default();
    let mut read = |path: &Path| {
        let full = dir.join(path);
        let content = match committed.has(&full) {
            Ok(true) => Ok(Content::Committed),
            Ok(false) => content(&full, since),
            Err(why) => Err(why),
        };
        ReportFile { path: shown(path), content: content.unwrap_or_else(Content::Unreadable) }
    };
    let mut globs: Vec<&String> = globs.iter().collect();
    globs.sort();
    globs.dedup();
    let of = |glob: &String| {
        let found = search(dir, glob, &excluded).map_err(Error::usage)?;
        let closed = found.closed.iter().map(|(path, why)| ReportFile {
            path: shown(path),
            content: Content::Unreadable(format!(
                "{why}. It may contain reports; make it readable, or use a glob that does not lead there"
            )),
        });
        let mut files: Vec<ReportFile> = found.files.iter().map(|path| read(path)).chain(closed).collect();
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(Reports { glob: glob.clone(), files })
    };
    globs.into_iter().map(of).collect()
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn content(full: &Path, since: &Since) -> std::result::Result<Content, String> {
    let words = |error: std::io::Error| error.to_string();
    let data = full.metadata().map_err(words)?;
    if let Some(why) = since.too_old(data.modified().map_err(words)?) {
        return Ok(Content::Old(why));
    }
    if data.len() > MAX_BYTES as u64 {
        return Err(format!("it is larger than {} MiB", MAX_BYTES >> 20));
    }
    Ok(Report::read(&regular::read(full, MAX_BYTES as u64).map_err(words)?).into())
}

/// Files that are part of a commit, of each work tree that a report lies in: a submodule and a second
/// checkout have fixtures, too.
#[derive(Default)]
struct Committed {
    /// The top of the work tree around a folder; `None` if there is none.
    tops: HashMap<PathBuf, Option<PathBuf>>,
    /// The paths that git tracks below the top of a work tree, or the reason why they are not known.
    tracked: HashMap<PathBuf, std::result::Result<HashSet<PathBuf>, String>>,
}

impl Committed {
    /// Whether a file is part of a commit, whatever links lead to it.
    ///
    /// # Errors
    ///
    /// The reason why that is not known.
    fn has(&mut self, file: &Path) -> std::result::Result<bool, String> {
        let real = file.canonicalize().map_err(|error| error.to_string())?;
        let Some(folder) = real.parent() else { return Ok(false) };
        let top = self.tops.entry(folder.to_owned()).or_insert_with(|| {
            folder.ancestors().find(|top| top.join(".git").symlink_metadata().is_ok()).map(Path::to_owned)
        });
        let Some(top) = top.clone() else { return Ok(false) };
        let tracked = self.tracked.entry(top.clone()).or_insert_with(|| {
            let files = Repository::open(&top).map_err(|error| error.to_string())?.tracked()?;
            Ok(files.into_iter().collect())
        });
        let tracked = tracked
            .as_ref()
            .map_err(|why| format!("git does not report whether it is part of a commit: {why}"))?;
        Ok(real.strip_prefix(&top).is_ok_and(|below| tracked.contains(below)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_report_must_not_be_older_than_the_commit_and_the_event() {
        let since =
            |begin: u64, job: Option<u64>| Since { begin: Some((at(begin), "the commit")), job: job.map(at) };
        let none = Since::default();
        assert_eq!(none.too_old(at(0)), None);
        for written in [1_000, 995, 5_000] {
            assert_eq!(since(1_000, None).too_old(at(written)), None, "{written}");
        }
        let why = |begin: u64, written: u64| since(begin, None).too_old(at(written)).unwrap();
        assert_eq!(why(1_000, 900), "it was written 1m 40s before the commit");
        assert_eq!(why(90_000, 0), "it was written a day before the commit");
        assert_eq!(why(900_000, 0), "it was written 10 days before the commit");
        // What was written since the job began is a result of this run, even if the commit has a later date.
        assert_eq!(since(9_000, Some(1_000)).too_old(at(999)), None);
        assert!(since(9_000, Some(1_000)).too_old(at(900)).is_some());
        // That the job began later takes nothing away: a job before this one may have written it.
        assert_eq!(since(1_000, Some(5_000)).too_old(at(2_000)), None);
    }
}
