//! What the commands send and write, with a server that answers as told.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

use clap::Parser as _;
use serde_json::json;

use super::*;
use crate::arguments::{Arguments, Command};

const ID: &str = "0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b";

/// What the server received: the request line, the value of `Authorization`, and the body.
#[derive(Debug, PartialEq, Eq)]
struct Received {
    line: String,
    authorization: String,
    body: String,
}

/// A server that gives one of `answers` on each connection.
fn serve(answers: Vec<(u16, Value)>) -> (String, JoinHandle<Vec<Received>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let server = thread::spawn(move || {
        let one = |(status, body): (u16, Value)| {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
            let mut head = Vec::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).expect("a line");
                match line.trim_end() {
                    "" => break,
                    line => head.push(line.to_owned()),
                }
            }
            let field = |name: &str| {
                let mut fields = head.iter().filter_map(|line| line.split_once(": "));
                let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_owned()).unwrap_or_default()
            };
            let mut sent = vec![0; field("content-length").parse().unwrap_or(0)];
            reader.read_exact(&mut sent).expect("the body");
            let body = if status == 204 {
                String::new()
            } else {
                body.to_string()
            };
            let answer = format!(
                "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).expect("answered");
            Received {
                line: head.first().cloned().unwrap_or_default(),
                authorization: field("authorization"),
                body: String::from_utf8(sent).expect("UTF-8"),
            }
        };
        answers.into_iter().map(one).collect()
    });
    (endpoint, server)
}

struct Ran {
    result: Result<(), CliError>,
    out: String,
    remarks: String,
    received: Vec<Received>,
}

fn run(arguments: &[&str], answers: Vec<(u16, Value)>) -> Ran {
    let (endpoint, server) = serve(answers);
    let begin = [
        "talos",
        "-e",
        &endpoint,
        "--token",
        "talos_admin_x",
        "admin",
        "token",
    ];
    let line = begin.into_iter().chain(arguments.iter().copied());
    let parsed = Arguments::try_parse_from(line).expect("a valid command line");
    let Command::Admin(admin) = parsed.command else {
        panic!("an admin command")
    };
    let (mut out, mut remarks) = (Vec::new(), Vec::new());
    let mut console = Console {
        input: &mut &b""[..],
        out: &mut out,
        remarks: &mut remarks,
        draws_progress: false,
        can_ask: false,
    };
    let result = admin.run(&parsed.server, None, &mut console).map(drop);
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ran {
        result,
        out: text(out),
        remarks: text(remarks),
        received: server.join().expect("requests"),
    }
}

fn received(line: &str, body: &str) -> Received {
    Received {
        line: format!("{line} HTTP/1.1"),
        authorization: "Bearer talos_admin_x".to_owned(),
        body: body.to_owned(),
    }
}

fn with_secret() -> Value {
    json!({"token": {"id": ID, "name": "ci", "role": "write"}, "secret": "talos_admin_new"})
}

fn two_tokens() -> Value {
    json!({"tokens": [{"id": "other", "name": "CI"}, {"id": ID, "name": "ci", "role": "read"}]})
}

#[test]
fn create_sends_what_was_said_and_shows_the_secret_once() {
    let line = [
        "create", "ci", "--role", "write", "--ttl", "90d", "--tenant", ID,
    ];
    let ran = run(&line, vec![(201, with_secret())]);
    ran.result.expect("created");
    let body = format!(r#"{{"name":"ci","role":"write","ttl":"90d","tenant":"{ID}"}}"#);
    assert_eq!(
        ran.received,
        [received("POST /v2alpha1/admin/tokens", &body)]
    );
    let table = format!("secret  talos_admin_new\nid      {ID}\nname    ci\nrole    write\n");
    assert_eq!(ran.out, table);
    assert_eq!(
        ran.remarks,
        "The secret is shown this once; store it now.\n"
    );
    let ran = run(
        &["create", "ci", "--role", "read", "-q"],
        vec![(201, with_secret())],
    );
    assert_eq!(
        (ran.out.as_str(), ran.remarks.as_str()),
        ("talos_admin_new\n", "")
    );
    assert_eq!(ran.received[0].body, r#"{"name":"ci","role":"read"}"#);
}

#[test]
fn a_list_has_a_line_for_each_token() {
    let ran = run(&["list"], vec![(200, two_tokens())]);
    assert_eq!(ran.received, [received("GET /v2alpha1/admin/tokens", "")]);
    let lines: Vec<_> = ran.out.lines().collect();
    assert!(
        lines[0].starts_with("ID ") && lines[0].ends_with("EXPIRE_TIME"),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 3);
    let ran = run(&["list", "-q"], vec![(200, two_tokens())]);
    assert_eq!(ran.out, format!("other\n{ID}\n"));
    let ran = run(&["list", "--format", "json"], vec![(200, two_tokens())]);
    assert_eq!(
        serde_json::from_str::<Value>(&ran.out).expect("JSON"),
        two_tokens()
    );
}

#[test]
fn an_id_is_used_as_it_is_and_a_name_is_looked_up() {
    let rotate = format!("POST /v2alpha1/admin/tokens/{ID}:rotate");
    for id in [ID, &ID.to_uppercase()] {
        let ran = run(&["rotate", id, "--ttl", "1h"], vec![(200, with_secret())]);
        ran.result.expect("rotated");
        assert_eq!(ran.received, [received(&rotate, r#"{"ttl":"1h"}"#)]);
    }
    let answers = vec![(200, two_tokens()), (200, with_secret())];
    let ran = run(&["rotate", "ci", "-q"], answers);
    let list = received("GET /v2alpha1/admin/tokens", "");
    assert_eq!(ran.received, [list, received(&rotate, "{}")]);
    assert_eq!(ran.out, "talos_admin_new\n");
}

#[test]
fn revoke_says_which_token_has_ended() {
    let answers = vec![(200, two_tokens()), (204, Value::Null)];
    let ran = run(&["revoke", "ci"], answers);
    ran.result.expect("revoked");
    let path = format!("DELETE /v2alpha1/admin/tokens/{ID}");
    assert_eq!(ran.received[1], received(&path, ""));
    assert_eq!(ran.out, format!("id       {ID}\nrevoked  true\n"));
    let ran = run(
        &["revoke", ID, "--format", "json"],
        vec![(204, Value::Null)],
    );
    assert_eq!(ran.out, "{}\n");
    let ran = run(&["revoke", "nobody\u{1b}"], vec![(200, two_tokens())]);
    let report = ran.result.expect_err("no such token").report();
    assert!(report.contains("`talos admin token list`"), "{report}");
    assert!(!report.contains('\u{1b}'), "{report}");
}
