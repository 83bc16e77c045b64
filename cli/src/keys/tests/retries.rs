//! Requests that are sent again. The server of these tests answers each connection with the next
//! prepared answer.

use std::net::TcpStream;
use std::time::Duration;

use super::*;

/// An answer; `None` closes the connection instead.
type Prepared = Option<&'static str>;

const UNAVAILABLE: Prepared = Some("HTTP/1.1 503 X\r\nRetry-After: 0\r\n\r\nE503");
const LATER: Prepared = Some("HTTP/1.1 503 X\r\nRetry-After: 3600\r\n\r\nE503");
const LIMITED: Prepared = Some("HTTP/1.1 429 X\r\nRetry-After: 0\r\n\r\nE429");
const MISSING: Prepared = Some("HTTP/1.1 404 X\r\n\r\nE404");
const DONE: Prepared = Some("HTTP/1.1 200 X\r\n\r\n{\"is_valid\":true,\"key_id\":\"k\"}");
const CLOSED: Prepared = None;

/// Answers one connection after the other. Returns the first line of every request.
fn serve(answers: Vec<Prepared>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let server = thread::spawn(move || {
        listener.set_nonblocking(true).expect("set");
        let mut requests = Vec::new();
        for answer in answers {
            // A command that makes no further attempt ends the test instead.
            let Some(stream) = accept(&listener) else {
                break;
            };
            requests.push(answer_one(stream, answer));
        }
        assert!(accept(&listener).is_none(), "one attempt too many");
        requests
    });
    (endpoint, server)
}

fn accept(listener: &TcpListener) -> Option<TcpStream> {
    for _ in 0..150 {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false).expect("set");
            return Some(stream);
        }
        thread::sleep(Duration::from_millis(10));
    }
    None
}

fn answer_one(mut stream: TcpStream, answer: Prepared) -> String {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let (mut first, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(text) = line.strip_prefix("content-length: ") {
            length = text.parse().expect("a number");
        }
        if first.is_empty() {
            first = line;
        }
    }
    reader.read_exact(&mut vec![0; length]).expect("the body");
    if let Some(answer) = answer {
        let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
        let body = match body.strip_prefix('E') {
            Some(code) => format!(
                r#"{{"error":{{"code":{code},"message":"no","details":[{{"reason":"R"}}]}}}}"#
            ),
            None => body.to_owned(),
        };
        let length = body.len();
        let text = format!("{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        stream.write_all(text.as_bytes()).expect("answered");
    }
    first
}

/// The result, and how many requests were sent.
fn repeated(line: &[&str], answers: &[Prepared]) -> (Result<ExitCode, CliError>, usize) {
    let (endpoint, server) = serve(answers.to_vec());
    let (result, ..) = run_at(&endpoint, line, "");
    (result, server.join().expect("the requests").len())
}

const GET: [&str; 3] = ["issued", "get", "k"];
const REVOKE: [&str; 2] = ["revoke", "k"];
const VERIFY: [&str; 2] = ["verify", "c"];

#[test]
fn what_is_safe_is_sent_again() {
    for (line, answers) in [
        (&GET[..], vec![UNAVAILABLE, DONE]),
        (&GET, vec![CLOSED, LIMITED, DONE]),
        (&REVOKE, vec![CLOSED, DONE]),
        (&VERIFY, vec![UNAVAILABLE, UNAVAILABLE, DONE]),
        (
            &["issued", "update", "k", "--name", "n"],
            vec![LIMITED, DONE],
        ),
        (&["imported", "delete", "k"], vec![UNAVAILABLE, DONE]),
        (
            &["issue", "n", "--actor", "a", "--request-id", "r"],
            vec![CLOSED, UNAVAILABLE, DONE],
        ),
        (
            &[
                "imported",
                "import",
                "n",
                "--actor",
                "a",
                "--raw-key",
                "k",
                "--request-id",
                "r",
            ],
            vec![UNAVAILABLE, DONE],
        ),
    ] {
        let (result, requests) = repeated(line, &answers);
        assert_eq!(code(&result), code(&Ok(ExitCode::SUCCESS)), "{line:?}");
        assert_eq!(requests, answers.len(), "{line:?}");
    }
}

#[test]
fn what_would_happen_twice_is_sent_once() {
    for line in [
        &["issue", "n", "--actor", "a"][..],
        &["issue", "n", "--actor", "a", "--request-id", ""],
        &["issued", "rotate", "k"],
        &["derive-token", "c"],
        &["imported", "import", "n", "--actor", "a", "--raw-key", "k"],
        &["revoke-where", "--actor", "a", "--yes"],
    ] {
        for answer in [UNAVAILABLE, CLOSED] {
            let (result, requests) = repeated(line, &[answer, DONE]);
            assert_eq!((result.is_err(), requests), (true, 1), "{line:?}");
        }
    }
}

#[test]
fn attempts_are_bounded() {
    let none = [&GET[..], &["--retries", "0"]].concat();
    let one = [&GET[..], &["--retries", "1"]].concat();
    for (line, answers, wanted) in [
        (&GET[..], vec![UNAVAILABLE; 4], 3),
        (&one, vec![UNAVAILABLE; 4], 2),
        (&none, vec![UNAVAILABLE; 4], 1),
        // The wait that the server asks for is longer than that of the command.
        (&GET, vec![LATER; 2], 1),
        // A limit is the answer to a verification.
        (&VERIFY, vec![LIMITED; 2], 1),
        (&GET, vec![MISSING; 2], 1),
    ] {
        let (result, requests) = repeated(line, &answers);
        assert_eq!((result.is_err(), requests), (true, wanted), "{line:?}");
    }
    let (result, _) = repeated(&GET, &[LATER]);
    let report = result.expect_err("unavailable").report();
    assert!(report.contains("try again after 3600 s"), "{report}");
    let (result, _) = repeated(&["imported", "delete", "k"], &[CLOSED, MISSING]);
    let report = result.expect_err("not found").report();
    assert!(report.contains("may have succeeded"), "{report}");
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let line = [&GET[..], &["--timeout", "200ms"]].concat();
    let (result, ..) = run_at(&endpoint, &line, "");
    let report = result.expect_err("no answer").report();
    assert!(report.contains("timeout"), "{report}");
}
