//! The comment on a pull request: the plan, its commits, and a marker by which it is found again.

use std::fmt::Write as _;

use crate::plan::Plan;
use crate::report::marker::Marker;

use super::fit::{COMMENT, cut};
use super::markdown::code;
use super::render::plan::{Details, plan_with};

/// Parts of a comment besides the plan.
#[derive(Debug, Clone, Default)]
pub struct Frame<'a> {
    /// The newest commit of the base that the plan was made with.
    pub base: Option<&'a str>,
    /// The page of the run.
    pub run_url: Option<&'a str>,
    /// Whether unreviewed code of a fork made the plan.
    pub is_unverified: bool,
}

/// Renders the whole comment, of at most [`COMMENT`] characters.
#[must_use]
pub fn comment(plan: &Plan, marker: &Marker, frame: &Frame<'_>) -> String {
    let head = marker.line();
    let mut foot = format!("<sub>For commit {}", code(&marker.head));
    if let Some(base) = frame.base {
        let _ = write!(foot, ", compared with {}", code(base));
    }
    if let Some(url) = frame.run_url.filter(|url| is_link(url)) {
        let _ = write!(foot, " · [run]({url})");
    }
    if frame.is_unverified {
        foot.push_str(" · made by the code of the pull request itself");
    }
    foot.push_str("</sub>\n");
    let room = COMMENT - head.len() - foot.len() - 2;
    let with = |details| {
        let mut text = Vec::new();
        // Writing to a vector does not fail.
        let _ = plan_with(&mut text, plan, details);
        String::from_utf8_lossy(&text).trim_end().to_owned() + "\n\n"
    };
    let mut text = with(Details::Folded);
    if text.len() > room {
        text = with(Details::LeftOut);
    }
    let text = cut(
        &text,
        room,
        "The rest is left out: a comment on GitHub has room for 65,536 characters. The job summary has all of it.\n",
    );
    format!("{head}\n{text}{foot}")
}

/// Renders the replacement for a comment that was overtaken while it was written.
#[must_use]
pub fn outdated(marker: &Marker) -> String {
    format!(
        "{}\n### ghdeploy: the pull request has moved on\n\nThe plan that stood here was for commit {}. The run for the newest commit shows what that one would change. If it has ended already, run it again.\n",
        marker.line(),
        code(&marker.head)
    )
}

/// Whether an address is safe inside a Markdown link.
fn is_link(url: &str) -> bool {
    (url.starts_with("https://") || url.starts_with("http://"))
        && url.bytes().all(|byte| byte.is_ascii_graphic() && !b"()<>\\\"'`".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::FileChangeKind;
    use crate::report::samples;

    fn large(files: usize) -> crate::plan::ProjectPlan {
        let mut project = samples::conflict();
        project.problems.clear();
        project.files = (0..files)
            .map(|number| {
                samples::file(&format!("services/shop/conf.d/{number}.conf"), FileChangeKind::Added)
            })
            .collect();
        project
    }

    fn marker() -> Marker {
        Marker { key: "ghdeploy.yml".to_owned(), head: "1a2b3c4d5e".to_owned(), run: 118, attempt: 2 }
    }

    #[test]
    fn a_comment_is_a_marker_the_plan_and_its_commits() {
        let host = samples::host("web", vec![samples::unchanged("a")]);
        let frame = Frame {
            base: Some("0f0f0f"),
            run_url: Some("https://github.com/ann/side/actions/runs/118"),
            is_unverified: true,
        };
        insta::assert_snapshot!(comment(&samples::plan_of(vec![host]), &marker(), &frame), @"
        <!-- ghdeploy:plan key=ghdeploy.yml head=1a2b3c4d5e run=118.2 -->
        ### ghdeploy: nothing to do

        1 unchanged · commit `1a2b3c4d5e`

        <sub>For commit `1a2b3c4d5e`, compared with `0f0f0f` · [run](https://github.com/ann/side/actions/runs/118) · made by the code of the pull request itself</sub>
        ");
    }

    #[test]
    fn a_long_comment_loses_its_details_then_its_end() {
        let many = |projects: usize, files: usize| {
            let project = |number: usize| {
                let mut project = large(files);
                project.name = format!("project-{number:04}");
                project
            };
            samples::plan_of(vec![samples::host("web", (0..projects).map(project).collect())])
        };
        let text = |plan: &Plan| comment(plan, &marker(), &Frame::default());
        let whole = text(&many(20, 10));
        assert!(whole.contains("<details>") && !whole.contains("left out"));
        let folded = text(&many(300, 40));
        assert!(
            !folded.contains("<details>") && folded.contains("Files and reasons are left out"),
            "{folded}"
        );
        assert!(folded.contains("project-0299") && folded.len() <= COMMENT);
        let cut = text(&many(3000, 40));
        assert!(cut.contains("project-0099") && !cut.contains("project-2999") && cut.len() <= COMMENT);
        assert!(
            cut.contains("The rest is left out") && cut.ends_with("</sub>\n"),
            "{}",
            &cut[cut.len() - 400..]
        );
    }

    #[test]
    fn an_address_that_is_not_a_link_is_left_out() {
        let frame = Frame { run_url: Some("https://x) <b>"), ..Frame::default() };
        assert!(!comment(&samples::plan_of(Vec::new()), &marker(), &frame).contains("<b>"));
    }
}
