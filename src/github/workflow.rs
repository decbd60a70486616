//! The file of the workflow that a run follows: which of its jobs do not exist yet.
//!
//! Pure: takes the text of the file. GitHub creates a job, and its check, only once all that it waits for
//! have ended, so none of its lists has it before.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::Value;

use crate::images::gate::checks::JobToCome;

/// Returns the jobs of a workflow that may not exist while `this` job runs, and that do not wait for it. Jobs
/// that `this` one waits for exist, and so do those that wait for nothing. A text that is no workflow with
/// such a job has none.
#[must_use]
pub fn jobs_to_come(text: &str, this: &str) -> Vec<JobToCome> {
    let Ok(workflow) = serde_yaml::from_str::<Value>(text) else { return Vec::new() };
    let Some(jobs) = workflow.get("jobs").and_then(Value::as_mapping) else { return Vec::new() };
    let jobs: BTreeMap<&str, &Value> =
        jobs.iter().filter_map(|(key, job)| Some((key.as_str()?, job))).collect();
    if !jobs.contains_key(this) {
        return Vec::new();
    }
    let needs: BTreeMap<&str, BTreeSet<&str>> = jobs.iter().map(|(key, job)| (*key, needed(job))).collect();
    let before = ancestors(this, &needs);
    jobs.iter()
        .filter(|(key, _)| **key != this && !before.contains(**key))
        .filter(|(key, _)| !needs[**key].is_empty() && !ancestors(key, &needs).contains(this))
        .map(|(key, job)| to_come(key, job))
        .collect()
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
    JobToCome { name: known.trim().to_owned(), is_whole }
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
  e2e: {name: 'test (${{ matrix.browser }})', needs: [unit, lint], strategy: {matrix: {browser: [a, b]}}}
  shared: {name: test all, needs: slow, uses: ./.github/workflows/shared.yml}
  gate: {needs: [unit], runs-on: x}
  build: {needs: gate, runs-on: x}
  deploy: {needs: [build, slow], runs-on: x}
";

    #[test]
    fn jobs_that_neither_exist_nor_wait_for_this_one_are_to_come() {
        let of = |this: &str| {
            jobs_to_come(WORKFLOW, this).into_iter().map(|job| (job.name, job.is_whole)).collect::<Vec<_>>()
        };
        let job = |name: &str, is_whole: bool| (name.to_owned(), is_whole);
        assert_eq!(of("gate"), [job("test (", false), job("test all", false), job("slow", true)]);
        assert_eq!(of("deploy"), [job("test (", false), job("test all", false)]);
        assert_eq!(of("no such job"), []);
    }

    #[test]
    fn what_is_no_workflow_has_no_jobs() {
        for text in ["", "[]", "jobs: []", "jobs: {gate: }", "jobs: {gate: {needs: [gate]}}", "\t", "{"] {
            assert_eq!(jobs_to_come(text, "gate"), [], "{text}");
        }
        // A cycle is not followed forever.
        let jobs = jobs_to_come("jobs: {gate: {}, a: {needs: b}, b: {needs: a}}", "gate");
        assert_eq!(jobs.len(), 2);
    }
}
