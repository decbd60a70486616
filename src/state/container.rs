//! Containers, in Docker's words.

use std::fmt;

use serde::{Deserialize, Serialize};

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
    /// Result of its healthcheck; `None` without one.
    pub health: Option<HealthStatus>,
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

#[cfg(test)]
mod tests {
    use super::*;

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
