//! Finds the files and folders that a service mounts or is built from.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::context::ResolvedPath;
use super::digest::bound_folder;
use super::model::{BuiltOf, HostVariables, Read, ReadMethod};
use super::remote;
use super::service::{ServiceReader, collect_unknown};
use super::variables::Variable;
use super::words::{MountType, ResourceKind, secret_path};
use super::yaml::{MapEntry, Mark, Node, Text, Value, text_size};
use super::{Ignored, NodeKind};
use crate::base::path::RootPath;

/// Size of the largest `.dockerignore` that is read, in bytes: every line is matched against every file of
/// the context. If it is larger, all files of the context count.
const MAX_DOCKERIGNORE: usize = 16 << 10;

/// Number of nodes that the build of another service counts as: its `.dockerignore` is read for each build.
const BUILD_NODES: usize = 50;

/// Prefix of a context that is the image of another service.
const SERVICE: &str = "service:";

/// Prefixes of contexts that are no files of the repository.
const ELSEWHERE: &[&str] = &["docker-image:", SERVICE, "target:"];

impl<'r> ServiceReader<'r, '_, '_> {
    /// Finds bind mounts, including those through a volume.
    pub(super) fn volumes(&mut self) {
        for item in self.items("volumes") {
            let Some(map) = item.as_map() else { continue };
            let get = |key: &str| map.get(key).map(|entry| &entry.node);
            let target = get("target").and_then(Node::as_str).map(str::to_owned);
            let Some(Node { value: Value::Text(source), at, .. }) = get("source") else { continue };
            if source.text.is_empty() {
                continue;
            }
            match MountType::of(map) {
                MountType::Bind => {
                    self.read(source, *at, ReadMethod::Bind, target, true);
                }
                MountType::Volume => self.named_volume(source, *at, target),
                MountType::Other => {}
            }
        }
    }

    fn named_volume(&mut self, source: &Text, at: Mark, target: Option<String>) {
        let Some(entry) = self.model.volumes.get(&source.text) else {
            if source.unknown.is_empty() {
                self.undefined(at, "uses volume", &source.text, &self.model.volumes);
            } else {
                let at = self.context.location(at);
                self.host_binds.push((source.text.to_string(), at));
            }
            return;
        };
        self.resource(ResourceKind::Volume, &source.text, Some(&entry.node));
        if let Some(Node { value: Value::Text(device), at, .. }) = bound_folder(&entry.node) {
            self.read(device, *at, ReadMethod::Bind, target, true);
        }
    }

    /// Finds configs and secrets. Compose hashes only their names, not their sources.
    pub(super) fn file_objects(&mut self) {
        let kinds = [
            (ResourceKind::Config, &self.model.configs, ReadMethod::Config),
            (ResourceKind::Secret, &self.model.secrets, ReadMethod::Secret),
        ];
        for (kind, objects, how) in kinds {
            for item in self.items(kind.key()) {
                let Some(map) = item.as_map() else { continue };
                let Some(MapEntry { node: source, .. }) = map.get("source") else { continue };
                let Some(name) = source.as_str() else { continue };
                let Some(object) = objects.get(name) else {
                    self.undefined(source.at, &format!("uses {kind}"), name, objects);
                    continue;
                };
                let Some((object, value)) = self.paid_object(object) else { return };
                collect_unknown(object, &mut self.unknown);
                if self.context.asks_host(object) {
                    self.asks(HostVariables::Content);
                }
                let given = map.get("target").and_then(|entry| entry.node.as_str());
                let target = match given {
                    Some(target) if target.starts_with('/') => target.to_owned(),
                    target if kind == ResourceKind::Secret => secret_path(target.unwrap_or(name)),
                    target => format!("/{}", target.unwrap_or(name)),
                };
                let text = |key: &str| match object.get(key).map(|node| (&node.value, node.at)) {
                    Some((Value::Text(text), at)) => Some((text, at)),
                    _ => None,
                };
                if let Some((file, at)) = text("file") {
                    let path = self.read(file, at, how, Some(target.clone()), true);
                    let path = path.map_or_else(|| file.text.to_string(), |path| path.to_string());
                    self.unhashed(&[&target, "file", &path]);
                } else if let Some((content, _)) = text("content") {
                    self.unhashed(&[&target, "content", &content.text]);
                } else if let Some((variable, _)) = text("environment") {
                    match value {
                        Some(value) => self.unhashed(&[&target, "content", &value.text]),
                        None => {
                            self.unhashed(&[&target, "environment", &variable.text]);
                            self.unknown.insert(Rc::clone(&variable.text));
                            self.asks(HostVariables::Content);
                        }
                    }
                }
            }
        }
    }

    /// Returns a config or secret with the variable that it comes from; `None` if the budget is spent. It is
    /// hashed again for each service.
    fn paid_object(&mut self, object: &'r MapEntry) -> Option<(&'r Node, Option<&'r Variable>)> {
        let name = object.node.get("environment").and_then(Node::as_str);
        let value = name.and_then(|name| self.shared.variables.get(name));
        let size = object.node.size() + value.map_or(0, |value| text_size(&value.text));
        self.context.pay(size, self.at).then_some((&object.node, value))
    }

    /// Finds build contexts and other files that its build reads, and the builds of other services that it starts from.
    pub(super) fn build(&mut self) {
        for (number, (name, build)) in self.builds().into_iter().enumerate() {
            let of = self.build_reads(build);
            if number == 0 {
                self.check_build(build);
                self.built_of = Some(of);
            }
            let others =
                contexts(build).filter_map(|node| Some((node.at, node.as_str()?.strip_prefix(SERVICE)?)));
            for (at, other) in others {
                let Some(definition) = self.model.services.get(other) else {
                    self.undefined(at, "is built with", other, &self.model.services);
                    continue;
                };
                if !definition.body.contains_key("build") {
                    let message = format!("service `{name}` is built with `{other}`, which has no `build`");
                    self.context.error(at, message);
                }
            }
        }
    }

    /// Its own build and those of the services that it starts from (`additional_contexts: {base: "service:base"}`), each
    /// with the name of the service. They end where the budget does.
    pub(super) fn builds(&mut self) -> Vec<(&'r str, &'r Node)> {
        let mut builds: Vec<(&'r str, &'r Node)> =
            self.set("build").map(|build| (self.name, build)).into_iter().collect();
        let mut known = BTreeSet::from([self.name]);
        let mut next = 0;
        while let Some((_, build)) = builds.get(next).copied() {
            next += 1;
            for other in contexts(build).filter_map(|node| node.as_str()?.strip_prefix(SERVICE)) {
                let entry = self.model.services.get_key_value(other);
                let entry =
                    entry.and_then(|(name, definition)| Some((&**name, &definition.body.get("build")?.node)));
                if let Some((name, build)) = entry
                    && known.insert(name)
                    && self.context.pay(build.size() + BUILD_NODES, self.at)
                {
                    builds.push((name, build));
                }
            }
        }
        builds
    }

    fn check_build(&mut self, build: &Node) {
        if let Some(at) = build.get("dockerfile").and(build.get("dockerfile_inline")).map(|inline| inline.at)
        {
            let message =
                format!("service `{}`: `dockerfile` and `dockerfile_inline` exclude each other", self.name);
            self.context.error(at, message);
        }
        for item in build.get("secrets").and_then(Node::as_list).unwrap_or(&[]) {
            let source = if item.as_str().is_some() { Some(item) } else { item.get("source") };
            if let Some((at, name)) = source.and_then(|node| Some((node.at, node.as_str()?)))
                && !self.model.secrets.contains_key(name)
            {
                self.undefined(at, "is built with secret", name, &self.model.secrets);
            }
        }
    }

    fn build_reads(&mut self, build: &'r Node) -> BuiltOf {
        let text = |node: Option<&'r Node>| match node.map(|node| (&node.value, node.at)) {
            Some((Value::Text(text), at)) => Some((text.clone(), at)),
            _ => None,
        };
        let (context, at) = text(build.get("context")).unwrap_or_else(|| (Text::quoted("."), build.at));
        let mut folder = None;
        if !remote::is_context(&context.text) {
            folder = self.read(&context, at, ReadMethod::Build, None, true);
        }
        let named = text(build.get("dockerfile"));
        let dockerfile = folder.as_ref().and_then(|folder| self.dockerfile(folder, named));
        for node in contexts(build) {
            let Value::Text(text) = &node.value else { continue };
            let layout = text.text.strip_prefix("oci-layout://").map(|path| {
                let path = path.split('@').next().unwrap_or_default();
                Text { text: Rc::from(path.rsplit_once(':').map_or(path, |(path, _)| path)), ..text.clone() }
            });
            if let Some(layout) = layout {
                self.read(&layout, node.at, ReadMethod::Build, None, true);
            } else if !remote::is_context(&text.text)
                && !ELSEWHERE.iter().any(|scheme| text.text.starts_with(scheme))
            {
                self.read(text, node.at, ReadMethod::Build, None, true);
            }
        }
        for item in build.get("secrets").and_then(Node::as_list).unwrap_or(&[]) {
            let name = item.as_str().or_else(|| item.get("source").and_then(Node::as_str));
            let object = name.and_then(|name| self.model.secrets.get(name));
            if let Some((file, at)) = object.and_then(|entry| text(entry.node.get("file"))) {
                self.read(&file, at, ReadMethod::Build, None, true);
            }
        }
        let shown = |path: &RootPath| self.context.files.shown(path);
        BuiltOf {
            context: folder.as_ref().map_or_else(|| context.text.to_string(), shown),
            is_remote: folder.is_none(),
            dockerfile: dockerfile.as_ref().filter(|_| build.get("dockerfile_inline").is_none()).map(shown),
            target: build.get("target").and_then(Node::as_str).map(str::to_owned),
        }
    }

    /// Finds the Dockerfile and the files of the context that the build does not see. Returns the
    /// Dockerfile's path.
    fn dockerfile(&mut self, context: &RootPath, named: Option<(Text, Mark)>) -> Option<RootPath> {
        let mut path = context.join("Dockerfile").ok();
        if let Some((dockerfile, at)) = named.filter(|(dockerfile, _)| dockerfile.unknown.is_empty()) {
            path = match dockerfile.text.starts_with('/') {
                true => match self.context.resolve(&dockerfile, at) {
                    ResolvedPath::Tree(path) => Some(path),
                    ResolvedPath::Host(_) | ResolvedPath::Invalid => None,
                },
                false => context.join(&dockerfile.text).ok(),
            };
            if let Some(path) = path.clone() {
                let kind = self.context.files.kind(&path);
                let at = self.context.location(at);
                self.push_read(Read { kind, required: true, ..Read::new(path, ReadMethod::Build, at) });
            }
        }
        let beside = path.as_ref().and_then(|path| RootPath::new(&format!("{path}.dockerignore")).ok());
        let own = context.join(".dockerignore").ok();
        let is_file = |path: &RootPath| self.context.files.kind(path) == Some(NodeKind::File);
        let Some(file) = beside.into_iter().chain(own).find(is_file) else { return path };
        let Ok(Some(bytes)) = self.context.files.read(&file) else { return path };
        if bytes.len() > MAX_DOCKERIGNORE {
            return path;
        }
        let read = [Some(&file), path.as_ref()].into_iter().flatten();
        let read: Vec<&str> = read.filter_map(|path| path.relative_to(context)).collect();
        let ignored = Ignored::parse(&String::from_utf8_lossy(&bytes), &read);
        for read in
            self.reads.iter_mut().filter(|read| read.how == ReadMethod::Build && read.path == *context)
        {
            read.ignored = ignored.clone();
        }
        path
    }
}

/// The values of `additional_contexts`.
fn contexts(build: &Node) -> impl Iterator<Item = &Node> {
    let map = build.get("additional_contexts").and_then(Node::as_map);
    map.into_iter().flat_map(|map| map.values().map(|entry| &entry.node))
}

#[cfg(test)]
mod tests {
    use super::super::fake::{FakeTree, messages, project, web};
    use super::*;

    /// Shows the reads as `how path target line:column`, with `?` if the tree lacks the path.
    fn reads(compose: &str, files: &[&str]) -> Vec<String> {
        let mut tree = vec![("blog/compose.yml", compose)];
        tree.extend(files.iter().map(|file| (*file, "")));
        let project = FakeTree::new(&tree).load();
        let show = |read: &Read| {
            let absent = if read.kind.is_none() { "?" } else { "" };
            let target = read.target.as_deref().unwrap_or("-");
            format!("{:?} {}{absent} {target} {}:{}", read.how, read.path, read.at.line, read.at.column)
        };
        web(&project).reads.iter().map(show).collect()
    }

    #[test]
    fn a_build_does_not_see_ignored_files() {
        let build = |build: &str, files: &[(&str, &str)]| -> Vec<&'static str> {
            let compose = format!("services: {{web: {{build: {build}}}}}");
            let mut tree = vec![("blog/compose.yml", compose.as_str())];
            tree.extend(files);
            let project = FakeTree::new(&tree).load();
            let seen = |path: &&str| {
                web(&project).reads.iter().any(|read| read.covers(&RootPath::new(path).unwrap()))
            };
            ["blog/app/Dockerfile", "blog/app/a.md", "blog/app/src/x", "blog/app/.dockerignore"]
                .into_iter()
                .filter(seen)
                .collect()
        };
        let all = build("app", &[("blog/app/Dockerfile", "")]);
        assert_eq!(all.len(), 4);
        let ignored = ("blog/app/.dockerignore", "*\n!src\n");
        assert_eq!(
            build("app", &[ignored]),
            ["blog/app/Dockerfile", "blog/app/src/x", "blog/app/.dockerignore"]
        );
        // An ignore file beside the Dockerfile wins.
        let beside = ("blog/x.dockerignore", "src");
        let build = build("{context: app, dockerfile: ../x}", &[ignored, ("blog/x", ""), beside]);
        assert_eq!(build, ["blog/app/Dockerfile", "blog/app/a.md", "blog/app/.dockerignore"]);
    }

    #[test]
    fn a_large_file_of_ignored_patterns_is_not_read() {
        let sees = |bytes: usize| {
            let patterns = format!("*.md\n#{}", "x".repeat(bytes - 6));
            assert_eq!(patterns.len(), bytes);
            let tree = FakeTree::new(&[
                ("blog/compose.yml", "services: {web: {build: app}}"),
                ("blog/app/.dockerignore", &patterns),
            ]);
            web(&tree.load()).reads[0].covers(&RootPath::new("blog/app/a.md").unwrap())
        };
        assert!(!sees(MAX_DOCKERIGNORE) && sees(MAX_DOCKERIGNORE + 1));
    }

    #[test]
    fn a_mount_sees_what_the_build_of_the_same_folder_ignores() {
        let tree = FakeTree::new(&[
            ("blog/compose.yml", "services: {web: {build: app, volumes: ['./app:/src']}}"),
            ("blog/app/.dockerignore", "*.md"),
        ]);
        let project = tree.load();
        let path = RootPath::new("blog/app/a.md").unwrap();
        let sees =
            |how: ReadMethod| web(&project).reads.iter().any(|read| read.how == how && read.covers(&path));
        assert!(sees(ReadMethod::Bind) && !sees(ReadMethod::Build));
    }

    #[test]
    fn a_relative_target_of_a_config_or_secret_starts_from_its_usual_folder() {
        let compose = "services: {web: {image: a, configs: [{source: c, target: d/e}], \
                       secrets: [{source: s, target: t}]}}\n\
                       configs: {c: {file: ./c}}\nsecrets: {s: {file: ./s}}\n";
        let targets: Vec<String> = reads(compose, &["blog/c", "blog/s"])
            .iter()
            .filter_map(|read| read.split(' ').nth(2).map(str::to_owned))
            .collect();
        assert_eq!(targets, ["/d/e", "/run/secrets/t"]);
    }

    #[test]
    fn an_unknown_variable_makes_every_possible_path_a_read() {
        let files = ["blog/conf/app.yml", "blog/x/y", "blog/one.env", "elsewhere/file"];
        let volume = |source: &str| {
            let compose = format!("services: {{web: {{image: a, volumes: ['{source}:/x']}}}}");
            reads(&compose, &files).join(" ")
        };
        for (source, wanted) in [
            ("${D}/conf/app.yml", "Bind blog/conf/app.yml /x 1:38"),
            ("$D/blog/conf", "Bind blog/conf /x 1:38"),
            ("${D}/conf/${NAME}.yml", "Bind blog/conf /x 1:38"),
            ("./conf/${NAME}", "Bind blog/conf /x 1:38"),
            ("/srv/services/blog/conf/${NAME}", "Bind blog/conf /x 1:38"),
            // No such name, nothing certain, the whole folder, a file of another project.
            ("${D}/other", ""),
            ("${D}", ""),
            ("${D}/blog", ""),
            ("${D}/elsewhere/file", ""),
            ("/srv/services/${NAME}", ""),
            ("/mnt/${NAME}/conf", ""),
            ("${D}/../../conf", ""),
        ] {
            assert_eq!(volume(source), wanted, "{source}");
        }
        let compose = "services: {web: {image: a, env_file: '${D}/one.env', build: '$D/x'}}";
        assert_eq!(reads(compose, &files), ["EnvFile blog/one.env - 1:38", "Build blog/x - 1:61"]);
        let tree =
            [("blog/compose.yml", "services: {web: {image: a, volumes: ['$PWD/a:/a']}}"), ("blog/a", "")];
        assert_eq!(web(&FakeTree::new(&tree).load()).reads[0].path.as_str(), "blog/a");
    }

    #[test]
    fn every_read_has_its_location() {
        let compose = "\
services:
  web:
    image: a
    build: {context: ./app, dockerfile: ../Dockerfile}
    env_file: [web.env, {path: no.env, required: false}]
    label_file: labels
    volumes:
      - ./conf:/conf
      - {type: bind, source: one.txt, target: /one}
      - data:/data
    configs: [site, {source: site, target: /etc/site}]
    secrets: [token]
configs:
  site: {file: site.conf}
secrets:
  token: {file: ../shared/token}
volumes:
  data:
    driver_opts: {type: none, o: bind, device: /srv/services/blog/data}
";
        let files = ["blog/conf/x", "blog/site.conf", "blog/data/x", "blog/app/x", "blog/web.env"];
        assert_eq!(
            reads(compose, &files),
            [
                "EnvFile blog/web.env - 5:16",
                "EnvFile blog/no.env? - 5:32",
                "LabelFile blog/labels? - 6:17",
                "Bind blog/conf /conf 8:9",
                "Bind blog/one.txt? /one 9:30",
                "Bind blog/data /data 19:48",
                "Config blog/site.conf /site 14:16",
                "Config blog/site.conf /etc/site 14:16",
                "Secret shared/token? /run/secrets/token 16:17",
                "Build blog/app - 4:22",
                "Build blog/Dockerfile? - 4:41",
            ]
        );
    }

    #[test]
    fn only_paths_below_the_root_are_reads() {
        let project = project(
            "services: {web: {image: a, volumes: ['/srv/services/../services/blog/x:/x', '/etc/hosts:/h', \
             '~/y:/y', '${DATA}/z:/z', './${DATA}:/w', '/srv/services:/all', '/srv/servicesx:/n']}}",
        );
        let service = web(&project);
        let reads: Vec<&str> = service.reads.iter().map(|read| read.path.as_str()).collect();
        // Any folder of the project may be `./${DATA}`.
        assert_eq!(reads, ["blog/x", "blog", ""]);
        let elsewhere: Vec<&str> = service.host_binds.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(elsewhere, ["/etc/hosts", "~/y", "${DATA}/z", "./${DATA}", "/srv/servicesx"]);
        assert_eq!(service.unknown_variables, ["DATA"]);
    }

    #[test]
    fn a_relative_path_above_the_root_is_an_error() {
        let found = messages(&project("services: {web: {image: a, volumes: ['../../etc:/etc']}}"));
        assert!(
            found[0].starts_with("services/blog/compose.yml:1:38: a relative path leads above"),
            "{found:?}"
        );
    }

    #[test]
    fn remote_contexts_and_images_are_not_reads() {
        for context in ["https://github.com/a/b.git#main", "git@github.com:a/b.git", "github.com/a/b"] {
            let compose = format!(
                "services: {{web: {{build: {{context: '{context}', additional_contexts: \
                 {{a: docker-image://x, b: 'target:y', c: ./c, d: 'oci-layout://./d:tag'}}}}}}}}"
            );
            let found = reads(&compose, &["blog/c/x", "blog/d/x"]);
            let paths: Vec<&str> = found.iter().filter_map(|read| read.split(' ').nth(1)).collect();
            assert_eq!(paths, ["blog/c", "blog/d"], "{context}: {found:?}");
        }
    }

    #[test]
    fn a_build_reads_what_the_builds_of_the_services_that_it_starts_from_read() {
        let load = |dockerfile: &str| {
            let compose = format!(
                "services: {{web: {{build: {{context: ./web, additional_contexts: {{base: 'service:mid'}}}}}}, \
                 mid: {{build: {{context: ./mid, additional_contexts: ['base=service:base']}}}}, \
                 base: {{build: {{context: ./base, dockerfile: {dockerfile}, additional_contexts: {{b: 'service:web'}}}}}}}}"
            );
            FakeTree::new(&[
                ("blog/compose.yml", &*compose),
                ("blog/web/x", ""),
                ("blog/mid/x", ""),
                ("blog/base/x", ""),
            ])
            .load()
        };
        let (one, other) = (load("x"), load("y"));
        let paths: Vec<&str> = web(&one).reads.iter().map(|read| read.path.as_str()).collect();
        assert_eq!(paths, ["blog/web", "blog/mid", "blog/base", "blog/base/x"]);
        assert_eq!(web(&one).built_of.as_ref().unwrap().context, "services/blog/web");
        assert_ne!(web(&one).build, web(&other).build);
        let found = messages(&project(
            "services: {web: {build: {context: ., dockerfile: d, dockerfile_inline: FROM x, secrets: [s], \
             additional_contexts: {a: 'service:bas', b: 'service:bare'}}}, bare: {image: x}, base: {build: b}}",
        ));
        assert_eq!(
            found,
            [
                "services/blog/compose.yml:1:72: service `web`: `dockerfile` and `dockerfile_inline` exclude each other",
                "services/blog/compose.yml:1:90: service `web` is built with secret `s`, which is not defined",
                "services/blog/compose.yml:1:119: service `web` is built with `bas`, which is not defined (did you mean \
                 `base`?)",
                "services/blog/compose.yml:1:137: service `web` is built with `bare`, which has no `build`",
            ]
        );
    }
}
