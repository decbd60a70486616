//! Runs on several hosts.

use futures_util::future::join_all;
use tokio::sync::{OnceCell, Semaphore};

use super::{Reached, Target};
use crate::base::error::{Error, Exit, HostState, Result};
use crate::outcome::{HostFailure, HostOutcome};
use crate::plan::HostPlan;

/// Runs `one` on each host, in their order, `parallel` of them at a time. With `fail_fast`, hosts on which
/// nothing has begun are left alone once one has failed.
pub async fn on_each(
    targets: &[Target],
    parallel: usize,
    fail_fast: bool,
    one: impl AsyncFn(&Target) -> Result<Reached>,
) -> Vec<Result<Reached>> {
    let turns = Semaphore::new(parallel);
    let failed: OnceCell<(String, Exit)> = OnceCell::new();
    let run = async |target: &Target| {
        let _turn = turns.acquire().await;
        if let Some((name, exit)) = failed.get().filter(|_| fail_fast) {
            let message = format!("skipped: host {name} failed");
            return Err(Error::new(*exit, message).help("--fail-fast asks for that"));
        }
        let result = one(target).await;
        let exit = match &result {
            Ok(Reached::Planned(_)) => Exit::Done,
            Ok(Reached::Applied(outcome)) => outcome.exit(),
            Err(error) => error.exit,
        };
        if exit != Exit::Done {
            // Only the first one counts.
            let _ = failed.set((target.name.clone(), exit));
        }
        result
    };
    join_all(targets.iter().map(run)).await
}

/// The outcome of a host on which nothing was begun.
#[must_use]
pub fn failed_before_start(target: &Target, error: Error) -> HostOutcome {
    HostOutcome {
        name: target.name.clone(),
        release: None,
        back_to: None,
        changed: false,
        notes: Vec::new(),
        networks: Vec::new(),
        removed_images: Vec::new(),
        projects: Vec::new(),
        failure: Some(HostFailure {
            exit: error.exit,
            diagnostics: error.diagnostics,
            state: HostState::Unchanged,
        }),
    }
}

/// The place of a host in a plan of which nothing is known but why.
#[must_use]
pub fn plan_of(outcome: HostOutcome) -> HostPlan {
    let notes = outcome.failure.into_iter().flat_map(|failure| failure.diagnostics).collect();
    HostPlan { name: outcome.name, notes, networks: Vec::new(), projects: Vec::new(), shared: Vec::new() }
}
