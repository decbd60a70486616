//! Names and tags of the images that are built here. Pure.

/// Label that names the commit that an image was built from
/// ([OCI's own](https://github.com/opencontainers/image-spec/blob/main/annotations.md)).
pub const REVISION: &str = "org.opencontainers.image.revision";

/// Label that holds the digest of everything that an image was built from. By it, a host knows whether a
/// build is owed.
pub const INPUTS: &str = "io.github.ghdeploy.inputs";

/// Docker Hub, as the registry of an image whose name has none.
pub const DOCKER_HUB: &str = "docker.io";

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
/// builds several. The project in the root has no name of its own: there it is `<registry>/<service>`.
#[must_use]
pub fn name(image: Option<&str>, registry: &str, project: &str, service: &str, is_alone: bool) -> String {
    if let Some(image) = image.filter(|image| !image.is_empty()) {
        return parts(image).0.to_owned();
    }
    let last = project.rsplit('/').next().unwrap_or(project);
    let own = match last {
        "." => service.to_owned(),
        last if is_alone => last.to_owned(),
        last => format!("{last}-{service}"),
    };
    let own: String = own
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
        .collect();
    format!("{}/{}", registry.trim_end_matches('/'), own.trim_matches(['.', '-', '_']))
}

/// Tag of an image that belongs to one commit and never moves.
#[must_use]
pub fn commit_tag(name: &str, sha: &str) -> String {
    let short: String = sha.chars().take(DIGITS).collect();
    format!("{name}:sha-{short}")
}

/// Tags of an image that all commits share: `latest`, and the one in the compose file.
#[must_use]
pub fn shared_tags(name: &str, image: Option<&str>) -> Vec<String> {
    let mut tags = vec![format!("{name}:latest")];
    if let Some(own) = image.and_then(|image| parts(image).1).map(|tag| format!("{name}:{tag}"))
        && !tags.contains(&own)
    {
        tags.push(own);
    }
    tags
}

/// Registry of a repository `owner/name` on the server at an address: `ghcr.io` for GitHub itself, and
/// [`containers.HOST`](https://docs.github.com/enterprise-server/packages/working-with-a-github-packages-registry/working-with-the-container-registry)
/// for an Enterprise Server or a subdomain of ghe.com. Image names are in lowercase there.
#[must_use]
pub fn registry(server: &str, repository: &str) -> String {
    let owner = repository.split('/').next().unwrap_or(repository).to_lowercase();
    let host = server.rsplit("://").next().unwrap_or_default();
    let host = host.split(['/', ':']).next().unwrap_or_default().to_lowercase();
    match host.as_str() {
        "" | "github.com" | "www.github.com" => format!("ghcr.io/{owner}"),
        host => format!("containers.{host}/{owner}"),
    }
}

/// The registry of an image, by
/// [Docker's rule](https://github.com/distribution/reference/blob/main/normalize.go): what stands before the first
/// slash, if it looks like a host.
#[must_use]
pub fn registry_of(image: &str) -> &str {
    let is_host =
        |text: &str| text.contains(['.', ':']) || text == "localhost" || text != text.to_lowercase();
    match image.split_once('/') {
        Some((host, _)) if is_host(host) && host != "index.docker.io" => host,
        _ => DOCKER_HUB,
    }
}

/// The name of an image as Docker lists it: without what stands for Docker Hub, and with a tag.
#[must_use]
pub fn familiar(image: &str) -> String {
    let (name, tag) = parts(image);
    let hub = ["docker.io/", "index.docker.io/"].iter().find_map(|start| name.strip_prefix(start));
    let name = hub.map_or(name, |rest| rest.strip_prefix("library/").unwrap_or(rest));
    format!("{name}:{}", tag.unwrap_or("latest"))
}

/// Whether the name of an image holds a capital letter, which no registry takes. The host of the registry,
/// the tag and variables that are not known do not count.
#[must_use]
pub fn has_capitals(image: &str) -> bool {
    let mut known = String::with_capacity(image.len());
    let mut rest = image;
    while let Some((before, after)) = rest.split_once("${") {
        known.push_str(before);
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    known.push_str(rest);
    let name = parts(&known).0;
    let path = match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host.eq_ignore_ascii_case("localhost") => path,
        _ => name,
    };
    path.chars().any(char::is_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_of_the_project_in_the_root_has_the_name_of_its_service() {
        assert_eq!(name(None, "ghcr.io/ann", ".", "web", true), "ghcr.io/ann/web");
        assert_eq!(name(None, "ghcr.io/ann", ".", "job", false), "ghcr.io/ann/job");
    }

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
    }

    #[test]
    fn the_registry_is_that_of_the_server() {
        for (server, expected) in [
            ("https://github.com", "ghcr.io/ann"),
            ("https://github.com/", "ghcr.io/ann"),
            ("https://Git.Example.com:8443/", "containers.git.example.com/ann"),
            ("https://acme.ghe.com", "containers.acme.ghe.com/ann"),
            ("", "ghcr.io/ann"),
        ] {
            assert_eq!(registry(server, "Ann/Side"), expected, "{server}");
        }
    }

    #[test]
    fn a_name_is_compared_as_docker_lists_it() {
        for (image, listed) in [
            ("nginx", "nginx:latest"),
            ("docker.io/library/nginx:1", "nginx:1"),
            ("index.docker.io/ann/app", "ann/app:latest"),
            ("ghcr.io/library/app:1", "ghcr.io/library/app:1"),
            ("127.0.0.1:5000/app", "127.0.0.1:5000/app:latest"),
        ] {
            assert_eq!(familiar(image), listed, "{image}");
        }
    }

    #[test]
    fn capital_letters_count_in_the_path_of_a_name_only() {
        for (image, has) in [
            ("ghcr.io/Ann/app:main", true),
            ("ghcr.io/ann/App", true),
            ("App", true),
            ("Ann/app:1", true),
            ("ghcr.io/${OWNER}/App:1", true),
            ("ghcr.io/ann/app:RC1", false),
            ("ghcr.io/ann/app@sha256:AB", false),
            ("GHCR.io/ann/app", false),
            ("LOCALHOST/app", false),
            ("127.0.0.1:5000/app:X", false),
            ("ghcr.io/${OWNER}/app:${TAG}", false),
            ("${IMAGE}", false),
            ("app:${Tag", false),
        ] {
            assert_eq!(has_capitals(image), has, "{image}");
        }
    }

    #[test]
    fn the_tag_of_the_compose_file_is_one_of_the_tags() {
        let sha = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(commit_tag("a/b", sha), "a/b:sha-0123456789ab");
        assert_eq!(shared_tags("a/b", None), ["a/b:latest"]);
        assert_eq!(shared_tags("a/b", Some("a/b:main")), ["a/b:latest", "a/b:main"]);
        assert_eq!(shared_tags("a/b", Some("a/b:latest")), ["a/b:latest"]);
    }
}
