//! The workflow run that this process is part of.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

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
    /// Whether a token was given and is empty.
    pub is_token_empty: bool,
    /// The name of the event that started the run, such as `pull_request`.
    pub event: Option<String>,
    /// The event that started the run; an error if the runner's record of it cannot be read.
    pub trigger: Result<Trigger, String>,
    /// The time of the event, in seconds since 1970, or an earlier one; `None` if its record has none.
    pub event_time: Option<i64>,
    /// When the runner began this job, by its own clock: it writes the record of the event then.
    pub job_began: Option<SystemTime>,
    /// The ref of the run, such as `refs/heads/main`.
    pub git_ref: Option<String>,
    /// The default branch of the repository, if the event names it.
    pub default_branch: Option<String>,
    /// The number of the run, the same for all its attempts.
    pub id: u64,
    /// The job that this process is part of.
    pub this: ThisJob,
    /// The file of the workflow, relative to the top of the repository.
    pub workflow: Option<String>,
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

/// Job that this process is part of, as far as it can be told apart from others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ThisJob {
    /// The number of its run; 0 outside of a workflow.
    pub run: u64,
    /// Its key below `jobs:` in the workflow. A name that the workflow gives to it is not known.
    pub job: Option<String>,
    /// The number of its check run, which the action passes on.
    pub check_run: Option<u64>,
}

impl WorkflowRun {
    /// Returns the run around this process; `None` outside of GitHub's runner.
    #[must_use]
    pub fn here() -> Option<Self> {
        let run = Self::of(variable);
        (variable("GITHUB_ACTIONS").as_deref() == Some("true")).then_some(run)
    }

    /// Returns a substitute for a run outside of a workflow, if `GITHUB_REPOSITORY` names a repository.
    #[must_use]
    pub fn by_hand() -> Option<Self> {
        let run = Self::of(variable);
        run.repository.is_some().then_some(run)
    }

    fn of(given: impl Fn(&str) -> Option<String>) -> Self {
        // An empty variable counts as not set.
        let variable = |name: &str| given(name).filter(|value| !value.is_empty());
        let number = |name: &str| variable(name).and_then(|text| text.parse().ok());
        let path = |name: &str| variable(name).map(PathBuf::from);
        let name = variable("GITHUB_EVENT_NAME").unwrap_or_default();
        // Some stores of secrets add a newline.
        let token = |name: &str| given(name).map(|token| token.trim().to_owned());
        let tokens = [token("GHDEPLOY_GITHUB_TOKEN"), token("GITHUB_TOKEN")];
        let is_token_given = tokens.iter().any(Option::is_some);
        let token = tokens.into_iter().flatten().find(|token| !token.is_empty());
        let record = path("GITHUB_EVENT_PATH");
        let payload = record.as_deref().map_or(Ok(Value::Null), payload);
        let default_branch =
            payload.as_ref().ok().and_then(|payload| payload.pointer("/repository/default_branch")?.as_str());
        Self {
            repository: variable("GITHUB_REPOSITORY").filter(|text| is_repository(text)),
            repository_number: number("GITHUB_REPOSITORY_ID").filter(|number| *number > 0),
            server: variable("GITHUB_SERVER_URL").unwrap_or_else(|| "https://github.com".to_owned()),
            api: variable("GITHUB_API_URL").unwrap_or_else(|| "https://api.github.com".to_owned()),
            is_token_empty: is_token_given && token.is_none(),
            token: token.map(Secret::new),
            event: variable("GITHUB_EVENT_NAME"),
            event_time: payload.as_ref().ok().and_then(time),
            job_began: record.and_then(|record| record.metadata().ok()?.modified().ok()),
            git_ref: variable("GITHUB_REF"),
            default_branch: default_branch.map(str::to_owned),
            trigger: payload.and_then(|payload| Trigger::read(&name, &payload)),
            id: number("GITHUB_RUN_ID").unwrap_or(0),
            workflow: variable("GITHUB_WORKFLOW_REF")
                .and_then(|of| workflow_file(&of, &variable("GITHUB_REPOSITORY")?)),
            this: ThisJob {
                run: number("GITHUB_RUN_ID").unwrap_or(0),
                job: variable("GITHUB_JOB"),
                check_run: number("GHDEPLOY_CHECK_RUN").filter(|number| *number > 0),
            },
            attempt: number("GITHUB_RUN_ATTEMPT").unwrap_or(1),
            actor: variable("GITHUB_ACTOR"),
            workspace: path("GITHUB_WORKSPACE"),
            temp: path("RUNNER_TEMP").unwrap_or_else(std::env::temp_dir),
            outputs: path("GITHUB_OUTPUT"),
            summary: path("GITHUB_STEP_SUMMARY"),
            is_debug: variable("RUNNER_DEBUG").as_deref() == Some("1"),
        }
    }

    /// Likely reason why a secret is empty in this run, with what to do about it.
    #[must_use]
    pub fn reason_for_empty_secrets(&self) -> &'static str {
        let event = self.event.as_deref().unwrap_or_default();
        match &self.trigger {
            Ok(Trigger::PullRequest(pull)) if pull.is_fork && !pull.is_target => FORK,
            _ if self.actor.as_deref() == Some(DEPENDABOT) && DEPENDABOT_EVENTS.contains(&event) => {
                "GitHub gives runs that Dependabot has started only the secrets under Settings, Secrets and variables, Dependabot: add it there, or skip the job with `if: github.actor != 'dependabot[bot]'`"
            }
            // Without its payload, nothing tells whether it comes from a fork.
            Err(_) if event.starts_with("pull_request") && event != "pull_request_target" => FORK,
            _ => {
                "check the spelling of the secret's name. A job gets the secrets of an environment only with `environment:`, and a reusable workflow only those that its caller passes (`secrets: inherit`); one of an organization must be shared with this repository"
            }
        }
    }

    /// Whether GitHub gives this run a token that may only read: it is for a pull request from a fork, or
    /// Dependabot has started it.
    #[must_use]
    pub fn is_read_only(&self) -> Option<&'static str> {
        match &self.trigger {
            Ok(Trigger::PullRequest(pull)) if pull.is_fork && !pull.is_target => {
                Some("the pull request comes from a fork, whose runs may not write")
            }
            _ if self.actor.as_deref() == Some(DEPENDABOT) => Some("runs of Dependabot may not write"),
            _ => None,
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

/// The account of Dependabot.
const DEPENDABOT: &str = "dependabot[bot]";

/// The events whose runs get [Dependabot's
/// secrets](https://docs.github.com/code-security/dependabot/troubleshooting-dependabot/troubleshooting-dependabot-on-github-actions)
/// instead of the repository's, if Dependabot has caused them.
const DEPENDABOT_EVENTS: [&str; 8] = [
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_target",
    "push",
    "create",
    "deployment",
    "deployment_status",
];

const FORK: &str = "GitHub gives runs for pull requests from forks no secrets: skip the job for them with `if: github.event.pull_request.head.repo.full_name == github.repository`, or deploy on `push`. `plan`, `check` and `gate` need none";

/// Reads an environment variable.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Largest payload of an event, in bytes. GitHub's own limit is 25 MiB.
const MAX_EVENT: u64 = 32 << 20;

/// Reads the runner's record of the event.
fn payload(path: &Path) -> Result<Value, String> {
    let text = regular::read(path, MAX_EVENT)
        .map_err(|error| format!("the event of the run cannot be read: {error}"))?;
    serde_json::from_slice(&text)
        .map_err(|error| format!("the event of the run is not JSON: line {}", error.line()))
}

/// Returns a time that is not after the beginning of the run, in seconds since 1970, as GitHub's clock shows
/// it: of the last push that the event knows of, or of the run that a `workflow_run` is about.
fn time(payload: &Value) -> Option<i64> {
    // Tests of that run are older than its end, and thus may be older than a push.
    let about = payload.get("workflow_run");
    let found = match about {
        Some(run) => run.get("run_started_at"),
        None => payload.pointer("/repository/pushed_at"),
    };
    // A number in a push, a text in other events.
    match found? {
        Value::String(text) => text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second),
        number => number.as_i64(),
    }
}

/// Returns the path in `owner/name/.github/workflows/ci.yml@refs/heads/main`, if that is in this repository.
fn workflow_file(of: &str, repository: &str) -> Option<String> {
    let (path, _) = of.strip_prefix(repository)?.strip_prefix('/')?.split_once('@')?;
    let name = path.strip_prefix(".github/workflows/")?;
    (!name.contains('/')).then(|| path.to_owned())
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
    use serde_json::json;

    #[test]
    fn the_time_of_an_event_is_that_of_its_push_or_of_the_run_before() {
        for (payload, seconds) in [
            (json!({"repository": {"pushed_at": 1_700_000_000}}), Some(1_700_000_000)),
            (json!({"repository": {"pushed_at": "2023-11-14T22:13:20Z"}}), Some(1_700_000_000)),
            (
                json!({"workflow_run": {"run_started_at": "2023-11-14T22:13:20Z"}, "repository": {"pushed_at": 1_800_000_000}}),
                Some(1_700_000_000),
            ),
            (json!({"workflow_run": {}, "repository": {"pushed_at": 1_800_000_000}}), None),
            (json!({"repository": {"pushed_at": null}}), None),
            (json!({"repository": {"pushed_at": "yesterday"}}), None),
            (json!({}), None),
        ] {
            assert_eq!(time(&payload), seconds, "{payload}");
        }
    }

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
    fn the_reason_for_an_empty_secret_is_that_of_the_run() {
        let of = |event: &str, actor: &str| {
            let run = run(&[("GITHUB_EVENT_NAME", event), ("GITHUB_ACTOR", actor)]);
            run.reason_for_empty_secrets().split(':').next().unwrap()
        };
        let dependabot = "GitHub gives runs that Dependabot has started only the secrets under Settings, Secrets and variables, Dependabot";
        let fork = "GitHub gives runs for pull requests from forks no secrets";
        let spelling = "check the spelling of the secret's name. A job gets the secrets of an environment only with `environment";
        assert_eq!(of("pull_request", DEPENDABOT), dependabot);
        assert_eq!(of("push", DEPENDABOT), dependabot);
        assert_eq!(of("workflow_dispatch", DEPENDABOT), spelling);
        assert_eq!(of("pull_request", "ann"), fork);
        assert_eq!(of("pull_request_target", "ann"), spelling);
        assert_eq!(of("push", "ann"), spelling);
        let pull = |head: u64, event: &str| {
            let sha = "a".repeat(40);
            let side = |id: u64| serde_json::json!({"sha": sha, "repo": {"id": id}});
            let payload =
                serde_json::json!({"pull_request": {"number": 7, "base": side(1), "head": side(head)}});
            WorkflowRun { trigger: Trigger::read(event, &payload), ..run(&[("GITHUB_EVENT_NAME", event)]) }
        };
        let why = |run: WorkflowRun| run.reason_for_empty_secrets().split(':').next().unwrap();
        assert_eq!(why(pull(2, "pull_request")), fork);
        assert_eq!(why(pull(1, "pull_request")), spelling);
        assert_eq!(why(pull(2, "pull_request_target")), spelling);
        assert!(pull(2, "pull_request").is_read_only().is_some());
        assert_eq!(pull(2, "pull_request_target").is_read_only(), None);
    }

    #[test]
    fn a_token_that_is_given_and_empty_is_known() {
        let of = |variables: &[(&str, &str)]| {
            let run = run(variables);
            (run.token.map(|token| token.reveal().to_owned()), run.is_token_empty)
        };
        assert_eq!(of(&[]), (None, false));
        assert_eq!(of(&[("GHDEPLOY_GITHUB_TOKEN", " \n")]), (None, true));
        assert_eq!(
            of(&[("GHDEPLOY_GITHUB_TOKEN", ""), ("GITHUB_TOKEN", "x\n")]),
            (Some("x".to_owned()), false)
        );
    }

    #[test]
    fn the_file_of_a_workflow_is_in_its_own_repository() {
        let of = |text: &str| workflow_file(text, "ann/side");
        assert_eq!(
            of("ann/side/.github/workflows/ci.yml@refs/heads/a@b").as_deref(),
            Some(".github/workflows/ci.yml")
        );
        for other in [
            "bob/side/.github/workflows/ci.yml@refs/heads/main",
            "ann/side2/.github/workflows/ci.yml@refs/heads/main",
            "ann/side/.github/workflows/../../etc/passwd@refs/heads/main",
            "ann/side/ci.yml@main",
            "",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
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
