//! A start with other secrets than those that signed the keys in the database.

use std::process::Command;

use serde_json::json;
use talos_test_kit::keys::assert_valid;

use super::logs;
use crate::harness::Driver;
use crate::harness::cli::run;
use crate::harness::site::{Server, Site};
use crate::harness::tokens::SECRET;
use crate::metrics;

const NEW: &str = "another secret for tests, of more than 32 characters";
const THIRD: &str = "a third secret for tests, of more than 32 characters";
const FORGET: &str = "--forget-missing-secrets";

/// The command that starts a server here with this secret and these retired ones.
fn command(site: &Site, current: &str, retired: &[&str]) -> Command {
    let mut command = site.command();
    command
        .env("TALOS_SECRETS_HMAC_CURRENT", current)
        .env("TALOS_SECRETS_HMAC_RETIRED", json!(retired).to_string());
    command
}

fn start(site: &Site, command: Command) -> Server {
    let log = tempfile::NamedTempFile::new_in(site.directory()).unwrap();
    let (_, log) = log.keep().unwrap();
    Server::start(command, log)
}

/// The metric of missing secrets.
fn missing(server: &Server) -> String {
    let (page, _) = metrics::Page::scrape(metrics::listener(server));
    page.sum("talos_secrets_missing", &[]).to_string()
}

#[test]
fn a_wrong_secret_stops_the_start() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let key = server.connect().issue("key");
    server.connect().issue("other");
    server.stop();
    for retired in [&[][..], &[THIRD]] {
        run(command(&site, NEW, retired)).assert_one_line_and_code_1(&[
            "talos: data directory",
            "2 active keys were issued",
            "secrets.hmac.current",
            FORGET,
        ]);
    }
    // Nothing has changed: the right secret serves all keys.
    let server = site.start();
    assert_valid(&server.connect().verify(&key.secret), &key.key_id);
    server.stop();
}

#[test]
fn a_secret_that_was_retired_is_no_wrong_one() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let old = server.connect().issue("old");
    server.stop();
    let server = start(&site, command(&site, NEW, &[SECRET]));
    let new = server.connect().issue("new");
    for key in [&old, &new] {
        assert_valid(&server.connect().verify(&key.secret), &key.key_id);
    }
    assert!(!logs(&server, "a secret is missing"));
    assert_eq!(missing(&server), "0");
    server.stop();

    // One of two: the server starts, and says what is missing.
    let server = start(&site, command(&site, NEW, &[]));
    assert!(logs(&server, "a secret is missing"));
    assert!(logs(&server, "active key"));
    assert_eq!(missing(&server), "1");
    assert_valid(&server.connect().verify(&new.secret), &new.key_id);
    let verdict = server.connect().verify(&old.secret);
    assert_eq!(verdict["is_valid"], json!(false), "{verdict}");
    server.stop();
    // Neither of two.
    run(command(&site, THIRD, &[])).assert_one_line_and_code_1(&["talos: ", ", and the secret"]);
}

#[test]
fn missing_secrets_are_given_up_once() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let lost = server.connect().issue("lost");
    server.stop();
    let mut forgetting = command(&site, NEW, &[]);
    forgetting.arg(FORGET);
    let server = start(&site, forgetting);
    assert!(logs(&server, "a missing secret is forgotten"));
    let verdict = server.connect().verify(&lost.secret);
    assert_eq!(verdict["is_valid"], json!(false), "{verdict}");
    server.kill();
    // Without the flag, and although the new secret has signed nothing yet.
    let server = start(&site, command(&site, NEW, &[]));
    assert!(!logs(&server, "secret is"));
    assert_eq!(missing(&server), "0");
    let new = server.connect().issue("new");
    assert_valid(&server.connect().verify(&new.secret), &new.key_id);
    server.stop();
    run(command(&site, SECRET, &[])).assert_one_line_and_code_1(&["1 active key was issued"]);
}

/// A key that was acknowledged before a crash is not forgotten by the check.
#[test]
fn a_crash_after_the_first_key_loses_no_fingerprint() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    server.connect().issue("key");
    server.kill();
    run(command(&site, NEW, &[])).assert_one_line_and_code_1(&["1 active key was issued"]);
}

#[test]
fn a_database_that_needs_no_secret_takes_any() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let revoked = server.connect().issue("revoked");
    let imported = json!({"name": "n", "actor_id": "a", "raw_key": "raw-key-of-another-system"});
    let answer = server
        .connect()
        .post("/v2alpha1/admin/importedApiKeys", &imported);
    assert_eq!(answer.status, 201, "{answer:?}");
    server.connect().revoke(&revoked.key_id);
    server.stop();
    let server = start(&site, command(&site, NEW, &[]));
    let verdict = server.connect().verify("raw-key-of-another-system");
    assert_eq!(verdict["is_valid"], json!(true), "{verdict}");
    server.stop();
}
