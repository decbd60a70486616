//! Images that must have been tested: none is built on the host, and each needs a name at a registry.

use ghdeploy::compose::Files as _;
use ghdeploy::plan::{self, HostWork, PlanOptions};
use ghdeploy::state::deployed::Deployed;

use crate::bench::{Projects, plan_lines};

const COMPOSE: &str = "\
services:
  built: {build: ., image: 'registry.test/blog:1'}
  nameless: {build: .}
  unknown: {build: ., image: 'registry.test/blog:${TAG}'}
  pulled: {image: nginx}
";

fn repo() -> Projects {
    Projects::new(&[("blog/compose.yml", COMPOSE), ("blog/Dockerfile", "FROM scratch\n")])
}

fn planned(repo: &Projects, host: &Deployed, require_tested: bool) -> HostWork {
    let tree = repo.tree();
    let options = PlanOptions { require_tested, ..PlanOptions::new(&|_| true) };
    plan::host("web", &repo.wanted(), host, &options, &|path| tree.shown(path))
}

fn problems(work: &HostWork) -> Vec<String> {
    plan_lines(work)
        .into_iter()
        .filter_map(|line| line.strip_prefix("  problem: ").map(str::to_owned))
        .collect()
}

fn kinds(work: &HostWork, word: &str) -> usize {
    plan_lines(work).iter().filter(|line| line.starts_with(&format!("  {word} "))).count()
}

#[test]
fn a_built_service_without_a_certain_image_of_a_registry_cannot_be_tested() {
    let repo = repo();
    let work = planned(&repo, &Deployed::default(), true);
    let names: Vec<bool> = ["`nameless`", "`unknown`"]
        .iter()
        .zip(problems(&work))
        .map(|(name, problem)| problem.contains(name))
        .collect();
    assert_eq!(names, [true, true], "{:?}", problems(&work));
    assert_eq!(problems(&work).len(), 2);
    assert_eq!(problems(&planned(&repo, &Deployed::default(), false)), Vec::<String>::new());
}

#[test]
fn where_images_must_be_tested_none_is_built_on_the_host() {
    let repo = repo();
    let work = planned(&repo, &Deployed::default(), true);
    assert_eq!((kinds(&work, "build"), kinds(&work, "up")), (0, 4));
    let work = planned(&repo, &Deployed::default(), false);
    assert_eq!((kinds(&work, "build"), kinds(&work, "up")), (3, 4));
}

#[test]
fn only_services_that_act_need_a_tested_image() {
    let repo = repo();
    let host = repo.deployed();
    assert_eq!(problems(&planned(&repo, &host, true)), Vec::<String>::new());
    repo.write("blog/compose.yml", &COMPOSE.replace("image: nginx", "image: 'nginx:2'"));
    repo.write("blog/.dockerignore", "*\n");
    let host = repo.deployed();
    repo.write("blog/compose.yml", COMPOSE);
    let work = planned(&repo, &host, true);
    assert_eq!((problems(&work), kinds(&work, "up")), (Vec::new(), 1));
}
