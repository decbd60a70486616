//! A fake GitHub for the calls that ghdeploy makes, with state, pages, refusals and races.
//!
//! Every request and every answer is validated against GitHub's own description of its API
//! (`tests/github/description.json`). A mismatch fails the test.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};

/// The valid token.
pub(crate) const TOKEN: &str = "ghs_hunter2hunter2hunter2hunter2hunter2";

/// The repository.
pub(crate) const REPOSITORY: &str = "ann/side";

/// The branch of every pull request.
pub(crate) const BRANCH: &str = "topic";

/// A running server. Dropping it stops it.
pub(crate) struct GitHub {
    port: u16,
    state: Arc<Mutex<State>>,
}

/// State of the server, and the requests that it received.
#[derive(Default)]
pub(crate) struct State {
    /// Comments of all issues: number of the issue, and the comment.
    pub(crate) comments: Vec<(u64, Value)>,
    /// Newest commit of each branch; none: the repository is not found.
    pub(crate) branches: BTreeMap<String, String>,
    /// Newest commit of each pull request.
    pub(crate) heads: BTreeMap<u64, String>,
    /// Repositories of the pull requests that come from a fork.
    pub(crate) forks: BTreeMap<u64, String>,
    /// Deployments, oldest first.
    pub(crate) deployments: Vec<Value>,
    /// Statuses of each deployment, newest first.
    pub(crate) states: BTreeMap<u64, Vec<String>>,
    /// Commit statuses that ghdeploy set.
    pub(crate) statuses: Vec<Value>,
    /// Check runs of all commits, each with `head_sha` and the fields that differ from the minimal answer.
    pub(crate) checks: Vec<Value>,
    /// Check suites that are still running.
    pub(crate) running: Vec<u64>,
    /// Runs of workflows, each with the fields that differ from the minimal answer.
    pub(crate) workflows: Vec<Value>,
    /// Commit statuses of others: commit, context, state.
    pub(crate) contexts: Vec<(String, String, String)>,
    /// Number of answers with status 304.
    pub(crate) unchanged: usize,
    /// Bodies that webhooks received.
    pub(crate) hooks: Vec<Value>,
    /// Every request, such as `POST /repos/…`, with its body.
    pub(crate) requests: Vec<(String, Value)>,
    /// Number of comments on a page.
    pub(crate) page: Option<usize>,
    /// Prefixes of requests, and the answer that the first matching request gets instead.
    refusals: Vec<(String, Refusal)>,
    /// Prefixes of requests, and what happens right before the first matching one is answered.
    surprises: Vec<(String, Surprise)>,
    /// Mismatches with the description.
    wrong: Vec<String>,
    last: u64,
}

type Surprise = Box<dyn FnOnce(&mut State) + Send>;

/// An error that the server answers.
#[derive(Clone)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) message: &'static str,
}

impl Refusal {
    pub(crate) fn new(status: u16, message: &'static str) -> Self {
        Self { status, headers: Vec::new(), message }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

impl GitHub {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State { last: 100, ..State::default() }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || drop(serve(stream, &state)));
            }
        });
        Self { port, state }
    }

    /// Address of its API, in the form of an Enterprise Server.
    pub(crate) fn api(&self) -> String {
        format!("http://127.0.0.1:{}/api/v3", self.port)
    }

    /// Address of a webhook that contains a secret.
    pub(crate) fn hook(&self, secret: &str) -> String {
        format!("http://127.0.0.1:{}/hook/{secret}", self.port)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses the first request that begins with `request`.
    pub(crate) fn refuse(&self, request: &str, refusal: Refusal) {
        self.state().refusals.push((request.to_owned(), refusal));
    }

    /// Calls `what` right before the first request that begins with `request` is answered.
    pub(crate) fn surprise(&self, request: &str, what: impl FnOnce(&mut State) + Send + 'static) {
        self.state().surprise(request, what);
    }

    /// Requests so far, without their bodies.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.state().requests.iter().map(|(request, _)| request.clone()).collect()
    }
}

impl Drop for GitHub {
    fn drop(&mut self) {
        let wrong = std::mem::take(&mut self.state().wrong);
        if !std::thread::panicking() {
            assert!(wrong.is_empty(), "against GitHub's description:\n{}", wrong.join("\n"));
        }
    }
}

impl State {
    /// Calls `what` right before the first request that begins with `request` is answered.
    pub(crate) fn surprise(&mut self, request: &str, what: impl FnOnce(&mut Self) + Send + 'static) {
        self.surprises.push((request.to_owned(), Box::new(what)));
    }

    /// Adds a comment by another author.
    pub(crate) fn put_comment(&mut self, issue: u64, login: &str, kind: &str, body: &str) -> u64 {
        self.last += 1;
        let id = self.last;
        let user = json!({"login": login, "type": kind, "id": 1});
        let url = format!("https://github.com/{REPOSITORY}/pull/{issue}#issuecomment-{id}");
        let mut comment =
            description().sample("GET", "/repos/{owner}/{repo}/issues/{issue_number}/comments", "200")[0]
                .clone();
        merge(&mut comment, &json!({"id": id, "body": body, "html_url": url, "user": null}));
        let mut whole = description().sample_of("simple-user");
        merge(&mut whole, &user);
        comment["user"] = whole;
        self.comments.push((issue, comment));
        id
    }

    /// Bodies of the comments on a pull request.
    pub(crate) fn bodies(&self, issue: u64) -> Vec<&str> {
        self.comments
            .iter()
            .filter(|(of, _)| *of == issue)
            .map(|(_, comment)| comment["body"].as_str().unwrap())
            .collect()
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (method, target) =
        (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let size = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; size];
    reader.read_exact(&mut body)?;
    let body: Value =
        if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap_or(json!("no JSON")) };
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let (status, more, answer) = answer(&mut state, &method, &target, &headers, &body);
    drop(state);
    let text = if answer.is_null() { String::new() } else { answer.to_string() };
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n",
        text.len()
    )?;
    for (name, value) in more {
        write!(stream, "{name}: {value}\r\n")?;
    }
    write!(stream, "\r\n{text}")
}

type Answer = (u16, Vec<(&'static str, String)>, Value);

fn answer(
    state: &mut State,
    method: &str,
    target: &str,
    headers: &BTreeMap<String, String>,
    body: &Value,
) -> Answer {
    let plain = target.strip_prefix("/api/v3").unwrap_or(target);
    let request = format!("{method} {plain}");
    state.requests.push((request.clone(), body.clone()));
    if let Some(at) = state.surprises.iter().position(|(begin, _)| request.starts_with(begin)) {
        let (_, surprise) = state.surprises.remove(at);
        surprise(state);
    }
    let refusal = state.refusals.iter().position(|(begin, _)| request.starts_with(begin));
    if let Some((_, refusal)) = refusal.map(|at| state.refusals.remove(at)) {
        let message = json!({"message": refusal.message, "documentation_url": "https://docs.github.com"});
        return (refusal.status, refusal.headers, message);
    }
    if plain.starts_with("/hook/") {
        if headers.contains_key("authorization") {
            state.wrong.push(format!("{request} brings a token along"));
        }
        state.hooks.push(body.clone());
        return (200, Vec::new(), json!("ok"));
    }
    if headers.get("authorization").map(String::as_str) != Some(&*format!("Bearer {TOKEN}")) {
        return (401, Vec::new(), json!({"message": "Bad credentials"}));
    }
    let (path, query) = plain.split_once('?').unwrap_or((plain, ""));
    let query: BTreeMap<&str, &str> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let Some((template, found)) = description().find(method, path) else {
        state.wrong.push(format!("{request} is no call that is described"));
        return (404, Vec::new(), json!({"message": "Not Found"}));
    };
    state.wrong.extend(
        description()
            .judge_request(method, template, &query, body)
            .into_iter()
            .map(|why| format!("{request}: {why}")),
    );
    let known = format!("{}/{}", found["owner"], found["repo"]) == REPOSITORY || template == "/user";
    let mut answer = if known { respond(state, method, template, &found, &query, body) } else { not_found() };
    if answer.0 < 300 {
        let wrong = description().judge_answer(method, template, answer.0, &answer.2);
        state.wrong.extend(wrong.into_iter().map(|why| format!("the answer to {request}: {why}")));
    }
    if method == "GET" && answer.0 == 200 {
        let tag = format!(
            "\"{:x}\"",
            answer
                .2
                .to_string()
                .bytes()
                .fold(7u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()))
        );
        if headers.get("if-none-match") == Some(&tag) {
            state.unchanged += 1;
            return (304, vec![("etag", tag)], Value::Null);
        }
        answer.1.push(("etag", tag));
    }
    answer
}

fn not_found() -> Answer {
    (404, Vec::new(), json!({"message": "Not Found"}))
}

fn respond(
    state: &mut State,
    method: &str,
    template: &str,
    found: &BTreeMap<&str, &str>,
    query: &BTreeMap<&str, &str>,
    body: &Value,
) -> Answer {
    let number = |name: &str| found[name].parse::<u64>().unwrap_or(0);
    let sample = |status: &str| description().sample(method, template, status);
    match (method, template.trim_start_matches("/repos/{owner}/{repo}")) {
        // The answer that the token of a workflow gets.
        ("GET", "/user") => (403, Vec::new(), json!({"message": "Resource not accessible by integration"})),
        ("GET", "") if !state.branches.is_empty() => {
            let mut repository = sample("200");
            repository["default_branch"] = json!("main");
            (200, Vec::new(), repository)
        }
        ("GET", "/branches/{branch}") => {
            let Some(newest) = state.branches.get(found["branch"]) else { return not_found() };
            let mut branch = sample("200");
            merge(&mut branch, &json!({"name": found["branch"], "commit": {"sha": newest}}));
            (200, Vec::new(), branch)
        }
        ("GET", "/pulls/{pull_number}") => {
            let Some(head) = state.heads.get(&number("pull_number")) else { return not_found() };
            let mut pull = sample("200");
            merge(&mut pull, &json!({"number": number("pull_number"), "head": {"sha": head}}));
            (200, Vec::new(), pull)
        }
        ("GET", "/commits/{commit_sha}/pulls") => {
            let pull = sample("200")[0].clone();
            let of = state.heads.iter().map(|(number, head)| {
                let mut pull = pull.clone();
                let from = state.forks.get(number).map_or(REPOSITORY, String::as_str);
                let head = json!({"sha": head, "ref": BRANCH, "repo": {"full_name": from}});
                merge(&mut pull, &json!({"number": number, "state": "open", "head": head, "base": {"repo": {"full_name": REPOSITORY}}}));
                pull
            });
            // GitHub also lists pull requests that merely contain the commit.
            (200, Vec::new(), Value::Array(of.collect()))
        }
        ("GET", "/issues/{issue_number}/comments") => {
            let of = state.comments.iter().filter(|(issue, _)| *issue == number("issue_number"));
            let all: Vec<Value> = of.map(|(_, comment)| comment.clone()).collect();
            let (items, headers) = page(&all, state.page, query);
            (200, headers, Value::Array(items))
        }
        ("POST", "/issues/{issue_number}/comments") => {
            let text = body["body"].as_str().unwrap_or_default();
            if text.chars().count() > 65_536 {
                return (
                    422,
                    Vec::new(),
                    json!({"message": "Body is too long (maximum is 65536 characters)"}),
                );
            }
            state.put_comment(number("issue_number"), "github-actions[bot]", "Bot", text);
            (201, Vec::new(), state.comments.last().unwrap().1.clone())
        }
        ("PATCH" | "DELETE", "/issues/comments/{comment_id}") => {
            let Some(at) =
                state.comments.iter().position(|(_, comment)| comment["id"] == number("comment_id"))
            else {
                return not_found();
            };
            if method == "DELETE" {
                state.comments.remove(at);
                return (204, Vec::new(), Value::Null);
            }
            state.comments[at].1["body"] = body["body"].clone();
            (200, Vec::new(), state.comments[at].1.clone())
        }
        ("GET", "/commits/{ref}/check-suites") => {
            let one = sample("200")["check_suites"][0].clone();
            let of = |id: u64, status: &str| {
                let mut suite = one.clone();
                merge(&mut suite, &json!({"id": id, "status": status, "app": null}));
                suite
            };
            let running = state.running.clone();
            let through = state
                .checks
                .iter()
                .filter_map(|check| check["check_suite"]["id"].as_u64())
                .filter(|id| !running.contains(id));
            let suites: Vec<Value> = through
                .map(|id| of(id, "completed"))
                .chain(running.iter().map(|id| of(*id, "in_progress")))
                .collect();
            (200, Vec::new(), json!({"total_count": suites.len(), "check_suites": suites}))
        }
        ("GET", "/commits/{ref}/check-runs") => {
            let one = sample("200")["check_runs"][0].clone();
            let of = state.checks.iter().filter(|check| check["head_sha"] == found["ref"]);
            let mut all: Vec<Value> = of
                .map(|check| {
                    let mut run = one.clone();
                    merge(&mut run, check);
                    run
                })
                .collect();
            if query.get("filter") != Some(&"all") {
                // The newest of each name and suite.
                let newest = all.clone();
                all.retain(|run| {
                    let is_newer = |other: &Value| {
                        ["name", "check_suite"].iter().all(|field| other[field] == run[field])
                            && other["id"].as_u64() > run["id"].as_u64()
                    };
                    !newest.iter().any(is_newer)
                });
            }
            let (items, headers) = page(&all, state.page, query);
            (200, headers, json!({"total_count": all.len(), "check_runs": items}))
        }
        ("GET", "/actions/runs") => {
            let one = sample("200")["workflow_runs"][0].clone();
            let of = state
                .workflows
                .iter()
                .filter(|run| Some(run["head_sha"].as_str().unwrap()) == query.get("head_sha").copied());
            let all: Vec<Value> = of
                .map(|workflow| {
                    let mut run = one.clone();
                    merge(&mut run, workflow);
                    run
                })
                .collect();
            let (items, headers) = page(&all, state.page, query);
            (200, headers, json!({"total_count": all.len(), "workflow_runs": items}))
        }
        ("GET", "/commits/{ref}/statuses") => {
            let one = sample("200")[0].clone();
            let of = state.contexts.iter().enumerate().filter(|(_, (commit, ..))| commit == found["ref"]);
            let all: Vec<Value> = of
                .map(|(id, (_, context, to))| {
                    let mut status = one.clone();
                    merge(&mut status, &json!({"id": id + 1, "context": context, "state": to}));
                    status
                })
                .collect();
            let (items, headers) = page(&all, state.page, query);
            (200, headers, Value::Array(items))
        }
        ("GET", "/deployments") => {
            let of = |deployment: &&Value| {
                query.iter().all(|(name, value)| {
                    !matches!(*name, "environment" | "task")
                        || deployment[*name].as_str() == Some(&*value.replace("%3A", ":"))
                })
            };
            let list: Vec<Value> = state.deployments.iter().rev().filter(of).cloned().collect();
            (200, Vec::new(), Value::Array(list))
        }
        ("POST", "/deployments") => {
            state.last += 1;
            let mut deployment = sample("201");
            merge(
                &mut deployment,
                &json!({
                    "id": state.last, "ref": body["ref"], "sha": body["ref"], "environment": body["environment"], "task": body["task"],
                }),
            );
            state.deployments.push(deployment.clone());
            (201, Vec::new(), deployment)
        }
        ("GET", "/deployments/{deployment_id}/statuses") => {
            let Some(states) = state.states.get(&number("deployment_id")) else { return not_found() };
            let one = sample("200")[0].clone();
            let list = states.iter().map(|state| {
                let mut status = one.clone();
                status["state"] = json!(state);
                status
            });
            (200, Vec::new(), Value::Array(list.collect()))
        }
        ("POST", "/deployments/{deployment_id}/statuses") => {
            let text = body["state"].as_str().unwrap_or_default().to_owned();
            state.states.entry(number("deployment_id")).or_default().insert(0, text);
            let mut status = sample("201");
            merge(&mut status, body);
            status.as_object_mut().unwrap().remove("auto_inactive");
            (201, Vec::new(), status)
        }
        ("POST", "/statuses/{sha}") => {
            let mut status = sample("201");
            merge(&mut status, body);
            state.statuses.push(body.clone());
            (201, Vec::new(), status)
        }
        _ => not_found(),
    }
}

/// A page of a list, and whether another one follows.
fn page(
    all: &[Value],
    size: Option<usize>,
    query: &BTreeMap<&str, &str>,
) -> (Vec<Value>, Vec<(&'static str, String)>) {
    let number = |name: &str| query.get(name).and_then(|text| text.parse::<usize>().ok());
    let (size, page) =
        (size.unwrap_or(100).min(number("per_page").unwrap_or(30)), number("page").unwrap_or(1));
    let items = all.iter().skip((page - 1) * size).take(size).cloned().collect();
    let mut headers = Vec::new();
    if all.len() > page * size {
        headers.push(("link", format!("<https://api.github.com/x?page={}>; rel=\"next\"", page + 1)));
    }
    (items, headers)
}

/// The used part of GitHub's description of its API.
pub(crate) struct Description {
    calls: Vec<Value>,
    components: Value,
}

fn description() -> &'static Description {
    static DESCRIPTION: std::sync::OnceLock<Description> = std::sync::OnceLock::new();
    DESCRIPTION.get_or_init(|| {
        let mut text: Value = serde_json::from_str(include_str!("../github/description.json")).unwrap();
        let Value::Array(calls) = text["calls"].take() else { panic!("no calls") };
        Description { calls, components: text["components"].take() }
    })
}

impl Description {
    /// The operation of a path, and the values of its parameters.
    fn find<'a>(&self, method: &str, path: &'a str) -> Option<(&str, BTreeMap<&str, &'a str>)> {
        self.calls.iter().filter(|call| call["method"] == method).find_map(|call| {
            let template = call["path"].as_str()?;
            let (wanted, given): (Vec<_>, Vec<_>) =
                (template.split('/').collect(), path.split('/').collect());
            if wanted.len() != given.len() {
                return None;
            }
            let mut found = BTreeMap::from([("owner", ""), ("repo", "")]);
            for (wanted, given) in wanted.into_iter().zip(given) {
                match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                    Some(name) => drop(found.insert(name, given)),
                    None if wanted != given => return None,
                    None => {}
                }
            }
            Some((template, found))
        })
    }

    fn call(&self, method: &str, template: &str) -> &Value {
        self.calls.iter().find(|call| call["method"] == method && call["path"] == template).unwrap()
    }

    fn judge_request(
        &self,
        method: &str,
        template: &str,
        query: &BTreeMap<&str, &str>,
        body: &Value,
    ) -> Vec<String> {
        let call = self.call(method, template);
        let mut wrong = Vec::new();
        for (name, value) in query {
            let schema = &call["query"][*name];
            let value = value.parse::<u64>().map_or_else(|_| json!(value), |number| json!(number));
            if schema.is_null() {
                wrong.push(format!("there is no parameter {name}"));
            } else {
                wrong.extend(self.judge(schema, &value));
            }
        }
        let request = &call["request"];
        match (request.is_null(), body.is_null()) {
            (true, false) => wrong.push("it takes no body".to_owned()),
            (false, true) => wrong.push("it lacks its body".to_owned()),
            (false, false) => {
                wrong.extend(self.judge(request, body));
                // GitHub silently ignores a field with a wrong name.
                let known = request["properties"].as_object().cloned().unwrap_or_default();
                let unknown = body
                    .as_object()
                    .into_iter()
                    .flat_map(Map::keys)
                    .filter(|name| !known.contains_key(*name));
                wrong.extend(unknown.map(|name| format!("there is no field {name}")));
            }
            (true, true) => {}
        }
        wrong
    }

    fn judge_answer(&self, method: &str, template: &str, status: u16, body: &Value) -> Vec<String> {
        match &self.call(method, template)["responses"][status.to_string()] {
            Value::Null if status == 204 && body.is_null() => Vec::new(),
            Value::Null => vec![format!("it never answers with {status}")],
            schema => self.judge(schema, body),
        }
    }

    fn judge(&self, schema: &Value, value: &Value) -> Vec<String> {
        let mut whole = json!({"allOf": [schema]});
        whole["components"] = self.components.clone();
        let validator = jsonschema::draft202012::new(&whole).unwrap();
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    /// The minimal valid answer.
    fn sample(&self, method: &str, template: &str, status: &str) -> Value {
        self.make(&self.call(method, template)["responses"][status])
    }

    fn sample_of(&self, name: &str) -> Value {
        self.make(&self.components["schemas"][name])
    }

    fn make(&self, schema: &Value) -> Value {
        if let Some(name) =
            schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/components/schemas/"))
        {
            return self.sample_of(name);
        }
        if let Some(all) = schema["allOf"].as_array() {
            let mut made = json!({});
            all.iter().for_each(|one| merge(&mut made, &self.make(one)));
            return made;
        }
        if let Some(choice) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
            let null = choice.iter().any(|one| one["type"] == "null");
            return if null { Value::Null } else { self.make(&choice[0]) };
        }
        if let Some(value) = schema["enum"].as_array() {
            return value[0].clone();
        }
        match schema["type"].as_str() {
            Some("object") => {
                let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let fields = required.map(|name| (name.to_owned(), self.make(&schema["properties"][name])));
                Value::Object(fields.collect())
            }
            Some("array") => json!([self.make(&schema["items"])]),
            Some("integer" | "number") => json!(schema["minimum"].as_i64().unwrap_or(1)),
            Some("boolean") => json!(false),
            Some("string") => match schema["format"].as_str() {
                Some("uri") => json!("https://example.com/x"),
                Some("date-time") => json!("2026-01-01T00:00:00Z"),
                _ => json!("x"),
            },
            _ => json!({}),
        }
    }
}

/// Merges the fields of one value into another, at every depth.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}
