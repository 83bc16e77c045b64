//! Whether traffic may be sent to a node, on the listener of the metrics.

use std::io::{ErrorKind, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use talos_admin::{AdminService, AdminSettings, MetricsListener};
use talos_api::error::ApiError;
use talos_api::fleet::Fleet;
use talos_test_kit::http::{Answer, Connection};
use tokio::net::TcpSocket;
use tokio::runtime::Builder;

use crate::fleet::SingleNode;
use crate::harness::Harness;

/// What a node of this fleet answers to `GET path` on the listener of its metrics.
fn ask(harness: &Harness, fleet: Arc<dyn Fleet>, path: &str) -> Answer {
    with_metrics(harness, fleet, |address| {
        Connection::open(address).call("GET", path, &[], b"")
    })
}

/// Runs `test` with the address of the metrics of a node of this fleet.
fn with_metrics<T>(
    harness: &Harness,
    fleet: Arc<dyn Fleet>,
    test: impl FnOnce(SocketAddr) -> T,
) -> T {
    let settings = AdminSettings {
        version: "1.2.3",
        configuration: Arc::new(crate::harness::Unchanging),
        forward: crate::harness::forward_settings(),
        forwarding_keys: None,
        bodies_bytes: 64 << 20,
        audit: None,
    };
    let engine = Arc::clone(&harness.engine);
    let mut admin = AdminService::start(engine, fleet, settings).expect("a service");
    let loopback = "127.0.0.1:0".parse().expect("an address");
    let listener = MetricsListener::bind(loopback).expect("a listener");
    let address = listener.address();
    admin
        .serve_metrics(listener, Box::new(|_| {}))
        .expect("a listener that is watched");
    let tested = test(address);
    admin.shutdown();
    tested
}

#[test]
fn a_node_far_behind_is_alive_and_not_ready() {
    let harness = Harness::new();
    let ready = ask(&harness, Arc::new(SingleNode::new()), "/health/ready");
    assert_eq!(ready.status, 200, "{ready:?}");
    let behind = || {
        Arc::new(SingleNode {
            ready: Err(ApiError::service_unavailable("far behind")),
            ..SingleNode::new()
        })
    };
    let unready = ask(&harness, behind(), "/health/ready");
    assert_eq!(unready.status, 503, "{unready:?}");
    assert!(unready.text().contains("far behind"), "{unready:?}");
    let alive = ask(&harness, behind(), "/health/alive");
    assert_eq!(alive.status, 200, "{alive:?}");
}

/// A connection from another address of this machine that sends nothing.
fn silent(address: SocketAddr, host: u8) -> TcpStream {
    let runtime = Builder::new_current_thread().enable_io().build();
    let connected = runtime.expect("a runtime").block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 0, host], 0)))?;
        socket.connect(address).await?.into_std()
    });
    connected.expect("a connection")
}

#[test]
fn silent_connections_do_not_shut_out_the_health_of_a_node() {
    let harness = Harness::new();
    with_metrics(&harness, Arc::new(SingleNode::new()), |address| {
        // As many as the listener serves, from as few addresses as possible.
        let mut all: Vec<_> = (0..64).map(|at| silent(address, 2 + at / 16)).collect();
        let alive = Connection::open(address).call("GET", "/health/alive", &[], b"");
        assert_eq!(alive.status, 200);
        // It was answered before they were timed out.
        let is_open = |stream: &mut TcpStream| {
            let read = stream.read(&mut [0]);
            read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
        };
        let mut open = || all.iter_mut().map(is_open).filter(|open| *open).count();
        // The evicted connection closes soon after its place is taken.
        let deadline = Instant::now() + Duration::from_secs(4);
        while open() > 63 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(open(), 63);
    });
}
