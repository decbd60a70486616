//! Differences of files as Markdown.

use std::io::{self, Write};

use crate::outcome::answers::Diff;
use crate::report::escape::kept_tabs;
use crate::report::wording::remark_of;

use super::{code, fenced_as, messages};

/// Writes for each host the files that differ: what the host has is the old side.
///
/// # Errors
///
/// When `w` fails.
pub fn diff(w: &mut dyn Write, diff: &Diff) -> io::Result<()> {
    for host in &diff.hosts {
        writeln!(w, "### Files of {}\n", code(&host.name))?;
        messages(w, &host.problems)?;
        if host.files.is_empty() && host.problems.is_empty() {
            writeln!(w, "No file differs.\n")?;
        }
        for file in &host.files {
            let remark = remark_of(file.change).into_iter().chain(file.note.as_deref());
            let remark = remark.map(|remark| format!(" ({remark})")).collect::<String>();
            writeln!(w, "#### {}{remark}\n", code(&file.path))?;
            if let Some(diff) = file.diff.as_deref().filter(|diff| !diff.is_empty()) {
                let lines: Vec<String> = diff.lines().map(kept_tabs).collect();
                fenced_as(w, "diff", &lines.join("\n"))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{self, text_of};

    #[test]
    fn each_file_has_its_block() {
        insta::assert_snapshot!(text_of(|w| diff(w, &samples::diff())), @"
        ### Files of `web`

        #### `services/blog/nginx.conf` (drift: changed on the host)

        ```diff
        --- host/services/blog/nginx.conf
        +++ repository/services/blog/nginx.conf
        @@ -1,3 +1,3 @@
         user nginx;
        -	listen 80;
        +	listen 8080;
        ```

        #### `services/blog/app.env` (not shown, for it may hold secrets)

        #### `services/blog/run.sh` (executable bit)

        ### Files of `db`

        ```text
        error: failed to connect to db: connection refused
        ```

        ### Files of `new`

        No file differs.
        ");
    }

    #[test]
    fn hostile_content_is_shown_and_does_nothing() {
        let text = text_of(|w| diff(w, &samples::hostile_diff()));
        samples::assert_harmless(&text.replace('\t', " "));
    }
}
