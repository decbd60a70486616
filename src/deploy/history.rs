//! The releases of a host, and which of them can be gone back to.

use super::{Access, Session};
use crate::base::error::Result;
use crate::host::Transport;
use crate::host::releases::releases;
use crate::outcome::history::Release;
use crate::outcome::queries::PastRelease;

/// The releases of a host, newest first.
///
/// # Errors
///
/// When the host is not reached.
pub async fn history(session: &Session<'_>, transport: &dyn Transport) -> Result<Vec<PastRelease>> {
    let driver = session.start(transport).await?;
    session.open(&driver, Access::Read).await?;
    let found = releases(&driver).await?;
    driver.end().await;
    let past = found.lines.iter().rev().filter_map(|line| Release::from_line(line));
    Ok(past.map(|release| PastRelease { is_kept: found.kept.contains(&release.release), release }).collect())
}
