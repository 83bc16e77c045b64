//! A data directory with its configuration. Servers run on it one after the other.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use talos_test_kit::http::{Connection, request};
use tempfile::TempDir;

use super::tokens::SECRET;
use super::{Driver, TALOS};

/// Much longer than a start or a stop takes, so that only a hang exceeds it.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);

/// A place where servers run. Its directory is removed when this is dropped.
pub struct Site {
    driver: Driver,
    directory: TempDir,
    data: PathBuf,
    starts: u32,
}

/// A server that was started on a site. Dropping it kills it.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it writes to standard error: JSON lines. The path is empty when standard error is a
    /// pipe.
    pub log: PathBuf,
    child: Child,
}

impl Site {
    /// A site in a fresh temporary directory.
    pub fn new(driver: Driver) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("talos-test-")
            .tempdir()
            .unwrap();
        let data = directory.path().join("data");
        Self {
            driver,
            directory,
            data,
            starts: 0,
        }
    }

    /// Puts the data elsewhere, for example on a volume of its own.
    pub fn with_data_in(mut self, data: &Path) -> Self {
        data.clone_into(&mut self.data);
        self
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The directory of the site, where a scenario may put files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Writes the configuration and returns its path.
    pub fn config(&self) -> PathBuf {
        let path = self.directory.path().join("talos.yaml");
        let (data, driver) = (self.data.display(), self.driver.name());
        let yaml = format!(
            "serve:\n  driver: {driver}\n  workers: 2\n  http: {{host: 127.0.0.1, port: 0}}\n  \
             metrics: {{host: 127.0.0.1, port: 0}}\n\
             credentials: {{issuer: 'https://issuer.example'}}\n\
             secrets: {{hmac: {{current: '{SECRET}'}}}}\n\
             db: {{dsn: 'rocksdb://{data}', shards: 2, block_cache_size: 8 MiB}}\n"
        );
        fs::write(&path, yaml).unwrap();
        path
    }

    /// The command that starts a server here.
    pub fn command(&self) -> Command {
        let mut command = Command::new(TALOS);
        without_talos_variables(&mut command);
        command
            .arg("--config")
            .arg(self.config())
            .arg("serve")
            .current_dir(self.directory.path());
        command
    }

    /// A site on which a server has run.
    pub fn start_and_stop(mut self) -> Self {
        self.start().stop();
        self
    }

    /// Starts a server and waits until it is ready.
    pub fn start(&mut self) -> Server {
        self.starts += 1;
        let log = self
            .directory
            .path()
            .join(format!("server-{}.log", self.starts));
        Server::start(self.command(), log)
    }
}

/// Removes the variables that would configure a server from a command's environment.
pub fn without_talos_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TALOS_") {
            command.env_remove(name);
        }
    }
}

impl Server {
    /// Starts the command with its standard error in `log`, and waits until the server is ready.
    pub fn start(command: Command, log: PathBuf) -> Self {
        let mut server = Self::start_unready(command, log);
        server.wait_for_readiness();
        server
    }

    /// Starts the command with its standard error in `log`, and waits until it listens.
    pub fn start_unready(mut command: Command, log: PathBuf) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap());
        let child = command.spawn().unwrap();
        let mut server = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            log,
            child,
        };
        server.address = server.wait_for("its address", Self::logged_address);
        server
    }

    /// Starts the command and waits until the server is ready. Its log is a pipe; after the line
    /// that names the address nothing is read from it.
    pub fn start_with_unread_log(mut command: Command) -> (Self, BufReader<ChildStderr>) {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "no address");
            if let Some(address) = address_in(&serde_json::from_str(&line).unwrap()) {
                break address;
            }
        };
        let mut server = Self {
            address,
            log: PathBuf::new(),
            child,
        };
        server.wait_for_readiness();
        (server, log)
    }

    fn wait_for_readiness(&mut self) {
        self.wait_for("readiness", |server| {
            let answer = Connection::try_open(server.address)
                .ok()?
                .exchange(&request("GET", "/health/ready", &[], b""));
            answer.ok().filter(|answer| answer.status == 200).map(drop)
        });
    }

    fn logged_address(&self) -> Option<SocketAddr> {
        self.log_lines().iter().find_map(address_in)
    }

    /// The complete lines of the log that are JSON.
    pub fn log_lines(&self) -> Vec<Value> {
        let log = fs::read_to_string(&self.log).unwrap();
        log.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    fn wait_for<T>(&mut self, what: &str, mut probe: impl FnMut(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = probe(self) {
                return found;
            }
            let ended = self.child.try_wait().unwrap();
            let log = || fs::read_to_string(&self.log).unwrap_or_default();
            assert!(
                ended.is_none(),
                "the server ended with {} before {what}:\n{}",
                ended.unwrap(),
                log()
            );
            assert!(
                Instant::now() < deadline,
                "no {what} in {PATIENCE:?}:\n{}",
                log()
            );
            std::thread::sleep(POLL);
        }
    }

    /// A new connection.
    pub fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    /// Its process.
    pub fn process(&self) -> &Child {
        &self.child
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "the server did not end in {PATIENCE:?}"
            );
            std::thread::sleep(POLL);
        }
    }

    /// Stops it by SIGTERM; it must end with exit code 0.
    pub fn stop(mut self) {
        self.terminate();
        let status = self.wait();
        assert!(
            status.success(),
            "{status}\n{}",
            fs::read_to_string(&self.log).unwrap_or_default()
        );
    }

    /// Ends it by SIGKILL, as a crash does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The address in the log line that names it.
fn address_in(line: &Value) -> Option<SocketAddr> {
    (line["message"] == "serving").then_some(())?;
    line["address"].as_str()?.parse().ok()
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both calls fail only if the server has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
