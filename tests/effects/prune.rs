//! Images that were replaced and that no kept release needs. Two releases are kept, and each build makes a new image.

use ghdeploy::base::error::Exit;

use crate::bench::{Ask, Projects, Run};
use crate::host::Host;
use crate::peer::Fault;

const BLOG: &str = "services: {web: {build: .}}\n";

fn pruning() -> Ask {
    Ask { prune_images: true, ..Ask::default() }
}

fn repo() -> Projects {
    Projects::new(&[("blog/compose.yml", BLOG), ("blog/Dockerfile", "FROM a\n")])
}

/// Makes the next release, with an image of the next number.
fn release(repo: &Projects, host: &Host, ask: Ask) -> Run {
    let number = host.releases.keys().last().copied().unwrap_or_default() + 1;
    repo.write("blog/Dockerfile", &format!("FROM a\nRUN echo {number}\n"));
    let run = repo.sync(host, ask);
    assert_eq!(run.exit, Exit::Done, "{run:#?}");
    run
}

/// A host with these releases, of which the last two are kept.
fn host_after(repo: &Projects, releases: usize, ask: Ask) -> Host {
    let mut host = Host::default();
    for _ in 0..releases {
        host = release(repo, &host, ask).host;
    }
    host
}

#[test]
fn an_image_goes_once_no_kept_release_needs_it() {
    let repo = repo();
    let host = host_after(&repo, 2, pruning());
    assert!(host.removed_images.is_empty(), "a rollback needs both");
    let run = release(&repo, &host, pruning());
    assert_eq!(run.host.removed_images, ["sha256:1"]);
    assert_eq!(run.outcome.removed_images[0].short(), "1");
    assert!(run.at("finish") < run.at("docker image rm --no-prune sha256:1"), "{:#?}", run.commands);
    let run = release(&repo, &run.host, pruning());
    assert_eq!(run.host.removed_images, ["sha256:1", "sha256:2"]);
    let recorded = &run.host.state.as_ref().unwrap()["images"];
    assert_eq!(recorded.as_object().unwrap().keys().collect::<Vec<_>>(), ["sha256:3", "sha256:4"]);
    // Where nothing changes, nothing is asked.
    let run = repo.sync(&run.host, pruning());
    assert!(!run.did("images") && !run.did("docker image"), "{:#?}", run.commands);
}

#[test]
fn without_the_key_nothing_is_removed_or_recorded_and_with_it_old_releases_count() {
    let repo = repo();
    let mut host = host_after(&repo, 3, Ask::default());
    assert!(host.removed_images.is_empty() && host.state.as_ref().unwrap()["images"].is_null());
    // The host kept ten releases so far.
    host = release(&repo, &host, pruning()).host;
    host.removed_images.sort();
    assert_eq!(host.removed_images, ["sha256:1", "sha256:2"]);
}

#[test]
fn what_anything_else_may_need_stays() {
    let repo = repo();
    let host = host_after(&repo, 2, pruning());
    let tagged = |tag: &str| Host {
        image_tags: [("sha256:1".to_owned(), vec![tag.to_owned()])].into(),
        ..host.clone()
    };
    for (host, is_removed, why) in [
        (host.clone(), true, "nothing needs it"),
        (
            Host { other_image: Some("sha256:1".to_owned()), ..host.clone() },
            false,
            "another container uses it",
        ),
        (tagged("backup:1"), false, "somebody has given it a name"),
        (tagged("blog-web:latest"), true, "the name is ours"),
    ] {
        let run = release(&repo, &host, pruning());
        assert_eq!(!run.host.removed_images.is_empty(), is_removed, "{why}: {:#?}", run.commands);
    }
    // A project that wants its name has no container, because no profile activates the service.
    repo.write("shop/compose.yml", "services: {web: {image: a}, old: {image: 'blog-web', profiles: [x]}}\n");
    let run = release(&repo, &tagged("blog-web:latest"), pruning());
    assert!(run.host.removed_images.is_empty(), "{:#?}", run.commands);
    // It is tried again once that is over.
    repo.write("shop/compose.yml", "services: {web: {image: a}}\n");
    let run = release(&repo, &run.host, pruning());
    assert!(run.host.removed_images.contains(&"sha256:1".to_owned()), "{:#?}", run.commands);
}

#[test]
fn a_failure_is_a_warning_at_most_and_tried_again() {
    let repo = repo();
    let host = host_after(&repo, 2, pruning());
    let third = || {
        repo.write("blog/Dockerfile", "FROM a\nRUN echo 3\n");
    };
    third();
    let at = repo.sync(&host, pruning()).at("docker image rm --no-prune sha256:1");
    for (fault, warnings) in [(Fault::Refused, 1), (Fault::Half, 0)] {
        let run = repo.sync(&host, Ask { faults: [Some((at, fault)), None], ..pruning() });
        assert_eq!((run.exit, run.outcome.notes.len()), (Exit::Done, warnings), "{run:#?}");
        assert!(run.outcome.removed_images.is_empty());
        let run = release(&repo, &run.host, pruning());
        assert_eq!(run.host.removed_images, ["sha256:1", "sha256:2"]);
        third();
    }
}
