//! What a recreate that was cut off leaves: Compose makes the new container as `<id>_<name>`, stops and
//! removes the old one of that id, renames the new one and starts it. Killed in between, the service is
//! down, and the next `up` stumbles over the name.

use super::{Apply, Failure};
use crate::base::error::Result;
use crate::host::{Command, Reply};
use crate::plan::ProjectPlan;
use crate::state::container::{Container, ContainerState};

/// Digits of the old container's id in the name of the one that replaces it.
const ID_CHARS: usize = 12;

impl Apply<'_> {
    /// Clears up after a recreate of the project that was cut off; whether there was one.
    pub(super) async fn heal(&self, plan: &ProjectPlan, containers: &[Container]) -> Result<bool, Failure> {
        let commands = cures(&self.task.work.projects[&plan.name].state.project, containers);
        for argv in &commands {
            self.step(plan, "clear up after a recreate that was cut off");
            let reply = self.task.driver.call(&Command::Docker(argv.clone())).await?;
            self.expect(&format!("docker {}", argv[0]), reply)?;
        }
        Ok(!commands.is_empty())
    }
}

/// Whether Docker refuses a name because a container has it.
pub(super) fn is_name_conflict(reply: &Reply) -> bool {
    !reply.is_ok() && reply.output.iter().any(|line| line.contains("is already in use by container"))
}

/// The `docker` commands that clear up. While the old container is there, the new one goes: it never ran.
/// Otherwise the new one has the old one's anonymous volumes, and its recreate is ended as Compose would.
fn cures(project: &str, containers: &[Container]) -> Vec<Vec<String>> {
    let cure = |new: &Container| {
        let (old, name) = replaced(new)?;
        let others = || containers.iter().filter(|other| other.id != new.id);
        let is_old_there = others().any(|other| other.id.starts_with(old));
        if is_old_there || others().any(|other| other.name.trim_start_matches('/') == name) {
            return (new.state == ContainerState::Created).then(|| vec!["rm".to_owned(), new.id.clone()]);
        }
        Some(vec!["rename".to_owned(), new.id.clone(), name.to_owned()])
    };
    containers.iter().filter(|container| container.project == project).filter_map(cure).collect()
}

/// Of a container on its way to replace another one: the start of that one's id, and the name to be.
fn replaced(container: &Container) -> Option<(&str, &str)> {
    let (old, name) = container.name.trim_start_matches('/').split_at_checked(ID_CHARS)?;
    let is_id = old.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some((old, name.strip_prefix('_')?)).filter(|_| is_id && !container.replaces.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "96ef50099a11850c5aca";
    const NEW: &str = "668671ff8b3b";

    fn cured(containers: &[Container]) -> Vec<String> {
        cures("blog", containers).iter().map(|argv| argv.join(" ")).collect()
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
        assert_eq!(cured(&[old, new]), ["rm 668671ff8b3b"]);
    }

    #[test]
    fn a_container_whose_old_one_is_gone_gets_its_name() {
        let new = container(NEW, "96ef50099a11_blog-web-1", "created", OLD);
        assert_eq!(cured(std::slice::from_ref(&new)), ["rename 668671ff8b3b blog-web-1"]);
        // Brought up by hand meanwhile, beside another one of that name, it may be of use to somebody.
        let other = container("0123", "blog-web-1", "running", "");
        assert_eq!(
            cured(&[Container { state: ContainerState::Running, ..new.clone() }, other.clone()]),
            [""; 0]
        );
        assert_eq!(cured(&[new, other]), ["rm 668671ff8b3b"]);
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
}
