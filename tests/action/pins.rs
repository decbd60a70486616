//! The versions of other actions, and of this one, that the workflows and the README name.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::Value;

use crate::{files, read};

/// The first major version of each of GitHub's actions that runs on Node 24. [Runners lose Node 20 in September
/// 2026](https://github.blog/changelog/2025-09-19-deprecation-of-node-20-on-github-actions-runners/).
const NODE_24: [(&str, u32); 6] = [
    ("actions/attest", 3),
    ("actions/cache", 5),
    ("actions/checkout", 5),
    ("actions/download-artifact", 7),
    ("actions/github-script", 8),
    ("actions/upload-artifact", 6),
];

/// An action and the version of it that a file names.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Use {
    /// `OWNER/NAME`.
    action: String,
    commit: String,
    /// The comment after it.
    version: String,
}

/// What the workflows, the action and the README use, except for files of the same repository.
fn uses() -> Vec<Use> {
    let mut paths = files(".github/workflows");
    paths.extend(["action.yml".to_owned(), "README.md".to_owned()]);
    let mut found = Vec::new();
    for path in paths {
        let text = read(&path);
        let named =
            text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses: "));
        for named in named.filter(|named| !named.starts_with("./")) {
            let (name, commit) = named.split_once('@').unwrap_or_else(|| panic!("{path}: {named}"));
            let (commit, version) = commit.split_once(" # ").unwrap_or_else(|| panic!("{path}: {named}"));
            // A workflow that is called has another commit than the action that it uses.
            let parts = if name.contains("/.github/workflows/") { 4 } else { 2 };
            let action = name.split('/').take(parts).collect::<Vec<_>>().join("/");
            found.push(Use { action, commit: commit.to_owned(), version: version.to_owned() });
        }
    }
    assert!(found.len() > 10, "{found:?}");
    found
}

#[test]
fn every_action_is_pinned_by_one_commit_with_its_version() {
    let mut versions: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    for Use { action, commit, version } in uses() {
        assert!(
            commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{action}@{commit}"
        );
        let numbers = version.strip_prefix('v').unwrap_or_default().split('.');
        assert_eq!(numbers.filter(|number| number.parse::<u32>().is_ok()).count(), 3, "{action}: {version}");
        versions.entry(action).or_default().insert((commit, version));
    }
    for (action, versions) in versions {
        assert_eq!(versions.len(), 1, "{action} has several versions: {versions:?}");
    }
}

#[test]
fn no_action_needs_a_node_that_runners_no_longer_have() {
    for Use { action, version, .. } in uses().into_iter().filter(|used| !used.action.starts_with("ghdeploy/"))
    {
        let first = NODE_24.iter().find(|(name, _)| *name == action);
        let (_, first) = first.unwrap_or_else(|| panic!("{action}: which of its versions runs on Node 24?"));
        let major: u32 = version[1..].split('.').next().unwrap().parse().unwrap();
        assert!(major >= *first, "{action} {version} runs on Node 20");
    }
}

#[test]
fn the_workflows_and_the_readme_name_what_the_last_release_made() {
    let output = std::process::Command::new(format!("{}/.github/release.sh", crate::TOP))
        .arg("pins")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Between two releases, the workflows run the last one: an input that only main has would be ignored, with a
/// warning.
#[test]
fn the_workflows_pass_only_inputs_that_the_pinned_action_has() {
    let inputs = |action: &str| {
        let action: Value = serde_yaml::from_str(action).unwrap();
        let inputs = action["inputs"].as_mapping().unwrap().keys();
        inputs.map(|name| name.as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    let mut steps = 0;
    for path in files(".github/workflows") {
        let workflow: Value = serde_yaml::from_str(&read(&path)).unwrap();
        for (_, job) in workflow["jobs"].as_mapping().unwrap() {
            for step in job["steps"].as_sequence().into_iter().flatten() {
                let uses = step["uses"].as_str().unwrap_or_default();
                let Some(commit) = uses.strip_prefix("ghdeploy/ghdeploy@") else { continue };
                let show = ["-C", crate::TOP, "show", &format!("{commit}:action.yml")];
                let shown = std::process::Command::new("git").args(show).output().unwrap();
                assert!(shown.status.success(), "{path}: {uses} is not in this clone");
                let has = inputs(&String::from_utf8(shown.stdout).unwrap());
                for input in step["with"].as_mapping().into_iter().flat_map(|with| with.keys()) {
                    let input = input.as_str().unwrap();
                    assert!(has.contains(input), "{path}: `{input}` is no input of the action at {commit}");
                }
                steps += 1;
            }
        }
    }
    assert!(steps > 3);
}
