//! Logins to registries: their passwords come from the environment of this process.

use super::context::Context;
use crate::base::error::{Error, Result};
use crate::base::secret::Secret;
use crate::config::{Config, Registry, Username};
use crate::images::login::RegistryLogin;

/// The variables that hold user names and passwords.
pub(super) fn variables(config: &Config) -> impl Iterator<Item = &String> {
    config.registries.iter().flat_map(|registry| {
        let username = match &registry.username {
            Username::Variable(name) => Some(name),
            Username::Literal(_) => None,
        };
        username.into_iter().chain([&registry.password])
    })
}

impl Context {
    /// The logins of the configuration. Those whose variables are empty say so when they are needed.
    pub(super) fn logins(&self) -> Vec<RegistryLogin> {
        self.config.registries.iter().map(login).collect()
    }

    /// Refuses a workflow run that may pull images and lacks a login. Elsewhere, a login is missed when an image has to
    /// be pulled.
    ///
    /// # Errors
    ///
    /// When a variable is empty or not set, with the likely reason.
    pub(super) fn refuse_empty_logins(&self, logins: &[RegistryLogin]) -> Result<()> {
        let Some(run) = &self.workflow else { return Ok(()) };
        for RegistryLogin { registry, credentials, .. } in logins {
            match credentials {
                Ok(_) => {}
                Err(variable) if std::env::var_os(variable).is_some() => {
                    let message = format!("the variable {variable} with the login to {registry} is empty");
                    return Err(Error::usage(message).help(run.reason_for_empty_secrets()));
                }
                Err(variable) => {
                    let message = format!("the variable {variable} with the login to {registry} is not set");
                    return Err(Error::usage(message).help(format!(
                        "set it in `env:` of the step or job, such as `{variable}: ${{{{ github.token }}}}`; `registries` in ghdeploy.yml names it"
                    )));
                }
            }
        }
        Ok(())
    }
}

fn login(registry: &Registry) -> RegistryLogin {
    let Registry { name, username, password } = registry;
    // A text that was piped into a secret ends with a line break.
    let value = |variable: &String| {
        let value = std::env::var(variable).unwrap_or_default();
        let value = value.trim_end_matches(['\r', '\n']);
        if value.is_empty() { Err(variable.clone()) } else { Ok(value.to_owned()) }
    };
    let user = match username {
        Username::Literal(name) => Ok(name.clone()),
        Username::Variable(variable) => value(variable),
    };
    let credentials = value(password).and_then(|password| Ok((user?, Secret::new(password))));
    RegistryLogin { registry: name.clone(), variable: password.clone(), credentials }
}
