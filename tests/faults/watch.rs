//! Somebody who reads live files all the time: each is as it was or as it will be, never half.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// The content of a file in some version: long, so that half of it would be seen, and whole or not by itself.
pub(crate) fn content(version: usize) -> String {
    format!("{}end\n", format!("version {version}\n").repeat(600))
}

/// Whether it is the content of some version.
fn is_whole(text: &str) -> bool {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let rest: Vec<&str> = lines.collect();
    first.starts_with("version ")
        && rest.len() == 600
        && rest[599] == "end"
        && rest[..599].iter().all(|line| *line == first)
}

/// Reads files until it is ended.
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

    /// What it has seen that must not be.
    pub(crate) fn end(self) -> Vec<String> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
