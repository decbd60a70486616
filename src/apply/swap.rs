//! Putting the files of a unit in place, and restoring those that were there.

use super::failure::Failure;
use crate::base::diagnostic::Diagnostic;
use crate::host::{Command, Driver};
use crate::outcome::ProjectResult;

/// Puts the files of a unit in place; half a swap is undone. The error comes with what is known of the files
/// then.
pub(super) async fn swap(driver: &Driver, unit: &str) -> Result<(), (Failure, ProjectResult)> {
    let failure = match driver.call(&Command::Swap(unit.to_owned())).await {
        Ok(reply) if reply.is_ok() => return Ok(()),
        Ok(reply) => Failure::new(Diagnostic::error(
            format!("the files could not be put in place: {}", reply.output.join("; ")),
            None,
        )),
        Err(error) => return Err((error.into(), ProjectResult::Unknown)),
    };
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
