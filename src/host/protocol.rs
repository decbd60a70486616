//! The words that the client and the driver exchange. Values and their text, no effects.

use serde::Deserialize;

use crate::base::manifest::{Digest, escape};
use crate::base::path::RootPath;
use crate::state::container::Container;

/// What a hook ends with whose time was over. No command has such a status.
pub const LATE: i32 = -1;

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
        /// How long to wait for the lock, in seconds.
        wait_secs: u64,
        /// Who holds the lock from now on, as one line of JSON.
        holder: String,
    },
    /// The state, the manifests that differ from these digests, and what deviates from them.
    Facts {
        /// Unit and digest of its wanted manifest.
        wants: Vec<(String, String)>,
    },
    /// What lies at these paths, with digests or (`hash: false`) without.
    Probe {
        /// Whether files are hashed.
        hash: bool,
        /// Below the root, absolute, or with a leading `~/`.
        paths: Vec<String>,
    },
    /// Takes a gzipped tar as the new stage.
    Stage(Vec<u8>),
    /// Takes a gzipped tar, up to the end of stdin, as the new stage below a root, and ends.
    Receive {
        /// The root, absolute.
        root: String,
        /// `few` or `many` files.
        files: &'static str,
    },
    /// Checks that the files of a unit have arrived in the stage as they were sent, and builds the
    /// folder in which Compose can check what the unit will be.
    Candidate(String),
    /// Checks that the files of a unit have arrived, swaps them in and records the manifest.
    Swap(String),
    /// Undoes the swap of a unit, also half of one.
    Restore(String),
    /// Replaces the state, one line of JSON.
    State(String),
    /// Appends to the history, one line of JSON.
    History(String),
    /// Runs `docker compose` in a project's folder.
    Compose {
        /// The folder below the root.
        dir: String,
        /// In the live folder or among a unit's staged files.
        place: Place,
        /// The arguments after `docker compose`.
        argv: Vec<String>,
    },
    /// Runs `docker compose` in a project's live folder, for so long and no longer: then it ends with [`LATE`].
    Hook {
        /// The folder below the root.
        dir: String,
        /// How long it may take, in seconds.
        timeout_secs: u64,
        /// The one-off container that it makes, which goes before it starts, if it is there, and when time is over.
        container: Option<String>,
        /// The arguments after `docker compose`.
        argv: Vec<String>,
    },
    /// Runs `docker`.
    Docker(Vec<String>),
    /// Stops and removes the containers of a service, volumes kept.
    Remove {
        /// Compose's project name.
        project: String,
        /// The service.
        service: String,
    },
    /// Tells every container of every project.
    Containers,
    /// Tells that the client is there.
    Beat,
    /// Tells whether the user may write below the root, and how much room there is.
    Writable {
        /// The root, absolute.
        root: String,
    },
    /// Tells what is in a folder below the root, one level deep, a line each.
    Left(RootPath),
    /// Stages the files of a unit out of what the host has kept.
    Fetch(String),
    /// Keeps what is recorded now under this number, for the way back to it.
    Release(u64),
    /// Tells every release that was made, and which of them are kept.
    Releases,
    /// The state and the manifests of a release that is kept.
    Snapshot(u64),
    /// The content of files, each as [`Event::Content`], in this order.
    Content {
        /// Larger files are not read, in bytes.
        max_bytes: u64,
        /// The digest of the content, or `None` for what lies there, and the path below the root.
        wants: Vec<(Option<Digest>, RootPath)>,
    },
    /// Clears the stage, what only releases before the last `keep` need, and notes what the host has now,
    /// so that the next run can prove drift.
    Finish {
        /// How many releases stay.
        keep: u32,
    },
}

/// Which files `docker compose` works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Those that are live.
    Live,
    /// Those that a unit would have after its swap.
    Candidate {
        /// The unit.
        unit: String,
    },
}

impl Command {
    /// What the driver gets on its stdin: one line, for some commands followed by more, of which it has
    /// the size in bytes.
    #[must_use]
    pub fn bytes(&self, id: u64) -> Vec<u8> {
        let mut text = format!("{id} ");
        let mut behind = None;
        match self {
            Self::OpenToRead { root } => push(&mut text, ["open", "read", "0", "-", root]),
            Self::OpenToWrite { root, wait_secs, holder } => {
                push(&mut text, ["open", "write", &wait_secs.to_string(), holder, root]);
            }
            Self::Facts { wants } => {
                text.push_str("facts");
                behind = Some(wants.iter().map(|(unit, digest)| format!("{unit} {digest}\n")).collect());
            }
            Self::Probe { hash, paths } => {
                push(&mut text, ["probe", if *hash { "hash" } else { "type" }]);
                behind = Some(paths.iter().map(|path| path_line(path) + "\n").collect::<String>());
            }
            Self::Stage(tar) => {
                let mut bytes = format!("{text}stage {}\n", tar.len()).into_bytes();
                bytes.extend_from_slice(tar);
                return bytes;
            }
            Self::Receive { root, files } => push(&mut text, ["receive", root, files]),
            Self::Candidate(unit) => push(&mut text, ["candidate", unit]),
            Self::Swap(unit) => push(&mut text, ["swap", unit]),
            Self::Restore(unit) => push(&mut text, ["restore", unit]),
            Self::State(json) => {
                text.push_str("state");
                behind = Some(format!("{json}\n"));
            }
            Self::History(json) => {
                text.push_str("history");
                behind = Some(format!("{json}\n"));
            }
            Self::Compose { dir, place, argv } => {
                let (place, unit) = match place {
                    Place::Live => ("live", "-"),
                    Place::Candidate { unit } => ("candidate", unit.as_str()),
                };
                push(
                    &mut text,
                    ["compose", dir, place, unit].into_iter().chain(argv.iter().map(String::as_str)),
                );
            }
            Self::Hook { dir, timeout_secs, container, argv } => {
                let (secs, container) = (timeout_secs.to_string(), container.as_deref().unwrap_or("-"));
                let words = ["hook", dir, &secs, container, "--ansi", "never"];
                push(&mut text, words.into_iter().chain(argv.iter().map(String::as_str)));
            }
            Self::Docker(argv) => {
                push(&mut text, std::iter::once("docker").chain(argv.iter().map(String::as_str)));
            }
            Self::Remove { project, service } => push(&mut text, ["remove", project, service]),
            Self::Containers => text.push_str("containers"),
            Self::Beat => text.push_str("beat"),
            Self::Writable { root } => push(&mut text, ["writable", root]),
            Self::Left(dir) => push(&mut text, ["left", dir.as_str()]),
            Self::Fetch(unit) => push(&mut text, ["fetch", unit]),
            Self::Release(number) => push(&mut text, ["release", &number.to_string()]),
            Self::Releases => text.push_str("releases"),
            Self::Snapshot(number) => push(&mut text, ["snapshot", &number.to_string()]),
            Self::Content { max_bytes, wants } => {
                push(&mut text, ["content", &max_bytes.to_string()]);
                let line = |(digest, path): &(Option<Digest>, RootPath)| {
                    let digest = digest.as_ref().map_or("-", Digest::as_str);
                    format!("{digest} {}\n", path_line(path.as_str()))
                };
                behind = Some(wants.iter().map(line).collect());
            }
            Self::Finish { keep } => push(&mut text, ["finish", &keep.to_string()]),
        }
        if let Some(behind) = behind {
            let behind = behind + "end\n";
            return format!("{text} {}\n{behind}", behind.len()).into_bytes();
        }
        text.push('\n');
        text.into_bytes()
    }
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

/// A path on a line of its own: `p PATH`, or `P PATH` with escapes.
#[must_use]
pub(crate) fn path_line(path: &str) -> String {
    match escape(path) {
        Some(escaped) => format!("P {escaped}"),
        None => format!("p {path}"),
    }
}

/// One event from the driver.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// A command is through.
    Done {
        /// Its exit status.
        rc: i32,
    },
    /// Something foreseen is wrong with the host.
    Trouble {
        /// Which: `tools`, `write`, `busy`, `command`.
        what: String,
    },
    /// A line that a tool printed.
    Out {
        /// The line.
        text: String,
    },
    /// The lock is held by another run.
    Busy {
        /// What that run says of itself.
        holder: serde_json::Value,
    },
    /// The lock is still waited for.
    Tick,
    /// What is deployed.
    State {
        /// The content of `state.json`.
        state: serde_json::Value,
    },
    /// The manifest of this unit is the wanted one.
    Same {
        /// The unit.
        unit: String,
    },
    /// The manifest of this unit follows, entry by entry.
    Manifest {
        /// The unit.
        unit: String,
    },
    /// A manifest follows that was being swapped in when a run was cut off.
    Pending {
        /// The unit.
        unit: String,
    },
    /// One line of the manifest that was announced last.
    Entry {
        /// In the text form of manifests.
        text: String,
    },
    /// What lies at a path that deviates or was asked for.
    Found {
        /// In the text form of manifests, with more kinds than `f` and `l`.
        text: String,
    },
    /// A line of the history.
    Record {
        /// The line, which may have been cut off.
        text: String,
    },
    /// A release that is kept.
    Kept {
        /// Its number.
        text: String,
    },
    /// Which image a service ran when a release was made: its id, the project, the service, its name.
    Image {
        /// Those four, with a blank between them.
        text: String,
    },
    /// The content of one of the files that were asked for.
    Content {
        /// Its bytes; `-`: the host does not have it, `+`: it is too large.
        hex: String,
    },
    /// A container.
    Container {
        /// The container.
        container: Box<Container>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_blanks_and_escapes_stay_one_word() {
        let command = Command::Compose {
            dir: "my blog".into(),
            place: Place::Live,
            argv: vec!["exec".into(), String::new(), "a\nb\\c".into(), "-x".into()],
        };
        assert_eq!(command.bytes(7), b"7 compose my\\0040blog live - exec \\c a\\0012b\\\\c -x\n");
    }

    #[test]
    fn what_comes_behind_ends_with_end() {
        let command = Command::Probe { hash: true, paths: vec!["a b".into(), "end".into(), "x\ny".into()] };
        assert_eq!(command.bytes(1), b"1 probe hash 26\np a b\np end\nP x\\0012y\nend\n");
    }
}
