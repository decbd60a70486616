//! The words that all renderers share: for kinds, results, reasons and the state of a host.

use std::fmt::Write as _;

use crate::base::diagnostic::Location;
use crate::compose::model::{HookPhase, ReadMethod};
use crate::images::gate::GateState;
use crate::images::gate::checks::Standing;
use crate::outcome::history::{Release, ReleasedProject};
use crate::outcome::queries::if_host_variables;
use crate::outcome::{ActionResult, HostOutcome, ProjectOutcome, ProjectResult};
use crate::plan::{
    self, Action, ActionKind, DefinitionChange, FileChange, FileChangeKind, Lack, NewPart, ProjectChange,
    Reason, Relation,
};

use super::escape::name;
use crate::base::commit::short;

/// `1 file`, `2 files`.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Shortens the label of a commit to ten digits of it.
pub(super) fn commit(label: &str) -> String {
    name(&short(label)).into_owned()
}

/// The sign of a file's line.
pub(super) fn sign(change: FileChangeKind) -> &'static str {
    match change {
        FileChangeKind::Added => "+",
        FileChangeKind::Modified | FileChangeKind::Mode => "~",
        FileChangeKind::Removed => "-",
        FileChangeKind::Drift | FileChangeKind::Conflict => "!",
    }
}

/// Remark on a file that its sign does not express.
pub(super) fn remark(file: &FileChange) -> Option<&'static str> {
    remark_of(file.change)
}

/// Remark on a change of a file.
pub(super) fn remark_of(change: FileChangeKind) -> Option<&'static str> {
    match change {
        FileChangeKind::Mode => Some("executable bit"),
        FileChangeKind::Drift => Some("drift: changed on the host"),
        FileChangeKind::Conflict => Some("conflict: not managed on the host"),
        FileChangeKind::Added | FileChangeKind::Modified | FileChangeKind::Removed => None,
    }
}

/// Detail of an action: the signal, the command.
pub(super) fn detail(kind: &ActionKind) -> Option<String> {
    match kind {
        ActionKind::Signal { signal } => Some(name(signal).into_owned()),
        ActionKind::Exec { argv } => Some(name(&argv.join(" ")).into_owned()),
        _ => None,
    }
}

/// Service of an action with the action's detail: `proxy (SIGHUP)`.
pub(super) fn subject(action: &Action) -> String {
    let service = action.service.as_deref().map(name).unwrap_or_default();
    match detail(&action.kind) {
        Some(detail) => format!("{service} ({detail})"),
        None => service.into_owned(),
    }
}

/// Formats a place without its column, relative to `folder` if it lies below.
pub(super) fn place(at: &Location, folder: &str) -> String {
    format!("{}:{}", name(below(&at.path, folder)), at.line)
}

/// Returns the part of `path` below `folder`; `path` itself if it is not below.
pub(super) fn below<'a>(path: &'a str, folder: &str) -> &'a str {
    path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path)
}

/// Word for the state of a gate.
pub(super) fn gate_word(gate: GateState) -> &'static str {
    match gate {
        GateState::Open => "open",
        GateState::Closed => "closed",
    }
}

/// Word for the standing of a requirement.
pub(super) fn standing_word(standing: Standing) -> &'static str {
    match standing {
        Standing::Proven => "proven",
        Standing::Pending => "pending",
        Standing::Failed => "failed",
    }
}

/// Word for the time at which a hook runs; its service follows.
pub(super) fn when(when: HookPhase) -> &'static str {
    match when {
        HookPhase::Before => "before",
        HookPhase::After => "after",
    }
}

/// Reason in words: the file, the line that makes the service read it, a note.
pub(super) struct ReasonText {
    /// `services/blog/nginx.conf`, `services/blog/compose.yml:22`; empty if only the note counts.
    pub(super) file: String,
    /// `compose.yml:14`.
    pub(super) by: Option<String>,
    /// `owed since release 7`.
    pub(super) note: Option<String>,
}

/// Note on a cause that the place of its reason does not show.
#[must_use]
pub fn note(cause: &plan::Cause) -> Option<String> {
    Some(match cause {
        plan::Cause::File { unknown } if unknown.is_empty() => return None,
        plan::Cause::File { unknown } => name(&if_host_variables(unknown)).into_owned(),
        plan::Cause::Definition { change } => match change {
            DefinitionChange::Plain => return None,
            DefinitionChange::Unseen => "`up` alone would keep the old container".to_owned(),
            DefinitionChange::Scale => "another number of containers".to_owned(),
            DefinitionChange::Unknown => {
                "recorded by another version of ghdeploy, so Compose decides".to_owned()
            }
            DefinitionChange::ServiceRemoved => "no longer in the compose file".to_owned(),
            DefinitionChange::ProjectRemoved => "no longer in the repository".to_owned(),
        },
        plan::Cause::Image { reference, from, to } => {
            format!("{}: image {} becomes {}", name(reference), image_id(from), image_id(to))
        }
        plan::Cause::New { what: NewPart::Project } => "new project".to_owned(),
        plan::Cause::New { what: NewPart::Service } => "new service".to_owned(),
        plan::Cause::Forced => "--force".to_owned(),
        plan::Cause::Owed { release: Some(release) } => format!("owed since release {release}"),
        plan::Cause::Owed { release: None } => "owed".to_owned(),
        plan::Cause::Follows { service, relation: Relation::WaitsForCompletion } => {
            format!("waits for {}, which runs again", name(service))
        }
        plan::Cause::Follows { service, relation: Relation::RestartsWith } => {
            format!("restarts with {}", name(service))
        }
        plan::Cause::Drift => "changed on the host".to_owned(),
        plan::Cause::Follows { service, relation: Relation::SharesNamespace } => {
            format!("uses a namespace of {}", name(service))
        }
        plan::Cause::Follows { service, relation: Relation::SharesVolumes } => {
            format!("uses the volumes of {}", name(service))
        }
        plan::Cause::TakenOver { from } => format!("started in {}", name(from)),
        plan::Cause::Missing { container } => lack(*container),
    })
}

/// Way in which a container does not run that should.
fn lack(lack: Lack) -> String {
    match lack {
        Lack::Absent => "it has no container".to_owned(),
        Lack::Fewer { wanted, found } => format!("it has {found} of {wanted} containers"),
        Lack::NeverStarted => "its container was never started".to_owned(),
        Lack::StartFailed => "Docker failed to start its container".to_owned(),
        Lack::GaveUp { exit_code } => {
            format!("its container exited with status {exit_code}, and Docker no longer restarts it")
        }
        Lack::Dead => "its container is dead".to_owned(),
        Lack::LostNamespace => "the container whose namespace it uses is gone".to_owned(),
    }
}

/// Shortens an image id to twelve hex digits, as many as Docker shows.
fn image_id(id: &str) -> String {
    let hex = id.rsplit_once(':').map_or(id, |(_, hex)| hex);
    name(&hex.chars().take(12).collect::<String>()).into_owned()
}

/// Puts a reason into words; `folder` is the project's.
pub(super) fn cause(reason: &Reason, folder: &str, verbose: bool) -> ReasonText {
    let path = name(&reason.path);
    let file = match reason.line {
        Some(line) => format!("{path}:{line}"),
        None => path.into_owned(),
    };
    let by = reason.by.as_ref().map(|at| place(at, folder));
    let by = match (reason.how.filter(|_| verbose), by) {
        (Some(how), Some(by)) => Some(format!("{}, {by}", how_word(how))),
        (Some(how), None) => Some(how_word(how).to_owned()),
        (None, by) => by,
    };
    ReasonText { file, by, note: note(&reason.cause) }
}

/// Word for the way in which a file is read.
pub(super) fn how_word(how: ReadMethod) -> &'static str {
    crate::outcome::queries::Reading::from(how).word()
}

/// Word for the change of a project.
pub(super) fn change(change: ProjectChange) -> &'static str {
    match change {
        ProjectChange::Added => "new",
        ProjectChange::Changed => "changed",
        ProjectChange::Removed => "removed",
        ProjectChange::Unchanged => "unchanged",
    }
}

/// Word for the result of an action.
pub(super) fn action_result(result: ActionResult) -> &'static str {
    match result {
        ActionResult::Done => "done",
        ActionResult::Owed => "owed",
        ActionResult::Failed => "failed",
        ActionResult::Skipped => "skipped",
    }
}

/// Words for the result of a project.
pub(super) fn project_result(result: ProjectResult) -> &'static str {
    match result {
        ProjectResult::Unchanged => "unchanged",
        ProjectResult::Done => "done",
        ProjectResult::NothingChanged => "failed, nothing was changed",
        ProjectResult::RolledBack => "failed, rolled back",
        ProjectResult::Interrupted => "stopped in the middle",
        ProjectResult::Unknown => "failed, state unknown: run ghdeploy status",
    }
}

/// Lists the projects of a past release with their results: `blog, shop`, `wiki failed, rolled back`.
pub(super) fn past_projects(release: &Release, shown: impl Fn(&str) -> String) -> Vec<String> {
    let of = |(project, past): (&String, &ReleasedProject)| {
        let word = match (past.result, past.change) {
            (ProjectResult::Done, ProjectChange::Removed) => " taken down",
            (ProjectResult::Done, ProjectChange::Added) => " new",
            (ProjectResult::Done, _) => "",
            (result, _) => return format!("{} {}", shown(project), project_result(result)),
        };
        format!("{}{word}", shown(project))
    };
    release.projects.iter().map(of).collect()
}

/// State of a host after a run, in the manual's words.
pub(super) fn host_state(host: &HostOutcome) -> String {
    if let Some(failure) = &host.failure {
        return failure.state.to_string();
    }
    let with = |result| -> Vec<_> {
        let found = host.projects.iter().filter(|project| project.result == result);
        let shown = |project: &ProjectOutcome| match project.back_to {
            Some(release) if host.release != Some(release) => {
                format!("{} (to release {release})", name(&project.name))
            }
            _ => name(&project.name).to_string(),
        };
        found.map(shown).collect()
    };
    let (unknown, back) = (with(ProjectResult::Unknown), with(ProjectResult::RolledBack));
    let (done, untouched) = (with(ProjectResult::Done), with(ProjectResult::NothingChanged));
    if !unknown.is_empty() {
        return format!("unknown: run ghdeploy status ({})", unknown.join(", "));
    }
    let interrupted = with(ProjectResult::Interrupted);
    if !interrupted.is_empty() {
        return format!("stopped in the middle ({}): run ghdeploy sync to finish", interrupted.join(", "));
    }
    let release = host.release.map(|release| format!("release {release}"));
    let is_back_to_another = |project: &ProjectOutcome| {
        project.result == ProjectResult::RolledBack
            && project.back_to.is_some_and(|release| host.release != Some(release))
    };
    if done.is_empty() && !back.is_empty() && !host.projects.iter().any(is_back_to_another) {
        return match release {
            Some(release) => format!("rolled back to {release}"),
            None => "rolled back; nothing is deployed".to_owned(),
        };
    }
    if done.is_empty() && back.is_empty() && !host.changed {
        return match release {
            Some(release) => format!("nothing was changed ({release})"),
            None => "nothing was changed".to_owned(),
        };
    }
    let mut state = release.unwrap_or_else(|| "no release".to_owned());
    if let Some(back_to) = host.back_to {
        let _ = write!(state, " (a rollback to release {back_to})");
    }
    for (projects, word) in [(back, "rolled back"), (untouched, "nothing was changed")] {
        if !projects.is_empty() {
            let _ = write!(state, "; {word}: {}", projects.join(", "));
        }
    }
    state
}
