//! The gate against generated histories of checks.

use super::*;

/// Job of a generated suite: its name, and its result in each attempt; `None` if the attempt does not run it
/// again.
type Job = (usize, [Option<usize>; 3]);

/// Generated suite: its jobs, whether it is still running, and whether its workflow is known, and with it the
/// series that its run belongs to.
type Suite = (Vec<Job>, bool, Option<Option<usize>>);

const NAMES: [&str; 6] = ["a", "b", "test 1", "test 2", "test [12]", "build"];
const RESULTS: [&str; 6] = ["success", "neutral", "cancelled", "failure", "skipped", "pending"];

/// The suite of the run that judges.
const OWN: u64 = 3;

fn suites() -> impl Strategy<Value = Vec<Suite>> {
    // Mostly successes, so that many a gate opens.
    let result = || proptest::sample::select(vec![0usize, 0, 0, 0, 0, 0, 3, 3, 4, 5]);
    let again = || proptest::option::weighted(0.3, result());
    let job = (0usize..5, result(), again(), again());
    let job = job.prop_map(|(name, first, second, third)| (name, [Some(first), second, third]));
    let workflow = proptest::option::weighted(0.8, proptest::option::weighted(0.8, 0usize..2));
    let is_running = proptest::bool::weighted(0.2);
    proptest::collection::vec((proptest::collection::vec(job, 0..4), is_running, workflow), 4)
}

/// What is true of a job: its name, its suite, how it ended last, and whether it is about to run again.
struct Fact {
    name: &'static str,
    suite: u64,
    says: &'static str,
    is_again: bool,
    shown: Option<String>,
    series: Option<usize>,
}

/// Returns the check runs that GitHub lists for suites, and what is true of their jobs. A suite is run again
/// only after it has ended. Jobs of one attempt start together.
fn history(suites: &[Suite], has_marks: bool) -> (Vec<Check>, Vec<Fact>, BTreeSet<u64>) {
    let (mut checks, mut facts, mut running) = (Vec::new(), Vec::new(), BTreeSet::new());
    let ends = |jobs: &[Job], attempt: usize| jobs.iter().any(|(_, results)| results[attempt] == Some(5));
    let last_of = |jobs: &[Job]| {
        let attempts = (1..=3).find(|attempt| ends(jobs, attempt - 1)).unwrap_or(3);
        let used = |attempt: usize| jobs.iter().any(|(_, results)| results[attempt].is_some());
        (0..attempts).rev().find(|attempt| used(*attempt)).unwrap_or(0)
    };
    let runs = |(jobs, is_running, _): &Suite| *is_running || ends(jobs, last_of(jobs));
    for (suite, generated) in (0u64..).zip(suites) {
        let (jobs, _, known) = generated;
        let (last, is_running, series) = (last_of(jobs), runs(generated), known.flatten());
        if is_running && suite != OWN {
            running.insert(suite);
        }
        let is_newer = |(other, of): (u64, &Suite)| {
            other > suite && other != OWN && runs(of) && of.2.flatten() == series
        };
        let is_followed = series.is_some() && (0u64..).zip(suites).any(is_newer);
        let at = |attempt: usize| 1000 * i64::try_from(attempt).unwrap();
        let workflow = Workflow {
            run: suite,
            name: series.map_or(format!("W{suite}"), |series| format!("S{series}")),
            event: "push".to_owned(),
            series: series.map(|series| series.to_string()),
            is_followed,
            is_first_attempt: last == 0,
            restarted: (is_running && last > 0 && suite != OWN).then(|| at(last)),
        };
        let workflow = known.is_some().then_some(workflow);
        for (attempt, place) in
            (0..=last).flat_map(|attempt| (0..jobs.len()).map(move |place| (attempt, place)))
        {
            let (name, results) = &jobs[place];
            let Some(result) = results[attempt] else { continue };
            let id = suite * 100 + u64::try_from(attempt * 10 + place).unwrap();
            checks.push(Check {
                suite: Some(suite),
                mark: has_marks.then(|| place.to_string()),
                started: Some(at(attempt)),
                completed: (result != 5).then(|| at(attempt) + 10 + i64::try_from(place).unwrap()),
                workflow: workflow.clone(),
                relation: if suite == OWN { Relation::SameRun } else { Relation::Other },
                ..run(NAMES[*name], id, RESULTS[result])
            });
        }
        for (name, results) in jobs {
            let attempt = (0..=last).rev().find(|attempt| results[*attempt].is_some()).unwrap();
            facts.push(Fact {
                name: NAMES[*name],
                suite,
                says: RESULTS[results[attempt].unwrap()],
                is_again: is_followed
                    || (attempt < last && workflow.as_ref().is_some_and(|run| run.restarted.is_some())),
                shown: workflow.as_ref().map(|run| format!("{} / {} (push)", run.name, NAMES[*name])),
                series,
            });
        }
    }
    // What the newest run of a series has replaces what older ones have.
    let newest: Vec<(&str, usize, u64)> =
        facts.iter().filter_map(|fact: &Fact| Some((fact.name, fact.series?, fact.suite))).collect();
    facts.retain(|fact| {
        let is_newer = |(name, series, suite): &(&str, usize, u64)| {
            *name == fact.name && Some(*series) == fact.series && *suite > fact.suite
        };
        !newest.iter().any(is_newer)
    });
    // The job that judges is in progress all the while.
    let own = Check { suite: Some(OWN), relation: Relation::SameJob, ..run("build", 1, "pending") };
    checks.push(own);
    (checks, facts, running)
}

/// Whether a rule is a glob that matches a name.
fn globs(rule: &str, name: &str) -> bool {
    match rule {
        "*" => true,
        "test*" => name.starts_with("test"),
        "test [12]" => name == "test 1" || name == "test 2",
        _ => false,
    }
}

/// Whether no job has a name, and none can come that has it.
fn is_absent(rule: &str, facts: &[Fact], running: &BTreeSet<u64>) -> bool {
    let is_it =
        |fact: &Fact| fact.name == rule || fact.shown.as_deref() == Some(rule) || globs(rule, fact.name);
    running.is_empty() && !facts.iter().any(is_it)
}

/// Whether a requirement is proven by what is true.
fn is_true(rule: &str, facts: &[Fact], running: &BTreeSet<u64>) -> bool {
    let glob = |name: &str| globs(rule, name);
    let mut of: Vec<&Fact> =
        facts.iter().filter(|fact| fact.name == rule || fact.shown.as_deref() == Some(rule)).collect();
    let is_name = !of.is_empty();
    if !is_name {
        of = facts.iter().filter(|fact| glob(fact.name)).collect();
    }
    let may_grow = |fact: &&Fact| fact.suite == OWN || running.contains(&fact.suite);
    let may_be_a_name_to_come = rule == "test [12]" && !running.is_empty();
    !of.is_empty()
        && of.iter().all(|fact| fact.says == "success" && !fact.is_again)
        && (is_name || !(of.iter().any(may_grow) || may_be_a_name_to_come))
}

const RULES: [&str; 9] = ["a", "b", "test 1", "test [12]", "test*", "*", "c", "S1 / a (push)", "build"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, ..ProptestConfig::default() })]

    /// Each job of each suite counts with the result of its last attempt, and with no other.
    #[test]
    fn the_gate_is_open_only_if_the_last_attempt_of_each_required_job_in_each_suite_succeeded(
        suites in suites(),
        required in proptest::collection::vec(0usize..9, 0..2),
        forbidden in proptest::option::weighted(0.3, 0usize..9),
        has_marks in any::<bool>(),
        order in any::<u64>(),
    ) {
        let (mut checks, facts, running) = history(&suites, has_marks);
        // GitHub promises no order.
        checks.sort_by_key(|check| check.id.wrapping_add(1).wrapping_mul(order | 1));
        let mut rules = rules(&required.iter().map(|rule| RULES[*rule]).collect::<Vec<_>>());
        rules.forbid = forbidden.map(|rule| RULES[rule].to_owned()).into_iter().collect();
        let evidence = Evidence { checks, running, ..Evidence::default() };
        let verdict = judge(Some(SHA), &rules, &evidence, &[]);
        let expected = !rules.checks.is_empty()
            && rules.checks.iter().all(|rule| is_true(rule, &facts, &evidence.running))
            && rules.forbid.iter().all(|rule| is_absent(rule, &facts, &evidence.running));
        // Without marks, the later attempt of one of two jobs that have the same name and suite can be
        // either's.
        let is_ambiguous = !has_marks && facts.iter().enumerate().any(|(place, fact)| {
            facts[..place].iter().any(|other| (other.name, other.suite) == (fact.name, fact.suite))
        });
        if is_ambiguous {
            prop_assert!(verdict.gate == Closed || expected, "{:?} {:#?}", rules.checks, evidence);
        } else {
            prop_assert_eq!(verdict.gate == Open, expected, "{:?} {:#?}", rules.checks, evidence);
        }
    }

    /// Of statuses, the newest of each context counts, and none that ghdeploy set.
    #[test]
    fn the_newest_status_of_each_context_counts(
        statuses in proptest::collection::vec((0usize..4, proptest::sample::select(vec![0usize, 0, 0, 3, 5])), 0..8),
    ) {
        let contexts = ["ci/a", "ci/b", "ghdeploy/web", "ghdeploy/db"];
        let checks: Vec<Check> = (0u64..)
            .zip(&statuses)
            .map(|(id, (context, state))| Check {
                is_run: false,
                suite: None,
                app: "status".to_owned(),
                ..run(contexts[*context], id, RESULTS[*state])
            })
            .collect();
        let last = |context: &str| checks.iter().rev().find(|check| check.name == context).map(Check::standing);
        let of = [last("ci/a"), last("ci/b")];
        let expected = of.iter().flatten().all(|standing| *standing == Standing::Proven)
            && of.iter().any(Option::is_some);
        prop_assert_eq!(verdict(&["*"], checks.clone()).gate == Open, expected);
        prop_assert_eq!(verdict(&["ghdeploy/web"], checks).gate, Closed);
    }
}
