//! A repository as a runner has it, beside the runner's own files, and GitHub: for what needs no host.

use std::process::Command as Process;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

use crate::github::{GitHub, REPOSITORY, TOKEN};

/// An empty repository in a workflow run.
pub(crate) struct Runner {
    dir: TempDir,
    pub(crate) github: GitHub,
}

impl Runner {
    pub(crate) fn new() -> Self {
        let this = Self { dir: tempfile::tempdir().unwrap(), github: GitHub::start() };
        std::fs::create_dir(this.path("")).unwrap();
        this.git(&["init", "-q", "-b", "main"]);
        this
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        let ran =
            Process::new("git").current_dir(self.dir.path().join("repo")).args(identity).args(args).output();
        let ran = ran.unwrap();
        assert!(ran.status.success(), "{args:?}: {ran:?}");
        String::from_utf8(ran.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join("repo").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn commit(&self) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "x"]);
    }

    pub(crate) fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// A path in the repository.
    pub(crate) fn path(&self, path: &str) -> std::path::PathBuf {
        self.dir.path().join("repo").join(path)
    }

    /// A path beside it.
    pub(crate) fn top(&self, path: &str) -> std::path::PathBuf {
        self.dir.path().join(path)
    }

    /// `ghdeploy` in a run by an event.
    pub(crate) fn event(&self, event: &str, payload: &Value, args: &[&str]) -> Command {
        let top = self.dir.path();
        std::fs::write(top.join("event.json"), payload.to_string()).unwrap();
        let _ = std::fs::remove_file(top.join("output"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_ghdeploy"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", top);
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_WORKSPACE", top.join("repo"));
        command.env("GITHUB_OUTPUT", top.join("output")).env("GITHUB_STEP_SUMMARY", top.join("summary"));
        command
            .env("RUNNER_TEMP", top)
            .env("GITHUB_EVENT_NAME", event)
            .env("GITHUB_EVENT_PATH", top.join("event.json"));
        command.env("GITHUB_API_URL", self.github.api()).env("GITHUB_REPOSITORY", REPOSITORY);
        command.env("GITHUB_RUN_ID", "118").env("GITHUB_TOKEN", TOKEN);
        command.arg("-C").arg(top.join("repo")).args(args);
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
