//! Admin tokens over HTTP: their life, what requests may hold, and what survives a restart. Whether
//! a token opens routes is tested elsewhere.

use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use talos_test_kit::http::{Answer, Connection, request};

use crate::harness::site::{Server, Site};

pub const TOKENS: &str = "/v2alpha1/admin/tokens";
const UNKNOWN: &str = "0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b";

/// A token that was created, and its text.
#[derive(Clone, Debug)]
struct Created {
    id: String,
    secret: String,
    token: Value,
}

impl Created {
    #[track_caller]
    fn from(answer: &Answer) -> Self {
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let body = answer.json();
        let secret = text(&body["secret"]);
        assert!(
            secret.starts_with("talos_admin_") && secret.len() >= 44,
            "{secret}"
        );
        Self {
            id: text(&body["token"]["id"]),
            secret,
            token: body["token"].clone(),
        }
    }

    fn path(&self) -> String {
        format!("{TOKENS}/{}", self.id)
    }
}

fn text(value: &Value) -> String {
    let text = value.as_str().unwrap_or_else(|| panic!("no text: {value}"));
    text.to_owned()
}

#[track_caller]
fn create(connection: &mut Connection, body: &Value) -> Created {
    let answer = connection.post(TOKENS, body);
    assert_eq!(answer.status, 201, "{answer:?}");
    Created::from(&answer)
}

fn get(connection: &mut Connection, path: &str) -> Answer {
    connection.call("GET", path, &[], b"")
}

fn delete(connection: &mut Connection, path: &str) -> Answer {
    connection.call("DELETE", path, &[], b"")
}

#[track_caller]
fn names(connection: &mut Connection) -> Vec<String> {
    let answer = get(connection, TOKENS);
    assert_eq!(answer.status, 200);
    let tokens = answer.json()["tokens"].as_array().unwrap().clone();
    tokens.iter().map(|token| text(&token["name"])).collect()
}

/// Asserts that no text of a token is in the log of the server.
#[track_caller]
fn assert_not_logged(server: &Server, secrets: &[&str]) {
    let log = fs::read_to_string(&server.log).unwrap();
    assert!(log.contains("AdminTokenCreated"), "{log}");
    for secret in secrets {
        assert!(!log.contains(secret), "{log}");
    }
}

both_drivers! {
    fn a_token_is_created_rotated_and_revoked(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        assert_eq!(get(&mut connection, TOKENS).json(), json!({"tokens": []}));
        let first = create(&mut connection, &json!({"name": "ci", "role": "write", "ttl": "1h", "tenant": UNKNOWN}));
        // Tokens are listed in the order of their times, which are in milliseconds.
        thread::sleep(Duration::from_millis(2));
        let second = create(&mut connection, &json!({"name": "monitoring", "role": "verify"}));
        assert_ne!(first.secret, second.secret);
        let token = &first.token;
        assert_eq!((&token["name"], &token["role"], &token["tenant"]), (&json!("ci"), &json!("write"), &json!(UNKNOWN)));
        assert_eq!(token["create_time"], token["rotate_time"]);
        assert!(text(&token["expire_time"]) > text(&token["create_time"]));
        let other = second.token.as_object().unwrap();
        assert!(!other.contains_key("expire_time") && !other.contains_key("tenant"), "{other:?}");

        // No later answer shows the text or its digest.
        assert_eq!(get(&mut connection, &first.path()).json(), *token);
        let listed = get(&mut connection, TOKENS);
        assert_eq!(listed.json(), json!({"tokens": [token, second.token]}));
        connection.send(&request("HEAD", TOKENS, &[], b""));
        let head = connection.answer_to("HEAD");
        assert_eq!((head.status, head.header("content-length")), (200, listed.header("content-length")));

        let path = format!("{}:rotate", first.path());
        let rotated = Created::from(&connection.post(&path, &json!({})));
        assert_ne!(rotated.secret, first.secret);
        assert_eq!((&rotated.id, &rotated.token["expire_time"]), (&first.id, &token["expire_time"]));
        assert!(text(&rotated.token["rotate_time"]) >= text(&token["rotate_time"]));
        assert_eq!(rotated.token["create_time"], token["create_time"]);
        let longer = Created::from(&connection.post(&path, &json!({"ttl": "2h"})));
        assert!(text(&longer.token["expire_time"]) > text(&token["expire_time"]));
        assert_eq!(names(&mut connection), ["ci", "monitoring"]);

        let revoked = delete(&mut connection, &first.path());
        assert_eq!((revoked.status, revoked.body.as_slice()), (204, b"".as_slice()));
        assert_eq!((revoked.header("content-length"), revoked.header("content-type")), (None, None));
        assert_eq!(names(&mut connection), ["monitoring"]);
        for answer in [get(&mut connection, &first.path()), delete(&mut connection, &first.path()), connection.post(&path, &json!({}))] {
            answer.assert_error(404, "NOT_FOUND", "NOT_FOUND");
        }
        // Its name is free again, for another token.
        let third = create(&mut connection, &json!({"name": "ci", "role": "read"}));
        assert_ne!(third.id, first.id);
        assert_not_logged(&server, &[&first.secret, &rotated.secret, &longer.secret, &third.secret]);
        server.stop();
    }

    fn a_repeated_creation_is_refused_and_changes_nothing(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let body = json!({"name": "ci", "role": "read"});
        let token = create(&mut connection, &body);
        let again = connection.post(TOKENS, &body);
        again.assert_error(409, "ALREADY_EXISTS", "CONFLICT");
        assert!(again.json()["error"]["message"].as_str().unwrap().contains("rotate"), "{again:?}");
        assert_eq!(get(&mut connection, &token.path()).json(), token.token);
        // Names that differ in case are two names.
        create(&mut connection, &json!({"name": "CI", "role": "read"}));
        server.stop();
    }

    fn a_request_that_is_not_understood_creates_nothing(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let long = "x".repeat(256);
        for (body, word) in [
            (json!({}), "name"),
            (json!({"name": "n"}), "role"),
            (json!({"name": "n", "role": "root"}), "verify, read, write, operate, admin"),
            (json!({"name": "n", "role": "read", "roles": ["admin"]}), "did you mean role"),
            (json!({"name": "n", "role": "read", "expires_in": "1h"}), "did you mean ttl"),
            (json!({"name": "n", "role": "read", "tenant_id": UNKNOWN}), "did you mean tenant"),
            (json!({"name": "n", "role": "read", "tenant": "nobody"}), "UUID"),
            (json!({"name": "n", "role": "read", "ttl": "0.5s"}), "ttl"),
            (json!({"name": "a\u{1b}[2Jb", "role": "read"}), "control characters"),
            (json!({"name": UNKNOWN, "role": "read"}), "UUID"),
            (json!({"name": long, "role": "read"}), "255"),
        ] {
            let answer = connection.post(TOKENS, &body);
            answer.assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
            let message = text(&answer.json()["error"]["message"]);
            assert!(message.contains(word), "{body}: {message}");
        }
        assert!(names(&mut connection).is_empty());
        let token = create(&mut connection, &json!({"name": "n", "role": "read"}));
        let answer = connection.post(&format!("{}:rotate", token.path()), &json!({"expire_time": "x"}));
        answer.assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
        for id in [UNKNOWN, "n", "ab", &"ab".repeat(32)] {
            let path = format!("{TOKENS}/{id}");
            for answer in [get(&mut connection, &path), delete(&mut connection, &path), connection.post(&format!("{path}:rotate"), &json!({}))] {
                answer.assert_error(404, "NOT_FOUND", "NOT_FOUND");
            }
        }
        // As for keys, an id may be in capital letters.
        for id in [token.id.clone(), token.id.to_uppercase()] {
            assert_eq!(get(&mut connection, &format!("{TOKENS}/{id}")).json(), token.token);
        }
        server.stop();
    }

    fn tokens_outlive_a_stop_and_a_crash(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let kept = create(&mut connection, &json!({"name": "kept", "role": "admin", "ttl": "1y"}));
        let gone = create(&mut connection, &json!({"name": "gone", "role": "admin"}));
        let rotated = Created::from(&connection.post(&format!("{}:rotate", kept.path()), &json!({})));
        assert_eq!(delete(&mut connection, &gone.path()).status, 204);
        server.kill();
        let server = site.start();
        assert_eq!(get(&mut server.connect(), TOKENS).json(), json!({"tokens": [rotated.token]}));
        server.stop();
        let server = site.start();
        assert_eq!(get(&mut server.connect(), TOKENS).json(), json!({"tokens": [rotated.token]}));
        server.stop();
    }

    fn an_expired_token_needs_a_new_lifetime(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let token = create(&mut connection, &json!({"name": "ci", "role": "read", "ttl": "1s"}));
        // It lives for one second, so it has expired after this, however slow the machine is.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        let path = format!("{}:rotate", token.path());
        let refused = connection.post(&path, &json!({}));
        refused.assert_error(409, "FAILED_PRECONDITION", "FAILED_PRECONDITION");
        let rotated = Created::from(&connection.post(&path, &json!({"ttl": "1h"})));
        assert!(text(&rotated.token["expire_time"]) > text(&token.token["expire_time"]));
        server.stop();
    }

    fn without_authentication_everybody_is_anonymous(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let token = create(&mut connection, &json!({"name": "ci", "role": "read"}));
        let bearer = format!("Bearer {}", token.secret);
        for headers in [&[][..], &[("Authorization", bearer.as_str())]] {
            let answer = connection.call("GET", "/v2alpha1/admin/whoami", headers, b"");
            assert_eq!((answer.status, answer.json()), (200, json!({"anonymous": true})));
        }
        server.stop();
    }
}
