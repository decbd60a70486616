//! Reads files that a person or a repository names, and nothing else.
//!
//! Owns the check that such a path is a regular file of bounded size. A named pipe would wait for ever, a device
//! may have effects and no end. An edge: it reads the filesystem.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

/// Opens a regular file, or one that a link leads to.
///
/// # Errors
///
/// When it is something else, or cannot be opened.
pub fn open(path: &Path) -> io::Result<File> {
    refuse_special(&path.metadata()?)?;
    // It may have become a named pipe meanwhile, which must not be waited for.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    refuse_special(&file.metadata()?)?;
    Ok(file)
}

/// Reads a regular file of at most `max` bytes.
///
/// # Errors
///
/// When it is larger or something else, or cannot be read.
pub fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let size = file.metadata()?.len();
    let bytes = start_of(file, max + 1)?;
    if bytes.len() as u64 > max {
        let size = size.max(bytes.len() as u64);
        let message = format!("the file is larger than {}: it has {}", in_words(max), in_words(size));
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// Reads the first `max` bytes of a regular file.
///
/// # Errors
///
/// When it is something else, or cannot be read.
pub fn read_start(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    start_of(open(path)?, max)
}

/// Whether a path that lies in the repository around `dir` leads out of it, through links.
#[must_use]
pub fn leads_out(dir: &Path, path: &Path) -> bool {
    let Ok(dir) = dir.canonicalize() else { return false };
    let top = dir.ancestors().find(|top| top.join(".git").symlink_metadata().is_ok()).unwrap_or(&dir);
    let named = normal(&dir.join(path));
    // What does not exist leads nowhere.
    named.starts_with(top) && named.canonicalize().is_ok_and(|real| !real.starts_with(top))
}

/// A path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(normal.pop()),
            part => normal.push(part),
        }
    }
    normal
}

fn start_of(file: File, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn refuse_special(found: &Metadata) -> io::Result<()> {
    let kind = found.file_type();
    let what = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_dir() => "a folder",
        () if kind.is_fifo() => "a named pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    Err(io::Error::other(format!("it is {what}, not a file")))
}

fn in_words(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_bounded_size_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("a"), "text").unwrap();
        std::os::unix::fs::symlink("a", path("link")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", path("zero")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        File::create(path("large")).unwrap().set_len(3 << 30).unwrap();
        assert_eq!(read(&path("a"), 4).unwrap(), b"text");
        assert_eq!(read(&path("link"), 4).unwrap(), b"text");
        let error = |name: &str, max| read(&path(name), max).unwrap_err().to_string();
        assert_eq!(error("zero", 9), "it is a device, not a file");
        assert_eq!(error("pipe", 9), "it is a named pipe, not a file");
        assert_eq!(error("", 9), "it is a folder, not a file");
        assert_eq!(error("a", 3), "the file is larger than 3 bytes: it has 4 bytes");
        assert_eq!(error("large", 1 << 20), "the file is larger than 1 MiB: it has 3072 MiB");
        assert_eq!(read_start(&path("large"), 7).unwrap().len(), 7);
    }

    #[test]
    fn links_out_of_the_repository_are_recognised() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("inner")).unwrap();
        std::fs::write(dir.path().join("a"), "").unwrap();
        for (link, target) in [("in", "a"), ("out", "/etc/passwd"), ("nowhere", "/none/at/all")] {
            std::os::unix::fs::symlink(target, dir.path().join(link)).unwrap();
        }
        assert!(leads_out(dir.path(), Path::new("out")));
        assert!(leads_out(&dir.path().join("inner/.."), Path::new("inner/../out")));
        for stays in ["in", "a", "nowhere", "none", "/etc/passwd"] {
            assert!(!leads_out(dir.path(), Path::new(stays)), "{stays}");
        }
    }
}
