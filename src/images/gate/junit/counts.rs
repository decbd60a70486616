//! Producers whose totals count something other than cases.
//!
//! Owns by which marks they are recognised. For all others, a report that claims more tests than it lists is cut
//! off. Pure.

use roxmltree::Node;

use super::is_named;

/// Most subtests for each case of pytest. Above that, something is missing.
const SUBTESTS: u64 = 1_000;

/// Whether the producer of a suite counts more than its cases.
pub(super) fn counts_more_than_cases(suite: Node<'_, '_>, claimed: u64, cases: u64) -> bool {
    cases > 0
        && (is_of_catch2(suite)
            || is_of_doctest(suite)
            || (is_of_pytest(suite) && claimed / cases <= SUBTESTS))
}

/// Whether it is Catch2's, whose `tests` are assertions. Its host is always `tbd`.
fn is_of_catch2(suite: Node<'_, '_>) -> bool {
    suite.descendants().filter(|node| is_named(*node, "testsuite")).all(|suite| {
        suite.attribute("hostname") == Some("tbd")
            && cases(suite).all(|case| case.attribute("status") == Some("run"))
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
