//! Listeners with TLS.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ClientConfig, ProtocolVersion};
use talos_api::control::Chunk;
use talos_server::{DriverChoice, ServerOptions, limits};
use talos_test_kit::certificates::{Authority, Files};
use talos_test_kit::http::NoAnswer;
use talos_test_kit::tls::{self, TlsConnection};
use talos_tls::{ClientCertificate, Reload as _, ServerTls};

use crate::support::{ALIVE, Fixture, PATIENCE, both_drivers, eventually, post};

const SHORT: Duration = Duration::from_millis(300);
/// A record of the handshake that announces more than follows.
const HALF_A_RECORD: &[u8] = b"\x16\x03\x01\x02\x00\x01";

/// A server with TLS, and its authority.
struct Site {
    fixture: Fixture,
    authority: Authority,
    tls: Arc<ServerTls>,
}

impl Site {
    fn new(driver: DriverChoice) -> Self {
        Self::with(driver, None, |_| {})
    }

    fn with(
        driver: DriverChoice,
        clients: Option<ClientCertificate>,
        change: impl FnOnce(&mut ServerOptions),
    ) -> Self {
        let authority = Authority::new();
        let tls = tls::server(&authority, clients);
        let fixture = Fixture::with(driver, |options| {
            options.listeners[0].tls = Some(Arc::clone(&tls));
            change(options);
        });
        Self {
            fixture,
            authority,
            tls,
        }
    }

    fn client(&self) -> Arc<ClientConfig> {
        tls::client(&self.authority, None)
    }

    fn connect(&self) -> TlsConnection {
        tls::connect(self.fixture.address, &self.client()).unwrap()
    }

    /// Connects with a certificate, and sends a request. In TLS 1.3 a client learns only then that
    /// its certificate is refused.
    fn ask_as(&self, own: Option<Files>) -> Result<u16, NoAnswer> {
        let config = tls::client(&self.authority, own);
        let mut client = tls::connect(self.fixture.address, &config).map_err(NoAnswer::Broken)?;
        client
            .exchange(ALIVE.as_bytes())
            .map(|answer| answer.status)
    }
}

#[test]
fn requests_are_answered_as_without_tls() {
    both_drivers(|driver| {
        let site = Site::new(driver);
        let mut client = site.connect();
        for _ in 0..3 {
            client.send(ALIVE.as_bytes());
            assert_eq!(client.answer().status, 200);
        }
        // Many in few records, and answers of many records.
        client.send(ALIVE.repeat(1000).as_bytes());
        for _ in 0..1000 {
            assert_eq!(client.answer().status, 200);
        }
        let body = "x".repeat(1_000_000);
        for script in ["", "X-Test: later\r\n"] {
            client.send(post(script, &body).as_bytes());
            let answer = client.answer();
            assert_eq!(answer.status, 201);
            assert!(answer.text().ends_with(&body));
        }
        client.send(post("X-Test: large\r\n", "").as_bytes());
        assert!(client.answer().body == vec![b'x'; 1 << 20]);
        client.send(b"GET /health/alive HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        assert_eq!(client.answer().status, 200);
        assert!(client.is_closed(), "with close_notify");
        assert_eq!(site.fixture.total(|core| core.handshakes.full.get()), 1);
        assert_eq!(site.fixture.total(|core| core.panics.get()), 0);
    });
}

#[test]
fn old_and_new_clients_are_served_and_others_are_told_why_not() {
    both_drivers(|driver| {
        let site = Site::new(driver);
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let mut config = (*site.client()).clone();
            let mut roots = rustls::RootCertStore::empty();
            let pem = std::fs::read(site.authority.certificate()).unwrap();
            let authority = rustls::pki_types::pem::PemObject::from_pem_slice(&pem).unwrap();
            roots.add(authority).unwrap();
            let builder = ClientConfig::builder_with_provider(Arc::clone(config.crypto_provider()))
                .with_protocol_versions(&[version])
                .unwrap();
            config = builder.with_root_certificates(roots).with_no_client_auth();
            let config = Arc::new(config);
            let mut client = tls::connect(site.fixture.address, &config).unwrap();
            client.send(ALIVE.as_bytes());
            assert_eq!(client.answer().status, 200);
            assert_eq!(
                client.stream().conn.protocol_version(),
                Some(version.version)
            );
            drop(client);
            // The client connects again and shows its ticket.
            let mut client = tls::connect(site.fixture.address, &config).unwrap();
            client.send(ALIVE.as_bytes());
            assert_eq!(client.answer().status, 200);
        }
        assert_eq!(ProtocolVersion::TLSv1_3, rustls::version::TLS13.version);
        assert_eq!(site.fixture.total(|core| core.handshakes.full.get()), 2);
        assert_eq!(site.fixture.total(|core| core.handshakes.resumed.get()), 2);

        let mut other_protocol = (*site.client()).clone();
        other_protocol.alpn_protocols = vec![b"h2".to_vec()];
        let refused = tls::connect(site.fixture.address, &Arc::new(other_protocol));
        let error = refused.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("NoApplicationProtocol"), "{error}");
        assert_eq!(site.fixture.total(|core| core.handshakes.failed.get()), 1);
    });
}

#[test]
fn streams_come_chunk_by_chunk_and_end_with_their_clients() {
    both_drivers(|driver| {
        let site = Site::new(driver);
        let begin = |script: &str| {
            let mut client = site.connect();
            client.send(post(&format!("X-Test: {script}\r\n"), "").as_bytes());
            assert_eq!(client.answer().status, 200);
            assert_eq!(client.chunk(), b"first");
            (client, site.fixture.control.last_stream())
        };
        let (mut client, stream) = begin("file");
        client.send(ALIVE.as_bytes());
        for length in [1, 100, 100_000] {
            let bytes = vec![b'x'; length];
            stream.blocking_send(Chunk::Bytes(bytes.clone())).unwrap();
            assert!(client.chunk() == bytes);
        }
        stream.blocking_send(Chunk::End).unwrap();
        assert_eq!(client.chunk(), b"");
        assert_eq!(client.answer().status, 200);

        let (mut client, stream) = begin("file");
        stream.blocking_send(Chunk::Broken).unwrap();
        let mut rest = Vec::new();
        let end = client.stream().read_to_end(&mut rest);
        let truncated = end.unwrap_err().kind();
        assert_eq!(truncated, io::ErrorKind::UnexpectedEof, "no close_notify");

        let (client, stream) = begin("feed");
        drop(client);
        eventually("the stream ends", || stream.is_closed());
    });
}

#[test]
fn a_handshake_has_a_deadline() {
    both_drivers(|driver| {
        let site = Site::with(driver, None, |options| options.deadlines.head = SHORT);
        let mut clients = Vec::new();
        for beginning in [&b""[..], HALF_A_RECORD] {
            let mut client = TcpStream::connect(site.fixture.address).unwrap();
            client.write_all(beginning).unwrap();
            clients.push(client);
        }
        // One that sends a byte now and then.
        let mut trickle = TcpStream::connect(site.fixture.address).unwrap();
        trickle.write_all(HALF_A_RECORD).unwrap();
        let start = Instant::now();
        while site.fixture.total(|core| core.timeouts.handshake.get()) < 3 {
            assert!(start.elapsed() < PATIENCE, "a handshake has no deadline");
            thread::sleep(Duration::from_millis(20));
            // An error means that the server has closed.
            let _ = trickle.write_all(b"x");
        }
        for mut client in clients {
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, b"");
        }
        eventually("all are gone", || {
            site.fixture.total(|core| core.connections_open.get()) == 0
        });
    });
}

#[test]
fn deadlines_hold_after_the_handshake() {
    both_drivers(|driver| {
        let site = Site::with(driver, None, |options| {
            options.deadlines.head = SHORT;
            options.deadlines.idle = SHORT;
        });
        let mut slow = site.connect();
        slow.send(format!("{ALIVE}GET /health/al").as_bytes());
        assert_eq!(slow.answer().status, 200);
        assert_eq!(slow.answer().status, 408);
        assert!(slow.is_closed(), "with close_notify");
        let mut idle = site.connect();
        idle.send(ALIVE.as_bytes());
        assert_eq!(idle.answer().status, 200);
        assert!(idle.is_closed(), "with close_notify");
        let mut silent = site.connect();
        assert!(silent.is_closed(), "with close_notify");
        assert_eq!(site.fixture.total(|core| core.timeouts.head.get()), 1);
    });
}

#[test]
fn connections_without_tls_are_told_so() {
    both_drivers(|driver| {
        let site = Site::new(driver);
        let answer = site.fixture.ask(ALIVE);
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains("https://"), "{answer:?}");
        let mut client = site.fixture.connect();
        // A body that is on its way does not lose the answer.
        client.send(post("", &"x".repeat(500_000)).as_bytes());
        assert_eq!(client.answer().status, 400);
        assert!(client.is_closed());
        assert_eq!(site.fixture.total(|core| core.handshakes.plain.get()), 2);
        for garbage in [
            &b"\0\0\0\0\0\0"[..],
            b"\x16\x03\x01\x00\x02\x01\x00\x00",
            &[0xff; 9000],
        ] {
            let mut client = TcpStream::connect(site.fixture.address).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client.write_all(garbage).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let mut alert = Vec::new();
            client.read_to_end(&mut alert).unwrap();
            assert!(alert.is_empty() || alert.starts_with(&[21, 3]), "{alert:?}");
        }
        eventually("they have failed", || {
            site.fixture.total(|core| core.handshakes.failed.get()) == 3
        });
        // TLS on a port without it.
        let plain = Fixture::new(driver);
        tls::connect(plain.address, &site.client())
            .map(|_| ())
            .unwrap_err();
        assert_eq!(plain.ask(ALIVE).status, 200);
        assert_eq!(plain.total(|core| core.panics.get()), 0);
    });
}

#[test]
fn a_renewed_certificate_is_for_new_connections() {
    both_drivers(|driver| {
        let site = Site::new(driver);
        let shown = |client: &mut TlsConnection| {
            let chain = client.stream().conn.peer_certificates().unwrap();
            chain[0].to_vec()
        };
        let mut old = site.connect();
        let new = site.authority.issue(|_| {});
        site.authority.write("server", &new);
        site.tls.reload_if_changed();
        site.tls.reload_if_changed();
        let mut client = site.connect();
        assert!(shown(&mut client) == new.der);
        assert!(shown(&mut old) != new.der);
        for client in [&mut old, &mut client] {
            client.send(ALIVE.as_bytes());
            assert_eq!(client.answer().status, 200);
        }
        // A key of another certificate changes nothing.
        let other = site.authority.certified("other");
        std::fs::copy(other.key, site.authority.path("server.key")).unwrap();
        site.tls.reload_if_changed();
        site.tls.reload_if_changed();
        assert!(shown(&mut site.connect()) == new.der);
    });
}

#[test]
fn clients_without_an_acceptable_certificate_are_refused() {
    both_drivers(|driver| {
        for clients in [ClientCertificate::Required, ClientCertificate::Optional] {
            let site = Site::with(driver, Some(clients), |_| {});
            let own = site.authority.certified_as("bot");
            assert_eq!(site.ask_as(Some(own)).unwrap(), 200);
            let other = Authority::new();
            assert!(site.ask_as(Some(other.certified("stranger"))).is_err());
            let anonymous = site.ask_as(None);
            match clients {
                ClientCertificate::Optional => assert_eq!(anonymous.unwrap(), 200),
                ClientCertificate::Required => {
                    let why = format!("{:?}", anonymous.unwrap_err());
                    assert!(why.contains("CertificateRequired"), "{why}");
                }
            }
        }
    });
}

#[test]
fn a_client_may_close_either_way_and_gets_its_answer() {
    both_drivers(|driver| {
        let site = Site::new(driver);
        for says_so in [true, false] {
            let mut client = site.connect();
            client.send(post("X-Test: later\r\n", "body").as_bytes());
            if says_so {
                client.stream().conn.send_close_notify();
                client.stream().flush().unwrap();
            }
            client.stream().sock.shutdown(Shutdown::Write).unwrap();
            assert_eq!(client.answer().status, 201);
            assert!(client.is_closed(), "with close_notify");
        }
        // Half a request is none.
        let mut client = site.connect();
        client.send(post("", "body").as_bytes().split_last().unwrap().1);
        client.stream().conn.send_close_notify();
        client.stream().flush().unwrap();
        assert!(client.is_closed());
    });
}

#[test]
fn a_drain_ends_handshakes_and_idle_connections_and_lets_requests_finish() {
    both_drivers(|driver| {
        let mut site = Site::with(driver, None, |options| options.workers = 2);
        let mut idle: Vec<_> = (0..4).map(|_| site.connect()).collect();
        for client in &mut idle {
            client.send(ALIVE.as_bytes());
            assert_eq!(client.answer().status, 200);
        }
        let mut running = site.connect();
        running.send(post("X-Test: hold\r\n", "x").as_bytes());
        site.fixture.control.await_held(1);
        let mut handshaking = TcpStream::connect(site.fixture.address).unwrap();
        handshaking.write_all(HALF_A_RECORD).unwrap();
        eventually("all are seen", || {
            site.fixture.total(|core| core.connections_open.get()) == 6
        });
        site.fixture.server().handle().drain(PATIENCE);
        for client in &mut idle {
            assert!(client.is_closed(), "with close_notify");
        }
        let mut rest = Vec::new();
        handshaking.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"");
        site.fixture.control.release();
        let answer = running.answer();
        assert_eq!((answer.status, answer.closes()), (201, true));
        assert!(running.is_closed(), "with close_notify");
        let metrics = site.fixture.server().metrics();
        site.fixture.server.take().unwrap().join().unwrap();
        assert_eq!(metrics.sum(|core| core.connections_open.get()), 0);
    });
}

#[test]
fn silent_clients_do_not_keep_others_out() {
    both_drivers(|driver| {
        let site = Site::with(driver, None, |options| options.connections_per_worker = 16);
        let silent: Vec<_> = (0..40)
            .map(|_| {
                let mut client = TcpStream::connect(site.fixture.address).unwrap();
                client.write_all(HALF_A_RECORD).unwrap();
                client
            })
            .collect();
        let mut client = site.connect();
        client.send(ALIVE.as_bytes());
        assert_eq!(client.answer().status, 200);
        assert!(site.fixture.total(|core| core.connections_displaced.get()) > 0);
        drop(silent);
    });
}

#[test]
fn memory_is_counted_and_given_back() {
    both_drivers(|driver| {
        let site = Site::new(driver);
        let held = |client: &mut TlsConnection| -> u64 {
            client.send(post("X-Test: memory\r\n", "").as_bytes());
            client.answer().text().parse().unwrap()
        };
        let mut watcher = site.connect();
        let before = held(&mut watcher);
        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut client = site.connect();
            client.send(post("", &"x".repeat(900_000)).as_bytes());
            assert_eq!(client.answer().status, 201);
            client.send(ALIVE.as_bytes());
            assert_eq!(client.answer().status, 200);
            clients.push(client);
        }
        let each = (held(&mut watcher).saturating_sub(before)) / clients.len() as u64;
        let first_buffers = 2 * limits::BUFFER_BYTES + limits::TLS_CONNECTION_BYTES;
        assert!(each <= first_buffers as u64, "{each} bytes each");
        eventually("the counters agree", || {
            site.fixture.total(|core| core.memory_bytes.get()) < 64 << 10
        });

        // Answers that nobody reads hold memory beyond the first buffers.
        let mut stalled = site.connect();
        stalled.send(post("X-Test: large\r\n", "").repeat(16).as_bytes());
        eventually("an answer is held", || {
            site.fixture.total(|core| core.memory_bytes.get()) > 1 << 20
        });
        drop(stalled);
        eventually("it is given back", || {
            site.fixture.total(|core| core.memory_bytes.get()) < 64 << 10
        });
    });
}

#[test]
fn many_clients_at_once_are_all_served() {
    both_drivers(|driver| {
        let site = Site::new(driver);
        let config = site.client();
        let address = site.fixture.address;
        thread::scope(|scope| {
            for _ in 0..8 {
                let config = &config;
                scope.spawn(move || {
                    let mut clients: Vec<_> = (0..10)
                        .map(|_| tls::connect(address, config).unwrap())
                        .collect();
                    for client in &mut clients {
                        client.send(ALIVE.as_bytes());
                        assert_eq!(client.answer().status, 200);
                    }
                });
            }
        });
        let handshakes = |core: &talos_server::metrics::CoreMetrics| {
            core.handshakes.full.get() + core.handshakes.resumed.get()
        };
        assert_eq!(site.fixture.total(handshakes), 80);
    });
}
