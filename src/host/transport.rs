//! What any way to a host must offer: start a shell there and hold its ends.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::base::error::Error;

/// A started [`super::BOOTSTRAP`] with the ends of its streams.
pub struct Remote {
    /// What it reads.
    pub stdin: Box<dyn AsyncWrite + Send + Unpin>,
    /// What it prints.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// What it complains.
    pub stderr: Box<dyn AsyncRead + Send + Unpin>,
    /// Resolves to its exit status, or to words about why there is none.
    pub exit: Pin<Box<dyn Future<Output = Result<i32, String>> + Send>>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

/// The future of a [`Remote`].
pub type Starting<'a> = Pin<Box<dyn Future<Output = Result<Remote, Error>> + Send + 'a>>;

/// A way to run the driver on a host.
pub trait Transport: Send + Sync {
    /// Starts a shell on the host that reads the driver from stdin.
    ///
    /// The error says what to do about it; at this point nothing was changed on the host.
    fn start(&self) -> Starting<'_>;

    /// Ends the connection, after all that was started is done. Failures are of no interest: by now
    /// the work is done.
    fn close(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}
