//! The way to a host and what can be asked of it.
//!
//! Owns the transports (ssh, local), the driver that runs on the host and the handle to it. Nothing
//! here decides what should be done: it carries commands and brings back events.

mod driver;
pub mod facts;
mod local;
mod protocol;
mod ssh;
mod transport;
mod upload;

pub use driver::{Driver, Reply};
pub use local::Local;
pub(crate) use protocol::path_line;
pub use protocol::{Command, Container, Event, Place};
pub use ssh::{Ssh, SshOptions};
pub use transport::{Remote, Starting, Transport};
pub use upload::upload;

/// The script that runs on the host; see its own opening comment.
pub const DRIVER: &str = include_str!("host/driver.sh");

/// What the shell on the host is given to execute: it reads the driver from the first line of its
/// stdin.
///
/// The login shell of the user may be fish or csh, which quote differently from `sh`; within single
/// quotes this text holds nothing that any of them would change, and no word that is too long for
/// csh. The driver itself would be both.
pub const BOOTSTRAP: &str = r#"IFS= read -r s; eval "$(printf %b "$s")""#;

/// [`DRIVER`] as the one line that [`BOOTSTRAP`] reads.
///
/// A shell reads a pipe byte by byte, which takes a millisecond for each KiB here: what is there for
/// readers only, comments and indentation, stays at home.
#[must_use]
pub fn driver_line() -> String {
    let mut line = String::with_capacity(DRIVER.len());
    for code in DRIVER.lines().map(str::trim_start).filter(|code| !code.is_empty() && !code.starts_with('#'))
    {
        line.push_str(&code.replace('\\', "\\\\"));
        line.push_str("\\n");
    }
    line.push('\n');
    line
}
