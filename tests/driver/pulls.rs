//! A login to a registry on the host: where it is while an image is pulled, and that nothing of it stays.

use ghdeploy::base::secret::Secret;
use ghdeploy::host::Command;

use crate::bed::under_shells_with_tools;

const SECRET: &str = "hunter\\n'$2%s\\";

/// A Docker that asks the credential helper, and notes what others could see meanwhile.
const DOCKER: &str = r#"case "$1" in
  context) echo "$DOCKER_CONFIG" >>"$bed/contexts"; echo far ;;
  pull)
    echo "$*" >"$bed/argv"
    echo "$DOCKER_CONTEXT" >"$bed/context"
    cat "$DOCKER_CONFIG/config.json" >"$bed/config.json"
    readlink "$DOCKER_CONFIG/contexts" >"$bed/link"
    echo ghcr.io | docker-credential-ghdeploy get >"$bed/answer"
    find "$bed/srv" -type f -exec cat {} + >"$bed/files"
    cat /proc/$PPID/cmdline /proc/$$/cmdline >"$bed/cmdlines"
    case "$3" in bad) cat "$bed/answer"; exit 1 ;; esac ;;
  *) env >>"$bed/env" ;;
esac"#;

under_shells_with_tools! {
    async fn a_login_is_where_docker_asks_for_it_and_nowhere_else(bed: Bed) {
        std::fs::create_dir_all(bed.beside("docker/contexts")).unwrap();
        std::fs::write(bed.beside("docker/config.json"), "{\"currentContext\":\"far\"}").unwrap();
        bed.wrap("docker", DOCKER);
        let driver = bed.opened().await;
        let pull = |image: &str, platform: Option<&str>| Command::Pull {
            image: image.to_owned(),
            platform: platform.map(str::to_owned),
            config: r#"{"credHelpers":{"ghcr.io":"ghdeploy"}}"#.to_owned(),
            answer: Secret::new(SECRET),
        };
        let reply = driver.call(&pull("ghcr.io/ann/app:1", Some("linux/arm64"))).await.unwrap();
        assert!(reply.is_ok(), "{reply:?}");
        let noted = |name: &str| std::fs::read_to_string(bed.beside(name)).unwrap();
        assert_eq!(noted("argv"), "pull --quiet --platform linux/arm64 ghcr.io/ann/app:1\n");
        assert_eq!(noted("answer"), format!("{SECRET}\n"));
        assert_eq!(noted("config.json"), "{\"credHelpers\":{\"ghcr.io\":\"ghdeploy\"}}\n");
        assert_eq!(noted("context"), "far\n");
        assert_eq!(noted("link"), format!("{}\n", bed.beside("docker/contexts").display()));
        // What a registry repeats is kept nowhere.
        let reply = driver.call(&pull("bad", None)).await.unwrap();
        assert_eq!((reply.is_ok(), noted("argv").as_str()), (false, "pull --quiet bad\n"));
        driver.call(&Command::Docker(vec!["ps".to_owned()])).await.unwrap();
        for name in ["files", "cmdlines", "env"] {
            assert!(!noted(name).contains("hunter"), "{name}");
        }
        assert!(!bed.state("failed.log").exists());
        let stage = bed.state("stage");
        let left: Vec<_> = std::fs::read_dir(stage).unwrap().flatten().flat_map(|run| std::fs::read_dir(run.path()).unwrap()).collect();
        assert!(left.is_empty(), "{left:?}");
        driver.end().await;
    }
}
