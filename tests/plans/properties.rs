//! Properties of every pair of trees, whatever happened on the host in between.

use std::collections::BTreeSet;

use ghdeploy::plan::{ActionKind, FileChangeKind, HostWork};
use ghdeploy::state::deployed::{Deployed, Found, SHARED, unit};
use ghdeploy::state::wanted::Wanted;
use proptest::prelude::*;

use crate::bench::{Projects, applied, changed, found, path};

/// Files that come and go, besides the compose files.
const FILES: [&str; 8] =
    ["a/conf/x", "a/conf/sub/y", "a/one", "a/README.md", "b/conf/x", "b/env", "shared/s", "shared/t"];

/// A tree: the content of each file (0 means absent), and the variant of the compose files.
#[derive(Debug, Clone)]
struct Draft {
    files: [u8; 8],
    compose: [u8; 2],
}

fn draft() -> impl Strategy<Value = Draft> {
    (prop::array::uniform8(0u8..4), prop::array::uniform2(0u8..3))
        .prop_map(|(files, compose)| Draft { files, compose })
}

impl Draft {
    fn repo(&self) -> Projects {
        let reaction = ["restart", "{signal: HUP}", "none"];
        let a = format!(
            "services:\n  web:\n    image: web:{}\n    volumes: [./conf:/conf, ./one:/one]\n    x-ghdeploy: {{paths: {{one: {}}}}}\n  plain:\n    image: p\n    volumes: ['../shared/s:/s']\n",
            self.compose[0],
            reaction[usize::from(self.compose[0])]
        );
        let b = format!(
            "services:\n  app:\n    image: app:{}\n    env_file: [{{path: env, required: false}}]\n    volumes: [./conf:/conf, ../shared:/shared]\n",
            self.compose[1]
        );
        let repo = Projects::new(&[("a/compose.yml", &a), ("b/compose.yml", &b)]);
        for (file, content) in FILES.iter().zip(self.files).filter(|(_, content)| *content > 0) {
            repo.write(file, &format!("KEY={content}\n"));
        }
        repo
    }
}

/// Edits of files on the host since their deploy: none, changed, removed.
fn meddle(host: &mut Deployed, what: &[u8; 8]) {
    for (file, what) in FILES.iter().zip(what) {
        let is_managed = host.manifests.values().any(|manifest| manifest.get(&path(file)).is_some());
        match what {
            1 if is_managed => drop(host.found.insert(path(file), found("by hand\n"))),
            2 if is_managed => drop(host.found.insert(path(file), Found::Missing)),
            _ => {}
        }
    }
}

fn is_as_wanted(work: &HostWork, host: &Deployed, wanted: &Wanted) -> Result<(), TestCaseError> {
    for project in &wanted.projects {
        prop_assert_eq!(changed(work, host, &unit(&project.name)), project.manifest.clone());
    }
    prop_assert_eq!(changed(work, host, SHARED), wanted.shared.clone());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_makes_the_host_as_wanted_and_then_there_is_nothing_to_do(before in draft(), after in draft(), hands in prop::array::uniform8(0u8..3)) {
        let mut host = before.repo().deployed();
        meddle(&mut host, &hands);
        let repo = after.repo();
        let work = repo.plan(&host);
        prop_assert_eq!(&work.plan(), &repo.plan(&host).plan(), "the same facts make the same plan");
        is_as_wanted(&work, &host, &repo.wanted())?;
        let second = repo.plan(&applied(&work, &host));
        prop_assert!(second.is_idle(), "{:?}", crate::bench::plan_lines(&second));
    }

    #[test]
    fn equal_trees_owe_nothing(draft in draft()) {
        let repo = draft.repo();
        prop_assert!(repo.plan(&repo.deployed()).is_idle());
    }

    #[test]
    fn a_service_acts_exactly_if_it_reads_a_changed_file(before in draft(), after in draft()) {
        let host = before.repo().deployed();
        let repo = after.repo();
        let wanted = repo.wanted();
        let work = repo.plan(&host);
        for project in &wanted.projects {
            let plan = work.projects.iter().map(|work| &work.plan).find(|plan| plan.name == project.name).unwrap();
            let compose = plan.files.iter().any(|file| file.path.ends_with("compose.yml"));
            let acting: BTreeSet<&str> = plan.actions.iter().filter_map(|action| action.service.as_deref()).collect();
            for (name, service) in &project.model.services {
                let inputs: Vec<_> = plan.files.iter().filter(|file| service.reads.iter().any(|read| read.how.is_input() && read.covers(&file.at))).collect();
                let definition = compose || plan.files.iter().any(|file| service.reads.iter().any(|read| !read.how.is_input() && read.covers(&file.at)));
                if acting.contains(name.as_str()) {
                    prop_assert!(!inputs.is_empty() || definition, "{name} acts for nothing");
                } else {
                    prop_assert!(inputs.is_empty(), "{name} misses a change");
                }
            }
            for action in &plan.actions {
                prop_assert!(!action.reasons.is_empty());
                let starts = matches!(action.kind, ActionKind::Up | ActionKind::Recreate | ActionKind::Restart);
                let same = plan.actions.iter().filter(|other| other.service == action.service).count();
                prop_assert!(!starts || same == 1, "one start is enough: {:?}", plan.actions);
            }
        }
        prop_assert!(work.projects.iter().map(|work| &work.plan).flat_map(|plan| &plan.files).all(|file| file.change != FileChangeKind::Conflict && file.change != FileChangeKind::Drift));
    }

    #[test]
    fn syncing_project_by_project_has_the_same_result(before in draft(), after in draft()) {
        let host = before.repo().deployed();
        let repo = after.repo();
        let at_once = applied(&repo.plan(&host), &host);
        let a = applied(&repo.plan_with(&host, |asked| asked.projects = vec!["a"]), &host);
        let both = applied(&repo.plan_with(&a, |asked| asked.projects = vec!["b"]), &a);
        // A file that no project reads any more is removed only if all projects are selected.
        let both = applied(&repo.plan(&both), &both);
        prop_assert_eq!(&both.manifests, &at_once.manifests);
        for (name, state) in &both.state.projects {
            prop_assert_eq!(&state.services, &at_once.state.projects[name].services);
        }
    }
}
