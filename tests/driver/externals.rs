//! External networks and volumes whose names only the host knows.

use ghdeploy::host::{Command, ComposeFolder};

use crate::bed::{file, tree, under_every_shell};

/// What Compose prints of a project, with a secret.
const CONFIG: &str = r#"{
  "name": "blog",
  "networks": {
    "back": {
      "name": "gone",
      "ipam": {
        "name": "there"
      },
      "external": true
    },
    "front": {
      "name": "there",
      "external": true
    },
    "later": {
      "name": "made",
      "external": true
    }
  },
  "services": {
    "web": {
      "name": "there",
      "environment": {
        "PASSWORD": "hunter2"
      }
    }
  },
  "volumes": {
    "back": {
      "name": "there",
      "external": true
    },
    "data": {
      "name": "old",
      "external": true
    }
  }
}
"#;

const DOCKER: &str = r#"case "$1 $2" in
  'compose --ansi') pwd >>"$bed/asked"; [ -e "$bed/config" ] || { echo 'hunter2 is wrong' >&2; exit 1; }; cat "$bed/config" ;;
  *' inspect') case $5 in there) echo '{}' ;; old) echo 'Error: no such volume: old' >&2; exit 1 ;;
    gone) echo 'Error: No such network: gone' >&2; exit 1 ;; *) echo 'Cannot connect to the Docker daemon' >&2; exit 1 ;; esac ;;
esac"#;

under_every_shell! {
    async fn external_networks_that_are_missing_are_named_by_their_keys(bed: Bed) {
        bed.put(&tree([("blog/compose.yml", file("x"))]));
        bed.wrap("docker", DOCKER);
        let driver = bed.opened().await;
        let asked = ["network/front", "network/back", "network/later", "network/none", "volume/back", "volume/data"];
        let command = Command::Externals {
            dir: "blog".to_owned(),
            folder: ComposeFolder::Live,
            asked: asked.map(str::to_owned).to_vec(),
            made: vec!["network/made".to_owned()],
        };
        // Without a definition nothing is known, and nothing is printed.
        let reply = driver.call(&command).await.unwrap();
        assert!(!reply.is_ok() && reply.output.is_empty(), "{reply:?}");
        std::fs::write(bed.beside("config"), CONFIG).unwrap();
        let reply = driver.call(&command).await.unwrap();
        assert_eq!((reply.is_ok(), reply.output), (true, vec!["network/back".to_owned(), "volume/data".to_owned()]));
        // A daemon that does not answer says nothing of a network.
        std::fs::write(bed.beside("config"), CONFIG.replace("\"gone\"", "\"unknown\"")).unwrap();
        let reply = driver.call(&command).await.unwrap();
        assert_eq!(reply.output, ["volume/data"]);
        driver.end().await;
    }
}
