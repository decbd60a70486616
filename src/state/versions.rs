//! Versions of Docker Engine and of Docker Compose on a host.

/// Oldest version of Compose that has every option that ghdeploy uses; Ubuntu 22.04 has it.
pub const MINIMUM: (u32, u32) = (2, 20);

/// Oldest version whose `run` can be told not to pull (<https://github.com/docker/compose/pull/12397>).
pub const RUN_WITHOUT_PULL: (u32, u32) = (2, 33);

/// Oldest and newest versions of Compose that the tests run with (`tests/stack.sh`, `tests/compat.sh`).
pub const TESTED_COMPOSE: [(u32, u32); 2] = [(2, 26), (5, 5)];

/// The same for Docker Engine.
pub const TESTED_ENGINE: [(u32, u32); 2] = [(20, 10), (28, 5)];

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
    let (version, number) = read(version)?;
    (number < minimum).then(|| format!("{version} is older than {}.{}", minimum.0, minimum.1))
}

/// What is to be said of a version that is outside of those that are tested, `29.1.2 is newer than 28.5, the newest
/// that ghdeploy is tested with`; `None` also if the version cannot be read.
#[must_use]
pub fn untested(version: &str, [oldest, newest]: [(u32, u32); 2]) -> Option<String> {
    let (version, number) = read(version)?;
    let (how, word, (major, minor)) = match number {
        number if number < oldest => ("older", "oldest", oldest),
        number if number > newest => ("newer", "newest", newest),
        _ => return None,
    };
    Some(format!("{version} is {how} than {major}.{minor}, the {word} that ghdeploy is tested with"))
}

/// The version without what surrounds it, and its first two numbers.
fn read(version: &str) -> Option<(&str, (u32, u32))> {
    let version = version.trim().trim_start_matches('v');
    let mut numbers = version.split('.').map(str::parse::<u32>);
    let (major, minor) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    let is_plain = version.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+'));
    is_plain.then_some((version, (major, minor)))
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

    #[test]
    fn versions_outside_of_the_tests_are_told() {
        let said = |version| untested(version, [(20, 10), (28, 5)]);
        for version in ["20.10.24+dfsg1", "27.0.1", "28.5.2", "dev", ""] {
            assert_eq!(said(version), None, "{version}");
        }
        assert_eq!(
            said("19.03.15").as_deref(),
            Some("19.03.15 is older than 20.10, the oldest that ghdeploy is tested with")
        );
        assert_eq!(
            said("29.0.0-rc.1").as_deref(),
            Some("29.0.0-rc.1 is newer than 28.5, the newest that ghdeploy is tested with")
        );
    }
}
