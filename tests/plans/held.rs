//! What a rollback went back from does not come again by itself.

use ghdeploy::compose::Files as _;
use ghdeploy::plan::{self, HostWork, PlanOptions};
use ghdeploy::state::deployed::{Deployed, Held, SHARED, unit};

use crate::bench::{Projects, applied, plan_lines};

const COMPOSE: &str =
    "services:\n  web: {image: a, env_file: ['../shared/x.env'], volumes: ['./conf:/conf']}\n";

fn repo() -> Projects {
    Projects::new(&[("blog/compose.yml", COMPOSE), ("blog/conf/a", "1"), ("shared/x.env", "A=1\n")])
}

/// A host that went back to `good` from what the repository has now.
fn rolled_back(good: Deployed, repo: &Projects) -> Deployed {
    let left = repo.deployed();
    let digest = |unit: &str| left.manifests[unit].digest().as_str().to_owned();
    let held = Held { release: 8, manifest: digest(&unit("blog")), shared: digest(SHARED) };
    let mut host = good;
    host.state.release = 9;
    host.state.projects.get_mut("blog").unwrap().held = Some(held);
    host
}

fn planned(repo: &Projects, host: &Deployed, allow_held: bool) -> HostWork {
    let tree = repo.tree();
    let options = PlanOptions { allow_held, ..PlanOptions::new(&|_| true) };
    plan::host("web", &repo.wanted(), host, &options, &|path| tree.shown(path))
}

const REFUSED: &str =
    "  problem: services/blog was rolled back from release 8, and the repository still has that version";

#[test]
fn what_a_rollback_went_back_from_is_refused_until_it_is_allowed() {
    let repo = repo();
    let good = repo.deployed();
    repo.write("blog/conf/a", "2");
    let host = rolled_back(good, &repo);
    let work = planned(&repo, &host, false);
    assert_eq!(plan_lines(&work).last().unwrap(), REFUSED);
    let work = planned(&repo, &host, true);
    assert_eq!(
        plan_lines(&work),
        ["blog changed", "  modified blog/conf/a", "  restart web: blog/conf/a bind@2"]
    );
    assert_eq!(applied(&work, &host).state.projects["blog"].held, None);
}

#[test]
fn a_project_that_changed_after_a_rollback_is_deployed() {
    let repo = repo();
    let good = repo.deployed();
    repo.write("blog/conf/a", "2");
    let host = rolled_back(good, &repo);
    repo.write("blog/conf/a", "3");
    assert_eq!(
        plan_lines(&planned(&repo, &host, false)),
        ["blog changed", "  modified blog/conf/a", "  restart web: blog/conf/a bind@2"]
    );
}

#[test]
fn a_rolled_back_project_is_refused_for_its_own_files_whatever_became_of_the_shared_ones() {
    let repo = repo();
    let good = repo.deployed();
    repo.write("blog/conf/a", "2");
    let host = rolled_back(good, &repo);
    repo.write("shared/x.env", "A=3\n");
    assert_eq!(plan_lines(&planned(&repo, &host, false)).last().unwrap(), REFUSED);
}

#[test]
fn a_rollback_of_shared_files_alone_holds_those() {
    let repo = repo();
    let good = repo.deployed();
    repo.write("shared/x.env", "A=2\n");
    let host = rolled_back(good, &repo);
    assert_eq!(plan_lines(&planned(&repo, &host, false)).last().unwrap(), REFUSED);
    repo.write("shared/x.env", "A=3\n");
    assert_eq!(
        plan_lines(&planned(&repo, &host, false)),
        ["blog changed", "  modified shared/x.env", "  up web: shared/x.env envfile@2"]
    );
}

#[test]
fn a_host_that_is_as_wanted_has_nothing_to_refuse() {
    let repo = repo();
    let host = rolled_back(repo.deployed(), &repo);
    assert_eq!(plan_lines(&planned(&repo, &host, false)), Vec::<String>::new());
}
