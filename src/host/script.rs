//! The script that runs on the host, in the form in which it is sent.
//!
//! Owns the order of its parts. What they do is written in `driver/*.sh`.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::config::docker::DockerAddress;

/// The driver: its parts, one after the other. `start.sh` describes it.
///
/// `start.sh` comes first, because it sets the shell up, and `main.sh` last, because it does not return. The
/// order of the others is that of reading. `tests/run.sh` reads the list from here.
pub const DRIVER: &str = concat!(
    include_str!("driver/start.sh"),
    include_str!("driver/events.sh"),
    include_str!("driver/lines.sh"),
    include_str!("driver/folders.sh"),
    include_str!("driver/lock.sh"),
    include_str!("driver/drift.sh"),
    include_str!("driver/facts.sh"),
    include_str!("driver/host_only.sh"),
    include_str!("driver/stage.sh"),
    include_str!("driver/swap.sh"),
    include_str!("driver/restore.sh"),
    include_str!("driver/releases.sh"),
    include_str!("driver/listing.sh"),
    include_str!("driver/docker.sh"),
    include_str!("driver/main.sh"),
);

/// Script beside the driver, which is sent when it is needed. It has the functions of the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Prints facts about the user, the tools of Docker and its engine, one per line: `KEY VALUE`.
    Examine,
    /// Prints how `docker` reaches its engine, one per line: `KEY VALUE`.
    Reach,
}

impl Script {
    /// Its lines, as they are sent.
    pub(super) fn text(self) -> String {
        let script = match self {
            Self::Examine => include_str!("scripts/examine.sh"),
            Self::Reach => include_str!("scripts/reach.sh"),
        };
        sent(script).flat_map(|line| [line, "\n"]).collect()
    }
}

/// What a driver is started with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Start<'a> {
    /// Whether Docker is asked for the containers before anything else, so that it works while the driver is unpacked
    /// and takes the lock.
    pub lists_containers: bool,
    /// The engine that `docker` talks to; `None`: the one that it talks to by itself.
    pub docker: Option<&'a DockerAddress>,
}

/// The part of the driver that lists containers.
const LISTING: &str = include_str!("driver/listing.sh");

/// Script that the shell on the host is given to execute: it reads a line of [`driver_text`] from its stdin, and
/// executes it.
///
/// The login shell of the user may be fish or csh, which quote differently from `sh`. Within single quotes
/// this text holds nothing that any of them would change, and no word that is too long for csh. The driver
/// itself would be both. A shell reads its stdin byte by byte, so the lines that it reads are short.
pub const BOOTSTRAP: &str =
    r#"while IFS= read -r n; do case $n in "ghdeploy "*) break ;; esac; done; n=${n#* }; eval "${n#* * }""#;

/// Empty lines before the driver. Login files that read a line or two of stdin get them instead of its start.
const SPARE_LINES: &str = "\n\n\n\n";

/// Returns [`DRIVER`] as [`BOOTSTRAP`] reads it: a line `ghdeploy SIZE MARK CODE`, and as many bytes of its code,
/// gzipped. The driver prints the mark when it starts: what comes before it on the stream was printed by the
/// login files. Comments and indentation are for readers only and are not sent.
///
/// If `CODE` lists the containers, the driver is a shell of its own, because a shell within a pipeline does not know
/// its process id, and has the list in its file descriptor 4.
///
/// # Errors
///
/// When compressing fails.
pub fn driver_text(mark: &str, start: Start<'_>) -> std::io::Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    for line in sent(DRIVER) {
        writeln!(gzip, "{line}")?;
    }
    let driver = gzip.finish()?;
    let size = driver.len();
    let unpack = format!(r#"eval "$(dd bs={size} count=1 iflag=fullblock status=none | gzip -dc)""#);
    let engine = start.docker.map(session_of).unwrap_or_default();
    let code = if start.lists_containers {
        format!(
            "{} exec 3<&0; list_containers 3<&- | sh -c '{unpack}' ghdeploy {mark} early 4<&0 <&3 3<&-",
            in_one_line(LISTING)
        )
    } else {
        format!("set -- {mark}; {unpack}")
    };
    let mut text = format!("{SPARE_LINES}ghdeploy {size} {mark} {engine}{code}\n").into_bytes();
    text.extend(driver);
    Ok(text)
}

/// Code that makes `docker` talk to an engine, whatever the session says of it.
fn session_of(docker: &DockerAddress) -> String {
    /// A socket has no TLS, and a context has settings of its own for it.
    const NO_TLS: &str = "unset DOCKER_TLS DOCKER_TLS_VERIFY DOCKER_CERT_PATH; ";
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    match docker {
        DockerAddress::Host(address) => {
            let tls = if address.starts_with("unix:") { NO_TLS } else { "" };
            format!("{tls}unset DOCKER_CONTEXT; export DOCKER_HOST={}; ", quoted(address))
        }
        DockerAddress::Context(name) => {
            format!("{NO_TLS}unset DOCKER_HOST; export DOCKER_CONTEXT={}; ", quoted(name))
        }
    }
}

/// The lines of a part that are sent.
fn sent(part: &str) -> impl Iterator<Item = &str> {
    part.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The same in one line, for a part in which no command goes on in the next line.
fn in_one_line(part: &str) -> String {
    let with_end = |line: &str| {
        let goes_on = line.ends_with('{') || line.ends_with(" do");
        format!("{line}{}", if goes_on { " " } else { "; " })
    };
    sent(part).map(with_end).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Upper bound of the text, in bytes. Every run sends it before the first answer, over a connection whose
    /// window is still small: TCP begins with ten segments of about 1,400 bytes and doubles them with each
    /// round trip (RFC 6928). 18 KiB arrive with the second flight, together with the first commands.
    const MAX_BYTES: usize = 18 * 1024;

    #[test]
    fn no_two_functions_share_a_name() {
        let mut names: Vec<&str> =
            DRIVER.lines().filter_map(|line| Some(line.split_once("() ")?.0)).collect();
        names.retain(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
        names.sort_unstable();
        assert!(names.len() > 50);
        let twice: Vec<&[&str]> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert_eq!(twice, [[""; 2]; 0]);
    }

    #[test]
    fn the_text_stays_small() {
        let start = Start { lists_containers: true, docker: None };
        let bytes = driver_text("ghdeploy-0123456789abcdef", start).unwrap().len();
        assert!(
            bytes <= MAX_BYTES,
            "{bytes} bytes: save some, or measure what more of them cost (bench/sync.py)"
        );
    }

    #[test]
    fn every_part_is_sent_and_opens_with_what_it_owns() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/host/driver");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(DRIVER.contains(&text), "{} is not in the list", path.display());
            assert!(
                text.starts_with("# shellcheck shell=sh\n# "),
                "{} has no opening comment",
                path.display()
            );
        }
    }

    #[test]
    fn no_line_is_longer_than_110_columns() {
        let long: Vec<&str> = DRIVER.lines().filter(|line| line.chars().count() > 110).collect();
        assert_eq!(long, [""; 0]);
    }
}
