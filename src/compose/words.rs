//! Types for words of Compose that several parts of the reader compare.

use std::fmt;

use super::yaml::{Map, Node};

/// Directory in which a container sees its secrets.
const SECRETS_DIR: &str = "/run/secrets";

/// Kind of a top-level element that services refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ResourceKind {
    /// An element of `networks:`.
    Network,
    /// An element of `volumes:`.
    Volume,
    /// An element of `configs:`.
    Config,
    /// An element of `secrets:`.
    Secret,
    /// An element of `models:`.
    Model,
}

impl ResourceKind {
    /// The singular, for messages and digests.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Config => "config",
            Self::Secret => "secret",
            Self::Model => "model",
        }
    }

    /// The key, both at the top level and in a service.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Network => "networks",
            Self::Volume => "volumes",
            Self::Config => "configs",
            Self::Secret => "secrets",
            Self::Model => "models",
        }
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Type of a mount, the `type` of an item of a service's `volumes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MountType {
    /// A file or directory of the host.
    Bind,
    /// A named or anonymous volume.
    Volume,
    /// `tmpfs`, `npipe`, `cluster`, `image` or a newer type, which mounts no file of the repository.
    Other,
}

impl MountType {
    /// The type of a mount in long form.
    pub(super) fn of(mount: &Map) -> Self {
        match mount.get("type").and_then(|entry| Node::as_str(&entry.node)) {
            Some("bind") => Self::Bind,
            Some("volume") => Self::Volume,
            _ => Self::Other,
        }
    }
}

/// Path in a container of a secret whose target is a name.
pub(super) fn secret_path(name: &str) -> String {
    format!("{SECRETS_DIR}/{name}")
}
