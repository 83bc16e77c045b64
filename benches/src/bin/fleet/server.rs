//! Servers on loopback addresses.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::client::Client;

/// Much longer than a start takes.
const PATIENCE: Duration = Duration::from_secs(120);
pub const SECRET: &str = "the secret of a fleet that is being measured";

/// A running server.
pub struct Server {
    child: Child,
    pub host: String,
    data: PathBuf,
}

/// The path of a program in this program's directory.
pub fn beside(name: &str) -> PathBuf {
    std::env::current_exe()
        .expect("a path")
        .with_file_name(name)
}

impl Server {
    /// Starts a server at the address 127.90.0.`number` and waits until it answers.
    pub fn start(scratch: &Path, number: u8, settings: &[(&str, &str)]) -> Self {
        let host = format!("127.90.0.{number}");
        let data = scratch.join(format!("data-{number}"));
        let log = File::create(scratch.join(format!("{number}.log"))).expect("a log");
        let mut command = Command::new(beside("talos"));
        command
            .arg("serve")
            .env("TALOS_CREDENTIALS_ISSUER", "https://issuer.example")
            .env("TALOS_SECRETS_HMAC_CURRENT", SECRET)
            .env("TALOS_REPLICATION_SECRET", SECRET)
            .env("TALOS_DB_DSN", format!("rocksdb://{}", data.display()))
            .env("TALOS_SERVE_HTTP_HOST", &host)
            .env("TALOS_SERVE_METRICS_HOST", &host)
            .env("TALOS_REPLICATION_LISTEN", format!("{host}:4421"))
            .env("TALOS_LOG_LEVEL", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        for (name, value) in settings {
            command.env(format!("TALOS_{name}"), value);
        }
        let child = command.spawn().expect("a server");
        let server = Self { child, host, data };
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(server.address()).is_err() {
            assert!(Instant::now() < deadline, "no server at {}", server.host);
            thread::sleep(Duration::from_millis(5));
        }
        server
    }

    /// A primary.
    pub fn primary(scratch: &Path, number: u8, settings: &[(&str, &str)]) -> Self {
        let role = [("REPLICATION_ROLE", "primary")];
        Self::start(scratch, number, &[&role, settings].concat())
    }

    /// A replica of the primary at this address.
    pub fn replica(scratch: &Path, number: u8, primary: &str, settings: &[(&str, &str)]) -> Self {
        let role = [
            ("REPLICATION_ROLE", "replica"),
            ("REPLICATION_PRIMARY", primary),
        ];
        Self::start(scratch, number, &[&role, settings].concat())
    }

    pub fn address(&self) -> SocketAddr {
        format!("{}:4420", self.host).parse().expect("an address")
    }

    /// The address at which it listens for replicas.
    pub fn listens_at(&self) -> String {
        format!("{}:4421", self.host)
    }

    pub fn client(&self) -> Client {
        Client::new(self.address())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The sequence of the last change that the client's server shows.
    pub fn sequence(client: &mut Client) -> u64 {
        let status = client.get("/v2alpha1/admin/replication").body;
        let position = status["position"].as_str().expect("a position").to_owned();
        let (_, sequence) = position.split_once('.').expect("a position");
        sequence.parse().expect("a sequence")
    }

    pub fn await_ready(&self) {
        let mut client = self.client();
        while client.get("/health/ready").status != 200 {
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Stops the server and removes its data.
    pub fn remove(self) {
        let data = self.data.clone();
        drop(self);
        std::fs::remove_dir_all(data).expect("a directory");
    }

    /// Stops the server with SIGTERM.
    pub fn stop(mut self) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
        self.child.wait().expect("an end");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail if it has ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Imports `count` keys over four connections. Returns how long that took.
pub fn import(server: &Server, from: u64, count: u64) -> Duration {
    const BATCH: u64 = 1000;
    const CONNECTIONS: u64 = 4;
    let begun = Instant::now();
    thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            scope.spawn(move || {
                let mut client = server.client();
                let mut first = from + connection * BATCH;
                while first < from + count {
                    let last = (first + BATCH).min(from + count);
                    let keys: Vec<_> = (first..last)
                        .map(|key| {
                            format!(r#"{{"name":"key {key}","raw_key":"measured-{key:032}","actor_id":"actor-{}"}}"#, key % 1000)
                        })
                        .collect();
                    let body = format!(r#"{{"requests":[{}]}}"#, keys.join(","));
                    let path = "/v2alpha1/admin/importedApiKeys:batchCreate";
                    let answer = client.post(path, &body);
                    assert_eq!(answer.status, 200, "{}", answer.body);
                    first += CONNECTIONS * BATCH;
                }
            });
        }
    });
    begun.elapsed()
}
