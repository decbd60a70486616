//! Slack, through an incoming webhook.

use super::chat::Form;
use crate::report::notification::{slack_finished, slack_started};

/// Messages with blocks.
pub(super) const FORM: Form = Form { started: slack_started, finished: slack_finished };
