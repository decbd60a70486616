//! Markdown with a size limit: a comment, a job summary.

/// Largest comment that GitHub accepts, in characters.
pub const COMMENT: usize = 65_536;

/// Largest summary of a step, in bytes. GitHub drops a larger one as a whole.
pub const SUMMARY: usize = 1 << 20;

/// Cuts a text after a line so that it has at most `limit` bytes. Blocks and folded parts that are open there
/// are closed, and `note` comes last. A text that fits stays unchanged.
///
/// GitHub counts characters, of which there are never more than bytes. `limit` must have room for the note.
#[must_use]
pub fn cut(text: &str, limit: usize, note: &str) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = format!("\n{note}\n");
    let mut kept = String::new();
    // The closing line of each open part.
    let mut open: Vec<String> = Vec::new();
    let closing = |open: &[String]| open.iter().rev().map(|part| format!("{part}\n")).collect::<String>();
    for line in text.split_inclusive('\n') {
        let mut after = open.clone();
        let fence: String = line.chars().take_while(|c| *c == '`').collect();
        match after.last() {
            Some(last) if last.starts_with('`') => {
                if line.trim_end() == last {
                    after.pop();
                }
            }
            _ if fence.len() >= 3 => after.push(fence),
            _ => {
                if line.starts_with("<details>") {
                    after.push("\n</details>".to_owned());
                }
                if line.starts_with("</details>") {
                    after.pop();
                }
            }
        }
        if kept.len() + line.len() + closing(&after).len() + end.len() > limit {
            break;
        }
        kept.push_str(line);
        open = after;
    }
    kept.push_str(&closing(&open));
    kept.push_str(&end);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_that_are_open_at_the_cut_are_closed() {
        let text = "### a\n\n<details><summary>b</summary>\n\n````text\n```\n</details>\nlong long long long long long long long\n````\n\n</details>\n";
        assert_eq!(cut(text, text.len(), "cut"), text);
        insta::assert_snapshot!(cut(text, 90, "cut"), @r"
        ### a

        <details><summary>b</summary>

        ````text
        ```
        </details>
        ````

        </details>

        cut
        ");
    }

    proptest! {
            #[test]
            fn nothing_is_larger_than_its_place_and_all_is_closed(
                lines in proptest::collection::vec("a{0,30}|`{3,5}|<details>|</details>|größe", 0..60), limit in 40usize..400
            ) {
    // The text is one that a renderer of ours could have written.
                let (mut text, mut fence, mut details) = (String::new(), None, 0);
                for line in &lines {
                    let is_fence = line.starts_with("```");
                    match (&fence, is_fence) {
                        (None, true) => fence = Some(line.clone()),
                        (Some(open), true) if open == line => fence = None,
                        _ => {}
                    }
                    if fence.is_none() && !is_fence {
                        if line == "</details>" && details == 0 { continue }
                        details += match line.as_str() { "<details>" => 1, "</details>" => -1, _ => 0 };
                    }
                    text.push_str(line);
                    text.push('\n');
                }
                let kept = cut(&text, limit, "cut off");
                prop_assert!(kept.len() <= limit);
                if text.len() > limit {
                    prop_assert!(kept.ends_with("\ncut off\n"), "{}", kept);
                    let mut fence: Option<&str> = None;
                    let mut details = 0;
                    for line in kept.lines() {
                        match fence {
                            Some(open) if open == line => fence = None,
                            Some(_) => {}
                            None if line.starts_with("```") => fence = Some(line),
                            None => details += match line { "<details>" => 1, "</details>" => -1, _ => 0 },
                        }
                    }
                    prop_assert!(fence.is_none() && details == 0, "{}", kept);
                }
            }
        }
}
