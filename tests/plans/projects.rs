//! Projects as a whole: names that change, folders that move, projects that are broken.

use ghdeploy::config::layout::Layout;
use ghdeploy::tree;

use crate::bench::{Projects, ROOT, plan_lines, project};

const COMPOSE: &str = "services:\n  web: {image: a, volumes: ['./x:/x']}\n";

#[test]
fn a_renamed_folder_is_a_new_project_and_a_removed_one() {
    let repo = Projects::new(&[("blog/compose.yml", COMPOSE), ("blog/x", "1")]);
    let host = repo.deployed();
    repo.remove("blog").write("site/compose.yml", COMPOSE).write("site/x", "1");
    assert_eq!(
        plan_lines(&repo.plan(&host)),
        [
            "site added",
            "  added site/compose.yml",
            "  added site/x",
            "  up web: site/compose.yml:2 (new project)",
            "blog removed"
        ]
    );
}

#[test]
fn a_renamed_folder_whose_compose_name_stays_is_not_taken_down_under_its_new_self() {
    let named = format!("name: blog\n{COMPOSE}");
    let repo = Projects::new(&[("blog/compose.yml", &named), ("blog/x", "1")]);
    let host = repo.deployed();
    repo.remove("blog").write("site/compose.yml", &named).write("site/x", "1");
    let work = repo.plan_with(&host, |asked| asked.prune = true);
    // Both are Compose's project `blog`: a `down` of the old folder would stop the new containers.
    let downs = project(&work, "blog").actions.len();
    let waits = project(&work, "site").after.contains(&"blog".to_owned());
    assert!(downs == 0 || waits, "{:?}", plan_lines(&work));
}

#[test]
fn another_compose_name_is_refused() {
    let repo = Projects::new(&[("blog/compose.yml", COMPOSE), ("blog/x", "1")]);
    let host = repo.deployed();
    repo.write("blog/compose.yml", &format!("name: other\n{COMPOSE}"));
    let work = repo.plan(&host);
    let problems = &project(&work, "blog").problems;
    assert_eq!(problems.len(), 1);
    assert_eq!(
        problems[0].message,
        "Compose's project name changes from \"blog\" to \"other\": volumes and containers of the old name would be left behind"
    );
    assert!(problems[0].help.as_deref().unwrap().contains("`name: blog`"));
}

#[test]
fn another_compose_name_by_dotenv_is_refused_too() {
    let repo = Projects::new(&[("blog/compose.yml", COMPOSE), ("blog/x", "1")]);
    let host = repo.deployed();
    // What `name:` says does not matter then.
    for compose in [COMPOSE.to_owned(), format!("name: blog\n{COMPOSE}")] {
        repo.write("blog/compose.yml", &compose).write("blog/.env", "SECRET=1\nCOMPOSE_PROJECT_NAME=other\n");
        let work = repo.plan(&host);
        let [problem] = project(&work, "blog").problems.as_slice() else { panic!("one problem") };
        assert_eq!(problem.at, None);
        let said = "`COMPOSE_PROJECT_NAME` in services/blog/.env decides over `name:`; keep the name: write COMPOSE_PROJECT_NAME=blog there; or take the old project down on the host first (docker compose -p blog down) and move its volumes";
        assert_eq!(problem.help.as_deref(), Some(said));
    }
    // Two projects of one name.
    repo.write("blog/.env", "").write("shop/compose.yml", COMPOSE);
    repo.write("shop/.env", "COMPOSE_PROJECT_NAME=blog\n");
    let work = repo.plan(&host);
    let help = project(&work, "shop").problems[0].help.as_deref();
    assert_eq!(
        help,
        Some(
            "rename it in one of them, or change `COMPOSE_PROJECT_NAME` in services/shop/.env, which decides over `name:`"
        )
    );
}

#[test]
fn a_broken_project_is_not_touched_and_stops_no_other() {
    let repo = Projects::new(&[
        ("blog/compose.yml", COMPOSE),
        ("blog/x", "1"),
        ("shop/compose.yml", COMPOSE),
        ("shop/x", "1"),
    ]);
    let host = repo.deployed();
    repo.write("blog/compose.yml", "services:\n  web: {imgae: a}\n")
        .write("blog/x", "2")
        .write("shop/x", "2");
    let work = repo.plan(&host);
    assert!(!project(&work, "blog").problems.is_empty());
    assert!(project(&work, "blog").actions.is_empty());
    assert_eq!(
        plan_lines(&work)[plan_lines(&work).len() - 3..],
        ["shop changed", "  modified shop/x", "  restart web: shop/x bind@2"]
    );
}

#[test]
fn two_folders_with_one_compose_name_are_reported() {
    let named = format!("name: blog\n{COMPOSE}");
    let repo =
        Projects::new(&[("a/compose.yml", &named), ("b/compose.yml", &named), ("a/x", "1"), ("b/x", "1")]);
    let work = repo.plan(&Default::default());
    let reported = work
        .notes
        .iter()
        .chain(work.projects.iter().map(|work| &work.plan).flat_map(|plan| &plan.problems))
        .count();
    assert!(reported > 0, "the containers of one would be taken for those of the other");
}

#[test]
fn only_selected_projects_are_in_the_plan() {
    let repo =
        Projects::new(&[("a/compose.yml", COMPOSE), ("b/compose.yml", COMPOSE), ("c/compose.yml", COMPOSE)]);
    let host = repo.deployed();
    repo.remove("c").write("a/x", "1").write("b/x", "1");
    let work = repo.plan_with(&host, |asked| {
        asked.projects = vec!["a"];
        asked.prune = true;
    });
    let names: Vec<&str> =
        work.projects.iter().map(|work| &work.plan).map(|project| project.name.as_str()).collect();
    assert_eq!(names, ["a"]);
    let work = repo.plan_with(&host, |asked| {
        asked.projects = vec!["c"];
        asked.prune = true;
    });
    assert_eq!(
        plan_lines(&work),
        ["c removed", "  removed c/compose.yml", "  down: c (no longer in the repository)"]
    );
}

#[test]
fn a_project_that_moves_below_another_folder_keeps_nothing_of_the_old_place() {
    let repo = Projects::new(&[("blog/compose.yml", COMPOSE), ("blog/x", "1")]);
    let host = repo.deployed();
    repo.remove("blog/compose.yml");
    // `blog` is no project any more, and no service reads the rest of it.
    let work = repo.plan_with(&host, |asked| asked.prune = true);
    assert_eq!(
        plan_lines(&work),
        [
            "blog removed",
            "  removed blog/compose.yml",
            "  removed blog/x",
            "  down: blog (no longer in the repository)"
        ]
    );
}

/// A file that cannot be deployed blocks its own project and the projects that read it.
#[test]
fn a_file_that_cannot_be_deployed_blocks_only_its_readers() {
    let repo = Projects::new(&[
        ("blog/compose.yml", "services: {web: {image: a}}\n"),
        ("shop/compose.yml", "services: {web: {image: a, volumes: ['../shared:/shared']}}\n"),
        ("wiki/compose.yml", "services: {web: {image: a}}\n"),
        ("shared/x", "1\n"),
        ("docs/x", "1\n"),
    ]);
    let deployed = repo.deployed();
    repo.link("blog/socket", "/run/docker.sock").link("shared/out", "../../secret").link("docs/out", "/etc");
    let plan = repo.plan(&deployed).plan();
    let blocked = |name: &str| {
        let project = plan.projects.iter().find(|project| project.name == name).unwrap();
        project.problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("; ")
    };
    assert!(blocked("blog").contains("`services/blog/socket` points to `/run/docker.sock`"));
    assert!(blocked("shop").contains("`services/shared/out` points to `../../secret`"));
    assert_eq!(blocked("wiki"), "");
}

/// A project whose compose file cannot be deployed has not left the repository.
#[test]
fn a_project_whose_compose_file_cannot_be_deployed_is_not_removed() {
    let repo = Projects::new(&[
        ("blog/compose.yml", "services: {web: {image: a}}\n"),
        ("wiki/compose.yml", "services: {web: {image: a}}\n"),
    ]);
    repo.remove("blog/compose.yml").link("blog/compose.yml", "/etc/compose.yml");
    let err = tree::read(&repo.tree(), &Layout::default(), ROOT, &|_, _| true).unwrap_err();
    assert!(err.to_string().contains("`services/blog/compose.yml` points to"), "{err}");
    repo.remove("blog/compose.yml").link("blog/compose.yml", "compose.yml");
    let err = tree::read(&repo.tree(), &Layout::default(), ROOT, &|_, _| true).unwrap_err();
    assert_eq!(err.to_string(), "symbolic link `services/blog/compose.yml` leads to no file");
    repo.remove("blog/compose.yml").link("blog/compose.yml", "../wiki/compose.yml");
    assert_eq!(repo.wanted().projects.len(), 2);
}
