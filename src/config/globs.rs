//! Patterns that select projects.
//!
//! Owns the meaning of a host's `projects:`. Pure.

use globset::{GlobBuilder, GlobMatcher};

/// Globs for names of projects; a leading `!` negates one.
///
/// As in a `.gitignore`, the last pattern that matches decides. A list that begins with a negated pattern
/// starts from all projects, any other list from none. A wildcard matches `/` too, so `*` matches every
/// project and `web/*` every project below `web` at any depth.
#[derive(Debug, Clone)]
pub struct ProjectGlobs {
    patterns: Vec<(bool, GlobMatcher)>,
    otherwise: bool,
}

impl Default for ProjectGlobs {
    fn default() -> Self {
        Self { patterns: Vec::new(), otherwise: true }
    }
}

impl ProjectGlobs {
    /// Parses the patterns. An empty list selects no project; [`ProjectGlobs::default`] selects all.
    ///
    /// # Errors
    ///
    /// The index of the first invalid glob, and the reason.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Self, (usize, String)> {
        let mut read = Vec::with_capacity(patterns.len());
        for (index, pattern) in patterns.iter().enumerate() {
            let pattern = pattern.as_ref();
            let (wanted, glob) = match pattern.strip_prefix('!') {
                Some(rest) => (false, rest),
                None => (true, pattern),
            };
            if glob.is_empty() {
                return Err((index, "a pattern for projects must not be empty".to_owned()));
            }
            let glob = GlobBuilder::new(glob.trim_end_matches('/'))
                .literal_separator(false)
                .build()
                .map_err(|err| (index, format!("`{pattern}` is not a glob: {}", err.kind())))?;
            read.push((wanted, glob.compile_matcher()));
        }
        let otherwise = read.first().is_some_and(|(wanted, _)| !wanted);
        Ok(Self { patterns: read, otherwise })
    }

    /// Whether the patterns select the project of this name.
    #[must_use]
    pub fn selects(&self, project: &str) -> bool {
        let last = self.patterns.iter().rev().find(|(_, glob)| glob.is_match(project));
        last.map_or(self.otherwise, |(wanted, _)| *wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(patterns: &[&str]) -> Vec<&'static str> {
        let globs = ProjectGlobs::new(patterns).unwrap();
        ["blog", "postgres", "web/shop", "web/eu/shop"]
            .into_iter()
            .filter(|name| globs.selects(name))
            .collect()
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        assert_eq!(selected(&["*", "!postgres"]), ["blog", "web/shop", "web/eu/shop"]);
        assert_eq!(selected(&["!postgres", "*"]), ["blog", "postgres", "web/shop", "web/eu/shop"]);
        assert_eq!(selected(&["*", "!web/*", "web/shop"]), ["blog", "postgres", "web/shop"]);
    }

    #[test]
    fn a_list_of_exceptions_starts_from_all_and_an_empty_one_from_none() {
        assert_eq!(selected(&["!postgres"]), ["blog", "web/shop", "web/eu/shop"]);
        assert!(selected(&[]).is_empty());
        assert!(ProjectGlobs::default().selects("blog"));
    }

    #[test]
    fn wildcards_match_nested_names() {
        assert_eq!(selected(&["web/*"]), ["web/shop", "web/eu/shop"]);
        assert_eq!(selected(&["web/"]), Vec::<&str>::new());
        assert_eq!(selected(&["{blog,post*}"]), ["blog", "postgres"]);
    }

    #[test]
    fn an_invalid_glob_is_named() {
        let (index, message) = ProjectGlobs::new(&["*", "a["]).unwrap_err();
        assert_eq!(index, 1);
        assert!(message.starts_with("`a[` is not a glob"), "{message}");
        assert!(ProjectGlobs::new(&["!"]).is_err());
    }
}
