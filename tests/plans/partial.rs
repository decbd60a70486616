//! Working directories that have less than their commit, or something else: what is not there is never taken for
//! removed, and a placeholder is never deployed.

use ghdeploy::config::FileRules;
use ghdeploy::config::layout::Layout;
use ghdeploy::plan::{self, HostWork, PlanOptions};
use ghdeploy::state::deployed::Deployed;
use ghdeploy::state::wanted::Wanted;
use ghdeploy::tree;
use ghdeploy::tree::disk::DiskTree;

use crate::bench::{ROOT, host_plan_lines, plan_lines, project};
use crate::support::repo::Repo;

const READER: &str = "services:\n  web: {image: a, volumes: ['../shared/tz:/tz', './theme:/theme']}\n";
const LONE: &str = "services:\n  web: {image: a}\n";

/// A repository with three projects and a commit.
fn committed() -> Repo {
    let repo = Repo::new();
    repo.write("services/blog/compose.yml", READER).write("services/blog/theme/index.html", "x");
    repo.write("services/lone/compose.yml", LONE).write("services/shop/compose.yml", LONE);
    repo.write("services/lone/README.md", "x").write("services/shared/tz", "UTC");
    repo.commit();
    repo
}

fn wanted_with(repo: &Repo, rules: &FileRules) -> Wanted {
    let layout = Layout::default();
    let tree = DiskTree::open(repo.top(), &layout, rules).unwrap();
    tree::read(&tree, &layout, ROOT, &|_, _| true).unwrap()
}

fn wanted(repo: &Repo) -> Wanted {
    wanted_with(repo, &FileRules::default())
}

/// The plan of `repo` for a host that `before` was deployed to, with everything pruned that is gone.
fn pruned(repo: &Repo, before: &Wanted) -> HostWork {
    let selects = |_: &str| true;
    let options = PlanOptions { prune: true, ..PlanOptions::new(&selects) };
    plan::host("web", &wanted(repo), &Deployed::from_wanted(before), &options, &ToString::to_string)
}

/// The problems of a project, each with its advice.
fn problems(work: &HostWork, name: &str) -> Vec<String> {
    let problems = project(work, name).problems.iter();
    problems
        .map(|problem| format!("{} ({})", problem.message, problem.help.as_deref().unwrap_or("-")))
        .collect()
}

/// The projects that the plan would touch.
fn touched(work: &HostWork) -> Vec<&str> {
    let touched = work.projects.iter().map(|work| &work.plan);
    touched
        .filter(|plan| !plan.files.is_empty() || !plan.actions.is_empty())
        .map(|plan| plan.name.as_str())
        .collect()
}

const SPARSE: &str = "remove `sparse-checkout` from actions/checkout, or run `git sparse-checkout disable`: a self-hosted runner keeps what an earlier job has set";

#[test]
fn a_sparse_checkout_takes_nothing_away() {
    let repo = committed();
    let before = wanted(&repo);
    for sparse_index in ["--no-sparse-index", "--sparse-index"] {
        repo.git(&["sparse-checkout", "set", "--cone", sparse_index, "services/lone"]);
        let work = pruned(&repo, &before);
        assert_eq!(touched(&work), [""; 0], "{:?}", plan_lines(&work));
        assert!(work.shared.files.is_empty() && work.shared.manifest.is_none(), "{:?}", work.shared);
        assert_eq!(
            problems(&work, "shop"),
            [format!(
                "`services/shop/compose.yml` is in the commit and not in the sparse checkout ({SPARSE})"
            )]
        );
        assert_eq!(problems(&work, "lone"), [""; 0]);
        repo.git(&["sparse-checkout", "disable"]);
        assert!(pruned(&repo, &before).is_idle());
    }
    // A folder of which only the compose file is there.
    repo.git(&["sparse-checkout", "set", "--no-cone", "/services/*/compose.yml"]);
    let work = pruned(&repo, &before);
    assert!(work.projects.iter().all(|work| work.plan.files.is_empty()), "nothing looks removed");
    assert!(!problems(&work, "blog").is_empty() && !problems(&work, "lone").is_empty());
    // All of it.
    repo.git(&["sparse-checkout", "set", "--no-cone", "/README"]);
    let work = pruned(&repo, &before);
    assert_eq!((touched(&work), work.projects.len()), (Vec::new(), 3));
}

#[test]
fn a_new_project_that_is_not_in_the_sparse_checkout_is_blocked_too() {
    let repo = committed();
    repo.git(&["sparse-checkout", "set", "--cone", "services/lone"]);
    let work = pruned(&repo, &Wanted::default());
    assert_eq!(problems(&work, "shop").len(), 1);
    assert_eq!(format!("{:?}", project(&work, "shop").change), "Added");
    assert_eq!(problems(&work, "lone"), [""; 0]);
}

#[test]
fn files_that_a_step_has_deleted_block_their_projects() {
    let repo = committed();
    let before = wanted(&repo);
    repo.remove("services/blog/theme").remove("services/shop");
    let work = pruned(&repo, &before);
    let help = "(bring it back with `git restore`, or remove it from the repository with `git rm`)";
    let deleted = "is in the commit and was deleted from the working directory";
    assert_eq!(problems(&work, "blog"), [format!("`services/blog/theme/index.html` {deleted} {help}")]);
    assert_eq!(problems(&work, "shop"), [format!("`services/shop/compose.yml` {deleted} {help}")]);
    assert!(!touched(&work).contains(&"shop"));
    assert_eq!(wanted(&repo).changes, [""; 0], "the other projects are those of the commit");
    // A removal that git knows of is meant, and differs from the commit.
    repo.git(&["rm", "-q", "-r", "--cached", "services/shop"]);
    let work = pruned(&repo, &before);
    assert!(plan_lines(&work).contains(&"shop removed".to_owned()), "{:?}", plan_lines(&work));
    assert_eq!(wanted(&repo).changes, ["services/shop/compose.yml"]);
}

#[test]
fn a_deleted_shared_file_blocks_its_readers_alone_and_stays() {
    let repo = committed();
    let before = wanted(&repo);
    repo.remove("services/shared/tz");
    let work = pruned(&repo, &before);
    assert_eq!((problems(&work, "blog").len(), problems(&work, "lone").len()), (1, 0));
    assert!(work.shared.files.is_empty() && work.shared.manifest.is_none(), "{:?}", work.shared);
}

#[test]
fn what_is_not_wanted_may_be_absent() {
    let repo = committed();
    repo.remove("services/lone/README.md");
    assert_eq!(wanted(&repo).unusable.len(), 1);
    let rules = FileRules { ignore: vec!["*.md".to_owned()], include: Vec::new() };
    assert_eq!(wanted_with(&repo, &rules).unusable, []);
    repo.write(".ghdeployignore", "README.md\n");
    assert_eq!(wanted(&repo).unusable, []);
}

/// A repository with a submodule at `path`, which holds `file`.
fn with_submodule(path: &str, file: &str, content: &str) -> (Repo, Repo) {
    let module = Repo::new();
    module.write(file, content).commit();
    let repo = committed();
    repo.remove("services/blog/theme").git(&["rm", "-q", "-r", "--cached", "services/blog/theme"]);
    let from = module.top().to_str().unwrap().to_owned();
    repo.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", &from, path]);
    repo.commit();
    (repo, module)
}

const SUBMODULE: &str = "is a submodule that is not checked out (set `submodules: true` for actions/checkout, or run `git submodule update --init`)";

#[test]
fn a_submodule_that_is_not_fetched_blocks_its_project() {
    let (repo, _module) = with_submodule("services/blog/theme", "index.html", "y");
    let before = wanted(&repo);
    assert!(before.projects[0].manifest.0.keys().any(|path| path.as_str() == "blog/theme/index.html"));
    assert_eq!(before.changes, [""; 0]);
    repo.git(&["submodule", "deinit", "-q", "-f", "services/blog/theme"]);
    assert!(repo.path("services/blog/theme").is_dir());
    let work = pruned(&repo, &before);
    assert_eq!(problems(&work, "blog"), [format!("`services/blog/theme` {SUBMODULE}")]);
    assert_eq!(problems(&work, "lone"), [""; 0]);
}

#[test]
fn a_file_that_is_missing_in_a_submodule_blocks_its_project() {
    let (repo, _module) = with_submodule("services/blog/theme", "index.html", "y");
    let there = |wanted: &Wanted| {
        let blog = wanted.projects.iter().find(|project| project.name == "blog").unwrap();
        blog.refused.iter().map(|why| why.message.clone()).collect::<Vec<_>>()
    };
    assert_eq!(there(&wanted(&repo)), [""; 0]);
    std::fs::remove_file(repo.path("services/blog/theme/index.html")).unwrap();
    let deleted = there(&wanted(&repo));
    assert!(deleted.len() == 1 && deleted[0].contains("services/blog/theme/index.html"), "{deleted:?}");
    repo.git(&["-C", "services/blog/theme", "checkout", "-q", "--", "."]);
    repo.git(&["-C", "services/blog/theme", "sparse-checkout", "set", "--no-cone", "nope"]);
    let left_out = there(&wanted(&repo));
    assert!(left_out.len() == 1 && left_out[0].contains("services/blog/theme/index.html"), "{left_out:?}");
}

#[test]
fn a_project_in_a_submodule_that_is_not_fetched_is_not_gone() {
    let (repo, _module) = with_submodule("services/vend", "compose.yml", LONE);
    let before = wanted(&repo);
    assert_eq!(before.projects.last().unwrap().name, "vend");
    repo.git(&["submodule", "deinit", "-q", "-f", "services/vend"]);
    let work = pruned(&repo, &before);
    assert_eq!(problems(&work, "vend"), [format!("`services/vend` {SUBMODULE}")]);
    assert_eq!(touched(&work), [""; 0]);
    // A host that does not have it: whether it is a project is not known.
    let work = pruned(&repo, &Wanted::default());
    let notes = host_plan_lines(&work.plan());
    assert!(
        work.notes.iter().any(|note| note.message.starts_with("`services/vend` is a submodule")),
        "{notes:?}"
    );
    assert!(work.projects.iter().all(|work| work.plan.name != "vend"));
}

#[test]
fn a_submodule_at_another_commit_differs_from_the_commit() {
    let (repo, module) = with_submodule("services/blog/theme", "index.html", "y");
    module.write("index.html", "z").commit();
    repo.git(&["-C", "services/blog/theme", "pull", "-q"]);
    assert_eq!(wanted(&repo).changes, ["services/blog/theme"]);
    repo.git(&["-C", "services/blog/theme", "checkout", "-q", "HEAD~1"]);
    assert_eq!(wanted(&repo).changes, [""; 0]);
    repo.write("services/blog/theme/index.html", "edited");
    assert_eq!(wanted(&repo).changes, ["services/blog/theme"]);
}

#[test]
fn a_placeholder_blocks_its_project() {
    let repo = committed();
    let before = wanted(&repo);
    repo.write(
        "services/blog/theme/logo.png",
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    );
    repo.write("services/shop/key", b"\0GITCRYPT\0\x01\x02");
    repo.commit();
    let work = pruned(&repo, &before);
    assert_eq!(
        problems(&work, "blog"),
        [
            "`services/blog/theme/logo.png` is a pointer of Git LFS and not the file itself (set `lfs: true` for actions/checkout, or run `git lfs pull`)"
        ]
    );
    assert_eq!(
        problems(&work, "shop"),
        ["`services/shop/key` is encrypted by git-crypt (run `git-crypt unlock` after the checkout)"]
    );
    // What is wrong in its ciphertext means nothing.
    repo.write("services/shop/key.env", b"\0GITCRYPT\0\x01\x02").write("services/shop/key", "plain");
    repo.write("services/shop/age.env", "age-encryption.org/v1\n-> X25519 x\n");
    repo.write("services/shop/compose.yml", "services:\n  web: {image: a, env_file: [key.env, age.env]}\n");
    repo.commit();
    let both: Vec<String> = problems(&pruned(&repo, &before), "shop");
    assert_eq!(both.len(), 2, "{both:?}");
    assert!(both[0].starts_with("`services/shop/key.env` is encrypted by git-crypt"), "{both:?}");
    assert!(both[1].starts_with("`services/shop/age.env` is encrypted by age"), "{both:?}");
    assert_eq!(problems(&work, "lone"), [""; 0]);
}

#[test]
fn a_link_that_was_written_as_a_file_blocks_its_project() {
    let repo = committed();
    repo.link("services/blog/theme/home.html", "index.html").commit();
    let before = wanted(&repo);
    repo.git(&["config", "core.symlinks", "false"]);
    repo.remove("services/blog/theme/home.html").git(&["restore", "services"]);
    assert_eq!(repo.read("services/blog/theme/home.html"), "index.html");
    let work = pruned(&repo, &before);
    assert!(
        problems(&work, "blog")[0]
            .starts_with("`services/blog/theme/home.html` is a symbolic link in the commit")
    );
}

#[test]
fn a_merge_conflict_blocks_its_project() {
    let repo = committed();
    let before = wanted(&repo);
    repo.git(&["checkout", "-q", "-b", "other"]);
    repo.write("services/blog/theme/index.html", "other").commit();
    repo.git(&["checkout", "-q", "main"]);
    repo.write("services/blog/theme/index.html", "main").commit();
    let merge =
        std::process::Command::new("git").args(["merge", "-q", "other"]).current_dir(repo.top()).output();
    assert!(!merge.unwrap().status.success());
    let work = pruned(&repo, &before);
    assert_eq!(
        problems(&work, "blog"),
        [
            "`services/blog/theme/index.html` has an unresolved merge conflict (resolve it and commit the result)"
        ]
    );
}

#[test]
fn ciphertext_in_a_file_that_compose_reads_blocks_and_in_a_mounted_one_is_noted() {
    let repo = committed();
    let secret = "DB=ENC[AES256_GCM,data:Zm9v,iv:YmFy,tag:YmF6,type:str]\nsops_version=3.9.0\n";
    repo.write("services/lone/.env", secret).write("services/shop/app.env", secret);
    repo.write("services/shop/compose.yml", "services:\n  web: {image: a, env_file: app.env}\n");
    repo.write("services/blog/theme.yaml", "db: ENC[AES256_GCM,data:Zm9v]\nsops: {version: 3.9.0}\n");
    repo.write("services/blog/compose.yml", "services:\n  web: {image: a, volumes: ['./theme.yaml:/x']}\n");
    repo.commit();
    let work = pruned(&repo, &Wanted::default());
    let words = "is encrypted by SOPS: Compose would take the ciphertext for the values";
    assert!(problems(&work, "lone")[0].starts_with(&format!("`services/lone/.env` {words}")));
    assert!(problems(&work, "shop")[0].starts_with(&format!("`services/shop/app.env` {words}")));
    assert_eq!(problems(&work, "blog"), [""; 0]);
    let notes: Vec<&str> = work.notes.iter().map(|note| note.message.as_str()).collect();
    let noted = "`services/blog/theme.yaml` is encrypted by SOPS: a service mounts it and has to decrypt it by itself";
    assert_eq!(notes, [noted]);
}

#[test]
fn a_tree_that_differs_from_its_commit_is_labelled() {
    let repo = committed();
    let commit = repo.head();
    repo.write("README.md", "outside of the services").write("services/.gitignore", "*.log\n*.env\n");
    assert_eq!(wanted(&repo).commit, Some(format!("{commit}+changes")));
    repo.commit();
    let commit = repo.head();
    repo.write("services/blog/x.log", "ignored").write("services/lone/made.env", "A=1");
    let rules = FileRules { ignore: Vec::new(), include: vec!["made.env".to_owned()] };
    let clean = wanted_with(&repo, &rules);
    assert_eq!(
        (clean.commit, clean.changes),
        (Some(commit.clone()), Vec::new()),
        "what `sync.include` brings in"
    );
    assert!(clean.projects[1].manifest.0.keys().any(|path| path.as_str() == "lone/made.env"));
    repo.write("services/lone/compose.yml", "services:\n  web: {image: b}\n")
        .write("services/lone/new file", "x");
    let dirty = wanted_with(&repo, &rules);
    assert_eq!(dirty.commit, Some(format!("{commit}+changes")));
    assert_eq!(dirty.changes, ["services/lone/compose.yml", "services/lone/new file"]);
    let note = plan::differs_from_commit(&dirty).unwrap().message;
    assert_eq!(
        note,
        format!(
            "`services/lone/compose.yml`, `services/lone/new file` differ from commit {commit:.10}: this is {commit:.10}+changes"
        )
    );
    repo.git(&["add", "-A"]);
    assert_eq!(wanted_with(&repo, &rules).changes.len(), 2, "what is staged is not committed");
}

#[test]
fn a_folder_below_the_top_of_the_repository_is_compared_with_its_own_part() {
    let repo = Repo::new();
    repo.write("infra/services/blog/compose.yml", LONE).write("services/x", "x").commit();
    repo.write("services/x", "y");
    let layout = Layout::default();
    let open = || DiskTree::open(&repo.path("infra"), &layout, &FileRules::default()).unwrap();
    use ghdeploy::tree::Snapshot as _;
    assert_eq!(open().changes(), [""; 0]);
    repo.write("infra/services/blog/compose.yml", "services: {}\n");
    assert_eq!(open().changes(), ["services/blog/compose.yml"]);
    repo.remove("infra/services/blog/compose.yml");
    assert_eq!(open().unusable().len(), 1);
}
