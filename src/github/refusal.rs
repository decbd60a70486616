//! The reason why GitHub refused a call, as far as its answer tells.
//!
//! GitHub has one status for many reasons and tells them apart only in words, which are read here and nowhere
//! else. Pure.

/// Reason for a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusalCause {
    /// The token is wrong or has expired.
    BadToken,
    /// The token lacks a permission.
    LacksPermission {
        /// The permissions of which one is enough, such as "`issues: write`"; empty if GitHub names none.
        accepted: Vec<String>,
    },
    /// The organization requires single sign-on, for which the token is not authorized.
    SingleSignOn,
    /// The organization does not accept calls from the address of this machine.
    IpAllowList,
    /// The conversation of the issue or pull request is locked.
    Locked,
    /// The repository is archived.
    Archived,
    /// What the call is about does not exist, or the token may not see it.
    Missing,
    /// Anything else.
    Other,
}

impl RefusalCause {
    /// Reads an answer. `accepted` is its header [`x-accepted-github-permissions`](
    /// https://docs.github.com/rest/authentication/permissions-required-for-github-apps).
    #[must_use]
    pub fn read(status: u16, message: &str, accepted: Option<&str>) -> Self {
        let message = message.to_lowercase();
        let says = |words: &str| message.contains(words);
        let is_said = |word: &str| message.split(|c: char| !c.is_alphanumeric()).any(|own| own == word);
        match status {
            401 => Self::BadToken,
            403 | 404 if says("not accessible by") || says("must have ") => {
                Self::LacksPermission { accepted: accepted.map(alternatives).unwrap_or_default() }
            }
            403 if says("saml") || says("single sign-on") => Self::SingleSignOn,
            403 if says("ip allow list") => Self::IpAllowList,
            403 if is_said("locked") => Self::Locked,
            403 if says("archived") => Self::Archived,
            404 | 410 => Self::Missing,
            _ => Self::Other,
        }
    }

    /// What to do about it. `permission` is what the call needs: `pull-requests: write`.
    #[must_use]
    pub fn advice(&self, permission: &str) -> Option<String> {
        Some(match self {
            Self::BadToken => {
                "the token is wrong or has expired: leave `github-token` out, so that it is the job's own, or renew its secret".to_owned()
            }
            Self::LacksPermission { accepted } => {
                let needs =
                    format!("the job needs `permissions: {permission}`; a token of your own needs the same");
                match accepted.as_slice() {
                    [] => needs,
                    accepted => format!("{needs} (GitHub accepts {})", accepted.join(" or ")),
                }
            }
            Self::SingleSignOn => {
                "authorize the token for the organization's single sign-on, or leave `github-token` out: the job's own token needs none".to_owned()
            }
            Self::IpAllowList => {
                "add the runner's address to the organization's IP allow list, or use a runner whose address is on it".to_owned()
            }
            Self::Locked => "unlock the conversation, if it should have a comment".to_owned(),
            Self::Archived => "an archived repository is read-only: unarchive it".to_owned(),
            Self::Missing => format!(
                "it does not exist, or the token may not see it: the job needs `permissions: {permission}`"
            ),
            Self::Other => return None,
        })
    }
}

/// Reads `issues=write; pull_requests=write,contents=read`: alternatives, each of which may need several, in the
/// words of a workflow's `permissions`.
fn alternatives(header: &str) -> Vec<String> {
    let one = |text: &str| {
        let (name, access) = text.trim().split_once('=')?;
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        let is_known = is_word(name) && is_word(access);
        is_known.then(|| format!("`{}: {access}`", name.replace('_', "-")))
    };
    let all = |text: &str| text.split(',').map(one).collect::<Option<Vec<_>>>();
    header.split(';').filter_map(all).map(|all| all.join(" and ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_told_by_githubs_own_words() {
        let permission = RefusalCause::LacksPermission { accepted: Vec::new() };
        for (status, message, cause) in [
            (401, "Bad credentials", RefusalCause::BadToken),
            (403, "Resource not accessible by integration", permission.clone()),
            (403, "Resource not accessible by personal access token", permission.clone()),
            (403, "Must have admin rights to Repository.", permission),
            (
                403,
                "Resource protected by organization SAML enforcement. You must grant your Personal Access token access to this organization.",
                RefusalCause::SingleSignOn,
            ),
            (
                403,
                "Although you appear to have the correct authorization credentials, the `ann` organization has an IP allow list enabled, and your IP address is not permitted to access this resource.",
                RefusalCause::IpAllowList,
            ),
            (403, "Unable to create comment because issue is locked.", RefusalCause::Locked),
            (403, "Repository access blocked", RefusalCause::Other),
            (403, "User is blocked", RefusalCause::Other),
            (403, "Repository was archived so is read-only.", RefusalCause::Archived),
            (403, "Sorry. Your account was suspended.", RefusalCause::Other),
            (404, "Not Found", RefusalCause::Missing),
            (410, "This issue was deleted", RefusalCause::Missing),
            (422, "Validation Failed", RefusalCause::Other),
        ] {
            assert_eq!(RefusalCause::read(status, message, None), cause, "{message}");
        }
    }

    #[test]
    fn the_permissions_that_github_accepts_are_named_as_a_workflow_writes_them() {
        let advice = |header: &str| {
            let message = "Resource not accessible by integration";
            RefusalCause::read(403, message, Some(header)).advice("pull-requests: write").unwrap()
        };
        assert_eq!(
            advice("issues=write; pull_requests=write,contents=read"),
            "the job needs `permissions: pull-requests: write`; a token of your own needs the same (GitHub accepts `issues: write` or `pull-requests: write` and `contents: read`)"
        );
        let plain = "the job needs `permissions: pull-requests: write`; a token of your own needs the same";
        for odd in ["", "x", "a=b`@all", "allows_permissionless_access=true,"] {
            assert_eq!(advice(odd), plain, "{odd}");
        }
    }
}
