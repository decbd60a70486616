//! Syntax of `ghdeploy.yml`.
//!
//! Owns the keys and their types, and the messages for unknown keys and wrong types. Values are plain text here;
//! [`crate::config`] gives them their meaning.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::{Mapping, Value};

use super::locate::{KeyStep, locate};
use crate::base::diagnostic::{Diagnostic, Location, nearest};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a mapping of keys")]
pub(super) struct Raw {
    pub(super) services: Option<Texts>,
    pub(super) hosts: Entries<RawHost>,
    pub(super) sync: RawSync,
    pub(super) health: RawHealth,
    pub(super) compose: RawCompose,
    pub(super) gate: RawGate,
    pub(super) notify: RawNotify,
    pub(super) github: RawGitHub,
    pub(super) build: RawBuild,
    pub(super) registries: Entries<RawRegistry>,
    pub(super) networks: RawNetworks,
    pub(super) prune: bool,
    pub(super) prune_images: bool,
    pub(super) keep: Option<u32>,
}

/// A host: a mapping, or its address alone.
#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "an address, or a mapping with `ssh`, `root`, `projects`, `compose`, `docker` and `url`"
)]
pub(super) struct RawHostMapping {
    pub(super) ssh: String,
    pub(super) root: Option<String>,
    pub(super) projects: Option<Texts>,
    pub(super) compose: Option<RawCompose>,
    pub(super) docker: Option<RawDocker>,
    pub(super) url: Option<String>,
}

/// A host.
#[derive(Debug)]
pub(super) struct RawHost {
    pub(super) mapping: RawHostMapping,
    /// Whether it was written as its address alone.
    pub(super) is_address: bool,
}

impl<'de> Deserialize<'de> for RawHost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HostVisitor;

        impl<'de> Visitor<'de> for HostVisitor {
            type Value = RawHost;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "an address, or a mapping with `ssh`, `root`, `projects`, `compose`, `docker` and `url`",
                )
            }

            fn visit_str<E>(self, address: &str) -> Result<RawHost, E> {
                let mapping = RawHostMapping {
                    ssh: address.to_owned(),
                    root: None,
                    projects: None,
                    compose: None,
                    docker: None,
                    url: None,
                };
                Ok(RawHost { mapping, is_address: true })
            }

            fn visit_unit<E: serde::de::Error>(self) -> Result<RawHost, E> {
                Err(E::missing_field("ssh"))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawHost, A::Error> {
                let mapping = RawHostMapping::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(RawHost { mapping, is_address: false })
            }
        }

        deserializer.deserialize_any(HostVisitor)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a mapping with `ignore` and `include`")]
pub(super) struct RawSync {
    pub(super) ignore: Option<Texts>,
    pub(super) include: Option<Texts>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a mapping with `files` and `env_files`")]
pub(super) struct RawCompose {
    pub(super) files: Option<Texts>,
    pub(super) env_files: Option<Texts>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a mapping with `host` or `context`")]
pub(super) struct RawDocker {
    pub(super) host: Option<String>,
    pub(super) context: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a mapping with `timeout`, `stable_for` and `log_lines`")]
pub(super) struct RawHealth {
    pub(super) timeout: Option<String>,
    pub(super) stable_for: Option<String>,
    pub(super) log_lines: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a mapping with `checks`, `forbid`, `junit`, `needs`, `min_tests`, `require_tested` and `timeout`"
)]
pub(super) struct RawGate {
    pub(super) checks: Option<Texts>,
    pub(super) forbid: Option<Texts>,
    pub(super) needs: bool,
    pub(super) require_tested: bool,
    pub(super) min_tests: Option<u32>,
    pub(super) junit: Option<Texts>,
    pub(super) timeout: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a mapping with `slack`, `discord`, `telegram`, `ntfy`, `gatus`, `webhook` and `start`"
)]
pub(super) struct RawNotify {
    pub(super) slack: Option<VariableName>,
    pub(super) discord: Option<VariableName>,
    pub(super) telegram: Option<RawTelegram>,
    pub(super) ntfy: Option<RawNtfy>,
    pub(super) gatus: Option<RawGatus>,
    pub(super) webhook: Option<VariableName>,
    pub(super) start: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping with `token`, `chat` and `api`")]
pub(super) struct RawTelegram {
    pub(super) token: VariableName,
    pub(super) chat: Chat,
    pub(super) api: Option<VariableName>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping with `url` and `token`")]
pub(super) struct RawGatus {
    pub(super) url: VariableName,
    pub(super) token: VariableName,
}

/// The variable of the address alone, or with that of a token.
#[derive(Debug)]
pub(super) struct RawNtfy {
    pub(super) url: VariableName,
    pub(super) token: Option<VariableName>,
}

impl<'de> Deserialize<'de> for RawNtfy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, expecting = "a mapping with `url` and `token`")]
        struct Both {
            url: VariableName,
            token: Option<VariableName>,
        }

        struct NtfyVisitor;

        impl<'de> Visitor<'de> for NtfyVisitor {
            type Value = RawNtfy;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of an environment variable, or a mapping with `url` and `token`")
            }

            fn visit_str<E>(self, text: &str) -> Result<RawNtfy, E> {
                Ok(RawNtfy { url: VariableName(text.to_owned()), token: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawNtfy, A::Error> {
                let Both { url, token } = Both::deserialize(MapAccessDeserializer::new(map))?;
                Ok(RawNtfy { url, token })
            }
        }

        deserializer.deserialize_any(NtfyVisitor)
    }
}

/// A chat: its number, or a text.
#[derive(Debug)]
pub(super) struct Chat(pub(super) String);

impl<'de> Deserialize<'de> for Chat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ChatVisitor;

        impl Visitor<'_> for ChatVisitor {
            type Value = Chat;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the number of a chat, @name or the name of an environment variable")
            }

            fn visit_str<E>(self, text: &str) -> Result<Chat, E> {
                Ok(Chat(text.to_owned()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Chat, E> {
                Ok(Chat(number.to_string()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Chat, E> {
                Ok(Chat(number.to_string()))
            }
        }

        deserializer.deserialize_any(ChatVisitor)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a mapping with `deployments` and `statuses`")]
pub(super) struct RawGitHub {
    pub(super) deployments: Option<bool>,
    pub(super) statuses: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a mapping with `registry` and `branch`")]
pub(super) struct RawBuild {
    pub(super) registry: Option<String>,
    pub(super) branch: Option<String>,
}

/// A registry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping with `username` and `password`")]
pub(super) struct RawRegistry {
    pub(super) username: String,
    pub(super) password: VariableName,
}

/// A network; its keys are Compose's, except for `subnet`.
#[derive(Debug, Default, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a mapping with `driver`, `driver_opts`, `labels`, `subnet`, `internal`, `attachable` and `enable_ipv6`"
)]
pub(super) struct RawNetwork {
    pub(super) driver: Option<String>,
    pub(super) driver_opts: BTreeMap<String, Scalar>,
    pub(super) labels: BTreeMap<String, Scalar>,
    pub(super) subnet: Option<String>,
    pub(super) internal: bool,
    pub(super) attachable: bool,
    pub(super) enable_ipv6: bool,
}

/// Networks: a list of names, or a mapping of names to settings.
#[derive(Debug, Default)]
pub(super) struct RawNetworks(pub(super) Vec<(String, RawNetwork)>);

impl<'de> Deserialize<'de> for RawNetworks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NetworksVisitor;

        impl<'de> Visitor<'de> for NetworksVisitor {
            type Value = RawNetworks;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of names, or a mapping of names to settings")
            }

            fn visit_unit<E>(self) -> Result<RawNetworks, E> {
                Ok(RawNetworks::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<RawNetworks, A::Error> {
                let mut networks = Vec::new();
                while let Some(name) = list.next_element()? {
                    networks.push((name, RawNetwork::default()));
                }
                Ok(RawNetworks(networks))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawNetworks, A::Error> {
                let mut networks = Vec::new();
                while let Some((name, network)) = map.next_entry::<_, Option<RawNetwork>>()? {
                    networks.push((name, network.unwrap_or_default()));
                }
                Ok(RawNetworks(networks))
            }
        }

        deserializer.deserialize_any(NetworksVisitor)
    }
}

/// A text, a number or a truth value, as text.
#[derive(Debug)]
pub(super) struct Scalar(pub(super) String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl Visitor<'_> for ScalarVisitor {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(text.to_owned()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
        }

        deserializer.deserialize_any(ScalarVisitor)
    }
}

/// A text, or a list of them.
#[derive(Debug)]
pub(super) struct Texts {
    pub(super) items: Vec<String>,
    /// Whether it was written as a list, in which each item has its own location.
    pub(super) is_list: bool,
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsVisitor;

        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts { items: vec![text.to_owned()], is_list: false })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Texts, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Texts { items, is_list: true })
            }
        }

        deserializer.deserialize_any(TextsVisitor)
    }
}

/// Hosts or registries, in the order of the file. A name appears as often as in the file.
#[derive(Debug)]
pub(super) struct Entries<T>(pub(super) Vec<(String, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de> + Named> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de> + Named> Visitor<'de> for EntriesVisitor<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a mapping of names to {}", T::PLURAL)
            }

            fn visit_unit<E>(self) -> Result<Entries<T>, E> {
                Ok(Entries::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_any(EntriesVisitor(PhantomData))
    }
}

/// Sort of [`Entries`].
pub(super) trait Named {
    /// What several of them are called in messages.
    const PLURAL: &'static str;
}

impl Named for RawHost {
    const PLURAL: &'static str = "hosts";
}

impl Named for RawRegistry {
    const PLURAL: &'static str = "logins";
}

/// Name of an environment variable. Its value is secret and may have been written here by mistake, so no
/// message repeats the text.
#[derive(Debug)]
pub(super) struct VariableName(pub(super) String);

impl<'de> Deserialize<'de> for VariableName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl<'de> Visitor<'de> for NameVisitor {
            type Value = VariableName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of an environment variable")
            }

            fn visit_str<E>(self, text: &str) -> Result<VariableName, E> {
                Ok(VariableName(text.to_owned()))
            }
        }

        deserializer.deserialize_str(NameVisitor)
    }
}

/// Parses the file; `shown` is its name in messages. Beside the problems comes what can be read all the same,
/// if anything.
pub(super) fn read(text: &str, shown: &str) -> (Option<Raw>, Vec<Diagnostic>) {
    let first = match read_whole(text, shown) {
        Ok(raw) => return (Some(raw), Vec::new()),
        Err(first) => first,
    };
    // Of text that is no YAML, the first problem hides the rest.
    let Ok(Value::Mapping(whole)) = serde_yaml::from_str::<Value>(text) else {
        return (None, vec![first]);
    };
    let mut parts = Parts { text, shown, problems: Vec::new() };
    let rest = parts.sound(&whole);
    // The place of the first problem is more precise where it is the same.
    match parts.problems.iter().position(|problem| problem.message == first.message) {
        Some(same) => parts.problems[same] = first,
        None if parts.problems.len() < 2 => parts.problems = vec![first],
        None => {}
    }
    (serde_yaml::from_value(Value::Mapping(rest)).ok(), parts.problems)
}

/// Looks at each value by itself.
struct Parts<'a> {
    text: &'a str,
    shown: &'a str,
    problems: Vec<Diagnostic>,
}

impl Parts<'_> {
    /// Returns the values that can be read, and records the problems of the others.
    fn sound(&mut self, whole: &Mapping) -> Mapping {
        let mut rest = Mapping::new();
        for (key, value) in whole {
            let Some(name) = key.as_str() else { continue };
            let kept = match value {
                Value::Mapping(inner) if name == "hosts" => {
                    let mut hosts = Mapping::new();
                    for (host, value) in inner {
                        let Some(host_name) = host.as_str() else { continue };
                        let kept = match value {
                            Value::Mapping(of) => self.entries(&[name, host_name], of),
                            value => self.entry(&[name, host_name], value).then(|| value.clone()),
                        };
                        hosts.extend(kept.map(|value| (host.clone(), value)));
                    }
                    Some(Value::Mapping(hosts))
                }
                Value::Mapping(inner) if self.is_known(name) => self.entries(&[name], inner),
                value => self.entry(&[name], value).then(|| value.clone()),
            };
            rest.extend(kept.map(|value| (key.clone(), value)));
        }
        rest
    }

    /// Whether the file may have a key.
    fn is_known(&self, name: &str) -> bool {
        tried(&[name], &Value::Mapping(Mapping::new())).is_ok()
    }

    /// The entries of a mapping that can be read; `None` if nothing of it can be.
    fn entries(&mut self, keys: &[&str], inner: &Mapping) -> Option<Value> {
        let mut kept = Mapping::new();
        for (key, value) in inner {
            let Some(name) = key.as_str() else { continue };
            if self.entry(&[keys, &[name]].concat(), value) {
                kept.insert(key.clone(), value.clone());
            }
        }
        if matches!(keys, ["hosts", _]) && !inner.contains_key("ssh") {
            self.entry(keys, &Value::Mapping(Mapping::new()));
            return None;
        }
        // A host without a sound address is none.
        (!matches!(keys, ["hosts", _]) || kept.contains_key("ssh")).then_some(Value::Mapping(kept))
    }

    /// Whether one value can be read.
    fn entry(&mut self, keys: &[&str], value: &Value) -> bool {
        let Err(message) = tried(keys, value) else { return true };
        let steps: Vec<KeyStep<'_>> = keys.iter().map(|key| KeyStep::Key(key)).collect();
        let (line, column) = locate(self.text, &steps);
        let at = Location { path: self.shown.to_owned(), line, column };
        let (message, help) = reworded(&message);
        let outer = match help {
            // Of an unknown key, the mapping around it is named.
            Some(_) => &keys[..keys.len() - 1],
            None => keys,
        };
        let prefix = if outer.is_empty() { String::new() } else { format!("{}: ", outer.join(".")) };
        let message = if message.starts_with(&prefix) { message } else { format!("{prefix}{message}") };
        self.problems.push(Diagnostic { help, ..Diagnostic::error(message, Some(at)) });
        false
    }
}

/// Reads a file that has one value only. The error has no place in it.
fn tried(keys: &[&str], value: &Value) -> Result<(), String> {
    let mut value = value.clone();
    for (depth, key) in keys.iter().enumerate().rev() {
        let mut around = Mapping::new();
        around.insert(Value::String((*key).to_owned()), value);
        // A host needs an address.
        if depth == 2 && keys[0] == "hosts" && *key != "ssh" {
            around.insert(Value::String("ssh".to_owned()), Value::String("host".to_owned()));
        }
        value = Value::Mapping(around);
    }
    serde_yaml::from_value::<Raw>(value).map(drop).map_err(|error| error.to_string())
}

fn read_whole(text: &str, shown: &str) -> Result<Raw, Diagnostic> {
    serde_yaml::from_str(text).map_err(|err| {
        let (line, column) = err.location().map_or((1, 1), |at| (at.line(), at.column()));
        let at = Location { path: shown.to_owned(), line, column };
        let message = err.to_string();
        let place = format!(" at line {line} column {column}");
        let (message, help) = reworded(message.strip_suffix(&place).unwrap_or(&message));
        Diagnostic { help, ..Diagnostic::error(message, Some(at)) }
    })
}

/// Rewords serde's message in the terms of YAML, and returns advice on an unknown key. Serde writes
/// ``unknown field `a`, expected one of `b`, `c` ``.
fn reworded(message: &str) -> (String, Option<String>) {
    if let Some((before, rest)) = message.split_once("unknown field `")
        && let Some((unknown, expected)) = rest.split_once("`, expected ")
    {
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        let help = match nearest(unknown, &known) {
            Some(key) => format!("did you mean `{key}`?"),
            None => format!("known keys: {}", known.join(", ")),
        };
        return (format!("{before}unknown key `{unknown}`"), Some(help));
    }
    let mut message = message.to_owned();
    for (theirs, ours) in [
        ("missing field", "missing key"),
        ("duplicate field", "duplicate key"),
        ("expected u32", "expected a number from 0 on"),
        ("expected a boolean", "expected `true` or `false`"),
        ("expected a string", "expected a text"),
        ("invalid type: map", "invalid type: mapping"),
        ("invalid type: sequence", "invalid type: list"),
        ("invalid type: string", "invalid type: text"),
    ] {
        message = message.replace(theirs, ours);
    }
    (message, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_suggested_only_if_it_is_close() {
        let known = ["services", "hosts", "sync", "health", "notify"];
        assert_eq!(nearest("service", &known), Some("services"));
        assert_eq!(nearest("Host", &known), Some("hosts"));
        assert_eq!(nearest("helth", &known), Some("health"));
        assert_eq!(nearest("stable-for", &["timeout", "stable_for"]), Some("stable_for"));
        assert_eq!(nearest("registry", &known), None);
    }
}
