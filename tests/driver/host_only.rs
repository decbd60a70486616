//! Reports about what only the host has: compose files, env files, and Compose's own variables in them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use ghdeploy::base::path::RootPath;
use ghdeploy::host::{Command, Driver, DriverEvent, facts};
use ghdeploy::state::host_only::{EnvFile, HostOnly, VariableState};
use ghdeploy::state::question::HostOnlyQuestion;

use crate::bed::{file, link, tree, under_every_shell};

/// The question about the env files at these paths; those of the name `.env` may hold settings.
fn about<const N: usize>(paths: [&str; N]) -> HostOnlyQuestion {
    let env_files = paths.iter().map(|path| ((*path).to_owned(), path.ends_with(".env")));
    HostOnlyQuestion { env_files: env_files.collect(), ..HostOnlyQuestion::default() }
}

async fn ask(driver: &Driver, question: &HostOnlyQuestion) -> HostOnly {
    facts::host_only(driver, question).await.unwrap().host_only
}

fn settings(known: &HostOnly, path: &str) -> String {
    let bytes = known.settings.get(&RootPath::new(path).unwrap());
    bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()).unwrap_or_default()
}

under_every_shell! {
    async fn compose_files_that_the_tree_lacks_are_reported(bed: Bed) {
        bed.put(&tree([
            ("blog/compose.yml", file("ours")),
            ("blog/compose.yaml", file("theirs")),
            ("blog/docker-compose.override.yml", link("compose.yaml")),
            ("blog/docker-compose.yaml", link("nowhere")),
            ("blog/other.yml", file("1")),
            ("od\\d dir/compose.override.yaml", file("1")),
            ("compose.yaml", file("elsewhere")),
        ]));
        fs::create_dir(bed.path("blog/compose.override.yml")).unwrap();
        let folder = |path: &str, names: &[usize]| (RootPath::new(path).unwrap(), names.to_vec());
        let folders = BTreeMap::from([folder("blog", &[1]), folder("od\\d dir", &[]), folder("none", &[])]);
        let question = HostOnlyQuestion { folders, ..HostOnlyQuestion::default() };
        let driver = bed.opened_to_read().await;
        let found = facts::host_only(&driver, &question).await.unwrap().found;
        let mut found: Vec<String> = found.iter().map(|(path, _)| path.to_string()).collect();
        found.sort();
        // A link that leads nowhere is none for Compose; a directory is read, and fails.
        assert_eq!(found, [
            "blog/compose.override.yml",
            "blog/compose.yaml",
            "blog/docker-compose.override.yml",
            "od\\d dir/compose.override.yaml",
        ]);
        driver.end().await;
    }

    async fn a_digest_changes_with_the_content_and_shows_nothing_without_the_key(bed: Bed) {
        bed.put(&tree([("blog/.env", file("A=1\n")), ("blog/a b.env", file("A=1\n")), ("blog/dir/x", file(""))]));
        fs::write(bed.beside("abroad.env"), "A=2\n").unwrap();
        let abroad = bed.beside("abroad.env").to_str().unwrap().to_owned();
        let question = about(["blog/.env", "blog/a b.env", "blog/none.env", "blog/dir", &abroad]);
        // Who only reads makes no key.
        let driver = bed.opened_to_read().await;
        let known = ask(&driver, &question).await;
        assert_eq!((known.key.clone(), &known.env_files["blog/.env"]), (None, &EnvFile::Unknown));
        assert_eq!(known.env_files["blog/none.env"], EnvFile::Missing);
        driver.end().await;
        let driver = bed.opened().await;
        let first = ask(&driver, &question).await;
        let key = fs::metadata(bed.state("key")).unwrap();
        assert_eq!((key.permissions().mode() & 0o777, key.len()), (0o600, 64));
        assert!(matches!(first.env_files["blog/.env"], EnvFile::Known(_)), "{first:?}");
        assert_eq!(first.env_files["blog/.env"], first.env_files["blog/a b.env"]);
        assert_ne!(first.env_files["blog/.env"], first.env_files[&abroad]);
        assert_eq!(first.env_files["blog/dir"], EnvFile::Unknown);
        assert_eq!(ask(&driver, &question).await, first);
        fs::write(bed.path("blog/.env"), "A=2\n").unwrap();
        let second = ask(&driver, &question).await;
        assert_eq!(second.env_files["blog/.env"], first.env_files[&abroad]);
        assert_eq!(second.key, first.key);
        // With another key, the same content has another digest.
        fs::remove_file(bed.state("key")).unwrap();
        let third = ask(&driver, &question).await;
        assert_ne!((&third.key, &third.env_files["blog/.env"]), (&second.key, &second.env_files["blog/.env"]));
        driver.end().await;
    }

    async fn of_an_env_file_only_composes_own_variables_leave_the_host(bed: Bed) {
        let env = "\u{feff}COMPOSE_PROFILES=first\n\
                   # COMPOSE_FILE=commented\n\
                   PASSWORD=hunter2 COMPOSE_FILE=hunter2\n\
                   export  COMPOSE_FILE = \"a.yml:b #1.yml\" # hunter2\n\
                   KEY=\"hunter2\n\
                   COMPOSE_PROJECT_NAME=hunter2\n\
                   \\\" still\"\n\
                   COMPOSE_PATH_SEPARATOR: ';'hunter2\n\
                   MY_COMPOSE_FILE=hunter2\n\
                   COMPOSE_FILES=hunter2\n\
                   COMPOSE_PROJECT_NAME=blog #hunter2\r\n\
                   COMPOSE_PROFILES=a,b\thunter2\n";
        bed.put(&tree([("blog/.env", file(env)), ("blog/x.env", file("COMPOSE_FILE='open\nhunter2'\n"))]));
        let driver = bed.opened().await;
        let reply = driver.call(&Command::HostOnly(about(["blog/.env", "blog/x.env"]))).await.unwrap();
        let all: Vec<String> = reply.events.iter().filter_map(|event| match event {
            DriverEvent::Env { text } => Some(text.clone()),
            _ => None,
        }).collect();
        let known = ask(&driver, &about(["blog/.env", "blog/x.env"])).await;
        assert_eq!(
            settings(&known, "blog/.env"),
            "COMPOSE_PROFILES=first\nCOMPOSE_FILE=\"a.yml:b #1.yml\"\nCOMPOSE_PATH_SEPARATOR=';'\n\
             COMPOSE_PROJECT_NAME=blog\nCOMPOSE_PROFILES=a,b\thunter2\n"
        );
        assert_eq!(settings(&known, "blog/x.env"), "COMPOSE_FILE='\n");
        // The value of COMPOSE_PROFILES itself is the only one that holds it.
        assert_eq!(all.iter().filter(|text| text.contains("hunter2")).count(), 1, "{all:?}");
        driver.end().await;
    }

    async fn of_the_variables_that_are_asked_for_an_env_file_says_which_it_defines(bed: Bed) {
        let env = "A=hunter2\nEMPTY=\nQUOTED=''\nexport TWICE=\nTWICE=\"hunter2\"\nMANY=\"x\nINSIDE=hunter2\n\"\n\
                   #GONE=1\nOTHER=hunter2\nCOMPOSE_PROFILES=a\n";
        bed.put(&tree([("blog/.env", file(env)), ("dir/.env/x", file(""))]));
        let variables = ["A", "EMPTY", "QUOTED", "TWICE", "MANY", "INSIDE", "GONE", "THE", "COMPOSE_PROFILES"];
        let variables = variables.into_iter().map(str::to_owned).collect();
        let question = HostOnlyQuestion { variables, ..about(["blog/.env", "dir/.env", "none/.env"]) };
        let driver = bed.opened_to_read().await;
        let reply = driver.call(&Command::HostOnly(question.clone())).await.unwrap();
        for event in &reply.events {
            if let DriverEvent::Env { text } = event {
                assert!(!text.contains("hunter2") && !text.contains("OTHER"), "{text}");
            }
        }
        let known = ask(&driver, &question).await;
        let (empty, set, unset) = (VariableState::Empty, VariableState::Set, VariableState::Unset);
        let of = |path: &str| known.variables.get(&RootPath::new(path).unwrap());
        let wanted = [
            ("A", set),
            ("COMPOSE_PROFILES", set),
            ("EMPTY", empty),
            ("GONE", unset),
            ("INSIDE", unset),
            ("MANY", set),
            ("QUOTED", empty),
            ("THE", unset),
            ("TWICE", set),
        ];
        let wanted = wanted.map(|(name, state)| (name.to_owned(), state)).into_iter().collect();
        assert_eq!(of("blog/.env"), Some(&wanted));
        assert_eq!((of("dir/.env"), of("none/.env")), (None, None));
        driver.end().await;
    }

    async fn a_folder_is_found_behind_links_and_told_from_one_that_is_closed(bed: Bed) {
        let bed = bed;
        fs::create_dir_all(bed.beside("real dir/blog")).unwrap();
        std::os::unix::fs::symlink("real dir", bed.beside("linked")).unwrap();
        fs::write(bed.beside("file"), "").unwrap();
        let at = |name: &str| bed.beside(name).to_str().unwrap().to_owned();
        let driver = bed.opened_to_read().await;
        let asked = ["linked/blog", "real dir/blog", "gone/blog", "file", "file/blog"].map(at).to_vec();
        let reply = driver.call(&Command::Folders(asked)).await.unwrap();
        let real = fs::canonicalize(bed.beside("real dir/blog")).unwrap().to_str().unwrap().to_owned();
        assert_eq!(reply.output, [real.as_str(), &real, "-", "-", "-"]);
        driver.end().await;
    }
}
