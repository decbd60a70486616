//! The way to a host and what can be asked of it.
//!
//! Owns the transports (ssh, local), the driver that runs on the host and the handle to it. Nothing
//! here decides what should be done: it carries commands and brings back events.

pub mod credentials;
mod driver;
pub mod facts;
mod key;
mod local;
mod protocol;
pub mod releases;
mod ssh;
mod transport;
mod upload;

pub use driver::{Driver, Reply};
pub use local::Local;
pub(crate) use protocol::path_line;
pub use protocol::{Command, Event, LATE, Place};
pub use ssh::{Ssh, SshOptions};
pub use transport::{Remote, Starting, Transport};
pub use upload::{Upload, upload};

/// The script that runs on the host; see its own opening comment.
pub const DRIVER: &str = include_str!("driver.sh");

/// What the shell on the host is given to execute: it reads the driver from its stdin, as [`driver_text`] has it.
///
/// The login shell of the user may be fish or csh, which quote differently from `sh`; within single
/// quotes this text holds nothing that any of them would change, and no word that is too long for
/// csh. The driver itself would be both. A shell reads its stdin byte by byte, so the one line that it
/// reads is short.
pub const BOOTSTRAP: &str = r#"IFS= read -r n; eval "$(dd bs=$n count=1 iflag=fullblock status=none)""#;

/// [`DRIVER`] as [`BOOTSTRAP`] reads it: its size in bytes, and its code. What is there for readers only,
/// comments and indentation, stays at home.
#[must_use]
pub fn driver_text() -> String {
    let lines = DRIVER.lines().map(str::trim_start);
    let code: String = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .flat_map(|line| [line, "\n"])
        .collect();
    format!("{}\n{code}", code.len())
}
