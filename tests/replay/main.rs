//! Replays a history commit by commit: compares `plan --base A --head B` with `docker compose config` of
//! both.
//!
//! The history starts with `services/` and [`history::MORE`] and continues with random, realistic edits; two others
//! start with projects that are laid out in other ways. The
//! expected actions follow from Compose's own resolved configuration before and after, and from the files
//! that it names. The compose reader has no part in that. Needs `docker compose`, but no daemon.
//!
//! `REPLAY_COMMITS` sets the length, `REPLAY_SEED` the random numbers, `REPLAY_TREE` another tree to start
//! from.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod history;
mod oracle;
#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use history::History;
use oracle::Oracle;
use support::program;
use support::random::Random;

/// Kinds of actions by project and service.
type Actions = BTreeMap<(String, String), BTreeSet<String>>;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn every_commit_acts_on_the_services_that_compose_would_change() {
    replay(History::start(), number("REPLAY_COMMITS", 60), 5);
}

#[test]
fn links_overlays_a_shared_env_file_and_a_shared_name_mean_what_they_mean_to_compose() {
    replay(History::layouts(), number("REPLAY_COMMITS", 60) / 2, 3);
}

#[test]
fn a_compose_file_with_parts_is_what_it_is_to_compose() {
    replay(History::top_file(), number("REPLAY_COMMITS", 60) / 2, 0);
}

/// Compares each of `commits` random commits. Compose has to accept more than `accepted` projects in each, on
/// average.
fn replay(mut history: History, commits: u64, accepted: u64) {
    let seed = number("REPLAY_SEED", 1);
    let mut random = Random::new(seed);
    let mut oracle = Oracle::default();
    let mut before = oracle.projects(&history);
    let (mut differences, mut compared, mut acting) = (Vec::new(), 0, 0);
    for commit in 1..=commits {
        let edits = history.edit(&mut random);
        let after = oracle.projects(&history);
        let (wanted, known) = oracle::actions(&before, &after);
        let said = planned(&history, &known);
        compared += known.len();
        acting += wanted.len();
        for key in wanted.keys().chain(said.keys()).collect::<BTreeSet<_>>() {
            let (wanted, said) = (wanted.get(key), said.get(key));
            if wanted != said {
                differences.push(format!(
                    "seed {seed}, commit {commit} ({}): {}/{}: Compose {wanted:?}, plan {said:?}",
                    edits.join("; "),
                    key.0,
                    key.1
                ));
            }
        }
        before = after;
    }
    assert!(differences.is_empty(), "{}\nhistory in {}", differences.join("\n"), history.keep().display());
    assert!(compared as u64 > commits * accepted, "Compose accepted too few of the projects: {compared}");
    assert!(acting as u64 > commits / 2, "too few services had to act: {acting}");
}

/// Returns the planned actions for the projects that Compose accepts before and after the last commit.
fn planned(history: &History, known: &BTreeSet<String>) -> Actions {
    let mut command = program::ghdeploy(history.top(), history.top());
    command.args(["plan", "--base", "HEAD~1", "--head", "HEAD", "--format", "json", "--root"]);
    let output = program::run(command.arg(history.top().join("services")));
    assert!(matches!(output.code, Some(0 | 2)), "{}", output.all());
    let plan = output.json();
    let mut actions = Actions::new();
    for project in plan["hosts"][0]["projects"].as_array().unwrap() {
        let name = project["name"].as_str().unwrap();
        if !known.contains(name) {
            continue;
        }
        assert!(project.get("problems").is_none(), "{name}: {}", project["problems"]);
        for action in project["actions"].as_array().unwrap() {
            let kind = match action["kind"].as_str().unwrap() {
                // Another test covers which of these a service asks for.
                "restart" | "signal" | "exec" | "none" => "content",
                kind => kind,
            };
            let service = action["service"].as_str().unwrap().to_owned();
            actions.entry((name.to_owned(), service)).or_default().insert(kind.to_owned());
        }
    }
    actions
}
