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
mod script;
mod ssh;
mod transport;
mod upload;

pub use driver::{Driver, Reply};
pub use local::Local;
pub(crate) use protocol::path_line;
pub use protocol::{Command, ComposeFolder, DriverEvent, FailureKind, TIMED_OUT};
pub use script::{BOOTSTRAP, DRIVER, driver_text};
pub use ssh::{Ssh, SshOptions};
pub use transport::{Remote, Starting, Transport};
pub use upload::{Upload, upload};
