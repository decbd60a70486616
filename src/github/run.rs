//! The workflow run that this process is part of.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::trigger::Trigger;
use crate::base::secret::Secret;
use crate::tree::regular;

/// Workflow run, described by [the runner's
/// variables](https://docs.github.com/actions/reference/workflows-and-actions/variables).
#[derive(Debug, Clone)]
pub struct WorkflowRun {
    /// `owner/name` of the repository.
    pub repository: Option<String>,
    /// GitHub's number of the repository, which survives a rename and a transfer.
    pub repository_number: Option<u64>,
    /// GitHub's address for people: `https://github.com`.
    pub server: String,
    /// GitHub's address for programs: `https://api.github.com`, or that of an Enterprise Server.
    pub api: String,
    /// The token for the API, if one was given.
    pub token: Option<Secret>,
    /// The event that started the run; an error if the runner's record of it cannot be read.
    pub trigger: Result<Trigger, String>,
    /// The number of the run, the same for all its attempts.
    pub id: u64,
    /// The attempt, counted from 1.
    pub attempt: u64,
    /// The user or account that started it.
    pub actor: Option<String>,
    /// The top of the checked-out repository.
    pub workspace: Option<PathBuf>,
    /// A directory that is emptied after the job.
    pub temp: PathBuf,
    /// The file that outputs are written to.
    pub outputs: Option<PathBuf>,
    /// The file that the summary of the step is written to.
    pub summary: Option<PathBuf>,
    /// Whether debug logging is enabled.
    pub is_debug: bool,
}

impl WorkflowRun {
    /// Returns the run around this process; `None` outside of GitHub's runner.
    #[must_use]
    pub fn here() -> Option<Self> {
        (variable("GITHUB_ACTIONS").as_deref() == Some("true")).then(|| Self::of(variable))
    }

    /// Returns a substitute for a run outside of a workflow, if `GITHUB_REPOSITORY` names a repository.
    #[must_use]
    pub fn by_hand() -> Option<Self> {
        let run = Self::of(variable);
        run.repository.is_some().then_some(run)
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name: &str| variable(name).and_then(|text| text.parse().ok());
        let path = |name: &str| variable(name).map(PathBuf::from);
        let name = variable("GITHUB_EVENT_NAME").unwrap_or_default();
        Self {
            repository: variable("GITHUB_REPOSITORY").filter(|text| is_repository(text)),
            repository_number: number("GITHUB_REPOSITORY_ID").filter(|number| *number > 0),
            server: variable("GITHUB_SERVER_URL").unwrap_or_else(|| "https://github.com".to_owned()),
            api: variable("GITHUB_API_URL").unwrap_or_else(|| "https://api.github.com".to_owned()),
            token: variable("GHDEPLOY_GITHUB_TOKEN").or_else(|| variable("GITHUB_TOKEN")).map(Secret::new),
            trigger: event(&name, path("GITHUB_EVENT_PATH").as_deref()),
            id: number("GITHUB_RUN_ID").unwrap_or(0),
            attempt: number("GITHUB_RUN_ATTEMPT").unwrap_or(1),
            actor: variable("GITHUB_ACTOR"),
            workspace: path("GITHUB_WORKSPACE"),
            temp: path("RUNNER_TEMP").unwrap_or_else(std::env::temp_dir),
            outputs: path("GITHUB_OUTPUT"),
            summary: path("GITHUB_STEP_SUMMARY"),
            is_debug: variable("RUNNER_DEBUG").as_deref() == Some("1"),
        }
    }

    /// The repository's number with its server: `github.com#1296269`.
    #[must_use]
    pub fn repository_id(&self) -> Option<String> {
        let server = self.server.rsplit("://").next().unwrap_or_default().trim_end_matches('/');
        self.repository_number.map(|number| format!("{server}#{number}"))
    }

    /// Page of this run.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        let repository = self.repository.as_ref()?;
        (self.id > 0).then(|| format!("{}/{repository}/actions/runs/{}", self.server, self.id))
    }

    /// Path of `dir` relative to the top of the workspace; empty for the top itself, and for a folder outside
    /// of it.
    #[must_use]
    pub fn folder(&self, dir: &Path) -> String {
        let below = || {
            let (top, dir) = (self.workspace.as_ref()?.canonicalize().ok()?, dir.canonicalize().ok()?);
            dir.strip_prefix(top).ok().map(|below| below.to_string_lossy().into_owned())
        };
        below().unwrap_or_default()
    }
}

/// Reads an environment variable; an empty one counts as not set.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Largest payload of an event, in bytes. GitHub's own limit is 25 MiB.
const MAX_EVENT: u64 = 32 << 20;

fn event(name: &str, path: Option<&Path>) -> Result<Trigger, String> {
    let Some(path) = path else { return Trigger::read(name, &Value::Null) };
    let text = regular::read(path, MAX_EVENT)
        .map_err(|error| format!("the event of the run cannot be read: {error}"))?;
    let payload = serde_json::from_slice(&text)
        .map_err(|error| format!("the event of the run is not JSON: line {}", error.line()))?;
    Trigger::read(name, &payload)
}

/// Whether a text is `owner/name`, safe for a path of the API.
fn is_repository(text: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            && !name.bytes().all(|byte| byte == b'.')
    };
    text.split_once('/').is_some_and(|(owner, name)| is_name(owner) && is_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(variables: &[(&str, &str)]) -> WorkflowRun {
        WorkflowRun::of(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_id_of_a_repository_holds_on_its_server_only() {
        let id = |variables: &[(&str, &str)]| run(variables).repository_id();
        assert_eq!(id(&[("GITHUB_REPOSITORY_ID", "12")]).as_deref(), Some("github.com#12"));
        let own = ("GITHUB_SERVER_URL", "https://git.example.com/");
        assert_eq!(id(&[own, ("GITHUB_REPOSITORY_ID", "12")]).as_deref(), Some("git.example.com#12"));
        assert_eq!(id(&[]).or(id(&[("GITHUB_REPOSITORY_ID", "0")])), None);
    }

    #[test]
    fn the_page_of_a_run_is_on_its_own_server() {
        let here = run(&[
            ("GITHUB_SERVER_URL", "https://git.example.com"),
            ("GITHUB_REPOSITORY", "ann/side"),
            ("GITHUB_RUN_ID", "118"),
            ("GITHUB_TOKEN", "hunter2"),
        ]);
        assert_eq!(here.url().unwrap(), "https://git.example.com/ann/side/actions/runs/118");
        assert!(!format!("{here:?}").contains("hunter2"));
    }

    #[test]
    fn a_repository_is_two_names() {
        for (text, is) in [
            ("ann/side.project", true),
            ("ann", false),
            ("a/b/c", false),
            ("../x", false),
            ("a/b?c", false),
            ("/", false),
        ] {
            assert_eq!(is_repository(text), is, "{text}");
        }
    }
}
