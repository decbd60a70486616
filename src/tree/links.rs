//! Resolves symbolic links inside a tree, by text.
//!
//! Owns where a link leads, component by component as the kernel walks, and whether the walk ever leaves the
//! root. Never asks a real filesystem.

use crate::base::path::RootPath;

/// Number of links that are followed on the way to one file: Linux follows 40 before it fails with `ELOOP`.
const MAX_LINKS: usize = 40;

/// Reason why a path leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stray {
    /// It leaves the root.
    Outside,
    /// It goes in circles.
    Loop,
}

/// Resolves every link on the way to `path`. `target` returns what a link points to, and `None` for
/// everything that is not a link.
pub(super) fn resolve<'t>(
    path: &RootPath,
    target: impl Fn(&str) -> Option<&'t str>,
) -> Result<RootPath, Stray> {
    walk(path, target, &mut |_| {})
}

/// The links on the way to `path`, in the order of the walk, and then the path that they lead to; empty if there
/// is no link. `target` is that of [`resolve`].
pub(super) fn way<'t>(
    path: &RootPath,
    target: impl Fn(&str) -> Option<&'t str>,
) -> Result<Vec<RootPath>, Stray> {
    let mut links: Vec<String> = Vec::new();
    let end = walk(path, target, &mut |link| links.push(link.to_owned()))?;
    let mut way: Vec<RootPath> = Vec::new();
    if !links.is_empty() {
        // A link may be met twice.
        for step in links.iter().filter_map(|link| RootPath::new(link).ok()).chain([end]) {
            if !way.contains(&step) {
                way.push(step);
            }
        }
    }
    Ok(way)
}

/// Walks to `path`, and calls `met` with each link on the way.
fn walk<'t>(
    path: &RootPath,
    target: impl Fn(&str) -> Option<&'t str>,
    met: &mut dyn FnMut(&str),
) -> Result<RootPath, Stray> {
    let mut done = String::with_capacity(path.as_str().len());
    let mut left: Vec<&str> = path.as_str().split('/').rev().collect();
    let mut links = 0;
    while let Some(name) = left.pop() {
        match name {
            "" | "." => continue,
            ".." => {
                if done.is_empty() {
                    return Err(Stray::Outside);
                }
                done.truncate(done.rfind('/').unwrap_or(0));
                continue;
            }
            _ => {}
        }
        let parent = done.len();
        if !done.is_empty() {
            done.push('/');
        }
        done.push_str(name);
        let Some(target) = target(&done) else { continue };
        met(&done);
        links += 1;
        if links > MAX_LINKS {
            return Err(Stray::Loop);
        }
        if target.starts_with('/') {
            return Err(Stray::Outside);
        }
        done.truncate(parent);
        left.extend(target.split('/').rev());
    }
    // Only plain names are left, so this cannot fail.
    RootPath::new(&done).map_err(|_| Stray::Outside)
}

/// Whether a link leaves the root, either by the text of its target, as tools see it that know no other
/// links, or through other links, as the kernel walks.
pub(super) fn leaves<'t>(link: &RootPath, to: &str, target: impl Fn(&str) -> Option<&'t str>) -> bool {
    let by_text = link.parent().is_none_or(|dir| dir.join(to).is_err());
    by_text || resolve(link, target) == Err(Stray::Outside)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINKS: [(&str, &str); 9] = [
        ("a/up", ".."),
        ("a/top", "../.."),
        ("a/b/l", "../.."),
        ("x", "a/b/l/.."),
        ("file", "a/b/../c"),
        ("loop", "loop2"),
        ("loop2", "loop"),
        ("abs", "/etc/passwd"),
        ("chain", "a/up/file"),
    ];

    fn target(path: &str) -> Option<&'static str> {
        LINKS.iter().find(|(link, _)| *link == path).map(|(_, to)| *to)
    }

    fn go(path: &str) -> Result<String, Stray> {
        resolve(&RootPath::new(path).unwrap(), target).map(String::from)
    }

    #[test]
    fn links_are_followed_on_the_way_and_at_the_end() {
        assert_eq!(go("file"), Ok("a/c".into()));
        assert_eq!(go("chain"), Ok("a/c".into()));
        assert_eq!(go("a/up/a/b/l/q"), Ok("q".into()));
        assert_eq!(go("plain/path"), Ok("plain/path".into()));
    }

    #[test]
    fn a_link_that_leaves_the_root_on_the_way_is_seen() {
        assert_eq!(go("a/top"), Err(Stray::Outside));
        assert_eq!(go("x"), Err(Stray::Outside), "a/b/l is the root, and .. of it is above");
        assert_eq!(go("abs/x"), Err(Stray::Outside));
        assert_eq!(go("loop"), Err(Stray::Loop));
        let leaves = |link: &str| leaves(&RootPath::new(link).unwrap(), target(link).unwrap(), target);
        assert!(leaves("x") && leaves("a/top") && leaves("abs"));
        assert!(!leaves("a/up") && !leaves("file") && !leaves("chain") && !leaves("loop"));
    }

    #[test]
    fn a_long_loop_ends() {
        let grow = |path: &str| (path == "g").then_some("g/g/g/g/g/g/g/g");
        assert_eq!(resolve(&RootPath::new("g").unwrap(), grow), Err(Stray::Loop));
    }
}
