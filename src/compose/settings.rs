//! Reads `x-ghdeploy` of a project and of its services.

use std::time::Duration;

use super::context::LoadContext;
use super::extension::{check_keys, duration, mapping};
use super::hooks;
use super::model::{OnChange, ProjectSettings, Reaction};
use super::yaml::{Map, Node, Value};
use crate::base::diagnostic::{Diagnostic, nearest};

const PROJECT: &[&str] = &["hosts", "after", "hooks", "health"];
const SERVICE: &[&str] = &["on-change", "paths", "health"];
const HEALTH: &[&str] = &["timeout"];
const REACTIONS: &[&str] = &["restart", "recreate", "none", "signal", "exec"];

/// Reads the top-level `x-ghdeploy`.
pub(super) fn project(context: &mut LoadContext<'_>, node: Option<&Node>) -> ProjectSettings {
    let mut settings = ProjectSettings::default();
    let Some(map) = node.and_then(|node| mapping(context, "`x-ghdeploy`", node)) else { return settings };
    check_keys(context, map, PROJECT);
    for (key, out) in [("hosts", &mut settings.hosts), ("after", &mut settings.after)] {
        if let Some(entry) = map.get(key) {
            *out = names(context, key, &entry.node);
        }
    }
    settings.after_at = map.get("after").map(|entry| context.location(entry.node.at));
    if let Some(entry) = map.get("hooks") {
        settings.hooks = hooks::read(context, &entry.node);
    }
    settings.health_timeout = health_timeout(context, map);
    settings
}

/// The `x-ghdeploy` of a service.
#[derive(Debug, Default)]
pub(super) struct ServiceSettings {
    /// The reactions to changes of its inputs.
    pub(super) on_change: OnChange,
    /// How long it may take to become healthy.
    pub(super) health_timeout: Option<Duration>,
}

/// Reads the `x-ghdeploy` of a service.
pub(super) fn service(context: &mut LoadContext<'_>, node: Option<&Node>) -> ServiceSettings {
    let Some(map) = node.and_then(|node| mapping(context, "`x-ghdeploy`", node)) else {
        return ServiceSettings::default();
    };
    check_keys(context, map, SERVICE);
    ServiceSettings { on_change: on_change(context, map), health_timeout: health_timeout(context, map) }
}

/// Reads `health: {timeout: 5m}`.
fn health_timeout(context: &mut LoadContext<'_>, map: &Map) -> Option<Duration> {
    let node = &map.get("health")?.node;
    let map = mapping(context, "`health`", node)?;
    check_keys(context, map, HEALTH);
    let timeout = &map.get("timeout")?.node;
    match duration(context, timeout) {
        Ok(timeout) if !timeout.is_zero() => Some(timeout),
        Ok(_) => {
            context.error(timeout.at, "the timeout must not be zero");
            None
        }
        Err(why) => {
            context.error(timeout.at, why);
            None
        }
    }
}

fn on_change(context: &mut LoadContext<'_>, map: &Map) -> OnChange {
    let mut on_change = OnChange::default();
    if let Some(entry) = map.get("on-change") {
        on_change.default = reaction(context, &entry.node).unwrap_or_default();
    }
    if let Some(entry) = map.get("paths") {
        let Value::Map(paths) = &entry.node.value else {
            context.error(entry.node.at, "`paths` must map globs to reactions");
            return on_change;
        };
        for (glob, entry) in paths {
            if globset::Glob::new(glob).is_err() {
                context.error(entry.at, "this is not a glob");
            } else if let Some(reaction) = reaction(context, &entry.node) {
                on_change.paths.push((glob.to_string(), reaction));
            }
        }
        on_change.paths.sort_by(|a, b| specificity(&b.0).cmp(&specificity(&a.0)).then_with(|| a.0.cmp(&b.0)));
    }
    on_change
}

/// Specificity of a glob: literal characters before the first wildcard, then literal characters in all, then
/// fewer wildcards.
fn specificity(glob: &str) -> (usize, usize, std::cmp::Reverse<usize>) {
    let is_wild = |c: char| matches!(c, '*' | '?' | '[' | '{');
    let prefix = glob.find(is_wild).unwrap_or(usize::MAX);
    let wild = glob.chars().filter(|c| is_wild(*c)).count();
    (prefix, glob.chars().count() - wild, std::cmp::Reverse(wild))
}

fn names(context: &mut LoadContext<'_>, key: &str, node: &Node) -> Vec<String> {
    let items = match &node.value {
        Value::Text(_) => std::slice::from_ref(node),
        Value::List(items) => items,
        Value::Null => &[],
        Value::Map(_) => std::slice::from_ref(node),
    };
    let mut names = Vec::new();
    for item in items {
        let Some(name) = item.as_str() else {
            let at = context.location(item.at);
            let error = Diagnostic::error(format!("`{key}` must be a list of names"), Some(at));
            let is_hook = key == "after" && item.as_map().is_some();
            context.note(if is_hook {
                error.help(
                    "it lists the projects that are deployed first; a hook `after` belongs below `hooks`",
                )
            } else {
                error
            });
            break;
        };
        names.push(name.to_owned());
    }
    names
}

/// Reads `restart`, `recreate`, `none`, `signal: HUP` or `exec: [command]`, the last two as a mapping or in
/// one string.
fn reaction(context: &mut LoadContext<'_>, node: &Node) -> Option<Reaction> {
    match &node.value {
        Value::Text(text) => {
            let text = text.text.trim();
            let found = match text.split_once(':') {
                None => word(text),
                Some(("signal", name)) => signal(name.trim()),
                Some(("exec", line)) => command_line(line.trim()),
                Some(_) => None,
            };
            if found.is_none() {
                unknown_reaction(context, node, text);
            }
            found
        }
        Value::Map(map) if map.len() == 1 => {
            let (key, entry) = map.first_key_value()?;
            let found = match (&**key, &entry.node.value) {
                ("signal", Value::Text(name)) => signal(&name.text),
                ("exec", Value::List(items)) => {
                    let argv: Option<Vec<String>> =
                        items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
                    argv.filter(|argv| !argv.is_empty()).map(Reaction::Exec)
                }
                ("exec", Value::Text(line)) => command_line(&line.text),
                ("signal" | "exec", _) => None,
                (other, _) => {
                    let other = other.to_owned();
                    unknown_reaction(context, node, &other);
                    return None;
                }
            };
            if found.is_none() {
                let help = if &**key == "signal" {
                    "write the name of a signal, such as SIGHUP"
                } else {
                    "write a list of arguments, such as [nginx, -s, reload]"
                };
                let at = context.location(entry.node.at);
                context
                    .note(Diagnostic::error(format!("the value of `{key}` is invalid"), Some(at)).help(help));
            }
            found
        }
        Value::Null | Value::List(_) | Value::Map(_) => {
            unknown_reaction(context, node, "");
            None
        }
    }
}

fn word(text: &str) -> Option<Reaction> {
    match text {
        "restart" => Some(Reaction::Restart),
        "recreate" => Some(Reaction::Recreate),
        "none" => Some(Reaction::None),
        _ => None,
    }
}

/// Reads the name or number of a signal. Anything else is refused, because it would reach a command line.
fn signal(name: &str) -> Option<Reaction> {
    let fits = !name.is_empty()
        && name.len() <= 16
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-'))
        && !name.starts_with('-');
    fits.then(|| Reaction::Signal(name.to_ascii_uppercase()))
}

fn command_line(line: &str) -> Option<Reaction> {
    let inner = line.strip_prefix('[').and_then(|line| line.strip_suffix(']'));
    let argv = match inner {
        Some(inner) => inner
            .split(',')
            .map(|part| part.trim().trim_matches(['"', '\'']).to_owned())
            .filter(|part| !part.is_empty())
            .collect(),
        None => super::scalar::words(line)?,
    };
    Some(argv).filter(|argv: &Vec<String>| !argv.is_empty()).map(Reaction::Exec)
}

fn unknown_reaction(context: &mut LoadContext<'_>, node: &Node, word: &str) {
    let at = context.location(node.at);
    let diagnostic = Diagnostic::error("unknown reaction to a change", Some(at));
    let help = match nearest(word, REACTIONS) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "write restart, recreate, none, {signal: SIGHUP} or {exec: [command]}".to_owned(),
    };
    context.note(diagnostic.help(help));
}

#[cfg(test)]
mod tests {
    use super::super::fake::{messages, project, web};
    use super::*;

    fn on_change(yaml: &str) -> OnChange {
        let compose = format!("services:\n  web:\n    image: a\n    x-ghdeploy: {yaml}\n");
        web(&project(&compose)).on_change.clone()
    }

    fn wrong(yaml: &str) -> String {
        let compose = format!("services:\n  web:\n    image: a\n    x-ghdeploy: {yaml}\n");
        messages(&project(&compose)).join("; ")
    }

    #[test]
    fn every_reaction_can_be_written_in_every_way() {
        let hup = Reaction::Signal("SIGHUP".to_owned());
        let reload = Reaction::Exec(["nginx", "-s", "reload"].map(str::to_owned).to_vec());
        for (yaml, wanted) in [
            ("{}", Reaction::Restart),
            ("null", Reaction::Restart),
            ("{on-change: restart}", Reaction::Restart),
            ("{on-change: recreate}", Reaction::Recreate),
            ("{on-change: none}", Reaction::None),
            ("{on-change: {signal: SIGHUP}}", hup.clone()),
            ("{on-change: 'signal: SIGHUP'}", hup.clone()),
            ("{on-change: 'signal:sighup'}", hup),
            ("{on-change: {exec: [nginx, -s, reload]}}", reload.clone()),
            ("{on-change: {exec: nginx -s reload}}", reload.clone()),
            ("{on-change: 'exec: [nginx, -s, reload]'}", reload),
        ] {
            assert_eq!(on_change(yaml).default, wanted, "{yaml}");
        }
    }

    #[test]
    fn the_most_specific_path_comes_first() {
        let paths = on_change("{paths: {'**': none, 'conf/**': restart, conf/a.yml: recreate, '*.yml': none, 'conf/*.yml': none}}").paths;
        let globs: Vec<&str> = paths.iter().map(|(glob, _)| glob.as_str()).collect();
        assert_eq!(globs, ["conf/a.yml", "conf/*.yml", "conf/**", "*.yml", "**"]);
        let paths = on_change("{paths: {'conf/?????': none, 'conf/*.yml': restart}}").paths;
        assert_eq!(paths[0].0, "conf/*.yml", "wildcards are not literal characters");
    }

    #[test]
    fn invalid_settings_are_errors_with_advice() {
        assert_eq!(
            wrong("{on-chnage: restart}"),
            "services/blog/compose.yml:4:18: unknown key `on-chnage` in `x-ghdeploy` (did you mean `on-change`?)"
        );
        assert!(wrong("{on-change: reload}").contains("unknown reaction to a change"));
        assert!(wrong("{on-change: {exec: [a], signal: HUP}}").contains("unknown reaction to a change"));
        assert!(wrong("{on-change: {}}").contains("unknown reaction to a change"));
        assert!(wrong("{on-change: restrat}").ends_with("(did you mean `restart`?)"));
        assert!(wrong("{on-change: {signal: '-9; rm'}}").contains("write the name of a signal"));
        assert!(wrong("{on-change: {exec: []}}").contains("write a list of arguments"));
        assert!(wrong("{paths: {'a[': none}}").contains("this is not a glob"));
        assert!(wrong("5").contains("must be a mapping"));
        assert!(
            wrong("{hooks: {}}")
                .ends_with("(`hooks` belongs in the `x-ghdeploy` at the top level of the compose file)")
        );
    }

    #[test]
    fn a_key_in_the_wrong_place_is_an_error_that_names_the_right_one() {
        let project = project(
            "x-ghdeploy: {before: {host: a}, after: {host: a}, on-change: none}\nservices: {web: {image: a}}",
        );
        let said: Vec<String> = project
            .diagnostics
            .iter()
            .map(|problem| format!("{}: {}", problem.message, problem.help.as_deref().unwrap_or_default()))
            .collect();
        assert_eq!(
            said,
            [
                "unknown key `before` in `x-ghdeploy`: `before` belongs below `hooks`",
                "unknown key `on-change` in `x-ghdeploy`: `on-change` belongs in the `x-ghdeploy` of a service",
                "`after` must be a list of names: it lists the projects that are deployed first; a hook `after` belongs below `hooks`",
            ]
        );
    }

    #[test]
    fn a_project_and_a_service_have_timeouts_of_their_own() {
        let project = project(
            "x-ghdeploy: {health: {timeout: 3m}}\nservices: {web: {image: a, x-ghdeploy: {health: {timeout: 90s}}}, b: {image: b}}",
        );
        let secs = Duration::from_secs;
        assert_eq!(web(&project).health_timeout, Some(secs(90)));
        assert_eq!(
            (project.services["b"].health_timeout, project.settings.health_timeout),
            (None, Some(secs(180)))
        );
        assert!(wrong("{health: {timeout: 90}}").contains("write `90s` for seconds"));
        assert!(wrong("{health: {timeout: 0s}}").contains("must not be zero"));
        assert!(wrong("{health: {timeot: 5s}}").contains("did you mean `timeout`?"));
        assert!(wrong("{health: 5s}").contains("`health` must be a mapping"));
    }

    #[test]
    fn a_project_names_its_hosts_and_what_goes_before_it() {
        let project = project("x-ghdeploy: {hosts: [web], after: traefik}\nservices: {web: {image: a}}");
        web(&project);
        let ProjectSettings { hosts, after, after_at, .. } = project.settings;
        assert_eq!((hosts, after), (vec!["web".to_owned()], vec!["traefik".to_owned()]));
        assert_eq!(after_at.unwrap().to_string(), "services/blog/compose.yml:1:35");
    }
}
