//! Reads the mappings of `x-ghdeploy`.
//!
//! Owns the check of their keys. They are the only keys of a compose file that are ghdeploy's own, so here an
//! unknown key is an error.

use std::time::Duration;

use super::context::LoadContext;
use super::yaml::{Map, Node, Value};
use crate::base::diagnostic::{Diagnostic, nearest};
use crate::base::duration::parse_duration;

/// Returns the mapping at a node; `None` if it is null or, with an error, anything else.
pub(super) fn mapping<'n>(context: &mut LoadContext<'_>, what: &str, node: &'n Node) -> Option<&'n Map> {
    let map = node.as_map();
    if map.is_none() && !matches!(node.value, Value::Null) {
        context.error(node.at, format!("{what} must be a mapping, not {}", node.kind()));
    }
    map
}

/// Keys that are known in one place only, and where that is.
const PLACES: &[(&str, &str)] = &[
    ("before", "below `hooks`"),
    ("hooks", "in the `x-ghdeploy` at the top level of the compose file"),
    ("hosts", "in the `x-ghdeploy` at the top level of the compose file"),
    ("on-change", "in the `x-ghdeploy` of a service"),
    ("paths", "in the `x-ghdeploy` of a service"),
];

/// Reports unknown keys of a mapping.
pub(super) fn check_keys(context: &mut LoadContext<'_>, map: &Map, known: &[&str]) {
    for (key, entry) in map {
        if !known.contains(&&**key) {
            let at = context.location(entry.at);
            let mut diagnostic = Diagnostic::error(format!("unknown key `{key}` in `x-ghdeploy`"), Some(at));
            let place = PLACES.iter().find(|(name, _)| *name == &**key);
            diagnostic = match (place, nearest(key, known)) {
                (Some((_, place)), _) => diagnostic.help(format!("`{key}` belongs {place}")),
                (None, Some(near)) => diagnostic.help(format!("did you mean `{near}`?")),
                (None, None) => diagnostic.help(format!("known keys: {}", known.join(", "))),
            };
            context.note(diagnostic);
        }
    }
}

/// Reads a duration. The message of an error quotes the node as it was written, because a value may be secret.
pub(super) fn duration(context: &LoadContext<'_>, node: &Node) -> Result<Duration, String> {
    let text = node.as_str().unwrap_or_default();
    let written = context.quote(node.at, text);
    let read = parse_duration(text);
    if written == text { read } else { read.map_err(|_| format!("`{written}` is not a duration")) }
}
