//! Plans of trees that are laid out in other ways than one folder with plain files for each project.

use ghdeploy::base::path::RootPath;
use ghdeploy::state::deployed::{Found, SHARED};

use crate::bench::{Projects, path, plan_lines, project};

#[test]
fn links_lead_to_shared_files_that_every_reader_follows() {
    let repo = Projects::new(&[
        ("app/compose.yml", "services:\n  web:\n    image: a\n    environment: {T: '${TZ}'}\n"),
        ("mount/compose.yml", "services:\n  web:\n    image: a\n    volumes: ['./conf:/conf']\n"),
        ("vars/compose.yml", "services:\n  web:\n    image: a\n    env_file: [conf/s.env]\n"),
        ("base/base.yml", "services:\n  web: {image: a}\n"),
        ("far/compose.yml", "services:\n  web: {extends: {file: base.yml, service: web}}\n"),
        ("shared/global.env", "TZ=1\n"),
        ("shared/conf/s.env", "A=1\n"),
    ]);
    repo.link("app/.env", "../shared/global.env")
        .link("mount/conf", "../shared/conf")
        .link("vars/conf", "../mount/conf")
        .link("far/base.yml", "../base/base.yml")
        .link("base/compose.yml", "base.yml");
    let host = repo.deployed();
    let shared: Vec<&str> = host.manifests[SHARED].0.keys().map(RootPath::as_str).collect();
    assert_eq!(shared, ["shared/conf/s.env", "shared/global.env"]);
    repo.write("shared/global.env", "TZ=2\n")
        .write("shared/conf/s.env", "A=2\n")
        .write("base/base.yml", "services:\n  web: {image: b}\n");
    insta::assert_snapshot!(plan_lines(&repo.plan(&host)).join("\n"), @"
        app changed
          modified shared/global.env
          up web: shared/global.env@2
        base changed
          modified base/base.yml
          up web: base/base.yml@2
        far changed
          up web: base/base.yml@2
        mount changed
          modified shared/conf/s.env
          restart web: shared/conf/s.env bind@4
        vars changed
          modified shared/conf/s.env
          up web: shared/conf/s.env envfile@4
        ");
}

#[test]
fn a_link_out_of_the_services_folder_says_how_both_can_be_deployed() {
    let repo = Projects::new(&[("app/compose.yml", "services:\n  web: {image: a}\n")]);
    repo.link("app/.env", "../../common.env").link("app/own", "/etc/hostname");
    let problems =
        project(&repo.plan(&ghdeploy::state::deployed::Deployed::default()), "app").problems.clone();
    let text: Vec<String> = problems
        .iter()
        .map(|problem| format!("{}\n  {}", problem.message, problem.help.as_deref().unwrap()))
        .collect();
    insta::assert_snapshot!(text.join("\n"), @r#"
        symbolic link `services/app/.env` points to `../../common.env`, outside of what is deployed
          move `common.env` below `services`; or write `services: "{services}/*"`: then `services` is a folder below the root on the host, and `common.env` has its place beside it
        symbolic link `services/app/own` points to `/etc/hostname`, outside of what is deployed
          point it to a file below the folder that holds the projects, or list it in `.ghdeployignore`
        "#);
}

#[test]
fn an_empty_folder_makes_room_for_a_file_and_its_readers_are_recreated() {
    let compose = "services:\n  web:\n    image: a\n    volumes: ['./Caddyfile:/etc/caddy/Caddyfile']\n";
    let repo = Projects::new(&[("app/compose.yml", compose)]);
    let mut host = repo.deployed();
    repo.write("app/Caddyfile", "x");
    host.found.insert(path("app/Caddyfile"), Found::EmptyDirectory);
    let work = repo.plan(&host);
    assert_eq!(
        plan_lines(&work),
        ["app changed", "  added app/Caddyfile", "  recreate web: app/Caddyfile bind@4"]
    );
    assert!(project(&work, "app").problems.is_empty());
}

#[test]
fn what_cannot_be_seen_and_is_not_to_change_is_no_drift() {
    let compose = "services:\n  web:\n    image: a\n    volumes: ['./conf:/conf']\n";
    let repo = Projects::new(&[("app/compose.yml", compose), ("app/conf/a", "1"), ("app/conf/b", "1")]);
    let mut host = repo.deployed();
    for file in ["app/conf/a", "app/conf/b"] {
        host.found.insert(path(file), Found::Unreadable);
    }
    assert_eq!(plan_lines(&repo.plan(&host)), Vec::<String>::new());
    repo.write("app/conf/a", "2");
    let work = repo.plan(&host);
    assert_eq!(plan_lines(&work)[..2], ["app changed", "  conflict app/conf/a"]);
    assert_eq!(project(&work, "app").problems.len(), 1);
}

fn media(service: &str) -> String {
    format!("name: media\nservices:\n  {service}: {{image: a}}\n")
}

#[test]
fn folders_that_share_one_name_are_deployed_one_after_the_other() {
    let repo = Projects::new(&[
        ("a/compose.yml", &media("sonarr")),
        ("b/compose.yml", &media("radarr")),
        ("c/compose.yml", &media("lidarr")),
    ]);
    repo.write("a/compose.yml", &format!("{}x-ghdeploy: {{after: [c]}}\n", media("sonarr")));
    let work = repo.plan(&ghdeploy::state::deployed::Deployed::default());
    let order: Vec<String> =
        work.projects.iter().map(|project| format!("{} {:?}", project.name(), project.plan.after)).collect();
    assert_eq!(order, [r#"b []"#, r#"c ["b"]"#, r#"a ["c"]"#]);
    assert!(work.projects.iter().all(|project| project.plan.problems.is_empty()));
}

#[test]
fn a_service_that_moves_to_a_folder_of_the_same_name_is_not_removed() {
    let repo = Projects::new(&[("a/compose.yml", &media("sonarr")), ("b/compose.yml", &media("radarr"))]);
    repo.write("a/compose.yml", &format!("{}  bazarr: {{image: a}}\n", media("sonarr")));
    let host = repo.deployed();
    repo.write("a/compose.yml", &media("sonarr"));
    repo.write("b/compose.yml", &format!("{}  bazarr: {{image: a}}\n", media("radarr")));
    assert_eq!(
        plan_lines(&repo.plan(&host)),
        [
            "a changed",
            "  modified a/compose.yml",
            "b changed",
            "  modified b/compose.yml",
            "  up bazarr: b/compose.yml:4 (new service)"
        ]
    );
    // A folder that goes takes its services down, and only those.
    repo.remove("b/compose.yml");
    let work = repo.plan_with(&host, |asked| asked.prune = true);
    assert_eq!(project(&work, "b").actions.len(), 1);
}

#[test]
fn one_service_in_two_folders_of_one_name_blocks_both() {
    let repo = Projects::new(&[("a/compose.yml", &media("sonarr")), ("b/compose.yml", &media("sonarr"))]);
    let work = repo.plan(&ghdeploy::state::deployed::Deployed::default());
    for name in ["a", "b"] {
        assert!(project(&work, name).problems[0].message.contains("both define a service `sonarr`"));
    }
    let network = |driver: &str| format!("networks: {{net: {{driver: {driver}}}}}\n");
    let with = |service: &str, driver: &str| {
        format!("name: media\nservices:\n  {service}: {{image: a, networks: [net]}}\n{}", network(driver))
    };
    repo.write("a/compose.yml", &with("sonarr", "bridge")).write("b/compose.yml", &with("radarr", "macvlan"));
    let work = repo.plan(&ghdeploy::state::deployed::Deployed::default());
    assert!(project(&work, "a").problems[0].message.contains("a network `net`, with other settings"));
    repo.write("b/compose.yml", &with("radarr", "bridge"));
    let work = repo.plan(&ghdeploy::state::deployed::Deployed::default());
    assert!(project(&work, "a").problems.is_empty());
}

#[test]
fn a_project_that_becomes_a_part_of_another_does_not_run_twice() {
    let repo = Projects::new(&[("a/compose.yml", "services:\n  web: {image: a}\n")]);
    let host = repo.deployed();
    repo.write("compose.yml", "include: [a/compose.yml]\n");
    let work = repo.plan(&host);
    let problems = &project(&work, ".").problems;
    assert!(problems[0].message.contains("they would run twice on the same files"), "{problems:?}");
    let work = repo.plan_with(&host, |asked| asked.prune = true);
    let top = project(&work, ".");
    assert_eq!((top.problems.len(), &top.after), (0, &vec!["a".to_owned()]));
    assert_eq!(project(&work, "a").actions.len(), 1);
    // The same on the way back.
    let host = repo.deployed();
    repo.remove("compose.yml");
    assert_eq!(project(&repo.plan(&host), "a").problems.len(), 1);
    assert_eq!(project(&repo.plan_with(&host, |asked| asked.prune = true), "a").after, ["."]);
}
