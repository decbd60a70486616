//! Texts of notifications: GitHub's deployments and statuses, Slack, a webhook.
//!
//! Owns the wording and the limits of each channel. No notification contains log lines of containers, because
//! they may hold what only the log of a run should. Each links to the run instead.

use serde_json::{Value, json};

use crate::outcome::{ActionResult, HostOutcome, Outcome, ProjectOutcome, ProjectResult};
use crate::plan::VERSION;

use super::escape::name;
use super::tally::Tally;
use super::wording::{commit, count, host_state, project_result};

/// Most characters that GitHub accepts for the description of a
/// [status](https://docs.github.com/rest/commits/statuses#create-a-commit-status) or a deployment.
const DESCRIPTION: usize = 140;

/// Most characters that Slack accepts for a
/// [header](https://docs.slack.dev/reference/block-kit/blocks/header-block).
const HEADER: usize = 150;

/// Most characters that Slack accepts for the text of a
/// [section](https://docs.slack.dev/reference/block-kit/blocks/section-block).
const SECTION: usize = 3000;

/// Most sections of one message. Slack accepts 50 blocks, more than people read.
const SECTIONS: usize = 8;

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

/// Formats a Slack message about the start of a deploy.
#[must_use]
pub fn slack_started(run: &RunDetails, host: &str, projects: &[String], wanted: Option<&str>) -> Value {
    let names: Vec<String> = projects.iter().map(|project| code(project)).collect();
    message(&format!("Deploying to {host}"), vec![names.join(", ")], run, wanted)
}

/// Formats a Slack message about the result of a deploy.
#[must_use]
pub fn slack_finished(run: &RunDetails, outcome: &Outcome) -> Value {
    let tally = Tally::of_outcome(outcome);
    let hosts: Vec<&str> = outcome.hosts.iter().map(|host| host.name.as_str()).collect();
    let mut sections = Vec::new();
    for host in &outcome.hosts {
        let mut lines = Vec::new();
        if outcome.hosts.len() > 1 {
            lines.push(format!("*{}*", mrkdwn(&name(&host.name))));
        }
        let failures = host.failure.iter().flat_map(|failure| &failure.diagnostics);
        lines.extend(failures.map(|why| mrkdwn(&name(&why.message))));
        let shown = host.projects.iter().filter(|project| project.result != ProjectResult::Unchanged);
        lines.extend(shown.map(project));
        lines.push(format!("_{}_", mrkdwn(&host_state(host))));
        sections.extend(packed(lines));
    }
    let heading = format!("{}: {}", hosts.join(", "), tally.past_heading());
    message(&heading, sections, run, outcome.label().as_deref())
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

fn project(project: &ProjectOutcome) -> String {
    let with = |result| project.actions.iter().filter(move |done| done.result == result);
    let amounts = Tally::amounts_of(&project.files, with(ActionResult::Done).map(|done| &done.action));
    let owed = Tally::amounts_of(&[], with(ActionResult::Owed).map(|done| &done.action));
    let mut line = format!("{} {}", code(&project.name), project_result(project.result));
    if project.result == ProjectResult::Done {
        for (separator, amounts) in [(": ", amounts), ("; still owed: ", owed)] {
            if !amounts.is_empty() {
                line = format!("{line}{separator}{amounts}");
            }
        }
    }
    for problem in &project.problems {
        let place = problem.at.as_ref().map(|at| format!(" ({})", code(&format!("{}:{}", at.path, at.line))));
        line = format!("{line}\n• {}{}", mrkdwn(&name(&problem.message)), place.unwrap_or_default());
    }
    line
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
    let repository = run.repository.as_deref().map(mrkdwn);
    let wanted = wanted.map(|wanted| format!("commit {}", code(&commit(wanted))));
    let actor = run.actor.as_deref().map(|actor| format!("by {}", mrkdwn(&name(actor))));
    // A link ends at `>` and its address at `|`.
    let url = run
        .run_url
        .as_deref()
        .filter(|url| !url.contains(['<', '>', '|']) && !url.contains(char::is_whitespace));
    let link = url.map(|url| format!("<{}|run>", mrkdwn(url)));
    let parts: Vec<String> =
        more.into_iter().chain(repository).chain(wanted).chain(actor).chain(link).collect();
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

/// Formats a name as code.
fn code(text: &str) -> String {
    format!("`{}`", mrkdwn(&name(text)).replace('`', "'"))
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

    fn pretty(value: &Value) -> String {
        serde_json::to_string_pretty(value).unwrap()
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
        for message in [slack_finished(&run(), &outcome), webhook("failed", &run(), &hosts, Some(&outcome))] {
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
    fn nothing_exceeds_its_limit() {
        let mut host = samples::successful();
        let project = host.projects[0].clone();
        host.projects = (0..2000)
            .map(|number| ProjectOutcome { name: format!("{number}{}", "x<".repeat(100)), ..project.clone() })
            .collect();
        host.name = "h".repeat(300);
        assert!(status_description(&host).chars().count() <= DESCRIPTION);
        let message = slack_finished(&run(), &samples::outcome_of(vec![host]));
        let blocks = message["blocks"].as_array().unwrap();
        assert!(blocks.len() <= 50);
        for block in blocks {
            let text = block["text"]["text"].as_str().unwrap_or_default().chars().count();
            assert!(text <= if block["type"] == "header" { HEADER } else { SECTION }, "{text}");
        }
        assert!(
            blocks.last().unwrap().to_string().contains("more sections")
                || blocks.last().unwrap().to_string().contains("more sections")
        );
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
