//! Replaces a state that is damaged or has vanished by that of the last release.
//!
//! Owns what counts then. Nothing may be deleted or restarted because of what is only guessed, and no number
//! of a release may come twice.

use super::driver::Driver;
use super::releases::{releases, snapshot};
use crate::base::error::Result;
use crate::outcome::history::Release;
use crate::state::deployed::{Deployed, SHARED, STATE_FILE, State, unit};

/// Puts the state of the last release in the place of a damaged one, if the state is among the damaged records.
/// A project whose files are no longer those of that release is recorded without services: what they were
/// started with is unknown.
///
/// # Errors
///
/// When the connection is lost.
pub async fn mend(driver: &Driver, deployed: &mut Deployed) -> Result<()> {
    let Some(index) = deployed.damaged.iter().position(|damage| damage.file == STATE_FILE) else {
        return Ok(());
    };
    let past = releases(driver).await?;
    let mut kept = past.kept;
    kept.sort_unstable();
    let in_history = past.lines.iter().filter_map(|line| Release::from_line(line)).map(|line| line.release);
    let last = in_history.chain(kept.iter().copied()).max();
    if last.is_none() && deployed.damaged[index].is_missing {
        // A first deploy was interrupted before it could record anything.
        deployed.damaged.remove(index);
        return Ok(());
    }
    let mut state = State::default();
    for number in kept.into_iter().rev() {
        let Ok(Some((then, _))) = snapshot(driver, number).await else { continue };
        if then.damaged.iter().any(|damage| damage.file == STATE_FILE) {
            continue;
        }
        let has_changed = |unit: &str| {
            deployed.manifests.get(unit) != then.manifests.get(unit) || deployed.pending.contains_key(unit)
        };
        let has_shared_changed = has_changed(SHARED);
        state = then.state.clone();
        for (name, project) in &mut state.projects {
            if has_shared_changed || has_changed(&unit(name)) {
                project.services.clear();
            }
        }
        deployed.damaged[index].instead = Some(number);
        break;
    }
    state.release = state.release.max(last.unwrap_or(0));
    deployed.state = state;
    Ok(())
}
