//! The server as its supervisor sees it: signals, readiness and the messages to a service manager.

mod foreign_settings;
mod key_sets;
mod secrets;
mod shipped;

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use talos_test_kit::http::Connection;
use talos_test_kit::keys::assert_valid;

use crate::harness::Driver;
use crate::harness::site::{Server, Site};
use crate::metrics;

/// Much longer than what is waited for takes, so that only a hang exceeds it.
const PATIENCE: Duration = Duration::from_secs(30);

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "{what}: never");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The status of `GET /health/ready` on a new connection, and the body.
fn readiness(address: std::net::SocketAddr) -> (u16, String) {
    let answer = Connection::open(address).call("GET", "/health/ready", &[], b"");
    (answer.status, answer.text().to_owned())
}

fn logs(server: &Server, what: &str) -> bool {
    let lines = server.log_lines();
    lines.iter().any(|line| line.to_string().contains(what))
}

both_drivers! {
    fn a_hangup_reloads_the_configuration(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let key = server.connect().issue("key");
        for _ in 0..3 {
            kill_process(Pid::from_child(server.process()), Signal::HUP).unwrap();
        }
        eventually("the line", || logs(&server, "configuration reloaded"));
        assert_valid(&server.connect().verify(&key.secret), &key.key_id);
        assert_eq!(readiness(server.address).0, 200);
        server.stop();
    }

    /// Between the signal and the end of the delay the server answers everything, on old and new
    /// connections, and says that it is not ready.
    fn a_delayed_shutdown_answers_while_it_is_not_ready(driver: Driver) {
        let site = Site::new(driver);
        let mut command = site.command();
        command.env("TALOS_SERVE_SHUTDOWN_DELAY", "6s");
        let mut server = Server::start(command, site.directory().join("delayed.log"));
        let mut old = server.connect();
        let key = old.issue("key");
        let page = metrics::listener(&server);
        assert_eq!(readiness(page), (200, r#"{"status":"ok"}"#.to_owned()));
        server.terminate();
        eventually("unreadiness", || readiness(server.address).0 == 503);
        let (status, body) = readiness(server.address);
        assert_eq!(status, 503);
        assert!(body.contains("not ready") && !body.contains("stopping"), "{body}");
        let (status, body) = readiness(page);
        assert!(status == 503 && body.contains("stopping"), "{body}");
        assert_valid(&old.verify(&key.secret), &key.key_id);
        let mut new = server.connect();
        assert_valid(&new.verify(&key.secret), &key.key_id);
        assert_eq!(new.call("GET", "/health/alive", &[], b"").status, 200);
        let other = new.issue("another key");
        let status = new.call("GET", "/v2alpha1/admin/replication", &[], b"").json();
        assert_eq!((&status["ready"], &status["reason"]), (&json!(false), &json!("this server is stopping")));
        assert!(server.wait().success());
        assert!(old.is_closed() && new.is_closed());
        assert!(Connection::try_open(server.address).is_err());
        let mut site = site;
        let server = site.start();
        assert_valid(&server.connect().verify(&other.secret), &other.key_id);
        server.stop();
    }

    /// Another signal ends the delay at once, for operators who cannot wait.
    fn a_second_signal_ends_the_delay(driver: Driver) {
        let site = Site::new(driver);
        let mut command = site.command();
        command.env("TALOS_SERVE_SHUTDOWN_DELAY", "10m");
        let mut server = Server::start(command, site.directory().join("delayed.log"));
        server.terminate();
        eventually("unreadiness", || readiness(server.address).0 == 503);
        // A repetition within a second counts as the same signal.
        thread::sleep(Duration::from_millis(1100));
        server.terminate();
        assert_eq!(server.wait().code(), Some(130));
    }
}

/// Receives messages until one of them is `wanted`; returns all of them.
fn messages_until(socket: &UnixDatagram, wanted: &str) -> Vec<String> {
    let mut messages = Vec::new();
    loop {
        let mut buffer = [0; 256];
        let length = socket
            .recv(&mut buffer)
            .unwrap_or_else(|error| panic!("no {wanted} after {messages:?}: {error}"));
        messages.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        if messages.last().is_some_and(|last| last == wanted) {
            return messages;
        }
    }
}

/// A server whose service manager has this address.
fn supervised(site: &Site, address: &str, more: &[(&str, &str)]) -> Server {
    let mut command = site.command();
    command.env("NOTIFY_SOCKET", address);
    for (name, value) in more {
        command.env(name, value);
    }
    Server::start(command, site.directory().join("supervised.log"))
}

fn count(messages: &[String], wanted: &str) -> usize {
    let found = messages.iter().filter(|message| *message == wanted);
    found.count()
}

#[test]
fn the_service_manager_learns_of_the_start_and_the_end() {
    let site = Site::new(Driver::Epoll);
    let path = site.directory().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let watchdog = [("WATCHDOG_USEC", "200000")];
    let mut server = supervised(&site, path.to_str().unwrap(), &watchdog);
    let messages = messages_until(&socket, "READY=1");
    assert_eq!(count(&messages, "READY=1"), 1, "{messages:?}");
    // More than come while no core has turned for so long that it counts as stuck.
    for _ in 0..30 {
        let messages = messages_until(&socket, "WATCHDOG=1");
        assert_eq!(messages.len(), 1, "{messages:?}");
    }
    server.terminate();
    let messages = messages_until(&socket, "STOPPING=1");
    assert_eq!(count(&messages, "WATCHDOG=1"), messages.len() - 1);
    assert!(server.wait().success());
}

#[test]
fn the_service_manager_may_be_in_the_abstract_namespace() {
    let site = Site::new(Driver::Epoll);
    let name = format!("talos-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // The watchdog is for another process.
    let watchdog = [("WATCHDOG_USEC", "100000"), ("WATCHDOG_PID", "1")];
    let mut server = supervised(&site, &format!("@{name}"), &watchdog);
    assert_eq!(messages_until(&socket, "READY=1").len(), 1);
    server.terminate();
    assert_eq!(messages_until(&socket, "STOPPING=1").len(), 1);
    assert!(server.wait().success());
}

#[test]
fn a_service_manager_that_is_gone_stops_nothing() {
    let site = Site::new(Driver::Epoll);
    for address in ["/nowhere/notify", "@talos-nobody", "nonsense", ""] {
        let server = supervised(&site, address, &[("WATCHDOG_USEC", "100000")]);
        server.connect().issue("key");
        server.stop();
    }
}
