//! What `sync` and `rollback` have in common: who deploys, how a host is approached, and how a plan is
//! carried out while signals may come.

use std::future::Future;
use std::time::Duration;

use serde_json::json;

use super::Context;
use super::hosts::Target;
use crate::apply::stop::{Stop, Urgency};
use crate::apply::{Settings, Task, apply};
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Exit, HostState, Result};
use crate::host::Transport;
use crate::outcome::event::{Event, Observer};
use crate::outcome::{HostFailure, HostOutcome};
use crate::plan::HostPlan;

/// How long to wait before the next try when a host is not reached: a server that restarts its sshd, or has
/// too many logins at a time, is back within seconds, and whoever waits for us does not notice more.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// How far a run on one host has come.
pub(super) enum Reached {
    /// It was only to be planned.
    Planned(HostPlan),
    /// It was carried out, well or not.
    Applied(HostOutcome),
}

/// Does `once` with a way to the host. As long as that fails for a reason that passes, before anything was
/// changed, it is tried again.
///
/// # Errors
///
/// What `once` failed with last, or that somebody wanted an end.
pub(super) async fn with_host<'t, T>(
    context: &Context,
    target: &'t Target,
    observer: &dyn Observer,
    stop: &Stop,
    once: impl AsyncFn(&dyn Transport) -> Result<T>,
) -> Result<T> {
    observer.on(Event::Started { host: target.name.clone() });
    let mut pauses = PAUSES.into_iter();
    loop {
        let transport = target.transport(context);
        let result = once(&*transport).await;
        transport.close().await;
        let error = match result {
            Err(error) if error.is_transient && !stop.is_wanted() => error,
            result => return result,
        };
        let Some(pause) = pauses.next() else { return Err(error) };
        observer.on(Event::Note {
            host: target.name.clone(),
            text: format!("{error}; trying again in {} s", pause.as_secs()),
        });
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.wanted(Urgency::InOrder) => return Err(Error::stopped()),
        }
    }
}

/// The result of what changes nothing, unless somebody wants it to end before.
///
/// # Errors
///
/// As `looking` does, or that somebody wanted an end.
pub(super) async fn unless_stopped<T>(stop: &Stop, looking: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        result = looking => result,
        () = stop.wanted(Urgency::InOrder) => Err(Error::stopped()),
    }
}

/// Carries a plan out. Who wants it to end at once gets it so: what is under way on the host goes on.
pub(super) async fn carry_out(task: Task<'_>) -> HostOutcome {
    let (stop, plan, release) = (task.stop.clone(), &task.work.plan, task.deployed.state.release);
    tokio::select! {
        outcome = apply(task) => outcome,
        () = stop.wanted(Urgency::AtOnce) => {
            let diagnostic = Diagnostic::error("stopped at once by a second signal, in the middle of a step", None)
                .help("the step goes on on the host and holds the lock until it is through; then run `ghdeploy sync`");
            HostOutcome {
                name: plan.name.clone(),
                release: Some(release).filter(|release| *release > 0),
                back_to: None,
                changed: true,
                notes: plan.notes.clone(),
                projects: Vec::new(),
                failure: Some(HostFailure {
                    exit: Exit::NeedsLook,
                    diagnostics: vec![diagnostic],
                    state: HostState::Unknown,
                }),
            }
        }
    }
}

/// The outcome on a host on which nothing was begun.
pub(super) fn not_begun(target: &Target, exit: Exit, diagnostics: Vec<Diagnostic>) -> HostOutcome {
    HostOutcome {
        name: target.name.clone(),
        release: None,
        back_to: None,
        changed: false,
        notes: Vec::new(),
        projects: Vec::new(),
        failure: Some(HostFailure { exit, diagnostics, state: HostState::Unchanged }),
    }
}

/// How a plan is carried out.
pub(super) fn settings(context: &Context, no_restart: bool) -> Settings {
    let health = &context.config.health;
    Settings {
        no_restart,
        health_timeout: health.timeout,
        stable_for: health.stable_for,
        log_lines: health.log_lines,
        keep: context.config.keep,
        back_to: None,
        require_tested: context.config.gate.require_tested,
        newest: None,
        at: now(),
        actor: actor(context),
        run_url: run_url(context),
    }
}

/// Who holds the lock from now on, for those who wait for it.
pub(super) fn holder(context: &Context, commit: Option<&str>) -> String {
    let (actor, run) = (actor(context), run_url(context));
    json!({"actor": actor, "commit": commit, "run": run, "since": now(), "pid": std::process::id()})
        .to_string()
}

/// The present time, RFC 3339 in UTC, to the second.
pub(super) fn now() -> String {
    let now = jiff::Timestamp::now();
    now.round(jiff::Unit::Second).unwrap_or(now).to_string()
}

/// Who deploys: the actor of the workflow, or the user of this machine.
pub(super) fn actor(context: &Context) -> Option<String> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let run = context.workflow.as_ref();
    run.and_then(|run| run.actor.clone()).or_else(|| variable("USER")).or_else(|| variable("LOGNAME"))
}

/// The page of the workflow run.
pub(super) fn run_url(context: &Context) -> Option<String> {
    context.workflow.as_ref()?.url()
}
