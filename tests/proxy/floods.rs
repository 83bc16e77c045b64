//! Clients that take places, send nothing, or read nothing.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use talos_test_kit::http::{Answer, Connection};
use talos_test_kit::keys::VERIFY;

use super::scripted::{self, Scripted};
use super::{command, wait_until};
use crate::harness::cli::run;

/// Connects from an address of this machine.
fn from(source: Ipv4Addr, proxy: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
    socket.connect(&proxy.into()).unwrap();
    socket.into()
}

fn loopback(third: u8, last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, third, last)
}

fn scripted() -> Scripted {
    Scripted::start(|_| scripted::json(200, r#"{"is_valid":true,"key_id":"k"}"#))
}

fn verify(connection: &mut Connection) -> Answer {
    connection.call("POST", VERIFY, &[], br#"{"credential":"x"}"#)
}

fn open(source: Ipv4Addr, proxy: SocketAddr) -> Connection {
    Connection::over_tcp(from(source, proxy)).unwrap()
}

#[test]
fn silent_strangers_keep_nobody_out() {
    let upstream = scripted();
    let (proxy, _directory) = upstream.proxy(&["--connections", "64"]);
    let mut gateway: Vec<_> = (0..40)
        .map(|_| open(loopback(0, 2), proxy.address))
        .collect();
    for connection in &mut gateway {
        assert_eq!(verify(connection).status, 200);
    }
    let mut flood: Vec<_> = (0..400_u16)
        .map(|one| open(loopback(0, 3 + one.to_le_bytes()[0] % 8), proxy.address))
        .collect();
    // Those that have had an answer stay, although their address has the most connections.
    for connection in &mut gateway {
        assert_eq!(verify(connection).status, 200);
    }
    let mut newcomer = open(loopback(0, 20), proxy.address);
    assert_eq!(verify(&mut newcomer).status, 200);
    let health = open(loopback(0, 21), proxy.address).call("GET", "/health/ready", &[], b"");
    assert_eq!(health.status, 200);
    // The oldest of the flood are closed.
    assert!(flood[..300].iter_mut().all(Connection::is_closed));
}

#[test]
fn connections_in_use_leave_places_for_health_checks() {
    let upstream = scripted();
    let (proxy, _directory) = upstream.proxy(&["--connections", "64"]);
    let mut busy: Vec<_> = (1..=80)
        .map(|one| open(loopback(1, one), proxy.address))
        .collect();
    for connection in &mut busy[16..] {
        assert_eq!(verify(connection).status, 200);
    }
    let mut probe = open(loopback(2, 1), proxy.address);
    // Newer connections, fewer than the places that new ones keep, do not evict it.
    let _newer: Vec<_> = (2..5)
        .map(|one| open(loopback(2, one), proxy.address))
        .collect();
    assert_eq!(probe.call("GET", "/health/alive", &[], b"").status, 200);
    assert_eq!(probe.call("GET", "/health/ready", &[], b"").status, 200);
}

#[test]
fn an_address_has_no_more_connections_than_it_may() {
    let upstream = scripted();
    let (proxy, _directory) = upstream.proxy(&["--connections-per-address", "4"]);
    let mut other = open(loopback(0, 2), proxy.address);
    assert_eq!(verify(&mut other).status, 200);
    let mut proven = open(loopback(0, 3), proxy.address);
    assert_eq!(verify(&mut proven).status, 200);
    let mut silent: Vec<_> = (0..10)
        .map(|_| open(loopback(0, 3), proxy.address))
        .collect();
    let closed = silent[..7].iter_mut().all(Connection::is_closed);
    assert!(closed, "all but the newest three");
    for connection in [&mut other, &mut proven, &mut silent[9]] {
        assert_eq!(verify(connection).status, 200);
    }
}

#[test]
fn silence_and_a_slow_head_end_a_connection() {
    let upstream = scripted();
    let (proxy, _directory) = upstream.proxy(&["--head-timeout", "1s"]);
    let mut silent = proxy.connect();
    let mut slow = proxy.connect();
    slow.send(b"GET /version HTTP/1.1\r\nHost:");
    let mut idle = proxy.connect();
    assert_eq!(idle.call("GET", "/health/alive", &[], b"").status, 200);
    for connection in [&mut silent, &mut slow, &mut idle] {
        assert!(connection.is_closed());
    }
}

/// A client that takes a little of its answer now and then does not hold it for ever.
#[test]
fn a_slow_reader_loses_its_connection() {
    const BODY_BYTES: usize = 64 << 20;
    let body = "x".repeat(BODY_BYTES);
    let upstream = Scripted::start(move |_| scripted::json(200, &body));
    let arguments = ["--stall-timeout", "2s", "--upstream-timeout", "1s"];
    let (proxy, _directory) = upstream.proxy(&[&arguments[..], &["--log-level", "debug"]].concat());
    let mut stream = from(loopback(0, 2), proxy.address);
    let request = b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n";
    std::io::Write::write_all(&mut stream, request).unwrap();
    let begin = Instant::now();
    wait_until("the connection is cut", || {
        let _ = std::io::Read::read(&mut stream, &mut [0; 16]);
        let log = std::fs::read_to_string(&proxy.log).unwrap();
        log.contains("a connection ended early")
    });
    assert!(begin.elapsed() >= Duration::from_secs(2));
}

#[test]
fn a_stall_timeout_is_longer_than_that_of_the_upstream() {
    let arguments = ["--stall-timeout", "30s", "--upstream-timeout", "30s"];
    let outcome = run(command("http://h", &arguments));
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
}
