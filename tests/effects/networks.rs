//! External networks that the configuration lets ghdeploy make.

use ghdeploy::base::error::Exit;
use ghdeploy::outcome::ProjectResult;

use crate::bench::{Ask, Projects, Run};
use crate::host::Host;
use crate::peer::Fault;

const TWO: &[(&str, &str)] = &[
    (
        "blog/compose.yml",
        "services: {web: {image: a, networks: [edge]}}\nnetworks: {edge: {external: true, name: proxy}}\n",
    ),
    (
        "shop/compose.yml",
        "services: {web: {image: a, networks: [proxy]}}\nnetworks: {proxy: {external: true}}\n",
    ),
    ("wiki/compose.yml", "services: {web: {image: a}}\n"),
];

const CREATE: &str = "docker network create --label io.github.ghdeploy.network=made --internal proxy";

fn with_network() -> Ask {
    Ask { network: Some("proxy"), ..Ask::default() }
}

fn creates(run: &Run) -> usize {
    run.commands.iter().filter(|command| command.starts_with("docker network create")).count()
}

#[test]
fn a_missing_network_is_made_once_after_all_checks_and_before_the_first_swap() {
    let repo = Projects::new(TWO);
    let run = repo.sync(&Host::default(), with_network());
    assert_eq!((run.exit, &run.outcome.networks), (Exit::Done, &vec!["proxy".to_owned()]), "{run:#?}");
    let at = run.at(CREATE);
    let checks = run.commands.iter().rposition(|command| command.ends_with("config -q")).unwrap();
    let swaps = run.commands.iter().position(|command| command.starts_with("swap ")).unwrap();
    assert!(checks < at && at < swaps && creates(&run) == 1, "{:#?}", run.commands);
    // Once it is there, nobody asks for it before there is something to do, or makes it again.
    let run = repo.sync(&run.host, with_network());
    assert!(!run.did("docker network") && run.outcome.networks.is_empty(), "{:#?}", run.commands);
    repo.write("blog/compose.yml", &TWO[0].1.replace("image: a", "image: b"));
    let run = repo.sync(&run.host, with_network());
    assert_eq!((run.exit, creates(&run)), (Exit::Done, 0), "{run:#?}");
}

#[test]
fn a_missing_network_that_is_not_in_the_list_blocks_as_before_and_names_the_list() {
    let repo = Projects::new(TWO);
    for ask in [Ask::default(), Ask { network: Some("other"), ..Ask::default() }] {
        let run = repo.sync(&Host::default(), ask);
        assert_eq!((run.exit, creates(&run)), (Exit::RolledBack, 0));
        assert_eq!(
            (run.result("blog"), run.result("wiki")),
            (ProjectResult::NothingChanged, ProjectResult::Done)
        );
        let problem = &run.project("shop").problems[0];
        assert_eq!(problem.message, "the external network `proxy` does not exist on the host");
        assert_eq!(
            problem.help.as_deref(),
            Some(
                "create it on the host: docker network create proxy; or list its name under `networks` in ghdeploy.yml, and ghdeploy makes it"
            )
        );
    }
}

#[test]
fn a_network_that_cannot_be_made_stops_those_that_need_it_and_no_others() {
    let repo = Projects::new(TWO);
    let well = repo.sync(&Host::default(), with_network());
    let at = well.at(CREATE);
    for (fault, message) in [
        (
            Fault::Half,
            "docker network create proxy failed: the subnet of a network overlaps with another network of the host",
        ),
        (Fault::Refused, "docker network create proxy failed"),
    ] {
        let run = repo.sync(&Host::default(), Ask { faults: [Some((at, fault)), None], ..with_network() });
        assert_eq!(run.exit, Exit::RolledBack);
        for project in ["blog", "shop"] {
            assert_eq!(run.result(project), ProjectResult::NothingChanged);
            assert_eq!(run.project(project).problems[0].message, message);
        }
        assert_eq!((run.result("wiki"), run.outcome.networks.len()), (ProjectResult::Done, 0));
        assert!(!run.did("swap blog") && !run.did("swap shop"));
    }
}

#[test]
fn a_network_that_a_project_makes_by_itself_is_left_to_it() {
    let own = "services: {web: {image: a, networks: [proxy]}}\nnetworks: {proxy: {name: proxy}}\n";
    let repo = Projects::new(&[TWO[1], ("traefik/compose.yml", own)]);
    let run = repo.sync(&Host::default(), with_network());
    assert_eq!((run.exit, creates(&run)), (Exit::Done, 0), "{run:#?}");
}

#[test]
fn a_network_that_appears_meanwhile_is_as_good() {
    let repo = Projects::new(TWO);
    let well = repo.sync(&Host::default(), with_network());
    let at = well.at(CREATE);
    // The answer of the first attempt is lost; the second run finds it.
    let run =
        repo.sync(&Host::default(), Ask { faults: [Some((at, Fault::CutAfter)), None], ..with_network() });
    assert!(run.host.networks.contains("proxy"));
    let run = repo.sync(&run.host, with_network());
    assert_eq!((run.exit, creates(&run)), (Exit::Done, 0), "{run:#?}");
}
