//! `talos proxy` from outside: in front of the real server where its answers matter, and in front
//! of a scripted one where exact bytes, timing or failures matter.

mod caching;
mod changes;
mod failures;
mod floods;
mod forwarding;
mod half_close;
mod hosts;
mod observing;
mod page;
mod questions;
mod scripted;
mod tls;
mod tls_listener;

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use talos_test_kit::http::{Answer, Connection};
use talos_test_kit::keys::VERIFY;

use crate::harness::site::{Server, Site, without_talos_variables};
use crate::harness::{Driver, TALOS};

const PATIENCE: Duration = Duration::from_secs(60);

/// The command that starts a proxy in front of `upstream`, on a port that the system chooses.
fn command(upstream: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(TALOS);
    without_talos_variables(&mut command);
    command
        .args(["proxy", "--upstream", upstream, "--listen", "127.0.0.1:0"])
        .args(arguments);
    command
}

/// A proxy in front of a real server.
struct Pair {
    _site: Site,
    server: Server,
    proxy: Server,
}

impl Pair {
    fn start(arguments: &[&str]) -> Self {
        let mut site = Site::new(Driver::Epoll);
        let server = site.start();
        let command = command(&format!("http://{}", server.address), arguments);
        let proxy = Server::start(command, site.directory().join("proxy.log"));
        Self {
            _site: site,
            server,
            proxy,
        }
    }
}

/// Where an answer came from, according to its header.
#[track_caller]
fn source(answer: &Answer) -> &str {
    let body = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 200, "{body}");
    answer
        .header("ory-talos-cache")
        .unwrap_or_else(|| panic!("no Ory-Talos-Cache: {answer:?}"))
}

/// Verifies through a new connection.
fn verify(proxy: SocketAddr, credential: &str, headers: &[(&str, &str)]) -> Answer {
    let body = serde_json::json!({ "credential": credential }).to_string();
    Connection::open(proxy).call("POST", VERIFY, headers, body.as_bytes())
}

/// Asserts that the answer accepts the credential and came from `from`.
#[track_caller]
fn assert_accepted(answer: &Answer, from: &str) {
    assert_eq!(source(answer), from, "{answer:?}");
    assert_eq!(answer.json()["is_valid"], true, "{answer:?}");
}

/// Asserts that the answer refuses the credential and came from the upstream.
#[track_caller]
fn assert_refused(answer: &Answer, code: &str) {
    assert_eq!(source(answer), "MISS", "{answer:?}");
    talos_test_kit::keys::assert_refused(&answer.json(), code);
}

/// Repeats `probe` until it is true.
#[track_caller]
fn wait_until(what: &str, mut probe: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !probe() {
        assert!(Instant::now() < deadline, "not in {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The value of a sample on the page of metrics.
fn metric(proxy: SocketAddr, sample: &str) -> u64 {
    let answer = Connection::open(proxy).call("GET", "/metrics", &[], b"");
    assert_eq!(answer.status, 200);
    let page = String::from_utf8(answer.body).unwrap();
    let value = page
        .lines()
        .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_else(|| panic!("no {sample} in\n{page}"))
}
