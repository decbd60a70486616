//! Which properties of a file make it another input of a service.

use crate::bench::{Repo, told};

const COMPOSE: &str = "\
services:
  web:
    image: a
    volumes: ['./conf:/conf', './one:/one']
  app:
    build: ./app
";

fn repo() -> Repo {
    Repo::new(&[
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
        told(&repo.plan(&host)),
        ["blog changed", "  mode blog/conf/run.sh", "  restart web: blog/conf/run.sh bind@4"]
    );
    repo.make_executable("blog/app/Dockerfile");
    let lines = told(&repo.plan(&host));
    assert!(lines.contains(&"  build app: blog/app/Dockerfile build@6".to_owned()), "{lines:?}");
}
