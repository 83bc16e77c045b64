//! `details[0].metadata` of errors: what they are about, for programs. It never holds a credential.

use serde_json::{Value, json};
use talos_test_kit::http::{Answer, Connection};
use talos_test_kit::keys::{DERIVE, ISSUE, Issued, VERIFY};

use crate::harness::Driver;
use crate::harness::site::{Server, Site};
use crate::harness::tokens::{SIGNING_KEYS, start_with, url};

const IMPORT: &str = "/v2alpha1/admin/importedApiKeys";
const SELF_REVOKE: &str = "/v2alpha1/apiKeys:selfRevoke";
const TOKENS: &str = "/v2alpha1/admin/tokens";
const ID: &str = "00000000-0000-4000-8000-000000000000";

fn metadata(answer: &Answer) -> Value {
    assert!(answer.status >= 400, "{answer:?}");
    answer.json()["error"]["details"][0]["metadata"].clone()
}

fn issue(connection: &mut Connection, more: &Value) -> Issued {
    let mut body = json!({"name": "n", "actor_id": "owner", "scopes": ["read"]});
    let members = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(members);
    Issued::from(&connection.post(ISSUE, &body))
}

both_drivers! {
    fn errors_of_fields_name_the_field_and_its_bound(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let key = |more: Value| {
            let mut body = json!({"name": "n", "actor_id": "a", "raw_key": "sk_1"});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        let texts = |count: usize| json!(vec!["x"; count]);
        for path in [ISSUE, IMPORT] {
            for (more, wanted) in [
                (json!({"name": ""}), json!({"field": "name"})),
                (json!({"name": "x".repeat(256)}), json!({"field": "name", "limit": "255"})),
                (json!({"actor_id": 7}), json!({"field": "actor_id"})),
                (json!({"scopes": texts(101)}), json!({"field": "scopes", "limit": "100"})),
                (json!({"scopes": ["x", ""]}), json!({"field": "scopes[1]"})),
                (json!({"ttl": "1000000000s"}), json!({"field": "ttl", "limit": "315360000"})),
                (json!({"rateLimitPolicy": {"quota": 0}}), json!({"field": "rate_limit_policy.quota"})),
                (
                    json!({"ip_restriction": {"allowed_cidrs": ["10.0.0.0/8", "x"]}}),
                    json!({"field": "ip_restriction.allowed_cidrs[1]"}),
                ),
                (json!({"visibility": "X"}), json!({"field": "visibility"})),
                (json!({"scope": ["x"]}), json!({"field": "scopes"})),
                (json!({"metadata": {"x": "y".repeat(1 << 16)}}), json!({"field": "metadata", "limit": "65536"})),
                (json!({"request_id": "x".repeat(37)}), json!({"field": "request_id", "limit": "36"})),
            ] {
                let answer = connection.post(path, &key(more));
                assert_eq!(metadata(&answer), wanted, "{answer:?}");
            }
        }
        let answer = connection.post(IMPORT, &key(json!({"raw_key": "x".repeat(8193)})));
        assert_eq!(metadata(&answer), json!({"field": "raw_key", "limit": "8192"}));
        for (path, field) in [("page_size=x", "page_size"), ("page_token=x", "page_token"), ("filter=x", "filter"), ("status=x", "status")] {
            let answer = connection.call("GET", &format!("{ISSUE}?{path}"), &[], b"");
            assert_eq!(metadata(&answer), json!({"field": field}));
        }
        let credential = json!({"field": "credential"});
        assert_eq!(metadata(&connection.post(VERIFY, &json!({}))), credential);
        assert_eq!(metadata(&connection.post(DERIVE, &json!({"credential": "unknown"}))), credential);
        assert_eq!(metadata(&connection.post(SELF_REVOKE, &json!({"credential": "unknown"}))), credential);
        // The errors of a whole batch, and of the one key in it.
        let batch = format!("{IMPORT}:batchCreate");
        let answer = connection.post(&batch, &json!({"requests": []}));
        assert_eq!(metadata(&answer), json!({"field": "requests", "limit": "1000"}));
        let answer = connection.post(&batch, &json!({"requests": [key(json!({"name": ""}))]}));
        assert_eq!(metadata(&answer), json!({"field": "requests[0].name"}));
        server.stop();
    }

    fn errors_of_keys_name_the_key(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let of = |key_id: &str| json!({"key_id": key_id});
        for (method, path) in [
            ("GET", format!("{ISSUE}/{ID}")),
            ("POST", format!("{ISSUE}/{ID}:rotate")),
            ("POST", format!("{ISSUE}/{ID}:revoke")),
            ("POST", format!("/v2alpha1/admin/apiKeys/{ID}:revoke")),
            ("POST", format!("/keys/{ID}/derive")),
            ("DELETE", format!("/keys/{ID}")),
        ] {
            let answer = connection.call(method, &path, &[], b"");
            assert_eq!((answer.status, metadata(&answer)), (404, of(ID)), "{method} {path}");
        }
        let key = issue(&mut connection, &json!({}));
        connection.revoke(&key.key_id);
        for action in ["revoke", "rotate"] {
            let answer = connection.post(&format!("{ISSUE}/{}:{action}", key.key_id), &json!({}));
            assert_eq!((answer.status, metadata(&answer)), (409, of(&key.key_id)));
        }
        // What the path names may be anything, if it is no id.
        let answer = connection.call("GET", &format!("{ISSUE}/{}", key.secret), &[], b"");
        assert_eq!((answer.status, metadata(&answer)), (404, json!({})));
        let path = format!("{ISSUE}/{ID}");
        let patch = connection.call("PATCH", &path, &[("Content-Type", "application/json")], br#"{"name":7}"#);
        assert_eq!(metadata(&patch), json!({"field": "name", "key_id": ID}));

        let import = json!({"raw_key": "sk_twice", "name": "n", "actor_id": "a"});
        let imported = connection.post(IMPORT, &import).json();
        let known = of(imported["key_id"].as_str().unwrap());
        let again = connection.post(IMPORT, &import);
        assert_eq!((again.status, metadata(&again)), (409, known.clone()));
        let again = connection.post(&format!("{IMPORT}:batchCreate"), &json!({"requests": [import]}));
        assert_eq!((again.status, metadata(&again)), (409, known));
        let token = connection.call("GET", &format!("{TOKENS}/{ID}"), &[], b"");
        assert_eq!((token.status, metadata(&token)), (404, json!({"token_id": ID})));
        server.stop();
    }

    fn errors_of_derivations_name_key_owner_and_bound(driver: Driver) {
        let site = Site::new(driver);
        let server = start_with(&site, &[(SIGNING_KEYS, &url(crate::harness::tokens::ED25519_JWK))]);
        let mut connection = server.connect();
        let of = |key: &Issued, more: Value| {
            let mut wanted = json!({"key_id": key.key_id, "actor_id": "owner"});
            wanted.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            wanted
        };
        let active = issue(&mut connection, &json!({}));
        let elsewhere = issue(&mut connection, &json!({"ip_restriction": {"allowed_cidrs": ["192.0.2.0/24"]}}));
        let revoked = issue(&mut connection, &json!({}));
        connection.revoke(&revoked.key_id);
        for algorithm in crate::harness::tokens::ALGORITHMS {
            for (key, more, status, reason, context) in [
                (&revoked, json!({}), 401, "API_KEY_REVOKED", json!({})),
                (&elsewhere, json!({}), 403, "IP_NOT_ALLOWED", json!({})),
                (&active, json!({"scopes": ["admin"]}), 403, "FORBIDDEN", json!({"field": "scopes"})),
                (&active, json!({"ttl": "8761h"}), 400, "BAD_REQUEST", json!({"field": "ttl", "limit": "31536000"})),
            ] {
                let answer = connection.ask_for_token(&key.secret, algorithm, &more);
                let found = answer.json()["error"]["details"][0]["reason"].clone();
                assert_eq!((answer.status, found), (status, json!(reason)));
                assert_eq!(metadata(&answer), of(key, context), "{answer:?}");
            }
            // By id, for administrators.
            let by_id = connection.post(&format!("/keys/{}/derive", revoked.key_id), &json!({"algorithm": algorithm}));
            by_id.assert_error(401, "UNAUTHENTICATED", "API_KEY_REVOKED");
        }
        server.stop();
    }
}

#[test]
fn the_missing_signing_key_is_named() {
    let site = Site::new(Driver::Epoll);
    let server = start_with(
        &site,
        &[
            (SIGNING_KEYS, &url(crate::harness::tokens::ED25519_JWK)),
            ("DERIVED_TOKENS_JWT_SIGNING_KEY_ID", "nobody-has-it"),
        ],
    );
    let mut connection = server.connect();
    let key = issue(&mut connection, &json!({}));
    let answer = connection.post(DERIVE, &json!({"credential": key.secret}));
    answer.assert_error(500, "INTERNAL", "INTERNAL_SERVER_ERROR");
    assert_eq!(metadata(&answer)["signing_key_id"], "nobody-has-it");
    server.stop();
}

#[test]
fn the_quota_and_the_time_to_retry_are_named() {
    let site = Site::new(Driver::Epoll);
    let mut command = site.command();
    command
        .env("TALOS_QUOTA_API_KEYS_MAX", "1")
        .env("TALOS_SERVE_HTTP_THROTTLE_SELF_REVOCATIONS_QUOTA", "1");
    let server = Server::start(command, site.directory().join("server.log"));
    let mut connection = server.connect();
    issue(&mut connection, &json!({}));
    let over = connection.post(ISSUE, &json!({"name": "n", "actor_id": "a"}));
    over.assert_error(402, "PERMISSION_DENIED", "API_KEY_QUOTA_EXCEEDED");
    assert_eq!(metadata(&over)["limit"], "1");
    let body = json!({"credential": "nobody"});
    connection.post(SELF_REVOKE, &body);
    let limited = connection.post(SELF_REVOKE, &body);
    limited.assert_error(429, "RESOURCE_EXHAUSTED", "TOO_MANY_REQUESTS");
    let seconds = limited.header("retry-after").unwrap();
    assert_eq!(metadata(&limited), json!({"retry_after_s": seconds}));
    let mut large = server.connect();
    let head = format!("POST {ISSUE} HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n");
    let answer = large.exchange(head.as_bytes()).unwrap();
    answer.assert_error(413, "INVALID_ARGUMENT", "PAYLOAD_TOO_LARGE");
    assert_eq!(metadata(&answer), json!({"limit": "1048576"}));
    server.stop();
}

/// A key that is older than keys may be has expired, whatever its `ttl` said.
#[test]
fn expired_and_over_age_parents_are_expired() {
    let site = Site::new(Driver::Epoll);
    let server = start_with(
        &site,
        &[
            (SIGNING_KEYS, &url(crate::harness::tokens::ED25519_JWK)),
            ("API_KEYS_MAX_TTL", "2s"),
            ("CLOCK_SKEW", "0s"),
        ],
    );
    let mut connection = server.connect();
    let over_age = issue(&mut connection, &json!({}));
    let expired = issue(&mut connection, &json!({"ttl": "1s"}));
    std::thread::sleep(std::time::Duration::from_millis(2100));
    for key in [&over_age, &expired] {
        for algorithm in crate::harness::tokens::ALGORITHMS {
            let answer = connection.ask_for_token(&key.secret, algorithm, &json!({}));
            answer.assert_error(401, "UNAUTHENTICATED", "API_KEY_EXPIRED");
            let wanted = json!({"key_id": key.key_id, "actor_id": "owner"});
            assert_eq!(metadata(&answer), wanted);
        }
        let path = format!("/keys/{}/derive", key.key_id);
        let by_id = connection.post(&path, &json!({"algorithm": "TOKEN_ALGORITHM_MACAROON"}));
        by_id.assert_error(401, "UNAUTHENTICATED", "API_KEY_EXPIRED");
    }
    server.stop();
}
