//! Parses the short syntaxes of ports, volumes, devices and host names.

use std::rc::Rc;

use super::context::{LoadContext, clean_absolute};
use super::scalar;
use super::yaml::{Map, MapEntry, Mark, Node, Tag, Text, Value};

/// Number of ports that one short entry may stand for: all that exist.
const MAX_PORTS: u32 = 65_536;

fn entry(at: Mark, text: &str, unknown: &Rc<[Rc<str>]>) -> MapEntry {
    let text = Text { text: Rc::from(text), plain: false, unknown: Rc::clone(unknown) };
    MapEntry { at, node: Node::new(at, Value::Text(text)) }
}

/// Parses `[[IP:][PUBLISHED]:]TARGET[/PROTOCOL]`, with ranges, into one long entry for each target port;
/// `None` if the text is invalid. Text with an unknown variable stays one entry.
pub(super) fn ports(at: Mark, text: &Text) -> Option<Vec<Node>> {
    let unknown = &text.unknown;
    if !unknown.is_empty() {
        let map = Map::from([(Rc::from("target"), entry(at, &text.text, unknown))]);
        return Some(vec![Node::new(at, Value::Map(map))]);
    }
    let shown = scalar::display(text);
    let (rest, protocol) = match shown.split_once('/') {
        Some((rest, protocol)) => (rest, protocol.to_ascii_lowercase()),
        None => (&*shown, "tcp".to_owned()),
    };
    let (rest, target) = match rest.rsplit_once(':') {
        Some((rest, target)) => (Some(rest), target),
        None => (None, rest),
    };
    let (host, published) = match rest {
        None => ("", ""),
        Some(rest) => match rest.rsplit_once(':') {
            Some((host, published)) => (host.trim_start_matches('[').trim_end_matches(']'), published),
            None => ("", rest),
        },
    };
    let (first, last) = range(target)?;
    let count = last - first + 1;
    let from = if published.is_empty() { None } else { Some(range(published)?) };
    if let Some((start, end)) = from
        && end - start + 1 != count
        && count != 1
    {
        return None;
    }
    let ports = (0..count).map(|i| {
        let mut map = Map::from([
            (Rc::from("target"), entry(at, &(first + i).to_string(), unknown)),
            (Rc::from("protocol"), entry(at, &protocol, unknown)),
            (Rc::from("mode"), entry(at, "ingress", unknown)),
        ]);
        if !host.is_empty() {
            map.insert(Rc::from("host_ip"), entry(at, host, unknown));
        }
        let published = match from {
            None => None,
            Some((start, end)) if count == 1 && end > start => Some(format!("{start}-{end}")),
            Some((start, _)) => Some((start + i).to_string()),
        };
        if let Some(published) = published {
            map.insert(Rc::from("published"), entry(at, &published, unknown));
        }
        Node::new(at, Value::Map(map))
    });
    Some(ports.collect())
}

fn range(text: &str) -> Option<(u32, u32)> {
    let port = |text: &str| text.parse::<u32>().ok().filter(|port| *port < MAX_PORTS);
    match text.split_once('-') {
        Some((first, last)) => Some((port(first)?, port(last)?)).filter(|(first, last)| first <= last),
        None => port(text).map(|port| (port, port)),
    }
}

/// Parses `[SOURCE:]TARGET[:OPTIONS]` into a long entry.
pub(super) fn volume(at: Mark, text: &Text) -> Result<Node, &'static str> {
    let spec = &*text.text;
    let mut parts: Vec<String> = Vec::new();
    let mut part = String::new();
    let mut braces = 0usize;
    let mut previous = ' ';
    for c in spec.chars() {
        match c {
            '{' if previous == '$' => braces += 1,
            '}' if braces > 0 => braces -= 1,
            _ => {}
        }
        let drive = part.len() == 1 && part.starts_with(|c: char| c.is_ascii_alphabetic());
        if c == ':' && braces == 0 && !(drive && spec.len() > 2) {
            parts.push(std::mem::take(&mut part));
        } else {
            part.push(c);
        }
        previous = c;
    }
    parts.push(part);
    if spec.is_empty() || parts.iter().any(String::is_empty) {
        return Err("a volume has an empty section between colons");
    }
    let (source, target, options) = match parts.as_slice() {
        [target] => ("", target, ""),
        [source, target] => (&**source, target, ""),
        [source, target, options] => (&**source, target, &**options),
        _ => return Err("a volume has too many colons"),
    };
    let unknown = &text.unknown;
    let put = |map: &mut Map, key: &str, value: &str| {
        map.insert(Rc::from(key), entry(at, value, unknown));
    };
    let is_bind = is_path(source);
    let mut map = Map::new();
    let mut bind = Map::new();
    let mut named = Map::new();
    put(&mut map, "type", if is_bind { "bind" } else { "volume" });
    put(&mut map, "target", &clean(target));
    if !source.is_empty() {
        put(&mut map, "source", source);
    }
    for option in options.split(',') {
        match option {
            "ro" => put(&mut map, "read_only", "true"),
            "nocopy" => put(&mut named, "nocopy", "true"),
            "z" | "Z" => put(&mut bind, "selinux", option),
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => {
                put(&mut bind, "propagation", option);
            }
            _ => {}
        }
    }
    if is_bind {
        put(&mut bind, "create_host_path", "true");
    }
    for (key, options, is_kept) in [("bind", bind, false), ("volume", named, !is_bind && spec.len() > 2)] {
        // compose-go hashes an empty `volume` for all but the shortest specs.
        if is_kept || !options.is_empty() {
            map.insert(Rc::from(key), MapEntry { at, node: Node::new(at, Value::Map(options)) });
        }
    }
    Ok(Node::new(at, Value::Map(map)))
}

/// Cleans the path of a mount in the container like Go's `path.Clean`.
pub(super) fn clean(target: &str) -> String {
    if !target.starts_with('/') {
        return target.to_owned();
    }
    clean_absolute(target)
}

/// Whether the source of a short volume is a path and not the name of a volume. A source that begins with an
/// unknown variable counts as a path, because that is what variables usually hold.
fn is_path(source: &str) -> bool {
    let mut chars = source.chars();
    match chars.next() {
        Some('.' | '/' | '~') => true,
        Some('$') => true,
        Some('\\') => chars.next() == Some('\\'),
        Some(c) => c.is_ascii_alphabetic() && chars.next() == Some(':'),
        None => false,
    }
}

/// Parses `SOURCE[:TARGET[:PERMISSIONS]]` into a long entry.
pub(super) fn device(_: &mut LoadContext<'_>, item: Node) -> Node {
    let Value::Text(text) = &item.value else { return item };
    let parts: Vec<&str> = text.text.split(':').collect();
    let source = parts[0];
    let target = parts.get(1).copied().unwrap_or(source);
    let permissions = parts.get(2).copied().unwrap_or("rwm");
    let map = Map::from([
        (Rc::from("source"), entry(item.at, source, &text.unknown)),
        (Rc::from("target"), entry(item.at, target, &text.unknown)),
        (Rc::from("permissions"), entry(item.at, permissions, &text.unknown)),
    ]);
    Node::new(item.at, Value::Map(map))
}

/// Returns `extra_hosts` as a list of `name=address`, or as a mapping if it was written as one: a mapping is
/// merged by name, and [`host_list`] makes a list of it afterwards.
pub(super) fn hosts(context: &mut LoadContext<'_>, owner: &str, node: Node) -> Node {
    let Node { at, tag, value } = node;
    let value = match value {
        Value::List(items) => {
            let mut hosts = Vec::new();
            for item in items {
                let split =
                    item.as_str().and_then(|text| text.split_once('=').or_else(|| text.split_once(':')));
                match (&item.value, split) {
                    (Value::Text(text), Some((name, ip))) => {
                        let ip = Text { text: Rc::from(ip), plain: false, unknown: Rc::clone(&text.unknown) };
                        hosts.push(host(item.at, name, &ip));
                    }
                    _ => context.error(item.at, format!("{owner}: a host needs `name=address`")),
                }
            }
            Value::List(hosts)
        }
        Value::Map(map) => {
            for (name, entry) in &map {
                if matches!(entry.node.value, Value::Map(_) | Value::Null) && entry.node.tag != Tag::Reset {
                    context.error(entry.at, format!("{owner}: host `{name}` needs an address"));
                }
            }
            Value::Map(map)
        }
        _ => {
            context.error(at, format!("{owner}: `extra_hosts` must be a mapping or a list"));
            Value::List(Vec::new())
        }
    };
    Node { at, tag: if tag == Tag::Reset { Tag::None } else { tag }, value }
}

/// Returns a mapping of hosts as a list.
pub(super) fn host_list(map: &Map) -> Vec<Node> {
    let mut hosts = Vec::new();
    for (name, entry) in map {
        let one = std::slice::from_ref(&entry.node);
        for item in entry.node.as_list().unwrap_or(one) {
            if let Value::Text(text) = &item.value {
                hosts.push(host(item.at, name, text));
            }
        }
    }
    hosts
}

fn host(at: Mark, name: &str, address: &Text) -> Node {
    let ip = address.text.trim_start_matches('[').trim_end_matches(']');
    let text = Rc::from(format!("{name}={ip}"));
    let text = Text { text, plain: false, unknown: Rc::clone(&address.unknown) };
    Node::new(at, Value::Text(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Mark = Mark { source: 0, line: 1, column: 1 };

    fn shown(node: &Node) -> String {
        let map = node.as_map().unwrap();
        let show = |(key, entry): (&Rc<str>, &MapEntry)| match entry.node.as_str() {
            Some(text) => format!("{key}={text}"),
            None => format!("{key}=({})", shown(&entry.node)),
        };
        map.iter().map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ports_are_expanded() {
        let all = |text: &str| -> Vec<String> {
            ports(AT, &Text::quoted(text))
                .unwrap()
                .iter()
                .map(|port| shown(port).replace("mode=ingress ", ""))
                .collect()
        };
        assert_eq!(all("80"), ["protocol=tcp target=80"]);
        assert_eq!(all("8080:80/udp"), ["protocol=udp published=8080 target=80"]);
        assert_eq!(all("127.0.0.1::80"), ["host_ip=127.0.0.1 protocol=tcp target=80"]);
        assert_eq!(all("[::1]:1:80"), ["host_ip=::1 protocol=tcp published=1 target=80"]);
        assert_eq!(
            all("1-2:3-4"),
            ["protocol=tcp published=1 target=3", "protocol=tcp published=2 target=4"]
        );
        assert_eq!(all("1-5:80"), ["protocol=tcp published=1-5 target=80"]);
        for text in ["", "x", "1-3:1-2", "80:", "65536", "3-1"] {
            assert!(ports(AT, &Text::quoted(text)).is_none(), "{text}");
        }
    }

    #[test]
    fn volumes_are_distinguished_by_their_source() {
        let one = |text: &str| volume(AT, &Text::quoted(text)).map(|node| shown(&node));
        assert_eq!(
            one("./a:/a/:ro,Z").unwrap(),
            "bind=(create_host_path=true selinux=Z) read_only=true source=./a target=/a type=bind"
        );
        assert_eq!(one("data:/a").unwrap(), "source=data target=/a type=volume volume=()");
        assert_eq!(one("/anonymous").unwrap(), "target=/anonymous type=volume volume=()");
        assert_eq!(one("~/a:/a").unwrap(), "bind=(create_host_path=true) source=~/a target=/a type=bind");
        assert_eq!(
            one("${X:-a:b}/c:/a").unwrap(),
            "bind=(create_host_path=true) source=${X:-a:b}/c target=/a type=bind"
        );
        // Only a brace after a dollar keeps a colon.
        for source in ["./{a", "./a}"] {
            let wanted = format!("bind=(create_host_path=true) source={source} target=/a type=bind");
            assert_eq!(one(&format!("{source}:/a")).unwrap(), wanted);
        }
        // A drive of Windows and a named pipe are paths, a name with one backslash is not.
        for source in [r"c:\a", "c:/a", r"\\.\pipe\a"] {
            let wanted = format!("bind=(create_host_path=true) source={source} target=/a type=bind");
            assert_eq!(one(&format!("{source}:/a")).unwrap(), wanted);
        }
        assert_eq!(one(r"\a:/a").unwrap(), r"source=\a target=/a type=volume volume=()");
        // compose-go leaves `volume` out of the shortest specs.
        assert_eq!(one("/a").unwrap(), "target=/a type=volume");
        assert_eq!(one("/ab").unwrap(), "target=/ab type=volume volume=()");
        for text in ["", "aa::b", "aa:bb:cc:dd", ":/a", "./a:"] {
            assert!(one(text).is_err(), "{text}");
        }
    }
}
