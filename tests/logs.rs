//! A log that nobody reads: the server may drop lines, and must not slow down or fail.

use std::io::{BufRead, Write};

use serde_json::Value;
use talos_test_kit::http::request;
use talos_test_kit::keys::assert_valid;

use crate::harness::Driver;
use crate::harness::site::{Server, Site};

/// Each request logs some 200 bytes at debug level. All of them together fill the pipe and the
/// queue before it.
const REQUESTS: usize = 20_000;

both_drivers! {
    fn a_log_that_nobody_reads_stalls_nothing(driver: Driver) {
        let site = Site::new(driver);
        let mut command = site.command();
        command.env("TALOS_LOG_LEVEL", "debug");
        let (server, mut log) = Server::start_with_unread_log(command);
        let key = server.connect().issue("key");
        let mut connection = server.connect();
        let mut sender = connection.sender();
        let get = request("GET", &format!("/v2alpha1/admin/issuedApiKeys/{}", key.key_id), &[], b"");
        let nowhere = request("GET", "/nowhere", &[], b"");
        let pair = [get, nowhere].concat();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..REQUESTS / 2 {
                    sender.write_all(&pair).unwrap();
                }
            });
            for _ in 0..REQUESTS / 2 {
                assert_eq!(connection.answer().status, 200);
                assert_eq!(connection.answer().status, 404);
            }
        });
        // New connections work as well, whichever core accepts them.
        for _ in 0..8 {
            assert_valid(&server.connect().verify(&key.secret), &key.key_id);
        }
        // When the log is read, every line is complete, and one reports how many lines were
        // dropped.
        let reader = std::thread::spawn(move || {
            let mut lines = Vec::new();
            let mut line = String::new();
            while log.read_line(&mut line).unwrap() > 0 {
                lines.push(serde_json::from_str::<Value>(&line).unwrap_or_else(|error| panic!("{error}: {line}")));
                line.clear();
            }
            lines
        });
        server.stop();
        let lines = reader.join().unwrap();
        let told = lines.iter().rfind(|line| !line["total"].is_null()).expect("a line that tells of the dropped");
        let dropped = usize::try_from(told["total"].as_u64().unwrap()).unwrap();
        let requests = lines.iter().filter(|line| line["duration_us"].is_u64()).count();
        assert!(dropped > 0 && requests > 0 && requests + dropped >= REQUESTS, "{requests} and {dropped}");
        assert_eq!(lines.last().unwrap()["message"], "stopped");
    }

    /// At its exit the server waits for the log to be read, but not forever.
    fn a_log_that_nobody_reads_does_not_keep_the_server_from_stopping(driver: Driver) {
        let site = Site::new(driver);
        let mut command = site.command();
        command.env("TALOS_LOG_LEVEL", "debug");
        let (server, log) = Server::start_with_unread_log(command);
        let mut connection = server.connect();
        for _ in 0..2000 {
            connection.call("GET", "/nowhere", &[], b"");
        }
        server.stop();
        drop(log);
    }
}

#[test]
fn health_requests_can_be_left_out() {
    for (exclude, wanted) in [("false", true), ("true", false)] {
        let site = Site::new(Driver::Epoll);
        let mut command = site.command();
        command.env("TALOS_LOG_LEVEL", "debug").env(
            "TALOS_SERVE_HTTP_REQUEST_LOG_EXCLUDE_HEALTH_ENDPOINTS",
            exclude,
        );
        let (server, log) = Server::start_with_unread_log(command);
        let mut connection = server.connect();
        for (path, id) in [("/health/alive", "probe"), ("/nowhere", "stray")] {
            connection.call("GET", path, &[("X-Request-Id", id)], b"");
        }
        server.stop();
        let logged: Vec<Value> = log
            .lines()
            .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
            .collect();
        let has = |id: &str| logged.iter().any(|line| line["request_id"] == id);
        assert!(has("stray"), "{logged:?}");
        assert_eq!(has("probe"), wanted, "{logged:?}");
    }
}

/// A stranger who tries credentials cannot fill the log.
#[test]
fn some_failed_verifications_a_minute_have_a_line() {
    let site = Site::new(Driver::Epoll);
    let (server, log) = Server::start_with_unread_log(site.command());
    let mut connection = server.connect();
    let key = connection.issue("key");
    connection.revoke(&key.key_id);
    let credentials = [
        key.secret.as_str(),
        "eyJh.e30.c2ln",
        "mc_v1_AgEB",
        "of-another-system",
    ];
    for credential in credentials.iter().cycle().take(40) {
        assert_eq!(connection.verify(credential)["is_valid"], false);
    }
    server.stop();
    let lines: Vec<String> = log.lines().map(Result::unwrap).collect();
    let whole = lines.join("\n");
    let failures: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["event"] == "APIKeyVerificationFailed")
        .collect();
    // The minute may have changed while the test ran.
    assert!([10, 20].contains(&failures.len()), "{whole}");
    let told: Vec<_> = failures[..4]
        .iter()
        .map(|line| {
            (
                line["credential_type"].as_str(),
                line["error_code"].as_str(),
            )
        })
        .collect();
    let told: Vec<_> = told
        .into_iter()
        .map(|(kind, code)| {
            (
                kind.unwrap(),
                code.unwrap().trim_start_matches("VERIFICATION_ERROR_"),
            )
        })
        .collect();
    assert_eq!(
        told[..1].iter().chain(&told[3..]).collect::<Vec<_>>(),
        [&("issued", "REVOKED"), &("other", "NOT_FOUND")]
    );
    assert_eq!((told[1].0, told[2].0), ("jwt", "macaroon"));
    for credential in credentials {
        assert!(!whole.contains(credential), "{whole}");
    }
}
