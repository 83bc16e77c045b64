//! Bad requests: each gets the exact error envelope, and the connection stays usable.

use serde_json::json;
use talos_test_kit::http::{Connection, request};
use talos_test_kit::keys::{ISSUE, VERIFY, assert_refused};

use crate::harness::site::Site;

const UNKNOWN_ID: &str = "00000000-0000-4000-8000-000000000000";

/// Asserts that the next request on the connection gets the right answer.
#[track_caller]
fn assert_in_step(connection: &mut Connection) {
    let alive = connection.call("GET", "/health/alive", &[], b"");
    assert_eq!((alive.status, alive.json()), (200, json!({"status": "ok"})));
}

fn nested(depth: usize) -> String {
    format!(
        r#"{{"name":"n","actor_id":"a","metadata":{}{}}}"#,
        r#"{"a":"#.repeat(depth) + "1",
        "}".repeat(depth)
    )
}

both_drivers! {
    fn malformed_bodies_are_refused(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let too_deep = nested(32);
        let bodies: [&[u8]; 21] = [
            b"", b" ", b"{", b"}", b"[]", b"null", b"1", b"\"name\"", b"{\"name\":\"n\",\"actor_id\":\"a\"}x",
            b"{\"name\":\"n\",\"actor_id\":\"a\"}{}", b"{\"name\":\"n\" \"actor_id\":\"a\"}", b"{'name':'n'}",
            b"{\"name\":\"n\",\"actor_id\":\"\xff\"}", b"{\"name\":\"n\x01\",\"actor_id\":\"a\"}",
            b"{\"name\":1,\"actor_id\":\"a\"}", b"{\"name\":\"n\",\"actor_id\":[\"a\"]}",
            b"{\"name\":\"n\",\"actor_id\":\"a\",\"scopes\":\"read\"}",
            b"{\"name\":\"n\",\"actor_id\":\"a\",\"scopes\":[1]}", b"{\"name\":\"n\",\"actor_id\":\"a\",\"ttl\":3600}",
            b"{\"name\":\"n\",\"actor_id\":\"a\",\"metadata\":[]}", too_deep.as_bytes(),
        ];
        for body in bodies {
            let answer = connection.call("POST", ISSUE, &[], body);
            eprintln!("{}", String::from_utf8_lossy(body));
            answer.assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
            assert!(!answer.closes());
            assert_in_step(&mut connection);
        }
        // The metadata object of `nested(d)` is at depth 2, its innermost at depth d + 1.
        assert_eq!(connection.call("POST", ISSUE, &[], nested(31).as_bytes()).status, 201);
        server.stop();
    }

    fn invalid_verification_bodies_are_refused(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        for body in ["{}", r#"{"credential":""}"#, r#"{"credential":null}"#, r#"{"Credential":"x"}"#] {
            let answer = connection.call("POST", VERIFY, &[], body.as_bytes());
            answer.assert_error(400, "INVALID_ARGUMENT", "CREDENTIAL_REQUIRED");
        }
        let long = format!(r#"{{"credential":"{}"}}"#, "x".repeat(8193));
        for body in [
            "{", "[]", "x", r#"{"credential":1}"#, r#"{"credential":"x"} x"#, r#"{"credential":"x","#,
            r#"{"credential":"x","expected_audiences":"a"}"#, r#"{"credential":"\ud800"}"#, long.as_str(),
        ] {
            let answer = connection.call("POST", VERIFY, &[], body.as_bytes());
            eprintln!("{}", &body[..body.len().min(80)]);
            answer.assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
            assert_in_step(&mut connection);
        }
        assert_refused(&connection.verify(&"x".repeat(8192)), "NOT_FOUND");
        server.stop();
    }

    /// The answer does not tell an unknown key from a malformed one.
    fn unknown_credentials_are_refused(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let key = connection.issue("key");
        let last = if key.secret.ends_with('2') { '3' } else { '2' };
        let wrong_checksum = format!("{}{last}", &key.secret[..key.secret.len() - 1]);
        let (head, checksum) = key.secret.rsplit_once('_').unwrap();
        let foreign_prefix = key.secret.replacen("ory_ak", "other", 1);
        let credentials = [
            wrong_checksum, foreign_prefix, format!("{head}_"), head.to_owned(), format!("{head}_{checksum}{checksum}"),
            format!(" {}", key.secret), format!("{} ", key.secret), format!("{}\0", key.secret), "sk_live_123".to_owned(),
            "x".to_owned(), "ory_ak_v1__".to_owned(), "ory_ak_v1_a_b".to_owned(), "😀".to_owned(),
        ];
        let mut answers: Vec<_> = credentials
            .iter()
            .map(|credential| {
                let verdict = connection.verify(credential);
                assert_refused(&verdict, "NOT_FOUND");
                verdict
            })
            .collect();
        answers.dedup();
        assert_eq!(answers.len(), 1, "all alike: {answers:?}");
        server.stop();
    }

    fn paths_and_methods_that_do_not_exist(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        for path in ["/", "/v2alpha1", "/v2alpha1/admin/issuedApiKeys/", "/health/alive/", "/health", "/HEALTH/ALIVE",
            "/v2alpha1/admin/apiKeys:", "/v2alpha1/admin/apiKeys:verifyx", "/v2alpha1/admin//issuedApiKeys", "/%2f"]
        {
            for method in ["GET", "POST"] {
                connection.call(method, path, &[], b"").assert_error(404, "NOT_FOUND", "NOT_FOUND");
                assert_in_step(&mut connection);
            }
        }
        for (method, path, allow) in [
            ("GET", VERIFY, "POST"),
            ("PUT", VERIFY, "POST"),
            ("POST", "/health/alive", "GET, HEAD"),
            ("DELETE", "/health/ready", "GET, HEAD"),
            ("DELETE", ISSUE, "GET, HEAD, POST"),
            ("BREW", ISSUE, "GET, HEAD, POST"),
        ] {
            let answer = connection.call(method, path, &[], b"");
            answer.assert_error(405, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED");
            assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
            assert_in_step(&mut connection);
        }
        server.stop();
    }

    fn keys_that_do_not_exist(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let key_id = connection.issue("key").key_id;
        let ids = [UNKNOWN_ID, "x", &key_id.replace('-', ""), "%00", "..", "%2e%2e", &"a".repeat(64)];
        for id in ids {
            for (method, path) in [
                ("GET", format!("{ISSUE}/{id}")),
                ("POST", format!("{ISSUE}/{id}:revoke")),
                ("POST", format!("/v2alpha1/admin/apiKeys/{id}:revoke")),
            ] {
                eprintln!("{method} {path}");
                connection.call(method, &path, &[], b"").assert_error(404, "NOT_FOUND", "API_KEY_NOT_FOUND");
                assert_in_step(&mut connection);
            }
        }
        // The id in a path may be percent-encoded.
        let encoded = key_id.replace('-', "%2D");
        assert_eq!(connection.call("GET", &format!("{ISSUE}/{encoded}"), &[], b"").status, 200);
        server.stop();
    }

    fn revocations_with_invalid_bodies_are_refused(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let key_id = connection.issue("key").key_id;
        let path = format!("/v2alpha1/admin/apiKeys/{key_id}:revoke");
        for body in [
            json!({"reason": "SUPERSEDED"}), json!({"reason": 5}), json!({"reason": "4"}), json!([]),
            json!({"reason": "REVOCATION_REASON_SUPERSEDED", "description": "words"}),
            json!({"description": "words"}),
        ] {
            connection.post(&path, &body).assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
        }
        assert_eq!(connection.get(&key_id)["status"], "KEY_STATUS_ACTIVE");
        // A revocation without a body has no reason.
        assert_eq!(connection.call("POST", &path, &[], b"").status, 204);
        server.stop();
    }

    fn request_ids_are_echoed_or_made(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let paths = ["/health/alive", "/nowhere", "/version"];
        for path in paths {
            let answer = connection.call("GET", path, &[("X-Request-Id", "my-request.1")], b"");
            assert_eq!(answer.header("x-request-id"), Some("my-request.1"), "{path}");
        }
        let made: Vec<_> = paths
            .map(|path| connection.call("GET", path, &[], b"").header("x-request-id").unwrap().to_owned())
            .into_iter()
            .collect();
        assert!(made[0] != made[1] && made[1] != made[2] && made[0] != made[2], "{made:?}");
        let replaced = connection.call("GET", "/version", &[("X-Request-Id", "with space")], b"");
        assert_ne!(replaced.header("x-request-id"), Some("with space"));
        server.stop();
    }

    fn head_has_no_body(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let get = request("GET", "/health/alive", &[], b"");
        connection.send(&request("HEAD", "/health/alive", &[("Connection", "close")], b""));
        let mut sender = connection.sender();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut sender, &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 ") && text.ends_with("\r\n\r\n"), "{text}");
        assert_eq!(server.connect().exchange(&get).unwrap().status, 200);
        server.stop();
    }
}
