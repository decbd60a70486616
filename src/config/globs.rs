//! Patterns that select projects.
//!
//! Owns the meaning of a host's `projects:` and of `--project`. Pure.

use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobMatcher};

use crate::base::diagnostic::{Diagnostic, suggestion};
use crate::base::error::{Error, Result as Outcome};

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

    /// Refuses names that none of the `known` projects has, and patterns that together select none of them.
    ///
    /// # Errors
    ///
    /// Each such name, with the nearest ones that exist.
    pub fn refuse_unknown(&self, known: &BTreeSet<&str>) -> Outcome<()> {
        let selects_any = known.iter().any(|name| self.selects(name));
        let is_idle = |(wanted, glob): &&(bool, GlobMatcher)| {
            let is_name = !glob.glob().glob().contains(['*', '?', '[', '{']);
            *wanted && (is_name || !selects_any) && !known.iter().any(|name| glob.is_match(name))
        };
        let names: Vec<&str> = known.iter().copied().collect();
        let problem = |(_, glob): &(bool, GlobMatcher)| {
            let text = glob.glob().glob();
            Diagnostic::error(format!("`{text}` matches no project"), None)
                .help(suggestion(text, "projects", &names))
        };
        let problems: Vec<Diagnostic> = self.patterns.iter().filter(is_idle).map(problem).collect();
        if !problems.is_empty() {
            return Err(Error::invalid(problems));
        }
        if selects_any || self.patterns.is_empty() {
            return Ok(());
        }
        Err(Error::usage("the patterns for projects leave none").help(suggestion("", "projects", &names)))
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
    fn names_that_no_project_has_are_refused_with_the_nearest() {
        let said = |patterns: &[&str]| {
            let known = ["blog", "postgres", "web/shop"].into();
            let refused = ProjectGlobs::new(patterns).unwrap().refuse_unknown(&known).err();
            let problems = refused.map(|error| error.diagnostics).unwrap_or_default();
            let said = |problem: Diagnostic| format!("{}: {}", problem.message, problem.help.unwrap());
            problems.into_iter().map(said).collect::<Vec<_>>()
        };
        assert_eq!(said(&["blog", "web/*", "!postgres"]), [""; 0]);
        assert_eq!(said(&["blog", "shop"]), ["`shop` matches no project: did you mean `web/shop`?"]);
        assert_eq!(
            said(&["bolg", "postgre"]),
            [
                "`bolg` matches no project: did you mean `blog`?",
                "`postgre` matches no project: did you mean `postgres`?"
            ]
        );
        assert_eq!(said(&["x*"]), ["`x*` matches no project: the projects are: blog, postgres, web/shop"]);
        // A pattern may match nothing as long as another one does.
        assert_eq!(said(&["x*", "blog"]), [""; 0]);
        assert_eq!(
            said(&["blog", "!blog"]),
            ["the patterns for projects leave none: the projects are: blog, postgres, web/shop"]
        );
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
