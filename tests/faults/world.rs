//! A repository and a host, and what must be true of them after a sync.

use std::process::Command;

use crate::bed::{Bed, stdout_of};
use crate::kill::{self, Kill};
use crate::support::program::Output;
use crate::support::random::Random;
use crate::watch::{Watcher, content};

/// The wanted state of the host.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Mounted by `web`: a restart. Mounted by `sig`, and written in place: a command.
    conf: usize,
    sig: usize,
    shared: usize,
    many: usize,
    /// In the environment of `worker`: an up.
    mode: usize,
    /// A file that no service reads, and its folder. It comes and goes.
    extra: Option<usize>,
    /// The project `blog`, if it exists.
    blog: Option<usize>,
    /// What breaks `app`, if anything does.
    bad: Option<Bad>,
}

/// What makes a version of `app` fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    /// `worker` ends at once, by its definition.
    Definition,
    /// `web` ends at once, by the content of a file that it mounts.
    Content,
}

impl Wanted {
    /// Another state, with at least one difference.
    pub(crate) fn change(&self, random: &mut Random) -> Self {
        self.change_of(random, 7)
    }

    /// A version of `app` that fails, and that may change something else of it as well.
    pub(crate) fn bad(&self, random: &mut Random) -> Self {
        let bad = Some(if random.below(2) == 0 { Bad::Definition } else { Bad::Content });
        Self { bad, ..self.change_of(random, 6) }
    }

    /// The same without the last of these kinds of changes.
    fn change_of(&self, random: &mut Random, kinds: usize) -> Self {
        let mut wanted = self.clone();
        for _ in 0..=random.below(3) {
            match random.below(kinds) {
                0 => wanted.conf += 1,
                1 => wanted.sig += 1,
                2 => wanted.shared += 1,
                3 => wanted.many += 1,
                4 => wanted.mode += 1,
                5 => wanted.extra = if wanted.extra.is_some() { None } else { Some(random.below(3)) },
                _ => {
                    wanted.blog = if wanted.blog.is_some() && random.below(2) == 0 {
                        None
                    } else {
                        Some(random.below(100))
                    }
                }
            }
        }
        wanted
    }
}

/// A repository and a host.
pub(crate) struct World {
    bed: Bed,
    pub(crate) wanted: Wanted,
    /// Number of tools that a sync calls.
    pub(crate) calls: usize,
}

const MANY: usize = 40;

impl World {
    /// A host with a first deployed state.
    pub(crate) fn new(test: &str) -> Self {
        let bed = Bed::new(test);
        bed.write("ghdeploy.yml", "health: {stable_for: 0s, timeout: 60s}\nkeep: 2\n");
        let wanted =
            Wanted { conf: 0, sig: 0, shared: 0, many: 0, mode: 0, extra: None, blog: None, bad: None };
        let mut world = Self { bed, wanted, calls: 0 };
        world.write();
        world.bed.call(["sync"]).run().exits(0);
        kill::prepare(&world.bed);
        world.wanted.conf += 1;
        world.wanted.mode += 1;
        world.write();
        world.bed.call(["sync"]).run().exits(0);
        world.bed.settle();
        // Tools that run beside each other may leave the end of a longer number behind.
        let count = std::fs::read_to_string(world.bed.path("count")).unwrap();
        world.calls = count.lines().next().unwrap().parse().unwrap();
        world
    }

    /// Commits the wanted state.
    pub(crate) fn write(&self) {
        let (bed, wanted) = (&self.bed, &self.wanted);
        let _ = std::fs::remove_dir_all(bed.repo("services"));
        bed.compose(
            "app",
            &format!(
                "services:
  web:
    <<: *s
    volumes: ['./web.conf:/web.conf:ro', '../shared/tz:/tz:ro', './many:/many:ro']
    command: [sh, -c, 'read -r first rest </web.conf && [ $$first != bad ] && exec sleep 100000']
  sig: {{<<: *s, volumes: ['./sig.conf:/sig.conf:ro'], x-ghdeploy: {{on-change: {{exec: [cp, /sig.conf, /tmp/seen]}}}}}}
  worker: {{<<: *s, environment: {{MODE: 'mode {}'}}, volumes: [/rows]{}}}",
                wanted.mode,
                if wanted.bad == Some(Bad::Definition) { ", command: 'false'" } else { "" },
            ),
        );
        let first = if wanted.bad == Some(Bad::Content) { "bad\n" } else { "" };
        bed.write("services/app/web.conf", first.to_owned() + &content(wanted.conf))
            .write("services/app/sig.conf", content(wanted.sig));
        bed.write("services/shared/tz", content(wanted.shared));
        for file in 0..MANY {
            bed.write(&format!("services/app/many/{file} $(x)\n'"), content(wanted.many));
        }
        if let Some(extra) = wanted.extra {
            bed.write(&format!("services/app/extra/{extra}/deep/file"), content(extra));
        }
        if let Some(blog) = wanted.blog {
            bed.compose(
                "blog",
                &format!("services:\n  web: {{<<: *s, environment: {{MODE: 'blog {blog}'}}}}"),
            );
        }
        bed.commit();
    }

    /// Runs a sync that is killed, and returns whether that happened.
    pub(crate) fn killed(&self, kill: &Kill) -> bool {
        self.bed.guarding(|| kill::sync(&self.bed, kill))
    }

    /// Syncs, and returns what is wrong afterwards.
    pub(crate) fn converge(&self) -> Vec<String> {
        let bed = &self.bed;
        let odd = format!("app/many/{} $(x)\n'", MANY - 1);
        let watcher = Watcher::start(["app/web.conf", "shared/tz", &odd].map(|path| bed.root(path)).to_vec());
        let mut wrong = Vec::new();
        let sync = self.sync();
        wrong.extend(watcher.end());
        if sync.code != Some(0) {
            wrong.push(format!("the next sync fails: {}", sync.all()));
        }
        wrong.extend(self.differences());
        let idle = self.sync();
        if idle.code != Some(0) || !idle.contains("nothing to do") {
            wrong.push(format!("there is still something to do: {}", idle.all()));
        }
        wrong
    }

    /// Syncs a version that fails after `good` was deployed, and returns what is wrong afterwards: the host is what
    /// it was and says so with the right number, or says which command leads there.
    pub(crate) fn fail_back(&mut self, good: &Wanted) -> Vec<String> {
        let mut wrong = Vec::new();
        let sync = self.sync();
        let text = sync.all();
        let numbers = self.numbers();
        let well = numbers.iter().find(|(_, is_cut_off)| !is_cut_off).map_or(0, |(number, _)| *number);
        match sync.code {
            Some(5) if text.contains(&format!("rolled back to release {well}\n")) => {}
            Some(6) => match command_in(&text) {
                Some(args) => {
                    let back =
                        self.bed.call(["rollback"]).args([&*args.0, &*args.1, &*args.2, &*args.3]).run();
                    if back.code != Some(0) {
                        wrong.push(format!("the command fails: {text}\n{}", back.all()));
                    }
                }
                None => wrong.push(format!("no command: {text}")),
            },
            _ => wrong.push(format!("release {well} did not come back: {text}")),
        }
        // The repository is not what the host is to have.
        let bad = std::mem::replace(&mut self.wanted, good.clone());
        self.write();
        wrong.extend(self.differences());
        self.wanted = bad;
        self.write();
        wrong
    }

    /// The numbers in the history, newest first, and whether each run was cut off.
    fn numbers(&self) -> Vec<(u64, bool)> {
        let history = self.bed.call(["history", "--format", "json"]).run();
        let history: serde_json::Value = serde_json::from_str(&history.stdout).unwrap();
        let lines = history["hosts"][0]["releases"].as_array().unwrap();
        lines.iter().map(|line| (line["release"].as_u64().unwrap(), line["cut_off"] == true)).collect()
    }

    fn sync(&self) -> Output {
        self.bed.call(["sync", "--prune"]).run()
    }

    /// Differences between the host and the wanted state.
    fn differences(&self) -> Vec<String> {
        let (bed, wanted) = (&self.bed, &self.wanted);
        let mut wrong = Vec::new();
        let mut is = |what: &str, holds: bool| {
            if !holds {
                wrong.push(what.to_owned());
            }
        };
        // Exactly the wanted files, besides the host's own.
        let listed = stdout_of(
            Command::new("git").arg("-C").arg(bed.path("repo")).args(["ls-files", "-z", "services"]),
        );
        let mut files: Vec<&str> =
            listed.split('\0').filter_map(|path| path.strip_prefix("services/")).collect();
        files.sort_unstable();
        for path in &files {
            let there = std::fs::read(bed.root(path)).ok();
            let here = std::fs::read(bed.repo(&format!("services/{path}"))).ok();
            is(&format!("{path:?} has other content"), there.is_some() && there == here);
        }
        let found = stdout_of(Command::new("find").arg(bed.root("")).args([
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
        is(&format!("there are other files: {there:?}"), there == files);
        is("an empty folder was left", !bed.root("app/extra").exists() || wanted.extra.is_some());
        // Containers.
        let mut names = vec!["app/sig", "app/web", "app/worker"];
        names.extend(wanted.blog.map(|_| "blog/web"));
        let filter = format!("name={}-", bed.id);
        let all = stdout_of(Command::new("docker").args([
            "ps",
            "-a",
            "--filter",
            &filter,
            "--format",
            "{{.Names}} {{.State}}",
        ]));
        let mut running: Vec<String> = all.lines().map(str::to_owned).collect();
        running.sort_unstable();
        let expected: Vec<String> =
            names.iter().map(|name| format!("{}-{}-1 running", bed.id, name.replace('/', "-"))).collect();
        is(&format!("other containers: {running:?}"), running == expected);
        if running == expected {
            let seen = |service: &str, path: &str| bed.inside(service, &["cat", path]);
            is("app/web sees another conf", seen("app/web", "/web.conf") == content(wanted.conf));
            is("app/web sees another tz", seen("app/web", "/tz") == content(wanted.shared));
            is("app/web sees other files", seen("app/web", "/many/7 $(x)\n'") == content(wanted.many));
            is("app/sig sees another conf", seen("app/sig", "/sig.conf") == content(wanted.sig));
            is(
                "app/worker has another mode",
                bed.env("app/worker", "MODE") == format!("mode {}", wanted.mode),
            );
            if let Some(blog) = wanted.blog {
                is("blog/web has another mode", bed.env("blog/web", "MODE") == format!("blog {blog}"));
            }
        }
        // Our own records.
        bed.settle();
        is("the stage was not cleared", !bed.root(".ghdeploy/stage").exists());
        let list = |dir: &str| std::fs::read_dir(bed.root(dir)).map_or(0, Iterator::count);
        is("something is pending", list(".ghdeploy/pending") == 0);
        let objects = list(".ghdeploy/objects");
        is(&format!("{objects} objects"), objects < 40);
        let releases = list(".ghdeploy/releases");
        is(&format!("{releases} releases"), releases <= 3);
        is("a run is noted", !bed.root(".ghdeploy/run.json").exists());
        let numbers = self.numbers();
        is(
            &format!("numbers of the history: {numbers:?}"),
            numbers.windows(2).all(|pair| pair[0].0 > pair[1].0),
        );
        let last = numbers.iter().find(|(_, is_cut_off)| !is_cut_off).map(|(number, _)| *number);
        let status = bed.call(["status", "--format", "json"]).run();
        let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
        is("status names another release", status["hosts"][0]["release"].as_u64() == last);
        wrong
    }
}

/// Arguments of the rollback that a message tells to run.
fn command_in(text: &str) -> Option<(String, String, String, String)> {
    let (_, command) = text.split_once("run `ghdeploy rollback ")?;
    let mut words = command.split('`').next()?.split(' ').map(str::to_owned);
    Some((words.next()?, words.next()?, words.next()?, words.next()?))
}
