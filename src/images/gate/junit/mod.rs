//! JUnit's XML, the way its many producers write it.
//!
//! Owns what a report proves: how many tests ran, and whether all of them passed. There is no binding schema,
//! only [what most producers have in common](https://github.com/testmoapp/junitxml): suites at any depth that
//! contain cases. A case passed only if everything in it is understood and says so ([`case`]). A report is
//! read as a whole or rejected; a rejected one proves nothing. Pure.

mod case;
mod counts;
mod encoding;
mod retries;

use std::fmt;

use roxmltree::{Document, Node, ParsingOptions};
use serde::{Deserialize, Serialize};

use case::Outcome;
use encoding::decoded;

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
    /// Names of the first tests and suites that cannot be told to have passed, each with what was not
    /// understood: `c b (status="undefined")`.
    pub unclear: Vec<String>,
    /// Differences between the totals that the report claims and its cases: `suite x claims 2 failures`.
    pub notes: Vec<String>,
    /// Whether it claims failures that no case has.
    pub claims_failures: bool,
    /// Whether it claims more tests than it lists.
    pub is_cut: bool,
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
    /// Tests, and suites as a whole, that cannot be told to have passed.
    #[serde(default)]
    pub unclear: u64,
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
            unclear: sum.unclear + one.unclear,
        })
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed", self.passed)?;
        let others = [
            (self.failures, "failed"),
            (self.errors, "broke down"),
            (self.unclear, "not understood"),
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
        let bad = self.totals.failures + self.totals.errors + self.totals.unclear;
        self.ran() > 0 && bad == 0 && !self.claims_failures && !self.is_cut
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
        if root.descendants().any(|node| node.is_element() && node.ancestors().nth(MAX_DEPTH).is_some()) {
            return Err(format!("its elements are nested more than {MAX_DEPTH} deep"));
        }
        let mut report = Self::default();
        report.suite(root)?;
        Ok(report)
    }

    /// Reads a suite with everything in it.
    fn suite(&mut self, suite: Node<'_, '_>) -> Result<Listed, String> {
        let mut listed = Listed::default();
        let mut cases = Vec::new();
        let (mut failures, mut errors) = (0, 0);
        let mut unclear = Vec::new();
        for child in suite.children().filter(Node::is_element) {
            match child.tag_name().name() {
                "testsuite" | "testsuites" => listed += self.suite(child)?,
                "testcase" => {
                    let outcome = Outcome::of(child);
                    listed += Listed::case(child, &outcome);
                    cases.push((child, outcome));
                }
                "failure" => failures += 1,
                "error" => errors += 1,
                "skipped" => {}
                name if case::is_harmless(name) => {}
                name => unclear.push(format!("<{name}>")),
            }
        }
        for (case, outcome) in retries::settled(suite, cases) {
            listed.left += u64::from(outcome.is_bad());
            self.case(case, &outcome);
        }
        match Outcome::of_suite(suite) {
            Outcome::Failure if listed.left == 0 => failures = failures.max(1),
            Outcome::Error if listed.left == 0 => errors = errors.max(1),
            Outcome::Unclear(what) if listed.left == 0 => unclear.push(what),
            _ => {}
        }
        // The suite itself failed to start.
        self.totals.failures += failures;
        self.totals.errors += errors;
        self.totals.unclear += unclear.len() as u64;
        let own = failures + errors;
        (listed.bad, listed.left) = (listed.bad + own, listed.left + own + unclear.len() as u64);
        let who =
            || format!("the suite {}", suite.attribute("name").unwrap_or_default()).trim_end().to_owned();
        if own > 0 && self.failing.len() < NAMED {
            self.failing.push(who());
        }
        for what in unclear {
            self.not_understood(&who(), &what);
        }
        self.claims(suite, &listed)?;
        Ok(listed)
    }

    fn case(&mut self, case: Node<'_, '_>, outcome: &Outcome) {
        self.totals.tests += 1;
        match outcome {
            Outcome::Passed => self.totals.passed += 1,
            Outcome::Flaky => {
                self.totals.passed += 1;
                self.totals.flaky += 1;
            }
            Outcome::Skipped => self.totals.skipped += 1,
            Outcome::Failure => self.totals.failures += 1,
            Outcome::Error => self.totals.errors += 1,
            Outcome::Unclear(what) => {
                self.totals.unclear += 1;
                self.not_understood(&name(case), what);
            }
        }
        if matches!(outcome, Outcome::Failure | Outcome::Error) && self.failing.len() < NAMED {
            self.failing.push(name(case));
        }
    }

    fn not_understood(&mut self, who: &str, what: &str) {
        if self.unclear.len() < NAMED {
            self.unclear.push(format!("{who} ({what})"));
        }
    }

    /// Compares the totals that a suite claims with its cases.
    fn claims(&mut self, suite: Node<'_, '_>, listed: &Listed) -> Result<(), String> {
        let claimed = |name: &str| match suite.attribute(name).map(str::trim).filter(|text| !text.is_empty())
        {
            None => Ok(None),
            Some(text) => {
                text.parse::<u64>().map(Some).map_err(|_| format!("`{name}=\"{text}\"` is not a number"))
            }
        };
        let sum = |names: &[&str]| -> u64 {
            names.iter().filter_map(|name| suite.attribute(*name)?.trim().parse::<u64>().ok()).sum()
        };
        let (failures, errors, tests) =
            (claimed("failures")?.unwrap_or(0), claimed("errors")?.unwrap_or(0), claimed("tests")?);
        let who = match suite.attribute("name").filter(|name| !name.is_empty()) {
            Some(name) => format!("suite {name}"),
            None => "the report".to_owned(),
        };
        let errors = if counts::counts_messages_as_errors(suite) { 0 } else { errors };
        let bad = failures.saturating_add(errors).max(sum(UNFINISHED));
        // A test that passed when it was run again has left its failures in the totals.
        if listed.left == 0 && bad > listed.bad {
            self.claims_failures = true;
            self.notes.push(match listed.bad {
                0 if failures + errors > 0 => {
                    format!(
                        "{who} claims {} and {} that no case has",
                        counted(failures, "failure"),
                        counted(errors, "error")
                    )
                }
                0 => format!("{who} claims {} without an end that no case shows", counted(bad, "test")),
                shown => format!("{who} claims {bad} failures and errors and shows {shown}"),
            });
        }
        if let Some(tests) = tests.filter(|tests| *tests != listed.cases) {
            self.notes.push(format!("{who} claims {} and lists {}", counted(tests, "test"), listed.cases));
            let left_out = sum(NOT_RUN).saturating_sub(listed.not_run);
            if tests > listed.cases + left_out && !counts::counts_more_than_cases(suite, tests, listed.cases)
            {
                self.is_cut = true;
            }
        }
        Ok(())
    }
}

/// `1 failure`, `2 failures`.
fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Totals of tests that did not come to an end.
const UNFINISHED: &[&str] = &[
    "aborted",
    "broken",
    "canceled",
    "cancelled",
    "crashed",
    "failed",
    "interrupted",
    "panicked",
    "timedout",
    "timeouts",
    "undefined",
];

/// Totals of tests that were not run. Some producers count them and do not list them.
const NOT_RUN: &[&str] = &["skipped", "skips", "disabled", "ignored", "notrun", "not-run", "pending"];

/// Numbers of the cases in a suite.
#[derive(Debug, Clone, Copy, Default)]
struct Listed {
    /// Its cases, each run of a test by itself.
    cases: u64,
    /// Cases that were not run.
    not_run: u64,
    /// Failures and errors: elements, or cases that have none and did not pass.
    bad: u64,
    /// Cases that did not pass, without those that were run again and passed.
    left: u64,
}

impl Listed {
    fn case(case: Node<'_, '_>, outcome: &Outcome) -> Self {
        let elements =
            case.children().filter(|child| is_named(*child, "failure") || is_named(*child, "error"));
        Self {
            cases: 1,
            not_run: u64::from(*outcome == Outcome::Skipped),
            bad: (elements.count() as u64).max(u64::from(outcome.is_bad())),
            left: 0,
        }
    }
}

impl std::ops::AddAssign for Listed {
    fn add_assign(&mut self, other: Self) {
        self.cases += other.cases;
        self.not_run += other.not_run;
        self.bad += other.bad;
        self.left += other.left;
    }
}

/// Name of a case with its class.
fn name(case: Node<'_, '_>) -> String {
    let part = |name| case.attribute(name).map(str::trim).filter(|text| !text.is_empty());
    let (name, class) = (part("name"), part("classname").or(part("class")).or(part("file")));
    // Some producers write the full name into both attributes.
    let name =
        class.filter(|class| Some(*class) != name).into_iter().chain(name).collect::<Vec<_>>().join(" ");
    if name.is_empty() { "a test without a name".to_owned() } else { name }
}

/// Whether a node is an element of this name, in any namespace.
fn is_named(node: Node<'_, '_>, name: &str) -> bool {
    node.is_element() && node.tag_name().name() == name
}

#[cfg(test)]
mod tests;
