//! A workflow run that needs no host: the repository, the runner's files beside it, and GitHub.

use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::github::{GitHub, REPOSITORY, TOKEN};
use crate::support::program::{self, Output};
use crate::support::repo::Repo;

/// An empty repository in a workflow run.
pub(crate) struct Runner {
    dir: TempDir,
    repo: Repo,
    pub(crate) github: GitHub,
}

impl Runner {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let repo = Repo::at(dir.path().join("repo"));
        Self { dir, repo, github: GitHub::start() }
    }

    /// A path beside the repository.
    pub(crate) fn beside(&self, path: &str) -> std::path::PathBuf {
        self.dir.path().join(path)
    }

    /// `ghdeploy` in a run for this event.
    pub(crate) fn event(&self, event: &str, payload: &Value, args: &[&str]) -> Command {
        let top = self.dir.path();
        std::fs::write(top.join("event.json"), payload.to_string()).unwrap();
        let _ = std::fs::remove_file(top.join("output"));
        let mut command = program::ghdeploy(self.repo.top(), top);
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_WORKSPACE", self.repo.top());
        command.env("GITHUB_OUTPUT", top.join("output")).env("GITHUB_STEP_SUMMARY", top.join("summary"));
        command
            .env("RUNNER_TEMP", top)
            .env("GITHUB_EVENT_NAME", event)
            .env("GITHUB_EVENT_PATH", top.join("event.json"));
        command.env("GITHUB_API_URL", self.github.api()).env("GITHUB_REPOSITORY", REPOSITORY);
        command.env("GITHUB_RUN_ID", "118").env("GITHUB_TOKEN", TOKEN);
        command.args(args);
        command
    }

    /// An output of the last run.
    pub(crate) fn output(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.dir.path().join("output")).unwrap();
        let (_, rest) =
            text.split_once(&format!("{name}<<")).unwrap_or_else(|| panic!("no {name} in {text}"));
        let (delimiter, rest) = rest.split_once('\n').unwrap();
        rest.split_once(&format!("\n{delimiter}")).unwrap().0.to_owned()
    }
}

impl std::ops::Deref for Runner {
    type Target = Repo;

    fn deref(&self) -> &Repo {
        &self.repo
    }
}

/// Runs a command, which must not show the token.
pub(crate) fn run(command: &mut Command) -> Output {
    program::run(command).never_prints(TOKEN)
}
