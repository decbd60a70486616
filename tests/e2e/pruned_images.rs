//! Images that were replaced and that no kept release needs, with a real Docker.

use std::process::Command;

use crate::bed::{Bed, HEALTH, stdout_of};

struct Images {
    bed: Bed,
}

impl Drop for Images {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f", &self.stopped()]).output();
    }
}

impl Images {
    /// A container of no project. Its name is none of those that the bed looks for.
    fn stopped(&self) -> String {
        format!("stopped-{}", self.bed.id)
    }

    fn docker(&self, args: &[&str]) -> String {
        stdout_of(Command::new("docker").args(args))
    }

    fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.bed.id)
    }

    /// Makes an image that differs from all others.
    fn make(&self, name: &str) {
        let script = format!(
            "printf 'FROM ghdeploy-test/busybox:1\\nLABEL is={name}\\n' | docker build -q -t {} -",
            self.name(name)
        );
        stdout_of(Command::new("sh").args(["-c", &script]));
    }

    /// Deploys the project with this image, and a service that is built on the host with this content.
    fn deploy(&self, image: &str, content: &str) -> String {
        let web = format!("web: {{<<: *s, image: '{}'}}", self.name(image));
        self.bed.compose(
            "app",
            &format!("services:\n  {web}\n  built: {{<<: *s, image: '{}', build: .}}", self.name("built:1")),
        );
        self.bed.write(
            "services/app/Dockerfile",
            format!("FROM ghdeploy-test/busybox:1\nLABEL is=built-{content}\n"),
        );
        self.bed.sync([]).exits(0).stdout
    }

    /// The images of this test that have a name.
    fn there(&self) -> Vec<String> {
        let reference = format!("reference={}-*", self.bed.id);
        let listed =
            self.docker(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "--filter", &reference]);
        let mut names: Vec<String> =
            listed.lines().map(|name| name[self.bed.id.len() + 1..].to_owned()).collect();
        names.sort();
        names
    }

    fn id(&self, name: &str) -> String {
        self.docker(&["image", "inspect", "--format", "{{.Id}}", &self.name(name)]).trim().to_owned()
    }

    fn exists(&self, id: &str) -> bool {
        Command::new("docker").args(["image", "inspect", id]).output().unwrap().status.success()
    }
}

#[test]
fn replaced_images_go_with_the_last_release_that_needs_them_and_no_others() {
    let images = Images { bed: Bed::new("pruneimages") };
    images.bed.write("ghdeploy.yml", format!("{HEALTH}prune_images: true\nkeep: 2\n"));
    for name in ["app:1", "app:2", "app:3", "app:4", "app:5", "other:1"] {
        images.make(name);
    }
    images.deploy("app:1", "1");
    let built = images.id("built:1");
    images.deploy("app:2", "2");
    // What the release before runs is needed for a rollback.
    assert!(images.exists(&built));
    assert_eq!(images.there(), ["app:1", "app:2", "app:3", "app:4", "app:5", "built:1", "other:1"]);
    // A person keeps the second one under another name, and uses the third one in a container that does not run.
    images.docker(&["tag", &images.name("app:2"), &images.name("mine:1")]);
    images.docker(&["create", "--name", &images.stopped(), &images.name("app:3"), "true"]);
    let shown = images.deploy("app:3", "3");
    assert!(
        shown.contains(&format!("removed image {}, which no kept release needs", images.name("app:1"))),
        "{shown}"
    );
    assert!(!images.exists(&built), "{shown}");
    assert_eq!(images.there(), ["app:2", "app:3", "app:4", "app:5", "built:1", "mine:1", "other:1"]);
    images.deploy("app:4", "4");
    images.deploy("app:5", "5");
    assert_eq!(images.there(), ["app:2", "app:3", "app:4", "app:5", "built:1", "mine:1", "other:1"]);
    // A rollback still has all that it needs.
    images.bed.call(["rollback"]).run().exits(0);
    let runs = images.bed.inspect("app/web", "{{.Config.Image}}");
    assert_eq!(runs, images.name("app:4"));
    // What somebody else needs no more goes with a later release.
    images.docker(&["rm", &images.stopped()]);
    images.docker(&["image", "rm", &images.name("mine:1")]);
    images.bed.write("services/app/compose.yml", "services: {}\n");
    images.make("app:6");
    let shown = images.deploy("app:6", "6");
    for gone in ["app:2", "app:3"] {
        assert!(shown.contains(&format!("removed image {}", images.name(gone))), "{shown}");
    }
    assert!(images.there().contains(&"other:1".to_owned()));
}
