//! `doctor`: checks the connection to the hosts, their tools and permissions, and says how to fix what is
//! wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;

use super::context::Context;
use crate::base::diagnostic::Diagnostic;
use crate::base::duration::show_duration;
use crate::base::error::{Error, Exit, Result};
use crate::config::address::HostAddress;
use crate::deploy::variables::unset_variables;
use crate::deploy::{Target, Worktree};
use crate::host::facts::{facts, free_room, obstacle_in_words, try_open};
use crate::host::{Command, Driver, FailureKind, Transport, chatter_in_words};
use crate::outcome::queries::{Checkup, CheckupResult, CheckupStep, HostCheckup};
use crate::report::render;
use crate::state::versions::{PACKAGES, TESTED_COMPOSE, TESTED_ENGINE, too_old, untested};

/// The check of the engine.
const ENGINE: &str = "docker engine";

/// The check of Compose.
const COMPOSE: &str = "docker compose";

pub(super) async fn run(context: &Context) -> Result<Exit> {
    let targets = context.targets()?;
    let worktree = context.worktree();
    let hosts = join_all(targets.iter().map(|target| async {
        let transport = context.transport(target);
        let mut steps = Vec::new();
        look(target, &*transport, &worktree, &mut steps).await;
        transport.close().await;
        HostCheckup { name: target.name.clone(), steps }
    }));
    let checkup = Checkup { hosts: hosts.await };
    context.print(|out| render(&checkup, context.format, out, context.style))?;
    Ok(if checkup.is_ok() { Exit::Done } else { Exit::Unreachable })
}

fn step(what: &str, result: CheckupResult, detail: impl Into<String>, help: Option<String>) -> CheckupStep {
    CheckupStep { what: what.to_owned(), result, detail: detail.into(), help }
}

fn failed(what: &str, error: Error) -> CheckupStep {
    let help = error.diagnostics.last().and_then(|diagnostic| diagnostic.help.clone());
    step(what, CheckupResult::Failed, error.to_string(), help)
}

async fn look(target: &Target, transport: &dyn Transport, worktree: &Worktree, steps: &mut Vec<CheckupStep>) {
    let way = match &target.address {
        HostAddress::Local { .. } => "this machine".to_owned(),
        HostAddress::Ssh { destination, .. } => format!("ssh to {destination}"),
    };
    let driver = match Driver::start(transport).await {
        Ok(driver) => driver,
        Err(error) => return steps.push(failed(&way, error)),
    };
    // A host without `sh`, or with a login shell that prints something, fails here. A root that is closed
    // says nothing about Docker, so Docker is asked before.
    let docker = match docker(&driver).await {
        Ok(docker) => docker,
        Err(error) => return steps.push(failed(&way, error)),
    };
    let connected = match &target.address {
        HostAddress::Local { .. } => "nothing to connect to",
        HostAddress::Ssh { .. } => "connected, the host key is known",
    };
    steps.push(step(&way, CheckupResult::Ok, connected, None));
    if driver.chatter() > 0 {
        steps.push(step("login files", CheckupResult::Warning, chatter_in_words(driver.chatter()), None));
    }
    const TOOLS: &str = "sh, tar, gzip, sha256sum, flock, stat, find, awk, sed, xargs, dd, od";
    let command = Command::OpenToRead { root: target.root.clone() };
    match try_open(&driver, &command, &target.root, |_| {}).await {
        Err((Some(FailureKind::Tools), error)) => steps.push(failed("tools", error)),
        Err((_, error)) => {
            steps.push(step("tools", CheckupResult::Ok, TOOLS, None));
            steps.push(failed("root", error));
        }
        Ok(()) => {
            steps.push(step("tools", CheckupResult::Ok, TOOLS, None));
            steps.push(root(&driver, &target.root).await);
            if let Ok(deployed) = facts(&driver, &BTreeMap::new()).await {
                if let Some(repository) = deployed.state.repository.shown() {
                    let what = format!("deployed from {repository}");
                    steps.push(step("repository", CheckupResult::Ok, what, None));
                }
                // What is wrong with the tree is not the host's fault, and `check` reports it.
                let unset = unset_variables(&driver, worktree, target, deployed).await.unwrap_or_default();
                for (project, Diagnostic { message, at, help, .. }) in unset {
                    let at = at.map(|at| format!(" ({at})")).unwrap_or_default();
                    let what = format!("variables of {project}");
                    steps.push(step(&what, CheckupResult::Failed, format!("{message}{at}"), help));
                }
            }
        }
    }
    steps.extend(docker);
    driver.end().await;
}

/// The root and the room there.
async fn root(driver: &Driver, root: &str) -> CheckupStep {
    let reply = match driver.call(&Command::Room).await {
        Ok(reply) => reply,
        Err(error) => return failed("root", error),
    };
    if !reply.is_ok() {
        let (message, help) = obstacle_in_words(root, &reply.output);
        return step("root", CheckupResult::Failed, message, Some(help));
    }
    let free = match free_room(&reply.output) {
        Some((kib, _)) => format!(", {}.{} GB free", kib >> 20, ((kib % (1 << 20)) * 10) >> 20),
        None => String::new(),
    };
    let is_there = free_room(&reply.output).is_some_and(|(_, at)| at == root.trim_end_matches('/'));
    let will = if is_there { "may be written" } else { "will be made" };
    step("root", CheckupResult::Ok, format!("{root} {will}{free}"), None)
}

/// The checks of the engine, of Compose and of the clock.
async fn docker(driver: &Driver) -> Result<Vec<CheckupStep>> {
    let examined = Examined::read(driver.call(&Command::Examine).await?.output);
    let now = jiff::Timestamp::now().as_second();
    let ask = async |argv: &[&str]| {
        driver.call(&Command::Docker(argv.iter().map(ToString::to_string).collect())).await
    };
    let engine = ask(&["version", "--format", "{{.Server.Version}}"]).await?;
    let compose = ask(&["compose", "version", "--short"]).await?;
    let version = compose.output.join(" ");
    let compose = match too_old(&version).filter(|_| compose.is_ok()) {
        Some(why) => step(COMPOSE, CheckupResult::Failed, why, Some(PACKAGES.to_owned())),
        None if compose.is_ok() => found(COMPOSE, version, TESTED_COMPOSE),
        None => examined.without_compose(),
    };
    let engine = match engine.is_ok() {
        true => found(ENGINE, engine.output.join(" "), TESTED_ENGINE),
        false => examined.without_engine(&engine.output),
    };
    Ok([engine, compose].into_iter().chain(examined.clock(now)).collect())
}

/// A program that is there. One that the tests have not seen is a warning.
fn found(name: &str, version: String, tested: [(u32, u32); 2]) -> CheckupStep {
    match untested(&version, tested) {
        None => step(name, CheckupResult::Ok, version, None),
        Some(why) => step(name, CheckupResult::Warning, why, None),
    }
}

/// Facts about the user, the tools of Docker and its engine on a host.
#[derive(Debug, Default)]
struct Examined(BTreeMap<String, String>);

/// Difference between two clocks, in seconds, from which certificates and dates of commits may be misjudged.
const MAX_CLOCK_DIFFERENCE: i64 = 300;

impl Examined {
    /// Reads lines `KEY VALUE`.
    fn read(lines: Vec<String>) -> Self {
        let pair =
            |line: String| line.split_once(' ').map(|(key, value)| (key.to_owned(), value.trim().to_owned()));
        Self(lines.into_iter().filter_map(pair).filter(|(_, value)| !value.is_empty()).collect())
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    fn is_alpine(&self) -> bool {
        self.get("system") == Some("alpine")
    }

    /// Why the engine does not answer. `output` is that of `docker version`.
    fn without_engine(&self, output: &[String]) -> CheckupStep {
        let failed = |detail: String, help: String| step(ENGINE, CheckupResult::Failed, detail, Some(help));
        let says = |text: &str| output.iter().any(|line| line.to_lowercase().contains(text));
        let user = self.get("user").unwrap_or("<user>");
        if self.get("docker").is_none() {
            if let Some(at) = self.get("elsewhere") {
                let path = self.get("path").unwrap_or_default();
                return failed(
                    format!(
                        "docker is in {at}, which is not in the PATH of a login without a terminal: {path}"
                    ),
                    format!(
                        "on the host, as root: ln -s {at}/docker /usr/bin/docker; or set PATH in /etc/environment"
                    ),
                );
            }
            let help = match self.is_alpine() {
                true => "on the host, as root: apk add docker docker-cli-compose",
                false => "install Docker Engine: https://docs.docker.com/engine/install/",
            };
            return failed("Docker is not installed".to_owned(), help.to_owned());
        }
        let rootless = self.get("rootless").filter(|_| self.get("docker_host").is_none());
        if let Some(socket) = rootless {
            return failed(
                format!(
                    "the engine of all users does not answer the user {user}, but a rootless one of that user runs"
                ),
                format!(
                    "let sessions without a terminal use it: DOCKER_HOST=unix://{socket} in ~/.ssh/environment (with PermitUserEnvironment) or by SetEnv in sshd_config"
                ),
            );
        }
        if says("permission denied") {
            let group = self.get("socket_group").unwrap_or("docker");
            if self.get("member").is_some() {
                return failed(
                    format!("the user {user} is in the group {group}, but this session began before that"),
                    "log in again; the service of a self-hosted runner has to be restarted".to_owned(),
                );
            }
            return failed(
                format!(
                    "permission denied: the user {user} may not use Docker's socket, which belongs to the group {group}"
                ),
                format!("on the host, as root: usermod -aG {group} {user}; it counts from the next login on"),
            );
        }
        if let Some(host) = self.get("docker_host") {
            return failed(
                format!("the engine at {host}, which DOCKER_HOST of the session names, does not answer"),
                "start it, or unset DOCKER_HOST in the login files".to_owned(),
            );
        }
        if says("cannot connect to the docker daemon")
            || says("failed to connect to the docker api")
            || says("is the docker daemon running")
        {
            let help = match self.is_alpine() {
                true => "on the host, as root: rc-update add docker && service docker start",
                false => {
                    "on the host, as root: systemctl enable --now docker; `journalctl -u docker` shows why it ended"
                }
            };
            return failed("Docker is installed, but its engine does not run".to_owned(), help.to_owned());
        }
        let last =
            output.last().cloned().unwrap_or_else(|| "docker version failed without a word".to_owned());
        failed(last, "`docker version` on the host shows the same".to_owned())
    }

    /// Why there is no Compose.
    fn without_compose(&self) -> CheckupStep {
        let detail = match (self.get("docker"), self.get("standalone")) {
            (None, None) => "needs docker, which is not found".to_owned(),
            (_, Some(version)) if version.trim_start_matches('v').starts_with("1.") => {
                format!("only docker-compose {version} is there: Compose v1, which is no longer maintained")
            }
            (_, Some(version)) => format!("docker-compose {version} is there, but not as a plugin of docker"),
            (Some(_), None) => "the Compose plugin is not installed".to_owned(),
        };
        let help = match self.is_alpine() {
            true => "on the host, as root: apk add docker-cli-compose",
            false => PACKAGES,
        };
        step(COMPOSE, CheckupResult::Failed, detail, Some(help.to_owned()))
    }

    /// A warning about a clock that is wrong.
    fn clock(&self, now: i64) -> Option<CheckupStep> {
        let there: i64 = self.get("clock")?.parse().ok()?;
        let by = there - now;
        let word = if by > 0 { "ahead of" } else { "behind" };
        (by.abs() > MAX_CLOCK_DIFFERENCE).then(|| {
            let detail =
                format!("{} {word} this machine's", show_duration(Duration::from_secs(by.unsigned_abs())));
            step(
                "clock",
                CheckupResult::Warning,
                detail,
                Some("let NTP set it: timedatectl set-ntp true".to_owned()),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examined(lines: &[&str]) -> Examined {
        Examined::read(lines.iter().map(|line| (*line).to_owned()).collect())
    }

    #[test]
    fn an_engine_that_does_not_answer_has_its_cause_and_remedy() {
        let said = |lines: &[&str], output: &str| {
            let mut all = vec!["user deploy", "path /usr/bin:/bin"];
            all.extend(lines);
            let step = examined(&all).without_engine(&[output.to_owned()]);
            assert_eq!(step.result, CheckupResult::Failed);
            format!("{} [{}]", step.detail, step.help.unwrap())
        };
        let here = "docker /usr/bin/docker";
        let denied = "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock";
        let down = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?";
        let all = [
            said(&[], "sh: docker: not found"),
            said(&["system alpine"], "sh: docker: not found"),
            said(&["elsewhere /snap/bin"], "sh: docker: not found"),
            said(&[here, "socket_group docker"], denied),
            said(&[here, "socket_group docker", "member docker"], denied),
            said(&[here, "rootless /run/user/1000/docker.sock"], denied),
            said(&[here], down),
            said(&[here, "system alpine"], down),
            said(&[here, "docker_host tcp://10.0.0.1:2375"], down),
            said(&[here], "something else"),
        ];
        insta::assert_snapshot!(all.join("\n"), @"
            Docker is not installed [install Docker Engine: https://docs.docker.com/engine/install/]
            Docker is not installed [on the host, as root: apk add docker docker-cli-compose]
            docker is in /snap/bin, which is not in the PATH of a login without a terminal: /usr/bin:/bin [on the host, as root: ln -s /snap/bin/docker /usr/bin/docker; or set PATH in /etc/environment]
            permission denied: the user deploy may not use Docker's socket, which belongs to the group docker [on the host, as root: usermod -aG docker deploy; it counts from the next login on]
            the user deploy is in the group docker, but this session began before that [log in again; the service of a self-hosted runner has to be restarted]
            the engine of all users does not answer the user deploy, but a rootless one of that user runs [let sessions without a terminal use it: DOCKER_HOST=unix:///run/user/1000/docker.sock in ~/.ssh/environment (with PermitUserEnvironment) or by SetEnv in sshd_config]
            Docker is installed, but its engine does not run [on the host, as root: systemctl enable --now docker; `journalctl -u docker` shows why it ended]
            Docker is installed, but its engine does not run [on the host, as root: rc-update add docker && service docker start]
            the engine at tcp://10.0.0.1:2375, which DOCKER_HOST of the session names, does not answer [start it, or unset DOCKER_HOST in the login files]
            something else [`docker version` on the host shows the same]
            ");
    }

    #[test]
    fn a_compose_that_is_missing_is_told_from_one_that_is_old() {
        let said = |lines: &[&str]| {
            let step = examined(lines).without_compose();
            format!("{} [{}]", step.detail, step.help.unwrap())
        };
        let here = "docker /usr/bin/docker";
        let all = [
            said(&[]),
            said(&[here]),
            said(&[here, "system alpine"]),
            said(&[here, "standalone 1.29.2"]),
            said(&[here, "standalone v2.20.0"]),
        ];
        insta::assert_snapshot!(all.join("\n"), @"
            needs docker, which is not found [install docker-compose-plugin (Docker's own), docker-compose-v2 (Ubuntu) or docker-compose (Debian 13)]
            the Compose plugin is not installed [install docker-compose-plugin (Docker's own), docker-compose-v2 (Ubuntu) or docker-compose (Debian 13)]
            the Compose plugin is not installed [on the host, as root: apk add docker-cli-compose]
            only docker-compose 1.29.2 is there: Compose v1, which is no longer maintained [install docker-compose-plugin (Docker's own), docker-compose-v2 (Ubuntu) or docker-compose (Debian 13)]
            docker-compose v2.20.0 is there, but not as a plugin of docker [install docker-compose-plugin (Docker's own), docker-compose-v2 (Ubuntu) or docker-compose (Debian 13)]
            ");
    }

    #[test]
    fn a_clock_is_wrong_only_by_minutes() {
        let of = |there: i64| examined(&[&format!("clock {there}")]).clock(100_000).map(|step| step.detail);
        assert_eq!(of(100_000), None);
        assert_eq!(of(100_250), None);
        assert_eq!(of(107_200), Some("2h ahead of this machine's".to_owned()));
        assert_eq!(of(96_400), Some("1h behind this machine's".to_owned()));
        assert_eq!(examined(&[]).clock(0).map(|step| step.detail), None);
    }
}
