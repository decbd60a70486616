//! What `docker buildx bake --print` says about a build: which files, agents and caches it uses. Pure.
//!
//! Since buildx 0.20, bake refuses to read files outside of its working directory, unless each is allowed. It
//! reads the compose files itself, so its own answer shows what they name, and exactly that is allowed.

use serde_json::Value;

/// Accesses of a build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accesses {
    /// The paths that are read, relative to the working directory of bake.
    pub read: Vec<String>,
    /// The folders that caches are read from. They may be missing.
    pub cached: Vec<String>,
    /// The paths that are written.
    pub written: Vec<String>,
    /// Whether the ssh agent is used.
    pub has_agent: bool,
    /// Other privileges in bake's words, such as `network.host`.
    pub privileges: Vec<String>,
    /// The caches, as `type=…` with their other attributes.
    pub caches: Vec<Cache>,
}

/// Cache of a build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cache {
    /// Names and values of its attributes.
    attributes: Vec<(String, String)>,
}

impl Cache {
    /// Reads `type=gha,mode=max`. A name alone is the image of a registry.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let pair = |field: &str| {
            let (name, value) = field.trim().trim_matches('"').split_once('=')?;
            Some((name.trim().to_lowercase(), value.to_owned()))
        };
        Self { attributes: text.split(',').filter_map(pair).collect() }
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Whether it is GitHub's cache.
    #[must_use]
    pub fn is_github(&self) -> bool {
        self.get("type") == Some("gha")
    }

    /// Whether it is GitHub's cache and lacks a token or an address, so that buildx leaves it out without a
    /// word. `has` tells whether a variable is set.
    #[must_use]
    pub fn is_left_out(&self, has: impl Fn(&str) -> bool) -> bool {
        let has_token = self.get("token").is_some() || has(TOKEN);
        let has_address = ["url", "url_v2"].iter().any(|name| self.get(name).is_some())
            || ADDRESSES.iter().any(|name| has(name));
        self.is_github() && !(has_token && has_address)
    }
}

/// Variable with the token of GitHub's cache.
pub const TOKEN: &str = "ACTIONS_RUNTIME_TOKEN";

/// Variables with the address of GitHub's cache: that of its second version, and of the first.
pub const ADDRESSES: [&str; 2] = ["ACTIONS_RESULTS_URL", "ACTIONS_CACHE_URL"];

impl Accesses {
    /// Reads the answer of bake, whose form has changed over the years: a list holds texts or objects.
    #[must_use]
    pub fn read(printed: &Value) -> Self {
        let mut found = Self::default();
        for target in printed["target"].as_object().into_iter().flat_map(|targets| targets.values()) {
            found.add(target);
        }
        for list in [&mut found.read, &mut found.cached, &mut found.written, &mut found.privileges] {
            list.sort();
            list.dedup();
        }
        found
    }

    fn add(&mut self, target: &Value) {
        let context = target["context"].as_str().unwrap_or(".");
        if let Some(context) = local(context) {
            self.read.push(context.to_owned());
            if target["dockerfile-inline"].is_null()
                && let Some(dockerfile) = target["dockerfile"].as_str()
            {
                let is_own = dockerfile.starts_with('/') || dockerfile.starts_with("cwd://");
                let below = || format!("{}/{dockerfile}", context.trim_end_matches('/'));
                self.read.extend(match is_own {
                    true => local(dockerfile).map(str::to_owned),
                    false => Some(below()),
                });
            }
        }
        let contexts = target["contexts"].as_object();
        let contexts = contexts.into_iter().flat_map(|contexts| contexts.values()).filter_map(Value::as_str);
        self.read.extend(contexts.filter_map(local).map(str::to_owned));
        for cache in list(&target["cache-from"]).map(|item| Cache { attributes: attributes(item) }) {
            let is_local = cache.get("type") == Some("local");
            self.cached.extend(cache.get("src").filter(|_| is_local).map(str::to_owned));
            self.caches.push(cache);
        }
        for cache in list(&target["cache-to"]).map(|item| Cache { attributes: attributes(item) }) {
            let is_local = cache.get("type") == Some("local");
            self.written.extend(cache.get("dest").filter(|_| is_local).map(str::to_owned));
            self.caches.push(cache);
        }
        for secret in list(&target["secret"]).map(attributes) {
            let path = secret.iter().find(|(name, _)| name == "src" || name == "source");
            self.read.extend(path.map(|(_, path)| path.clone()));
        }
        for ssh in list(&target["ssh"]) {
            let paths: Vec<String> = match ssh {
                Value::String(text) => {
                    let paths = text.split_once('=').map(|(_, paths)| paths).unwrap_or_default();
                    paths.split(',').filter(|path| !path.is_empty()).map(str::to_owned).collect()
                }
                object => list(&object["paths"]).filter_map(Value::as_str).map(str::to_owned).collect(),
            };
            self.has_agent |= paths.is_empty();
            self.read.extend(paths);
        }
        let privileges = list(&target["entitlements"]).filter_map(Value::as_str);
        self.privileges.extend(privileges.map(str::to_owned));
        if target["network"] == "host" {
            self.privileges.push("network.host".to_owned());
        }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The attributes of `a=1,b=2`, or of an object.
fn attributes(item: &Value) -> Vec<(String, String)> {
    match item {
        Value::String(text) => Cache::parse(text).attributes,
        object => {
            let fields = object.as_object().into_iter().flatten();
            fields.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
        }
    }
}

/// The path of a context on this machine; `None` for a remote one, an image or another target.
fn local(context: &str) -> Option<&str> {
    if let Some(path) = context.strip_prefix("cwd://") {
        return Some(path);
    }
    let is_remote = context.contains("://")
        || ["git@", "github.com/", "target:", "service:", "docker-image:", "oci-layout:"]
            .iter()
            .any(|start| context.starts_with(start));
    (!is_remote).then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(target: &Value) -> Accesses {
        Accesses::read(&json!({"group": {}, "target": {"web": target}}))
    }

    #[test]
    fn both_forms_of_an_answer_name_the_same() {
        let old = json!({
            "context": "../../lib", "contexts": {"base": "docker-image://busybox", "e": "../../extra", "o": "target:inner"},
            "dockerfile": "../extra/D2", "cache-from": ["type=local,src=../cache", "type=gha"],
            "cache-to": ["type=local,dest=../cache2", "type=gha,mode=max", "user/app:cache"],
            "secret": ["id=s,src=../../sec/s", "id=envs,env=FOO"], "ssh": ["default", "k=../key,/other"],
        });
        let new = json!({
            "context": "../../lib", "contexts": {"base": "docker-image://busybox", "e": "../../extra", "o": "target:inner"},
            "dockerfile": "../extra/D2", "cache-from": [{"src": "../cache", "type": "local"}, {"type": "gha"}],
            "cache-to": [{"dest": "../cache2", "type": "local"}, {"type": "gha", "mode": "max"}, {"type": "registry", "ref": "user/app:cache"}],
            "secret": [{"id": "s", "src": "../../sec/s"}, {"id": "envs", "env": "FOO"}],
            "ssh": [{"id": "default"}, {"id": "k", "paths": ["../key", "/other"]}],
            "network": "host", "entitlements": ["network.host"],
        });
        let (old, new) = (of(&old), of(&new));
        let read = ["../../extra", "../../lib", "../../lib/../extra/D2", "../../sec/s", "../key", "/other"];
        assert_eq!(
            (&old.read, &old.cached, &old.written),
            (&read.map(str::to_owned).to_vec(), &vec!["../cache".to_owned()], &vec!["../cache2".to_owned()])
        );
        assert_eq!((&new.read, &new.cached, &new.written), (&old.read, &old.cached, &old.written));
        assert!(old.has_agent && new.has_agent);
        assert_eq!((old.privileges.len(), new.privileges.as_slice()), (0, &["network.host".to_owned()][..]));
        let github = |found: &[Cache]| found.iter().filter(|cache| cache.is_github()).count();
        assert_eq!((github(&old.caches), github(&new.caches)), (2, 2));
    }

    #[test]
    fn a_remote_context_and_an_inline_dockerfile_read_no_file() {
        for context in ["https://github.com/ann/side.git", "git@github.com:ann/side.git", "ssh://x/y"] {
            assert_eq!(of(&json!({"context": context, "dockerfile": "x/Dockerfile"})), Accesses::default());
        }
        let inline =
            of(&json!({"context": "../in", "dockerfile": "Dockerfile", "dockerfile-inline": "FROM x"}));
        assert_eq!(inline.read, ["../in"]);
        let own =
            of(&json!({"context": ".", "dockerfile": "/x/Dockerfile", "contexts": {"a": "cwd://../b"}}));
        assert_eq!(own.read, [".", "../b", "/x/Dockerfile"]);
        assert_eq!(Accesses::read(&json!([])), Accesses::default());
    }

    #[test]
    fn the_cache_on_github_needs_a_token_and_an_address() {
        let left_out = |text: &str, set: &[&str]| Cache::parse(text).is_left_out(|name| set.contains(&name));
        assert!(left_out("type=gha,mode=max", &[]));
        assert!(left_out("type=gha", &[TOKEN]));
        assert!(left_out("type=gha", &["ACTIONS_RESULTS_URL"]));
        assert!(!left_out("type=gha", &[TOKEN, "ACTIONS_RESULTS_URL"]));
        assert!(!left_out("type=gha", &[TOKEN, "ACTIONS_CACHE_URL"]));
        assert!(!left_out("mode=max,type=gha,token=x,url_v2=http://x/", &[]));
        assert!(!left_out("type=registry,ref=ghcr.io/ann/cache", &[]));
        assert!(!left_out("ghcr.io/ann/cache", &[]));
    }
}
