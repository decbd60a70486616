//! Names and tags of the images that are built here. Pure.

/// Label that names the commit that an image was built from
/// ([OCI's own](https://github.com/opencontainers/image-spec/blob/main/annotations.md)).
pub const REVISION: &str = "org.opencontainers.image.revision";

/// Label that holds the digest of everything that an image was built from. By it, a host knows whether a
/// build is owed.
pub const INPUTS: &str = "io.github.ghdeploy.inputs";

/// Digits of a commit in a tag: enough for any repository, and short enough to read.
const DIGITS: usize = 12;

/// Splits an image reference into name and tag and drops the digest: `ghcr.io/ann/app:1` is `ghcr.io/ann/app`
/// and `1`.
#[must_use]
pub fn parts(image: &str) -> (&str, Option<&str>) {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    match image.rsplit_once(':') {
        // A colon before a slash belongs to a port.
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (image, None),
    }
}

/// Name under which the image of a service is pushed. The name in its compose file counts, because the host
/// pulls that one. Without it, the name is `<registry>/<project>`, followed by the service if the project
/// builds several.
#[must_use]
pub fn name(image: Option<&str>, registry: &str, project: &str, service: &str, is_alone: bool) -> String {
    if let Some(image) = image.filter(|image| !image.is_empty()) {
        return parts(image).0.to_owned();
    }
    let last = project.rsplit('/').next().unwrap_or(project);
    let own = if is_alone { last.to_owned() } else { format!("{last}-{service}") };
    let own: String = own
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
        .collect();
    format!("{}/{}", registry.trim_end_matches('/'), own.trim_matches(['.', '-', '_']))
}

/// Tags of an image that is built from a commit: one of the commit's own, `latest`, and the one in the
/// compose file.
#[must_use]
pub fn tags(name: &str, image: Option<&str>, sha: &str) -> Vec<String> {
    let short: String = sha.chars().take(DIGITS).collect();
    let mut tags = vec![format!("{name}:sha-{short}"), format!("{name}:latest")];
    if let Some(own) = image.and_then(|image| parts(image).1).map(|tag| format!("{name}:{tag}"))
        && !tags.contains(&own)
    {
        tags.push(own);
    }
    tags
}

/// Registry of a repository `owner/name` on GitHub. Image names are in lowercase there.
#[must_use]
pub fn registry(repository: &str) -> String {
    format!("ghcr.io/{}", repository.split('/').next().unwrap_or(repository).to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_stands_before_tag_and_digest() {
        for (image, name, tag) in [
            ("nginx", "nginx", None),
            ("nginx:1.27", "nginx", Some("1.27")),
            ("127.0.0.1:5000/app", "127.0.0.1:5000/app", None),
            ("127.0.0.1:5000/app:1", "127.0.0.1:5000/app", Some("1")),
            ("ghcr.io/ann/app:1@sha256:00", "ghcr.io/ann/app", Some("1")),
            ("app@sha256:00", "app", None),
        ] {
            assert_eq!(parts(image), (name, tag), "{image}");
        }
    }

    #[test]
    fn an_image_goes_where_the_host_pulls_it_from() {
        assert_eq!(name(Some("ghcr.io/ann/app:main"), "ghcr.io/x", "blog", "web", true), "ghcr.io/ann/app");
        assert_eq!(name(None, "ghcr.io/ann", "blog", "web", true), "ghcr.io/ann/blog");
        assert_eq!(name(None, "ghcr.io/ann/", "web/My Blog", "web", false), "ghcr.io/ann/my-blog-web");
        assert_eq!(registry("Ann/Side"), "ghcr.io/ann");
    }

    #[test]
    fn the_tag_of_the_compose_file_is_one_of_the_tags() {
        let sha = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(tags("a/b", None, sha), ["a/b:sha-0123456789ab", "a/b:latest"]);
        assert_eq!(tags("a/b", Some("a/b:main"), sha), ["a/b:sha-0123456789ab", "a/b:latest", "a/b:main"]);
        assert_eq!(tags("a/b", Some("a/b:latest"), sha).len(), 2);
    }
}
