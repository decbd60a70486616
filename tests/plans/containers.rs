//! What the containers on a host owe: services that should run and do not.

use ghdeploy::plan::HostWork;
use ghdeploy::state::container::{Containers, DockerFailure, Inspected, ListedContainer, read_listed};
use ghdeploy::state::deployed::Deployed;

use crate::bench::{Projects, plan_lines};

const UP: &str = "running: Up 3 hours";
const DONE: &str = "exited: Exited (0) 3 hours ago";

/// Container number 1 of `project/service`. `state` is Docker's word, a colon, and its text.
fn container(of: &str, state: &str) -> ListedContainer {
    let (project, service) = of.split_once('/').unwrap();
    let (state, status) = state.split_once(": ").unwrap();
    let id =
        format!("{:0<12}", format!("{:x}", of.bytes().map(u64::from).fold(7, |sum, byte| sum * 31 + byte)));
    let line = format!(
        "{}\t{project}-{service}-1\t{project}\t{service}\t1\tFalse\t{state}\t{status}\t\tx\tnet\t/srv/services/{project}",
        &id[..12]
    );
    read_listed(&line).unwrap()
}

/// The same with a restart policy and an error that Docker reports.
fn ended(of: &str, state: &str, policy: &str, error: &str) -> ListedContainer {
    let inspected = Inspected { policy: policy.to_owned(), error: error.to_owned(), ..Inspected::default() };
    ListedContainer { inspected: Some(inspected), ..container(of, state) }
}

/// A host with everything that the repository has, and these containers.
fn host(repo: &Projects, containers: &[ListedContainer]) -> Deployed {
    Deployed { containers: Containers::Known(containers.to_vec()), ..repo.deployed() }
}

fn notes(work: &HostWork) -> Vec<String> {
    work.notes.iter().map(|note| note.message.clone()).collect()
}

fn blog(compose: &str) -> Projects {
    Projects::new(&[("blog/compose.yml", compose)])
}

#[test]
fn a_service_without_a_container_comes_up() {
    let repo = blog("services:\n  web: {image: a}\n  db: {image: b}\n");
    let work = repo.plan(&host(&repo, &[container("blog/web", UP)]));
    assert_eq!(plan_lines(&work), ["blog changed", "  up db: blog/compose.yml:3 (it has no container)"]);
    assert!(!work.is_idle());
    // After a snapshot was restored.
    let work = repo.plan(&host(&repo, &[]));
    assert_eq!(plan_lines(&work).len(), 3);
    let work = repo.plan(&host(&repo, &[container("blog/web", UP), container("blog/db", UP)]));
    assert!(work.is_idle() && work.notes.is_empty());
}

#[test]
fn a_hook_in_another_project_needs_its_container() {
    let app = |image: &str| {
        format!(
            "x-ghdeploy: {{hooks: {{before: {{service: db/postgres, exec: [pg_dump]}}, after: {{host: [./done]}}}}}}\nservices:\n  web: {{image: {image}}}\n  worker: {{image: w}}\n"
        )
    };
    let db = "services: {postgres: {image: p}}\n";
    let repo = Projects::new(&[("app/compose.yml", &app("a")), ("db/compose.yml", db)]);
    let own = [container("app/web", UP), container("app/worker", UP)];
    let with = |other: ListedContainer| [own.as_slice(), &[other]].concat();
    // Nothing of the project starts.
    let idle = repo.plan(&host(&repo, &with(container("db/postgres", UP))));
    assert!(idle.is_idle() && idle.project("app").unwrap().plan.hooks.is_empty());
    repo.write("app/compose.yml", &app("b"));
    let deployed = Projects::new(&[("app/compose.yml", &app("a")), ("db/compose.yml", db)]).deployed();
    let planned = |containers: Vec<ListedContainer>| {
        let work = repo.plan(&Deployed { containers: Containers::Known(containers), ..deployed.clone() });
        let app = work.project("app").unwrap().plan.clone();
        let problems = app.problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>();
        (app.hooks.len(), app.after, problems)
    };
    let db = || vec!["db".to_owned()];
    assert_eq!(planned(with(container("db/postgres", UP))), (2, db(), vec![]));
    // Somebody has stopped it, and nothing starts it.
    let stopped = with(ended("db/postgres", "exited: Exited (0) 3 hours ago", "always", ""));
    let lacks = "hook `before` runs in `db/postgres`, which has no running container";
    assert_eq!(planned(stopped), (2, db(), vec![lacks.to_owned()]));
    // This run brings it up, and before.
    assert_eq!(planned(own.to_vec()), (2, db(), vec![]));
}

#[test]
fn a_hook_that_names_nothing_is_refused() {
    let planned = |name: &str| {
        let app = format!(
            "x-ghdeploy: {{hooks: {{after: {{service: {name}, exec: [x]}}}}}}\nservices: {{web: {{image: a}}}}\n"
        );
        let repo = Projects::new(&[
            ("app/compose.yml", &app),
            ("db/compose.yml", "services: {postgres: {image: p}}"),
        ]);
        let work = repo.plan(&Deployed::default());
        let problems = work.project("app").unwrap().plan.problems.clone();
        problems
            .iter()
            .map(|problem| format!("{} ({})", problem.message, problem.help.as_ref().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(planned("db/postgres"), [""; 0]);
    assert_eq!(
        planned("bd/postgres"),
        ["hook `after` names project `bd`, which does not exist on this host (did you mean `db`?)"]
    );
    assert_eq!(
        planned("db/postgre"),
        ["hook `after` names service `postgre`, which project `db` lacks (did you mean `postgres`?)"]
    );
}

#[test]
fn containers_of_run_and_of_other_projects_do_not_count() {
    let repo = blog("services: {web: {image: a}}");
    let oneoff = ListedContainer { is_oneoff: true, ..container("blog/web", UP) };
    let work = repo.plan(&host(&repo, &[oneoff, container("shop/web", UP)]));
    assert_eq!(plan_lines(&work).len(), 2);
}

#[test]
fn what_ended_against_its_policy_comes_up_and_what_was_stopped_stays_so() {
    let repo = blog("services:\n  web: {image: a, restart: always}\n");
    let stopped = "exited: Exited (137) 3 hours ago";
    let work = repo.plan(&host(&repo, &[ended("blog/web", stopped, "always", "")]));
    assert!(work.is_idle());
    assert_eq!(notes(&work), ["blog/web was stopped by hand 3 hours ago and stays so"]);
    let work = repo.plan(&host(&repo, &[ended("blog/web", stopped, "always", "port is already allocated")]));
    assert_eq!(plan_lines(&work)[1], "  up web: blog/compose.yml:2 (Docker failed to start its container)");
    // What Docker says about it may hold paths and arguments.
    assert!(!serde_json::to_string(&work.plan()).unwrap().contains("allocated"));
    let work = repo.plan(&host(&repo, &[container("blog/web", "paused: Up 3 hours (Paused)")]));
    assert_eq!(notes(&work), ["blog/web was paused by hand and stays so"]);
    let work = repo.plan(&host(&repo, &[ended("blog/web", "exited: Exited (3) 3 hours ago", "no", "")]));
    assert_eq!(
        notes(&work),
        ["blog/web exited 3 hours ago with status 3, and its restart policy leaves it at that"]
    );
    // Docker begins some durations with a capital.
    let now = "exited: Exited (137) Less than a second ago";
    let work = repo.plan(&host(&repo, &[ended("blog/web", now, "always", "")]));
    assert_eq!(notes(&work), ["blog/web was stopped by hand less than a second ago and stays so"]);
}

#[test]
fn an_action_that_is_owed_anyway_says_what_it_starts() {
    let compose = |image: &str| {
        format!(
            "services:\n  web: {{image: {image}, depends_on: [db]}}\n  db: {{image: b, restart: always}}\n"
        )
    };
    let repo = blog(&compose("a"));
    let stopped = ended("blog/db", "exited: Exited (137) 3 hours ago", "always", "");
    let deployed = host(&repo, &[container("blog/web", UP), stopped]);
    repo.write("blog/compose.yml", &compose("c"));
    let work = repo.plan(&deployed);
    assert_eq!(plan_lines(&work)[2], "  up web: blog/compose.yml:2");
    assert_eq!(notes(&work), ["blog/db was stopped by hand 3 hours ago; this starts it again"]);
}

#[test]
fn a_stopped_service_gets_no_signal_and_no_command() {
    for reaction in ["signal: HUP", "exec: [x]"] {
        let compose = format!(
            "services: {{web: {{image: a, restart: always, volumes: ['./c:/c'], x-ghdeploy: {{on-change: {{{reaction}}}}}}}}}"
        );
        let repo = Projects::new(&[("blog/compose.yml", &compose), ("blog/c", "1")]);
        let deployed = host(&repo, &[ended("blog/web", "exited: Exited (137) 1 hour ago", "always", "")]);
        repo.write("blog/c", "2");
        assert_eq!(plan_lines(&repo.plan(&deployed))[2], "  none web: blog/c bind@1");
    }
}

#[test]
fn nobody_misses_a_one_shot_that_has_completed() {
    let compose = "services:\n  init: {image: i}\n  job: {image: j}\n  web: {image: w, depends_on: {init: {condition: service_completed_successfully}}}\n";
    let repo = blog(compose);
    let mut deployed = host(&repo, &[container("blog/web", UP)]);
    let services = &mut deployed.state.projects.get_mut("blog").unwrap().services;
    services.get_mut("job").unwrap().completed = true;
    assert!(repo.plan(&deployed).is_idle());
    // Compose runs it again with a service that waits for it.
    deployed.containers = Containers::Known(Vec::new());
    let work = repo.plan(&deployed);
    assert_eq!(
        plan_lines(&work)[1..],
        [
            "  up init: blog/compose.yml:2 (it has no container)",
            "  up web: blog/compose.yml:4 (it has no container)"
        ]
    );
    // That it has completed is recorded.
    deployed.containers = Containers::Known(vec![
        container("blog/init", DONE),
        container("blog/job", DONE),
        container("blog/web", UP),
    ]);
    let work = repo.plan(&deployed);
    assert!(work.is_idle());
    let completed = |name: &str| work.projects[0].state.services[name].completed;
    assert_eq!([completed("init"), completed("job"), completed("web")], [true, true, false]);
}

#[test]
fn another_scale_is_an_up_and_a_scale_by_hand_a_note() {
    let compose = |scale: u32| format!("services:\n  w: {{image: a, deploy: {{replicas: {scale}}}}}\n");
    let repo = blog(&compose(2));
    let second = ListedContainer { name: "blog-w-2".to_owned(), number: 2, ..container("blog/w", UP) };
    let third = ListedContainer { name: "blog-w-3".to_owned(), number: 3, ..container("blog/w", UP) };
    let one = host(&repo, &[container("blog/w", UP)]);
    let two = host(&repo, &[container("blog/w", UP), second.clone()]);
    let three = host(&repo, &[container("blog/w", UP), second, third]);
    assert!(repo.plan(&two).is_idle());
    assert_eq!(plan_lines(&repo.plan(&one))[1], "  up w: blog/compose.yml:2 (it has 1 of 2 containers)");
    let work = repo.plan(&three);
    assert!(work.is_idle());
    assert_eq!(notes(&work), ["blog/w has 3 containers, and the compose file asks for 2"]);
    for scale in [0, 1, 3] {
        repo.write("blog/compose.yml", &compose(scale));
        let mut work = repo.plan(&two);
        assert_eq!(plan_lines(&work)[2], "  up w: blog/compose.yml:2 (another number of containers)");
        assert_eq!(work.projects.pop().unwrap().state.services["w"].scale, Some(scale));
    }
    repo.write("blog/compose.yml", &compose(0));
    assert!(repo.plan(&host(&repo, &[])).is_idle());
    // A restart removes none of them, an `up` does.
    let with_file = |image: &str| {
        format!("services:\n  w: {{image: {image}, volumes: ['./c:/c'], deploy: {{replicas: 2}}}}\n")
    };
    repo.write("blog/c", "1").write("blog/compose.yml", &with_file("a"));
    let three = Deployed { containers: three.containers, ..repo.deployed() };
    repo.write("blog/c", "2");
    let work = repo.plan(&three);
    assert_eq!(plan_lines(&work)[2], "  restart w: blog/c bind@2");
    assert_eq!(notes(&work), ["blog/w has 3 containers, and the compose file asks for 2"]);
    repo.write("blog/compose.yml", &with_file("b"));
    let removes = "blog/w has 3 containers, and the compose file asks for 2; this `up` removes 1 container";
    assert_eq!(notes(&repo.plan(&three)), [removes]);
}

#[test]
fn a_service_that_runs_although_its_profile_is_not_active_is_told() {
    let repo = blog("services:\n  web: {image: a}\n  debug: {image: b}\n");
    let all = [container("blog/web", UP), container("blog/debug", UP)];
    let deployed = host(&repo, &all);
    repo.write("blog/compose.yml", "services:\n  web: {image: a}\n  debug: {image: b, profiles: [x]}\n");
    let work = repo.plan(&deployed);
    assert_eq!(plan_lines(&work), ["blog changed", "  modified blog/compose.yml"]);
    assert_eq!(notes(&work), ["blog/debug runs, although its profile is not active"]);
    // Without a container there is nothing to tell, and nothing is missing.
    let deployed = Deployed { containers: Containers::Known(all[..1].to_vec()), ..deployed };
    let work = repo.plan(&deployed);
    assert_eq!((plan_lines(&work).len(), work.notes.len()), (2, 0));
}

#[test]
fn without_an_answer_of_docker_nothing_is_missing_and_that_is_told() {
    let repo = blog("services: {web: {image: a}}");
    let mut deployed = repo.deployed();
    assert!(repo.plan(&deployed).is_idle());
    deployed.containers = Containers::Unknown(DockerFailure::NoAnswer);
    let work = repo.plan(&deployed);
    assert!(work.is_idle());
    assert_eq!(
        notes(&work),
        ["Docker on the host did not answer in time, so it is not known whether the services run"]
    );
    deployed.state.projects.get_mut("blog").unwrap().services.clear();
    assert_eq!(repo.plan(&deployed).notes, []);
}

const VPN: &str = "\
services:
  vpn: {image: v, environment: {A: one}, volumes: ['./vpn.conf:/c']}
  app: {image: a, network_mode: 'service:vpn', depends_on: {vpn: {condition: service_started}}}
  pid: {image: a, pid: 'service:vpn'}
  vol: {image: a, volumes_from: [vpn]}
  other: {image: a}
";

#[test]
fn services_in_a_namespace_follow_its_owner() {
    let repo = Projects::new(&[("blog/compose.yml", VPN), ("blog/vpn.conf", "1")]);
    let deployed = repo.deployed();
    repo.write("blog/compose.yml", &VPN.replace("one", "two"));
    let follows = |kind: &str| {
        vec![
            format!("  {kind} app: blog/compose.yml:3 (uses a namespace of vpn)"),
            format!(
                "  {kind} pid: blog/compose.yml:4 (restarts with vpn), blog/compose.yml:4 (uses a namespace of vpn)"
            ),
        ]
    };
    let lines = plan_lines(&repo.plan(&deployed)).split_off(2);
    let kinds: Vec<&str> = lines.iter().map(|line| line.split(':').next().unwrap().trim()).collect();
    assert_eq!(kinds, ["up app", "up pid", "up vol", "up vpn"]);
    assert_eq!(lines[0], follows("up")[0]);
    assert_eq!(lines[2], "  up vol: blog/compose.yml:5 (uses the volumes of vpn)");
    // A restart keeps the volumes.
    repo.write("blog/compose.yml", VPN).write("blog/vpn.conf", "2");
    let lines = plan_lines(&repo.plan(&deployed)).split_off(2);
    let kinds: Vec<&str> = lines.iter().map(|line| line.split(':').next().unwrap().trim()).collect();
    assert_eq!(kinds, ["restart app", "restart pid", "restart vpn"]);
    // A recreate by force comes after every `up`, so the others are recreated with it.
    let work = repo.plan_with(&deployed, |ask| ask.force = true);
    assert!(plan_lines(&work)[2..].iter().all(|line| line.starts_with("  recreate ")));
}

#[test]
fn a_service_whose_namespace_is_gone_comes_up() {
    let repo = Projects::new(&[("blog/compose.yml", VPN), ("blog/vpn.conf", "1")]);
    let vpn = container("blog/vpn", UP);
    let all = |id: &str| {
        let inspected = Inspected { network_mode: format!("container:{id}"), ..Inspected::default() };
        let app = ListedContainer { inspected: Some(inspected), ..container("blog/app", UP) };
        let others = ["blog/pid", "blog/vol", "blog/other"].map(|of| container(of, UP));
        [vec![app, vpn.clone()], others.to_vec()].concat()
    };
    assert!(repo.plan(&host(&repo, &all(&format!("{}0123", vpn.id)))).is_idle());
    let work = repo.plan(&host(&repo, &all("ffffffffffff0123")));
    assert_eq!(
        plan_lines(&work)[1..],
        ["  up app: blog/compose.yml:3 (the container whose namespace it uses is gone)"]
    );
}

#[test]
fn a_service_in_the_namespace_of_another_project_comes_after_it_and_follows_it() {
    let gluetun = |image: &str| format!("services:\n  gl: {{image: {image}, container_name: gluetun}}\n");
    let repo = Projects::new(&[
        ("zvpn/compose.yml", &gluetun("a")),
        ("dl/compose.yml", "services:\n  dl: {image: d, network_mode: 'container:gluetun'}\n"),
    ]);
    let deployed = repo.deployed();
    repo.write("zvpn/compose.yml", &gluetun("b"));
    let work = repo.plan(&deployed);
    assert_eq!(
        plan_lines(&work),
        [
            "zvpn changed",
            "  modified zvpn/compose.yml",
            "  up gl: zvpn/compose.yml:2",
            "dl changed",
            "  recreate dl: dl/compose.yml:2 (uses a namespace of zvpn/gl)",
        ]
    );
    // Somebody else has replaced that container.
    let gl = ListedContainer { name: "gluetun".to_owned(), ..container("zvpn/gl", UP) };
    let inspected = Inspected { network_mode: "container:ffffffffffff01".to_owned(), ..Inspected::default() };
    let dl = ListedContainer { inspected: Some(inspected), ..container("dl/dl", UP) };
    repo.write("zvpn/compose.yml", &gluetun("a"));
    let work = repo.plan(&host(&repo, &[gl, dl]));
    assert_eq!(
        plan_lines(&work)[1..],
        ["  recreate dl: dl/compose.yml:2 (the container whose namespace it uses is gone)"]
    );
}
