//! Which engine the `docker` of a host talks to, where the host itself does not say so.
//!
//! A login without a terminal reads no `~/.profile`, so a `DOCKER_HOST` that is set there does not count.

/// Engine of a host, in the words of Docker's command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerAddress {
    /// Its address, as in `DOCKER_HOST`: `unix:///run/user/1000/docker.sock`.
    Host(String),
    /// The name of a context that the host has, as in `DOCKER_CONTEXT`.
    Context(String),
}

impl DockerAddress {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// Why it is none.
    pub fn host(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "expected the address of an engine as the host reaches it, such as unix:///run/user/1000/docker.sock or tcp://127.0.0.1:2375";
        let (scheme, rest) = text.split_once("://").ok_or(EXPECTED)?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@[]%+~".contains(c);
        if !rest.chars().all(is_plain) {
            return Err(EXPECTED);
        }
        match scheme {
            "unix" if rest.starts_with('/') && rest.len() > 1 => {}
            "unix" => {
                return Err("the path of a socket starts at the top: unix:///run/user/1000/docker.sock");
            }
            "tcp" | "ssh" | "http" | "https" if rest.trim_matches('/').is_empty() => return Err(EXPECTED),
            "tcp" | "ssh" | "http" | "https" => {
                let login = rest.split_once('@').map(|(login, _)| login);
                if login.is_some_and(|login| login.contains(':')) {
                    return Err("an address must not contain a password");
                }
            }
            _ => return Err(EXPECTED),
        }
        Ok(Self::Host(text.to_owned()))
    }

    /// Reads the name of a context.
    ///
    /// # Errors
    ///
    /// Why it is none.
    pub fn context(text: &str) -> Result<Self, &'static str> {
        // Docker's own rule for names of contexts.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.+-".contains(c);
        let is_name = text.len() > 1
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(is_plain);
        if is_name {
            Ok(Self::Context(text.to_owned()))
        } else {
            Err("expected the name of a context that the host has; on the host: docker context ls")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_docker_without_passwords() {
        for text in [
            "unix:///run/user/1000/docker.sock",
            "tcp://127.0.0.1:2375",
            "tcp://[::1]:2375",
            "ssh://deploy@node",
            "https://docker.example.com:2376",
        ] {
            assert_eq!(DockerAddress::host(text), Ok(DockerAddress::Host(text.to_owned())), "{text}");
        }
        for text in [
            "",
            "/run/docker.sock",
            "unix://docker.sock",
            "unix:///",
            "tcp://",
            "npipe:////./pipe/docker",
            "unix:///run/user/$UID/docker.sock",
            "unix:///a'b",
            "unix:///a b",
            "tcp://ann:secret@node:2375",
        ] {
            let why = DockerAddress::host(text).unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn contexts_have_the_names_that_docker_allows() {
        for text in ["default", "rootless", "a1", "node.example-1+x"] {
            assert_eq!(DockerAddress::context(text), Ok(DockerAddress::Context(text.to_owned())), "{text}");
        }
        for text in ["", "a", "-x", "a b", "a/b", "a'b"] {
            assert!(DockerAddress::context(text).is_err(), "{text}");
        }
    }
}
