//! What a command works on: projects, and services of projects.
//!
//! Owns the meaning of `--project` and of the names behind a command. Pure.

use std::collections::{BTreeMap, BTreeSet};

use globset::{GlobBuilder, GlobMatcher};

use crate::base::diagnostic::{Diagnostic, nearest, suggestion};
use crate::base::error::{Error, Result as Outcome};

/// Globs for projects (`blog`, `web/*`) and for services of projects (`blog/worker`, `*/worker`).
///
/// As in a `.gitignore`, the last pattern that matches decides. A list that begins with a negated pattern
/// starts from all, any other list from nothing. A pattern that matches a project is about projects. What follows the
/// last `/` of another one is about services.
#[derive(Debug, Clone)]
pub struct Selection {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    text: String,
    is_wanted: bool,
    projects: GlobMatcher,
    services: Option<(GlobMatcher, GlobMatcher)>,
}

/// The projects that there are, with their services as far as they are known.
#[derive(Debug, Clone, Default)]
pub struct Known(BTreeMap<String, Option<BTreeSet<String>>>);

/// The projects that take part.
#[derive(Debug, Clone, Default)]
pub struct Selected {
    /// `None`: all of them.
    parts: Option<BTreeMap<String, Part>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Whole,
    Services(BTreeSet<String>),
}

impl Known {
    /// Adds a project whose services may be unknown.
    pub fn add_project(&mut self, project: &str) {
        self.0.entry(project.to_owned()).or_default();
    }

    /// Adds a project with services.
    pub fn add_services<'s>(&mut self, project: &str, services: impl Iterator<Item = &'s String>) {
        let known = self.0.entry(project.to_owned()).or_default();
        known.get_or_insert_default().extend(services.cloned());
    }
}

impl Known {
    /// Adds what is known elsewhere.
    pub fn add(&mut self, other: &Self) {
        for (project, services) in &other.0 {
            self.add_project(project);
            if let Some(services) = services {
                self.add_services(project, services.iter());
            }
        }
    }
}

impl Selected {
    /// Whether a project takes part, as a whole or with some of its services.
    #[must_use]
    pub fn selects(&self, project: &str) -> bool {
        self.parts.as_ref().is_none_or(|parts| parts.contains_key(project))
    }

    /// The services of a project that take part; `None`: it takes part as a whole, or not at all.
    #[must_use]
    pub fn services(&self, project: &str) -> Option<&BTreeSet<String>> {
        match self.parts.as_ref()?.get(project)? {
            Part::Whole => None,
            Part::Services(services) => Some(services),
        }
    }

    /// Whether a service of a project takes part.
    #[must_use]
    pub fn selects_service(&self, project: &str, service: &str) -> bool {
        self.selects(project) && self.services(project).is_none_or(|services| services.contains(service))
    }

    /// Refuses services. `what` works on whole projects.
    ///
    /// # Errors
    ///
    /// When a project takes part with some of its services only.
    pub fn refuse_services(&self, what: &str) -> Outcome<()> {
        let parts = self.parts.iter().flatten();
        for (project, part) in parts {
            if let Part::Services(services) = part {
                let named =
                    services.first().map_or(project.clone(), |service| format!("{project}/{service}"));
                return Err(Error::usage(format!(
                    "{what} works on whole projects, and `{named}` is a service"
                ))
                .help(format!("write `{project}`")));
            }
        }
        Ok(())
    }
}

impl Selection {
    /// Parses the patterns.
    ///
    /// # Errors
    ///
    /// The index of the first invalid glob, and the reason.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Self, (usize, String)> {
        let read = |(index, pattern): (usize, &S)| {
            let pattern = pattern.as_ref();
            let (is_wanted, text) = match pattern.strip_prefix('!') {
                Some(rest) => (false, rest),
                None => (true, pattern),
            };
            let text = text.trim_end_matches('/');
            if text.is_empty() {
                return Err((index, "a pattern for projects must not be empty".to_owned()));
            }
            let glob = |text: &str| {
                let glob = GlobBuilder::new(text).literal_separator(false).build();
                glob.map(|glob| glob.compile_matcher())
            };
            let invalid =
                |err: &globset::Error| (index, format!("`{pattern}` is not a glob: {}", err.kind()));
            let projects = glob(text).map_err(|err| invalid(&err))?;
            // A `/` may stand within braces.
            let halves =
                text.rsplit_once('/').filter(|(project, service)| !project.is_empty() && !service.is_empty());
            let services =
                halves.and_then(|(project, service)| Some((glob(project).ok()?, glob(service).ok()?)));
            Ok(Pattern { text: text.to_owned(), is_wanted, projects, services })
        };
        Ok(Self { patterns: patterns.iter().enumerate().map(read).collect::<Result<_, _>>()? })
    }

    /// The projects and services that the patterns select of those that are known.
    #[must_use]
    pub fn among(&self, known: &Known) -> Selected {
        let from_all = self.patterns.first().is_some_and(|pattern| !pattern.is_wanted);
        let about_services: Vec<Option<&(GlobMatcher, GlobMatcher)>> =
            self.patterns.iter().map(|pattern| pattern.about_services(known)).collect();
        let part = |(project, services): (&String, &Option<BTreeSet<String>>)| {
            let mut is_whole = from_all;
            let none = BTreeSet::new();
            let all = services.as_ref().unwrap_or(&none);
            let mut taken: BTreeSet<String> = if from_all { all.clone() } else { BTreeSet::new() };
            for (pattern, about) in self.patterns.iter().zip(&about_services) {
                match about {
                    None if pattern.projects.is_match(project) => {
                        is_whole = pattern.is_wanted;
                        taken = if is_whole { all.clone() } else { BTreeSet::new() };
                    }
                    None => {}
                    Some((of, service)) if of.is_match(project) => {
                        let asked = service.glob().glob();
                        let matching = all.iter().filter(|name| service.is_match(name)).cloned();
                        // What its services are is found out later, or never.
                        let unseen = services.is_none() && !is_glob(&pattern.text);
                        let matching = matching.chain(unseen.then(|| asked.to_owned()));
                        for name in matching.collect::<Vec<_>>() {
                            if pattern.is_wanted {
                                taken.insert(name);
                            } else {
                                taken.remove(&name);
                            }
                        }
                    }
                    Some(_) => {}
                }
            }
            let has_all = services.as_ref().is_some_and(|all| *all == taken && !all.is_empty());
            if has_all || is_whole && services.as_ref().is_none_or(BTreeSet::is_empty) {
                return Some((project.clone(), Part::Whole));
            }
            (!taken.is_empty()).then(|| (project.clone(), Part::Services(taken)))
        };
        Selected { parts: Some(known.0.iter().filter_map(part).collect()) }
    }

    /// Refuses names that no project or service has, and patterns that together select nothing. Exclusions alone may
    /// do that: one host may have only what they exclude.
    ///
    /// # Errors
    ///
    /// Each such name, with the nearest ones that exist.
    pub fn refuse_unknown(&self, known: &Known) -> Outcome<()> {
        let selects_any = self.among(known).parts.is_some_and(|parts| !parts.is_empty());
        let is_idle = |pattern: &&Pattern| {
            pattern.is_wanted && (!is_glob(&pattern.text) || !selects_any) && !pattern.matches_any(known)
        };
        let problems: Vec<Diagnostic> =
            self.patterns.iter().filter(is_idle).map(|pattern| pattern.unknown(known)).collect();
        if !problems.is_empty() {
            return Err(Error::invalid(problems));
        }
        if selects_any || !self.patterns.iter().any(|pattern| pattern.is_wanted) {
            return Ok(());
        }
        let names: Vec<&str> = known.0.keys().map(String::as_str).collect();
        Err(Error::usage("the patterns for projects leave none").help(suggestion("", "projects", &names)))
    }
}

impl Pattern {
    /// The halves of the pattern, if it is about services.
    fn about_services(&self, known: &Known) -> Option<&(GlobMatcher, GlobMatcher)> {
        let is_of_projects = known.0.keys().any(|name| self.projects.is_match(name));
        self.services.as_ref().filter(|_| !is_of_projects)
    }

    fn matches_any(&self, known: &Known) -> bool {
        let Some((project, service)) = self.about_services(known) else {
            return known.0.keys().any(|name| self.projects.is_match(name));
        };
        known.0.iter().any(|(name, services)| {
            let has = |services: &BTreeSet<String>| services.iter().any(|name| service.is_match(name));
            project.is_match(name) && services.as_ref().is_none_or(has)
        })
    }

    /// That nothing has the name, and what is like it.
    fn unknown(&self, known: &Known) -> Diagnostic {
        let text = &self.text;
        let names: Vec<&str> = known.0.keys().map(String::as_str).collect();
        let Some((project, service)) = text.rsplit_once('/') else {
            return Diagnostic::error(format!("`{text}` matches no project"), None)
                .help(suggestion(text, "projects", &names));
        };
        match known.0.get(project) {
            Some(services) => {
                let services: Vec<&str> = services.iter().flatten().map(String::as_str).collect();
                Diagnostic::error(format!("project `{project}` has no service `{service}`"), None)
                    .help(suggestion(service, "services", &services))
            }
            None => {
                let help = match nearest(project, &names).filter(|_| nearest(text, &names).is_none()) {
                    Some(near) => format!("did you mean `{near}/{service}`?"),
                    None => suggestion(text, "projects", &names),
                };
                Diagnostic::error(format!("`{text}` matches no project and no service"), None).help(help)
            }
        }
    }
}

/// Whether a pattern is more than a name.
fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?', '[', '{'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        let mut known = Known::default();
        for (project, services) in [
            ("blog", &["web", "worker"][..]),
            ("postgres", &["db"]),
            ("web/shop", &["web", "cron"]),
            ("web/eu/shop", &["web"]),
        ] {
            known.add_services(
                project,
                services.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>().iter(),
            );
        }
        known
    }

    /// The selection in words: `blog`, or `blog/web` for a service.
    fn selected(patterns: &[&str]) -> Vec<String> {
        let known = known();
        let selected = Selection::new(patterns).unwrap().among(&known);
        let of = |name: &String| match selected.services(name) {
            Some(services) => services.iter().map(|service| format!("{name}/{service}")).collect(),
            None if selected.selects(name) => vec![name.clone()],
            None => Vec::new(),
        };
        known.0.keys().flat_map(of).collect()
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        assert_eq!(selected(&["*", "!postgres"]), ["blog", "web/eu/shop", "web/shop"]);
        assert_eq!(selected(&["!postgres", "*"]).len(), 4);
        assert_eq!(selected(&["*", "!web/*", "web/shop"]), ["blog", "postgres", "web/shop"]);
        assert_eq!(selected(&["!postgres"]), ["blog", "web/eu/shop", "web/shop"]);
        assert_eq!(selected(&["{blog,post*}"]), ["blog", "postgres"]);
    }

    #[test]
    fn what_matches_no_project_is_about_services() {
        assert_eq!(selected(&["blog/web"]), ["blog/web"]);
        assert_eq!(selected(&["blog/w*"]), ["blog"], "all of its services are the project");
        assert_eq!(selected(&["*/worker", "web/shop/c*"]), ["blog/worker", "web/shop/cron"]);
        // A project that is called so comes first.
        assert_eq!(selected(&["web/*"]), ["web/eu/shop", "web/shop"]);
        assert_eq!(selected(&["blog", "!blog/worker"]), ["blog/web"]);
        assert_eq!(selected(&["!*/w*"]), ["postgres", "web/shop/cron"]);
        assert_eq!(selected(&["blog/web", "blog"]), ["blog"]);
        assert_eq!(selected(&["blog/web", "!blog"]), [""; 0]);
        assert_eq!(selected(&["web/"]), [""; 0]);
    }

    #[test]
    fn a_project_whose_services_are_unknown_may_have_any_that_is_named() {
        let mut known = known();
        known.add_project("broken");
        let selection = Selection::new(&["broken/web"]).unwrap();
        selection.refuse_unknown(&known).unwrap();
        assert_eq!(selection.among(&known).services("broken"), Some(&["web".to_owned()].into()));
        assert!(Selection::new(&["*/cron"]).unwrap().among(&known).services("broken").is_none());
    }

    #[test]
    fn names_that_nothing_has_are_refused_with_the_nearest() {
        let said = |patterns: &[&str]| {
            let refused = Selection::new(patterns).unwrap().refuse_unknown(&known()).err();
            let problems = refused.map(|error| error.diagnostics).unwrap_or_default();
            let said = |problem: Diagnostic| format!("{}: {}", problem.message, problem.help.unwrap());
            problems.into_iter().map(said).collect::<Vec<_>>()
        };
        assert_eq!(said(&["blog", "web/*", "!postgres", "blog/web", "*/cron"]), [""; 0]);
        assert_eq!(
            said(&["blog", "bolg", "postgre"]),
            [
                "`bolg` matches no project: did you mean `blog`?",
                "`postgre` matches no project: did you mean `postgres`?"
            ]
        );
        assert_eq!(
            said(&["x*"]),
            ["`x*` matches no project: the projects are: blog, postgres, web/eu/shop, web/shop"]
        );
        assert_eq!(
            said(&["blog/wroker"]),
            ["project `blog` has no service `wroker`: did you mean `worker`?"]
        );
        assert_eq!(said(&["blog/x"]), ["project `blog` has no service `x`: the services are: web, worker"]);
        assert_eq!(
            said(&["bolg/web"]),
            ["`bolg/web` matches no project and no service: did you mean `blog/web`?"]
        );
        // A pattern may match nothing as long as another one does.
        assert_eq!(said(&["x*", "blog"]), [""; 0]);
        assert_eq!(said(&["blog/web", "!blog"]).len(), 1);
    }

    #[test]
    fn a_command_for_whole_projects_refuses_services() {
        let refused = |patterns: &[&str]| {
            let selected = Selection::new(patterns).unwrap().among(&known());
            selected.refuse_services("rollback").err().map(|error| error.diagnostics[0].message.clone())
        };
        assert_eq!(refused(&["blog", "web/*"]), None);
        let said = "rollback works on whole projects, and `blog/web` is a service";
        assert_eq!(refused(&["blog/web"]).as_deref(), Some(said));
    }

    #[test]
    fn an_invalid_glob_is_named() {
        let (index, message) = Selection::new(&["*", "a["]).unwrap_err();
        assert_eq!(index, 1);
        assert!(message.starts_with("`a[` is not a glob"), "{message}");
        assert!(Selection::new(&["!"]).is_err() && Selection::new(&["/"]).is_err());
    }
}
