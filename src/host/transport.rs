//! The interface of a connection to a host: it starts a shell there and holds the ends of its streams.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::base::error::Error;

/// A running [`super::BOOTSTRAP`] with the ends of its streams.
pub struct Remote {
    /// Its stdin.
    pub stdin: Box<dyn AsyncWrite + Send + Unpin>,
    /// Its stdout.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// Its stderr.
    pub stderr: Box<dyn AsyncRead + Send + Unpin>,
    /// Resolves to its exit status, or to the reason why there is none.
    pub exit: Pin<Box<dyn Future<Output = Result<i32, String>> + Send>>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

/// The future of a [`Remote`].
pub type Starting<'a> = Pin<Box<dyn Future<Output = Result<Remote, Error>> + Send + 'a>>;

/// A connection over which the driver runs on a host.
pub trait Transport: Send + Sync {
    /// Starts a shell on the host that reads the driver from stdin.
    ///
    /// An error says what to do about it. At this point nothing has changed on the host.
    fn start(&self) -> Starting<'_>;

    /// Closes the connection after everything that was started is done. Failures do not matter any more.
    fn close(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}
