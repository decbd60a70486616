//! Access to a host: the connection, and the driver that runs there.
//!
//! Owns the transports (SSH, local), the script of the driver, the handle to it and their protocol. Nothing
//! here decides what to do: it carries commands and brings back events.

mod comparison;
pub mod credentials;
mod driver;
pub mod engine;
pub mod facts;
mod key;
mod listener;
mod local;
pub mod mend;
mod protocol;
pub mod releases;
mod script;
mod ssh;
mod transport;
mod upload;

pub use driver::{Driver, Reply};
pub use listener::{Notices, chatter_in_words};
pub use local::Local;
pub(crate) use protocol::path_line;
pub use protocol::{
    Command, ComposeFolder, DriverEvent, FailureKind, HookContainer, ReleaseImages, TIMED_OUT,
};
pub use script::{BOOTSTRAP, DRIVER, Script, Start, driver_text};
pub use ssh::{Ssh, SshOptions, knows_alias};
pub use transport::{Remote, Starting, Transport};
pub use upload::{Upload, is_full, upload};
