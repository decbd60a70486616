//! A host in a temporary directory, the transport to it, and the few steps of a client that the tests need.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ghdeploy::apply::stage::{Source, Unit, pack};
use ghdeploy::base::manifest::{Digest, Entry, Kind, Manifest};
use ghdeploy::base::path::RootPath;
use ghdeploy::host::{Command, Driver, Local, Notices, Reply, Start, Upload, facts, upload};
use ghdeploy::plan::{FileChange, FileChangeKind};
use ghdeploy::state::deployed::{Deployed, Found, has_content, is_same};

/// Makes two tests out of an `async fn(Bed)`: one under the `sh` of Debian, and one under another shell, which is always
/// the same for a test. `DRIVER_SHELL=bash` (or `dash`, `mksh`, `busybox`) chooses that one for all of them: a scheduled workflow
/// runs every test under every shell.
macro_rules! under_every_shell {
    ($($(#[$doc:meta])* async fn $name:ident($bed:ident: Bed) $body:block)+) => {$(
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn run($bed: crate::bed::Bed) $body

            crate::bed::under_shells!(&[Shell::Bash, Shell::Mksh, Shell::BusyBox]);
        }
    )+};
}
pub(crate) use under_every_shell;

/// The same without BusyBox. Its shell prefers its own applets to the programs that a test puts before those of the
/// host.
macro_rules! under_shells_with_tools {
    ($($(#[$doc:meta])* async fn $name:ident($bed:ident: Bed) $body:block)+) => {$(
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn run($bed: crate::bed::Bed) $body

            crate::bed::under_shells!(&[Shell::Bash, Shell::Mksh]);
        }
    )+};
}
pub(crate) use under_shells_with_tools;

/// Makes the two tests out of `run`.
macro_rules! under_shells {
    ($others:expr) => {
        #[tokio::test]
        async fn dash() {
            crate::bed::in_time(run(crate::bed::Bed::new(crate::bed::Shell::Dash))).await;
        }

        #[tokio::test]
        async fn another() {
            use crate::bed::Shell;
            crate::bed::in_time(run(crate::bed::Bed::new(Shell::of(module_path!(), $others)))).await;
        }
    };
}
pub(crate) use under_shells;

/// Makes one test, under the `sh` of Debian or that of Red Hat, out of one that does the same many times with an
/// interruption at another point. Other tests show that every shell carries these steps out.
macro_rules! under_some_shell {
    ($($(#[$doc:meta])* async fn $name:ident($bed:ident: Bed) $body:block)+) => {$(
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn run($bed: crate::bed::Bed) $body

            #[tokio::test]
            async fn another() {
                use crate::bed::Shell;
                let shell = Shell::of(module_path!(), &[Shell::Dash, Shell::Bash]);
                crate::bed::in_time(run(crate::bed::Bed::new(shell))).await;
            }
        }
    )+};
}
pub(crate) use under_some_shell;

/// Fails a test whose driver does not answer. The limit is far above what any test takes, also on a
/// machine that is busy with other things.
pub(crate) async fn in_time(test: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(600), test).await.expect("the driver has answered in time");
}

/// A shell that may be the `sh` of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shell {
    Dash,
    Bash,
    Mksh,
    BusyBox,
}

impl Shell {
    /// The one of these shells for the test of this name, or the one that the environment names.
    pub(crate) fn of(test: &str, shells: &[Self]) -> Self {
        let name = |shell: &Self| format!("{shell:?}").to_lowercase();
        let shell = match std::env::var("DRIVER_SHELL") {
            // A test that is not for it runs under any other one.
            Ok(wanted) => {
                let all = [Self::Dash, Self::Bash, Self::Mksh, Self::BusyBox];
                assert!(
                    all.iter().any(|shell| name(shell) == wanted),
                    "DRIVER_SHELL={wanted} is no shell of these tests"
                );
                *shells.iter().find(|shell| name(shell) == wanted).unwrap_or(&shells[0])
            }
            Err(_) => {
                shells[Digest::of(test.as_bytes()).as_str().bytes().map(usize::from).sum::<usize>()
                    % shells.len()]
            }
        };
        show_if_it_fails(&name(&shell));
        shell
    }
}

#[expect(clippy::print_stdout, reason = "it is shown if the test fails")]
fn show_if_it_fails(shell: &str) {
    println!("under {shell}");
}

/// A file or whatever else lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    File {
        content: String,
        mode: u16,
    },
    Link(String),
    /// An empty directory.
    EmptyDir,
}

/// Path → node.
pub(crate) type Tree = BTreeMap<String, Node>;

pub(crate) fn file(content: &str) -> Node {
    Node::File { content: content.to_owned(), mode: 0o644 }
}

pub(crate) fn program(content: &str) -> Node {
    Node::File { content: content.to_owned(), mode: 0o755 }
}

pub(crate) fn link(target: &str) -> Node {
    Node::Link(target.to_owned())
}

pub(crate) fn tree<const N: usize>(nodes: [(&str, Node); N]) -> Tree {
    nodes.into_iter().map(|(path, node)| (path.to_owned(), node)).collect()
}

pub(crate) fn entry(node: &Node) -> Entry {
    match node {
        Node::File { content, mode } => Entry {
            kind: Kind::File,
            mode: *mode,
            size: content.len() as u64,
            digest: Digest::of(content.as_bytes()),
        },
        Node::Link(target) => Entry {
            kind: Kind::Symlink,
            mode: 0o777,
            size: target.len() as u64,
            digest: Digest::of(target.as_bytes()),
        },
        Node::EmptyDir => unreachable!("a manifest holds no directories"),
    }
}

pub(crate) fn manifest(tree: &Tree) -> Manifest {
    Manifest(tree.iter().map(|(path, node)| (RootPath::new(path).unwrap(), entry(node))).collect())
}

/// A staged swap, and the facts of its plan.
pub(crate) struct Staged {
    pub(crate) deployed: Deployed,
    pub(crate) changes: Vec<FileChange>,
}

/// A host in a temporary directory.
pub(crate) struct Bed {
    dir: tempfile::TempDir,
    pub(crate) shell: Shell,
    pub(crate) root: PathBuf,
    /// Directory whose programs come before all others.
    pub(crate) bin: PathBuf,
}

impl Bed {
    pub(crate) fn new(shell: Shell) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        fs::create_dir(&bin).unwrap();
        if shell == Shell::BusyBox {
            let tools = dir.path().join("tools");
            fs::create_dir(&tools).unwrap();
            let busybox = which("busybox");
            let list = std::process::Command::new(&busybox).arg("--list").output().unwrap();
            for applet in String::from_utf8(list.stdout).unwrap().lines() {
                symlink(&busybox, tools.join(applet)).unwrap();
            }
            // Debian builds BusyBox without flock; Alpine has it.
            if !tools.join("flock").exists() {
                symlink(which("flock"), tools.join("flock")).unwrap();
            }
        }
        let root = dir.path().join("srv");
        Self { dir, shell, root, bin }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// A path in `.ghdeploy`.
    pub(crate) fn state(&self, path: &str) -> PathBuf {
        self.root.join(".ghdeploy").join(path)
    }

    /// A path in the stage of the run that is under way.
    pub(crate) fn staged(&self, path: &str) -> PathBuf {
        let stages: Vec<_> = fs::read_dir(self.state("stage")).unwrap().collect();
        assert_eq!(stages.len(), 1, "each run has one stage, and that of an earlier run is gone");
        stages[0].as_ref().unwrap().path().join(path)
    }

    /// A file beside the root.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The directories in which the host finds its programs.
    fn search_path(&self) -> String {
        let system = match self.shell {
            Shell::BusyBox => self.dir.path().join("tools").to_str().unwrap().to_owned(),
            _ => std::env::var("PATH").unwrap(),
        };
        format!("{}:{system}", self.bin.display())
    }

    pub(crate) fn local(&self) -> Local {
        let shell = match self.shell {
            Shell::Dash => vec![which("dash")],
            Shell::Bash => vec![which("bash"), "--posix".into()],
            Shell::Mksh => vec![which("mksh"), "-o".into(), "posix".into()],
            Shell::BusyBox => vec![self.dir.path().join("tools/ash")],
        };
        let path = format!("PATH={}", self.search_path());
        let shell = shell.into_iter().map(|word| word.to_str().unwrap().to_owned());
        // The file `pid` holds the process id of the driver that was started last.
        let start_script = format!("echo $$ >'{}'; exec \"$@\"", self.beside("pid").display());
        let start = [
            which("dash").to_str().unwrap().to_owned(),
            "-c".to_owned(),
            start_script,
            "sh".to_owned(),
            which("env").to_str().unwrap().to_owned(),
            path,
            format!("DOCKER_CONFIG={}", self.beside("docker").display()),
        ];
        Local { shell: start.into_iter().chain(shell).collect() }
    }

    /// Puts a script before a program of the host. In the script, `$real` is that program and `$bed` the
    /// bed's directory.
    pub(crate) fn wrap(&self, name: &str, script: &str) {
        let real = match self.shell {
            Shell::BusyBox => self.dir.path().join("tools").join(name),
            _ => std::env::split_paths(&std::env::var_os("PATH").unwrap())
                .map(|dir| dir.join(name))
                .find(|path| path.exists())
                .unwrap_or_default(),
        };
        let script = format!(
            "#!{}\nreal='{}'\nbed='{}'\n{script}\n",
            which("dash").display(),
            real.display(),
            self.dir.path().display()
        );
        let to = self.bin.join(name);
        fs::write(&to, script).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) async fn start(&self) -> Driver {
        Driver::start(&self.local()).await.unwrap()
    }

    pub(crate) fn open_to_write(&self) -> Command {
        Command::OpenToWrite {
            root: self.root.to_str().unwrap().to_owned(),
            wait_secs: 20,
            holder: r#"{"actor":"a test"}"#.to_owned(),
        }
    }

    /// Starts a driver for which Docker is asked for the containers before it arrives.
    pub(crate) async fn listing(&self) -> Driver {
        Driver::start_with(&self.local(), Start { lists_containers: true, docker: None }, Notices::default())
            .await
            .unwrap()
    }

    /// Starts a driver that holds the lock.
    pub(crate) async fn opened(&self) -> Driver {
        let driver = self.start().await;
        self.open_to_write_now(&driver).await;
        driver
    }

    pub(crate) async fn open_to_write_now(&self, driver: &Driver) {
        facts::open(driver, &self.open_to_write(), self.root.to_str().unwrap(), |_| {}).await.unwrap();
    }

    /// Starts a driver that only reads.
    pub(crate) async fn opened_to_read(&self) -> Driver {
        let driver = self.start().await;
        self.open_to_read(&driver).await;
        driver
    }

    pub(crate) async fn open_to_read(&self, driver: &Driver) {
        let root = self.root.to_str().unwrap().to_owned();
        facts::open(driver, &Command::OpenToRead { root: root.clone() }, &root, |_| {}).await.unwrap();
    }

    /// Asks for the facts that a plan for `wanted` needs.
    pub(crate) async fn facts(&self, driver: &Driver, unit: &str, wanted: &Tree) -> Deployed {
        let wants = BTreeMap::from([(unit.to_owned(), manifest(wanted))]);
        let mut deployed = facts::facts(driver, &wants).await.unwrap();
        facts::probe_new(driver, &wants, &mut deployed).await.unwrap();
        deployed
    }

    /// Uploads the changes that bring the host to `wanted`. Files in `in_place` are written in place.
    pub(crate) async fn stage(
        &self,
        driver: &Driver,
        unit: &str,
        wanted: &Tree,
        in_place: &[&str],
    ) -> Staged {
        let staged = self.plan(driver, unit, wanted, in_place).await;
        self.send(driver, unit, wanted, &staged).await.unwrap();
        staged
    }

    /// Uploads the changes that bring the host to `wanted`, with the files that Compose reads.
    pub(crate) async fn stage_for_compose(&self, driver: &Driver, unit: &str, wanted: &Tree, reads: &[&str]) {
        let staged = self.plan(driver, unit, wanted, &[]).await;
        let list: Vec<&FileChange> = staged.changes.iter().collect();
        let reads: Vec<RootPath> = reads.iter().map(|path| RootPath::new(path).unwrap()).collect();
        let stays = manifest(wanted).0.keys().flat_map(parents).collect();
        let packed = Unit::new(unit, &list, &manifest(wanted), &staged.deployed, &reads, &stays);
        self.send_unit(driver, packed, wanted).await.unwrap();
    }

    /// Plans the changes that bring the host to `wanted`.
    pub(crate) async fn plan(&self, driver: &Driver, unit: &str, wanted: &Tree, in_place: &[&str]) -> Staged {
        let deployed = self.facts(driver, unit, wanted).await;
        let changes = changes(&deployed, unit, &manifest(wanted), in_place);
        Staged { deployed, changes }
    }

    pub(crate) async fn send(
        &self,
        driver: &Driver,
        unit: &str,
        wanted: &Tree,
        staged: &Staged,
    ) -> Result<(), ghdeploy::base::error::Error> {
        self.send_unit(driver, packed(unit, wanted, staged), wanted).await
    }

    /// Uploads the changes that bring the host to `wanted`, from where a failure leads to `well`.
    pub(crate) async fn stage_with_way_back(&self, driver: &Driver, unit: &str, wanted: &Tree, well: &Tree) {
        let staged = self.plan(driver, unit, wanted, &[]).await;
        let mut packed = packed(unit, wanted, &staged);
        packed.lead_back(&manifest(wanted), &manifest(well));
        self.send_unit(driver, packed, wanted).await.unwrap();
    }

    async fn send_unit(
        &self,
        driver: &Driver,
        packed: Unit,
        wanted: &Tree,
    ) -> Result<(), ghdeploy::base::error::Error> {
        let from = tempfile::tempdir().unwrap();
        let mut sources: BTreeMap<RootPath, Source> = BTreeMap::new();
        for (number, (path, node)) in wanted.iter().enumerate() {
            let source = match node {
                Node::File { content, .. } => {
                    let at = from.path().join(number.to_string());
                    fs::write(&at, content).unwrap();
                    Source::File(at)
                }
                Node::Link(target) => Source::Link(target.clone()),
                Node::EmptyDir => continue,
            };
            sources.insert(RootPath::new(path).unwrap(), source);
        }
        let files = packed.files.len();
        let pack = move |out: &mut dyn Write| pack(&[packed], &|path| sources.get(path).cloned(), out);
        let sent = upload(driver, self.root.to_str().unwrap(), Upload { pack, files }, &[]).await;
        drop(from);
        sent.map(drop)
    }

    /// Uploads the lists of a unit without its files.
    pub(crate) async fn send_lists(&self, driver: &Driver, unit: &str, wanted: &Tree, staged: &Staged) {
        let packed = Unit { files: Vec::new(), ..packed(unit, wanted, staged) };
        let pack = move |out: &mut dyn Write| pack(&[packed], &|_| None, out);
        let root = self.root.to_str().unwrap();
        upload(driver, root, Upload { pack, files: 0 }, &[]).await.unwrap();
    }

    /// Brings the host to `wanted` in one run.
    pub(crate) async fn sync(&self, unit: &str, wanted: &Tree) {
        let driver = self.opened().await;
        self.stage(&driver, unit, wanted, &[]).await;
        expect_ok(&driver.call(&Command::Swap(unit.to_owned())).await.unwrap());
        self.finish(driver).await;
    }

    pub(crate) async fn finish(&self, driver: Driver) {
        expect_ok(&driver.call(&Command::Finish { keep: 10, stay: Vec::new() }).await.unwrap());
        driver.end().await;
        self.settle().await;
    }

    /// Whether a driver or one of its jobs holds the lock.
    pub(crate) fn is_locked(&self) -> bool {
        let lock = self.state("lock");
        let try_lock =
            || std::process::Command::new(which("flock")).arg("-n").arg(&lock).arg("true").status();
        lock.exists() && !try_lock().unwrap().success()
    }

    /// Waits until no driver and no job holds the lock.
    pub(crate) async fn settle(&self) {
        for _ in 0..4000 {
            if !self.is_locked() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the lock is not released");
    }

    /// Asks for the facts with a driver that only reads.
    pub(crate) async fn look(&self, unit: &str, wanted: &Tree) -> Deployed {
        let driver = self.opened_to_read().await;
        let deployed = self.facts(&driver, unit, wanted).await;
        driver.end().await;
        deployed
    }

    /// Everything below the root except `.ghdeploy`.
    pub(crate) fn live(&self) -> Tree {
        let mut tree = Tree::new();
        if self.root.exists() {
            collect(&self.root, &self.root, &mut tree);
        }
        tree
    }

    /// Writes files below the root by hand.
    pub(crate) fn put(&self, nodes: &Tree) {
        for (path, node) in nodes {
            let to = self.root.join(path);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            match node {
                Node::File { content, mode } => {
                    fs::write(&to, content).unwrap();
                    fs::set_permissions(&to, fs::Permissions::from_mode(u32::from(*mode))).unwrap();
                }
                Node::Link(target) => symlink(target, &to).unwrap(),
                Node::EmptyDir => fs::create_dir(&to).unwrap(),
            }
        }
    }

    /// The content of the object with this content's digest.
    pub(crate) fn kept(&self, content: &str) -> Option<String> {
        let bytes = fs::read(self.state("objects").join(Digest::of(content.as_bytes()).as_str())).ok()?;
        Some(String::from_utf8(bytes).unwrap())
    }

    /// Fails unless `wanted` is recorded, nothing is pending and nothing deviates.
    pub(crate) async fn expect_deployed(&self, unit: &str, wanted: &Tree) {
        let deployed = self.look(unit, wanted).await;
        assert_eq!(deployed.manifests.get(unit).cloned().unwrap_or_default(), manifest(wanted));
        assert!(deployed.pending.is_empty(), "{:?}", deployed.pending);
        assert!(deployed.found.is_empty(), "{:?}", deployed.found);
    }
}

fn collect(root: &Path, dir: &Path, tree: &mut Tree) {
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.retain(|path| path != &root.join(".ghdeploy"));
    if entries.is_empty() && dir != root {
        tree.insert(below(root, dir), Node::EmptyDir);
    }
    for path in entries {
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            collect(root, &path, tree);
        } else if meta.is_symlink() {
            tree.insert(
                below(root, &path),
                Node::Link(fs::read_link(&path).unwrap().to_str().unwrap().to_owned()),
            );
        } else {
            let mode = u16::try_from(meta.permissions().mode() & 0o7777).unwrap();
            tree.insert(below(root, &path), Node::File { content: fs::read_to_string(&path).unwrap(), mode });
        }
    }
}

fn below(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()
}

pub(crate) fn packed(unit: &str, wanted: &Tree, staged: &Staged) -> Unit {
    let stays = manifest(wanted).0.keys().flat_map(parents).collect();
    let list: Vec<&FileChange> = staged.changes.iter().collect();
    let wanted = manifest(wanted);
    let mut packed = Unit::new(unit, &list, &wanted, &staged.deployed, &[], &stays);
    if let Some(recorded) = staged.deployed.manifests.get(unit) {
        packed.shorten(recorded, &wanted);
    }
    packed
}

fn parents(path: &RootPath) -> Vec<RootPath> {
    std::iter::successors(path.parent(), RootPath::parent).collect()
}

/// Changes of each file, as the planner makes them but without conflicts: here the repository always wins.
pub(crate) fn changes(
    deployed: &Deployed,
    unit: &str,
    wanted: &Manifest,
    in_place: &[&str],
) -> Vec<FileChange> {
    let known = [deployed.manifests.get(unit), deployed.pending.get(unit)];
    let paths: BTreeSet<&RootPath> =
        known.into_iter().flatten().flat_map(|manifest| manifest.0.keys()).chain(wanted.0.keys()).collect();
    let change = |path: &RootPath| {
        let there = deployed.at(unit, path);
        let after = wanted.get(path).cloned();
        match &after {
            Some(after) if is_same(&there, after) => return None,
            None if !matches!(there, Found::Entry(_)) => return None,
            _ => {}
        }
        let change = match &after {
            None => FileChangeKind::Removed,
            Some(after) if has_content(&there, after) => FileChangeKind::Mode,
            Some(_) => FileChangeKind::Modified,
        };
        let before = if let Found::Entry(entry) = there { Some(entry) } else { None };
        let in_place = in_place.contains(&path.as_str()) && before.is_some() && after.is_some();
        Some(FileChange { path: path.to_string(), change, at: path.clone(), before, after, in_place })
    };
    paths.into_iter().filter_map(change).collect()
}

pub(crate) fn expect_ok(reply: &Reply) {
    assert!(reply.is_ok(), "{reply:?}");
}

/// Text of what was found, one line per path.
pub(crate) fn found_text(deployed: &Deployed) -> String {
    let mut text = String::new();
    for (path, found) in &deployed.found {
        let what = match found {
            Found::Missing => "missing".to_owned(),
            Found::Directory => "a directory".to_owned(),
            Found::EmptyDirectory => "an empty directory".to_owned(),
            Found::Unreadable => "unreadable".to_owned(),
            Found::Other => "something else".to_owned(),
            Found::Behind { link, target } => format!("behind {link} -> {target}"),
            Found::Entry(entry) => {
                format!("{:?} {:o} {}", entry.kind, entry.mode, &entry.digest.as_str()[..6])
            }
        };
        writeln!(text, "{path}: {what}").unwrap();
    }
    text
}

/// Finds a program.
///
/// # Panics
///
/// When it is missing: a test that cannot run has failed.
pub(crate) fn which(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{name} is missing; these tests need it"))
}
