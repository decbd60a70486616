//! The one comment of a pull request that is kept up to date.
//!
//! Owns how it is found again, and that what is old never takes the place of what is new. GitHub knows no conditional
//! update, so there is no lock to take: a run writes only what is about the newest commit of the pull request, looks
//! again after it has written, and says so in its place if it was overtaken meanwhile.

use serde_json::{Value, json};

use super::client::{Client, Failure};
use crate::report::marker::Marker;

/// How often a comment is written anew because somebody else has written in between.
const ROUNDS: usize = 3;

/// The comment of one pull request.
#[derive(Debug)]
pub struct Comment<'a> {
    /// The way to the API.
    pub client: &'a Client,
    /// `owner/name` of the repository.
    pub repository: &'a str,
    /// The number of the pull request.
    pub number: u64,
}

/// What is to be said.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What it is about.
    pub marker: Marker,
    /// The whole text, with the marker as its first line.
    pub body: String,
    /// What stands there instead if the pull request moves on while it is written.
    pub outdated: String,
    /// Whether it is worth a comment where there is none yet.
    pub is_news: bool,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Posted {
    /// It was written for the first time.
    Created(String),
    /// It was written in the place of what was there.
    Updated(String),
    /// There was nothing to say, and no comment to say so.
    Nothing,
    /// The pull request has moved on to this commit, so that nothing was written.
    Stale(String),
}

impl Comment<'_> {
    /// Brings the comment to what is wanted.
    ///
    /// # Errors
    ///
    /// When GitHub refuses or is not reached.
    pub async fn post(&self, wanted: &Wanted) -> Result<Posted, Failure> {
        let mut created = None;
        let mut last = None;
        for _ in 0..ROUNDS {
            if let Some(newer) = self.newer(&wanted.marker).await? {
                if last.is_some() {
                    self.withdraw(wanted).await?;
                }
                return Ok(Posted::Stale(newer));
            }
            let there = self.there(&wanted.marker.key).await?;
            if let Some(newer) = there.iter().find_map(|comment| comment.marker.overtakes(&wanted.marker)) {
                return Ok(Posted::Stale(newer));
            }
            let Some((first, others)) = there.split_first() else {
                if !wanted.is_news {
                    return Ok(Posted::Nothing);
                }
                // Two runs may both find none: the next look finds both, and keeps the older one.
                let made = self
                    .client
                    .post(&self.route("issues", "comments"), &json!({"body": wanted.body}))
                    .await?;
                created = made.body["id"].as_u64();
                last = Some(url(&made.body));
                continue;
            };
            // Of several, which only two runs at the same moment can have made, all keep the same one.
            for other in others {
                self.client.delete(&self.comment(other.id)).await?;
            }
            if first.body.trim_end() == wanted.body.trim_end() {
                let url = last.unwrap_or_else(|| first.url.clone());
                return Ok(if created == Some(first.id) {
                    Posted::Created(url)
                } else {
                    Posted::Updated(url)
                });
            }
            match self.client.patch(&self.comment(first.id), &json!({"body": wanted.body})).await {
                Ok(made) => last = Some(url(&made.body)),
                // Somebody has deleted it meanwhile.
                Err(Failure::Refused { status: 404 | 410, .. }) => {}
                Err(failure) => return Err(failure),
            }
        }
        if let Some(newer) = self.newer(&wanted.marker).await? {
            self.withdraw(wanted).await?;
            return Ok(Posted::Stale(newer));
        }
        match last {
            Some(url) => Ok(Posted::Updated(url)),
            None => Err(Failure::Unreachable("the comment is deleted as often as it is written".to_owned())),
        }
    }

    /// Takes back what was written, where it still stands: what is old must not look like what is new.
    async fn withdraw(&self, wanted: &Wanted) -> Result<(), Failure> {
        for there in self.there(&wanted.marker.key).await? {
            if there.body.trim_end() == wanted.body.trim_end() {
                self.client.patch(&self.comment(there.id), &json!({"body": wanted.outdated})).await?;
            }
        }
        Ok(())
    }

    /// The newest commit of the pull request, if that is another than the marker's.
    async fn newer(&self, marker: &Marker) -> Result<Option<String>, Failure> {
        let pull = self.client.get(&format!("/repos/{}/pulls/{}", self.repository, self.number)).await?;
        let head = pull.body.pointer("/head/sha").and_then(Value::as_str);
        let head = head.ok_or_else(|| {
            Failure::Unreachable("it does not tell the commit of the pull request".to_owned())
        })?;
        Ok((head != marker.head).then(|| head.to_owned()))
    }

    /// Our comments, the oldest first.
    async fn there(&self, key: &str) -> Result<Vec<There>, Failure> {
        let all = self.client.list(&self.route("issues", "comments"), None).await?;
        let mut found: Vec<There> =
            all.iter().filter_map(There::read).filter(|there| there.marker.key == key).collect();
        // A person may write what looks like a marker: theirs is not ours to change, unless the token is theirs.
        if found.iter().any(|there| !there.is_bot) {
            let own = match self.client.get("/user").await {
                Ok(user) => user.body["login"].as_str().map(str::to_owned),
                Err(Failure::Refused { .. }) => None,
                Err(failure) => return Err(failure),
            };
            found.retain(|there| there.is_bot || own.as_deref() == Some(&there.author));
        }
        found.sort_by_key(|there| there.id);
        Ok(found)
    }

    fn route(&self, what: &str, list: &str) -> String {
        format!("/repos/{}/{what}/{}/{list}", self.repository, self.number)
    }

    fn comment(&self, id: u64) -> String {
        format!("/repos/{}/issues/comments/{id}", self.repository)
    }
}

/// A comment of ours that is there.
struct There {
    id: u64,
    url: String,
    author: String,
    is_bot: bool,
    body: String,
    marker: Marker,
}

impl There {
    fn read(comment: &Value) -> Option<Self> {
        // GitHub gives the lines of what was written in a browser other ends.
        let body = comment["body"].as_str()?.replace("\r\n", "\n");
        Some(Self {
            id: comment["id"].as_u64()?,
            url: url(comment),
            author: comment["user"]["login"].as_str()?.to_owned(),
            is_bot: comment["user"]["type"] == "Bot",
            marker: Marker::read(&body)?,
            body,
        })
    }
}

fn url(comment: &Value) -> String {
    comment["html_url"].as_str().unwrap_or_default().to_owned()
}
