//! What the containers of a service say: whether they run as they should.
//!
//! Docker restarts what ends against its restart policy, also when the host starts. So a container of the policies
//! `always` and `unless-stopped` that has ended was stopped by somebody, unless Docker failed to start it. Measured
//! with Docker 20.10.

use super::Lack;
use crate::compose::model::RestartPolicy;
use crate::state::container::{ContainerState, ListedContainer};

/// What is expected of the containers of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// How many there should be; `None`: at least one.
    pub scale: Option<u32>,
    /// Their restart policy; `None`: unknown.
    pub policy: Option<RestartPolicy>,
    /// Whether it is a one-shot, which nobody misses once it has completed.
    pub is_one_shot: bool,
}

/// Verdict on the containers of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Why an `up` is due.
    pub lack: Option<Lack>,
    /// What only a person decides.
    pub remarks: Vec<Remark>,
    /// Whether it has no container at all.
    pub is_gone: bool,
    /// Whether it has containers and none of them runs.
    pub is_down: bool,
    /// Whether it has containers and all of them have completed.
    pub has_completed: bool,
}

/// Something about the containers of a service that a sync leaves alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// Somebody has stopped this container.
    Stopped(ListedContainer),
    /// Somebody has paused this container.
    Paused(ListedContainer),
    /// This container has failed, and its restart policy leaves it at that.
    Failed(ListedContainer),
    /// There are more containers than there should be.
    Excess {
        /// How many there should be.
        wanted: u32,
        /// Their names, the surplus ones included.
        names: Vec<String>,
    },
}

/// State of one container with regard to its restart policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It runs, or Docker is restarting it.
    Runs,
    /// Somebody has paused it.
    Paused,
    /// It has completed, as its policy allows.
    Completed,
    /// Somebody has stopped it.
    Stopped,
    /// It has failed, and its policy leaves it at that.
    Failed,
    /// It does not run although it should.
    Lacks(Lack),
    /// It is being removed.
    Vanishes,
}

impl End {
    /// Judges a container. `policy` counts if Docker was not asked for that of the container.
    #[must_use]
    pub fn of(container: &ListedContainer, policy: Option<&RestartPolicy>) -> Self {
        match container.state {
            ContainerState::Running | ContainerState::Restarting => return Self::Runs,
            ContainerState::Paused => return Self::Paused,
            ContainerState::Removing => return Self::Vanishes,
            ContainerState::Created => return Self::Lacks(Lack::NeverStarted),
            ContainerState::Dead => return Self::Lacks(Lack::Dead),
            // A word of a newer Docker: not to be touched.
            ContainerState::Other(_) => return Self::Runs,
            ContainerState::Exited => {}
        }
        let inspected = container.inspected.as_ref();
        let own = inspected.map(|inspected| RestartPolicy::from_word(&inspected.policy));
        let has_error = inspected.is_some_and(|inspected| !inspected.error.is_empty());
        let exit_code = container.exit_code.unwrap_or_default();
        match own.as_ref().or(policy) {
            Some(RestartPolicy::No) if exit_code == 0 => Self::Completed,
            Some(RestartPolicy::No) => Self::Failed,
            _ if has_error => Self::Lacks(Lack::StartFailed),
            Some(RestartPolicy::OnFailure) if exit_code == 0 => Self::Completed,
            Some(RestartPolicy::OnFailure) => match inspected {
                Some(inspected)
                    if inspected.max_restarts > 0 && inspected.restarts >= inspected.max_restarts =>
                {
                    Self::Lacks(Lack::GaveUp { exit_code })
                }
                _ => Self::Stopped,
            },
            None if exit_code == 0 => Self::Completed,
            _ => Self::Stopped,
        }
    }
}

/// Judges the containers of a service; `own` are those that `up` made for it.
#[must_use]
pub fn standing(expected: &Expected, own: &[&ListedContainer]) -> Standing {
    let mut standing = Standing::default();
    if expected.scale == Some(0) && own.is_empty() {
        return standing;
    }
    let (mut found, mut running, mut completed) = (0, 0, 0);
    for container in own {
        let end = End::of(container, expected.policy.as_ref());
        let copy = || (*container).clone();
        match end {
            End::Vanishes => continue,
            End::Lacks(lack) => standing.lack = standing.lack.or(Some(lack)),
            End::Stopped => standing.remarks.push(Remark::Stopped(copy())),
            End::Paused => standing.remarks.push(Remark::Paused(copy())),
            End::Failed => standing.remarks.push(Remark::Failed(copy())),
            End::Runs => running += 1,
            End::Completed => completed += 1,
        }
        found += 1;
    }
    standing.is_gone = found == 0;
    standing.is_down = found > 0 && running == 0;
    standing.has_completed = found > 0 && completed == found;
    let wanted = expected.scale.unwrap_or(1);
    if found == 0 {
        standing.lack = (!expected.is_one_shot).then_some(Lack::Absent);
    } else if found < wanted && expected.scale.is_some() {
        standing.lack = standing.lack.or(Some(Lack::Fewer { wanted, found }));
    } else if found > wanted && expected.scale.is_some() {
        let mut names: Vec<String> = own.iter().map(|container| container.name.clone()).collect();
        names.sort();
        standing.remarks.push(Remark::Excess { wanted, names });
    }
    if wanted == 0 {
        // Nothing is expected to run.
        standing.lack = None;
        standing.remarks.retain(|remark| matches!(remark, Remark::Excess { .. }));
    }
    standing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::container::{Inspected, read_listed};

    fn container(state: &str, status: &str) -> ListedContainer {
        read_listed(&format!(
            "0123456789ab\tblog-web-1\tblog\tweb\t1\tFalse\t{state}\t{status}\t\tweb:1\tblog_default\t/srv/blog"
        ))
        .unwrap()
    }

    fn ended(status: &str, policy: &str, error: &str) -> ListedContainer {
        let (policy, max) = policy.split_once(':').unwrap_or((policy, "0"));
        let inspected = Inspected {
            policy: policy.to_owned(),
            max_restarts: max.parse().unwrap(),
            restarts: 2,
            error: error.to_owned(),
            ..Inspected::default()
        };
        ListedContainer { inspected: Some(inspected), ..container("exited", status) }
    }

    /// What Docker 20.10 reports after the event in the first column.
    #[test]
    fn how_a_container_has_ended_follows_from_its_policy_and_error() {
        let exited = |code: i64| format!("Exited ({code}) 3 hours ago");
        let taken = "driver failed programming external connectivity: port is already allocated";
        let gave_up = End::Lacks(Lack::GaveUp { exit_code: 9 });
        for (deed, container, end) in [
            ("docker stop", ended(&exited(137), "always", ""), End::Stopped),
            ("docker stop", ended(&exited(143), "unless-stopped", ""), End::Stopped),
            ("docker kill", ended(&exited(137), "unless-stopped", ""), End::Stopped),
            ("docker stop", ended(&exited(137), "on-failure", ""), End::Stopped),
            ("docker stop", ended(&exited(137), "on-failure:5", ""), End::Stopped),
            ("port taken at boot", ended(&exited(128), "always", taken), End::Lacks(Lack::StartFailed)),
            (
                "port taken at boot",
                ended(&exited(137), "unless-stopped", taken),
                End::Lacks(Lack::StartFailed),
            ),
            ("exits 9 each time", ended(&exited(9), "on-failure:2", ""), gave_up),
            ("exits 9", ended(&exited(9), "no", ""), End::Failed),
            ("exits 9", ended(&exited(9), "", ""), End::Failed),
            ("docker start fails", ended(&exited(128), "no", taken), End::Failed),
        ] {
            assert_eq!(End::of(&container, None), end, "{deed}: {container:?}");
        }
        let zero = container("exited", "Exited (0) 3 hours ago");
        for (policy, end) in [
            (Some(RestartPolicy::No), End::Completed),
            (Some(RestartPolicy::OnFailure), End::Completed),
            (Some(RestartPolicy::Always), End::Stopped),
            (Some(RestartPolicy::UnlessStopped), End::Stopped),
            (None, End::Completed),
        ] {
            assert_eq!(End::of(&zero, policy.as_ref()), end, "{policy:?}");
        }
        for (state, status, end) in [
            ("running", "Up 3 hours (unhealthy)", End::Runs),
            ("restarting", "Restarting (1) 3 seconds ago", End::Runs),
            ("paused", "Up 3 hours (Paused)", End::Paused),
            ("created", "Created", End::Lacks(Lack::NeverStarted)),
            ("dead", "Dead", End::Lacks(Lack::Dead)),
            ("removing", "Removal In Progress", End::Vanishes),
            ("thawing", "Thawing", End::Runs),
        ] {
            assert_eq!(End::of(&container(state, status), None), end, "{state}");
        }
    }

    #[test]
    fn as_many_containers_as_the_scale_says_are_expected() {
        let up = container("running", "Up 3 hours");
        let gone = container("removing", "Removal In Progress");
        let of = |scale: Option<u32>, is_one_shot: bool, own: &[&ListedContainer]| {
            standing(&Expected { scale, policy: Some(RestartPolicy::Always), is_one_shot }, own)
        };
        let lack =
            |lack: Lack| Standing { lack: Some(lack), is_gone: lack == Lack::Absent, ..Standing::default() };
        assert_eq!(of(Some(1), false, &[&up]), Standing::default());
        assert_eq!(of(Some(1), false, &[]), lack(Lack::Absent));
        assert_eq!(of(Some(1), false, &[&gone]), lack(Lack::Absent));
        assert_eq!(of(None, false, &[]), lack(Lack::Absent));
        assert_eq!(of(Some(1), true, &[]), Standing { is_gone: true, ..Standing::default() });
        assert_eq!(of(Some(0), false, &[]), Standing::default());
        assert_eq!(of(Some(3), false, &[&up]), lack(Lack::Fewer { wanted: 3, found: 1 }));
        assert_eq!(of(None, false, &[&up, &up]), Standing::default());
        for wanted in [0, 1] {
            let names = vec!["blog-web-1".to_owned(), "blog-web-1".to_owned()];
            let remarks = vec![Remark::Excess { wanted, names }];
            assert_eq!(of(Some(wanted), false, &[&up, &up]), Standing { remarks, ..Standing::default() });
        }
    }
}
