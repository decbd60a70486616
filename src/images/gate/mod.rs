//! The decision whether an image may be built: open or closed, never a guess.
//!
//! Owns what counts as proof that a commit was tested. The gate opens only if everything required is present
//! and successful. What is absent, empty, pending, skipped, cancelled, neutral or unreadable proves nothing.
//! Pure: facts come in, a verdict goes out.

pub mod checks;
pub mod junit;
mod needs;
pub mod reports;

use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobMatcher};
use serde::{Deserialize, Serialize};

use crate::base::diagnostic::Diagnostic;
use checks::{Check, JobToCome, OWN_STATUSES, Relation, Standing, Workflow};
use junit::Totals;
use reports::Reports;

/// Version of the JSON form of a verdict.
pub const VERSION: u32 = 1;

/// Requirements of the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Names of check runs and commit statuses that must be present and successful, or globs for them;
    /// `{project}` stands for each project's own name.
    pub checks: Vec<String>,
    /// Names of checks that must not exist, or globs for them.
    pub forbid: Vec<String>,
    /// Globs for JUnit reports; `{project}` stands for each project's own name.
    pub junit: Vec<String>,
    /// Whether the jobs that this one needs must have succeeded.
    pub needs: bool,
    /// Minimum of tests that ran, in all reports of a glob together.
    pub min_tests: u64,
}

/// Jobs that do not exist yet, or the reason why they are not known.
#[derive(Debug, Clone)]
pub struct ToCome(pub Result<Vec<JobToCome>, String>);

impl Default for ToCome {
    fn default() -> Self {
        Self(Ok(Vec::new()))
    }
}

/// Evidence that the gate judges.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The check runs and commit statuses of the commit.
    pub checks: Vec<Check>,
    /// The suites that may still get more checks.
    pub running: BTreeSet<u64>,
    /// Whether nothing indicates that the commit will get more checks.
    pub is_settled: bool,
    /// The jobs of the run that judges which do not exist yet.
    pub to_come: ToCome,
    /// Whether a workflow has ended before its first job, and so has no checks.
    pub has_broken_workflow: bool,
    /// The reason why not all checks of the commit are known; `None` if they are.
    pub unread: Option<String>,
    /// The reports that match each glob of the rules, with `{project}` filled in.
    pub reports: Vec<Reports>,
    /// The results of the jobs that this one needs: the `needs` context as JSON, or a list of results.
    pub needs: Option<String>,
    /// The reason why the checked-out files are not the tested commit; `None` if they are.
    pub mismatch: Option<String>,
}

/// State of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GateState {
    /// Everything is proven: images may be built.
    Open,
    /// Something is not proven.
    Closed,
}

/// Requirement with its standing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// The requirement in words: ``check `test*` ``.
    pub wants: String,
    /// Its standing.
    pub standing: Standing,
    /// The reason for it.
    pub why: String,
    /// The findings behind it.
    pub found: Vec<Finding>,
}

/// Finding: a check, a job or a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its name; of a report, its path.
    pub name: String,
    /// Its result: `success`, `skipped`, `12 tests passed`.
    pub says: String,
    /// Its page, or else its app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The numbers of a report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totals: Option<Totals>,
}

/// Decision on all projects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// [`VERSION`].
    pub version: u32,
    /// The commit that it is about. It decides about no other.
    pub sha: Option<String>,
    /// Open if every project's gate is.
    pub gate: GateState,
    /// Requirements for all projects.
    pub requirements: Vec<Requirement>,
    /// Each project with its own requirements.
    pub projects: Vec<ProjectVerdict>,
    /// Projects that cannot be deployed, and of which no image is built, whatever the tests say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked: Vec<BlockedProject>,
}

/// Project that cannot be deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockedProject {
    /// The project.
    pub name: String,
    /// The reasons.
    pub problems: Vec<Diagnostic>,
}

/// Decision on one project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectVerdict {
    /// The project.
    pub name: String,
    /// Whether its images may be built.
    pub gate: GateState,
    /// Its own requirements.
    pub requirements: Vec<Requirement>,
}

/// Placeholder for a project's own name in a rule.
const PROJECT: &str = "{project}";

impl Default for Rules {
    fn default() -> Self {
        Self { checks: Vec::new(), forbid: Vec::new(), junit: Vec::new(), needs: false, min_tests: 1 }
    }
}

impl Rules {
    /// Globs of reports, with each project's name filled in.
    #[must_use]
    pub fn reports(&self, projects: &[String]) -> Vec<String> {
        let (own, all): (Vec<_>, Vec<_>) = self.junit.iter().partition(|glob| glob.contains(PROJECT));
        let own = own.into_iter().flat_map(|glob| projects.iter().map(move |project| filled(glob, project)));
        all.into_iter().cloned().chain(own).collect()
    }

    fn is_empty(&self) -> bool {
        self.checks.is_empty() && self.junit.is_empty() && !self.needs
    }
}

/// Fills a project's name into a glob, with the name escaped.
fn filled(glob: &str, project: &str) -> String {
    glob.replace(PROJECT, &globset::escape(project))
}

/// Judges the evidence.
#[must_use]
pub fn judge(sha: Option<&str>, rules: &Rules, evidence: &Evidence, projects: &[String]) -> Verdict {
    let of = |rule: &&String| rule.contains(PROJECT);
    let mut requirements = Vec::new();
    if rules.is_empty() {
        requirements.push(Requirement {
            wants: "at least one requirement".to_owned(),
            standing: Standing::Failed,
            why: "nothing is required, so nothing is proven: require checks, reports or needs".to_owned(),
            found: Vec::new(),
        });
    }
    if sha.is_none() {
        requirements.push(failed(
            "a commit",
            "the checked-out files are not a commit, so nothing can be proven about them",
        ));
    }
    if let Some(mismatch) = &evidence.mismatch {
        requirements.push(failed("the checked-out commit is the tested one", mismatch));
    }
    if let Some(unread) = &evidence.unread {
        requirements.push(failed("all checks of the commit are known", unread));
    }
    let checks = rules.checks.iter().filter(|rule| !of(rule));
    requirements.extend(checks.map(|rule| check(&Pattern::new(rule, rule), evidence)));
    requirements.extend(rules.forbid.iter().map(|glob| forbidden(glob, evidence)));
    requirements.extend(
        rules
            .junit
            .iter()
            .filter(|rule| !of(rule))
            .map(|glob| reports::tests(glob, rules.min_tests, &evidence.reports)),
    );
    if rules.needs {
        requirements.push(needs::needs(evidence.needs.as_deref()));
    }
    // Requirements of each project prove nothing where there is none.
    if requirements.is_empty() && projects.is_empty() {
        let why = "no project has an image to build, so nothing was checked: require something of all projects, too";
        requirements.extend(rules.checks.iter().map(|rule| failed(&format!("check `{rule}`"), why)));
        requirements.extend(rules.junit.iter().map(|glob| failed(&format!("tests in `{glob}`"), why)));
    }
    let common = is_proven(&requirements);
    let projects: Vec<ProjectVerdict> = projects
        .iter()
        .map(|name| {
            let checks = rules.checks.iter().filter(of).map(|rule| {
                check(&Pattern::new(&rule.replace(PROJECT, name), &filled(rule, name)), evidence)
            });
            let reports = rules
                .junit
                .iter()
                .filter(of)
                .map(|rule| reports::tests(&filled(rule, name), rules.min_tests, &evidence.reports));
            let requirements: Vec<Requirement> = checks.chain(reports).collect();
            let gate = gate(common && is_proven(&requirements));
            ProjectVerdict { name: name.clone(), gate, requirements }
        })
        .collect();
    let all = common && projects.iter().all(|project| project.gate == GateState::Open);
    let sha = sha.map(str::to_owned);
    Verdict { version: VERSION, sha, gate: gate(all), requirements, projects, blocked: Vec::new() }
}

fn gate(is_proven: bool) -> GateState {
    if is_proven { GateState::Open } else { GateState::Closed }
}

fn is_proven(requirements: &[Requirement]) -> bool {
    requirements.iter().all(|requirement| requirement.standing == Standing::Proven)
}

fn failed(wants: &str, why: &str) -> Requirement {
    Requirement {
        wants: wants.to_owned(),
        standing: Standing::Failed,
        why: why.to_owned(),
        found: Vec::new(),
    }
}

impl Verdict {
    /// Whether a later look may differ: something is pending that could still open a project's gate.
    #[must_use]
    pub fn may_change(&self) -> bool {
        let pending = |requirements: &[Requirement]| {
            requirements.iter().any(|requirement| requirement.standing == Standing::Pending)
                && requirements.iter().all(|requirement| requirement.standing != Standing::Failed)
        };
        let is_lost = self.requirements.iter().any(|requirement| requirement.standing == Standing::Failed);
        !is_lost
            && (pending(&self.requirements)
                || self.projects.iter().any(|project| pending(&project.requirements)))
    }

    /// Closes it for all projects, because the checked-out files are not the tested commit.
    pub fn refuse(&mut self, why: &str) {
        self.requirements.push(failed("the checked-out commit is the tested one", why));
        self.gate = GateState::Closed;
        self.projects.iter_mut().for_each(|project| project.gate = GateState::Closed);
    }

    /// Whether the images of a project may be built from a commit.
    #[must_use]
    pub fn opens(&self, project: &str, sha: &str) -> bool {
        // The claim that the gate is open is not enough: its requirements must be proven.
        self.version == VERSION
            && self.sha.as_deref() == Some(sha)
            && is_proven(&self.requirements)
            && self.projects.iter().any(|known| {
                // Without any requirement nothing is proven.
                let is_required = !self.requirements.is_empty() || !known.requirements.is_empty();
                known.name == project
                    && known.gate == GateState::Open
                    && is_required
                    && is_proven(&known.requirements)
            })
    }
}

impl Evidence {
    /// The jobs of the run that judges which do not exist yet and do not wait for the job that judges.
    fn beside(&self) -> impl Iterator<Item = &JobToCome> {
        self.to_come.0.iter().flatten().filter(|job| !job.is_after)
    }

    /// The run of a workflow that judges, as far as it is known.
    fn own_run(&self) -> Option<&Workflow> {
        self.checks.iter().find(|check| check.relation != Relation::Other)?.workflow.as_ref()
    }
}

/// A name in a rule. If no check has it, it is a glob.
struct Pattern {
    text: String,
    /// `None`: it can only be a name.
    glob: Option<GlobMatcher>,
}

impl Pattern {
    /// The text of a rule, and its form as a glob, which differs where names of projects are escaped. A slash
    /// in the name of a check is an ordinary character.
    fn new(text: &str, glob: &str) -> Self {
        let glob = GlobBuilder::new(glob.trim()).build().ok().map(|glob| glob.compile_matcher());
        Self { text: text.trim().to_owned(), glob }
    }

    fn matches(&self, name: &str) -> bool {
        self.glob.as_ref().is_some_and(|glob| glob.is_match(name.trim()))
    }

    /// Returns the checks of this name, and whether that is the name in full.
    fn find<'a>(&self, checks: &'a [Check]) -> (Vec<&'a Check>, bool) {
        let tests = || checks.iter().filter(|check| !check.is_own_status());
        let called: Vec<&Check> = tests().filter(|check| check.is_called(&self.text)).collect();
        if !called.is_empty() {
            return (called, true);
        }
        let by_name: Vec<&Check> = tests().filter(|check| self.matches(&check.name)).collect();
        if !by_name.is_empty() {
            return (by_name, false);
        }
        (tests().filter(|check| self.matches_shown(check)).collect(), false)
    }

    fn matches_shown(&self, check: &Check) -> bool {
        check.shown().is_some_and(|shown| shown.iter().any(|name| self.matches(name)))
    }

    /// Whether it can match a job that does not exist yet.
    fn may_match(&self, job: &JobToCome) -> bool {
        if job.is_whole {
            return self.text == job.name || self.matches(&job.name);
        }
        let special = ['*', '?', '[', '{', '\\'];
        let start = self.text.split(special).next().unwrap_or_default();
        (self.is_open_ended() && job.name.starts_with(start)) || start.starts_with(&job.name)
    }

    /// Whether it can match a job that does not exist yet by its own name, or by the one that GitHub's pages will
    /// show for this run.
    fn may_match_shown(&self, job: &JobToCome, run: Option<&Workflow>) -> bool {
        let named = |name: String| self.may_match(&JobToCome { name, ..job.clone() });
        let Some(run) = run else { return self.may_match(job) };
        let plain = format!("{} / {}", run.name, job.name);
        self.may_match(job)
            || named(plain.clone())
            || (job.is_whole && named(format!("{plain} ({})", run.event)))
    }

    /// Whether it is rather the name of a check that does not exist yet: `test [3.12, linux]`.
    fn looks_like_a_name(&self) -> bool {
        self.text.contains('[') || (self.text.contains('{') && !self.text.contains(','))
    }

    /// Whether it can match more than one name.
    fn is_open_ended(&self) -> bool {
        self.text.contains(['*', '?', '[', '{'])
    }
}

fn check(pattern: &Pattern, evidence: &Evidence) -> Requirement {
    let (found, is_name) = pattern.find(&evidence.checks);
    // The job that asks replaces its own earlier attempt before it is left out.
    let (own, found): (Vec<&Check>, Vec<&Check>) =
        checks::latest(found).into_iter().partition(|check| check.relation == Relation::SameJob);
    let of = |standing: Standing| -> Vec<&Check> {
        found.iter().filter(|check| check.standing() == standing).copied().collect()
    };
    let (bad, pending) = (of(Standing::Failed), of(Standing::Pending));
    let is_glob = !is_name && pattern.is_open_ended();
    let sibling = found.iter().find(|check| is_glob && check.relation == Relation::SameRun);
    let to_come = evidence.beside().find(|job| is_glob && pattern.may_match(job));
    let (standing, why) = if !bad.is_empty() {
        (Standing::Failed, said_of_failed(&bad, &found))
    } else if let Some(name) = sibling.map(|check| check.name.clone()).or(to_come.map(JobToCome::shown)) {
        let why = format!(
            "it matches `{name}`, a job of this very run, and jobs that this run has not created yet cannot be waited \
             for: require jobs of this run by `--needs`, or by their names in full",
        );
        (Standing::Failed, why)
    } else if let (true, Err(why)) = (is_glob, &evidence.to_come.0) {
        let why = format!(
            "it may match jobs that this run has not created yet, and those are not known, because {why}: require \
             jobs of this run by `--needs`, and others by their names in full",
        );
        (Standing::Failed, why)
    } else if found.is_empty() {
        absent(pattern, is_name, !own.is_empty(), evidence)
    } else if !pending.is_empty() {
        (Standing::Pending, said(&pending))
    } else if let Some(check) = found
        .iter()
        .find(|check| is_glob && check.suite.is_some_and(|suite| evidence.running.contains(&suite)))
    {
        (Standing::Pending, format!("the suite of `{}` is still running and may add more checks", check.name))
    } else if is_glob && pattern.looks_like_a_name() && !evidence.running.is_empty() {
        let why = "a workflow is still running and may add a check of exactly this name";
        (Standing::Pending, why.to_owned())
    } else if is_glob && evidence.has_broken_workflow {
        let why = "a workflow of this commit could not start, or ended before its first job, so checks that match may be \
                   missing: mend its file or run it again, or require checks by their names in full";
        (Standing::Failed, why.to_owned())
    } else {
        (Standing::Proven, "success".to_owned())
    };
    Requirement {
        wants: format!("check `{}`", pattern.text),
        standing,
        why,
        found: found.into_iter().map(Check::found).collect(),
    }
}

/// Judges a name that no check has, apart from the job that asks.
fn absent(pattern: &Pattern, is_name: bool, is_own_job: bool, evidence: &Evidence) -> (Standing, String) {
    if is_name && is_own_job {
        return (Standing::Failed, "this is the job that asks, and it cannot wait for itself".to_owned());
    }
    if evidence.checks.iter().any(|check| check.is_own_status() && check.name == pattern.text) {
        let why = "this status is ghdeploy's own; it shows a deploy and proves no test";
        return (Standing::Failed, why.to_owned());
    }
    let is_after = |job: &&JobToCome| job.is_after && pattern.may_match_shown(job, evidence.own_run());
    let after = evidence.to_come.0.iter().flatten().find(is_after);
    // Another workflow that has not created its job yet may have one of this name.
    if let Some(job) = after.filter(|_| evidence.running.is_empty()) {
        let why = format!(
            "`{}` waits for this job (`needs`), so this job cannot wait for it: let that job run before this one, or \
             do not require it",
            job.shown()
        );
        return (Standing::Failed, why);
    }
    let others = || {
        let is_other = |check: &&Check| !check.is_own_status() && check.relation != Relation::SameJob;
        evidence.checks.iter().filter(is_other)
    };
    let names: BTreeSet<&str> = others().map(|check| check.name.trim()).collect();
    let mut why = match pattern.is_open_ended() {
        _ if is_own_job => "only the job that asks matches, and it cannot wait for itself",
        true => "no check matches",
        false => "no check has this name",
    }
    .to_owned();
    if evidence.is_settled {
        why += if is_own_job { "; none is still to come" } else { ", and none is still to come" };
    }
    if !names.is_empty() {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        why += "; this commit has ";
        why += &listed(&names, NAMES);
    }
    // GitHub's pages show the workflow before a name and the event after it.
    let stem = pattern.text.strip_suffix(')').and_then(|text| text.rsplit_once(" (")).map(|(stem, _)| stem);
    let is_meant = |check: &&Check| {
        let ending = format!(" / {}", check.name.trim());
        pattern.text.ends_with(&ending) || stem.is_some_and(|stem| stem.ends_with(&ending))
    };
    if let Some(meant) = others().filter(is_meant).max_by_key(|check| check.name.len()) {
        why += &match meant.shown() {
            Some([shown, _]) => format!("; did you mean `{shown}`?"),
            None => format!(
                "; write `{}`, or allow `actions: read`, without which workflow and event are not known",
                meant.name.trim()
            ),
        };
    }
    (if evidence.is_settled { Standing::Failed } else { Standing::Pending }, why)
}

/// Most checks that a reason names.
const NAMES: usize = 12;

/// Joins words, the first ones of many.
fn listed(words: &[String], most: usize) -> String {
    let all = words.iter().take(most).cloned().collect::<Vec<_>>().join(", ");
    if words.len() > most { format!("{all} and {} more", words.len() - most) } else { all }
}

/// Explains failed checks, of which another one of the same name may have succeeded.
fn said_of_failed(bad: &[&Check], found: &[&Check]) -> String {
    let is_proven =
        |name: &str| found.iter().any(|check| check.name == name && check.standing() == Standing::Proven);
    let twin = bad.iter().find(|check| check.is_run && is_proven(&check.name));
    let note = twin.map(|twin| {
        format!("; another `{}` succeeded, but each of them must: re-run the one that did not", twin.name)
    });
    said(bad) + &note.unwrap_or_default()
}

/// `test (2) skipped, lint failure`.
fn said(checks: &[&Check]) -> String {
    let words: Vec<String> =
        checks.iter().map(|check| format!("`{}` {}", check.name, check.says())).collect();
    listed(&words, 5)
}

/// Judges a name that no check may have. Until everything that could still bring such a check is through, nobody
/// can say that there is none.
fn forbidden(rule: &str, evidence: &Evidence) -> Requirement {
    let pattern = Pattern::new(rule, rule);
    // A status of ghdeploy's own counts only if the rule is about such statuses.
    let is_about_own = pattern.text.starts_with(OWN_STATUSES);
    let counts = |check: &&Check| !check.is_own_status() || is_about_own;
    let is_named = |check: &&Check| {
        check.is_called(&pattern.text) || pattern.matches(&check.name) || pattern.matches_shown(check)
    };
    let mut found = checks::latest(evidence.checks.iter().filter(counts).filter(is_named).collect());
    found.retain(|check| check.relation != Relation::SameJob);
    let run = evidence.own_run();
    let (standing, why) = if !found.is_empty() {
        (Standing::Failed, format!("there is {}", said(&found)))
    } else if let Some(job) = evidence.beside().find(|job| pattern.may_match_shown(job, run)) {
        let why = format!(
            "`{}`, a job of this very run, does not exist yet and may be one: let this job wait for it (`needs`)",
            job.shown()
        );
        (Standing::Failed, why)
    } else if let Err(why) = &evidence.to_come.0 {
        let why = format!(
            "jobs that this run has not created yet may match, and those are not known, because {why}: check out the \
             repository with the workflow's file"
        );
        (Standing::Failed, why)
    } else if evidence.has_broken_workflow {
        let why = "a workflow of this commit could not start, or ended before its first job, so one may be missing: mend \
                   its file or run it again";
        (Standing::Failed, why.to_owned())
    } else if !evidence.running.is_empty() {
        (Standing::Pending, "a workflow is still running and may add one".to_owned())
    } else {
        (Standing::Proven, "there is none".to_owned())
    };
    Requirement {
        wants: format!("no check `{}`", pattern.text),
        standing,
        why,
        found: found.into_iter().map(Check::found).collect(),
    }
}

#[cfg(test)]
mod tests;
