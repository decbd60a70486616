//! Putting the files of a unit in place, and restoring those that were there.

use super::failure::Failure;
use crate::base::diagnostic::Diagnostic;
use crate::host::{Command, Driver, Reply};
use crate::outcome::ProjectResult;

/// Puts the files of a unit in place; half a swap is undone. The error comes with what is known of the files
/// then.
pub(super) async fn swap(driver: &Driver, unit: &str) -> Result<(), (Failure, ProjectResult)> {
    swap_and(driver, unit, Vec::new()).await.map(drop)
}

/// Does the same. Once it has succeeded, commands follow, each if those before it have succeeded. Their replies are
/// returned, up to the first that failed.
pub(super) async fn swap_and(
    driver: &Driver,
    unit: &str,
    then: Vec<Command>,
) -> Result<Vec<Reply>, (Failure, ProjectResult)> {
    let commands: Vec<Command> = [Command::Swap(unit.to_owned())].into_iter().chain(then).collect();
    match driver.call_in_turn(&commands).await {
        Ok(replies) => swapped(driver, unit, replies).await,
        Err(error) => Err((error.into(), ProjectResult::Unknown)),
    }
}

/// What the replies to [`swap_and`]'s commands mean. Half a swap is undone.
pub(super) async fn swapped(
    driver: &Driver,
    unit: &str,
    mut replies: Vec<Reply>,
) -> Result<Vec<Reply>, (Failure, ProjectResult)> {
    let swapped = replies.remove(0);
    if swapped.is_ok() {
        return Ok(replies);
    }
    let words = swapped.output.join("; ");
    let failure =
        Failure::new(Diagnostic::error(format!("the files could not be put in place: {words}"), None));
    match restore(driver, unit).await {
        Ok(()) => Err((failure, ProjectResult::NothingChanged)),
        Err(why) => Err((failure.and(Failure::rollback(&why.words())), ProjectResult::Unknown)),
    }
}

/// Restores the files of a unit as they were before its swap.
pub(super) async fn restore(driver: &Driver, unit: &str) -> Result<(), Failure> {
    restore_by(driver, &Command::Restore(unit.to_owned())).await
}

/// Restores the files of a unit as they were when it was well.
pub(super) async fn restore_well(driver: &Driver, unit: &str) -> Result<(), Failure> {
    restore_by(driver, &Command::RestoreWell(unit.to_owned())).await
}

async fn restore_by(driver: &Driver, command: &Command) -> Result<(), Failure> {
    match driver.call(command).await {
        Ok(reply) if reply.is_ok() => Ok(()),
        Ok(reply) => {
            let message = format!("the files could not be restored: {}", reply.output.join("; "));
            Err(Failure::new(Diagnostic::error(message, None)))
        }
        Err(error) => Err(error.into()),
    }
}
