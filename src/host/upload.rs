//! The upload: one compressed tar stream into the stage, over a second channel, or among the commands if it
//! is small.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::protocol::Command;
use super::transport::{Remote, Transport};
use super::{Driver, driver_text};
use crate::base::error::{Error, Exit};

/// Writer that sends to a channel in chunks.
struct Chunks {
    to: mpsc::Sender<Vec<u8>>,
    chunk: Vec<u8>,
}

/// 64 KiB: the capacity of a pipe on Linux, and so the most that one write takes.
const CHUNK_BYTES: usize = 64 * 1024;

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK_BYTES));
        self.to.blocking_send(chunk).map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }
}

/// Size up to which an upload goes over the control channel, because opening another one takes longer.
const SMALL_BYTES: u64 = 256 * 1024;

/// Number of files from which flushing the whole filesystem takes less time than flushing each file.
const MANY_FILES: usize = 1000;

/// The content of a new stage.
pub struct Upload<F> {
    /// Writes it as a tar stream.
    pub pack: F,
    /// Number of files.
    pub files: usize,
    /// Size of the content in bytes.
    pub bytes: u64,
}

impl<F> std::fmt::Debug for Upload<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload")
            .field("files", &self.files)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// Brings an upload into the stage below `root` and onto the disk. An old stage is removed. The driver must
/// hold the lock.
///
/// # Errors
///
/// When a local file cannot be read, the host's disk is full, or the connection is lost. No live file has
/// changed.
pub async fn upload<F>(
    driver: &Driver,
    transport: &dyn Transport,
    root: &str,
    upload: Upload<F>,
) -> Result<(), Error>
where
    F: FnOnce(&mut dyn Write) -> std::io::Result<()> + Send + 'static,
{
    if upload.bytes > SMALL_BYTES {
        return upload_over_second_channel(transport, root, upload).await;
    }
    let packed = tokio::task::spawn_blocking(move || {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        (upload.pack)(&mut gzip)?;
        gzip.finish()
    });
    let tar = packed.await.map_err(|error| not_packed(&error))?.map_err(|error| not_read(&error))?;
    let reply = driver.call(&Command::Stage(tar)).await?;
    if reply.is_ok() { Ok(()) } else { Err(interrupted(root, &reply.output, Ok(reply.rc))) }
}

/// Uploads over a second channel, in chunks.
async fn upload_over_second_channel<F>(
    transport: &dyn Transport,
    root: &str,
    upload: Upload<F>,
) -> Result<(), Error>
where
    F: FnOnce(&mut dyn Write) -> std::io::Result<()> + Send + 'static,
{
    let Upload { pack, files, .. } = upload;
    let Remote { mut stdin, stdout, stderr, exit } = transport.start().await?;
    let (to, mut chunks) = mpsc::channel(8);
    let packing = tokio::task::spawn_blocking(move || {
        let mut gzip =
            GzEncoder::new(Chunks { to, chunk: Vec::with_capacity(CHUNK_BYTES) }, Compression::fast());
        pack(&mut gzip)?;
        gzip.finish()?.flush()
    });
    let send = async {
        let files = if files < MANY_FILES { "few" } else { "many" };
        stdin.write_all(&driver_text()?).await?;
        stdin.write_all(&Command::Receive { root: root.to_owned(), files }.bytes(1)).await?;
        while let Some(chunk) = chunks.recv().await {
            stdin.write_all(&chunk).await?;
        }
        stdin.shutdown().await?;
        drop(stdin);
        std::io::Result::Ok(())
    };
    let (sent, _, stderr) = tokio::join!(send, read_to_end(stdout), read_to_end(stderr));
    // If the other side has exited early, this stops the packing.
    chunks.close();
    let packed = packing.await.map_err(|error| not_packed(&error))?;
    let status = exit.await;
    tracing::debug!(?status, files, "upload ended");
    if status == Ok(0) && sent.is_ok() {
        return packed.map_err(|error| not_read(&error));
    }
    match packed {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(not_read(&error)),
        _ => Err(interrupted(root, &stderr.lines().map(str::to_owned).collect::<Vec<_>>(), status)),
    }
}

fn not_packed(error: &tokio::task::JoinError) -> Error {
    Error::unforeseen(format!("failed to pack the upload: {error}"))
}

fn not_read(error: &std::io::Error) -> Error {
    Error::new(Exit::Unforeseen, format!("failed to read a file for the upload: {error}"))
}

/// Returns the error of an upload that did not complete, from the output and the exit status of the other
/// side.
fn interrupted(root: &str, output: &[String], status: Result<i32, String>) -> Error {
    let lines: Vec<&str> = output.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
    let is_full =
        |line: &&str| line.contains("No space left on device") || line.contains("Disk quota exceeded");
    if lines.iter().any(is_full) {
        return Error::new(Exit::Unreachable, "the host's disk is full").help(format!(
            "make room below {root}; `docker system df` shows the size of images and containers"
        ));
    }
    let error = Error::new(Exit::Unreachable, "the upload was interrupted");
    match (lines.first(), status) {
        (Some(line), _) => error.help(format!("the host reports: {line}")),
        (None, Err(reason)) => error.help(reason),
        (None, Ok(status)) => error.help(format!("tar on the host exited with status {status}")),
    }
}

async fn read_to_end(mut stream: Box<dyn tokio::io::AsyncRead + Send + Unpin>) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}
