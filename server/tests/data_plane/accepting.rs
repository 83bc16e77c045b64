//! Listening, drivers and bounds on connections.

use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use talos_api::control::ControlPlane;
use talos_api::fleet::Fleet;
use talos_server::{Driver, DriverChoice, Server, ServerError, ServerOptions};

use crate::support::{ALIVE, Connection, Fixture, both_drivers, eventually, post};

#[test]
fn the_driver_is_the_one_asked_for() {
    both_drivers(|choice| {
        let fixture = Fixture::new(choice);
        let is_epoll = fixture.server().driver() == Driver::Epoll;
        assert_eq!(is_epoll, choice == DriverChoice::Epoll);
    });
    assert_eq!(
        Fixture::new(DriverChoice::Auto).server().driver(),
        Fixture::new(DriverChoice::IoUring).server().driver()
    );
}

fn bind(fixture: &Fixture, options: ServerOptions) -> Result<Server, ServerError> {
    Server::bind(
        options,
        Arc::clone(&fixture.engine),
        Arc::clone(&fixture.fleet) as Arc<dyn Fleet>,
        Arc::clone(&fixture.control) as Arc<dyn ControlPlane>,
    )
}

#[test]
fn a_port_in_use_is_an_error() {
    let fixture = Fixture::new(DriverChoice::Auto);
    let error = bind(&fixture, ServerOptions::new(fixture.address))
        .map(|_| ())
        .unwrap_err();
    assert!(
        matches!(error, ServerError::Listen { address, .. } if address == fixture.address),
        "{error}"
    );
    // Also when the other one is willing to share.
    let other = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    other.set_reuse_port(true).unwrap();
    other
        .bind(
            &"127.0.0.1:0"
                .parse::<std::net::SocketAddr>()
                .unwrap()
                .into(),
        )
        .unwrap();
    other.listen(1).unwrap();
    let address = other.local_addr().unwrap().as_socket().unwrap();
    assert!(bind(&fixture, ServerOptions::new(address)).is_err());
}

#[test]
fn a_server_needs_a_worker() {
    let fixture = Fixture::new(DriverChoice::Auto);
    for workers in [0, talos_server::limits::WORKERS + 1] {
        let options = ServerOptions {
            workers,
            ..ServerOptions::new("127.0.0.1:0".parse().unwrap())
        };
        assert!(matches!(
            bind(&fixture, options),
            Err(ServerError::Workers { .. })
        ));
    }
}

#[test]
fn every_worker_accepts() {
    both_drivers(|driver| {
        let fixture = Fixture::with(driver, |options| options.workers = 3);
        let mut clients = Vec::new();
        // The kernel spreads connections by a hash of their ports.
        eventually("every worker has a connection", || {
            fixture
                .server()
                .metrics()
                .cores
                .iter()
                .all(|core| core.connections.get() > 0)
                || {
                    assert_eq!(fixture.ask(ALIVE).status, 200);
                    false
                }
        });
        for _ in 0..64 {
            clients.push(fixture.connect());
        }
        for client in &mut clients {
            client.send(ALIVE.as_bytes());
        }
        for client in &mut clients {
            assert_eq!(client.answer().status, 200);
        }
    });
}

#[test]
fn a_full_worker_lets_new_connections_wait() {
    both_drivers(|driver| {
        let fixture = Fixture::with(driver, |options| {
            options.connections_per_worker = 2;
            // A question of health would not wait.
            options.health_connections = 0;
        });
        let served: Vec<_> = (1..=2)
            .map(|count| {
                let mut client = fixture.connect();
                client.send(post("X-Test: hold\r\n", "").as_bytes());
                fixture.control.await_held(count);
                client
            })
            .collect();
        let mut waiting = fixture.connect();
        waiting.send(ALIVE.as_bytes());
        assert!(waiting.hears_nothing());
        fixture.control.release();
        for mut client in served {
            assert_eq!(client.answer().status, 201);
        }
        assert_eq!(waiting.answer().status, 200);
    });
}

#[test]
fn connections_that_ask_nothing_give_up_their_places() {
    both_drivers(|driver| {
        let long = Duration::from_secs(600);
        let fixture = Fixture::with(driver, |options| {
            options.connections_per_worker = 4;
            options.deadlines.head = long;
            options.deadlines.idle = long;
        });
        // One that works, one that is proven, and strangers without end.
        let mut working = fixture.connect();
        working.send(post("X-Test: hold\r\n", "").as_bytes());
        fixture.control.await_held(1);
        let mut proven = fixture.connect();
        proven.send(ALIVE.as_bytes());
        assert_eq!(proven.answer().status, 200);
        let mut strangers = Vec::new();
        for begin in ["", "GET /health", "", "GET /", "", "", "G", "\r\n"] {
            let mut stranger = fixture.connect();
            stranger.send(begin.as_bytes());
            strangers.push(stranger);
        }
        // A new client is served at once.
        assert_eq!(fixture.ask(ALIVE).status, 200);
        assert_eq!(fixture.ask(ALIVE).status, 200);
        proven.send(ALIVE.as_bytes());
        assert_eq!(proven.answer().status, 200);
        fixture.control.release();
        assert_eq!(working.answer().status, 201);
        eventually("they are counted", || {
            fixture.total(|core| core.connections_displaced.get()) >= 6
        });
        // Also a client that has had an answer gives way when nobody else can.
        let _proven: Vec<_> = (0..6)
            .map(|_| {
                let mut client = fixture.connect();
                client.send(ALIVE.as_bytes());
                assert_eq!(client.answer().status, 200);
                client
            })
            .collect();
    });
}

/// Set in the process that has few descriptors.
const FEW_DESCRIPTORS: &str = "TALOS_TEST_FEW_DESCRIPTORS";

fn without_descriptors() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let mut clients = Vec::new();
        while let Ok(stream) = TcpStream::connect(fixture.address) {
            clients.push(stream);
        }
        eventually("accepting fails", || {
            fixture.total(|core| core.accept_errors.get()) > 0
        });
        // The connections that are open are served all the while.
        drop(clients.pop());
        drop(clients.split_off(clients.len() / 2));
        for stream in clients {
            let mut client = Connection::over_tcp(stream).unwrap();
            client.send(ALIVE.as_bytes());
            assert_eq!(client.answer().status, 200);
        }
        assert_eq!(fixture.ask(ALIVE).status, 200);
    });
}

/// Runs itself again in a process of its own, because it takes all descriptors that there are.
#[test]
fn running_out_of_descriptors_is_survived() {
    if std::env::var_os(FEW_DESCRIPTORS).is_some() {
        return without_descriptors();
    }
    let output = Command::new("sh")
        .args([
            "-c",
            r#"ulimit -n 200 && exec "$0" --exact accepting::running_out_of_descriptors_is_survived"#,
        ])
        .arg(std::env::current_exe().unwrap())
        .env(FEW_DESCRIPTORS, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
