//! One compressed tar stream into the stage: over a second channel, or with the commands if it is small.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::protocol::Command;
use super::transport::{Remote, Transport};
use super::{Driver, driver_text};
use crate::base::error::{Error, Exit};

/// Hands what is written to it to the other side of a channel, a chunk at a time.
struct Chunks {
    to: mpsc::Sender<Vec<u8>>,
    chunk: Vec<u8>,
}

/// 64 KiB: what one write to a pipe takes at most.
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

/// How much content comes over the control channel: opening another one takes longer.
const SMALL_BYTES: u64 = 256 * 1024;

/// From how many files on it takes less time to bring the whole filesystem to the disk than each file.
const MANY_FILES: usize = 1000;

/// What goes into the stage.
pub struct Upload<F> {
    /// Writes it, a tar stream.
    pub pack: F,
    /// How many files it is.
    pub files: usize,
    /// How much content it is, in bytes.
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

/// Brings an upload into the stage below `root`, and onto the disk; an old stage is cleared. The driver
/// holds the lock there.
///
/// # Errors
///
/// When a local file cannot be read, the host's disk is full, or the connection is lost. Nothing
/// live was touched.
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
        return upload_beside(transport, root, upload).await;
    }
    let packed = tokio::task::spawn_blocking(move || {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        (upload.pack)(&mut gzip)?;
        gzip.finish()
    });
    let tar = packed.await.map_err(|error| not_packed(&error))?.map_err(|error| not_read(&error))?;
    let reply = driver.call(&Command::Stage(tar)).await?;
    if reply.is_ok() { Ok(()) } else { Err(broken_off(root, &reply.output, Ok(reply.rc))) }
}

/// The same over a channel of its own, in pieces.
async fn upload_beside<F>(transport: &dyn Transport, root: &str, upload: Upload<F>) -> Result<(), Error>
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
        stdin.write_all(driver_text().as_bytes()).await?;
        stdin.write_all(&Command::Receive { root: root.to_owned(), files }.bytes(1)).await?;
        while let Some(chunk) = chunks.recv().await {
            stdin.write_all(&chunk).await?;
        }
        stdin.shutdown().await?;
        drop(stdin);
        std::io::Result::Ok(())
    };
    let (sent, _, words) = tokio::join!(send, drain(stdout), drain(stderr));
    // An early end of the other side stops the packing, too.
    chunks.close();
    let packed = packing.await.map_err(|error| not_packed(&error))?;
    let status = exit.await;
    tracing::debug!(?status, files, "upload ended");
    if status == Ok(0) && sent.is_ok() {
        return packed.map_err(|error| not_read(&error));
    }
    match packed {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(not_read(&error)),
        _ => Err(broken_off(root, &words.lines().map(str::to_owned).collect::<Vec<_>>(), status)),
    }
}

fn not_packed(error: &tokio::task::JoinError) -> Error {
    Error::unforeseen(format!("failed to pack the upload: {error}"))
}

fn not_read(error: &std::io::Error) -> Error {
    Error::new(Exit::Unforeseen, format!("failed to read a file that is to be uploaded: {error}"))
}

/// What the words of the other side and its exit status mean.
fn broken_off(root: &str, words: &[String], status: Result<i32, String>) -> Error {
    let words: Vec<&str> = words.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
    let is_full =
        |line: &&str| line.contains("No space left on device") || line.contains("Disk quota exceeded");
    if words.iter().any(is_full) {
        return Error::new(Exit::Unreachable, "the host's disk is full").help(format!(
            "make room below {root}; `docker system df` shows what images and containers take"
        ));
    }
    let error = Error::new(Exit::Unreachable, "the upload broke off");
    match (words.first(), status) {
        (Some(words), _) => error.help(format!("the host says: {words}")),
        (None, Err(why)) => error.help(why),
        (None, Ok(status)) => error.help(format!("tar on the host ended with status {status}")),
    }
}

async fn drain(mut stream: Box<dyn tokio::io::AsyncRead + Send + Unpin>) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}
