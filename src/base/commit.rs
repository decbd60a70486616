//! Names of commits, and the mark of a tree that differs from its commit.

/// Mark after the name of a commit: what was deployed differs from it.
const CHANGES: &str = "+changes";

/// Returns the label of a tree that was made from the commit `hash`: `HASH`, or `HASH+changes`.
#[must_use]
pub fn label(hash: &str, has_changes: bool) -> String {
    format!("{hash}{}", if has_changes { CHANGES } else { "" })
}

/// The name of the commit in a label.
#[must_use]
pub fn hash(label: &str) -> &str {
    label.strip_suffix(CHANGES).unwrap_or(label)
}

/// Whether the label is that of a tree which differs from its commit.
#[must_use]
pub fn has_changes(label: &str) -> bool {
    label.ends_with(CHANGES)
}

/// Shortens a label to ten digits of the commit, as many as git shows in a large repository.
#[must_use]
pub fn short(of: &str) -> String {
    let digits: String = hash(of).chars().take(10).collect();
    label(&digits, has_changes(of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_a_commit_that_may_have_changes() {
        let commit = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d";
        let dirty = label(commit, true);
        assert_eq!(
            (hash(&dirty), has_changes(&dirty), short(&dirty)),
            (commit, true, "1a2b3c4d5e+changes".into())
        );
        assert_eq!((hash(commit), has_changes(commit), short(commit)), (commit, false, "1a2b3c4d5e".into()));
        assert_eq!(label(commit, false), commit);
    }
}
