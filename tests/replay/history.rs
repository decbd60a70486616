//! A repository with a history of random edits.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

use crate::support::random::Random;
use crate::support::repo::Repo;

/// Projects with features that those of `services/` do not use.
pub(crate) const MORE: &[(&str, &str)] = &[
    (
        "media/docker-compose.yml",
        "x-logging: &logging\n  logging: {driver: local, options: {max-size: 1m}}\n\
         services:\n  player:\n    <<: *logging\n    image: player:${PLAYER:-1}\n    env_file:\n      - player.env\n      \
         - {path: extra.env, required: false}\n    volumes:\n      - ./player:/config\n      - library:/library\n      \
         - /etc/localtime:/etc/localtime:ro\n    networks: [front]\n\
         \x20 indexer:\n    image: indexer:1\n    environment:\n      - URL=http://player:${PORT}\n      - MODE=$MODE\n    \
         volumes: ['$PWD/indexer.yml:/indexer.yml:ro']\n    depends_on: {player: {condition: service_started, restart: true}}\n\
         \x20 tools:\n    image: tools:1\n    profiles: [tools]\n    volumes: [\"./tools:/tools\"]\n\
         networks:\n  front: {name: front, driver: bridge}\n\
         volumes:\n  library: {driver: local, driver_opts: {type: none, o: bind, device: \"${PWD}/library\"}}\n",
    ),
    ("media/.env", "PLAYER=3\nPORT=80\nMODE='a b'\nUNUSED=1\n"),
    ("media/player.env", "TOKEN=1\nLINE=\"two ${PORT}\"\n"),
    ("media/player/settings/a.xml", "<a/>\n"),
    ("media/player/b.xml", "<b/>\n"),
    ("media/indexer.yml", "index: 1\n"),
    ("media/library/list", "none\n"),
    ("media/tools/run", "#!/bin/sh\n"),
    ("media/README.md", "# Media\n"),
    (
        "stack/compose.yaml",
        "name: stack\ninclude:\n  - parts/db.yml\n  - {path: parts/jobs/compose.yml, env_file: parts/jobs/jobs.env}\n\
         services:\n  init:\n    image: busybox:1\n    command: cp /in/seed /out\n    volumes:\n      - ./seed:/in/seed\n      \
         - seeded:/out\n  web:\n    image: web:1\n    build:\n      context: ./web\n      args: {V: \"${V:-1}\"}\n    depends_on:\n      \
         init: {condition: service_completed_successfully}\n      db: {condition: service_started}\n    volumes:\n      \
         - seeded:/data\n    configs:\n      - site\n      - {source: text, target: /etc/text}\n    secrets: [token]\n\
         \x20 proxy:\n    image: proxy:1\n    network_mode: service:web\n    volumes:\n      - type: bind\n        source: ./proxy.conf\n        \
         target: /etc/proxy.conf\n        read_only: true\n\
         configs:\n  site: {file: ./site.conf}\n  text:\n    content: |\n      host=${HOST:-none}\n\
         secrets:\n  token: {file: ./token}\nvolumes:\n  seeded: {}\n",
    ),
    ("stack/.env", "HOST=one\n"),
    ("stack/parts/db.yml", "services:\n  db:\n    image: db:1\n    volumes: [\"./db.conf:/etc/db.conf\"]\n"),
    ("stack/parts/db.conf", "a = 1\n"),
    (
        "stack/parts/jobs/compose.yml",
        "services:\n  job:\n    image: job:${JOB}\n    env_file: job.env\n    volumes: [\"./scripts:/scripts\"]\n",
    ),
    ("stack/parts/jobs/jobs.env", "JOB=7\n"),
    ("stack/parts/jobs/job.env", "A=1\n"),
    ("stack/parts/jobs/scripts/one.sh", "echo 1\n"),
    ("stack/web/Dockerfile", "FROM scratch\nCOPY . /\n"),
    ("stack/web/index.html", "hi\n"),
    ("stack/seed", "s\n"),
    ("stack/site.conf", "server {}\n"),
    ("stack/proxy.conf", "p\n"),
    ("stack/token", "t\n"),
    ("chain/.env", "COMPOSE_FILE=base.yml:more/site.yml\nCOMPOSE_PROFILES=extra\nNAME=chain\n"),
    (
        "chain/base.yml",
        "services:\n  a:\n    extends: {file: ../shared/common.yml, service: base}\n    image: a:1\n    volumes:\n      \
         - ./a.conf:/a.conf\n  b:\n    extends: a\n    image: b:1\n    hostname: ${NAME}\n    profiles: [extra]\n",
    ),
    (
        "chain/more/site.yml",
        "services:\n  a:\n    environment: {SITE: '1'}\n    volumes:\n      - ./b.conf:/b.conf\n  c:\n    image: c:1\n    \
         volumes: [../shared:/shared]\n    labels: [one=1, \"two=${NAME}\"]\n",
    ),
    ("chain/a.conf", "a\n"),
    ("chain/b.conf", "b\n"),
    ("chain/notes.txt", "n\n"),
];

/// Projects that share files by links, a name of Compose's, overlays and an env file.
const LAYOUTS: &[(&str, &str)] = &[
    (
        "linked/compose.yml",
        "services:\n  web:\n    image: web:1\n    env_file: [own.env]\n    environment:\n      - TZ=${TZ}\n    volumes:\n      - ./conf:/conf\n      - ./site.conf:/site.conf\n  base:\n    extends: {file: base.yml, service: base}\n",
    ),
    (
        "far/compose.yaml",
        "services:\n  a:\n    image: a:1\n    volumes: [\"./deep/conf/one.conf:/one.conf\"]\n  b:\n    image: b:1\n    env_file: deep/vars/own.env\n",
    ),
    (
        "pair-one/compose.yml",
        "name: pair\nservices:\n  one:\n    image: one:1\n    environment:\n      - WHO=${WHO}\n    networks: [net]\nnetworks:\n  net: {driver: bridge}\n",
    ),
    (
        "pair-two/compose.yml",
        "name: pair\nservices:\n  two:\n    image: two:1\n    volumes: [\"./two.conf:/two.conf\"]\n    networks: [net]\nnetworks:\n  net: {driver: bridge}\n",
    ),
    ("pair-two/two.conf", "2\n"),
    (
        "over/compose.yml",
        "services:\n  web:\n    image: web:1\n    environment:\n      - TZ=${TZ}\n  plain:\n    image: plain:1\n",
    ),
    (
        "over/compose.any.yml",
        "services:\n  web:\n    environment:\n      - HOST=any\n    volumes: [\"./any.conf:/any.conf\"]\n  more:\n    image: more:1\n",
    ),
    ("over/compose.other.yml", "services:\n  web:\n    environment:\n      - HOST=other\n"),
    ("over/compose.override.yml", "services:\n  web:\n    environment:\n      - HOST=laptop\n"),
    ("over/any.conf", "a\n"),
    ("shared/common.env", "TZ=utc\nWHO=all\nUNUSED=1\n"),
    ("shared/vars/own.env", "OWN=1\n"),
    ("shared/conf/one.conf", "1\n"),
    ("shared/conf/two.conf", "2\n"),
    ("shared/site.conf", "s\n"),
    ("shared/base.yml", "services:\n  base:\n    image: base:1\n    labels:\n      - a=1\n"),
];

/// Links of [`LAYOUTS`] with their targets.
const LINKS: &[(&str, &str)] = &[
    ("linked/own.env", "../shared/vars/own.env"),
    ("linked/conf", "../shared/conf"),
    ("linked/site.conf", "../shared/site.conf"),
    ("linked/base.yml", "../shared/base.yml"),
    ("far/deep", "../shared"),
];

/// One project in the folder of all projects, with parts that it includes.
const TOP: &[(&str, &str)] = &[
    (
        "compose.yml",
        "name: top\ninclude:\n  - apps/a/compose.yml\n  - {path: apps/b/compose.yml, env_file: common.env}\nservices:\n  own:\n    image: own:1\n    environment:\n      - A=${A}\n    volumes: [\"./own.conf:/own.conf\"]\n",
    ),
    (".env", "A=1\n"),
    ("common.env", "B=1\n"),
    ("own.conf", "o\n"),
    (
        "apps/a/compose.yml",
        "services:\n  a:\n    image: a:${V:-1}\n    volumes: [\"./a.conf:/a.conf\", \"../shared:/shared\"]\n",
    ),
    ("apps/a/.env", "V=2\n"),
    ("apps/a/a.conf", "a\n"),
    (
        "apps/b/compose.yml",
        "services:\n  b:\n    image: b:1\n    environment:\n      - B=${B}\n    env_file: b.env\n    depends_on: {a: {condition: service_started}}\n",
    ),
    ("apps/b/b.env", "X=1\n"),
    ("apps/shared/x", "x\n"),
    ("notes.txt", "n\n"),
];

/// Repository in a temporary folder.
pub(crate) struct History {
    repo: Repo,
    count: usize,
    edits: &'static [(usize, Edit)],
    /// The files of `compose` in `ghdeploy.yml`.
    overlays: &'static [&'static str],
    env_files: &'static [&'static str],
    /// Whether the folder of all projects is the only one.
    is_top: bool,
}

/// Compose's names for the first file of a project.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

type Edit = fn(&mut History, &mut Random) -> Option<String>;

/// Kinds of edits with their relative frequency.
const EDITS: &[(usize, Edit)] = &[
    (9, History::change_content),
    (5, History::change_image),
    (4, History::change_value),
    (3, History::annotate),
    (3, History::comment),
    (2, History::quote),
    (2, History::turn_sections),
    (2, History::add_service),
    (2, History::remove_service),
    (2, History::override_service),
    (2, History::add_env_file),
    (1, History::rename_compose_file),
    (1, History::rename_project),
    (2, History::move_file),
    (1, History::file_to_folder),
    (1, History::add_project),
    (1, History::remove_project),
    (1, History::toggle_profile),
    (1, History::change_resource),
    (2, History::take_back),
    (6, History::garble),
];

/// Those that leave the projects and their files where they are.
const EDITS_IN_PLACE: &[(usize, Edit)] = &[
    (9, History::change_content),
    (5, History::change_image),
    (5, History::change_value),
    (3, History::annotate),
    (3, History::comment),
    (2, History::quote),
    (2, History::add_service),
    (2, History::override_service),
    (3, History::add_env_file),
    (2, History::take_back),
];

impl History {
    fn new(edits: &'static [(usize, Edit)]) -> Self {
        Self { repo: Repo::new(), count: 0, edits, overlays: &[], env_files: &[], is_top: false }
    }

    /// Creates the first commit of projects with links, overlays, a shared env file and a shared name.
    pub(crate) fn layouts() -> Self {
        let mut history = Self::new(EDITS_IN_PLACE);
        history.overlays = &["compose.yaml", "compose.yml", "compose.any.yml"];
        history.env_files = &["../shared/common.env"];
        LAYOUTS.iter().for_each(|(path, text)| history.write(&history.services().join(path), text));
        for (path, target) in LINKS {
            std::os::unix::fs::symlink(target, history.services().join(path)).unwrap();
        }
        // Without a host, its name is `any`.
        history.repo.write(
            "ghdeploy.yml",
            "compose: {files: [compose.yaml, compose.yml, 'compose.{host}.yml'], env_files: [../shared/common.env]}\n",
        );
        history.commit("start");
        history
    }

    /// Creates the first commit of a repository whose projects are parts of one compose file.
    pub(crate) fn top_file() -> Self {
        let mut history = Self::new(EDITS_IN_PLACE);
        history.is_top = true;
        TOP.iter().for_each(|(path, text)| history.write(&history.services().join(path), text));
        history.repo.write("ghdeploy.yml", "services: services/compose.yml\n");
        history.commit("start");
        history
    }

    /// The options of Compose in the folder of a project.
    pub(crate) fn options(&self, dir: &Path) -> Vec<String> {
        let overlays = self.overlays.iter().filter(|name| dir.join(name).is_file());
        let overlays = overlays.flat_map(|name| ["--file", name]);
        overlays
            .chain(self.env_files.iter().flat_map(|name| ["--env-file", name]))
            .map(str::to_owned)
            .collect()
    }

    /// Creates the first commit.
    pub(crate) fn start() -> Self {
        let history = Self::new(EDITS);
        let other = std::env::var_os("REPLAY_TREE").map(PathBuf::from);
        let tree = other.clone().unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("services"));
        let copied = Command::new("cp").arg("-r").arg(tree).arg(history.services()).status().unwrap();
        assert!(copied.success());
        if other.is_none() {
            history.complete();
        }
        history.commit("start");
        history
    }

    /// Adds the other files that the history needs to `services/`.
    fn complete(&self) {
        let history = self;
        // Files of the host are in the repository here, so that their values can be compared.
        fs::remove_file(history.services().join(".gitignore")).unwrap();
        for example in history.files().into_iter().filter(|path| path.ends_with(".env.example")) {
            let text = fs::read_to_string(&example).unwrap();
            fs::write(example.with_file_name(".env"), text).unwrap();
        }
        // Another test compares `.dockerignore` with a real build.
        fs::remove_file(history.services().join("app/.dockerignore")).unwrap();
        MORE.iter().for_each(|(path, text)| history.write(&history.services().join(path), text));
    }

    /// The top folder of the repository.
    pub(crate) fn top(&self) -> &Path {
        self.repo.top()
    }

    /// Keeps the repository for inspection.
    pub(crate) fn keep(self) -> PathBuf {
        self.repo.keep()
    }

    /// Makes a commit of one to three edits, and returns their descriptions.
    pub(crate) fn edit(&mut self, random: &mut Random) -> Vec<String> {
        let mut kinds: Vec<Edit> = Vec::new();
        self.edits.iter().for_each(|(weight, edit)| kinds.extend(std::iter::repeat_n(*edit, *weight)));
        let mut made = Vec::new();
        let wanted = 1 + random.below(3);
        while made.len() < wanted {
            let edit = kinds[random.below(kinds.len())];
            self.count += 1;
            made.extend(edit(self, random));
        }
        self.commit(&made.join("; "));
        made
    }

    /// The folders that hold projects.
    pub(crate) fn projects(&self) -> Vec<String> {
        if self.is_top {
            return vec![".".to_owned()];
        }
        let entries = fs::read_dir(self.services()).unwrap().map(|entry| entry.unwrap().path());
        let is_project = |dir: &PathBuf| {
            NAMES.iter().any(|name| dir.join(name).is_file())
                || fs::read_to_string(dir.join(".env")).is_ok_and(|text| text.contains("COMPOSE_FILE="))
        };
        let mut names: Vec<String> =
            entries.filter(is_project).map(|dir| dir.file_name().unwrap().to_str().unwrap().into()).collect();
        names.sort();
        names
    }

    /// Digest of the files that are in no project.
    pub(crate) fn outside(&self) -> String {
        let projects: BTreeSet<PathBuf> =
            self.projects().iter().map(|name| self.services().join(name)).collect();
        let mut digest = Sha256::new();
        for file in self.files().iter().filter(|file| !file.ancestors().any(|dir| projects.contains(dir))) {
            digest.update(format!("{file:?}"));
            digest.update(fs::read(file).unwrap());
        }
        format!("{:x}", digest.finalize())
    }

    fn services(&self) -> PathBuf {
        self.repo.path("services")
    }

    fn commit(&self, message: &str) {
        self.repo.git(&["add", "--all", "--force"]);
        self.repo.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
    }

    fn write(&self, path: &Path, text: &str) {
        // Another edit may have replaced the file by a folder or its folder by a file.
        let in_the_way = path.ancestors().find(|dir| dir.is_file()).filter(|dir| *dir != path);
        in_the_way.into_iter().for_each(|file| fs::remove_file(file).unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let path = if path.is_dir() { path.join("inside") } else { path.to_owned() };
        fs::write(path, text).unwrap();
    }

    /// Every file below `services/`, in order.
    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut dirs = vec![self.services()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { dirs.push(path) } else { files.push(path) }
            }
        }
        files.sort();
        files
    }

    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(self.services()).unwrap().display().to_string()
    }

    fn file(&self, random: &mut Random, of: impl Fn(&str) -> bool) -> Option<PathBuf> {
        let files: Vec<PathBuf> =
            self.files().into_iter().filter(|path| of(&self.shown(path).to_lowercase())).collect();
        random.pick(&files).cloned()
    }

    fn compose_file(&self, random: &mut Random) -> Option<PathBuf> {
        self.file(random, |path| {
            is_yaml(path) && !["traefik.yml", "dynamic", "indexer"].iter().any(|no| path.contains(no))
        })
    }

    fn project(&self, random: &mut Random) -> Option<String> {
        random.pick(&self.projects()).cloned()
    }

    /// Changes a random line of a text; `None` if no line matches.
    fn change_line(
        &self,
        random: &mut Random,
        path: &Path,
        of: impl Fn(&str) -> bool,
        change: impl Fn(&str) -> String,
    ) -> Option<String> {
        let text = fs::read_to_string(path).ok()?;
        let lines: Vec<&str> = text.lines().collect();
        let fitting: Vec<usize> = (0..lines.len()).filter(|&line| of(lines[line])).collect();
        let line = *random.pick(&fitting)?;
        let mut changed: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
        changed[line] = change(lines[line]);
        fs::write(path, changed.join("\n") + "\n").unwrap();
        Some(format!("{}:{}", self.shown(path), line + 1))
    }

    fn change_content(&mut self, random: &mut Random) -> Option<String> {
        let is_content = |path: &str| !is_yaml(path) && !path.ends_with(".env");
        let path = self.file(random, is_content)?;
        let mut text = fs::read(&path).unwrap();
        text.extend(format!("# {}\n", self.count).bytes());
        fs::write(&path, text).unwrap();
        Some(format!("content of {}", self.shown(&path)))
    }

    /// Makes a typo in a line of a compose file or an env file.
    fn garble(&mut self, random: &mut Random) -> Option<String> {
        let path = self.file(random, |path| is_yaml(path) || path.ends_with(".env"))?;
        let text = fs::read_to_string(&path).ok()?;
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let full: Vec<usize> = (0..lines.len()).filter(|&at| !lines[at].trim().is_empty()).collect();
        let at = *random.pick(&full)?;
        let is_digit = |(_, c): &(usize, char)| c.is_ascii_digit();
        let digits: Vec<usize> = lines[at].char_indices().filter(is_digit).map(|(at, _)| at).collect();
        let what = match (random.below(6), random.pick(&digits)) {
            (0 | 1, Some(&digit)) => {
                lines[at].replace_range(digit..=digit, &random.below(10).to_string());
                "another digit"
            }
            (2, _) => {
                lines.remove(at);
                "a line less"
            }
            (3, _) => {
                lines[at].insert(0, '#');
                "a line commented out"
            }
            (4, _) if at + 1 < lines.len() => {
                lines.swap(at, at + 1);
                "two lines swapped"
            }
            _ => {
                lines[at].push('x');
                "a letter more"
            }
        };
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        Some(format!("{what} at {}:{}", self.shown(&path), at + 1))
    }

    fn change_image(&mut self, random: &mut Random) -> Option<String> {
        let path = self.compose_file(random)?;
        let is_image = |line: &str| line.trim_start().starts_with("image: ") && !line.contains(['#', '"']);
        let count = self.count;
        let at = self.change_line(random, &path, is_image, |line| format!("{line}-r{count}"))?;
        Some(format!("image at {at}"))
    }

    fn change_value(&mut self, random: &mut Random) -> Option<String> {
        let path = self.file(random, |path| path.ends_with(".env"))?;
        let is_value = |line: &str| {
            let name = line.split('=').next().unwrap_or_default();
            line.contains('=') && !line.ends_with(['"', '\'']) && !name.starts_with(['#', 'C'])
        };
        let count = self.count;
        let at = self.change_line(random, &path, is_value, |line| format!("{line}{count}"))?;
        Some(format!("value at {at}"))
    }

    fn add_env_file(&mut self, random: &mut Random) -> Option<String> {
        let path = self.file(random, |path| path.ends_with(".env"))?;
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}\nNEW_{0}={0}\n", self.count)).unwrap();
        Some(format!("new value in {}", self.shown(&path)))
    }

    fn annotate(&mut self, random: &mut Random) -> Option<String> {
        let path = self.compose_file(random)?;
        let text = fs::read_to_string(&path).unwrap();
        let is_image = |line: &str| line.starts_with("    image: ");
        let count = self.count;
        let key = format!("    annotations: {{r: \"{count}\"}}");
        if text.contains("    annotations: ") {
            let is_key = |line: &str| line.starts_with("    annotations: ");
            return self
                .change_line(random, &path, is_key, |_| key.clone())
                .map(|at| format!("annotation at {at}"));
        }
        self.change_line(random, &path, is_image, |line| format!("{line}\n{key}"))
            .map(|at| format!("annotation after {at}"))
    }

    fn comment(&mut self, random: &mut Random) -> Option<String> {
        let path = self.compose_file(random)?;
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("# note {}\n{text}# and {0}\n", self.count)).unwrap();
        Some(format!("comment in {}", self.shown(&path)))
    }

    fn quote(&mut self, random: &mut Random) -> Option<String> {
        let path = self.compose_file(random)?;
        let is_scalar = |line: &str| {
            let value =
                line.trim_start().strip_prefix("image: ").or(line.trim_start().strip_prefix("restart: "));
            value.is_some_and(|value| value.chars().all(|c| c.is_ascii_alphanumeric() || "-.:/".contains(c)))
        };
        let change = |line: &str| line.replacen(": ", ":   \"", 1) + "\"  # quoted";
        Some(format!("quotes at {}", self.change_line(random, &path, is_scalar, change)?))
    }

    /// Moves the last section of a file to the front.
    fn turn_sections(&mut self, random: &mut Random) -> Option<String> {
        let path = self.compose_file(random)?;
        let text = fs::read_to_string(&path).unwrap();
        if text.contains(['&', '*']) {
            return None;
        }
        let is_start = |line: &str| line.starts_with(|c: char| c.is_ascii_lowercase());
        let last = text.lines().rfind(|line| is_start(line))?;
        let at = text.rfind(&format!("\n{last}\n"))? + 1;
        fs::write(&path, format!("{}\n{}", &text[at..], &text[..at])).unwrap();
        Some(format!("order in {}", self.shown(&path)))
    }

    fn add_service(&mut self, random: &mut Random) -> Option<String> {
        let path = self.compose_file(random)?;
        let count = self.count;
        let service = format!(
            "services:\n  extra{count}:\n    image: extra:1\n    volumes: [\"./extra:/extra\"]\n    profiles: []"
        );
        let at = self.change_line(random, &path, |line| line == "services:", |_| service.clone())?;
        self.write(&path.with_file_name("extra"), &format!("{count}\n"));
        Some(format!("service extra{count} at {at}"))
    }

    fn remove_service(&mut self, random: &mut Random) -> Option<String> {
        let path = self.file(random, is_yaml)?;
        let text = fs::read_to_string(&path).unwrap();
        let at = text.find("  extra")?;
        let end = at + text[at..].find("    profiles: []\n")? + "    profiles: []\n".len();
        fs::write(&path, format!("{}{}", &text[..at], &text[end..])).unwrap();
        Some(format!("a service less in {}", self.shown(&path)))
    }

    /// Adds an override for a random service, or removes the existing one.
    fn override_service(&mut self, random: &mut Random) -> Option<String> {
        let project = self.project(random)?;
        let dir = self.services().join(&project);
        let main = NAMES.iter().map(|name| dir.join(name)).find(|path| path.is_file())?;
        let path = dir.join("compose.override.yaml");
        if path.is_file() {
            fs::remove_file(&path).unwrap();
            return Some(format!("no override in {project}"));
        }
        let text = fs::read_to_string(main).unwrap();
        let services = text.split("\nservices:\n").nth(1)?;
        let names: Vec<&str> = services
            .lines()
            .take_while(|line| line.starts_with(' ') || line.is_empty())
            .filter(|line| line.starts_with("  ") && !line[2..].starts_with([' ', '#']))
            .filter_map(|line| line.trim().strip_suffix(':'))
            .collect();
        let name = random.pick(&names)?;
        let text = format!(
            "services:\n  {name}:\n    environment: {{R: \"{}\"}}\n    volumes: [\"./over:/over\"]\n",
            self.count
        );
        self.write(&path, &text);
        self.write(&dir.join("over"), "over\n");
        Some(format!("override of {name} in {project}"))
    }

    fn rename_compose_file(&mut self, random: &mut Random) -> Option<String> {
        let dir = self.services().join(self.project(random)?);
        let path = NAMES.iter().map(|name| dir.join(name)).find(|path| path.is_file())?;
        let to = path.with_file_name(NAMES[random.below(NAMES.len())]);
        fs::rename(&path, &to).unwrap();
        Some(format!("{} is {}", self.shown(&path), self.shown(&to)))
    }

    fn rename_project(&mut self, random: &mut Random) -> Option<String> {
        let project = self.project(random)?;
        let name = format!("{}-{}", project.split('-').next().unwrap(), self.count);
        fs::rename(self.services().join(&project), self.services().join(&name)).unwrap();
        Some(format!("{project} is {name}"))
    }

    fn move_file(&mut self, random: &mut Random) -> Option<String> {
        let path = self.file(random, |path| !is_yaml(path) && !path.ends_with(".env"))?;
        let to = self.services().join(self.project(random)?).join(path.file_name()?);
        fs::rename(&path, &to).ok()?;
        Some(format!("{} is {}", self.shown(&path), self.shown(&to)))
    }

    /// Turns a file into a folder, or such a folder back into a file.
    fn file_to_folder(&mut self, random: &mut Random) -> Option<String> {
        if let Some(inside) = self.file(random, |path| path.ends_with("/inside")) {
            let dir = inside.parent()?.to_owned();
            fs::remove_dir_all(&dir).unwrap();
            fs::write(&dir, "a file\n").unwrap();
            return Some(format!("{} is a file", self.shown(&dir)));
        }
        let path = self.file(random, |path| !is_yaml(path) && !path.ends_with(".env"))?;
        fs::remove_file(&path).unwrap();
        self.write(&path.join("inside"), "inside\n");
        Some(format!("{} is a folder", self.shown(&path)))
    }

    fn add_project(&mut self, _: &mut Random) -> Option<String> {
        let name = format!("new{}", self.count);
        let dir = self.services().join(&name);
        let text = "services:\n  one:\n    image: one:1\n    volumes: [\"./one.conf:/one.conf\"]\n  two:\n    build: .\n";
        self.write(&dir.join("compose.yml"), text);
        self.write(&dir.join("one.conf"), "1\n");
        self.write(&dir.join("Dockerfile"), "FROM scratch\n");
        Some(format!("project {name}"))
    }

    fn remove_project(&mut self, random: &mut Random) -> Option<String> {
        let project = self.project(random)?;
        if self.projects().len() < 10 {
            return None;
        }
        fs::remove_dir_all(self.services().join(&project)).unwrap();
        Some(format!("no {project}"))
    }

    fn toggle_profile(&mut self, random: &mut Random) -> Option<String> {
        let project = self.project(random)?;
        let path = self.services().join(&project).join(".env");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let mut lines: Vec<&str> =
            text.lines().filter(|line| !line.starts_with("COMPOSE_PROFILES=")).collect();
        if lines.len() == text.lines().count() {
            lines.push("COMPOSE_PROFILES=tools,extra");
        }
        self.write(&path, &(lines.join("\n") + "\n"));
        Some(format!("profiles of {project}"))
    }

    fn change_resource(&mut self, random: &mut Random) -> Option<String> {
        let path = self.compose_file(random)?;
        let count = self.count;
        let is_named =
            |line: &str| line.ends_with(": {}") && line.starts_with("  ") && !line.starts_with("   ");
        let change = |line: &str| line.replace("{}", &format!("{{name: other{count}, labels: {{a: b}}}}"));
        Some(format!("resource at {}", self.change_line(random, &path, is_named, change)?))
    }

    /// Restores one project from some commits ago.
    fn take_back(&mut self, random: &mut Random) -> Option<String> {
        let project = self.project(random)?;
        let back = 1 + random.below(6);
        let path = if self.is_top { "services".to_owned() } else { format!("services/{project}") };
        let revision = format!("HEAD~{back}");
        // Neither the first commits nor every project reach back that far.
        let commits: usize = self.repo.git(&["rev-list", "--count", "HEAD"]).parse().unwrap();
        if back >= commits || self.repo.git(&["ls-tree", &revision, &path]).is_empty() {
            return None;
        }
        let dir = if self.is_top { self.services() } else { self.services().join(&project) };
        fs::remove_dir_all(dir).unwrap();
        self.repo.git(&["checkout", "-q", &revision, "--", &path]);
        Some(format!("{project} as {back} commits ago"))
    }
}

fn is_yaml(path: &str) -> bool {
    path.ends_with(".yml") || path.ends_with(".yaml")
}
