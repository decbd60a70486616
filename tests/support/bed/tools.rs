//! The tools in the host's PATH, and ways to make them misbehave.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{Bed, chmod};
use crate::support::wait;

/// The host's PATH, besides `docker`. If ghdeploy needs any other tool, that is a bug.
const TOOLS: [&str; 27] = [
    "sh",
    "dd",
    "od",
    "tar",
    "gzip",
    "sha256sum",
    "flock",
    "stat",
    "xargs",
    "find",
    "awk",
    "sed",
    "tr",
    "readlink",
    "mkdir",
    "rm",
    "rmdir",
    "mv",
    "cp",
    "ln",
    "cat",
    "chmod",
    "sleep",
    "grep",
    "id",
    "dirname",
    "df",
];

/// Calls of a tool that do not go on before [`Held::release`].
pub(crate) struct Held {
    began: PathBuf,
    released: PathBuf,
}

impl Held {
    /// Waits until a call is held.
    #[track_caller]
    pub(crate) fn wait(&self) {
        wait::until("the call of the tool begins", || self.began.exists());
    }

    /// Lets the calls go on, including later ones.
    pub(crate) fn release(&self) {
        std::fs::write(&self.released, "").unwrap();
    }

    /// Holds calls again, from now on.
    pub(crate) fn again(&self) {
        let _ = (std::fs::remove_file(&self.began), std::fs::remove_file(&self.released));
    }
}

impl Bed {
    /// Runs this script of `sh` before each call of one of the host's tools. In it `$real` is the tool
    /// itself, and `$*` are its arguments.
    pub(crate) fn before_tool(&self, tool: &str, script: &str) {
        let new = self.path("tool.new");
        let real = which(tool);
        std::fs::write(
            &new,
            format!("#!/bin/sh\nreal={}\n{script}\nexec \"$real\" \"$@\"\n", real.display()),
        )
        .unwrap();
        chmod(&new, 0o755);
        // In one step, because the host may be calling it.
        std::fs::rename(new, self.path("bin").join(tool)).unwrap();
    }

    /// Restores one of the host's tools.
    pub(crate) fn restore_tool(&self, tool: &str) {
        self.before_tool(tool, "");
    }

    /// Holds calls of a tool that have these words among their arguments. They end with the bed.
    pub(crate) fn hold(&self, tool: &str, words: &str) -> Held {
        let held = Held { began: self.path("held"), released: self.path("released") };
        held.again();
        let script = format!(
            "case \" $* \" in *'{words}'*) : >{began}; while [ -e {began} ] && [ ! -e {} ]; do sleep 0.05; done ;; esac",
            held.released.display(),
            began = held.began.display(),
        );
        if tool == "docker" {
            self.before_docker(&script);
        } else {
            self.before_tool(tool, &script);
        }
        held
    }

    /// Starts the log of [`Bed::docker_calls`]. From now on `docker` is a script, which is in the log with all that it
    /// is called for. Without it, ghdeploy starts Compose by itself.
    pub(crate) fn log_docker(&self) -> &Self {
        self.before_docker("");
        self
    }

    /// Runs this script before each call of the host's `docker`, as [`Bed::before_tool`] does.
    pub(crate) fn before_docker(&self, script: &str) {
        let log = self.path("docker.log");
        if !log.exists() {
            std::fs::write(&log, "").unwrap();
            chmod(&log, 0o666);
        }
        self.before_tool("docker", &format!("echo \"$*\" >>{}\n{script}", log.display()));
    }

    /// Restores the host's `docker`.
    pub(crate) fn restore_docker(&self) {
        if self.path("docker.log").exists() {
            self.before_docker("");
            return;
        }
        let new = self.path("tool.new");
        symlink(which("docker"), &new).unwrap();
        std::fs::rename(new, self.path("bin/docker")).unwrap();
    }

    /// Removes `docker` from the host's PATH.
    pub(crate) fn remove_docker(&self) {
        std::fs::remove_file(self.path("bin/docker")).unwrap();
    }

    /// Arguments of the calls of the host's `docker` so far, except for the list of containers that comes with
    /// the facts.
    pub(crate) fn docker_calls(&self) -> Vec<String> {
        self.docker_log().into_iter().filter(|call| !is_list(call) && !is_more_about_the_list(call)).collect()
    }

    /// Number of lists of containers so far that came with the facts.
    pub(crate) fn docker_lists(&self) -> usize {
        self.docker_log().iter().filter(|call| is_list(call)).count()
    }

    fn docker_log(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.path("docker.log"));
        log.expect("Bed::log_docker was called").lines().map(str::to_owned).collect()
    }
}

fn is_list(call: &str) -> bool {
    call.starts_with("ps -a --filter label=com.docker.compose.project --format ")
}

/// Whether this call asks about containers of the list that do not run. There may be some of other tests.
fn is_more_about_the_list(call: &str) -> bool {
    call.starts_with("inspect --type container --format {{.Id}}\t")
}

/// Fills a folder with links to the tools.
pub(super) fn link_all(bin: &Path) {
    for tool in TOOLS {
        symlink(which(tool), bin.join(tool)).unwrap();
    }
}

fn which(tool: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).map(|dir| dir.join(tool)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{tool} is missing: run tests/setup.sh"))
}
