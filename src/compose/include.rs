//! Applies `include`.
//!
//! Owns the folder and the variables that an included file is loaded with, circles of files, and conflicts
//! between two files that define the same name.

use std::rc::Rc;

use super::keys;
use super::load::{Loader, MAX_CHAIN, Model, read_env_files, texts};
use super::merge;
use super::remote;
use super::variables::Variables;
use super::words::ResourceKind;
use super::yaml::{Mark, Node, Value};
use crate::base::diagnostic::Diagnostic;
use crate::base::path::RootPath;

/// What follows from an `include` that is not read here.
const FETCHED: &str = "so its services start only if others depend on them, and are not watched";

impl Loader<'_, '_> {
    /// Adds the files that `include` names. `chain` holds the files that led here, this one last.
    pub(super) fn includes(&mut self, model: &mut Model, include: Node, chain: &[RootPath]) {
        // Anything else was reported with the shapes of the file.
        let Value::List(items) = include.value else { return };
        for item in items {
            let (paths, directory, env_files) = match &item.value {
                Value::Text(_) => (vec![item.clone()], None, Vec::new()),
                Value::Map(map) => {
                    keys::check(self.context, map, keys::INCLUDE, "`include`");
                    let get = |key: &str| map.get(key).map(|entry| entry.node.clone());
                    (texts(get("path")), get("project_directory"), texts(get("env_file")))
                }
                _ => (Vec::new(), None, Vec::new()),
            };
            if paths.is_empty() {
                self.context.error(item.at, "an `include` needs a path");
                continue;
            }
            let mut is_remote = false;
            for path in &paths {
                if let Value::Text(text) = &path.value
                    && remote::is_fetched(self.context, path.at, text, "`include`", FETCHED)
                {
                    is_remote = true;
                    self.context.remote_includes.push(Rc::clone(&text.text));
                }
            }
            if is_remote {
                continue;
            }
            let files: Vec<RootPath> =
                paths.iter().filter_map(|path| self.file_named(path, "`include`")).collect();
            self.context.included.extend(files.iter().cloned());
            let Some(first) = files.first().filter(|_| files.len() == paths.len()) else { continue };
            if let Some(start) = chain.iter().position(|file| file == first) {
                let shown = |file: &RootPath| self.context.files.shown(file);
                let mut circle: Vec<String> = chain[start..].iter().map(shown).collect();
                circle.push(shown(first));
                self.context.error(
                    item.at,
                    format!("files include each other in a circle: {}", circle.join(" includes ")),
                );
                continue;
            }
            if chain.len() >= MAX_CHAIN {
                self.context.error(item.at, format!("a chain of more than {MAX_CHAIN} `include`"));
                continue;
            }
            let directory = match directory {
                Some(node) => match self.file_named(&node, "`project_directory`") {
                    Some(path) => path,
                    None => continue,
                },
                None => first.parent().unwrap_or_default(),
            };
            // Each file gets a copy of the variables.
            if !self.context.pay(self.variables.size(), item.at) {
                return;
            }
            let variables = self.included_variables(&env_files, &directory);
            let mut loader = Loader::new(self.context, variables);
            let included =
                loader.load(&files, &directory, &|index| paths.get(index).map(|path| path.at), chain);
            self.import(model, included, item.at);
        }
    }

    /// Returns the variables for included files. Those of the includer win over the files' own.
    fn included_variables(&mut self, env_files: &[Node], directory: &RootPath) -> Rc<Variables> {
        let mut variables = (*self.variables).clone();
        let mut paths = Vec::new();
        for node in env_files {
            paths.extend(self.file_named(node, "`include.env_file`"));
        }
        if env_files.is_empty() {
            paths.extend(directory.join(".env"));
        }
        let own = read_env_files(self.context, &paths, &variables);
        variables.fill(&own);
        Rc::new(variables)
    }

    /// Adds an included model to one. What both define is merged like files, and the includer's own comes last.
    fn import(&mut self, model: &mut Model, from: Model, at: Mark) {
        for (name, included) in from.services {
            match model.services.remove(&name) {
                Some(mut own) if !merge::same_map(&own.body, &included.body) => {
                    self.conflict("service", &name, at);
                    own.places.extend(included.places);
                    own.body = merge::service(self.context, included.body, own.body);
                    merge::clear_tags(&mut own.body);
                    model.services.insert(name, own);
                }
                Some(own) => {
                    model.services.insert(name, own);
                }
                None => {
                    model.services.insert(name, included);
                }
            }
        }
        let pairs = [
            (ResourceKind::Network, &mut model.networks, from.networks),
            (ResourceKind::Volume, &mut model.volumes, from.volumes),
            (ResourceKind::Config, &mut model.configs, from.configs),
            (ResourceKind::Secret, &mut model.secrets, from.secrets),
            (ResourceKind::Model, &mut model.models, from.models),
        ];
        for (kind, all, included) in pairs {
            let conflicts = included.iter().filter(|(name, entry)| {
                all.get(*name).is_some_and(|own| !merge::same(&own.node, &entry.node))
            });
            conflicts.for_each(|(name, _)| self.conflict(kind.word(), name, at));
            let own = std::mem::take(all);
            *all = merge::resources(self.context, included, own);
            merge::clear_tags(all);
        }
    }

    /// Warns of a definition that the includer, or a file that it included before, has too. Compose 2.40 refuses
    /// that, and 5.5 merges them.
    fn conflict(&mut self, kind: &str, name: &str, at: Mark) {
        let message = format!("included {kind} `{name}` conflicts with another of that name");
        let warning = Diagnostic::warning(message, Some(self.context.location(at)));
        self.context.note(warning.help("versions of Docker Compose before 5 refuse that"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{FakeTree, messages, web};

    #[test]
    fn included_files_have_a_folder_and_variables_of_their_own() {
        let project = FakeTree::new(&[
            ("blog/compose.yml", "include: [parts/a.yml, {path: parts/b.yml, project_directory: ., env_file: b.env}]\nservices: {web: {image: w}}"),
            ("blog/.env", "WHO=outer"),
            ("blog/b.env", "WHO=b\nONLY=b"),
            ("blog/parts/.env", "WHO=parts\nONLY=parts"),
            ("blog/parts/a.yml", "services: {a: {image: '${WHO}-${ONLY}', volumes: ['./x:/x']}}"),
            ("blog/parts/b.yml", "services: {b: {image: '${WHO}-${ONLY}', volumes: ['./x:/x']}}"),
        ])
        .load();
        web(&project);
        let shown = |name: &str| {
            let service = &project.services[name];
            format!("{} {}", service.image.as_deref().unwrap(), service.reads[0].path)
        };
        assert_eq!(shown("a"), "outer-parts blog/parts/x");
        assert_eq!(shown("b"), "outer-b blog/x");
    }

    #[test]
    fn a_service_that_is_defined_alike_twice_is_no_conflict() {
        let service = "services: {web: {image: w, environment: [A]}}";
        let compose = format!("include: [part.yml]\n{service}");
        let tree = FakeTree::new(&[("blog/compose.yml", &compose), ("blog/part.yml", service)]);
        assert_eq!(messages(&tree.load()), Vec::<String>::new());
    }

    #[test]
    fn definitions_that_differ_are_merged_with_a_warning() {
        let of = |parts: &[(&str, &str)], compose: &str| {
            let files: Vec<(&str, &str)> =
                parts.iter().copied().chain([("blog/compose.yml", compose)]).collect();
            FakeTree::new(&files).load()
        };
        let part =
            ("blog/part.yml", "services: {web: {image: x, environment: [A=1]}}\nnetworks: {n: {driver: a}}");
        let own = "services: {web: {image: w, command: y}}\nnetworks: {n: {internal: true}}";
        let merged = of(&[part], &format!("include: [part.yml]\n{own}"));
        assert_eq!(
            messages(&merged),
            [
                "services/blog/compose.yml:1:11: included service `web` conflicts with another of that name (versions \
                 of Docker Compose before 5 refuse that)",
                "services/blog/compose.yml:1:11: included network `n` conflicts with another of that name (versions \
                 of Docker Compose before 5 refuse that)",
            ]
        );
        assert!(merged.diagnostics.iter().all(|found| !found.is_error()));
        let same = of(&[], "services: {web: {image: w, command: y, environment: [A=1]}}");
        assert_eq!(merged.services["web"].definition, web(&same).definition);
        // Of two included files, the first comes last.
        let other = ("blog/other.yml", "services: {web: {image: z, command: y}}");
        let both = of(&[part, other], "include: [part.yml, other.yml]");
        let same = of(&[], "services: {web: {image: x, command: y, environment: [A=1]}}");
        assert_eq!(both.services["web"].definition, web(&same).definition);
    }

    #[test]
    fn what_compose_fetches_is_told_and_may_define_anything() {
        let load = |reference: &str, services: &str| {
            FakeTree::new(&[("blog/compose.yml", &format!("include: ['{reference}']\nservices: {services}"))])
                .load()
        };
        let pinned = format!("https://example.org/x.git#{}:db", "0".repeat(40));
        let uses = "{web: {image: w, depends_on: [db], networks: [n], volumes: ['v:/v'], configs: [c], models: [m]}}";
        let said = "services/blog/compose.yml:1:11: `include` is remote: Docker Compose on the host fetches it, so its \
                    services start only if others depend on them, and are not watched";
        let project = load(&pinned, uses);
        assert_eq!(
            messages(&project),
            [format!("{said} (put its files into the repository if ghdeploy is to see what they hold)")]
        );
        assert!(!project.diagnostics[0].is_error());
        assert!(project.services["web"].depends_on.contains_key("db"));
        // Another commit may change what it depends on.
        let other = load(&pinned.replace('0', "1"), uses);
        assert_ne!(project.services["web"].definition, other.services["web"].definition);
        for moving in ["oci://example.org/x:latest", "git@example.org:x.git"] {
            assert!(messages(&load(moving, uses))[0].contains("is not noticed"), "{moving}");
        }
        assert!(messages(&load(&pinned, "{}"))[1].contains("a deploy would start none"));
        assert!(
            messages(&load("https://example.org/x", uses))[0]
                .contains("is neither a path, nor a git repository")
        );
    }

    #[test]
    fn circles_and_missing_files_are_errors() {
        let load = |part: &str| {
            let compose = "include: [part.yml]\nservices: {web: {image: w}}";
            messages(&FakeTree::new(&[("blog/compose.yml", compose), ("blog/part.yml", part)]).load())
                .join("\n")
        };
        assert_eq!(load("services: {web: {image: w}}"), "");
        assert!(load("include: [compose.yml]").contains(
            "circle: services/blog/compose.yml includes services/blog/part.yml includes services/blog/compose.yml"
        ));
        assert!(load("include: [no.yml]").contains("there is no file services/blog/no.yml"));
        assert!(load("include: ['https://example.org/x.git']").contains("is remote"));
    }
}
