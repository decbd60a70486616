//! Layout of projects in the repository and on the host.
//!
//! Owns the `services` patterns: which folders may be projects, and the mapping between a path in the
//! repository and one below the root. Pure: never asks whether a path exists.

use globset::{GlobBuilder, GlobMatcher};

use crate::base::path::RootPath;

/// Default of `services`.
pub const DEFAULT_PATTERN: &str = "services";

/// Compose's file names, in order of preference.
pub const COMPOSE_FILES: [&str; 4] =
    ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// Patterns for the folders of the repository that may be projects.
///
/// The *fixed prefix* of a pattern is the part before its first component with a wildcard: `stacks/web` in
/// `stacks/web/*`, `stacks` in `stacks/*/*`. A plain folder `services` means `services/*`, and `.` means `*`.
/// The path below the root is what follows the fixed prefix. If one fixed prefix is inside another, the outer
/// one counts for both, so `../` between two projects means the same in the repository and on the host.
///
/// A folder whose name begins with `.` or `_` (`.template`, `_archive`) is left out with all that is in it, unless a
/// pattern names it without a wildcard. A pattern that begins with `!` leaves out folders, also with all that is in them.
///
/// A pattern that ends with the name of a compose file means the folder that holds the file: `compose.yml` is the top
/// of the repository as one project, and `services/compose.yml` the folder `services`.
#[derive(Debug, Clone)]
pub struct Layout {
    patterns: Vec<Pattern>,
    prefixes: Vec<String>,
    /// The patterns that begin with `!`.
    excluded: Vec<GlobMatcher>,
    /// Folders that are projects themselves, although they may be fixed prefixes.
    named: Vec<String>,
}

#[derive(Debug, Clone)]
struct Pattern {
    text: String,
    glob: GlobMatcher,
}

/// Reason why a text is not a pattern for project folders.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// It is empty.
    #[error("a folder with projects must be named; `.` is the repository itself")]
    Empty,
    /// It is absolute.
    #[error("`{0}` is absolute; folders with projects are named from the repository's top")]
    Absolute(String),
    /// It holds `..`.
    #[error("`{0}` leads out of the repository")]
    Above(String),
    /// It is not a glob.
    #[error("`{pattern}` is not a glob: {reason}")]
    Glob {
        /// The pattern.
        pattern: String,
        /// The reason.
        reason: String,
    },
}

impl Default for Layout {
    fn default() -> Self {
        // The tests parse this constant.
        Self::new(&[DEFAULT_PATTERN]).unwrap_or(Self {
            patterns: Vec::new(),
            prefixes: Vec::new(),
            excluded: Vec::new(),
            named: Vec::new(),
        })
    }
}

impl Layout {
    /// Parses the patterns of `services:`. If all of them leave folders out, the default is added.
    ///
    /// # Errors
    ///
    /// For the first pattern that is empty, absolute, holds `..` or is not a glob.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Self, LayoutError> {
        let mut read = Vec::with_capacity(patterns.len());
        let mut prefixes = Vec::with_capacity(patterns.len());
        let mut named = Vec::new();
        let is_excluded = |pattern: &&S| pattern.as_ref().starts_with('!');
        let excluded = patterns.iter().filter(is_excluded).map(|pattern| read_excluded(pattern.as_ref()));
        let excluded = excluded.collect::<Result<Vec<_>, _>>()?;
        let mut included: Vec<&str> =
            patterns.iter().filter(|pattern| !is_excluded(pattern)).map(AsRef::as_ref).collect();
        if included.is_empty() && !excluded.is_empty() {
            included.push(DEFAULT_PATTERN);
        }
        for pattern in included {
            let (prefix, pattern, is_named) = read_pattern(pattern)?;
            if is_named {
                named.push(prefix.clone());
            }
            prefixes.push(prefix);
            read.push(pattern);
        }
        Ok(Self { patterns: read, prefixes: outermost(prefixes), excluded, named })
    }

    /// The layout of these projects alone: the fixed prefix of each, and its folder below that.
    #[must_use]
    pub fn exactly(projects: &[(&str, &str)]) -> Self {
        let prefixes: Vec<String> = projects.iter().map(|(prefix, _)| (*prefix).to_owned()).collect();
        let glob = |(_, path): &(&str, &str)| {
            let text = globset::escape(path);
            let glob = GlobBuilder::new(&text).literal_separator(true).build().ok()?;
            Some(Pattern { glob: glob.compile_matcher(), text })
        };
        // A project that is a fixed prefix itself has no path below it.
        let is_prefix = |(prefix, path): &&(&str, &str)| prefix == path || *path == ".";
        let named = projects.iter().filter(is_prefix).map(|(prefix, _)| (*prefix).to_owned()).collect();
        let patterns = projects.iter().filter_map(glob).collect();
        Self { patterns, prefixes: outermost(prefixes), excluded: Vec::new(), named }
    }

    /// The folders of the repository that hold all wanted files. None is inside another. `""` is the
    /// repository itself.
    #[must_use]
    pub fn prefixes(&self) -> &[String] {
        &self.prefixes
    }

    /// The patterns, with plain folders written out as `folder/*`.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(|pattern| pattern.text.as_str())
    }

    /// The path below the root of a path in the repository; `None` outside all fixed prefixes.
    #[must_use]
    pub fn root_path(&self, repo_path: &str) -> Option<RootPath> {
        let rest = self.prefixes.iter().find_map(|prefix| below(repo_path, prefix))?;
        RootPath::new(rest).ok()
    }

    /// The fixed prefix that a path in the repository is below.
    #[must_use]
    pub fn prefix_of(&self, repo_path: &str) -> Option<&str> {
        self.prefixes.iter().map(String::as_str).find(|prefix| below(repo_path, prefix).is_some())
    }

    /// A pattern for the projects below a fixed prefix whose own fixed prefix is the top of the repository, so that
    /// the names of its folders count on the host, too; `None` if the prefix is the top already.
    #[must_use]
    pub fn widened(&self, prefix: &str) -> Option<String> {
        let pattern = self.patterns().find(|pattern| below(pattern, prefix).is_some())?;
        let (first, rest) = pattern.split_once('/').filter(|_| !prefix.is_empty())?;
        Some(format!("{{{first}}}/{rest}"))
    }

    /// The paths in the repository that map to a path below the root, one for each fixed prefix.
    pub fn repo_paths<'a>(&'a self, path: &'a RootPath) -> impl Iterator<Item = String> + 'a {
        self.prefixes.iter().map(|prefix| join(prefix, path.as_str()))
    }

    /// Whether a folder of the repository may be a project. It is one if it holds a compose file. A fixed prefix is
    /// one only if it [is named](Self::is_named), or [by what it holds](Self::top).
    #[must_use]
    pub fn is_project_dir(&self, repo_path: &str) -> bool {
        self.is_named(repo_path)
            || self.matching(repo_path).any(|pattern| pattern.hides(repo_path).is_none())
                && !self.is_excluded(repo_path)
    }

    /// Why a folder is left out that would be a project by its place: the part of its path that begins with `.` or `_`,
    /// or `!` for a pattern that leaves it out.
    #[must_use]
    pub fn left_out<'p>(&self, repo_path: &'p str) -> Option<&'p str> {
        if self.is_named(repo_path) || self.is_project_dir(repo_path) {
            return None;
        }
        let hidden = self.matching(repo_path).next()?.hides(repo_path);
        hidden.or_else(|| self.is_excluded(repo_path).then_some("!"))
    }

    /// The patterns that a folder matches.
    fn matching<'l>(&'l self, repo_path: &'l str) -> impl Iterator<Item = &'l Pattern> {
        let is_below = self.root_path(repo_path).is_some_and(|path| !path.is_root());
        self.patterns.iter().filter(move |pattern| is_below && pattern.glob.is_match(repo_path))
    }

    /// Whether a pattern leaves a folder out, or one that it is in.
    fn is_excluded(&self, repo_path: &str) -> bool {
        std::iter::successors(Some(repo_path), |path| Some(path.rsplit_once('/')?.0))
            .any(|folder| self.excluded.iter().any(|glob| glob.is_match(folder)))
    }

    /// Whether a pattern names the compose file in this folder of the repository.
    #[must_use]
    pub fn is_named(&self, repo_path: &str) -> bool {
        self.named.iter().any(|named| named == repo_path)
    }

    /// The folder of the repository that is the root on the host; `None` if several are.
    #[must_use]
    pub fn top(&self) -> Option<&str> {
        match self.prefixes.as_slice() {
            [prefix] => Some(prefix),
            _ => None,
        }
    }
}

impl Pattern {
    /// The first part of a matching path that begins with `.` or `_`, if a wildcard stands for it.
    fn hides<'p>(&self, repo_path: &'p str) -> Option<&'p str> {
        let mut parts = self.text.split('/');
        let mut is_fixed = true;
        repo_path.split('/').find(|name| {
            let part = parts.next().unwrap_or_default();
            is_fixed &= part != "**";
            name.starts_with(['.', '_'])
                && !(is_fixed && !part.is_empty() && !part.starts_with(['*', '?', '[']))
        })
    }
}

/// Returns the folders that are not inside another.
fn outermost(mut folders: Vec<String>) -> Vec<String> {
    folders.sort();
    folders.dedup();
    let outer =
        |folder: &String| !folders.iter().any(|other| other != folder && below(folder, other).is_some());
    folders.iter().filter(|folder| outer(folder)).cloned().collect()
}

/// Returns the part of `path` below the folder `prefix`; `""` if they are equal.
fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    if prefix.is_empty() {
        return Some(path);
    }
    let rest = path.strip_prefix(prefix)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

/// Joins two paths, either of which may be empty.
fn join(dir: &str, rest: &str) -> String {
    match (dir, rest) {
        ("", path) | (path, "") => path.to_owned(),
        (dir, rest) => format!("{dir}/{rest}"),
    }
}

/// Reads a pattern that begins with `!`.
fn read_excluded(text: &str) -> Result<GlobMatcher, LayoutError> {
    let pattern = text.trim_start_matches('!').trim();
    if pattern.starts_with('/') {
        return Err(LayoutError::Absolute(text.to_owned()));
    }
    let parts: Vec<&str> = pattern.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return Err(LayoutError::Above(text.to_owned()));
    }
    if parts.is_empty() {
        return Err(LayoutError::Empty);
    }
    compile(&parts.join("/"))
}

fn compile(text: &str) -> Result<GlobMatcher, LayoutError> {
    let glob = GlobBuilder::new(text)
        .literal_separator(true)
        .build()
        .map_err(|err| LayoutError::Glob { pattern: text.to_owned(), reason: err.kind().to_string() })?;
    Ok(glob.compile_matcher())
}

/// Splits a pattern into its fixed prefix and its glob. Also returns whether the prefix itself is the project.
fn read_pattern(text: &str) -> Result<(String, Pattern, bool), LayoutError> {
    let shown = || text.to_owned();
    if text.is_empty() {
        return Err(LayoutError::Empty);
    }
    if text.starts_with('/') {
        return Err(LayoutError::Absolute(shown()));
    }
    let mut parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return Err(LayoutError::Above(shown()));
    }
    let has_file = parts.last().is_some_and(|last| COMPOSE_FILES.contains(last));
    if has_file {
        parts.pop();
    }
    let fixed = parts.iter().take_while(|part| !part.contains(['*', '?', '[', '{', '\\'])).count();
    let prefix = parts[..fixed].join("/");
    let is_named = has_file && fixed == parts.len();
    let shown = if has_file { text.trim_start_matches("./").to_owned() } else { String::new() };
    if !has_file && fixed == parts.len() {
        parts.push("*");
    }
    let text = parts.join("/");
    let glob = compile(&text)?;
    let text = if has_file { shown } else { text };
    Ok((prefix, Pattern { glob, text }, is_named))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(patterns: &[&str]) -> Layout {
        Layout::new(patterns).unwrap()
    }

    #[test]
    fn a_plain_folder_holds_projects_one_level_down() {
        let layout = Layout::default();
        assert_eq!(layout.prefixes(), ["services"]);
        assert!(layout.is_project_dir("services/blog"));
        assert!(!layout.is_project_dir("services"));
        assert!(!layout.is_project_dir("services/blog/config"));
        assert!(!layout.is_project_dir("services2/blog"));
        assert_eq!(layout.root_path("services/blog/x").unwrap().as_str(), "blog/x");
        assert_eq!(layout.root_path("services2/blog"), None);
    }

    #[test]
    fn what_follows_the_fixed_prefix_is_the_path_below_the_root() {
        for (pattern, prefix, repo, root) in [
            ("stacks/web/*", "stacks/web", "stacks/web/blog", "blog"),
            ("stacks/*/*", "stacks", "stacks/web/blog", "web/blog"),
            ("stacks/**", "stacks", "stacks/a/b/c", "a/b/c"),
            ("./services//", "services", "services/blog", "blog"),
            (".", "", "blog", "blog"),
            ("*/docker", "", "blog/docker", "blog/docker"),
            ("apps/{a,b}", "apps", "apps/b", "b"),
        ] {
            let layout = layout(&[pattern]);
            assert_eq!(layout.prefixes(), [prefix], "{pattern}");
            assert!(layout.is_project_dir(repo), "{pattern}");
            let path = layout.root_path(repo).unwrap();
            assert_eq!(path.as_str(), root, "{pattern}");
            assert_eq!(layout.repo_paths(&path).collect::<Vec<_>>(), [repo], "{pattern}");
        }
        assert!(!layout(&["stacks/*/*"]).is_project_dir("stacks/web"));
        assert!(!layout(&["stacks/**"]).is_project_dir("stacks"));
    }

    #[test]
    fn the_name_of_a_compose_file_means_its_folder() {
        let top = layout(&["compose.yml"]);
        assert_eq!((top.prefixes(), top.top()), (&[String::new()][..], Some("")));
        assert!(top.is_project_dir("") && top.is_named("") && !top.is_project_dir("apps"));
        assert_eq!(top.root_path("apps/a/x").unwrap().as_str(), "apps/a/x");
        let inner = layout(&["./services/docker-compose.yml", "services/*"]);
        assert_eq!(inner.prefixes(), ["services"]);
        assert!(inner.is_project_dir("services") && inner.is_project_dir("services/blog"));
        assert!(inner.root_path("services").unwrap().is_root());
        let glob = layout(&["stacks/*/compose.yml"]);
        assert!(glob.is_project_dir("stacks/web") && !glob.is_project_dir("stacks"));
        assert!(!layout(&["services"]).is_project_dir("services"));
        assert!(Layout::exactly(&[("services", "services")]).is_project_dir("services"));
        assert!(Layout::exactly(&[("", ".")]).is_project_dir(""));
    }

    #[test]
    fn an_outer_prefix_counts_for_the_inner_one() {
        let layout = layout(&["stacks/web/*", "stacks/*", "apps", "stacks-old"]);
        assert_eq!(layout.prefixes(), ["apps", "stacks", "stacks-old"]);
        assert_eq!(layout.root_path("stacks/web/blog").unwrap().as_str(), "web/blog");
        assert_eq!(
            layout.patterns().collect::<Vec<_>>(),
            ["stacks/web/*", "stacks/*", "apps/*", "stacks-old/*"]
        );
    }

    #[test]
    fn a_widened_pattern_matches_the_same_folders_from_the_top() {
        let services = layout(&["stacks/web/*"]);
        let widened = services.widened("stacks/web").unwrap();
        assert_eq!(widened, "{stacks}/web/*");
        let widened = layout(&[&widened]);
        assert_eq!(widened.prefixes(), [""]);
        assert!(widened.is_project_dir("stacks/web/blog") && !widened.is_project_dir("other/web/blog"));
        assert_eq!(widened.root_path("stacks/web/blog/x").unwrap().as_str(), "stacks/web/blog/x");
        assert_eq!(layout(&["*"]).widened(""), None);
    }

    #[test]
    fn folders_that_begin_with_a_dot_or_an_underscore_are_left_out_unless_they_are_named() {
        let services = Layout::default();
        for (folder, why) in [
            ("services/.template", ".template"),
            ("services/_archive", "_archive"),
            ("services/_template", "_template"),
        ] {
            assert!(!services.is_project_dir(folder), "{folder}");
            assert_eq!(services.left_out(folder), Some(why));
        }
        assert!(
            services.is_project_dir("services/archive") && services.left_out("services/archive").is_none()
        );
        assert!(services.left_out("elsewhere/_x").is_none(), "no pattern reaches it");
        let nested = layout(&["stacks/*/*", "stacks/**"]);
        assert!(!nested.is_project_dir("stacks/_old/blog") && nested.is_project_dir("stacks/web/blog"));
        assert_eq!(nested.left_out("stacks/_old/blog"), Some("_old"));
        for (pattern, folder) in [
            ("services/_shared", "services/_shared/x"),
            ("_stacks/*", "_stacks/blog"),
            ("services/_*", "services/_x"),
            ("services/{.a,b}", "services/.a"),
            ("services/_x/compose.yml", "services/_x"),
            ("services/*/_docker", "services/web/_docker"),
        ] {
            assert!(layout(&[pattern]).is_project_dir(folder), "{pattern}");
        }
        let deployed = Layout::exactly(&[("services", "services/_old"), ("services", "services/web")]);
        assert!(deployed.is_project_dir("services/_old"));
    }

    #[test]
    fn a_pattern_with_an_exclamation_mark_leaves_folders_out() {
        let stacks = layout(&["stacks/*", "stacks/*/*", "!stacks/old-*", "!./stacks/archive/"]);
        assert_eq!(stacks.prefixes(), ["stacks"]);
        assert_eq!(stacks.patterns().collect::<Vec<_>>(), ["stacks/*", "stacks/*/*"]);
        for folder in ["stacks/old-blog", "stacks/old-blog/x", "stacks/archive", "stacks/archive/blog"] {
            assert!(!stacks.is_project_dir(folder), "{folder}");
            assert_eq!(stacks.left_out(folder), Some("!"), "{folder}");
        }
        assert!(stacks.is_project_dir("stacks/blog") && stacks.is_project_dir("stacks/olden"));
        let only = layout(&["!services/old"]);
        assert!(only.is_project_dir("services/blog") && !only.is_project_dir("services/old"));
    }

    #[test]
    fn patterns_that_leave_the_repository_are_refused() {
        assert!(matches!(Layout::new(&["/srv/services"]), Err(LayoutError::Absolute(_))));
        assert!(matches!(Layout::new(&["a/../../b"]), Err(LayoutError::Above(_))));
        assert!(matches!(Layout::new(&["!/srv"]), Err(LayoutError::Absolute(_))));
        assert!(matches!(Layout::new(&["!../x"]), Err(LayoutError::Above(_))));
        assert!(matches!(Layout::new(&["!"]), Err(LayoutError::Empty)));
        assert!(matches!(Layout::new(&["services/[a"]), Err(LayoutError::Glob { .. })));
        assert_eq!(Layout::new(&[""]).unwrap_err(), LayoutError::Empty);
    }
}
