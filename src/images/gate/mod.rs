//! The decision whether an image may be built: open or closed, never a guess.
//!
//! Owns what counts as a proof that a commit was tested. The gate opens only if everything that is required is there and
//! successful; what is absent, empty, pending, skipped, cancelled, neutral or unreadable proves nothing. Pure: facts come
//! in, a verdict goes out.

pub mod checks;
pub mod junit;

use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobMatcher};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use checks::{Check, Conclusion, Standing};
use junit::{Report, Totals};

/// The version of the JSON form of a verdict.
pub const VERSION: u32 = 1;

/// What must be proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Globs for names of check runs and commit statuses, each of which must be there with success; `{project}` stands
    /// for each project's own name.
    pub checks: Vec<String>,
    /// Globs for names that must not be there at all.
    pub forbid: Vec<String>,
    /// Globs for JUnit reports; `{project}` stands for each project's own name.
    pub junit: Vec<String>,
    /// Whether the jobs that this one needs must have succeeded.
    pub needs: bool,
    /// How many tests must have run, in all reports of a glob together.
    pub min_tests: u64,
}

/// What there is to judge by.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The check runs and commit statuses of the commit.
    pub checks: Vec<Check>,
    /// The suites of checks that may get more of them.
    pub running: BTreeSet<u64>,
    /// For each glob of the rules, `{project}` filled in, the reports that it matches.
    pub reports: Vec<Reports>,
    /// The `needs` context of the job, as JSON.
    pub needs: Option<String>,
    /// Why what is checked out is not the commit that was tested; `None`: it is.
    pub mismatch: Option<String>,
}

/// The reports that a glob matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reports {
    /// The glob.
    pub glob: String,
    /// Each file with what it says, or why it cannot be read.
    pub files: Vec<(String, Result<Report, String>)>,
}

/// Whether an image may be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GateState {
    /// All is proven.
    Open,
    /// It is not.
    Closed,
}

/// What became of one requirement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// What is required: ``check `test*` ``.
    pub wants: String,
    /// How it stands.
    pub standing: Standing,
    /// Why.
    pub why: String,
    /// What was found, and where.
    pub found: Vec<Finding>,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its name: that of a check, a job or a file.
    pub name: String,
    /// What it says: `success`, `skipped`, `12 tests passed`.
    pub says: String,
    /// Where it is: the app, or its page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Of a report, how many tests it lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totals: Option<Totals>,
}

/// The decision on all projects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// [`VERSION`].
    pub version: u32,
    /// The commit that it is about; a verdict says nothing of any other.
    pub sha: Option<String>,
    /// Open if it is open for every project.
    pub gate: GateState,
    /// What is required of all.
    pub requirements: Vec<Requirement>,
    /// Each project with what is required of it alone.
    pub projects: Vec<ProjectVerdict>,
}

/// The decision on one project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectVerdict {
    /// The project.
    pub name: String,
    /// Whether its images may be built.
    pub gate: GateState,
    /// What is required of it alone.
    pub requirements: Vec<Requirement>,
}

/// What a project's own name stands for in a rule.
const PROJECT: &str = "{project}";

impl Default for Rules {
    fn default() -> Self {
        Self { checks: Vec::new(), forbid: Vec::new(), junit: Vec::new(), needs: false, min_tests: 1 }
    }
}

impl Rules {
    /// The globs of reports with each project's name filled in.
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

/// A glob with a project's name in it, none of whose signs mean anything.
fn filled(glob: &str, project: &str) -> String {
    glob.replace(PROJECT, &globset::escape(project))
}

/// Judges by what there is.
#[must_use]
pub fn judge(sha: Option<&str>, rules: &Rules, evidence: &Evidence, projects: &[String]) -> Verdict {
    let of = |rule: &&String| rule.contains(PROJECT);
    let mut requirements = Vec::new();
    if rules.is_empty() {
        requirements.push(Requirement {
            wants: "at least one requirement".to_owned(),
            standing: Standing::Failed,
            why: "nothing is required, so nothing is proven: name checks, reports or needs".to_owned(),
            found: Vec::new(),
        });
    }
    if sha.is_none() {
        requirements
            .push(failed("a commit", "what is checked out is no commit, so nothing can be known of it"));
    }
    if let Some(mismatch) = &evidence.mismatch {
        requirements.push(failed("the tested commit is what is checked out", mismatch));
    }
    requirements.extend(rules.checks.iter().filter(|rule| !of(rule)).map(|glob| check(glob, glob, evidence)));
    requirements.extend(rules.forbid.iter().map(|glob| forbidden(glob, &evidence.checks)));
    requirements.extend(
        rules
            .junit
            .iter()
            .filter(|rule| !of(rule))
            .map(|glob| tests(glob, rules.min_tests, &evidence.reports)),
    );
    if rules.needs {
        requirements.push(needs(evidence.needs.as_deref()));
    }
    let common = is_proven(&requirements);
    let projects: Vec<ProjectVerdict> = projects
        .iter()
        .map(|name| {
            let checks = rules
                .checks
                .iter()
                .filter(of)
                .map(|rule| check(&filled(rule, name), &rule.replace(PROJECT, name), evidence));
            let reports = rules
                .junit
                .iter()
                .filter(of)
                .map(|rule| tests(&filled(rule, name), rules.min_tests, &evidence.reports));
            let requirements: Vec<Requirement> = checks.chain(reports).collect();
            let gate = gate(common && is_proven(&requirements));
            ProjectVerdict { name: name.clone(), gate, requirements }
        })
        .collect();
    let all = common && projects.iter().all(|project| project.gate == GateState::Open);
    Verdict { version: VERSION, sha: sha.map(str::to_owned), gate: gate(all), requirements, projects }
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
    /// Whether a later look may say otherwise: something is pending that could still open the gate for somebody.
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

    /// Closes it for all: what it is about is not what is there.
    pub fn refuse(&mut self, why: &str) {
        self.requirements.push(failed("the tested commit is what is checked out", why));
        self.gate = GateState::Closed;
        self.projects.iter_mut().for_each(|project| project.gate = GateState::Closed);
    }

    /// Whether the images of a project may be built of a commit.
    #[must_use]
    pub fn opens(&self, project: &str, sha: &str) -> bool {
        // An open gate is nothing that a verdict may merely claim.
        self.version == VERSION
            && self.sha.as_deref() == Some(sha)
            && is_proven(&self.requirements)
            && self.projects.iter().any(|known| {
                // Without any requirement nothing is proven, whatever others have.
                let is_required = !self.requirements.is_empty() || !known.requirements.is_empty();
                known.name == project
                    && known.gate == GateState::Open
                    && is_required
                    && is_proven(&known.requirements)
            })
    }
}

/// Globs of names: a slash in the name of a check is a sign like any other.
fn matcher(glob: &str) -> Option<GlobMatcher> {
    GlobBuilder::new(glob).build().ok().map(|glob| glob.compile_matcher())
}

fn matching<'a>(glob: &str, checks: &'a [Check]) -> Vec<&'a Check> {
    let Some(matcher) = matcher(glob) else { return Vec::new() };
    checks.iter().filter(|check| matcher.is_match(&check.name)).collect()
}

fn check(glob: &str, shown: &str, evidence: &Evidence) -> Requirement {
    let found = checks::latest(matching(glob, &evidence.checks));
    let bad: Vec<&Check> =
        found.iter().filter(|check| check.standing() == Standing::Failed).copied().collect();
    let pending: Vec<&Check> =
        found.iter().filter(|check| check.standing() == Standing::Pending).copied().collect();
    let (standing, why) = if found.is_empty() {
        (Standing::Pending, "there is no check of this name".to_owned())
    } else if !bad.is_empty() {
        (Standing::Failed, said(&bad))
    } else if !pending.is_empty() {
        (Standing::Pending, said(&pending))
    } else if let Some(check) = found.iter().find(|check| {
        is_open_ended(shown) && check.suite.is_some_and(|suite| evidence.running.contains(&suite))
    }) {
        (Standing::Pending, format!("what `{}` is a part of still runs, and more may come of it", check.name))
    } else {
        (Standing::Proven, "success".to_owned())
    };
    Requirement {
        wants: format!("check `{shown}`"),
        standing,
        why,
        found: found.into_iter().map(Check::found).collect(),
    }
}

/// Whether a glob may match more than one name.
fn is_open_ended(glob: &str) -> bool {
    glob.contains(['*', '?', '[', '{'])
}

/// `test (2) skipped, lint failure`.
fn said(checks: &[&Check]) -> String {
    let all = checks
        .iter()
        .take(5)
        .map(|check| format!("`{}` {}", check.name, check.says()))
        .collect::<Vec<_>>()
        .join(", ");
    if checks.len() > 5 { format!("{all} and {} more", checks.len() - 5) } else { all }
}

fn forbidden(glob: &str, checks: &[Check]) -> Requirement {
    let found = checks::latest(matching(glob, checks));
    let (standing, why) = match found.is_empty() {
        true => (Standing::Proven, "there is none".to_owned()),
        false => (Standing::Failed, format!("there is {}", said(&found))),
    };
    Requirement {
        wants: format!("no check `{glob}`"),
        standing,
        why,
        found: found.into_iter().map(Check::found).collect(),
    }
}

fn tests(glob: &str, min_tests: u64, all: &[Reports]) -> Requirement {
    let wants = format!("tests in `{glob}`");
    let files = all
        .iter()
        .find(|reports| reports.glob == glob)
        .map(|reports| reports.files.as_slice())
        .unwrap_or_default();
    if files.is_empty() {
        return failed(&wants, "no file matches");
    }
    let totals = files
        .iter()
        .filter_map(|(_, report)| report.as_ref().ok())
        .map(|report| report.totals)
        .sum::<Totals>();
    let mut wrong: Vec<String> = files.iter().filter_map(|(path, report)| fault(path, report)).collect();
    let ran = totals.tests - totals.skipped;
    if wrong.is_empty() && ran < min_tests {
        wrong.push(format!("{ran} tests ran, and at least {min_tests} must"));
    }
    let (standing, why) = match wrong.is_empty() {
        true if totals.skipped == 0 => (Standing::Proven, format!("{ran} tests passed")),
        true => (Standing::Proven, format!("{ran} tests passed, {} were skipped", totals.skipped)),
        false => {
            let more = wrong.len().saturating_sub(5);
            wrong.truncate(5);
            let more = if more > 0 { format!("; and {more} more files") } else { String::new() };
            (Standing::Failed, wrong.join("; ") + &more)
        }
    };
    let found = files.iter().map(|(path, report)| match report {
        Err(why) => {
            Finding { name: path.clone(), says: format!("unreadable: {why}"), at: None, totals: None }
        }
        Ok(report) => {
            let notes = report.notes.iter().take(3).map(|note| format!("; {note}"));
            let says = report.totals.to_string() + &notes.collect::<String>();
            Finding { name: path.clone(), says, at: None, totals: Some(report.totals) }
        }
    });
    Requirement { wants, standing, why, found: found.collect() }
}

/// Why a report is no proof.
fn fault(path: &str, report: &Result<Report, String>) -> Option<String> {
    match report {
        Err(why) => Some(format!("`{path}` cannot be read: {why}")),
        Ok(report) if report.totals.failures + report.totals.errors > 0 => {
            let number = report.totals.failures + report.totals.errors;
            Some(format!("`{path}` has {number} that failed: {}", report.failing.join(", ")))
        }
        Ok(report) if report.claims_failures => Some(format!("`{path}`: {}", report.notes.join("; "))),
        Ok(report) if report.totals.tests == 0 => Some(format!("`{path}` has no test")),
        Ok(report) if report.ran() == 0 => Some(format!("`{path}` has no test that was run")),
        // What is no proof for another reason is none all the same.
        Ok(report) => (!report.is_proof()).then(|| format!("`{path}` proves nothing")),
    }
}

/// The `needs` context: `{"test": {"result": "success", "outputs": {}}}`.
fn needs(text: Option<&str>) -> Requirement {
    let wants = "the jobs that this one needs";
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
        return failed(wants, "what became of them is not given");
    };
    let jobs = match serde_json::from_str::<Map<String, Value>>(text) {
        Ok(jobs) => jobs,
        Err(error) => {
            return failed(wants, &format!("what is given is not the JSON of the `needs` context: {error}"));
        }
    };
    if jobs.is_empty() {
        return failed(wants, "there is none");
    }
    let result = |job: &Value| {
        let word = job.get("result").and_then(|word| Conclusion::deserialize(word).ok());
        word.unwrap_or_else(|| Conclusion::Other("unknown".to_owned()))
    };
    let bad: Vec<String> = jobs
        .iter()
        .map(|(name, job)| (name, result(job)))
        .filter(|(_, result)| *result != Conclusion::Success)
        .map(|(name, result)| format!("`{name}` {result}"))
        .collect();
    let found = jobs
        .iter()
        .map(|(name, job)| Finding {
            name: name.clone(),
            says: result(job).to_string(),
            at: None,
            totals: None,
        })
        .collect();
    let (standing, why) = match bad.is_empty() {
        true => (Standing::Proven, "success".to_owned()),
        false => (Standing::Failed, bad.join(", ")),
    };
    Requirement { wants: wants.to_owned(), standing, why, found }
}

#[cfg(test)]
mod tests;
