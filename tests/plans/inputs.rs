//! Which properties of a file make it another input of a service.

use std::sync::Arc;

use ghdeploy::state::deployed::Deployed;

use crate::bench::{Projects, path, plan_lines};

const COMPOSE: &str = "\
services:
  web:
    image: a
    volumes: ['./conf:/conf', './one:/one']
  app:
    build: ./app
";

fn repo() -> Projects {
    Projects::new(&[
        ("blog/compose.yml", COMPOSE),
        ("blog/conf/run.sh", "1"),
        ("blog/one", "1"),
        ("blog/app/Dockerfile", "FROM scratch\n"),
    ])
}

#[test]
fn the_executable_bit_of_an_input_is_part_of_it() {
    let repo = repo();
    let host = repo.deployed();
    repo.make_executable("blog/conf/run.sh");
    assert_eq!(
        plan_lines(&repo.plan(&host)),
        ["blog changed", "  mode blog/conf/run.sh", "  restart web: blog/conf/run.sh bind@4"]
    );
    repo.make_executable("blog/app/Dockerfile");
    let lines = plan_lines(&repo.plan(&host));
    assert!(lines.contains(&"  build app: blog/app/Dockerfile build@6".to_owned()), "{lines:?}");
}

#[test]
fn of_the_permissions_of_an_input_only_the_executable_bit_counts() {
    let repo = repo();
    let mut wanted = repo.wanted();
    let manifest = &mut Arc::make_mut(&mut wanted.projects[0]).manifest;
    manifest.0.get_mut(&path("blog/conf/run.sh")).unwrap().mode = 0o600;
    assert_eq!(
        plan_lines(&repo.plan(&Deployed::from_wanted(&wanted))),
        ["blog changed", "  mode blog/conf/run.sh"]
    );
}

#[test]
fn a_folder_that_is_built_and_mounted_is_both() {
    let compose = "services:\n  app: {build: ./app, volumes: ['./app:/app']}\n";
    let repo = Projects::new(&[("blog/compose.yml", compose), ("blog/app/Dockerfile", "FROM scratch\n")]);
    let state = || repo.deployed().state.projects["blog"].services["app"].clone();
    let before = state();
    repo.write("blog/app/Dockerfile", "FROM other\n");
    let after = state();
    assert!(before.build != after.build && before.inputs != after.inputs);
    assert_eq!(before.inputs.keys().collect::<Vec<_>>(), ["all", "restart"]);
}
