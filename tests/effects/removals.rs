//! Services that are removed, and what takes their place: the old container stays until all else has gone well.

use ghdeploy::base::error::Exit;
use ghdeploy::base::manifest::Digest;
use ghdeploy::base::path::RootPath;
use ghdeploy::outcome::ProjectResult;

use crate::bench::{Ask, Projects};
use crate::host::{Container, Host};
use crate::peer::Fault;

const OLD: &str = "services:\n  old: {image: a, volumes: ['./x:/x']}\n  idle: {image: b}\n";

/// A host with a service whose new name fails as long as `x` is bad, and the repository that renames it.
fn renamed() -> (Projects, Host) {
    let repo = Projects::new(&[("blog/compose.yml", OLD), ("blog/x", "good")]);
    let poison = vec![(RootPath::new("blog/x").unwrap(), Digest::of(b"bad"))];
    let host = Host { poison, ..repo.deployed() };
    repo.write("blog/compose.yml", &OLD.replace("old:", "new:")).write("blog/x", "bad");
    (repo, host)
}

fn container<'h>(host: &'h Host, service: &str) -> &'h Container {
    host.containers.iter().find(|container| container.service == service).unwrap()
}

/// The names of the services that have a container.
fn services(host: &Host) -> Vec<&str> {
    host.containers.iter().map(|container| container.service.as_str()).collect()
}

#[test]
fn the_old_container_itself_comes_back_and_others_are_not_touched() {
    let (repo, before) = renamed();
    let run = repo.sync(&before, Ask::default());
    assert_eq!((run.exit, run.result("blog")), (Exit::RolledBack, ProjectResult::RolledBack), "{run:#?}");
    let old = container(&run.host, "old");
    assert_eq!((&old.id, old.is_stopped), (&container(&before, "old").id, false));
    assert_eq!(container(&run.host, "idle"), container(&before, "idle"));
    assert_eq!(run.commands.iter().filter(|command| command.contains("docker start")).count(), 1);
    assert!(!run.did("remove blog old") && !run.did("blog: restart"), "{:#?}", run.commands);
    repo.write("blog/x", "better");
    let run = repo.sync(&run.host, Ask::default());
    assert_eq!((run.exit, repo.misses(&run.host)), (Exit::Done, Vec::new()));
    let stop = format!("docker stop {}", old.id);
    assert!(run.at(&stop) < run.at("blog: up -d --quiet-pull --remove-orphans=false new"));
    assert!(run.at("remove blog old") > run.at("blog: up -d --quiet-pull --remove-orphans=false new"));
}

#[test]
fn a_run_that_was_cut_off_anywhere_loses_no_container_and_leaves_none_behind() {
    let (repo, before) = renamed();
    let past = Projects::new(&[("blog/compose.yml", OLD), ("blog/x", "good")]);
    for at in 0..repo.sync(&before, Ask::default()).commands.len() {
        for fault in [Fault::CutBefore, Fault::CutAfter] {
            let faults = [Some((at, fault)), None];
            let cut = repo.sync(&before, Ask { faults, ..Ask::default() });
            // Wanted once more, it fails, and the old container is there again.
            let again = repo.sync(&cut.host, Ask::default());
            let place = format!("{fault:?} at {:?}: {:#?}", cut.commands.last(), again.commands);
            assert_eq!(
                (again.exit, again.result("blog")),
                (Exit::RolledBack, ProjectResult::RolledBack),
                "{place}"
            );
            let old = container(&again.host, "old");
            assert_eq!((&old.id, old.is_stopped), (&container(&before, "old").id, false), "{place}");
            assert_eq!(services(&again.host).len(), 2, "{place}");
            // Taken back, it is the same one, too.
            let back = past.sync(&cut.host, Ask::default());
            assert_eq!((back.exit, past.misses(&back.host)), (Exit::Done, Vec::new()), "{place}");
            assert_eq!(container(&back.host, "old").id, container(&before, "old").id, "{place}");
        }
    }
}

#[test]
fn a_project_that_is_pruned_after_such_a_run_leaves_nothing_behind() {
    let (repo, before) = renamed();
    repo.write("shop/compose.yml", "services:\n  web: {image: a}\n");
    let at = repo.sync(&before, Ask::default()).at(&format!("docker stop {}", container(&before, "old").id));
    let cut = repo.sync(&before, Ask { faults: [Some((at, Fault::CutAfter)), None], ..Ask::default() });
    repo.remove("blog");
    let host = Host { poison: Vec::new(), ..cut.host };
    let run = repo.sync(&host, Ask { prune: true, ..Ask::default() });
    assert_eq!(run.exit, Exit::Done, "{run:#?}");
    assert!(run.did("remove blog old"), "{:#?}", run.commands);
    assert_eq!(services(&run.host), ["web"]);
}

#[test]
fn a_service_that_nothing_replaces_runs_until_the_end() {
    let repo = Projects::new(&[("blog/compose.yml", OLD), ("blog/x", "good")]);
    let before = repo.deployed();
    repo.write("blog/compose.yml", "services:\n  idle: {image: b}\n");
    let run = repo.sync(&before, Ask::default());
    assert_eq!((run.exit, repo.misses(&run.host)), (Exit::Done, Vec::new()));
    assert!(run.did("remove blog old") && !run.did("docker stop"), "{:#?}", run.commands);
}

#[test]
fn a_failure_before_anything_acts_restarts_nothing() {
    let compose = |image: &str| {
        format!(
            "services:\n  web: {{image: {image}}}\n  reader: {{image: b, volumes: ['./x:/x']}}\n  told: {{image: c, volumes: ['./x:/x'], x-ghdeploy: {{on-change: {{signal: HUP}}}}}}\n"
        )
    };
    let repo = Projects::new(&[("blog/compose.yml", &compose("a")), ("blog/x", "1")]);
    let before = repo.deployed();
    repo.write("blog/compose.yml", &compose("b")).write("blog/x", "2");
    let clean = repo.sync(&before, Ask::default());
    let (up, restart) =
        (clean.at("blog: up -d --quiet-pull web"), clean.at("blog: restart --no-deps reader"));
    let started = |host: &Host, service: &str| container(host, service).started;
    let fails = |at| repo.sync(&before, Ask { faults: [Some((at, Fault::Refused)), None], ..Ask::default() });
    for (at, service) in [(up, "reader"), (up, "told"), (restart, "told")] {
        let run = fails(at);
        assert_eq!(run.result("blog"), ProjectResult::RolledBack, "{run:#?}");
        assert_eq!(started(&run.host, service), started(&before, service), "{service}: {:#?}", run.commands);
    }
    // What has acted reads the old files again.
    let told = fails(clean.at("blog: kill -s HUP told"));
    for service in ["reader", "told"] {
        assert!(started(&told.host, service) > started(&before, service), "{service}: {:#?}", told.commands);
    }
}
