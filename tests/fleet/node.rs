//! Nodes of a fleet: real servers, each with addresses of its own on loopback or in a network
//! namespace. Tests talk to them over Unix sockets, which network faults do not affect.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use talos_test_kit::http;
use talos_test_kit::keys::{ISSUE, VERIFY};
use tempfile::TempDir;

use crate::harness::TALOS;
use crate::harness::fake_clock::FakeClock;
use crate::harness::site::{Server, without_talos_variables};
use crate::harness::tokens::SECRET;

/// Much longer than anything here takes, so that only a hang exceeds it.
pub const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);
/// The replication secret of the nodes.
const SHARED: &str = "a secret that all nodes of this fleet share";

/// The directory of the nodes; it is removed when this is dropped.
pub struct Place {
    directory: TempDir,
}

/// The last byte of the next address.
static HOSTS: AtomicU32 = AtomicU32::new(1);

impl Place {
    pub fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("talos-fleet-")
            .tempdir()
            .unwrap();
        Self { directory }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A node with an address on loopback that no other test uses: each test is a process, and the
    /// address contains the process id.
    pub fn node(&self, name: &str) -> Node {
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let number = HOSTS.fetch_add(1, Ordering::Relaxed);
        Node::new(self, name, format!("127.{high}.{low}.{number}"), None)
    }

    /// A node in a network namespace, where it has this address.
    pub fn node_in(&self, namespace: &str, name: &str, host: &str) -> Node {
        Node::new(self, name, host.to_owned(), Some(namespace.to_owned()))
    }
}

/// A node. Dropping it kills its server.
pub struct Node {
    pub name: String,
    host: String,
    namespace: Option<String>,
    directory: PathBuf,
    settings: Vec<(String, String)>,
    clock: Option<FakeClock>,
    server: Option<Server>,
    starts: u32,
}

/// The answer of a node.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The body as JSON, or null.
    pub body: Value,
    http: http::Answer,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.http.header(name)
    }

    /// Asserts that it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    #[track_caller]
    pub fn position(&self) -> String {
        let position = self.header("Talos-Position");
        position.unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }

    pub fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }
}

/// A key that was issued.
#[derive(Clone, Debug)]
pub struct Key {
    pub id: String,
    pub secret: String,
}

impl Node {
    fn new(place: &Place, name: &str, host: String, namespace: Option<String>) -> Self {
        let directory = place.path().join(name);
        std::fs::create_dir(&directory).unwrap();
        Self {
            name: name.to_owned(),
            host,
            namespace,
            directory,
            settings: Vec::new(),
            clock: None,
            server: None,
            starts: 0,
        }
    }

    /// Adds a setting by the name of its variable without `TALOS_`; the last value counts.
    pub fn set(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Self {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// Gives the node a wall clock of its own from its next start on.
    pub fn have_clock(&mut self, clock: FakeClock) -> &mut Self {
        self.clock = Some(clock);
        self
    }

    /// Its own wall clock.
    pub fn clock(&self) -> &FakeClock {
        self.clock.as_ref().unwrap()
    }

    pub fn listens_at(&self) -> String {
        format!("{}:4421", self.host)
    }

    pub fn url(&self) -> String {
        format!("http://{}:4420", self.host)
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.join("talos.sock")
    }

    /// Makes the node a primary at its next start.
    pub fn be_primary(&mut self) -> &mut Self {
        self.set("REPLICATION_ROLE", "primary")
    }

    /// Makes the node a replica of `primary` at its next start.
    pub fn follow(&mut self, primary: &Node) -> &mut Self {
        self.set("REPLICATION_ROLE", "replica")
            .set("REPLICATION_PRIMARY", primary.listens_at())
            .set("REPLICATION_PRIMARY_URL", primary.url())
    }

    pub fn command(&self) -> Command {
        let mut command = match &self.namespace {
            None => Command::new(TALOS),
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace, TALOS]);
                command
            }
        };
        without_talos_variables(&mut command);
        command.arg("serve").current_dir(&self.directory);
        let settings = [
            ("CREDENTIALS_ISSUER", "https://issuer.example".to_owned()),
            ("SECRETS_HMAC_CURRENT", SECRET.to_owned()),
            ("DB_DSN", format!("rocksdb://{}", self.data().display())),
            ("DB_SHARDS", "2".to_owned()),
            ("DB_BLOCK_CACHE_SIZE", "8 MiB".to_owned()),
            ("SERVE_WORKERS", "1".to_owned()),
            ("SERVE_HTTP_HOST", self.host.clone()),
            ("SERVE_HTTP_SOCKET", self.socket().display().to_string()),
            ("SERVE_METRICS_HOST", self.host.clone()),
            ("REPLICATION_SECRET", SHARED.to_owned()),
            ("REPLICATION_LISTEN", self.listens_at()),
            ("REPLICATION_MAX_STALENESS", "2s".to_owned()),
            ("REPLICATION_ACK_TIMEOUT", "30s".to_owned()),
        ];
        for (name, value) in settings {
            command.env(format!("TALOS_{name}"), value);
        }
        if self.namespace.is_some() {
            // The network is that of the test.
            command.env("TALOS_REPLICATION_FORWARD_ALLOW_PLAIN", "true");
        }
        for (name, value) in &self.settings {
            command.env(format!("TALOS_{name}"), value);
        }
        if let Some(clock) = &self.clock {
            clock.give_to(&mut command);
        }
        command
    }

    /// Starts it and waits until it answers.
    pub fn start(&mut self) -> &mut Self {
        assert!(self.server.is_none(), "{} runs already", self.name);
        self.starts += 1;
        let log = self.directory.join(format!("server-{}.log", self.starts));
        // A killed server leaves its socket file behind; the next start replaces it.
        self.server = Some(Server::start_unready(self.command(), log));
        self
    }

    /// Starts it and waits until it is ready.
    pub fn start_ready(&mut self) -> &mut Self {
        self.start().await_ready()
    }

    #[track_caller]
    pub fn await_ready(&mut self) -> &mut Self {
        self.until("readiness", |node| node.is_ready().then_some(()));
        self
    }

    /// Ends it by SIGKILL, as a crash does.
    pub fn kill(&mut self) {
        self.server.take().unwrap().kill();
    }

    /// Ends it by SIGTERM; it must exit with code 0.
    pub fn stop(&mut self) {
        self.server.take().unwrap().stop();
    }

    /// Stops the process by SIGSTOP, or continues it.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { Signal::STOP } else { Signal::CONT };
        let server = self.server.as_ref().unwrap();
        kill_process(Pid::from_child(server.process()), signal).unwrap();
    }

    pub fn log(&self) -> String {
        let log = self.directory.join(format!("server-{}.log", self.starts));
        std::fs::read_to_string(log).unwrap_or_default()
    }

    /// Waits until `probe` returns a value.
    #[track_caller]
    pub fn until<T>(&self, what: &str, mut probe: impl FnMut(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = probe(self) {
                return found;
            }
            assert!(
                Instant::now() < deadline,
                "{}: no {what} in {PATIENCE:?}:\n{}",
                self.name,
                self.log()
            );
            std::thread::sleep(POLL);
        }
    }

    /// One request on a connection of its own; `None` when there is no answer.
    pub fn try_ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Option<Answer> {
        ask(&self.socket(), method, path, headers, body)
    }

    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.ask_with(method, path, &[], body)
    }

    #[track_caller]
    pub fn ask_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let answer = self.try_ask(method, path, headers, body);
        answer.unwrap_or_else(|| panic!("{} gives no answer:\n{}", self.name, self.log()))
    }

    /// Its metrics page.
    pub fn metrics(&self) -> String {
        let address = format!("{}:4422", self.host).parse().unwrap();
        let answer = http::Connection::open(address).call("GET", "/metrics", &[], b"");
        answer.text().to_owned()
    }

    pub fn is_ready(&self) -> bool {
        let answer = self.try_ask("GET", "/health/ready", &[], &Value::Null);
        answer.is_some_and(|answer| answer.status == 200)
    }

    pub fn try_issue(&self, name: &str) -> Answer {
        let body = json!({"name": name, "actor_id": "tester"});
        self.ask("POST", ISSUE, &body)
    }

    #[track_caller]
    pub fn issue(&self, name: &str) -> Key {
        key_of(&self.try_issue(name).expect(201))
    }

    /// Requests a revocation; `query` begins with `?` or is empty.
    pub fn try_revoke(&self, key: &Key, query: &str) -> Answer {
        let path = format!("/v2alpha1/admin/apiKeys/{}:revoke{query}", key.id);
        self.ask("POST", &path, &json!({}))
    }

    #[track_caller]
    pub fn revoke(&self, key: &Key) -> Answer {
        self.try_revoke(key, "").expect(204)
    }

    pub fn verify_with(&self, key: &Key, headers: &[(&str, &str)]) -> Answer {
        let body = json!({"credential": key.secret});
        self.ask_with("POST", VERIFY, headers, &body)
    }

    /// Whether the node accepts the key; it must give a verdict.
    #[track_caller]
    pub fn accepts(&self, key: &Key) -> bool {
        let answer = self.verify_with(key, &[]).expect(200);
        answer.body["is_valid"].as_bool().unwrap()
    }

    /// Whether the node accepts the key, once it has applied the change at `position`.
    #[track_caller]
    pub fn accepts_at(&self, key: &Key, position: &str) -> bool {
        let ask = |node: &Self| {
            let answer = node.verify_with(key, &[("Talos-Min-Position", position)]);
            (answer.status == 200).then_some(answer)
        };
        self.until(&format!("answer at {position}"), ask).body["is_valid"]
            .as_bool()
            .unwrap()
    }

    #[track_caller]
    pub fn status(&self) -> Value {
        let path = "/v2alpha1/admin/replication";
        self.ask("GET", path, &Value::Null).expect(200).body
    }

    /// Why it is not ready; empty if it is.
    #[track_caller]
    pub fn reason(&self) -> String {
        self.status()["reason"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// A summary of the node's whole state.
    #[track_caller]
    pub fn state(&self) -> Value {
        let path = "/v2alpha1/admin/replication:state";
        self.until("state", |node| {
            let answer = node.ask("GET", path, &Value::Null);
            (answer.status == 200).then_some(answer.body)
        })
    }
}

/// One request on a connection of its own to the server that listens at `socket`; `None` when there
/// is no answer.
pub fn ask(
    socket: &Path,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Option<Answer> {
    let stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let headers = [headers, &[("Connection", "close")]].concat();
    let request = http::request(method, path, &headers, body.as_bytes());
    let http = http::Connection::over(stream).exchange(&request).ok()?;
    Some(Answer {
        status: http.status,
        body: serde_json::from_slice(&http.body).unwrap_or(Value::Null),
        http,
    })
}

/// The key in the answer to an issue.
pub fn key_of(answer: &Answer) -> Key {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Key {
        id: text(&answer.body["issued_api_key"]["key_id"]),
        secret: text(&answer.body["secret"]),
    }
}

/// Waits until both nodes have the same state.
#[track_caller]
pub fn await_equal(one: &Node, other: &Node) {
    let deadline = Instant::now() + PATIENCE;
    while one.state() != other.state() {
        assert!(
            Instant::now() < deadline,
            "not equal in {PATIENCE:?}:\n{}: {}\n{}\n{}: {}\n{}",
            one.name,
            one.state(),
            one.log(),
            other.name,
            other.state(),
            other.log()
        );
        std::thread::sleep(POLL);
    }
}
