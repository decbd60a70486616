//! What Compose reads on the host beside managed files: compose files, the host's own `.env`, env files.

use std::collections::BTreeMap;

use ghdeploy::base::path::RootPath;
use ghdeploy::config::layout::Layout;
use ghdeploy::plan::HostWork;
use ghdeploy::state::deployed::{Deployed, Elsewhere, Found};
use ghdeploy::state::host_only::{EnvFile, VariableState};
use ghdeploy::state::question::HostOnlyQuestion;
use ghdeploy::state::wanted::Wanted;
use ghdeploy::tree::{self, OnHost};

use crate::bench::{Projects, ROOT, applied, entry, found, path, plan_lines, project};

const COMPOSE: &str = "services:\n  web: {image: a}\n";

/// The host with a compose file of its own.
fn with_rival(mut host: Deployed, rival: &str, there: Found) -> Deployed {
    host.host_only.compose_files.insert(path(rival));
    host.found.insert(path(rival), there);
    host
}

/// What is wanted of a host whose own `.env` in `blog` holds these lines.
fn wanted_with(repo: &Projects, lines: &str) -> Wanted {
    let settings = BTreeMap::from([(path("blog/.env"), lines.as_bytes().into())]);
    let (tree, known) = (repo.tree(), repo.wanted());
    let tree = OnHost::new(&tree).settings(&settings, &known);
    tree::read(&tree, &Layout::default(), ROOT, &|_, _| true).unwrap()
}

/// The host with these states of env files, under the key `k`; `-` stands for none.
fn with_env(host: &Deployed, key: &str, files: &[(&str, &str)]) -> Deployed {
    let mut host = host.clone();
    host.host_only.key = Some(key.to_owned());
    let state = |digest: &str| match digest {
        "-" => EnvFile::Missing,
        "?" => EnvFile::Unknown,
        digest => EnvFile::Known(digest.to_owned()),
    };
    host.host_only.env_files =
        files.iter().map(|(path, digest)| ((*path).to_owned(), state(digest))).collect();
    host
}

/// The host once the marks of a plan without work are recorded.
fn noted(work: &HostWork, host: &Deployed) -> Deployed {
    assert_eq!(plan_lines(work), [""; 0]);
    Deployed { state: work.noted.clone().expect("something to note"), ..host.clone() }
}

#[test]
fn a_compose_file_of_the_host_that_compose_would_read_is_a_conflict() {
    for (ours, theirs, effect) in [
        ("docker-compose.yml", "compose.yaml", "reads it instead of services/blog/docker-compose.yml"),
        (
            "docker-compose.yaml",
            "docker-compose.yml",
            "reads it instead of services/blog/docker-compose.yaml",
        ),
        ("compose.yml", "compose.yaml", "reads it instead of services/blog/compose.yml"),
        ("compose.yaml", "compose.yml", ""),
        ("compose.yml", "docker-compose.yml", ""),
        ("compose.yml", "compose.override.yml", "merges it over the compose files of services/blog"),
        ("compose.yml", "docker-compose.override.yaml", "merges it over the compose files of services/blog"),
    ] {
        let repo = Projects::new(&[(&format!("blog/{ours}"), COMPOSE), ("shop/compose.yml", COMPOSE)]);
        for host in [Deployed::default(), repo.deployed()] {
            let work = repo.plan(&with_rival(host, &format!("blog/{theirs}"), found("theirs")));
            let problems: Vec<&str> =
                project(&work, "blog").problems.iter().map(|problem| problem.message.as_str()).collect();
            let said = format!("the host has an unmanaged services/blog/{theirs}, and Compose {effect}");
            assert_eq!(
                problems,
                if effect.is_empty() { vec![] } else { vec![said.as_str()] },
                "{ours} {theirs}"
            );
            assert!(project(&work, "shop").problems.is_empty());
        }
    }
}

/// The host whose `.env` in `blog` has these variables, and no other one that the project asks for.
fn with_variables(host: &Deployed, asked: &[&str], defined: &[(&str, VariableState)]) -> Deployed {
    let mut host = with_env(host, "k", &[("blog/.env", "1")]);
    let mut variables: BTreeMap<String, VariableState> =
        asked.iter().map(|name| ((*name).to_owned(), VariableState::Unset)).collect();
    variables.extend(defined.iter().map(|(name, state)| ((*name).to_owned(), *state)));
    host.host_only.variables.insert(path("blog/.env"), variables);
    host
}

#[test]
fn all_variables_that_the_host_lacks_are_one_problem_of_a_project_that_acts() {
    let compose = "services:\n  web:\n    image: a:$TAG\n    environment:\n      A: '${A:?ask ann}'\n      B: $B\n      \
                   C: ${C:-c}\n      D: ${D?}\n      H: $HOME\n";
    let repo = Projects::new(&[("blog/compose.yml", compose), ("shop/compose.yml", COMPOSE)]);
    let asked = ["A", "B", "C", "D", "TAG"];
    let said = |host: &Deployed| {
        let work = repo.plan(host);
        let problems = &project(&work, "blog").problems;
        assert!(problems.len() < 2, "{problems:?}");
        problems.first().cloned()
    };
    let all = said(&with_variables(&Deployed::default(), &asked, &[])).unwrap();
    assert_eq!(all.message, "4 variables are not set on the host: A, B, D, TAG");
    assert_eq!(all.at.unwrap().to_string(), "services/blog/compose.yml:5:10");
    assert_eq!(
        all.help.unwrap(),
        "set them in /blog/.env on the host, or give a default (`${B:-}`); write `$$` where no variable is meant\n\
         A: services/blog/compose.yml:5:10, required\n\
         B: services/blog/compose.yml:6:10\n\
         D: services/blog/compose.yml:8:10, required\n\
         TAG: services/blog/compose.yml:3:12"
    );
    let set = |name: &'static str| (name, VariableState::Set);
    let empty = |name: &'static str| (name, VariableState::Empty);
    let host =
        with_variables(&Deployed::default(), &asked, &[empty("A"), empty("B"), empty("D"), set("TAG")]);
    assert_eq!(said(&host).unwrap().message, "variable A is not set on the host");
    let host = with_variables(&Deployed::default(), &asked, &[set("A"), empty("B"), set("D"), set("TAG")]);
    assert_eq!(said(&host), None);
    // Of what was not asked, or could not be read, nothing is known.
    assert_eq!(said(&with_variables(&Deployed::default(), &[], &[])), None);
    assert_eq!(said(&with_env(&Deployed::default(), "k", &[("blog/.env", "?")])), None);
    let none = said(&with_env(&Deployed::default(), "k", &[("blog/.env", "-")])).unwrap();
    assert_eq!(none.message, "4 variables are not set on the host: A, B, D, TAG");
    // A project that runs and has nothing to do goes on.
    assert_eq!(said(&with_variables(&repo.deployed(), &asked, &[])), None);
}

#[test]
fn a_variable_of_the_repository_is_not_asked_for() {
    let compose = "services: {web: {image: 'a:$TAG', labels: {a: '$B'}}}";
    let repo = Projects::new(&[("blog/compose.yml", compose), ("blog/.env", "TAG=1\n")]);
    let work = repo.plan(&Deployed::default());
    let problems = &project(&work, "blog").problems;
    assert_eq!(problems[0].message, "variable B is not set on the host");
    assert!(
        problems[0].help.as_ref().unwrap().starts_with("set it in the project's .env, or give a default")
    );
    let question = HostOnlyQuestion::of(&repo.wanted());
    assert_eq!(question.variables.into_iter().collect::<Vec<_>>(), ["B"]);
}

#[test]
fn an_override_of_the_host_replaces_one_of_lower_preference() {
    let repo = Projects::new(&[("blog/compose.yml", COMPOSE), ("blog/docker-compose.override.yml", COMPOSE)]);
    let conflict = |theirs: &str| {
        let work = repo.plan(&with_rival(repo.deployed(), theirs, found("theirs")));
        project(&work, "blog").problems.first().map(|problem| problem.message.clone())
    };
    let said = "the host has an unmanaged services/blog/compose.override.yaml, and Compose reads it instead of \
                services/blog/docker-compose.override.yml";
    assert_eq!(conflict("blog/compose.override.yaml").as_deref(), Some(said));
    assert_eq!(conflict("blog/docker-compose.override.yaml"), None);
}

#[test]
fn a_compose_file_of_the_host_is_no_conflict_where_compose_file_names_others() {
    let repo = Projects::new(&[("blog/compose.yml", COMPOSE), ("blog/.env", "COMPOSE_FILE=compose.yml\n")]);
    let work = repo.plan(&with_rival(repo.deployed(), "blog/compose.yaml", found("theirs")));
    assert_eq!(plan_lines(&work), [""; 0]);
}

#[test]
fn a_compose_file_of_the_host_keeps_its_project_from_being_pruned() {
    for (ours, theirs, is_read) in [
        ("compose.yml", "compose.yaml", true),
        ("compose.yml", "compose.override.yml", true),
        ("compose.yml", "docker-compose.yml", false),
    ] {
        let repo = Projects::new(&[(&format!("blog/{ours}"), COMPOSE), ("shop/compose.yml", COMPOSE)]);
        let host = with_rival(repo.deployed(), &format!("blog/{theirs}"), found("theirs"));
        repo.remove(&format!("blog/{ours}"));
        let work = repo.plan_with(&host, |asked| asked.prune = true);
        let problems = project(&work, "blog").problems.iter().map(|problem| problem.message.clone());
        let said = format!(
            "the host has an unmanaged services/blog/{theirs}, which would decide what is taken down, so services/blog is left alone"
        );
        assert_eq!(problems.collect::<Vec<_>>(), if is_read { vec![said] } else { vec![] }, "{theirs}");
    }
}

#[test]
fn a_managed_compose_file_that_the_repository_drops_is_no_conflict() {
    let repo = Projects::new(&[("blog/compose.yaml", COMPOSE)]);
    let host = repo.deployed();
    repo.remove("blog/compose.yaml").write("blog/compose.yml", COMPOSE);
    let work = repo.plan(&with_rival(host, "blog/compose.yaml", found(COMPOSE)));
    assert_eq!(
        plan_lines(&work),
        ["blog changed", "  removed blog/compose.yaml", "  added blog/compose.yml"]
    );
}

#[test]
fn adopt_removes_the_compose_file_of_the_host_and_brings_every_service_up() {
    let compose = "services:\n  web: {image: a}\n  off: {image: b, profiles: [x]}\n";
    let repo = Projects::new(&[("blog/docker-compose.yml", compose)]);
    let host = with_rival(repo.deployed(), "blog/compose.yaml", found("theirs"));
    let work = repo.plan_with(&host, |asked| asked.adopt = true);
    assert_eq!(
        plan_lines(&work),
        [
            "blog changed",
            "  removed blog/compose.yaml",
            "  up web: blog/compose.yaml@2 (changed on the host)"
        ]
    );
    assert_eq!(project(&work, "blog").files[0].before, Some(entry("theirs")));
    // What is no file cannot be kept.
    for there in [Found::Directory, Found::Unreadable] {
        let work = repo.plan_with(&with_rival(repo.deployed(), "blog/compose.yaml", there), |asked| {
            asked.adopt = true;
        });
        assert_eq!(project(&work, "blog").problems.len(), 1);
    }
}

#[test]
fn profiles_of_the_hosts_own_env_file_are_active() {
    let compose = "services:\n  web: {image: a}\n  batch: {image: b, profiles: [jobs]}\n";
    let repo = Projects::new(&[("blog/compose.yml", compose)]);
    let host = repo.deployed();
    assert_eq!(plan_lines(&repo.plan(&host)), [""; 0]);
    let work = repo.plan_of(&wanted_with(&repo, "COMPOSE_PROFILES=other,jobs\n"), &host, |_| {});
    assert_eq!(plan_lines(&work), ["blog changed", "  up batch: blog/compose.yml:3 (new service)"]);
}

#[test]
fn compose_files_that_the_hosts_own_env_file_names_are_read() {
    let prod = "services:\n  web: {environment: {MODE: prod}, volumes: ['./prod.conf:/prod.conf']}\n  extra: {image: b}\n";
    let repo = Projects::new(&[
        ("blog/compose.yml", COMPOSE),
        ("blog/compose.prod.yml", prod),
        ("blog/prod.conf", "1"),
        ("blog/compose.override.yml", "services: {web: {hostname: never}}"),
    ]);
    let wanted = || wanted_with(&repo, "COMPOSE_FILE=\"compose.yml:compose.prod.yml\"\n");
    let host = Deployed::from_wanted(&wanted());
    assert_eq!(plan_lines(&repo.plan_of(&wanted(), &host, |_| {})), [""; 0]);
    repo.write("blog/prod.conf", "2")
        .write("blog/compose.override.yml", "services: {web: {hostname: other}}");
    let work = repo.plan_of(&wanted(), &host, |_| {});
    assert_eq!(
        plan_lines(&work),
        [
            "blog changed",
            "  modified blog/compose.override.yml",
            "  modified blog/prod.conf",
            "  restart web: blog/prod.conf bind@2"
        ]
    );
    repo.write("blog/compose.prod.yml", &prod.replace("MODE: prod", "MODE: live"));
    let lines = plan_lines(&repo.plan_of(&wanted(), &host, |_| {}));
    assert!(lines.contains(&"  up web: blog/compose.prod.yml:2".to_owned()), "{lines:?}");
}

#[test]
fn the_project_name_of_the_hosts_own_env_file_is_composes() {
    let repo = Projects::new(&[("blog/compose.yml", COMPOSE)]);
    let wanted = wanted_with(&repo, "COMPOSE_PROJECT_NAME=other\n");
    let work = repo.plan_of(&wanted, &Deployed::default(), |_| {});
    assert_eq!(work.project("blog").unwrap().state.project, "other");
    // A name that differs from the recorded one would leave volumes behind.
    let work = repo.plan_of(&wanted, &repo.deployed(), |_| {});
    let problem = &project(&work, "blog").problems[0].message;
    assert!(problem.contains("project name changes from \"blog\" to \"other\""), "{problem}");
}

#[test]
fn settings_that_cannot_be_followed_are_errors_that_name_the_file_on_the_host() {
    let repo = Projects::new(&[("blog/compose.yml", COMPOSE)]);
    for (lines, said) in [
        (
            "COMPOSE_FILE=compose.yml:local.yml\n",
            "`COMPOSE_FILE` in /srv/services/blog/.env on the host names services/blog/local.yml, which is not in the repository",
        ),
        (
            "COMPOSE_FILE=compose.yml:/etc/local.yml\n",
            "/srv/services/blog/.env on the host: `COMPOSE_FILE` names a file that only the host has",
        ),
        (
            "COMPOSE_PROFILES=${WHICH}\n",
            "`COMPOSE_PROFILES` in /srv/services/blog/.env on the host depends on values that stay there",
        ),
        ("COMPOSE_FILE='\n", "/srv/services/blog/.env on the host: unterminated quoted value"),
        (
            "COMPOSE_PROJECT_NAME=X y\n",
            "/srv/services/blog/.env on the host: `COMPOSE_PROJECT_NAME` may hold only lowercase letters, digits, `-` and `_`, and must start with a letter or digit",
        ),
    ] {
        let work = repo.plan_of(&wanted_with(&repo, lines), &Deployed::default(), |_| {});
        let problems = &project(&work, "blog").problems;
        assert!(
            problems.iter().any(|problem| problem.message == said && problem.at.is_none()),
            "{problems:#?}"
        );
    }
}

#[test]
fn settings_that_cannot_be_followed_stop_a_project_that_has_nothing_else_to_do() {
    let repo = Projects::new(&[("blog/compose.yml", COMPOSE), ("shop/compose.yml", COMPOSE)]);
    for (lines, is_followed) in [
        ("COMPOSE_FILE=compose.yml\n", true),
        ("COMPOSE_FILE=compose.yml:local.yml\n", false),
        ("COMPOSE_FILE=/etc/local.yml\n", false),
        ("COMPOSE_PROFILES=${WHICH}\n", false),
        ("COMPOSE_PROJECT_NAME=shop\n", false),
    ] {
        let work = repo.plan_of(&wanted_with(&repo, lines), &repo.deployed(), |_| {});
        assert_eq!(project(&work, "blog").problems.is_empty(), is_followed, "{lines}");
        assert_eq!(project(&work, "shop").problems, [], "{lines}");
    }
    // What this version thinks of a tree that is deployed as it is stops nothing.
    let broken = Projects::new(&[("blog/compose.yml", "services:\n  web: {image: a, imge: b}\n")]);
    assert_eq!(plan_lines(&broken.plan(&broken.deployed())), [""; 0]);
}

#[test]
fn an_env_file_in_the_repository_wins_over_the_settings_of_the_host() {
    let compose = "services:\n  web: {image: a}\n  batch: {image: b, profiles: [jobs]}\n";
    let repo = Projects::new(&[("blog/compose.yml", compose), ("blog/.env", "A=1\n")]);
    let wanted = wanted_with(&repo, "COMPOSE_PROFILES=jobs\n");
    assert!(!wanted.projects[0].model.services["batch"].active);
    assert_eq!(HostOnlyQuestion::of(&wanted).env_files, BTreeMap::new());
}

const READERS: &str = "\
services:
  web: {image: 'a:${TAG:-1}'}
  app: {image: a, environment: [TOKEN], env_file: [app.env, {path: /etc/app.env, required: false}]}
  key: {image: a, secrets: [s]}
  plain: {image: a}
secrets: {s: {environment: PASSWORD}}
";

#[test]
fn only_env_files_that_the_tree_lacks_are_asked_for() {
    let repo =
        Projects::new(&[("blog/compose.yml", READERS), ("shop/compose.yml", COMPOSE), ("shop/.env", "")]);
    let question = HostOnlyQuestion::of(&repo.wanted());
    let asked: Vec<(&str, bool)> =
        question.env_files.iter().map(|(path, settings)| (path.as_str(), *settings)).collect();
    assert_eq!(asked, [("/etc/app.env", false), ("blog/.env", true), ("blog/app.env", false)]);
    let folders: Vec<(&RootPath, &Vec<usize>)> = question.folders.iter().collect();
    assert_eq!(folders, [(&path("blog"), &vec![1]), (&path("shop"), &vec![1])]);
}

#[test]
fn a_changed_env_file_of_the_host_brings_its_readers_up() {
    let repo = Projects::new(&[("blog/compose.yml", READERS)]);
    let first = [("blog/.env", "1"), ("blog/app.env", "1"), ("/etc/app.env", "-")];
    let known = with_env(&repo.deployed(), "k", &first);
    // What was not known until now owes no action.
    let host = noted(&repo.plan(&known), &known);
    let change = |file: &str, digest: &str| {
        let files = first.map(|(path, old)| (path, if path == file { digest } else { old }));
        let work = repo.plan(&with_env(&host, "k", &files));
        assert!(work.noted.is_none(), "a change that is owed is recorded: {:?}", work.noted);
        plan_lines(&work)
    };
    let drift = "(changed on the host)";
    for digest in ["2", "-"] {
        assert_eq!(
            change("blog/.env", digest),
            [
                "blog changed".to_owned(),
                format!("  up app: blog/.env@3 {drift}"),
                format!("  up web: blog/.env@2 {drift}"),
                format!("  recreate key: blog/.env@4 {drift}"),
            ]
        );
        let app = format!("  up app: blog/app.env envfile@3 {drift}");
        assert_eq!(change("blog/app.env", digest), ["blog changed".to_owned(), app]);
    }
    let app = format!("  up app: /etc/app.env envfile@3 {drift}");
    assert_eq!(change("/etc/app.env", "1"), ["blog changed".to_owned(), app]);
    // What cannot be read now is no change.
    assert_eq!(change("blog/.env", "?"), [""; 0]);
}

#[test]
fn a_change_is_owed_until_its_readers_are_up() {
    let repo = Projects::new(&[("blog/compose.yml", READERS)]);
    let with = |host: &Deployed, digest| with_env(host, "k", &[("blog/.env", digest)]);
    let known = with(&repo.deployed(), "1");
    let changed = with(&noted(&repo.plan(&known), &known), "2");
    let work = repo.plan(&changed);
    assert!(!plan_lines(&work).is_empty());
    let done = with(&applied(&work, &changed), "2");
    assert_eq!(plan_lines(&repo.plan(&done)), [""; 0]);
    assert!(repo.plan(&done).noted.is_none());
}

#[test]
fn digests_of_another_key_are_recorded_anew_and_that_is_said() {
    let repo = Projects::new(&[("blog/compose.yml", READERS)]);
    let known = with_env(&repo.deployed(), "k1", &[("blog/.env", "1")]);
    let host = noted(&repo.plan(&known), &known);
    let replaced = with_env(&host, "k2", &[("blog/.env", "2")]);
    let work = repo.plan(&replaced);
    assert!(work.notes.iter().any(|note| note.message.contains("key")), "{:?}", work.notes);
    let host = noted(&work, &replaced);
    let work = repo.plan(&with_env(&host, "k2", &[("blog/.env", "3")]));
    assert_eq!(plan_lines(&work).len(), 4);
    assert_eq!(work.notes, []);
    // Without any key, as in a dry run before the first deploy, nothing is compared.
    let mut blind = with_env(&host, "k2", &[("blog/.env", "?")]);
    blind.host_only.key = None;
    assert_eq!(plan_lines(&repo.plan(&blind)), [""; 0]);
}

#[test]
fn projects_that_are_not_selected_note_nothing() {
    let repo = Projects::new(&[("blog/compose.yml", READERS), ("shop/compose.yml", READERS)]);
    let host = with_env(&repo.deployed(), "k", &[("blog/.env", "1"), ("shop/.env", "1")]);
    let work = repo.plan_with(&host, |asked| asked.projects = vec!["shop"]);
    let state = work.noted.unwrap();
    let has_marks = |name: &str| !state.projects[name].services["web"].env_files.is_empty();
    assert_eq!((has_marks("blog"), has_marks("shop")), (false, true));
}

#[test]
fn a_plan_without_a_host_says_what_the_hosts_own_env_file_may_decide() {
    let compose = "services:\n  web: {image: a}\n  batch: {image: b, profiles: [jobs]}\n";
    let repo = Projects::new(&[("blog/compose.yml", compose), ("blog/compose.prod.yml", COMPOSE)]);
    let host = repo.deployed();
    let notes = || -> Vec<String> {
        let notes = ghdeploy::plan::left_to_hosts(&repo.plan(&host), &repo.tree(), ROOT);
        notes.into_iter().map(|note| note.message).collect()
    };
    assert_eq!(notes(), [""; 0]);
    repo.write("blog/compose.prod.yml", "services: {web: {hostname: b}}").write("blog/other.yml", "1");
    let named = "services/blog/compose.prod.yml counts only on a host whose own .env names it in COMPOSE_FILE, which this plan does not know";
    assert_eq!(notes(), [named]);
    repo.write("blog/compose.yml", &compose.replace("image: b", "image: c"));
    let profile = "services/blog: batch may run on a host whose own .env activates a profile, which this plan does not know";
    assert_eq!(notes(), [named, profile]);
    repo.write("blog/.env", "A=1\n");
    assert_eq!(notes(), [""; 0]);
}

#[test]
fn a_plan_without_a_host_names_the_files_that_only_such_a_compose_file_reads() {
    let prod = "services:\n  web: {volumes: ['./conf:/conf', './own:/own']}\n  extra: {image: b, env_file: [x.env]}\n";
    let repo = Projects::new(&[
        ("blog/compose.yml", "services:\n  web: {image: a, volumes: ['./conf:/conf']}\n"),
        ("blog/env/prod.yml", prod),
        ("blog/rules.yml", "groups: []\n"),
        ("blog/conf", "1"),
        ("blog/own", "1"),
        ("blog/x.env", "A=1"),
    ]);
    repo.remove("blog/env/prod.yml").write("blog/prod.yml", prod);
    let host = repo.deployed();
    repo.write("blog/conf", "2")
        .write("blog/own", "2")
        .write("blog/x.env", "A=2")
        .write("blog/rules.yml", "2");
    let notes = ghdeploy::plan::left_to_hosts(&repo.plan(&host), &repo.tree(), ROOT);
    let notes: Vec<String> = notes.into_iter().map(|note| note.message).collect();
    let only = "only on a host whose own .env names services/blog/prod.yml in COMPOSE_FILE, which this plan does not know";
    assert_eq!(
        notes,
        [
            format!("services/blog/own is read by web {only}"),
            format!("services/blog/x.env is read by extra {only}"),
        ]
    );
}

#[test]
fn containers_from_another_folder_stop_their_project_until_they_are_taken_over() {
    let compose = "services:\n  web: {image: a}\n  db: {image: b, volumes: ['./data:/data']}\n";
    let repo = Projects::new(&[("blog/compose.yml", compose), ("shop/compose.yml", COMPOSE)]);
    for mut host in [Deployed::default(), repo.deployed()] {
        let is_new = host.state.projects.is_empty();
        let elsewhere = Elsewhere {
            folder: "/home/me/blog".to_owned(),
            here: "/srv/services/blog".to_owned(),
            services: ["db".to_owned()].into(),
        };
        host.elsewhere.insert("blog".to_owned(), elsewhere);
        let work = repo.plan(&host);
        let problem = &project(&work, "blog").problems[0];
        assert!(problem.message.starts_with("containers of services/blog were started in /home/me/blog"));
        assert!(problem.help.as_deref().unwrap().contains("--take-over"));
        assert!(project(&work, "shop").problems.is_empty());
        let work = repo.plan_with(&host, |asked| asked.take_over = true);
        assert!(project(&work, "blog").problems.is_empty());
        let lines = plan_lines(&work);
        let recreate = lines.iter().find(|line| line.starts_with("  recreate")).unwrap();
        assert!(recreate.starts_with("  recreate db: ") && recreate.contains("(started in /home/me/blog)"));
        // Compose may see no reason to recreate it, so an `up` would leave the old folder in its labels.
        assert!(!lines.iter().any(|line| line.starts_with("  up db")), "{lines:?}");
        assert_eq!(lines.iter().any(|line| line.starts_with("  up web")), is_new, "{lines:?}");
    }
}
