//! Finds attributes of a service that contradict each other.
//!
//! Owns the combinations that Compose refuses although each attribute is valid.

use super::scalar;
use super::service::ServiceReader;
use super::yaml::{Node, Value};

impl<'r> ServiceReader<'r, '_, '_> {
    /// Reports a limit that its old and its new key set to different values.
    pub(super) fn check_limits(&mut self) {
        let Some(resources) = self.set("deploy").and_then(|deploy| deploy.get("resources")) else { return };
        for (old, parent, new) in [
            ("mem_limit", "limits", "memory"),
            ("mem_reservation", "reservations", "memory"),
            ("cpus", "limits", "cpus"),
            ("pids_limit", "limits", "pids"),
        ] {
            let text = |node: Option<&'r Node>| match node.map(|node| &node.value) {
                Some(Value::Text(text)) => Some(text),
                _ => None,
            };
            let Some(here) = text(self.set(old)) else { continue };
            let Some(there) = text(resources.get(parent).and_then(|node| node.get(new))) else { continue };
            let same = match new {
                "memory" => scalar::bytes(&here.text) == scalar::bytes(&there.text),
                _ => scalar::number(&here.text) == scalar::number(&there.text),
            };
            if !same && here.unknown.is_empty() && there.unknown.is_empty() {
                let at = self.set(old).map_or(resources.at, |node| node.at);
                let message = format!(
                    "service `{}`: `{old}` and `deploy.resources.{parent}.{new}` have different values",
                    self.name
                );
                self.context.error(at, message);
            }
        }
    }

    /// Reports numbers of containers that are none.
    pub(super) fn check_scale(&mut self) {
        let replicas = self.set("deploy").and_then(|deploy| deploy.get("replicas"));
        let scale = self.set("scale");
        let mut known: Vec<(&str, &Node, u32)> = Vec::new();
        for (key, node) in [("scale", scale), ("deploy.replicas", replicas)] {
            let Some(node) = node.filter(|node| !self.context.asks_host(node)) else { continue };
            let Value::Text(text) = &node.value else { continue };
            if !text.unknown.is_empty() {
                continue;
            }
            match scalar::number(&text.text).and_then(|number| number.parse().ok()) {
                Some(number) => known.push((key, node, number)),
                None => {
                    let message = format!("service `{}`: `{key}` is not a number of containers", self.name);
                    self.context.error_with(
                        node.at,
                        message,
                        "write a whole number, such as 2, or 0 for none",
                    );
                }
            }
        }
        if let [(_, node, scale), (_, _, replicas)] = known[..]
            && scale != replicas
        {
            let message =
                format!("service `{}`: `scale` and `deploy.replicas` have different values", self.name);
            self.context.error_with(node.at, message, "leave one of them out");
        }
    }

    /// Reports a `network_mode` beside `networks`.
    pub(super) fn check_network_mode(&mut self) {
        let joins = self.set("networks").and_then(Node::as_map).is_some_and(|networks| !networks.is_empty());
        if let Some(mode) = self.set("network_mode").filter(|_| joins) {
            let message =
                format!("service `{}`: `network_mode` and `networks` exclude each other", self.name);
            self.context.error(mode.at, message);
        }
    }
}
