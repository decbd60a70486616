//! The one comment of a pull request that is kept up to date.
//!
//! Owns how it is found again, and that an older plan never replaces a newer one. GitHub has no conditional
//! update, so there is no lock to take. A run writes only about the newest commit of the pull request and
//! looks again after it has written. If it was overtaken meanwhile, it withdraws its plan.

use super::client::{ApiError, Client};
use super::models::{IssueComment, NewComment, User, UserType};
use super::pulls;
use crate::report::marker::Marker;

/// How often a comment is written again because somebody else has written in between.
const ROUNDS: usize = 3;

/// The place of the comment on one pull request.
#[derive(Debug)]
pub struct CommentPlace<'a> {
    /// The client of the API.
    pub client: &'a Client,
    /// `owner/name` of the repository.
    pub repository: &'a str,
    /// The number of the pull request.
    pub number: u64,
}

/// The texts of a comment.
#[derive(Debug, Clone)]
pub struct CommentText {
    /// The mark by which it is found again.
    pub marker: Marker,
    /// The whole text, with the marker as its first line.
    pub body: String,
    /// Replacement for the text if the pull request moves on while it is written.
    pub outdated: String,
    /// Whether it is worth a comment if there is none yet.
    pub is_news: bool,
}

/// Result of posting a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Posted {
    /// A comment was created; its page.
    Created(String),
    /// The existing comment was updated; its page.
    Updated(String),
    /// Nothing was written: there is no comment yet, and no news.
    Nothing,
    /// Nothing was written: the pull request has moved on to this commit.
    Stale(String),
}

impl CommentPlace<'_> {
    /// Creates or updates the comment.
    ///
    /// # Errors
    ///
    /// When GitHub refuses or is not reached.
    pub async fn post(&self, text: &CommentText) -> Result<Posted, ApiError> {
        let mut created = None;
        let mut last = None;
        for _ in 0..ROUNDS {
            if let Some(newer) = self.newer(&text.marker).await? {
                if last.is_some() {
                    self.withdraw(text).await?;
                }
                return Ok(Posted::Stale(newer));
            }
            let existing = self.existing(&text.marker.key).await?;
            if let Some(newer) = existing.iter().find_map(|comment| comment.marker.overtakes(&text.marker)) {
                return Ok(Posted::Stale(newer));
            }
            let Some((first, others)) = existing.split_first() else {
                if !text.is_news {
                    return Ok(Posted::Nothing);
                }
                // Two runs may both find no comment. Their next look finds both, and keeps the older one.
                let route = self.route("issues", "comments");
                let made: IssueComment = self.client.post(&route, &NewComment { body: &text.body }).await?;
                created = Some(made.id);
                last = Some(made.html_url);
                continue;
            };
            // Only two runs at the same moment can have made several. All runs keep the same one.
            for other in others {
                self.client.delete(&self.comment(other.id)).await?;
            }
            if first.body.trim_end() == text.body.trim_end() {
                let url = last.unwrap_or_else(|| first.url.clone());
                return Ok(if created == Some(first.id) {
                    Posted::Created(url)
                } else {
                    Posted::Updated(url)
                });
            }
            match self.write(first.id, &text.body).await {
                Ok(made) => last = Some(made.html_url),
                // Somebody has deleted it meanwhile.
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(newer) = self.newer(&text.marker).await? {
            self.withdraw(text).await?;
            return Ok(Posted::Stale(newer));
        }
        match last {
            Some(url) => Ok(Posted::Updated(url)),
            None => Err(ApiError::Unusable("the comment is deleted as often as it is written".to_owned())),
        }
    }

    /// Withdraws what was written, where it still stands: an old plan must not look like a new one.
    async fn withdraw(&self, text: &CommentText) -> Result<(), ApiError> {
        for existing in self.existing(&text.marker.key).await? {
            if existing.body.trim_end() == text.body.trim_end() {
                self.write(existing.id, &text.outdated).await?;
            }
        }
        Ok(())
    }

    async fn write(&self, id: u64, body: &str) -> Result<IssueComment, ApiError> {
        self.client.patch(&self.comment(id), &NewComment { body }).await
    }

    /// The newest commit of the pull request, if it is not the marker's.
    async fn newer(&self, marker: &Marker) -> Result<Option<String>, ApiError> {
        let head = pulls::head(self.client, self.repository, self.number).await?;
        Ok((head != marker.head).then_some(head))
    }

    /// Our comments, the oldest first.
    async fn existing(&self, key: &str) -> Result<Vec<ExistingComment>, ApiError> {
        let all: Vec<IssueComment> = self.client.list(&self.route("issues", "comments"), None).await?;
        let mut found: Vec<ExistingComment> = all.into_iter().filter_map(ExistingComment::read).collect();
        found.retain(|comment| comment.marker.key == key);
        // A person may write what looks like a marker. Their comment is not ours to change, unless the token
        // is theirs.
        if found.iter().any(|comment| !comment.is_bot) {
            let own = match self.client.get::<User>("/user").await {
                Ok(user) => Some(user.login),
                Err(ApiError::Refused { .. }) => None,
                Err(error) => return Err(error),
            };
            found.retain(|comment| comment.is_bot || own.as_ref() == Some(&comment.author));
        }
        found.sort_by_key(|comment| comment.id);
        Ok(found)
    }

    fn route(&self, what: &str, list: &str) -> String {
        format!("/repos/{}/{what}/{}/{list}", self.repository, self.number)
    }

    fn comment(&self, id: u64) -> String {
        format!("/repos/{}/issues/comments/{id}", self.repository)
    }
}

/// A comment with a marker.
struct ExistingComment {
    id: u64,
    url: String,
    author: String,
    is_bot: bool,
    body: String,
    marker: Marker,
}

impl ExistingComment {
    fn read(comment: IssueComment) -> Option<Self> {
        // GitHub stores `\r\n` in what was written in a browser.
        let body = comment.body?.replace("\r\n", "\n");
        let author = comment.user?;
        Some(Self {
            id: comment.id,
            url: comment.html_url,
            is_bot: author.r#type == Some(UserType::Bot),
            author: author.login,
            marker: Marker::read(&body)?,
            body,
        })
    }
}
