//! What the records say while services act: a run that is cut off then must not hide what it left half way.

use std::collections::BTreeMap;

use ghdeploy::plan::{Action, ActionKind, HostWork, while_acting};
use ghdeploy::state::deployed::{Deployed, ProjectState, ServiceState};

use crate::bench::{Projects, applied, plan_lines};

/// The host after a run that swapped files in and was cut off while services acted.
fn interrupted(work: &HostWork, host: &Deployed) -> Deployed {
    let mut after = applied(work, host);
    let of = work.project("blog").unwrap();
    let record = while_acting(of.recorded.as_ref().unwrap(), &of.state, &of.plan.actions);
    after.state.projects.insert("blog".to_owned(), record);
    after
}

/// What acts when the repository goes back to what it was, after a run for `change` was cut off.
fn owed_after(compose: &str, change: impl FnOnce(&Projects)) -> Vec<String> {
    let files =
        [("blog/compose.yml", compose), ("blog/conf/a", "1"), ("blog/app/Dockerfile", "FROM scratch\n")];
    let repo = Projects::new(&files);
    let host = repo.deployed();
    change(&repo);
    let host = interrupted(&repo.plan(&host), &host);
    for (path, content) in files {
        repo.write(path, content);
    }
    let actions = plan_lines(&repo.plan(&host));
    let actions = actions.iter().filter(|line| line.contains(": "));
    actions.map(|line| line.split(':').next().unwrap_or_default().trim().to_owned()).collect()
}

fn compose(settings: &str) -> String {
    format!(
        "services:\n  web: {{image: 'a:1', volumes: ['./conf:/conf'], x-ghdeploy: {settings}}}\n  other: {{image: b}}\n  app: {{build: ./app}}\n"
    )
}

#[test]
fn an_action_that_was_cut_off_is_owed_also_when_its_cause_is_taken_back() {
    for (settings, owed) in [
        ("{}", &["restart web"][..]),
        ("{on-change: {signal: HUP}}", &["signal web"]),
        ("{on-change: {exec: [reload]}}", &["exec web"]),
        ("{on-change: none}", &[]),
    ] {
        let found = owed_after(&compose(settings), |repo| {
            repo.write("blog/conf/a", "2");
        });
        assert_eq!(found, owed, "{settings}");
    }
    let text = compose("{}");
    let redefined = |repo: &Projects| {
        repo.write("blog/compose.yml", &text.replace("a:1", "a:2"));
    };
    assert_eq!(owed_after(&text, redefined), ["up web"]);
    let built = |repo: &Projects| {
        repo.write("blog/app/Dockerfile", "FROM other\n");
    };
    assert_eq!(owed_after(&text, built), ["build app", "up app"]);
}

fn record(unhashed: &str) -> ProjectState {
    let inputs = ["restart", "none", "all"].map(|key| (key.to_owned(), "input".to_owned()));
    let service = ServiceState {
        definition: "definition".to_owned(),
        unhashed: Some(unhashed.to_owned()),
        build: Some("build".to_owned()),
        inputs: BTreeMap::from(inputs),
        ..ServiceState::default()
    };
    let services = ["web", "other"].map(|name| (name.to_owned(), service.clone()));
    ProjectState { services: BTreeMap::from(services), ..ProjectState::default() }
}

/// What of the record of `web` stays as it was: definition, what is unhashed, build, inputs. That of `other`
/// does.
fn kept(kind: ActionKind, wanted: &str) -> (bool, bool, bool, bool) {
    let before = record("unhashed");
    let action = Action { kind, service: Some("web".to_owned()), reasons: Vec::new() };
    let after = while_acting(&before, &record(wanted), &[action]);
    assert_eq!(after.services["other"], before.services["other"]);
    let (before, after) = (&before.services["web"], &after.services["web"]);
    (
        before.definition == after.definition,
        before.unhashed == after.unhashed,
        before.build == after.build,
        before.inputs == after.inputs,
    )
}

#[test]
fn an_action_invalidates_what_it_brings_and_nothing_else() {
    assert_eq!(kept(ActionKind::Up, "unhashed"), (false, true, true, false));
    assert_eq!(kept(ActionKind::Up, "another"), (false, false, true, false));
    assert_eq!(kept(ActionKind::Recreate, "unhashed"), (false, false, true, false));
    assert_eq!(kept(ActionKind::Restart, "unhashed"), (true, true, true, false));
    assert_eq!(kept(ActionKind::Build, "unhashed"), (true, true, false, true));
    assert_eq!(kept(ActionKind::None, "another"), (true, true, true, true));
    assert_eq!(kept(ActionKind::Remove, "unhashed"), (false, true, true, false));
}

#[test]
fn taking_a_project_down_concerns_all_its_services() {
    let before = record("unhashed");
    let down = Action { kind: ActionKind::Down, service: None, reasons: Vec::new() };
    let after = while_acting(&before, &record("unhashed"), &[down]);
    assert!(after.services.values().all(|service| service.definition != "definition"));
}
