//! Containers among the facts: what Docker is asked, and what becomes of a Docker that does not answer.

use std::collections::BTreeMap;
use std::fs;

use ghdeploy::host::facts::facts_with_containers;
use ghdeploy::state::container::{ContainerState, Containers, DockerFailure};

use crate::bed::{Bed, under_every_shell, under_shells_with_tools};

/// Puts a Docker on the host that notes what it is asked. `ps` prints the file `ps`, and `inspect` the file
/// `inspect`.
fn docker(bed: &Bed, ps: &str, inspect: &str) {
    fs::write(bed.beside("ps"), ps).unwrap();
    fs::write(bed.beside("inspect"), inspect).unwrap();
    let script = r#"case $1 in
  ps) echo ps >>"$bed/asked"; echo 'WARNING: no swap' >&2; cat "$bed/ps" ;;
  inspect) while [ $# -gt 5 ]; do shift; done; echo "inspect $*" >>"$bed/asked"; cat "$bed/inspect" ;;
esac"#;
    bed.wrap("docker", script);
}

/// A line about a container of a project in the root.
fn line(bed: &Bed, id: &str, service: &str, state: &str, status: &str, networks: &str) -> String {
    line_in(bed.path("a \"b\"").to_str().unwrap(), id, service, state, status, networks)
}

fn line_in(folder: &str, id: &str, service: &str, state: &str, status: &str, networks: &str) -> String {
    let event = if state == "running" && !networks.is_empty() { "listed" } else { "other" };
    format!(
        "@{event} {id}\tblog-{service}-1\tblog\t{service}\t1\tFalse\t{state}\t{status}\t\tweb:1\t{networks}\t{folder}\n"
    )
}

/// The containers of a driver that asks for them, and of one for which they were asked before it arrived.
async fn listed(bed: &Bed) -> Containers {
    let driver = bed.opened_to_read().await;
    let late = facts_with_containers(&driver, &BTreeMap::new()).await.unwrap().containers;
    driver.end().await;
    let _ = fs::remove_file(bed.beside("asked"));
    let driver = bed.listing().await;
    bed.open_to_read(&driver).await;
    let early = facts_with_containers(&driver, &BTreeMap::new()).await.unwrap().containers;
    assert_eq!(early, late);
    // It does not answer twice.
    assert_eq!(facts_with_containers(&driver, &BTreeMap::new()).await.unwrap().containers, late);
    driver.end().await;
    if let Ok(asked) = fs::read_to_string(bed.beside("asked")) {
        fs::write(bed.beside("asked"), &asked[..asked.len() / 2]).unwrap();
    }
    early
}

/// How often Docker was asked for the containers by a driver that takes the lock.
async fn asked_to_write(bed: &Bed) -> usize {
    let driver = bed.listing().await;
    bed.open_to_write_now(&driver).await;
    let facts = facts_with_containers(&driver, &BTreeMap::new()).await.unwrap();
    assert_eq!(facts.containers.known().unwrap().len(), 1);
    driver.end().await;
    fs::read_to_string(bed.beside("asked")).unwrap().lines().count()
}

under_every_shell! {
    async fn containers_that_run_or_have_succeeded_take_one_question(bed: Bed) {
        let ps = line(&bed, "000000000001", "web", "running", "Up 3 hours (healthy)", "blog_default")
            + &line(&bed, "000000000002", "init", "exited", "Exited (0) 3 hours ago", "blog_default");
        docker(&bed, &ps, "");
        let all = listed(&bed).await;
        let all = all.known().unwrap();
        assert_eq!(all.iter().map(|one| &*one.service).collect::<Vec<_>>(), ["web", "init"]);
        assert_eq!(all[0].working_dir, bed.path("a \"b\"").to_str().unwrap());
        assert_eq!((&all[1].state, all[1].exit_code), (&ContainerState::Exited, Some(0)));
        assert!(all.iter().all(|one| one.inspected.is_none()));
        assert_eq!(fs::read_to_string(bed.beside("asked")).unwrap(), "ps\n");
    }

    async fn what_has_ended_and_what_has_no_network_of_its_own_is_inspected(bed: Bed) {
        let ps = line(&bed, "000000000001", "web", "running", "Up 3 hours", "blog_default")
            + &line(&bed, "000000000002", "db", "exited", "Exited (137) 3 hours ago", "blog_default")
            + &line(&bed, "000000000003", "new", "created", "Created", "blog_default")
            + &line(&bed, "000000000004", "side", "running", "Up 3 hours", "")
            + &line(&bed, "000000000005", "loop", "restarting", "Restarting (1) 3 seconds ago", "blog_default")
            + &line_in("/elsewhere", "000000000006", "db", "exited", "Exited (137) 3 hours ago", "other_default");
        let id = |digit: &str| format!("00000000000{digit}").repeat(6)[..64].to_owned();
        let inspect = [
            format!("{}\talways\t0\t0\tblog_default\t\tprivate\tBind for 0.0.0.0:80 \"failed\"\n", id("2")),
            "Error: No such container: 000000000003\n".to_owned(),
            format!("{}\tno\t0\t0\tcontainer:9f\t\tprivate\t\n", id("4")),
        ];
        docker(&bed, &ps, &inspect.concat());
        let all = listed(&bed).await;
        let inspected: Vec<_> = all.known().unwrap().iter().map(|one| one.inspected.clone()).collect();
        assert_eq!(inspected.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false, true, false, false]);
        assert_eq!(inspected[1].as_ref().unwrap().error, "Bind for 0.0.0.0:80 \"failed\"");
        assert_eq!(inspected[3].as_ref().unwrap().network_mode, "container:9f");
        let asked = fs::read_to_string(bed.beside("asked")).unwrap();
        assert!(asked.ends_with("000000000002 000000000003 000000000004\n"), "{asked}");
    }

    async fn a_host_without_containers_has_a_known_number_of_them(bed: Bed) {
        docker(&bed, "", "");
        assert_eq!(listed(&bed).await, Containers::Known(Vec::new()));
    }

    async fn a_list_that_was_begun_before_the_driver_counts_unless_something_may_have_changed(bed: Bed) {
        docker(&bed, &line(&bed, "000000000001", "web", "running", "Up 3 hours", "blog_default"), "");
        assert_eq!(asked_to_write(&bed).await, 1);
        fs::remove_file(bed.beside("asked")).unwrap();
        // A run that was cut off.
        fs::write(bed.state("run.json"), "{}\n").unwrap();
        assert_eq!(asked_to_write(&bed).await, 2);
        fs::remove_file(bed.state("run.json")).unwrap();
        fs::remove_file(bed.beside("asked")).unwrap();
        // A run that holds the lock meanwhile.
        let other = bed.opened().await;
        let (asked, ()) = tokio::join!(asked_to_write(&bed), async {
            while !bed.beside("asked").exists() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            other.end().await;
        });
        assert_eq!(asked, 2);
    }

    async fn a_list_that_is_longer_than_a_pipe_holds_arrives_whole(bed: Bed) {
        let ps: String = (0..2000)
            .map(|number| line(&bed, &format!("{number:012}"), "web", "running", "Up 3 hours", "blog_default"))
            .collect();
        assert!(ps.len() > 128 << 10);
        docker(&bed, &ps, "");
        assert_eq!(listed(&bed).await.known().unwrap().len(), 2000);
    }

    async fn a_docker_that_fails_leaves_the_containers_unknown(bed: Bed) {
        bed.wrap("docker", "echo 'Cannot connect to the Docker daemon'; exit 1");
        assert_eq!(listed(&bed).await, Containers::Unknown(DockerFailure::NotRunning));
    }
}

under_shells_with_tools! {
    async fn a_docker_that_does_not_answer_in_time_leaves_the_containers_unknown(bed: Bed) {
        // Time passes at once.
        bed.wrap("sleep", ":");
        bed.wrap("docker", "exec tail -f /dev/null");
        assert_eq!(listed(&bed).await, Containers::Unknown(DockerFailure::NoAnswer));
    }
}
