//! A reader of live files: each is either old or new, never half.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Content of a file in some version, long enough that half of it would be noticed.
pub(crate) fn content(version: usize) -> String {
    format!("{}end\n", format!("version {version}\n").repeat(600))
}

/// Whether this is the whole content of some version.
fn is_whole(text: &str) -> bool {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let rest: Vec<&str> = lines.collect();
    first.starts_with("version ")
        && rest.len() == 600
        && rest[599] == "end"
        && rest[..599].iter().all(|line| *line == first)
}

/// A thread that reads files until it is stopped.
pub(crate) struct Watcher {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<String>>,
}

impl Watcher {
    pub(crate) fn start(files: Vec<PathBuf>) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            let mut wrong = Vec::new();
            while !over.load(Ordering::Relaxed) && wrong.len() < 5 {
                for file in &files {
                    match std::fs::read_to_string(file) {
                        Ok(text) if is_whole(&text) => {}
                        Ok(text) => wrong.push(format!(
                            "half a file was seen: {} ({} bytes)",
                            file.display(),
                            text.len()
                        )),
                        Err(error) => {
                            wrong.push(format!("a file was not there: {}: {error}", file.display()));
                        }
                    }
                }
                std::thread::sleep(std::time::Duration::from_micros(300));
            }
            wrong
        });
        Self { is_over, thread }
    }

    /// Stops it, and returns the violations that it saw.
    pub(crate) fn end(self) -> Vec<String> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
