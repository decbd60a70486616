//! Messages for Telegram, in its HTML.

use serde_json::{Value, json};

use super::{MESSAGE, Markup, NAME, RunDetails, all_lines, bounded, fitted, heading, inert, units};
use crate::outcome::Outcome;

/// Most characters that Telegram accepts for a message
/// ([`sendMessage`](https://core.telegram.org/bots/api#sendmessage)).
pub(super) const TEXT: usize = 4096;

/// Most characters of the heading and of the line below the details, before escapes.
const LINE: usize = 150;

/// Telegram looks for mentions, commands and links outside of code.
const MARKUP: Markup = Markup {
    text: |text| html(&inert(&bounded(text, MESSAGE))),
    code: |text| format!("<code>{}</code>", html(&bounded(text, NAME))),
    strong: |text| format!("<b>{text}</b>"),
    faint: |text| format!("<i>{text}</i>"),
};

/// Formats a Telegram message about the start of a deploy.
#[must_use]
pub fn telegram_started(run: &RunDetails, host: &str, projects: &[String], wanted: Option<&str>) -> Value {
    let lines: Vec<String> = projects.iter().map(|project| (MARKUP.code)(project)).collect();
    message(&format!("Deploying to {host}"), &lines, run, wanted)
}

/// Formats a Telegram message about the result of a deploy.
#[must_use]
pub fn telegram_finished(run: &RunDetails, outcome: &Outcome) -> Value {
    message(&heading(outcome), &all_lines(outcome, &MARKUP), run, outcome.label().as_deref())
}

fn message(heading: &str, lines: &[String], run: &RunDetails, wanted: Option<&str>) -> Value {
    let heading = format!("<b>{}</b>", html(&inert(&bounded(heading, LINE))));
    let short = Markup { text: |text| html(&inert(&bounded(text, LINE))), ..MARKUP };
    let link = run.link().map(|url| format!("<a href=\"{}\">run</a>", html(url)));
    let end = run.parts(wanted, &short).into_iter().chain(link).collect::<Vec<_>>().join(" · ");
    let room = TEXT.saturating_sub(units(&heading) + units(&end) + 2);
    let parts = [heading, fitted(lines, room, units), end];
    let text = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n");
    json!({"text": text, "parse_mode": "HTML", "link_preview_options": {"is_disabled": true}})
}

/// Escapes a text ([formatting options](https://core.telegram.org/bots/api#html-style)).
fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
