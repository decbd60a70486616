//! The counts at the end of a plan and of an outcome.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::diagnostic::Diagnostic;
use crate::outcome::queries::{CheckReport, Checkup, CheckupResult};
use crate::outcome::{ActionResult, Outcome, ProjectResult};
use crate::plan::{Action, ActionKind, FileChange, Plan, ProjectChange};

use super::wording::count;

/// Counts, in the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Projects that change or were changed.
    changing: usize,
    /// Their files, each counted once per host.
    files: usize,
    /// Their actions, by the order of their kinds.
    kinds: BTreeMap<usize, usize>,
    /// Projects and hosts that cannot be or were not deployed.
    failing: usize,
    /// Actions that the next run has to carry out.
    owed: usize,
    /// Other counts, in words.
    others: Vec<String>,
    /// Projects that do not change.
    unchanged: usize,
}

/// Kinds of actions that are counted, in the order in which they are written, each with its plural. `none` is
/// not counted because nothing is done.
const KINDS: [(&str, &str); 8] = [
    ("build", "builds"),
    ("up", "up"),
    ("restart", "restarts"),
    ("recreate", "recreates"),
    ("signal", "signals"),
    ("exec", "exec"),
    ("remove", "removed"),
    ("down", "down"),
];

impl Tally {
    /// Counts the changes of a plan.
    pub(super) fn of_plan(plan: &Plan) -> Self {
        let mut tally = Self::default();
        let (mut blocked, mut gone) = (0, 0);
        for host in &plan.hosts {
            let mut files: BTreeSet<&str> = host.shared.iter().map(path).collect();
            for project in &host.projects {
                if !project.problems.is_empty() {
                    blocked += 1;
                } else if !project.is_empty() {
                    tally.changing += 1;
                    files.extend(project.files.iter().map(path));
                    project.actions.iter().for_each(|action| tally.add(&action.kind));
                } else if project.change == ProjectChange::Removed {
                    gone += 1;
                } else {
                    tally.unchanged += 1;
                }
            }
            tally.files += files.len();
        }
        // A host that could not be read has an error instead of a plan.
        let failed = plan.hosts.iter().filter(|host| host.notes.iter().any(Diagnostic::is_error)).count();
        tally.failing = blocked + failed;
        if failed > 0 {
            tally.others.push(format!("{} failed", count(failed, "host")));
        }
        tally.other(blocked, "blocked");
        tally.other(gone, "no longer in the repository");
        tally
    }

    /// Counts the results of an outcome.
    pub(super) fn of_outcome(outcome: &Outcome) -> Self {
        let mut tally = Self::default();
        let (mut back, mut untouched, mut unknown, mut stopped) = (0, 0, 0, 0);
        for host in &outcome.hosts {
            let mut files = BTreeSet::new();
            for project in &host.projects {
                match project.result {
                    ProjectResult::Unchanged => tally.unchanged += 1,
                    ProjectResult::Done => {
                        tally.changing += 1;
                        files.extend(project.files.iter().map(path));
                        for done in &project.actions {
                            if done.result == ActionResult::Done {
                                tally.add(&done.action.kind);
                            }
                        }
                    }
                    ProjectResult::NothingChanged => untouched += 1,
                    ProjectResult::RolledBack => back += 1,
                    ProjectResult::Interrupted => stopped += 1,
                    ProjectResult::Unknown => unknown += 1,
                }
            }
            tally.files += files.len();
        }
        let hosts = outcome.hosts.iter().filter(|host| host.failure.is_some()).count();
        tally.failing = hosts + unknown + stopped + back + untouched;
        if hosts > 0 {
            tally.others.push(format!("{} failed", count(hosts, "host")));
        }
        tally.other(unknown, "failed in an unknown state");
        tally.other(stopped, "stopped in the middle");
        tally.other(back, "failed and rolled back");
        tally.other(untouched, "failed with nothing changed");
        tally.owed = outcome.owed();
        tally.others.extend(tally.still_owed());
        tally
    }

    /// Counts the changes of one project: `1 file, 1 restart`.
    pub(super) fn amounts_of<'a>(files: &[FileChange], actions: impl Iterator<Item = &'a Action>) -> String {
        let mut tally = Self { files: files.len(), ..Self::default() };
        actions.for_each(|action| tally.add(&action.kind));
        tally.amounts()
    }

    /// Summary of a plan: `2 projects change`, or `nothing to do`.
    pub(super) fn future(&self) -> String {
        match self.changing {
            0 if self.others.is_empty() && self.files == 0 => "nothing to do".to_owned(),
            0 => String::new(),
            1 => "1 project changes".to_owned(),
            more => format!("{more} projects change"),
        }
    }

    /// Summary of an outcome: `2 projects done`, or `nothing to do`.
    pub(super) fn past(&self) -> String {
        match self.changing {
            0 if self.others.is_empty() => "nothing to do".to_owned(),
            0 => String::new(),
            changed => format!("{} done", count(changed, "project")),
        }
    }

    /// Heading of a plan.
    pub(super) fn future_heading(&self) -> String {
        let blocked = (self.failing > 0).then(|| format!("{} blocked", self.failing));
        let parts: Vec<_> =
            [self.future()].into_iter().filter(|part| !part.is_empty()).chain(blocked).collect();
        if parts.is_empty() { self.amounts() } else { parts.join(", ") }
    }

    /// Heading of an outcome.
    pub(super) fn past_heading(&self) -> String {
        let heading = match self.failing {
            0 => self.past(),
            _ if self.changing == 0 => "deploy failed".to_owned(),
            _ => format!("deploy failed in part, {}", self.past()),
        };
        std::iter::once(heading).chain(self.still_owed()).collect::<Vec<_>>().join(", ")
    }

    /// Summary and counts in one line: `2 projects change: 3 files, 1 restart; 22 unchanged`.
    pub(super) fn line(&self, summary: &str) -> String {
        let amounts = self.amounts();
        let separator = if summary.is_empty() || amounts.is_empty() { "" } else { ": " };
        let first = format!("{summary}{separator}{amounts}");
        let rest = self.rest();
        let parts = std::iter::once(first).chain(rest).filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join("; ")
    }

    /// `3 files, 1 restart, 1 up`.
    pub(super) fn amounts(&self) -> String {
        let files = (self.files > 0).then(|| count(self.files, "file"));
        let kinds = self.kinds.iter().map(|(&order, &number)| match number {
            1 if KINDS[order].0 != "remove" => format!("1 {}", KINDS[order].0),
            number => format!("{number} {}", KINDS[order].1),
        });
        files.into_iter().chain(kinds).collect::<Vec<_>>().join(", ")
    }

    /// `1 blocked`, `22 unchanged`.
    pub(super) fn rest(&self) -> Vec<String> {
        let unchanged = (self.unchanged > 0).then(|| format!("{} unchanged", self.unchanged));
        self.others.iter().cloned().chain(unchanged).collect()
    }

    /// `1 action still owed`.
    fn still_owed(&self) -> Option<String> {
        (self.owed > 0).then(|| format!("{} still owed", count(self.owed, "action")))
    }

    fn add(&mut self, kind: &ActionKind) {
        if let Some(order) = KINDS.iter().position(|(word, _)| *word == kind.word()) {
            *self.kinds.entry(order).or_default() += 1;
        }
    }

    fn other(&mut self, number: usize, words: &str) {
        if number > 0 {
            let is_first = self.changing == 0 && self.others.is_empty();
            let who = if is_first { count(number, "project") } else { number.to_string() };
            self.others.push(format!("{who} {words}"));
        }
    }
}

fn path(file: &FileChange) -> &str {
    &file.path
}

/// Summary of `check`: `24 projects, 60 services: 2 errors, 1 warning`.
pub(super) fn checked(report: &CheckReport) -> String {
    let errors = report.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    let found = match (errors, report.diagnostics.len() - errors) {
        (0, 0) => "no problems".to_owned(),
        (errors, 0) => count(errors, "error"),
        (0, warnings) => count(warnings, "warning"),
        (errors, warnings) => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
    };
    format!("{}, {}: {found}", count(report.projects, "project"), count(report.services, "service"))
}

/// Summary of `doctor`: `all ok`, or `1 failed, 2 warnings`.
pub(super) fn examined(checkup: &Checkup) -> String {
    let with = |result| {
        checkup.hosts.iter().flat_map(|host| &host.steps).filter(|step| step.result == result).count()
    };
    match (with(CheckupResult::Failed), with(CheckupResult::Warning)) {
        (0, 0) => "all ok".to_owned(),
        (failed, 0) => format!("{failed} failed"),
        (0, warnings) => count(warnings, "warning"),
        (failed, warnings) => format!("{failed} failed, {}", count(warnings, "warning")),
    }
}
