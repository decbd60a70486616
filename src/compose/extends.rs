//! Applies `extends`.
//!
//! Owns chains of services that extend each other, in one file or across files, and the detection of circles.

use std::rc::Rc;

use super::context::ResolvedPath;
use super::load::{Definition, Loader, MAX_CHAIN, Services, interpolate};
use super::merge;
use super::remote;
use super::yaml::{Map, MapEntry, Mark, Node, Tag, Text, Value};
use crate::base::path::RootPath;

/// Chain of `extends` so far: the source of the file, and the service.
pub(super) type Links = Vec<(u32, Rc<str>)>;

impl Loader<'_, '_> {
    /// Returns the service merged over everything that it extends.
    pub(super) fn extend(
        &mut self,
        source: u32,
        services: &Services,
        name: &str,
        done: &mut Services,
        links: &mut Links,
    ) -> Option<Definition> {
        if let Some(definition) = done.get(name) {
            return Some(definition.clone());
        }
        let mut definition = services.get(name)?.clone();
        let Some(extends) = definition.body.remove("extends") else {
            if !self.context.pay(definition.body.len(), definition.at) {
                return None;
            }
            done.insert(Rc::from(name), definition.clone());
            return Some(definition);
        };
        let node = extends.node;
        if node.tag == Tag::Reset || matches!(node.value, Value::Null) {
            return Some(definition);
        }
        let (wanted, file) = match &node.value {
            Value::Text(text) => (Some(text.clone()), None),
            Value::Map(map) => {
                let service = map.get("service").and_then(|entry| match &entry.node.value {
                    Value::Text(text) => Some(text.clone()),
                    _ => None,
                });
                let file = map.get("file").map(|entry| entry.node.clone());
                (service, file.filter(|file| !matches!(file.value, Value::Null)))
            }
            Value::Null | Value::List(_) => (None, None),
        };
        let Some(wanted) = wanted else {
            self.context.error(node.at, format!("service `{name}`: `extends` needs the name of a service"));
            return Some(definition);
        };
        let unknown = file_text(file.as_ref()).map(|text| text.unknown.clone()).unwrap_or_default();
        if let Some(variable) = wanted.unknown.iter().chain(&*unknown).next().cloned() {
            let base = self.possible_bases(source, services, &wanted, file.as_ref(), done, links);
            if base.is_empty() {
                let message = format!(
                    "only the host knows `{variable}`, and nothing here can be what service `{name}` extends"
                );
                self.context.error(node.at, message);
                return Some(definition);
            }
            let message = format!(
                "only the host knows `{variable}`, so service `{name}` counts as if it extended everything that it may extend"
            );
            self.context.warning(node.at, message);
            return self.over_all(definition, base, node);
        }
        let wanted = wanted.text;
        if let Some(text) = file_text(file.as_ref())
            && remote::is_fetched(
                self.context,
                node.at,
                text,
                &format!("service `{name}`: `extends.file`"),
                "so only what is written here is known of the service",
            )
        {
            definition.body.insert(Rc::from("extends"), MapEntry { at: extends.at, node });
            return Some(definition);
        }
        let base = match file {
            None if !services.contains_key(&wanted) => {
                let at = map_at(&node, "service");
                let wanted = self.context.quote(at, &wanted);
                self.context.error(
                    node.at,
                    format!("service `{name}` extends `{wanted}`, which is not in this file"),
                );
                None
            }
            None => {
                self.link(source, &wanted, node.at, links)?;
                let base = self.extend(source, services, &wanted, done, links);
                links.pop();
                base
            }
            Some(file) => {
                let base = (&wanted, map_at(&node, "service"));
                self.extend_from_file(name, base, &file, links)
            }
        };
        let Some(base) = base else { return Some(definition) };
        let size: usize = base.body.values().map(|entry| entry.node.size()).sum();
        if !self.context.pay(size, definition.at) {
            return None;
        }
        definition.places.extend(base.places);
        definition.body = merge::extended(self.context, base.body, definition.body);
        if links.first().is_some_and(|(first, _)| *first == source) {
            done.insert(Rc::from(name), definition.clone());
        }
        Some(definition)
    }

    /// The services that may be meant, if a variable of the host decides which one it is: those whose name fits, in
    /// the files whose name fits.
    fn possible_bases(
        &mut self,
        source: u32,
        services: &Services,
        wanted: &Text,
        file: Option<&Node>,
        done: &mut Services,
        links: &mut Links,
    ) -> Vec<Definition> {
        let at = file.map_or(Mark { source, line: 1, column: 1 }, |file| file.at);
        let Some(file) = file else {
            let own = links.last().map(|(_, name)| Rc::clone(name));
            let names: Vec<Rc<str>> = services
                .keys()
                .filter(|name| own.as_ref() != Some(*name) && may_be(wanted, name))
                .cloned()
                .collect();
            let mut bases = Vec::new();
            for name in names {
                // One that extends this one in turn cannot be meant.
                if links.iter().any(|link| *link == (source, Rc::clone(&name))) {
                    continue;
                }
                links.push((source, Rc::clone(&name)));
                bases.extend(self.extend(source, services, &name, done, links));
                links.pop();
            }
            return bases;
        };
        let mut bases = Vec::new();
        for path in self.possible_files(file) {
            let base = path.parent().unwrap_or_default();
            let (source, documents) = self.context.documents(&path, &base);
            let Some(services) = documents.and_then(|documents| self.services_of(source, &documents)) else {
                continue;
            };
            for name in services.keys().filter(|name| may_be(wanted, name)) {
                if links.len() >= MAX_CHAIN || self.link(source, name, at, links).is_none() {
                    continue;
                }
                bases.extend(self.extend(source, &services, name, &mut Services::new(), links));
                links.pop();
            }
        }
        bases
    }

    /// The files that may be meant.
    fn possible_files(&mut self, file: &Node) -> Vec<RootPath> {
        let Some(text) = file_text(Some(file)) else { return Vec::new() };
        if text.unknown.is_empty() {
            return self.file_named(file, "`extends.file`").into_iter().collect();
        }
        // A variable in the name of the file: all files of that folder whose name fits.
        let (dir, name) = text.text.rsplit_once('/').unwrap_or((".", &text.text));
        if dir.contains("${") {
            return Vec::new();
        }
        let name = Text { text: Rc::from(name), plain: false, unknown: text.unknown.clone() };
        match self.context.resolve(&Text::quoted(dir), file.at) {
            ResolvedPath::Tree(dir) => {
                let files = self.context.files.list(&dir).into_iter();
                files.filter(|path| may_be(&name, path.file_name())).collect()
            }
            ResolvedPath::Host(_) | ResolvedPath::Invalid => Vec::new(),
        }
    }

    /// The service merged over all of these. What decides among them is kept as a part of the definition.
    fn over_all(
        &mut self,
        mut definition: Definition,
        bases: Vec<Definition>,
        extends: Node,
    ) -> Option<Definition> {
        let images = bases.iter().filter(|base| base.body.contains_key("image")).count();
        let mut body = Map::new();
        for base in bases {
            let size: usize = base.body.values().map(|entry| entry.node.size()).sum();
            if !self.context.pay(size, definition.at) {
                return None;
            }
            definition.places.extend(base.places);
            body = merge::extended(self.context, body, base.body);
        }
        if images > 1
            && let Some(entry) = body.get_mut("image")
        {
            // Which of them it is, the host decides, too.
            let unknown = unknown_of(&extends);
            let text = format!("${{{}}}", unknown.first().map_or("?", |name| name));
            entry.node.value =
                Value::Text(Text { text: Rc::from(text), plain: false, unknown: Rc::from(unknown) });
        }
        definition.body = merge::extended(self.context, body, definition.body);
        let entry = MapEntry { at: extends.at, node: extends };
        definition.body.insert(Rc::from("extends"), entry);
        Some(definition)
    }

    /// The services of an extended file in long form, before their own `extends`; `None` if the budget is spent.
    fn services_of(&mut self, source: u32, documents: &[Node]) -> Option<Rc<Services>> {
        if let Some(services) = self.extended.get(&source) {
            return Some(Rc::clone(services));
        }
        let mut services = Services::new();
        for document in documents {
            if !self.context.pay(document.size(), document.at) {
                return None;
            }
            let node = interpolate(self.context, document, &self.variables);
            if let Value::Map(mut top) = node.value {
                services.extend(self.services(top.remove("services")));
            }
        }
        let services = Rc::new(services);
        self.extended.insert(source, Rc::clone(&services));
        Some(services)
    }

    fn extend_from_file(
        &mut self,
        name: &str,
        (wanted, wanted_at): (&Rc<str>, Mark),
        file: &Node,
        links: &mut Links,
    ) -> Option<Definition> {
        let path = self.file_named(file, &format!("service `{name}`: `extends.file`"))?;
        let base = path.parent().unwrap_or_default();
        let (source, documents) = self.context.documents(&path, &base);
        let Some(documents) = documents else {
            let shown = self.context.quote_file(file.at, &path);
            self.context
                .error(file.at, format!("service `{name}` extends a file that does not exist: {shown}"));
            return None;
        };
        let services = self.services_of(source, &documents)?;
        if !services.contains_key(wanted) {
            let shown = self.context.quote_file(file.at, &path);
            let wanted = self.context.quote(wanted_at, wanted);
            self.context
                .error(file.at, format!("service `{name}` extends `{wanted}`, which is not in {shown}"));
            return None;
        }
        self.link(source, wanted, file.at, links)?;
        let found = self.extend(source, &services, wanted, &mut Services::new(), links);
        links.pop();
        found
    }

    /// Adds a link to a chain of `extends`, unless it closes a circle.
    fn link(&mut self, source: u32, service: &Rc<str>, at: Mark, links: &mut Links) -> Option<()> {
        let link = (source, Rc::clone(service));
        if links.contains(&link) {
            links.push(link);
            let name = |(source, service): &(u32, Rc<str>)| {
                let file = self.context.location(Mark { source: *source, line: 1, column: 1 }).path;
                format!("`{service}` in {file}")
            };
            let chain: Vec<String> = links.iter().map(name).collect();
            self.context
                .error(at, format!("services extend each other in a circle: {}", chain.join(" extends ")));
            return None;
        }
        if links.len() >= MAX_CHAIN {
            self.context.error(at, format!("a chain of more than {MAX_CHAIN} `extends`"));
            return None;
        }
        links.push(link);
        Some(())
    }
}

/// The text of `extends.file`.
fn file_text(file: Option<&Node>) -> Option<&Text> {
    match file.map(|file| &file.value) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

/// The variables of the host in a node.
fn unknown_of(node: &Node) -> Vec<Rc<str>> {
    match &node.value {
        Value::Text(text) => text.unknown.to_vec(),
        Value::Map(map) => map.values().flat_map(|entry| unknown_of(&entry.node)).collect(),
        Value::Null | Value::List(_) => Vec::new(),
    }
}

/// Whether a text with variables that only the host knows may mean this name: any text may stand for each of them.
fn may_be(text: &Text, name: &str) -> bool {
    let mut rest = name;
    let mut parts = text.text.split("${");
    let Some(after) = rest.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    rest = after;
    let mut is_open = false;
    for part in parts {
        let certain = part.split_once('}').map_or("", |(_, certain)| certain);
        match rest.rfind(certain) {
            Some(at) if !certain.is_empty() => (rest, is_open) = (&rest[at + certain.len()..], false),
            Some(_) => is_open = true,
            None => return false,
        }
    }
    is_open || rest.is_empty()
}

/// Returns the mark of a key's value, or of the node itself without the key.
fn map_at(node: &Node, key: &str) -> Mark {
    node.get(key).map_or(node.at, |value| value.at)
}

#[cfg(test)]
mod tests {
    use super::super::fake::{FakeTree, messages, project, web};
    use super::*;

    #[test]
    fn of_a_service_that_extends_what_compose_fetches_only_its_own_part_is_known() {
        let load = |file: &str, more: &str| {
            let compose = format!(
                "services: {{web: {{extends: {{file: '{file}', service: base}}{more}}}, api: {{extends: web, image: x}}}}"
            );
            FakeTree::new(&[("blog/compose.yml", &compose)]).load()
        };
        let project = load("oci://example.org/base:1", "");
        let found = messages(&project);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with(
                "services/blog/compose.yml:1:27: service `web`: `extends.file` is remote: Docker Compose on the host \
                 fetches it, so only what is written here is known of the service"
            ),
            "{found:?}"
        );
        for name in ["web", "api"] {
            let (service, other) =
                (&project.services[name], &load("oci://example.org/base:2", "").services[name]);
            assert_ne!(service.definition, other.definition, "{name}");
            assert_eq!((service.scale, &service.restart), (None, &None), "{name}");
        }
        let own = load("oci://example.org/base:1", ", scale: 2, restart: always");
        assert_eq!((own.services["web"].scale, own.services["web"].restart.is_some()), (Some(2), true));
        assert!(messages(&load("https://example.org/x", ""))[0].contains("is neither a path"));
    }

    #[test]
    fn a_chain_across_files_resolves_paths_in_each_of_them() {
        let project = FakeTree::new(&[
            (
                "blog/compose.yml",
                "services: {web: {extends: {file: ../shared/app.yml, service: app}, volumes: ['./a:/a']}}",
            ),
            (
                "shared/app.yml",
                "services: {app: {extends: {file: deep/base.yml, service: base}, volumes: ['./b:/b']}}",
            ),
            ("shared/deep/base.yml", "services: {base: {image: x, volumes: ['./c:/c']}}"),
        ])
        .load();
        let reads: Vec<&str> = web(&project).reads.iter().map(|read| read.path.as_str()).collect();
        assert_eq!(reads, ["shared/deep/c", "shared/b", "blog/a"]);
    }

    #[test]
    fn circles_are_reported_with_their_chain() {
        let found =
            messages(&project("services: {a: {image: x, extends: b}, b: {extends: c}, c: {extends: b}}"));
        assert!(found[0].ends_with(
            "services extend each other in a circle: `a` in services/blog/compose.yml extends `b` in \
             services/blog/compose.yml extends `c` in services/blog/compose.yml extends `b` in services/blog/compose.yml"
        ), "{found:?}");
    }

    #[test]
    fn a_variable_of_the_host_may_mean_everything_that_fits() {
        let compose = "services:\n  web:\n    image: a\n    extends: {file: hw.yml, service: $HW}\n  ml:\n    image: b\n    extends: {file: 'hw.${ML}.yml', service: ml}\n";
        let project = FakeTree::new(&[
            ("blog/compose.yml", compose),
            ("blog/hw.yml", "services: {cpu: {}, nvenc: {devices: [/dev/null], volumes: ['./nv:/nv']}}"),
            ("blog/hw.cuda.yml", "services: {ml: {volumes: ['./cuda:/c']}}"),
            ("blog/hw.rocm.yml", "services: {ml: {volumes: ['./rocm:/r']}}"),
            ("blog/hw.txt", "none"),
        ])
        .load();
        let reads = |name: &str| -> Vec<String> {
            project.services[name].reads.iter().map(|read| read.path.to_string()).collect()
        };
        assert_eq!(
            (reads("web"), reads("ml")),
            (vec!["blog/nv".to_owned()], vec!["blog/cuda".to_owned(), "blog/rocm".to_owned()])
        );
        assert_eq!(project.services["web"].unknown_variables, ["HW"]);
        assert!(project.definition_files.iter().any(|file| file.path.as_str() == "blog/hw.rocm.yml"));
        assert!(project.diagnostics.iter().all(|found| !found.is_error()), "{:?}", messages(&project));
        assert!(
            messages(&project).join("\n").contains("only the host knows `HW`, so service `web` counts as if")
        );
        let none = FakeTree::new(&[(
            "blog/compose.yml",
            "services: {web: {extends: {file: '${X}.yaml', service: a}}}",
        )]);
        assert!(messages(&none.load())[0].contains("nothing here can be what service `web` extends"));
    }

    #[test]
    fn names_that_a_text_with_variables_may_mean() {
        let may = |text: &str, name: &str| may_be(&Text::quoted(text), name);
        assert!(may("${X}", "cpu") && may("hw.${X}.yml", "hw.cuda.yml") && may("a${X}b${Y}", "a-b-c"));
        assert!(!may("hw.${X}.yml", "hw.yaml") && !may("a${X}", "b") && !may("${X}.yml", "x.yml.bak"));
    }

    #[test]
    fn a_missing_service_or_file_cannot_be_extended() {
        let found = messages(&project(
            "services:\n  a: {image: x, extends: no}\n  b: {image: x, extends: {file: no.yml, service: c}}\n  \
             c: {image: x, extends: {file: compose.yml, service: z}}\n",
        ));
        assert_eq!(
            found,
            [
                "services/blog/compose.yml:2:26: service `a` extends `no`, which is not in this file",
                "services/blog/compose.yml:3:33: service `b` extends a file that does not exist: services/blog/no.yml",
                "services/blog/compose.yml:4:33: service `c` extends `z`, which is not in services/blog/compose.yml",
            ]
        );
    }

    #[test]
    fn long_chains_and_fans_end_in_an_error() {
        let chain: String = (1..2_000).map(|i| format!("  s{i}: {{extends: s{}}}\n", i - 1)).collect();
        let found = messages(&project(&format!("services:\n  s0: {{image: a}}\n{chain}")));
        assert!(found[0].contains("a chain of more than 100 `extends`"), "{}", found[0]);
        let variables: String = (0..1_000).map(|i| format!("A{i}: x, ")).collect();
        let fan: String = (0..2_000).map(|i| format!("  s{i}: {{extends: base}}\n")).collect();
        let fan = format!("services:\n  base: {{image: a, environment: {{{variables}}}}}\n{fan}");
        assert!(messages(&project(&fan))[0].contains("the project grows to more than"));
    }
}
