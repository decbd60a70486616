//! Reads `.dockerignore`.
//!
//! Owns the rules of Docker's pattern matcher
//! (<https://docs.docker.com/build/concepts/context/#dockerignore-files>): every pattern starts at the
//! context, a pattern that matches a folder applies to everything below it, and a later pattern wins over an
//! earlier one.

use std::sync::Arc;

use globset::{GlobBuilder, GlobMatcher};

use crate::base::patterns::without_braces;

/// Files of a build context that the build does not see.
#[derive(Debug, Clone, Default)]
pub struct Ignored {
    /// The patterns in their order, each with whether it is a `!`.
    patterns: Arc<[(GlobMatcher, bool)]>,
    /// Files that the builder itself reads, regardless of the patterns.
    read: Arc<[String]>,
}

impl Ignored {
    /// Parses patterns, one per line. `read` holds the paths of the Dockerfile and of the file with the
    /// patterns, relative to the context.
    pub(super) fn parse(text: &str, read: &[&str]) -> Self {
        let lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines();
        let lines = lines.map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self {
            patterns: lines.filter_map(pattern).collect(),
            read: read.iter().map(|&path| path.to_owned()).collect(),
        }
    }

    /// Whether the build does not see the file at `path`, which is relative to the context.
    #[must_use]
    pub fn hides(&self, path: &str) -> bool {
        if path.is_empty() || self.patterns.is_empty() || self.read.iter().any(|read| read == path) {
            return false;
        }
        // Like BuildKit's walk: each folder inherits the patterns that matched its parent. A pattern that
        // would change nothing is not tried, so a `!folder` is inherited only if an earlier pattern hid the
        // folder.
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

/// Parses a pattern. An invalid one hides nothing and an invalid `!` shows everything, because an unnecessary
/// build is better than a missing one.
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
    // Docker differs here: `**` within a name crosses folders, `[!` and `\` are regular expressions.
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
        let text = "# comment\n#note\n*.md\n/docs/\n**/cache\n!docs/keep\n  node_modules  \nsrc/**/*.o\n!README.md\na{b}\n./x/../y\n";
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
            ("#note", false),
        ] {
            assert_eq!(ignored.hides(path), hidden, "{path}");
        }
    }

    #[test]
    fn everything_except_a_few_files_can_be_hidden() {
        let ignored = Ignored::parse("*\n!src\n!requirements.txt\nsrc/*.log\n", &["Dockerfile"]);
        let hidden = |path: &str| ignored.hides(path);
        assert!(hidden("README.md") && hidden("other/src") && hidden("src/x.log"));
        assert!(!hidden("src/app.py") && !hidden("src/deep/x.log") && !hidden("requirements.txt"));
        assert!(!hidden("Dockerfile"));
        assert!(!hidden(""), "the context itself is never hidden");
    }

    #[test]
    fn an_invalid_pattern_causes_a_build_rather_than_none() {
        assert!(!Ignored::parse("a[\n**.log", &[]).hides("x.log"));
        assert!(!Ignored::parse("*\n![", &[]).hides("a"));
        assert!(!Ignored::parse("a[!b]", &[]).hides("ac"));
        assert!(!Ignored::default().hides("a"));
    }
}
