//! Sources of mounts that only the host has: Docker would make a directory where a file is missing.

use ghdeploy::base::error::Exit;
use ghdeploy::outcome::{ActionResult, ProjectResult};

use crate::bench::{Ask, Projects, Run};
use crate::host::Host;

const NOWHERE: &str = "is neither in the repository nor on the host";
const DIRECTORY: &str = "is a directory on the host, though a file is meant";

/// Returns the problems of a first sync of a service with these attributes.
fn problems(host: &Host, attributes: &str) -> Vec<String> {
    let compose = format!(
        "services:\n  web: {{image: a, {attributes}}}\nconfigs: {{c: {{file: ./token}}}}\nsecrets: {{s: {{file: ./token}}}}\n"
    );
    let projects = Projects::new(&[("blog/compose.yml", &compose), ("blog/own.conf", "")]);
    blocked(host, &projects.sync(host, Ask::default()))
}

/// Returns the problems of the project. If it has any, nothing on the host has changed.
fn blocked(host: &Host, run: &Run) -> Vec<String> {
    let problems = &run.project("blog").problems;
    if problems.is_empty() {
        assert_eq!((run.exit, run.result("blog")), (Exit::Done, ProjectResult::Done), "{run:#?}");
    } else {
        assert_eq!(run.result("blog"), ProjectResult::NothingChanged);
        assert_eq!((&run.host.files, &run.host.containers), (&host.files, &host.containers));
    }
    problems.iter().map(|problem| problem.message.clone()).collect()
}

fn mounts(path: &str, what: &str) -> Vec<String> {
    vec![format!("service `web` mounts {path}, which {what}")]
}

#[test]
fn a_file_that_neither_the_repository_nor_the_host_has_blocks_the_project() {
    let host = Host::default();
    for (attributes, path) in [
        ("volumes: ['./app.conf:/x']", "services/blog/app.conf"),
        ("volumes: ['./app:/etc/app.conf']", "services/blog/app"),
        ("volumes: ['/opt/app.conf:/x']", "/opt/app.conf"),
        ("configs: [c]", "services/blog/token"),
        ("secrets: [s]", "services/blog/token"),
    ] {
        assert_eq!(problems(&host, attributes), mounts(path, NOWHERE), "{attributes}");
    }
}

#[test]
fn a_directory_where_a_file_is_meant_blocks_the_project() {
    let mut host = Host { directories: ["/opt/app.conf".to_owned()].into(), ..Host::default() };
    host.put_by_hand("blog/app.conf/x", "");
    for (attributes, path) in [
        ("volumes: ['./app.conf:/x']", "services/blog/app.conf"),
        ("volumes: ['/opt/app.conf:/x']", "/opt/app.conf"),
    ] {
        assert_eq!(problems(&host, attributes), mounts(path, DIRECTORY), "{attributes}");
    }
}

#[test]
fn a_source_that_is_there_or_may_be_a_directory_blocks_nothing() {
    let mut host = Host { directories: ["/opt/data".to_owned()].into(), ..Host::default() };
    host.put_by_hand("blog/app.conf", "");
    host.env_files.insert("blog/.env".to_owned(), "one".to_owned());
    for attributes in [
        "volumes: ['./app.conf:/x']",
        "volumes: ['./own.conf:/x']",
        "volumes: ['./data:/x']",
        "volumes: ['/opt/data:/x', '/opt/other:/y']",
        "volumes: ['${CONF}/app.conf:/x']",
        "env_file: [{path: no.env, required: false}]",
    ] {
        assert_eq!(problems(&host, attributes), Vec::<String>::new(), "{attributes}");
    }
}

#[test]
fn every_missing_file_is_reported() {
    let found = problems(&Host::default(), "volumes: ['./a.conf:/a', './data:/data', './b.conf:/b']");
    assert_eq!(
        found,
        [mounts("services/blog/a.conf", NOWHERE), mounts("services/blog/b.conf", NOWHERE)].concat()
    );
}

#[test]
fn only_a_service_that_acts_needs_its_files() {
    let worker = |image: &str| format!("  worker: {{image: {image}}}\n");
    let compose = |web: &str, image: &str| {
        format!(
            "services:\n  web: {{image: a, volumes: ['./app.conf:/x', './conf:/conf'], {web}}}\n{}",
            worker(image)
        )
    };
    let projects = Projects::new(&[("blog/compose.yml", &compose("", "b")), ("blog/conf/a", "1")]);
    let mut host = Host::default();
    host.put_by_hand("blog/app.conf", "");
    let mut host = projects.sync(&host, Ask::default()).host;
    host.files.retain(|path, _| path.as_str() != "blog/app.conf");
    projects.write("blog/conf/a", "2");
    assert_eq!(
        blocked(&host, &projects.sync(&host, Ask::default())),
        mounts("services/blog/app.conf", NOWHERE)
    );
    // The other service acts meanwhile, so that sources are checked at all.
    for (compose, actions) in [
        (compose("x-ghdeploy: {on-change: none}", "c"), vec!["up worker", "none web"]),
        (compose("profiles: [x]", "c"), vec!["up worker"]),
        (format!("services:\n{}", worker("c")), vec!["up worker", "remove web"]),
    ] {
        let run = projects.write("blog/compose.yml", &compose).sync(&host, Ask::default());
        assert_eq!(blocked(&host, &run), Vec::<String>::new());
        let done = actions.into_iter().map(|action| (action.to_owned(), ActionResult::Done));
        assert_eq!(run.actions("blog"), done.collect::<Vec<_>>());
    }
}
