//! A plan as Markdown.

use std::io::{self, Write};

use crate::plan::{HostPlan, Plan, ProjectPlan};
use crate::report::tally::Tally;
use crate::report::wording::{change, commit, count};

use super::blocked_first;
use crate::report::markdown::{code, details, fold, host_heading, messages, services, unfold};

/// Writes what would change and why.
///
/// # Errors
///
/// When `w` fails.
pub(super) fn plan(w: &mut dyn Write, plan: &Plan) -> io::Result<()> {
    plan_with(w, plan, Details::Folded)
}

/// What becomes of the files and reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Details {
    /// They are folded.
    Folded,
    /// They are left out, and that is said.
    LeftOut,
}

/// Writes a plan with or without its details.
pub(in crate::report) fn plan_with(w: &mut dyn Write, plan: &Plan, details: Details) -> io::Result<()> {
    let tally = Tally::of_plan(plan);
    writeln!(w, "### ghdeploy: {}\n", tally.future_heading())?;
    let line = tally.line("");
    let commit = plan.label().as_deref().map(|id| format!("commit {}", code(&commit(id))));
    let parts: Vec<_> = [line].into_iter().chain(commit).filter(|part| !part.is_empty()).collect();
    if !parts.is_empty() {
        writeln!(w, "{}\n", parts.join(" · "))?;
    }
    plan.hosts.iter().try_for_each(|shown| host(w, shown, plan.hosts.len(), details))?;
    if details == Details::LeftOut {
        writeln!(
            w,
            "Files and reasons are left out because they are too long for a comment. The job summary has them.\n"
        )?;
    }
    Ok(())
}

fn host(w: &mut dyn Write, host: &HostPlan, hosts: usize, shown_details: Details) -> io::Result<()> {
    host_heading(w, &host.name, hosts)?;
    let shown = blocked_first(host);
    if shown.is_empty() && hosts > 1 {
        writeln!(w, "Nothing to do.\n")?;
    }
    if !shown.is_empty() {
        writeln!(w, "| project | change | services and actions |\n| --- | --- | --- |")?;
        shown.iter().try_for_each(|project| row(w, project))?;
        writeln!(w)?;
    }
    for project in &shown {
        messages(w, &project.problems)?;
    }
    for network in &host.networks {
        writeln!(w, "- would create network {}, which the host lacks\n", code(network))?;
    }
    messages(w, &host.notes)?;
    if !shown.is_empty() && shown_details == Details::Folded {
        unfold(w, "Files and reasons", None)?;
        for project in &shown {
            details(w, &project.name, &project.path, &project.files, project.actions.iter())?;
        }
        fold(w)?;
    }
    Ok(())
}

fn row(w: &mut dyn Write, project: &ProjectPlan) -> io::Result<()> {
    let change = if project.problems.is_empty() { change(project.change) } else { "**blocked**" };
    let files = match project.files.len() {
        0 => String::new(),
        files => format!(", {}", count(files, "file")),
    };
    let actions = project.actions.iter().map(|action| (action, action.kind.word().to_owned()));
    let hooks = project.hooks.iter().map(|hook| (hook, String::new()));
    writeln!(w, "| {} | {change}{files} | {} |", code(&project.name), services(actions, hooks))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{self, text_of};

    #[test]
    fn a_plan_is_a_heading_a_table_and_folded_details() {
        let mut host = samples::usual();
        host.projects.push(samples::conflict());
        insta::assert_snapshot!(text_of(|w| plan(w, &samples::plan_of(vec![host]))), @"
        ### ghdeploy: 3 projects change, 1 blocked

        17 files, 2 up, 1 restart, 1 signal, 1 exec, 1 removed; 1 blocked; 2 unchanged · commit `1a2b3c4d5e`

        | project | change | services and actions |
        | --- | --- | --- |
        | `grafana` | **blocked**, 1 file | – |
        | `traefik` | changed, 3 files | signal `proxy`; exec `sidecar`; remove `old` |
        | `blog` | changed, 2 files | up `worker`; restart `web` |
        | `shop` | new, 12 files | up `web` |

        ```text
        error: an unmanaged file of other content is in the way
          --> services/grafana/grafana.ini:1:1
        help: run with --adopt if the repository wins; the host's version is kept
        ```

        ```text
        warning: project `wiki` is no longer in the repository and still runs
        help: run ghdeploy sync --prune to take it down; its volumes are kept
        ```

        <details><summary>Files and reasons</summary>

        **`grafana`**

        - not touched `services/grafana/grafana.ini` (conflict: not managed on the host)

        **`traefik`**

        - overwritten `services/traefik/traefik.yml` (drift: changed on the host)
        - modified `services/traefik/entry.sh` (executable bit)
        - modified `shared/tz.env`
        - signal `proxy` `SIGHUP`: `services/traefik/traefik.yml` (`services/traefik/compose.yml:9`), `services/traefik/entry.sh` (`services/traefik/compose.yml:10`)
        - exec `sidecar` `reload -q`: `shared/tz.env` (`shared/common.yml:3`) `owed since release 40`
        - remove `old`: `services/traefik/compose.yml:1`

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
        ");
    }

    #[test]
    fn hooks_stand_behind_the_actions() {
        let host = samples::host("web", vec![samples::migrating()]);
        let text = text_of(|w| plan(w, &samples::plan_of(vec![host])));
        assert!(
            text.contains("| up `web`; hook before `web`; hook after `web` |") && !text.contains("secret"),
            "{text}"
        );
    }

    #[test]
    fn an_empty_plan_says_so() {
        let hosts = ["web", "db"].map(|name| samples::host(name, vec![samples::unchanged("a")]));
        insta::assert_snapshot!(text_of(|w| plan(w, &samples::plan_of(hosts.into()))), @"
        ### ghdeploy: nothing to do

        2 unchanged · commit `1a2b3c4d5e`

        #### Host `web`

        Nothing to do.

        #### Host `db`

        Nothing to do.
        ");
    }

    #[test]
    fn hostile_names_leave_neither_their_cell_nor_their_block() {
        let text = text_of(|w| plan(w, &samples::hostile()));
        samples::assert_harmless(&text);
        for row in text.lines().filter(|line| line.starts_with("| ") && !line.contains("---")) {
            assert_eq!(row.matches('|').count(), 4, "{row}");
        }
        let rows: Vec<_> = text.lines().filter(|line| line.starts_with("| ")).collect();
        insta::assert_snapshot!(rows.join("\n"), @"
        | project | change | services and actions |
        | --- | --- | --- |
        | <code>&#92;u&#123;3a&#125;&#58;set-output name&#61;x&#58;&#58;y</code> | **blocked**, 9 files | restart <code>&#92;u&#123;3a&#125;&#58;set-output name&#61;x&#58;&#58;y</code>; exec <code>&#92;u&#123;3a&#125;&#58;set-output name&#61;x&#58;&#58;y</code> |
        | <code>a&#92;n&#58;&#58;error file&#61;x&#58;&#58;y</code> | **blocked**, 9 files | restart <code>a&#92;n&#58;&#58;error file&#61;x&#58;&#58;y</code>; exec <code>a&#92;n&#58;&#58;error file&#61;x&#58;&#58;y</code> |
        | <code>a&#92;r&#92;n&#35;&#35;&#92;u&#123;5b&#125;set-env name&#61;PATH&#93;/tmp</code> | **blocked**, 9 files | restart <code>a&#92;r&#92;n&#35;&#35;&#92;u&#123;5b&#125;set-env name&#61;PATH&#93;/tmp</code>; exec <code>a&#92;r&#92;n&#35;&#35;&#92;u&#123;5b&#125;set-env name&#61;PATH&#93;/tmp</code> |
        | <code>&#92;u&#123;1b&#125;&#91;2J&#92;u&#123;1b&#125;&#93;0&#59;owned&#92;u&#123;7&#125;</code> | **blocked**, 9 files | restart <code>&#92;u&#123;1b&#125;&#91;2J&#92;u&#123;1b&#125;&#93;0&#59;owned&#92;u&#123;7&#125;</code>; exec <code>&#92;u&#123;1b&#125;&#91;2J&#92;u&#123;1b&#125;&#93;0&#59;owned&#92;u&#123;7&#125;</code> |
        | `a%0A::b` | **blocked**, 9 files | restart `a%0A::b`; exec `a%0A::b` |
        | <code>a&#124;b&#96;c&#96;&#60;img src&#61;x onerror&#61;y&#62;&#64;all</code> | **blocked**, 9 files | restart <code>a&#124;b&#96;c&#96;&#60;img src&#61;x onerror&#61;y&#62;&#64;all</code>; exec <code>a&#124;b&#96;c&#96;&#60;img src&#61;x onerror&#61;y&#62;&#64;all</code> |
        | <code>&#60;/details&#62;&#96;&#96;&#96;&#92;n&#35; x</code> | **blocked**, 9 files | restart <code>&#60;/details&#62;&#96;&#96;&#96;&#92;n&#35; x</code>; exec <code>&#60;/details&#62;&#96;&#96;&#96;&#92;n&#35; x</code> |
        | <code>&#92;u&#123;202e&#125;fdp&#46;exe</code> | **blocked**, 9 files | restart <code>&#92;u&#123;202e&#125;fdp&#46;exe</code>; exec <code>&#92;u&#123;202e&#125;fdp&#46;exe</code> |
        | <code>&#92;u&#123;3a&#125;</code> | **blocked**, 9 files | restart <code>&#92;u&#123;3a&#125;</code>; exec <code>&#92;u&#123;3a&#125;</code> |
        ");
    }
}
