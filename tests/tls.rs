//! `serve.http.tls` and `serve.metrics.tls`: the server as its operator configures it.

mod page;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use talos_test_kit::certificates::{Authority, Files};
use talos_test_kit::keys::{ISSUE, assert_refused, assert_valid};
use talos_test_kit::tls;

use crate::harness::Driver;
use crate::harness::cli::run;
use crate::harness::site::{Server, Site};

const PATIENCE: Duration = Duration::from_secs(30);

/// The command that starts a server whose listener has these files.
fn command(site: &Site, listener: &str, files: &Files) -> Command {
    let mut command = site.command();
    command
        .env(
            format!("TALOS_SERVE_{listener}_TLS_CERT"),
            &files.certificate,
        )
        .env(format!("TALOS_SERVE_{listener}_TLS_KEY"), &files.key);
    command
}

fn start(site: &Site, command: Command) -> Server {
    Server::start_unready(command, site.directory().join("tls.log"))
}

/// Runs curl, and returns whether it succeeded, and what it printed.
fn curl(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "30"])
        .args(arguments)
        .output()
        .expect("curl; scripts/setup installs it");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (
        output.status.success(),
        text + &String::from_utf8_lossy(&output.stderr),
    )
}

/// Whether a client of OpenSSL can shake hands with these arguments.
fn openssl(address: SocketAddr, arguments: &[&str]) -> bool {
    Command::new("openssl")
        .args([
            "s_client",
            "-connect",
            &address.to_string(),
            "-verify_return_error",
        ])
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .output()
        .expect("openssl; scripts/setup installs it")
        .status
        .success()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "{what}: never");
        thread::sleep(Duration::from_millis(20));
    }
}

both_drivers! {
    fn keys_live_and_end_within_tls(driver: Driver) {
        let site = Site::new(driver);
        let authority = Authority::new();
        let server = start(&site, command(&site, "HTTP", &authority.certified("server")));
        let client = tls::client(&authority, None);
        let mut connection = tls::connect(server.address, &client).unwrap();
        let key = connection.issue("key");
        assert_valid(&connection.verify(&key.secret), &key.key_id);
        assert_eq!(connection.revoke(&key.key_id).status, 204);
        assert_refused(&connection.verify(&key.secret), "REVOKED");

        let ca = authority.certificate();
        let url = |path: &str| format!("https://localhost:{}{path}", server.address.port());
        let body = json!({"name": "a key of curl", "actor_id": "x"}).to_string();
        let (ok, answer) = curl(&[
            "--cacert", text(&ca), "--json", &body, &url(ISSUE),
        ]);
        assert!(ok && answer.contains("secret"), "{answer}");
        // A stream of many chunks.
        let copy = site.directory().join("copy");
        let (ok, answer) = curl(&[
            "--cacert", text(&ca), "--fail", "--output", text(&copy), &url("/v2alpha1/admin/backup"),
        ]);
        assert!(ok, "{answer}");
        assert!(fs::metadata(&copy).unwrap().len() > 100);
        let (ok, answer) = curl(&[&url("/health/alive")]);
        assert!(!ok && answer.contains("certificate"), "{answer}");

        for version in ["-tls1_2", "-tls1_3"] {
            assert!(openssl(server.address, &[version, "-CAfile", text(&ca)]), "{version}");
        }
        let old = ["-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0", "-CAfile", text(&ca)];
        assert!(!openssl(server.address, &old));
        server.stop();
    }

    fn a_second_listener_has_tls_of_its_own(driver: Driver) {
        let site = Site::new(driver);
        let authority = Authority::new();
        let mut command = command(&site, "PUBLIC", &authority.certified("server"));
        command
            .env("TALOS_SERVE_PUBLIC_HOST", "127.0.0.1")
            .env("TALOS_SERVE_PUBLIC_PORT", "0");
        let server = start(&site, command);
        let lines = server.log_lines();
        let serving = lines.iter().find(|line| line["message"] == "serving").unwrap();
        assert_eq!((&serving["tls"], &serving["public_tls"]), (&json!(false), &json!(true)));
        let second = serving["public"].as_str().unwrap().parse().unwrap();
        let key = server.connect().issue("key");
        let mut verifier = tls::connect(second, &tls::client(&authority, None)).unwrap();
        assert_valid(&verifier.verify(&key.secret), &key.key_id);
        let body = json!({"name": "n", "actor_id": "a"});
        verifier.post(ISSUE, &body).assert_error(404, "NOT_FOUND", "NOT_FOUND");
        server.stop();
    }

    fn a_renewed_certificate_needs_no_restart(driver: Driver) {
        let site = Site::new(driver);
        let authority = Authority::new();
        let server = start(&site, command(&site, "HTTP", &authority.certified("server")));
        let client = tls::client(&authority, None);
        let mut old = tls::connect(server.address, &client).unwrap();
        let new = authority.issue(|_| {});
        // A key that does not fit is noticed, and changes nothing.
        fs::write(authority.path("server.key"), &new.key_pem).unwrap();
        let says = |what: &str| fs::read_to_string(&server.log).unwrap().contains(what);
        eventually("an error is logged", || says("does not belong to the first certificate"));
        tls::connect(server.address, &client).unwrap();
        fs::write(authority.path("server.pem"), &new.pem).unwrap();
        eventually("the new certificate is shown", || {
            let mut connection = tls::connect(server.address, &client).unwrap();
            connection.stream().conn.peer_certificates().unwrap()[0].to_vec() == new.der
        });
        eventually("the change is logged", || says("TLS files have changed and are in use now"));
        old.issue("over the old connection");
        server.stop();
    }
}

#[test]
fn clients_without_a_certificate_are_refused_where_one_is_required() {
    let site = Site::new(Driver::Epoll);
    let authority = Authority::new();
    let own = authority.certified_as("bot");
    let mut command = command(&site, "HTTP", &authority.certified("server"));
    command.env("TALOS_SERVE_HTTP_TLS_CLIENT_CA", authority.certificate());
    let server = start(&site, command);
    let url = format!("https://localhost:{}/health/alive", server.address.port());
    let ca = authority.certificate();
    let with_ca = ["--cacert", text(&ca), "--fail", &url];
    let own = ["--cert", text(&own.certificate), "--key", text(&own.key)];
    let (ok, answer) = curl(&[&with_ca[..], &own[..]].concat());
    assert!(ok, "{answer}");
    let (ok, answer) = curl(&with_ca);
    assert!(!ok, "{answer}");
    server.stop();
}

#[test]
fn metrics_and_health_are_served_within_tls() {
    let site = Site::new(Driver::Epoll);
    let authority = Authority::new();
    let server = start(
        &site,
        command(&site, "METRICS", &authority.certified("server")),
    );
    let lines = server.log_lines();
    let address = lines
        .iter()
        .find_map(|line| line["metrics"].as_str())
        .unwrap();
    let address: SocketAddr = address.parse().unwrap();
    let client = tls::client(&authority, None);
    let get = |path| {
        let mut connection = tls::connect(address, &client).unwrap();
        let answer = connection.call("GET", path, &[], b"");
        assert!(connection.is_closed(), "with close_notify");
        answer
    };
    assert_eq!(get("/health/ready").status, 200);
    let page = get("/metrics");
    assert!(page.text().contains("talos_tls_handshakes_total"));
    let expiry = "\ntalos_tls_certificate_expiry_seconds{listener=\"metrics\"} ";
    let (_, expiry) = page.text().split_once(expiry).expect("the expiry");
    // The certificates of rcgen end in the year 4096.
    assert_eq!(expiry.lines().next(), Some("67090118400"));
    // Neither a client without TLS nor a silent one keeps others out.
    let mut plain = talos_test_kit::http::Connection::open(address);
    plain.send(b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n");
    while plain.receive().is_ok() {}
    let silent: Vec<_> = (0..64)
        .map(|_| talos_test_kit::http::Connection::open(address))
        .collect();
    assert_eq!(get("/health/alive").status, 200);
    drop(silent);
    server.stop();
}

#[test]
fn files_that_cannot_be_used_stop_the_start() {
    let site = Site::new(Driver::Epoll);
    let authority = Authority::new();
    let (one, other) = (authority.certified("one"), authority.certified("other"));
    let refused = |listener: &str, certificate: &Path, key: &Path, wanted: &[&str]| {
        let files = Files {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        };
        let mut command = command(&site, listener, &files);
        command.env("TALOS_LOG_LEVEL", "error");
        run(command).assert_one_line_and_code_1(wanted);
    };
    let mismatch = ["talos: ", "serve.http.tls", "other.key", "does not belong"];
    refused("HTTP", &one.certificate, &other.key, &mismatch);
    let swapped = ["talos: ", "serve.metrics.tls", "one.pem", "no private key"];
    refused("METRICS", &one.key, &one.certificate, &swapped);
    let missing = ["talos: ", "serve.http.tls", "nowhere.pem", "No such file"];
    refused("HTTP", Path::new("nowhere.pem"), &one.key, &missing);
}

#[test]
fn doubtful_files_are_used_with_a_warning() {
    let site = Site::new(Driver::Epoll);
    let authority = Authority::new();
    let expired = authority.issue(|params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let files = authority.write("server", &expired);
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o644)).unwrap();
    let server = start(&site, command(&site, "HTTP", &files));
    let log = fs::read_to_string(&server.log).unwrap();
    assert!(log.contains("the certificate has expired"), "{log}");
    assert!(
        log.contains("every user of this machine may read the private key"),
        "{log}"
    );
    server.stop();
}
