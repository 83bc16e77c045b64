//! Reasons to refuse a start: each is reported in one line on standard error, with exit code 1.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use crate::harness::cli::{Ran, run};
use crate::harness::site::{Site, without_talos_variables};
use crate::harness::{Driver, TALOS};

const DRIVER: Driver = Driver::Epoll;

/// Runs a command that must refuse to start a server.
fn start(site: &Site) -> Ran {
    run(site.command())
}

/// Starts a server with this configuration file.
fn start_with(site: &Site, yaml: &str) -> Ran {
    let path = site.directory().join("other.yaml");
    fs::write(&path, yaml).unwrap();
    let mut command = Command::new(TALOS);
    without_talos_variables(&mut command);
    command
        .arg("--config")
        .arg(path)
        .arg("serve")
        .current_dir(site.directory());
    run(command)
}

#[test]
fn a_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let site = Site::new(DRIVER);
    let mut command = site.command();
    command
        .env("TALOS_SERVE_HTTP_PORT", &port)
        .env("TALOS_LOG_LEVEL", "error");
    run(command).assert_one_line_and_code_1(&["talos: ", &port, "in use"]);
}

#[test]
fn a_port_of_another_server() {
    let mut site = Site::new(DRIVER);
    let server = site.start();
    let other = Site::new(DRIVER);
    let mut command = other.command();
    let port = server.address.port().to_string();
    command
        .env("TALOS_SERVE_HTTP_PORT", &port)
        .env("TALOS_LOG_LEVEL", "error");
    run(command).assert_one_line_and_code_1(&["talos: ", &port, "in use"]);
    server.stop();
}

#[test]
fn a_data_directory_in_use() {
    let mut site = Site::new(DRIVER);
    let server = site.start();
    let mut command = site.command();
    command.env("TALOS_LOG_LEVEL", "error");
    run(command).assert_one_line_and_code_1(&[
        "talos: ",
        &site.data().display().to_string(),
        "in use",
    ]);
    server.connect().issue("the first one goes on");
    server.stop();
}

#[test]
fn a_data_directory_that_cannot_be_made() {
    let site = Site::new(DRIVER);
    let file = site.directory().join("a-file");
    fs::write(&file, "").unwrap();
    let site = site.with_data_in(&file.join("data"));
    start(&site).assert_one_line_and_code_1(&["talos: ", "a-file/data"]);
    let site = site.with_data_in(&file);
    start(&site).assert_one_line_and_code_1(&["talos: ", "a-file"]);
    let site = site.with_data_in(std::path::Path::new("/proc/data"));
    start(&site).assert_one_line_and_code_1(&["talos: ", "/proc/data"]);
}

#[test]
fn a_foreign_data_directory() {
    let site = Site::new(DRIVER);
    fs::create_dir(site.data()).unwrap();
    let theirs = site.data().join("thesis.txt");
    fs::write(&theirs, "the only copy").unwrap();
    start(&site).assert_one_line_and_code_1(&[
        "talos: ",
        &site.data().display().to_string(),
        "choose another",
    ]);
    assert_eq!(fs::read_to_string(&theirs).unwrap(), "the only copy");
    assert_eq!(
        fs::read_dir(site.data()).unwrap().count(),
        1,
        "nothing was added"
    );
}

#[test]
fn a_database_of_a_newer_format() {
    let mut site = Site::new(DRIVER);
    site.start().stop();
    fs::write(site.data().join("FORMAT"), "talos-database 99\n").unwrap();
    start(&site).assert_one_line_and_code_1(&["talos: ", "format 99", "newer release"]);
}

#[test]
fn a_database_with_another_number_of_shards() {
    let mut site = Site::new(DRIVER);
    site.start().stop();
    let mut command = site.command();
    command
        .env("TALOS_DB_SHARDS", "4")
        .env("TALOS_LOG_LEVEL", "error");
    run(command).assert_one_line_and_code_1(&["talos: ", "2 shards", "4"]);
}

#[test]
fn a_database_whose_end_is_gone() {
    let mut site = Site::new(DRIVER);
    let server = site.start();
    let mut connection = server.connect();
    for number in 0..20 {
        connection.issue(&format!("key {number}"));
    }
    server.kill();
    let database = site.data().join("db");
    let logs = fs::read_dir(&database)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut logs: Vec<_> = logs
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    logs.sort();
    let log = fs::OpenOptions::new()
        .write(true)
        .open(logs.last().unwrap())
        .unwrap();
    let length = log.metadata().unwrap().len();
    log.set_len(length / 2).unwrap();
    let refused = start(&site);
    assert_eq!(
        refused.code,
        Some(1),
        "it opened without its end: {refused:?}"
    );
    let last = refused.stderr.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("talos: ") && last.contains(&site.data().display().to_string()),
        "{refused:?}"
    );
}

#[test]
fn bad_yaml() {
    let site = Site::new(DRIVER);
    for yaml in [
        "serve: [",
        "serve: {http: {port: 1}",
        "log:\n\tlevel: info",
        "- a list",
        "just words",
    ] {
        start_with(&site, yaml).assert_one_line_and_code_1(&["talos: ", "other.yaml"]);
    }
}

#[test]
fn a_missing_file() {
    let site = Site::new(DRIVER);
    let mut command = Command::new(TALOS);
    command
        .args(["--config", "nowhere.yaml", "serve"])
        .current_dir(site.directory());
    without_talos_variables(&mut command);
    run(command).assert_one_line_and_code_1(&["talos: ", "nowhere.yaml"]);
}

#[test]
fn keys_and_values_that_do_not_exist() {
    let site = Site::new(DRIVER);
    let secret = "0123456789abcdef0123456789abcdef";
    let base = format!("credentials: {{issuer: i}}\nsecrets: {{hmac: {{current: '{secret}'}}}}\n");
    for (yaml, words) in [
        (
            "serve: {http: {prot: 1}}",
            ["serve.http.prot", "serve.http.port"],
        ),
        ("serve: {http: {port: 70000}}", ["serve.http.port", "65535"]),
        ("serve: {http: {port: many}}", ["serve.http.port", "65535"]),
        (
            "db: {dsn: 'postgres://localhost/x'}",
            ["db.dsn", "rocksdb://"],
        ),
        ("db: {shards: 3}", ["db.shards", "power of two"]),
        ("serve: {driver: kqueue}", ["serve.driver", "epoll"]),
        ("cache: {ttl: soon}", ["cache.ttl", "5m"]),
        (
            "rate_limit: {backend: redis}",
            ["rate_limit.backend", "allowed: one of memory"],
        ),
        (
            "serve: {http: {client_ip_source: X_REAL_IP}}",
            ["client_ip_source", "CLIENT_IP_SOURCE_X_REAL_IP"],
        ),
        (
            "last_used: {flush_interval: 0s}",
            ["last_used.flush_interval", "1s"],
        ),
    ] {
        let refused = start_with(&site, &format!("{base}{yaml}\n"));
        eprintln!("{}", refused.stderr);
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains(words[0]), "{yaml}");
        if words[1] != "5m" {
            assert!(refused.stderr.contains(words[1]), "{yaml}");
        }
        assert!(!refused.stderr.contains(secret), "a secret in a message");
        assert_eq!(refused.stderr.lines().count(), 1, "one line");
    }
    let mut command = site.command();
    command.env("TALOS_SERVE_HTTP_CORS_ALLOWED_HEADERS_1", "a");
    run(command).assert_one_line_and_code_1(&["TALOS_SERVE_HTTP_CORS_ALLOWED_HEADERS_1", "_0"]);
}

#[test]
fn a_missing_or_short_secret() {
    let site = Site::new(DRIVER);
    let words = [
        "talos: ",
        "secrets.hmac.current",
        "openssl rand -hex 32",
        "talos serve --dev",
    ];
    start_with(&site, "credentials: {issuer: i}\n").assert_one_line_and_code_1(&words);
    let short = "0123456789abcdef";
    let refused = start_with(
        &site,
        &format!("credentials: {{issuer: i}}\nsecrets: {{hmac: {{current: '{short}'}}}}\n"),
    );
    refused.assert_one_line_and_code_1(&["talos: ", "secrets.hmac.current", "32"]);
    assert!(!refused.stderr.contains(short), "a secret in a message");
    assert_eq!(
        fs::read_dir(site.directory()).unwrap().count(),
        1,
        "only the configuration lies there"
    );
}

#[test]
fn misuse_is_exit_code_2() {
    for arguments in [["serve", "--fast"].as_slice(), &["fly"], &[], &["keys"]] {
        let mut command = Command::new(TALOS);
        without_talos_variables(&mut command);
        command.args(arguments);
        assert_eq!(run(command).code, Some(2), "{arguments:?}");
    }
}
