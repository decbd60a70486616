//! Networks and volumes whose definition changes, and external ones that are missing.

use std::process::Command;

use crate::bed::{Bed, stdout_of};

#[test]
fn a_volume_with_other_options_stops_its_project() {
    let bed = Bed::new("othervolume");
    let with = |size: &str| {
        format!(
            "services:\n  web: {{<<: *s, volumes: ['data:/data']}}\nvolumes:\n  data: {{driver_opts: {{type: tmpfs, device: tmpfs, o: 'size={size}'}}}}"
        )
    };
    bed.compose("app", &with("20m"));
    bed.deploy();
    let before = bed.containers();
    bed.compose("app", &with("30m"));
    bed.sync([])
        .exits(5)
        .prints("volume `data` exists on the host with another configuration")
        .prints("driver_opts.o differs")
        .prints("services/app/compose.yml:")
        .prints("docker volume rm")
        .ends_with("nothing was changed (release 1)");
    assert_eq!(bed.containers(), before);
    bed.compose("app", &with("20m"));
    bed.sync([]).exits(0);
}

#[test]
fn a_missing_external_network_is_found_before_anything_changes() {
    let bed = Bed::new("externalnet");
    let network = format!("{}-edge", bed.id);
    let compose = format!(
        "services:\n  web: {{<<: *n, networks: [edge]}}\nnetworks: {{edge: {{external: true, name: {network}}}}}"
    );
    bed.compose("app", &compose);
    bed.sync([])
        .exits(5)
        .prints("the external network `edge` does not exist on the host")
        .prints(&format!("docker network create {network}"));
    assert!(!bed.root("app/compose.yml").exists());
    stdout_of(Command::new("docker").args(["network", "create", &network]));
    assert_eq!(bed.deploy().fates, ["app/web started"]);
}

#[test]
fn an_external_network_that_the_host_names_is_found_before_anything_changes() {
    let bed = Bed::new("hostnet");
    let name = format!("{}-hidden", bed.id);
    let compose = |image: &str| {
        let service = format!("{{<<: *n, image: '{image}', networks: [edge], volumes: ['rows:/rows']}}");
        bed.compose("app", &format!("services:\n  web: {service}\nnetworks: {{edge: {{external: true, name: '${{NET}}'}}}}\nvolumes: {{rows: {{external: true, name: '${{NET:-none}}-rows'}}}}"));
    };
    let image = "ghdeploy-test/busybox:1";
    compose(image);
    bed.remove_guarded("app/.env");
    bed.guard("app/.env", &format!("NET={name}\n"));
    let missing = |output: crate::support::program::Output| {
        output
            .exits(5)
            .prints("the external network `edge` does not exist on the host")
            .prints("docker network create NAME, where NAME is `${NET}` with the values in ")
            .prints("the external volume `rows` does not exist on the host")
            .never_prints(&name)
    };
    missing(bed.sync([])).ends_with("nothing was changed");
    assert!(!bed.root("app/compose.yml").exists());
    stdout_of(Command::new("docker").args(["network", "create", &name]));
    bed.call(["sync"]).run().exits(5).prints("external volume `rows`").never_prints("external network");
    stdout_of(Command::new("docker").args(["volume", "create", &format!("{name}-rows")]));
    bed.call(["sync"]).run().exits(0);
    bed.call(["sync"]).run().exits(0).prints("nothing to do");
    // Also for an action that leaves the definition as it is.
    stdout_of(Command::new("docker").args(["compose", "down"]).current_dir(bed.root("app")));
    stdout_of(Command::new("docker").args(["network", "rm", &name]));
    bed.call(["sync"])
        .run()
        .exits(5)
        .prints("the external network `edge` does not exist")
        .never_prints(&name);
}
