//! Reads `x-ghdeploy.hooks`.

use super::context::LoadContext;
use super::extension::{check_keys, duration, mapping};
use super::model::{Hook, HookKind, HookPhase};
use super::scalar;
use super::yaml::{Node, Value};
use crate::base::diagnostic::{Diagnostic, nearest};

const HOOKS: &[&str] = &["before", "after"];
const HOOK: &[&str] = &["service", "run", "exec", "timeout"];

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
    let Some(service) = map.get("service").and_then(|entry| entry.node.as_str()) else {
        wrong(
            context,
            node.at,
            "a hook names no service",
            "add `service`, the service whose image it runs in",
        );
        return None;
    };
    let (kind, entry) = match (map.get("run"), map.get("exec")) {
        (Some(run), None) => (HookKind::Run, run),
        (None, Some(exec)) if when == HookPhase::After => (HookKind::Exec, exec),
        (None, Some(exec)) => {
            let help = "write `run`, which starts a container from the new image";
            wrong(context, exec.at, "`exec` in a hook `before` would run in the old container", help);
            return None;
        }
        _ => {
            wrong(
                context,
                node.at,
                "a hook needs exactly one command, `run` or `exec`",
                "such as run: [./manage.py, migrate]",
            );
            return None;
        }
    };
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
    Some(Hook { when, service: service.to_owned(), kind, argv, timeout_secs, at })
}

/// Reports hooks that name an undefined service.
pub(super) fn check(context: &mut LoadContext<'_>, hooks: &[Hook], services: &[&str]) {
    for hook in hooks.iter().filter(|hook| !services.contains(&hook.service.as_str())) {
        let message = format!("{} names service `{}`, which is not defined", hook.name(), hook.service);
        let diagnostic = Diagnostic::error(message, Some(hook.at.clone()));
        context.note(match nearest(&hook.service, services) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic.help(format!("services: {}", services.join(", "))),
        });
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
