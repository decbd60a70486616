//! Docker Compose's commands.

use std::collections::{BTreeMap, BTreeSet};

use super::{Call, Engine};
use crate::apply::steps::{Operation, Up, acting, with_dependencies};
use crate::compose::model::{Condition, Dependency, Hook, HookKind, PullPolicy};
use crate::plan::{ActionKind, MakesWay, ProjectWork};
use crate::state::container::{Container, ContainerState};

/// Platform of an image, as `docker image inspect` prints it, one line per image.
const PLATFORM_FORMAT: &str = "{{.Os}}/{{.Architecture}}/{{.Variant}}";

/// Docker Compose.
#[derive(Debug, Clone, Copy, Default)]
pub struct Compose;

/// The form of the answer about registries.
const REGISTRIES_FORMAT: &str = "{{len .RegistryConfig.Mirrors}}|{{if or .HTTPProxy .HTTPSProxy}}proxy{{end}}|\
    {{range .RegistryConfig.IndexConfigs}}{{if not .Secure}}{{.Name}} {{end}}{{end}}|\
    {{range .RegistryConfig.InsecureRegistryCIDRs}}{{.}} {{end}}";

impl Engine for Compose {
    fn calls(
        &self,
        operation: &Operation,
        services: &[&str],
        work: &ProjectWork,
        before: &[Container],
    ) -> Vec<Call> {
        match operation {
            Operation::Build => vec![compose(&["build"], services)],
            Operation::Tag { image, name, .. } => vec![docker(&["tag", image, name])],
            Operation::Hook(hook) => vec![run_hook(hook, work)],
            Operation::Up(Up::Needed) => {
                let argv = [&["up", "-d", "--no-recreate"], never_pull(work), keep_orphans(work)].concat();
                let up = compose(&argv, services);
                unpause(services.iter().copied(), &work.state.project, before)
                    .into_iter()
                    .chain([up])
                    .collect()
            }
            Operation::Up(replaces) => {
                let mut calls = name_again(*replaces, services, work, before);
                calls.extend(up(*replaces, services, work, before));
                calls
            }
            Operation::Restart => restart(services, &work.state.project, before),
            Operation::Signal(signal) => vec![compose(&["kill", "-s", signal], services)],
            Operation::Exec(argv) => {
                let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
                vec![compose(&["exec", "-T"], &[services, &argv].concat())]
            }
            Operation::Remove => services.iter().map(|service| Call::Remove((*service).to_owned())).collect(),
            Operation::Down => vec![compose(&["down"], &[])],
            Operation::Park(holders) => park(holders, before),
            Operation::Unpark(holders) => {
                holders.iter().flat_map(|holder| start_again(holder, before)).collect()
            }
            Operation::Heal
            | Operation::RestoreFiles
            | Operation::AwaitCompletion
            | Operation::AwaitHealthy => Vec::new(),
        }
    }

    fn heal(&self, project: &str, containers: &[Container]) -> Vec<Call> {
        let own = containers.iter().filter(|container| container.project == project);
        own.filter_map(|container| cure(container, containers)).collect()
    }

    fn halfway(&self, project: &str, containers: &[Container]) -> BTreeSet<String> {
        let own = containers.iter().filter(|container| container.project == project);
        let halfway = own.filter(|container| replaced(container).is_some());
        halfway.map(|container| container.service.clone()).collect()
    }

    fn is_name_conflict(&self, output: &[String]) -> bool {
        output.iter().any(|line| line.contains("is already in use by container"))
    }

    fn is_missing(&self, output: &[String]) -> bool {
        // With several containers, each has an answer of its own.
        let mut errors = output.iter().filter(|line| line.contains("Error")).peekable();
        errors.peek().is_some() && errors.all(|line| line.contains("No such container"))
    }

    fn validate(&self) -> Call {
        compose(&["config", "-q"], &[])
    }

    // Neither `--policy` nor `--ignore-buildable`: Compose before 2.22 has neither, and `--policy missing`
    // pulls `latest` every time.
    fn pull(&self, service: &str) -> Call {
        compose(&["pull", "--quiet"], &[service])
    }

    fn pull_image(&self, image: &str, platform: Option<&str>) -> Call {
        let platform = platform.map(|platform| ["--platform", platform]);
        let options: Vec<&str> =
            ["pull", "--quiet"].into_iter().chain(platform.into_iter().flatten()).collect();
        docker(&[&options, &[image][..]].concat())
    }

    fn pulls_again(&self, work: &ProjectWork, hook: &Hook) -> bool {
        let Some(name) = hook.own_service().filter(|_| hook.kind == HookKind::Run) else { return false };
        let services = work.wanted.as_ref().map(|wanted| &wanted.model.services);
        let service = services.and_then(|services| services.get(name));
        service.is_some_and(|service| {
            matches!(service.pull_policy, PullPolicy::Always | PullPolicy::Refresh)
                && work.pulls_ahead.contains(name)
        })
    }

    fn find_image(&self, image: &str, is_insecure: bool) -> Call {
        let option: &[&str] = if is_insecure { &["--insecure"] } else { &[] };
        docker(&[&["manifest", "inspect"], option, &[image]].concat())
    }

    fn registries(&self) -> Call {
        docker(&["info", "--format", REGISTRIES_FORMAT])
    }

    fn image_names(&self, service: &str) -> Call {
        compose(&["config", "--images"], &[service])
    }

    fn image_platforms(&self, images: &[&str]) -> Call {
        docker(&[&["image", "inspect", "--format", PLATFORM_FORMAT][..], images].concat())
    }

    fn probe(&self) -> Call {
        docker(&["compose", "version", "--short"])
    }
}

fn compose(argv: &[&str], more: &[&str]) -> Call {
    Call::Compose(owned(argv.iter().chain(more)))
}

fn docker(argv: &[&str]) -> Call {
    Call::Docker(owned(argv.iter()))
}

fn owned<'a>(words: impl Iterator<Item = &'a &'a str>) -> Vec<String> {
    words.map(|word| (*word).to_owned()).collect()
}

/// `docker compose up`. Compose looks after dependencies, and its hash of a definition knows of them: a
/// container made with `--no-deps` is recreated as soon as something that depends on it comes up. But
/// Compose would also run one-shots again that have completed and have no part in the plan. So services
/// that wait for such a one-shot, and they alone, are started without their dependencies, together with
/// those dependencies that do not run.
fn up(replaces: Up, services: &[&str], work: &ProjectWork, before: &[Container]) -> Vec<Call> {
    let options: &[&str] = match replaces {
        Up::Changed if work.pulls_ahead.is_empty() => &["--quiet-pull"],
        Up::Recreate => &["--force-recreate"],
        Up::Previous => &["--no-build", "--pull", "never"],
        Up::Return => &["--no-build", "--pull", "never", "--force-recreate"],
        Up::Changed | Up::Missing | Up::Needed => &[],
    };
    let never_pull = if options.contains(&"never") { &[] } else { never_pull(work) };
    let options = &[options, never_pull].concat()[..];
    let none = BTreeMap::new();
    let all = work.wanted.as_ref().map_or(&none, |wanted| &wanted.model.services);
    let is = |name: &str, state: ContainerState| {
        let own = before.iter().filter(|container| container.is_of(&work.state.project, name));
        own.into_iter().any(|container| container.state == state && container.exit_code == 0)
    };
    let acting = acting(&work.plan);
    let has_completed = |name: &str, how: &Dependency| {
        how.condition == Condition::Completed
            && is(name, ContainerState::Exited)
            && !acting.iter().any(|acting| acting == name)
    };
    let (alone, with): (Vec<&str>, Vec<&str>) = services.iter().partition(|name| {
        let needed = with_dependencies(all, [**name].into(), |_, _| true);
        let needed = needed.into_iter().filter_map(|name| all.get(name));
        needed.flat_map(|service| &service.depends_on).any(|(name, how)| has_completed(name, how))
    });
    let alone = with_dependencies(all, alone.into_iter().collect(), |name, how| {
        !has_completed(name, how)
            && !is(name, ContainerState::Running)
            && all.get(name).is_some_and(|service| service.active)
    });
    let alone: Vec<&str> = alone.into_iter().collect();
    let mut calls = Vec::new();
    let needed = with_dependencies(all, with.iter().copied().collect(), |_, _| true);
    let comes_up: BTreeSet<&str> = needed.into_iter().chain(services.iter().copied()).collect();
    calls.extend(unpause(comes_up.into_iter(), &work.state.project, before));
    for (no_deps, services) in [(&[][..], with), (&["--no-deps"][..], alone)] {
        if !services.is_empty() {
            let argv = [&["up", "-d"][..], options, no_deps, keep_orphans(work)].concat();
            calls.push(compose(&argv, &services));
        }
    }
    calls
}

/// The option of an `up` that leaves containers of removed services alone, whatever `COMPOSE_REMOVE_ORPHANS` says in
/// the host's `.env`, which Compose reads since 2.27: they may have to come back.
fn keep_orphans(work: &ProjectWork) -> &'static [&'static str] {
    let removes = work.plan.actions.iter().any(|action| action.kind == ActionKind::Remove);
    if removes { &["--remove-orphans=false"] } else { &[] }
}

/// The option of an `up` of a project whose images are all on the host: Compose would pull those of
/// `pull_policy: always` again, without the login.
fn never_pull(work: &ProjectWork) -> &'static [&'static str] {
    if work.pulls_ahead.is_empty() { &[] } else { NEVER_PULL }
}

const NEVER_PULL: &[&str] = &["--pull", "never"];

/// `docker compose unpause` for those services that somebody has paused: an `up` would fail on them.
fn unpause<'s>(services: impl Iterator<Item = &'s str>, project: &str, before: &[Container]) -> Option<Call> {
    let is_paused = |name: &&str| {
        let mut own = before.iter().filter(|container| container.is_of(project, name));
        own.any(|container| container.state == ContainerState::Paused)
    };
    let paused: Vec<&str> = services.filter(is_paused).collect();
    (!paused.is_empty()).then(|| compose(&["unpause"], &paused))
}

/// `docker compose restart`. Services without a grace period get one second: a restart without any makes
/// Docker Engine 20.10 unmount the new root file system, so that nothing, healthchecks included, can be
/// executed in the container any more.
fn restart(services: &[&str], project: &str, containers: &[Container]) -> Vec<Call> {
    let has_no_grace = |service: &&&str| {
        containers
            .iter()
            .any(|container| container.is_of(project, service) && container.stop_timeout == Some(0))
    };
    let (hasty, patient): (Vec<&str>, Vec<&str>) = services.iter().partition(has_no_grace);
    let mut calls = Vec::new();
    for (timeout, services) in [(&[][..], patient), (&["--timeout", "1"][..], hasty)] {
        if !services.is_empty() {
            calls.push(compose(&[&["restart", "--no-deps"][..], timeout].concat(), &services));
        }
    }
    calls
}

fn run_hook(hook: &Hook, work: &ProjectWork) -> Call {
    if hook.kind == HookKind::Host {
        return Call::Host { argv: hook.argv.clone(), timeout_secs: hook.timeout_secs };
    }
    let service = hook.service.as_deref().unwrap_or_default();
    // No project name has a dot, so no other service of any project gets the same name.
    let container = (hook.kind == HookKind::Run).then(|| format!("{}.{service}.hook", work.state.project));
    let never_pull = if Compose.pulls_again(work, hook) { NEVER_PULL } else { &[] };
    let options = match &container {
        Some(name) => [&["run", "--rm", "-T", "--no-deps", "--name", name], never_pull].concat(),
        None => vec!["exec", "-T"],
    };
    let argv = options.iter().copied().chain([service]).map(str::to_owned);
    let argv = argv.chain(hook.argv.iter().cloned()).collect();
    Call::Hook { argv, timeout_secs: hook.timeout_secs, container }
}

/// Digits of the old container's id in the name of the one that replaces it.
const ID_CHARS: usize = 12;

/// The call that ends a recreate of which `new` is a remnant. Compose makes the new container as
/// `<id>_<name>`, stops and removes the old one of that id, then renames and starts the new one. Killed in
/// between, the service is down, and the next `up` fails over the name. While the old container is there, the
/// new one is removed: it never ran. Otherwise it holds the old one's anonymous volumes, and gets its name.
fn cure(new: &Container, containers: &[Container]) -> Option<Call> {
    let (old, name) = replaced(new)?;
    let others = || containers.iter().filter(|other| other.id != new.id);
    let is_old_there = others().any(|other| other.id.starts_with(old));
    if is_old_there || others().any(|other| other.plain_name() == name) {
        return (new.state == ContainerState::Created).then(|| docker(&["rm", &new.id]));
    }
    Some(docker(&["rename", &new.id, name]))
}

/// Docker's restart policy of a container.
fn policy_of<'c>(holder: &MakesWay, before: &'c [Container]) -> &'c str {
    let container = before.iter().find(|container| container.id.starts_with(&holder.id));
    container.map(|container| container.restart_policy.as_str()).unwrap_or_default()
}

/// Stops containers that make way, all at once. Docker itself would start one of the policy `always` again when the
/// host starts, but not one of `unless-stopped`. If a run is cut off, that policy is the same in all other respects.
fn park(holders: &[MakesWay], before: &[Container]) -> Vec<Call> {
    let running: Vec<&MakesWay> = holders.iter().filter(|holder| holder.runs).collect();
    let always = running.iter().filter(|holder| policy_of(holder, before) == "always");
    let always: Vec<&str> = always.map(|holder| holder.id.as_str()).collect();
    let running: Vec<&str> = running.iter().map(|holder| holder.id.as_str()).collect();
    let mut calls = Vec::new();
    for (argv, ids) in [(&["update", "--restart", "unless-stopped"][..], always), (&["stop"], running)] {
        if !ids.is_empty() {
            calls.push(docker(&[argv, &ids].concat()));
        }
    }
    let renamed = holders.iter().filter(|holder| holder.has_name);
    calls.extend(renamed.map(|holder| docker(&["rename", &holder.id, &holder.parked()])));
    calls
}

/// Gives a container that made way what [`park`] took from it. Docker may still be about to stop it, if the call was
/// interrupted: that has to be over.
fn start_again(holder: &MakesWay, before: &[Container]) -> Vec<Call> {
    let rename = holder.has_name.then(|| docker(&["rename", &holder.id, &holder.name]));
    let is_always = holder.runs && policy_of(holder, before) == "always";
    let update = is_always.then(|| docker(&["update", "--restart", "always", &holder.id]));
    let start = ["stop", "start"].into_iter().filter(|_| holder.runs).map(|word| docker(&[word, &holder.id]));
    rename.into_iter().chain(update).chain(start).collect()
}

/// Calls that give the containers of `services` their names back which made way for others in a run that was
/// interrupted. On the way forward, a name that another service of the project is to have stays free.
fn name_again(replaces: Up, services: &[&str], work: &ProjectWork, before: &[Container]) -> Vec<Call> {
    let is_back = matches!(replaces, Up::Previous | Up::Return);
    let own = |container: &&Container| container.project == work.state.project;
    let is_its = |container: &&Container| services.contains(&container.service.as_str());
    let back_to = match &work.way_back {
        Some(way_back) => way_back.version.as_ref().map(|version| &version.state),
        None => work.recorded.as_ref(),
    };
    // By then it has been removed, or has made way itself.
    let is_gone = |other: &Container| {
        if is_back {
            own(&other) && back_to.is_none_or(|state| !state.services.contains_key(&other.service))
        } else {
            work.makes_way.iter().any(|holder| holder.has_name && other.id.starts_with(&holder.id))
        }
    };
    let is_free = |name: &str| before.iter().all(|other| other.plain_name() != name || is_gone(other));
    let is_for = |name: &str, service: &str| {
        let mut all = work.wanted.iter().flat_map(|wanted| &wanted.model.services);
        !all.any(|(other, of)| {
            other != service && of.container_name.as_ref().is_some_and(|(its, _)| its == name)
        })
    };
    let calls = before.iter().filter(own).filter(is_its).filter_map(|container| {
        let name = parked(container)?;
        let gets_it = is_free(name) && (is_back || is_for(name, &container.service));
        gets_it.then(|| docker(&["rename", &container.id, name]))
    });
    calls.collect()
}

/// The name of a container that made way for another one when the run was interrupted: it was renamed after its own
/// id.
fn parked(container: &Container) -> Option<&str> {
    let (id, name) = container.plain_name().split_at_checked(ID_CHARS)?;
    name.strip_prefix('_').filter(|_| container.id.starts_with(id))
}

/// Of a container that is about to replace another one: the start of that one's id, and its future name.
fn replaced(container: &Container) -> Option<(&str, &str)> {
    let (old, name) = container.plain_name().split_at_checked(ID_CHARS)?;
    // One that bears its own id has made way. The label stays on a container that has replaced another one.
    let is_id = old.bytes().all(|byte| byte.is_ascii_hexdigit()) && !container.id.starts_with(old);
    Some((old, name.strip_prefix('_')?)).filter(|_| is_id && !container.replaces.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "96ef50099a11850c5aca";
    const NEW: &str = "668671ff8b3b";

    fn cured(containers: &[Container]) -> Vec<String> {
        Compose.heal("blog", containers).iter().map(ToString::to_string).collect()
    }

    fn container(id: &str, name: &str, state: &str, replaces: &str) -> Container {
        Container {
            id: id.to_owned(),
            name: format!("/{name}"),
            state: state.to_owned().into(),
            replaces: replaces.to_owned(),
            project: "blog".to_owned(),
            service: "web".to_owned(),
            ..Container::default()
        }
    }

    #[test]
    fn a_container_that_never_ran_makes_way_for_the_old_one() {
        let old = container(OLD, "blog-web-1", "exited", "");
        let new = container(NEW, "96ef50099a11_blog-web-1", "created", OLD);
        assert_eq!(cured(&[old.clone(), new.clone()]), ["docker rm 668671ff8b3b"]);
        assert_eq!(Compose.halfway("blog", &[old.clone(), new]), ["web".to_owned()].into());
        assert_eq!(Compose.halfway("blog", &[old]), BTreeSet::new());
    }

    #[test]
    fn a_container_whose_old_one_is_gone_gets_its_name() {
        let new = container(NEW, "96ef50099a11_blog-web-1", "created", OLD);
        assert_eq!(cured(std::slice::from_ref(&new)), ["docker rename 668671ff8b3b blog-web-1"]);
        // Brought up by hand meanwhile, beside another one of that name, it may be of use to somebody.
        let other = container("0123", "blog-web-1", "running", "");
        assert_eq!(
            cured(&[Container { state: ContainerState::Running, ..new.clone() }, other.clone()]),
            [""; 0]
        );
        assert_eq!(cured(&[new, other]), ["docker rm 668671ff8b3b"]);
    }

    #[test]
    fn what_only_looks_like_it_is_left_alone() {
        for whole in [
            container(NEW, "blog-web-1", "running", OLD),
            container(NEW, "96ef50099a11_blog-web-1", "created", ""),
            container(NEW, "not-an-id-12_blog-web-1", "created", OLD),
            Container { project: "shop".into(), ..container(NEW, "96ef50099a11_x", "created", OLD) },
            container(NEW, "é", "created", OLD),
        ] {
            assert_eq!(cured(&[whole]), [""; 0]);
        }
    }

    #[test]
    fn one_that_has_made_way_is_no_remnant_even_if_it_has_replaced_another_one() {
        let parked = container(OLD, "96ef50099a11_box", "exited", "0123456789ab");
        assert_eq!(super::parked(&parked), Some("box"));
        assert_eq!(cured(&[parked]), [""; 0]);
    }

    #[test]
    fn a_container_gets_its_policy_back_when_it_no_longer_makes_way() {
        let holder = |container: &Container, has_name| MakesWay {
            id: container.short_id().to_owned(),
            name: container.plain_name().to_owned(),
            service: "web".to_owned(),
            project: "blog".to_owned(),
            path: "services/blog".to_owned(),
            has_name,
            needed_by: BTreeSet::new(),
            runs: container.state == ContainerState::Running,
        };
        let always = |id, name, state| Container {
            restart_policy: "always".to_owned(),
            ..container(id, name, state, "")
        };
        let before = [
            always(OLD, "box", "running"),
            always(NEW, "b", "exited"),
            container("0123", "c", "running", ""),
        ];
        let holders: Vec<MakesWay> =
            before.iter().enumerate().map(|(number, container)| holder(container, number == 0)).collect();
        let shown = |calls: Vec<Call>| calls.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            shown(park(&holders, &before)),
            [
                "docker update --restart unless-stopped 96ef50099a11",
                "docker stop 96ef50099a11 0123",
                "docker rename 96ef50099a11 96ef50099a11_box",
            ]
        );
        assert_eq!(
            shown(holders.iter().flat_map(|holder| start_again(holder, &before)).collect()),
            [
                "docker rename 96ef50099a11 box",
                "docker update --restart always 96ef50099a11",
                "docker stop 96ef50099a11",
                "docker start 96ef50099a11",
                "docker stop 0123",
                "docker start 0123",
            ]
        );
    }

    #[test]
    fn only_if_all_that_failed_is_missing_nothing_has_failed() {
        let missing = "Error response from daemon: No such container: 0123".to_owned();
        let other = "Error response from daemon: permission denied".to_owned();
        assert!(Compose.is_missing(std::slice::from_ref(&missing)));
        assert!(Compose.is_missing(&["96ef50099a11".to_owned(), missing.clone()]));
        assert!(!Compose.is_missing(&[missing, other]) && !Compose.is_missing(&[]));
    }
}
