//! `notify`: where notifications go.
//!
//! Owns the channels and which environment variables hold their addresses and tokens.

use super::ConfigReader;
use super::raw::{RawGatus, RawNotify, RawNtfy, RawTelegram, VariableName};

/// Destinations of notifications. Addresses and tokens are names of environment variables that hold them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notify {
    /// The URL of a Slack webhook.
    pub slack: Option<String>,
    /// The URL of a Discord webhook.
    pub discord: Option<String>,
    /// A chat of Telegram.
    pub telegram: Option<Telegram>,
    /// A topic of ntfy.
    pub ntfy: Option<Ntfy>,
    /// An external endpoint of Gatus.
    pub gatus: Option<Gatus>,
    /// The URL of another webhook.
    pub webhook: Option<String>,
    /// Whether the start of a deploy is notified too.
    pub start: bool,
}

/// A chat of Telegram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telegram {
    /// The token of the bot.
    pub token: String,
    /// The chat.
    pub chat: TelegramChat,
    /// The address of a Bot API server other than Telegram's own.
    pub api: Option<String>,
}

/// How a chat of Telegram is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TelegramChat {
    /// Its number or `@name`.
    Id(String),
    /// The environment variable that holds either.
    Variable(String),
}

/// A topic of ntfy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ntfy {
    /// The URL, with the topic as the last part of its path.
    pub url: String,
    /// A token.
    pub token: Option<String>,
}

/// An external endpoint of Gatus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gatus {
    /// The URL, up to `/external`.
    pub url: String,
    /// Its token.
    pub token: String,
}

impl Notify {
    /// The environment variables that hold something secret.
    #[must_use]
    pub fn variables(&self) -> Vec<String> {
        let mut names: Vec<&String> =
            [&self.slack, &self.discord, &self.webhook].into_iter().flatten().collect();
        if let Some(Telegram { token, chat, api }) = &self.telegram {
            names.push(token);
            names.extend(api);
            if let TelegramChat::Variable(name) = chat {
                names.push(name);
            }
        }
        if let Some(Ntfy { url, token }) = &self.ntfy {
            names.push(url);
            names.extend(token);
        }
        if let Some(Gatus { url, token }) = &self.gatus {
            names.extend([url, token]);
        }
        names.into_iter().cloned().collect()
    }
}

/// Whether a text is the number of a chat, or `@` and a name
/// ([`chat_id`](https://core.telegram.org/bots/api#sendmessage)).
#[must_use]
pub fn is_chat(text: &str) -> bool {
    let is_number = |digits: &str| !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_number(text.strip_prefix('-').unwrap_or(text)) || text.strip_prefix('@').is_some_and(is_name)
}

impl ConfigReader<'_> {
    pub(super) fn notify(&mut self, raw: RawNotify) -> Notify {
        Notify {
            slack: self.maybe_variable(&["slack"], raw.slack),
            discord: self.maybe_variable(&["discord"], raw.discord),
            telegram: raw.telegram.and_then(|telegram| self.telegram(telegram)),
            ntfy: raw.ntfy.and_then(|ntfy| self.ntfy(ntfy)),
            gatus: raw.gatus.and_then(|gatus| self.gatus(gatus)),
            webhook: self.maybe_variable(&["webhook"], raw.webhook),
            start: raw.start,
        }
    }

    fn telegram(&mut self, RawTelegram { token, chat, api }: RawTelegram) -> Option<Telegram> {
        let api = self.maybe_variable(&["telegram", "api"], api);
        let token = self.notify_variable(&["telegram", "token"], token);
        let chat = match is_chat(&chat.0) {
            true => Some(TelegramChat::Id(chat.0)),
            false => {
                self.notify_variable(&["telegram", "chat"], VariableName(chat.0)).map(TelegramChat::Variable)
            }
        };
        Some(Telegram { token: token?, chat: chat?, api })
    }

    fn ntfy(&mut self, RawNtfy { url, token }: RawNtfy) -> Option<Ntfy> {
        let keys: &[&str] = if token.is_some() { &["ntfy", "url"] } else { &["ntfy"] };
        let token = self.maybe_variable(&["ntfy", "token"], token);
        Some(Ntfy { url: self.notify_variable(keys, url)?, token })
    }

    fn gatus(&mut self, RawGatus { url, token }: RawGatus) -> Option<Gatus> {
        let token = self.notify_variable(&["gatus", "token"], token);
        Some(Gatus { url: self.notify_variable(&["gatus", "url"], url)?, token: token? })
    }

    fn maybe_variable(&mut self, keys: &[&str], name: Option<VariableName>) -> Option<String> {
        name.and_then(|name| self.notify_variable(keys, name))
    }

    fn notify_variable(&mut self, keys: &[&str], name: VariableName) -> Option<String> {
        let keys: Vec<&str> = std::iter::once("notify").chain(keys.iter().copied()).collect();
        self.variable(&keys, name.0)
    }
}
