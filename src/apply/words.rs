//! Meaning of what Docker and Compose print, and which of it may be shown.

use crate::base::diagnostic::Diagnostic;

/// Why a command failed, from its output. Lines that could hold a value from an env file are cut.
pub(super) fn explain(what: &str, output: &[String]) -> Diagnostic {
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
    if says("Cannot connect to the Docker daemon") || says("Is the docker daemon running") {
        return Diagnostic::error("Docker Engine is not running on the host", None)
            .help("start it: systemctl start docker");
    }
    if says("permission denied while trying to connect to the Docker") {
        return Diagnostic::error("the user of the connection may not use Docker", None)
            .help("on the host, as root: usermod -aG docker <user>");
    }
    if says("no space left on device") {
        return Diagnostic::error(format!("{what} failed: the host's disk is full"), None)
            .help("make room; `docker system df` shows what images and containers take");
    }
    let words = essence(output);
    let diagnostic = Diagnostic::error(
        if words.is_empty() { format!("{what} failed") } else { format!("{what} failed: {words}") },
        None,
    );
    if says("port is already allocated") || says("address already in use") {
        diagnostic.help(
            "another container or program has that port; `docker ps` and `ss -ltnp` on the host show which",
        )
    } else if says("manifest unknown") || says("pull access denied") || says("not found: manifest") {
        diagnostic.help("check the name and the tag of the image, and that the host is logged in to its registry (docker login)")
    } else {
        diagnostic
    }
}

/// Why an image could not be pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PullProblem {
    /// The reason.
    pub(super) why: &'static str,
    /// What to do, if that is certain.
    pub(super) help: Option<&'static str>,
    /// Whether the registry was not reached, so that nothing is wrong with the image.
    pub(super) is_unreached: bool,
}

/// Reads why an image could not be pulled.
pub(super) fn explain_pull(output: &[String]) -> PullProblem {
    const NAME: &str =
        "check its name and tag, and that the host is logged in to its registry (docker login)";
    const OFFLINE: &str =
        "an image that the host has is not pulled: `docker load` brings one without a registry";
    let known = |why, help| PullProblem { why, help: Some(help), is_unreached: false };
    let unreached = |why| PullProblem { why, help: Some(OFFLINE), is_unreached: true };
    let kinds: &[(&[&str], PullProblem)] = &[
        (
            &["no space left on device"],
            known(
                "the host's disk is full",
                "make room; `docker system df` shows what images and containers take",
            ),
        ),
        (
            &["toomanyrequests", "rate limit"],
            known(
                "its registry allows no more pulls for now",
                "wait, or log in to the registry on the host (docker login), which raises the limit",
            ),
        ),
        (
            &["no matching manifest"],
            known(
                "its registry has it for other platforms only",
                "name a tag that has the host's platform, or set `platform`",
            ),
        ),
        (
            &["manifest unknown", "not found: manifest", "name unknown"],
            known("its registry does not have it", NAME),
        ),
        (
            &[
                "pull access denied",
                "unauthorized",
                "authentication required",
                "no basic auth credentials",
                "denied:",
            ],
            known("its registry does not have it, or asks for a login", NAME),
        ),
        (
            &["invalid reference format", "could not parse reference"],
            known("this does not name an image", "write it like ghcr.io/ann/app:1"),
        ),
        (&["no such host", "server misbehaving"], unreached("the address of its registry is not found")),
        (&["connection refused"], unreached("its registry refuses the connection")),
        (
            &["x509:", "HTTP response to HTTPS client"],
            known(
                "the certificate of its registry is not accepted",
                "let Docker on the host trust the registry",
            ),
        ),
        (
            &[
                "imeout",
                "deadline exceeded",
                "network is unreachable",
                "no route to host",
                "connection reset",
                ": EOF",
            ],
            unreached("its registry does not answer"),
        ),
        (&[": not found"], known("its registry does not have it", NAME)),
    ];
    let says = |needle: &&str| output.iter().any(|line| line.contains(needle));
    let kind = kinds.iter().find(|(needles, _)| needles.iter().any(says));
    kind.map_or(PullProblem { why: "docker failed", help: None, is_unreached: false }, |(_, problem)| {
        *problem
    })
}

/// The lines that show what went wrong: at most three, each once.
fn essence(output: &[String]) -> String {
    // Progress of Compose: ` Container blog-web-1  Started`.
    let is_progress = |line: &str| {
        ["Container ", "Network ", "Volume "].iter().any(|word| line.starts_with(word))
            && !line.contains("Error")
    };
    let lines: Vec<String> =
        output.iter().map(|line| safe(line)).filter(|line| !line.is_empty() && !is_progress(line)).collect();
    let is_telling = |line: &&String| {
        ["rror", "ailed", "invalid", "denied", "not found", "nable to", "didn't"]
            .iter()
            .any(|word| line.contains(word))
    };
    let telling: Vec<&String> = lines.iter().filter(is_telling).collect();
    let lines = if telling.is_empty() { lines.iter().collect() } else { telling };
    let mut chosen: Vec<&str> = Vec::new();
    for line in lines.iter().rev().map(|line| line.as_str()) {
        if chosen.len() < 3 && !chosen.iter().any(|there| there.contains(line) || line.contains(there)) {
            chosen.push(line);
        }
    }
    chosen.reverse();
    chosen.join("; ")
}

/// A line without what could be a value: dotenv and interpolation errors quote the text around the place,
/// which may be a password.
pub(super) fn safe(line: &str) -> String {
    let line = line.trim();
    for mark in [" near \"", " near '", "interpolation format for", "in variable name"] {
        if let Some(at) = line.find(mark) {
            let rest = line[at..].split([':', '"', '\'']).next().unwrap_or_default();
            return format!("{}{} …", &line[..at], rest.trim_end());
        }
    }
    line.to_owned()
}

/// The variables that `docker compose config` warns are not set.
pub(super) fn unset_variables(output: &[String]) -> Vec<String> {
    let mut names: Vec<String> = output
        .iter()
        .filter(|line| line.contains("variable is not set"))
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
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn names_of_unset_variables_are_found() {
        let output = lines(
            "time=\"2026-01-01T00:00:00Z\" level=warning msg=\"The \\\"DB_URL\\\" variable is not set. Defaulting to a blank string.\"\nWARN[0000] The \"TAG\" variable is not set. Defaulting to a blank string.",
        );
        assert_eq!(unset_variables(&output), ["DB_URL", "TAG"]);
    }

    #[test]
    fn values_are_cut_from_errors() {
        let diagnostic = explain(
            "checking",
            &lines(
                "failed to read .env: line 3: unexpected character \"!\" in variable name near \"PASSWORD!=hunter2\"",
            ),
        );
        assert!(!diagnostic.message.contains("hunter2"), "{}", diagnostic.message);
        assert!(diagnostic.message.contains("line 3"));
    }

    #[test]
    fn known_causes_come_with_what_to_do() {
        assert!(explain("up", &lines("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?")).help.is_some());
        assert!(
            explain(
                "up",
                &lines("Error response from daemon: Bind for 0.0.0.0:80 failed: port is already allocated")
            )
            .help
            .is_some()
        );
        assert_eq!(explain("up", &[]).message, "up failed");
    }
}
