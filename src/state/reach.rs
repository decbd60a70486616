//! How the `docker` of a host reaches its engine, and whether that engine has the files of the host.
//!
//! Pure values; [`crate::host`] fetches them.

/// Way from the `docker` of a host to its engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// The address: `unix:///var/run/docker.sock`. Empty if the context that names it does not exist.
    pub address: String,
    /// What names it.
    pub by: ReachedBy,
    /// The host's name for itself.
    pub machine: String,
}

/// What names the address of an engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ReachedBy {
    /// Nothing: it is Docker's own.
    #[default]
    Default,
    /// `DOCKER_HOST`.
    Variable,
    /// The context of this name.
    Context(String),
}

impl Reach {
    /// Reads what the driver's script `reach` prints.
    #[must_use]
    pub fn read(lines: &[String]) -> Self {
        let mut reach = Self::default();
        for (key, value) in lines.iter().filter_map(|line| line.split_once(' ')) {
            match key {
                "by" => reach.by = ReachedBy::Variable,
                "context" => reach.by = ReachedBy::Context(value.to_owned()),
                "address" => value.trim().clone_into(&mut reach.address),
                "machine" => value.clone_into(&mut reach.machine),
                _ => {}
            }
        }
        reach
    }

    /// Whether the address is that of a socket in the file system, so that the engine has the files of the host.
    #[must_use]
    pub fn is_socket(&self) -> bool {
        self.address.is_empty() || self.address.starts_with("unix:") || self.address.starts_with("fd:")
    }

    /// Whether the engine is on another machine. `name` is its name for the machine that it is on, if it says so. A
    /// proxy need not let that question through; on the loopback interface it stands before the host's own engine.
    #[must_use]
    pub fn is_elsewhere(&self, name: Option<&str>) -> bool {
        match name {
            _ if self.is_socket() => false,
            Some(name) => name != self.machine,
            None => !self.is_loopback(),
        }
    }

    fn is_loopback(&self) -> bool {
        let Some((scheme, rest)) = self.address.split_once("://") else { return false };
        let rest = rest.split('/').next().unwrap_or_default();
        let host = match rest.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or_default(),
            None => rest.split(':').next().unwrap_or_default(),
        };
        scheme != "ssh" && (host == "localhost" || host == "::1" || host.starts_with("127."))
    }

    /// The address as messages show it, without a password, and what names it: `tcp://10.0.0.5:2375 (DOCKER_HOST)`.
    #[must_use]
    pub fn shown(&self) -> String {
        let address = self.shown_address();
        match &self.by {
            ReachedBy::Default => address,
            ReachedBy::Variable => format!("{address} (DOCKER_HOST)"),
            ReachedBy::Context(name) => format!("{address} (context {name})"),
        }
    }

    /// The address without a password.
    #[must_use]
    pub fn shown_address(&self) -> String {
        let without = || {
            let (scheme, rest) = self.address.split_once("://")?;
            let (login, host) = rest.split_once('@')?;
            let (user, _) = login.split_once(':')?;
            Some(format!("{scheme}://{user}:***@{host}"))
        };
        without().unwrap_or_else(|| self.address.clone())
    }
}

/// Whether something between `docker` and the engine has refused a request, such as a proxy that lets only some of them
/// through. `output` is what `docker` or Compose has printed. A registry that refuses is quoted in other words.
#[must_use]
pub fn is_refusal(output: &[String]) -> bool {
    let says = |line: &String| {
        let Some((_, said)) = line.split_once("Error response from daemon: ") else {
            return line.contains("Forbidden for API route");
        };
        said.starts_with('<') && said.contains("403 Forbidden")
            || said.trim() == "Forbidden"
            || said.starts_with("authorization denied by plugin ")
    };
    output.iter().any(says)
}

/// What a proxy that refuses a request must let through, as help.
pub const PROXY_HELP: &str = "let it pass GET, POST and DELETE for containers, exec, images, networks and volumes (docker-socket-proxy: POST=1 INFO=1 CONTAINERS=1 EXEC=1 IMAGES=1 NETWORKS=1 VOLUMES=1; README, `Engines`)";

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> Reach {
        let lines = ["by DOCKER_HOST".to_owned(), format!("address {address}"), "machine node".to_owned()];
        Reach::read(&lines)
    }

    #[test]
    fn only_an_engine_of_the_same_machine_has_its_files() {
        for (address, name, is_elsewhere) in [
            ("unix:///run/user/1000/docker.sock", None, false),
            ("unix:///var/run/docker.sock", Some("other"), false),
            ("tcp://127.0.0.1:2375", None, false),
            ("tcp://localhost:2375", Some("node"), false),
            ("tcp://[::1]:2375/", None, false),
            // A tunnel.
            ("tcp://127.0.0.1:2375", Some("other"), true),
            ("tcp://172.18.0.2:2375", Some("node"), false),
            ("tcp://172.18.0.2:2375", None, true),
            ("ssh://deploy@10.0.0.5", None, true),
            ("ssh://localhost", None, true),
            ("ssh://localhost", Some("node"), false),
            ("", None, false),
        ] {
            assert_eq!(at(address).is_elsewhere(name), is_elsewhere, "{address} {name:?}");
        }
    }

    #[test]
    fn a_proxy_that_refuses_is_told_from_a_registry_that_does() {
        for (line, is_proxy) in [
            ("Error response from daemon: <html><body><h1>403 Forbidden</h1>", true),
            ("Error response from daemon: Forbidden", true),
            ("Error response from daemon: authorization denied by plugin opa: no", true),
            ("request returned 403 Forbidden for API route and version http://x/v1.44/info, check", true),
            (
                "Error response from daemon: unexpected status from HEAD request to https://ghcr.io/v2/a/manifests/1: 403 Forbidden",
                false,
            ),
            ("Error response from daemon: No such container: ghdeploy-asks-whether-it-may", false),
        ] {
            assert_eq!(is_refusal(&[line.to_owned()]), is_proxy, "{line}");
        }
    }

    #[test]
    fn what_names_an_address_is_shown_and_no_password() {
        assert_eq!(at("tcp://10.0.0.5:2375").shown(), "tcp://10.0.0.5:2375 (DOCKER_HOST)");
        assert_eq!(at("tcp://ann:hunter2@node:1").shown(), "tcp://ann:***@node:1 (DOCKER_HOST)");
        let context = ["context ci".to_owned(), "address unix:///x.sock".to_owned()];
        assert_eq!(Reach::read(&context).shown(), "unix:///x.sock (context ci)");
        assert_eq!(Reach::read(&["address unix:///var/run/docker.sock".to_owned()]).by, ReachedBy::Default);
    }
}
