//! The upload: one compressed tar stream into the stage, in pieces among the commands.
//!
//! It has no channel of its own: the process that unpacks it is a child of the driver, so it holds the lock,
//! and an upload whose client has gone ends with the driver's stdin.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::mpsc;

use super::protocol::Command;
use super::{Driver, Reply};
use crate::base::error::{Error, Exit};

/// Writer that sends to a channel in pieces.
struct Pieces {
    to: mpsc::Sender<Vec<u8>>,
    piece: Vec<u8>,
}

/// 512 KiB: the host starts a `dd` for each piece, and both sides hold some of them in memory.
const PIECE_BYTES: usize = 512 * 1024;

/// Number of pieces that may wait for a slow connection.
const WAITING_PIECES: usize = 2;

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let (bytes, _) = bytes.split_at(bytes.len().min(PIECE_BYTES - self.piece.len()));
        self.piece.extend_from_slice(bytes);
        if self.piece.len() == PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        if piece.is_empty() {
            return Ok(());
        }
        self.to.blocking_send(piece).map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }
}

/// Number of files from which flushing the whole filesystem takes less time than flushing each file.
const MANY_FILES: usize = 1000;

/// The content of a new stage.
pub struct Upload<F> {
    /// Writes it as a tar stream.
    pub pack: F,
    /// Number of files.
    pub files: usize,
}

impl<F> std::fmt::Debug for Upload<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload").field("files", &self.files).finish_non_exhaustive()
    }
}

/// Brings an upload into the stage below `root` and onto the disk. An old stage is removed. The driver must
/// hold the lock. Once that is done, steps of the driver follow at once, each if those before it have succeeded:
/// their replies are returned, up to the first that failed.
///
/// # Errors
///
/// When a local file cannot be read, the host's disk is full, or the connection is lost. Whether a step was carried
/// out is then unknown.
pub async fn upload<F>(
    driver: &Driver,
    root: &str,
    upload: Upload<F>,
    then: &[Command],
) -> Result<Vec<Reply>, Error>
where
    F: FnOnce(&mut dyn Write) -> std::io::Result<()> + Send + 'static,
{
    let Upload { pack, files } = upload;
    let (to, pieces) = mpsc::channel(WAITING_PIECES);
    let packing = tokio::task::spawn_blocking(move || {
        let mut gzip = GzEncoder::new(Pieces { to, piece: Vec::new() }, Compression::fast());
        // A stream that is cut off here is refused by the host.
        pack(&mut gzip)?;
        gzip.finish()?.flush()
    });
    let files = if files < MANY_FILES { "few" } else { "many" };
    let replies = driver.call_with_pieces(&Command::Stage { files }, pieces, then).await;
    // The pieces have ended, and with them the packing.
    let packed = packing.await.map_err(|error| not_packed(&error))?;
    match packed {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(not_read(&error)),
        _ => {}
    }
    let mut replies = replies?;
    let staged = replies.remove(0);
    if staged.is_ok() { Ok(replies) } else { Err(interrupted(root, &staged.output, staged.rc)) }
}

/// Error about a host that has no room for an upload.
#[must_use]
pub fn is_full(root: &str) -> Error {
    Error::new(Exit::Unreachable, "the host's disk is full")
        .help(format!("make room below {root}; `docker system df` shows the size of images and containers"))
}

fn not_packed(error: &tokio::task::JoinError) -> Error {
    Error::unforeseen(format!("failed to pack the upload: {error}"))
}

fn not_read(error: &std::io::Error) -> Error {
    Error::new(Exit::Unforeseen, format!("failed to read a file for the upload: {error}"))
}

/// Returns the error of an upload that did not complete, from the output and the status of the host's tools.
fn interrupted(root: &str, output: &[String], status: i32) -> Error {
    let lines: Vec<&str> = output.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
    let says_full =
        |line: &&str| line.contains("No space left on device") || line.contains("Disk quota exceeded");
    if lines.iter().any(says_full) {
        return is_full(root);
    }
    let error = Error::new(Exit::Unreachable, "the upload was interrupted");
    match lines.first() {
        Some(line) => error.help(format!("the host reports: {line}")),
        None => error.help(format!("tar on the host exited with status {status}")),
    }
}
