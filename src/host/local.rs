//! The transport to this machine itself, for a self-hosted runner on the server.

use std::future::Future;
use std::pin::Pin;
use std::process::Stdio;

use tokio::process::Command;

use super::transport::{Remote, Starting, Transport};
use crate::base::error::{Error, Exit};
use crate::state::host_only::SESSION_VARIABLES;

/// Runs the driver as a child process.
#[derive(Debug, Clone)]
pub struct Local {
    /// The shell, a name or path and leading arguments: `sh`, except in tests.
    pub shell: Vec<String>,
}

impl Default for Local {
    fn default() -> Self {
        Self { shell: vec!["sh".to_owned()] }
    }
}

impl Transport for Local {
    fn start(&self) -> Starting<'_> {
        Box::pin(async {
            let fail = |error: std::io::Error| {
                Error::new(
                    Exit::Unreachable,
                    format!("failed to start {:?} on this machine: {error}", self.shell[0]),
                )
            };
            let mut child = Command::new(&self.shell[0])
                .args(&self.shell[1..])
                .args(["-c", super::BOOTSTRAP, "ghdeploy"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                // No token and no other variable of the client reaches a container. RUNNER_TRACKING_ID goes as
                // well: by it, GitHub's runner finds the processes that a job has left, and kills them, and a
                // cancelled job must not stop a step half way.
                .env_clear()
                .envs(SESSION_VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
                // Its own process group: Ctrl-C in a terminal reaches only this process, which then stops
                // gracefully.
                .process_group(0)
                .spawn()
                .map_err(fail)?;
            let (Some(stdin), Some(stdout), Some(stderr)) =
                (child.stdin.take(), child.stdout.take(), child.stderr.take())
            else {
                return Err(Error::unforeseen("a child process has no streams"));
            };
            Ok(Remote {
                stdin: Box::new(stdin),
                stdout: Box::new(stdout),
                stderr: Box::new(stderr),
                exit: Box::pin(async move {
                    let status = child.wait().await.map_err(|error| error.to_string())?;
                    status.code().ok_or_else(|| format!("ended by a signal: {status}"))
                }),
            })
        })
    }

    fn close(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_keeps_the_same_variables() {
        let driver = include_str!("driver/start.sh");
        let (_, list) = driver.split_once("case $name in\n").unwrap();
        let (list, _) = list.split_once(')').unwrap();
        let kept: Vec<&str> =
            list.split(['|', '\\']).map(str::trim).filter(|name| !name.is_empty()).collect();
        assert_eq!(kept, SESSION_VARIABLES);
    }
}
