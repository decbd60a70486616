//! Texts of notifications: GitHub's deployments and statuses, chats, a webhook.
//!
//! Owns the wording and the limits of each channel. No notification contains log lines of containers, because
//! they may hold what only the log of a run should. Each links to the run instead. What failed comes first. Names and
//! messages come from elsewhere: nothing in them is a mention, a link or markup of the channel.

mod discord;
mod gatus;
mod ntfy;
mod slack;
mod telegram;

pub use discord::{discord_finished, discord_started};
pub use gatus::gatus_error;
pub use ntfy::{ntfy_finished, ntfy_started};
pub use slack::{slack_finished, slack_started};
pub use telegram::{telegram_finished, telegram_started};

use serde_json::{Value, json};

use crate::base::diagnostic::Diagnostic;
use crate::base::error::Exit;
use crate::outcome::{ActionResult, HostOutcome, Outcome, ProjectOutcome, ProjectResult};
use crate::plan::VERSION;

use super::escape::name;
use super::tally::Tally;
use super::wording::{commit, count, host_state, project_result};

/// Most characters that GitHub accepts for the description of a
/// [status](https://docs.github.com/rest/commits/statuses#create-a-commit-status) or a deployment.
const DESCRIPTION: usize = 140;

/// Most characters of one message of ours. Escapes make it longer, and a whole one fits every channel.
const MESSAGE: usize = 600;

/// Most characters of a name.
const NAME: usize = 200;

/// Details of a run that are known before it begins.
#[derive(Debug, Clone, Default)]
pub struct RunDetails {
    /// `owner/name` of the repository.
    pub repository: Option<String>,
    /// The user or account that started it.
    pub actor: Option<String>,
    /// Its page.
    pub run_url: Option<String>,
}

impl RunDetails {
    /// The address of its page, unless it could be more than an address.
    fn link(&self) -> Option<&str> {
        let url = self.run_url.as_deref()?;
        let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '|' | '"' | '\'' | '`');
        let is_web = url.starts_with("https://") || url.starts_with("http://");
        (is_web && url.chars().all(is_plain)).then_some(url)
    }

    /// The repository, the commit and who started it.
    fn parts(&self, wanted: Option<&str>, markup: &Markup) -> Vec<String> {
        let repository = self.repository.as_deref().map(markup.text);
        let wanted = wanted.map(|wanted| format!("commit {}", (markup.code)(&commit(wanted))));
        let actor = self.actor.as_deref().map(|actor| format!("by {}", (markup.text)(actor)));
        repository.into_iter().chain(wanted).chain(actor).collect()
    }
}

/// How a channel writes what comes from elsewhere. `text` and `code` escape it; `strong` and `faint` take what is
/// escaped.
struct Markup {
    text: fn(&str) -> String,
    code: fn(&str) -> String,
    strong: fn(&str) -> String,
    faint: fn(&str) -> String,
}

/// Summarises a host's outcome for a description on GitHub.
#[must_use]
pub fn status_description(host: &HostOutcome) -> String {
    let outcome = Outcome { version: VERSION, commit: None, dirty: false, hosts: vec![host.clone()] };
    let tally = Tally::of_outcome(&outcome);
    let text = match host.failure.as_ref().and_then(|failure| failure.diagnostics.first()) {
        Some(why) => format!("failed: {}", name(&why.message)),
        None => tally.line(&tally.past()),
    };
    shortened(&text, DESCRIPTION)
}

/// Builds the document for a webhook: `{"version": 1, "event": "succeeded", …}`. `outcome` has the same form
/// as everywhere, but without log lines of containers; `owed` is the number of its actions that are still owed.
/// The start of a deploy has neither.
#[must_use]
pub fn webhook(event: &str, run: &RunDetails, hosts: &[String], outcome: Option<&Outcome>) -> Value {
    let mut plain = outcome.cloned();
    for project in plain.iter_mut().flat_map(|outcome| &mut outcome.hosts).flat_map(|host| &mut host.projects)
    {
        project.logs.clear();
    }
    json!({
        "version": VERSION,
        "event": event,
        "repository": run.repository,
        "actor": run.actor,
        "run_url": run.run_url,
        "hosts": hosts,
        "owed": outcome.map(Outcome::owed),
        "outcome": plain,
    })
}

/// What happened, in one line.
fn heading(outcome: &Outcome) -> String {
    let hosts: Vec<&str> = outcome.hosts.iter().map(|host| host.name.as_str()).collect();
    format!("{}: {}", hosts.join(", "), Tally::of_outcome(outcome).past_heading())
}

/// Whether something failed.
fn has_failed(outcome: &Outcome) -> bool {
    outcome.exit() != Exit::Done
}

/// The hosts, those first on which something failed.
fn failed_first(outcome: &Outcome) -> Vec<&HostOutcome> {
    let mut hosts: Vec<&HostOutcome> = outcome.hosts.iter().collect();
    hosts.sort_by_key(|host| host.exit() == Exit::Done);
    hosts
}

/// Lines about one host of an outcome: why it or a project of it failed, what changed, and its state.
fn lines_of(host: &HostOutcome, outcome: &Outcome, markup: &Markup) -> Vec<String> {
    let mut lines = Vec::new();
    if outcome.hosts.len() > 1 {
        lines.push((markup.strong)(&(markup.text)(&host.name)));
    }
    let failures = host.failure.iter().flat_map(|failure| &failure.diagnostics);
    lines.extend(failures.map(|why| (markup.text)(&why.message)));
    let shown = host.projects.iter().filter(|project| project.result != ProjectResult::Unchanged);
    let (done, failed): (Vec<_>, Vec<_>) = shown.partition(|project| project.result == ProjectResult::Done);
    lines.extend(failed.into_iter().chain(done).map(|done| project(done, markup)));
    lines.push((markup.faint)(&(markup.text)(&host_state(host))));
    lines
}

/// All lines about an outcome.
fn all_lines(outcome: &Outcome, markup: &Markup) -> Vec<String> {
    let lines = failed_first(outcome).into_iter().flat_map(|host| lines_of(host, outcome, markup));
    lines.flat_map(|lines| lines.split('\n').map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn project(project: &ProjectOutcome, markup: &Markup) -> String {
    let with = |result| project.actions.iter().filter(move |done| done.result == result);
    let amounts = Tally::amounts_of(&project.files, with(ActionResult::Done).map(|done| &done.action));
    let owed = Tally::amounts_of(&[], with(ActionResult::Owed).map(|done| &done.action));
    let mut line = format!("{} {}", (markup.code)(&project.name), project_result(project.result));
    if project.result == ProjectResult::Done {
        for (separator, amounts) in [(": ", amounts), ("; still owed: ", owed)] {
            if !amounts.is_empty() {
                line = format!("{line}{separator}{amounts}");
            }
        }
    }
    for problem in &project.problems {
        line = format!("{line}\n• {}", with_place(problem, markup));
    }
    line
}

fn with_place(problem: &Diagnostic, markup: &Markup) -> String {
    let place =
        problem.at.as_ref().map(|at| format!(" ({})", (markup.code)(&format!("{}:{}", at.path, at.line))));
    format!("{}{}", (markup.text)(&problem.message), place.unwrap_or_default())
}

/// The first lines, as many as `most` allows, with a note on those that are left out. `size` is the channel's measure.
fn fitted(lines: &[String], most: usize, size: fn(&str) -> usize) -> String {
    /// Room for the note.
    const NOTE: usize = 40;
    let (mut text, mut used) = (String::new(), 0);
    for (number, line) in lines.iter().enumerate() {
        let room = if number + 1 == lines.len() { most } else { most.saturating_sub(NOTE) };
        used += size(line) + 1;
        if used > room {
            text.push_str(&format!("… {}", count(lines.len() - number, "more line")));
            break;
        }
        text.push_str(line);
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text
}

/// Size of a text in UTF-16 code units, in which Discord and Telegram may count.
fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// A name or a message on one line and of bounded length.
fn bounded(text: &str, most: usize) -> String {
    shortened(&name(text), most)
}

/// Breaks what a channel without escapes would take for a mention, a tag, a command or a link, by a character of no
/// width.
fn inert(text: &str) -> String {
    let mut inert = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        inert.push(c);
        let next = rest.peek().copied().unwrap_or(' ');
        if matches!(c, '@' | '#' | '/' | '$') || c == '.' && next.is_alphanumeric() {
            inert.push('\u{2060}');
        }
    }
    inert
}

/// Shortens a text to `most` characters.
fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::slack::{HEADER, SECTION};
    use super::*;
    use crate::plan::ActionKind;
    use crate::report::samples;

    fn run() -> RunDetails {
        RunDetails {
            repository: Some("ann/side".to_owned()),
            actor: Some("ann".to_owned()),
            run_url: Some("https://github.com/ann/side/actions/runs/118".to_owned()),
        }
    }

    /// The message of every chat about an outcome.
    fn chats(outcome: &Outcome) -> [Value; 4] {
        [slack_finished, discord_finished, telegram_finished, ntfy_finished].map(|form| form(&run(), outcome))
    }

    /// The message, with the invisible word joiner made visible.
    fn pretty(value: &Value) -> String {
        serde_json::to_string_pretty(value).unwrap().replace('\u{2060}', "{WJ}")
    }

    #[test]
    fn a_successful_deploy_reports_what_changed() {
        insta::assert_snapshot!(pretty(&slack_finished(&run(), &samples::outcome_of(vec![samples::successful()]))), @r#"
        {
          "blocks": [
            {
              "text": {
                "text": "web: 3 projects done",
                "type": "plain_text"
              },
              "type": "header"
            },
            {
              "text": {
                "text": "`traefik` done: 3 files, 1 signal, 1 exec, 1 removed\n`blog` done: 2 files, 1 up, 1 restart\n`shop` done: 12 files, 1 up\n_release 42_",
                "type": "mrkdwn"
              },
              "type": "section"
            },
            {
              "elements": [
                {
                  "text": "ann/side · commit `1a2b3c4d5e` · by ann · <https://github.com/ann/side/actions/runs/118|run>",
                  "type": "mrkdwn"
                }
              ],
              "type": "context"
            }
          ],
          "text": "web: 3 projects done"
        }
        "#);
    }

    #[test]
    fn a_failed_deploy_reports_why_and_where_without_log_lines() {
        let outcome = samples::outcome_of(vec![samples::failing(ProjectResult::RolledBack)]);
        let logged =
            outcome.hosts[0].projects.iter().flat_map(|project| &project.logs).flat_map(|log| &log.lines);
        let logged: Vec<String> = logged.cloned().collect();
        assert!(!logged.is_empty());
        let hosts = ["web".to_owned()];
        let document = webhook("failed", &run(), &hosts, Some(&outcome));
        for message in chats(&outcome).into_iter().chain([document]) {
            let text = message.to_string();
            assert!(logged.iter().all(|line| !text.contains(line)), "{text}");
        }
        insta::assert_snapshot!(pretty(&slack_finished(&run(), &outcome)), @r#"
        {
          "blocks": [
            {
              "text": {
                "text": "web: deploy failed in part, 1 project done",
                "type": "plain_text"
              },
              "type": "header"
            },
            {
              "text": {
                "text": "`blog` failed, rolled back\n• service `web` exited with code 1 within 5 s (`services/blog/compose.yml:12`)\n`shop` done: 12 files, 1 up\n_release 42; rolled back: blog_",
                "type": "mrkdwn"
              },
              "type": "section"
            },
            {
              "elements": [
                {
                  "text": "ann/side · commit `1a2b3c4d5e` · by ann · <https://github.com/ann/side/actions/runs/118|run>",
                  "type": "mrkdwn"
                }
              ],
              "type": "context"
            }
          ],
          "text": "web: deploy failed in part, 1 project done"
        }
        "#);
    }

    #[test]
    fn what_is_owed_is_not_reported_as_done() {
        let mut host = samples::successful();
        for done in host.projects.iter_mut().flat_map(|project| &mut project.actions) {
            if done.action.kind != ActionKind::None {
                done.result = ActionResult::Owed;
            }
        }
        let outcome = samples::outcome_of(vec![host.clone()]);
        let message = slack_finished(&run(), &outcome);
        assert_eq!(message["text"], "web: 3 projects done, 6 actions still owed");
        insta::assert_snapshot!(message["blocks"][1]["text"]["text"].as_str().unwrap(), @"
            `traefik` done: 3 files; still owed: 1 signal, 1 exec, 1 removed
            `blog` done: 2 files; still owed: 1 up, 1 restart
            `shop` done: 12 files; still owed: 1 up
            _release 42_
            ");
        assert_eq!(webhook("succeeded", &run(), &["web".to_owned()], Some(&outcome))["owed"], 6);
        insta::assert_snapshot!(status_description(&host), @"3 projects done: 17 files; 6 actions still owed; 2 unchanged");
    }

    #[test]
    fn hostile_names_mention_nobody_and_link_nowhere() {
        let text = slack_finished(&run(), &samples::hostile_outcome()).to_string();
        assert!(!text.contains("<img") && !text.contains("<!"), "{text}");
        assert_eq!(text.matches('<').count(), 1, "only the link to the run: {text}");
    }

    #[test]
    fn what_failed_comes_first_in_every_chat() {
        let mut failing = samples::failing(ProjectResult::RolledBack);
        failing.name = "db".to_owned();
        failing.projects.reverse();
        let outcome = samples::outcome_of(vec![samples::successful(), failing]);
        for message in chats(&outcome) {
            let text = message.to_string();
            let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what}: {text}"));
            assert!(
                at("blog") < at("exited with code 1") && at("exited with code 1") < at("traefik"),
                "{text}"
            );
            assert!(text.contains("https://github.com/ann/side/actions/runs/118"), "{text}");
        }
    }

    #[test]
    fn each_chat_has_its_form() {
        let outcome = samples::outcome_of(vec![samples::failing(ProjectResult::RolledBack)]);
        insta::assert_snapshot!(pretty(&discord_finished(&run(), &outcome)), @r#"
            {
              "allowed_mentions": {
                "parse": []
              },
              "embeds": [
                {
                  "color": 13574702,
                  "description": "`blog` failed, rolled back\n• service \\`web\\` exited with code 1 within 5 s (`services/blog/compose.yml:12`)\n`shop` done: 12 files, 1 up\n*release 42; rolled back\\: blog*",
                  "footer": {
                    "text": "ann/side · commit 1a2b3c4d5e · by ann"
                  },
                  "title": "web\\: deploy failed in part, 1 project done",
                  "url": "https://github.com/ann/side/actions/runs/118"
                }
              ]
            }
            "#);
        insta::assert_snapshot!(pretty(&telegram_finished(&run(), &outcome)), @r#"
            {
              "link_preview_options": {
                "is_disabled": true
              },
              "parse_mode": "HTML",
              "text": "<b>web: deploy failed in part, 1 project done</b>\n<code>blog</code> failed, rolled back\n• service `web` exited with code 1 within 5 s (<code>services/blog/compose.yml:12</code>)\n<code>shop</code> done: 12 files, 1 up\n<i>release 42; rolled back: blog</i>\nann/{WJ}side · commit <code>1a2b3c4d5e</code> · by ann · <a href=\"https://github.com/ann/side/actions/runs/118\">run</a>"
            }
            "#);
        insta::assert_snapshot!(pretty(&ntfy_finished(&run(), &outcome)), @r#"
            {
              "click": "https://github.com/ann/side/actions/runs/118",
              "message": "blog failed, rolled back\n• service `web` exited with code 1 within 5 s (services/blog/compose.yml:12)\nshop done: 12 files, 1 up\nrelease 42; rolled back: blog\nann/side · commit 1a2b3c4d5e · by ann",
              "priority": 4,
              "tags": [
                "rotating_light"
              ],
              "title": "web: deploy failed in part, 1 project done"
            }
            "#);
        insta::assert_snapshot!(gatus_error(&run(), &outcome).unwrap(), @"web: deploy failed in part, 1 project done: blog: service `web` exited with code 1 within 5 s (https://github.com/ann/side/actions/runs/118)");
        assert_eq!(gatus_error(&run(), &samples::outcome_of(vec![samples::successful()])), None);
        let projects = ["blog".to_owned()];
        for form in [discord_started, telegram_started, ntfy_started] {
            let text = form(&run(), "web", &projects, Some("1a2b3c4d5e6f")).to_string();
            assert!(text.contains("Deploying to web") && text.contains("blog"), "{text}");
        }
    }

    #[test]
    fn hostile_names_are_no_markup_in_any_chat() {
        let mut outcome = samples::hostile_outcome();
        let names = [
            "@everyone <@1> @here",
            "[x](https://evil.example) **b** ~~c~~ ||d||",
            "<b>&#x40;</b> /start #x $A",
        ];
        for (project, name) in outcome.hosts[0].projects.iter_mut().zip(names) {
            project.problems.push(Diagnostic::error(name, None));
        }
        outcome.hosts[0].name = "@everyone".to_owned();
        let discord = discord_finished(&run(), &outcome);
        assert_eq!(discord["allowed_mentions"], json!({"parse": []}));
        let text = discord["embeds"][0]["description"].as_str().unwrap();
        for escaped in [r"\@everyone \<\@1\>", r"\[x\]\(https\:\/\/evil\.example\) \*\*b\*\*", r"\|\|d"] {
            assert!(text.contains(escaped), "{escaped}: {text}");
        }
        assert_eq!(discord["embeds"][0]["title"].as_str().unwrap().find(r"\@everyone"), Some(0));
        let telegram = telegram_finished(&run(), &outcome);
        let text = telegram["text"].as_str().unwrap();
        let mut open: Vec<&str> = Vec::new();
        let mut outside = String::new();
        for part in text.split('<').skip(1) {
            let (tag, rest) = part.split_once('>').unwrap();
            match tag.strip_prefix('/') {
                Some(tag) => {
                    assert_eq!(open.pop().map(|tag| tag.split(' ').next().unwrap()), Some(tag), "{text}");
                }
                None => {
                    assert!(
                        ["b", "i", "code"].contains(&tag) || tag.starts_with("a href=\"https://github.com/"),
                        "{tag}"
                    );
                    open.push(tag);
                }
            }
            if open.last() != Some(&"code") {
                outside.push_str(rest);
            }
        }
        assert!(open.is_empty(), "{text}");
        for active in ["@everyone", "/start", "#x", "$A", "evil.example", "://"] {
            assert!(!outside.contains(active), "{active}: {outside}");
        }
        let ntfy = ntfy_finished(&run(), &outcome);
        assert!(!ntfy["message"].as_str().unwrap().contains("://"), "{ntfy}");
        assert_eq!(ntfy.get("markdown"), None);
        // An address that could be more than one is left out.
        for url in ["javascript:x", "https://a|b", "https://a\"b", "https://a b"] {
            let hostile = RunDetails { run_url: Some(url.to_owned()), ..run() };
            for form in [slack_finished, discord_finished, telegram_finished, ntfy_finished] {
                assert!(!form(&hostile, &outcome).to_string().contains("javascript:"));
                assert!(!form(&hostile, &outcome).to_string().contains("https://a"));
            }
        }
    }

    #[test]
    fn nothing_exceeds_its_limit() {
        let mut host = samples::successful();
        let project = host.projects[0].clone();
        host.projects = (0..2000)
            .map(|number| ProjectOutcome {
                name: format!("{number}{}", "x<é".repeat(100)),
                ..project.clone()
            })
            .collect();
        for project in &mut host.projects {
            project.problems.push(Diagnostic::error("&@.😀".repeat(500), None));
        }
        host.name = "h&@.".repeat(300);
        assert!(status_description(&host).chars().count() <= DESCRIPTION);
        let outcome = samples::outcome_of(vec![host.clone(), host]);
        let many = RunDetails {
            repository: Some("r@".repeat(500)),
            actor: Some("a&".repeat(500)),
            run_url: Some(format!("https://github.com/{}", "x".repeat(100))),
        };
        let message = slack_finished(&many, &outcome);
        let blocks = message["blocks"].as_array().unwrap();
        assert!(blocks.len() <= 50);
        for block in blocks {
            let text = block["text"]["text"].as_str().unwrap_or_default().chars().count();
            assert!(text <= if block["type"] == "header" { HEADER } else { SECTION }, "{text}");
        }
        assert!(blocks.last().unwrap().to_string().contains("more sections"));
        let embed = &discord_finished(&many, &outcome)["embeds"][0];
        let size = |key: &str| units(embed[key].as_str().unwrap());
        assert!(size("title") <= 256 && size("description") <= discord::DESCRIPTION, "{embed}");
        let footer = units(embed["footer"]["text"].as_str().unwrap());
        assert!(size("title") + size("description") + footer <= 6000);
        let telegram = telegram_finished(&many, &outcome);
        let telegram = telegram["text"].as_str().unwrap();
        assert!(units(telegram) <= telegram::TEXT && telegram.ends_with("run</a>"), "{telegram}");
        let ntfy = ntfy_finished(&many, &outcome);
        let ntfy = ntfy["message"].as_str().unwrap();
        assert!(ntfy.len() <= ntfy::TEXT, "{}", ntfy.len());
        for text in [embed["description"].as_str().unwrap(), telegram, ntfy] {
            assert!(text.contains("more lines"), "{text}");
        }
    }

    #[test]
    fn a_status_is_a_summary() {
        assert_eq!(
            status_description(&samples::successful()),
            "3 projects done: 17 files, 2 up, 1 restart, 1 signal, 1 exec, 1 removed; 2 unchanged"
        );
        assert!(status_description(&samples::unreachable()).starts_with("failed: "));
    }
}
