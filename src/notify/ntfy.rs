//! ntfy. Messages are sent as [JSON](https://docs.ntfy.sh/publish/#publish-as-json), because headers hold no UTF-8.

use serde_json::json;

use super::address::{Address, Variables};
use super::chat::{Form, Room};
use crate::base::diagnostic::Diagnostic;
use crate::config::notify::Ntfy;
use crate::report::notification::{ntfy_finished, ntfy_started};

/// Messages with a title and a priority.
pub(super) const FORM: Form = Form { started: ntfy_started, finished: ntfy_finished };

/// The address of the server, and the topic, which is the end of the given address.
///
/// # Errors
///
/// A warning when a workflow run lacks a variable, or the address names no topic.
pub(super) fn topic(ntfy: &Ntfy, variables: Variables<'_>) -> Result<Option<Room>, Diagnostic> {
    let Some(mut url) = variables.url(&ntfy.url)? else { return Ok(None) };
    let token = match &ntfy.token {
        None => None,
        Some(variable) => match variables.value(variable)? {
            None => return Ok(None),
            token => token,
        },
    };
    let path = url.path().trim_end_matches('/').to_owned();
    let (server, topic) = path.rsplit_once('/').unwrap_or(("", ""));
    if topic.is_empty() || !topic.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
        return Err(variables.unusable(&ntfy.url, "names no topic; it should be like https://ntfy.sh/TOPIC"));
    }
    let also = vec![("topic", json!(topic))];
    url.set_path(&format!("{server}/"));
    Ok(Some(Room { address: Address::new(variables.kind, url, token), also }))
}
