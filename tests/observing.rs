//! `?observe=true`: an administrator looks at a credential, and the key does not count as used.

use serde_json::{Value, json};
use talos_test_kit::http::{Answer, Connection};
use talos_test_kit::keys::{ISSUE, Issued, VERIFY, assert_refused, assert_valid};

use crate::harness::cli::{talos, talos_with_input};
use crate::harness::site::{Server, Site};
use crate::metrics;

const BATCH: &str = "/v2alpha1/admin/apiKeys:batchVerify";
const TOKEN: &str = "the-bootstrap-token-of-this-site-0123456789";

fn start(site: &Site, settings: &[(&str, &str)], arguments: &[&str]) -> Server {
    let mut command = site.command();
    command
        .args(arguments)
        .env("TALOS_RATE_LIMIT_ENABLED", "true");
    for (name, value) in settings {
        command.env(format!("TALOS_{name}"), value);
    }
    Server::start(command, site.directory().join("server.log"))
}

/// Issues a key that can be used once an hour.
fn issue(connection: &mut Connection) -> Issued {
    let policy = json!({"quota": 1, "window": "3600s"});
    let body = json!({"name": "n", "actor_id": "a", "rate_limit_policy": policy});
    Issued::from(&connection.post(ISSUE, &body))
}

fn observe(connection: &mut Connection, credential: &str) -> Answer {
    let body = json!({"credential": credential});
    connection.post(&format!("{VERIFY}?observe=true"), &body)
}

/// All samples of the metrics page that count verifications and uses of keys.
fn counters(server: &Server) -> Vec<String> {
    let page = metrics::get(metrics::listener(server), "/metrics");
    let is_counter = |line: &&str| {
        let counted = [
            "talos_keys_verified_total",
            "talos_cache_",
            "talos_last_used_",
        ];
        counted.iter().any(|name| line.starts_with(name)) && !line.starts_with("talos_cache_bytes")
    };
    let lines = page.text().lines().filter(is_counter);
    lines.map(str::to_owned).collect()
}

both_drivers! {
    fn an_observation_is_no_use_of_the_key(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site, &[], &[]);
        let mut connection = server.connect();
        let key = issue(&mut connection);
        let before = counters(&server);
        assert!(before.len() > 4, "{before:?}");
        for _ in 0..3 {
            let answer = observe(&mut connection, &key.secret);
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("Ory-Talos-Cache"), Some("SKIP"));
            assert_eq!(answer.header("RateLimit"), None);
            let body = answer.json();
            assert_valid(&body, &key.key_id);
            assert_eq!(body.get("rate_limit_remaining"), None);

            let body = json!({"requests": [{"credential": key.secret}, {"credential": "sk_x"}]});
            let answer = connection.post(&format!("{BATCH}?observe=true"), &body).json();
            assert_valid(&answer["results"][0], &key.key_id);
            assert_refused(&answer["results"][1], "NOT_FOUND");

            let bearer = format!("Bearer {}", key.secret);
            let headers = [("Authorization", bearer.as_str())];
            for method in ["GET", "POST"] {
                let answer = connection.call(method, "/verify?x=1&observe=true", &headers, b"");
                assert_valid(&answer.json(), &key.key_id);
            }
        }
        assert_eq!(connection.get(&key.key_id)["last_used_time"], Value::Null);
        assert_eq!(counters(&server), before);

        // The one use of the hour is still there, and an observation shows the key when it is gone.
        assert_valid(&connection.verify(&key.secret), &key.key_id);
        assert_refused(&connection.verify(&key.secret), "RATE_LIMITED");
        let used = connection.get(&key.key_id)["last_used_time"].clone();
        assert!(used.is_string());
        assert_valid(&observe(&mut connection, &key.secret).json(), &key.key_id);
        assert_eq!(connection.get(&key.key_id)["last_used_time"], used);

        assert_eq!(connection.revoke(&key.key_id).status / 100, 2);
        assert_refused(&observe(&mut connection, &key.secret).json(), "REVOKED");
        server.stop();
    }

    fn false_is_as_no_parameter_and_other_values_are_refused(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site, &[], &[]);
        let mut connection = server.connect();
        let key = issue(&mut connection);
        let body = json!({"credential": key.secret});
        for query in ["observe", "observe=1", "observe=True", "observed=true", "observe=true&observe=true"] {
            let refused = connection.post(&format!("{VERIFY}?{query}"), &body);
            refused.assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
        }
        let counted = connection.post(&format!("{VERIFY}?observe=false"), &body);
        assert_valid(&counted.json(), &key.key_id);
        assert_refused(&connection.verify(&key.secret), "RATE_LIMITED");
        server.stop();
    }

    fn a_listener_that_is_not_for_administrators_refuses_it(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site, &[], &["data"]);
        let mut connection = server.connect();
        for path in [VERIFY, BATCH, "/verify"] {
            let refused = connection.post(&format!("{path}?observe=true"), &json!({"credential": "x"}));
            refused.assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
        }
        server.stop();
    }

    fn only_those_who_may_read_keys_observe(driver: Driver) {
        let site = Site::new(driver);
        let settings = [
            ("SERVE_ADMIN_AUTH_ENABLED", "true"),
            ("SERVE_ADMIN_AUTH_OPEN_VERIFICATION", "true"),
            ("SERVE_ADMIN_AUTH_BOOTSTRAP_TOKEN", TOKEN),
        ];
        let server = start(&site, &settings, &[]);
        let mut connection = server.connect();
        let admin = format!("Bearer {TOKEN}");
        let mut token = |role: &str| {
            let body = json!({"name": role, "role": role}).to_string();
            let headers = [("Authorization", admin.as_str()), ("Content-Type", "application/json")];
            let answer = connection.call("POST", "/v2alpha1/admin/tokens", &headers, body.as_bytes());
            answer.json()["secret"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
        };
        let tokens = ["verify", "read", "write", "operate", "admin"].map(|role| (role, token(role)));
        let body = br#"{"credential":"sk_nobody"}"#;
        assert_eq!(connection.call("POST", VERIFY, &[], body).status, 200);
        for path in [VERIFY, BATCH, "/verify"] {
            let path = format!("{path}?observe=true");
            let anonymous = connection.call("POST", &path, &[], body);
            anonymous.assert_error(401, "UNAUTHENTICATED", "UNAUTHORIZED");
        }
        let path = format!("{VERIFY}?observe=true");
        for (role, token) in &tokens {
            let answer = connection.call("POST", &path, &[("X-Talos-Token", token)], body);
            if *role == "verify" {
                answer.assert_error(403, "PERMISSION_DENIED", "FORBIDDEN");
            } else {
                assert_refused(&answer.json(), "NOT_FOUND");
            }
        }
        let headers = [("Authorization", "Bearer sk_nobody"), ("X-Talos-Token", &tokens[1].1)];
        let answer = connection.call("GET", "/verify?observe=true", &headers, b"");
        assert_refused(&answer.json(), "NOT_FOUND");
        server.stop();
    }

    fn the_command_line_observes(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site, &[], &[]);
        let mut connection = server.connect();
        let key = issue(&mut connection);
        let verify = ["keys", "verify", "-", "--observe", "--format", "json"];
        for _ in 0..2 {
            let ran = talos_with_input(server.address, &verify, &key.secret);
            assert_valid(&ran.json(), &key.key_id);
            let batch = ["keys", "batch-verify", &key.secret, "--observe", "--format", "json"];
            let ran = talos(server.address, &batch).json();
            assert_valid(&ran["results"][0], &key.key_id);
        }
        assert_eq!(connection.get(&key.key_id)["last_used_time"], Value::Null);
        assert_valid(&connection.verify(&key.secret), &key.key_id);
        server.stop();
    }
}
