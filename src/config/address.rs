//! Addresses of hosts.
//!
//! Owns the notation of hosts in `ghdeploy.yml` and `--host`, and which directories may be a root. Refuses
//! text that `ssh` would take as an option. Never connects, and never reads `~/.ssh/config`.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// Address of a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostAddress {
    /// Over SSH.
    Ssh {
        /// A name, an address or an alias of `~/.ssh/config`; an IPv6 address without brackets.
        destination: String,
        /// The user; `None` leaves it to `ssh`.
        user: Option<String>,
        /// The port; `None` leaves it to `ssh`.
        port: Option<u16>,
    },
    /// This machine, such as a self-hosted runner on the node itself.
    Local {
        /// The root, if given as `local:/path`.
        root: Option<HostRoot>,
    },
}

/// Reason why a text is not the address of a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// A required part is missing.
    #[error("`{0}` names no host; write `user@address`, `user@address:port`, an SSH alias or `local`")]
    Empty(String),
    /// `ssh` would take it as an option.
    #[error("`{0}` starts with `-`, which ssh takes as an option")]
    Option(String),
    /// White space, a control character or a slash.
    #[error("`{0}` holds a character that is not allowed in a host or user name")]
    Character(String),
    /// A URL.
    #[error("`{0}` is a URL; write `user@address:port`")]
    Url(String),
    /// A password.
    #[error(
        "`{0}` has a password, which ssh takes from nowhere; write `user@address:port`, and log in with a key"
    )]
    Password(String),
    /// An IPv6 address without brackets, whose port is ambiguous.
    #[error("`{0}` has several colons; write an IPv6 address in brackets: `user@[2001:db8::1]:22`")]
    Brackets(String),
    /// The text in brackets is not an IPv6 address.
    #[error("`{0}` has no IPv6 address in its brackets")]
    Ipv6(String),
    /// The port is not a number from 1 to 65535.
    #[error("`{0}` has no port number from 1 to 65535 after its colon")]
    Port(String),
    /// The path after `local:` cannot be a root.
    #[error(transparent)]
    Root(#[from] RootError),
}

impl FromStr for HostAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text == "local" {
            return Ok(Self::Local { root: None });
        }
        if let Some(root) = text.strip_prefix("local:") {
            return Ok(Self::Local { root: Some(root.parse()?) });
        }
        let shown = || without_password(text);
        if text.contains("://") {
            return Err(AddressError::Url(shown()));
        }
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, text),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err(AddressError::Password(shown()));
        }
        let (destination, port) = split_port(text, rest)?;
        for part in user.into_iter().chain([destination]) {
            if part.is_empty() {
                return Err(AddressError::Empty(shown()));
            }
            if part.starts_with('-') {
                return Err(AddressError::Option(shown()));
            }
            if part.contains(|c: char| {
                c.is_whitespace()
                    || c.is_control()
                    || matches!(c, '/' | '\'' | '"' | '`' | '$' | ';' | '|' | '&' | '<' | '>' | '(' | ')')
            }) {
                return Err(AddressError::Character(text.escape_debug().to_string()));
            }
        }
        Ok(Self::Ssh { destination: destination.to_owned(), user: user.map(str::to_owned), port })
    }
}

/// The text as it may be shown: the user part of a URL may have a password.
fn without_password(text: &str) -> String {
    let Some((user, rest)) = text.rsplit_once('@') else { return text.to_owned() };
    let start = user.find("://").map_or(0, |at| at + 3);
    match user[start..].find(':') {
        Some(colon) => format!("{}***@{rest}", &user[..=start + colon]),
        None => text.to_owned(),
    }
}

/// Splits the text after the user into destination and port.
fn split_port<'a>(text: &str, rest: &'a str) -> Result<(&'a str, Option<u16>), AddressError> {
    let (destination, port) = if let Some(inner) = rest.strip_prefix('[') {
        let (address, after) = inner.split_once(']').ok_or_else(|| AddressError::Ipv6(text.to_owned()))?;
        // ssh checks the zone (`fe80::1%eth0`).
        let bare = address.split_once('%').map_or(address, |(bare, _)| bare);
        if bare.parse::<Ipv6Addr>().is_err() {
            return Err(AddressError::Ipv6(text.to_owned()));
        }
        match after.strip_prefix(':') {
            Some(port) => (address, Some(port)),
            None if after.is_empty() => (address, None),
            None => return Err(AddressError::Port(text.to_owned())),
        }
    } else {
        match rest.split_once(':') {
            Some((_, port)) if port.contains(':') => return Err(AddressError::Brackets(text.to_owned())),
            Some((destination, port)) => (destination, Some(port)),
            None => (rest, None),
        }
    };
    let port = match port {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => match port.parse() {
            Ok(0) | Err(_) => return Err(AddressError::Port(text.to_owned())),
            Ok(number) => Some(number),
        },
        Some(_) => return Err(AddressError::Port(text.to_owned())),
        None => None,
    };
    Ok((destination, port))
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { root: None } => f.write_str("local"),
            Self::Local { root: Some(root) } => write!(f, "local:{root}"),
            Self::Ssh { destination, user, port } => {
                if let Some(user) = user {
                    write!(f, "{user}@")?;
                }
                if destination.contains(':') {
                    write!(f, "[{destination}]")?;
                } else {
                    f.write_str(destination)?;
                }
                port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
        }
    }
}

/// Directory on a host that holds the projects: absolute, without `..`, and not `/` itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostRoot(String);

/// Reason why a text cannot be a root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// It is not absolute.
    #[error("root `{0}` is not an absolute path")]
    Relative(String),
    /// It is `/`.
    #[error("root `/` is the whole host; name a directory for the projects")]
    Whole,
    /// It holds `..`.
    #[error("root `{0}` holds `..`")]
    DotDot(String),
    /// It holds a control character.
    #[error("root `{0}` holds a control character")]
    Control(String),
}

impl Default for HostRoot {
    /// `/srv/services`.
    fn default() -> Self {
        Self("/srv/services".to_owned())
    }
}

impl HostRoot {
    /// The path, without a trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostRoot {
    type Err = RootError;

    fn from_str(text: &str) -> Result<Self, RootError> {
        if text.contains(char::is_control) {
            return Err(RootError::Control(text.escape_debug().to_string()));
        }
        if !text.starts_with('/') {
            return Err(RootError::Relative(text.to_owned()));
        }
        let mut path = String::with_capacity(text.len());
        for part in text.split('/').filter(|part| !matches!(*part, "" | ".")) {
            if part == ".." {
                return Err(RootError::DotDot(text.to_owned()));
            }
            path.push('/');
            path.push_str(part);
        }
        if path.is_empty() { Err(RootError::Whole) } else { Ok(Self(path)) }
    }
}

impl fmt::Display for HostRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ssh(user: Option<&str>, destination: &str, port: Option<u16>) -> HostAddress {
        HostAddress::Ssh { destination: destination.to_owned(), user: user.map(str::to_owned), port }
    }

    #[test]
    fn every_form_is_read_and_written_back() {
        for (text, address) in [
            ("db", ssh(None, "db", None)),
            ("deploy@203.0.113.10", ssh(Some("deploy"), "203.0.113.10", None)),
            ("deploy@web.example.org:2222", ssh(Some("deploy"), "web.example.org", Some(2222))),
            ("web:22", ssh(None, "web", Some(22))),
            ("[2001:db8::1]", ssh(None, "2001:db8::1", None)),
            ("root@[fe80::1%eth0]:22", ssh(Some("root"), "fe80::1%eth0", Some(22))),
            ("me@corp@jump", ssh(Some("me@corp"), "jump", None)),
            ("local", HostAddress::Local { root: None }),
            ("local:/srv/x", HostAddress::Local { root: Some("/srv/x".parse().unwrap()) }),
        ] {
            assert_eq!(text.parse(), Ok(address.clone()), "{text}");
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn text_that_ssh_would_take_as_an_option_is_refused() {
        for text in ["-oProxyCommand=x", "-l@web", "me@-web", "-p:22"] {
            assert!(matches!(text.parse::<HostAddress>(), Err(AddressError::Option(_))), "{text}");
        }
    }

    #[test]
    fn an_invalid_address_is_refused_with_the_reason() {
        let err = |text: &str| text.parse::<HostAddress>().unwrap_err();
        assert!(matches!(err(""), AddressError::Empty(_)));
        assert!(matches!(err("@web"), AddressError::Empty(_)));
        assert!(matches!(err("me@"), AddressError::Empty(_)));
        assert_eq!(err("me:hunter2@web"), AddressError::Password("me:***@web".to_owned()));
        assert_eq!(err("ssh://me:hun:t@er2@web/x"), AddressError::Url("ssh://me:***@web/x".to_owned()));
        assert!(matches!(err("me@web:"), AddressError::Port(_)));
        assert!(matches!(err("web:0"), AddressError::Port(_)));
        assert!(matches!(err("web:65536"), AddressError::Port(_)));
        assert!(matches!(err("web:+22"), AddressError::Port(_)));
        assert!(matches!(err("2001:db8::1"), AddressError::Brackets(_)));
        assert!(matches!(err("[web]:22"), AddressError::Ipv6(_)));
        assert!(matches!(err("[::1]22"), AddressError::Port(_)));
        assert!(matches!(err("a b"), AddressError::Character(_)));
        assert!(matches!(err("web\n"), AddressError::Character(_)));
        assert!(matches!(err("$(touch x)"), AddressError::Character(_)));
        assert!(matches!(err("ssh://web"), AddressError::Url(_)));
        assert!(matches!(err("local:srv"), AddressError::Root(RootError::Relative(_))));
    }

    #[test]
    fn a_root_is_absolute_and_not_the_whole_host() {
        assert_eq!("/srv//services/./".parse::<HostRoot>().unwrap().as_str(), "/srv/services");
        assert_eq!("/srv/my services".parse::<HostRoot>().unwrap().as_str(), "/srv/my services");
        for text in ["/", "//", "/."] {
            assert_eq!(text.parse::<HostRoot>(), Err(RootError::Whole), "{text}");
        }
        assert!(matches!("srv".parse::<HostRoot>(), Err(RootError::Relative(_))));
        assert!(matches!("~/srv".parse::<HostRoot>(), Err(RootError::Relative(_))));
        assert!(matches!("/srv/../etc".parse::<HostRoot>(), Err(RootError::DotDot(_))));
        assert!(matches!("/srv\n".parse::<HostRoot>(), Err(RootError::Control(_))));
    }
}
