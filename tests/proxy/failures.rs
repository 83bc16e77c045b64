//! Upstreams that are down, silent or broken, clients that send too much, and the shutdown of the
//! proxy.

use std::net::TcpListener;
use std::sync::{Mutex, mpsc};
use std::thread;

use talos_test_kit::http::{Connection, NoAnswer};

use super::scripted::{self, Scripted};
use super::{command, metric, verify, wait_until};
use crate::harness::cli::run;
use crate::harness::site::Server;

/// An address without a listener.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Starts a proxy that does not get ready, because its upstream does not.
fn start_unready(upstream: &str, arguments: &[&str]) -> (Server, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let command = command(upstream, arguments);
    let proxy = Server::start_unready(command, directory.path().join("proxy.log"));
    (proxy, directory)
}

#[test]
fn an_upstream_that_is_down_gets_503() {
    let (proxy, _directory) = start_unready(&nobody(), &[]);
    let mut connection = proxy.connect();
    assert_eq!(
        connection.call("GET", "/health/alive", &[], b"").json()["status"],
        "ok"
    );
    let ready = connection.call("GET", "/health/ready", &[], b"");
    ready.assert_error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
    for _ in 0..2 {
        for answer in [
            verify(proxy.address, "x", &[]),
            connection.call("GET", "/version", &[], b""),
        ] {
            answer.assert_error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
    }
    let failures = "talos_proxy_upstream_requests_total{status=\"error\"}";
    assert_eq!(metric(proxy.address, failures), 5);
    let answer = connection.call("POST", "/health/alive", &[], b"");
    assert_eq!(
        (answer.status, answer.header("allow")),
        (405, Some("GET, HEAD"))
    );
    proxy.stop();
}

#[test]
fn an_upstream_that_is_not_ready_makes_the_proxy_unready() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut unread = Vec::new();
            while scripted::read(&mut stream, &mut unread).is_some() {
                std::io::Write::write_all(&mut stream, &scripted::json(500, "{}")).unwrap();
            }
        }
    });
    let (proxy, _directory) = start_unready(&url, &[]);
    let answer = proxy.connect().call("GET", "/health/ready", &[], b"");
    answer.assert_error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
}

#[test]
fn an_upstream_that_does_not_answer_gets_504() {
    let (_hold, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let upstream = Scripted::start(move |_| {
        let _ = held.lock().unwrap().recv();
        Vec::new()
    });
    let (proxy, _directory) = upstream.proxy(&["--upstream-timeout", "100ms"]);
    verify(proxy.address, "x", &[]).assert_error(504, "DEADLINE_EXCEEDED", "GATEWAY_TIMEOUT");
    let answer = proxy.connect().call("GET", "/version", &[], b"");
    answer.assert_error(504, "DEADLINE_EXCEEDED", "GATEWAY_TIMEOUT");
}

#[test]
fn an_upstream_that_breaks_off_gets_502() {
    for bytes in [
        &b""[..],
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ] {
        let upstream = Scripted::start(move |_| bytes.to_vec());
        let (proxy, _directory) = upstream.proxy(&[]);
        verify(proxy.address, "x", &[]).assert_error(502, "UNAVAILABLE", "BAD_GATEWAY");
        let answer = proxy.connect().call("DELETE", "/x", &[], b"");
        answer.assert_error(502, "UNAVAILABLE", "BAD_GATEWAY");
    }
    // The proxy neither forwards nor keeps an answer that ends within its body.
    let upstream = Scripted::start(|_| {
        let mut whole = scripted::json(200, r#"{"is_valid":true,"key_id":"k"}"#);
        whole.truncate(whole.len() - 1);
        whole
    });
    let (proxy, _directory) = upstream.proxy(&["--upstream-timeout", "200ms"]);
    for _ in 0..2 {
        let answer = verify(proxy.address, "x", &[]);
        answer.assert_error(504, "DEADLINE_EXCEEDED", "GATEWAY_TIMEOUT");
    }
}

#[test]
fn a_head_is_bounded() {
    let upstream = Scripted::start(|_| scripted::json(200, "{}"));
    let (proxy, _directory) = upstream.proxy(&[]);
    let long = format!(
        "GET / HTTP/1.1\r\nHost: h\r\nX-Long: {}\r\n\r\n",
        "x".repeat(17 << 10)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nHost: h\r\n{}\r\n",
        "X-A: b\r\n".repeat(65)
    );
    for request in [long, many] {
        let mut connection = proxy.connect();
        // The proxy may close the connection before all bytes are sent.
        let _ = connection.try_send(request.as_bytes());
        match connection.receive() {
            Ok(answer) => assert_eq!(answer.status, 431),
            // The client may see a reset before it has read the answer.
            Err(NoAnswer::Broken(_)) => {}
            Err(NoAnswer::Closed) => panic!("no answer"),
        }
    }
    assert!(upstream.received().is_empty());
}

/// A request that has begun is answered; idle connections are closed.
#[test]
fn a_stop_waits_for_requests_that_have_begun() {
    let (let_go, held) = mpsc::channel();
    let held = Mutex::new(held);
    let upstream = Scripted::start(move |_| {
        held.lock().unwrap().recv().unwrap();
        scripted::json(200, "{}")
    });
    let (mut proxy, _directory) = upstream.proxy(&[]);
    let mut idle = proxy.connect();
    assert_eq!(idle.call("GET", "/health/alive", &[], b"").status, 200);
    let mut unused = proxy.connect();
    let mut busy = proxy.connect();
    busy.send(b"GET /version HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_until("the request is with the upstream", || {
        upstream.received().len() == 1
    });
    proxy.terminate();
    assert!(idle.is_closed());
    assert!(unused.is_closed());
    wait_until("no further connection", || {
        Connection::try_open(proxy.address).is_err()
    });
    let_go.send(()).unwrap();
    let answer = busy.answer();
    assert_eq!(answer.status, 200);
    assert!(busy.is_closed());
    assert!(proxy.wait().success());
    let lines = proxy.log_lines();
    assert_eq!(lines.last().unwrap()["message"], "stopped");
}

#[test]
fn a_failed_start_reports_its_reason() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut taken_port = command("http://h", &[]);
    taken_port.args(["--listen", &address]);
    // An option given twice is an error; `command` gives the port already.
    assert_eq!(run(taken_port).code, Some(2));
    let mut command = std::process::Command::new(crate::harness::TALOS);
    command.args(["proxy", "--upstream", "http://h", "--listen", &address]);
    run(command).assert_one_line_and_code_1(&["cannot listen on", &address]);
    for (file, words) in [
        ("/nowhere.pem", "/nowhere.pem"),
        ("/dev/null", "no certificate"),
    ] {
        let command = super::command("https://h", &["--upstream-ca", file]);
        run(command).assert_one_line_and_code_1(&[words]);
    }
    let mut missing = std::process::Command::new(crate::harness::TALOS);
    missing.arg("proxy");
    assert_eq!(run(missing).code, Some(2));
}
