//! Runs the commands against a server that answers once, with a prepared answer.

mod answers;
mod defaults;
mod reasons;
mod retries;
mod revoke_where;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

use clap::Parser as _;
use serde_json::{Value, json};

use super::*;
use crate::arguments::{Arguments, Command};

/// The result of a command.
struct Run {
    result: Result<ExitCode, CliError>,
    out: String,
    remarks: String,
    request: Request,
}

/// The request that the server received.
#[derive(Debug, Default)]
struct Request {
    line: String,
    headers: Vec<String>,
    body: String,
}

/// Answers the first request on a free port with `status` and `body`.
fn serve_once(status: u16, body: &str) -> (String, JoinHandle<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let response = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a line");
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_ascii_lowercase()),
            }
            if lines.len() == 1 {
                lines = vec![line.trim_end().to_owned()];
            }
        }
        let length = lines
            .iter()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("the body");
        stream.write_all(response.as_bytes()).expect("answered");
        let line = lines.remove(0);
        Request {
            line,
            headers: lines,
            body: String::from_utf8(body).expect("UTF-8"),
        }
    });
    (endpoint, server)
}

fn run_at(
    endpoint: &str,
    arguments: &[&str],
    input: &str,
) -> (Result<ExitCode, CliError>, String, String) {
    let line = ["talos", "-e", endpoint, "keys"]
        .into_iter()
        .chain(arguments.iter().copied());
    let parsed = Arguments::try_parse_from(line).expect("a valid command line");
    let Command::Keys(keys) = parsed.command else {
        panic!("a keys command")
    };
    let client = parsed.server.client().expect("a URL");
    let (mut out, mut remarks) = (Vec::new(), Vec::new());
    let mut console = Console {
        input: &mut input.as_bytes(),
        out: &mut out,
        remarks: &mut remarks,
        draws_progress: false,
        can_ask: true,
    };
    let result = keys.run(&client, &mut console);
    (
        result,
        String::from_utf8(out).expect("UTF-8"),
        String::from_utf8(remarks).expect("UTF-8"),
    )
}

fn run(arguments: &[&str], input: &str, status: u16, body: &Value) -> Run {
    let (endpoint, server) = serve_once(status, &body.to_string());
    let (result, out, remarks) = run_at(&endpoint, arguments, input);
    Run {
        result,
        out,
        remarks,
        request: server.join().expect("a request"),
    }
}

fn code(result: &Result<ExitCode, CliError>) -> String {
    match result {
        Ok(code) => format!("{code:?}"),
        Err(error) => format!("{:?}", error.exit_code()),
    }
}

fn issued() -> Value {
    json!({"issued_api_key": {"key_id": "k-1", "name": "n", "scopes": ["a", "b"]}, "secret": "ory_ak_v1_x_y"})
}

#[test]
fn issue_sends_what_was_given_and_nothing_else() {
    let plain = run(&["issue", "My key", "--actor", "me"], "", 201, &issued());
    assert_eq!(
        plain.request.line,
        "POST /v2alpha1/admin/issuedApiKeys HTTP/1.1"
    );
    assert_eq!(
        plain.request.body,
        r#"{"name":"My key","actor_id":"me","ttl":"24h"}"#
    );
    assert!(
        plain
            .request
            .headers
            .contains(&"content-type: application/json".to_owned()),
        "{:?}",
        plain.request
    );

    let full = [
        "issued",
        "issue",
        "n",
        "--actor",
        "me",
        "--scopes",
        "read:*,write:*",
        "--ttl",
        "1y6mo",
        "--metadata",
        r#"{"n": 1.50}"#,
        "--allowed-cidrs",
        "10.0.0.0/8,::/0",
        "--rate-limit-quota",
        "5",
        "--rate-limit-window",
        "1h",
        "--visibility",
        "public",
    ];
    let full = run(&full, "", 201, &issued());
    let sent: Value = serde_json::from_str(&full.request.body).expect("JSON");
    assert!(full.request.body.contains("1.50"), "{}", full.request.body);
    assert_eq!(
        sent,
        json!({
            "name": "n", "actor_id": "me", "scopes": ["read:*", "write:*"], "ttl": "1y6mo", "metadata": {"n": 1.5},
            "ip_restriction": {"allowed_cidrs": ["10.0.0.0/8", "::/0"]}, "visibility": "KEY_VISIBILITY_PUBLIC",
            "rate_limit_policy": {"quota": "5", "window": "1h", "unit": "requests"},
        })
    );
}

#[test]
fn issue_shows_the_secret_where_it_belongs() {
    let table = run(&["issue", "n", "--actor", "me"], "", 201, &issued());
    assert_eq!(
        table.out,
        "secret  ory_ak_v1_x_y\nkey_id  k-1\nname    n\nscopes  a, b\n"
    );
    assert!(table.remarks.contains("this once") && !table.remarks.contains("ory_ak"));
    let json = run(
        &["issue", "n", "--actor", "me", "--format", "json"],
        "",
        201,
        &issued(),
    );
    assert_eq!(json.out, issued().to_string() + "\n");
    let quiet = run(&["issue", "n", "--actor", "me", "-q"], "", 201, &issued());
    assert_eq!(
        (quiet.out.as_str(), quiet.remarks.as_str()),
        ("ory_ak_v1_x_y\n", "")
    );
}

#[test]
fn verify_exits_by_the_verdict() {
    let valid = run(
        &["verify", "cred"],
        "",
        200,
        &json!({"is_valid": true, "is_active": true, "key_id": "k"}),
    );
    assert_eq!(
        valid.request.line,
        "POST /v2alpha1/admin/apiKeys:verify HTTP/1.1"
    );
    assert_eq!(valid.request.body, r#"{"credential":"cred"}"#);
    assert!(
        !valid
            .request
            .headers
            .iter()
            .any(|header| header.starts_with("cache-control"))
    );
    assert_eq!(
        (code(&valid.result), valid.out),
        (
            format!("{:?}", ExitCode::SUCCESS),
            "is_valid  true\nkey_id    k\n".to_owned()
        )
    );

    let refused = json!({"is_valid": false, "error_code": "VERIFICATION_ERROR_REVOKED"});
    let refused = run(&["verify", "cred", "--no-cache"], "", 200, &refused);
    assert!(
        refused
            .request
            .headers
            .contains(&"cache-control: no-cache".to_owned())
    );
    assert_eq!(code(&refused.result), format!("{:?}", ExitCode::FAILURE));
    assert!(refused.out.contains("VERIFICATION_ERROR_REVOKED") && refused.remarks.is_empty());
}

#[test]
fn a_dash_reads_the_credential_from_standard_input() {
    let run = run(
        &["verify", "-", "-q"],
        "from \"stdin\"\r\nrest",
        200,
        &json!({"is_valid": true}),
    );
    assert_eq!(
        (run.request.body.as_str(), run.out.as_str()),
        (r#"{"credential":"from \"stdin\""}"#, "")
    );
    let (empty, ..) = run_at("http://127.0.0.1:9", &["verify", "-"], "\n");
    assert_eq!(
        empty.expect_err("nothing to verify").report(),
        "talos: standard input holds no credential"
    );
}

#[test]
fn revoke_by_every_path() {
    for (arguments, path) in [
        (vec!["revoke"], "apiKeys"),
        (vec!["issued", "revoke"], "issuedApiKeys"),
        (vec!["imported", "revoke"], "importedApiKeys"),
    ] {
        let arguments: Vec<&str> = arguments
            .into_iter()
            .chain(["a/b", "--reason", "superseded"])
            .collect();
        let run = run(&arguments, "", 200, &json!({}));
        assert_eq!(
            run.request.line,
            format!("POST /v2alpha1/admin/{path}/a%2Fb:revoke HTTP/1.1")
        );
        assert_eq!(
            run.request.body,
            r#"{"reason":"REVOCATION_REASON_SUPERSEDED"}"#
        );
        assert_eq!(run.out, "key_id  a/b\nstatus  KEY_STATUS_REVOKED\n");
    }
    let words = [
        "revoke",
        "k",
        "--reason",
        "privilege_withdrawn",
        "--reason-text",
        "left",
        "--format",
        "json",
    ];
    let words = run(&words, "", 200, &json!({}));
    assert_eq!(
        words.request.body,
        r#"{"description":"left","reason":"REVOCATION_REASON_PRIVILEGE_WITHDRAWN"}"#
    );
    assert_eq!(words.out, "{}\n");
}

#[test]
fn update_changes_what_is_given_and_clears_what_is_empty() {
    let key = json!({"key_id": "k"});
    for (arguments, mask, body) in [
        (
            vec!["--name", "n", "--scopes", "a,b"],
            "name%2Cscopes",
            r#"{"name":"n","scopes":["a","b"]}"#,
        ),
        (
            vec![
                "--scopes",
                "",
                "--allowed-cidrs",
                "",
                "--rate-limit-quota",
                "0",
            ],
            "scopes%2Cip_restriction%2Crate_limit_policy",
            r#"{"scopes":[]}"#,
        ),
        (
            vec!["--allowed-cidrs", "10.0.0.0/8,::/0"],
            "ip_restriction",
            r#"{"ip_restriction":{"allowed_cidrs":["10.0.0.0/8","::/0"]}}"#,
        ),
        (
            vec!["--rate-limit-quota", "5", "--rate-limit-window", "60s"],
            "rate_limit_policy",
            r#"{"rate_limit_policy":{"quota":"5","window":"60s","unit":"requests"}}"#,
        ),
        (
            vec![
                "--metadata",
                "{\"a\": 1.0}",
                "--update-mask",
                "metadata,name",
            ],
            "metadata%2Cname",
            r#"{"metadata":{"a": 1.0}}"#,
        ),
    ] {
        for (kind, collection) in [("issued", "issuedApiKeys"), ("imported", "importedApiKeys")] {
            let line = [&[kind, "update", "k"], arguments.as_slice()].concat();
            let run = run(&line, "", 200, &key);
            let wanted =
                format!("PATCH /v2alpha1/admin/{collection}/k?update_mask={mask} HTTP/1.1");
            assert_eq!(
                (run.request.line, run.request.body.as_str()),
                (wanted, body)
            );
        }
    }
    for arguments in [vec![], vec!["--rate-limit-quota", "5"]] {
        let line = [&["issued", "update", "k"], arguments.as_slice()].concat();
        let (result, ..) = run_at("http://127.0.0.1:9", &line, "");
        assert_eq!(
            code(&result),
            format!("{:?}", ExitCode::from(2)),
            "{line:?}"
        );
    }
}

#[test]
fn rotate_sends_what_differs_and_shows_the_secret() {
    let plain = run(&["issued", "rotate", "k", "-q"], "", 201, &issued());
    assert_eq!(
        plain.request.line,
        "POST /v2alpha1/admin/issuedApiKeys/k:rotate HTTP/1.1"
    );
    assert_eq!(
        (plain.request.body.as_str(), plain.out.as_str()),
        ("{}", "ory_ak_v1_x_y\n")
    );
    let line = [
        "issued",
        "rotate",
        "k",
        "--name",
        "n",
        "--scopes",
        "a",
        "--metadata",
        "{}",
    ];
    let other = run(&line, "", 201, &issued());
    assert_eq!(
        other.request.body,
        r#"{"name":"n","scopes":["a"],"metadata":{}}"#
    );
    assert!(other.remarks.contains("this once"), "{}", other.remarks);
}

#[test]
fn derive_token_sends_what_is_given() {
    let answer = json!({"token": {"token": "eyJ", "scopes": ["a"], "claims": {"iss": "i"}}});
    let line = [
        "derive-token",
        "-",
        "--algorithm",
        "macaroon",
        "--ttl",
        "1h",
    ];
    let more = [
        "--claims",
        r#"{"n": 1.50}"#,
        "--scopes",
        "a,b",
        "--audiences",
        "c",
    ];
    let run_all = run(&[&line[..], &more].concat(), "cred\n", 200, &answer);
    assert_eq!(
        run_all.request.line,
        "POST /v2alpha1/admin/apiKeys:derive HTTP/1.1"
    );
    assert_eq!(
        run_all.request.body,
        r#"{"credential":"cred","algorithm":"TOKEN_ALGORITHM_MACAROON","ttl":"1h","custom_claims":{"n": 1.50},"scopes":["a","b"],"audiences":["c"]}"#
    );
    assert!(run_all.out.contains("eyJ") && !run_all.out.contains("iss"));
    let least = run(&["derive-token", "cred", "-q"], "", 200, &answer);
    assert_eq!(
        least.request.body,
        r#"{"credential":"cred","algorithm":"TOKEN_ALGORITHM_JWT","ttl":"1h"}"#
    );
    assert_eq!(least.out, "eyJ\n");
}

#[test]
fn self_revoke_sends_the_credential() {
    let line = ["self-revoke", "-", "--reason", "key_compromise"];
    let run = run(&line, "cred\n", 200, &json!({}));
    assert_eq!(
        run.request.line,
        "POST /v2alpha1/apiKeys:selfRevoke HTTP/1.1"
    );
    assert_eq!(
        run.request.body,
        r#"{"credential":"cred","reason":"REVOCATION_REASON_KEY_COMPROMISE"}"#
    );
    assert_eq!(run.out, "status  KEY_STATUS_REVOKED\n");
}
