//! Logins to registries for the time of a pull, and which image needs which.
//!
//! A login never reaches a file of the host. The driver passes it to one `docker pull`, through a
//! [credential helper](https://docs.docker.com/reference/cli/docker/login/#credential-helpers).

use serde_json::json;

use super::reference::{DOCKER_HUB, registry_of};
use crate::base::secret::Secret;

/// Name of the credential helper, which the driver makes.
const HELPER: &str = "ghdeploy";

/// Key of Docker Hub among Docker's logins.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// Login to a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryLogin {
    /// The registry, as in the names of images.
    pub registry: String,
    /// Name of the environment variable that holds the password, for messages.
    pub variable: String,
    /// User name and password; `Err`: the variable that is empty or not set.
    pub credentials: Result<(String, Secret), String>,
}

impl RegistryLogin {
    /// A `config.json` of Docker that asks the credential helper for this login, and for no other.
    #[must_use]
    pub fn config(&self) -> String {
        let key = if self.registry == DOCKER_HUB { DOCKER_HUB_KEY } else { &self.registry };
        json!({"credHelpers": {key: HELPER}}).to_string()
    }

    /// What the helper answers; `None` without user name and password.
    #[must_use]
    pub fn answer(&self) -> Option<Secret> {
        let (username, password) = self.credentials.as_ref().ok()?;
        let answer = json!({"ServerURL": self.registry, "Username": username, "Secret": password.reveal()});
        Some(Secret::new(answer.to_string()))
    }
}

/// The login to the registry of an image.
#[must_use]
pub fn login_of<'l>(logins: &'l [RegistryLogin], image: &str) -> Option<&'l RegistryLogin> {
    let registry = registry_of(image);
    logins.iter().find(|login| login.registry.eq_ignore_ascii_case(registry))
}

/// Whether an image may be of a registry with a login, as its name is written in a compose file. A variable that is
/// not known may stand for any registry.
#[must_use]
pub fn may_need_login(logins: &[RegistryLogin], image: &str) -> bool {
    let known = image.split("${").next().unwrap_or(image);
    let is_open = known.len() < image.len() && !known.contains('/');
    if is_open { !logins.is_empty() } else { login_of(logins, image).is_some() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(registry: &str) -> RegistryLogin {
        RegistryLogin {
            registry: registry.to_owned(),
            variable: "TOKEN".to_owned(),
            credentials: Ok(("ann".to_owned(), Secret::new("hunter\"2\n"))),
        }
    }

    #[test]
    fn a_login_is_for_the_images_of_its_registry_only() {
        let logins = [login("ghcr.io"), login("docker.io"), login("127.0.0.1:5000")];
        let of = |image: &str| login_of(&logins, image).map(|login| login.registry.as_str());
        for (image, registry) in [
            ("ghcr.io/ann/app:1", Some("ghcr.io")),
            ("GHCR.io/ann/app", Some("ghcr.io")),
            ("ghcr.io.example.com/ann/app", None),
            ("ghcr.io:443/ann/app", None),
            ("quay.io/ghcr.io/app", None),
            ("127.0.0.1:5000/app@sha256:00", Some("127.0.0.1:5000")),
            ("127.0.0.1:5001/app", None),
            ("localhost/app", None),
            ("nginx", Some("docker.io")),
            ("ann/app:1", Some("docker.io")),
            ("docker.io/library/nginx", Some("docker.io")),
            ("index.docker.io/ann/app", Some("docker.io")),
        ] {
            assert_eq!(of(image), registry, "{image}");
        }
    }

    #[test]
    fn an_unknown_variable_may_stand_for_a_registry() {
        let logins = [login("ghcr.io")];
        for (image, may) in [
            ("${IMAGE}", true),
            ("${REGISTRY}/app", true),
            ("ghcr.io/${OWNER}/app:${TAG}", true),
            ("quay.io/${OWNER}/app", false),
            ("app:1", false),
        ] {
            assert_eq!(may_need_login(&logins, image), may, "{image}");
        }
        assert!(!may_need_login(&[], "${IMAGE}"));
    }

    #[test]
    fn docker_asks_the_helper_for_this_registry_alone() {
        assert_eq!(login("ghcr.io").config(), r#"{"credHelpers":{"ghcr.io":"ghdeploy"}}"#);
        assert_eq!(
            login("docker.io").config(),
            r#"{"credHelpers":{"https://index.docker.io/v1/":"ghdeploy"}}"#
        );
        // One line, whatever is in it.
        assert_eq!(
            login("ghcr.io").answer().unwrap().reveal(),
            r#"{"Secret":"hunter\"2\n","ServerURL":"ghcr.io","Username":"ann"}"#
        );
        assert!(!format!("{:?}", login("ghcr.io")).contains("hunter"));
    }
}
