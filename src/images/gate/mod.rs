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

use checks::{Check, Standing};
use junit::Totals;
use reports::Reports;

/// Version of the JSON form of a verdict.
pub const VERSION: u32 = 1;

/// Requirements of the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Globs for names of check runs and commit statuses that must be present and successful; `{project}`
    /// stands for each project's own name.
    pub checks: Vec<String>,
    /// Globs for names of checks that must not exist.
    pub forbid: Vec<String>,
    /// Globs for JUnit reports; `{project}` stands for each project's own name.
    pub junit: Vec<String>,
    /// Whether the jobs that this one needs must have succeeded.
    pub needs: bool,
    /// Minimum of tests that ran, in all reports of a glob together.
    pub min_tests: u64,
}

/// Evidence that the gate judges.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The check runs and commit statuses of the commit.
    pub checks: Vec<Check>,
    /// The suites that may still get more checks.
    pub running: BTreeSet<u64>,
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
    requirements.extend(rules.checks.iter().filter(|rule| !of(rule)).map(|glob| check(glob, glob, evidence)));
    requirements.extend(rules.forbid.iter().map(|glob| forbidden(glob, &evidence.checks)));
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
                .map(|rule| reports::tests(&filled(rule, name), rules.min_tests, &evidence.reports));
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

/// Compiles a glob of names. A slash in the name of a check is an ordinary character.
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
        (Standing::Pending, "no check has this name".to_owned())
    } else if !bad.is_empty() {
        (Standing::Failed, said(&bad))
    } else if !pending.is_empty() {
        (Standing::Pending, said(&pending))
    } else if let Some(check) = found.iter().find(|check| {
        is_open_ended(shown) && check.suite.is_some_and(|suite| evidence.running.contains(&suite))
    }) {
        (Standing::Pending, format!("the suite of `{}` is still running and may add more checks", check.name))
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

#[cfg(test)]
mod tests;
