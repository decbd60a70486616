//! Meaning of what Docker and Compose print.
//!
//! Their messages quote values, which may be secrets of the host's `.env`. So no line of theirs is ever shown. A
//! line is compared with patterns of known messages; what is shown is our own words, and of the line only what
//! stands in the repository's compose files ([`Vocabulary`]), or a line number or an exit status.

mod engine;
mod patterns;
mod problem;
mod pull;
mod vocabulary;

use std::collections::BTreeSet;

use problem::Problem;
pub(super) use pull::{PullProblem, explain_pull};
pub(super) use vocabulary::{Vocabulary, sources};

use crate::base::diagnostic::Diagnostic;
use crate::state::container::DockerFailure;
use crate::state::reach::{PROXY_HELP, is_refusal};

/// Number of different problems of one command that are told.
const MAX_PROBLEMS: usize = 3;

/// What may be said of a failed command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failed<'a> {
    /// What failed, such as `docker compose up`.
    pub(super) what: &'a str,
    /// What to do to see all that it printed; `None` if nothing shows it.
    pub(super) see: Option<&'a str>,
    /// The version of Compose on the host, if the command was one of Compose.
    pub(super) version: Option<&'a str>,
}

/// Says why a command failed, from its output.
pub(super) fn explain(failed: Failed<'_>, output: &[String], vocabulary: &Vocabulary<'_>) -> Diagnostic {
    let what = failed.what;
    let says = |needle: &str| output.iter().any(|line| line.contains(needle));
    if says("docker: not found") || says("docker: command not found") {
        return Diagnostic::error("the host has no docker", None)
            .help("install Docker Engine there; `--no-restart` syncs files without it");
    }
    if says("'compose' is not a docker command")
        || says("unknown shorthand flag: 'd' in -d")
        || says("unknown command: docker compose")
    {
        return Diagnostic::error("the host has Docker but no Compose v2", None).help("install the package docker-compose-plugin (Docker's own), docker-compose-v2 (Ubuntu) or docker-compose (Debian 13)");
    }
    if DockerFailure::of(output) == DockerFailure::NotRunning {
        return Diagnostic::error("Docker Engine is not running on the host", None)
            .help("start it: systemctl start docker");
    }
    if says("permission denied while trying to connect to the Docker") {
        return Diagnostic::error("the user of the connection may not use Docker", None)
            .help("on the host, as root: usermod -aG docker <user>");
    }
    if is_refusal(output) {
        return Diagnostic::error(format!("{what} failed: the proxy before Docker refuses it"), None)
            .help(PROXY_HELP);
    }
    if says("no space left on device") {
        return Diagnostic::error(format!("{what} failed: the host's disk is full"), None)
            .help("make room; `docker system df` shows what images and containers take");
    }
    let with_version = |help: String| match failed.version {
        Some(version) => format!("{help}; the host has Docker Compose {version}"),
        None => help,
    };
    let mut seen = BTreeSet::new();
    let problems: Vec<Problem> = output
        .iter()
        .filter_map(|line| patterns::read(line, vocabulary))
        .filter(|problem| seen.insert(problem.message.clone()))
        .take(MAX_PROBLEMS)
        .collect();
    let words: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    if words.is_empty() {
        let hidden = "its output is not shown here, because it may hold a value";
        let help = failed.see.map_or_else(|| hidden.to_owned(), |see| format!("{hidden}; {see}"));
        return Diagnostic::error(format!("{what} failed"), None).help(with_version(help));
    }
    let message = format!("{what} failed: {}", words.join("; "));
    let at = problems.iter().find_map(|problem| problem.at.clone());
    let help =
        problems.into_iter().find_map(|problem| problem.help).or_else(|| failed.see.map(str::to_owned));
    Diagnostic { help: help.map(with_version), ..Diagnostic::error(message, at) }
}

/// Says why a command of the driver failed. It prints names of files, and nothing of Compose.
pub(super) fn explain_driver(what: &str, output: &[String]) -> Diagnostic {
    if output.iter().any(|line| line.to_ascii_lowercase().contains("no space left on device")) {
        return Diagnostic::error(format!("{what} failed: the host's disk is full"), None)
            .help("make room; `docker system df` shows what images and containers take");
    }
    Diagnostic::error(format!("{what} failed: {}", output.join("; ")), None)
}

/// The variables that are not set on the host, from the warnings of Compose.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Unset {
    /// Those that a compose file refers to.
    pub(super) named: Vec<String>,
    /// Whether there are others. They are pieces of values with a `$` in them.
    pub(super) has_pieces: bool,
}

/// Reads which variables `docker compose config` warns are not set.
pub(super) fn unset_variables(output: &[String], vocabulary: &Vocabulary<'_>) -> Unset {
    let names: BTreeSet<String> = output
        .iter()
        .filter_map(|line| {
            let (before, _) = line.split_once("variable is not set")?;
            let name: String = before
                .trim_end()
                .trim_end_matches(['\\', '"'])
                .chars()
                .rev()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            Some(name.chars().rev().collect())
        })
        .collect();
    let (named, pieces): (Vec<String>, Vec<String>) =
        names.into_iter().partition(|name| vocabulary.refers_to(name));
    Unset { named, has_pieces: !pieces.is_empty() }
}

/// What Compose does with a container and so on, as version 5 also prints it for `run`: `Container app-web-1 Creating`.
fn is_progress(line: &str) -> bool {
    const STATES: [&str; 16] = [
        "Creating",
        "Created",
        "Error",
        "Exited",
        "Healthy",
        "Pulled",
        "Pulling",
        "Recreate",
        "Recreated",
        "Removed",
        "Removing",
        "Running",
        "Started",
        "Starting",
        "Stopped",
        "Waiting",
    ];
    let mut words = line.split_whitespace();
    let is_kind = matches!(words.next(), Some("Container" | "Image" | "Network" | "Volume"));
    is_kind && words.nth(1).is_some_and(|state| STATES.contains(&state))
}

/// Whether a line among those of a container is a message of Compose or Docker.
pub(super) fn is_of_docker(line: &str) -> bool {
    let line = line.trim_start();
    is_progress(line)
        || line.starts_with("time=\"") && line.contains(" level=")
        || [
            "WARN[",
            "Error response from daemon: ",
            "error while interpolating ",
            "failed to read ",
            "OCI runtime ",
        ]
        .iter()
        .any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests;
