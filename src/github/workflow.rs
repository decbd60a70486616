//! The file of the workflow that a run follows: which of its jobs do not exist yet.
//!
//! Pure: takes the text of the file. GitHub creates a job, and its check, only once all that it waits for
//! have ended, so none of its lists has it before.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::Value;

use crate::images::gate::checks::JobToCome;

/// Returns the jobs of a workflow that may not exist while a job of it runs. Jobs that this one waits for exist, and
/// so do those that wait for nothing, unless they call a workflow, whose own jobs may wait for each other. `key` is
/// the key of the job in its own workflow. In one that another workflow calls, that says nothing about the caller's file, but the name of the
/// job's `check` begins with the job that calls. `None` if the text is no workflow with such a job.
#[must_use]
pub fn jobs_to_come(text: &str, key: Option<&str>, check: Option<&str>) -> Option<Vec<JobToCome>> {
    let workflow = serde_yaml::from_str::<Value>(text).ok()?;
    let jobs = workflow.get("jobs")?.as_mapping()?;
    let jobs: BTreeMap<&str, &Value> =
        jobs.iter().filter_map(|(key, job)| Some((key.as_str()?, job))).collect();
    let caller = check.and_then(|check| Some(check.split_once(" / ")?.0)).and_then(|name| {
        jobs.iter().find(|(key, job)| job.get("uses").is_some() && is_name_of(name, key, job))
    });
    let this = caller.map(|(key, _)| *key).or_else(|| key.filter(|key| jobs.contains_key(key)))?;
    let needs: BTreeMap<&str, BTreeSet<&str>> = jobs.iter().map(|(key, job)| (*key, needed(job))).collect();
    let before = ancestors(this, &needs);
    let others = jobs.iter().filter(|(key, _)| **key != this && !before.contains(**key));
    let to_come = others
        .filter(|(key, job)| !needs[**key].is_empty() || job.get("uses").is_some())
        .map(|(key, job)| JobToCome { is_after: ancestors(key, &needs).contains(this), ..to_come(key, job) });
    Some(to_come.collect())
}

/// Whether the check of a job can have this name, which may end with the values of a matrix.
fn is_name_of(name: &str, key: &str, job: &Value) -> bool {
    let JobToCome { name: known, is_whole, .. } = to_come(key, job);
    name == known || (!is_whole && name.strip_prefix(&known).is_some_and(|rest| rest.starts_with(" (")))
}

/// The jobs that a job waits for directly.
fn needed(job: &Value) -> BTreeSet<&str> {
    match job.get("needs") {
        Some(Value::String(one)) => BTreeSet::from([one.as_str()]),
        Some(Value::Sequence(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => BTreeSet::new(),
    }
}

/// The jobs that a job waits for, also through others.
fn ancestors<'a>(of: &str, needs: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut todo: Vec<&str> = needs.get(of).into_iter().flatten().copied().collect();
    while let Some(job) = todo.pop() {
        if found.insert(job) {
            todo.extend(needs.get(job).into_iter().flatten());
        }
    }
    found
}

fn to_come(key: &str, job: &Value) -> JobToCome {
    let name = job.get("name").and_then(Value::as_str).unwrap_or(key);
    let (known, is_whole) = match name.split_once("${{") {
        Some((start, _)) => (start, false),
        // A matrix adds its values, and a reusable workflow its own jobs.
        None => (name, job.get("strategy").is_none() && job.get("uses").is_none()),
    };
    JobToCome { name: known.trim().to_owned(), is_whole, is_after: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKFLOW: &str = "
on: push
jobs:
  unit: {runs-on: x}
  lint: {runs-on: x}
  slow: {needs: lint, runs-on: x}
  lib: {uses: ./.github/workflows/lib.yml}
  e2e: {name: 'test (${{ matrix.browser }})', needs: [unit, lint], strategy: {matrix: {browser: [a, b]}}}
  shared: {name: test all, needs: slow, uses: ./.github/workflows/shared.yml}
  gate: {needs: [unit], runs-on: x}
  build: {needs: gate, runs-on: x}
  deploy: {needs: [build, slow], runs-on: x}
";

    #[test]
    fn jobs_that_neither_exist_nor_wait_for_this_one_are_to_come() {
        let of = |key: &str, check: Option<&str>| {
            let jobs = jobs_to_come(WORKFLOW, Some(key), check)?;
            Some(jobs.into_iter().map(|job| (job.name, job.is_whole, job.is_after)).collect::<Vec<_>>())
        };
        let job = |name: &str, is_whole: bool| (name.to_owned(), is_whole, false);
        let after = |name: &str| (name.to_owned(), true, true);
        let of_gate = vec![
            after("build"),
            after("deploy"),
            job("test (", false),
            job("lib", false),
            job("test all", false),
            job("slow", true),
        ];
        assert_eq!(of("gate", None), Some(of_gate));
        let of_deploy = vec![job("test (", false), job("lib", false), job("test all", false)];
        assert_eq!(of("deploy", Some("deploy")), Some(of_deploy));
        assert_eq!(of("no such job", Some("no such job")), None);
    }

    #[test]
    fn a_called_workflow_is_the_job_that_calls_it() {
        let slow = "jobs: {lint: {}, slow: {needs: lint}, images: {name: Images, needs: lint, uses: x, strategy: {}}}";
        let of = |check: &str| jobs_to_come(slow, Some("build"), Some(check)).map(|jobs| jobs.len());
        assert_eq!(of("Images / build"), Some(1));
        assert_eq!(of("Images (a, b) / build"), Some(1));
        assert_eq!(of("Image / build"), None);
        assert_eq!(of("lint / build"), None, "a job that calls no workflow");
    }

    #[test]
    fn what_is_no_workflow_has_no_jobs() {
        for text in ["", "[]", "jobs: []", "jobs: {gate: }", "jobs: {gate: {needs: [gate]}}", "\t", "{"] {
            let jobs = jobs_to_come(text, Some("gate"), None);
            assert!(jobs.is_none_or(|jobs| jobs.is_empty() && text.contains("gate")), "{text}");
        }
        // A cycle is not followed forever.
        let jobs = jobs_to_come("jobs: {gate: {}, a: {needs: b}, b: {needs: a}}", Some("gate"), None);
        assert_eq!(jobs.unwrap().iter().filter(|job| !job.is_after).count(), 2);
    }
}
