//! Trees made of values: what they may contain, and which projects they hold.

use std::sync::Arc;

use super::*;

/// A tree whose files are in memory.
struct MemoryTree {
    tree: Tree,
    refused: Vec<String>,
}

/// Makes a tree of repository paths; `link -> target` is a link.
fn memory(services: &[&str], files: &[&str]) -> MemoryTree {
    let layout = Layout::new(services).unwrap();
    let node = |file: &&str| {
        let (repo_path, what) = match file.split_once(" -> ") {
            Some((path, target)) => (path, TreeFileKind::Symlink { target: target.to_owned() }),
            None => (*file, TreeFileKind::File { executable: false, private: false, size: 1 }),
        };
        (layout.root_path(repo_path).unwrap(), TreeFile { repo_path: repo_path.to_owned(), what })
    };
    let (tree, fatal) = Tree::past(&layout, files.iter().map(node).collect(), Trouble::default());
    let refused = tree.refused.iter().map(|refused| &refused.why).chain(&fatal);
    let refused = refused.map(|why| why.message.clone()).collect();
    MemoryTree { tree, refused }
}

impl Files for MemoryTree {
    fn kind(&self, path: &RootPath) -> Option<NodeKind> {
        self.tree.kind(path)
    }

    fn read(&self, path: &RootPath) -> Result<Option<Arc<[u8]>>, String> {
        Ok(self.tree.file(path)?.map(|(_, node)| node.repo_path.as_bytes().into()))
    }

    fn shown(&self, path: &RootPath) -> String {
        self.tree.shown(path)
    }

    fn way(&self, path: &RootPath) -> Vec<RootPath> {
        self.tree.way(path)
    }

    fn widened(&self) -> Option<String> {
        self.tree.widened()
    }

    fn list(&self, dir: &RootPath) -> Vec<RootPath> {
        self.tree.list(dir)
    }
}

impl Snapshot for MemoryTree {
    fn nodes(&self) -> &BTreeMap<RootPath, TreeFile> {
        self.tree.nodes()
    }

    fn manifest(&self, _: &mut dyn Iterator<Item = &RootPath>) -> Result<Manifest> {
        Ok(Manifest::default())
    }

    fn commit(&self) -> Option<&str> {
        None
    }

    fn refused(&self) -> &[Refused] {
        &self.tree.refused
    }
}

fn path(path: &str) -> RootPath {
    RootPath::new(path).unwrap()
}

fn names(memory: &MemoryTree, services: &[&str]) -> Vec<String> {
    let dirs = project_dirs(memory, &Layout::new(services).unwrap()).unwrap();
    dirs.into_iter().map(|project| format!("{} {}", project.name, project.repo_path)).collect()
}

#[test]
fn links_are_followed_to_files_and_directories() {
    let memory = memory(
        &["services"],
        &[
            "services/blog/conf/a.conf",
            "services/blog/conf-b/x",
            "services/blog/link -> conf/a.conf",
            "services/blog/dir -> ../blog/conf",
            "services/blog/via -> dir/a.conf",
            "services/blog/dangling -> data/later",
            "services/blog/round -> round",
        ],
    );
    assert_eq!(memory.refused, [""; 0]);
    assert_eq!(memory.kind(&path("blog/conf")), Some(NodeKind::Dir));
    assert_eq!(memory.kind(&path("blog/con")), None);
    assert_eq!(memory.kind(&path("blog/link")), Some(NodeKind::File));
    assert_eq!(memory.kind(&path("blog/dir")), Some(NodeKind::Dir));
    assert_eq!(memory.kind(&path("blog/dir/a.conf")), Some(NodeKind::File));
    assert_eq!(memory.kind(&path("blog/dangling")), None);
    assert_eq!(memory.kind(&path("blog/round")), None);
    assert_eq!(memory.kind(&RootPath::root()), Some(NodeKind::Dir));
    let read = memory.read(&path("blog/via")).unwrap().unwrap();
    assert_eq!(&*read, b"services/blog/conf/a.conf");
    assert_eq!(memory.read(&path("blog/conf")), Ok(None));
}

#[test]
fn links_that_leave_are_refused_with_their_target() {
    let memory = memory(
        &["services", "infra"],
        &[
            "services/a/abs -> /etc/passwd",
            "services/a/up -> ../../ghdeploy.yml",
            "services/a/top -> ..",
            "services/a/over -> top/../x",
            "infra/b/other -> ../../services/a/x",
            "infra/b/fine -> ../shared",
        ],
    );
    assert_eq!(
        memory.refused,
        [
            "symbolic link `services/a/abs` points to `/etc/passwd`, outside of what is deployed",
            "symbolic link `services/a/over` points to `top/../x`, outside of what is deployed",
            "symbolic link `services/a/up` points to `../../ghdeploy.yml`, outside of what is deployed",
            "symbolic link `infra/b/other` points to `../../services/a/x`, outside of what is deployed",
        ]
    );
    let left: Vec<_> = memory.nodes().keys().map(RootPath::as_str).collect();
    assert_eq!(left, ["a/top", "b/fine"]);
}

#[test]
fn the_records_of_the_host_cannot_be_overwritten() {
    let memory = memory(&["services"], &["services/.ghdeploy/state.json", "services/.ghdeploy-notes/x"]);
    assert_eq!(
        memory.refused,
        ["`services/.ghdeploy/state.json` would overwrite the host's own records in `.ghdeploy`"]
    );
    assert_eq!(memory.nodes().len(), 1);
}

#[test]
fn two_files_for_one_path_are_refused_unless_they_belong_to_no_project() {
    let memory = memory(
        &["apps", "infra"],
        &[
            "apps/README.md",
            "infra/README.md",
            "apps/shared/tz.env",
            "infra/shared/tz.env",
            "infra/shared/other",
            "apps/x",
            "infra/x/y",
        ],
    );
    assert_eq!(
        memory.refused,
        [
            "`apps/shared/tz.env` and `infra/shared/tz.env` both map to `shared/tz.env` below the root",
            "`apps/x` and `infra/x/y` both map to `x` below the root",
        ]
    );
    let read = memory.read(&path("README.md")).unwrap_err();
    assert_eq!(read, "`apps/README.md` and `infra/README.md` both map to `README.md` below the root");
    assert_eq!(memory.kind(&path("README.md")), Some(NodeKind::File));
    assert!(!memory.nodes().contains_key(&path("README.md")));
    assert!(memory.tree.entry(&path("README.md")).is_err());
}

#[test]
fn a_missing_path_is_shown_where_it_would_be() {
    let memory = memory(&["apps", "infra"], &["apps/a/compose.yml", "infra/b/compose.yml"]);
    assert_eq!(memory.shown(&path("b/compose.yml")), "infra/b/compose.yml");
    assert_eq!(memory.shown(&path("b/conf/missing")), "infra/b/conf/missing");
    assert_eq!(memory.shown(&path("b")), "infra/b");
    assert_eq!(memory.shown(&path("new/x")), "apps/new/x");
}

#[test]
fn projects_are_folders_with_a_compose_file_where_the_layout_says() {
    let services = ["services", "stacks/*/*"];
    let memory = memory(
        &services,
        &[
            "services/blog/compose.yml",
            "services/blog/sub/compose.yml",
            "services/notes/README.md",
            "services/alias -> blog",
            "services/compose.yml",
            "stacks/web/shop/docker-compose.yaml",
            "stacks/web/compose.yml",
        ],
    );
    assert_eq!(memory.refused, [""; 0]);
    assert_eq!(names(&memory, &services), ["blog services/blog", "web/shop stacks/web/shop"]);
}

#[test]
fn two_folders_for_one_project_are_an_error_that_names_both() {
    let services = ["apps", "infra"];
    let memory =
        memory(&services, &["apps/blog/compose.yml", "infra/blog/nginx.conf", "infra/db/compose.yml"]);
    let err = project_dirs(&memory, &Layout::new(&services).unwrap()).unwrap_err();
    assert_eq!(err.to_string(), "`apps/blog` and `infra/blog` both map to the project `blog`");
}

#[test]
fn a_file_belongs_to_the_innermost_project() {
    let services = ["stacks/**"];
    let memory = memory(
        &services,
        &["stacks/web/compose.yml", "stacks/web/blog/compose.yml", "stacks/web/blog/x", "stacks/web-2/y"],
    );
    let projects = project_dirs(&memory, &Layout::new(&services).unwrap()).unwrap();
    let owner = |file: &str| owner(&projects, &path(file)).map(|project| project.name.as_str());
    assert_eq!(owner("web/blog/x"), Some("web/blog"));
    assert_eq!(owner("web/blog/deep/new"), Some("web/blog"));
    assert_eq!(owner("web/x"), Some("web"));
    assert_eq!(owner("web-2/y"), None);
    assert_eq!(owner("x"), None);
}

#[test]
fn a_compose_file_in_the_root_is_a_project_if_it_is_named_or_alone() {
    let files = ["services/compose.yml", "services/blog/compose.yml", "services/shop/compose.yml"];
    assert_eq!(
        names(&memory(&["services"], &files), &["services"]),
        ["blog services/blog", "shop services/shop"]
    );
    let named = ["services/compose.yml", "services/*"];
    assert_eq!(
        names(&memory(&named, &files), &named),
        [". services", "blog services/blog", "shop services/shop"]
    );
    assert_eq!(names(&memory(&named[..1], &files), &named[..1]), [". services"]);
    assert_eq!(names(&memory(&["services"], &files[..1]), &["services"]), [". services"]);
    let top = ["compose.yml", "apps/a/x"];
    for services in [".", "*", "**", "compose.yml"] {
        assert_eq!(names(&memory(&[services], &top), &[services]), [". ."], "{services}");
    }
}
