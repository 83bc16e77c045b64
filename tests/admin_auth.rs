//! Servers that need to know who asks: how the configuration lets administrators in.

use std::fs;
use std::os::unix::net::UnixStream;
use std::process::Command;

use rustix::process::geteuid;
use serde_json::json;
use talos_test_kit::http::Connection;
use talos_test_kit::keys::{ISSUE, VERIFY};

use crate::harness::Driver;
use crate::harness::cli::run;
use crate::harness::site::{Server, Site};

const TOKEN: &str = "the-bootstrap-token-of-this-site-0123456789";
const NEW: &[u8] = br#"{"name":"n","actor_id":"a"}"#;

fn command(site: &Site, settings: &[(&str, &str)]) -> Command {
    let mut command = site.command();
    command.env("TALOS_SERVE_ADMIN_AUTH_ENABLED", "true");
    for (name, value) in settings {
        command.env(format!("TALOS_SERVE_{name}"), value);
    }
    command
}

fn start(site: &Site, settings: &[(&str, &str)]) -> Server {
    Server::start(command(site, settings), site.directory().join("auth.log"))
}

/// The warnings of the start about this key.
fn warnings(server: &Server, key: &str) -> Vec<String> {
    let lines = server.log_lines().into_iter();
    lines
        .filter(|line| line["level"] == "WARN" && line["key"] == key)
        .map(|line| line["message"].as_str().unwrap().to_owned())
        .collect()
}

both_drivers! {
    fn the_bootstrap_token_opens_every_route(driver: Driver) {
        let site = Site::new(driver);
        let file = site.directory().join("token");
        fs::write(&file, format!("{TOKEN}\n")).unwrap();
        let path = file.display().to_string();
        let server = start(&site, &[("ADMIN_AUTH_BOOTSTRAP_TOKEN_FILE", &path)]);
        assert!(warnings(&server, "serve.admin.auth.enabled").is_empty());
        let mut connection = server.connect();
        let anonymous = connection.call("POST", ISSUE, &[], NEW);
        anonymous.assert_error(401, "UNAUTHENTICATED", "UNAUTHORIZED");
        assert_eq!(anonymous.header("WWW-Authenticate"), Some("Bearer realm=\"talos\""));
        let bearer = format!("Bearer {TOKEN}");
        let token = [("Authorization", bearer.as_str())];
        let issued = connection.call("POST", ISSUE, &token, NEW);
        assert_eq!(issued.status, 201);
        let body = json!({"credential": issued.json()["secret"]}).to_string();
        let verdict = connection.call("POST", VERIFY, &token, body.as_bytes());
        assert_eq!(verdict.json()["is_valid"], true);
        assert_eq!(connection.call("POST", VERIFY, &[], body.as_bytes()).status, 401);
        // Its holder revokes a key without a token.
        let revoked = connection.call("POST", "/v2alpha1/apiKeys:selfRevoke", &[], body.as_bytes());
        assert_eq!(revoked.status, 204);
        let log = fs::read_to_string(&server.log).unwrap();
        assert!(!log.contains(TOKEN));
        server.stop();
    }

    fn a_user_of_the_host_needs_no_token(driver: Driver) {
        let site = Site::new(driver);
        let socket = site.directory().join("talos.sock");
        let path = socket.display().to_string();
        let peers = json!([{"uid": geteuid().as_raw(), "role": "write"}]).to_string();
        let server = start(&site, &[("HTTP_SOCKET", &path), ("ADMIN_AUTH_PEERS", &peers)]);
        // More connections than workers, so that each worker gets some.
        for _ in 0..8 {
            let mut connection = Connection::over(UnixStream::connect(&socket).unwrap());
            assert_eq!(connection.call("POST", ISSUE, &[], NEW).status, 201);
            let backup = connection.call("GET", "/v2alpha1/admin/backup", &[], b"");
            backup.assert_error(403, "PERMISSION_DENIED", "FORBIDDEN");
            let wrong = [("Authorization", "Bearer wrong")];
            assert_eq!(connection.call("POST", ISSUE, &wrong, NEW).status, 401);
        }
        assert_eq!(server.connect().call("POST", ISSUE, &[], NEW).status, 401);
        server.stop();
    }

    fn a_server_that_lets_nobody_in_says_so(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site, &[]);
        let warnings = warnings(&server, "serve.admin.auth.enabled");
        assert!(matches!(&warnings[..], [one] if one.contains("nobody can get in")), "{warnings:?}");
        server.stop();
    }
}

#[test]
fn bad_rules_stop_the_start() {
    let site = Site::new(Driver::Epoll);
    for (name, value, says) in [
        ("BOOTSTRAP_TOKEN", "too-short", "only 9 characters"),
        ("BOOTSTRAP_TOKEN", &"ab".repeat(32), "can be guessed"),
        (
            "PEERS",
            "[{uid: 0, role: root}]",
            "must be one of verify, read, write, operate, admin",
        ),
        ("PEERS", "[{uid: 0}]", "role is missing"),
        ("PEERS", "root", "JSON array of objects"),
        (
            "CERTIFICATES",
            "[{name: a, role: read, dns_: a}]",
            "did you mean dns?",
        ),
        ("ENABLED", "yes", "neither true nor false"),
    ] {
        let name = format!("ADMIN_AUTH_{name}");
        let ran = run(command(&site, &[(&name, value)]));
        assert_ne!(ran.code, Some(0), "{name} {value}");
        assert!(ran.stderr.contains(says), "{name} {value}: {}", ran.stderr);
    }
}
