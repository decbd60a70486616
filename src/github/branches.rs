//! Branches of a repository.

use super::client::{ApiError, Client};
use super::models::{Branch, Repository};

/// Name of the default branch.
///
/// # Errors
///
/// When GitHub refuses or is not reached.
pub async fn default_branch(client: &Client, repository: &str) -> Result<String, ApiError> {
    let repository: Repository = client.get(&format!("/repos/{repository}")).await?;
    Ok(repository.default_branch)
}

/// Newest commit of a branch.
///
/// # Errors
///
/// When GitHub refuses or is not reached.
pub async fn newest(client: &Client, repository: &str, branch: &str) -> Result<String, ApiError> {
    let branch: Branch = client.get(&format!("/repos/{repository}/branches/{}", encoded(branch))).await?;
    Ok(branch.commit.sha)
}

/// Encodes a name for a path. GitHub takes a slash as it is.
fn encoded(name: &str) -> String {
    let encode = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' | b'/' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    name.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_place_in_a_path() {
        assert_eq!(encoded("release/1.x"), "release/1.x");
        assert_eq!(encoded("a?b#c d%ü"), "a%3Fb%23c%20d%25%C3%BC");
    }
}
