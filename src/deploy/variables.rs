//! Finds the variables that a host lacks, without planning anything.

use std::sync::Arc;

use super::host_only::{learn, settle};
use super::{Target, Worktree};
use crate::base::diagnostic::Diagnostic;
use crate::base::error::Result;
use crate::host::Driver;
use crate::host::facts::host_only;
use crate::plan::unset;
use crate::state::deployed::Deployed;
use crate::state::question::HostOnlyQuestion;
use crate::state::wanted::WantedProject;

/// The projects that need variables which the host does not define, each with what is missing. `deployed` is what is
/// known of the host.
///
/// # Errors
///
/// When the tree cannot be read, or the connection is lost.
pub async fn unset_variables(
    driver: &Driver,
    worktree: &Worktree,
    target: &Target,
    mut deployed: Deployed,
) -> Result<Vec<(String, Diagnostic)>> {
    let (_, wanted) = worktree.wanted(target).await?;
    let question = HostOnlyQuestion::of(&wanted);
    learn(&mut deployed, host_only(driver, &question).await?);
    let read = async |settings: &_| worktree.wanted_with(target, settings, &wanted).await;
    let wanted = settle(driver, &mut deployed, question, wanted.clone(), read).await?;
    let of = |project: &Arc<WantedProject>| {
        Some((project.name.clone(), unset(&project.model, &deployed, &target.root)?))
    };
    Ok(wanted.projects.iter().filter_map(of).collect())
}
