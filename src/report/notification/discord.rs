//! Messages for Discord: one embed, in which no name becomes a mention.

use serde_json::{Value, json};

use super::{
    MESSAGE, Markup, NAME, RunDetails, all_lines, bounded, fitted, has_failed, heading, shortened, units,
};
use crate::outcome::Outcome;

/// Most characters of a title before its escapes, which may double it: Discord accepts 256
/// ([limits of embeds](https://docs.discord.com/developers/resources/message#embed-object-embed-limits)).
const TITLE: usize = 120;

/// Most characters that Discord accepts for the description of an embed.
pub(super) const DESCRIPTION: usize = 4096;

/// Most characters of the footer. With it, title and description stay below the 6000 that Discord accepts in all.
const FOOTER: usize = 800;

/// Colours of the bar beside the text.
const STARTED: u32 = 0x0057_606a;
const SUCCEEDED: u32 = 0x002d_a44e;
const FAILED: u32 = 0x00cf_222e;

const MARKUP: Markup = Markup {
    text: |text| markdown(&bounded(text, MESSAGE)),
    code: |text| format!("`{}`", bounded(text, NAME).replace('`', "'")),
    strong: |text| format!("**{text}**"),
    faint: |text| format!("*{text}*"),
};

/// Footers show what they hold.
const PLAIN: Markup = Markup {
    text: |text| bounded(text, NAME),
    code: |text| bounded(text, NAME),
    strong: str::to_owned,
    faint: str::to_owned,
};

/// Formats a Discord message about the start of a deploy.
#[must_use]
pub fn discord_started(run: &RunDetails, host: &str, projects: &[String], wanted: Option<&str>) -> Value {
    let lines: Vec<String> = projects.iter().map(|project| (MARKUP.code)(project)).collect();
    message(&format!("Deploying to {host}"), &lines, STARTED, run, wanted)
}

/// Formats a Discord message about the result of a deploy.
#[must_use]
pub fn discord_finished(run: &RunDetails, outcome: &Outcome) -> Value {
    let colour = if has_failed(outcome) { FAILED } else { SUCCEEDED };
    message(&heading(outcome), &all_lines(outcome, &MARKUP), colour, run, outcome.label().as_deref())
}

fn message(heading: &str, lines: &[String], colour: u32, run: &RunDetails, wanted: Option<&str>) -> Value {
    let mut embed = json!({
        "title": markdown(&bounded(heading, TITLE)),
        "description": fitted(lines, DESCRIPTION, units),
        "color": colour,
    });
    if let Some(url) = run.link() {
        embed["url"] = json!(url);
    }
    let parts = run.parts(wanted, &PLAIN);
    if !parts.is_empty() {
        embed["footer"] = json!({"text": shortened(&parts.join(" · "), FOOTER)});
    }
    json!({"embeds": [embed], "allowed_mentions": {"parse": []}})
}

/// Escapes a text so that nothing in it is Markdown, a mention or a link: a backslash takes the meaning from any
/// punctuation.
fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_punctuation() && !matches!(c, ',' | ';' | '!' | '?' | '\'' | '"' | '%' | '=') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
