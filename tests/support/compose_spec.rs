//! The JSON schema of the Compose Specification, and compose files made from it.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

/// The schema.
pub(crate) struct Schema {
    /// Its document.
    pub(crate) root: Value,
}

/// A place for a value in a compose file.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The keys that lead to it, joined by dots: `*` is any key, `[]` an item of a list.
    pub(crate) path: String,
    /// What the schema allows here: one schema per type.
    pub(crate) alternatives: Vec<Value>,
    /// The top level with [`HOLE`] in this place, and with what Compose needs around it.
    around: Value,
}

const HOLE: &str = "@";

impl Place {
    /// The top level with `value` in this place.
    pub(crate) fn with(&self, value: &Value) -> Value {
        filled(&self.around, value)
    }

    /// The top level without a value in this place.
    pub(crate) fn without(&self) -> Value {
        emptied(&self.around)
    }

    /// Up to two different values of each type that the schema allows here.
    pub(crate) fn examples(&self, schema: &Schema) -> Vec<Value> {
        self.alternatives.iter().flat_map(|one| schema.examples(&self.path, one)).collect()
    }

    /// Whether the schema allows a value of this type here.
    pub(crate) fn takes(&self, kind: &str) -> bool {
        self.alternatives.iter().any(|one| one["type"] == kind || one["type"].is_null())
    }
}

impl Schema {
    /// The schema of the fixture, or the one that `COMPOSE_SPEC` names.
    pub(crate) fn read() -> Self {
        let fixture =
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compose_fixtures/specification/compose-spec.json");
        let path = std::env::var_os("COMPOSE_SPEC").map_or_else(|| PathBuf::from(fixture), PathBuf::from);
        let text = std::fs::read_to_string(path).unwrap();
        Self { root: serde_json::from_str(&text).unwrap() }
    }

    /// Every place of a value, outer ones first.
    pub(crate) fn places(&self) -> Vec<Place> {
        let mut found = Vec::new();
        self.within("", &self.root, &json!(HOLE), &mut found);
        found
    }

    fn within(&self, path: &str, schema: &Value, around: &Value, found: &mut Vec<Place>) {
        let alternatives = self.alternatives(schema);
        for one in &alternatives {
            for (key, below) in keys(one) {
                let name = key.unwrap_or("one");
                let mut map = needed(path, name);
                map.insert(name.to_owned(), json!(HOLE));
                let inner = format!("{path}.{}", key.unwrap_or("*"));
                self.within(
                    inner.trim_start_matches('.'),
                    below,
                    &filled(around, &Value::Object(map)),
                    found,
                );
            }
            if one["type"] == "array" {
                let list = filled(around, &json!([HOLE]));
                self.within(&format!("{path}.[]"), &one["items"], &list, found);
            }
        }
        found.push(Place { path: path.to_owned(), alternatives, around: around.clone() });
    }

    /// The alternatives of a schema, with references followed, and the parts of `allOf` in one.
    fn alternatives(&self, schema: &Value) -> Vec<Value> {
        if let Some(name) = schema["$ref"].as_str() {
            return self.alternatives(&self.root["$defs"][name.trim_start_matches("#/$defs/")]);
        }
        if let Some(several) = schema["oneOf"].as_array() {
            let mut found: Vec<Value> = several.iter().flat_map(|one| self.alternatives(one)).collect();
            let types: Value = found.iter().map(|one| one["type"].clone()).collect();
            found.iter_mut().for_each(|one| one["types"] = types.clone());
            return found;
        }
        let mut whole = schema.clone();
        for part in schema["allOf"].as_array().into_iter().flatten().flat_map(|part| self.alternatives(part))
        {
            for (key, value) in part["properties"].as_object().into_iter().flatten() {
                whole["properties"][key] = value.clone();
            }
            whole["type"] = json!("object");
        }
        let Some(types) = schema["type"].as_array() else { return vec![whole] };
        let of = |kind: &Value| {
            let mut one = if kind == "object" { whole.clone() } else { json!({}) };
            one["type"] = kind.clone();
            one["types"] = schema["type"].clone();
            one
        };
        types.iter().map(of).collect()
    }

    /// A mapping in the place `path` with no more than it needs.
    pub(crate) fn least(&self, path: &str, one: &Value) -> Value {
        let mut map = needed(path, "");
        let names: Vec<String> =
            map.keys().filter(|key| one["properties"][*key].is_null()).cloned().collect();
        names.iter().for_each(|name| drop(map.remove(name)));
        Value::Object(map)
    }

    /// Up to two different values of an alternative.
    pub(crate) fn examples(&self, path: &str, one: &Value) -> Vec<Value> {
        let of = |path: &str, schema: &Value| -> Vec<Value> {
            self.alternatives(schema).iter().take(1).flat_map(|one| self.examples(path, one)).collect()
        };
        match one["type"].as_str() {
            Some("object") => {
                let Some((key, below)) = keys(one).next() else { return vec![json!({"one": "one"})] };
                let name = key.unwrap_or("one");
                let whole = |value: Value| {
                    let mut map = needed(path, name);
                    map.insert(name.to_owned(), value);
                    Value::Object(map)
                };
                of(&format!("{path}.{}", key.unwrap_or("*")), below).into_iter().map(whole).collect()
            }
            Some("array") => {
                let items = of(&format!("{path}.[]"), &one["items"]);
                items.into_iter().map(|item| json!([item])).collect()
            }
            Some("string") => texts(path, one).into_iter().map(Value::String).collect(),
            Some("boolean") => vec![json!(true), json!(false)],
            Some("integer" | "number") => numbers(path).iter().map(|number| json!(number)).collect(),
            Some("null") => vec![Value::Null],
            _ => Vec::new(),
        }
    }
}

/// The keys of a mapping with their schemas; `None`: any key.
pub(crate) fn keys(one: &Value) -> impl Iterator<Item = (Option<&str>, &Value)> {
    let maps = ["properties", "patternProperties"].map(|name| one[name].as_object());
    let [named, any] = maps.map(|map| map.into_iter().flatten());
    let any = any.filter(|(pattern, _)| *pattern != "^x-").map(|(_, below)| (None, below));
    named.map(|(key, below)| (Some(key.as_str()), below)).chain(any)
}

fn filled(around: &Value, value: &Value) -> Value {
    match around {
        Value::String(text) if text == HOLE => value.clone(),
        Value::Array(items) => items.iter().map(|item| filled(item, value)).collect(),
        Value::Object(map) => map.iter().map(|(key, below)| (key.clone(), filled(below, value))).collect(),
        other => other.clone(),
    }
}

fn emptied(around: &Value) -> Value {
    let stays = |value: &&Value| value.as_str() != Some(HOLE);
    match around {
        Value::Array(items) => items.iter().filter(stays).map(emptied).collect(),
        Value::Object(map) => {
            let kept = map.iter().filter(|(_, below)| stays(below));
            kept.map(|(key, below)| (key.clone(), emptied(below))).collect()
        }
        other => other.clone(),
    }
}

/// What Compose wants beside a key: by the end of the path of the mapping, and without `UNLESS` one of some keys.
const NEEDED: &[(&str, &str, &str)] = &[
    ("services.*", r#"{"image": "app"}"#, ""),
    ("jobs.*", r#"{"image": "app", "triggers": {"manual": true}}"#, ""),
    ("provider", r#"{"type": "one"}"#, ""),
    ("extends", r#"{"service": "one"}"#, ""),
    ("build", r#"{"context": "."}"#, ""),
    ("volumes.[]", r#"{"target": "/a"}"#, ""),
    ("volumes.[]", r#"{"type": "volume", "source": "one"}"#, "bind tmpfs image"),
    ("configs.[]", r#"{"source": "one"}"#, ""),
    ("secrets.[]", r#"{"source": "one"}"#, ""),
    ("ports.[]", r#"{"target": 80}"#, ""),
    (
        "devices.[]",
        r#"{"source": "/dev/one", "target": "/dev/one"}"#,
        "capabilities count device_ids driver options",
    ),
    ("reservations.devices.[]", r#"{"capabilities": ["gpu"]}"#, ""),
    ("watch.[]", r#"{"path": ".", "action": "sync", "target": "/a"}"#, ""),
    ("post_start.[]", r#"{"command": "one"}"#, ""),
    ("pre_stop.[]", r#"{"command": "one"}"#, ""),
    ("exec", r#"{"command": "one"}"#, ""),
    ("depends_on.*", r#"{"condition": "service_started"}"#, ""),
    ("ulimits.*", r#"{"soft": 1, "hard": 2}"#, ""),
    ("env_file.[]", r#"{"path": "./one"}"#, ""),
    ("schedule.[]", r#"{"cron": "* * * * *"}"#, ""),
    ("configs.*", r#"{"file": "./one"}"#, "content environment external"),
    ("secrets.*", r#"{"file": "./one"}"#, "environment external"),
    ("models.*", r#"{"model": "one"}"#, "endpoint_var model_var"),
    ("ipam.config.[]", r#"{"subnet": "10.0.0.0/24"}"#, ""),
    ("device_read_bps.[]", r#"{"path": "/dev/one", "rate": 1}"#, ""),
    ("device_read_iops.[]", r#"{"path": "/dev/one", "rate": 1}"#, ""),
    ("device_write_bps.[]", r#"{"path": "/dev/one", "rate": 1}"#, ""),
    ("device_write_iops.[]", r#"{"path": "/dev/one", "rate": 1}"#, ""),
    ("weight_device.[]", r#"{"path": "/dev/one", "weight": 10}"#, ""),
    ("include.[]", r#"{"path": "./part.yml"}"#, ""),
];

/// Returns what a mapping needs beside `key`.
fn needed(path: &str, key: &str) -> Map<String, Value> {
    let mut map = Map::new();
    for (_, more, _) in NEEDED
        .iter()
        .filter(|(end, _, unless)| is_at(path, end) && !unless.split_whitespace().any(|word| word == key))
    {
        map.extend(serde_json::from_str::<Map<String, Value>>(more).unwrap());
    }
    match (is_at(path, "volumes.[]"), key) {
        (true, "bind") => map.extend([("type".into(), json!("bind")), ("source".into(), json!("./one"))]),
        (true, "image") => map.extend([("type".into(), json!("image")), ("source".into(), json!("one"))]),
        (true, "tmpfs") => map.extend([("type".into(), json!("tmpfs"))]),
        _ => {}
    }
    map
}

/// Whether a path ends with these keys. `services.*` and others that begin with a key of the top level are whole.
pub(crate) fn is_at(path: &str, end: &str) -> bool {
    path.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('.'))
        && (!end.ends_with("s.*")
            || path == end
            || !matches!(end, "services.*" | "jobs.*" | "configs.*" | "secrets.*" | "models.*"))
}

/// Texts with a meaning, by the end of the path: two that differ.
const TEXTS: &[(&str, &str, &str)] = &[
    ("interval timeout start_period start_interval stop_grace_period delay monitor window", "1s", "2s"),
    ("memory tmpfs.size", "64m", "65m"),
    ("pull_policy", "always", "never"),
    ("services.*.restart", "always", "no"),
    ("pull_refresh_after", "24h", "25h"),
    ("ports.[]", "80:80", "81:81"),
    ("services.*.volumes.[] pre_start.[].volumes.[] jobs.*.volumes.[]", "one:/a", "two:/a"),
    ("volumes.[].target tmpfs tmpfs.[] working_dir", "/a", "/b"),
    ("environment.[] labels.[] annotations.[] sysctls.[] args.[] options.[]", "one=1", "one=2"),
    ("additional_contexts.[] ssh.[]", "one=./one", "one=./two"),
    ("additional_contexts.* ssh.* build context", "./one", "./two"),
    ("extra_hosts.[]", "one:10.0.0.1", "one:10.0.0.2"),
    (
        "extra_hosts.* extra_hosts.*.[] dns dns.[] host_ip ipv4_address gateway link_local_ips.[]",
        "10.0.0.1",
        "10.0.0.2",
    ),
    ("aux_addresses.*", "10.0.0.1", "10.0.0.2"),
    ("ipv6_address", "fd00::1", "fd00::2"),
    ("subnet ip_range", "10.0.0.0/24", "10.1.0.0/24"),
    ("mac_address", "02:42:ac:11:65:43", "02:42:ac:11:65:44"),
    ("devices.[] devices.[].source blkio_config.device_read_bps.[].path", "/dev/one", "/dev/two"),
    ("platform platforms.[]", "linux/amd64", "linux/arm64"),
    ("file env_file env_file.[] label_file label_file.[] path", "./one", "./two"),
    ("include.[] include.[].path include.[].path.[] extends.file", "./part.yml", "./other.yml"),
    ("include.[].env_file include.[].env_file.[]", "./one", "./two"),
    ("include.[].project_directory", ".", "./part"),
    ("ipc pid userns_mode uts", "host", ""),
    ("network_mode", "host", "bridge"),
    ("test.[]", "NONE", "CMD"),
    ("device_cgroup_rules.[]", "c 1:3 mr", "c 7:* rmw"),
    ("cron schedule.[]", "* * * * *", "0 * * * *"),
    ("entitlements.[]", "network.host", "security.insecure"),
    ("protocol", "udp", "sctp"),
    ("ports.[].mode", "host", ""),
    ("permissions", "r", "rw"),
    ("expose.[]", "80", "81"),
    ("cpuset", "0", "1"),
    ("profiles.[]", "one", ""),
    ("format", "raw", ""),
];

fn texts(path: &str, one: &Value) -> Vec<String> {
    if let Some(words) = one["enum"].as_array() {
        return words.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    let by_path = TEXTS.iter().filter(|(ends, ..)| ends.split_whitespace().any(|end| is_at(path, end)));
    // The longest end is the most specific.
    let longest = by_path
        .max_by_key(|(ends, ..)| ends.split_whitespace().filter(|end| is_at(path, end)).map(str::len).max());
    let has =
        |kind: &str| one["types"].as_array().is_some_and(|types| types.iter().any(|other| other == kind));
    let (first, second) = match longest {
        Some((_, first, second)) => (*first, *second),
        None if has("boolean") => ("true", "false"),
        None if has("integer") || has("number") => ("1", "2"),
        None => ("one", "two"),
    };
    [first, second].into_iter().filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

fn numbers(path: &str) -> [u64; 2] {
    match path.rsplit('.').next() {
        Some("weight") => [10, 20],
        _ => [1, 2],
    }
}

/// A compose file with what examples refer to: services, networks, volumes, configs, secrets and models `one` and `two`.
pub(crate) fn document(top: &Value) -> Value {
    let file = json!({"one": {"file": "./one"}, "two": {"file": "./two"}});
    let mut document = json!({
        "services": {
            "one": {"image": "one", "hostname": "one"},
            "two": {"image": "two", "hostname": "two"},
            "user": {
                "image": "one", "networks": ["one"], "volumes": ["one:/v"], "configs": ["one"], "secrets": ["one"], "models": ["one"],
            },
        },
        "networks": {"one": {}, "two": {}},
        "volumes": {"one": {}, "two": {}},
        "configs": file,
        "secrets": file,
        "models": {"one": {"model": "one"}, "two": {"model": "two"}},
    });
    // The service of an example is `web`; what it refers to is called `one`.
    for (key, value) in top.as_object().into_iter().flatten() {
        match (document.get_mut(key), value) {
            (Some(Value::Object(all)), Value::Object(own)) => {
                let own = own.iter().map(|(name, value)| match key.as_str() {
                    "services" => ("web".to_owned(), value.clone()),
                    _ => (name.clone(), value.clone()),
                });
                all.extend(own);
            }
            _ => document[key] = value.clone(),
        }
    }
    document
}
