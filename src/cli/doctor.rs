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
use crate::host::{
    Command, Driver, FailureKind, Notices, Script, Start, Transport, chatter_in_words, engine,
};
use crate::outcome::queries::{Checkup, CheckupResult, CheckupStep, EngineFacts, EngineKind, HostCheckup};
use crate::report::render;
use crate::state::container::DockerFailure;
use crate::state::reach::{PROXY_HELP, Reach, ReachedBy, is_refusal};
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
        let mut checkup = HostCheckup { name: target.name.clone(), steps: Vec::new(), engine: None };
        look(target, &*transport, &worktree, &mut checkup).await;
        transport.close().await;
        checkup
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

async fn look(target: &Target, transport: &dyn Transport, worktree: &Worktree, checkup: &mut HostCheckup) {
    let HostCheckup { steps, engine, .. } = checkup;
    let way = match &target.address {
        HostAddress::Local { .. } => "this machine".to_owned(),
        HostAddress::Ssh { destination, .. } => format!("ssh to {destination}"),
    };
    let start = Start { lists_containers: false, docker: target.docker.as_ref() };
    let driver = match Driver::start_with(transport, start, Notices::default()).await {
        Ok(driver) => driver,
        Err(error) => return steps.push(failed(&way, error)),
    };
    // A host without `sh`, or with a login shell that prints something, fails here. A root that is closed
    // says nothing about Docker, so Docker is asked before.
    let docker = match docker(&driver, target).await {
        Ok((docker, facts)) => {
            *engine = facts;
            docker
        }
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

/// The checks of the engine, of Compose and of the clock, and the engine.
async fn docker(driver: &Driver, target: &Target) -> Result<(Vec<CheckupStep>, Option<EngineFacts>)> {
    let mut examined = Examined::read(driver.call(&Command::Script(Script::Examine)).await?.output);
    examined.is_configured = target.docker.is_some();
    examined.reach = engine::reach(driver).await?;
    let now = jiff::Timestamp::now().as_second();
    let ask = async |argv: &[&str]| {
        driver.call(&Command::Docker(argv.iter().map(ToString::to_string).collect())).await
    };
    let version = ask(&["version", "--format", VERSION_FORMAT]).await?;
    let compose = ask(&["compose", "version", "--short"]).await?;
    let printed = last(&compose.output);
    let compose = match too_old(printed).filter(|_| compose.is_ok()) {
        Some(why) => step(COMPOSE, CheckupResult::Failed, why, Some(PACKAGES.to_owned())),
        None if compose.is_ok() => found(COMPOSE, printed.to_owned(), untested(printed, TESTED_COMPOSE)),
        None => examined.without_compose(),
    };
    let (mut steps, mut facts) = (Vec::new(), None);
    if version.is_ok() {
        let info = ask(&["info", "--format", INFO_FORMAT]).await?;
        let info = info.is_ok().then(|| last(&info.output).to_owned());
        let refused = engine::refused(driver).await?;
        let engine = examined.engine(last(&version.output), info.as_deref(), refused);
        steps.extend(engine_steps(&engine, &examined));
        facts = Some(engine);
    } else {
        steps.push(examined.without_engine(&version.output));
    }
    Ok((steps.into_iter().chain([compose]).chain(examined.clock(now)).collect(), facts))
}

/// What `docker version` prints: the version of the engine, and its parts. It would turn tabs into blanks.
const VERSION_FORMAT: &str = "{{.Server.Version}}{{range .Server.Components}}|{{.Name}}{{end}}";

/// What `docker info` prints: the engine's name for its machine, and what keeps containers in their place.
const INFO_FORMAT: &str = "{{.Name}}|{{range .SecurityOptions}}{{.}} {{end}}";

/// The last line. A `docker` that is Podman's prints a remark before.
fn last(output: &[String]) -> &str {
    output.last().map(String::as_str).unwrap_or_default()
}

/// A program that is there; `untested` says that the tests have not seen it.
fn found(name: &str, version: String, untested: Option<String>) -> CheckupStep {
    match untested {
        None => step(name, CheckupResult::Ok, version, None),
        Some(why) => step(name, CheckupResult::Warning, why, None),
    }
}

/// The checks of an engine that answers.
fn engine_steps(engine: &EngineFacts, examined: &Examined) -> Vec<CheckupStep> {
    let is_docker = engine.kind == EngineKind::Docker;
    let product = if is_docker { "" } else { "Podman " };
    let words = |version: &str| {
        let mut words = format!("{product}{version}");
        if engine.rootless {
            words.push_str(", rootless");
        }
        if examined.is_configured || examined.reach.by != ReachedBy::Default {
            words.push_str(&format!(", at {}", examined.shown()));
        }
        words
    };
    let untested = untested(&engine.version, TESTED_ENGINE).filter(|_| is_docker).map(|why| words(&why));
    let mut steps = vec![match is_docker {
        true => found(ENGINE, words(&engine.version), untested),
        false => step(
            ENGINE,
            CheckupResult::Warning,
            words(&engine.version),
            Some(
                "ghdeploy is tested with Docker Engine; what is known of Podman is in the README, `Engines`"
                    .to_owned(),
            ),
        ),
    }];
    if engine.elsewhere {
        let detail = format!("the engine is on another machine than {}", examined.reach.machine);
        steps.push(step("engine's files", CheckupResult::Warning, detail, Some("services that mount paths of the host are not deployed there; deploy to that machine itself, or unset DOCKER_HOST and choose a context of this host".to_owned())));
    }
    if !engine.refused.is_empty() {
        let detail = format!("refuses {}", engine.refused.join(", "));
        steps.push(step("docker proxy", CheckupResult::Failed, detail, Some(PROXY_HELP.to_owned())));
    }
    steps
}

/// Facts about the user, the tools of Docker and its engine on a host.
#[derive(Debug, Default)]
struct Examined {
    facts: BTreeMap<String, String>,
    /// How `docker` reaches its engine.
    reach: Reach,
    /// Whether `ghdeploy.yml` names that engine.
    is_configured: bool,
}

/// Difference between two clocks, in seconds, from which certificates and dates of commits may be misjudged.
const MAX_CLOCK_DIFFERENCE: i64 = 300;

impl Examined {
    /// Reads lines `KEY VALUE`.
    fn read(lines: Vec<String>) -> Self {
        let pair =
            |line: String| line.split_once(' ').map(|(key, value)| (key.to_owned(), value.trim().to_owned()));
        let facts = lines.into_iter().filter_map(pair).filter(|(_, value)| !value.is_empty()).collect();
        Self { facts, ..Self::default() }
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.facts.get(key).map(String::as_str)
    }

    /// The address of the engine, and what names it.
    fn shown(&self) -> String {
        match self.is_configured {
            true => format!("{} (ghdeploy.yml)", self.reach.shown_address()),
            false => self.reach.shown(),
        }
    }

    /// The engine, from what `docker version` and `docker info` print.
    fn engine(&self, version: &str, info: Option<&str>, refused: Vec<&'static str>) -> EngineFacts {
        let (version, parts) = version.split_once('|').unwrap_or((version, ""));
        let (machine, security) = info.and_then(|info| info.split_once('|')).unzip();
        let reach = &self.reach;
        EngineFacts {
            kind: if parts.contains("Podman") { EngineKind::Podman } else { EngineKind::Docker },
            version: version.to_owned(),
            rootless: security.is_some_and(|security| security.contains("name=rootless")),
            address: reach.shown_address(),
            named_by: match reach.by {
                _ if self.is_configured => "ghdeploy.yml",
                ReachedBy::Default => "default",
                ReachedBy::Variable => "DOCKER_HOST",
                ReachedBy::Context(_) => "context",
            },
            context: match &reach.by {
                ReachedBy::Context(name) => Some(name.clone()),
                _ => None,
            },
            elsewhere: reach.is_elsewhere(machine),
            refused,
        }
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
        let is_named = self.is_configured || self.reach.by != ReachedBy::Default;
        if let Some(socket) = self.get("rootless").filter(|_| !is_named) {
            return failed(
                format!(
                    "the engine of all users does not answer the user {user}, but a rootless one of that user runs"
                ),
                format!(
                    "write `docker: {{host: unix://{socket}}}` for the host in ghdeploy.yml; or on the host, let every session use it: docker context create rootless --docker host=unix://{socket} && docker context use rootless"
                ),
            );
        }
        if let ReachedBy::Context(name) = &self.reach.by
            && self.reach.address.is_empty()
        {
            return failed(
                format!("the Docker context {name} does not exist for the user {user}"),
                "on the host: `docker context ls` lists them, `docker context use NAME` chooses one"
                    .to_owned(),
            );
        }
        if is_refusal(output) {
            return failed(
                format!("the proxy before Docker at {} refuses to say which engine it is", self.shown()),
                format!("{PROXY_HELP}, and VERSION=1"),
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
        if is_named {
            let help = match &self.reach.by {
                _ if self.is_configured => "start it, or name another one in ghdeploy.yml",
                ReachedBy::Context(_) => {
                    "start it, or choose another context on the host: docker context use NAME"
                }
                _ => "start it, or unset DOCKER_HOST in the login files",
            };
            return failed(format!("the engine at {} does not answer", self.shown()), help.to_owned());
        }
        if DockerFailure::of(output) == DockerFailure::NotRunning {
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
            let mut examined = examined(&all);
            examined.reach = Reach::read(&lines.iter().map(ToString::to_string).collect::<Vec<_>>());
            let step = examined.without_engine(&[output.to_owned()]);
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
            said(&[here, "by DOCKER_HOST", "address tcp://10.0.0.1:2375"], down),
            said(&[here, "context rootless", "address unix:///run/user/1000/docker.sock"], down),
            said(&[here, "context gone", "address "], "Current context \"gone\" is not found"),
            said(
                &[here, "by DOCKER_HOST", "address tcp://127.0.0.1:2375"],
                "Error response from daemon: <html><body><h1>403 Forbidden</h1>",
            ),
            said(&[here], "something else"),
        ];
        insta::assert_snapshot!(all.join("\n"), @"
            Docker is not installed [install Docker Engine: https://docs.docker.com/engine/install/]
            Docker is not installed [on the host, as root: apk add docker docker-cli-compose]
            docker is in /snap/bin, which is not in the PATH of a login without a terminal: /usr/bin:/bin [on the host, as root: ln -s /snap/bin/docker /usr/bin/docker; or set PATH in /etc/environment]
            permission denied: the user deploy may not use Docker's socket, which belongs to the group docker [on the host, as root: usermod -aG docker deploy; it counts from the next login on]
            the user deploy is in the group docker, but this session began before that [log in again; the service of a self-hosted runner has to be restarted]
            the engine of all users does not answer the user deploy, but a rootless one of that user runs [write `docker: {host: unix:///run/user/1000/docker.sock}` for the host in ghdeploy.yml; or on the host, let every session use it: docker context create rootless --docker host=unix:///run/user/1000/docker.sock && docker context use rootless]
            Docker is installed, but its engine does not run [on the host, as root: systemctl enable --now docker; `journalctl -u docker` shows why it ended]
            Docker is installed, but its engine does not run [on the host, as root: rc-update add docker && service docker start]
            the engine at tcp://10.0.0.1:2375 (DOCKER_HOST) does not answer [start it, or unset DOCKER_HOST in the login files]
            the engine at unix:///run/user/1000/docker.sock (context rootless) does not answer [start it, or choose another context on the host: docker context use NAME]
            the Docker context gone does not exist for the user deploy [on the host: `docker context ls` lists them, `docker context use NAME` chooses one]
            the proxy before Docker at tcp://127.0.0.1:2375 (DOCKER_HOST) refuses to say which engine it is [let it pass GET, POST and DELETE for containers, exec, images, networks and volumes (docker-socket-proxy: POST=1 INFO=1 CONTAINERS=1 EXEC=1 IMAGES=1 NETWORKS=1 VOLUMES=1; README, `Engines`), and VERSION=1]
            something else [`docker version` on the host shows the same]
            ");
    }

    #[test]
    fn an_engine_is_told_by_its_kind_and_by_how_it_is_reached() {
        let said = |reach: &[&str], version: &str, info: Option<&str>, refused: Vec<&'static str>| {
            let reach = Reach::read(&reach.iter().map(ToString::to_string).collect::<Vec<_>>());
            let examined = Examined { reach, ..Examined::default() };
            let steps = engine_steps(&examined.engine(version, info, refused), &examined);
            let said = |step: &CheckupStep| format!("{:?} {}: {}", step.result, step.what, step.detail);
            steps.iter().map(said).collect::<Vec<_>>().join("; ")
        };
        let docker = "28.5.2|Engine|containerd";
        let plain = "address unix:///var/run/docker.sock";
        let rootless = ["context rootless", "address unix:///run/user/1000/docker.sock", "machine node"];
        let proxy = ["by DOCKER_HOST", "address tcp://127.0.0.1:2375", "machine node"];
        let all = [
            said(&[plain], docker, Some("node|name=seccomp,profile=builtin "), vec![]),
            said(&[plain], "29.1.0|Engine", None, vec![]),
            said(&rootless, docker, Some("node|name=seccomp,profile=builtin name=rootless "), vec![]),
            said(&[plain], "5.8.6|Podman Engine|Conmon", Some("node|"), vec![]),
            said(&proxy, docker, None, vec!["POST /containers", "DELETE /volumes"]),
            said(
                &["by DOCKER_HOST", "address ssh://10.0.0.5", "machine node"],
                docker,
                Some("other|"),
                vec![],
            ),
        ];
        insta::assert_snapshot!(all.join("\n"), @"
            Ok docker engine: 28.5.2
            Warning docker engine: 29.1.0 is newer than 28.5, the newest that ghdeploy is tested with
            Ok docker engine: 28.5.2, rootless, at unix:///run/user/1000/docker.sock (context rootless)
            Warning docker engine: Podman 5.8.6
            Ok docker engine: 28.5.2, at tcp://127.0.0.1:2375 (DOCKER_HOST); Failed docker proxy: refuses POST /containers, DELETE /volumes
            Ok docker engine: 28.5.2, at ssh://10.0.0.5 (DOCKER_HOST); Warning engine's files: the engine is on another machine than node
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
