//! Reads objects of a git repository by one long-lived `git cat-file`.
//!
//! Owns that process and a cache of what it returned. An edge: it starts a process on the first read.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use super::command::{GitError, git, spawn};

/// Size in bytes of the largest object that is cached. Compose files are small, and every project that
/// extends one reads it again.
const CACHED: usize = 1 << 20;

/// Number of requests per batch. They take fewer bytes than the smallest pipe holds, so writing them never
/// waits for a process that waits for its answers to be read.
const AT_ONCE: usize = 60;

/// Variable that names folders of further objects
/// ([git](https://git-scm.com/docs/git#Documentation/git.txt-codeGITALTERNATEOBJECTDIRECTORIEScode)).
const OTHERS: &str = "GIT_ALTERNATE_OBJECT_DIRECTORIES";

/// The objects of a repository.
#[derive(Debug)]
pub(super) struct Objects {
    dir: PathBuf,
    reader: Mutex<ObjectReader>,
}

#[derive(Debug, Default)]
struct ObjectReader {
    /// Folders of further objects, those of submodules.
    others: Vec<PathBuf>,
    process: Option<Process>,
    cache: HashMap<String, Arc<[u8]>>,
}

/// An object.
pub(super) struct Object {
    /// Its full name.
    pub(super) name: String,
    /// Its type, such as `blob` or `commit`.
    kind: String,
    /// Its content.
    pub(super) content: Vec<u8>,
}

impl Object {
    /// Whether it is the content of a file.
    pub(super) fn is_blob(&self) -> bool {
        self.kind == "blob"
    }

    /// Whether it is a commit.
    pub(super) fn is_commit(&self) -> bool {
        self.kind == "commit"
    }
}

impl Objects {
    /// The objects of the repository around `dir`.
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), reader: Mutex::default() }
    }

    /// Adds the objects in a folder, which another repository owns.
    pub(super) fn add(&self, folder: &Path) {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if !reader.others.iter().any(|other| other == folder) {
            reader.others.push(folder.to_owned());
            // The next read starts a process that knows them.
            reader.process = None;
        }
    }

    /// The content of a blob, by its full name; `None` when the repository does not have it.
    pub(super) fn blob(&self, name: &str) -> Result<Option<Arc<[u8]>>, GitError> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(content) = reader.cache.get(name) {
            return Ok(Some(content.clone()));
        }
        let Some(object) = reader.read(&self.dir, name)? else { return Ok(None) };
        let content: Arc<[u8]> = object.content.into();
        if content.len() <= CACHED {
            reader.cache.insert(name.to_owned(), content.clone());
        }
        Ok(Some(content))
    }

    /// Reads blobs ahead in few round trips. Missing blobs are reported when they are read.
    pub(super) fn prefetch(&self, names: &[&str]) -> Result<(), GitError> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown: Vec<&str> =
            names.iter().filter(|name| !reader.cache.contains_key(**name)).copied().collect();
        for names in unknown.chunks(AT_ONCE) {
            let objects = reader.converse(&self.dir, |process| {
                process.ask(&names.join("\n"))?;
                names.iter().map(|_| process.answer()).collect::<io::Result<Vec<_>>>()
            })?;
            for object in objects.into_iter().flatten() {
                reader.cache.insert(object.name, object.content.into());
            }
        }
        Ok(())
    }

    /// The object with a name that git knows; the name holds no newline. `None` if there is no such object or
    /// the name is ambiguous.
    pub(super) fn find(&self, name: &str) -> Result<Option<Object>, GitError> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).read(&self.dir, name)
    }
}

impl ObjectReader {
    fn read(&mut self, dir: &Path, name: &str) -> Result<Option<Object>, GitError> {
        self.converse(dir, |process| {
            process.ask(name)?;
            process.answer()
        })
    }

    fn converse<T>(
        &mut self,
        dir: &Path,
        talk: impl FnOnce(&mut Process) -> io::Result<T>,
    ) -> Result<T, GitError> {
        let process = match &mut self.process {
            Some(process) => process,
            none => none.insert(Process::start(dir, &self.others)?),
        };
        match talk(process) {
            Ok(found) => Ok(found),
            // It is out of step or has ended. The next read starts another.
            Err(err) => Err(self.process.take().map_or(GitError::Io(err), Process::reason)),
        }
    }
}

/// A running `git cat-file --batch`.
#[derive(Debug)]
struct Process {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Process {
    fn start(dir: &Path, others: &[PathBuf]) -> Result<Self, GitError> {
        let mut command = git(dir);
        if !others.is_empty() {
            command.env(OTHERS, folders(std::env::var_os(OTHERS), others));
        }
        let mut child = spawn(command.args(["cat-file", "--batch"]).stdin(Stdio::piped()))?;
        let questions = child.stdin.take();
        let answers = child.stdout.take().ok_or_else(|| GitError::Io(io::ErrorKind::BrokenPipe.into()))?;
        Ok(Self { child, questions, answers: BufReader::with_capacity(64 << 10, answers) })
    }

    /// Requests objects, one name per line.
    fn ask(&mut self, names: &str) -> io::Result<()> {
        self.questions
            .as_mut()
            .map_or(Ok(()), |questions| questions.write_all(format!("{names}\n").as_bytes()))
    }

    fn answer(&mut self) -> io::Result<Option<Object>> {
        let mut header = String::new();
        self.answers.read_line(&mut header)?;
        let Some(header) = header.strip_suffix('\n') else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let fields: Vec<&str> = header.split(' ').collect();
        let [full, kind, size] = fields[..] else { return Ok(None) };
        // The answer for a missing name with one space has as many words, but its last one is no number.
        let Ok(size) = size.parse::<usize>() else { return Ok(None) };
        // Not allocated by what the header says: a broken answer must not cost memory.
        let mut content = Vec::new();
        let taken = self.answers.by_ref().take(size as u64 + 1).read_to_end(&mut content)?;
        if taken != size + 1 || content.pop() != Some(b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(Object { name: full.to_owned(), kind: kind.to_owned(), content }))
    }

    /// The reason why the process stopped.
    fn reason(mut self) -> GitError {
        self.questions = None;
        let mut message = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_string(&mut message);
        }
        match message.trim() {
            "" => GitError::Failed("git cat-file stopped".to_owned()),
            message => GitError::Failed(message.to_owned()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It ends by itself once stdin is closed. The kill avoids the wait if it hangs in a fetch.
        self.questions = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Folders as [`OTHERS`] lists them: separated by colons, and in quotes because a path may have one.
fn folders(before: Option<OsString>, others: &[PathBuf]) -> OsString {
    let mut list = before.unwrap_or_default().into_vec();
    for folder in others {
        if !list.is_empty() {
            list.push(b':');
        }
        list.push(b'"');
        for byte in folder.as_os_str().as_bytes() {
            if matches!(byte, b'"' | b'\\') {
                list.push(b'\\');
            }
            list.push(*byte);
        }
        list.push(b'"');
    }
    OsString::from_vec(list)
}
