//! The short routes: other paths to the functions of the long ones.

use serde_json::json;
use talos_test_kit::http::{Answer, Connection};
use talos_test_kit::keys::{ISSUE, assert_refused, assert_valid};

use crate::harness::site::Site;

/// Requests `/verify` with this `Authorization`.
fn verify(connection: &mut Connection, method: &str, authorization: &str) -> Answer {
    connection.call(method, "/verify", &[("Authorization", authorization)], b"")
}

both_drivers! {
    fn the_life_of_a_key(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let body = json!({
            "name": "short", "permissions": ["read:docs"], "ttl": "15m", "metadata": {"a": 1},
            "request_id": "once", "visibility": "KEY_VISIBILITY_SECRET",
        });
        let made = connection.post("/keys", &body);
        assert_eq!(made.status, 201);
        let made = made.json();
        let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
        assert_eq!((&made["issued_api_key"]["key_id"], &made["secret"]), (&json!(id), &json!(key)));
        assert_eq!(made["issued_api_key"]["scopes"], json!(["read:docs"]));
        assert_eq!(made["issued_api_key"]["actor_id"], "default");
        assert_eq!(connection.get(id), made["issued_api_key"]);

        // A `request_id` is shared with the long route: neither shows the secret again.
        let again = connection.post("/keys", &body).json();
        assert_eq!((&again["id"], &again["key"]), (&json!(id), &json!(null)));

        for (method, scheme) in [("GET", "Bearer"), ("POST", "Bearer"), ("GET", "bearer"), ("POST", "BEARER ")] {
            let answer = verify(&mut connection, method, &format!("{scheme} {key}"));
            assert_eq!(answer.status, 200);
            assert!(answer.header("ory-talos-cache").is_some(), "{answer:?}");
            assert_valid(&answer.json(), id);
            assert_eq!(answer.json(), connection.verify(key));
        }
        let ended = connection.call("DELETE", &format!("/keys/{id}"), &[], b"");
        assert_eq!((ended.status, ended.text()), (204, ""));
        for headers in [[].as_slice(), &[("Cache-Control", "no-store")]] {
            let authorization = format!("Bearer {key}");
            let headers = [headers, &[("Authorization", authorization.as_str())]].concat();
            let refused = connection.call("GET", "/verify", &headers, b"");
            assert_eq!(refused.status, 200);
            assert_refused(&refused.json(), "REVOKED");
        }
        connection.call("DELETE", &format!("/keys/{id}"), &[], b"")
            .assert_error(409, "FAILED_PRECONDITION", "FAILED_PRECONDITION");
        server.stop();
    }

    fn a_credential_is_needed(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let key = connection.issue("key").secret;
        let valid = format!("Bearer {key}");
        let missing: [&[(&str, &str)]; 6] = [
            &[],
            &[("Authorization", "")],
            &[("Authorization", "Bearer")],
            &[("Authorization", "Basic dTpw")],
            &[("Authorization", &key)],
            &[("Authorization", &valid), ("Authorization", &valid)],
        ];
        for headers in missing {
            for method in ["GET", "POST"] {
                let answer = connection.call(method, "/verify", headers, b"");
                answer.assert_error(401, "UNAUTHENTICATED", "UNAUTHORIZED");
                assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{headers:?}");
            }
        }
        // An unknown credential gets a verdict, not an error.
        let unknown = verify(&mut connection, "GET", "Bearer nobody");
        assert_eq!(unknown.status, 200);
        assert_refused(&unknown.json(), "NOT_FOUND");
        let long = format!("Bearer {}", "x".repeat(8193));
        verify(&mut connection, "GET", &long).assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
        let body = json!({"expected_audiences": ["https://api.example"]}).to_string();
        let answer = connection.call("POST", "/verify", &[("Authorization", &valid)], body.as_bytes());
        assert_refused(&answer.json(), "AUDIENCE_MISMATCH");
        connection.call("POST", "/verify", &[("Authorization", &valid)], b"{")
            .assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
        connection.call("PUT", "/verify", &[], b"").assert_error(405, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED");
        server.stop();
    }

    fn a_key_that_has_to_be_read_from_disk(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let key = server.connect().issue("key");
        server.stop();
        let server = site.start();
        let answer = verify(&mut server.connect(), "GET", &format!("Bearer {}", key.secret));
        assert_valid(&answer.json(), &key.key_id);
        server.stop();
    }

    fn bad_requests_are_those_of_the_long_routes(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        for body in [
            json!({}),
            json!({"name": ""}),
            json!({"name": "n", "permissions": "read"}),
            json!({"name": "n", "permissions": [""]}),
            json!({"name": "n", "permissions": ["a"], "scopes": ["a"]}),
            json!({"name": "n", "ttl": "0.5s"}),
        ] {
            connection.post("/keys", &body).assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
        }
        server.stop();
    }

    /// An id is one segment of a path, decoded once. No character in it makes it name another key
    /// or another route.
    fn ids_as_attacks(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let key = connection.issue("key");
        let id = &key.key_id;
        let ids = [
            "/".to_owned(), "%2f".to_owned(), "%2F".to_owned(), "..".to_owned(), "%2e%2e".to_owned(), ":".to_owned(),
            "%3a".to_owned(), "%00".to_owned(), "%".to_owned(), "%zz".to_owned(), "*".to_owned(),
            format!("/{id}"), format!("%2f{id}"), format!("{id}/"), format!("{id}%2f"), format!("{id}%00"),
            format!("{id}%0d%0aX: y"), format!("{id}%20"), format!("../keys/{id}"), format!("{id}:revoke"),
            format!("{id}%3Arevoke"), format!("%25{id}"), id.to_uppercase().replace('-', ""), format!("{id};x"),
            format!("{{{id}}}"), format!("urn:uuid:{id}"), "é".to_owned(), "a".repeat(8000),
        ];
        for attack in ids.iter().filter(|id| id.is_ascii() && !id.contains(' ')) {
            for (method, path) in [
                ("DELETE", format!("/keys/{attack}")),
                ("POST", format!("/keys/{attack}/derive")),
                ("GET", format!("{ISSUE}/{attack}")),
                ("PATCH", format!("{ISSUE}/{attack}")),
                ("POST", format!("{ISSUE}/{attack}:rotate")),
                ("POST", format!("/v2alpha1/admin/apiKeys/{attack}:revoke")),
                ("DELETE", format!("/v2alpha1/admin/importedApiKeys/{attack}")),
            ] {
                let body = if method == "PATCH" { json!({"name": "taken"}).to_string() } else { String::new() };
                let answer = connection.call(method, &path, &[], body.as_bytes());
                assert!(matches!(answer.status, 404 | 405), "{method} {path}: {}", answer.status);
                assert!(!answer.closes(), "{method} {path}");
            }
        }
        assert_eq!(connection.get(id)["name"], "key");
        assert_valid(&connection.verify(&key.secret), id);
        // A client may percent-encode the id; it names the same key.
        let encoded = id.replace('-', "%2D");
        assert_eq!(connection.call("DELETE", &format!("/keys/{encoded}"), &[], b"").status, 204);
        server.stop();
    }
}
