//! The Docker Engine, asked over its socket: a test asks often, and `docker` takes as long to start as Docker to answer.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use serde_json::Value;

/// The answer to a request: its status, and its JSON or, if it has none, null.
fn request(method: &str, path: &str) -> (u16, Value) {
    let mut engine = UnixStream::connect("/var/run/docker.sock").unwrap();
    // An answer of HTTP 1.0 ends with the connection.
    write!(engine, "{method} {path} HTTP/1.0\r\nHost: docker\r\n\r\n").unwrap();
    let mut answer = String::new();
    engine.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{path}: {answer:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("{path}: {head:?}"));
    (status, serde_json::from_str(body).unwrap_or_default())
}

/// What the engine lists below `path` with this filter.
pub(crate) fn listed(path: &str, filter: &str, value: &str) -> Vec<Value> {
    // Nothing else in these names has a meaning in an address.
    let filters = format!("%7B%22{filter}%22:%5B%22{value}%22%5D%7D");
    let (status, answer) = request("GET", &format!("{path}?all=1&filters={filters}"));
    assert_eq!(status, 200, "{path}: {answer}");
    // Volumes are in an object.
    let list = if answer.is_object() { &answer["Volumes"] } else { &answer };
    list.as_array().cloned().unwrap_or_default()
}

/// What the engine says of a container; nothing, if it has gone.
pub(crate) fn container(id: &str) -> Option<Value> {
    let (status, answer) = request("GET", &format!("/containers/{id}/json"));
    (status != 404).then_some(answer)
}

/// Removes something, if that can be.
pub(crate) fn remove(path: &str) {
    let _ = request("DELETE", &format!("{path}?force=1&v=1"));
}
