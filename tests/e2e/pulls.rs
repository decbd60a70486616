//! Images, when their registry is away, and Compose of Ubuntu 22.04.

use std::process::Command;

use crate::bed::{Bed, stdout_of};

/// What Compose 2.20 answers, which has no `--policy` and no `--ignore-buildable`.
const OLD_COMPOSE: &str = r#"case " $* " in
*" compose version --short "*) echo 2.20.3; exit ;;
*" pull "*" --policy "*|*" pull "*" --ignore-buildable "*) echo 'unknown flag: --policy' >&2; exit 125 ;;
esac"#;

/// A bed with an image that only the host has: no registry answers for its name.
fn bed(test: &str) -> (Bed, String) {
    let bed = Bed::new(test);
    let image = format!("127.0.0.1:1/{}-app:latest", bed.id);
    stdout_of(Command::new("docker").args(["tag", "ghdeploy-test/busybox:1", &image]));
    (bed, image)
}

fn untag(image: &str) {
    stdout_of(Command::new("docker").args(["image", "rm", image]));
}

#[test]
fn an_image_that_only_the_host_has_is_used_as_it_is() {
    let (bed, image) = bed("hostimage");
    bed.log_docker();
    for value in ["1", "2"] {
        bed.compose(
            "app",
            &format!("services:\n  web: {{<<: *s, image: '{image}', environment: {{A: '{value}'}}}}"),
        );
        bed.deploy();
        assert_eq!(bed.env("app/web", "A"), value);
    }
    assert!(!bed.docker_calls().iter().any(|call| call.contains(" pull ")), "{:?}", bed.docker_calls());
    bed.compose(
        "app",
        &format!("services:\n  web: {{<<: *s, image: '{image}', pull_policy: always, hostname: x}}"),
    );
    bed.sync([])
        .exits(5)
        .prints(&format!(
            "image {image} of service `web` cannot be pulled: its registry refuses the connection"
        ))
        .prints("help: `pull_policy: always` pulls at every change");
    untag(&image);
}

#[test]
fn compose_before_2_22_is_enough() {
    let (bed, image) = bed("oldcompose");
    bed.before_docker(OLD_COMPOSE);
    bed.compose("app", &format!("services:\n  web: {{<<: *s, image: '{image}'}}"));
    assert_eq!(bed.deploy().fates, ["app/web started"]);
    bed.compose("app", "services:\n  web: {<<: *s, image: '127.0.0.1:1/nobody/nothing:1'}");
    bed.sync([]).exits(5).prints("image 127.0.0.1:1/nobody/nothing:1 of service `web` cannot be pulled");
    bed.call(["doctor"]).run().exits(0);
    bed.before_docker("case \" $* \" in *' compose version --short '*) echo v2.17.2; exit ;; esac");
    bed.call(["doctor"]).run().exits(4).prints("2.17.2 is older than 2.20");
    bed.restore_docker();
    drop(bed);
    untag(&image);
}
