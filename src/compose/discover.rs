//! Finds the files, variables and name of a project.
//!
//! Owns the steps of Compose before it reads YAML: default file names, overrides, `.env`,
//! `COMPOSE_FILE`, the project's name and its profiles
//! (<https://docs.docker.com/compose/how-tos/environment-variables/envvars/>).

use std::collections::BTreeSet;
use std::rc::Rc;

use super::context::{LoadContext, MAX_FILES, ResolvedPath, clean_absolute};
use super::load::read_env_files;
use super::variables::{self, Variable, Variables};
use super::yaml::{self, Mark, Node, Text};
use super::{Files, NodeKind};
use crate::base::diagnostic::{Diagnostic, Location};
use crate::base::path::RootPath;
use crate::config::compose_files::ComposeFiles;

/// Compose's file names, in order of preference.
pub use crate::config::layout::COMPOSE_FILES as FILES;

/// Compose's names for the override file, in order of preference.
pub const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// Files, variables and name of a project, found before its files are loaded.
pub(super) struct Discovery {
    /// The compose files in the order in which they are merged.
    pub(super) files: Vec<RootPath>,
    /// The compose and env files of the configuration, as far as they exist.
    pub(super) options: ComposeFiles,
    /// The env files among them, as far as they are below the root.
    pub(super) env_files: Vec<RootPath>,
    /// Where they are named; `None` if they have default names.
    pub(super) named_at: Option<Mark>,
    /// Folder that relative paths start from.
    pub(super) base: RootPath,
    /// The variables of the tree.
    pub(super) variables: Rc<Variables>,
    /// The project's name.
    pub(super) name: String,
    /// Location of `name:`, if the name comes from there.
    pub(super) name_at: Option<Location>,
    /// The `.env` whose `COMPOSE_PROJECT_NAME` is the name, as messages show it.
    pub(super) named_in: Option<String>,
    /// Profiles that `COMPOSE_PROFILES` activates.
    pub(super) profiles: BTreeSet<String>,
}

/// Whether `dir` holds a project.
pub(super) fn find(files: &dyn Files, dir: &RootPath) -> bool {
    let options = files.options(dir);
    let is_file = |name: &String| dir.join(name).is_ok_and(|path| files.kind(&path) == Some(NodeKind::File));
    if default_files(files, dir, &FILES).next().is_some() || options.files.iter().any(is_file) {
        return true;
    }
    let Ok(dotenv) = dir.join(".env") else { return false };
    if files.kind(&dotenv) != Some(NodeKind::File) {
        return false;
    }
    let mut context = LoadContext::new(files, "/");
    let variables = read_env_files(&mut context, &[dotenv], &Variables::default());
    variables.get("COMPOSE_FILE").is_some_and(|value| !value.text.is_empty())
}

/// Whether a file of this name can make its folder a project.
pub(super) fn makes_project(name: &str) -> bool {
    FILES.contains(&name) || name == ".env"
}

/// Finds what `docker compose` would load in `dir`.
pub(super) fn discover(context: &mut LoadContext<'_>, dir: &RootPath, root: &str) -> Discovery {
    // Compose runs in the folder, and its environment wins over `.env`.
    let pwd = clean_absolute(&format!("{root}/{dir}"));
    let mut outside = Variables::default();
    outside.set("PWD", Variable { text: pwd, ..Variable::default() });
    let mut variables = outside.clone();
    let mut options = context.files.options(dir);
    let mut env_files = Vec::new();
    if options.env_files.is_empty() {
        variables.fill(&dotenv(context, dir, &outside));
    } else {
        // They take the place of `.env`. Of one elsewhere on the host, nothing is known here.
        let below = options.env_files.iter().filter(|file| !file.starts_with(['/', '~']));
        for file in below {
            match dir.join(file) {
                Ok(path) => env_files.push(path),
                Err(_) => {
                    let message = format!(
                        "`compose.env_files` in ghdeploy.yml names `{file}`, which leads above the root"
                    );
                    context
                        .note(Diagnostic::error(message, None).help("write the absolute path on the host"));
                }
            }
        }
        let read = read_env_files(context, &env_files, &outside);
        variables.fill(&read);
    }
    let has_name = variables.get("COMPOSE_PROJECT_NAME").is_some();
    let listed = variables.get("COMPOSE_FILE").filter(|value| !value.text.is_empty()).cloned();
    let is_file =
        |name: &String| dir.join(name).is_ok_and(|path| context.files.kind(&path) == Some(NodeKind::File));
    options.files.retain(is_file);
    if listed.is_some() {
        // What the project says itself is more special.
        options.files.clear();
    }
    let mut files = Vec::new();
    let mut named_at = None;
    let mut base = dir.clone();
    match listed {
        Some(list) => {
            let separator = variables.get("COMPOSE_PATH_SEPARATOR").map(|value| value.text.clone());
            let separator = separator.filter(|text| !text.is_empty()).unwrap_or_else(|| ":".into());
            let path = dir.join(".env").unwrap_or_default();
            let at = Mark { source: context.source(&path, dir), line: 1, column: 1 };
            named_at = Some(at);
            files = named_files(context, at, &list, &separator);
            if let Some(parent) = files.first().and_then(RootPath::parent) {
                base = parent;
            }
            if base != *dir {
                // The folder of the first file may have its own `.env`. This folder's `.env` wins over it.
                let own = dotenv(context, &base, &variables);
                variables.fill(&own);
            }
        }
        None if !options.files.is_empty() => {
            files = options.files.iter().filter_map(|name| dir.join(name).ok()).collect();
            if let Some(first) = files.first() {
                named_at = Some(Mark { source: context.source(first, dir), line: 1, column: 1 });
                base = first.parent().unwrap_or_default();
            }
            if base != *dir && options.env_files.is_empty() {
                let own = dotenv(context, &base, &variables);
                variables.fill(&own);
            }
        }
        None => {
            for names in [&FILES, &OVERRIDES] {
                let mut found = default_files(context.files, dir, names);
                let Some(read) = found.next() else { break };
                if let Some(ignored) = found.next() {
                    let at = Mark { source: context.source(&ignored, dir), line: 1, column: 1 };
                    let message =
                        format!("Compose ignores this file, because {} is beside it", read.file_name());
                    context.warning(at, message);
                }
                files.push(read);
            }
        }
    }
    let named_by = if has_name { dir } else { &base };
    let named_in = variables.get("COMPOSE_PROJECT_NAME").filter(|value| !value.text.is_empty()).map(|_| {
        let dotenv = named_by.join(".env").unwrap_or_default();
        let source = context.source(&dotenv, named_by);
        match context.on_host(Mark { source, line: 1, column: 1 }) {
            Some(path) => format!("{path} on the host"),
            None => context.files.shown(&dotenv),
        }
    });
    let (name, name_at) = name(context, &files, &base, root, &variables, named_by);
    if variables.get("COMPOSE_PROJECT_NAME").is_none_or(|value| value.text.is_empty()) {
        variables.set("COMPOSE_PROJECT_NAME", Variable { text: name.clone(), ..Variable::default() });
    }
    let profiles = variables.get("COMPOSE_PROFILES").map(|value| value.text.clone()).unwrap_or_default();
    let profiles = profiles.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    let profiles = profiles.collect();
    Discovery {
        files,
        options,
        env_files,
        named_at,
        base,
        profiles,
        variables: Rc::new(variables),
        name,
        name_at,
        named_in,
    }
}

fn dotenv(context: &mut LoadContext<'_>, dir: &RootPath, environment: &Variables) -> Variables {
    match dir.join(".env") {
        Ok(path) if context.files.kind(&path) != Some(NodeKind::Dir) => {
            read_env_files(context, &[path], environment)
        }
        _ => Variables::default(),
    }
}

fn default_files(files: &dyn Files, dir: &RootPath, names: &[&str]) -> impl Iterator<Item = RootPath> {
    let paths = names.iter().filter_map(|name| dir.join(name).ok());
    paths.filter(|path| files.kind(path) == Some(NodeKind::File))
}

fn named_files(context: &mut LoadContext<'_>, at: Mark, list: &Variable, separator: &str) -> Vec<RootPath> {
    let mut files = Vec::new();
    if list.text.split(separator).nth(MAX_FILES).is_some() {
        context.error(at, format!("`COMPOSE_FILE` names more than {MAX_FILES} files"));
        return files;
    }
    for name in list.text.split(separator).filter(|name| !name.is_empty()) {
        let unknown: Vec<Rc<str>> = list.unknown.iter().cloned().collect();
        let text = Text { text: Rc::from(name), plain: false, unknown: Rc::from(unknown) };
        match context.resolve(&text, at) {
            ResolvedPath::Tree(path) => files.push(path),
            ResolvedPath::Host(_) => {
                let message = "`COMPOSE_FILE` names a file that only the host has";
                context.error_with(at, message, "bring it into the repository, or leave it out");
            }
            ResolvedPath::Invalid => {}
        }
    }
    files
}

/// `COMPOSE_PROJECT_NAME` (from the `.env` in `named_by`), the last `name:` of the files, or the folder's
/// name.
fn name(
    context: &mut LoadContext<'_>,
    files: &[RootPath],
    base: &RootPath,
    root: &str,
    variables: &Variables,
    named_by: &RootPath,
) -> (String, Option<Location>) {
    if let Some(value) = variables.get("COMPOSE_PROJECT_NAME").filter(|value| !value.text.is_empty()) {
        let name = value.text.clone();
        if value.unknown.is_empty() && name != normalised(&name) {
            let dotenv = named_by.join(".env").unwrap_or_default();
            let at = Mark { source: context.source(&dotenv, named_by), line: 1, column: 1 };
            let message = "`COMPOSE_PROJECT_NAME` may hold only lowercase letters, digits, `-` and `_`, \
                           and must start with a letter or digit";
            context.error(at, message);
        }
        return (name, None);
    }
    let mut name = None;
    for file in files {
        let (_, documents) = context.documents(file, base);
        for document in documents.iter().flat_map(|documents| documents.iter()) {
            if let Some(node @ Node { value: yaml::Value::Text(text), .. }) = document.get("name") {
                let at = context.location(node.at);
                let value = variables::substitute(&text.text, &|name| variables.get(name));
                if let Some(unknown) = value.as_ref().ok().and_then(|value| value.unknown.first()) {
                    let message =
                        format!("only the host knows `{unknown}`, so the project's name is not known");
                    let help = "give it a default, or put it into a .env in the repository";
                    context.note(Diagnostic::error(message, Some(at.clone())).help(help));
                }
                name = value.ok().map(|value| (value.text, at)).or(name);
            }
        }
    }
    match name {
        Some((name, at)) if !name.is_empty() => (normalised(&name), Some(at)),
        _ if base.is_root() => {
            (normalised(root.rsplit('/').find(|part| !part.is_empty()).unwrap_or("")), None)
        }
        _ => (normalised(base.file_name()), None),
    }
}

/// Normalises the name of a folder to that of a project.
fn normalised(name: &str) -> String {
    let lower = name.to_lowercase();
    let kept: String = lower
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
        .collect();
    kept.trim_start_matches(['-', '_']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::fake::{FakeTree, messages};
    use super::*;

    fn name(files: &[(&str, &str)]) -> String {
        let project = FakeTree::new(files).load();
        assert_eq!(messages(&project), Vec::<String>::new());
        project.name
    }

    #[test]
    fn a_project_is_a_folder_with_a_compose_file() {
        let tree = FakeTree::new(&[
            ("a/docker-compose.yaml", ""),
            ("b/.env", "COMPOSE_FILE=stack.yml"),
            ("b/stack.yml", ""),
            ("c/.env", "A=1"),
            ("d/compose.yml/x", ""),
        ]);
        let found = |dir: &str| find(&tree, &RootPath::new(dir).unwrap());
        assert_eq!(["a", "b", "c", "d", "e"].map(found), [true, true, false, false, false]);
    }

    #[test]
    fn the_name_comes_from_the_environment_the_files_or_the_folder() {
        let compose = "name: ${PREFIX:-my} Blog\nservices: {web: {image: a}}";
        let plain = "services: {web: {image: a}}";
        assert_eq!(name(&[("blog/compose.yml", plain)]), "blog");
        assert_eq!(name(&[("blog/compose.yml", compose)]), "myblog");
        assert_eq!(name(&[("blog/compose.yml", compose), ("blog/.env", "COMPOSE_PROJECT_NAME=x")]), "x");
        assert_eq!(normalised("__My.Blog_1-a"), "myblog_1-a");
        let unknown =
            FakeTree::new(&[("blog/compose.yml", "name: a${X}\nservices: {web: {image: a}}")]).load();
        let said = "services/blog/compose.yml:1:7: only the host knows `X`, so the project's name is not known \
                    (give it a default, or put it into a .env in the repository)";
        assert_eq!(messages(&unknown), [said]);
        let invalid =
            FakeTree::new(&[("blog/compose.yml", plain), ("blog/.env", "COMPOSE_PROJECT_NAME=X y")]);
        assert!(messages(&invalid.load())[0].contains("`COMPOSE_PROJECT_NAME` may hold only"));
        let elsewhere = "COMPOSE_PROJECT_NAME=X y\nCOMPOSE_FILE=sub/a.yml";
        let invalid = FakeTree::new(&[("blog/sub/a.yml", plain), ("blog/.env", elsewhere)]);
        assert!(messages(&invalid.load())[0].starts_with("services/blog/.env:1:1: `COMPOSE_PROJECT_NAME`"));
    }

    #[test]
    fn a_project_in_the_root_has_the_name_of_the_root() {
        let tree = FakeTree::new(&[("compose.yml", "services: {web: {image: a}}")]);
        for root in ["/srv/My.Services", "/srv/my.services/"] {
            assert_eq!(super::super::load(&tree, &RootPath::root(), root).name, "myservices");
        }
    }

    #[test]
    fn pwd_is_the_folder_on_the_host_regardless_of_dotenv() {
        let compose = "services: {web: {image: 'a:$PWD'}}";
        let project =
            FakeTree::new(&[("blog/compose.yml", compose), ("blog/.env", "PWD=/elsewhere\n")]).load();
        let web = super::super::fake::web(&project);
        assert_eq!(web.image.as_deref(), Some("a:/srv/services/blog"));
    }

    #[test]
    fn a_folder_with_the_name_of_dotenv_is_not_read() {
        let compose = "services: {web: {image: a}}";
        let project = FakeTree::new(&[("blog/compose.yml", compose), ("blog/.env/x", "")]).load();
        assert_eq!(messages(&project), Vec::<String>::new());
        let read: Vec<&str> = project.definition_files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(read, ["blog/compose.yml"]);
    }

    #[test]
    fn the_preferred_file_is_read_and_the_ignored_one_named() {
        let files = [
            ("blog/docker-compose.yml", "services: {old: {image: a}}"),
            ("blog/compose.yml", "services: {new: {image: a}}"),
        ];
        let project = FakeTree::new(&files).load();
        assert!(project.services.contains_key("new"));
        let said = "services/blog/docker-compose.yml:1:1: Compose ignores this file, because compose.yml is beside it";
        assert_eq!(messages(&project), [said]);
    }

    #[test]
    fn listed_files_are_merged_in_their_order() {
        let project = FakeTree::new(&[
            ("blog/.env", "COMPOSE_FILE=a.yml:sub/b.yml"),
            ("blog/a.yml", "services: {web: {image: a, volumes: ['./x:/x']}}"),
            ("blog/sub/b.yml", "services: {web: {image: b, volumes: ['./y:/y']}}"),
            ("blog/compose.yml", "services: {other: {image: c}}"),
        ])
        .load();
        let web = super::super::fake::web(&project);
        assert_eq!(web.image.as_deref(), Some("b"));
        let reads: Vec<&str> = web.reads.iter().map(|read| read.path.as_str()).collect();
        assert_eq!(reads, ["blog/x", "blog/y"]);
        let missing = FakeTree::new(&[("blog/.env", "COMPOSE_FILE=no.yml")]).load();
        assert_eq!(messages(&missing), ["services/blog/.env:1:1: there is no file services/blog/no.yml"]);
    }
}
