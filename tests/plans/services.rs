//! Plans in which only some services of a project take part.

use ghdeploy::plan::{ActionKind, HostWork};
use ghdeploy::state::deployed::Deployed;

use crate::bench::{Projects, plan_lines, project};

/// Actions that stay owed: `up worker`.
fn owed(work: &HostWork, name: &str) -> Vec<String> {
    let owed = project(work, name).owed.iter();
    owed.map(|action| format!("{} {}", action.kind.word(), action.service.as_deref().unwrap_or("-")))
        .collect()
}

/// Actions that are carried out.
fn actions(work: &HostWork, name: &str) -> Vec<String> {
    let actions = project(work, name).actions.iter();
    actions
        .map(|action| format!("{} {}", action.kind.word(), action.service.as_deref().unwrap_or("-")))
        .collect()
}

fn notes(work: &HostWork) -> Vec<String> {
    work.notes
        .iter()
        .map(|note| format!("{} ({})", note.message, note.help.as_deref().unwrap_or("-")))
        .collect()
}

/// The host after the work was carried out.
fn after(repo: &Projects, work: &HostWork) -> Deployed {
    let mut deployed = repo.deployed();
    for work in &work.projects {
        deployed.state.projects.insert(work.name().to_owned(), work.state.clone());
    }
    deployed
}

#[test]
fn the_files_of_a_project_go_as_a_whole_and_the_other_services_stay_owed() {
    let compose = |image: &str| {
        format!(
            "services:\n  web: {{image: {image}, volumes: ['./conf:/conf']}}\n  worker: {{image: {image}}}\n  cron: {{image: c, volumes: ['./conf:/conf']}}\n  idle: {{image: x}}\n"
        )
    };
    let repo = Projects::new(&[
        ("app/compose.yml", &compose("a")),
        ("app/conf", "1"),
        ("blog/compose.yml", &compose("a")),
        ("blog/conf", "1"),
    ]);
    let deployed = repo.deployed();
    repo.write("app/compose.yml", &compose("b")).write("app/conf", "2");
    let work = repo.plan_with(&deployed, |asked| asked.services = vec![("app", "web")]);
    assert_eq!(actions(&work, "app"), ["up web"]);
    assert_eq!(owed(&work, "app"), ["up worker", "restart cron"]);
    assert_eq!(project(&work, "app").files.len(), 2);
    assert_eq!(
        notes(&work),
        [
            "app: `cron`, `worker` stay as before, and the next sync owes what changes for it (`ghdeploy sync app` does the rest)"
        ]
    );
    // The next run owes exactly that.
    let next = repo.plan(&after(&repo, &work));
    assert_eq!(actions(&next, "app"), ["up worker", "restart cron"]);
    // And one that asks for the same has nothing to do.
    let again = repo.plan_with(&after(&repo, &work), |asked| asked.services = vec![("app", "web")]);
    assert!(again.is_idle() && plan_lines(&again).is_empty(), "{:?}", plan_lines(&again));
    assert_eq!(owed(&again, "app").len(), 2);
}

#[test]
fn what_a_service_needs_and_what_follows_it_go_along() {
    let compose = |image: &str| {
        format!(
            "services:\n  web: {{image: {image}, depends_on: [db]}}\n  db: {{image: {image}, depends_on: [disk]}}\n  disk: {{image: {image}}}\n  \
             side: {{image: s, network_mode: 'service:web'}}\n  worker: {{image: {image}, depends_on: [web]}}\n"
        )
    };
    let repo = Projects::new(&[("app/compose.yml", &compose("a"))]);
    let deployed = repo.deployed();
    repo.write("app/compose.yml", &compose("b"));
    let of = |service| {
        let work = repo.plan_with(&deployed, |asked| asked.services = vec![("app", service)]);
        (actions(&work, "app"), owed(&work, "app"))
    };
    let (now, later) = of("web");
    assert_eq!(later, ["up worker"], "{now:?}");
    assert_eq!(now.len(), 4, "{now:?}");
    assert_eq!(of("disk").0, ["up disk"]);
}

#[test]
fn force_recreates_the_named_service_alone() {
    let compose = "services:\n  web: {image: a, depends_on: [db]}\n  db: {image: b}\n  worker: {image: c}\n";
    let repo = Projects::new(&[("app/compose.yml", compose)]);
    let work = repo.plan_with(&repo.deployed(), |asked| {
        asked.force = true;
        asked.services = vec![("app", "web")];
    });
    assert_eq!((actions(&work, "app"), owed(&work, "app")), (vec!["recreate web".to_owned()], Vec::new()));
}

#[test]
fn a_new_project_starts_with_the_named_service() {
    let compose = "services:\n  web: {image: a, depends_on: [db]}\n  db: {image: b}\n  worker: {image: c}\n";
    let repo = Projects::new(&[("app/compose.yml", compose)]);
    let work = repo.plan_with(&Deployed::default(), |asked| asked.services = vec![("app", "web")]);
    assert_eq!(
        (actions(&work, "app"), owed(&work, "app")),
        (vec!["up db".to_owned(), "up web".to_owned()], vec!["up worker".to_owned()])
    );
    assert_eq!(work.projects[0].state.services.keys().collect::<Vec<_>>(), ["db", "web"]);
}

#[test]
fn a_removed_service_goes_with_a_new_one_or_by_its_name() {
    let repo = Projects::new(&[("app/compose.yml", "services:\n  old: {image: a}\n  web: {image: w}\n")]);
    let deployed = repo.deployed();
    repo.write("app/compose.yml", "services:\n  new: {image: a}\n  web: {image: x}\n");
    let of = |service| {
        let work = repo.plan_with(&deployed, |asked| asked.services = vec![("app", service)]);
        (actions(&work, "app"), owed(&work, "app"), work.projects[0].state.services.contains_key("old"))
    };
    assert_eq!(
        of("web"),
        (vec!["up web".to_owned()], vec!["up new".to_owned(), "remove old".to_owned()], true)
    );
    assert_eq!(
        of("new"),
        (vec!["up new".to_owned(), "remove old".to_owned()], vec!["up web".to_owned()], false)
    );
    assert_eq!(of("old").0, ["remove old"]);
}

#[test]
fn a_project_that_has_gone_is_not_taken_down_for_one_service() {
    let repo = Projects::new(&[
        ("app/compose.yml", "services:\n  web: {image: a}\n"),
        ("blog/compose.yml", "services: {web: {image: a}}\n"),
    ]);
    let deployed = repo.deployed();
    std::fs::remove_dir_all(repo.top().join("services/app")).unwrap();
    let work = repo.plan_with(&deployed, |asked| {
        asked.prune = true;
        asked.services = vec![("app", "web")];
    });
    assert!(work.project("app").is_none(), "{:?}", plan_lines(&work));
    let all = repo.plan_with(&deployed, |asked| asked.prune = true);
    assert!(project(&all, "app").actions.iter().any(|action| action.kind == ActionKind::Down));
}

#[test]
fn hooks_run_with_their_service_alone() {
    let compose = |image: &str| {
        format!(
            "x-ghdeploy:\n  hooks: {{before: [{{service: web, run: [a]}}, {{service: worker, run: [b]}}]}}\nservices:\n  web: {{image: {image}}}\n  worker: {{image: {image}}}\n"
        )
    };
    let repo = Projects::new(&[("app/compose.yml", &compose("a"))]);
    let deployed = repo.deployed();
    repo.write("app/compose.yml", &compose("b"));
    let work = repo.plan_with(&deployed, |asked| asked.services = vec![("app", "worker")]);
    let hooks: Vec<&str> =
        project(&work, "app").hooks.iter().map(|hook| hook.service.as_deref().unwrap()).collect();
    assert_eq!(hooks, ["worker"]);
}
