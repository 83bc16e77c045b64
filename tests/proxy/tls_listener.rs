//! A proxy that speaks TLS to its clients, and the command line as one of them.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::Duration;

use talos_test_kit::certificates::{Authority, Files};
use talos_test_kit::http::Connection;
use talos_test_kit::keys::VERIFY;
use talos_test_kit::tls::{TlsConnection, client, connect};

use super::{command, wait_until};
use crate::harness::cli::{Ran, run};
use crate::harness::site::{Server, Site, without_talos_variables};
use crate::harness::{Driver, TALOS};

/// A proxy with a certificate, in front of a real server.
struct Pair {
    _site: Site,
    _server: Server,
    proxy: Server,
    authority: Authority,
    own: Files,
}

impl Pair {
    /// `arguments` are those that are made of the authority.
    fn start(arguments: impl Fn(&Authority) -> Vec<String>) -> Self {
        let mut site = Site::new(Driver::Epoll);
        let server = site.start();
        let authority = Authority::new();
        let own = authority.certified("proxy");
        let mut command = command(&format!("http://{}", server.address), &[]);
        command.arg("--tls-cert").arg(&own.certificate);
        command.arg("--tls-key").arg(&own.key);
        command.args(arguments(&authority));
        let proxy = Server::start_unready(command, site.directory().join("proxy.log"));
        Self {
            _site: site,
            _server: server,
            proxy,
            authority,
            own,
        }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.proxy.address.port())
    }

    /// Runs `talos` against the proxy.
    fn talos(&self, arguments: &[&str], change: impl FnOnce(&mut Command)) -> Ran {
        let mut command = Command::new(TALOS);
        without_talos_variables(&mut command);
        command.args(arguments).args(["-e", &self.url()]);
        change(&mut command);
        run(command)
    }
}

/// Connects to `server`, which must have a certificate of `authority`.
fn trusting(authority: &Authority, server: SocketAddr) -> io::Result<TlsConnection> {
    connect(server, &client(authority, None))
}

const ISSUE: [&str; 5] = ["keys", "issue", "k", "--actor", "a"];

#[test]
fn the_command_line_trusts_the_authority_that_it_is_told() {
    let pair = Pair::start(|_| Vec::new());
    let ca = &pair.authority.certificate();
    let issue = |change: &dyn Fn(&mut Command)| pair.talos(&ISSUE, |command| change(command));
    issue(&|command| {
        command.arg("--ca").arg(ca);
    })
    .succeeded();
    issue(&|command| {
        command.env("TALOS_CA", ca);
    })
    .succeeded();
    // Another authority, and those that browsers trust.
    let other = Authority::new();
    let refused = issue(&|command| {
        command.arg("--ca").arg(other.certificate());
    });
    for refused in [refused, issue(&|_| {})] {
        refused.assert_one_line_and_code_1(&["certificate", "--ca"]);
    }
    let missing = issue(&|command| {
        command.args(["--ca", "/nowhere.pem"]);
    });
    missing.assert_one_line_and_code_1(&["/nowhere.pem"]);
    let halved = issue(&|command| {
        command.arg("--cert").arg(ca);
    });
    assert_eq!(halved.code, Some(2), "{halved:?}");
    // A file for TLS and a server without it are a mistake.
    let mut plain = Command::new(TALOS);
    without_talos_variables(&mut plain);
    plain.args(ISSUE).args(["-e", "http://192.0.2.1"]);
    plain.arg("--ca").arg(ca);
    assert_eq!(run(plain).code, Some(2));
}

#[test]
fn clients_without_a_certificate_of_the_authority_are_refused() {
    let pair = Pair::start(|authority| {
        let ca = authority.certificate().display().to_string();
        vec!["--tls-client-ca".to_owned(), ca]
    });
    let (proxy, authority) = (pair.proxy.address, &pair.authority);
    let own = authority.certified("client");
    let call = |own: Option<&Files>| -> Result<u16, ()> {
        // With TLS 1.3 the refusal comes after the client has finished its handshake.
        let config = client(authority, own.cloned());
        let mut connection = connect(proxy, &config).map_err(drop)?;
        let request = b"GET /health/alive HTTP/1.1\r\nHost: h\r\n\r\n";
        connection.try_send(request).map_err(drop)?;
        connection
            .receive()
            .map(|answer| answer.status)
            .map_err(drop)
    };
    assert_eq!(call(Some(&own)), Ok(200));
    assert_eq!(call(None), Err(()));
    let stranger = Authority::new();
    let stranger = stranger.certified("stranger");
    assert_eq!(call(Some(&stranger)), Err(()));
    let with_certificate = pair.talos(&ISSUE, |command| {
        command.arg("--ca").arg(authority.certificate());
        command.arg("--cert").arg(&own.certificate);
        command.arg("--key").arg(&own.key);
    });
    with_certificate.succeeded();
    let without = pair.talos(&ISSUE, |command| {
        command.arg("--ca").arg(authority.certificate());
    });
    assert_eq!(without.code, Some(1), "{without:?}");
}

#[test]
fn a_renewed_certificate_is_used_without_a_restart() {
    let pair = Pair::start(|_| Vec::new());
    let proxy = pair.proxy.address;
    let mut old = trusting(&pair.authority, proxy).unwrap();
    assert_eq!(old.call("GET", "/health/alive", &[], b"").status, 200);
    let renewed = Authority::new();
    assert!(trusting(&renewed, proxy).is_err());
    // The same files, with a certificate of another authority.
    let files = renewed.certified("proxy");
    fs::copy(&files.key, &pair.own.key).unwrap();
    fs::copy(&files.certificate, &pair.own.certificate).unwrap();
    wait_until("the new certificate is used", || {
        thread::sleep(Duration::from_millis(100));
        trusting(&renewed, proxy).is_ok()
    });
    assert!(trusting(&pair.authority, proxy).is_err());
    assert_eq!(old.call("GET", "/health/alive", &[], b"").status, 200);
    // Files that are no certificate change nothing.
    fs::write(&pair.own.certificate, "nonsense").unwrap();
    wait_until("the bad file is logged", || {
        let log = fs::read_to_string(&pair.proxy.log).unwrap();
        log.contains("cannot be used")
    });
    let mut new = trusting(&renewed, proxy).unwrap();
    assert_eq!(new.call("GET", "/health/alive", &[], b"").status, 200);
}

#[test]
fn a_client_without_tls_is_told_to_use_it() {
    let pair = Pair::start(|_| Vec::new());
    let mut plain = Connection::open(pair.proxy.address);
    let answer = plain.call("POST", VERIFY, &[], br#"{"credential":"x"}"#);
    assert_eq!(answer.status, 400);
    let body = String::from_utf8(answer.body).unwrap();
    assert!(body.contains("https://"), "{body}");
    assert!(plain.is_closed());
}

#[test]
fn a_handshake_that_does_not_end_costs_a_place_for_a_while() {
    let pair = Pair::start(|_| vec!["--head-timeout".to_owned(), "1s".to_owned()]);
    let mut silent = Connection::open(pair.proxy.address);
    let mut begun = Connection::open(pair.proxy.address);
    // The first bytes of a record that is longer.
    begun.send(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]);
    assert!(silent.is_closed() && begun.is_closed());
    let mut noise = Connection::open(pair.proxy.address);
    noise.send(&[0xff; 100]);
    let _ = noise.receive();
    let mut connection = trusting(&pair.authority, pair.proxy.address).unwrap();
    assert_eq!(
        connection.call("GET", "/health/ready", &[], b"").status,
        200
    );
    let _open = Connection::open(pair.proxy.address);
    pair.proxy.stop();
}

#[test]
fn a_start_with_bad_files_says_which() {
    let authority = Authority::new();
    let (own, other) = (authority.certified("own"), authority.certified("other"));
    let start = |arguments: &[&str]| run(command("http://h", arguments));
    let path = |path: &std::path::Path| path.display().to_string();
    let (certificate, other_key) = (path(&own.certificate), path(&other.key));
    let mismatch = start(&["--tls-cert", &certificate, "--tls-key", &other_key]);
    mismatch.assert_one_line_and_code_1(&["TLS to clients", &other_key]);
    for arguments in [
        &["--tls-cert", certificate.as_str()][..],
        &["--tls-client-ca", certificate.as_str()],
        &["--upstream-cert", certificate.as_str()],
        // An authority for an upstream without TLS.
        &["--upstream-ca", certificate.as_str()],
    ] {
        assert_eq!(start(arguments).code, Some(2), "{arguments:?}");
    }
}
