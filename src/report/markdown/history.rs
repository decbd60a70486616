//! The releases of hosts as Markdown.

use std::io::{self, Write};

use crate::outcome::answers::{History, PastRelease};
use crate::report::wording::{commit, past_projects};

use super::{code, listed, messages};

/// Writes for each host its releases, the last one first.
///
/// # Errors
///
/// When `w` fails.
pub fn history(w: &mut dyn Write, history: &History) -> io::Result<()> {
    for host in &history.hosts {
        writeln!(w, "### Releases of {}\n", code(&host.name))?;
        messages(w, &host.problems)?;
        if host.releases.is_empty() {
            continue;
        }
        writeln!(
            w,
            "| release | made | by | commit | projects | kept |\n| --- | --- | --- | --- | --- | --- |"
        )?;
        host.releases.iter().try_for_each(|past| release(w, past))?;
        writeln!(w)?;
    }
    Ok(())
}

fn release(w: &mut dyn Write, past: &PastRelease) -> io::Result<()> {
    let release = &past.release;
    let cell = |text: Option<&str>| text.map(code).unwrap_or_default();
    let back = release.back_to.map(|back| format!(", back to {back}")).unwrap_or_default();
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
        if past.is_kept { "yes" } else { "no" },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{self, text_of};

    #[test]
    fn a_row_a_release() {
        insta::assert_snapshot!(text_of(|w| history(w, &samples::history())), @"
        ### Releases of `web`

        | release | made | by | commit | projects | kept |
        | --- | --- | --- | --- | --- | --- |
        | 4, back to 2 | `2026-01-04T10:00:00Z` | `ann` | `1a2b3c4d5e` | `blog`, `shop` new | yes |
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
        let text = text_of(|w| history(w, &samples::hostile_history()));
        samples::assert_harmless(&text);
    }
}
