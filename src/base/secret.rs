//! Secret values.
//!
//! Owns the type that no message, log or `Debug` can show. A caller that needs the value calls
//! [`Secret::reveal`], which is easy to search for.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// Text that neither `Debug` nor `Display` shows.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. It must not reach argv, logs, errors, plans or comments.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Whether a text has the hash of a password in the form of `htpasswd`, `mkpasswd` and the like: `$apr1$…`,
/// `$2y$05$…`, `$6$…`, `$argon2id$…`, also with each `$` doubled.
#[must_use]
pub fn has_password_hash(text: &str) -> bool {
    const KINDS: [&str; 14] =
        ["1", "2", "2a", "2b", "2x", "2y", "5", "6", "7", "y", "apr1", "argon2d", "argon2i", "argon2id"];
    let text = text.replace("$$", "$");
    let parts: Vec<&str> = text.split('$').skip(1).collect();
    let length =
        |part: &str| part.chars().take_while(|c| c.is_ascii_alphanumeric() || "./+=,-_".contains(*c)).count();
    parts.windows(3).any(|part| KINDS.contains(&part[0]) && length(part[1]) > 0 && length(part[2]) >= 8)
}

/// Variables of a workflow run that hold tokens.
const TOKENS: [&str; 6] = [
    "GITHUB_TOKEN",
    "GH_TOKEN",
    "GH_ENTERPRISE_TOKEN",
    "GITHUB_ENTERPRISE_TOKEN",
    "ACTIONS_RUNTIME_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
];

/// The variables that the configuration names.
static NAMED: OnceLock<Vec<String>> = OnceLock::new();

/// Notes the environment variables that the configuration names as secret. Later calls change nothing.
pub fn note_secret_variables(names: Vec<String>) {
    let _ = NAMED.set(names);
}

/// Those of these environment variables that hold secrets of this program. A program that it starts has no
/// use for them, and other processes of the same user can read the environment of that program.
pub fn secret_variables(names: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let is_secret = |name: &OsStr| {
        let name = name.to_string_lossy();
        // GitHub's runner passes the inputs of an action as INPUT_*.
        name.starts_with("GHDEPLOY_")
            || name.starts_with("INPUT_")
            || name.to_ascii_uppercase().contains("WEBHOOK")
            || TOKENS.contains(&&*name)
            || NAMED.get().is_some_and(|named| named.iter().any(|other| *other == name))
    };
    names.filter(|name| is_secret(name)).collect()
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_hold_secrets_are_recognised() {
        note_secret_variables(vec!["DEPLOY_ADDRESS".to_owned()]);
        let names = [
            "GHDEPLOY_SSH_KEY",
            "PATH",
            "GITHUB_TOKEN",
            "SLACK_WEBHOOK_URL",
            "AWS_PROFILE",
            "DEPLOY_ADDRESS",
            "GITHUB_SHA",
            "INPUT_SSH-KEY",
        ];
        let found = secret_variables(names.iter().map(OsString::from));
        assert_eq!(
            found,
            ["GHDEPLOY_SSH_KEY", "GITHUB_TOKEN", "SLACK_WEBHOOK_URL", "DEPLOY_ADDRESS", "INPUT_SSH-KEY"]
        );
    }

    #[test]
    fn hashes_of_passwords_are_recognised() {
        for hash in [
            "ann:$apr1$x8vH2f1k$Qb0n0hUuZyIh5sYl1v3aB.",
            "$2y$05$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZabcde",
            "a=b:$$2b$$10$$abcdefghijklmnopqrstuu",
            "$6$salt$abcdefghijklmnop",
            "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ",
        ] {
            assert!(has_password_hash(hash), "{hash}");
        }
        for other in ["", "$A$B$C", "$1", "5$ and $6$ more$", "${apr1}", "$1$A$B", "$apr1", "/a/$2/b"] {
            assert!(!has_password_hash(other), "{other}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret::new("hunter2");
        assert_eq!((format!("{secret:?}"), secret.to_string()), ("***".to_owned(), "***".to_owned()));
        assert_eq!(secret.reveal(), "hunter2");
    }
}
