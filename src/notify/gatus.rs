//! Gatus: the state of an [external endpoint](https://github.com/TwiN/gatus#external-endpoints), which is pushed.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::address::{Address, Variables};
use super::{Channel, Started};
use crate::base::diagnostic::Diagnostic;
use crate::config;
use crate::outcome::Outcome;
use crate::report::notification::{RunDetails, gatus_error};

/// An external endpoint. It has the state of the last deploy, so every result is pushed, also one that changed
/// nothing.
pub(super) struct Gatus {
    address: Address,
    details: RunDetails,
}

impl Gatus {
    /// The endpoint; `None` where a variable is not set outside of a workflow run.
    ///
    /// # Errors
    ///
    /// A warning when a workflow run lacks a variable, or the address is not that of an external endpoint.
    pub(super) fn new(
        gatus: &config::notify::Gatus,
        variables: Variables<'_>,
        details: RunDetails,
    ) -> Result<Option<Self>, Diagnostic> {
        let (url, token) = (variables.url(&gatus.url)?, variables.value(&gatus.token)?);
        let (Some(url), Some(token)) = (url, token) else { return Ok(None) };
        if !url.path().ends_with("/external") {
            let why = "is no external endpoint; it should be like \
                       https://status.example.com/api/v1/endpoints/GROUP_NAME/external";
            return Err(variables.unusable(&gatus.url, why));
        }
        Ok(Some(Self { address: Address::new(variables.kind, url, Some(token)), details }))
    }
}

impl Channel for Gatus {
    fn started<'a>(&'a mut self, _: &'a Started) -> BoxFuture<'a, Vec<String>> {
        async { Vec::new() }.boxed()
    }

    fn finished<'a>(&'a mut self, outcome: &'a Outcome) -> BoxFuture<'a, Vec<String>> {
        async {
            let note = match gatus_error(&self.details, outcome) {
                None => self.address.send_parameters(&[("success", "true")]).await,
                Some(why) => self.address.send_parameters(&[("success", "false"), ("error", &why)]).await,
            };
            note.into_iter().collect()
        }
        .boxed()
    }
}
