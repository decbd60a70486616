//! One test case: whether it passed.
//!
//! Owns the words of the producers. A case passed only if everything in it is known to say so or to say
//! nothing about its result. An unknown element or an unknown word is never taken for a pass. Pure.

use roxmltree::Node;

use super::is_named;

/// Result of a test case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It passed.
    Passed,
    /// It passed only when it was run again.
    Flaky,
    /// It was not run.
    Skipped,
    /// An assertion did not hold.
    Failure,
    /// It ended with an error.
    Error,
    /// The report does not show that it passed: what was not understood.
    Unclear(String),
}

/// Elements that say nothing about a result.
const HARMLESS: &[&str] = &[
    "properties",
    "property",
    "system-out",
    "system-err",
    "stdout",
    "stderr",
    "output",
    "log",
    "logs",
    "attachments",
    "attachment",
    "screenshots",
    "screenshot",
    "description",
    "comment",
    "metadata",
    "tags",
    "labels",
    "categories",
    "traits",
    "requirements",
    "performance",
    "measurements",
    "benchmark",
];

/// Elements of a test that passed.
const PASSED: &[&str] = &["passed", "pass", "success"];

/// Elements of a test that failed first and passed when it was run again (Surefire, Gradle, nextest).
const FLAKY: &[&str] = &["flakyFailure", "flakyError"];

/// Elements of a test that was not run: `ignored` is TestNG's, `omitted` is test-unit's.
const SKIPPED: &[&str] = &["skipped", "skip", "ignored", "disabled", "pending", "notrun", "omitted"];

/// Elements of a test that failed.
const FAILURE: &[&str] = &["failure", "failed", "fail"];
const ERROR: &[&str] = &["error", "errored"];

/// Attributes that hold a word for the result. Most producers use an element, some only an attribute: CTest,
/// googletest, behave, Ginkgo, Katalon and others.
const RESULTS: &[&str] = &["status", "result", "outcome", "state", "verdict"];

/// Words of a test that passed, in small letters, without spaces and hyphens. `run` and `completed` are those
/// of googletest, CTest and Catch2, `fixed` is Jenkins', `bpass` is Qt's.
const PASSED_WORDS: &[&str] =
    &["passed", "pass", "success", "successful", "succeeded", "ok", "run", "completed", "fixed", "bpass"];

/// Words of a test that was not run. A test that was expected to fail, and did, counts among them.
const SKIPPED_WORDS: &[&str] = &[
    "skipped",
    "skip",
    "disabled",
    "notrun",
    "notexecuted",
    "suppressed",
    "ignored",
    "ignore",
    "pending",
    "todo",
    "excluded",
    "xfail",
    "xfailed",
];

/// Words of a test that was not run if an element says so, too: behave's for what a dry run leaves out, JUnit
/// 5's for a failed assumption.
const MARKED_WORDS: &[&str] = &["untested", "aborted", "inconclusive"];

const FAILURE_WORDS: &[&str] =
    &["fail", "failed", "failing", "failure", "failures", "broken", "timeout", "regression"];
const ERROR_WORDS: &[&str] = &["error", "errored", "errors", "crash", "crashed"];

/// Attributes that are true, or a number above zero, for a test that did not pass.
const FLAGS: &[(&str, Outcome)] = &[
    ("failed", Outcome::Failure),
    ("failures", Outcome::Failure),
    ("errors", Outcome::Error),
    ("skipped", Outcome::Skipped),
    ("ignored", Outcome::Skipped),
    ("disabled", Outcome::Skipped),
];

/// The same of tests that ended in a way which no other attribute tells.
const UNFINISHED: &[&str] =
    &["incomplete", "aborted", "crashed", "canceled", "cancelled", "interrupted", "timedout"];

/// Attributes that are false for a test that did not pass, or, `executed`, was not run.
const CONDITIONS: &[(&str, Outcome)] =
    &[("success", Outcome::Failure), ("passed", Outcome::Failure), ("executed", Outcome::Skipped)];

impl Outcome {
    /// Reads the outcome of a test case: the worst that an element or an attribute says.
    pub(super) fn of(case: Node<'_, '_>) -> Self {
        let elements = || case.children().filter(Node::is_element);
        let is_marked = elements().any(|child| SKIPPED.contains(&child.tag_name().name()));
        let said = elements().map(|child| of_element(case, child));
        said.chain(of_words(case, RESULTS, is_marked))
            .chain(of_flags(case))
            .chain(elements().any(|child| is_lost(case, child)).then_some(Self::Error))
            .max_by_key(Self::weight)
            .unwrap_or(Self::Passed)
    }

    /// Reads what the attributes of a suite say about the suite itself.
    pub(super) fn of_suite(suite: Node<'_, '_>) -> Self {
        of_words(suite, &["status", "result"], false)
            .chain(of_condition(suite, "success", &Self::Failure))
            .max_by_key(Self::weight)
            .unwrap_or(Self::Passed)
    }

    /// Order of the outcomes: of several that a report names for one test, the highest counts.
    fn weight(&self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Flaky => 1,
            Self::Skipped => 2,
            Self::Unclear(_) => 3,
            Self::Failure => 4,
            Self::Error => 5,
        }
    }

    /// Whether it is neither a pass nor a skip.
    pub(super) fn is_bad(&self) -> bool {
        matches!(self, Self::Failure | Self::Error | Self::Unclear(_))
    }

    /// Whether the test passed.
    pub(super) fn is_passed(&self) -> bool {
        matches!(self, Self::Passed | Self::Flaky)
    }
}

/// Whether an element says nothing about a result.
pub(super) fn is_harmless(name: &str) -> bool {
    HARMLESS.contains(&name)
}

fn of_element(case: Node<'_, '_>, child: Node<'_, '_>) -> Outcome {
    let name = child.tag_name().name();
    match name {
        _ if is_harmless(name) || PASSED.contains(&name) => Outcome::Passed,
        _ if FLAKY.contains(&name) => Outcome::Flaky,
        _ if SKIPPED.contains(&name) => Outcome::Skipped,
        _ if FAILURE.contains(&name) => Outcome::Failure,
        _ if ERROR.contains(&name) => Outcome::Error,
        // PHPUnit warns about tests that ran and about some that cannot run. Only the former have assertions.
        "warning" if truth(case.attribute("assertions")) == Some(true) => Outcome::Passed,
        // This includes `rerunFailure` without the failure that it belongs to.
        _ => Outcome::Unclear(format!("<{name}>")),
    }
}

/// What the attributes of these names say; `is_marked` if an element says that the test was not run.
fn of_words(
    node: Node<'_, '_>,
    names: &'static [&'static str],
    is_marked: bool,
) -> impl Iterator<Item = Outcome> {
    let values = names.iter().filter_map(move |name| Some((name, node.attribute(*name)?.trim())));
    values.filter(|(_, value)| !value.is_empty()).map(move |(name, value)| {
        let word: String = value.to_lowercase().chars().filter(|c| !" _-".contains(*c)).collect();
        match word.as_str() {
            word if PASSED_WORDS.contains(&word) => Outcome::Passed,
            word if SKIPPED_WORDS.contains(&word) => Outcome::Skipped,
            word if is_marked && MARKED_WORDS.contains(&word) => Outcome::Skipped,
            word if FAILURE_WORDS.contains(&word) => Outcome::Failure,
            word if ERROR_WORDS.contains(&word) => Outcome::Error,
            _ => Outcome::Unclear(format!("{name}=\"{}\"", value.chars().take(40).collect::<String>())),
        }
    })
}

fn of_flags(case: Node<'_, '_>) -> impl Iterator<Item = Outcome> {
    let is_true = move |name: &str| truth(case.attribute(name)) == Some(true);
    let flags = FLAGS.iter().filter(move |(name, _)| is_true(name)).map(|(_, outcome)| outcome.clone());
    let unfinished = UNFINISHED.iter().filter(move |name| is_true(name));
    let conditions = CONDITIONS.iter().flat_map(move |(name, outcome)| of_condition(case, name, outcome));
    flags.chain(unfinished.map(|name| Outcome::Unclear((*name).to_owned()))).chain(conditions)
}

fn of_condition(node: Node<'_, '_>, name: &str, otherwise: &Outcome) -> Option<Outcome> {
    (truth(node.attribute(name)) == Some(false)).then(|| otherwise.clone())
}

/// Reads a truth value or a number; `None` without one.
fn truth(value: Option<&str>) -> Option<bool> {
    let value = value?.trim().to_ascii_lowercase();
    match value.as_str() {
        "" => None,
        "false" | "no" | "none" => Some(false),
        number => Some(number.parse() != Ok(0.0)),
    }
}

/// Whether a test that is marked as not run should have been run.
fn is_lost(case: Node<'_, '_>, child: Node<'_, '_>) -> bool {
    if !is_named(child, "skipped") {
        return false;
    }
    let reason = child.attribute("message").unwrap_or_default().trim();
    // nose2 marks a test as skipped that was expected to fail and passed. Other producers name the type of a
    // skip, so that no reason of a person is taken for this one.
    let is_unexpected = reason == "test passes unexpectedly" && child.attribute("type").is_none();
    // CTest marks a test as skipped, and fails, if its program is missing or its fixture failed. An intended
    // skip has a reason that begins with SKIP_. googletest and absl have the same status, beside a `result`;
    // and CTest alone writes the name twice.
    let is_of_ctest = case.attribute("result").is_none()
        && case.attribute("classname").is_none_or(|class| Some(class) == case.attribute("name"));
    let is_not_run = case.attribute("status").is_some_and(|status| status.eq_ignore_ascii_case("notrun"));
    is_unexpected || (is_not_run && is_of_ctest && !reason.is_empty() && !reason.starts_with("SKIP_"))
}
