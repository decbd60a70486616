//! Discord, through a [webhook](https://docs.discord.com/developers/resources/webhook#execute-webhook).

use super::chat::Form;
use crate::report::notification::{discord_finished, discord_started};

/// Messages with one embed.
pub(super) const FORM: Form = Form { started: discord_started, finished: discord_finished };
