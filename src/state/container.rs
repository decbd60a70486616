//! Containers, in Docker's words.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::reach::is_refusal;

/// Container of a Compose project, as `docker inspect` reports it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Container {
    /// Docker's id, 64 hex digits.
    pub id: String,
    /// Its name, with the leading slash that Docker gives it.
    pub name: String,
    /// Compose's project name.
    pub project: String,
    /// The service.
    pub service: String,
    /// `True` for a container of `docker compose run`.
    pub oneoff: String,
    /// The container that this one was to replace when a recreate was interrupted; otherwise empty.
    pub replaces: String,
    /// The id of the image that it runs.
    pub image: String,
    /// The image as the definition names it.
    pub image_name: String,
    /// What it does now.
    pub state: ContainerState,
    /// The exit status, if it has exited.
    pub exit_code: i64,
    /// How often Docker has restarted it under its restart policy.
    pub restarts: u64,
    /// Creation time, RFC 3339.
    pub created: String,
    /// Time of the last start, RFC 3339.
    pub started: String,
    /// Grace period when it is stopped, in seconds; `None`: Docker's default.
    pub stop_timeout: Option<i64>,
    /// Its restart policy, in Docker's word; empty if it is unknown.
    #[serde(default)]
    pub restart_policy: String,
    /// Result of its healthcheck; `None` without one.
    pub health: Option<HealthStatus>,
    /// Its healthcheck, be it from the definition or from the image.
    #[serde(default)]
    pub healthcheck: Option<Healthcheck>,
    /// Exit status of the last run of its healthcheck.
    #[serde(default)]
    pub probe: Option<i64>,
}

/// Numbers of a healthcheck, in nanoseconds; 0 stands for Docker's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Healthcheck {
    /// Time between two runs.
    pub interval: u64,
    /// Longest time that a run may take.
    pub timeout: u64,
    /// Time after the start in which failures do not count.
    pub start_period: u64,
    /// Number of failures in a row after which a container is unhealthy.
    pub retries: u64,
}

impl Healthcheck {
    /// Time between two runs.
    #[must_use]
    pub fn interval(&self) -> Duration {
        nanos_or(self.interval, 30)
    }

    /// Time within which Docker has decided whether a container is healthy: the start period, then the failures
    /// that are allowed, and one more run.
    #[must_use]
    pub fn decides_within(&self) -> Duration {
        // Docker's defaults: https://docs.docker.com/reference/dockerfile/#healthcheck
        let run = self.interval().saturating_add(nanos_or(self.timeout, 30));
        let runs = if self.retries == 0 { 3 } else { self.retries };
        let runs = u32::try_from(runs.saturating_add(1)).unwrap_or(u32::MAX);
        Duration::from_nanos(self.start_period).saturating_add(run.saturating_mul(runs))
    }
}

fn nanos_or(nanos: u64, default_secs: u64) -> Duration {
    if nanos == 0 { Duration::from_secs(default_secs) } else { Duration::from_nanos(nanos) }
}

impl Container {
    /// Whether it was made by `docker compose run` and not by `up`.
    #[must_use]
    pub fn is_oneoff(&self) -> bool {
        self.oneoff == "True"
    }

    /// Whether it belongs to this service of Compose's `project`.
    #[must_use]
    pub fn is_of(&self, project: &str, service: &str) -> bool {
        self.project == project && self.service == service
    }

    /// Its name without the slash.
    #[must_use]
    pub fn plain_name(&self) -> &str {
        self.name.trim_start_matches('/')
    }

    /// The first 12 digits of its id, by which Docker lists it.
    #[must_use]
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }

    /// Whether it exited with status 0.
    #[must_use]
    pub fn has_succeeded(&self) -> bool {
        self.state == ContainerState::Exited && self.exit_code == 0
    }
}

/// State of a container
/// ([`State.Status`](https://docs.docker.com/reference/api/engine/version/v1.47/#tag/Container/operation/ContainerInspect)
/// of the Engine API).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum ContainerState {
    /// `created`: made, never started.
    #[default]
    Created,
    /// `running`.
    Running,
    /// `paused`.
    Paused,
    /// `restarting`: it exited, and Docker starts it again.
    Restarting,
    /// `removing`.
    Removing,
    /// `exited`.
    Exited,
    /// `dead`: it could not be removed entirely.
    Dead,
    /// A word that this version does not know.
    Other(String),
}

impl ContainerState {
    fn as_str(&self) -> &str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for ContainerState {
    fn from(word: String) -> Self {
        match word.as_str() {
            "created" => Self::Created,
            "running" => Self::Running,
            "paused" => Self::Paused,
            "restarting" => Self::Restarting,
            "removing" => Self::Removing,
            "exited" => Self::Exited,
            "dead" => Self::Dead,
            _ => Self::Other(word),
        }
    }
}

impl From<ContainerState> for String {
    fn from(state: ContainerState) -> Self {
        state.as_str().to_owned()
    }
}

impl fmt::Display for ContainerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Result of a healthcheck
/// ([`State.Health.Status`](https://docs.docker.com/reference/api/engine/version/v1.47/#tag/Container/operation/ContainerInspect)
/// of the Engine API).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum HealthStatus {
    /// `starting`: it has not passed yet.
    Starting,
    /// `healthy`.
    Healthy,
    /// `unhealthy`.
    Unhealthy,
    /// A word that this version does not know.
    Other(String),
}

impl HealthStatus {
    fn as_str(&self) -> &str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for HealthStatus {
    fn from(word: String) -> Self {
        match word.as_str() {
            "starting" => Self::Starting,
            "healthy" => Self::Healthy,
            "unhealthy" => Self::Unhealthy,
            _ => Self::Other(word),
        }
    }
}

impl From<HealthStatus> for String {
    fn from(status: HealthStatus) -> Self {
        status.as_str().to_owned()
    }
}

impl fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Container of a Compose project, as `docker ps` lists it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedContainer {
    /// The first 12 digits of Docker's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Compose's project name.
    pub project: String,
    /// The service.
    pub service: String,
    /// Its number among the containers of the service, counted from 1; 0 if Compose gave it none.
    pub number: u32,
    /// Whether it was made by `docker compose run` and not by `up`.
    pub is_oneoff: bool,
    /// What it does now.
    pub state: ContainerState,
    /// The exit status, if it has exited.
    pub exit_code: Option<i64>,
    /// Result of its healthcheck; `None` without one.
    pub health: Option<HealthStatus>,
    /// For how long it has been in that state, in Docker's words: `3 hours`. Empty if it never started.
    pub since: String,
    /// The ports of the host that it publishes while it runs.
    pub ports: Vec<PublishedPort>,
    /// The image as the definition names it, or its id if that name means another image by now.
    pub image: String,
    /// The networks that it is in. Empty if it uses those of another container.
    pub networks: Vec<String>,
    /// The folder of the compose files that it was made from, absolute.
    pub working_dir: String,
    /// What only an inspection shows. Containers that run in networks of their own, and those that have exited
    /// with status 0, are not inspected.
    pub inspected: Option<Inspected>,
}

/// What `docker inspect` shows of a container beyond [`ListedContainer`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspected {
    /// Its restart policy, in Docker's word.
    pub policy: String,
    /// How often Docker restarts it under `on-failure`; 0: without limit.
    pub max_restarts: u64,
    /// How often Docker has restarted it since it was started by a command.
    pub restarts: u64,
    /// Its network: `bridge`, `host`, `container:ID` …
    pub network_mode: String,
    /// Its process namespace.
    pub pid_mode: String,
    /// Its IPC namespace.
    pub ipc_mode: String,
    /// Why Docker could not start it; empty if it could. It may hold paths and arguments: never show it.
    pub error: String,
}

/// Port of a container that the host publishes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PublishedPort {
    /// The address on the host: `0.0.0.0`, `[::]`, `127.0.0.1`.
    pub address: String,
    /// The first port on the host.
    pub first: u16,
    /// The last port on the host.
    pub last: u16,
    /// The port, or the range, in the container: `80`, `80-90`.
    pub container: String,
    /// The protocol, such as `tcp` or `udp`.
    pub protocol: String,
}

/// What is known of the containers of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Containers {
    /// Nothing: Docker was not asked.
    #[default]
    NotAsked,
    /// Nothing: Docker did not list them.
    Unknown(DockerFailure),
    /// All of them, of every Compose project.
    Known(Vec<ListedContainer>),
}

/// Why Docker did not list the containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DockerFailure {
    /// The host has no `docker`.
    NotInstalled,
    /// Docker Engine is not running.
    NotRunning,
    /// The user of the connection may not use it.
    Forbidden,
    /// A proxy before the engine refused it.
    Refused,
    /// It did not answer in time.
    NoAnswer,
    /// For another reason.
    Other,
}

impl DockerFailure {
    /// The reason in what `docker` printed.
    #[must_use]
    pub fn of(output: &[String]) -> Self {
        let says = |needle: &str| output.iter().any(|line| line.contains(needle));
        if says("docker: not found") || says("docker: command not found") {
            Self::NotInstalled
        } else if says("permission denied while trying to connect") {
            Self::Forbidden
        } else if is_refusal(output) {
            Self::Refused
        } else if [
            "Cannot connect to the Docker daemon",
            "Is the docker daemon running",
            "failed to connect to the docker API",
            "unable to resolve docker endpoint",
        ]
        .into_iter()
        .any(says)
        {
            Self::NotRunning
        } else {
            Self::Other
        }
    }
}

impl Containers {
    /// The containers, unless nothing is known.
    #[must_use]
    pub fn known(&self) -> Option<&[ListedContainer]> {
        match self {
            Self::Known(containers) => Some(containers),
            Self::NotAsked | Self::Unknown(_) => None,
        }
    }
}

impl ListedContainer {
    /// Whether it was made by `up` for this service of Compose's `project`.
    #[must_use]
    pub fn is_of(&self, project: &str, service: &str) -> bool {
        self.project == project && self.service == service && !self.is_oneoff
    }
}

/// Reads the line in which the driver reports a container: ID, NAME, PROJECT, SERVICE, NUMBER, ONEOFF, STATE,
/// STATUS, PORTS, IMAGE, NETWORKS and FOLDER, separated by tabs. Returns `None` for other lines: Docker may
/// print warnings, too.
#[must_use]
pub fn read_listed(line: &str) -> Option<ListedContainer> {
    let fields: Vec<&str> = line.splitn(12, '\t').collect();
    let &[id, name, project, service, number, oneoff, state, status, ports, image, networks, folder] =
        fields.as_slice()
    else {
        return None;
    };
    let (exit_code, health, since) = read_status(status);
    Some(ListedContainer {
        id: id.to_owned(),
        // Others are names by which linked containers know it.
        name: name.split(',').find(|name| !name.contains('/')).unwrap_or(name).to_owned(),
        project: project.to_owned(),
        service: service.to_owned(),
        number: number.parse().unwrap_or_default(),
        is_oneoff: oneoff == "True",
        state: state.to_owned().into(),
        exit_code,
        health,
        since,
        ports: read_ports(ports),
        image: image.to_owned(),
        networks: networks.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        working_dir: folder.to_owned(),
        inspected: None,
    })
}

/// Reads the line in which the driver reports more about a container: ID, POLICY, RETRIES, RESTARTS, NETWORK,
/// PID, IPC and ERROR, separated by tabs. Returns the first 12 digits of the id with it.
#[must_use]
pub fn read_inspected(line: &str) -> Option<(&str, Inspected)> {
    let fields: Vec<&str> = line.splitn(8, '\t').collect();
    let &[id, policy, max_restarts, restarts, network, pid, ipc, error] = fields.as_slice() else {
        return None;
    };
    let inspected = Inspected {
        policy: policy.to_owned(),
        max_restarts: max_restarts.parse().unwrap_or_default(),
        restarts: restarts.parse().unwrap_or_default(),
        network_mode: network.to_owned(),
        pid_mode: pid.to_owned(),
        ipc_mode: ipc.to_owned(),
        error: error.to_owned(),
    };
    Some((id.get(..12)?, inspected))
}

/// Exit status, health and duration in a text such as `Exited (137) 3 hours ago` or `Up 3 hours (healthy)`
/// ([source](https://github.com/moby/moby/blob/v20.10.24/container/state.go#L114)).
fn read_status(status: &str) -> (Option<i64>, Option<HealthStatus>, String) {
    let (before, in_brackets, after) = match status.split_once(" (").and_then(|(before, rest)| {
        let (inside, after) = rest.split_once(')')?;
        Some((before, inside, after))
    }) {
        Some(parts) => parts,
        None => (status, "", ""),
    };
    if let Some(since) = before.strip_prefix("Up ") {
        let health = match in_brackets {
            "" | "Paused" => None,
            word => Some(word.strip_prefix("health: ").unwrap_or(word).to_owned().into()),
        };
        return (None, health, since.to_owned());
    }
    let since = after.trim().trim_end_matches(" ago").to_owned();
    (in_brackets.parse().ok(), None, since)
}

/// Reads `0.0.0.0:80->80/tcp, [::]:80->80/tcp, 90/tcp`. Ports that are not published are left out.
fn read_ports(text: &str) -> Vec<PublishedPort> {
    let port = |text: &str| {
        let (host, container) = text.split_once("->")?;
        let (address, ports) = host.rsplit_once(':')?;
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let (container, protocol) = container.split_once('/').unwrap_or((container, "tcp"));
        Some(PublishedPort {
            address: if address == "::" { "[::]".to_owned() } else { address.to_owned() },
            first: first.parse().ok()?,
            last: last.parse().ok()?,
            container: container.to_owned(),
            protocol: protocol.to_owned(),
        })
    };
    text.split(", ").filter_map(port).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_docker_ps_is_a_container() {
        let line = "0123456789ab\tblog-web-1\tblog\tweb\t1\tFalse\trunning\tUp 3 hours (health: starting)\t\
                    0.0.0.0:8080->80/tcp, :::8080->80/tcp, [::1]:53-54->53-54/udp, 90/tcp\tweb:1\tblog_default,proxy\t/srv/a\tb";
        let container = read_listed(line).unwrap();
        assert_eq!(container.name, "blog-web-1");
        assert!(container.is_of("blog", "web"));
        assert_eq!((container.number, container.exit_code), (1, None));
        assert_eq!(container.health, Some(HealthStatus::Starting));
        assert_eq!(container.since, "3 hours");
        assert_eq!(container.networks, ["blog_default", "proxy"]);
        assert_eq!(container.working_dir, "/srv/a\tb");
        let ports: Vec<String> = container
            .ports
            .iter()
            .map(|p| format!("{} {}-{} {} {}", p.address, p.first, p.last, p.container, p.protocol))
            .collect();
        assert_eq!(ports, ["0.0.0.0 8080-8080 80 tcp", "[::] 8080-8080 80 tcp", "[::1] 53-54 53-54 udp"]);
        assert_eq!(read_listed("WARNING: Error loading config file"), None);
    }

    #[test]
    fn the_words_of_docker_about_a_state_are_understood() {
        let read = |status: &str| {
            let (exit_code, health, since) = read_status(status);
            format!("{exit_code:?} {:?} {since}", health.map(|health| health.to_string()))
        };
        assert_eq!(read("Up 3 hours"), "None None 3 hours");
        assert_eq!(read("Up About a minute (healthy)"), "None Some(\"healthy\") About a minute");
        assert_eq!(read("Up Less than a second (unhealthy)"), "None Some(\"unhealthy\") Less than a second");
        assert_eq!(read("Up 2 days (Paused)"), "None None 2 days");
        assert_eq!(read("Exited (137) 3 weeks ago"), "Some(137) None 3 weeks");
        assert_eq!(read("Restarting (1) 5 seconds ago"), "Some(1) None 5 seconds");
        assert_eq!(read("Created"), "None None ");
        assert_eq!(read("Dead"), "None None ");
        assert_eq!(read("Removal In Progress"), "None None ");
        assert_eq!(read(""), "None None ");
    }

    #[test]
    fn a_line_of_docker_inspect_is_about_a_container() {
        let id = "0123456789abcdef".repeat(4);
        let line = format!("{id}\ton-failure\t3\t2\tcontainer:77\t\tprivate\tport is\ttaken");
        let (short, inspected) = read_inspected(&line).unwrap();
        assert_eq!(short, "0123456789ab");
        assert_eq!(
            (inspected.policy.as_str(), inspected.max_restarts, inspected.restarts),
            ("on-failure", 3, 2)
        );
        assert_eq!((inspected.network_mode.as_str(), inspected.pid_mode.as_str()), ("container:77", ""));
        assert_eq!(inspected.error, "port is\ttaken");
        assert_eq!(read_inspected("Error: No such container: x"), None);
    }

    #[test]
    fn every_word_of_docker_survives_a_round_trip() {
        for word in ["created", "running", "paused", "restarting", "removing", "exited", "dead", "thawing"] {
            assert_eq!(String::from(ContainerState::from(word.to_owned())), word);
            assert_eq!(
                matches!(ContainerState::from(word.to_owned()), ContainerState::Other(_)),
                word == "thawing"
            );
        }
        for word in ["starting", "healthy", "unhealthy", "none"] {
            assert_eq!(String::from(HealthStatus::from(word.to_owned())), word);
        }
    }
}
