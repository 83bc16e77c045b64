//! Configurations that were written for other servers, and variables that a platform sets.

use std::fs;

use serde_json::json;
use talos_test_kit::keys::{ISSUE, assert_valid};

use super::logs;
use crate::harness::Driver;
use crate::harness::cli::run;
use crate::harness::site::{Server, Site};

#[test]
fn variables_of_a_platform_are_warnings() {
    let site = Site::new(Driver::Epoll);
    let mut command = site.command();
    command
        .env("TALOS_PORT", "tcp://10.96.0.7:4420")
        .env("TALOS_SERVICE_HOST", "10.96.0.7")
        .env("TALOS_SERVE_HTTP_PROT", "1")
        .env("TALOS_SERVE_HTTP_SOCKET", "")
        .env("TALOS_DB_SHARDS", "");
    let server = Server::start(command, site.directory().join("warned.log"));
    for text in [
        "TALOS_PORT: no such setting",
        "TALOS_SERVICE_HOST: no such setting",
        "did you mean TALOS_SERVE_HTTP_PORT?",
    ] {
        assert!(logs(&server, text), "{text}");
    }
    server.stop();
}

#[test]
fn a_whole_configuration_of_another_server_starts() {
    let site = Site::new(Driver::Epoll);
    let base = fs::read_to_string(site.config()).unwrap();
    let base = base.replace("serve:\n", "serve:\n  shutdown: {delay: 0s}\n");
    let foreign = "x-defaults: &quota {api_keys_max: 0}\n\
         cache: {enabled: true, type: redis, ttl: 0s, memory: {num_counters: 10000}, \
         redis: {addrs: ['redis:6379'], tls: {enabled: true}}}\n\
         tracing: {enabled: false, endpoint: 'otel:4317', sample_rate: 0.1}\n\
         multitenancy: {enabled: false, networks: []}\n\
         quota: *quota\n";
    let path = site.directory().join("foreign.yaml");
    fs::write(&path, base + foreign).unwrap();
    let mut command = site.command();
    command.env("TALOS_LOG_LEVEL", "info");
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let mut command = std::process::Command::new(command.get_program());
    crate::harness::site::without_talos_variables(&mut command);
    let config = site.config();
    command.args(arguments.iter().map(|argument| {
        if argument == config.as_os_str() {
            path.as_os_str()
        } else {
            argument.as_os_str()
        }
    }));
    let server = Server::start(command, site.directory().join("foreign.log"));
    assert!(logs(&server, "Redis is not used"));
    // No keys at all.
    let body = json!({"name": "n", "actor_id": "a"});
    assert_eq!(server.connect().post(ISSUE, &body).status, 402);
    server.stop();
}

#[test]
fn a_retired_secret_ends_at_its_time() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let key = server.connect().issue("key");
    server.stop();
    let old = crate::harness::tokens::SECRET;
    let new = "another secret for tests, of more than 32 characters";
    let start = |expires_at: &str| {
        let mut command = site.command();
        let retired = json!([{"value": old, "expires_at": expires_at}]).to_string();
        command
            .env("TALOS_SECRETS_HMAC_CURRENT", new)
            .env("TALOS_SECRETS_HMAC_RETIRED", retired);
        Server::start(command, site.directory().join("retired.log"))
    };
    let server = start("2999-01-01T00:00:00Z");
    assert_valid(&server.connect().verify(&key.secret), &key.key_id);
    server.stop();
    let server = start("2020-01-01T00:00:00Z");
    let verdict = server.connect().verify(&key.secret);
    assert_eq!(verdict["is_valid"], json!(false), "{verdict}");
    server.stop();
}

#[test]
fn values_that_would_be_guessed_stop_the_start() {
    let site = Site::new(Driver::Epoll);
    for (name, value, words) in [
        (
            "TALOS_SECRETS_HMAC_CURRENT",
            "${HMAC_SECRET_OF_THIS_SERVER_FROM_VAULT}",
            "not expanded",
        ),
        (
            "TALOS_SECRETS_HMAC_CURRENT",
            "file:///run/secrets/hmac-secret-of-this",
            "_FILE",
        ),
        ("TALOS_SECRETS_HMAC_RETIRED", "[\"cut", "JSON array"),
    ] {
        let mut command = site.command();
        command.env(name, value);
        run(command).assert_one_line_and_code_1(&["talos: ", name, words]);
    }
}
