//! What is wanted, once it is known what Compose reads on the host beside managed files.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::error::Result;
use crate::base::path::RootPath;
use crate::host::Driver;
use crate::host::facts::{HostOnlyAnswer, host_only};
use crate::state::deployed::Deployed;
use crate::state::host_only::EnvFile;
use crate::state::question::HostOnlyQuestion;
use crate::state::wanted::Wanted;

/// How often the settings of a `.env` may lead to a further `.env`. Compose itself reads two.
const MAX_ROUNDS: usize = 4;

/// Settings of a host: the assignments of Compose's own variables in each `.env` that only it has.
pub(super) type Settings = BTreeMap<RootPath, Arc<[u8]>>;

/// Adds an answer to what is known of a host. A managed file is not the host's own: the plan removes it if it
/// is not wanted.
pub(super) fn learn(deployed: &mut Deployed, answer: HostOnlyAnswer) {
    let HostOnlyAnswer { mut host_only, found } = answer;
    let is_managed = |path: &RootPath| {
        let mut manifests = deployed.manifests.values().chain(deployed.pending.values());
        manifests.any(|manifest| manifest.get(path).is_some())
    };
    host_only.settings.retain(|path, _| !is_managed(path));
    host_only.variables.retain(|path, _| !is_managed(path));
    host_only.compose_files.retain(|path| !is_managed(path));
    for (path, file) in &mut host_only.env_files {
        if RootPath::new(path).is_ok_and(|path| is_managed(&path)) {
            *file = EnvFile::Missing;
        }
    }
    let found: Vec<_> =
        found.into_iter().filter(|(path, _)| host_only.compose_files.contains(path)).collect();
    deployed.found.extend(found);
    deployed.host_only.extend(host_only);
}

/// Returns what is wanted with the settings of the host. `wanted` was read without them, and `question` was
/// asked for it; `read` reads the tree with settings.
pub(super) async fn settle(
    driver: &Driver,
    deployed: &mut Deployed,
    mut question: HostOnlyQuestion,
    mut wanted: Wanted,
    read: impl AsyncFn(&Settings) -> Result<Wanted>,
) -> Result<Wanted> {
    let mut known = Settings::new();
    for _ in 0..MAX_ROUNDS {
        if deployed.host_only.settings == known {
            break;
        }
        known.clone_from(&deployed.host_only.settings);
        wanted = read(&known).await?;
        let more = HostOnlyQuestion::of(&wanted).beyond(&question);
        learn(deployed, host_only(driver, &more).await?);
        question.extend(more);
    }
    Ok(wanted)
}
