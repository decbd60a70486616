//! Files outside the projects' folders: which of them the host has once a plan is carried out.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::manifest::{Entry, Manifest};
use crate::base::path::RootPath;
use crate::state::deployed::{Deployed, ProjectState, SHARED};
use crate::state::wanted::{Wanted, WantedProject, below};

/// The shared files once the plan is carried out: those that no selected project reads stay as they are.
pub(super) fn shared_manifest(
    wanted: &Wanted,
    deployed: &Deployed,
    selected: &[&Arc<WantedProject>],
    all_selected: bool,
) -> Manifest {
    if all_selected {
        return wanted.shared.clone();
    }
    let mut shared = deployed.manifests.get(SHARED).cloned().unwrap_or_default();
    let read = wanted.shared.0.iter().filter(|(path, _)| selected.iter().any(|project| project.reads(path)));
    shared.0.extend(read.map(|(path, entry)| (path.clone(), entry.clone())));
    shared
}

/// Files that are no longer wanted and stay, because a project on the host reads them.
#[derive(Default)]
pub(super) struct KeptFiles<'a> {
    pub(super) files: BTreeMap<RootPath, Entry>,
    /// Folders of the projects of which it is not known what they read.
    pub(super) unknown: Vec<&'a str>,
    /// The number of files that stay only for those.
    pub(super) for_unknown: usize,
}

impl<'a> KeptFiles<'a> {
    /// What stays for `readers`. `files` are those that the host has anyway.
    pub(super) fn new(
        readers: impl Iterator<Item = &'a ProjectState>,
        deployed: &Deployed,
        files: &BTreeMap<&RootPath, &Entry>,
    ) -> Self {
        let mut kept = Self::default();
        let is_free = |path: &RootPath| {
            let is_file_above = |above: RootPath| files.contains_key(&above);
            below(files, path).next().is_none()
                && !std::iter::successors(path.parent(), RootPath::parent).any(is_file_above)
        };
        for reader in readers {
            let Some(reads) = &reader.reads else {
                kept.unknown.push(&reader.path);
                continue;
            };
            for path in reads {
                let there = deployed.manifests.values().flat_map(|manifest| manifest.within(path));
                let there = there.filter(|(path, _)| is_free(path));
                kept.files.extend(there.map(|(path, entry)| (path.clone(), entry.clone())));
            }
        }
        if !kept.unknown.is_empty() {
            let shared = deployed.manifests.get(SHARED).into_iter().flat_map(|manifest| &manifest.0);
            for (path, entry) in shared.filter(|(path, _)| is_free(path)) {
                let is_new = kept.files.insert(path.clone(), entry.clone()).is_none();
                kept.for_unknown += usize::from(is_new);
            }
        }
        kept
    }
}
