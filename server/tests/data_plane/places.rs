//! Places for connections: who gets one when they are scarce.

use std::net::{Ipv4Addr, SocketAddr};

use talos_config::TrustedProxies;
use talos_server::limits::HEALTH_CONNECTIONS;

use crate::support::{ALIVE, Connection, Fixture, both_drivers, eventually, post};
use crate::verification::{of, request};

const READY: &str = "GET /health/ready HTTP/1.1\r\nHost: h\r\n\r\n";

/// A connection from 127.0.0.`host`.
pub(crate) fn connect_from(address: SocketAddr, host: u8) -> Connection {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let source = SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0));
    socket.bind(&source.into()).unwrap();
    socket.connect(&address.into()).unwrap();
    Connection::over_tcp(socket.into()).unwrap()
}

/// Connections whose requests the control plane holds.
fn busy(fixture: &Fixture, count: usize) -> Vec<Connection> {
    (1..=count)
        .map(|count| {
            let mut client = fixture.connect();
            client.send(post("X-Test: hold\r\n", "").as_bytes());
            fixture.control.await_held(count);
            client
        })
        .collect()
}

fn reserved(fixture: &Fixture) -> u64 {
    fixture.total(|core| core.connections_reserved.get())
}

#[test]
fn a_question_of_health_gets_through_when_all_are_busy() {
    both_drivers(|driver| {
        let fixture = Fixture::with(driver, |options| options.connections_per_worker = 2);
        let busy = busy(&fixture, 2);
        for question in [ALIVE, READY] {
            let answer = fixture.ask(question);
            assert_eq!(answer.status, 200);
            assert!(answer.closes(), "{answer:?}");
            assert_eq!(answer.json()["status"], "ok");
        }
        // Everything else is told to come again.
        for other in [request("", &of("x")), post("", "{}")] {
            let answer = fixture.ask(&other);
            answer.assert_error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
            assert!(answer.closes() && answer.header("Retry-After").is_some());
        }
        let malformed = fixture.ask("nonsense\r\n\r\n");
        assert_eq!(malformed.status, 400);
        assert_eq!(reserved(&fixture), 5);
        assert_eq!(fixture.total(|core| core.overloads.get()), 2);

        // One that asks when there is a place again is served as any other.
        let mut patient = fixture.connect();
        eventually("it is accepted", || reserved(&fixture) == 6);
        fixture.control.release();
        for mut client in busy {
            assert_eq!(client.answer().status, 201);
        }
        eventually("their places are free", || {
            fixture.total(|core| core.connections_open.get()) == 1
        });
        for _ in 0..2 {
            patient.send(request("", &of("x")).as_bytes());
            assert_eq!(patient.answer().status, 200);
        }
        assert_eq!(reserved(&fixture), 6);
    });
}

#[test]
fn silent_connections_keep_no_question_of_health_out() {
    both_drivers(|driver| {
        let fixture = Fixture::with(driver, |options| options.connections_per_worker = 2);
        let busy = busy(&fixture, 2);
        let silent: Vec<_> = (0..3 * HEALTH_CONNECTIONS)
            .map(|_| fixture.connect())
            .collect();
        let mut prober = connect_from(fixture.address, 2);
        prober.send(ALIVE.as_bytes());
        assert_eq!(prober.answer().status, 200);
        let most = reserved(&fixture) - fixture.total(|core| core.connections_displaced.get());
        assert!(most <= HEALTH_CONNECTIONS as u64 + 1, "{most}");
        drop(silent);
        fixture.control.release();
        for mut client in busy {
            assert_eq!(client.answer().status, 201);
        }
    });
}

#[test]
fn an_address_has_no_more_connections_than_allowed() {
    both_drivers(|driver| {
        let fixture = Fixture::with(driver, |options| {
            options.connections_per_address = Some(3);
        });
        let serves = |client: &mut Connection| {
            client.send(ALIVE.as_bytes());
            assert_eq!(client.answer().status, 200);
        };
        let mut open: Vec<_> = (0..3).map(|_| fixture.connect()).collect();
        open.iter_mut().for_each(serves);
        for _ in 0..5 {
            assert!(fixture.connect().is_closed());
        }
        // A connection is counted after it is closed.
        eventually("they are counted", || {
            fixture.total(|core| core.connections_refused.get()) == 5
        });
        // Another address is not affected, and those that are open are served.
        serves(&mut connect_from(fixture.address, 2));
        open.iter_mut().for_each(serves);
        drop(open.pop());
        eventually("there is room again", || {
            let mut client = fixture.connect();
            let answer = client.exchange(ALIVE.as_bytes());
            answer.is_ok_and(|answer| answer.status == 200)
        });
    });
}

#[test]
fn a_trusted_proxy_has_as_many_as_it_likes() {
    both_drivers(|driver| {
        let fixture = Fixture::with(driver, |options| {
            options.connections_per_address = Some(1);
            options.trusted_proxies = TrustedProxies::parse(&["127.0.0.1".to_owned()]);
        });
        let mut open: Vec<_> = (0..8).map(|_| fixture.connect()).collect();
        for client in &mut open {
            client.send(ALIVE.as_bytes());
            assert_eq!(client.answer().status, 200);
        }
        let mut other = connect_from(fixture.address, 2);
        other.send(ALIVE.as_bytes());
        assert_eq!(other.answer().status, 200);
        assert!(connect_from(fixture.address, 2).is_closed());
    });
}

#[test]
fn who_has_most_connections_gives_way_first() {
    both_drivers(|driver| {
        let long = std::time::Duration::from_secs(600);
        let fixture = Fixture::with(driver, |options| {
            options.connections_per_worker = 16;
            options.deadlines.head = long;
            options.deadlines.idle = long;
        });
        let mut modest = connect_from(fixture.address, 2);
        let mut greedy: Vec<_> = (0..48).map(|_| fixture.connect()).collect();
        eventually("many were displaced", || {
            fixture.total(|core| core.connections_displaced.get()) >= 32
        });
        // The oldest of all, which has never asked anything, is still there.
        modest.send(ALIVE.as_bytes());
        assert_eq!(modest.answer().status, 200);
        assert!(greedy.remove(0).is_closed());
    });
}
