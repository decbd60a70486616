//! What plans mean in steps and in Compose's commands, whole lists at a time.

use std::collections::BTreeSet;

use ghdeploy::apply::engine::{Compose, Engine as _};
use ghdeploy::apply::steps::{Only, Operation, Step, forward, rollback, take_down};
use ghdeploy::plan::ProjectWork;
use ghdeploy::state::container::{Container, ContainerState};

use crate::bench::Projects;

const COMPOSE: &str = "\
x-ghdeploy:
  hooks:
    before: {service: app, run: [./migrate], timeout: 1m}
    after: {service: app, exec: [./warm-cache]}
services:
  app: {build: ./app, image: app:1, volumes: ['./app.conf:/c'], depends_on: {init: {condition: service_completed_successfully}}}
  init: {image: init:1, volumes: ['./init.conf:/c']}
  proxy:
    image: proxy:1
    volumes: ['./proxy.conf:/c']
    x-ghdeploy: {on-change: {signal: SIGHUP}}
  cache: {image: cache:1, volumes: ['./cache.conf:/c'], stop_grace_period: 0s}
  old: {image: old:1}
";

/// The repository that was deployed.
fn repo() -> Projects {
    let file = |name| (name, "1");
    let files =
        ["blog/app.conf", "blog/init.conf", "blog/proxy.conf", "blog/cache.conf", "blog/app/Dockerfile"];
    let files: Vec<(&str, &str)> =
        files.map(file).into_iter().chain([("blog/compose.yml", COMPOSE)]).collect();
    Projects::new(&files)
}

fn container(service: &str, state: ContainerState) -> Container {
    Container {
        id: format!("{service}-id"),
        name: format!("/blog-{service}-1"),
        project: "blog".to_owned(),
        service: service.to_owned(),
        image: format!("sha256:{service}"),
        image_name: format!("{service}:1"),
        state,
        stop_timeout: (service == "cache").then_some(0),
        restart_policy: "always".to_owned(),
        ..Container::default()
    }
}

/// Containers before each of these runs: all run, and `init` has completed.
fn containers() -> Vec<Container> {
    let running = ["app", "proxy", "cache", "old"].map(|service| container(service, ContainerState::Running));
    running.into_iter().chain([container("init", ContainerState::Exited)]).collect()
}

/// Each step with the calls that it makes, one per line.
fn written(steps: &[Step], work: &ProjectWork, before: &[Container]) -> String {
    let mut text = String::new();
    for step in steps {
        let kept = match step.only {
            Only::All => "",
            Only::Kept => ", where the old container is kept",
            Only::Touched => ", where the old container is kept and was touched",
            Only::Unwell => ", where it is not well",
        };
        text += &format!("{step}{kept}; blames {:?}\n", step.blames);
        let services: Vec<&str> = step.services.iter().map(String::as_str).collect();
        for call in Compose.calls(&step.operation, &services, work, before) {
            text += &format!("    {call}\n");
        }
    }
    text
}

#[test]
fn every_kind_of_action_has_its_place_in_the_steps() {
    let repo = repo();
    let host = repo.deployed();
    repo.write("blog/app/Dockerfile", "2").write("blog/proxy.conf", "2").write("blog/cache.conf", "2");
    repo.write("blog/compose.yml", &COMPOSE.replace("  old: {image: old:1}\n", "  new: {image: new:1}\n"));
    let work = repo.plan(&host);
    let (work, before) = (work.project("blog").unwrap(), containers());
    insta::assert_snapshot!(written(&forward(work, &before), work, &before), @"
        clear up after an interrupted recreate; blames Action(0)
        build app; blames Action(0)
            docker compose build app
        hook `before` app; blames Beforehand
            docker compose run --rm -T --no-deps --name blog.app.hook app ./migrate (at most 60 s)
        stop blog-old-1; blames Action(0)
            docker update --restart unless-stopped old-id
            docker stop old-id
        up app, new; blames Action(1)
            docker compose up -d --quiet-pull --remove-orphans=false new
            docker compose up -d --quiet-pull --no-deps --remove-orphans=false app
        restart cache, where the old container is kept; blames Action(3)
            docker compose restart --no-deps --timeout 1 cache
        signal proxy; blames Action(4)
            docker compose kill -s SIGHUP proxy
        wait until healthy; blames Service
        hook `after` app; blames Afterwards
            docker compose exec -T app ./warm-cache (at most 300 s)
        remove old; blames Action(5)
            stop and remove the containers of old
        ");
    insta::assert_snapshot!(written(&rollback(work, &before, &forward(work, &before), &BTreeSet::new()), work, &before), @"
        remove new; blames Afterwards
            stop and remove the containers of new
        restore files; blames Afterwards
        tag app:1; blames Afterwards
            docker tag sha256:app app:1
        tag cache:1; blames Afterwards
            docker tag sha256:cache cache:1
        tag init:1; blames Afterwards
            docker tag sha256:init init:1
        tag old:1; blames Afterwards
            docker tag sha256:old old:1
        tag proxy:1; blames Afterwards
            docker tag sha256:proxy proxy:1
        clear up after an interrupted recreate; blames Afterwards
        start blog-old-1 again; blames Afterwards
            docker update --restart always old-id
            docker stop old-id
            docker start old-id
        up app, cache, proxy; blames Afterwards
            docker compose up -d --no-build --pull never --remove-orphans=false cache proxy
            docker compose up -d --no-build --pull never --no-deps --remove-orphans=false app
        up old; blames Afterwards
            docker compose up -d --no-build --pull never --remove-orphans=false old
        restart cache, proxy, where the old container is kept; blames Afterwards
            docker compose restart --no-deps proxy
            docker compose restart --no-deps --timeout 1 cache
        restart app, where the old container is kept and was touched; blames Afterwards
            docker compose restart --no-deps app
        wait until healthy; blames Afterwards
        ");
}

#[test]
fn a_failure_before_anything_acts_restores_files_and_tags_only() {
    let repo = repo();
    let host = repo.deployed();
    repo.write("blog/app.conf", "2");
    let work = repo.plan(&host);
    let (work, before) = (work.project("blog").unwrap(), containers());
    insta::assert_snapshot!(written(&rollback(work, &before, &[], &BTreeSet::new()), work, &before), @"
        restore files; blames Afterwards
        tag app:1; blames Afterwards
            docker tag sha256:app app:1
        tag cache:1; blames Afterwards
            docker tag sha256:cache cache:1
        tag init:1; blames Afterwards
            docker tag sha256:init init:1
        tag old:1; blames Afterwards
            docker tag sha256:old old:1
        tag proxy:1; blames Afterwards
            docker tag sha256:proxy proxy:1
        ");
}

#[test]
fn what_waits_for_a_one_shot_restarts_after_it() {
    let repo = repo();
    let host = repo.deployed();
    repo.write("blog/init.conf", "2");
    let work = repo.plan(&host);
    let (work, before) = (work.project("blog").unwrap(), containers());
    insta::assert_snapshot!(written(&forward(work, &before), work, &before), @"
        clear up after an interrupted recreate; blames Action(0)
        hook `before` app; blames Beforehand
            docker compose run --rm -T --no-deps --name blog.app.hook app ./migrate (at most 60 s)
        restart init; blames Action(0)
            docker compose restart --no-deps init
        wait until init completes; blames Action(0)
        restart app; blames Action(0)
            docker compose restart --no-deps app
        wait until healthy; blames Service
        hook `after` app; blames Afterwards
            docker compose exec -T app ./warm-cache (at most 300 s)
        ");
}

#[test]
fn a_new_project_is_removed_when_it_fails() {
    let repo = repo();
    let work = repo.plan(&ghdeploy::state::deployed::Deployed::default());
    let work = work.project("blog").unwrap();
    insta::assert_snapshot!(written(&forward(work, &[]), work, &[]), @"
        clear up after an interrupted recreate; blames Action(0)
        build app; blames Action(0)
            docker compose build app
        hook `before` app; blames Beforehand
            docker compose run --rm -T --no-deps --name blog.app.hook app ./migrate (at most 60 s)
        up app, cache, init, old, proxy; blames Action(1)
            docker compose up -d --quiet-pull app cache init old proxy
        wait until healthy; blames Service
        hook `after` app; blames Afterwards
            docker compose exec -T app ./warm-cache (at most 300 s)
        ");
    insta::assert_snapshot!(written(&rollback(work, &[], &forward(work, &[]), &BTreeSet::new()), work, &[]), @"
        remove app; blames Afterwards
            stop and remove the containers of app
        remove cache; blames Afterwards
            stop and remove the containers of cache
        remove init; blames Afterwards
            stop and remove the containers of init
        remove old; blames Afterwards
            stop and remove the containers of old
        remove proxy; blames Afterwards
            stop and remove the containers of proxy
        take down; blames Afterwards
            docker compose down
        restore files; blames Afterwards
        ");
}

#[test]
fn a_project_whose_files_are_gone_already_is_taken_down_by_its_labels() {
    let repo = repo();
    let mut host = repo.deployed();
    repo.remove("blog").write("shop/compose.yml", "services:\n  web: {image: a}\n");
    let work = repo.plan_with(&host, |asked| asked.prune = true);
    let work = work.project("blog").unwrap();
    insta::assert_snapshot!(written(&take_down(work), work, &[]), @"
        take down; blames Action(0)
            docker compose down
        ");
    host.manifests.remove("blog");
    let repo = Projects::new(&[("shop/compose.yml", "services:\n  web: {image: a}\n")]);
    let work = repo.plan_with(&host, |asked| asked.prune = true);
    let work = work.project("blog").unwrap();
    insta::assert_snapshot!(written(&take_down(work), work, &[]), @"
        remove app; blames Action(0)
            stop and remove the containers of app
        remove cache; blames Action(0)
            stop and remove the containers of cache
        remove init; blames Action(0)
            stop and remove the containers of init
        remove old; blames Action(0)
            stop and remove the containers of old
        remove proxy; blames Action(0)
            stop and remove the containers of proxy
        ");
}

/// A project whose database gets another name, and whose hook needs it.
fn renamed_database() -> (Projects, ghdeploy::state::deployed::Deployed) {
    let compose = |database: &str, image: &str| {
        format!(
            "x-ghdeploy: {{hooks: {{before: {{service: app, run: [./migrate]}}}}}}\nservices:\n  app: {{image: '{image}', depends_on: [{database}]}}\n  {database}: {{image: 'db:1', volumes: ['data:/data']}}\nvolumes: {{data: }}\n"
        )
    };
    let repo = Projects::new(&[("blog/compose.yml", &compose("db", "app:1"))]);
    let host = repo.deployed();
    repo.write("blog/compose.yml", &compose("database", "app:2"));
    (repo, host)
}

#[test]
fn what_a_hook_needs_does_not_start_beside_what_it_replaces() {
    let (repo, host) = renamed_database();
    let work = repo.plan(&host);
    let work = work.project("blog").unwrap();
    let before = ["app", "db"].map(|service| container(service, ContainerState::Running));
    let steps = forward(work, &before);
    insta::assert_snapshot!(written(&steps, work, &before), @"
        clear up after an interrupted recreate; blames Action(0)
        stop blog-db-1; blames Action(0)
            docker update --restart unless-stopped db-id
            docker stop db-id
        hook `before` app; blames Beforehand
            docker compose run --rm -T --no-deps --name blog.app.hook app ./migrate (at most 300 s)
        up app, database; blames Action(0)
            docker compose up -d --quiet-pull --remove-orphans=false app database
        wait until healthy; blames Service
        remove db; blames Action(2)
            stop and remove the containers of db
        ");
    // The hook fails: only what was stopped starts again.
    let begun: Vec<Step> = steps.into_iter().take(3).collect();
    insta::assert_snapshot!(written(&rollback(work, &before, &begun, &BTreeSet::new()), work, &before), @"
        remove database; blames Afterwards
            stop and remove the containers of database
        restore files; blames Afterwards
        tag app:1; blames Afterwards
            docker tag sha256:app app:1
        tag db:1; blames Afterwards
            docker tag sha256:db db:1
        start blog-db-1 again; blames Afterwards
            docker update --restart always db-id
            docker stop db-id
            docker start db-id
        wait until healthy; blames Afterwards
        ");
}

#[test]
fn all_containers_of_a_scaled_service_stop_at_once_and_one_that_was_stopped_stays_so() {
    let (repo, host) = renamed_database();
    let work = repo.plan(&host);
    let work = work.project("blog").unwrap();
    let db = |number: usize, state| Container {
        id: format!("db-{number}"),
        name: format!("/blog-db-{number}"),
        ..container("db", state)
    };
    let before = [
        container("app", ContainerState::Running),
        db(1, ContainerState::Running),
        db(2, ContainerState::Running),
        db(3, ContainerState::Exited),
    ];
    let is_about_them = |step: &Step| matches!(step.operation, Operation::Park(_) | Operation::Unpark(_));
    let mut steps = forward(work, &before);
    steps.extend(rollback(work, &before, &forward(work, &before), &BTreeSet::new()));
    steps.retain(is_about_them);
    insta::assert_snapshot!(written(&steps, work, &before), @"
        stop blog-db-1, blog-db-2; blames Action(0)
            docker update --restart unless-stopped db-1 db-2
            docker stop db-1 db-2
        start blog-db-1, blog-db-2 again; blames Afterwards
            docker update --restart always db-1
            docker stop db-1
            docker start db-1
            docker update --restart always db-2
            docker stop db-2
            docker start db-2
        ");
}
