//! Applies `extends`.
//!
//! Owns chains of services that extend each other, in one file or across files, and the detection of circles.

use std::rc::Rc;

use super::load::{Definition, Loader, MAX_CHAIN, Services, interpolate};
use super::merge;
use super::yaml::{Mark, Node, Tag, Value};

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
            Value::Text(text) => (Some(Rc::clone(&text.text)), None),
            Value::Map(map) => {
                let service = map.get("service").and_then(|entry| match &entry.node.value {
                    Value::Text(text) => Some(Rc::clone(&text.text)),
                    _ => None,
                });
                (service, map.get("file").map(|entry| entry.node.clone()))
            }
            Value::Null | Value::List(_) => (None, None),
        };
        let Some(wanted) = wanted else {
            self.context.error(node.at, format!("service `{name}`: `extends` needs the name of a service"));
            return Some(definition);
        };
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
        let services = match self.extended.get(&source) {
            Some(services) => Rc::clone(services),
            None => {
                let mut services = Services::new();
                for document in documents.iter() {
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
                services
            }
        };
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

/// Returns the mark of a key's value, or of the node itself without the key.
fn map_at(node: &Node, key: &str) -> Mark {
    node.get(key).map_or(node.at, |value| value.at)
}

#[cfg(test)]
mod tests {
    use super::super::fake::{FakeTree, messages, project, web};

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
