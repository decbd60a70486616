//! Finds compose files that a layout leaves out, for advice.
//!
//! Owns the search through the working directory and the patterns that it suggests. Nothing else depends on it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use walkdir::WalkDir;

use crate::base::diagnostic::Diagnostic;
use crate::compose::FILES;
use crate::config::layout::Layout;

/// Number of folders below the working directory that are entered one in the other. Deeper ones hold parts of other
/// programs.
const MAX_DEPTH: usize = 5;

/// Number of entries that are looked at.
const MAX_ENTRIES: usize = 50_000;

/// Number of files that advice names.
const MAX_SHOWN: usize = 4;

/// Number of patterns that advice suggests.
const MAX_PATTERNS: usize = 6;

/// Advice on `services` for a repository whose layout has no project: where compose files lie, and what to write.
#[must_use]
pub fn advice(base: &Path) -> String {
    let files = compose_files(base);
    // The parts of a compose file in the top folder are found by what it includes.
    let top = files.iter().find(|file| !file.contains('/')).filter(|file| includes(&base.join(file)));
    let patterns = top.map_or_else(|| patterns(&files), |top| vec![top.clone()]);
    let what = "a project is a folder with a compose file";
    if patterns.is_empty() {
        return format!(
            "{what}; there is none here with one of Compose's names. `services` in ghdeploy.yml says where they are"
        );
    }
    let shown: Vec<&str> = files.iter().take(MAX_SHOWN).map(String::as_str).collect();
    let more = match files.len().saturating_sub(MAX_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let written = match patterns.as_slice() {
        [one] => format!("\"{one}\""),
        several => format!("[\"{}\"]", several.join("\", \"")),
    };
    format!(
        "{what}; compose files lie at {}{more}: write `services: {written}` in ghdeploy.yml",
        shown.join(", ")
    )
}

/// A warning about a compose file above the folders of a layout that includes others: the folders are parts of it.
#[must_use]
pub fn above(base: &Path, layout: &Layout) -> Option<Diagnostic> {
    let prefix = layout.top().filter(|prefix| !prefix.is_empty())?;
    let mut dirs = prefix.match_indices('/').map(|(end, _)| &prefix[..end]).collect::<Vec<_>>();
    dirs.insert(0, "");
    let file = dirs.into_iter().find_map(|dir| {
        let path = |name: &&str| if dir.is_empty() { (*name).to_owned() } else { format!("{dir}/{name}") };
        FILES.iter().map(path).find(|path| includes(&base.join(path)))
    })?;
    let message = format!("{file} includes others and is outside of `{prefix}`, so nothing in it runs");
    let help = format!(
        "if the folders in `{prefix}` are parts of it, write `services: \"{file}\"` in ghdeploy.yml: then they are one project; otherwise this is fine"
    );
    Some(Diagnostic::warning(message, None).help(help))
}

/// Whether a compose file includes others.
fn includes(path: &Path) -> bool {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().any(|line| line.starts_with("include:"))
}

/// The compose files in the working directory, by their paths from `base`, sorted. Hidden folders and folders of
/// dependencies are left out.
fn compose_files(base: &Path) -> Vec<String> {
    let is_entered = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0
            || !entry.file_type().is_dir()
            || !(name.starts_with('.') || matches!(&*name, "node_modules" | "vendor" | "target"))
    };
    let entries = WalkDir::new(base).max_depth(MAX_DEPTH).into_iter().filter_entry(is_entered);
    let files = entries.take(MAX_ENTRIES).filter_map(Result::ok);
    let files = files.filter(|entry| !entry.file_type().is_dir());
    let files = files.filter(|entry| entry.file_name().to_str().is_some_and(|name| FILES.contains(&name)));
    let mut paths: Vec<String> =
        files.filter_map(|entry| Some(entry.path().strip_prefix(base).ok()?.to_str()?.to_owned())).collect();
    paths.sort();
    paths
}

/// The fewest plain patterns under which each of these files makes a project.
fn patterns(files: &[String]) -> Vec<String> {
    let mut patterns: BTreeSet<String> = BTreeSet::new();
    let tops: Vec<&String> = files.iter().filter(|file| !file.contains('/')).collect();
    patterns.extend(tops.first().map(|file| (*file).clone()));
    for file in files {
        let Some((dir, _)) = file.rsplit_once('/') else { continue };
        patterns.insert(match dir.rsplit_once('/') {
            None => ".".to_owned(),
            Some((parent, _)) => parent.to_owned(),
        });
    }
    if patterns.len() > MAX_PATTERNS {
        // One pattern for each depth.
        let deep = |pattern: &String| match pattern.as_str() {
            "." => "*".to_owned(),
            path if FILES.contains(&path) => path.to_owned(),
            path => "*/".repeat(path.split('/').count()) + "*",
        };
        patterns = patterns.iter().map(deep).collect();
    }
    patterns.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[&str]) -> Vec<String> {
        patterns(&files.iter().map(|file| (*file).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_patterns_find_what_lies_there() {
        assert_eq!(of(&["blog/compose.yml", "shop/compose.yml"]), ["."]);
        assert_eq!(of(&["stacks/a/compose.yml", "stacks/b/compose.yaml"]), ["stacks"]);
        assert_eq!(of(&["compose.yml"]), ["compose.yml"]);
        let many: Vec<String> = (0..9).map(|n| format!("g{n}/x/compose.yml")).collect();
        assert_eq!(patterns(&many), ["*/*"]);
        for files in [&["stacks/web/a/compose.yml", "b/compose.yml", "compose.yml"][..]] {
            let layout = Layout::new(&of(files)).unwrap();
            for file in files {
                let dir = file.rsplit_once('/').map_or("", |(dir, _)| dir);
                assert!(layout.is_project_dir(dir), "{file}");
            }
        }
    }
}
