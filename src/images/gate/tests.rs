use super::checks::{Conclusion, Workflow};
use super::junit::Report;
use super::reports::{Content, ReportFile};
use super::*;
use proptest::prelude::*;

const SHA: &str = "1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d5e6f1a2b";

fn run(name: &str, id: u64, conclusion: &str) -> Check {
    let conclusion = (conclusion != "pending").then(|| serde_json::from_value(conclusion.into()).unwrap());
    Check {
        name: name.to_owned(),
        is_run: true,
        app: "github-actions".to_owned(),
        id,
        conclusion,
        suite: Some(1),
        ..Check::default()
    }
}

fn rules(checks: &[&str]) -> Rules {
    Rules { checks: checks.iter().map(|glob| (*glob).to_owned()).collect(), ..Rules::default() }
}

fn verdict(checks: &[&str], runs: Vec<Check>) -> Verdict {
    judge(
        Some(SHA),
        &rules(checks),
        &Evidence { checks: runs, ..Evidence::default() },
        &["blog".to_owned(), "shop".to_owned()],
    )
}

/// How the gate is for all, and for each project; whether it may change.
fn gates(verdict: &Verdict) -> (GateState, Vec<GateState>, bool) {
    (verdict.gate, verdict.projects.iter().map(|project| project.gate).collect(), verdict.may_change())
}

use GateState::{Closed, Open};

#[test]
fn only_success_opens_the_gate() {
    assert_eq!(gates(&verdict(&["test"], vec![run("test", 1, "success")])), (Open, vec![Open, Open], false));
    for conclusion in [
        "failure",
        "neutral",
        "skipped",
        "cancelled",
        "timed_out",
        "action_required",
        "stale",
        "startup_failure",
        "error",
        "whatever",
        "",
    ] {
        assert_eq!(
            gates(&verdict(&["test"], vec![run("test", 1, conclusion)])),
            (Closed, vec![Closed, Closed], false),
            "{conclusion}"
        );
    }
    assert_eq!(
        gates(&verdict(&["test"], vec![run("test", 1, "pending")])),
        (Closed, vec![Closed, Closed], true)
    );
    assert_eq!(gates(&verdict(&["test"], Vec::new())), (Closed, vec![Closed, Closed], true));
    assert_eq!(
        gates(&verdict(&["test"], vec![run("tests", 1, "success")])),
        (Closed, vec![Closed, Closed], true)
    );
}

#[test]
fn nothing_that_is_required_proves_nothing() {
    assert_eq!(gates(&verdict(&[], vec![run("test", 1, "success")])), (Closed, vec![Closed, Closed], false));
    let forbids = Rules { forbid: vec!["freeze".to_owned()], ..Rules::default() };
    assert_eq!(judge(Some(SHA), &forbids, &Evidence::default(), &[]).gate, Closed);
    assert_eq!(
        judge(
            None,
            &rules(&["test"]),
            &Evidence { checks: vec![run("test", 1, "success")], ..Evidence::default() },
            &[]
        )
        .gate,
        Closed
    );
}

#[test]
fn every_name_that_a_glob_matches_counts_of_every_app() {
    let matrix = |third: &str| {
        vec![run("test (1)", 1, "success"), run("test (2, a/b)", 2, "success"), run("test (3)", 3, third)]
    };
    assert_eq!(verdict(&["test*"], matrix("success")).gate, Open);
    assert_eq!(verdict(&["test*"], matrix("skipped")).requirements[0].why, "`test (3)` skipped");
    let mut two = vec![run("test", 1, "success"), run("test", 2, "failure")];
    two[1].app = "other".to_owned();
    assert_eq!(verdict(&["test"], two).gate, Closed);
}

#[test]
fn of_several_runs_the_newest_counts_and_none_while_one_is_not_through() {
    let runs =
        |first: &str, second: &str| verdict(&["test"], vec![run("test", 9, second), run("test", 3, first)]);
    assert_eq!(runs("failure", "success").gate, Open);
    assert_eq!(runs("success", "failure").gate, Closed);
    assert_eq!(gates(&runs("pending", "success")), (Closed, vec![Closed, Closed], true));
}

#[test]
fn of_several_statuses_the_newest_counts() {
    let status =
        |id: u64, conclusion: &str| Check { is_run: false, suite: None, ..run("test", id, conclusion) };
    let of = |statuses: Vec<Check>| gates(&verdict(&["test"], statuses));
    assert_eq!(of(vec![status(2, "success"), status(1, "pending")]).0, Open);
    assert_eq!(of(vec![status(1, "success"), status(2, "pending")]), (Closed, vec![Closed, Closed], true));
    assert_eq!(of(vec![status(2, "failure"), status(1, "success")]), (Closed, vec![Closed, Closed], false));
    // A status and a check run of one name are two.
    assert_eq!(of(vec![status(9, "success"), run("test", 1, "failure")]).0, Closed);
}

#[test]
fn a_glob_waits_for_a_workflow_that_may_bring_more() {
    let evidence = |running: &[u64]| Evidence {
        checks: vec![run("test (1)", 1, "success")],
        running: running.iter().copied().collect(),
        ..Evidence::default()
    };
    assert_eq!(judge(Some(SHA), &rules(&["test*"]), &evidence(&[]), &[]).gate, Open);
    let waits = judge(Some(SHA), &rules(&["test*"]), &evidence(&[1]), &[]);
    assert_eq!((waits.gate, waits.may_change()), (Closed, true));
    // A name in full is one check.
    assert_eq!(judge(Some(SHA), &rules(&["test (1)"]), &evidence(&[1]), &[]).gate, Open);
    assert_eq!(judge(Some(SHA), &rules(&["test*"]), &evidence(&[2]), &[]).gate, Open);
}

#[test]
fn each_project_waits_for_its_own_tests_and_all_for_those_of_all() {
    let of = |runs: Vec<Check>| gates(&verdict(&["lint", "test ({project})"], runs));
    let lint = || run("lint", 1, "success");
    assert_eq!(
        of(vec![lint(), run("test (blog)", 2, "success"), run("test (shop)", 3, "failure")]),
        (Closed, vec![Open, Closed], false)
    );
    assert_eq!(of(vec![lint(), run("test (blog)", 2, "success")]), (Closed, vec![Open, Closed], true));
    assert_eq!(
        of(vec![run("lint", 1, "failure"), run("test (blog)", 2, "success")]),
        (Closed, vec![Closed, Closed], false)
    );
    // A project whose name means something in a glob means only itself.
    let own = judge(
        Some(SHA),
        &rules(&["test ({project})"]),
        &Evidence { checks: vec![run("test (a)", 1, "success")], ..Evidence::default() },
        &["[a-z]".to_owned(), "*".to_owned()],
    );
    assert_eq!(gates(&own).1, [Closed, Closed]);
}

#[test]
fn rules_for_each_project_prove_nothing_without_a_project() {
    let rules = Rules { junit: vec!["{project}/*.xml".to_owned()], ..rules(&["test ({project})"]) };
    let evidence = || Evidence {
        checks: vec![run("test", 1, "success"), run("lint", 1, "success")],
        ..Evidence::default()
    };
    let closed = judge(Some(SHA), &rules, &evidence(), &[]);
    assert_eq!((closed.gate, closed.may_change(), closed.requirements.len()), (Closed, false, 2));
    assert!(
        closed.requirements[0].why.starts_with("no project has an image to build, so nothing was checked")
    );
    let both = Rules { checks: [rules.checks.clone(), vec!["lint".to_owned()]].concat(), ..rules };
    assert_eq!(judge(Some(SHA), &both, &evidence(), &[]).gate, Open);
}

#[test]
fn what_is_forbidden_closes_whatever_it_says() {
    let rules = Rules { forbid: vec!["freeze*".to_owned()], ..rules(&["test"]) };
    let with = |extra: Option<Check>| {
        let checks = std::iter::once(run("test", 1, "success")).chain(extra).collect();
        judge(Some(SHA), &rules, &Evidence { checks, ..Evidence::default() }, &[]).gate
    };
    assert_eq!(with(None), Open);
    for conclusion in ["success", "skipped", "pending"] {
        assert_eq!(with(Some(run("freeze until monday", 2, conclusion))), Closed);
    }
}

#[test]
fn jobs_that_are_needed_must_all_have_succeeded() {
    let with = |needs: Option<&str>| {
        let rules = Rules { needs: true, ..Rules::default() };
        let evidence = Evidence { needs: needs.map(str::to_owned), ..Evidence::default() };
        judge(Some(SHA), &rules, &evidence, &[])
    };
    assert_eq!(
        with(Some(r#"{"a": {"result": "success", "outputs": {}}, "b": {"result": "success"}}"#)).gate,
        Open
    );
    for needs in [
        None,
        Some(""),
        Some("{}"),
        Some("[]"),
        Some("null"),
        Some("{\"a\":"),
        Some(r#"{"a": {}}"#),
        Some(r#"{"a": "success"}"#),
        Some(r#"{"a": {"result": "success"}, "b": {"result": "skipped"}}"#),
        Some(r#"{"a": {"result": "cancelled"}}"#),
        Some(r#"{"a": {"result": "failure"}}"#),
    ] {
        let verdict = with(needs);
        assert_eq!((verdict.gate, verdict.may_change()), (Closed, false), "{needs:?}");
    }
}

fn file((number, read): (usize, Result<Report, String>)) -> ReportFile {
    ReportFile { path: format!("{number}.xml"), content: read.into() }
}

#[test]
fn reports_must_be_there_readable_and_green() {
    let report = |text: &str| Report::read(text.as_bytes());
    let good = || report("<testsuite><testcase name='a'/><testcase name='b'/></testsuite>");
    let with = |files: Vec<Result<Report, String>>, min_tests: u64| {
        let rules = Rules { junit: vec!["*.xml".to_owned()], min_tests, ..Rules::default() };
        let files = files.into_iter().enumerate().map(file).collect();
        let reports = vec![Reports { glob: "*.xml".to_owned(), files }];
        judge(Some(SHA), &rules, &Evidence { reports, ..Evidence::default() }, &[])
    };
    assert_eq!(with(vec![good(), good()], 4).requirements[0].why, "4 tests passed");
    assert_eq!(with(vec![good(), good()], 4).gate, Open);
    assert_eq!(with(vec![good(), good()], 5).requirements[0].why, "4 tests ran, and at least 5 must");
    for bad in [
        Vec::new(),
        vec![good(), report("")],
        vec![good(), report("<testsuite/>")],
        vec![report("<testsuite><testcase><failure/></testcase></testsuite>"), good()],
    ] {
        assert_eq!(with(bad.clone(), 1).gate, Closed, "{bad:?}");
    }
    // A glob of which no reports are known at all matches none.
    let rules = Rules { junit: vec!["x".to_owned()], ..Rules::default() };
    assert_eq!(judge(Some(SHA), &rules, &Evidence::default(), &[]).gate, Closed);
}

#[test]
fn what_was_tested_must_be_what_is_there() {
    let evidence = Evidence {
        checks: vec![run("test", 1, "success")],
        mismatch: Some("b is checked out".to_owned()),
        ..Evidence::default()
    };
    let verdict = judge(Some(SHA), &rules(&["test"]), &evidence, &[]);
    assert_eq!((verdict.gate, verdict.may_change()), (Closed, false));
}

#[test]
fn a_verdict_opens_for_its_own_commit_and_projects_alone() {
    let open = verdict(&["test"], vec![run("test", 1, "success")]);
    assert!(open.opens("blog", SHA));
    assert!(!open.opens("wiki", SHA));
    assert!(!open.opens("blog", "0000000000000000000000000000000000000001"));
    // What merely claims to be open is not.
    let claims = |change: &dyn Fn(&mut Verdict)| {
        let mut verdict = open.clone();
        change(&mut verdict);
        verdict.opens("blog", SHA)
    };
    assert!(!claims(&|verdict| verdict.requirements[0].standing = Standing::Failed));
    assert!(!claims(&|verdict| verdict.requirements.clear()));
    // Nor does it help that something is proven of another project.
    assert!(!claims(&|verdict| verdict.projects[1].requirements = std::mem::take(&mut verdict.requirements)));
    assert!(!claims(&|verdict| verdict.projects[0].gate = Closed));
    assert!(!claims(&|verdict| verdict.sha = None));
    assert!(!claims(&|verdict| verdict.version = 2));
    let again: Verdict = serde_json::from_str(&serde_json::to_string(&open).unwrap()).unwrap();
    assert_eq!(again, open);
}

/// Job of a generated suite: its name, and its result in each attempt; `None` if the attempt does not run it
/// again.
type Job = (usize, [Option<usize>; 3]);

/// Generated suite: its jobs, whether it is still running, and whether its workflow is known, and with it the
/// series that its run belongs to.
type Suite = (Vec<Job>, bool, Option<Option<usize>>);

const NAMES: [&str; 6] = ["a", "b", "test 1", "test 2", "test [12]", "build"];
const RESULTS: [&str; 6] = ["success", "neutral", "cancelled", "failure", "skipped", "pending"];

/// The suite of the run that judges.
const OWN: u64 = 3;

fn suites() -> impl Strategy<Value = Vec<Suite>> {
    // Mostly successes, so that many a gate opens.
    let result = || proptest::sample::select(vec![0usize, 0, 0, 0, 0, 0, 3, 3, 4, 5]);
    let again = || proptest::option::weighted(0.3, result());
    let job = (0usize..5, result(), again(), again());
    let job = job.prop_map(|(name, first, second, third)| (name, [Some(first), second, third]));
    let workflow = proptest::option::weighted(0.8, proptest::option::weighted(0.8, 0usize..2));
    let is_running = proptest::bool::weighted(0.2);
    proptest::collection::vec((proptest::collection::vec(job, 0..4), is_running, workflow), 4)
}

/// What is true of a job: its name, its suite, how it ended last, and whether it is about to run again.
struct Fact {
    name: &'static str,
    suite: u64,
    says: &'static str,
    is_again: bool,
    shown: Option<String>,
    series: Option<usize>,
}

/// Returns the check runs that GitHub lists for suites, and what is true of their jobs. A suite is run again
/// only after it has ended. Jobs of one attempt start together.
fn history(suites: &[Suite], has_marks: bool) -> (Vec<Check>, Vec<Fact>, BTreeSet<u64>) {
    let (mut checks, mut facts, mut running) = (Vec::new(), Vec::new(), BTreeSet::new());
    let ends = |jobs: &[Job], attempt: usize| jobs.iter().any(|(_, results)| results[attempt] == Some(5));
    let last_of = |jobs: &[Job]| {
        let attempts = (1..=3).find(|attempt| ends(jobs, attempt - 1)).unwrap_or(3);
        let used = |attempt: usize| jobs.iter().any(|(_, results)| results[attempt].is_some());
        (0..attempts).rev().find(|attempt| used(*attempt)).unwrap_or(0)
    };
    let runs = |(jobs, is_running, _): &Suite| *is_running || ends(jobs, last_of(jobs));
    for (suite, generated) in (0u64..).zip(suites) {
        let (jobs, _, known) = generated;
        let (last, is_running, series) = (last_of(jobs), runs(generated), known.flatten());
        if is_running && suite != OWN {
            running.insert(suite);
        }
        let is_newer = |(other, of): (u64, &Suite)| {
            other > suite && other != OWN && runs(of) && of.2.flatten() == series
        };
        let is_followed = series.is_some() && (0u64..).zip(suites).any(is_newer);
        let at = |attempt: usize| 1000 * i64::try_from(attempt).unwrap();
        let workflow = Workflow {
            run: suite,
            name: series.map_or(format!("W{suite}"), |series| format!("S{series}")),
            event: "push".to_owned(),
            series: series.map(|series| series.to_string()),
            is_followed,
            is_first_attempt: last == 0,
            restarted: (is_running && last > 0 && suite != OWN).then(|| at(last)),
        };
        let workflow = known.is_some().then_some(workflow);
        for (attempt, place) in
            (0..=last).flat_map(|attempt| (0..jobs.len()).map(move |place| (attempt, place)))
        {
            let (name, results) = &jobs[place];
            let Some(result) = results[attempt] else { continue };
            let id = suite * 100 + u64::try_from(attempt * 10 + place).unwrap();
            checks.push(Check {
                suite: Some(suite),
                mark: has_marks.then(|| place.to_string()),
                started: Some(at(attempt)),
                completed: (result != 5).then(|| at(attempt) + 10 + i64::try_from(place).unwrap()),
                workflow: workflow.clone(),
                relation: if suite == OWN { Relation::SameRun } else { Relation::Other },
                ..run(NAMES[*name], id, RESULTS[result])
            });
        }
        for (name, results) in jobs {
            let attempt = (0..=last).rev().find(|attempt| results[*attempt].is_some()).unwrap();
            facts.push(Fact {
                name: NAMES[*name],
                suite,
                says: RESULTS[results[attempt].unwrap()],
                is_again: is_followed
                    || (attempt < last && workflow.as_ref().is_some_and(|run| run.restarted.is_some())),
                shown: workflow.as_ref().map(|run| format!("{} / {} (push)", run.name, NAMES[*name])),
                series,
            });
        }
    }
    // What the newest run of a series has replaces what older ones have.
    let newest: Vec<(&str, usize, u64)> =
        facts.iter().filter_map(|fact: &Fact| Some((fact.name, fact.series?, fact.suite))).collect();
    facts.retain(|fact| {
        let is_newer = |(name, series, suite): &(&str, usize, u64)| {
            *name == fact.name && Some(*series) == fact.series && *suite > fact.suite
        };
        !newest.iter().any(is_newer)
    });
    // The job that judges is in progress all the while.
    let own = Check { suite: Some(OWN), relation: Relation::SameJob, ..run("build", 1, "pending") };
    checks.push(own);
    (checks, facts, running)
}

/// Whether a rule is a glob that matches a name.
fn globs(rule: &str, name: &str) -> bool {
    match rule {
        "*" => true,
        "test*" => name.starts_with("test"),
        "test [12]" => name == "test 1" || name == "test 2",
        _ => false,
    }
}

/// Whether no job has a name, and none can come that has it.
fn is_absent(rule: &str, facts: &[Fact], running: &BTreeSet<u64>) -> bool {
    let is_it =
        |fact: &Fact| fact.name == rule || fact.shown.as_deref() == Some(rule) || globs(rule, fact.name);
    running.is_empty() && !facts.iter().any(is_it)
}

/// Whether a requirement is proven by what is true.
fn is_true(rule: &str, facts: &[Fact], running: &BTreeSet<u64>) -> bool {
    let glob = |name: &str| globs(rule, name);
    let mut of: Vec<&Fact> =
        facts.iter().filter(|fact| fact.name == rule || fact.shown.as_deref() == Some(rule)).collect();
    let is_name = !of.is_empty();
    if !is_name {
        of = facts.iter().filter(|fact| glob(fact.name)).collect();
    }
    let may_grow = |fact: &&Fact| fact.suite == OWN || running.contains(&fact.suite);
    let may_be_a_name_to_come = rule == "test [12]" && !running.is_empty();
    !of.is_empty()
        && of.iter().all(|fact| fact.says == "success" && !fact.is_again)
        && (is_name || !(of.iter().any(may_grow) || may_be_a_name_to_come))
}

const RULES: [&str; 9] = ["a", "b", "test 1", "test [12]", "test*", "*", "c", "S1 / a (push)", "build"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, ..ProptestConfig::default() })]

    /// Each job of each suite counts with the result of its last attempt, and with no other.
    #[test]
    fn the_gate_is_open_only_if_the_last_attempt_of_each_required_job_in_each_suite_succeeded(
        suites in suites(),
        required in proptest::collection::vec(0usize..9, 0..2),
        forbidden in proptest::option::weighted(0.3, 0usize..9),
        has_marks in any::<bool>(),
        order in any::<u64>(),
    ) {
        let (mut checks, facts, running) = history(&suites, has_marks);
        // GitHub promises no order.
        checks.sort_by_key(|check| check.id.wrapping_add(1).wrapping_mul(order | 1));
        let mut rules = rules(&required.iter().map(|rule| RULES[*rule]).collect::<Vec<_>>());
        rules.forbid = forbidden.map(|rule| RULES[rule].to_owned()).into_iter().collect();
        let evidence = Evidence { checks, running, ..Evidence::default() };
        let verdict = judge(Some(SHA), &rules, &evidence, &[]);
        let expected = !rules.checks.is_empty()
            && rules.checks.iter().all(|rule| is_true(rule, &facts, &evidence.running))
            && rules.forbid.iter().all(|rule| is_absent(rule, &facts, &evidence.running));
        // Without marks, the later attempt of one of two jobs that have the same name and suite can be
        // either's.
        let is_ambiguous = !has_marks && facts.iter().enumerate().any(|(place, fact)| {
            facts[..place].iter().any(|other| (other.name, other.suite) == (fact.name, fact.suite))
        });
        if is_ambiguous {
            prop_assert!(verdict.gate == Closed || expected, "{:?} {:#?}", rules.checks, evidence);
        } else {
            prop_assert_eq!(verdict.gate == Open, expected, "{:?} {:#?}", rules.checks, evidence);
        }
    }

    /// Of statuses, the newest of each context counts, and none that ghdeploy set.
    #[test]
    fn the_newest_status_of_each_context_counts(
        statuses in proptest::collection::vec((0usize..4, proptest::sample::select(vec![0usize, 0, 0, 3, 5])), 0..8),
    ) {
        let contexts = ["ci/a", "ci/b", "ghdeploy/web", "ghdeploy/db"];
        let checks: Vec<Check> = (0u64..)
            .zip(&statuses)
            .map(|(id, (context, state))| Check {
                is_run: false,
                suite: None,
                app: "status".to_owned(),
                ..run(contexts[*context], id, RESULTS[*state])
            })
            .collect();
        let last = |context: &str| checks.iter().rev().find(|check| check.name == context).map(Check::standing);
        let of = [last("ci/a"), last("ci/b")];
        let expected = of.iter().flatten().all(|standing| *standing == Standing::Proven)
            && of.iter().any(Option::is_some);
        prop_assert_eq!(verdict(&["*"], checks.clone()).gate == Open, expected);
        prop_assert_eq!(verdict(&["ghdeploy/web"], checks).gate, Closed);
    }
}

#[test]
fn a_job_of_another_workflow_is_no_older_run_of_the_same_test() {
    let of = |suite: u64, id: u64, says: &str| Check { suite: Some(suite), ..run("test", id, says) };
    let failed = verdict(&["test"], vec![of(2, 200, "success"), of(1, 100, "failure")]);
    assert_eq!(gates(&failed).0, Closed);
    assert!(!failed.may_change());
    assert_eq!(
        failed.requirements[0].why,
        "`test` failure; another `test` succeeded, but each of them must: re-run the one that did not"
    );
    assert_eq!(verdict(&["test"], vec![of(2, 200, "success"), of(1, 100, "skipped")]).gate, Closed);
    assert_eq!(verdict(&["test"], vec![of(2, 200, "success"), of(1, 100, "success")]).gate, Open);
    // A re-run is in the same suite.
    assert_eq!(
        verdict(&["test"], vec![of(2, 200, "success"), of(1, 100, "failure"), of(1, 300, "success")]).gate,
        Open
    );
}

#[test]
fn jobs_of_one_name_in_one_workflow_are_told_apart_by_their_times() {
    let leg = |id: u64, says: &str, started: i64, completed: i64| Check {
        started: Some(started),
        completed: Some(completed),
        ..run("test", id, says)
    };
    assert_eq!(verdict(&["test"], vec![leg(1, "failure", 0, 50), leg(2, "success", 1, 60)]).gate, Closed);
    // Both were run again, or one was.
    let both = vec![
        leg(1, "failure", 0, 50),
        leg(2, "success", 1, 60),
        leg(3, "success", 100, 150),
        leg(4, "success", 100, 160),
    ];
    assert_eq!(verdict(&["test"], both.clone()).gate, Open);
    assert_eq!(verdict(&["test"], both[..3].to_vec()).gate, Closed, "nothing tells which one");
    let mut marked = both[..3].to_vec();
    for (check, mark) in marked.iter_mut().zip(["x", "y", "x"]) {
        check.mark = Some(mark.to_owned());
    }
    assert_eq!(verdict(&["test"], marked).gate, Open);
    // An attempt that lists a job without running it again.
    let copied = vec![leg(1, "failure", 0, 50), leg(5, "failure", 0, 50), leg(9, "success", 100, 150)];
    assert_eq!(verdict(&["test"], copied.clone()).gate, Open);
    let mut legs = copied;
    legs[0].mark = Some("x".to_owned());
    legs[1].mark = Some("y".to_owned());
    assert_eq!(verdict(&["test"], legs).gate, Closed, "two that failed at the same moment, and one re-run");
    // One after the other, in the only attempt there was.
    let mut only = vec![leg(1, "failure", 0, 50), leg(2, "success", 60, 70)];
    assert_eq!(verdict(&["test"], only.clone()).gate, Open, "nothing tells them from two attempts");
    let workflow = Workflow { is_first_attempt: true, ..Workflow::default() };
    only.iter_mut().for_each(|check| check.workflow = Some(workflow.clone()));
    assert_eq!(verdict(&["test"], only).gate, Closed);
}

#[test]
fn results_that_a_re_run_is_about_to_replace_are_waited_for() {
    let workflow = Workflow { restarted: Some(100), ..Workflow::default() };
    for before in ["failure", "success"] {
        let old = Check { started: Some(50), workflow: Some(workflow.clone()), ..run("test", 1, before) };
        let waits = verdict(&["test"], vec![old.clone()]);
        assert_eq!((waits.gate, waits.may_change()), (Closed, true), "{before}");
        assert_eq!(
            waits.requirements[0].why,
            format!("`test` pending: it was {before}, and is running again")
        );
        let new = Check { started: Some(101), workflow: Some(workflow.clone()), ..run("test", 2, "success") };
        assert_eq!(verdict(&["test"], vec![old, new]).gate, Open);
    }
}

#[test]
fn a_name_is_a_name_before_it_is_a_glob() {
    for name in [
        "build [linux]",
        "test (3.12, [a, b])",
        "CI / test {node}",
        "test {a,b}",
        "really?",
        "a\\b",
        "test [3.12",
        "${{ matrix.name }}",
        "lint (*.rs)",
        "🧪 unit / linux",
    ] {
        assert_eq!(verdict(&[name], vec![run(name, 1, "success")]).gate, Open, "{name}");
        assert_eq!(verdict(&[name], vec![run(name, 1, "failure")]).gate, Closed, "{name}");
        let forbids = Rules { forbid: vec![name.to_owned()], ..rules(&["ok"]) };
        let checks = vec![run("ok", 1, "success"), run(name, 2, "success")];
        assert_eq!(
            judge(Some(SHA), &forbids, &Evidence { checks, ..Evidence::default() }, &[]).gate,
            Closed,
            "{name}"
        );
    }
    let both = |literal: &str| vec![run("test 1", 1, "success"), run("test [12]", 2, literal)];
    assert_eq!(verdict(&["test [12]"], both("failure")).gate, Closed);
    assert_eq!(verdict(&["test [12]"], both("success")).gate, Open);
    // It is a glob if no check has the name, and none may get it.
    let evidence = |running: &[u64]| Evidence {
        checks: vec![run("test 1", 1, "success")],
        running: running.iter().copied().collect(),
        ..Evidence::default()
    };
    assert_eq!(judge(Some(SHA), &rules(&["test [12]"]), &evidence(&[]), &[]).gate, Open);
    let waits = judge(Some(SHA), &rules(&["test [12]"]), &evidence(&[7]), &[]);
    assert_eq!((waits.gate, waits.may_change()), (Closed, true));
    // Spaces around a name cannot be seen.
    assert_eq!(verdict(&["test "], vec![run("test", 1, "success")]).gate, Open);
    assert_eq!(verdict(&["test"], vec![run("test ", 1, "success")]).gate, Open);
}

#[test]
fn a_name_as_the_page_shows_it_means_that_workflow() {
    let of = |workflow: &str, event: &str, id: u64, says: &str| Check {
        suite: Some(id),
        workflow: Some(Workflow {
            name: workflow.to_owned(),
            event: event.to_owned(),
            ..Workflow::default()
        }),
        ..run("test", id, says)
    };
    let checks = || {
        vec![
            of("CI", "push", 1, "success"),
            of("CI", "pull_request", 2, "failure"),
            of("e2e", "push", 3, "success"),
        ]
    };
    for (name, gate) in [
        ("CI / test (push)", Open),
        ("CI / test (pull_request)", Closed),
        ("CI / test", Closed),
        ("e2e / test", Open),
        ("e2e / *", Open),
        ("* / test (push)", Open),
        ("CI / *", Closed),
        ("test", Closed),
    ] {
        assert_eq!(verdict(&[name], checks()).gate, gate, "{name}");
    }
    // A job of a reusable workflow has such a name itself. Both count.
    let mut both = vec![of("CI", "push", 1, "success"), run("CI / test", 9, "failure")];
    assert_eq!(verdict(&["CI / test"], both.clone()).gate, Closed);
    both[0].conclusion = Some(Conclusion::Failure);
    both[1].conclusion = Some(Conclusion::Success);
    assert_eq!(verdict(&["CI / test"], both).gate, Closed);
}

#[test]
fn a_name_that_no_check_has_is_answered_with_those_that_exist() {
    let judged = |rule: &str, names: &[&str], is_settled: bool| {
        let checks = (1u64..).zip(names).map(|(id, name)| run(name, id, "success")).collect();
        let evidence = Evidence { checks, is_settled, ..Evidence::default() };
        let verdict = judge(Some(SHA), &rules(&[rule]), &evidence, &[]);
        (verdict.may_change(), verdict.requirements[0].why.clone())
    };
    assert_eq!(judged("test", &[], false), (true, "no check has this name".to_owned()));
    assert_eq!(
        judged("tests", &["test", "lint", "test"], false),
        (true, "no check has this name; this commit has `lint`, `test`".to_owned())
    );
    assert_eq!(
        judged("CI / test (push)", &["test", "lint"], true),
        (
            false,
            "no check has this name, and none is still to come; this commit has `lint`, `test`; write `test`, or allow \
             `actions: read`, without which workflow and event are not known"
                .to_owned()
        )
    );
    let many: Vec<String> = (0..30).map(|number| format!("n{number:02}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(judged("x*", &many, true).1.ends_with("`n11` and 18 more"));
}

#[test]
fn the_gate_never_waits_for_itself_nor_for_a_deploy() {
    let own = |relation: Relation, name: &str, says: &str| Check { relation, ..run(name, 2, says) };
    let of = |rule: &str, checks: Vec<Check>| {
        let verdict = verdict(&[rule], checks);
        (verdict.gate, verdict.may_change())
    };
    let test = || Check { suite: Some(7), ..run("test", 1, "success") };
    let this = || own(Relation::SameJob, "gate", "pending");
    assert_eq!(of("*", vec![test(), this()]), (Open, false));
    assert_eq!(of("gate", vec![test(), this()]), (Closed, false));
    // A job of this name in another workflow counts.
    let gate = |says: &str| Check { suite: Some(8), ..run("gate", 3, says) };
    assert_eq!(of("gate", vec![this(), gate("success")]), (Open, false));
    assert_eq!(of("gate", vec![this(), gate("pending")]), (Closed, true));
    // Its own earlier attempt, which closed, is replaced by this one.
    let earlier = || Check { relation: Relation::SameRun, ..run("gate", 1, "failure") };
    assert_eq!(of("*", vec![earlier(), test(), this()]), (Open, false));
    assert_eq!(of("gate", vec![earlier(), this()]), (Closed, false));
    // A job of this run counts by its name, and not by a glob, because of those that are still to come.
    let sibling = |says: &str| own(Relation::SameRun, "test (1)", says);
    assert_eq!(of("test*", vec![sibling("success"), this()]), (Closed, false));
    assert_eq!(of("test (1)", vec![sibling("success"), this()]), (Open, false));
    assert_eq!(of("test (1)", vec![sibling("pending"), this()]), (Closed, true));
    let why = verdict(&["*"], vec![sibling("success"), this()]).requirements[0].why.clone();
    assert!(
        why.starts_with("it matches `test (1)`, a job of this very run") && why.contains("`--needs`"),
        "{why}"
    );
    let status = |says: &str| Check { is_run: false, suite: None, ..run("ghdeploy/web", 4, says) };
    assert_eq!(of("*", vec![test(), status("failure")]), (Open, false));
    assert_eq!(of("*", vec![status("success")]), (Closed, true));
    assert_eq!(of("ghdeploy/web", vec![status("success")]), (Closed, false));
    let forbids = |rule: &str| {
        let rules = Rules { forbid: vec![rule.to_owned()], ..rules(&["test"]) };
        let checks = vec![test(), this(), status("failure")];
        judge(Some(SHA), &rules, &Evidence { checks, ..Evidence::default() }, &[]).gate
    };
    assert_eq!([forbids("g*"), forbids("ghdeploy/*"), forbids("ghdeploy/web")], [Open, Closed, Closed]);
}

#[test]
fn a_glob_does_not_open_before_a_job_of_this_run_that_is_still_to_come() {
    let with = |rule: &str, name: &str, is_whole: bool| {
        let evidence = Evidence {
            checks: vec![run("test 1", 1, "success")],
            to_come: ToCome(Ok(vec![JobToCome { name: name.to_owned(), is_whole, is_after: false }])),
            ..Evidence::default()
        };
        let verdict = judge(Some(SHA), &rules(&[rule]), &evidence, &[]);
        assert!(!verdict.may_change());
        verdict.gate
    };
    assert_eq!(with("test*", "test 2", true), Closed);
    assert_eq!(with("test [12]", "test [12]", true), Closed);
    assert_eq!(with("test*", "lint", true), Open);
    assert_eq!(with("test*", "te", false), Closed);
    assert_eq!(with("test*", "test (", false), Closed);
    assert_eq!(with("test*", "", false), Closed, "its name is not known");
    assert_eq!(with("test*", "lint (", false), Open);
    assert_eq!(with("test 1", "test 1", true), Open, "a name in full does not wait");
}

/// The standing of `--forbid RULE` beside a test that succeeded, and the reason.
fn forbidding(rule: &str, evidence: Evidence) -> (Standing, String) {
    let rules = Rules { forbid: vec![rule.to_owned()], ..rules(&["test"]) };
    let checks = [evidence.checks, vec![run("test", 1, "success")]].concat();
    let verdict = judge(Some(SHA), &rules, &Evidence { checks, ..evidence }, &[]);
    let requirement = &verdict.requirements[1];
    assert_eq!(verdict.gate == Open, requirement.standing == Standing::Proven);
    assert_eq!(verdict.may_change(), requirement.standing == Standing::Pending);
    (requirement.standing, requirement.why.clone())
}

#[test]
fn a_forbidden_check_may_still_come_from_a_workflow_that_runs() {
    let running = |rule: &str, running: &[u64]| {
        let running = running.iter().copied().collect();
        forbidding(rule, Evidence { running, ..Evidence::default() })
    };
    for rule in ["freeze", "freeze*", "CI / freeze (push)"] {
        assert_eq!(running(rule, &[]).0, Standing::Proven, "{rule}");
        let (standing, why) = running(rule, &[7]);
        assert_eq!(
            (standing, why.as_str()),
            (Standing::Pending, "a workflow is still running and may add one"),
            "{rule}"
        );
        let broken = Evidence { has_broken_workflow: true, ..Evidence::default() };
        assert_eq!(forbidding(rule, broken).0, Standing::Failed, "{rule}");
    }
    assert_eq!(running("test", &[7]).0, Standing::Failed, "it is there already");
}

#[test]
fn a_forbidden_check_may_be_a_job_of_this_run_that_is_still_to_come() {
    let workflow = Workflow { name: "CI".to_owned(), event: "push".to_owned(), ..Workflow::default() };
    let own = || Check {
        relation: Relation::SameJob,
        workflow: Some(workflow.clone()),
        ..run("gate", 2, "pending")
    };
    let with = |rule: &str, name: &str, is_whole: bool, is_after: bool| {
        let to_come = ToCome(Ok(vec![JobToCome { name: name.to_owned(), is_whole, is_after }]));
        forbidding(rule, Evidence { checks: vec![own()], to_come, ..Evidence::default() })
    };
    for (rule, name, is_whole) in [
        ("freeze", "freeze", true),
        ("freeze*", "freeze", true),
        ("freeze*", "freeze (", false),
        ("freeze (a)", "freeze (", false),
        ("freeze", "", false),
        ("CI / freeze (push)", "freeze", true),
        ("CI / freeze", "freeze", true),
        ("CI / freeze (a) (push)", "freeze", false),
        ("* / freeze", "freeze", true),
    ] {
        let (standing, why) = with(rule, name, is_whole, false);
        assert_eq!(standing, Standing::Failed, "{rule} {name}");
        assert!(why.contains("a job of this very run, does not exist yet"), "{why}");
        // The gate does not wait for what waits for it.
        assert_eq!(with(rule, name, is_whole, true).0, Standing::Proven, "{rule} {name}");
    }
    for (rule, name, is_whole) in
        [("freeze", "freezer", true), ("freeze*", "lint (", false), ("e2e / freeze", "freeze", true)]
    {
        assert_eq!(with(rule, name, is_whole, false).0, Standing::Proven, "{rule} {name}");
    }
    let to_come = ToCome(Err("ci.yml is not in the checkout".to_owned()));
    let (standing, why) = forbidding("freeze", Evidence { to_come, ..Evidence::default() });
    assert!(standing == Standing::Failed && why.contains("because ci.yml is not in the checkout"), "{why}");
}

#[test]
fn a_job_that_waits_for_this_one_is_not_waited_for() {
    let evidence = |running: &[u64]| Evidence {
        running: running.iter().copied().collect(),
        to_come: ToCome(Ok(vec![JobToCome {
            name: "test after".to_owned(),
            is_whole: true,
            is_after: true,
        }])),
        ..Evidence::default()
    };
    let of = |evidence: Evidence| judge(Some(SHA), &rules(&["test after"]), &evidence, &[]);
    let closed = of(evidence(&[]));
    assert_eq!((closed.gate, closed.may_change()), (Closed, false));
    let why = &closed.requirements[0].why;
    assert!(why.starts_with("`test after` waits for this job (`needs`)"), "{why}");
    // Another workflow may have a job of the same name.
    assert!(of(evidence(&[7])).may_change());
    let there = Evidence { checks: vec![run("test after", 1, "success")], ..evidence(&[]) };
    assert_eq!(of(there).gate, Open);
}

#[test]
fn a_glob_does_not_open_where_the_jobs_to_come_are_not_known() {
    let to_come = ToCome(Err("this job is not found in ci.yml".to_owned()));
    let evidence = Evidence { checks: vec![run("test 1", 1, "success")], to_come, ..Evidence::default() };
    let verdict = |rule: &str| judge(Some(SHA), &rules(&[rule]), &evidence, &[]);
    assert_eq!((verdict("test*").gate, verdict("test*").may_change()), (Closed, false));
    let why = &verdict("test*").requirements[0].why;
    assert!(why.contains("because this job is not found in ci.yml: require"), "{why}");
    assert_eq!(verdict("test 1").gate, Open);
}

#[test]
fn a_glob_that_matches_only_the_asking_job_waits_until_the_commit_is_settled() {
    let own = Check { relation: Relation::SameJob, ..run("gate", 1, "success") };
    let evidence = |is_settled| Evidence { checks: vec![own.clone()], is_settled, ..Evidence::default() };
    let requirement =
        |is_settled| judge(Some(SHA), &rules(&["*"]), &evidence(is_settled), &[]).requirements.remove(0);
    assert_eq!(requirement(false).standing, Standing::Pending);
    assert_eq!(requirement(true).standing, Standing::Failed);
    assert_eq!(
        requirement(true).why,
        "only the job that asks matches, and it cannot wait for itself; none is still to come"
    );
}

#[test]
fn a_newer_run_that_does_the_same_replaces_results() {
    let of = |run_number: u64, says: &str, is_followed: bool| Check {
        suite: Some(run_number),
        workflow: Some(Workflow {
            run: run_number,
            series: Some("ci push main".to_owned()),
            is_followed,
            ..Workflow::default()
        }),
        ..run("test", run_number, says)
    };
    assert_eq!(verdict(&["test"], vec![of(1, "cancelled", false), of(2, "success", false)]).gate, Open);
    assert_eq!(verdict(&["test"], vec![of(2, "failure", false), of(1, "success", false)]).gate, Closed);
    // A newer one that has not created the job yet is waited for.
    for says in ["failure", "success"] {
        let waits = verdict(&["test"], vec![of(1, says, true)]);
        assert_eq!((waits.gate, waits.may_change()), (Closed, true));
    }
    assert_eq!(verdict(&["test"], vec![of(1, "failure", true), of(2, "success", false)]).gate, Open);
}

#[test]
fn a_glob_does_not_open_beside_a_workflow_that_could_not_start() {
    let evidence = Evidence {
        checks: vec![run("test 1", 1, "success")],
        has_broken_workflow: true,
        ..Evidence::default()
    };
    let of = |rule: &str| judge(Some(SHA), &rules(&[rule]), &evidence, &[]).gate;
    assert_eq!([of("test*"), of("test 1")], [Closed, Open]);
}

#[test]
fn checks_that_are_not_all_known_prove_nothing() {
    let evidence = Evidence {
        checks: vec![run("test", 1, "success")],
        unread: Some("it has 1001 suites".to_owned()),
        ..Evidence::default()
    };
    let verdict = judge(Some(SHA), &rules(&["test"]), &evidence, &[]);
    assert_eq!((verdict.gate, verdict.may_change()), (Closed, false));
}

#[test]
fn globs_of_reports_are_filled_in_for_each_project() {
    let rules = Rules { junit: vec!["{project}/*.xml".to_owned(), "all.xml".to_owned()], ..Rules::default() };
    assert_eq!(
        rules.reports(&["blog".to_owned(), "a[b]".to_owned()]),
        ["all.xml", "blog/*.xml", "a[[]b[]]/*.xml"]
    );
    assert_eq!(rules.reports(&[]), ["all.xml"]);
}

#[test]
fn a_verdict_that_is_refused_is_closed_for_all() {
    let mut verdict = verdict(&["test"], vec![run("test", 1, "success")]);
    verdict.refuse("another commit is checked out");
    assert_eq!(gates(&verdict), (Closed, vec![Closed, Closed], false));
    assert_eq!(verdict.requirements.last().unwrap().why, "another commit is checked out");
    assert!(!verdict.opens("blog", SHA));
}

#[test]
fn of_many_checks_that_failed_five_are_named() {
    let why = |number: u64| {
        let runs = (0..number).map(|id| run(&format!("test ({id})"), id, "failure")).collect();
        verdict(&["test*"], runs).requirements[0].why.clone()
    };
    let five =
        "`test (0)` failure, `test (1)` failure, `test (2)` failure, `test (3)` failure, `test (4)` failure";
    assert_eq!(why(5), five);
    assert_eq!(why(7), format!("{five} and 2 more"));
}

/// What is required of reports with this content, of which so many tests must have run.
fn reported(files: &[&str], min_tests: u64) -> Requirement {
    let rules = Rules { junit: vec!["*.xml".to_owned()], min_tests, ..Rules::default() };
    let files = files.iter().map(|text| Report::read(text.as_bytes())).enumerate().map(file).collect();
    let reports = vec![Reports { glob: "*.xml".to_owned(), files }];
    judge(Some(SHA), &rules, &Evidence { reports, ..Evidence::default() }, &[]).requirements.remove(0)
}

#[test]
fn a_test_that_was_skipped_is_none_of_those_that_must_run() {
    let text = "<testsuite><testcase/><testcase/><testcase><skipped/></testcase></testsuite>";
    let enough = reported(&[text], 2);
    assert_eq!((enough.standing, enough.why.as_str()), (Standing::Proven, "2 tests passed, 1 skipped"));
    let few = reported(&[text], 3);
    assert_eq!((few.standing, few.why.as_str()), (Standing::Failed, "2 tests ran, and at least 3 must"));
}

#[test]
fn why_a_report_is_no_proof_is_said_for_each() {
    let bad = "<testcase><failure/></testcase>";
    for (text, why) in [
        ("<testsuite>", "`0.xml` cannot be read: it is not a complete XML document"),
        (
            "<testsuite><testcase name='a'><failure/></testcase><testcase name='b'><failure/></testcase><testcase name='c'><error/></testcase></testsuite>",
            "`0.xml` has 3 that failed: a, b, c",
        ),
        ("<testsuite><testcase name='a'><error/></testcase></testsuite>", "`0.xml` has 1 that failed: a"),
        (
            "<testsuite failures='2'><testcase/></testsuite>",
            "`0.xml`: the report claims 2 failures and 0 errors that no case has",
        ),
        ("<testsuite><testcase><skipped/></testcase></testsuite>", "`0.xml` has no test that ran"),
        (
            "<testsuite><testcase name='a'/><testcase name='b' classname='c' status='undefined'/></testsuite>",
            "`0.xml` has 1 that did not clearly pass: c b (status=\"undefined\")",
        ),
        (
            "<testsuite name='s' tests='15515'><testcase name='a'/></testsuite>",
            "`0.xml` is not complete: suite s claims 15515 tests and lists 1",
        ),
    ] {
        let said = reported(&[text], 1);
        assert!(said.standing == Standing::Failed && said.why.starts_with(why), "{} is not {why}", said.why);
    }
    assert_eq!(reported(&["<testsuite/>"], 1).why, "`0.xml` has no test");
    let text = format!("<testsuite>{bad}</testsuite>");
    let said = |number: usize| reported(&vec![text.as_str(); number], 1).why;
    assert!(said(5).contains("`4.xml`") && !said(5).contains("more files"));
    assert!(said(7).ends_with("; and 2 more files") && !said(7).contains("`5.xml`"), "{}", said(7));
}

#[test]
fn the_numbers_of_reports_add_up_and_are_shown_where_there_are_any() {
    let totals = |of: [u64; 7]| {
        let [tests, passed, failures, errors, skipped, flaky, unclear] = of;
        Totals { tests, passed, failures, errors, skipped, flaky, unclear }
    };
    let sum: Totals = [totals([21, 1, 2, 3, 4, 5, 6]), totals([30, 6, 7, 8, 9, 10, 11])].into_iter().sum();
    assert_eq!(sum, totals([51, 7, 9, 11, 13, 15, 17]));
    assert_eq!(
        sum.to_string(),
        "7 passed, 9 failed, 11 broke down, 17 not understood, 13 skipped, 15 of them only when run again"
    );
    assert_eq!(totals([3, 2, 0, 0, 1, 0, 0]).to_string(), "2 passed, 1 skipped");
}

#[test]
fn failures_of_suites_and_totals_of_the_root_count() {
    let report = Report::read(
        b"<testsuites><testsuite name='a'><failure/><failure/><testcase/></testsuite><testsuite name='b'><failure/><testcase/></testsuite></testsuites>",
    )
    .unwrap();
    assert_eq!(
        (report.totals.failures, report.failing),
        (3, vec!["the suite a".to_owned(), "the suite b".to_owned()])
    );
    let report =
        Report::read(b"<testsuites failures='1'><testsuite><testcase/></testsuite></testsuites>").unwrap();
    assert!(report.claims_failures && !report.is_proof());
}

#[test]
fn passed_tests_are_counted_and_of_failing_ones_ten_are_named() {
    let read = |text: String| Report::read(text.as_bytes()).unwrap();
    let report = read(format!("<testsuite>{}</testsuite>", "<testcase/>".repeat(3)));
    assert_eq!((report.totals.passed, report.ran()), (3, 3));
    let report = read(format!("<testsuite>{}</testsuite>", "<testcase><failure/></testcase>".repeat(12)));
    assert_eq!((report.totals.failures, report.failing.len()), (12, 10));
    let suite = "<testsuite><error/></testsuite>";
    let report = read(format!("<testsuites>{}</testsuites>", suite.repeat(12)));
    assert_eq!((report.totals.errors, report.failing.len()), (12, 10));
}

#[test]
fn a_report_that_is_too_large_is_not_even_looked_at() {
    assert_eq!(Report::read(&vec![b' '; junit::MAX_BYTES]).unwrap_err(), "it is empty");
    assert_eq!(Report::read(&vec![b' '; junit::MAX_BYTES + 2]).unwrap_err(), "it is larger than 64 MiB");
}

#[test]
fn a_report_that_only_claims_to_be_in_utf_16_is_read() {
    for name in ["utf-16", "UTF-16BE"] {
        let text = format!("<?xml version='1.0' encoding='{name}'?><testsuite><testcase/></testsuite>");
        assert!(Report::read(text.as_bytes()).unwrap().is_proof(), "{name}");
    }
}

#[test]
fn what_is_no_result_of_this_run_proves_nothing() {
    let good = || Content::from(Report::read(b"<testsuite><testcase name='a'/></testsuite>"));
    let old = || Content::Old("it was written 3 days before the commit".to_owned());
    let of = |contents: Vec<Content>| {
        let file = |(number, content)| ReportFile { path: format!("{number}.xml"), content };
        let files = contents.into_iter().enumerate().map(file).collect();
        let reports = vec![Reports { glob: "*.xml".to_owned(), files }];
        reports::tests("*.xml", 1, &reports)
    };
    // A committed file is left out, whatever it contains.
    let committed = of(vec![Content::Committed]);
    assert_eq!(
        (committed.standing, committed.why.as_str()),
        (Standing::Failed, "`0.xml` is part of the commit: no test of this run has written it")
    );
    let two = of(vec![Content::Committed, Content::Committed]);
    assert_eq!(two.why, "`0.xml` and 1 more is part of the commit: no test of this run has written it");
    let beside = of(vec![Content::Committed, good()]);
    assert_eq!((beside.standing, beside.why.as_str()), (Standing::Proven, "1 test passed"));
    assert_eq!(beside.found[0].says, "not counted: it is part of the commit");
    // An old one may be what a test that has not run would have replaced.
    let stale = of(vec![good(), old()]);
    assert_eq!(
        (stale.standing, stale.why.as_str()),
        (
            Standing::Failed,
            "`1.xml` is no result of this commit: it was written 3 days before the commit; run its tests again, or remove it before they run"
        )
    );
}

#[test]
fn results_of_jobs_may_come_as_a_list() {
    let of = |text: &str| {
        let needs = needs::needs(Some(text));
        (needs.standing == Standing::Proven, needs.why, needs.found.len())
    };
    let open = |text: &str, jobs: usize| assert_eq!(of(text), (true, "success".to_owned(), jobs), "{text}");
    open("success", 1);
    open("success,success", 2);
    open(" success, success\nsuccess ", 3);
    open("success success", 2);
    open(r#"["success", "success"]"#, 2);
    open(r#"[{"result": "success", "outputs": {"a": "failure"}}]"#, 1);
    open(r#""success""#, 1);
    for (text, why) in [
        ("success,skipped", "`job 2` skipped"),
        ("success,", "`job 2` unknown"),
        (",", "`job 1` unknown, `job 2` unknown"),
        ("success,,success", "`job 2` unknown"),
        ("Success", "`job 1` Success"),
        ("successful", "`job 1` successful"),
        ("success;success", "`job 1` success;success"),
        ("success failure", "`job 2` failure"),
        ("null", "`job 1` null"),
        ("true", "`true` is no result: pass `${{ toJSON(needs) }}` instead"),
        ("[]", "there is none"),
        ("{}", "there is none"),
        (r#"["success", null]"#, "`job 2` unknown"),
        (r#"["success", true]"#, "`job 2` unknown"),
        (r#"["success", {"outputs": {"result": "success"}}]"#, "`job 2` unknown"),
        (r#"["success", ["success"]]"#, "`job 2` unknown"),
        (r#"["success", ""]"#, "`job 2` unknown"),
        (r#"{"a": "success"}"#, "`a` unknown"),
        ("", "their results are missing: pass them with `--needs '${{ toJSON(needs) }}'`"),
    ] {
        let (is_open, said, _) = of(text);
        assert!(!is_open && said == why, "{text}: {said}");
    }
    for text in [r#"["success""#, r#"{"a": {"result": "success"}"#, "\"success", r#"["success"] x"#] {
        assert!(of(text).1.starts_with("their results are neither the JSON"), "{text}: {}", of(text).1);
    }
}
