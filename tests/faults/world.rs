//! A repository, a host, and what must be true of both after a sync.

use std::process::Command;

use crate::bed::{Bed, ran};
use crate::kill::{self, Kill};
use crate::support::random::Random;
use crate::watch::{Watcher, content};

/// What is wanted of the host.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    /// Mounted by `web`: a restart. Mounted by `sig`, and written in place: a command.
    conf: usize,
    sig: usize,
    shared: usize,
    many: usize,
    /// In the environment of `worker`: an up.
    mode: usize,
    /// Files that nobody reads: one that comes and goes, and where.
    extra: Option<usize>,
    /// The project `blog`, if there is one.
    blog: Option<usize>,
}

impl Wish {
    /// Another one, with at least one difference.
    pub(crate) fn change(&self, random: &mut Random) -> Self {
        let mut wish = self.clone();
        for _ in 0..=random.below(3) {
            match random.below(7) {
                0 => wish.conf += 1,
                1 => wish.sig += 1,
                2 => wish.shared += 1,
                3 => wish.many += 1,
                4 => wish.mode += 1,
                5 => wish.extra = if wish.extra.is_some() { None } else { Some(random.below(3)) },
                _ => {
                    wish.blog = if wish.blog.is_some() && random.below(2) == 0 {
                        None
                    } else {
                        Some(random.below(100))
                    }
                }
            }
        }
        wish
    }
}

/// A repository and a host.
pub(crate) struct World {
    bed: Bed,
    pub(crate) wish: Wish,
    /// How many tools a sync calls.
    pub(crate) calls: usize,
}

const MANY: usize = 40;

impl World {
    /// A host to which a first wish was deployed.
    pub(crate) fn new(test: &str) -> Self {
        let bed = Bed::new(test);
        bed.write("ghdeploy.yml", "health: {stable_for: 0s, timeout: 60s}\nkeep: 2\n");
        let wish = Wish { conf: 0, sig: 0, shared: 0, many: 0, mode: 0, extra: None, blog: None };
        let mut world = Self { bed, wish, calls: 0 };
        world.write();
        world.bed.call(["sync"]).run().exits(0);
        kill::prepare(&world.bed);
        world.wish.conf += 1;
        world.wish.mode += 1;
        world.write();
        world.bed.call(["sync"]).run().exits(0);
        world.bed.settle();
        world.calls = std::fs::read_to_string(world.bed.path("count")).unwrap().trim().parse().unwrap();
        world
    }

    /// Commits the wish.
    pub(crate) fn write(&self) {
        let (bed, wish) = (&self.bed, &self.wish);
        let _ = std::fs::remove_dir_all(bed.repo("services"));
        bed.compose(
            "app",
            &format!(
                "services:
  web: {{<<: *s, volumes: ['./web.conf:/web.conf:ro', '../shared/tz:/tz:ro', './many:/many:ro']}}
  sig: {{<<: *s, volumes: ['./sig.conf:/sig.conf:ro'], x-ghdeploy: {{on-change: {{exec: [cp, /sig.conf, /tmp/seen]}}}}}}
  worker: {{<<: *s, environment: {{MODE: 'mode {}'}}, volumes: [/rows]}}",
                wish.mode
            ),
        );
        bed.write("services/app/web.conf", content(wish.conf))
            .write("services/app/sig.conf", content(wish.sig));
        bed.write("services/shared/tz", content(wish.shared));
        for file in 0..MANY {
            bed.write(&format!("services/app/many/{file} $(x)\n'"), content(wish.many));
        }
        if let Some(extra) = wish.extra {
            bed.write(&format!("services/app/extra/{extra}/deep/file"), content(extra));
        }
        if let Some(blog) = wish.blog {
            bed.compose(
                "blog",
                &format!("services:\n  web: {{<<: *s, environment: {{MODE: 'blog {blog}'}}}}"),
            );
        }
        bed.commit();
    }

    /// A sync that is killed; whether it was.
    pub(crate) fn killed(&self, kill: &Kill) -> bool {
        self.bed.guarding(|| kill::sync(&self.bed, kill))
    }

    /// Syncs, and says what is not as it must be then.
    pub(crate) fn converge(&self) -> Vec<String> {
        let bed = &self.bed;
        let odd = format!("app/many/{} $(x)\n'", MANY - 1);
        let watcher = Watcher::start(["app/web.conf", "shared/tz", &odd].map(|path| bed.root(path)).to_vec());
        let mut wrong = Vec::new();
        let (sync, said) = self.sync();
        wrong.extend(watcher.end());
        if sync != Some(0) {
            wrong.push(format!("the next sync fails: {sync:?} {said}"));
        }
        wrong.extend(self.differences());
        let (idle, said) = self.sync();
        if idle != Some(0) || !said.contains("nothing to do") {
            wrong.push(format!("there is still something to do: {said}"));
        }
        wrong
    }

    fn sync(&self) -> (Option<i32>, String) {
        let output = self.bed.guarding(|| self.bed.call(["sync", "--prune"]).command().output().unwrap());
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    /// What on the host is not as wished.
    fn differences(&self) -> Vec<String> {
        let (bed, wish) = (&self.bed, &self.wish);
        let mut wrong = Vec::new();
        let mut is = |what: &str, holds: bool| {
            if !holds {
                wrong.push(what.to_owned());
            }
        };
        // Files, all of them and no other, but for what is the host's own.
        let listed =
            ran(Command::new("git").arg("-C").arg(bed.path("repo")).args(["ls-files", "-z", "services"]));
        let mut wanted: Vec<&str> =
            listed.split('\0').filter_map(|path| path.strip_prefix("services/")).collect();
        wanted.sort_unstable();
        for path in &wanted {
            let there = std::fs::read(bed.root(path)).ok();
            let here = std::fs::read(bed.repo(&format!("services/{path}"))).ok();
            is(&format!("{path:?} has other content"), there.is_some() && there == here);
        }
        let found = ran(Command::new("find").arg(bed.root("")).args([
            "-name",
            ".ghdeploy",
            "-prune",
            "-o",
            "-type",
            "f",
            "-printf",
            "%P\\0",
        ]));
        let mut there: Vec<&str> = found.split('\0').filter(|path| !path.is_empty()).collect();
        there.retain(|path| !path.ends_with("/.env") && !path.ends_with("rows.db"));
        there.sort_unstable();
        is(&format!("there are other files: {there:?}"), there == wanted);
        is("an empty folder was left", !bed.root("app/extra").exists() || wish.extra.is_some());
        // Containers.
        let mut names = vec!["app/sig", "app/web", "app/worker"];
        names.extend(wish.blog.map(|_| "blog/web"));
        let filter = format!("name={}-", bed.id);
        let all = ran(Command::new("docker").args([
            "ps",
            "-a",
            "--filter",
            &filter,
            "--format",
            "{{.Names}} {{.State}}",
        ]));
        let mut running: Vec<String> = all.lines().map(str::to_owned).collect();
        running.sort_unstable();
        let wished: Vec<String> =
            names.iter().map(|name| format!("{}-{}-1 running", bed.id, name.replace('/', "-"))).collect();
        is(&format!("other containers: {running:?}"), running == wished);
        if running == wished {
            let seen = |service: &str, path: &str| bed.inside(service, &["cat", path]);
            is("app/web sees another conf", seen("app/web", "/web.conf") == content(wish.conf));
            is("app/web sees another tz", seen("app/web", "/tz") == content(wish.shared));
            is("app/web sees other files", seen("app/web", "/many/7 $(x)\n'") == content(wish.many));
            is("app/sig sees another conf", seen("app/sig", "/sig.conf") == content(wish.sig));
            is("app/worker has another mode", bed.env("app/worker", "MODE") == format!("mode {}", wish.mode));
            if let Some(blog) = wish.blog {
                is("blog/web has another mode", bed.env("blog/web", "MODE") == format!("blog {blog}"));
            }
        }
        // What is ours.
        bed.settle();
        is("the stage was not cleared", !bed.root(".ghdeploy/stage").exists());
        let list = |dir: &str| std::fs::read_dir(bed.root(dir)).map_or(0, Iterator::count);
        is("something is pending", list(".ghdeploy/pending") == 0);
        let objects = list(".ghdeploy/objects");
        is(&format!("{objects} objects"), objects < 40);
        let releases = list(".ghdeploy/releases");
        is(&format!("{releases} releases"), releases <= 2);
        wrong
    }
}
