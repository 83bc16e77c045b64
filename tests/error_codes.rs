//! Every error code, reached over HTTP. The table is compared with the source, so a new code fails
//! the test until it has a case here.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use talos_test_kit::http::{Answer, request};
use talos_test_kit::keys::{ISSUE, Issued, VERIFY};

use crate::harness::Driver;
use crate::harness::site::{Server, Site};

const SELF_REVOKE: &str = "/v2alpha1/apiKeys:selfRevoke";
const DERIVE: &str = "/v2alpha1/admin/apiKeys:derive";
const IMPORT: &str = "/v2alpha1/admin/importedApiKeys";
const TOKENS: &str = "/v2alpha1/admin/tokens";
const UNKNOWN_ID: &str = "00000000-0000-4000-8000-000000000000";

/// How a test reaches a code.
enum Reached {
    /// By this function, on a server with this setting if one is given.
    By(Option<(&'static str, &'static str)>, fn(&Server) -> Answer),
    /// By other tests, which this describes: they take long, or break more than a connection.
    In(&'static str),
    /// Not at all, for this reason.
    Never(&'static str),
}
use Reached::{By, In, Never};

type Row = (&'static str, u16, &'static str, Reached);

/// The reason, the HTTP status, the gRPC status.
const TABLE: &[Row] = &[
    (
        "BAD_REQUEST",
        400,
        "INVALID_ARGUMENT",
        By(None, |server| call(server, "POST", ISSUE, "{")),
    ),
    (
        "CREDENTIAL_REQUIRED",
        400,
        "INVALID_ARGUMENT",
        By(None, |server| call(server, "POST", VERIFY, "{}")),
    ),
    (
        "DERIVED_TOKEN_NOT_REVOCABLE",
        400,
        "INVALID_ARGUMENT",
        By(None, |server| {
            post(server, SELF_REVOKE, &json!({"credential": "eyJh.e30.c2ln"}))
        }),
    ),
    (
        "INVALID_API_KEY_FORMAT",
        400,
        "INVALID_ARGUMENT",
        Never("a text of any form may be an imported key"),
    ),
    (
        "INVALID_TOKEN_TYPE",
        400,
        "INVALID_ARGUMENT",
        By(None, |server| {
            post(server, DERIVE, &json!({"credential": "eyJh.e30.c2ln"}))
        }),
    ),
    (
        "UNKNOWN_CREDENTIAL",
        400,
        "INVALID_ARGUMENT",
        By(None, |server| {
            post(server, SELF_REVOKE, &json!({"credential": "nobody"}))
        }),
    ),
    (
        "API_KEY_EXPIRED",
        401,
        "UNAUTHENTICATED",
        By(None, |server| {
            let key = issue(server, &json!({"ttl": "1s"}));
            // The key lives for one second, so it has expired after this, however slow the machine
            // is.
            std::thread::sleep(std::time::Duration::from_millis(1100));
            derive(server, &key)
        }),
    ),
    (
        "API_KEY_REVOKED",
        401,
        "UNAUTHENTICATED",
        By(None, |server| {
            let key = issue(server, &json!({}));
            assert_eq!(server.connect().revoke(&key.key_id).status, 204);
            derive(server, &key)
        }),
    ),
    (
        "PARENT_KEY_INVALID",
        401,
        "UNAUTHENTICATED",
        By(None, |server| {
            post(server, DERIVE, &json!({"credential": "nobody"}))
        }),
    ),
    (
        "SIGNATURE_INVALID",
        401,
        "UNAUTHENTICATED",
        Never("a signature is judged by a verification, which is a verdict"),
    ),
    (
        "UNAUTHORIZED",
        401,
        "UNAUTHENTICATED",
        By(None, |server| call(server, "GET", "/verify", "")),
    ),
    (
        "POSITION_GONE",
        410,
        "OUT_OF_RANGE",
        By(None, |server| {
            // No primary ever began this epoch.
            call(server, "GET", "/v2alpha1/admin/changes?after=0.7", "")
        }),
    ),
    (
        "API_KEY_QUOTA_EXCEEDED",
        402,
        "PERMISSION_DENIED",
        By(Some(("TALOS_QUOTA_API_KEYS_MAX", "1")), |server| {
            issue(server, &json!({}));
            post(server, ISSUE, &json!({"name": "n", "actor_id": "a"}))
        }),
    ),
    (
        "FORBIDDEN",
        403,
        "PERMISSION_DENIED",
        By(None, |server| {
            let key = issue(server, &json!({}));
            let body = json!({"credential": key.secret, "scopes": ["admin"]});
            post(server, DERIVE, &body)
        }),
    ),
    (
        "IP_NOT_ALLOWED",
        403,
        "PERMISSION_DENIED",
        By(None, |server| {
            derive(
                server,
                &issue(
                    server,
                    &json!({"ip_restriction": {"allowed_cidrs": ["192.0.2.0/24"]}}),
                ),
            )
        }),
    ),
    (
        "API_KEY_NOT_FOUND",
        404,
        "NOT_FOUND",
        By(None, |server| {
            call(server, "GET", &format!("{ISSUE}/{UNKNOWN_ID}"), "")
        }),
    ),
    (
        "NOT_FOUND",
        404,
        "NOT_FOUND",
        By(None, |server| call(server, "GET", "/nowhere", "")),
    ),
    (
        "METHOD_NOT_ALLOWED",
        405,
        "UNIMPLEMENTED",
        By(None, |server| call(server, "GET", VERIFY, "")),
    ),
    (
        "REQUEST_TIMEOUT",
        408,
        "DEADLINE_EXCEEDED",
        In("the data plane's own tests, with shorter deadlines"),
    ),
    (
        "API_KEY_EXISTS",
        409,
        "ALREADY_EXISTS",
        By(None, |server| {
            let body = json!({"raw_key": "sk_twice", "name": "n", "actor_id": "a"});
            assert_eq!(post(server, IMPORT, &body).status, 201);
            post(server, IMPORT, &body)
        }),
    ),
    (
        "CONFLICT",
        409,
        "ALREADY_EXISTS",
        By(None, |server| {
            let body = json!({"name": "ci", "role": "read"});
            assert_eq!(post(server, TOKENS, &body).status, 201);
            post(server, TOKENS, &body)
        }),
    ),
    (
        "FAILED_PRECONDITION",
        409,
        "FAILED_PRECONDITION",
        By(None, |server| {
            let key = issue(server, &json!({}));
            server.connect().revoke(&key.key_id);
            server.connect().revoke(&key.key_id)
        }),
    ),
    (
        "PAYLOAD_TOO_LARGE",
        413,
        "INVALID_ARGUMENT",
        By(None, |server| {
            raw(
                server,
                format!("POST {ISSUE} HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n")
                    .as_bytes(),
            )
        }),
    ),
    (
        "UNSUPPORTED_MEDIA_TYPE",
        415,
        "INVALID_ARGUMENT",
        By(None, |server| {
            let request = format!(
                "POST {ISSUE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{{}}"
            );
            raw(server, request.as_bytes())
        }),
    ),
    (
        "URI_TOO_LONG",
        414,
        "INVALID_ARGUMENT",
        By(None, |server| {
            call(server, "GET", &format!("/{}", "x".repeat(8192)), "")
        }),
    ),
    (
        "EXPECTATION_FAILED",
        417,
        "INVALID_ARGUMENT",
        By(None, |server| {
            raw(
                server,
                &request("GET", "/version", &[("Expect", "more")], b""),
            )
        }),
    ),
    (
        "TOO_MANY_REQUESTS",
        429,
        "RESOURCE_EXHAUSTED",
        By(
            Some(("TALOS_SERVE_HTTP_THROTTLE_SELF_REVOCATIONS_QUOTA", "1")),
            |server| {
                let body = json!({"credential": "nobody"});
                assert_eq!(post(server, SELF_REVOKE, &body).status, 400);
                post(server, SELF_REVOKE, &body)
            },
        ),
    ),
    (
        "REQUEST_HEADER_FIELDS_TOO_LARGE",
        431,
        "INVALID_ARGUMENT",
        By(None, |server| {
            raw(
                server,
                &request("GET", "/version", &[("X", &"x".repeat(16 << 10))], b""),
            )
        }),
    ),
    (
        "INTERNAL_SERVER_ERROR",
        500,
        "INTERNAL",
        By(
            Some((
                "TALOS_CREDENTIALS_DERIVED_TOKENS_JWT_SIGNING_KEY_ID",
                "nobody-has-it",
            )),
            |server| derive(server, &issue(server, &json!({}))),
        ),
    ),
    (
        "SERVICE_UNAVAILABLE",
        503,
        "UNAVAILABLE",
        By(None, |server| {
            let head = b"GET /v2alpha1/admin/issuedApiKeys HTTP/1.1\r\nHost: localhost\r\nTalos-Min-Position: 1.1000000\r\n\r\n";
            raw(server, head)
        }),
    ),
    (
        "GATEWAY_TIMEOUT",
        504,
        "DEADLINE_EXCEEDED",
        In("the control plane's own tests, by a storage that never answers"),
    ),
    (
        "BAD_GATEWAY",
        502,
        "UNAVAILABLE",
        In("the edge proxy's tests, by an upstream that breaks off"),
    ),
    (
        "HTTP_VERSION_NOT_SUPPORTED",
        505,
        "UNIMPLEMENTED",
        By(None, |server| {
            raw(server, b"GET / HTTP/2.0\r\nHost: h\r\n\r\n")
        }),
    ),
];

fn raw(server: &Server, bytes: &[u8]) -> Answer {
    server.connect().exchange(bytes).unwrap()
}

fn call(server: &Server, method: &str, path: &str, body: &str) -> Answer {
    server.connect().call(method, path, &[], body.as_bytes())
}

fn post(server: &Server, path: &str, body: &Value) -> Answer {
    server.connect().post(path, body)
}

/// Issues a key with these fields.
fn issue(server: &Server, fields: &Value) -> Issued {
    let mut body = json!({"name": "n", "actor_id": "a", "scopes": ["read"]});
    body.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    Issued::from(&post(server, ISSUE, &body))
}

fn derive(server: &Server, key: &Issued) -> Answer {
    post(server, DERIVE, &json!({"credential": key.secret}))
}

#[test]
fn every_code_is_reached() {
    for (reason, status, grpc, reached) in TABLE {
        let By(setting, ask) = reached else { continue };
        let site = Site::new(Driver::Epoll);
        let mut command = site.command();
        command.envs(setting.iter().copied());
        let server = Server::start(command, site.directory().join("server.log"));
        eprintln!("{reason}");
        let answer = ask(&server);
        answer.assert_error(*status, grpc, reason);
        assert_eq!(
            answer.header("retry-after").is_some(),
            [429, 503].contains(status),
            "{answer:?}"
        );
        assert_eq!(
            answer.header("allow").is_some(),
            *status == 405,
            "{answer:?}"
        );
        assert_eq!(
            answer.header("www-authenticate").is_some(),
            *reason == "UNAUTHORIZED",
            "{answer:?}"
        );
        server.stop();
    }
}

/// The source pairs each reason with its statuses in one place.
#[test]
fn every_code_of_the_source_is_in_the_table() {
    let source = include_str!("../api/src/error/reason.rs");
    let parts = &source[source.find("const fn parts").unwrap()..];
    // What stands in quotes is a gRPC status and then a reason, in turn.
    let quoted: Vec<&str> = parts.split('"').skip(1).step_by(2).collect();
    let in_source: BTreeSet<(&str, &str)> =
        quoted.chunks(2).map(|pair| (pair[0], pair[1])).collect();
    let reached = TABLE
        .iter()
        .filter(|(.., reached)| !matches!(reached, Never(_)));
    let in_table: BTreeSet<(&str, &str)> = reached
        .map(|(reason, _, grpc, _)| (*grpc, *reason))
        .collect();
    assert_eq!(in_source, in_table);
    for (reason, .., reached) in TABLE {
        if let In(why) | Never(why) = reached {
            assert!(!why.is_empty(), "{reason}");
        }
    }
}
