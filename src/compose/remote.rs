//! References to compose files elsewhere, which Compose fetches: git repositories and OCI artifacts.
//!
//! Owns how one is recognised (<https://docs.docker.com/reference/compose-file/include/>), and what is said about it.
//! Nothing is fetched here.

use super::context::LoadContext;
use super::yaml::{Mark, Text};
use crate::base::diagnostic::Diagnostic;

/// Reference to a compose file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reference {
    /// A path on the host.
    Path,
    /// A git repository or an OCI artifact. `is_pinned`: a commit or digest says exactly what it holds.
    Remote { is_pinned: bool },
    /// An address that Compose takes for a path.
    Unsupported,
}

impl Reference {
    /// Reads a reference as Compose does.
    pub(super) fn of(text: &str) -> Self {
        if let Some(artifact) = text.strip_prefix("oci://") {
            return Self::Remote { is_pinned: artifact.contains("@sha256:") };
        }
        let (address, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (address, query) = address.split_once('?').unwrap_or((address, ""));
        let is_git = match address.split_once("://") {
            Some(("http" | "https", _)) => address.ends_with(".git"),
            Some(("git" | "ssh", _)) => true,
            Some(_) => false,
            None => address.starts_with("github.com/") || is_scp(address),
        };
        if !is_git {
            return if address.contains("://") { Self::Unsupported } else { Self::Path };
        }
        let of_query = query.split('&').filter_map(|pair| pair.split_once('='));
        let of_query = of_query.filter(|(key, _)| matches!(*key, "ref" | "commit" | "checksum"));
        let mut commits = fragment.split(':').take(1).chain(of_query.map(|(_, value)| value));
        Self::Remote { is_pinned: commits.any(is_commit) }
    }
}

/// Whether a build context is fetched from elsewhere.
pub(super) fn is_context(text: &str) -> bool {
    text.contains("://") || text.starts_with("github.com/") || is_scp(text)
}

/// Whether an address has the form `user@host:path`.
fn is_scp(address: &str) -> bool {
    let Some((user, rest)) = address.split_once('@') else { return false };
    let Some((host, _)) = rest.split_once(':') else { return false };
    let is_word = |text: &str, more: char| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == more)
    };
    is_word(user, '_') && is_word(host, '.')
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a compose file is fetched by Compose, and so not read here. If so, that is reported: `what` it is, and what
/// follows from that, `so`. An address that Compose takes for a path is an error.
pub(super) fn is_fetched(context: &mut LoadContext<'_>, at: Mark, text: &Text, what: &str, so: &str) -> bool {
    match Reference::of(&text.text) {
        Reference::Path => false,
        Reference::Unsupported => {
            let message = format!("{what} is neither a path, nor a git repository, nor an OCI artifact");
            context.error_with(
                at,
                message,
                "end the address of a git repository with `.git`, or use `oci://`",
            );
            true
        }
        Reference::Remote { is_pinned } => {
            let message = format!("{what} is remote: Docker Compose on the host fetches it, {so}");
            let warning = Diagnostic::warning(message, Some(context.location(at)));
            context.note(warning.help(match is_pinned {
                true => "put its files into the repository if ghdeploy is to see what they hold",
                false => {
                    "name a commit (`…git#COMMIT:FOLDER`) or a digest (`oci://…@sha256:…`): what changes behind a branch or a tag is not noticed"
                }
            }));
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_repositories_and_artifacts_are_told_from_paths() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let pinned =
            |text: String| assert_eq!(Reference::of(&text), Reference::Remote { is_pinned: true }, "{text}");
        pinned(format!("https://example.org/a.git#{commit}"));
        pinned(format!("https://example.org/a.git#{commit}:dir/compose.yml"));
        pinned(format!("https://example.org/a.git?commit={commit}&subdir=x"));
        pinned(format!("git@example.org:a/b.git#{commit}:x"));
        pinned(format!("oci://example.org/a@sha256:{}", "0".repeat(64)));
        for text in [
            "https://example.org/a.git",
            "https://example.org/a.git#main:dir",
            "https://user:secret@example.org/a.git?ref=main",
            "http://example.org/a.git",
            "ssh://git@example.org/a",
            "git://example.org/a",
            "github.com/a/b",
            "git@example.org:a/b.git",
            "deploy_1@git-1.example.org:a",
            "oci://example.org/a:latest",
        ] {
            assert_eq!(Reference::of(text), Reference::Remote { is_pinned: false }, "{text}");
        }
        for text in
            ["https://example.org/a", "http://example.org/a.yml", "oci:a", "ftp://a/b.git", "file:///a"]
        {
            let wanted = if text.contains("://") { Reference::Unsupported } else { Reference::Path };
            assert_eq!(Reference::of(text), wanted, "{text}");
        }
        for text in
            ["a.yml", "./github.com/a", "../x@y/z:w", "/srv/a@b:c", "a#b", "git@", "a@b/c:d", "./a.git"]
        {
            assert_eq!(Reference::of(text), Reference::Path, "{text}");
        }
    }
}
