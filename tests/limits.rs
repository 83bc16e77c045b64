//! The limits of every field: the values just within and just beyond each, and the values that a
//! key keeps.

use serde_json::{Value, json};
use talos_test_kit::keys::{ISSUE, Issued, assert_refused, assert_valid};

use crate::harness::site::{Server, Site};

/// A request with one field replaced.
fn with(field: &str, value: Value) -> Value {
    let mut body = json!({"name": "n", "actor_id": "a"});
    body[field] = value;
    body
}

/// `{"x":"…"}` of this many bytes.
fn object_of(bytes: usize) -> Value {
    json!({"x": "m".repeat(bytes - r#"{"x":""}"#.len())})
}

both_drivers! {
    fn values_just_within_and_just_beyond_each_limit(driver: Driver) {
        let site = Site::new(driver);
        let mut command = site.command();
        // Else the limit of a ttl is the default maximum of a year.
        command.env("TALOS_CREDENTIALS_API_KEYS_MAX_TTL", "87600h");
        let server = Server::start(command, site.directory().join("talos.log"));
        let mut connection = server.connect();
        let text = |length| json!("ü".repeat(length));
        let many = |count: usize, value: &str| json!(vec![value; count]);
        let policy = |quota: Value, window: &str, unit: &str| json!({"quota": quota, "window": window, "unit": unit});
        let cidrs = |list: Value| json!({"allowed_cidrs": list});
        let table = [
            ("name", text(255), text(256)),
            ("name", text(1), text(0)),
            ("actor_id", text(255), text(256)),
            ("scopes", many(100, "s"), many(101, "s")),
            ("scopes", json!(["s".repeat(255)]), json!(["s".repeat(256)])),
            ("scopes", json!([]), json!([""])),
            ("metadata", object_of(64 << 10), object_of((64 << 10) + 1)),
            ("ttl", json!("1s"), json!("999ms")),
            ("ttl", json!("315360000s"), json!("315360001s")),
            ("ttl", json!("10y"), json!("10y1s")),
            ("ttl", json!("1y6mo"), json!("1x")),
            ("ttl", json!("1h30m"), json!("-1h")),
            ("request_id", json!("r".repeat(36)), json!("r".repeat(37))),
            ("ip_restriction", cidrs(many(100, "10.0.0.0/8")), cidrs(many(101, "10.0.0.0/8"))),
            ("ip_restriction", cidrs(json!(["::/0"])), cidrs(json!(["10.0.0.0/33"]))),
            ("rate_limit_policy", policy(json!(1), "60s", "requests"), policy(json!(0), "60s", "requests")),
            ("rate_limit_policy", policy(json!("100"), "1m", "requests"), policy(json!("1.5"), "1m", "requests")),
            ("rate_limit_policy", policy(json!(1), "1s", "requests"), policy(json!(1), "1500ms", "requests")),
            ("rate_limit_policy", policy(json!(1), "1s", ""), policy(json!(1), "1s", "bytes")),
            ("visibility", json!("KEY_VISIBILITY_SECRET"), json!("KEY_VISIBILITY_OTHER")),
        ];
        for (field, good, bad) in table {
            let show = |value: &Value| value.to_string().chars().take(60).collect::<String>();
            let accepted = connection.post(ISSUE, &with(field, good.clone()));
            assert_eq!(accepted.status, 201, "{field} = {}: {accepted:?}", show(&good));
            let refused = connection.post(ISSUE, &with(field, bad.clone()));
            eprintln!("{field} = {}", show(&bad));
            refused.assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
            let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
            assert!(message.contains(field), "{field} is not named: {message}");
        }
        // There is no prefix for public keys in this configuration.
        let public = connection.post(ISSUE, &with("visibility", json!("KEY_VISIBILITY_PUBLIC")));
        public.assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
        server.stop();
    }

    fn a_key_keeps_what_it_was_given(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let name = "quotes \" \\ / \u{1} \u{7f} \u{2028} 😀 </script>";
        let metadata = json!({"team": name, "n": [1, 2.5, null, true], "nested": {"deep": {}}});
        let body = json!({
            "name": name, "actor_id": name, "scopes": [name, "read:*"], "metadata": metadata, "ttl": "1h",
            "rate_limit_policy": {"quota": "100", "window": "1m", "unit": "requests"},
            "ip_restriction": {"allowed_cidrs": ["127.0.0.0/8", "::1/128"]},
            "unknown_field": {"is": "ignored"},
        });
        let answer = connection.post(ISSUE, &body);
        let issued = Issued::from(&answer);
        let resource = connection.get(&issued.key_id);
        assert_eq!(answer.json()["issued_api_key"], resource);
        for field in ["name", "actor_id", "scopes", "metadata", "ip_restriction"] {
            assert_eq!(resource[field], body[field], "{field}");
        }
        assert_eq!(resource["rate_limit_policy"], json!({"quota": "100", "window": "60s", "unit": "requests"}));
        assert_eq!(resource["visibility"], "KEY_VISIBILITY_SECRET");

        let verdict = connection.verify(&issued.secret);
        assert_valid(&verdict, &issued.key_id);
        for field in ["actor_id", "scopes", "metadata", "rate_limit_policy", "expire_time", "visibility"] {
            assert_eq!(verdict[field], resource[field], "{field}");
        }
        server.stop();
    }

    fn an_address_outside_the_restriction_is_refused(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let body = with("ip_restriction", json!({"allowed_cidrs": ["192.0.2.0/24"]}));
        let issued = Issued::from(&connection.post(ISSUE, &body));
        for _ in 0..3 {
            assert_refused(&connection.verify(&issued.secret), "IP_NOT_ALLOWED");
        }
        server.stop();
    }

    fn a_key_expires_by_itself(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let issued = Issued::from(&connection.post(ISSUE, &with("ttl", json!("1s"))));
        connection.verify(&issued.secret);
        // The key lives for one second, so it has expired after this, however slow the machine is.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        for headers in [[].as_slice(), &[("Cache-Control", "no-store")]] {
            assert_refused(&connection.verify_with(&issued.secret, headers), "EXPIRED");
        }
        assert_eq!(connection.get(&issued.key_id)["status"], "KEY_STATUS_EXPIRED");
        server.stop();
    }
}
