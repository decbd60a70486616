//! An outcome as Markdown.

use std::io::{self, Write};

use crate::outcome::{ActionResult, HostOutcome, Outcome, ProjectOutcome, ProjectResult};
use crate::report::escape::name;
use crate::report::tally::Tally;
use crate::report::text::short;
use crate::report::wording::{action_result, commit, count, host_state, project_result};

use super::{failed_first, has_failed, number_shown};
use crate::report::markdown::{
    code, details, fenced, fold, host_heading, listed, messages, services, unfold,
};

/// Writes the results, the failures with their causes, and the state of each host.
///
/// # Errors
///
/// When `w` fails.
pub(super) fn outcome(w: &mut dyn Write, outcome: &Outcome) -> io::Result<()> {
    let tally = Tally::of_outcome(outcome);
    writeln!(w, "### ghdeploy: {}\n", tally.past_heading())?;
    let line = tally.line("");
    let commit = outcome.label().as_deref().map(|id| format!("commit {}", code(&commit(id))));
    let parts: Vec<_> = [line].into_iter().chain(commit).filter(|part| !part.is_empty()).collect();
    if !parts.is_empty() {
        writeln!(w, "{}\n", parts.join(" · "))?;
    }
    outcome.hosts.iter().try_for_each(|shown| host(w, shown, outcome.hosts.len()))?;
    for host in &outcome.hosts {
        for failed in
            host.projects.iter().filter(|project| has_failed(project) && number_shown(&outcome.hosts) > 1)
        {
            if let Some(why) = short(&failed.problems) {
                writeln!(w, "- {} **failed**: {}", code(&failed.name), code(&why))?;
            }
        }
        writeln!(w, "- host {}: {}", code(&host.name), code(&host_state(host)))?;
    }
    Ok(())
}

fn host(w: &mut dyn Write, host: &HostOutcome, hosts: usize) -> io::Result<()> {
    host_heading(w, &host.name, hosts)?;
    let shown = failed_first(host);
    if shown.is_empty() && hosts > 1 && host.failure.is_none() {
        writeln!(w, "Nothing to do.\n")?;
    }
    if !shown.is_empty() {
        writeln!(w, "| project | result | services and actions |\n| --- | --- | --- |")?;
        shown.iter().try_for_each(|project| row(w, project))?;
        writeln!(w)?;
    }
    for project in &shown {
        messages(w, &project.problems)?;
        logs(w, project)?;
    }
    for network in &host.networks {
        writeln!(w, "- created network {}\n", code(network))?;
    }
    for image in &host.removed_images {
        writeln!(w, "- removed image {}, which no kept release needs\n", code(image.short()))?;
    }
    messages(w, &host.notes)?;
    if let Some(failure) = &host.failure {
        messages(w, &failure.diagnostics)?;
    }
    if !shown.is_empty() {
        unfold(w, "Files and reasons", None)?;
        for project in &shown {
            let actions = project.actions.iter().map(|done| &done.action);
            details(w, &project.name, &project.path, &project.files, actions)?;
            for image in &project.running {
                let digest =
                    image.digest.as_deref().map(|digest| format!(" {}", code(digest))).unwrap_or_default();
                let of = image
                    .revision
                    .as_deref()
                    .map(|of| format!(" of commit {}", code(&commit(of))))
                    .unwrap_or_default();
                writeln!(w, "- {} runs {}{digest}{of}", code(&image.service), code(&image.image))?;
            }
            if !project.running.is_empty() {
                writeln!(w)?;
            }
            if !project.kept.is_empty() {
                let kept: Vec<String> = project.kept.iter().map(|kept| code(kept)).collect();
                writeln!(w, "- kept {}\n", listed(&kept))?;
            }
        }
        fold(w)?;
    }
    Ok(())
}

fn row(w: &mut dyn Write, project: &ProjectOutcome) -> io::Result<()> {
    let result = match project.result {
        ProjectResult::Done | ProjectResult::Unchanged => project_result(project.result).to_owned(),
        failed => format!("**{}**", project_result(failed)),
    };
    let files = match project.files.len() {
        0 => String::new(),
        files => format!(", {}", count(files, "file")),
    };
    let actions = project.actions.iter().map(|done| {
        let word = done.action.kind.word();
        let sort = match done.result {
            ActionResult::Done => word.to_owned(),
            other => format!("{word} **{}**", action_result(other)),
        };
        (&done.action, sort)
    });
    let hooks = project.hooks.iter().map(|done| {
        let sort = match done.result {
            ActionResult::Done => String::new(),
            other => format!("**{}** ", action_result(other)),
        };
        (&done.hook, sort)
    });
    writeln!(w, "| {} | {result}{files} | {} |", code(&project.name), services(actions, hooks))
}

fn logs(w: &mut dyn Write, project: &ProjectOutcome) -> io::Result<()> {
    for log in &project.logs {
        unfold(w, "Last lines of", Some(&log.service))?;
        let lines: Vec<_> = log.lines.iter().map(|line| name(line)).collect();
        fenced(w, &lines.join("\n"))?;
        fold(w)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{self, text_of};

    #[test]
    fn a_hook_that_failed_says_so() {
        let host = HostOutcome { projects: vec![samples::badly_migrated()], ..samples::successful() };
        let text = text_of(|w| outcome(w, &samples::outcome_of(vec![host])));
        assert!(text.contains("| up `web`; hook before `web`; hook after **failed** `web` |"), "{text}");
    }

    #[test]
    fn an_outcome_shows_results_messages_logs_and_states() {
        let hosts = vec![samples::failing(ProjectResult::RolledBack), samples::unreachable()];
        insta::assert_snapshot!(text_of(|w| outcome(w, &samples::outcome_of(hosts))), @r#"
        ### ghdeploy: deploy failed in part, 1 project done

        12 files, 1 up; 1 host failed; 1 failed and rolled back; 2 unchanged · commit `1a2b3c4d5e`

        #### Host `web`

        | project | result | services and actions |
        | --- | --- | --- |
        | `blog` | **failed, rolled back**, 2 files | up **skipped** `worker`; restart **failed** `web` |
        | `shop` | done, 12 files | up `web` |

        ```text
        error: service `web` exited with code 1 within 5 s
          --> services/blog/compose.yml:12:3
        help: look at its last lines below
        ```

        <details><summary>Last lines of <code>web</code></summary>

        ```text
        nginx: [emerg] unknown directive "sever" in /etc/nginx/nginx.conf:3
        \u{3a}:error::pwned
        ```

        </details>

        <details><summary>Files and reasons</summary>

        **`blog`**

        - modified `services/blog/compose.yml`
        - modified `services/blog/nginx.conf`
        - up `worker`: `services/blog/compose.yml:22`
        - restart `web`: `services/blog/nginx.conf` (`compose.yml:14`)

        **`shop`**

        - added `services/shop/0.conf`
        - added `services/shop/1.conf`
        - added `services/shop/2.conf`
        - added `services/shop/3.conf`
        - added `services/shop/4.conf`
        - added `services/shop/5.conf`
        - added `services/shop/6.conf`
        - added `services/shop/7.conf`
        - added `services/shop/8.conf`
        - added `services/shop/9.conf`
        - added `services/shop/10.conf`
        - added `services/shop/11.conf`
        - up `web`: `services/shop/compose.yml:1` `new project`

        </details>

        #### Host `db`

        ```text
        error: failed to connect to db: connection refused
        help: run ghdeploy doctor --host db
        ```

        - `blog` **failed**: <code>service &#96;web&#96; exited with code 1 within 5 s&#59; look at its last lines below</code>
        - host `web`: `release 42; rolled back: blog`
        - host `db`: `nothing was changed`
        "#);
    }

    #[test]
    fn hostile_names_are_shown_and_do_nothing() {
        let text = text_of(|w| outcome(w, &samples::hostile_outcome()));
        samples::assert_harmless(&text);
        let lines = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!(lines("<details><summary>"), text.lines().filter(|line| *line == "</details>").count());
        let summaries = text.lines().filter(|line| line.starts_with("<details>"));
        assert!(summaries.clone().count() > 0);
        assert!(summaries.into_iter().all(|line| !line.contains("<img")), "{text}");
    }
}
