//! Reads `x-ghdeploy.hooks`.

use super::context::LoadContext;
use super::extension::{check_keys, duration, mapping};
use super::model::{Hook, HookKind, HookPhase};
use super::scalar;
use super::yaml::{Node, Value};
use crate::base::diagnostic::{Diagnostic, suggestion};

const HOOKS: &[&str] = &["before", "after"];
const HOOK: &[&str] = &["service", "run", "exec", "host", "timeout"];

/// Default timeout of a hook, in seconds: migrations of side projects take seconds.
const HOOK_SECS: u64 = 300;

/// Reads `hooks: {before: …, after: …}`, each a hook or a list of hooks.
pub(super) fn read(context: &mut LoadContext<'_>, node: &Node) -> Vec<Hook> {
    let mut hooks = Vec::new();
    let Some(map) = mapping(context, "hooks", node) else { return hooks };
    check_keys(context, map, HOOKS);
    for (key, when) in [("before", HookPhase::Before), ("after", HookPhase::After)] {
        let items = match map.get(key).map(|entry| &entry.node) {
            Some(Node { value: Value::List(items), .. }) => items,
            Some(node) => std::slice::from_ref(node),
            None => continue,
        };
        hooks.extend(items.iter().filter_map(|item| hook(context, when, item)));
    }
    hooks
}

fn hook(context: &mut LoadContext<'_>, when: HookPhase, node: &Node) -> Option<Hook> {
    let map = mapping(context, "a hook", node)?;
    check_keys(context, map, HOOK);
    let wrong = |context: &mut LoadContext<'_>, at, message: &str, help: &str| {
        let at = context.location(at);
        context.note(Diagnostic::error(message, Some(at)).help(help));
    };
    let service = map.get("service").and_then(|entry| entry.node.as_str());
    let (project, service) = match service.and_then(|service| service.rsplit_once('/')) {
        Some((project, service)) => (Some(project.to_owned()), Some(service.to_owned())),
        None => (None, service.map(str::to_owned)),
    };
    let given: Vec<_> = [("run", HookKind::Run), ("exec", HookKind::Exec), ("host", HookKind::Host)]
        .into_iter()
        .filter_map(|(key, kind)| Some((kind, map.get(key)?)))
        .collect();
    let [(kind, entry)] = given.as_slice() else {
        let help = "such as run: [./manage.py, migrate]";
        wrong(context, node.at, "a hook needs exactly one command, `run`, `exec` or `host`", help);
        return None;
    };
    let (kind, entry) = (*kind, *entry);
    match (kind, &project, &service) {
        (HookKind::Run | HookKind::Exec, _, None) => {
            let help = "add `service`, the service whose image it runs in; `host` runs a command on the host";
            wrong(context, node.at, "a hook names no service", help);
            return None;
        }
        (HookKind::Run, Some(_), _) => {
            let help = "write `exec`, which runs in the container that is there";
            wrong(context, entry.node.at, "`run` starts a service of this project", help);
            return None;
        }
        (HookKind::Host, Some(_), _) => {
            let help = "name a service of this project, to run with its deploys only, or leave it out";
            wrong(context, entry.node.at, "`host` runs on the host and not in another project", help);
            return None;
        }
        (HookKind::Exec, None, _) if when == HookPhase::Before => {
            let help = "write `run`, which starts a container from the new image";
            wrong(context, entry.node.at, "`exec` in a hook `before` would run in the old container", help);
            return None;
        }
        _ => {}
    }
    let argv = match &entry.node.value {
        Value::List(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        Value::Text(line) => scalar::words(&line.text),
        _ => None,
    };
    let Some(argv) = argv.filter(|argv: &Vec<String>| !argv.is_empty()) else {
        wrong(
            context,
            entry.node.at,
            "the command of a hook is invalid",
            "write a list of arguments, such as [./manage.py, migrate]",
        );
        return None;
    };
    let mut timeout_secs = HOOK_SECS;
    if let Some(timeout) = map.get("timeout") {
        match duration(context, &timeout.node).map(|duration| duration.as_secs()) {
            Ok(secs) if secs > 0 => timeout_secs = secs,
            Ok(_) => wrong(
                context,
                timeout.node.at,
                "the timeout of a hook must not be zero",
                "write it like `90s` or `5m`",
            ),
            Err(why) => wrong(context, timeout.node.at, &why, "the default is 5m"),
        }
    }
    let at = context.location(node.at);
    Some(Hook { when, project, service, kind, argv, timeout_secs, at })
}

/// Reports hooks that name an undefined service of their project.
pub(super) fn check(context: &mut LoadContext<'_>, hooks: &[Hook], services: &[&str]) {
    for hook in hooks {
        let Some(service) = hook.own_service().filter(|service| !services.contains(service)) else {
            continue;
        };
        let message = format!("{} names service `{service}`, which is not defined", hook.name());
        let diagnostic = Diagnostic::error(message, Some(hook.at.clone()));
        context.note(diagnostic.help(suggestion(service, "services", services)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{messages, project};
    use super::*;

    fn hooks(yaml: &str) -> (Vec<Hook>, String) {
        let compose = format!("x-ghdeploy:\n  hooks: {yaml}\nservices:\n  web: {{image: a}}\n");
        let project = project(&compose);
        let said = messages(&project).join("; ");
        (project.settings.hooks, said)
    }

    #[test]
    fn one_or_many_hooks_are_read_with_their_timeouts() {
        let (hooks, said) = hooks(
            "{before: {service: web, run: ./manage.py migrate}, after: [{service: web, exec: [sh, -c, 'echo $$x'], timeout: 90s}, {service: web, run: [a]}]}",
        );
        let read: Vec<_> =
            hooks.iter().map(|hook| (hook.when, hook.kind, hook.argv.join("|"), hook.timeout_secs)).collect();
        assert_eq!(said, "");
        assert_eq!(
            read,
            [
                (HookPhase::Before, HookKind::Run, "./manage.py|migrate".to_owned(), 300),
                (HookPhase::After, HookKind::Exec, "sh|-c|echo $x".to_owned(), 90),
                (HookPhase::After, HookKind::Run, "a".to_owned(), 300),
            ]
        );
    }

    #[test]
    fn a_hook_runs_on_the_host_or_in_another_project() {
        let (hooks, said) = hooks(
            "{before: [{host: ./backup.sh --all}, {service: web, host: [a]}, {service: data/db, exec: [pg_dump]}], after: {service: edge/proxy/caddy, exec: [caddy, reload]}}",
        );
        assert_eq!(said, "");
        let read: Vec<_> = hooks.iter().map(|hook| (hook.kind, hook.place(), hook.own_service())).collect();
        assert_eq!(
            read,
            [
                (HookKind::Host, "on the host".to_owned(), None),
                (HookKind::Host, "on the host".to_owned(), Some("web")),
                (HookKind::Exec, "in `data/db`".to_owned(), None),
                (HookKind::Exec, "in `edge/proxy/caddy`".to_owned(), None),
            ]
        );
        assert_eq!(hooks[0].argv, ["./backup.sh", "--all"]);
        assert_eq!(hooks[3].other(), Some(("edge/proxy", "caddy")));
    }

    #[test]
    fn invalid_hooks_are_errors_with_advice() {
        for (yaml, said) in [
            (
                "{befor: {service: web, run: [a]}}",
                "unknown key `befor` in `x-ghdeploy` (did you mean `before`?)",
            ),
            (
                "{before: {service: wbe, run: [a]}}",
                "hook `before` names service `wbe`, which is not defined (did you mean `web`?)",
            ),
            (
                "{before: {service: web, exec: [a]}}",
                "`exec` in a hook `before` would run in the old container",
            ),
            ("{before: {run: [a]}}", "a hook names no service"),
            ("{after: {service: web}}", "a hook needs exactly one command"),
            ("{after: {host: [a], exec: [b]}}", "a hook needs exactly one command"),
            ("{after: {service: a/b, run: [a]}}", "`run` starts a service of this project"),
            ("{after: {service: a/b, host: [a]}}", "`host` runs on the host and not in another project"),
            ("{after: {service: wbe, host: [a]}}", "names service `wbe`, which is not defined"),
            ("{before: {hst: [a]}}", "did you mean `host`?"),
            ("{after: {service: web, run: []}}", "the command of a hook is invalid"),
            ("{after: {service: web, run: [a], timeout: 5}}", "has no unit"),
            ("{after: {service: web, run: [a], timeout: 0s}}", "the timeout of a hook must not be zero"),
            ("[a]", "hooks must be a mapping, not"),
            ("{before: a}", "a hook must be a mapping, not"),
        ] {
            let found = hooks(yaml).1;
            assert!(found.contains(said), "{yaml}: {found}");
            assert!(found.starts_with("services/blog/compose.yml:2:"), "{found}");
        }
    }
}
