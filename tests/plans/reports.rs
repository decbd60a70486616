//! Unedited JUnit reports of many producers, and what the gate must read in them.
//!
//! Each comes from tests like these: one that passes, one that is skipped or disabled, one that fails, one
//! that crashes.

use std::collections::BTreeMap;
use std::path::Path;

use ghdeploy::images::gate::junit::Report;

/// Numbers of tests, failures, errors and skipped tests, and whether the report is a proof.
type Says = (u64, u64, u64, u64, bool);

const EXPECTED: &[(&str, Says)] = &[
    // Each subtest is a case.
    ("absl-good", (10, 0, 0, 2, true)),
    ("ant-bad", (3, 1, 1, 0, false)),
    ("ant-good", (2, 0, 0, 1, true)),
    ("bats-bad", (2, 1, 0, 0, false)),
    ("bats-good", (2, 0, 0, 1, true)),
    // One scenario has an undefined step.
    ("behave-bad", (3, 1, 1, 0, false)),
    ("behave-good", (1, 0, 0, 0, true)),
    ("boost-bad", (4, 1, 1, 1, false)),
    ("boost-good", (2, 0, 0, 1, true)),
    // Each section is a case.
    ("catch2-bad", (4, 1, 1, 0, false)),
    ("catch2-good", (2, 0, 0, 0, true)),
    // One step is undefined.
    ("cucumberjs-bad", (4, 1, 0, 0, false)),
    ("cucumberjs-good", (3, 0, 0, 0, true)),
    // One test has no program.
    ("ctest-bad", (5, 1, 1, 2, false)),
    ("ctest-good", (3, 0, 0, 2, true)),
    ("ginkgo-good", (5, 0, 0, 2, true)),
    ("gotestsum-bad", (2, 2, 0, 0, false)),
    // It does not compile: there is no case, and the total says so.
    ("gotestsum-broken", (0, 0, 0, 0, false)),
    ("gotestsum-good", (3, 0, 0, 1, true)),
    // One test failed and passed when it was run again. Both runs are listed.
    ("gotestsum-rerun", (3, 0, 0, 1, true)),
    ("gtest-bad", (6, 1, 0, 2, false)),
    ("gtest-good", (5, 0, 0, 2, true)),
    ("gtest-none", (0, 0, 0, 0, false)),
    ("jest-bad", (2, 1, 0, 0, false)),
    ("jest-broken", (2, 1, 1, 0, false)),
    // The totals leave out a case that is a `todo`.
    ("jest-good", (3, 0, 0, 1, true)),
    ("mochaxunit-bad", (2, 2, 0, 0, false)),
    ("mochaxunit-good", (4, 0, 0, 2, true)),
    ("nextest-bad", (3, 1, 0, 0, false)),
    // One test passed only on its second run.
    ("nextest-good", (2, 0, 0, 0, true)),
    ("node-bad", (3, 2, 0, 0, false)),
    ("node-good", (3, 0, 0, 2, true)),
    // One test was expected to fail and did not.
    ("nose2-bad", (3, 1, 2, 0, false)),
    ("nose2-good", (3, 0, 0, 1, true)),
    ("phpunit-bad", (5, 1, 2, 1, false)),
    ("phpunit-good", (4, 0, 0, 1, true)),
    ("playwright-bad", (2, 1, 0, 1, false)),
    ("playwright-good", (3, 0, 0, 1, true)),
    ("prove-bad", (2, 1, 1, 0, false)),
    ("prove-good", (2, 0, 0, 0, true)),
    ("pytest-broken", (1, 0, 1, 0, false)),
    // Each run of a test is a case; the total counts tests.
    ("pytest-flaky", (2, 0, 0, 0, true)),
    ("pytest-good", (5, 0, 0, 0, true)),
    // One crashes before its test, one after it.
    ("pytest-mixed", (6, 1, 2, 2, false)),
    ("pytest-none", (0, 0, 0, 0, false)),
    ("pytest-skips", (1, 0, 0, 1, false)),
    // The total counts subtests, too.
    ("pytest-subtests", (2, 0, 0, 0, true)),
    ("robot-bad", (2, 1, 0, 0, false)),
    ("robot-good", (2, 0, 0, 1, true)),
    // One test passed only on its second run; the totals are those of that run.
    ("surefire-flaky", (6, 0, 0, 2, true)),
    ("surefire-testng", (5, 1, 0, 1, false)),
    ("tapxunit-bad", (1, 1, 0, 0, false)),
    ("tapxunit-good", (1, 0, 0, 0, true)),
    // Two runs of a test with different data have one name, and so have a run that failed and its retry.
    ("testng-bad", (6, 1, 0, 2, false)),
    ("vitest-bad", (2, 1, 0, 0, false)),
    ("vitest-good", (3, 0, 0, 2, true)),
    ("xmlrunner-bad", (3, 1, 2, 0, false)),
    ("xmlrunner-good", (3, 0, 0, 1, true)),
];

#[test]
fn every_report_yields_the_results_of_its_tests() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans/reports");
    let mut found: BTreeMap<String, Says> = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if !name.ends_with(".xml") {
            continue;
        }
        let report =
            Report::read(&std::fs::read(entry.path()).unwrap()).unwrap_or_else(|why| panic!("{name}: {why}"));
        let says = (
            report.totals.tests,
            report.totals.failures,
            report.totals.errors,
            report.totals.skipped,
            report.is_proof(),
        );
        found.insert(name.trim_end_matches(".xml").to_owned(), says);
    }
    let expected: BTreeMap<String, Says> =
        EXPECTED.iter().map(|(name, says)| ((*name).to_owned(), *says)).collect();
    assert_eq!(found, expected);
}
