mod jobs;
mod junit_reports;
mod properties;

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

#[test]
fn a_verdict_that_is_refused_is_closed_for_all() {
    let mut verdict = verdict(&["test"], vec![run("test", 1, "success")]);
    verdict.refuse("another commit is checked out");
    assert_eq!(gates(&verdict), (Closed, vec![Closed, Closed], false));
    assert_eq!(verdict.requirements.last().unwrap().why, "another commit is checked out");
    assert!(!verdict.opens("blog", SHA));
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
