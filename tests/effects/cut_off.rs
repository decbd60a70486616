//! Runs that are cut off at any command. The next run enters them into the history, and a failure leads back to
//! the last release in which the project was well.

use ghdeploy::base::error::Exit;
use ghdeploy::base::manifest::Digest;
use ghdeploy::base::path::RootPath;
use ghdeploy::outcome::ProjectResult;
use serde_json::Value;

use crate::bench::{Ask, Projects, Run};
use crate::host::Host;
use crate::peer::Fault;

const WEB: &str = "services:\n  web: {image: a, volumes: ['./x:/x']}\n  idle: {image: b}\n";

fn poison() -> Vec<(RootPath, Digest)> {
    ["bad", "worse"].map(|content| (RootPath::new("blog/x").unwrap(), Digest::of(content.as_bytes()))).into()
}

/// A host with a good release of a project that another one shares nothing with.
fn good() -> (Projects, Host) {
    let repo = Projects::new(&[
        ("blog/compose.yml", WEB),
        ("blog/x", "good"),
        ("shop/compose.yml", WEB),
        ("shop/x", "good"),
    ]);
    let host = Host { poison: poison(), ..repo.deployed() };
    (repo, host)
}

fn cut(repo: &Projects, host: &Host, at: usize, fault: Fault) -> Host {
    repo.sync(host, Ask { faults: [Some((at, fault)), None], ..Ask::default() }).host
}

fn numbers(host: &Host) -> Vec<(u64, bool)> {
    let line = |line: &Value| (line["release"].as_u64().unwrap(), line["cut_off"] == true);
    host.history.iter().map(line).collect()
}

fn is_back_at_release_1(run: &Run, before: &Host, at: &str) {
    assert_eq!(
        (run.exit, run.result("blog")),
        (Exit::RolledBack, ProjectResult::RolledBack),
        "{at} {run:#?}"
    );
    assert_eq!((&run.host.files, &run.host.manifests), (&before.files, &before.manifests), "{at}");
    let project = |host: &Host| host.state.as_ref().unwrap()["projects"]["blog"].clone();
    assert_eq!(project(&run.host), project(before), "{at}");
    assert!(run.host.state.as_ref().unwrap()["unsettled"].is_null(), "{at}");
    assert!(run.host.note.is_none(), "{at}");
}

/// Every place at which a sync can be cut off.
fn everywhere(repo: &Projects, host: &Host) -> Vec<(usize, Fault)> {
    let commands = repo.sync(host, Ask::default()).commands.len();
    (0..commands).flat_map(|at| [Fault::CutBefore, Fault::CutAfter].map(|fault| (at, fault))).collect()
}

#[test]
fn a_bad_version_that_was_cut_off_goes_back_to_the_release_that_was_well() {
    let (repo, before) = good();
    repo.write("blog/x", "bad");
    for (at, fault) in everywhere(&repo, &before) {
        let host = cut(&repo, &before, at, fault);
        let run = repo.sync(&host, Ask::default());
        is_back_at_release_1(&run, &before, &format!("{at} {fault:?}"));
        let numbers = numbers(&run.host);
        assert!(numbers == [(1, false)] || numbers == [(1, false), (2, true)], "{numbers:?}");
        repo.write("blog/x", "better");
        let run = repo.sync(&run.host, Ask::default());
        assert_eq!((run.exit, repo.misses(&run.host)), (Exit::Done, Vec::new()));
        assert_eq!(run.outcome.release, Some(numbers.len() as u64 + 1));
        repo.write("blog/x", "bad");
    }
}

#[test]
fn so_does_a_chain_of_them_whose_files_differ() {
    let (repo, before) = good();
    for (first, fault) in [("swap blog", Fault::CutAfter), ("blog: restart --no-deps web", Fault::CutAfter)] {
        repo.write("blog/x", "bad").write("blog/added", "1");
        let at = repo.sync(&before, Ask::default()).at(first);
        let host = cut(&repo, &before, at, fault);
        repo.write("blog/x", "worse");
        for (at, fault) in everywhere(&repo, &host) {
            let host = cut(&repo, &host, at, fault);
            repo.write("blog/x", "bad");
            let run = repo.sync(&host, Ask::default());
            is_back_at_release_1(&run, &before, &format!("{first} {at} {fault:?}"));
            let numbers = numbers(&run.host);
            assert!(
                numbers.len() <= 3 && numbers.windows(2).all(|pair| pair[0].0 < pair[1].0),
                "{numbers:?}"
            );
            repo.write("blog/x", "worse");
        }
    }
}

#[test]
fn a_project_that_was_never_well_is_not_there_afterwards() {
    let repo = Projects::new(&[("shop/compose.yml", WEB), ("shop/x", "good")]);
    let before = Host { poison: poison(), ..repo.deployed() };
    repo.write("blog/compose.yml", WEB).write("blog/x", "bad");
    for (at, fault) in everywhere(&repo, &before) {
        let host = cut(&repo, &before, at, fault);
        let run = repo.sync(&host, Ask::default());
        let at = format!("{at} {fault:?}: {run:#?}");
        if run.exit == Exit::NeedsLook {
            // The model does not list containers along with the facts, so nobody can know that there was none.
            assert!(run.host.state.as_ref().unwrap()["unsettled"]["blog"]["well"].is_null(), "{at}");
            continue;
        }
        assert_eq!((run.exit, run.result("blog")), (Exit::RolledBack, ProjectResult::RolledBack), "{at}");
        assert_eq!(run.host.files, before.files, "{at}");
    }
}

#[test]
fn shared_files_that_moved_meanwhile_need_a_look_and_the_command() {
    let reader = "services:\n  web: {image: a, volumes: ['./x:/x', '../shared/s:/s']}\n";
    let repo = Projects::new(&[("blog/compose.yml", reader), ("blog/x", "good"), ("shared/s", "1")]);
    let before = Host { poison: poison(), ..repo.deployed() };
    repo.write("blog/x", "bad").write("shared/s", "2");
    let at = repo.sync(&before, Ask::default()).at("swap blog");
    let host = cut(&repo, &before, at, Fault::CutAfter);
    let run = repo.sync(&host, Ask::default());
    assert_eq!((run.exit, run.result("blog")), (Exit::NeedsLook, ProjectResult::Unknown));
    let last = run.project("blog").problems.last().unwrap();
    assert_eq!(last.message, "the rollback failed: shared files that it reads are not those of release 1");
    assert_eq!(last.help.as_deref(), Some("run `ghdeploy rollback --to 1 --project blog --host web`"));
}

#[test]
fn files_whose_services_have_not_acted_yet_are_no_way_back() {
    let (repo, before) = good();
    repo.write("blog/x", "bad");
    let owed = repo.sync(&before, Ask { no_restart: true, ..Ask::default() });
    assert_eq!((owed.exit, owed.outcome.release), (Exit::Done, Some(2)));
    let run = repo.sync(&owed.host, Ask::default());
    assert_eq!((run.exit, run.result("blog")), (Exit::RolledBack, ProjectResult::RolledBack));
    assert_eq!(run.host.files, before.files);
    assert_eq!(run.project("blog").back_to, Some(1));
}

#[test]
fn the_release_that_a_project_needs_outlives_those_of_others() {
    let (repo, before) = good();
    repo.write("blog/x", "bad");
    let at = repo.sync(&before, Ask::default()).at("swap blog");
    let mut host = cut(&repo, &before, at, Fault::CutAfter);
    repo.write("blog/x", "good");
    let shop = Projects::new(&[("shop/compose.yml", WEB), ("shop/x", "good")]);
    for round in 0..12 {
        shop.write("shop/x", &format!("round {round}"));
        host = shop.sync(&host, Ask::default()).host;
    }
    assert!(host.releases.contains_key(&1), "{:?}", host.releases.keys());
    assert!(!host.releases.contains_key(&3), "{:?}", host.releases.keys());
}
