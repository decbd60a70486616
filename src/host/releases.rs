//! Asks a driver for the releases that a host keeps.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::driver::Driver;
use super::facts::records;
use super::protocol::{Command, DriverEvent};
use crate::base::error::{Error, Result};
use crate::base::manifest::Digest;
use crate::base::path::RootPath;
use crate::state::deployed::{Deployed, State};

/// The releases of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Releases {
    /// The lines of the history, oldest first.
    pub lines: Vec<String>,
    /// The numbers of those that a rollback can return to, in no order.
    pub kept: Vec<u64>,
}

/// A host's answer to the question for the content of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptContent {
    /// The content.
    Bytes(Arc<[u8]>),
    /// The host does not have it.
    Missing,
    /// It is larger than the limit.
    Large,
    /// Only its owner may read it, and no digest was given.
    Private,
}

/// Asks for every release that was made on the host, and for those that it keeps.
///
/// # Errors
///
/// When the connection is lost.
pub async fn releases(driver: &Driver) -> Result<Releases> {
    let mut releases = Releases::default();
    for event in driver.call(&Command::Releases).await?.events {
        match event {
            DriverEvent::History { text } => releases.lines.push(text),
            DriverEvent::Kept { text } => releases.kept.extend(text.parse::<u64>().ok()),
            _ => {}
        }
    }
    Ok(releases)
}

/// An image that a service ran when a release was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseImage {
    /// Its id.
    pub id: String,
    /// Compose's project name.
    pub project: String,
    /// The service.
    pub service: String,
    /// Its name in the definition.
    pub name: String,
}

impl ReleaseImage {
    fn from_line(line: &str) -> Option<Self> {
        let mut words = line.split(' ').map(str::to_owned);
        Some(Self { id: words.next()?, project: words.next()?, service: words.next()?, name: words.next()? })
    }
}

/// Asks for the images that ran when the releases were made that the host keeps.
///
/// # Errors
///
/// When the connection is lost.
pub async fn used_images(driver: &Driver) -> Result<Vec<ReleaseImage>> {
    let events = driver.call(&Command::Images).await?.events;
    let images = events.into_iter().filter_map(|event| match event {
        DriverEvent::Image { text } => ReleaseImage::from_line(&text),
        _ => None,
    });
    Ok(images.collect())
}

/// Asks for what was deployed when a release was made, and for the images that ran; `None` when it is not
/// kept.
///
/// # Errors
///
/// When the connection is lost, or the records on the host cannot be read.
pub async fn snapshot(driver: &Driver, release: u64) -> Result<Option<(Deployed, Vec<ReleaseImage>)>> {
    let reply = driver.call(&Command::Snapshot(release)).await?;
    if !reply.is_ok() {
        return Ok(None);
    }
    let images = reply.events.iter().filter_map(|event| match event {
        DriverEvent::Image { text } => ReleaseImage::from_line(text),
        _ => None,
    });
    let images = images.collect();
    Ok(Some((records(reply.events, &BTreeMap::new())?, images)))
}

/// Asks for the state of a release; `None` when it is not kept, or its state is damaged.
///
/// # Errors
///
/// When the connection is lost, or the records on the host cannot be read.
pub async fn state_of(driver: &Driver, release: u64) -> Result<Option<State>> {
    let reply = driver.call(&Command::SnapshotState(release)).await?;
    if !reply.is_ok() {
        return Ok(None);
    }
    let deployed = records(reply.events, &BTreeMap::new())?;
    Ok(Some(deployed.state).filter(|_| deployed.damaged.is_empty()))
}

/// Asks for the content of files: that of the digest, or without one what lies at the path now. KeptContent
/// that does not have the digest counts as missing.
///
/// # Errors
///
/// When the connection is lost.
pub async fn contents(
    driver: &Driver,
    wants: Vec<(Option<Digest>, RootPath)>,
    max_bytes: u64,
) -> Result<Vec<KeptContent>> {
    if wants.is_empty() {
        return Ok(Vec::new());
    }
    let digests: Vec<Option<Digest>> = wants.iter().map(|(digest, _)| digest.clone()).collect();
    let reply = driver.call(&Command::Content { max_bytes, wants }).await?;
    let found = reply.events.into_iter().filter_map(|event| match event {
        DriverEvent::Content { hex } => Some(hex),
        _ => None,
    });
    let contents: Vec<KeptContent> =
        digests.iter().zip(found).map(|(digest, hex)| read(digest.as_ref(), &hex)).collect();
    if contents.len() == digests.len() {
        Ok(contents)
    } else {
        Err(Error::unforeseen("the host did not report every file"))
    }
}

fn read(digest: Option<&Digest>, hex: &str) -> KeptContent {
    if hex == "+" {
        return KeptContent::Large;
    }
    if hex == "!" {
        return KeptContent::Private;
    }
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|nibble| u8::try_from(nibble).ok());
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = hex.as_bytes().chunks(2).map(byte).collect();
    match bytes {
        Some(bytes) if digest.is_none_or(|digest| *digest == Digest::of(&bytes)) => {
            KeptContent::Bytes(bytes.into())
        }
        _ => KeptContent::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_content_of_the_digest_counts() {
        let digest = Digest::of(b"a\n\0");
        let bytes = KeptContent::Bytes(b"a\n\0".as_slice().into());
        assert_eq!(read(Some(&digest), "610a00"), bytes);
        assert_eq!(read(None, "610a00"), bytes);
        assert_eq!(read(Some(&digest), "620a00"), KeptContent::Missing);
        assert_eq!(read(None, ""), KeptContent::Bytes([].into()));
        for wrong in ["-", "6", "6x", "+6", "éé"] {
            assert_eq!(read(None, wrong), KeptContent::Missing, "{wrong}");
        }
        assert_eq!(read(Some(&digest), "+"), KeptContent::Large);
    }
}
