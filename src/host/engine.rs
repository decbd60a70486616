//! The engine behind the `docker` of a host: how it is reached, and what a proxy before it refuses.

use tokio::join;

use super::{Command, Driver, Script};
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Exit, Result};
use crate::state::reach::{Reach, is_refusal};

/// Asks how `docker` reaches its engine. No call of Docker is needed for that.
///
/// # Errors
///
/// When the connection is lost, or the host cannot look it up.
pub async fn reach(driver: &Driver) -> Result<Reach> {
    let reply = driver.call(&Command::Script(Script::Reach)).await?;
    if reply.is_ok() {
        return Ok(Reach::read(&reply.output));
    }
    let problem = Diagnostic::error("the host does not say which engine docker talks to", None)
        .help("run ghdeploy doctor, and look at the user's ~/.docker on the host");
    Err(Error::of(Exit::RolledBack, vec![problem]))
}

/// Asks the engine for its name for the machine that it is on; `None`: it does not say.
///
/// # Errors
///
/// When the connection is lost.
pub async fn machine_of_engine(driver: &Driver) -> Result<Option<String>> {
    let reply = ask(driver, &["info", "--format", "{{.Name}}"]).await?;
    Ok(reply.output.last().filter(|name| reply.is_ok() && !name.is_empty()).cloned())
}

/// Name that no container, network or volume has.
const NOTHING: &str = "ghdeploy-asks-whether-it-may";

/// Questions that change nothing, each with the part of Docker's interface that it needs. An engine answers those that
/// would change something with "no such container".
const QUESTIONS: [(&str, &[&str]); 8] = [
    ("GET /containers", &["ps", "--quiet", "--last", "1"]),
    ("GET /images", &["image", "ls", "--quiet", "--filter", "reference=ghdeploy-asks"]),
    ("GET /networks", &["network", "inspect", NOTHING]),
    ("GET /volumes", &["volume", "inspect", NOTHING]),
    ("POST /containers", &["container", "rename", NOTHING, NOTHING]),
    ("DELETE /containers", &["container", "rm", NOTHING]),
    ("DELETE /networks", &["network", "rm", NOTHING]),
    ("DELETE /volumes", &["volume", "rm", NOTHING]),
];

/// Asks which parts of Docker's interface that a sync needs are refused by a proxy: `POST /containers`.
///
/// # Errors
///
/// When the connection is lost.
pub async fn refused(driver: &Driver) -> Result<Vec<&'static str>> {
    let mut refused = Vec::new();
    for pair in QUESTIONS.chunks(2) {
        let (first, second) = join!(ask(driver, pair[0].1), ask(driver, pair[1].1));
        for ((part, _), reply) in pair.iter().zip([first?, second?]) {
            if is_refusal(&reply.output) {
                refused.push(*part);
            }
        }
    }
    Ok(refused)
}

async fn ask(driver: &Driver, argv: &[&str]) -> Result<super::Reply> {
    driver.call(&Command::Docker(argv.iter().map(ToString::to_string).collect())).await
}
