//! Hashes files of the working directory on all cores.
//!
//! Owns the reading of content for manifests. Memory does not grow with the size of a file. An edge: it reads
//! the filesystem.

use std::fs::File;
use std::io::{self, Read as _};
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use sha2::{Digest as _, Sha256};

use super::{TreeFile, TreeFileKind};
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Result};
use crate::base::manifest::{Digest, Entry, Manifest};
use crate::base::path::RootPath;
use crate::state::unusable::{Unusable, UnusableFile};

/// Size of a read in bytes, large enough that a system call costs less than the hashing.
const BUFFER: usize = 128 << 10;

/// Number of files that a thread takes at a time, so that threads rarely contend for the counter.
const CHUNK: usize = 32;

type Job<'t> = (&'t RootPath, &'t TreeFile);

/// Returns the manifest of `jobs`, whose files are below `base`, and the files whose content is a placeholder.
///
/// # Errors
///
/// Names every file that cannot be read.
pub(super) fn manifest(base: &Path, jobs: &[Job<'_>]) -> Result<(Manifest, Vec<UnusableFile>)> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = cores.min(jobs.len().div_ceil(CHUNK)).max(1);
    let next = AtomicUsize::new(0);
    let parts: Vec<Done> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| work(base, jobs, &next))).collect();
        let mut parts = vec![work(base, jobs, &next)];
        // A thread that panicked leaves its files out. The count below notices that.
        parts.extend(others.into_iter().filter_map(|thread| thread.join().ok()));
        parts
    });
    let mut entries: Vec<Option<Entry>> = vec![None; jobs.len()];
    let (mut problems, mut unusable) = (Vec::new(), Vec::new());
    for part in parts {
        unusable.extend(part.unusable.into_iter().map(|(index, why)| {
            let (path, node) = jobs[index];
            UnusableFile { why, path: path.clone(), repo_path: node.repo_path.clone() }
        }));
        for (index, entry) in part.entries {
            entries[index] = Some(entry);
        }
        problems.extend(part.problems);
    }
    if !problems.is_empty() {
        problems.sort();
        return Err(Error::invalid(problems));
    }
    let found: Option<_> =
        jobs.iter().zip(entries).map(|((path, _), entry)| Some(((*path).clone(), entry?))).collect();
    found
        .map(|found| (Manifest(found), unusable))
        .ok_or_else(|| Error::unforeseen("a thread that hashes files did not finish"))
}

#[derive(Default)]
struct Done {
    entries: Vec<(usize, Entry)>,
    unusable: Vec<(usize, Unusable)>,
    problems: Vec<Diagnostic>,
}

/// Takes files until none is left.
fn work(base: &Path, jobs: &[Job<'_>], next: &AtomicUsize) -> Done {
    let mut done = Done::default();
    let mut buffer = vec![0; BUFFER];
    loop {
        let start = next.fetch_add(CHUNK, Ordering::Relaxed);
        if start >= jobs.len() {
            return done;
        }
        let end = jobs.len().min(start + CHUNK);
        for (offset, (_, node)) in jobs[start..end].iter().enumerate() {
            match entry(base, node, &mut buffer) {
                Ok((entry, why)) => {
                    done.entries.push((start + offset, entry));
                    done.unusable.extend(why.map(|why| (start + offset, why)));
                }
                Err(err) => done.problems.push(unreadable(node, &err)),
            }
        }
    }
}

fn entry(base: &Path, node: &TreeFile, buffer: &mut [u8]) -> io::Result<(Entry, Option<Unusable>)> {
    let mut unusable = None;
    let (digest, size) = match &node.what {
        TreeFileKind::Symlink { target } => (Digest::of(target.as_bytes()), target.len() as u64),
        TreeFileKind::File { size, .. } => {
            let (digest, read) = content(&base.join(&node.repo_path), *size, buffer)?;
            // Whatever can be a placeholder is read at once.
            let start = buffer.len().min(usize::try_from(read).unwrap_or(usize::MAX));
            if read <= BUFFER as u64 {
                unusable = Unusable::of_content(&buffer[..start], read);
            }
            (digest, read)
        }
    };
    Ok((Entry { kind: node.kind(), mode: node.mode(), size, digest }, unusable))
}

/// Digest and size of the content that was read. The size differs from `expected` if the file changes
/// meanwhile; it always belongs to the digest.
fn content(path: &Path, expected: u64, buffer: &mut [u8]) -> io::Result<(Digest, u64)> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut total: u64 = 0;
    // One more read to see the end would double the reads of a tree of small files.
    while total < expected {
        match file.read(buffer) {
            Ok(0) => break,
            Ok(count) => {
                hasher.update(&buffer[..count]);
                total += count as u64;
            }
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok((Digest::from_hasher(hasher), total))
}

fn unreadable(node: &TreeFile, err: &io::Error) -> Diagnostic {
    if err.kind() == io::ErrorKind::NotFound {
        let message = format!("`{}` vanished while it was read", node.repo_path);
        return Diagnostic::error(message, None).help("run again when nothing changes the files");
    }
    Diagnostic::error(format!("`{}` cannot be read: {err}", node.repo_path), None)
        .help("make it readable, or list it in `.ghdeployignore`")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::base::manifest::Kind;

    fn node(name: &str, size: u64) -> (RootPath, TreeFile) {
        let what = TreeFileKind::File { executable: false, private: false, size };
        (RootPath::new(name).unwrap(), TreeFile { repo_path: name.to_owned(), what })
    }

    #[test]
    fn every_size_is_hashed_whole() {
        let dir = tempfile::tempdir().unwrap();
        let nodes: Vec<_> = [0, 1, 2048, BUFFER - 1, BUFFER, BUFFER + 1, 3 * BUFFER + 7]
            .into_iter()
            .map(|size| {
                let name = format!("f{size}");
                fs::write(dir.path().join(&name), vec![b'x'; size]).unwrap();
                node(&name, size as u64)
            })
            .collect();
        let jobs: Vec<_> = nodes.iter().map(|(path, node)| (path, node)).collect();
        let (manifest, _) = manifest(dir.path(), &jobs).unwrap();
        for (path, node) in &nodes {
            let TreeFileKind::File { size, .. } = node.what else { panic!() };
            let entry = manifest.get(path).unwrap();
            assert_eq!(entry.digest, Digest::of(&vec![b'x'; size as usize]), "{path}");
            assert_eq!((entry.size, entry.mode, entry.kind), (size, 0o644, Kind::File));
        }
    }

    #[test]
    fn a_file_that_shrank_or_grew_has_a_digest_of_what_was_read() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("shrank"), "ab").unwrap();
        fs::write(dir.path().join("grew"), "abcd").unwrap();
        let nodes = [node("grew", 2), node("shrank", 4)];
        let jobs: Vec<_> = nodes.iter().map(|(path, node)| (path, node)).collect();
        let (manifest, _) = manifest(dir.path(), &jobs).unwrap();
        assert_eq!(manifest.get(&nodes[0].0).unwrap().digest, Digest::of(b"abcd"));
        assert_eq!(manifest.get(&nodes[1].0).unwrap().size, 2);
    }

    #[test]
    fn every_file_that_vanished_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let nodes = [node("a", 1), node("b", 1)];
        let jobs: Vec<_> = nodes.iter().map(|(path, node)| (path, node)).collect();
        let err = manifest(dir.path(), &jobs).unwrap_err();
        assert_eq!(err.to_string(), "`a` vanished while it was read; `b` vanished while it was read");
    }
}
