//! Why an image could not be pulled.

/// Why an image could not be pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PullProblem {
    /// The reason.
    pub(crate) why: &'static str,
    /// What to do, if that is certain.
    pub(crate) help: Option<&'static str>,
    /// Whether the registry was not reached, so that nothing is wrong with the image.
    pub(crate) is_unreached: bool,
    /// Whether the registry does not show it to this login, or refuses the login.
    pub(crate) is_refused: bool,
}

/// Reads why an image could not be pulled.
pub(crate) fn explain_pull(output: &[String]) -> PullProblem {
    const NAME: &str =
        "check its name and tag, and that the host is logged in to its registry (docker login)";
    const OFFLINE: &str =
        "an image that the host has is not pulled: `docker load` brings one without a registry";
    let known = |why, help| PullProblem { why, help: Some(help), is_unreached: false, is_refused: false };
    let unreached = |why| PullProblem { why, help: Some(OFFLINE), is_unreached: true, is_refused: false };
    let refused = |why| PullProblem { is_refused: true, ..known(why, NAME) };
    let kinds: &[(&[&str], PullProblem)] = &[
        (
            &["no space left on device"],
            known(
                "the host's disk is full",
                "make room; `docker system df` shows what images and containers take",
            ),
        ),
        (
            &["toomanyrequests", "rate limit"],
            known(
                "its registry allows no more pulls for now",
                "wait, or log in to the registry on the host (docker login), which raises the limit",
            ),
        ),
        (
            &["no matching manifest"],
            known(
                "its registry has it for other platforms only",
                "name a tag that has the host's platform, or set `platform`",
            ),
        ),
        (
            &["manifest unknown", "no such manifest", "not found: manifest", "name unknown"],
            known("its registry does not have it", NAME),
        ),
        (
            &["incorrect username or password", "error getting credentials"],
            refused("its registry refuses the login"),
        ),
        (
            &[
                "pull access denied",
                "unauthorized",
                "authentication required",
                "no basic auth credentials",
                "denied:",
            ],
            refused("its registry does not have it, or asks for a login"),
        ),
        (
            &["invalid reference format", "could not parse reference"],
            known("this does not name an image", "write it like ghcr.io/ann/app:1"),
        ),
        (&["no such host", "server misbehaving"], unreached("the address of its registry is not found")),
        (&["connection refused"], unreached("its registry refuses the connection")),
        (
            &["x509:", "HTTP response to HTTPS client"],
            known(
                "the certificate of its registry is not accepted",
                "let Docker on the host trust the registry",
            ),
        ),
        (
            &[
                "imeout",
                "deadline exceeded",
                "network is unreachable",
                "no route to host",
                "connection reset",
                ": EOF",
            ],
            unreached("its registry does not answer"),
        ),
        (&[": not found"], known("its registry does not have it", NAME)),
    ];
    let says = |needle: &&str| output.iter().any(|line| line.contains(needle));
    let kind = kinds.iter().find(|(needles, _)| needles.iter().any(says));
    let unknown = PullProblem { why: "docker failed", help: None, is_unreached: false, is_refused: false };
    kind.map_or(unknown, |(_, problem)| *problem)
}
