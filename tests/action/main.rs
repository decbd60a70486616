//! The action as its users and its maintainers have it: its inputs and outputs, the versions that are pinned, and
//! the release.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod binary;
mod inputs;
mod lab;
mod pins;
mod release;

use std::fs;
use std::path::{Path, PathBuf};

const TOP: &str = env!("CARGO_MANIFEST_DIR");

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(TOP).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Paths below the top of the files in a folder, sorted.
fn files(folder: &str) -> Vec<String> {
    let mut files: Vec<String> = fs::read_dir(Path::new(TOP).join(folder))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| format!("{folder}/{}", entry.file_name().into_string().unwrap()))
        .collect();
    files.sort();
    files
}

/// Makes a program of this text.
fn program(path: PathBuf, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
