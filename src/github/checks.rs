//! The checks of a commit, as GitHub records them.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use super::client::{ApiError, Client};
use super::models::{ActionsRun, CheckRun, CheckStatus, CheckSuite, CommitStatus, StatusState};
use super::run::ThisJob;
use crate::images::gate::checks::{Check, Conclusion, Relation, Standing, Workflow};

/// Name of GitHub's own app, which makes the check runs of jobs.
const ACTIONS: &str = "github-actions";

/// Most suites of a commit whose check runs GitHub lists
/// ([list check runs](https://docs.github.com/rest/checks/runs#list-check-runs-for-a-git-reference)).
const MAX_SUITES: usize = 1000;

/// Time after which a commit gets no more checks if no suite is running, in seconds: a workflow that another
/// one starts at its end is there after a few seconds.
const SETTLES_IN_SECS: i64 = 60;

/// Time after which an app that has not made any check run will make none, in seconds. GitHub creates a suite
/// for each app of a repository, and most of them stay queued forever.
const IDLE_AFTER_SECS: i64 = 600;

/// The checks of a commit.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    /// All check runs and commit statuses.
    pub checks: Vec<Check>,
    /// The suites that are not completed, so that more runs may come of them. The suite of the asking run is
    /// left out: it cannot complete while the run asks.
    pub running: BTreeSet<u64>,
    /// Whether nothing indicates that the commit will get more checks.
    pub is_settled: bool,
    /// Whether a workflow has ended without a single check: its file is invalid, nobody has approved it, or it was
    /// cancelled before its first job.
    pub has_broken_workflow: bool,
    /// The reason why not all checks are known; `None` if they are.
    pub unread: Option<String>,
}

/// Reader of the checks of a commit.
#[derive(Debug)]
pub struct ChecksReader<'a> {
    client: &'a Client,
    repository: &'a str,
    sha: &'a str,
    this: &'a ThisJob,
    /// Whether the token may not read the runs of workflows, which are needed for more precise answers only.
    is_refused: bool,
}

impl<'a> ChecksReader<'a> {
    /// Reader for a job that asks.
    #[must_use]
    pub const fn new(client: &'a Client, repository: &'a str, sha: &'a str, this: &'a ThisJob) -> Self {
        Self { client, repository, sha, this, is_refused: false }
    }

    /// Reads all checks as they are now.
    ///
    /// # Errors
    ///
    /// When GitHub refuses or is not reached.
    pub async fn read(&mut self) -> Result<Checks, ApiError> {
        let client = self.client;
        let route = format!("/repos/{}/commits/{}", self.repository, self.sha);
        // The suites come first: a suite that is completed by then gets no more runs than are listed
        // afterwards.
        let suites: Vec<CheckSuite> =
            client.list(&format!("{route}/check-suites"), Some("check_suites")).await?;
        if let Some(unread) = unread(suites.len()) {
            return Ok(Checks { unread: Some(unread), ..Checks::default() });
        }
        let workflows = self.workflows().await?;
        // By default, GitHub lists only the newest run of each name per suite, and so hides one of two jobs
        // that have the same name.
        let runs = client.list(&format!("{route}/check-runs?filter=all"), Some("check_runs")).await?;
        let statuses = client.list(&format!("{route}/statuses"), None).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let answers = Answers { suites, workflows, runs, statuses };
        Ok(answers.combined(self.this, i64::try_from(now).unwrap_or(i64::MAX)))
    }

    /// Reads the runs of workflows for the commit; none if the token may not.
    async fn workflows(&mut self) -> Result<Vec<ActionsRun>, ApiError> {
        if self.is_refused {
            return Ok(Vec::new());
        }
        let route = format!("/repos/{}/actions/runs?head_sha={}", self.repository, self.sha);
        match self.client.list(&route, Some("workflow_runs")).await {
            Err(ApiError::Refused { status: 400..=499, .. }) => {
                self.is_refused = true;
                Ok(Vec::new())
            }
            // GitHub lists the newest thousand and counts all.
            Err(ApiError::Unusable(_)) => Ok(Vec::new()),
            answer => answer,
        }
    }
}

/// GitHub's answers about a commit.
struct Answers {
    suites: Vec<CheckSuite>,
    workflows: Vec<ActionsRun>,
    runs: Vec<CheckRun>,
    statuses: Vec<CommitStatus>,
}

impl Answers {
    fn combined(self, this: &ThisJob, now: i64) -> Checks {
        let Self { suites, workflows, runs, statuses } = self;
        let started: BTreeSet<u64> =
            runs.iter().filter(|run| run.status == Some(CheckStatus::InProgress)).map(|run| run.id).collect();
        let mut checks: Vec<Check> =
            runs.into_iter().map(Check::from).chain(statuses.into_iter().map(Check::from)).collect();
        for check in checks.iter_mut().filter(|check| check.is_run) {
            let of = |run: &&ActionsRun| run.check_suite_id.is_some() && run.check_suite_id == check.suite;
            check.workflow = workflows.iter().find(of).map(|run| workflow(run, &workflows, this));
        }
        relate(&mut checks, &workflows, &started, this);
        let own: BTreeSet<u64> = checks
            .iter()
            .filter(|check| check.relation != Relation::Other)
            .filter_map(|check| check.suite)
            .chain(workflows.iter().filter(|run| run.id == this.run).filter_map(|run| run.check_suite_id))
            .collect();
        let open = suites
            .iter()
            .filter(|suite| suite.status != Some(CheckStatus::Completed) && !own.contains(&suite.id));
        let (running, idle): (Vec<&CheckSuite>, Vec<&CheckSuite>) = open.partition(|suite| {
            let is_actions = suite.app.as_ref().is_none_or(|app| app.slug.as_deref() == Some(ACTIONS));
            is_actions || checks.iter().any(|check| check.suite == Some(suite.id))
        });
        let is_old = |time: Option<i64>, age: i64| time.is_some_and(|time| time <= now.saturating_sub(age));
        let is_fresh = |time: Option<i64>| time.is_some() && !is_old(time, SETTLES_IN_SECS);
        let is_settled = running.is_empty()
            && idle.iter().all(|suite| is_old(seconds(suite.created_at.as_deref()), IDLE_AFTER_SECS))
            && (checks.iter().any(|check| check.relation != Relation::SameJob)
                || (!suites.is_empty()
                    && suites
                        .iter()
                        .all(|suite| is_old(seconds(suite.created_at.as_deref()), IDLE_AFTER_SECS))))
            && checks.iter().all(|check| {
                check.relation == Relation::SameJob
                    || (check.standing() != Standing::Pending && !is_fresh(check.completed))
            })
            && !suites.iter().any(|suite| {
                let changed = Some(&suite.updated_at).filter(|_| !own.contains(&suite.id));
                [Some(&suite.created_at), changed]
                    .into_iter()
                    .flatten()
                    .any(|time| is_fresh(seconds(time.as_deref())))
            });
        let has_broken_workflow = suites.iter().any(|suite| {
            let is_replaced = || {
                let run = workflows.iter().find(|run| run.check_suite_id == Some(suite.id));
                run.is_some_and(|run| {
                    let own = series(run);
                    own.is_some() && workflows.iter().any(|other| other.id > run.id && series(other) == own)
                })
            };
            match suite.conclusion {
                Some(Conclusion::StartupFailure) => true,
                // Other apps end a suite the way they like.
                Some(
                    Conclusion::ActionRequired
                    | Conclusion::Cancelled
                    | Conclusion::Failure
                    | Conclusion::Stale
                    | Conclusion::TimedOut,
                ) => {
                    suite.app.as_ref().is_none_or(|app| app.slug.as_deref() == Some(ACTIONS))
                        && !own.contains(&suite.id)
                        && !checks.iter().any(|check| check.suite == Some(suite.id))
                        && !is_replaced()
                }
                _ => false,
            }
        });
        let running = running.into_iter().map(|suite| suite.id).collect();
        Checks { checks, running, is_settled, has_broken_workflow, unread: None }
    }
}

/// Returns the reason why the check runs of so many suites cannot all be read.
fn unread(suites: usize) -> Option<String> {
    (suites > MAX_SUITES)
        .then(|| format!("it has {suites} suites of checks, and GitHub lists those of {MAX_SUITES} only"))
}

fn workflow(run: &ActionsRun, all: &[ActionsRun], this: &ThisJob) -> Workflow {
    // The run of the job that asks never completes before the answer.
    let is_under_way = |run: &ActionsRun| run.status != Some(CheckStatus::Completed) && run.id != this.run;
    let is_again = run.run_attempt.is_some_and(|attempt| attempt > 1);
    let own = series(run);
    let follows = |other: &&ActionsRun| other.id > run.id && is_under_way(other) && series(other) == own;
    Workflow {
        run: run.id,
        name: run.name.clone().unwrap_or_default().trim().to_owned(),
        event: run.event.clone(),
        is_followed: own.is_some() && all.iter().any(|other| follows(&other)),
        series: own,
        is_first_attempt: run.run_attempt == Some(1),
        restarted: seconds(run.run_started_at.as_deref()).filter(|_| is_under_way(run) && is_again),
    }
}

/// Returns what is the same for all runs that do the same. Runs by hand have inputs, those of a schedule
/// belong to one of several, and of the pull requests of a fork, the base is not known.
fn series(run: &ActionsRun) -> Option<String> {
    let mut pulls: Vec<u64> = run.pull_requests.iter().flatten().map(|pull| pull.number).collect();
    pulls.sort_unstable();
    let is_same = match run.event.as_str() {
        "push" => true,
        "pull_request" | "pull_request_target" => !pulls.is_empty(),
        _ => false,
    };
    let (workflow, branch) = (run.workflow_id?, run.head_branch.as_deref()?);
    let from = &run.head_repository.as_ref()?.full_name;
    is_same.then(|| format!("{workflow}\n{}\n{from}\n{branch}\n{pulls:?}", run.event))
}

/// Finds out which checks belong to the run that asks, and which one is the asking job itself. `started` are
/// the check runs in progress.
fn relate(checks: &mut [Check], workflows: &[ActionsRun], started: &BTreeSet<u64>, this: &ThisJob) {
    if this.run == 0 {
        return;
    }
    let suite = workflows.iter().find(|run| run.id == this.run).and_then(|run| run.check_suite_id);
    let page = format!("/actions/runs/{}/", this.run);
    let mut own: Vec<&mut Check> = checks
        .iter_mut()
        .filter(|check| check.is_run && (check.app == ACTIONS || check.app.is_empty()))
        .filter(|check| match check.url.as_deref().filter(|url| url.contains("/actions/runs/")) {
            Some(url) => url.contains(&page),
            None => suite.is_some() && check.suite == suite,
        })
        .collect();
    own.iter_mut().for_each(|check| check.relation = Relation::SameRun);
    if let Some(check) = own.iter_mut().find(|check| Some(check.id) == this.check_run) {
        check.relation = Relation::SameJob;
        return;
    }
    // Without its number, the asking job is the one in progress, or the one of these that has its name.
    let mut candidates: Vec<&mut Check> =
        own.into_iter().filter(|check| started.contains(&check.id)).collect();
    if candidates.len() > 1 {
        candidates.retain(|check| this.job.as_deref().is_some_and(|job| is_named_after(&check.name, job)));
    }
    if let [check] = candidates.as_mut_slice() {
        check.relation = Relation::SameJob;
    }
}

/// Whether a check can be that of a job without a name of its own: `gate`, `gate (1)` in a matrix, `caller /
/// gate`.
fn is_named_after(name: &str, job: &str) -> bool {
    let last = name.rsplit(" / ").next().unwrap_or(name);
    last == job || last.strip_prefix(job).is_some_and(|rest| rest.starts_with(" ("))
}

/// Reads a time as seconds since 1970.
fn seconds(time: Option<&str>) -> Option<i64> {
    time?.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}

impl From<CheckRun> for Check {
    fn from(run: CheckRun) -> Self {
        let is_completed = run.status == Some(CheckStatus::Completed);
        Self {
            name: run.name,
            is_run: true,
            app: run.app.and_then(|app| app.slug.or(app.name)).unwrap_or_default(),
            id: run.id,
            conclusion: is_completed.then(|| run.conclusion.unwrap_or(Conclusion::Missing)),
            url: run.html_url.or(run.details_url),
            suite: run.check_suite.map(|suite| suite.id),
            mark: run.external_id.filter(|mark| !mark.is_empty()),
            started: seconds(run.started_at.as_deref()),
            completed: seconds(run.completed_at.as_deref()),
            workflow: None,
            relation: Relation::Other,
        }
    }
}

impl From<CommitStatus> for Check {
    fn from(status: CommitStatus) -> Self {
        Self {
            name: status.context,
            is_run: false,
            app: "status".to_owned(),
            id: status.id,
            conclusion: match status.state {
                StatusState::Pending => None,
                StatusState::Success => Some(Conclusion::Success),
                StatusState::Failure => Some(Conclusion::Failure),
                StatusState::Error => Some(Conclusion::Error),
                StatusState::Other(word) => Some(Conclusion::Other(word)),
            },
            url: status.target_url,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_run_has_a_conclusion_only_once_it_is_completed() {
        let of = |run: serde_json::Value| Check::from(serde_json::from_value::<CheckRun>(run).unwrap());
        let running = json!({"id": 1, "name": "test", "status": "in_progress", "conclusion": "success"});
        assert_eq!(of(running).conclusion, None);
        let completed = json!({"id": 1, "name": "test", "status": "completed", "conclusion": null});
        assert_eq!(of(completed).conclusion, Some(Conclusion::Missing));
    }

    #[test]
    fn a_run_and_a_status_are_read_the_way_github_lists_them() {
        let run = json!({
            "name": "test", "id": 7, "status": "completed", "conclusion": "success",
            "html_url": "https://github.test/7", "app": {"slug": "github-actions"}, "check_suite": {"id": 3},
        });
        let run = Check::from(serde_json::from_value::<CheckRun>(run).unwrap());
        assert_eq!(
            (run.app.as_str(), run.suite, run.conclusion),
            ("github-actions", Some(3), Some(Conclusion::Success))
        );
        assert_eq!(run.url.as_deref(), Some("https://github.test/7"));
        let of = |state: &str| {
            let status =
                json!({"context": "ci/test", "id": 9, "state": state, "target_url": "https://ci.test/9"});
            Check::from(serde_json::from_value::<CommitStatus>(status).unwrap())
        };
        let conclusions = ["success", "pending", "failure", "error"].map(|state| of(state).conclusion);
        let expected = [Some(Conclusion::Success), None, Some(Conclusion::Failure), Some(Conclusion::Error)];
        assert_eq!(conclusions, expected);
        let status = of("success");
        assert_eq!((status.name.as_str(), status.is_run, status.id), ("ci/test", false, 9));
        assert_eq!(status.url.as_deref(), Some("https://ci.test/9"));
    }

    /// The time at which the tests look.
    const NOW: i64 = 1_700_000_000;

    fn at(seconds: i64) -> String {
        jiff::Timestamp::from_second(NOW + seconds).unwrap().to_string()
    }

    /// A job of a run of a workflow, which is the suite `run` of GitHub's own app.
    fn job(run: u64, id: u64, name: &str, status: &str) -> serde_json::Value {
        json!({"id": id, "name": name, "status": status, "conclusion": if status == "completed" { json!("success") } else { json!(null) },
            "app": {"slug": ACTIONS}, "check_suite": {"id": run * 10}, "started_at": at(-900), "completed_at": if status == "completed" { json!(at(-800)) } else { json!(null) },
            "html_url": format!("https://github.test/ann/side/actions/runs/{run}/job/{id}")})
    }

    fn suite(id: u64, status: &str, app: &str, created: i64) -> serde_json::Value {
        json!({"id": id, "status": status, "app": {"slug": app}, "created_at": at(created), "updated_at": at(created)})
    }

    fn combined(
        suites: serde_json::Value,
        workflows: serde_json::Value,
        runs: serde_json::Value,
        this: &ThisJob,
    ) -> Checks {
        let answers = Answers {
            suites: serde_json::from_value(suites).unwrap(),
            workflows: serde_json::from_value(workflows).unwrap(),
            runs: serde_json::from_value(runs).unwrap(),
            statuses: Vec::new(),
        };
        answers.combined(this, NOW)
    }

    fn this(run: u64, job: &str, check_run: Option<u64>) -> ThisJob {
        ThisJob { run, job: Some(job.to_owned()), check_run }
    }

    #[test]
    fn the_asking_job_is_found_by_its_number_or_as_the_only_one_in_progress_or_by_its_key() {
        use Relation::{Other, SameJob, SameRun};
        let relations = |runs: serde_json::Value, this: &ThisJob| {
            let found = combined(json!([]), json!([]), runs, this);
            found.checks.into_iter().map(|check| check.relation).collect::<Vec<_>>()
        };
        let runs = || {
            json!([
                job(42, 1, "test", "completed"),
                job(42, 2, "Gate", "in_progress"),
                job(421, 3, "gate", "in_progress"),
                job(42, 4, "later", "queued"),
            ])
        };
        assert_eq!(relations(runs(), &this(42, "gate", None)), [SameRun, SameJob, Other, SameRun]);
        assert_eq!(relations(runs(), &ThisJob::default()), [Other; 4]);
        let matrix = || {
            json!([
                job(42, 1, "gate (1)", "in_progress"),
                job(42, 2, "e2e", "in_progress"),
                job(42, 3, "call / gate (2)", "in_progress"),
            ])
        };
        assert_eq!(relations(matrix(), &this(42, "gate", Some(3))), [SameRun, SameRun, SameJob]);
        assert_eq!(relations(matrix(), &this(42, "e2e", None)), [SameRun, SameJob, SameRun]);
        // Two could be it. Neither is left out.
        assert_eq!(relations(matrix(), &this(42, "gate", None)), [SameRun; 3]);
        // The addresses of an older server differ. There the suite comes from the list of runs.
        let mut old = job(42, 1, "gate", "in_progress");
        old["html_url"] = json!("https://github.test/ann/side/runs/1");
        let workflows = json!([{"id": 42, "name": "CI", "check_suite_id": 420}]);
        let found = combined(json!([]), workflows, json!([old]), &this(42, "gate", None));
        assert_eq!(found.checks[0].relation, SameJob);
    }

    #[test]
    fn a_commit_is_settled_once_nothing_runs_and_nothing_has_just_ended() {
        let this = this(42, "gate", None);
        let own = || suite(420, "in_progress", ACTIONS, -300);
        let settled = |suites: serde_json::Value, runs: serde_json::Value| {
            let found = combined(suites, json!([]), runs, &this);
            (found.is_settled, found.running.into_iter().collect::<Vec<_>>())
        };
        let gate = || job(42, 2, "gate", "in_progress");
        let test = || job(7, 1, "test", "completed");
        let done = || suite(70, "completed", ACTIONS, -900);
        assert_eq!(settled(json!([own(), done()]), json!([gate(), test()])), (true, Vec::new()));
        // Another workflow runs, also if it has no job yet.
        let other = suite(80, "queued", ACTIONS, -900);
        assert_eq!(settled(json!([own(), done(), other]), json!([gate(), test()])), (false, vec![80]));
        // Another job of this run is still running, and may be followed by others.
        let more = job(42, 3, "lint", "in_progress");
        assert!(!settled(json!([own(), done()]), json!([gate(), test(), more])).0);
        // Apps that never make a check run are waited for as long as they are new.
        let idle = |age: i64| suite(90, "queued", "some-app", age);
        assert_eq!(settled(json!([own(), done(), idle(-601)]), json!([gate(), test()])), (true, Vec::new()));
        assert_eq!(settled(json!([own(), done(), idle(-599)]), json!([gate(), test()])), (false, Vec::new()));
        let mut busy = job(9, 5, "app test", "in_progress");
        busy["app"]["slug"] = json!("some-app");
        assert_eq!(
            settled(json!([own(), done(), idle(-601)]), json!([gate(), test(), busy])),
            (false, vec![90])
        );
        // A workflow that has just ended may start another one, and a new commit gets its checks one by one.
        let mut late = test();
        late["completed_at"] = json!(at(-59));
        assert!(!settled(json!([own(), done()]), json!([gate(), late])).0);
        assert!(
            !settled(json!([suite(420, "in_progress", ACTIONS, -59), done()]), json!([gate(), test()])).0
        );
        assert!(!settled(json!([own()]), json!([gate()])).0, "there is nothing yet");
    }

    #[test]
    fn a_check_run_knows_its_workflow_and_a_new_attempt_of_it() {
        let workflows = |attempt: u64, status: &str| {
            json!([{"id": 7, "name": "CI", "event": "push", "check_suite_id": 70, "run_attempt": attempt, "status": status,
                "run_started_at": at(-500)}])
        };
        let standing = |attempt: u64, status: &str, this: &ThisJob| {
            let runs = json!([job(7, 1, "test", "completed")]);
            combined(json!([]), workflows(attempt, status), runs, this).checks[0].standing()
        };
        let outside = this(42, "gate", None);
        assert_eq!(standing(2, "in_progress", &outside), Standing::Pending);
        assert_eq!(standing(2, "completed", &outside), Standing::Proven);
        assert_eq!(standing(1, "in_progress", &outside), Standing::Proven);
        assert_eq!(standing(2, "in_progress", &this(7, "gate", None)), Standing::Proven);
        let found =
            combined(json!([]), workflows(1, "completed"), json!([job(7, 1, "test", "completed")]), &outside);
        let workflow = found.checks[0].workflow.clone().unwrap();
        assert_eq!(
            (workflow.name.as_str(), workflow.event.as_str(), workflow.is_first_attempt),
            ("CI", "push", true)
        );
    }

    #[test]
    fn a_workflow_that_could_not_start_is_noticed() {
        let of = |conclusion: &str| {
            let mut suite = suite(70, "completed", ACTIONS, -900);
            suite["conclusion"] = json!(conclusion);
            combined(json!([suite]), json!([]), json!([]), &ThisJob::default()).has_broken_workflow
        };
        let ended = ["startup_failure", "action_required", "cancelled", "failure", "stale", "timed_out"];
        assert_eq!(ended.map(of), [true; 6]);
        assert_eq!(["success", "skipped", "neutral"].map(of), [false; 3]);
        // One that has a check says by it what has become of it.
        let mut cancelled = suite(70, "completed", ACTIONS, -900);
        cancelled["conclusion"] = json!("cancelled");
        let with = |suites: serde_json::Value, workflows: serde_json::Value, runs: serde_json::Value| {
            combined(suites, workflows, runs, &ThisJob::default()).has_broken_workflow
        };
        assert!(!with(json!([cancelled]), json!([]), json!([job(7, 1, "test", "completed")])));
        // A newer run that does the same stands for it.
        let run = |id: u64| {
            json!({"id": id, "name": "CI", "event": "push", "check_suite_id": id * 10, "status": "completed",
                "workflow_id": 3, "head_branch": "main", "head_repository": {"full_name": "ann/side"}, "pull_requests": []})
        };
        assert!(!with(json!([cancelled]), json!([run(7), run(8)]), json!([job(8, 1, "test", "completed")])));
        assert!(with(json!([cancelled]), json!([run(7), run(6)]), json!([])));
        // Other apps never make a check run for some commits.
        cancelled["app"]["slug"] = json!("some-app");
        assert!(!with(json!([cancelled]), json!([]), json!([])));
    }

    #[test]
    fn more_suites_than_github_lists_are_not_all_known() {
        assert_eq!(unread(1000), None);
        assert!(unread(1001).unwrap().starts_with("it has 1001 suites"));
    }

    #[test]
    fn runs_that_do_the_same_are_a_series_and_an_older_one_waits_for_a_newer_one() {
        let run = |id: u64, event: &str, status: &str| {
            json!({"id": id, "name": "CI", "event": event, "check_suite_id": id * 10, "run_attempt": 1, "status": status,
                "workflow_id": 3, "head_branch": "main", "head_repository": {"full_name": "ann/side"}, "pull_requests": []})
        };
        let with = |field: &str, value: serde_json::Value| {
            let mut run = run(7, "push", "completed");
            run[field] = value;
            run
        };
        let of = |run: serde_json::Value| series(&serde_json::from_value(run).unwrap());
        let first = of(run(7, "push", "completed"));
        assert!(first.is_some());
        assert_eq!(of(run(8, "push", "queued")), first);
        for other in [
            with("workflow_id", json!(4)),
            with("head_branch", json!("topic")),
            with("head_repository", json!({"full_name": "bob/side"})),
            with("pull_requests", json!([{"number": 1}])),
        ] {
            assert!(of(other.clone()).is_some_and(|series| Some(series) != first), "{other}");
        }
        for other in [
            with("event", json!("workflow_dispatch")),
            with("event", json!("schedule")),
            with("event", json!("pull_request")),
            with("head_branch", json!(null)),
            with("workflow_id", json!(null)),
        ] {
            assert_eq!(of(other.clone()), None, "{other}");
        }
        let mut pull = with("event", json!("pull_request"));
        pull["pull_requests"] = json!([{"number": 2}, {"number": 1}]);
        let both = of(pull.clone());
        pull["pull_requests"] = json!([{"number": 1}, {"number": 2}]);
        assert!(both.is_some() && of(pull) == both);

        let standing = |newer: serde_json::Value, this: &ThisJob| {
            let workflows = json!([newer, run(7, "push", "completed")]);
            let runs = json!([job(7, 1, "test", "completed")]);
            combined(json!([]), workflows, runs, this).checks[0].standing()
        };
        let outside = this(42, "gate", None);
        assert_eq!(standing(run(8, "push", "in_progress"), &outside), Standing::Pending);
        assert_eq!(standing(run(8, "push", "completed"), &outside), Standing::Proven);
        assert_eq!(standing(run(6, "push", "in_progress"), &outside), Standing::Proven);
        assert_eq!(standing(run(8, "workflow_dispatch", "in_progress"), &outside), Standing::Proven);
        // The run that asks would wait for itself.
        assert_eq!(standing(run(8, "push", "in_progress"), &this(8, "gate", None)), Standing::Proven);
    }
}
