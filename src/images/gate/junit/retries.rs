//! Tests that were run again and are listed once for each run.
//!
//! Owns which cases are runs of one test. Gradle (unless it merges them), gotestsum, Xcode and others list
//! each run as a case of its own, and two tests of one name look alike. So only what a retry leaves behind
//! counts as one: runs that all failed, and one at the end that passed, in a suite where no test went on
//! after it had passed. Pure.

use std::collections::HashMap;

use roxmltree::Node;

use super::case::Outcome;
use super::is_named;

/// Attributes that differ between two tests of one name, as properties do. `line` may be that of the failure,
/// but two tests have different ones.
const IDENTITY: &[&str] = &[
    "file",
    "filepath",
    "path",
    "uri",
    "location",
    "line",
    "lineno",
    "package",
    "value_param",
    "type_param",
    "param",
    "params",
    "parameters",
    "arguments",
];

/// Parts of the names of properties that differ between two runs of one test. `repetition` is Xcode's.
const OF_A_RUN: &[&str] = &[
    "repetition",
    "retry",
    "attempt",
    "rerun",
    "time",
    "duration",
    "attachment",
    "screenshot",
    "trace",
    "log",
];

/// Names of suites whose producers never list a run that was repeated: two cases of one name are two tests.
const NAMES_OF_OTHERS: &[&str] = &["Mocha Tests", "jest tests", "vitest tests"];

/// Returns the cases of a suite that count: of a test that failed and passed when it was run again, its last
/// run, as [`Outcome::Flaky`]; of any other test, every case.
pub(super) fn settled<'a, 'i>(
    suite: Node<'a, 'i>,
    cases: Vec<(Node<'a, 'i>, Outcome)>,
) -> Vec<(Node<'a, 'i>, Outcome)> {
    let mut groups: HashMap<[Option<&str>; 3], Vec<usize>> = HashMap::new();
    for (index, (case, _)) in cases.iter().enumerate() {
        let key = ["name", "classname", "class"].map(|name| case.attribute(name));
        if key[0].is_some_and(|name| !name.trim().is_empty()) {
            groups.entry(key).or_default().push(index);
        }
    }
    let goes_on = |runs: &Vec<usize>| {
        let earlier = runs.split_last().map_or(&[][..], |(_, earlier)| earlier);
        earlier.iter().any(|run| cases[*run].1.is_passed())
    };
    // `go test -count` and PHPUnit's `--repeat` run every test several times, whether it failed or not. A retry
    // leaves those alone that passed.
    let repeats_all = repeats(suite) && groups.values().all(|runs| runs.len() > 1);
    if marks_retries(suite) || repeats_all || groups.values().any(goes_on) {
        return cases;
    }
    let mut keeps = vec![true; cases.len()];
    let mut flaky = vec![false; cases.len()];
    for runs in groups.values().filter(|runs| runs.len() > 1) {
        let Some((last, earlier)) = runs.split_last() else { continue };
        let is_retry = cases[*last].1.is_passed()
            && earlier.iter().all(|run| {
                let (case, outcome) = &cases[*run];
                matches!(outcome, Outcome::Failure | Outcome::Error) && may_be_one(*case, cases[*last].0)
            });
        if is_retry {
            earlier.iter().for_each(|run| keeps[*run] = false);
            flaky[*last] = true;
        }
    }
    let marked = cases.into_iter().zip(keeps.into_iter().zip(flaky));
    marked
        .filter(|(_, (keeps, _))| *keeps)
        .map(|((case, outcome), (_, flaky))| (case, if flaky { Outcome::Flaky } else { outcome }))
        .collect()
}

/// Whether the producer of a suite has other words for a test that was run again. Surefire merges its runs,
/// and TestNG calls those before the last one skipped.
fn marks_retries(suite: Node<'_, '_>) -> bool {
    let has_schema = |node: Node<'_, '_>| {
        node.attributes().any(|attribute| {
            attribute.name() == "noNamespaceSchemaLocation" && attribute.value().contains("surefire")
        })
    };
    let is_of_testng = |node: Node<'_, '_>| {
        node.is_comment() && node.text().is_some_and(|text| text.contains("org.testng.reporters"))
    };
    suite.document().root().children().any(is_of_testng)
        || suite.ancestors().any(|above| {
            has_schema(above) || above.attribute("name").is_some_and(|name| NAMES_OF_OTHERS.contains(&name))
        })
}

/// Whether the producer of a suite can repeat all of its tests under the same names: Go's and PHPUnit's.
fn repeats(suite: Node<'_, '_>) -> bool {
    let is_of_go = |node: Node<'_, '_>| {
        is_named(node, "property")
            && node
                .attribute("name")
                .is_some_and(|name| name == "go.version" || name == "coverage.statements.pct")
    };
    let is_of_php = |node: Node<'_, '_>| {
        is_named(node, "testcase")
            && (node.attribute("assertions").is_some()
                || node.attribute("file").is_some_and(|file| file.ends_with(".php")))
    };
    suite.document().root().descendants().any(|node| is_of_go(node) || is_of_php(node))
}

fn may_be_one(one: Node<'_, '_>, other: Node<'_, '_>) -> bool {
    let agree = |one: Option<&str>, other: Option<&str>| one.is_none() || other.is_none() || one == other;
    let others: HashMap<&str, &str> = properties(other).collect();
    IDENTITY.iter().all(|name| agree(one.attribute(*name), other.attribute(*name)))
        && properties(one).all(|(name, value)| agree(Some(value), others.get(name).copied()))
}

/// Properties of a case that do not belong to one of its runs.
fn properties<'a>(case: Node<'a, '_>) -> impl Iterator<Item = (&'a str, &'a str)> {
    case.descendants()
        .filter(|node| is_named(*node, "property"))
        .filter_map(|property| Some((property.attribute("name")?, property.attribute("value")?)))
        .filter(|(name, _)| !OF_A_RUN.iter().any(|part| name.to_ascii_lowercase().contains(part)))
}
