//! Reports of tests as proof.

use super::*;

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
fn globs_of_reports_are_filled_in_for_each_project() {
    let rules = Rules { junit: vec!["{project}/*.xml".to_owned(), "all.xml".to_owned()], ..Rules::default() };
    assert_eq!(
        rules.reports(&["blog".to_owned(), "a[b]".to_owned()]),
        ["all.xml", "blog/*.xml", "a[[]b[]]/*.xml"]
    );
    assert_eq!(rules.reports(&[]), ["all.xml"]);
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
    assert_eq!(two.why, "`0.xml` and 1 more are part of the commit: no test of this run has written them");
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
