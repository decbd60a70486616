use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Report {
    Report::read(text.as_bytes()).unwrap()
}

/// Tests, failures, errors, skipped; whether it is a proof.
fn counts(text: &str) -> (u64, u64, u64, u64, bool) {
    let report = read(text);
    (
        report.totals.tests,
        report.totals.failures,
        report.totals.errors,
        report.totals.skipped,
        report.is_proof(),
    )
}

#[test]
fn a_case_passed_unless_something_in_it_says_otherwise() {
    let of = |case: &str| {
        counts(&format!(
            "<testsuites><testsuite name='s'><testcase name='ok'/>{case}</testsuite></testsuites>"
        ))
    };
    assert_eq!(of("<testcase name='a'/>"), (2, 0, 0, 0, true));
    assert_eq!(
        of("<testcase name='a'><system-out>x</system-out><properties/></testcase>"),
        (2, 0, 0, 0, true)
    );
    assert_eq!(of("<testcase name='a'><failure/></testcase>"), (2, 1, 0, 0, false));
    assert_eq!(of("<testcase name='a'><error message='x'/></testcase>"), (2, 0, 1, 0, false));
    assert_eq!(of("<testcase name='a'><skipped/></testcase>"), (2, 0, 0, 1, true));
    assert_eq!(of("<testcase name='a'><skipped/><failure/></testcase>"), (2, 1, 0, 0, false));
    // What was not run though it should have been: of CTest and nose2.
    assert_eq!(
        of("<testcase status='notrun'><skipped message='SKIP_RETURN_CODE=77'/></testcase>"),
        (2, 0, 0, 1, true)
    );
    assert_eq!(
        of(
            "<testcase name='a' classname='a' status='notrun'><skipped message='Unable to find executable'/></testcase>"
        ),
        (2, 0, 1, 0, false)
    );
    // Others have the same status for an intended skip.
    for case in [
        "<testcase name='a' classname='b' status='notrun' result='suppressed'><skipped message='later'/></testcase>",
        "<testcase name='a' classname='b' status='notrun'><skipped message='later'/></testcase>",
        "<testcase name='a' status='notrun'><skipped/></testcase>",
        "<testcase><skipped message='the library exits unexpectedly'/></testcase>",
        "<testcase><skipped type='pytest.skip' message='test passes unexpectedly'/></testcase>",
    ] {
        assert_eq!(of(case), (2, 0, 0, 1, true), "{case}");
    }
    assert_eq!(of("<testcase><skipped message='test passes unexpectedly'/></testcase>"), (2, 0, 1, 0, false));
    // googletest, ctest, xUnit's converters, and others say it by attributes.
    assert_eq!(of("<testcase name='a' status='notrun' result='suppressed'/>"), (2, 0, 0, 1, true));
    assert_eq!(of("<testcase name='a' status='run' result='completed'/>"), (2, 0, 0, 0, true));
    assert_eq!(of("<testcase name='a' status='fail'/>"), (2, 1, 0, 0, false));
    assert_eq!(of("<testcase name='a' result='Failure' success='False'/>"), (2, 1, 0, 0, false));
    assert_eq!(of("<testcase name='a' executed='False'/>"), (2, 0, 0, 1, true));
}

#[test]
fn a_test_that_was_run_again_is_what_its_last_run_was() {
    // Surefire and nextest.
    let of = |inner: &str| {
        read(&format!("<testsuite><testcase name='a' classname='b'>{inner}</testcase></testsuite>"))
    };
    let flaky = of("<flakyFailure message='x'/><flakyError/>");
    assert_eq!((flaky.totals.flaky, flaky.is_proof()), (1, true));
    let failed = of("<failure/><rerunFailure/><rerunError/>");
    assert_eq!((failed.totals.failures, failed.failing, failed.totals.tests), (1, vec!["b a".to_owned()], 1));
}

#[test]
fn suites_lie_in_suites_and_each_case_counts_once() {
    let text = "<testsuites tests='3'><testsuite tests='3'><testsuite tests='2'><testcase name='a'/><testcase name='b'/></testsuite><testsuite tests='1'><testcase name='c'/></testsuite></testsuite></testsuites>";
    assert_eq!(counts(text), (3, 0, 0, 0, true));
    assert_eq!(read(text).notes, [""; 0]);
    // As PHPUnit and TestNG have it, with a namespace and a declaration.
    let text = "\u{feff}<?xml version='1.0' encoding='UTF-8'?>\n<!-- x -->\n<x:testsuites xmlns:x='urn:x'><x:testsuite><x:testcase name='a'/></x:testsuite></x:testsuites>\n";
    assert_eq!(counts(text), (1, 0, 0, 0, true));
}

#[test]
fn a_suite_that_broke_down_is_no_proof() {
    let report =
        read("<testsuite name='s'><testcase name='a'/><error message='could not begin'/></testsuite>");
    assert_eq!(
        (report.totals.errors, report.is_proof(), report.failing),
        (1, false, vec!["the suite s".to_owned()])
    );
}

#[test]
fn totals_that_say_worse_than_the_cases_count() {
    let report = read(
        "<testsuite name='s' tests='2' failures='1'><testcase name='a'/><testcase name='b'/></testsuite>",
    );
    assert!(report.claims_failures && !report.is_proof());
    assert_eq!(report.notes, ["suite s claims 1 failure and 0 errors that no case has"]);
    let report =
        read("<testsuites errors='1'><testsuite errors='1'><testcase name='a'/></testsuite></testsuites>");
    assert!(!report.is_proof());
    // Missing totals are no harm, others than the cases are said.
    assert!(read("<testsuite><testcase name='a'/></testsuite>").is_proof());
    let report = read("<testsuite tests='0' failures='' errors=' 0 '><testcase name='a'/></testsuite>");
    assert_eq!(
        (report.totals.tests, report.is_proof(), report.notes),
        (1, true, vec!["the report claims 0 tests and lists 1".to_owned()])
    );
    // Totals of what came to no end.
    for total in ["aborted", "timedout", "cancelled"] {
        assert!(
            !read(&format!("<testsuite {total}='1'><testcase name='a'/></testsuite>")).is_proof(),
            "{total}"
        );
    }
}

#[test]
fn without_a_test_that_ran_there_is_no_proof() {
    for text in [
        "<testsuites/>",
        "<testsuite tests='0'/>",
        "<testsuite tests='12' failures='0' errors='0'/>",
        "<testsuites><testsuite name='a'/><testsuite/></testsuites>",
        "<testsuite><testcase name='a'><skipped/></testcase></testsuite>",
        "<testsuite><testcase name='a' status='disabled'/></testsuite>",
    ] {
        assert!(!read(text).is_proof(), "{text}");
    }
}

#[test]
fn what_cannot_be_read_whole_proves_nothing() {
    let good = "<testsuites><testsuite><testcase name='a'/></testsuite></testsuites>";
    for (bytes, why) in [
        (&b""[..], "it is empty"),
        (b" \n\t", "it is empty"),
        (b"\xef\xbb\xbf", "it is not a complete XML document"),
        (&good.as_bytes()[..good.len() - 1], "it is not a complete XML document"),
        (&good.as_bytes()[..40], "it is not a complete XML document"),
        (b"Tests run: 5, Failures: 0", "it is not a complete XML document"),
        (b"{\"tests\": 1}", "it is not a complete XML document"),
        (b"<html><body>404</body></html>", "<html> is not the root of a JUnit report"),
        (b"<assemblies><assembly/></assemblies>", "<assemblies> is not the root of a JUnit report"),
        (b"<testsuite><testcase></testsuite>", "it is not a complete XML document"),
        (b"<testsuite/><testsuite/>", "it is not a complete XML document"),
        (b"<testsuite failures='none'><testcase/></testsuite>", "`failures=\"none\"` is not a number"),
        (b"<testsuite failures='-1'><testcase/></testsuite>", "`failures=\"-1\"` is not a number"),
        (b"<?xml version='1.0' encoding='klingon'?><testsuite/>", "its encoding klingon is not known"),
        (b"<testsuite><testcase name='\xff'/></testsuite>", "it is not written in UTF-8"),
        (b"<testsuite><testcase name='\x1b[31m'/></testsuite>", "it is not a complete XML document"),
    ] {
        let why_not = Report::read(bytes).unwrap_err();
        assert!(why_not.starts_with(why), "{why_not}, not {why}");
    }
}

#[test]
fn a_document_type_is_refused_before_it_can_do_harm() {
    for text in [
        "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><testsuite><testcase name='&e;'/></testsuite>",
        "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]><testsuite name='&b;'><testcase/></testsuite>",
        "<!DOCTYPE testsuite SYSTEM 'http://127.0.0.1/x.dtd'><testsuite><testcase/></testsuite>",
    ] {
        assert!(Report::read(text.as_bytes()).unwrap_err().contains("DTD"), "{text}");
    }
    assert!(Report::read(b"<testsuite><testcase name='&nbsp;'/></testsuite>").is_err());
}

#[test]
fn other_encodings_are_read_by_their_mark_or_name() {
    let latin = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><testsuite><testcase name=\"gr\xf6\xdfe\"><failure/></testcase></testsuite>";
    assert_eq!(Report::read(latin).unwrap().failing, ["größe"]);
    let text = "<?xml version='1.0' encoding='utf-16'?><testsuite><testcase name='größe'><failure/></testcase></testsuite>";
    let wide: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert_eq!(Report::read(&wide).unwrap().failing, ["größe"]);
}

#[test]
fn what_is_deep_or_long_ends_in_time() {
    let deep = "<testsuite>".repeat(100_000);
    assert!(Report::read(deep.as_bytes()).is_err());
    let deep = format!("{}<testcase/>{}", "<testsuite>".repeat(2_000), "</testsuite>".repeat(2_000));
    assert!(Report::read(deep.as_bytes()).unwrap_err().contains("nested"));
    let long = format!("<testsuite>{}</testsuite>", "<testcase name='a'/>".repeat(200_000));
    assert_eq!(Report::read(long.as_bytes()).unwrap().totals.tests, 200_000);
}

proptest! {
    #[test]
    fn a_report_is_a_proof_only_if_a_test_ran_and_none_is_anything_but_passed(
        cases in proptest::collection::vec(0usize..10, 0..8), claims in proptest::option::of(0u64..3), nested in any::<bool>()
    ) {
        let kinds = ["<testcase name='a'/>", "<testcase name='b'/>", "<testcase><skipped/></testcase>", "<testcase><flakyFailure/></testcase>",
            "<testcase><failure/></testcase>", "<testcase><error/></testcase>", "<testcase status='failed'/>",
            "<testcase result='undefined'/>", "<testcase><aborted/></testcase>", "<incident/>"];
        let inner: String = cases.iter().map(|kind| kinds[*kind]).collect();
        let claimed = claims.map(|claims| format!(" failures='{claims}'")).unwrap_or_default();
        let text = if nested {
            format!("<testsuites><testsuite{claimed}><testsuite>{inner}</testsuite></testsuite></testsuites>")
        } else {
            format!("<testsuite{claimed}>{inner}</testsuite>")
        };
        let ran = cases.iter().any(|kind| *kind != 2 && *kind != 9);
        let bad = cases.iter().any(|kind| *kind > 3) || claims.unwrap_or(0) > 0;
        prop_assert_eq!(read(&text).is_proof(), ran && !bad, "{}", text);
    }

    #[test]
    fn no_cut_of_a_report_is_a_proof(cut in 0usize..120) {
        let text = "<?xml version='1.0'?>\n<testsuites>\n<testsuite name='s' tests='2'>\n<testcase name='a'/><testcase name='b'/>\n</testsuite>\n</testsuites>";
        if cut < text.len() {
            prop_assert!(Report::read(&text.as_bytes()[..cut]).is_err());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = Report::read(&bytes);
    }
}

/// Whether a report is a proof whose only test is this case, and what was not understood.
fn alone(case: &str) -> (bool, Vec<String>) {
    let report = read(&format!("<testsuite>{case}</testsuite>"));
    (report.is_proof(), report.unclear)
}

#[test]
fn only_known_words_and_elements_are_a_pass() {
    for word in ["passed", "PASS", "Success", "ok", "run", "completed", "FIXED", "", " passed "] {
        assert_eq!(alone(&format!("<testcase name='a' status='{word}'/>")), (true, Vec::new()), "{word}");
    }
    for word in [
        "undefined",
        "untested",
        "panicked",
        "timedout",
        "TIMED_OUT",
        "canceled",
        "CANCELLED",
        "INCOMPLETE",
        "inconclusive",
        "aborted",
        "interrupted",
        "unknown",
        "running",
        "not passed",
        "passed?",
        "2",
    ] {
        for attribute in ["status", "result", "outcome"] {
            let said = alone(&format!("<testcase name='a' {attribute}='{word}'/>"));
            assert_eq!(said, (false, vec![format!("a ({attribute}=\"{word}\")")]), "{word}");
        }
    }
    for name in ["system-out", "system-err", "properties", "attachments", "output"] {
        assert!(alone(&format!("<testcase name='a'><{name}>failed</{name}></testcase>")).0, "{name}");
    }
    for name in
        ["aborted", "warning", "incident", "rerunFailure", "Failure", "exception", "testcase", "undefined"]
    {
        let said = alone(&format!("<testcase name='a' classname='c'><{name}/></testcase>"));
        assert_eq!(said, (false, vec![format!("c a (<{name}>)")]), "{name}");
    }
    for name in ["failed", "fail", "errored"] {
        assert!(!alone(&format!("<testcase name='a'><{name}/></testcase>")).0, "{name}");
    }
    for attribute in ["incomplete='true'", "success='false'", "failures='2'", "aborted='1'", "passed='no'"] {
        assert!(!alone(&format!("<testcase name='a' {attribute}/>")).0, "{attribute}");
    }
    for attribute in ["incomplete='false'", "success='true'", "failures='0'", "disabled='no'", "timeout='30'"]
    {
        assert!(alone(&format!("<testcase name='a' {attribute}/>")).0, "{attribute}");
    }
    // An element that says that it was not run explains such a word.
    let counted = read("<testsuite><testcase/><testcase status='untested'><skipped/></testcase></testsuite>");
    assert_eq!((counted.totals.skipped, counted.is_proof()), (1, true));
    assert!(!alone("<testcase status='canceled'><skipped/></testcase>").0);
}

#[test]
fn a_warning_of_phpunit_is_a_pass_only_if_something_was_asserted() {
    let of = |assertions: &str| {
        alone(&format!("<testcase name='a' {assertions}><warning type='PHPUnit'>x</warning></testcase>")).0
    };
    assert!(of("assertions='2'"));
    assert!(!of("assertions='0'") && !of(""));
}

#[test]
fn what_a_suite_holds_must_be_understood_too() {
    let of = |attributes: &str, inner: &str| {
        let report =
            read(&format!("<testsuite name='s' {attributes}><testcase name='a'/>{inner}</testsuite>"));
        (report.is_proof(), report.unclear)
    };
    for inner in ["<properties/>", "<system-out/>", "<skipped/>", "<attachments/>"] {
        assert!(of("", inner).0, "{inner}");
    }
    assert_eq!(of("", "<aborted/>"), (false, vec!["the suite s (<aborted>)".to_owned()]));
    assert_eq!(of("", "<results><testcase/></results>").1, ["the suite s (<results>)"]);
    assert!(of("status='passed'", "").0 && of("result='Success' success='True'", "").0);
    assert_eq!(of("status='interrupted'", "").1, ["the suite s (status=\"interrupted\")"]);
    assert!(!of("status='failed'", "").0 && !of("success='False'", "").0);
    let told_once = read("<testsuite status='failed'><testcase><failure/></testcase></testsuite>");
    assert_eq!(told_once.totals.failures, 1);
}

#[test]
fn of_runs_that_are_listed_one_by_one_the_last_counts_if_they_are_a_retry() {
    const PASS: &str = "<testcase name='t' classname='c'/>";
    const FAIL: &str = "<testcase name='t' classname='c'><failure/></testcase>";
    const SKIP: &str = "<testcase name='t' classname='c'><skipped/></testcase>";
    const OTHER: &str = "<testcase name='o' classname='c'/>";
    let of = |cases: &[&str]| read(&format!("<testsuite>{}</testsuite>", cases.concat()));
    for retried in [&[FAIL, PASS][..], &[FAIL, FAIL, PASS], &[FAIL, OTHER, PASS]] {
        let report = of(retried);
        assert_eq!((report.is_proof(), report.totals.flaky), (true, 1), "{retried:?}");
    }
    // Two tests may have one name. After a pass nothing is run again.
    for others in [&[PASS, FAIL][..], &[FAIL, PASS, PASS], &[FAIL, PASS, FAIL], &[FAIL, SKIP], &[FAIL, FAIL]]
    {
        assert!(!of(others).is_proof(), "{others:?}");
    }
    assert_eq!(of(&[FAIL, FAIL]).totals.failures, 2);
    assert_eq!((of(&[PASS, PASS]).totals.tests, of(&[PASS, PASS]).totals.flaky), (2, 0));
    for differs in ["classname='d'", "classname='c' line='9'", "classname='c' value_param='2'", ""] {
        let first = "<testcase name='t' classname='c' line='1' value_param='1'><failure/></testcase>";
        assert!(!of(&[first, &format!("<testcase name='t' {differs}/>")]).is_proof(), "{differs}");
    }
    assert!(!of(&["<testcase><failure/></testcase>", "<testcase/>"]).is_proof(), "no name is no test");
    // Where a test went on after it had passed, names stand for several tests, or all were repeated.
    assert!(!of(&[FAIL, PASS, OTHER, OTHER]).is_proof());
    // These mark a retry in another way.
    for (before, attributes) in [
        ("<!-- Generated by org.testng.reporters.JUnitReportReporter -->", ""),
        (
            "",
            "xmlns:x='y' x:noNamespaceSchemaLocation='https://maven.apache.org/surefire-test-report-3.0.xsd'",
        ),
        ("", "name='Mocha Tests'"),
        ("", "name='jest tests'"),
    ] {
        let text =
            format!("{before}<testsuites {attributes}><testsuite>{FAIL}{PASS}</testsuite></testsuites>");
        assert!(!read(&text).is_proof(), "{text}");
    }
    // Xcode's repetitions, and two arguments of one test.
    let with = |name: &str, value: &str, inner: &str| {
        format!(
            "<testcase name='t'>{inner}<properties><property name='{name}' value='{value}'/></properties></testcase>"
        )
    };
    let differ = |name: &str| of(&[&with(name, "1", "<failure/>"), &with(name, "2", "")]).is_proof();
    assert!(differ("repetition") && differ("Retry attempt") && !differ("argument"));
    // Runs of another suite, or of another file, are other tests.
    let two =
        read(&format!("<testsuites><testsuite>{FAIL}</testsuite><testsuite>{PASS}</testsuite></testsuites>"));
    assert!(!two.is_proof());
    // The totals count each run, but no more failures than there are.
    let claims =
        |failures: u8| read(&format!("<testsuite tests='2' failures='{failures}'>{FAIL}{PASS}</testsuite>"));
    assert!(claims(1).is_proof() && !claims(2).is_proof());
    assert_eq!(claims(2).notes, ["the report claims 2 failures and errors and shows 1"]);
    // Go and PHPUnit can repeat every test. Only one that ran once shows that the other was run again.
    let go = "<properties><property name='go.version' value='go1.24'/></properties>";
    assert!(!of(&[go, FAIL, PASS]).is_proof());
    assert!(of(&[go, FAIL, OTHER, PASS]).is_proof());
    let php = FAIL.replace("name='t'", "name='t' file='t.php'");
    assert!(!of(&[&php, PASS]).is_proof());
    // pytest lists a run that was repeated as one without a failure.
    assert!(!of(&[PASS, PASS, FAIL]).is_proof());
    for (one, other) in [("params='1'", "params='2'"), ("path='a'", "path='b'"), ("uri='a:1'", "uri='a:2'")] {
        let one = format!("<testcase name='t' classname='c' {one}><failure/></testcase>");
        assert!(!of(&[&one, &format!("<testcase name='t' classname='c' {other}/>")]).is_proof(), "{other}");
    }
    // A run that did not end clearly is not repaired by another one.
    assert!(!of(&["<testcase name='t' classname='c'><aborted/></testcase>", PASS]).is_proof());
}

#[test]
fn a_report_that_lists_fewer_tests_than_it_claims_is_cut_off() {
    let of = |suite: &str, case: &str| {
        read(&format!("<testsuites {suite}><testsuite {suite}>{case}</testsuite></testsuites>"))
    };
    assert!(!of("tests='15515'", "<testcase name='a'/>").is_proof());
    assert!(!of("tests='2' skipped='0'", "<testcase name='a'/>").is_proof());
    assert!(of("tests='1'", "<testcase name='a'/>").is_proof());
    assert!(!read("<testsuites tests='2'><testcase name='a'/></testsuites>").is_proof());
    // What was not run may be counted without being listed (Rust's own test runner).
    assert!(of("tests='3' skipped='2'", "<testcase name='a'/>").is_proof());
    let one_skipped = "<testcase name='a'/><testcase name='b'><skipped/></testcase>";
    assert!(of("tests='3' skipped='2'", one_skipped).is_proof());
    assert!(!of("tests='4' skipped='2'", one_skipped).is_proof());
    // Catch2 and doctest count assertions, pytest counts subtests.
    assert!(of("tests='900' hostname='tbd'", "<testcase name='a' status='run'/>").is_proof());
    assert!(of("tests='900'", "<testcase name='a' status='run'/>").is_proof());
    assert!(!of("tests='900' disabled='0'", "<testcase name='a' status='run'/>").is_proof());
    assert!(of("tests='26' hostname='tbd'", "<testcase name='a' classname='global'/>").is_proof());
    for asserts in ["assertions='3'", "tests='3'", "asserts='3'"] {
        let cases = format!("<testcase name='a' {asserts}/><testcase name='b' {asserts}/>");
        assert!(of("tests='6'", &cases).is_proof() && !of("tests='7'", &cases).is_proof(), "{asserts}");
    }
    assert!(of("name='pytest' tests='5'", "<testcase name='a'/>").is_proof());
    assert!(!of("name='pytest' tests='15515'", "<testcase name='a'/>").is_proof());
    assert!(!of("name='pytest' tests='5'", "").is_proof());
}

#[test]
fn messages_of_qt_are_no_errors() {
    let of = |version: &str, errors: u8, failures: u8| {
        read(&format!(
            "<testsuite errors='{errors}' failures='{failures}' tests='1'><properties><property name='QTestVersion' value='{version}'/></properties><testcase name='a' result='pass'/></testsuite>"
        ))
        .is_proof()
    };
    assert!(of("5.15.2", 3, 0) && of("6.5.0", 0, 0));
    assert!(!of("6.5.0", 3, 0) && !of("5.15.2", 0, 1));
}

proptest! {
    #[test]
    fn no_other_word_is_a_pass(word in "[a-zA-Z][a-zA-Z _-]{0,10}", attribute in 0usize..3) {
        let attribute = ["status", "result", "outcome"][attribute];
        let plain: String = word.to_lowercase().chars().filter(char::is_ascii_alphabetic).collect();
        let passes = ["passed", "pass", "success", "successful", "succeeded", "ok", "run", "completed", "fixed", "bpass"];
        let report = read(&format!("<testsuite><testcase name='a' {attribute}='{word}'/></testsuite>"));
        prop_assert_eq!(report.is_proof(), passes.contains(&&*plain), "{}", word);
    }

    #[test]
    fn no_unknown_element_is_a_pass(name in "[a-z]{3,10}") {
        // None that is known ends with an x.
        let report = read(&format!("<testsuite><testcase name='a'/><testcase name='b'><{name}x/></testcase></testsuite>"));
        prop_assert!(!report.is_proof(), "{}", name);
    }
}
