//! Containers that somebody else has removed, stopped, paused or replaced, their number, and their namespaces.

use std::process::Command;

use crate::bed::{Bed, stdout_of};

/// Runs `docker` with these words; `@app/web` stands for the container of that service.
fn docker(bed: &Bed, words: &[&str]) -> String {
    let containers = bed.containers();
    let words = words.iter().map(|word| match word.strip_prefix('@') {
        Some(service) => containers[service].id.clone(),
        None => (*word).to_owned(),
    });
    stdout_of(Command::new("docker").args(words))
}

#[test]
fn a_container_that_is_gone_comes_back_and_one_that_was_stopped_does_not() {
    let bed = Bed::new("missing");
    let one_shot = "init: {<<: *s, command: ['true']}";
    bed.compose("app", &format!("services:\n  web: {{<<: *s, restart: always, depends_on: {{init: {{condition: service_completed_successfully}}}}}}\n  worker: {{<<: *s, restart: always}}\n  {one_shot}"));
    bed.sync([]).exits(0);
    bed.call(["status", "--exit-code"])
        .run()
        .exits(0)
        .prints("1 project, 3 services: 1 completed, 2 running");
    docker(&bed, &["rm", "-f", "@app/web"]);
    bed.call(["status", "--exit-code"]).run().exits(10).prints("no container").prints("owed: up web");
    bed.call(["status", "--exit-code", "--project", "!app"]).run().exits(0);
    bed.call(["sync", "--no-restart"]).run().exits(0).prints("nothing to do");
    let change = bed.deploy();
    assert_eq!(change.actions, ["up app/web"]);
    let history = bed.call(["history", "--format", "json"]).run().exits(0).json();
    assert_eq!(history["hosts"][0]["releases"].as_array().unwrap().len(), 2, "a release was made");
    // A one-shot that has completed is missed only by a service that is made anew.
    docker(&bed, &["rm", "@app/init"]);
    bed.call(["sync", "--dry-run", "--exit-code"]).run().exits(0);
    docker(&bed, &["stop", "-t", "0", "@app/worker"]);
    bed.call(["sync"]).run().exits(0).prints("app/worker was stopped by hand").prints("nothing to do");
    assert_eq!(bed.containers()["app/worker"].state, "exited");
    bed.call(["status", "--exit-code"]).run().exits(10).prints("stopped (137)");
    // As after a snapshot was restored.
    docker(&bed, &["rm", "-f", "@app/web", "@app/worker"]);
    bed.commit();
    bed.call(["sync"]).run().exits(0).prints("it has no container");
    let states: Vec<_> = bed.containers().into_iter().map(|(name, one)| (name, one.state)).collect();
    let state = |name: &str, state: &str| (name.to_owned(), state.to_owned());
    assert_eq!(
        states,
        [state("app/init", "exited"), state("app/web", "running"), state("app/worker", "running")]
    );
    bed.call(["sync"]).run().exits(0).prints("nothing to do");
}

#[test]
fn a_container_that_was_missing_comes_back_although_another_service_fails() {
    let bed = Bed::new("missingbad");
    let compose = |web: &str| {
        bed.compose("app", &format!("services:\n  web: {{<<: *s, command: [{web}]}}\n  worker: {{<<: *s}}"));
    };
    compose("sleep, '1000'");
    bed.sync([]).exits(0);
    docker(&bed, &["rm", "-f", "@app/worker"]);
    compose("'false'");
    bed.commit();
    bed.call(["sync"]).run().exits(5).prints("rolled back to release 1");
    let states: Vec<_> = bed.containers().into_iter().map(|(name, one)| (name, one.state)).collect();
    let running = |name: &str| (name.to_owned(), "running".to_owned());
    assert_eq!(states, [running("app/web"), running("app/worker")]);
    bed.call(["status", "--exit-code"]).run().exits(0);
}

#[test]
fn a_paused_service_is_told_and_runs_again_with_the_next_action() {
    let bed = Bed::new("paused");
    let compose = |mode: &str| {
        bed.compose("app", &format!("services:\n  web: {{<<: *s, environment: {{MODE: {mode}}}, depends_on: [db]}}\n  db: {{<<: *s}}"));
    };
    compose("one");
    bed.sync([]).exits(0);
    docker(&bed, &["pause", "@app/db"]);
    bed.call(["sync"]).run().exits(0).prints("app/db was paused by hand").prints("nothing to do");
    compose("two");
    bed.commit();
    bed.call(["sync"]).run().exits(0).prints("this lets it run again");
    assert_eq!(bed.containers()["app/db"].state, "running");
    assert_eq!(bed.env("app/web", "MODE"), "two");
}

#[test]
fn the_number_of_containers_follows_the_compose_file() {
    let bed = Bed::new("scale");
    let scale = |scale: u32| {
        bed.compose(
            "app",
            &format!("services:\n  w: {{<<: *s, deploy: {{replicas: {scale}}}}}\n  x: {{<<: *s}}"),
        );
        bed.sync([])
    };
    let count = || {
        let filter = format!("name={}-app-w-", bed.id);
        stdout_of(Command::new("docker").args(["ps", "-aq", "--filter", &filter])).lines().count()
    };
    scale(1).exits(0);
    for number in [3, 0, 2] {
        scale(number).exits(0).prints("another number of containers");
        assert_eq!(count(), usize::try_from(number).unwrap());
        bed.call(["sync"]).run().exits(0).prints("nothing to do");
    }
    stdout_of(Command::new("docker").args(["rm", "-f", &format!("{}-app-w-2", bed.id)]));
    bed.call(["sync"]).run().exits(0).prints("it has 1 of 2 containers");
    assert_eq!(count(), 2);
}

#[test]
fn services_in_a_namespace_are_made_anew_after_its_owner() {
    let bed = Bed::new("namespace");
    let compose = |server: &str| {
        bed.compose("vpn", &format!("services:
  vpn: {{<<: *n, container_name: '{0}-gluetun', environment: {{SERVER: {server}}}, volumes: ['./vpn.conf:/c:ro'], restart: unless-stopped}}
  app: {{<<: *s, network_mode: 'service:vpn', depends_on: {{vpn: {{condition: service_started}}}}, restart: unless-stopped}}", bed.id));
        bed.compose(
            "adl",
            &format!("services:\n  dl: {{<<: *s, network_mode: 'container:{}-gluetun'}}", bed.id),
        );
    };
    let is_connected = || {
        for service in ["vpn/app", "adl/dl"] {
            let links = bed.inside(service, &["ip", "link"]);
            assert!(links.contains("eth0"), "{service} has lost its network: {links}");
        }
    };
    compose("five");
    bed.write("services/vpn/vpn.conf", "one");
    bed.sync([]).exits(0);
    is_connected();
    compose("six");
    let change = bed.deploy();
    assert_eq!(change.actions, ["up vpn/app", "up vpn/vpn", "recreate adl/dl"]);
    is_connected();
    bed.write("services/vpn/vpn.conf", "two");
    let change = bed.deploy();
    assert_eq!(change.actions, ["restart vpn/app", "restart vpn/vpn", "restart adl/dl"]);
    is_connected();
    // Back to the release before, in the same order.
    bed.call(["rollback"]).run().exits(0);
    is_connected();
    // Something else has replaced that container alone.
    docker(&bed, &["rm", "-f", "@vpn/vpn"]);
    stdout_of(
        Command::new("docker").args(["compose", "up", "-d", "--no-deps", "vpn"]).current_dir(bed.root("vpn")),
    );
    let change = bed.call(["sync", "--allow-older", "--format", "json"]).run().exits(0).json();
    let actions = crate::bed::observe::actions(&change);
    assert!(actions.contains(&"recreate adl/dl".to_owned()), "{actions:?}");
    is_connected();
}
