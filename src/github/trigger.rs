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
        /// The commit of the ref now; `None` if the ref was removed.
        after: Option<String>,
        /// The ref, such as `refs/heads/main`; `None` if the event does not name it.
        to: Option<String>,
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
    /// Whether it is closed, merged or not.
    pub is_closed: bool,
    /// Its merge; `None` if it is not merged.
    pub merge: Option<Merge>,
}

/// Merge of a pull request, by a merge commit, a squash or a rebase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merge {
    /// The commit that its base branch got: the merge or squash, or the last of the rebased commits.
    pub commit: String,
    /// The number of commits of the pull request.
    pub commits: usize,
    /// The base branch; `None` if the event does not name it.
    pub branch: Option<String>,
}

impl PullRequestTrigger {
    /// Its merge, if `head` is the commit that the base branch got by it. Such a run is about that branch, as
    /// after a push.
    #[must_use]
    pub fn merged_as(&self, head: &str) -> Option<&Merge> {
        self.merge.as_ref().filter(|merge| merge.commit == head)
    }
}

/// Branch that a commit is on, by what the event of the run says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnBranch {
    /// A branch of the repository.
    Branch(String),
    /// No branch of the repository; in words, such as ``the tag `v1` ``.
    Other(String),
    /// The event does not say.
    Unknown,
}

impl OnBranch {
    /// Reads a ref, such as `refs/heads/main`.
    fn of_ref(name: Option<&str>) -> Self {
        let Some(name) = name else { return Self::Unknown };
        if let Some(branch) = name.strip_prefix("refs/heads/") {
            return Self::Branch(branch.to_owned());
        }
        Self::Other(match name.strip_prefix("refs/tags/") {
            Some(tag) => format!("the tag `{tag}`"),
            None => format!("`{name}`"),
        })
    }
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
    /// The branch that `head`, the checked-out commit, is on. `run_ref` is the ref of the run (`GITHUB_REF`),
    /// `repository` is `owner/name`.
    #[must_use]
    pub fn branch_of(&self, head: &str, run_ref: Option<&str>, repository: Option<&str>) -> OnBranch {
        match self {
            Self::PullRequest(pull) => match pull.merged_as(head) {
                Some(merge) => merge.branch.clone().map_or(OnBranch::Unknown, OnBranch::Branch),
                None => OnBranch::Other(format!("pull request #{}", pull.number)),
            },
            Self::Push { to, .. } => OnBranch::of_ref(to.as_deref().or(run_ref)),
            Self::MergeGroup { .. } => OnBranch::Other("a run of a merge queue".to_owned()),
            Self::WorkflowRun { event, .. } if event.starts_with("pull_request") => {
                OnBranch::Other("a pull request".to_owned())
            }
            Self::WorkflowRun { branch, .. } => match branch {
                Some(HeadBranch { repository: of, name: Some(name) })
                    if repository.is_none_or(|own| own.eq_ignore_ascii_case(of)) =>
                {
                    OnBranch::Branch(name.clone())
                }
                Some(HeadBranch { repository: of, name: Some(_) }) => OnBranch::Other(format!("`{of}`")),
                _ => OnBranch::Other("a branch that was deleted".to_owned()),
            },
            Self::Other { .. } => OnBranch::of_ref(run_ref),
        }
    }

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
            "pull_request"
            | "pull_request_target"
            | "pull_request_review"
            | "pull_request_review_comment" => {
                let number = payload.pointer("/pull_request/number").and_then(Value::as_u64);
                let repository = |side: &str| payload.pointer(&format!("/pull_request/{side}/repo/id"));
                Self::PullRequest(PullRequestTrigger {
                    number: number.ok_or("`pull_request.number` of the event is not a number")?,
                    base: sha("/pull_request/base/sha")?,
                    head: sha("/pull_request/head/sha")?,
                    // A deleted fork has no repository.
                    is_fork: repository("head").filter(|id| !id.is_null()) != repository("base"),
                    is_target: name == "pull_request_target",
                    is_closed: payload.pointer("/pull_request/state").and_then(Value::as_str)
                        == Some("closed"),
                    merge: merge(payload),
                })
            }
            "push" => {
                let text = |name: &str| payload.get(name).and_then(Value::as_str).map(str::to_owned);
                let commit = |name: &str| text(name).filter(|text| is_sha(text));
                Self::Push { before: commit("before"), after: commit("after"), to: text("ref") }
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

/// The merge in the event of a pull request. An open one has a `merge_commit_sha`, too: the merge that GitHub
/// has tried.
fn merge(payload: &Value) -> Option<Merge> {
    let pull = payload.get("pull_request")?;
    let commit = pull.get("merge_commit_sha").and_then(Value::as_str).filter(|text| is_sha(text))?;
    let commits = pull.get("commits").and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok());
    let branch = pull.pointer("/base/ref").and_then(Value::as_str);
    (pull.get("merged") == Some(&Value::Bool(true))).then(|| Merge {
        commit: commit.to_owned(),
        commits: commits.unwrap_or(1).max(1),
        branch: branch.map(str::to_owned),
    })
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

    fn push_of(before: Option<&str>, after: Option<&str>) -> Trigger {
        Trigger::Push { before: before.map(str::to_owned), after: after.map(str::to_owned), to: None }
    }

    #[test]
    fn a_push_has_the_commit_before_it_unless_the_ref_is_new() {
        let push = |before: &str| Trigger::read("push", &json!({"before": before, "after": B})).unwrap();
        assert_eq!(push(A), push_of(Some(A), Some(B)));
        assert_eq!(push(ZEROS), push_of(None, Some(B)));
        assert_eq!(push("--upload-pack=x"), push_of(None, Some(B)));
        assert_eq!(Trigger::read("push", &json!({})).unwrap(), push_of(None, None));
    }

    #[test]
    fn the_merge_of_a_pull_request_counts_only_once_it_is_merged() {
        let merge = |merged: bool| {
            let mut payload = pull(&json!({"id": 1}));
            payload["pull_request"]["merge_commit_sha"] = json!(A);
            payload["pull_request"]["merged"] = json!(merged);
            payload["pull_request"]["commits"] = json!(3);
            payload["pull_request"]["base"]["ref"] = json!("main");
            match Trigger::read("pull_request", &payload).unwrap() {
                Trigger::PullRequest(pull) => pull,
                other => panic!("{other:?}"),
            }
        };
        let expected = Merge { commit: A.to_owned(), commits: 3, branch: Some("main".to_owned()) };
        assert_eq!((merge(true).merged_as(A), merge(true).merged_as(B)), (Some(&expected), None));
        assert_eq!(merge(false).merged_as(A), None);
    }

    #[test]
    fn the_branch_of_a_commit_is_the_one_that_the_event_names() {
        let on = |name: &str, payload: &Value, run_ref: Option<&str>| {
            Trigger::read(name, payload).unwrap().branch_of(A, run_ref, Some("Ann/side"))
        };
        let branch = |name: &str| OnBranch::Branch(name.to_owned());
        let other = |words: &str| OnBranch::Other(words.to_owned());
        assert_eq!(on("push", &json!({"ref": "refs/heads/x/y"}), Some("refs/heads/main")), branch("x/y"));
        assert_eq!(on("push", &json!({"ref": "refs/tags/v1"}), None), other("the tag `v1`"));
        assert_eq!(on("push", &json!({}), None), OnBranch::Unknown);
        assert_eq!(on("schedule", &json!({}), Some("refs/heads/main")), branch("main"));
        assert_eq!(on("x", &json!({}), Some("refs/pull/7/merge")), other("`refs/pull/7/merge`"));
        let mut payload = pull(&json!({"id": 1}));
        assert_eq!(on("pull_request", &payload, Some("refs/heads/main")), other("pull request #7"));
        payload["pull_request"]["merged"] = json!(true);
        payload["pull_request"]["merge_commit_sha"] = json!(A);
        payload["pull_request"]["base"]["ref"] = json!("main");
        assert_eq!(on("pull_request_target", &payload, None), branch("main"));
        let queue = json!({"merge_group": {"base_sha": A, "head_sha": B}});
        assert_eq!(on("merge_group", &queue, Some("refs/heads/main")), other("a run of a merge queue"));
        let run = |event: &str, of: &Value| {
            let run = json!({"head_sha": B, "event": event, "head_branch": "topic", "head_repository": of});
            on("workflow_run", &json!({"workflow_run": run}), Some("refs/heads/main"))
        };
        assert_eq!(run("push", &json!({"full_name": "ann/side"})), branch("topic"));
        assert_eq!(run("push", &json!({"full_name": "bob/side"})), other("`bob/side`"));
        assert_eq!(run("push", &Value::Null), other("a branch that was deleted"));
        assert_eq!(run("pull_request", &json!({"full_name": "ann/side"})), other("a pull request"));
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
        assert_eq!(read("pull_request_review_comment", json!({"id": 2})), (7, true, false));
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
