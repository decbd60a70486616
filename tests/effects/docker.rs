//! Docker on the model of a host: images, containers, and what Compose does to them.

use ghdeploy::base::path::RootPath;
use serde_json::{Value, json};

use crate::host::{Answer, Container, Files, Host, refused};

impl Host {
    fn project(&self, dir: &str) -> String {
        self.names.get(dir).cloned().unwrap_or_else(|| dir.to_owned())
    }

    fn is_poisoned(&self, container: &Container) -> bool {
        self.poison
            .iter()
            .any(|(path, digest)| container.seen.get(path).is_some_and(|entry| entry.digest == *digest))
    }

    /// `docker compose` in a project's folder.
    pub(crate) fn compose(&mut self, dir: &str, live: bool, argv: &[&str], half: bool) -> Answer {
        let compose = RootPath::new(&format!("{dir}/compose.yml")).unwrap();
        if live && !self.files.contains_key(&compose) {
            return refused("no configuration file provided: not found");
        }
        if !live && !self.stage.get(dir).is_some_and(|stage| stage.is_candidate) {
            return refused("there is no candidate");
        }
        let project = self.project(dir);
        let mut services: Vec<&str> = Vec::new();
        let mut words = argv[1..].iter();
        while let Some(word) = words.next() {
            match *word {
                "--pull" | "-s" | "--timeout" | "--policy" => drop(words.next()),
                word if word.starts_with('-') => {}
                word => services.push(word),
            }
        }
        if half {
            services.truncate(1);
        }
        match argv[0] {
            "config" if argv.contains(&"--images") => {
                let names = services
                    .iter()
                    .map(|service| json!({"event": "output", "text": format!("secret/{service}:1")}));
                return (names.collect(), 0);
            }
            "config" | "pull" => {}
            "build" => services
                .iter()
                .for_each(|service| *self.images.entry(format!("{project}-{service}")).or_default() += 1),
            "up" => services
                .iter()
                .for_each(|service| self.up(&project, service, &compose, argv.contains(&"--force-recreate"))),
            "restart" | "kill" | "exec" => {
                let services = if argv[0] == "exec" { vec![services[0]] } else { services };
                self.clock += 1;
                for service in services {
                    if !self.containers.iter().any(|c| (&*c.project, &*c.service) == (&*project, service))
                        && argv[0] != "restart"
                    {
                        return refused(&format!("service {service:?} is not running"));
                    }
                    let (files, ends, clock) =
                        (self.files.clone(), self.one_shots.get(service).copied(), self.clock);
                    for container in self
                        .containers
                        .iter_mut()
                        .filter(|c| (&*c.project, &*c.service) == (&*project, service))
                    {
                        container.seen = files.clone();
                        if argv[0] == "restart" {
                            container.runs_for = ends;
                            container.started = clock;
                            container.is_stopped = false;
                        }
                    }
                }
            }
            "down" => self.containers.retain(|container| container.project != project),
            word => return refused(&format!("unknown docker command: compose {word}")),
        }
        if half { refused("it stopped half way") } else { (Vec::new(), 0) }
    }

    /// Recreates containers whose definition has changed, starts those that are missing or down, and leaves
    /// the rest.
    fn up(&mut self, project: &str, service: &str, compose: &RootPath, force: bool) {
        let defined = |files: &Files| {
            files
                .iter()
                .filter(|(path, _)| *path == compose || path.as_str().ends_with(".env"))
                .map(|(path, entry)| (path.clone(), entry.digest.clone()))
                .collect::<Vec<_>>()
        };
        let there = self.containers.iter().position(|c| c.project == project && c.service == service);
        let image = self.images.get(&format!("{project}-{service}")).copied().unwrap_or_default();
        if let Some(at) = there
            && !force
            && self.containers[at].image == image
            && defined(&self.containers[at].created) == defined(&self.files)
        {
            let container = &self.containers[at];
            if !self.is_poisoned(container) && container.runs_for != Some(0) && !container.is_stopped {
                return;
            }
            self.containers[at].is_stopped = false;
            self.clock += 1;
            self.containers[at].seen = self.files.clone();
            self.containers[at].runs_for = self.one_shots.get(service).copied();
            self.containers[at].started = self.clock;
            return;
        }
        if let Some(at) = there {
            self.containers.remove(at);
        }
        self.clock += 1;
        self.containers.push(Container {
            id: format!("id{}", self.clock),
            project: project.to_owned(),
            service: service.to_owned(),
            created: self.files.clone(),
            seen: self.files.clone(),
            runs_for: self.one_shots.get(service).copied(),
            started: self.clock,
            is_stopped: false,
            image,
        });
    }

    /// Stops a container, or starts it with the files that lie there.
    pub(crate) fn set_stopped(&mut self, id: &str, is_stopped: bool) {
        self.clock += 1;
        let (files, clock) = (self.files.clone(), self.clock);
        let own = self.containers.iter_mut().find(|container| container.id == id);
        if let Some(container) = own.filter(|container| container.is_stopped != is_stopped) {
            container.is_stopped = is_stopped;
            if !is_stopped {
                container.seen = files;
                container.started = clock;
            }
        }
    }

    /// Every container, as the facts list it.
    pub(crate) fn list_containers(&self) -> Vec<Value> {
        if self.has_no_docker {
            let why = json!({"event": "output", "text": "sh: docker: not found"});
            return vec![why, json!({"event": "docker", "rc": 127})];
        }
        let line = |container: &Container| {
            let (state, status) = match container.runs_for {
                _ if container.is_stopped => ("exited", "Exited (137) 3 hours ago"),
                _ if self.is_poisoned(container) => ("exited", "Exited (1) 3 hours ago"),
                Some(0) => ("exited", "Exited (0) 3 hours ago"),
                _ => ("running", "Up 3 hours"),
            };
            let Container { id, project, service, .. } = container;
            let text = format!(
                "{id}\t{project}-{service}-1\t{project}\t{service}\t1\tFalse\t{state}\t{status}\t\tx\tnet\t"
            );
            json!({"event": "listed", "text": text})
        };
        let done = json!({"event": "docker", "rc": 0});
        self.containers.iter().map(line).chain([done]).collect()
    }

    /// Every container, in the form of `docker inspect`.
    pub(crate) fn tell_containers(&mut self) -> Answer {
        let mut events = Vec::new();
        for container in &self.containers {
            let (state, code) = match container.runs_for {
                _ if container.is_stopped => ("exited", 137),
                _ if self.is_poisoned(container) => ("exited", 1),
                Some(0) => ("exited", 0),
                _ => ("running", 0),
            };
            events.push(json!({"event": "container", "container": {
                "id": container.id, "name": format!("/{}-{}-1", container.project, container.service), "project": container.project,
                "service": container.service, "oneoff": "False", "replaces": "", "image": format!("sha256:{}", container.image), "image_name": format!("{}-{}", container.project, container.service),
                "state": state, "exit_code": code, "restarts": 0, "created": "-", "started": container.started.to_string(),
                "stop_timeout": null, "health": null,
            }}));
        }
        for left in self.containers.iter_mut().filter_map(|container| container.runs_for.as_mut()) {
            *left = left.saturating_sub(1);
        }
        (events, 0)
    }
}
