//! The words that the client and the driver exchange: values and their text, no effects.

use std::time::Duration;

use serde::Deserialize;

use super::script::Script;
use crate::base::manifest::{Digest, escape};
use crate::base::path::RootPath;
use crate::base::secret::Secret;
use crate::state::container::Container;
use crate::state::question::HostOnlyQuestion;

/// Exit status of a hook that timed out. No command has such a status.
pub const TIMED_OUT: i32 = -1;

/// Exit status of a command that Docker did not answer in time.
pub(super) const NO_ANSWER: i32 = 124;

/// Where the command of a hook runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookContainer {
    /// In a container, through `docker compose`. If it makes the one-off container of this name and leaves it over, that
    /// is removed before the start and after a timeout.
    Compose(Option<String>),
    /// In none, but on the host. What it leaves in its session ends with it.
    None,
}

/// One command to the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Goes to the root to look only; takes no lock and makes nothing.
    OpenToRead {
        /// The root, absolute.
        root: String,
    },
    /// Goes to the root, makes it if need be, and takes the lock.
    OpenToWrite {
        /// The root, absolute.
        root: String,
        /// Longest wait for the lock, in seconds.
        wait_secs: u64,
        /// Description of the new holder of the lock, one line of JSON.
        holder: String,
    },
    /// Reports the state, the manifests that differ from these digests, the files that deviate from the
    /// manifests, what [`Command::HostOnly`] reports, and perhaps the containers.
    Facts {
        /// Whether the containers of every project are listed, too.
        containers: bool,
        /// The wanted manifest of each unit.
        wants: Vec<Want>,
        /// What is asked about what only the host has.
        question: HostOnlyQuestion,
    },
    /// Reports the recorded manifest of a unit.
    Manifest {
        /// The unit.
        unit: String,
        /// The checks of the wanted one, if only what differs is to be reported (see `comparison`); else empty.
        checks: String,
    },
    /// Reports what lies at these paths, with digests or (`hash: false`) without.
    Probe {
        /// Whether files are hashed, and links on the way to them are not followed.
        hash: bool,
        /// The units that the paths are of, if files are hashed.
        units: Vec<String>,
        /// Below the root, absolute, or with a leading `~/`.
        paths: Vec<String>,
    },
    /// Reports what Compose reads beside managed files.
    HostOnly(HostOnlyQuestion),
    /// Prints for each of these absolute paths the folder that it leads to once links are followed; `-`:
    /// there is none, `+`: the user of the connection cannot tell.
    Folders(Vec<String>),
    /// Makes those of these folders that are missing, as far as the user of the connection may.
    MakeFolders(Vec<RootPath>),
    /// Takes a gzipped tar as the new stage. It follows in pieces; see [`size_of_piece`] and [`END_OF_PIECES`].
    Stage {
        /// `few` or `many` files.
        files: &'static str,
    },
    /// Checks that the files of a unit have arrived in the stage as they were sent, and builds the folder in
    /// which Compose can check the unit as it will be.
    Candidate(String),
    /// Checks that the files of a unit have arrived, swaps them in and records the manifest.
    Swap(String),
    /// Undoes the swap of a unit, also half of one.
    Restore(String),
    /// Brings back the last version of a unit that was well, instead of the one before its swap.
    RestoreWell(String),
    /// Replaces the state, one line of JSON.
    State(String),
    /// Appends to the history, one line of JSON.
    History(String),
    /// Notes the run that is under way, one line of JSON, or, if that is empty, that it has ended.
    Note(String),
    /// Runs `docker compose` in a project's live folder and then, if it has succeeded, reports the containers as
    /// [`Command::Containers`] does; or none of them if Docker does not answer.
    Act {
        /// The folder below the root.
        dir: String,
        /// Ids of the containers that are reported; none: every container of every project.
        ids: Vec<String>,
        /// The arguments after `docker compose`.
        argv: Vec<String>,
    },
    /// Runs `docker compose` in a project's folder.
    Compose {
        /// The folder below the root.
        dir: String,
        /// Which version of that folder.
        folder: ComposeFolder,
        /// The arguments after `docker compose`.
        argv: Vec<String>,
    },
    /// Reports which external networks and volumes of a project do not exist. Their names stay on the host.
    Externals {
        /// The folder below the root.
        dir: String,
        /// Where its definition is.
        folder: ComposeFolder,
        /// Those that are asked for, as `network/KEY` or `volume/KEY`.
        asked: Vec<String>,
        /// Those that this run makes before, as `network/NAME` or `volume/NAME`.
        made: Vec<String>,
    },
    /// Runs `docker compose`, or a command on the host, in a project's live folder with a time limit, after which it
    /// ends with [`TIMED_OUT`].
    Hook {
        /// The folder below the root.
        dir: String,
        /// The limit, in seconds.
        timeout_secs: u64,
        /// Where the command runs.
        container: HookContainer,
        /// The arguments after `docker compose`, or the command.
        argv: Vec<String>,
    },
    /// Runs `docker`.
    Docker(Vec<String>),
    /// Pulls an image with a login that the host has for this one command.
    Pull {
        /// The reference of the image.
        image: String,
        /// Its platform, if it is not the host's.
        platform: Option<String>,
        /// A `config.json` of Docker that names the credential helper `ghdeploy`, in one line.
        config: String,
        /// What the helper answers, in one line.
        answer: Secret,
    },
    /// Stops and removes the containers of a service; keeps its volumes.
    Remove {
        /// Compose's project name.
        project: String,
        /// The service.
        service: String,
    },
    /// Reports every container of every project.
    Containers,
    /// Reports the containers with these ids, as far as they are still there.
    ContainersOf(Vec<String>),
    /// Shows that the client is still there.
    Heartbeat,
    /// Reports how much room there is below the root, in KiB, and the nearest folder of it that exists; or what
    /// keeps the user from writing there.
    Room,
    /// Runs a script that few runs need, so that the driver itself does not have it. Needs no root.
    Script(Script),
    /// Prints the names of the entries of a folder below the root, one per line.
    List(RootPath),
    /// Stages the files of a unit out of the host's objects.
    StageKept(String),
    /// Keeps what is recorded now under this number, so that a rollback can return to it.
    Release {
        /// The number.
        number: u64,
        /// The images of the containers.
        images: ReleaseImages,
    },
    /// Reports every release that was made, and which of them are kept.
    Releases,
    /// Reports the images that ran when the kept releases were made.
    Images,
    /// Reports the state and the manifests of a kept release.
    Snapshot(u64),
    /// Reports the state of a kept release.
    SnapshotState(u64),
    /// Reports the content of files, each as [`DriverEvent::Content`], in this order.
    Content {
        /// Size above which a file is not read, in bytes.
        max_bytes: u64,
        /// The digest of the content, or `None` for what lies at the path now, and the path below the root.
        wants: Vec<(Option<Digest>, RootPath)>,
    },
    /// Clears the stage, removes what only releases before the last `keep` need, and notes how the managed
    /// files look now, so that the next run can prove that nothing has drifted.
    Finish {
        /// Number of releases that stay.
        keep: u32,
        /// Releases that stay, however old they are.
        stay: Vec<u64>,
    },
}

/// Images that the containers have when a release is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseImages {
    /// Known by the client: for each container `ID PROJECT SERVICE NAME`.
    Known(Vec<String>),
    /// Listed by the driver.
    Listed,
    /// Listed by the driver at [`Command::Finish`], after its answer.
    ListedLater,
}

/// The files that `docker compose` works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ComposeFolder {
    /// The live ones.
    Live,
    /// Those that a unit will have after its swap.
    Candidate {
        /// The unit.
        unit: String,
    },
}

impl ComposeFolder {
    /// Its words in a command of the driver.
    fn words(&self) -> (&str, &str) {
        match self {
            Self::Live => ("live", "-"),
            Self::Candidate { unit } => ("candidate", unit),
        }
    }
}

/// How long the answer to a command may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Longest time without any sign of the driver.
    pub(super) silence: Duration,
    /// Longest time until the command is done.
    pub(super) total: Duration,
    /// Most that the answer may have, in bytes, without the output of tools.
    pub(super) bytes: u64,
}

/// Most that answers a command, in bytes. 100,000 files make 20 MiB.
const MAX_ANSWER: u64 = 64 << 20;

/// Longest silence while the driver itself is at a step: it answers no heartbeat then. Copying or hashing many
/// GB on a slow disk takes minutes.
const STEP_SILENCE: Duration = Duration::from_secs(600);

/// Longest silence while only jobs are under way: the driver answers heartbeats beside them, every ten seconds.
const JOB_SILENCE: Duration = Duration::from_secs(120);

/// Longest time for a step of the driver.
const STEP_TOTAL: Duration = Duration::from_secs(3600);

/// Longest time for a job, such as a build or a pull of large images.
const JOB_TOTAL: Duration = Duration::from_secs(2 * 3600);

/// Longest time in which Docker Engine answers a question.
const DOCKER_TOTAL: Duration = Duration::from_secs(600);

/// Extra time for a command that waits, on top of the wait itself.
const MARGIN: Duration = Duration::from_secs(120);

impl Command {
    /// How long its answer may take.
    #[must_use]
    pub(super) fn limits(&self) -> Limits {
        let (silence, total) = match self {
            Self::OpenToRead { .. } => (MARGIN, MARGIN),
            Self::OpenToWrite { wait_secs, .. } => (MARGIN, Duration::from_secs(*wait_secs) + MARGIN),
            Self::Act { .. }
            | Self::Compose { .. }
            | Self::Externals { .. }
            | Self::Pull { .. }
            | Self::Remove { .. } => (JOB_SILENCE, JOB_TOTAL),
            Self::Hook { timeout_secs, .. } => (JOB_SILENCE, Duration::from_secs(*timeout_secs) + MARGIN),
            // Without the lock it is no job: the driver waits for it.
            Self::Docker(_) => (DOCKER_TOTAL, JOB_TOTAL),
            Self::Containers | Self::ContainersOf(_) => (DOCKER_TOTAL, DOCKER_TOTAL),
            Self::Heartbeat => (MARGIN, MARGIN),
            // Each piece that the host takes is a sign of life.
            Self::Stage { .. } => (STEP_SILENCE, JOB_TOTAL),
            _ => (STEP_SILENCE, STEP_TOTAL),
        };
        let bytes = match self {
            // In hex.
            Self::Content { max_bytes, wants } => {
                max_bytes.saturating_mul(2 * wants.len() as u64).saturating_add(MAX_ANSWER)
            }
            _ => MAX_ANSWER,
        };
        Limits { silence, total, bytes }
    }

    /// What is waited for, for messages. It holds no argument that may be private.
    #[must_use]
    pub(super) fn title(&self) -> String {
        // Options come before and after the name of a subcommand, as in `--ansi never up`.
        let verb = |argv: &[String]| {
            let mut words = argv.iter().map(String::as_str);
            loop {
                match words.next() {
                    Some("--ansi" | "--progress" | "--profile" | "--file" | "--env-file" | "-p" | "-f") => {
                        words.next();
                    }
                    Some(word) if word.starts_with('-') => {}
                    word => return word.unwrap_or_default().to_owned(),
                }
            }
        };
        match self {
            Self::OpenToRead { .. } | Self::Room => "a look at the root".to_owned(),
            Self::OpenToWrite { .. } => "the lock".to_owned(),
            Self::Facts { .. } | Self::Manifest { .. } => "what is deployed".to_owned(),
            Self::Probe { .. } | Self::List(_) | Self::Content { .. } => "a look at files".to_owned(),
            Self::Stage { .. } | Self::StageKept(_) => "the upload".to_owned(),
            Self::Candidate(unit) => format!("the check of {unit}"),
            Self::Swap(unit) => format!("the files of {unit}"),
            Self::Restore(unit) | Self::RestoreWell(unit) => format!("the rollback of the files of {unit}"),
            Self::State(_) | Self::History(_) | Self::Note(_) | Self::Release { .. } => {
                "the records".to_owned()
            }
            Self::Releases | Self::Images | Self::Snapshot(_) | Self::SnapshotState(_) => {
                "the releases".to_owned()
            }
            Self::Act { dir, argv, .. } | Self::Compose { dir, argv, .. } => {
                format!("`docker compose {}` in {dir}", verb(argv))
            }
            Self::Hook { dir, .. } => format!("a hook of {dir}"),
            Self::Docker(argv) => format!("`docker {}`", verb(argv)),
            Self::Pull { .. } => "`docker pull`".to_owned(),
            Self::Remove { project, service } => format!("the removal of {project}/{service}"),
            Self::Containers | Self::ContainersOf(_) => "the list of containers".to_owned(),
            Self::MakeFolders(_) => "the folders that are mounted".to_owned(),
            Self::HostOnly(_) => "a look at what only the host has".to_owned(),
            Self::Finish { .. } => "the end of the run".to_owned(),
            _ => "an answer".to_owned(),
        }
    }

    /// Returns the text for the driver's stdin: one line. For some commands more data follows, and the line
    /// ends with its size in bytes.
    #[must_use]
    pub fn bytes(&self, id: u64) -> Vec<u8> {
        self.text(format!("{id} "))
    }

    /// The same for a command that is carried out only if the one before it has succeeded. Before it comes a step of
    /// the driver, not a job.
    #[must_use]
    pub fn bytes_after(&self, id: u64) -> Vec<u8> {
        self.text(format!("{id} +"))
    }

    fn text(&self, mut text: String) -> Vec<u8> {
        let mut data = None;
        match self {
            Self::OpenToRead { root } => push(&mut text, ["open", "read", "0", "-", root]),
            Self::Room => text.push_str("room"),
            Self::Script(script) => {
                text.push_str("script");
                data = Some(script.text());
            }
            Self::OpenToWrite { root, wait_secs, holder } => {
                push(&mut text, ["open", "write", &wait_secs.to_string(), holder, root]);
            }
            Self::Facts { containers, wants, question } => {
                push(&mut text, ["facts", if *containers { "containers" } else { "files" }]);
                let wants = wants.iter().map(|Want { unit, digest, is_long }| {
                    format!("{unit} {}{}\n", digest.as_str(), if *is_long { " long" } else { "" })
                });
                let (wants, asked) =
                    (with_end(wants.collect()), with_end(question_lines(question).collect()));
                return format!("{text} {} {}\n{wants}{asked}", wants.len(), asked.len()).into_bytes();
            }
            Self::Manifest { unit, checks } => {
                push(&mut text, ["manifest", unit]);
                data = Some(checks.clone());
            }
            Self::Probe { hash, units, paths } => {
                push(&mut text, ["probe", if *hash { "hash" } else { "type" }]);
                let units = units.iter().map(|unit| format!("u {unit}\n"));
                data = Some(units.chain(paths.iter().map(|path| path_line(path) + "\n")).collect::<String>());
            }
            Self::HostOnly(question) => {
                text.push_str("host_only");
                data = Some(question_lines(question).collect());
            }
            Self::Folders(paths) => {
                text.push_str("folders");
                data = Some(paths.iter().map(|path| path_line(path) + "\n").collect::<String>());
            }
            Self::MakeFolders(paths) => {
                text.push_str("make_folders");
                data = Some(paths.iter().map(|path| path_line(path.as_str()) + "\n").collect::<String>());
            }
            Self::Stage { files } => push(&mut text, ["stage", files]),
            Self::Candidate(unit) => push(&mut text, ["candidate", unit]),
            Self::Swap(unit) => push(&mut text, ["swap", unit]),
            Self::Restore(unit) => push(&mut text, ["restore", unit]),
            Self::RestoreWell(unit) => push(&mut text, ["restore", unit, "well-"]),
            Self::Note(json) => {
                text.push_str("note");
                data = Some(format!("{json}\n"));
            }
            Self::State(json) => {
                text.push_str("state");
                data = Some(format!("{json}\n"));
            }
            Self::History(json) => {
                text.push_str("history");
                data = Some(format!("{json}\n"));
            }
            Self::Act { dir, ids, argv } => {
                let ids = if ids.is_empty() { "-".to_owned() } else { ids.join(" ") };
                push(&mut text, ["act", dir, &ids].into_iter().chain(argv.iter().map(String::as_str)));
            }
            Self::Compose { dir, folder, argv } => {
                let (folder, unit) = folder.words();
                let words = ["compose", dir, folder, unit].into_iter();
                push(&mut text, words.chain(argv.iter().map(String::as_str)));
            }
            Self::Externals { dir, folder, asked, made } => {
                let (folder, unit) = folder.words();
                let words = ["externals", dir, folder, unit].into_iter();
                let lists =
                    asked.iter().map(String::as_str).chain(["-"]).chain(made.iter().map(String::as_str));
                push(&mut text, words.chain(lists));
            }
            Self::Hook { dir, timeout_secs, container, argv } => {
                let secs = timeout_secs.to_string();
                let (container, options): (&str, &[&str]) = match container {
                    HookContainer::Compose(container) => {
                        (container.as_deref().unwrap_or("-"), &["--ansi", "never"])
                    }
                    HookContainer::None => ("@", &[]),
                };
                let words = ["hook", dir, &secs, container].into_iter().chain(options.iter().copied());
                push(&mut text, words.chain(argv.iter().map(String::as_str)));
            }
            Self::Docker(argv) => {
                push(&mut text, std::iter::once("docker").chain(argv.iter().map(String::as_str)));
            }
            Self::Pull { image, platform, config, answer } => {
                push(&mut text, ["pull", image, platform.as_deref().unwrap_or("-")]);
                data = Some(format!("{config}\n{}\n", answer.reveal()));
            }
            Self::Remove { project, service } => push(&mut text, ["remove", project, service]),
            Self::Containers => text.push_str("containers"),
            Self::ContainersOf(ids) => {
                push(&mut text, std::iter::once("containers").chain(ids.iter().map(String::as_str)));
            }
            Self::Heartbeat => text.push_str("heartbeat"),
            Self::List(dir) => push(&mut text, ["list", if dir.is_root() { "." } else { dir.as_str() }]),
            Self::StageKept(unit) => push(&mut text, ["stage_kept", unit]),
            Self::Release { number, images } => {
                push(&mut text, ["release", &number.to_string()]);
                data = Some(match images {
                    ReleaseImages::Known(lines) => lines.iter().map(|line| format!("{line}\n")).collect(),
                    ReleaseImages::Listed => String::new(),
                    ReleaseImages::ListedLater => "later\n".to_owned(),
                });
            }
            Self::Releases => text.push_str("releases"),
            Self::Images => text.push_str("images"),
            Self::Snapshot(number) => push(&mut text, ["snapshot", &number.to_string(), "all"]),
            Self::SnapshotState(number) => push(&mut text, ["snapshot", &number.to_string(), "state"]),
            Self::Content { max_bytes, wants } => {
                push(&mut text, ["content", &max_bytes.to_string()]);
                let line = |(digest, path): &(Option<Digest>, RootPath)| {
                    let digest = digest.as_ref().map_or("-", Digest::as_str);
                    format!("{digest} {}\n", path_line(path.as_str()))
                };
                data = Some(wants.iter().map(line).collect());
            }
            Self::Finish { keep, stay } => {
                let words: Vec<String> = stay.iter().map(u64::to_string).collect();
                push(
                    &mut text,
                    ["finish", &keep.to_string()].into_iter().chain(words.iter().map(String::as_str)),
                );
            }
        }
        if let Some(data) = data {
            let data = with_end(data);
            return format!("{text} {}\n{data}", data.len()).into_bytes();
        }
        text.push('\n');
        text.into_bytes()
    }
}

/// Data that follows a command, with the line that ends it.
fn with_end(data: String) -> String {
    data + "end\n"
}

/// The lines that ask about what only a host has.
fn question_lines(question: &HostOnlyQuestion) -> impl Iterator<Item = String> {
    let folder = |(dir, names): (&RootPath, &Vec<usize>)| {
        let names: String = names.iter().map(ToString::to_string).collect();
        format!("c{names} {}\n", path_line(dir.as_str()))
    };
    let env_file = |(path, has_settings): (&String, &bool)| {
        format!("{} {}\n", if *has_settings { "s" } else { "d" }, path_line(path))
    };
    let variables = question.variables.iter().map(|name| format!("n {}\n", path_line(name)));
    variables.chain(question.folders.iter().map(folder)).chain(question.env_files.iter().map(env_file))
}

fn push<'a>(text: &mut String, words: impl IntoIterator<Item = &'a str>) {
    for (number, word) in words.into_iter().enumerate() {
        if number > 0 {
            text.push(' ');
        }
        // Blanks separate words. An empty word would vanish: `\0000` stands for it, which the
        // driver's command substitution drops.
        match escape(word).unwrap_or_else(|| word.to_owned()) {
            word if word.is_empty() => text.push_str("\\c"),
            word => text.push_str(&word.replace(' ', "\\0040")),
        }
    }
}

/// The line before a piece of the data that follows a command: its size. An empty piece shows that the client is
/// still there.
#[must_use]
pub(super) fn size_of_piece(bytes: &[u8]) -> Vec<u8> {
    format!("{}\n", bytes.len()).into_bytes()
}

/// Follows the last piece.
pub(super) const END_OF_PIECES: &[u8] = b"end\n";

/// A path on a line of its own: `p PATH`, or `P PATH` with escapes.
#[must_use]
pub(crate) fn path_line(path: &str) -> String {
    match escape(path) {
        Some(escaped) => format!("P {escaped}"),
        None => format!("p {path}"),
    }
}

/// A wanted manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// Its unit.
    pub unit: String,
    /// The digest of its text form.
    pub digest: Digest,
    /// Whether it is compared if another one is recorded, which is not reported then.
    pub is_long: bool,
}

/// One event from the driver.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum DriverEvent {
    /// The command is done.
    Done {
        /// Its exit status.
        rc: i32,
    },
    /// The command has failed for a foreseen reason.
    Failure {
        /// The reason.
        kind: FailureKind,
    },
    /// A line that a tool has printed.
    Output {
        /// The line.
        text: String,
    },
    /// Another run holds the lock.
    Busy {
        /// Its description of itself.
        holder: serde_json::Value,
    },
    /// The driver is still waiting for the lock.
    Waiting,
    /// The recorded state.
    State {
        /// The content of `state.json`.
        state: serde_json::Value,
    },
    /// The note of a run that has the lock or was cut off.
    Note {
        /// The content of `run.json`.
        text: String,
    },
    /// The manifest of this unit is the wanted one.
    Same {
        /// The unit.
        unit: String,
    },
    /// The manifest of this unit is another one than the wanted one, and is not reported because that is long.
    Differs {
        /// The unit.
        unit: String,
        /// The digest of the recorded manifest.
        digest: String,
    },
    /// The manifest of this unit follows, entry by entry.
    Manifest {
        /// The unit.
        unit: String,
    },
    /// A pending manifest follows: a run was interrupted while it swapped this unit in.
    Pending {
        /// The unit.
        unit: String,
    },
    /// One line of the manifest that was named last.
    Entry {
        /// In the text form of manifests.
        text: String,
    },
    /// The file or whatever else lies at a path that deviates or was asked for.
    Found {
        /// In the text form of manifests, with more kinds than `f` and `l`.
        text: String,
    },
    /// A compose file of a default name that the tree lacks.
    #[serde(rename = "compose")]
    ComposeFile {
        /// As in [`DriverEvent::Found`].
        text: String,
    },
    /// A container as `docker ps` lists it.
    #[serde(alias = "other")]
    Listed {
        /// The text form that [`read_listed`](crate::state::container::read_listed) reads.
        text: String,
    },
    /// More about a container that was listed before.
    Inspected {
        /// The text form that [`read_inspected`](crate::state::container::read_inspected) reads.
        text: String,
    },
    /// The list of containers has ended.
    Docker {
        /// The exit status of `docker ps`; [`NO_ANSWER`] if it did not answer in time.
        rc: i32,
    },
    /// A line of the answer about what only the host has.
    Env {
        /// As `driver/host_only.sh` describes it.
        text: String,
    },
    /// A link is on the way to managed files, or to paths that were asked for.
    Link {
        /// Its path below the root as a path line, a tab, and its target.
        text: String,
    },
    /// A line of the history.
    History {
        /// The line, which may be cut off.
        text: String,
    },
    /// A kept release.
    Kept {
        /// Its number.
        text: String,
    },
    /// An image that a service ran when a release was made.
    Image {
        /// Its id, the project, the service and the name of the image, separated by blanks.
        text: String,
    },
    /// The content of one of the files that were asked for.
    Content {
        /// Its bytes in hex; `-`: the host does not have it, `+`: it is too large, `!`: only its owner may read
        /// it.
        hex: String,
    },
    /// A container.
    Container {
        /// The container.
        container: Box<Container>,
    },
}

/// The foreseen reasons for which a command fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureKind {
    /// The host lacks tools.
    Tools,
    /// The root or the records cannot be read or written.
    Write,
    /// Something of the records has become something else.
    Records,
    /// Another run holds the lock.
    Busy,
    /// The driver does not know the command.
    Command,
    /// The client did not understand an event of the driver. The driver never sends this.
    #[serde(skip)]
    Unreadable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_blanks_and_escapes_stay_one_word() {
        let command = Command::Compose {
            dir: "my blog".into(),
            folder: ComposeFolder::Live,
            argv: vec!["exec".into(), String::new(), "a\nb\\c".into(), "-x".into()],
        };
        assert_eq!(command.bytes(7), b"7 compose my\\0040blog live - exec \\c a\\0012b\\\\c -x\n");
    }

    #[test]
    fn a_title_holds_no_arguments() {
        let argv = ["--ansi", "never", "exec", "-T", "web", "login", "hunter2"];
        let argv = argv.iter().map(ToString::to_string).collect();
        let command = Command::Compose { dir: "blog".into(), folder: ComposeFolder::Live, argv };
        assert_eq!(command.title(), "`docker compose exec` in blog");
    }

    #[test]
    fn a_login_is_in_the_data_and_nowhere_else() {
        let command = Command::Pull {
            image: "ghcr.io/ann/app:1".into(),
            platform: None,
            config: "{}".into(),
            answer: Secret::new("hunter2"),
        };
        assert_eq!(command.bytes(3), b"3 pull ghcr.io/ann/app:1 - 15\n{}\nhunter2\nend\n");
        assert!(!format!("{command:?} {}", command.title()).contains("hunter2"));
    }

    #[test]
    fn long_data_ends_with_end() {
        let paths = vec!["a b".into(), "end".into(), "x\ny".into()];
        let command = Command::Probe { hash: true, units: vec!["blog".into()], paths };
        assert_eq!(command.bytes(1), b"1 probe hash 33\nu blog\np a b\np end\nP x\\0012y\nend\n");
    }
}
