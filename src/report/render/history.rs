//! `history`: the releases of each host, the last one first.

use std::io::{self, Write};

use crate::outcome::queries::{History, HostHistory, PastRelease};
use crate::report::diagnostic::brief;
use crate::report::escape::name;
use crate::report::markdown::{code, listed, messages};
use crate::report::style::{Ink, Style};
use crate::report::wording::{commit, past_projects};
use crate::report::{Render, json};

impl Render for History {
    fn text(&self, w: &mut dyn Write, style: Style) -> io::Result<()> {
        for (number, host) in self.hosts.iter().enumerate() {
            if number > 0 {
                writeln!(w)?;
            }
            text_of_host(w, host, style)?;
        }
        Ok(())
    }

    fn markdown(&self, w: &mut dyn Write) -> io::Result<()> {
        for host in &self.hosts {
            writeln!(w, "### Releases of {}\n", code(&host.name))?;
            messages(w, &host.problems)?;
            if host.releases.is_empty() {
                continue;
            }
            writeln!(
                w,
                "| release | made | by | commit | projects | kept |\n| --- | --- | --- | --- | --- | --- |"
            )?;
            host.releases.iter().try_for_each(|past| markdown_of_release(w, past))?;
            writeln!(w)?;
        }
        Ok(())
    }

    fn json(&self, w: &mut dyn Write) -> io::Result<()> {
        json::versioned(w, self)
    }
}

fn text_of_host(w: &mut dyn Write, host: &HostHistory, style: Style) -> io::Result<()> {
    write!(w, "{}", style.ink(Ink::Heading, format!("host {}", name(&host.name))))?;
    let nothing = host.releases.is_empty() && host.problems.is_empty();
    let remark = match (nothing, host.is_selection) {
        (true, true) => ": no release has changed it",
        (true, false) => ": nothing deployed yet",
        (false, _) => "",
    };
    writeln!(w, "{remark}")?;
    host.releases.iter().try_for_each(|past| text_of_release(w, past, style))?;
    brief(w, &host.problems, "  ", style)
}

fn text_of_release(w: &mut dyn Write, past: &PastRelease, style: Style) -> io::Result<()> {
    let release = &past.release;
    write!(w, "  {}", style.ink(Ink::Heading, format!("release {}", release.release)))?;
    let id = release.commit.as_deref().map(|id| format!("commit {}", commit(id)));
    let actor = release.actor.as_deref().map(|actor| name(actor).into_owned());
    let back = release.back_to.map(|release| format!("rollback to release {release}"));
    let at = name(&release.at).into_owned();
    for part in std::iter::once(at).chain(actor).chain(id).chain(back) {
        write!(w, "  {part}")?;
    }
    let gone = match (release.cut_off, past.is_kept) {
        (true, _) => "  (cut off)",
        (false, true) => "",
        (false, false) => "  (no longer kept)",
    };
    writeln!(w, "{}", style.ink(Ink::Faint, gone))?;
    let projects = past_projects(release, |project| name(project).into_owned());
    if !projects.is_empty() {
        writeln!(w, "    {}", projects.join("; "))?;
    }
    match &release.run_url {
        Some(url) => writeln!(w, "    {}", style.ink(Ink::Faint, name(url))),
        None => Ok(()),
    }
}

fn markdown_of_release(w: &mut dyn Write, past: &PastRelease) -> io::Result<()> {
    let release = &past.release;
    let cell = |text: Option<&str>| text.map(code).unwrap_or_default();
    let back = release.back_to.map(|back| format!(" (rollback to {back})")).unwrap_or_default();
    let id = release.commit.as_deref().map(commit);
    let projects = past_projects(release, code);
    writeln!(
        w,
        "| {}{back} | {} | {} | {} | {} | {} |",
        release.release,
        code(&release.at),
        cell(release.actor.as_deref()),
        cell(id.as_deref()),
        listed(&projects),
        match (release.cut_off, past.is_kept) {
            (true, _) => "cut off",
            (false, true) => "yes",
            (false, false) => "no",
        },
    )
}

#[cfg(test)]
mod tests {
    use crate::report::samples::{self, markdown, text};

    #[test]
    fn the_last_release_comes_first_and_one_that_is_no_longer_kept_says_so() {
        insta::assert_snapshot!(text(&samples::history()), @"
        host web
          release 4  2026-01-04T10:00:00Z  ann  commit 1a2b3c4d5e  rollback to release 2
            blog; shop new
          release 3  2026-01-03T10:00:00Z  ann  commit 1a2b3c4d5e
            blog; shop failed, rolled back
            https://github.com/ann/side/actions/runs/7
          release 2  2026-01-02T10:00:00Z  ann  commit 1a2b3c4d5e  (no longer kept)
            blog; shop new

        host db
          error: failed to connect to db: connection refused

        host new: nothing deployed yet
        ");
    }

    #[test]
    fn history_is_one_row_per_release() {
        insta::assert_snapshot!(markdown(&samples::history()), @"
        ### Releases of `web`

        | release | made | by | commit | projects | kept |
        | --- | --- | --- | --- | --- | --- |
        | 4 (rollback to 2) | `2026-01-04T10:00:00Z` | `ann` | `1a2b3c4d5e` | `blog`, `shop` new | yes |
        | 3 | `2026-01-03T10:00:00Z` | `ann` | `1a2b3c4d5e` | `blog`, `shop` failed, rolled back | yes |
        | 2 | `2026-01-02T10:00:00Z` | `ann` | `1a2b3c4d5e` | `blog`, `shop` new | no |

        ### Releases of `db`

        ```text
        error: failed to connect to db: connection refused
        ```

        ### Releases of `new`
        ");
    }

    #[test]
    fn hostile_records_are_shown_and_do_nothing() {
        samples::assert_harmless(&text(&samples::hostile_history()));
        samples::assert_harmless(&markdown(&samples::hostile_history()));
    }
}
