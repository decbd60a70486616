//! Commands that are sent together, each of which needs the success of the one before.

use std::fs;

use ghdeploy::host::{Command, DriverEvent, ReleaseImages};

use crate::bed::{expect_ok, file, tree, under_every_shell};

fn state(number: u64) -> Command {
    Command::State(format!(r#"{{"version":1,"release":{number},"commit":null,"at":null,"projects":{{}}}}"#))
}

under_every_shell! {
    async fn a_step_after_one_that_failed_is_not_carried_out(bed: Bed) {
        bed.sync("blog", &tree([("blog/a", file("1"))])).await;
        let driver = bed.opened().await;
        expect_ok(&driver.call(&state(1)).await.unwrap());
        let before = fs::read(bed.state("state.json")).unwrap();
        // Nothing is staged, so the swap fails.
        let release = Command::Release { number: 9, images: ReleaseImages::Known(vec!["sha256:1 blog web app:1".to_owned()]) };
        let steps = [Command::Note("{}".to_owned()), Command::Swap("blog".to_owned()), state(2), release, state(3)];
        let replies = driver.call_in_turn(&steps).await.unwrap();
        assert_eq!(replies.iter().map(|reply| reply.rc == 0).collect::<Vec<_>>(), [true, false]);
        assert!(bed.state("run.json").exists(), "the first one has succeeded");
        // What was sent with the others is not taken for commands.
        expect_ok(&driver.call(&Command::Note(String::new())).await.unwrap());
        assert_eq!(fs::read(bed.state("state.json")).unwrap(), before);
        assert!(!bed.state("releases/9").exists());
        let replies = driver.call_in_turn(&[state(2), state(3)]).await.unwrap();
        replies.iter().for_each(expect_ok);
        assert!(fs::read_to_string(bed.state("state.json")).unwrap().contains(r#""release":3"#));
        bed.finish(driver).await;
    }

    async fn containers_come_with_the_answer_of_what_has_acted(bed: Bed) {
        bed.sync("blog", &tree([("blog/a", file("a"))])).await;
        let container = r#"{"id":ID,"event":"container","container":{"id":"c1","name":"/blog-web-1","image":"sha256:1","image_name":"app:1","state":"running","exit_code":0,"restarts":0,"created":"","started":"","project":"blog","service":"web","oneoff":"False","replaces":"","health":null,"probe":null,"healthcheck":null,"stop_timeout":null,"restart_policy":"no"}}"#;
        fs::write(bed.beside("container"), container).unwrap();
        bed.wrap("docker", "echo \"$*\" >>\"$bed/asked\"\ncase $1 in ps) echo c1 ;; inspect) case $5 in *'\"id\":'*) id=${5#*'\"id\":'}; sed \"s/ID/${id%%,*}/\" \"$bed/container\" ;; esac ;; *) [ ! -e \"$bed/fail\" ] ;; esac");
        let driver = bed.opened().await;
        let act = Command::Act { dir: "blog".to_owned(), ids: Vec::new(), argv: vec!["restart".to_owned(), "web".to_owned()] };
        let reply = driver.call(&act).await.unwrap();
        expect_ok(&reply);
        let seen = reply.into_containers();
        assert_eq!(seen.iter().map(|one| (one.id.as_str(), one.service.as_str())).collect::<Vec<_>>(), [("c1", "web")]);
        let asked = fs::read_to_string(bed.beside("asked")).unwrap();
        assert!(asked.starts_with("compose restart web\nps "), "{asked}");
        let of_one = Command::Act { dir: "blog".to_owned(), ids: vec!["c1".to_owned(), "c2".to_owned()], argv: vec!["stop".to_owned()] };
        assert_eq!(driver.call(&of_one).await.unwrap().into_containers().len(), 1);
        let asked = fs::read_to_string(bed.beside("asked")).unwrap();
        let last: Vec<&str> = asked.lines().rev().take(2).collect();
        assert!(last[1] == "compose stop" && last[0].starts_with("inspect ") && last[0].ends_with(" c1 c2"), "{asked}");
        // What else is printed when one of them has gone is no reason to fail.
        bed.wrap("docker", "case $1 in ps) ;; inspect) echo a warning >&2; echo 'No such container: c2' >&2; exit 1 ;; esac");
        expect_ok(&driver.call(&Command::ContainersOf(vec!["c2".to_owned()])).await.unwrap());
        bed.wrap("docker", "echo \"$*\" >>\"$bed/asked\"; [ ! -e \"$bed/fail\" ]");
        // After a failure, the driver does not look at the containers.
        fs::write(bed.beside("fail"), "").unwrap();
        let reply = driver.call(&act).await.unwrap();
        assert!(reply.rc != 0 && !reply.events.iter().any(|event| matches!(event, DriverEvent::Container { .. })));
        // If Docker does not answer the look, what has acted has succeeded all the same.
        bed.wrap("docker", "[ \"$1\" = compose ] || { echo no daemon >&2; exit 1; }");
        let reply = driver.call(&act).await.unwrap();
        expect_ok(&reply);
        assert!(reply.into_containers().is_empty());
        bed.finish(driver).await;
    }

    async fn images_of_a_release_are_known_or_listed(bed: Bed) {
        bed.sync("blog", &tree([("blog/a", file("a"))])).await;
        bed.wrap("docker", "case $1 in ps) echo c1 ;; inspect) echo sha256:listed blog web app:1 ;; esac");
        let known = vec!["sha256:known blog web app:1".to_owned(), "sha256:known blog db db:1".to_owned()];
        for (number, images, wanted) in [
            (1, ReleaseImages::Known(known.clone()), known.join("\n")),
            (2, ReleaseImages::Listed, "sha256:listed blog web app:1".to_owned()),
            (3, ReleaseImages::ListedLater, "sha256:listed blog web app:1".to_owned()),
        ] {
            let driver = bed.opened().await;
            let steps = [state(number), Command::Release { number, images }];
            driver.call_in_turn(&steps).await.unwrap().iter().for_each(expect_ok);
            bed.finish(driver).await;
            assert_eq!(fs::read_to_string(bed.state(&format!("releases/{number}/images"))).unwrap().trim_end(), wanted);
        }
    }
}
