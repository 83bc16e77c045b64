//! The metrics listener: its page is valid for a strict parser, counts what happened, and names no
//! key and no client.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use talos_test_kit::http::{Answer, Connection, NoAnswer, request};
use talos_test_kit::keys::{VERIFY, assert_refused, assert_valid};

use crate::harness::cli::run;
use crate::harness::heads::{malformed_hosts, malformed_targets};
use crate::harness::site::{Server, Site, without_talos_variables};
use crate::harness::{Driver, TALOS};

/// A page, parsed strictly: its samples by name and labels.
#[derive(Debug)]
pub struct Page(BTreeMap<(String, Labels), f64>);

type Labels = BTreeMap<String, String>;

/// The address at which a server answers health checks and scrapes.
pub fn listener(server: &Server) -> SocketAddr {
    let lines = server.log_lines();
    let serving = lines.iter().find(|line| line["message"] == "serving");
    serving.unwrap()["metrics"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

/// Sends a request to the listener, which closes the connection after every answer.
pub fn get(address: SocketAddr, path: &str) -> Answer {
    let mut connection = Connection::open(address);
    let answer = connection.call("GET", path, &[], b"");
    assert!(answer.closes(), "{answer:?}");
    assert!(connection.is_closed());
    answer
}

#[track_caller]
fn assert_refusal(answer: &Answer, status: u16, reason: &str) {
    let error = &answer.json()["error"];
    assert_eq!((answer.status, &error["code"]), (status, &json!(status)));
    assert_eq!(error["details"][0]["reason"], reason, "{error}");
}

fn is_name(text: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.bytes().all(rest)
        && text
            .bytes()
            .next()
            .is_some_and(|byte| !byte.is_ascii_digit())
}

/// Reads `{name="value",…}` from the start of `text`; the labels, and what follows.
fn labels(text: &str) -> (Labels, &str) {
    let mut labels = Labels::new();
    let Some(mut rest) = text.strip_prefix('{') else {
        return (labels, text);
    };
    loop {
        let (name, quoted) = rest.split_once("=\"").unwrap_or_else(|| panic!("{text}"));
        assert!(is_name(name), "{text}");
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        let end = loop {
            match characters.next().unwrap_or_else(|| panic!("{text}")) {
                (index, '"') => break index,
                (_, '\\') => value.push(match characters.next().unwrap().1 {
                    'n' => '\n',
                    escaped @ ('\\' | '"') => escaped,
                    other => panic!("\\{other} in {text}"),
                }),
                (_, other) => value.push(other),
            }
        };
        assert!(labels.insert(name.to_owned(), value).is_none(), "{text}");
        rest = &quoted[end + 1..];
        if let Some(after) = rest.strip_prefix('}') {
            return (labels, after);
        }
        rest = rest.strip_prefix(',').unwrap_or_else(|| panic!("{text}"));
    }
}

impl Page {
    /// Requests a page. Returns its text, too.
    pub fn scrape(address: SocketAddr) -> (Self, String) {
        let answer = get(address, "/metrics");
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; version=0.0.4; charset=utf-8")
        );
        let text = String::from_utf8(answer.body).unwrap();
        (Self::parse(&text), text)
    }

    fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'));
        let mut samples = BTreeMap::new();
        let mut families = BTreeSet::new();
        let (mut name, mut kind) = ("", "");
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (family, help) = help.split_once(' ').unwrap();
                assert!(is_name(family) && !help.is_empty(), "{line}");
                assert!(families.insert(family.to_owned()), "twice: {line}");
                let types = lines.next().unwrap().strip_prefix("# TYPE ").unwrap();
                (name, kind) = types.split_once(' ').unwrap();
                assert_eq!(name, family);
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{types}");
                continue;
            }
            let end = line.find(['{', ' ']).unwrap();
            let suffix = line[..end]
                .strip_prefix(name)
                .unwrap_or_else(|| panic!("{line} below {name}"));
            let suffixes: &[&str] = if kind == "histogram" {
                &["_bucket", "_sum", "_count"]
            } else {
                &[""]
            };
            assert!(suffixes.contains(&suffix), "{line}");
            let (labels, value) = labels(&line[end..]);
            assert_eq!(labels.contains_key("le"), suffix == "_bucket", "{line}");
            let value: f64 = value.strip_prefix(' ').unwrap().parse().unwrap();
            // How far one clock is ahead of another may be negative.
            assert!(
                value >= 0.0 || kind == "gauge" && name.contains("_offset_"),
                "{line}"
            );
            let earlier = samples.insert((line[..end].to_owned(), labels), value);
            assert_eq!(earlier, None, "twice: {line}");
        }
        Self(samples)
    }

    /// The sum of the samples of `name` that have all of `labels`.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |sample: &Labels| {
            labels
                .iter()
                .all(|(label, value)| sample.get(*label).is_some_and(|other| other == value))
        };
        let matching = self
            .0
            .iter()
            .filter(|((other, sample), _)| other == name && has(sample));
        matching.map(|(_, value)| value).sum()
    }

    fn has(&self, name: &str) -> bool {
        self.0.keys().any(|(other, _)| other == name)
    }
}

/// By how much a sample must rise when certain requests are made.
type Rise<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);

both_drivers! {
    fn counters_rise_with_requests_and_name_no_key(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let address = listener(&server);
        let (before, _) = Page::scrape(address);

        let mut connection = server.connect();
        let keys = [connection.issue("first \"key\""), connection.issue("number two")];
        for key in &keys {
            assert_valid(&connection.verify(&key.secret), &key.key_id);
            assert_valid(&connection.verify(&key.secret), &key.key_id);
            connection.verify_with(&key.secret, &[("Cache-Control", "no-cache")]);
        }
        assert_eq!(connection.revoke(&keys[0].key_id).status, 204);
        assert_eq!(connection.revoke(&keys[0].key_id).status, 409);
        assert_refused(&connection.verify(&keys[0].secret), "REVOKED");
        assert_refused(&connection.verify("ory_ak_nonsense"), "NOT_FOUND");
        connection.get(&keys[1].key_id);
        assert_eq!(connection.call("POST", VERIFY, &[], b"{}").status, 400);
        let unknown = format!("/v2alpha1/admin/secret/{}", keys[1].secret);
        assert_eq!(connection.call("GET", &unknown, &[], b"").status, 404);
        assert_eq!(connection.call("PATCH", VERIFY, &[], b"").status, 405);
        let mut broken = server.connect();
        assert_eq!(broken.exchange(b"BREW\r\n\r\n").unwrap().status, 400);

        let (after, text) = Page::scrape(address);
        let id = "/v2alpha1/admin/issuedApiKeys/{key_id}";
        let revoke = "/v2alpha1/admin/apiKeys/{key_id}:revoke";
        let requests = "http_requests_total";
        let verified = "talos_keys_verified_total";
        let durations = "http_request_duration_seconds_count";
        let rises: &[Rise<'_>] = &[
            (requests, &[("endpoint", VERIFY), ("method", "POST"), ("code", "200")], 8.0),
            (requests, &[("endpoint", VERIFY), ("code", "400")], 1.0),
            (requests, &[("endpoint", "/v2alpha1/admin/issuedApiKeys"), ("code", "201")], 2.0),
            (requests, &[("endpoint", id), ("method", "GET"), ("code", "200")], 1.0),
            (requests, &[("endpoint", revoke), ("method", "POST"), ("code", "204")], 1.0),
            (requests, &[("endpoint", revoke), ("code", "409")], 1.0),
            (requests, &[("endpoint", "unknown"), ("code", "404")], 1.0),
            (requests, &[("endpoint", "unknown"), ("code", "405")], 1.0),
            (requests, &[("endpoint", "malformed"), ("code", "400")], 1.0),
            (requests, &[("endpoint", "control")], 0.0),
            (requests, &[], 17.0),
            (durations, &[("endpoint", revoke)], 2.0),
            (durations, &[], 5.0),
            ("talos_keys_created_total", &[], 2.0),
            ("talos_keys_revoked_total", &[("reason", "superseded")], 1.0),
            ("talos_keys_revoked_total", &[], 1.0),
            (verified, &[("result", "valid")], 6.0),
            (verified, &[("result", "revoked")], 1.0),
            (verified, &[("result", "not_found")], 1.0),
            (verified, &[], 8.0),
            ("talos_cache_skips_total", &[], 2.0),
            ("talos_connections_total", &[], 2.0),
            ("talos_panics_total", &[], 0.0),
            ("talos_writes_stopped", &[], 0.0),
            ("talos_secrets_missing", &[], 0.0),
            ("http_requests_in_flight", &[], 0.0),
        ];
        for (name, labels, rise) in rises {
            let risen = after.sum(name, labels) - before.sum(name, labels);
            assert!((risen - rise).abs() < 0.5, "{name} {labels:?}: {risen}, not {rise}\n{text}");
        }
        // Hits, misses and skips add up to all verifications; those answered from memory are the
        // hits.
        let cache = ["hits", "misses", "skips"].map(|kind| after.sum(&format!("talos_cache_{kind}_total"), &[]));
        assert_eq!(cache.iter().sum::<f64>().total_cmp(&after.sum(verified, &[])), std::cmp::Ordering::Equal);
        assert_eq!(cache[0].total_cmp(&after.sum(verified, &[("cached", "true")])), std::cmp::Ordering::Equal);
        assert!(cache[0] >= 2.0, "{text}");
        for name in [
            "talos_cache_bytes",
            "talos_disk_reads_total",
            "talos_connections_open",
            "talos_connections_displaced_total",
            "talos_connections_refused_total",
            "talos_connections_reserved_total",
            "talos_throttled_total",
            "talos_connections_memory_bytes",
            "talos_accept_errors_total",
            "talos_timeouts_total",
            "talos_tls_handshakes_total",
            "talos_control_overloads_total",
            "talos_log_lines_dropped_total",
            "talos_rate_limit_bytes",
            "talos_last_used_written_total",
            "talos_last_used_dropped_total",
            "talos_keys_rotated_total",
            "talos_keys_deleted_total",
            "talos_batch_import_keys_total",
            "talos_build_info",
            "talos_clock_behind",
            "talos_clock_jumps_total",
            "talos_clock_offset_milliseconds",
            "talos_verifications_observed_total",
            "process_start_time_seconds",
            "http_request_duration_seconds_bucket",
        ] {
            assert!(after.has(name), "{name}");
        }
        assert!(after.sum("talos_cache_bytes", &[]) > 0.0);
        assert!(after.sum("process_start_time_seconds", &[]) > 1.7e9);
        assert!(text.contains(&format!("driver=\"{}", driver.name())), "{text}");

        for key in &keys {
            for word in [&key.key_id, &key.secret, "first", "number", "secret/", "tester", "nonsense"] {
                assert!(!text.contains(word), "{word} in {text}");
            }
        }
        server.stop();
    }
}

#[test]
fn it_answers_health_and_nothing_else() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let address = listener(&server);
    for path in ["/health/alive", "/health/ready"] {
        let api = server.connect().call("GET", path, &[], b"");
        let answer = get(address, path);
        assert_eq!(
            (answer.status, answer.json()),
            (200, json!({"status": "ok"}))
        );
        assert_eq!(answer.body, api.body);
    }
    for path in [
        "/",
        "/metrics/",
        "/version",
        "/v2alpha1/admin/issuedApiKeys",
        VERIFY,
    ] {
        let answer = get(address, path);
        assert_refusal(&answer, 404, "NOT_FOUND");
    }
    for path in ["/metrics", "/health/ready"] {
        let answer = Connection::open(address).call("POST", path, &[], b"{}");
        assert_refusal(&answer, 405, "METHOD_NOT_ALLOWED");
        assert_eq!(answer.header("allow"), Some("GET, HEAD"));
    }
    let answer = server.connect().call("GET", "/metrics", &[], b"");
    assert_refusal(&answer, 404, "NOT_FOUND");
    let mut connection = Connection::open(address);
    connection.send(&request("HEAD", "/health/alive", &[], b""));
    assert!(
        matches!(connection.receive(), Err(NoAnswer::Broken(_))),
        "the length of a body and no body"
    );
    server.stop();
}

/// The port reads the host and the target of a request as the port of the API does.
#[test]
fn malformed_hosts_and_targets_are_refused() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    for address in [listener(&server), server.address] {
        for head in malformed_hosts("/health/alive") {
            let answer = Connection::open(address).exchange(head.as_bytes());
            let answer = answer.unwrap_or_else(|error| panic!("{error:?} {head}"));
            assert_eq!(answer.status, 400, "{head}");
            assert_refusal(&answer, 400, "BAD_REQUEST");
        }
        for head in malformed_targets("/health/alive") {
            let answer = Connection::open(address).exchange(head.as_bytes());
            assert_eq!(answer.unwrap().status, 400, "{head}");
        }
        for head in [
            "GET /health/alive HTTP/1.1\r\nHost: [::1]:4422\r\n\r\n",
            "GET http://localhost:4422/health/alive HTTP/1.1\r\nHost: h\r\n\r\n",
        ] {
            let answer = Connection::open(address).exchange(head.as_bytes());
            assert_eq!(answer.unwrap().status, 200, "{head}");
        }
        // A client of HTTP/1.0 needs no host.
        let mut connection = Connection::open(address);
        connection.send(b"GET /health/alive HTTP/1.0\r\n\r\n");
        let answer = String::from_utf8(connection.all()).unwrap();
        assert_eq!(answer.split(' ').nth(1), Some("200"), "{answer}");
    }
    server.stop();
}

/// A client may close its sending side after its request.
#[test]
fn a_half_closed_connection_is_answered() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    for path in ["/metrics", "/health/alive", "/health/ready"] {
        let mut connection = Connection::open(listener(&server));
        connection.send(&request("GET", path, &[], b""));
        connection.finish_sending();
        assert_eq!(connection.answer().status, 200, "{path}");
        assert!(connection.is_closed());
    }
    server.stop();
}

/// Connections that send nothing do not keep others out for long, and a stop does not wait for
/// them.
#[test]
fn silent_clients_keep_others_out_only_for_a_while() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let address = listener(&server);
    let mut silent: Vec<_> = (0..64).map(|_| Connection::open(address)).collect();
    silent[0].send(b"GET /metrics HTTP/1.1\r\nHost");
    assert_eq!(get(address, "/health/alive").status, 200);
    for connection in &mut silent {
        // A client that sends half a request gets 408 or no answer.
        while connection.receive().is_ok() {}
    }
    let _silent = Connection::open(address);
    server.stop();
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let site = Site::new(Driver::Epoll);
    let mut command = site.command();
    command
        .env("TALOS_SERVE_METRICS_PORT", &port)
        .env("TALOS_LOG_LEVEL", "error");
    run(command).assert_one_line_and_code_1(&["talos: ", "serve.metrics.port", &port, "in use"]);
    drop(taken);
    let mut command = site.command();
    command
        .env("TALOS_SERVE_METRICS_PORT", &port)
        .env("TALOS_SERVE_HTTP_PORT", &port)
        .env("TALOS_LOG_LEVEL", "error");
    run(command).assert_one_line_and_code_1(&[
        "talos: ",
        "serve.metrics.port",
        "serve.http.port",
        "in use",
    ]);
}

/// A second development server starts without a metrics listener, because its port is taken.
#[test]
fn a_development_server_starts_without_its_default_port() {
    // Takes the default port, unless another process has it: it is taken in both cases.
    let _taken = TcpListener::bind("127.0.0.1:4422");
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(TALOS);
    without_talos_variables(&mut command);
    let log = directory.path().join("log");
    let mut child = command
        .args(["serve", "--dev"])
        .env("TALOS_SERVE_HTTP_PORT", "0")
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let mut banner = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    banner.read_line(&mut first).unwrap();
    assert!(first.contains("listens on http://localhost:"), "{first}");
    let warning = fs::read_to_string(&log).unwrap();
    assert_eq!(warning.lines().count(), 1, "{warning}");
    for word in [
        "WARN",
        "no metrics",
        "127.0.0.1:4422",
        "TALOS_SERVE_METRICS_PORT",
    ] {
        assert!(warning.contains(word), "{word}: {warning}");
    }
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut command = Command::new(TALOS);
    without_talos_variables(&mut command);
    command
        .args(["serve", "--dev"])
        .env("TALOS_SERVE_HTTP_PORT", "0")
        .env("TALOS_SERVE_METRICS_PORT", &port)
        .current_dir(directory.path());
    run(command).assert_one_line_and_code_1(&["talos: ", "serve.metrics.port", &port, "in use"]);
}
