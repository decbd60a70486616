//! Which check counts: names, suites, workflows, re-runs, and what is still to come.

use super::*;

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
