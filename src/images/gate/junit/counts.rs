//! Producers whose totals count something other than cases.
//!
//! Owns by which marks they are recognised. For all others, a report that claims more tests than it lists is
//! cut off, and one that claims errors has them. Pure.

use roxmltree::Node;

use super::is_named;

/// Most subtests for each case of pytest. Above that, something is missing.
const SUBTESTS: u64 = 1_000;

/// Whether the producer of a suite counts more than its cases.
pub(super) fn counts_more_than_cases(suite: Node<'_, '_>, claimed: u64, listed: u64) -> bool {
    listed > 0
        && (is_of_catch2(suite)
            || is_of_doctest(suite)
            || is_sum_of_assertions(suite, claimed)
            || (is_of_pytest(suite) && claimed / listed <= SUBTESTS))
}

/// Whether the errors that a suite claims are messages, as those of Qt up to version 5. A fatal one ends the
/// program before it writes a report.
pub(super) fn counts_messages_as_errors(suite: Node<'_, '_>) -> bool {
    suite.descendants().filter(|node| is_named(*node, "property")).any(|property| {
        property.attribute("name") == Some("QTestVersion")
            && property.attribute("value").is_some_and(|version| version.starts_with(['4', '5']))
    })
}

/// Whether the claim is exactly what the cases assert: older Nightwatch and `QUnit` count assertions, and say
/// for each case how many.
fn is_sum_of_assertions(suite: Node<'_, '_>, claimed: u64) -> bool {
    ["assertions", "asserts", "tests"].iter().any(|name| {
        let numbers = cases(suite)
            .map(|case| case.attribute(*name).and_then(|number| number.trim().parse::<u64>().ok()));
        numbers.sum::<Option<u64>>() == Some(claimed)
    })
}

/// Whether it is Catch2's, whose `tests` are assertions. Its host is always `tbd`.
fn is_of_catch2(suite: Node<'_, '_>) -> bool {
    cases(suite).all(|case| {
        let own = case.ancestors().find(|above| is_named(*above, "testsuite"));
        own.is_some_and(|own| own.attribute("hostname") == Some("tbd"))
    })
}

/// Whether it is doctest's (of C++), whose `tests` are assertions. All of its cases have the status `run`;
/// googletest's have a result, too, and both googletest and CTest count what is disabled.
fn is_of_doctest(suite: Node<'_, '_>) -> bool {
    suite.attribute("disabled").is_none()
        && suite.attribute("skipped").is_none()
        && cases(suite)
            .all(|case| case.attribute("status") == Some("run") && case.attribute("result").is_none())
}

/// Whether it is pytest's, whose `tests` include subtests, which are not listed if they passed.
fn is_of_pytest(suite: Node<'_, '_>) -> bool {
    suite.attribute("name") == Some("pytest")
        || suite.ancestors().any(|above| above.attribute("name") == Some("pytest tests"))
}

fn cases<'a, 'i>(suite: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    suite.descendants().filter(|node| is_named(*node, "testcase"))
}
