//! What became of the images of a commit. Pure values.

use serde::Serialize;

use crate::images::gate::Verdict;

/// What became of the images of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Builds {
    /// The commit that they are built of.
    pub sha: String,
    /// Each image.
    pub images: Vec<ImageOutcome>,
    /// Why they may be built, or may not.
    pub verdict: Verdict,
}

/// What became of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageOutcome {
    /// The project.
    pub project: String,
    /// The service.
    pub service: String,
    /// Its name, without a tag.
    pub image: String,
    /// Its tags, each with the name.
    pub tags: Vec<String>,
    /// What it is: `sha256:…`; `None` where nothing was built, or nobody tells.
    pub digest: Option<String>,
    /// What became of it.
    pub result: ImageResult,
}

/// What became of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageResult {
    /// It was built, and pushed or loaded if that was asked for.
    Built,
    /// It was not, and docker has said why.
    Failed,
    /// Its gate is closed, so nothing was begun.
    Closed,
}
