use super::checks::Conclusion;
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
        url: None,
        suite: Some(1),
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

proptest! {
    #[test]
    fn the_gate_is_open_only_if_all_that_is_required_succeeded_and_none_of_it_is_anything_else(
        runs in proptest::collection::vec((0usize..4, 0usize..2, 0u64..6, 0usize..5), 0..10),
        required in proptest::collection::vec(0usize..5, 0..3),
    ) {
        let names = ["a", "b", "test (1)", "test (2)"];
        let conclusions = ["success", "success", "failure", "skipped", "pending"];
        let checks: Vec<Check> = runs.iter().enumerate().map(|(place, (name, app, id, conclusion))| {
            let mut check = run(names[*name], id * 100 + place as u64, conclusions[*conclusion]);
            check.app = ["x", "y"][*app].to_owned();
            check
        }).collect();
        let globs: Vec<&str> = required.iter().map(|which| ["a", "b", "test*", "*", "c"][*which]).collect();
        let gate = verdict(&globs, checks.clone()).gate;
        let matches = |glob: &str, name: &str| match glob { "*" => true, "test*" => name.starts_with("test"), glob => glob == name };
        // Each name of each app: nothing pending, and the newest a success.
        let is_good = |name: &str, app: &str| {
            let of: Vec<&Check> = checks.iter().filter(|check| check.name == name && check.app == app).collect();
            of.iter().all(|check| check.conclusion.is_some())
                && of.iter().max_by_key(|check| check.id).is_none_or(|check| check.conclusion == Some(Conclusion::Success))
        };
        let expected = !globs.is_empty() && globs.iter().all(|glob| {
            let found: Vec<&Check> = checks.iter().filter(|check| matches(glob, &check.name)).collect();
            !found.is_empty() && found.iter().all(|check| is_good(&check.name, &check.app))
        });
        prop_assert_eq!(gate == Open, expected, "{:?} {:?}", globs, checks);
    }
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
    assert_eq!((enough.standing, enough.why.as_str()), (Standing::Proven, "2 tests passed, 1 were skipped"));
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
    assert_eq!((beside.standing, beside.why.as_str()), (Standing::Proven, "1 tests passed"));
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
        ("true", "`job 1` true"),
        ("[]", "there is none"),
        ("{}", "there is none"),
        (r#"["success", null]"#, "`job 2` unknown"),
        (r#"["success", true]"#, "`job 2` unknown"),
        (r#"["success", {"outputs": {"result": "success"}}]"#, "`job 2` unknown"),
        (r#"["success", ["success"]]"#, "`job 2` unknown"),
        (r#"["success", ""]"#, "`job 2` unknown"),
        (r#"{"a": "success"}"#, "`a` unknown"),
        ("", "their results are missing"),
    ] {
        let (is_open, said, _) = of(text);
        assert!(!is_open && said == why, "{text}: {said}");
    }
    for text in [r#"["success""#, r#"{"a": {"result": "success"}"#, "\"success", r#"["success"] x"#] {
        assert!(of(text).1.starts_with("their results are neither the JSON"), "{text}: {}", of(text).1);
    }
}
