//! Which tags of an image a build moves. Pure.
//!
//! A tag `sha-<commit>` belongs to one commit. `latest` and the tag in the compose file are shared by all
//! commits, and hosts pull them. They move only to the newest commit of the default branch, or to one whose
//! image is the same: a pull request, another branch, a tag or a run for an older commit would take the host
//! back otherwise.

use crate::base::commit::short;

/// What is known of a commit against the newest one of the default branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The default branch; `None` if it is not known.
    pub branch: Option<String>,
    /// What the commit is on instead of the default branch, by what the event of the run says: ``the branch
    /// `x` ``.
    pub elsewhere: Option<String>,
    /// The newest commit, or the reason why it is not known.
    pub newest: Result<Newest, String>,
}

/// Newest commit of the default branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest {
    /// The commit.
    pub commit: String,
    /// Whether the server of the repository says so. A clone may be older.
    pub is_certain: bool,
    /// Whether it is the commit that is built, or that one was made from it on the same branch.
    pub is_built: bool,
}

/// What a tag shows at the registry, or in the engine of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tagged {
    /// There is no such tag.
    Absent,
    /// An image that names no commit.
    Unnamed,
    /// The image of a commit.
    Commit {
        /// The commit.
        commit: String,
        /// Its relation to the commit that is built.
        relation: Relation,
    },
    /// The registry does not say.
    Unreadable,
}

/// Relation of a tagged commit to the one that is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// It is the same, or its image is.
    Same,
    /// It is older.
    Older,
    /// It is newer.
    Newer,
    /// Neither was made from the other: the history was rewritten.
    Unrelated,
    /// The clone does not show it.
    Unknown,
}

impl Position {
    /// Whether it takes a look at the tag itself to decide.
    #[must_use]
    pub fn asks_tag(&self) -> bool {
        self.elsewhere.is_none() && !matches!(&self.newest, Ok(newest) if newest.is_certain)
    }

    /// Whether the shared tags of an image move. `is_same` tells whether the image of the newest commit is
    /// the same, or why that is not known; `tagged` is what the tag shows, if it was looked at.
    ///
    /// # Errors
    ///
    /// The reason why they stay.
    pub fn moves(&self, is_same: &Result<bool, String>, tagged: Option<&Tagged>) -> Result<(), String> {
        let branch = match &self.branch {
            Some(branch) => format!("`{branch}`"),
            None => "the default branch".to_owned(),
        };
        if let Some(elsewhere) = &self.elsewhere {
            return Err(format!("this is {elsewhere}; only commits of {branch} move it"));
        }
        let unknown = match &self.newest {
            Ok(newest) => {
                let at = short(&newest.commit);
                match is_same {
                    _ if newest.is_built => {}
                    Ok(true) => {}
                    Ok(false) => {
                        return Err(format!("{branch} has moved on to {at}, whose image differs"));
                    }
                    Err(why) => {
                        return Err(format!(
                            "{branch} has moved on to {at}, and its image cannot be compared: {why}"
                        ));
                    }
                }
                if newest.is_certain {
                    return Ok(());
                }
                None
            }
            Err(why) => Some(why),
        };
        match (tagged, unknown) {
            (Some(Tagged::Commit { relation: Relation::Same | Relation::Older, .. } | Tagged::Absent), _) => {
                Ok(())
            }
            (Some(Tagged::Commit { commit, relation: Relation::Newer }), _) => {
                Err(format!("it shows {}, which is newer", short(commit)))
            }
            (_, Some(why)) => Err(format!("the newest commit of {branch} is not known: {why}")),
            (Some(Tagged::Commit { commit, relation: Relation::Unknown }), None) => {
                Err(format!("it shows {}, which may be newer: this clone does not have it", short(commit)))
            }
            (Some(Tagged::Unreadable), None) => Err("the registry does not say what it shows".to_owned()),
            (None | Some(Tagged::Unnamed | Tagged::Commit { .. }), None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const OTHER: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn at(commit: &str, is_certain: bool) -> Position {
        let newest = Newest { commit: commit.to_owned(), is_certain, is_built: commit == HEAD };
        Position { branch: Some("main".to_owned()), elsewhere: None, newest: Ok(newest) }
    }

    fn unknown() -> Position {
        Position { newest: Err("no answer".to_owned()), ..at(HEAD, false) }
    }

    fn shows(relation: Relation) -> Tagged {
        Tagged::Commit { commit: OTHER.to_owned(), relation }
    }

    fn all() -> Vec<Tagged> {
        let relations =
            [Relation::Same, Relation::Older, Relation::Newer, Relation::Unrelated, Relation::Unknown];
        let rest = [Tagged::Absent, Tagged::Unnamed, Tagged::Unreadable];
        relations.map(shows).into_iter().chain(rest).collect()
    }

    fn reason(position: &Position, is_same: bool, tagged: Option<&Tagged>) -> String {
        position.moves(&Ok(is_same), tagged).err().unwrap_or_default()
    }

    #[test]
    fn nothing_moves_for_a_commit_that_is_not_on_the_default_branch() {
        let position = Position { elsewhere: Some("the tag `v1`".to_owned()), ..at(HEAD, true) };
        for tagged in all() {
            assert_eq!(
                reason(&position, true, Some(&tagged)),
                "this is the tag `v1`; only commits of `main` move it"
            );
        }
    }

    #[test]
    fn the_newest_commit_moves_tags_whatever_they_show_if_the_server_says_so() {
        let position = at(HEAD, true);
        assert!(!position.asks_tag());
        assert_eq!(reason(&position, true, None), "");
        assert_eq!(reason(&position, true, Some(&shows(Relation::Unknown))), "");
    }

    #[test]
    fn an_older_commit_moves_tags_only_if_its_image_is_that_of_the_newest() {
        let position = at(OTHER, true);
        assert_eq!(reason(&position, true, None), "");
        assert_eq!(
            reason(&position, false, Some(&Tagged::Absent)),
            "`main` has moved on to bbbbbbbbbb, whose image differs"
        );
        let unseen = position.moves(&Err("it cannot be fetched".to_owned()), None).unwrap_err();
        assert!(unseen.ends_with("cannot be compared: it cannot be fetched"), "{unseen}");
    }

    #[test]
    fn what_only_the_clone_says_is_held_against_what_the_tag_shows() {
        let position = at(HEAD, false);
        assert!(position.asks_tag());
        let moves: Vec<bool> =
            all().iter().map(|tagged| reason(&position, true, Some(tagged)).is_empty()).collect();
        assert_eq!(moves, [true, true, false, true, false, true, true, false]);
    }

    #[test]
    fn without_the_newest_commit_only_a_tag_that_cannot_go_back_moves() {
        let moves: Vec<bool> =
            all().iter().map(|tagged| reason(&unknown(), true, Some(tagged)).is_empty()).collect();
        assert_eq!(moves, [true, true, false, false, false, true, false, false]);
        assert_eq!(reason(&unknown(), true, None), "the newest commit of `main` is not known: no answer");
    }
}
