//! Plans between two commits of a repository with a submodule.

use crate::support::program::{self, Output};
use crate::support::repo::Repo;

/// A project of which two services read the submodule `theme`, one of them a single file.
const COMPOSE: &str = "\
services:
  web: {image: a, volumes: ['./theme/web.conf:/web.conf']}
  app: {build: ./theme/app}
  plain: {image: a}
";

/// A repository whose second commit moves the submodule, and the submodule.
fn repository() -> (Repo, Repo) {
    let repo = Repo::new();
    repo.write("services/blog/compose.yml", COMPOSE);
    let theme = Repo::at(repo.path("services/blog/theme"));
    theme.write("web.conf", "1").write("app/Dockerfile", "FROM a\n").write("README", "1");
    theme.commit();
    repo.commit();
    theme.write("web.conf", "2");
    theme.commit();
    repo.commit();
    (repo, theme)
}

fn plan(repo: &Repo) -> Output {
    program::run(program::ghdeploy(repo.top(), repo.top()).args(["plan", "--base", "HEAD~1"]))
}

/// What a plan does, without its notes.
fn lines(plan: &Output) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines = plan.stdout.lines().map(words);
    lines
        .filter(|line| {
            ["~ ", "+ ", "- ", "restart ", "up ", "build "].iter().any(|word| line.starts_with(word))
        })
        .collect()
}

#[test]
fn the_files_of_a_submodule_that_is_checked_out_are_compared() {
    let (repo, theme) = repository();
    let compared = plan(&repo).exits(0).never_prints("submodule");
    let changed = "~ services/blog/theme/web.conf";
    assert_eq!(lines(&compared), [changed, "restart web services/blog/theme/web.conf (compose.yml:2)"]);
    // The work tree does not matter, the commits do.
    theme.git(&["checkout", "-q", "HEAD~1"]);
    assert_eq!(plan(&repo).stdout, compared.stdout);
}

#[test]
fn every_file_of_a_submodule_counts_as_changed_if_a_commit_of_it_is_not_here() {
    let (repo, theme) = repository();
    let url = format!("file://{}", theme.top().display());
    let shallow = repo.path("shallow");
    repo.git(&["clone", "-q", "--depth", "1", &url, "shallow"]);
    // Not checked out, or with the newer commit alone, like actions/checkout.
    repo.remove("services/blog/theme");
    for is_there in [false, true] {
        if is_there {
            std::fs::rename(&shallow, repo.path("services/blog/theme")).unwrap();
        }
        let plan = plan(&repo).exits(0);
        assert_eq!(
            lines(&plan),
            [
                "~ services/blog/theme",
                "~ services/blog/theme/app",
                "~ services/blog/theme/web.conf",
                "build app services/blog/theme/app (compose.yml:3)",
                "up app services/blog/theme/app (compose.yml:3)",
                "restart web services/blog/theme/web.conf (compose.yml:2)",
            ],
            "{}",
            plan.all()
        );
        plan.prints("the submodule services/blog/theme moves from commit ").prints("`submodules: true`");
    }
}

#[test]
fn a_submodule_that_stays_is_not_mentioned() {
    let (repo, _) = repository();
    repo.remove("services/blog/theme");
    std::fs::create_dir(repo.path("services/blog/theme")).unwrap();
    repo.write("services/blog/notes", "1").git(&["add", "services/blog/notes"]);
    repo.git(&["commit", "-q", "-m", "x"]);
    let plan = plan(&repo).exits(0).never_prints("submodule");
    assert_eq!(lines(&plan), ["+ services/blog/notes"]);
}

#[test]
fn a_project_in_a_submodule_that_is_not_here_is_mentioned() {
    let repo = Repo::new();
    repo.write("services/blog/compose.yml", "services:\n  web: {image: a}\n");
    let first = repo.commit();
    for commit in [&first, &repo.commit()] {
        repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},services/shop")]);
        repo.git(&["commit", "-q", "-m", "x"]);
    }
    plan(&repo).exits(0).prints("the submodule services/shop moves from commit ");
}

#[test]
fn a_compose_file_in_a_submodule_that_is_not_here_names_it() {
    let repo = Repo::new();
    repo.write("services/blog/compose.yml", "include: [base/web.yml]\n");
    let commit = repo.commit();
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},services/blog/base")]);
    repo.git(&["commit", "-q", "-m", "x"]);
    let said = format!(
        "services/blog/base/web.yml is in the submodule services/blog/base, whose commit {}",
        &commit[..10]
    );
    plan(&repo).exits(2).prints(&said);
}
