//! Messages for Slack.

use serde_json::{Value, json};

use super::{Markup, NAME, RunDetails, bounded, failed_first, heading, lines_of, shortened};
use crate::outcome::Outcome;
use crate::report::escape::name;
use crate::report::wording::count;

/// Most characters that Slack accepts for a
/// [header](https://docs.slack.dev/reference/block-kit/blocks/header-block).
pub(super) const HEADER: usize = 150;

/// Most characters that Slack accepts for the text of a
/// [section](https://docs.slack.dev/reference/block-kit/blocks/section-block).
pub(super) const SECTION: usize = 3000;

/// Most sections of one message. Slack accepts 50 blocks, more than people read.
const SECTIONS: usize = 8;

const MARKUP: Markup = Markup {
    text: |text| mrkdwn(&name(text)),
    code: |text| format!("`{}`", mrkdwn(&bounded(text, NAME)).replace('`', "'")),
    strong: |text| format!("*{text}*"),
    faint: |text| format!("_{text}_"),
};

/// Formats a Slack message about the start of a deploy.
#[must_use]
pub fn slack_started(run: &RunDetails, host: &str, projects: &[String], wanted: Option<&str>) -> Value {
    let names: Vec<String> = projects.iter().map(|project| (MARKUP.code)(project)).collect();
    message(&format!("Deploying to {host}"), packed(vec![names.join(", ")]), run, wanted)
}

/// Formats a Slack message about the result of a deploy.
#[must_use]
pub fn slack_finished(run: &RunDetails, outcome: &Outcome) -> Value {
    let hosts = failed_first(outcome).into_iter();
    let sections = hosts.flat_map(|host| packed(lines_of(host, outcome, &MARKUP))).collect();
    message(&heading(outcome), sections, run, outcome.label().as_deref())
}

fn message(heading: &str, sections: Vec<String>, run: &RunDetails, wanted: Option<&str>) -> Value {
    let mut blocks = vec![
        json!({"type": "header", "text": {"type": "plain_text", "text": shortened(&name(heading), HEADER)}}),
    ];
    let left = sections.len().saturating_sub(SECTIONS);
    for section in sections.into_iter().filter(|section| !section.is_empty()).take(SECTIONS) {
        blocks.push(json!({"type": "section", "text": {"type": "mrkdwn", "text": section}}));
    }
    let more = (left > 0).then(|| count(left, "more section"));
    let link = run.link().map(|url| format!("<{}|run>", mrkdwn(url)));
    let parts: Vec<String> = more.into_iter().chain(run.parts(wanted, &MARKUP)).chain(link).collect();
    if !parts.is_empty() {
        let text = shortened(&parts.join(" · "), SECTION);
        blocks.push(json!({"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}));
    }
    json!({"text": mrkdwn(&shortened(&name(heading), HEADER)), "blocks": blocks})
}

/// Packs lines into as few sections as possible.
fn packed(lines: Vec<String>) -> Vec<String> {
    let mut sections: Vec<String> = Vec::new();
    for line in lines {
        let line = shortened(&line, SECTION);
        match sections.last_mut() {
            Some(last) if last.chars().count() + 1 + line.chars().count() <= SECTION => {
                last.push('\n');
                last.push_str(&line);
            }
            _ => sections.push(line),
        }
    }
    sections
}

/// Escapes a text so that nothing in it is a mention, a link or an entity
/// ([Slack's escapes](https://docs.slack.dev/messaging/formatting-message-text#escaping)).
fn mrkdwn(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
