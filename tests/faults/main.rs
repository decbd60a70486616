//! Kills real syncs, against a real sshd and a real Compose, at random points and in random processes. After
//! the next sync, which starts at once, the host must match: files, containers, processes, the lock. If the
//! version was a bad one, the host must be what it was before.
//!
//! `FAULTS_RUNS` is the number of killed syncs (16), `FAULTS_SEED` selects other ones. A failure prints the
//! seed that repeats it. A soak: `FAULTS_RUNS=400 cargo test --test faults`.
#![expect(clippy::unwrap_used, reason = "in a test bed that cannot be made, a panic is the message")]

#[path = "../support/bed/mod.rs"]
mod bed;
mod kill;
#[path = "../support/mod.rs"]
mod support;
mod watch;
mod world;

use kill::Kill;
use support::random::Random;
use world::World;

/// Number of beds at a time: a run waits most of its time.
const BEDS: usize = 2;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// Result of one bed.
#[derive(Debug, Default)]
struct Score {
    runs: usize,
    kills: usize,
    violations: Vec<String>,
}

#[test]
fn whatever_is_killed_the_next_sync_makes_the_host_match() {
    let (runs, seed) = (setting("FAULTS_RUNS", 16), setting("FAULTS_SEED", 1));
    let scores: Vec<Score> = std::thread::scope(|scope| {
        let beds: Vec<_> = (0..BEDS)
            .map(|bed| {
                let share = usize::try_from(runs).unwrap().div_ceil(BEDS);
                scope.spawn(move || bed_of_faults(seed * 1000 + bed as u64, share))
            })
            .collect();
        beds.into_iter().map(|bed| bed.join().unwrap()).collect()
    });
    let sum = |of: fn(&Score) -> usize| scores.iter().map(of).sum::<usize>();
    let violations: Vec<&String> = scores.iter().flat_map(|score| &score.violations).collect();
    eprint(&format!(
        "{} runs, {} kills, {} violations",
        sum(|score| score.runs),
        sum(|score| score.kills),
        violations.len()
    ));
    assert!(violations.is_empty(), "{violations:#?}");
    assert!(sum(|score| score.kills) * 2 > sum(|score| score.runs), "hardly anything was killed");
}

/// Kills syncs in one bed, one after the other.
fn bed_of_faults(seed: u64, runs: usize) -> Score {
    let mut random = Random::new(seed);
    let mut world = World::new(&format!("faults{seed}"));
    let mut score = Score::default();
    for run in 0..runs {
        let kill = Kill::any(&mut random, &world);
        let is_bad = random.below(3) == 0;
        let wanted = if is_bad { world.wanted.bad(&mut random) } else { world.wanted.change(&mut random) };
        let before = std::mem::replace(&mut world.wanted, wanted);
        world.write();
        let killed = world.killed(&kill);
        score.runs += 1;
        score.kills += usize::from(killed);
        let mut wrong = Vec::new();
        if is_bad {
            // The next sync wants the same bad version or another one, and may be killed itself.
            if random.below(3) == 0 {
                let again = Kill::any(&mut random, &world);
                score.runs += 1;
                score.kills += usize::from(world.killed(&again));
            }
            if random.below(2) == 0 {
                world.wanted = before.bad(&mut random);
                world.write();
            }
            wrong.extend(world.fail_back(&before));
        }
        // The next sync wants the same, something newer, or the state before.
        let next = match random.below(3) {
            0 if !is_bad => "the same",
            1 => {
                let from = if is_bad { &before } else { &world.wanted };
                world.wanted = from.change(&mut random);
                "a newer one"
            }
            _ => {
                world.wanted = before;
                "the one before"
            }
        };
        world.write();
        wrong.extend(world.converge());
        let what = if is_bad { "a bad version" } else { "a good version" };
        let place =
            format!("FAULTS_SEED={} bed {seed} run {run}: {what}, {kill:?}, then {next}", seed / 1000);
        score.violations.extend(wrong.into_iter().map(|what| format!("{place}: {what}")));
    }
    score
}

#[expect(clippy::print_stderr, reason = "the figures are what the soak is for")]
fn eprint(text: &str) {
    eprintln!("{text}");
}
