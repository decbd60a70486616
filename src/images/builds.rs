//! Results of building the images of a commit. Pure values.

use serde::Serialize;

use crate::images::gate::Verdict;

/// Result of building the images of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Builds {
    /// The commit that they are built from.
    pub sha: String,
    /// Each image.
    pub images: Vec<ImageOutcome>,
    /// The verdict on whether they may be built.
    pub verdict: Verdict,
}

/// Image with its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageOutcome {
    /// The project.
    pub project: String,
    /// The service.
    pub service: String,
    /// Its name, without a tag.
    pub image: String,
    /// Its tags, each with its name in front.
    pub tags: Vec<String>,
    /// The tags that it did not get, because they belong to another commit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmoved: Vec<UnmovedTag>,
    /// Its digest, `sha256:…`; `None` if nothing was built or buildx does not report it.
    pub digest: Option<String>,
    /// The result.
    pub result: ImageResult,
}

/// Tag that stays where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnmovedTag {
    /// The tag, with the image's name in front.
    pub tag: String,
    /// The reason.
    pub why: String,
}

/// Result of building an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageResult {
    /// It was built, and pushed or loaded if requested.
    Built,
    /// The build failed; Docker's output has the cause.
    Failed,
    /// Its gate is closed, so no build was started.
    Closed,
}
