//! Trees of revisions in real repositories.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::tree::disk::DiskTree;
use crate::tree::repo::Repo;

impl Repo {
    fn open(&self) -> Repository {
        Repository::open(self.top()).unwrap()
    }

    fn tree(&self, rev: &str) -> Result<GitTree> {
        self.open().tree(rev, &Layout::default(), &FileRules::default(), &BTreeSet::new())
    }
}

fn paths(tree: &dyn Snapshot) -> Vec<&str> {
    tree.nodes().keys().map(RootPath::as_str).collect()
}

fn path(path: &str) -> RootPath {
    RootPath::new(path).unwrap()
}

#[test]
fn a_revision_has_committed_files_and_no_others() {
    let repo = Repo::new();
    repo.write("services/blog/compose.yml", "services: {}\n");
    repo.write("services/blog/run.sh", "#!/bin/sh\n");
    repo.chmod("services/blog/run.sh", 0o755);
    repo.link("services/blog/start", "run.sh");
    repo.write("README.md", "x");
    let first = repo.commit();
    repo.write("services/blog/compose.yml", "services: {web: {image: x}}\n");
    repo.write("services/shop/compose.yml", "services: {}\n");
    let second = repo.commit();
    repo.write("services/blog/untracked", "x");

    let open = repo.open();
    let load =
        |rev: &str| open.tree(rev, &Layout::default(), &FileRules::default(), &BTreeSet::new()).unwrap();
    let (before, after) = (load("HEAD~1"), load(&second[..12]));
    assert_eq!(before.commit(), Some(first.as_str()));
    assert_eq!(paths(&before), ["blog/compose.yml", "blog/run.sh", "blog/start"]);
    assert_eq!(paths(&after), ["blog/compose.yml", "blog/run.sh", "blog/start", "shop/compose.yml"]);
    assert_eq!(&*before.read(&path("blog/compose.yml")).unwrap().unwrap(), b"services: {}\n");
    assert_eq!(&*after.read(&path("blog/start")).unwrap().unwrap(), b"#!/bin/sh\n");
    assert_eq!(after.shown(&path("blog/run.sh")), "services/blog/run.sh");

    let manifest = |tree: &GitTree| tree.manifest(&mut tree.nodes().keys()).unwrap();
    let (before, after) = (manifest(&before), manifest(&after));
    let entry = |manifest: &Manifest, name: &str| manifest.get(&path(name)).unwrap().clone();
    assert_ne!(entry(&before, "blog/compose.yml"), entry(&after, "blog/compose.yml"));
    assert_eq!(entry(&before, "blog/run.sh"), entry(&after, "blog/run.sh"));
    assert_eq!((entry(&after, "blog/run.sh").mode, entry(&after, "blog/run.sh").size), (0o755, 10));
    assert_eq!((entry(&after, "blog/start").mode, entry(&after, "blog/start").size), (0o777, 6));
    let oid = repo.git(&["rev-parse", "HEAD:services/blog/compose.yml"]);
    assert_eq!(entry(&after, "blog/compose.yml").digest.as_str(), oid);
}

#[test]
fn disk_and_revision_agree_on_hostile_names() {
    let repo = Repo::new();
    let long = "ü".repeat(127);
    let deep = ["d"; 60].join("/");
    let names = [
        "a b",
        "it's",
        "say \"hi\"",
        "new\nline",
        "$(touch x)",
        "`id`",
        "-rf",
        "größe",
        "back\\slash",
        "tab\t",
        "*",
        "[x]",
        ":(glob)x",
        "a;b",
        "  ",
        "%s",
        "\u{1b}[31m",
        "...",
        &long,
        &deep,
    ];
    for name in names {
        repo.write(format!("services/blog/{name}"), name);
        repo.write(format!("services/{name}/compose.yml"), "services: {}\n");
    }
    repo.link("services/blog/-link", "a b");
    repo.write("services/blog/run", "x");
    repo.chmod("services/blog/run", 0o711);
    let commit = repo.commit();
    let disk = DiskTree::open(repo.top(), &Layout::default(), &FileRules::default()).unwrap();
    let revision = repo.tree("HEAD").unwrap();
    assert_eq!(disk.nodes(), revision.nodes());
    assert_eq!(disk.nodes().len(), 2 * names.len() + 2);
    assert_eq!((disk.commit(), revision.commit()), (Some(commit.as_str()), Some(commit.as_str())));
    for name in disk.nodes().keys() {
        assert_eq!(disk.read(name).unwrap(), revision.read(name).unwrap(), "{name}");
    }
    assert_eq!(
        crate::base::manifest::Manifest::from_text(
            &disk.manifest(&mut disk.nodes().keys()).unwrap().to_text()
        )
        .unwrap()
        .0
        .len(),
        disk.nodes().len()
    );
}

#[test]
fn folders_named_like_pathspecs_are_just_folders() {
    let repo = Repo::new();
    repo.write(":(top)x/blog/compose.yml", "services: {}\n");
    repo.write("-p/blog/y", "y");
    repo.commit();
    let layout = Layout::new(&[":(top)x", "-p"]).unwrap();
    let tree = repo.open().tree("HEAD", &layout, &FileRules::default(), &BTreeSet::new()).unwrap();
    assert_eq!(paths(&tree), ["blog/compose.yml", "blog/y"]);
}

#[test]
fn our_own_ignore_files_apply_to_revisions_too() {
    let repo = Repo::new();
    for name in ["a.md", "a.bak", "keep.bak", "sub/x.bak", "sub/deep/keep", "gone/x", "gone/y", "z.tmp"] {
        repo.write(format!("services/blog/{name}"), "x");
    }
    repo.write(".ghdeployignore", "*.bak\n");
    repo.write("services/.ghdeployignore", "/blog/gone/\n");
    repo.write("services/blog/.ghdeployignore", "!keep.bak\n.ghdeployignore\n*.tmp\n");
    repo.commit();
    let rules = FileRules { ignore: vec!["*.md".into()], include: vec!["services/blog/gone/y".into()] };
    let expected = [".ghdeployignore", "blog/gone/y", "blog/keep.bak", "blog/sub/deep/keep"];
    let tree = repo.open().tree("HEAD", &Layout::default(), &rules, &BTreeSet::new()).unwrap();
    assert_eq!(paths(&tree), expected);
    let disk = DiskTree::open(repo.top(), &Layout::default(), &rules).unwrap();
    assert_eq!(paths(&disk), expected);
}

#[test]
fn the_configuration_may_lie_in_a_folder_of_the_repository() {
    let repo = Repo::new();
    repo.write("infra/services/blog/compose.yml", "services: {}\n");
    repo.write("infra/services/blog/x.md", "x");
    repo.write("services/other/compose.yml", "services: {}\n");
    repo.write(".ghdeployignore", "*.yml\n");
    repo.write("infra/.ghdeployignore", "*.md\n");
    repo.commit();
    let dir = repo.top().join("infra");
    let revision = Repository::open(&dir)
        .unwrap()
        .tree("HEAD", &Layout::default(), &FileRules::default(), &BTreeSet::new())
        .unwrap();
    let disk = DiskTree::open(&dir, &Layout::default(), &FileRules::default()).unwrap();
    assert_eq!(paths(&revision), ["blog/compose.yml"]);
    assert_eq!(disk.nodes(), revision.nodes());
    assert_eq!(revision.shown(&path("blog/compose.yml")), "services/blog/compose.yml");
    let top = Layout::new(&["."]).unwrap();
    let revision =
        Repository::open(&dir).unwrap().tree("HEAD", &top, &FileRules::default(), &BTreeSet::new()).unwrap();
    let disk = DiskTree::open(&dir, &top, &FileRules::default()).unwrap();
    assert_eq!(paths(&revision), [".ghdeployignore", "services/blog/compose.yml"]);
    assert_eq!(disk.nodes(), revision.nodes());
}

#[test]
fn undeployable_files_are_refused_now_and_left_out_of_the_past() {
    use std::os::unix::ffi::OsStrExt as _;
    let repo = Repo::new();
    repo.write("services/blog/compose.yml", "services: {}\n");
    repo.link("services/blog/abs", "/etc/passwd");
    fs::write(repo.top().join("services/blog").join(std::ffi::OsStr::from_bytes(b"caf\xe9")), "x").unwrap();
    symlink(std::ffi::OsStr::from_bytes(b"\xff"), repo.top().join("services/blog/link")).unwrap();
    repo.write("services/blog/.ghdeployignore", "*.md\n[a\n");
    repo.commit();
    let expected = "not a pattern: unclosed character class; missing ']'; \
         symbolic link `services/blog/abs` points to `/etc/passwd`, outside of what is deployed; \
         symbolic link `services/blog/link` points to `\\xff`, which is not UTF-8; \
         the name `services/blog/caf\\xe9` is not UTF-8";
    let err = repo.tree("HEAD").unwrap_err();
    assert_eq!(err.to_string(), expected);
    let at = err.diagnostics[0].at.as_ref().unwrap();
    assert_eq!(at.to_string(), "services/blog/.ghdeployignore:2:1");
    let disk = DiskTree::open(repo.top(), &Layout::default(), &FileRules::default()).unwrap_err();
    assert_eq!(disk.to_string(), expected);
    let past =
        repo.open().past_tree("HEAD", &Layout::default(), &FileRules::default(), &BTreeSet::new()).unwrap();
    assert_eq!(paths(&past), ["blog/.ghdeployignore", "blog/compose.yml"]);
}

#[test]
fn an_unknown_revision_says_what_to_do() {
    let repo = Repo::new();
    repo.write("services/blog/compose.yml", "services: {}\n");
    repo.commit();
    repo.write("services/blog/x", "x");
    let head = repo.commit();
    let zeros = "0".repeat(40);
    for rev in ["nope", "HEAD~9", "HEAD:services", "HEAD..HEAD", "a b c", zeros.as_str(), "^HEAD"] {
        let err = repo.tree(rev).unwrap_err();
        assert_eq!(err.to_string(), format!("the repository has no revision `{rev}`"));
    }
    for rev in ["", "--all", "-x", "HEAD\nHEAD"] {
        assert!(repo.tree(rev).unwrap_err().to_string().ends_with("is not a revision"), "{rev}");
    }
    repo.git(&["tag", "-a", "v1", "-m", "x"]);
    for rev in ["HEAD", "v1", "HEAD^{/a change}", "@{0}"] {
        assert_eq!(repo.open().commit(rev).unwrap(), head, "{rev}");
    }

    let shallow = tempfile::tempdir().unwrap();
    let url = format!("file://{}", repo.top().display());
    repo.git(&["clone", "-q", "--depth", "1", &url, shallow.path().to_str().unwrap()]);
    let err = Repository::open(shallow.path()).unwrap().commit("HEAD~1").unwrap_err();
    assert!(err.diagnostics[0].help.as_ref().unwrap().contains("fetch-depth: 0"));
}

#[test]
fn outside_of_git_there_are_no_revisions() {
    let dir = tempfile::tempdir().unwrap();
    let err = Repository::open(dir.path()).unwrap_err();
    assert!(err.to_string().contains("is in no git repository"), "{err}");
    fs::create_dir(dir.path().join(".git")).unwrap();
    assert!(Repository::open(dir.path()).is_err(), "an empty .git is none");
}

#[test]
fn a_submodule_that_is_not_here_is_its_commit() {
    let repo = Repo::new();
    repo.write("services/blog/compose.yml", "services: {}\n");
    let commit = repo.commit();
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},services/blog/theme")]);
    repo.git(&["commit", "-q", "-m", "x"]);
    let tree = repo.tree("HEAD").unwrap();
    assert_eq!(paths(&tree), ["blog/compose.yml", "blog/theme"]);
    assert_eq!(tree.submodules()[&path("blog/theme")].commit, commit);
    assert_eq!(tree.kind(&path("blog/theme")), Some(NodeKind::Dir));
    assert_eq!(tree.read(&path("blog/theme/x.conf")), Ok(None));
    assert!(
        tree.read(&path("blog/theme/x.yml")).unwrap_err().contains("in the submodule services/blog/theme")
    );
    let manifest = tree.manifest(&mut [path("blog/theme/x.conf")].iter()).unwrap();
    assert_eq!(manifest.get(&path("blog/theme/x.conf")).unwrap().digest.as_str(), commit);
}

#[test]
fn a_submodule_that_is_checked_out_is_read_at_the_commit_of_the_revision() {
    let repo = Repo::new();
    repo.write("services/blog/compose.yml", "services: {}\n");
    let theme = Repo::at(repo.path("services/blog/my \"theme\":1"));
    theme.write("a.yml", "1").write(".ghdeployignore", "left\n").write("left/x", "1");
    theme.commit();
    let first = {
        repo.git(&["-c", "advice.addEmbeddedRepo=false", "add", "-A"]);
        repo.git(&["commit", "-q", "-m", "x"]);
        repo.head()
    };
    theme.write("a.yml", "2").write("b", "1");
    theme.commit();
    let second = repo.commit();
    let name = |file: &str| path(&format!("blog/my \"theme\":1/{file}"));
    for (revision, files, content) in
        [(&first, vec![name("a.yml")], "1"), (&second, vec![name("a.yml"), name("b")], "2")]
    {
        let tree = repo.tree(revision).unwrap();
        assert_eq!(tree.submodules().len(), 0);
        let found: Vec<RootPath> =
            tree.nodes().keys().filter(|path| path.as_str().contains("theme")).cloned().collect();
        let found: Vec<RootPath> =
            found.into_iter().filter(|path| !path.file_name().starts_with('.')).collect();
        assert_eq!(found, files);
        assert_eq!(tree.read(&files[0]).unwrap().unwrap().as_ref(), content.as_bytes());
        // What is not looked into is the same in both ways of comparing.
        let without = ["services/blog/my \"theme\":1".to_owned()].into();
        let rules = FileRules::default();
        let tree = repo.open().tree(revision, &Layout::default(), &rules, &without).unwrap();
        assert_eq!(tree.submodules().len(), 1);
    }
}

#[test]
fn a_prefix_that_was_not_there_yet_is_empty_and_one_that_is_a_link_is_refused() {
    let repo = Repo::new();
    repo.write("README.md", "x");
    repo.commit();
    assert!(repo.tree("HEAD").unwrap().nodes().is_empty());
    repo.write("real/blog/compose.yml", "services: {}\n");
    repo.link("services", "real");
    repo.commit();
    let message = "`services`, which `services` names, is not a folder";
    assert_eq!(repo.tree("HEAD").unwrap_err().to_string(), message);
    let disk = DiskTree::open(repo.top(), &Layout::default(), &FileRules::default()).unwrap_err();
    assert_eq!(disk.to_string(), message);
}

#[test]
fn a_work_tree_beside_the_repository_is_one_too() {
    let repo = Repo::new();
    repo.write("services/blog/compose.yml", "services: {}\n");
    let commit = repo.commit();
    repo.write(".git/info/exclude", "*.secret\n");
    let side = tempfile::tempdir().unwrap();
    let dir = side.path().join("side");
    repo.git(&["worktree", "add", "-q", "--detach", dir.to_str().unwrap()]);
    fs::write(dir.join("services/blog/x.secret"), "x").unwrap();
    let disk = DiskTree::open(&dir, &Layout::default(), &FileRules::default()).unwrap();
    assert_eq!((paths(&disk), disk.commit()), (vec!["blog/compose.yml"], Some(commit.as_str())));
    let revision = Repository::open(&dir)
        .unwrap()
        .tree("HEAD", &Layout::default(), &FileRules::default(), &BTreeSet::new())
        .unwrap();
    assert_eq!(disk.nodes(), revision.nodes());
}
