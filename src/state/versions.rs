//! Versions of Docker Compose on a host.

/// Oldest version of Compose that has every option that ghdeploy uses; Ubuntu 22.04 has it.
pub const MINIMUM: (u32, u32) = (2, 20);

/// Oldest version whose `run` can be told not to pull (<https://github.com/docker/compose/pull/12397>).
pub const RUN_WITHOUT_PULL: (u32, u32) = (2, 33);

/// What to install.
pub const PACKAGES: &str =
    "install docker-compose-plugin (Docker's own), docker-compose-v2 (Ubuntu) or docker-compose (Debian 13)";

/// What is wrong with a version of Compose that is older than the oldest that is supported, `2.19.1 is older than
/// 2.20`; `None` also if the version, `v2.20.3` or `2.26.1-4`, cannot be read.
#[must_use]
pub fn too_old(version: &str) -> Option<String> {
    older_than(version, MINIMUM)
}

/// The same for another version than the oldest that is supported.
#[must_use]
pub fn older_than(version: &str, minimum: (u32, u32)) -> Option<String> {
    let version = version.trim().trim_start_matches('v');
    let mut numbers = version.split('.').map(str::parse::<u32>);
    let (major, minor) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    let is_plain = version.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+'));
    ((major, minor) < minimum && is_plain)
        .then(|| format!("{version} is older than {}.{}", minimum.0, minimum.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        for (version, is_old) in [
            ("2.20.3", false),
            ("v2.9.0", true),
            ("2.19.1", true),
            ("2.26.1-4", false),
            ("5.0.0", false),
            ("v1.29.2", true),
            ("dev", false),
            ("", false),
        ] {
            assert_eq!(too_old(version).is_some(), is_old, "{version}");
        }
        assert_eq!(too_old("v2.19.1\n").as_deref(), Some("2.19.1 is older than 2.20"));
    }
}
