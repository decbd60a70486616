//! The jobs that this one needs, as a requirement.
//!
//! Owns the forms in which a workflow can pass their results. Only the word `success` proves anything. Pure.

use serde_json::Value;

use super::checks::{Conclusion, Standing};
use super::{Finding, Requirement, failed};

/// Judges the results of the jobs: the `needs` context (`{"test": {"result": "success", "outputs": {}}}`), a
/// JSON list of its values or results, or the results as words, separated by commas or spaces.
pub(super) fn needs(text: Option<&str>) -> Requirement {
    let wants = "the jobs that this one needs";
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
        return failed(wants, "their results are missing: pass them with `--needs '${{ toJSON(needs) }}'`");
    };
    // The value of the key in ghdeploy.yml, in the place of the results.
    if text == "true" {
        return failed(wants, "`true` is no result: pass `${{ toJSON(needs) }}` instead");
    }
    let jobs = match jobs(text) {
        Ok(jobs) => jobs,
        Err(why) => return failed(wants, &why),
    };
    if jobs.is_empty() {
        return failed(wants, "there is none");
    }
    let bad: Vec<String> = jobs
        .iter()
        .filter(|(_, result)| *result != Conclusion::Success)
        .map(|(name, result)| format!("`{name}` {result}"))
        .collect();
    let found = jobs
        .iter()
        .map(|(name, result)| Finding {
            name: name.clone(),
            says: result.to_string(),
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

/// Reads the jobs with their results.
fn jobs(text: &str) -> Result<Vec<(String, Conclusion)>, String> {
    let numbered = |number: usize| format!("job {}", number + 1);
    let wrong = |error: serde_json::Error| {
        format!("their results are neither the JSON of the `needs` context nor a list of results: {error}")
    };
    if text.starts_with(['{', '[', '"']) {
        return match serde_json::from_str::<Value>(text).map_err(wrong)? {
            Value::Object(jobs) => {
                Ok(jobs.into_iter().map(|(name, job)| (name, conclusion(job.get("result")))).collect())
            }
            // `needs.*` are the values of the context, `needs.*.result` are the results.
            Value::Array(jobs) => {
                let result = |job: &Value| match job {
                    Value::Object(job) => conclusion(job.get("result")),
                    job => conclusion(Some(job)),
                };
                Ok(jobs.iter().enumerate().map(|(number, job)| (numbered(number), result(job))).collect())
            }
            job => Ok(vec![(numbered(0), conclusion(Some(&job)))]),
        };
    }
    // A comma without a word before or after it is a job without a result.
    let words = text.split(',').flat_map(|part| match part.trim() {
        "" => vec![""],
        part => part.split_whitespace().collect(),
    });
    Ok(words.enumerate().map(|(number, word)| (numbered(number), conclusion(Some(&word.into())))).collect())
}

/// A result in GitHub's words. Anything but a word is none.
fn conclusion(result: Option<&Value>) -> Conclusion {
    let word = result.and_then(Value::as_str).filter(|word| !word.is_empty());
    word.and_then(|word| serde_json::from_value(word.into()).ok())
        .unwrap_or_else(|| Conclusion::Other("unknown".to_owned()))
}
