//! The age of a commit against the deployed one: a re-run of an old workflow must not undo a newer deploy.

use crate::base::diagnostic::Diagnostic;
use crate::state::deployed::Commit;

/// Facts about the wanted commit and the newest commit that was ever deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ages {
    /// The wanted commit.
    pub wanted: Commit,
    /// The newest commit that was deployed.
    pub deployed: Commit,
    /// Whether the wanted commit is an ancestor of the deployed one; `None`: this clone does not show it.
    pub is_ancestor: Option<bool>,
    /// Whether the deployed commit is an ancestor of the wanted one.
    pub is_descendant: Option<bool>,
    /// Whether this clone is shallow.
    pub is_shallow: bool,
}

/// Age of the wanted commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Age {
    /// Newer than the deployed one, or the same.
    Newer,
    /// Unknown, or of another history; nothing indicates that it is older.
    Doubtful(Diagnostic),
    /// Older.
    Older(Diagnostic),
}

impl Ages {
    /// Judges the age.
    #[must_use]
    pub fn judge(&self) -> Age {
        let (wanted, deployed) = (&self.wanted.commit, &self.deployed.commit);
        if wanted == deployed {
            return Age::Newer;
        }
        match (self.is_ancestor, self.is_descendant) {
            (Some(true), _) => Age::Older(
                Diagnostic::error(
                    format!("commit {wanted:.10} is older than {deployed:.10}, which was deployed"),
                    None,
                )
                .help("check out the newer commit, or go back on purpose with --allow-older"),
            ),
            (_, Some(true)) => Age::Newer,
            (Some(false), Some(false)) => Age::Doubtful(
                Diagnostic::warning(
                    format!(
                        "commit {wanted:.10} was not made from {deployed:.10}, which was deployed before it"
                    ),
                    None,
                )
                .help("the history was rewritten, or this is another branch"),
            ),
            _ => self.by_date(),
        }
    }

    /// Judges by the dates of the commits, where the history is not known.
    fn by_date(&self) -> Age {
        let (wanted, deployed) = (&self.wanted.commit, &self.deployed.commit);
        let (why, fetch) = if self.is_shallow {
            (
                "this clone is shallow",
                "set `fetch-depth: 0` for actions/checkout, or run `git fetch --unshallow`",
            )
        } else {
            ("this clone does not know both", "run `git fetch` to know")
        };
        let is_older = self.wanted.committed.zip(self.deployed.committed).is_some_and(|(a, b)| a < b);
        if is_older {
            return Age::Older(
                Diagnostic::error(
                    format!("commit {wanted:.10} was made before {deployed:.10}, which was deployed; {why}, so only the dates are known"),
                    None,
                )
                .help(format!("{fetch}; or deploy it on purpose with --allow-older")),
            );
        }
        Age::Doubtful(
            Diagnostic::warning(
                format!("whether commit {wanted:.10} was made from {deployed:.10}, which is deployed, is not known: {why}"),
                None,
            )
            .help(fetch),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(is_ancestor: Option<bool>, is_descendant: Option<bool>, dates: [Option<i64>; 2]) -> Age {
        let commit = |name: &str, committed| Commit { commit: name.repeat(40), committed };
        let (wanted, deployed) = (commit("a", dates[0]), commit("b", dates[1]));
        Ages { wanted, deployed, is_ancestor, is_descendant, is_shallow: true }.judge()
    }

    fn message(age: &Age) -> &str {
        match age {
            Age::Newer => "",
            Age::Doubtful(diagnostic) | Age::Older(diagnostic) => &diagnostic.message,
        }
    }

    #[test]
    fn the_history_decides_where_it_is_known_whatever_the_dates_say() {
        let dates = [Some(2), Some(1)];
        assert!(matches!(judged(Some(true), Some(false), dates), Age::Older(_)));
        assert_eq!(judged(Some(false), Some(true), [Some(1), Some(2)]), Age::Newer);
        let rewritten = judged(Some(false), Some(false), [Some(1), Some(2)]);
        assert!(matches!(&rewritten, Age::Doubtful(_)) && message(&rewritten).contains("was not made from"));
    }

    #[test]
    fn where_it_is_not_known_only_an_earlier_date_refuses() {
        let older = judged(None, None, [Some(1), Some(2)]);
        assert!(matches!(&older, Age::Older(_)) && message(&older).contains("this clone is shallow"));
        for dates in [[Some(2), Some(2)], [Some(3), Some(2)], [None, Some(2)], [Some(1), None]] {
            let doubtful = judged(None, None, dates);
            assert!(matches!(&doubtful, Age::Doubtful(_)) && message(&doubtful).contains("is not known"));
        }
    }

    #[test]
    fn the_same_commit_is_not_older() {
        let commit = Commit { commit: "a".repeat(40), committed: None };
        let ages = Ages {
            wanted: commit.clone(),
            deployed: commit,
            is_ancestor: Some(true),
            is_descendant: None,
            is_shallow: false,
        };
        assert_eq!(ages.judge(), Age::Newer);
    }
}
