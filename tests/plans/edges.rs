//! Decisions that show only where two rules meet.

use ghdeploy::base::error::Exit;
use ghdeploy::base::manifest::{Entry, Kind};
use ghdeploy::compose::Files as _;
use ghdeploy::plan::{self, HostWork, Origin, Plan, PlanOptions, VERSION, circles};
use ghdeploy::state::deployed::{Deployed, Found, SHARED, unit};

use crate::bench::{Projects, entry, found, path, plan_lines, project};

#[test]
fn a_file_of_variables_that_is_an_env_file_too_is_one_reason() {
    let compose = "services:\n  web:\n    image: 'a:${TAG}'\n    env_file: .env\n";
    let repo = Projects::new(&[("blog/compose.yml", compose), ("blog/.env", "TAG=1\n")]);
    let host = repo.deployed();
    repo.write("blog/.env", "TAG=2\n");
    assert_eq!(plan_lines(&repo.plan(&host))[2..], ["  up web: blog/.env envfile@4"]);
}

#[test]
fn each_file_that_makes_a_definition_is_a_reason() {
    let compose = "services:\n  web:\n    image: 'a:${TAG}'\n    hostname: h\n";
    let repo = Projects::new(&[("blog/compose.yml", compose), ("blog/.env", "TAG=1\n")]);
    let host = repo.deployed();
    repo.write("blog/.env", "TAG=2\n")
        .write("blog/compose.yml", &compose.replace("hostname: h", "hostname: i"));
    let lines = plan_lines(&repo.plan(&host));
    let up = lines.last().unwrap();
    assert!(up.contains("blog/.env@2") && up.contains("blog/compose.yml:2"), "{lines:?}");
}

#[test]
fn what_is_owed_since_no_known_release_names_none() {
    let repo = Projects::new(&[("blog/compose.yml", "services:\n  web: {image: 'a:1'}\n")]);
    let old = repo.deployed().state;
    repo.write("blog/compose.yml", "services:\n  web: {image: 'a:2'}\n");
    let mut host = Deployed { state: old, ..repo.deployed() };
    assert_eq!(plan_lines(&repo.plan(&host))[1..], ["  up web: blog/compose.yml:2 (owed since release 7)"]);
    host.state.projects.get_mut("blog").unwrap().release = 0;
    assert_eq!(plan_lines(&repo.plan(&host))[1..], ["  up web: blog/compose.yml:2 (owed)"]);
}

#[test]
fn other_permissions_are_a_change_of_the_mode_alone() {
    let compose = "services:\n  web: {image: a, volumes: ['./conf:/conf']}\n";
    let repo = Projects::new(&[("blog/compose.yml", compose), ("blog/conf/a", "1")]);
    let mut host = repo.deployed();
    host.manifests.get_mut(&unit("blog")).unwrap().0.get_mut(&path("blog/conf/a")).unwrap().mode = 0o600;
    // The host reports only the executable bit, which is the same.
    assert_eq!(plan_lines(&repo.plan(&host)), ["blog changed", "  mode blog/conf/a"]);
}

#[test]
fn a_file_of_a_project_that_stays_is_removed_by_no_other() {
    let compose = "services:\n  web: {image: a}\n";
    let repo = Projects::new(&[("blog/compose.yml", compose), ("shop/compose.yml", compose)]);
    let mut host = repo.deployed();
    repo.remove("shop");
    for unit_name in ["blog", "shop"] {
        host.manifests.get_mut(&unit(unit_name)).unwrap().0.insert(path("shop/x"), entry("x"));
    }
    assert_eq!(plan_lines(&repo.plan(&host)), ["shop removed"]);
    let pruned = repo.plan_with(&host, |asked| asked.prune = true);
    assert!(plan_lines(&pruned).contains(&"  removed shop/x".to_owned()), "{:?}", plan_lines(&pruned));
    // Prune takes down only what takes part.
    let other = repo.plan_with(&host, |asked| (asked.prune, asked.projects) = (true, vec!["blog"]));
    assert_eq!(plan_lines(&other), Vec::<String>::new());
}

fn goes_first(work: &HostWork) -> Vec<&str> {
    work.projects.iter().filter(|project| project.goes_first).map(|project| &*project.plan.name).collect()
}

#[test]
fn a_project_goes_first_only_if_another_one_reads_what_changes_in_it() {
    let repo = Projects::new(&[
        ("blog/compose.yml", "services:\n  web: {image: a, volumes: ['../shop/conf:/conf']}\n"),
        ("shop/compose.yml", "services:\n  web: {image: a}\n"),
        ("shop/conf/a", "1"),
        ("shop/b", "1"),
    ]);
    let host = repo.deployed();
    repo.write("shop/b", "2");
    assert_eq!(goes_first(&repo.plan(&host)), Vec::<&str>::new());
    repo.write("shop/conf/a", "2");
    assert_eq!(goes_first(&repo.plan(&host)), ["shop"]);
}

#[test]
fn hooks_run_only_with_their_own_service() {
    let compose = "\
x-ghdeploy:
  hooks: {before: {service: web, run: [migrate]}}
services:
  web: {image: 'a:1'}
  worker: {image: 'b:1', volumes: ['./conf:/conf'], x-ghdeploy: {on-change: none}}
  cron: {image: 'c:1'}
";
    let repo = Projects::new(&[("blog/compose.yml", compose), ("blog/conf/a", "1")]);
    let host = repo.deployed();
    let hooks = |from: &str, to: &str| {
        repo.write("blog/compose.yml", &compose.replace(from, to));
        project(&repo.plan(&host), "blog").hooks.len()
    };
    assert_eq!([hooks("c:1", "c:2"), hooks("a:1", "a:2"), hooks("x", "x")], [0, 1, 0]);
}

#[test]
fn only_images_that_are_built_now_are_listed() {
    let compose = "services:\n  app: {build: ./app}\n  job: {build: ./job}\n";
    let repo = Projects::new(&[
        ("blog/compose.yml", compose),
        ("blog/app/Dockerfile", "FROM scratch\n"),
        ("blog/job/Dockerfile", "FROM scratch\n"),
    ]);
    let host = repo.deployed();
    repo.write("blog/app/Dockerfile", "FROM other\n")
        .write("blog/compose.yml", &compose.replace("{build: ./job}", "{build: ./job, hostname: h}"));
    let work = repo.plan(&host);
    let images: Vec<&str> = project(&work, "blog").images.iter().map(|image| &*image.service).collect();
    assert_eq!(images, ["app"], "{:?}", plan_lines(&work));
}

#[test]
fn drift_is_a_doubt_about_what_the_file_is_for() {
    let compose =
        "services:\n  app: {build: ./app}\n  web: {image: a, env_file: a.env}\n  other: {image: b}\n";
    let repo = Projects::new(&[
        ("blog/compose.yml", compose),
        ("blog/app/Dockerfile", "FROM scratch\n"),
        ("blog/a.env", "A=1\n"),
    ]);
    let drifted = |at: &str| {
        let mut host = repo.deployed();
        host.found.insert(path(at), found("by hand"));
        let lines = plan_lines(&repo.plan(&host));
        let actions = lines.iter().filter_map(|line| line.split_once(": "));
        actions.map(|(action, _)| action.trim().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(drifted("blog/app/Dockerfile"), ["build app", "up app"]);
    assert_eq!(drifted("blog/a.env"), ["up web"]);
    assert_eq!(drifted("blog/compose.yml"), ["up app", "up other", "up web"]);
}

#[test]
fn a_link_that_becomes_a_file_is_not_written_in_place() {
    let compose = "services:\n  web: {image: a, volumes: ['./one:/one'], x-ghdeploy: {on-change: none}}\n";
    let repo = Projects::new(&[("blog/compose.yml", compose), ("blog/one", "1"), ("blog/two", "1")]);
    let mut host = repo.deployed();
    let link = Entry { kind: Kind::Symlink, ..entry("two") };
    host.manifests.get_mut(&unit("blog")).unwrap().0.insert(path("blog/one"), link);
    let work = repo.plan(&host);
    let file = &project(&work, "blog").files[0];
    assert_eq!((file.path.as_str(), file.in_place), ("services/blog/one", false), "{:?}", plan_lines(&work));
}

/// What is said of this many projects that come after each other in a circle.
fn circle(projects: usize) -> String {
    let repo = Projects::new(&[]);
    for number in 0..projects {
        let after = (number + 1) % projects;
        let compose = format!("x-ghdeploy: {{after: [p{after:02}]}}\nservices:\n  web: {{image: a}}\n");
        repo.write(&format!("p{number:02}/compose.yml"), &compose);
    }
    let found = circles(&repo.wanted().projects);
    assert_eq!(found.len(), 1);
    found[0].message.clone()
}

#[test]
fn of_a_long_circle_the_ends_are_shown() {
    assert!(circle(2).ends_with("p00 after p01 after p00"), "{}", circle(2));
    assert_eq!((circle(19).matches(" after p").count(), circle(19).contains('…')), (19, false));
    let long = circle(25);
    assert!(long.contains("p09 after … after p16 after") && long.ends_with("p24 after p00"), "{long}");
}

fn plan_of(work: &HostWork) -> Plan {
    Plan { version: VERSION, commit: None, dirty: false, base: None, hosts: vec![work.plan()] }
}

#[test]
fn a_plan_ends_by_what_is_in_it() {
    let repo = Projects::new(&[("blog/compose.yml", "services:\n  web: {image: a}\n")]);
    let host = repo.deployed();
    let exits = |plan: &Plan| (plan.is_empty(), plan.exit(false), plan.exit(true));
    assert_eq!(exits(&plan_of(&repo.plan(&host))), (true, Exit::Done, Exit::Done));
    repo.write("blog/x", "1");
    assert_eq!(exits(&plan_of(&repo.plan(&host))), (false, Exit::Done, Exit::Pending));
    let mut host = host;
    host.found.insert(path("blog/x"), found("theirs"));
    assert_eq!(exits(&plan_of(&repo.plan(&host))), (false, Exit::Usage, Exit::Usage));
}

#[test]
fn what_is_in_the_way_of_a_file_is_named() {
    let repo = Projects::new(&[("blog/compose.yml", "services:\n  web: {image: a}\n"), ("blog/x", "1")]);
    let problem = |there: Found| {
        let mut host = Deployed::default();
        host.found.insert(path("blog/x"), there);
        project(&repo.plan(&host), "blog").problems[0].message.clone()
    };
    let [directory, unreadable, other, file] =
        [Found::Directory, Found::Unreadable, Found::Other, found("2")].map(problem);
    assert!(directory.contains("directory") && unreadable.contains("may not read"));
    assert!(other.contains("no regular file") && file.contains("another, unmanaged version"));
}

#[test]
fn problems_with_a_name_have_its_place() {
    let web = "services:\n  web: {image: a}\n";
    let repo =
        Projects::new(&[("blog/compose.yml", web), ("shop/compose.yml", &format!("name: blog\n{web}"))]);
    let places = |work: &HostWork| -> Vec<String> {
        let problems = work.projects.iter().flat_map(|project| project.plan.problems.clone());
        problems.map(|problem| problem.at.map(|at| at.to_string()).unwrap_or_default()).collect()
    };
    assert_eq!(
        places(&repo.plan(&Deployed::default())),
        ["services/blog/compose.yml:2:3", "services/shop/compose.yml:1:7"]
    );
    repo.remove("shop");
    let host = repo.deployed();
    repo.write("blog/compose.yml", &format!("name: other\n{web}"));
    assert_eq!(places(&repo.plan(&host)), ["services/blog/compose.yml:1:7"]);
}

#[test]
fn a_record_of_shared_files_alone_is_work_to_do() {
    let compose = "services:\n  web: {image: a, env_file: ../shared/x.env}\n";
    let repo = Projects::new(&[("blog/compose.yml", compose), ("shared/x.env", "A=1\n")]);
    let mut host = repo.deployed();
    assert!(repo.plan(&host).is_idle());
    host.manifests.remove(SHARED);
    host.found.insert(path("shared/x.env"), found("A=1\n"));
    let work = repo.plan(&host);
    assert!(work.plan().is_empty() && !work.is_idle());
}

#[test]
fn a_project_that_is_gone_is_reported_with_where_it_was_looked_for() {
    let compose = "services:\n  web: {image: a}\n";
    let repo = Projects::new(&[("blog/compose.yml", compose), ("shop/compose.yml", compose)]);
    let host = repo.deployed();
    repo.remove("shop");
    let notes = |origin: Origin| {
        let tree = repo.tree();
        let options = PlanOptions { origin, ..PlanOptions::new(&|_| true) };
        let work = plan::host("web", &repo.wanted(), &host, &options, &|path| tree.shown(path));
        // Nothing of it is recorded as running once it is taken down.
        assert!(work.project("shop").unwrap().state.services.is_empty());
        work.notes[0].message.clone()
    };
    assert!(notes(Origin::Repository).contains("no longer in the repository"));
    assert!(notes(Origin::Release(3)).contains("not in release 3"), "{}", notes(Origin::Release(3)));

    // It may have moved to another host.
    repo.write("shop/compose.yml", compose);
    let work = repo.plan_of(&repo.wanted_where(&|name| name != "shop"), &host, |_| {});
    assert_eq!(
        work.notes[0].message,
        "services/shop belongs to another host now and stays as it is on this one"
    );
}
