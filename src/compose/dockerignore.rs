//! Reads `.dockerignore`.
//!
//! Owns which files of a build context a build does not see, by the rules of Docker's pattern matcher
//! (<https://docs.docker.com/build/concepts/context/#dockerignore-files>): every pattern starts at the
//! context, one that matches a folder takes in all below it, and a later one wins over an earlier.

use std::sync::Arc;

use globset::{GlobBuilder, GlobMatcher};

use crate::base::patterns::without_braces;

/// What a build does not see of its context.
#[derive(Debug, Clone, Default)]
pub struct Ignored {
    /// The patterns, in their order, and whether each is a `!`.
    patterns: Arc<[(GlobMatcher, bool)]>,
    /// Files that the builder itself reads, whatever the patterns say.
    read: Arc<[String]>,
}

impl Ignored {
    /// Reads patterns, one a line. `read` are the Dockerfile and the file that the patterns stand in,
    /// relative to the context.
    pub(super) fn parse(text: &str, read: &[&str]) -> Self {
        let lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines();
        let lines = lines.map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self {
            patterns: lines.filter_map(pattern).collect(),
            read: read.iter().map(|&path| path.to_owned()).collect(),
        }
    }

    /// Whether a build does not see the file at `path`, relative to the context.
    #[must_use]
    pub fn hides(&self, path: &str) -> bool {
        if path.is_empty() || self.patterns.is_empty() || self.read.iter().any(|read| read == path) {
            return false;
        }
        // As BuildKit walks: from folder to folder, each inherits which patterns matched the one above. A
        // pattern that would change nothing is not tried, so a `!folder` is inherited only where an earlier
        // pattern had hidden the folder.
        let mut above = vec![false; self.patterns.len()];
        let mut hidden = false;
        for end in path.match_indices('/').map(|(end, _)| end).chain([path.len()]) {
            hidden = false;
            for ((glob, negated), matched) in self.patterns.iter().zip(&mut above) {
                *matched = *matched || *negated == hidden && glob.is_match(&path[..end]);
                if *matched {
                    hidden = !negated;
                }
            }
        }
        hidden
    }
}

impl PartialEq for Ignored {
    fn eq(&self, other: &Self) -> bool {
        let globs = |ignored: &Self| -> Vec<(String, bool)> {
            ignored.patterns.iter().map(|(glob, negated)| (glob.glob().to_string(), *negated)).collect()
        };
        self.read == other.read && globs(self) == globs(other)
    }
}

impl Eq for Ignored {}

/// What cannot be read hides nothing, and a `!` that cannot be read shows all: better one build too many.
fn pattern(line: &str) -> Option<(GlobMatcher, bool)> {
    let (text, negated) = match line.strip_prefix('!') {
        Some(rest) => (rest.trim(), true),
        None => (line, false),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let text = parts.join("/");
    if text.is_empty() {
        return None;
    }
    // Docker reads these in its own way: `**` within a name crosses folders, `[!` and `\` are regular
    // expressions.
    let is_own =
        |part: &&str| part.contains("[!") || part.contains('\\') || part.contains("**") && *part != "**";
    let is_plain = !parts.iter().any(is_own);
    let glob = |text: &str| GlobBuilder::new(text).literal_separator(true).build().ok();
    let found = glob(&without_braces(&text)).filter(|_| is_plain);
    let glob = if negated { found.or_else(|| glob("**")) } else { found };
    glob.map(|glob| (glob.compile_matcher(), negated))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_start_at_the_context_and_the_last_one_wins() {
        let text = "# comment\n*.md\n/docs/\n**/cache\n!docs/keep\n  node_modules  \nsrc/**/*.o\n!README.md\na{b}\n./x/../y\n";
        let ignored = Ignored::parse(text, &["docs/Dockerfile", ".dockerignore"]);
        for (path, hidden) in [
            ("a.md", true),
            ("README.md", false),
            ("sub/a.md", false),
            ("docs/a", true),
            ("docs/keep", false),
            ("docs/keep/below", false),
            ("docs/Dockerfile", false),
            ("cache/x", true),
            ("deep/er/cache/x", true),
            ("node_modules/x/y", true),
            ("web/node_modules/x", false),
            ("src/a.o", true),
            ("src/a/b/c.o", true),
            ("src/a.c", false),
            ("a{b}", true),
            ("ab", false),
            ("y", true),
            ("x", false),
            (".dockerignore", false),
        ] {
            assert_eq!(ignored.hides(path), hidden, "{path}");
        }
    }

    #[test]
    fn everything_but_a_few() {
        let ignored = Ignored::parse("*\n!src\n!requirements.txt\nsrc/*.log\n", &["Dockerfile"]);
        let hidden = |path: &str| ignored.hides(path);
        assert!(hidden("README.md") && hidden("other/src") && hidden("src/x.log"));
        assert!(!hidden("src/app.py") && !hidden("src/deep/x.log") && !hidden("requirements.txt"));
        assert!(!hidden("Dockerfile"));
    }

    #[test]
    fn what_cannot_be_read_builds_rather_than_not() {
        assert!(!Ignored::parse("a[\n**.log", &[]).hides("x.log"));
        assert!(!Ignored::parse("*\n![", &[]).hides("a"));
        assert!(!Ignored::default().hides("a"));
    }
}
