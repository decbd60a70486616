//! The releases of hosts as text.

use std::io::{self, Write};

use crate::outcome::answers::{History, HostHistory, PastRelease};
use crate::report::diagnostic::brief;
use crate::report::escape::name;
use crate::report::style::{Ink, Style};
use crate::report::wording::{commit, past_projects};

/// Writes for each host its releases, the last one first.
///
/// # Errors
///
/// When `w` fails.
pub fn history(w: &mut dyn Write, history: &History, style: Style) -> io::Result<()> {
    for (number, host) in history.hosts.iter().enumerate() {
        if number > 0 {
            writeln!(w)?;
        }
        host_history(w, host, style)?;
    }
    Ok(())
}

fn host_history(w: &mut dyn Write, host: &HostHistory, style: Style) -> io::Result<()> {
    write!(w, "{}", style.ink(Ink::Heading, format!("host {}", name(&host.name))))?;
    let nothing = host.releases.is_empty() && host.problems.is_empty();
    writeln!(w, "{}", if nothing { ": nothing deployed yet" } else { "" })?;
    host.releases.iter().try_for_each(|past| release(w, past, style))?;
    brief(w, &host.problems, "  ", style)
}

fn release(w: &mut dyn Write, past: &PastRelease, style: Style) -> io::Result<()> {
    let release = &past.release;
    write!(w, "  {}", style.ink(Ink::Heading, format!("release {}", release.release)))?;
    let id = release.commit.as_deref().map(|id| format!("commit {}", commit(id)));
    let actor = release.actor.as_deref().map(|actor| name(actor).into_owned());
    let back = release.back_to.map(|release| format!("back to release {release}"));
    let at = name(&release.at).into_owned();
    for part in std::iter::once(at).chain(actor).chain(id).chain(back) {
        write!(w, "  {part}")?;
    }
    let gone = if past.is_kept { "" } else { "  (no longer kept)" };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{self, text_of};

    #[test]
    fn the_last_release_comes_first_and_what_is_no_longer_kept_says_so() {
        insta::assert_snapshot!(text_of(|w| history(w, &samples::history(), Style::default())), @"
        host web
          release 4  2026-01-04T10:00:00Z  ann  commit 1a2b3c4d5e  back to release 2
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
    fn hostile_records_are_shown_and_do_nothing() {
        let text = text_of(|w| history(w, &samples::hostile_history(), Style::default()));
        samples::assert_harmless(&text);
    }
}
