//! The Unix socket beside the TCP listener.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use talos_test_kit::http::Connection;
use talos_test_kit::keys::{ISSUE, Issued, VERIFY, assert_refused, assert_valid};

use crate::harness::Driver;
use crate::harness::cli::run;
use crate::harness::site::{Server, Site};

fn socket(site: &Site) -> PathBuf {
    site.directory().join("talos.sock")
}

fn start(site: &Site) -> Server {
    let mut command = site.command();
    command.env("TALOS_SERVE_HTTP_SOCKET", socket(site));
    Server::start(command, site.directory().join("socket.log"))
}

/// Sends one request on a connection of its own; the status and the body of its answer.
fn ask(path: &Path, method: &str, target: &str, body: &Value) -> (u16, Value) {
    let body = if method == "GET" {
        String::new()
    } else {
        body.to_string()
    };
    let mut connection = Connection::over(UnixStream::connect(path).unwrap());
    let answer = connection.call(method, target, &[("Connection", "close")], body.as_bytes());
    assert!(connection.is_closed());
    (answer.status, answer.json())
}

both_drivers! {
    fn both_listeners_serve_the_same_keys(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site);
        let path = socket(&site);
        let metadata = fs::metadata(&path).unwrap();
        assert!(metadata.file_type().is_socket());
        assert_eq!(metadata.permissions().mode() & 0o777, 0o660);

        let (status, made) = ask(&path, "POST", ISSUE, &json!({"name": "n", "actor_id": "a"}));
        assert_eq!(status, 201);
        let (secret, id) = (made["secret"].as_str().unwrap(), made["issued_api_key"]["key_id"].as_str().unwrap());
        assert_valid(&server.connect().verify(secret), id);
        // More connections than workers, so that each worker gets some.
        for _ in 0..16 {
            let (status, verdict) = ask(&path, "POST", VERIFY, &json!({"credential": secret}));
            assert_eq!(status, 200);
            assert_valid(&verdict, id);
        }
        server.stop();
        assert!(!path.exists(), "removed on a stop");
    }

    /// A client on a Unix socket has no address.
    fn a_restricted_key_is_refused(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site);
        let body = json!({
            "name": "n", "actor_id": "a", "ip_restriction": {"allowed_cidrs": ["0.0.0.0/0", "::/0"]},
        });
        let key = Issued::from(&server.connect().post(ISSUE, &body));
        assert_valid(&server.connect().verify(&key.secret), &key.key_id);
        let (_, verdict) = ask(&socket(&site), "POST", VERIFY, &json!({"credential": key.secret}));
        assert_refused(&verdict, "IP_NOT_ALLOWED");
        server.stop();
    }

    fn what_a_killed_server_left_is_replaced(driver: Driver) {
        let site = Site::new(driver);
        let path = socket(&site);
        start(&site).kill();
        assert!(path.exists());
        let server = start(&site);
        assert_eq!(ask(&path, "GET", "/health/alive", &json!({})).0, 200);
        server.stop();
        assert!(!path.exists());
    }

    /// A connection that waits for its next request does not hold up a stop.
    fn idle_connections_do_not_hold_up_a_stop(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site);
        let connect = |_| Connection::over(UnixStream::connect(socket(&site)).unwrap());
        let mut idle: Vec<_> = (0..4).map(connect).collect();
        for connection in &mut idle {
            assert_eq!(connection.call("GET", "/health/alive", &[], b"").status, 200);
        }
        server.stop();
    }
}

#[test]
fn a_path_that_is_taken_stops_the_start() {
    let site = Site::new(Driver::Epoll);
    let path = socket(&site);
    let start_at = |path: &Path| {
        let mut command = site.command();
        command
            .env("TALOS_SERVE_HTTP_SOCKET", path)
            .env("TALOS_LOG_LEVEL", "error");
        run(command)
    };
    fs::write(&path, "the only copy").unwrap();
    start_at(&path).assert_one_line_and_code_1(&["talos: ", "talos.sock", "a file lies there"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "the only copy");
    let missing = site.directory().join("nowhere/talos.sock");
    start_at(&missing).assert_one_line_and_code_1(&["talos: ", "nowhere/talos.sock"]);

    let other = Site::new(Driver::Epoll);
    let server = start(&other);
    start_at(&socket(&other)).assert_one_line_and_code_1(&["talos: ", "in use"]);
    assert_eq!(
        ask(&socket(&other), "GET", "/health/alive", &json!({})).0,
        200
    );
    server.stop();
}
