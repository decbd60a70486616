//! Messages for ntfy: a title, plain text, a priority and a tag that is shown as a sign.

use serde_json::{Value, json};

use super::{MESSAGE, Markup, NAME, RunDetails, all_lines, bounded, fitted, has_failed, heading};
use crate::outcome::Outcome;

/// Most bytes of a text. ntfy makes an attachment of what is longer than its limit, 4096 by default
/// ([limitations](https://docs.ntfy.sh/publish/#limitations)).
pub(super) const TEXT: usize = 4000;

/// Most characters of a title.
const TITLE: usize = 150;

/// Apps make links of addresses.
const MARKUP: Markup = Markup {
    text: |text| without_links(&bounded(text, MESSAGE)),
    code: |text| without_links(&bounded(text, NAME)),
    strong: |text| format!("{text}:"),
    faint: str::to_owned,
};

fn without_links(text: &str) -> String {
    text.replace("://", ":\u{2060}//")
}

/// Formats an ntfy message about the start of a deploy, without its topic.
#[must_use]
pub fn ntfy_started(run: &RunDetails, host: &str, projects: &[String], wanted: Option<&str>) -> Value {
    let lines: Vec<String> = projects.iter().map(|project| (MARKUP.code)(project)).collect();
    message(&format!("Deploying to {host}"), &lines, (2, "rocket"), run, wanted)
}

/// Formats an ntfy message about the result of a deploy, without its topic.
#[must_use]
pub fn ntfy_finished(run: &RunDetails, outcome: &Outcome) -> Value {
    let (priority, tag) = if has_failed(outcome) { (4, "rotating_light") } else { (3, "white_check_mark") };
    message(&heading(outcome), &all_lines(outcome, &MARKUP), (priority, tag), run, outcome.label().as_deref())
}

fn message(
    heading: &str,
    lines: &[String],
    (priority, tag): (u8, &str),
    run: &RunDetails,
    wanted: Option<&str>,
) -> Value {
    let short = Markup { text: |text| without_links(&bounded(text, NAME)), ..MARKUP };
    let end = run.parts(wanted, &short).join(" · ");
    let text = fitted(lines, TEXT - end.len() - 1, str::len);
    let text = [text, end].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n");
    let mut message = json!({
        "title": bounded(heading, TITLE),
        "message": text,
        "priority": priority,
        "tags": [tag],
    });
    if let Some(url) = run.link() {
        message["click"] = json!(url);
    }
    message
}
