//! Decides which files of the repository are wanted.
//!
//! Owns the order of precedence between the sources that exclude and include files:
//!
//! 1. `sync.include` includes a file, whatever excludes it;
//! 2. `.ghdeployignore`, nested like `.gitignore`, and below it `sync.ignore` keep files out;
//! 3. what git tracks is wanted;
//! 4. `.gitignore` and `.git/info/exclude` keep the rest out, by git's own rules.
//!
//! A `!pattern` re-includes only what the same source excluded. A `!` in `.ghdeployignore` never includes
//! what git ignores, so that no secret is deployed by accident. Pure: the caller walks the tree, passes the
//! text of the ignore files and asks about each path.

use std::sync::Arc;

use crate::base::error::{Error, Result};
use crate::base::patterns::Patterns;
use crate::config::FileRules;

/// Name of the files that exclude other files.
pub(crate) const IGNORE_FILE: &str = ".ghdeployignore";

/// The patterns of the configuration, compiled once.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    ignore: Option<Patterns>,
    include: Option<Patterns>,
    /// For each pattern of `include` the components that lead to it, or `None` if it may match at any depth.
    anchors: Vec<Option<Vec<String>>>,
}

impl Filter {
    /// Compiles the patterns.
    ///
    /// # Errors
    ///
    /// If a line is not a pattern.
    pub(crate) fn new(rules: &FileRules) -> Result<Self> {
        let compile = |key: &str, lines: &[String]| {
            let (patterns, wrong) = Patterns::parse(&lines.join("\n"));
            match wrong.first() {
                None => Ok(patterns.non_empty()),
                Some((_, reason)) => Err(Error::usage(format!("sync.{key} is not a pattern: {reason}"))),
            }
        };
        Ok(Self {
            ignore: compile("ignore", &rules.ignore)?,
            include: compile("include", &rules.include)?,
            anchors: rules.include.iter().filter_map(|line| anchor(line)).collect(),
        })
    }

    /// Whether `sync.include` may match something below a folder. `dir` is relative to `ghdeploy.yml`.
    fn may_include_below(&self, dir: &[u8]) -> bool {
        self.anchors.iter().any(|anchor| {
            let Some(parts) = anchor else { return true };
            let mut parts = parts.iter();
            for name in dir.split(|byte| *byte == b'/') {
                match parts.next().map(String::as_str) {
                    None => return false,
                    Some("**") => return true,
                    Some(part) if part.contains(['*', '?', '[', '\\']) => {}
                    Some(part) if part.as_bytes() == name => {}
                    Some(_) => return false,
                }
            }
            parts.next().is_some()
        })
    }
}

/// Components of a pattern that is anchored to its folder; `Some(None)` for a pattern that matches at any
/// depth, `None` for a line that includes nothing.
fn anchor(line: &str) -> Option<Option<Vec<String>>> {
    let line = line.trim_end();
    if line.is_empty() || line.starts_with(['#', '!']) {
        return None;
    }
    let body = line.strip_suffix('/').unwrap_or(line);
    if !body.contains('/') {
        return Some(None);
    }
    Some(Some(body.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()))
}

/// Verdict of each source on one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FilterVerdict {
    /// `sync.include` includes it.
    pub(crate) included: bool,
    /// `.ghdeployignore` or `sync.ignore` exclude it.
    pub(crate) ignored: bool,
    /// Git ignores it, unless it is tracked.
    pub(crate) git_ignored: bool,
}

impl FilterVerdict {
    /// Whether the path is wanted. `is_tracked` is called only if the answer depends on it.
    pub(crate) fn is_wanted<E>(self, is_tracked: impl FnOnce() -> Result<bool, E>) -> Result<bool, E> {
        if self.included {
            return Ok(true);
        }
        Ok(!self.ignored && (!self.git_ignored || is_tracked()?))
    }
}

/// Ignore files that apply in a folder.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    git: Chain,
    own: Chain,
    include: Chain,
    inherited: FilterVerdict,
    /// Length of the path of the folder of `ghdeploy.yml`, with its slash.
    base: usize,
}

/// Ignore files from the innermost out.
type Chain = Option<Arc<Level>>;

#[derive(Debug)]
struct Level {
    patterns: Patterns,
    /// Length of the path of the file's folder, with its slash.
    strip: usize,
    outer: Chain,
}

fn push(chain: &mut Chain, patterns: Option<Patterns>, strip: usize) {
    if let Some(patterns) = patterns.and_then(Patterns::non_empty) {
        *chain = Some(Arc::new(Level { patterns, strip, outer: chain.take() }));
    }
}

fn verdict(mut chain: &Chain, path: &[u8], is_dir: bool) -> Option<bool> {
    while let Some(level) = chain {
        let found = path.get(level.strip..).and_then(|rest| level.patterns.verdict(rest, is_dir));
        if found.is_some() {
            return found;
        }
        chain = &level.outer;
    }
    None
}

impl Scope {
    /// The scope of the top folder, before any ignore file is read. `base` is the length of the path
    /// from there to the folder of `ghdeploy.yml`, with its slash.
    pub(crate) fn top(filter: &Filter, base: usize) -> Self {
        let (mut own, mut include) = (None, None);
        push(&mut own, filter.ignore.clone(), base);
        push(&mut include, filter.include.clone(), base);
        Self { git: None, own, include, inherited: FilterVerdict::default(), base }
    }

    /// Adds the patterns of `.gitignore`, or of `.git/info/exclude`, of the folder whose path with its
    /// slash is `strip` bytes long.
    pub(crate) fn add_git(&mut self, patterns: Patterns, strip: usize) {
        push(&mut self.git, Some(patterns), strip);
    }

    /// Adds the patterns of a `.ghdeployignore`.
    pub(crate) fn add_own(&mut self, patterns: Patterns, strip: usize) {
        push(&mut self.own, Some(patterns), strip);
    }

    /// Judges a path in this folder. The path starts at the top folder.
    pub(crate) fn judge(&self, path: &[u8], is_dir: bool) -> FilterVerdict {
        if self.git.is_none() && self.own.is_none() && self.include.is_none() {
            return self.inherited;
        }
        let mut found = self.inherited;
        if let Some(included) = verdict(&self.include, path, is_dir) {
            found.included = included;
        }
        // As in git, everything in an excluded folder stays excluded, whatever a pattern says.
        found.ignored = found.ignored || verdict(&self.own, path, is_dir) == Some(true);
        found.git_ignored = found.git_ignored || verdict(&self.git, path, is_dir) == Some(true);
        found
    }

    /// The scope of a folder in this one, before its own ignore files are read.
    pub(crate) fn enter(&self, verdict: FilterVerdict) -> Self {
        Self { inherited: verdict, ..self.clone() }
    }

    /// Whether a folder that is not wanted may hold something that `sync.include` includes.
    pub(crate) fn may_include_below(&self, filter: &Filter, dir: &[u8]) -> bool {
        filter.include.is_some() && dir.get(self.base..).is_some_and(|dir| filter.may_include_below(dir))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(ignore: &[&str], include: &[&str]) -> Filter {
        let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        Filter::new(&FileRules { ignore: owned(ignore), include: owned(include) }).unwrap()
    }

    fn patterns(text: &str) -> Patterns {
        Patterns::parse(text).0
    }

    fn wanted(scope: &Scope, path: &str) -> bool {
        scope.judge(path.as_bytes(), false).is_wanted(|| Ok::<_, ()>(false)).unwrap()
    }

    #[test]
    fn include_beats_all_and_our_own_rules_beat_tracked_files() {
        let filter = filter(&["*.md"], &[".env.production"]);
        let mut scope = Scope::top(&filter, 0);
        scope.add_git(patterns(".env*\n"), 0);
        scope.add_own(patterns("*.bak\n.env.production\n"), 0);
        assert!(wanted(&scope, "blog/.env.production"));
        assert!(!wanted(&scope, "blog/.env"));
        assert!(!wanted(&scope, "blog/README.md"));
        assert!(!wanted(&scope, "blog/x.bak"));
        assert!(wanted(&scope, "blog/compose.yml"));
        let tracked =
            |path: &str| scope.judge(path.as_bytes(), false).is_wanted(|| Ok::<_, ()>(true)).unwrap();
        assert!(tracked("blog/.env"));
        assert!(!tracked("blog/README.md"));
    }

    #[test]
    fn a_nested_file_re_includes_what_an_outer_one_excluded_but_not_what_git_ignores() {
        let filter = filter(&["*.md"], &[]);
        let mut scope = Scope::top(&filter, 0);
        scope.add_git(patterns("*.md\n*.log\n"), 0);
        let mut inner = scope.enter(FilterVerdict::default());
        inner.add_own(patterns("!*.md\n!*.log\n"), "blog/".len());
        assert!(!inner.judge(b"blog/README.md", false).ignored);
        assert!(!wanted(&inner, "blog/README.md"), "git ignores it still");
        inner.add_git(patterns("!*.md\n"), "blog/".len());
        assert!(wanted(&inner, "blog/README.md"));
        assert!(!wanted(&inner, "blog/x.log"));
    }

    #[test]
    fn everything_in_an_excluded_folder_stays_excluded() {
        let filter = filter(&[], &["keep/**/x"]);
        let scope =
            Scope::top(&filter, 0).enter(FilterVerdict { git_ignored: true, ..FilterVerdict::default() });
        let mut scope = scope;
        scope.add_git(patterns("!y\n"), 0);
        assert!(!wanted(&scope, "keep/y"));
        assert!(wanted(&scope, "keep/a/x"));
    }

    #[test]
    fn only_folders_that_include_may_reach_are_entered() {
        let anchored = filter(&[], &["/services/blog/data/seed.sql", "services/*/conf/", "a/**/z"]);
        let scope = Scope::top(&anchored, 0);
        for (dir, may) in [
            ("services", true),
            ("services/blog/data", true),
            ("services/shop", true),
            ("services/blog/cache", false),
            ("services/blog/data/seed.sql/x", false),
            ("other", false),
            ("a/b/c", true),
        ] {
            assert_eq!(scope.may_include_below(&anchored, dir.as_bytes()), may, "{dir}");
        }
        let anywhere = filter(&[], &[".env.production"]);
        assert!(Scope::top(&anywhere, 0).may_include_below(&anywhere, b"node_modules/x"));
        let nothing = filter(&[], &["!x", "# comment"]);
        assert!(!Scope::top(&nothing, 0).may_include_below(&nothing, b"x"));
    }

    #[test]
    fn patterns_of_the_configuration_start_at_its_own_folder() {
        let filter = filter(&["/services/old"], &[]);
        let scope = Scope::top(&filter, "infra/".len());
        assert!(scope.judge(b"infra/services/old", true).ignored);
        assert!(!scope.judge(b"services/old", true).ignored);
    }

    #[test]
    fn braces_are_plain_characters_as_in_git() {
        let found = |line: &str, path: &str| patterns(line).verdict(path.as_bytes(), false);
        assert_eq!(found("a{b,c}", "ab"), None);
        assert_eq!(found("a{b,c}", "a{b,c}"), Some(true));
        assert_eq!(found("\\{x}", "{x}"), Some(true));
        assert_eq!(found("[{x]y", "{y"), Some(true));
    }

    #[test]
    fn an_invalid_line_is_listed() {
        let (patterns, wrong) = Patterns::parse("*.md\n[a\n");
        assert_eq!(wrong.len(), 1);
        assert_eq!(wrong[0].0, 2);
        assert_eq!(patterns.verdict(b"x.md", false), Some(true));
    }
}
