//! The second channel: one compressed tar stream into the stage.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::transport::{Remote, Transport};
use super::{RECEIVE, script};
use crate::error::{Error, Exit};
use crate::manifest::escape;

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

/// From how many files on it takes less time to bring the whole filesystem to the disk than each file.
const MANY_FILES: usize = 1000;

/// Sends what `pack` writes, a tar stream of `files` files, into the stage below `root`, and onto the
/// disk; an old stage is cleared.
///
/// # Errors
///
/// When a local file cannot be read, the host's disk is full, or the connection is lost. Nothing
/// live was touched.
pub async fn upload(
    transport: &dyn Transport,
    root: &str,
    files: usize,
    pack: impl FnOnce(&mut dyn Write) -> std::io::Result<()> + Send + 'static,
) -> Result<(), Error> {
    let Remote { mut stdin, stdout, stderr, exit } = transport.start().await?;
    let (to, mut chunks) = mpsc::channel(8);
    let packing = tokio::task::spawn_blocking(move || {
        let mut gzip =
            GzEncoder::new(Chunks { to, chunk: Vec::with_capacity(CHUNK_BYTES) }, Compression::fast());
        pack(&mut gzip)?;
        gzip.finish()?.flush()
    });
    let send = async {
        let root = escape(root).unwrap_or_else(|| root.to_owned());
        let files = if files > MANY_FILES { "many" } else { "few" };
        stdin.write_all(format!("{}{root}\n{files}\n", script(RECEIVE)).as_bytes()).await?;
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
    let packed =
        packing.await.map_err(|error| Error::unforeseen(format!("failed to pack the upload: {error}")))?;
    let status = exit.await;
    tracing::debug!(?status, files, "upload ended");
    if status == Ok(0) && sent.is_ok() {
        return packed.map_err(|error| {
            Error::new(Exit::Unforeseen, format!("failed to read a file that is to be uploaded: {error}"))
        });
    }
    let words: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if words
        .iter()
        .any(|line| line.contains("No space left on device") || line.contains("Disk quota exceeded"))
    {
        return Err(Error::new(Exit::Unreachable, "the host's disk is full").help(format!(
            "make room below {root}; `docker system df` shows what images and containers take"
        )));
    }
    if let Err(error) = packed
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        return Err(Error::new(
            Exit::Unforeseen,
            format!("failed to read a file that is to be uploaded: {error}"),
        ));
    }
    let error = Error::new(Exit::Unreachable, "the upload broke off");
    Err(match (words.first(), status) {
        (Some(words), _) => error.help(format!("the host says: {words}")),
        (None, Err(why)) => error.help(why),
        (None, Ok(status)) => error.help(format!("tar on the host ended with status {status}")),
    })
}

async fn drain(mut stream: Box<dyn tokio::io::AsyncRead + Send + Unpin>) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}
