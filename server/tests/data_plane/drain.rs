//! The orderly end of a server.

use std::net::TcpStream;
use std::time::Duration;

use crate::support::{ALIVE, Fixture, PATIENCE, both_drivers, eventually, post};

#[test]
fn a_drain_lets_running_requests_finish_and_closes_the_rest() {
    both_drivers(|driver| {
        let mut fixture = Fixture::with(driver, |options| options.workers = 2);
        let mut idle: Vec<_> = (0..8).map(|_| fixture.connect()).collect();
        for client in &mut idle {
            client.send(ALIVE.as_bytes());
            assert_eq!(client.answer().header("Connection"), None);
        }
        let mut running = fixture.connect();
        running.send(format!("{}{ALIVE}", post("X-Test: hold\r\n", "x")).as_bytes());
        fixture.control.await_held(1);
        let mut halfway = fixture.connect();
        halfway.send(b"GET /health/alive HTTP/1.1\r\n");
        // Without an answer only the counter of open connections tells that the server has seen it.
        eventually("all connections are seen", || {
            fixture.total(|core| core.connections_open.get()) == 10
        });

        fixture.server().handle().drain(PATIENCE);
        for client in &mut idle {
            assert!(client.is_closed());
        }
        eventually("new connections are refused", || {
            TcpStream::connect(fixture.address).is_err()
        });
        halfway.send(b"Host: h\r\n\r\n");
        assert_eq!(halfway.answer().header("Connection"), Some("close"));
        assert!(halfway.is_closed());
        fixture.control.release();
        let answer = running.answer();
        assert_eq!(
            (answer.status, answer.header("Connection")),
            (201, Some("close"))
        );
        assert!(running.is_closed(), "the request behind it comes too late");
        let metrics = fixture.server().metrics();
        fixture.server.take().unwrap().join().unwrap();
        assert_eq!(metrics.sum(|core| core.connections_open.get()), 0);
        assert_eq!(metrics.sum(|core| core.timeouts.idle.get()), 0);
    });
}

#[test]
fn at_the_deadline_everything_is_cut() {
    both_drivers(|driver| {
        let mut fixture = Fixture::new(driver);
        let mut held = fixture.connect();
        held.send(post("X-Test: hold\r\n", "").as_bytes());
        fixture.control.await_held(1);
        let mut body = fixture.connect();
        body.send(
            b"POST /v2alpha1/admin/issuedApiKeys HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\nx",
        );
        eventually("both are seen", || {
            fixture.total(|core| core.connections_open.get()) == 2
        });
        fixture.server().handle().drain(PATIENCE);
        fixture.server().handle().drain(Duration::from_millis(1));
        let metrics = fixture.server().metrics();
        fixture.server.take().unwrap().join().unwrap();
        // They have ended, rather than been given up.
        assert_eq!(metrics.sum(|core| core.connections_open.get()), 0);
        assert!(held.is_closed());
        assert!(body.is_closed());
        // An answer that comes after the end finds nobody and harms nobody.
        fixture.control.release();
    });
}

#[test]
fn a_dropped_server_frees_its_port() {
    both_drivers(|driver| {
        let mut fixture = Fixture::new(driver);
        let _client = fixture.connect();
        fixture.server.take();
        std::net::TcpListener::bind(fixture.address).unwrap();
    });
}
