//! What a version wanted of its host, from what the host has kept of it: without the repository.

use tokio::sync::Mutex;

use super::host_only::Settings;
use crate::base::error::{Error, Result};
use crate::base::path::RootPath;
use crate::host::Driver;
use crate::host::releases::{KeptContent, contents};
use crate::state::deployed::{Deployed, ProjectState};
use crate::state::wanted::Wanted;
use crate::tree::release::{Contents, ReleaseTree};
use crate::tree::{self, OnHost};

/// Size of the largest file that is read to understand a project, in bytes.
const MAX_BYTES: u64 = crate::compose::MAX_BYTES as u64;

/// How many files of projects may name further ones, each in another: Compose's `include` and `extends` are
/// seldom nested at all.
const MAX_ROUNDS: usize = 50;

/// What the version in these records wanted of the host. Its files are read as they are needed to know.
/// `known` holds the content of files that were read before; `host` are the settings of the host, and what
/// that version wanted without them. The inner error is a file whose content is no longer on the host.
///
/// # Errors
///
/// When the connection is lost, or the records hold something that no sync puts on a host.
pub(super) async fn kept(
    driver: &Driver,
    past: &Deployed,
    root: &str,
    known: &Mutex<Contents>,
    host: Option<(&Settings, &Wanted)>,
) -> Result<std::result::Result<Wanted, RootPath>> {
    let mut known = known.lock().await;
    for _ in 0..MAX_ROUNDS {
        let missing = {
            let tree = ReleaseTree::new(past, &known)?;
            let wanted = match host {
                None => tree::read(&tree, tree.layout(), root, &|_, _| true),
                Some((settings, before)) => {
                    let with = OnHost::new(&tree).settings(settings, before);
                    tree::read(&with, tree.layout(), root, &|_, _| true)
                }
            };
            let missing = tree.missing();
            if missing.is_empty() {
                return wanted.map(Ok);
            }
            missing
        };
        let wants = missing.iter().map(|(digest, path)| (Some(digest.clone()), path.clone())).collect();
        let found = contents(driver, wants, MAX_BYTES).await?;
        for ((digest, path), content) in missing.into_iter().zip(found) {
            let KeptContent::Bytes(bytes) = content else { return Ok(Err(path)) };
            known.insert(digest, bytes);
        }
    }
    Err(Error::unforeseen("the projects of that release name too many files, each in another"))
}

/// Where a path lies in the repository, as far as the records show.
pub(super) fn shown(past: &Deployed, deployed: &Deployed, path: &RootPath) -> String {
    let all = past.state.projects.values().chain(deployed.state.projects.values());
    let within =
        |project: &ProjectState| Some(format!("{}/{}", project.path, path.relative_to(&project.dir)?));
    all.clone()
        .find_map(within)
        .or_else(|| {
            let prefix = all.clone().find_map(|project| project.path.strip_suffix(project.dir.as_str()))?;
            Some(format!("{prefix}{path}"))
        })
        .unwrap_or_else(|| path.to_string())
}
