//! Telegram, through a bot of the user ([`sendMessage`](https://core.telegram.org/bots/api#sendmessage)).

use reqwest::Url;
use serde_json::json;

use super::address::{Address, Variables};
use super::chat::{Form, Room};
use crate::base::diagnostic::Diagnostic;
use crate::config::notify::{Telegram, TelegramChat, is_chat};
use crate::report::notification::{telegram_finished, telegram_started};

/// Messages in Telegram's HTML.
pub(super) const FORM: Form = Form { started: telegram_started, finished: telegram_finished };

const API: &str = "https://api.telegram.org";

/// The address, which contains the token, and the chat.
///
/// # Errors
///
/// A warning when a workflow run lacks a variable, or one does not hold what it should.
pub(super) fn room(telegram: &Telegram, variables: Variables<'_>) -> Result<Option<Room>, Diagnostic> {
    let Some(token) = variables.value(&telegram.token)? else { return Ok(None) };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':');
    if !token.reveal().contains(':') || !token.reveal().chars().all(plain) {
        return Err(
            variables.unusable(&telegram.token, "does not hold the token of a bot, such as 123456:ABC")
        );
    }
    let chat = match &telegram.chat {
        TelegramChat::Id(chat) => chat.clone(),
        TelegramChat::Variable(variable) => match variables.value(variable)? {
            None => return Ok(None),
            Some(chat) if is_chat(chat.reveal()) => chat.reveal().to_owned(),
            Some(_) => {
                let why = "does not hold a chat, such as -1001234567890 or @channel";
                return Err(variables.unusable(variable, why));
            }
        },
    };
    let api = match &telegram.api {
        None => Url::parse(API).ok(),
        Some(variable) => variables.url(variable)?,
    };
    let Some(mut url) = api else { return Ok(None) };
    let path = format!("{}/bot{}/sendMessage", url.path().trim_end_matches('/'), token.reveal());
    url.set_path(&path);
    Ok(Some(Room { address: Address::new(variables.kind, url, None), also: vec![("chat_id", json!(chat))] }))
}
