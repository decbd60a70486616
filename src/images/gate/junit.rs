//! JUnit's XML, the way its many producers write it.
//!
//! Owns what a report proves: how many tests ran, and whether all of them passed. There is no binding schema,
//! only [what most producers have in common](https://github.com/testmoapp/junitxml): suites at any depth that
//! contain cases. A case passed unless something in it says otherwise. A report is read as a whole or
//! rejected; a rejected one proves nothing. Pure.

use std::fmt;

use encoding_rs::Encoding;
use roxmltree::{Document, Node, ParsingOptions};
use serde::{Deserialize, Serialize};

/// Largest report that is read, in bytes.
pub const MAX_BYTES: usize = 64 << 20;

/// Most elements and texts in a report.
const MAX_NODES: u32 = 4_000_000;

/// Deepest nesting of elements. Reports of suites in suites have ten levels.
const MAX_DEPTH: usize = 64;

/// Most failing tests that are named.
const NAMED: usize = 10;

/// Content of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The numbers.
    pub totals: Totals,
    /// Names of the first tests that failed.
    pub failing: Vec<String>,
    /// Differences between the totals that the report claims and its cases: `suite x claims 2 failures`.
    pub notes: Vec<String>,
    /// Whether it claims failures that no case has.
    pub claims_failures: bool,
}

/// Numbers of one or several reports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Tests that are listed.
    pub tests: u64,
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed: an assertion did not hold.
    pub failures: u64,
    /// Tests, and suites as a whole, that ended with an error.
    pub errors: u64,
    /// Tests that were not run.
    pub skipped: u64,
    /// Tests that passed only when they were run again.
    pub flaky: u64,
}

impl std::iter::Sum for Totals {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            tests: sum.tests + one.tests,
            passed: sum.passed + one.passed,
            failures: sum.failures + one.failures,
            errors: sum.errors + one.errors,
            skipped: sum.skipped + one.skipped,
            flaky: sum.flaky + one.flaky,
        })
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed", self.passed)?;
        let others = [
            (self.failures, "failed"),
            (self.errors, "broke down"),
            (self.skipped, "skipped"),
            (self.flaky, "of them only when run again"),
        ];
        others
            .iter()
            .filter(|(number, _)| *number > 0)
            .try_for_each(|(number, word)| write!(f, ", {number} {word}"))
    }
}

impl Report {
    /// Number of tests that ran.
    #[must_use]
    pub fn ran(&self) -> u64 {
        self.totals.tests - self.totals.skipped.min(self.totals.tests)
    }

    /// Whether tests ran and all of them passed.
    #[must_use]
    pub fn is_proof(&self) -> bool {
        self.ran() > 0 && self.totals.failures == 0 && self.totals.errors == 0 && !self.claims_failures
    }

    /// Reads a report.
    ///
    /// # Errors
    ///
    /// The reason as a fragment: it is empty, too large, cut off, not XML, not JUnit, or has a document type.
    /// A document type can make XML grow or read other files.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_BYTES {
            return Err(format!("it is larger than {} MiB", MAX_BYTES >> 20));
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err("it is empty".to_owned());
        }
        let text = decoded(bytes)?;
        let options =
            ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
        let document = Document::parse_with_options(&text, options)
            .map_err(|error| format!("it is not a complete XML document: {error}"))?;
        let root = document.root_element();
        if !matches!(root.tag_name().name(), "testsuites" | "testsuite") {
            return Err(format!("<{}> is not the root of a JUnit report", root.tag_name().name()));
        }
        let mut report = Self::default();
        for element in root.descendants().filter(Node::is_element) {
            if element.ancestors().nth(MAX_DEPTH).is_some() {
                return Err(format!("its elements are nested more than {MAX_DEPTH} deep"));
            }
            match element.tag_name().name() {
                "testcase" => report.case(element),
                "testsuite" => report.suite(element)?,
                "testsuites" => report.claims(element)?,
                _ => {}
            }
        }
        Ok(report)
    }

    fn case(&mut self, case: Node<'_, '_>) {
        self.totals.tests += 1;
        let has = |names: &[&str]| {
            case.children().any(|child| child.is_element() && names.contains(&child.tag_name().name()))
        };
        let says = |attribute: &str, words: &[&str]| {
            case.attribute(attribute)
                .is_some_and(|value| words.contains(&&*value.trim().to_ascii_lowercase()))
        };
        // Most producers use an element, some only an attribute: ctest and googletest `status`, others
        // `result` or `success`.
        let (bad, off) = (
            ["fail", "failed", "failure", "broken", "timeout"],
            ["skipped", "skip", "disabled", "notrun", "suppressed", "ignored", "pending"],
        );
        // Some skipped tests are failures. CTest marks a test as skipped, and fails, if its program is
        // missing or its fixture failed; an intended skip has a reason that begins with SKIP_. nose2 marks a
        // test as skipped that was expected to fail and passed.
        let reason = case.children().find(|child| is_named(*child, "skipped"));
        let is_lost = reason.is_some_and(|skipped| {
            let reason = skipped.attribute("message").unwrap_or_default();
            (says("status", &["notrun"]) && !reason.starts_with("SKIP_")) || reason.contains("unexpectedly")
        });
        let is_error = is_lost
            || has(&["error"])
            || says("status", &["error", "errored"])
            || says("result", &["error", "errored"]);
        let is_failure = has(&["failure"])
            || says("status", &bad)
            || says("result", &bad)
            || says("success", &["false", "0", "no"]);
        let is_skipped = has(&["skipped"])
            || says("status", &off)
            || says("result", &off)
            || says("executed", &["false", "0", "no"]);
        if is_error {
            self.totals.errors += 1;
        } else if is_failure {
            self.totals.failures += 1;
        } else if is_skipped {
            self.totals.skipped += 1;
        } else {
            self.totals.passed += 1;
            self.totals.flaky += u64::from(has(&["flakyFailure", "flakyError"]));
        }
        if (is_error || is_failure) && self.failing.len() < NAMED {
            let part = |name| case.attribute(name).map(str::trim).filter(|text| !text.is_empty());
            let (name, class) = (part("name"), part("classname").or(part("class")).or(part("file")));
            // Some producers write the full name into both attributes.
            let name = class
                .filter(|class| Some(*class) != name)
                .into_iter()
                .chain(name)
                .collect::<Vec<_>>()
                .join(" ");
            self.failing.push(if name.is_empty() { "a test without a name".to_owned() } else { name });
        }
    }

    fn suite(&mut self, suite: Node<'_, '_>) -> Result<(), String> {
        let own = |name: &str| suite.children().filter(|child| is_named(*child, name)).count() as u64;
        // The suite itself failed to start.
        let (failures, errors) = (own("failure"), own("error"));
        if failures + errors > 0 {
            self.totals.failures += failures;
            self.totals.errors += errors;
            if self.failing.len() < NAMED {
                self.failing.push(
                    format!("the suite {}", suite.attribute("name").unwrap_or_default())
                        .trim_end()
                        .to_owned(),
                );
            }
        }
        self.claims(suite)
    }

    /// Compares the totals that a suite claims with its cases.
    fn claims(&mut self, suite: Node<'_, '_>) -> Result<(), String> {
        let claimed = |name: &str| match suite.attribute(name).map(str::trim).filter(|text| !text.is_empty())
        {
            None => Ok(None),
            Some(text) => {
                text.parse::<u64>().map(Some).map_err(|_| format!("`{name}=\"{text}\"` is not a number"))
            }
        };
        let (failures, errors, tests) =
            (claimed("failures")?.unwrap_or(0), claimed("errors")?.unwrap_or(0), claimed("tests")?);
        let cases = suite.descendants().filter(|element| is_named(*element, "testcase"));
        let listed = cases.clone().count() as u64;
        let who = match suite.attribute("name").filter(|name| !name.is_empty()) {
            Some(name) => format!("suite {name}"),
            None => "the report".to_owned(),
        };
        if failures + errors > 0 {
            let shown = suite.descendants().any(|element| {
                element.is_element() && matches!(element.tag_name().name(), "failure" | "error")
            });
            if !shown {
                self.claims_failures = true;
                self.notes
                    .push(format!("{who} claims {failures} failures and {errors} errors that no case has"));
            }
        }
        if let Some(tests) = tests.filter(|tests| *tests != listed) {
            self.notes.push(format!("{who} claims {tests} tests and lists {listed}"));
        }
        Ok(())
    }
}

/// Whether a node is an element of this name, in any namespace.
fn is_named(node: Node<'_, '_>, name: &str) -> bool {
    node.is_element() && node.tag_name().name() == name
}

/// Decodes a document by its byte order mark or its own declaration.
fn decoded(bytes: &[u8]) -> Result<String, String> {
    let (encoding, marked) = match Encoding::for_bom(bytes) {
        Some((encoding, _)) => (encoding, true),
        None => {
            let head: String = bytes.iter().take(200).map(|byte| char::from(*byte)).collect();
            let named =
                head.strip_prefix("<?xml").and_then(|head| head.split_once("?>")).and_then(|(head, _)| {
                    let (_, value) = head.split_once("encoding")?;
                    let value = value.trim_start().strip_prefix('=')?.trim_start();
                    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
                    value[1..].split_once(quote).map(|(name, _)| name)
                });
            let encoding = match named {
                Some(name) => Encoding::for_label(name.as_bytes())
                    .ok_or_else(|| format!("its encoding {name} is not known"))?,
                None => encoding_rs::UTF_8,
            };
            // A text in UTF-16 without a byte order mark could not have been read up to here.
            (
                if encoding == encoding_rs::UTF_16LE || encoding == encoding_rs::UTF_16BE {
                    encoding_rs::UTF_8
                } else {
                    encoding
                },
                false,
            )
        }
    };
    let (text, had_errors) = if marked {
        encoding.decode_with_bom_removal(bytes)
    } else {
        encoding.decode_without_bom_handling(bytes)
    };
    if had_errors {
        return Err(format!("it is not written in {}", encoding.name()));
    }
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
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
            of("<testcase status='notrun'><skipped message='Unable to find executable'/></testcase>"),
            (2, 0, 1, 0, false)
        );
        assert_eq!(
            of("<testcase><skipped message='test passes unexpectedly'/></testcase>"),
            (2, 0, 1, 0, false)
        );
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
        assert_eq!(
            (failed.totals.failures, failed.failing, failed.totals.tests),
            (1, vec!["b a".to_owned()], 1)
        );
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
        assert_eq!(report.notes, ["suite s claims 1 failures and 0 errors that no case has"]);
        let report = read(
            "<testsuites errors='1'><testsuite errors='1'><testcase name='a'/></testsuite></testsuites>",
        );
        assert!(!report.is_proof());
        // Missing totals are no harm, others than the cases are said.
        assert!(read("<testsuite><testcase name='a'/></testsuite>").is_proof());
        let report = read("<testsuite tests='5' failures='' errors=' 0 '><testcase name='a'/></testsuite>");
        assert_eq!(
            (report.totals.tests, report.is_proof(), report.notes),
            (1, true, vec!["the report claims 5 tests and lists 1".to_owned()])
        );
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
            cases in proptest::collection::vec(0usize..7, 0..8), claims in proptest::option::of(0u64..3), nested in any::<bool>()
        ) {
            let kinds = ["<testcase name='a'/>", "<testcase name='b'/>", "<testcase><skipped/></testcase>", "<testcase><flakyFailure/></testcase>",
                "<testcase><failure/></testcase>", "<testcase><error/></testcase>", "<testcase status='failed'/>"];
            let inner: String = cases.iter().map(|kind| kinds[*kind]).collect();
            let claimed = claims.map(|claims| format!(" failures='{claims}'")).unwrap_or_default();
            let text = if nested {
                format!("<testsuites><testsuite{claimed}><testsuite>{inner}</testsuite></testsuite></testsuites>")
            } else {
                format!("<testsuite{claimed}>{inner}</testsuite>")
            };
            let ran = cases.iter().any(|kind| *kind != 2);
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
}
