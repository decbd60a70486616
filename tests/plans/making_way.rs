//! Container names and ports that move between services and projects.

use std::collections::BTreeSet;

use ghdeploy::apply::steps::{forward, rollback};
use ghdeploy::plan::HostWork;
use ghdeploy::state::container::{Container, ContainerState, Containers, ListedContainer, PublishedPort};
use ghdeploy::state::deployed::Deployed;

use crate::bench::{Projects, plan_lines, project};

const NAMED: &str = "services:\n  web: {image: a, container_name: box}\n";
const PORT: &str = "services:\n  web: {image: a, ports: ['8080:80']}\n";
const PLAIN: &str = "services:\n  web: {image: a}\n";

/// A running container; `port` is published on all addresses.
fn container(project: &str, service: &str, name: &str, port: u16) -> ListedContainer {
    let published = |address: &str| PublishedPort {
        address: address.to_owned(),
        first: port,
        last: port,
        container: "80".to_owned(),
        protocol: "tcp".to_owned(),
    };
    ListedContainer {
        id: format!("{:0>12}", name.len()),
        name: name.to_owned(),
        project: project.to_owned(),
        service: service.to_owned(),
        state: ContainerState::Running,
        ports: if port == 0 { Vec::new() } else { vec![published("0.0.0.0"), published("[::]")] },
        ..ListedContainer::default()
    }
}

fn with(host: Deployed, containers: &[ListedContainer]) -> Deployed {
    Deployed { containers: Containers::Known(containers.to_vec()), ..host }
}

fn problems(work: &HostWork, name: &str) -> Vec<String> {
    project(work, name).problems.iter().map(|problem| problem.message.clone()).collect()
}

/// The names of the projects in the order of the plan.
fn order(work: &HostWork) -> Vec<&str> {
    work.projects.iter().map(|work| work.plan.name.as_str()).collect()
}

/// `PROJECT/NAME` of what makes way for a project.
fn makes_way(work: &HostWork, name: &str) -> Vec<String> {
    let makes_way = &work.project(name).unwrap().makes_way;
    makes_way.iter().map(|holder| format!("{}/{}", holder.project, holder.name)).collect()
}

#[test]
fn a_folder_that_was_renamed_gets_the_name_of_the_old_one() {
    for (compose, held) in
        [(NAMED, container("old", "web", "box", 0)), (PORT, container("old", "web", "old-web-1", 8080))]
    {
        let repo = Projects::new(&[("old/compose.yml", compose)]);
        let host = with(repo.deployed(), std::slice::from_ref(&held));
        repo.remove("old/compose.yml").write("new/compose.yml", compose);
        let work = repo.plan_with(&host, |asked| asked.prune = true);
        assert_eq!(problems(&work, "new"), [""; 0]);
        assert_eq!(makes_way(&work, "new"), [format!("old/{}", held.name)]);
        assert_eq!(
            (order(&work), &project(&work, "old").after),
            (vec!["new", "old"], &vec!["new".to_owned()])
        );
        // Without --prune, it is said who has it, before anything changes.
        let work = repo.plan(&host);
        let need = if held.ports.is_empty() { "the container name `box`" } else { "port 8080/tcp" };
        assert_eq!(
            problems(&work, "new"),
            [format!(
                "service `web` needs {need}, which is held by service `web` of services/old, which is no longer in the repository"
            )]
        );
        assert!(makes_way(&work, "new").is_empty());
    }
}

#[test]
fn a_folder_that_was_renamed_and_keeps_composes_name_takes_its_containers_over() {
    let repo = Projects::new(&[("old/compose.yml", &format!("name: fixed\n{NAMED}"))]);
    let host = with(repo.deployed(), &[container("fixed", "web", "box", 0)]);
    repo.remove("old/compose.yml").write("new/compose.yml", &format!("name: fixed\n{NAMED}"));
    for prune in [false, true] {
        let work = repo.plan_with(&host, |asked| asked.prune = prune);
        assert_eq!((problems(&work, "new"), makes_way(&work, "new")), (Vec::new(), Vec::new()), "{prune}");
    }
}

#[test]
fn a_service_that_moves_to_another_project_takes_its_name_along() {
    let repo = Projects::new(&[
        ("a/compose.yml", "services:\n  web: {image: a, container_name: box}\n  db: {image: d}\n"),
        ("b/compose.yml", PLAIN),
    ]);
    let host = with(repo.deployed(), &[container("a", "web", "box", 0), container("b", "web", "b-web-1", 0)]);
    repo.write("a/compose.yml", "services:\n  db: {image: d}\n");
    repo.write("b/compose.yml", "services:\n  web: {image: a}\n  moved: {image: a, container_name: box}\n");
    let work = repo.plan(&host);
    assert_eq!(makes_way(&work, "b"), ["a/box"]);
    assert_eq!(order(&work), ["b", "a"]);
    // A definition that no longer has it makes way as well.
    repo.write("a/compose.yml", "services:\n  web: {image: a}\n  db: {image: d}\n");
    assert_eq!(makes_way(&repo.plan(&host), "b"), ["a/box"]);
    // A project that is not part of the run does not.
    let work = repo.plan_with(&host, |asked| asked.projects = vec!["b"]);
    assert_eq!(
        problems(&work, "b"),
        [
            "service `moved` needs the container name `box`, which is held by service `web` of services/a, which this run does not touch"
        ]
    );
    // Neither does one that cannot be deployed.
    repo.write("a/compose.yml", "services:\n  web: {image: a, imagee: b}\n  db: {image: d}\n");
    let work = repo.plan(&host);
    assert!(!problems(&work, "a").is_empty());
    assert!(
        problems(&work, "b")[0].ends_with("services/a, which cannot be deployed itself"),
        "{:?}",
        problems(&work, "b")
    );
}

#[test]
fn a_name_that_two_services_want_stays_where_it_is() {
    let repo = Projects::new(&[("a/compose.yml", NAMED), ("b/compose.yml", PLAIN)]);
    let host = with(repo.deployed(), &[container("a", "web", "box", 0)]);
    repo.write("b/compose.yml", NAMED);
    assert_eq!(
        problems(&repo.plan(&host), "b"),
        ["service `web` needs the container name `box`, which is held by service `web` of services/a"]
    );
}

#[test]
fn projects_that_exchange_a_port_are_told_to_do_it_in_two_steps() {
    let with_port = |port: u16| format!("services:\n  web: {{image: a, ports: ['{port}:80']}}\n");
    let repo = Projects::new(&[("a/compose.yml", &with_port(81)), ("b/compose.yml", &with_port(82))]);
    let host =
        with(repo.deployed(), &[container("a", "web", "a-web-1", 81), container("b", "web", "b-web-10", 82)]);
    repo.write("a/compose.yml", &with_port(82)).write("b/compose.yml", &with_port(81));
    let work = repo.plan(&host);
    assert_eq!(problems(&work, "a"), ["it exchanges container names or ports with services/b"]);
    assert_eq!(problems(&work, "b"), ["it exchanges container names or ports with services/a"]);
}

#[test]
fn a_container_that_is_not_ours_is_named() {
    let repo = Projects::new(&[("b/compose.yml", PLAIN)]);
    let host = with(repo.deployed(), &[container("theirs", "x", "box", 8080)]);
    for (compose, need) in [(NAMED, "the container name `box`"), (PORT, "port 8080/tcp")] {
        repo.write("b/compose.yml", compose);
        assert_eq!(
            problems(&repo.plan(&host), "b"),
            [format!(
                "service `web` needs {need}, which is held by container `box` of Compose's project `theirs`, which ghdeploy does not manage"
            )]
        );
    }
}

#[test]
fn what_nobody_holds_or_the_service_holds_itself_is_no_problem() {
    let repo = Projects::new(&[(
        "b/compose.yml",
        "services:\n  web: {image: a, container_name: box, ports: ['8080:80', '90-95:80', '${P}:80']}\n",
    )]);
    let host = with(repo.deployed(), &[container("b", "web", "box", 8080), container("c", "x", "other", 90)]);
    repo.write(
        "b/compose.yml",
        "services:\n  web: {image: b, container_name: box, ports: ['8080:80', '90-95:80', '${P}:80']}\n",
    );
    let work = repo.plan(&host);
    assert_eq!((problems(&work, "b"), makes_way(&work, "b")), (Vec::new(), Vec::new()));
    let work = repo.plan(&Deployed { containers: Containers::NotAsked, ..host });
    assert_eq!((problems(&work, "b"), makes_way(&work, "b")), (Vec::new(), Vec::new()));
}

#[test]
fn a_service_that_is_renamed_within_its_project_stops_before_the_new_one_starts() {
    let repo = Projects::new(&[("a/compose.yml", "services:\n  old: {image: a, container_name: box}\n")]);
    let host = with(repo.deployed(), &[container("a", "old", "box", 0)]);
    repo.write("a/compose.yml", "services:\n  new: {image: a, container_name: box}\n");
    let work = repo.plan(&host);
    assert_eq!(makes_way(&work, "a"), ["a/box"]);
    assert_eq!(
        plan_lines(&work),
        [
            "a changed",
            "  modified a/compose.yml",
            "  up new: a/compose.yml:2 (new service)",
            "  remove old: a/compose.yml (no longer in the compose file)"
        ]
    );
    let before = Container {
        id: "000000000003ff".to_owned(),
        name: "/box".to_owned(),
        project: "a".to_owned(),
        service: "old".to_owned(),
        state: ContainerState::Running,
        ..Container::default()
    };
    let of = work.project("a").unwrap();
    let steps: Vec<String> =
        forward(of, std::slice::from_ref(&before)).iter().map(ToString::to_string).collect();
    assert_eq!(
        steps,
        ["clear up after an interrupted recreate", "stop box", "up new", "wait until healthy", "remove old"]
    );
    let before = [before];
    let begun = forward(of, &before);
    let steps: Vec<String> =
        rollback(of, &before, &begun, &BTreeSet::new()).iter().map(ToString::to_string).collect();
    assert_eq!(steps, ["remove new", "restore files", "start box again", "up old", "wait until healthy"]);
}
