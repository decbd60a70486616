//! Finds the relations of a service to others.
//!
//! Owns what it depends on, and whose namespaces and volumes it uses.

use std::collections::BTreeMap;

use super::model::{Condition, Dependency, Share, ShareOf, SharedPart};
use super::scalar;
use super::service::{ServiceReader, certain};
use super::yaml::{Mark, Node};

impl ServiceReader<'_, '_, '_> {
    /// The containers whose namespaces or volumes it uses.
    pub(super) fn shares(&self) -> Vec<Share> {
        let of = |text: &str, what: SharedPart| {
            let (kind, name) = text.split_once(':')?;
            let name = name.to_owned();
            match kind {
                "service" => Some(Share { of: ShareOf::Service(name), what }),
                "container" => Some(Share { of: ShareOf::Container(name), what }),
                _ => None,
            }
        };
        let modes = ["network_mode", "pid", "ipc"].into_iter().filter_map(|key| certain(self.set(key)?));
        let mut shares: Vec<Share> = modes.filter_map(|text| of(text, SharedPart::Namespace)).collect();
        for text in self.items("volumes_from").iter().filter_map(certain) {
            let mut parts = text.split(':');
            let share = match (parts.next(), parts.next()) {
                (Some("container"), Some(name)) => ShareOf::Container(name.to_owned()),
                (Some(name), _) => ShareOf::Service(name.to_owned()),
                (None, _) => continue,
            };
            shares.push(Share { of: share, what: SharedPart::Volumes });
        }
        shares
    }

    /// The services that it depends on, by `depends_on` and by attributes that refer to them.
    pub(super) fn dependencies(&mut self) -> BTreeMap<String, Dependency> {
        let mut all = BTreeMap::new();
        for (name, entry) in self.set("depends_on").and_then(Node::as_map).into_iter().flatten() {
            let get = |key: &str| entry.node.get(key).and_then(Node::as_str);
            let flag = |key: &str| get(key).and_then(scalar::boolean);
            let dependency = Dependency {
                condition: get("condition").map(Condition::from_word).unwrap_or_default(),
                restart: flag("restart").unwrap_or(false),
                required: flag("required").unwrap_or(true),
            };
            if !self.model.services.contains_key(name) {
                self.undefined(entry.at, "depends on", name, &self.model.services);
            }
            all.insert(name.to_string(), dependency);
        }
        for (name, at, restart) in self.implied() {
            if !self.model.services.contains_key(&*name) {
                self.undefined(at, "needs service", &name, &self.model.services);
            }
            let condition = Condition::Started;
            all.entry(name).or_insert(Dependency { condition, restart, required: true });
        }
        all
    }

    /// The services that other attributes refer to, and whether Compose restarts this one with them.
    fn implied(&self) -> Vec<(String, Mark, bool)> {
        let mut names = Vec::new();
        for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
            if let Some(node) = self.set(key)
                && let Some(name) = node.as_str().and_then(|text| text.strip_prefix("service:"))
            {
                names.push((name.to_owned(), node.at, true));
            }
        }
        for (key, restart) in [("links", true), ("volumes_from", false)] {
            for item in self.items(key) {
                let name = item.as_str().and_then(|text| text.split(':').next());
                if let Some(name) = name.filter(|name| *name != "container") {
                    names.push((name.to_owned(), item.at, restart));
                }
            }
        }
        names
    }
}
