//! Finds the files and folders that a service mounts or is built from.

use std::rc::Rc;

use super::context::Place;
use super::digest::bound_folder;
use super::load::is_remote;
use super::model::{How, Read};
use super::service::{Reader, collect_unknown};
use super::yaml::{Entry, Mark, Node, Text, Value};

impl<'r> Reader<'r, '_, '_> {
    /// Bind mounts, also those through a volume.
    pub(super) fn volumes(&mut self) {
        for item in self.items("volumes") {
            let Some(map) = item.as_map() else { continue };
            let get = |key: &str| map.get(key).map(|entry| &entry.node);
            let target = get("target").and_then(Node::as_str).map(str::to_owned);
            let Some(Node { value: Value::Text(source), at, .. }) = get("source") else { continue };
            match get("type").and_then(Node::as_str) {
                Some("bind") => {
                    self.read(source, *at, How::Bind, target, true);
                }
                Some("volume") => self.named_volume(source, *at, target),
                _ => {}
            }
        }
    }

    fn named_volume(&mut self, source: &Text, at: Mark, target: Option<String>) {
        let Some(entry) = self.model.volumes.get(&source.text) else {
            if source.unknown.is_empty() {
                let message =
                    format!("service `{}` uses volume `{}`, which is not defined", self.name, source.text);
                self.context.error(at, message);
            } else {
                let at = self.context.location(at);
                self.host_binds.push((source.text.to_string(), at));
            }
            return;
        };
        self.resource("volume", &source.text, Some(&entry.node));
        if let Some(Node { value: Value::Text(device), at, .. }) = bound_folder("volume", Some(&entry.node)) {
            self.read(device, *at, How::Bind, target, true);
        }
    }

    /// Configs and secrets. Compose hashes their names alone, not where they come from.
    pub(super) fn file_objects(&mut self) {
        let kinds = [
            ("config", "configs", &self.model.configs, How::Config),
            ("secret", "secrets", &self.model.secrets, How::Secret),
        ];
        for (kind, key, objects, how) in kinds {
            for item in self.items(key) {
                let Some(map) = item.as_map() else { continue };
                let Some(Entry { node: source, .. }) = map.get("source") else { continue };
                let Some(name) = source.as_str() else { continue };
                let Some(object) = objects.get(name) else {
                    let message =
                        format!("service `{}` uses {kind} `{name}`, which is not defined", self.name);
                    self.context.error(source.at, message);
                    continue;
                };
                collect_unknown(&object.node, &mut self.unknown);
                let given = map.get("target").and_then(|entry| entry.node.as_str());
                let target = match given {
                    Some(target) if target.starts_with('/') => target.to_owned(),
                    target if kind == "secret" => format!("/run/secrets/{}", target.unwrap_or(name)),
                    target => format!("/{}", target.unwrap_or(name)),
                };
                let text = |key: &str| match object.node.get(key).map(|node| (&node.value, node.at)) {
                    Some((Value::Text(text), at)) => Some((text, at)),
                    _ => None,
                };
                if let Some((file, at)) = text("file") {
                    let path = self.read(file, at, how, Some(target.clone()), true);
                    let path = path.map_or_else(|| file.text.to_string(), |path| path.to_string());
                    self.unhashed(&[&target, "file", &path]);
                } else if let Some((content, _)) = text("content") {
                    self.unhashed(&[&target, "content", &content.text]);
                } else if let Some((variable, _)) = text("environment") {
                    match self.shared.variables.get(&variable.text) {
                        Some(value) => self.unhashed(&[&target, "content", &value.text]),
                        None => {
                            self.unhashed(&[&target, "environment", &variable.text]);
                            self.unknown.insert(Rc::clone(&variable.text));
                        }
                    }
                }
            }
        }
    }

    /// Build contexts and what a build reads besides.
    pub(super) fn build(&mut self) {
        let Some(build) = self.set("build") else { return };
        let text = |node: Option<&'r Node>| match node.map(|node| (&node.value, node.at)) {
            Some((Value::Text(text), at)) => Some((text.clone(), at)),
            _ => None,
        };
        let (context, at) = text(build.get("context")).unwrap_or_else(|| (Text::quoted("."), build.at));
        let mut folder = None;
        if !is_remote(&context.text) {
            folder = self.read(&context, at, How::Build, None, true);
        }
        if let (Some(folder), Some((dockerfile, at))) = (&folder, text(build.get("dockerfile")))
            && dockerfile.unknown.is_empty()
        {
            let path = match dockerfile.text.starts_with('/') {
                true => match self.context.resolve(&dockerfile, at) {
                    Place::Tree(path) => Some(path),
                    Place::Host(_) | Place::Invalid => None,
                },
                false => folder.join(&dockerfile.text).ok(),
            };
            if let Some(path) = path {
                let kind = self.context.files.kind(&path);
                let at = self.context.location(at);
                self.reads.push(Read { path, how: How::Build, at, kind, target: None, required: true });
            }
        }
        for (_, entry) in build.get("additional_contexts").and_then(Node::as_map).into_iter().flatten() {
            if let Value::Text(text) = &entry.node.value {
                let elsewhere = ["docker-image:", "service:", "oci-layout:", "target:"];
                if !is_remote(&text.text) && !elsewhere.iter().any(|scheme| text.text.starts_with(scheme)) {
                    self.read(text, entry.node.at, How::Build, None, true);
                }
            }
        }
        for item in build.get("secrets").and_then(Node::as_list).unwrap_or(&[]) {
            let name = item.as_str().or_else(|| item.get("source").and_then(Node::as_str));
            let object = name.and_then(|name| self.model.secrets.get(name));
            if let Some((file, at)) = object.and_then(|entry| text(entry.node.get("file"))) {
                self.read(&file, at, How::Build, None, true);
            }
        }
    }
}
