//! Applies `extends`.
//!
//! Owns chains of services that extend each other, in one file or across files, and their circles.

use std::rc::Rc;

use super::load::{Definition, Loader, MAX_CHAIN, Services, interpolate};
use super::merge;
use super::yaml::{Mark, Node, Tag, Value};

/// Who extended whom so far: the file as a source, and the service.
pub(super) type Links = Vec<(u32, Rc<str>)>;

impl Loader<'_, '_> {
    /// The service with everything it extends merged below it.
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
            Some(file) => self.extend_from_file(name, &wanted, &file, links),
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
        wanted: &Rc<str>,
        file: &Node,
        links: &mut Links,
    ) -> Option<Definition> {
        let path = self.file_named(file, &format!("service `{name}`: `extends.file`"))?;
        let base = path.parent().unwrap_or_default();
        let (source, documents) = self.context.documents(&path, &base);
        let Some(documents) = documents else {
            let shown = self.context.files.shown(&path);
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
            let shown = self.context.files.shown(&path);
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
    fn link(
        &mut self,
        source: u32,
        service: &Rc<str>,
        at: Mark,
        links: &mut Links,
    ) -> Option<()> {
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
