//! The event that started a workflow run: the commits that it compares.
//!
//! Pure: reads the payload that the runner leaves in a file
//! ([the webhook's](https://docs.github.com/webhooks/webhook-events-and-payloads)).

use serde_json::Value;

/// Event that started a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// Work on a pull request.
    PullRequest(PullRequestTrigger),
    /// Commits or a tag were pushed.
    Push {
        /// The commit of the ref before; `None` if the ref is new.
        before: Option<String>,
    },
    /// A merge queue tests a commit.
    MergeGroup {
        /// The commit that it is to be merged onto.
        base: String,
        /// The commit under test.
        head: String,
    },
    /// Another workflow has completed.
    WorkflowRun {
        /// The commit that it ran on.
        head: String,
        /// The event that started it, such as `pull_request`.
        event: String,
        /// The branch that it ran for; `None` if that was in a fork that was deleted.
        branch: Option<HeadBranch>,
    },
    /// An event that compares nothing: `workflow_dispatch`, `schedule`.
    Other {
        /// Its name.
        name: String,
    },
}

/// Pull request in an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequestTrigger {
    /// Its number.
    pub number: u64,
    /// The newest commit of its base branch at the time of the event.
    pub base: String,
    /// The newest commit of its own branch.
    pub head: String,
    /// Whether its branch lies in another repository. The run's token may not write then.
    pub is_fork: bool,
    /// Whether the run works on the base branch (`pull_request_target`).
    pub is_target: bool,
}

/// Branch that a workflow ran for, as GitHub's record of the run names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadBranch {
    /// `owner/name` of its repository; for a fork, that of the fork.
    pub repository: String,
    /// Its name; `None` if the record has none.
    pub name: Option<String>,
}

impl Trigger {
    /// Reads an event of this name.
    ///
    /// # Errors
    ///
    /// The field that the payload lacks.
    pub fn read(name: &str, payload: &Value) -> Result<Self, String> {
        let sha = |pointer: &str| {
            let found = payload.pointer(pointer).and_then(Value::as_str).filter(|text| is_sha(text));
            found
                .map(str::to_owned)
                .ok_or_else(|| format!("`{}` of the event is not a commit", field(pointer)))
        };
        Ok(match name {
            "pull_request" | "pull_request_target" | "pull_request_review" => {
                let number = payload.pointer("/pull_request/number").and_then(Value::as_u64);
                let repository = |side: &str| payload.pointer(&format!("/pull_request/{side}/repo/id"));
                Self::PullRequest(PullRequestTrigger {
                    number: number.ok_or("`pull_request.number` of the event is not a number")?,
                    base: sha("/pull_request/base/sha")?,
                    head: sha("/pull_request/head/sha")?,
                    // A deleted fork has no repository.
                    is_fork: repository("head").filter(|id| !id.is_null()) != repository("base"),
                    is_target: name == "pull_request_target",
                })
            }
            "push" => {
                let before = payload.get("before").and_then(Value::as_str).unwrap_or_default();
                Self::Push { before: is_sha(before).then(|| before.to_owned()) }
            }
            "merge_group" => {
                Self::MergeGroup { base: sha("/merge_group/base_sha")?, head: sha("/merge_group/head_sha")? }
            }
            "workflow_run" => {
                let text =
                    |pointer: &str| payload.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
                let name = text("/workflow_run/head_branch");
                let repository = text("/workflow_run/head_repository/full_name");
                Self::WorkflowRun {
                    head: sha("/workflow_run/head_sha")?,
                    event: text("/workflow_run/event").unwrap_or_default(),
                    branch: repository.map(|repository| HeadBranch { repository, name }),
                }
            }
            _ => Self::Other { name: name.to_owned() },
        })
    }
}

/// Formats `/pull_request/head/sha` as `pull_request.head.sha`.
fn field(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

/// Whether a text is the full name of a commit. All zeros stand for none.
#[must_use]
pub fn is_sha(text: &str) -> bool {
    matches!(text.len(), 40 | 64)
        && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        && text.bytes().any(|byte| byte != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    const ZEROS: &str = "0000000000000000000000000000000000000000";

    fn pull(head_repository: &Value) -> Value {
        json!({"pull_request": {"number": 7, "base": {"sha": A, "repo": {"id": 1}}, "head": {"sha": B, "repo": head_repository}}})
    }

    #[test]
    fn a_push_has_the_commit_before_it_unless_the_ref_is_new() {
        let push = |before: &str| Trigger::read("push", &json!({"before": before, "after": B})).unwrap();
        assert_eq!(push(A), Trigger::Push { before: Some(A.to_owned()) });
        assert_eq!(push(ZEROS), Trigger::Push { before: None });
        assert_eq!(push("--upload-pack=x"), Trigger::Push { before: None });
        assert_eq!(Trigger::read("push", &json!({})).unwrap(), Trigger::Push { before: None });
    }

    #[test]
    fn a_pull_request_has_both_sides_and_whether_it_is_from_a_fork() {
        let read = |name: &str, repository: Value| match Trigger::read(name, &pull(&repository)).unwrap() {
            Trigger::PullRequest(pull) => (pull.number, pull.is_fork, pull.is_target),
            other => panic!("{other:?}"),
        };
        assert_eq!(read("pull_request", json!({"id": 1})), (7, false, false));
        assert_eq!(read("pull_request", json!({"id": 2})), (7, true, false));
        assert_eq!(read("pull_request", Value::Null), (7, true, false));
        assert_eq!(read("pull_request_target", json!({"id": 1})), (7, false, true));
    }

    #[test]
    fn a_missing_field_is_named() {
        let mut payload = pull(&Value::Null);
        payload["pull_request"]["head"]["sha"] = json!("main; rm -rf /");
        assert_eq!(
            Trigger::read("pull_request", &payload).unwrap_err(),
            "`pull_request.head.sha` of the event is not a commit"
        );
        assert!(Trigger::read("merge_group", &json!({})).unwrap_err().contains("merge_group.base_sha"));
    }

    #[test]
    fn a_workflow_run_has_the_repository_and_branch_that_it_ran_for() {
        let branch = |repository: &Value| {
            let run = json!({"head_sha": B, "event": "pull_request", "head_branch": "topic", "head_repository": repository});
            match Trigger::read("workflow_run", &json!({"workflow_run": run})).unwrap() {
                Trigger::WorkflowRun { branch, .. } => branch,
                other => panic!("{other:?}"),
            }
        };
        let expected = HeadBranch { repository: "bob/side".to_owned(), name: Some("topic".to_owned()) };
        assert_eq!(branch(&json!({"full_name": "bob/side"})), Some(expected));
        assert_eq!(branch(&Value::Null), None);
    }

    #[test]
    fn a_dispatch_compares_nothing() {
        let other = Trigger::read("workflow_dispatch", &json!({"inputs": {"base": A}})).unwrap();
        assert_eq!(other, Trigger::Other { name: "workflow_dispatch".to_owned() });
    }
}
