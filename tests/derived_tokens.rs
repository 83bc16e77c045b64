//! The life of a derived token: derived from a key, verified, narrowed, and invalid once its key
//! is.

use std::fs;

use serde_json::{Value, json};
use talos_credentials::token::{Narrowing, macaroon};
use talos_model::clock;
use talos_test_kit::http::Connection;
use talos_test_kit::keys::{DERIVE, ISSUE, Issued, VERIFY, assert_refused, assert_valid};

use crate::dev_mode::DevServer;
use crate::harness::cli::{run, talos, talos_with_input};
use crate::harness::site::Site;
use crate::harness::tokens::{ALGORITHMS, ED25519_JWK, SIGNING_KEYS, start, start_with, text, url};
use crate::metrics;

const IMPORT: &str = "/v2alpha1/admin/importedApiKeys";
const CACHE_CONTROLS: [&[(&str, &str)]; 4] = [
    &[],
    &[],
    &[("Cache-Control", "no-cache")],
    &[("Cache-Control", "no-store")],
];

fn verify_for(connection: &mut Connection, token: &str, audiences: &[&str]) -> Value {
    let body = json!({"credential": token, "expected_audiences": audiences});
    connection.post(VERIFY, &body).json()
}

fn issue_with(connection: &mut Connection, more: &Value) -> Issued {
    let mut body = json!({"name": "n", "actor_id": "a", "scopes": ["read:*", "write:*"]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    Issued::from(&connection.post(ISSUE, &body))
}

both_drivers! {
    fn from_derivation_to_the_end_of_the_key(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site);
        let mut connection = server.connect();
        for algorithm in ALGORITHMS {
            let more = json!({"metadata": {"team": "payments", "n": 1.50}, "visibility": "KEY_VISIBILITY_SECRET"});
            let key = issue_with(&mut connection, &more);
            let derived = connection.derive(&key.secret, algorithm, &json!({"ttl": "1h", "scopes": ["read:*"]}));
            assert_eq!((&derived["scopes"], &derived["audiences"]), (&json!(["read:*"]), &json!([])));
            let token = text(&derived["token"]);
            for headers in CACHE_CONTROLS {
                let verdict = connection.verify_with(&token, headers);
                assert_eq!(verdict, json!({
                    "is_valid": true, "is_active": true, "status": "KEY_STATUS_ACTIVE", "key_id": key.key_id, "actor_id": "a",
                    "scopes": ["read:*"], "metadata": {"team": "payments", "n": 1.5}, "visibility": "KEY_VISIBILITY_SECRET",
                    "issuer": "https://issuer.example", "audiences": [], "expire_time": derived["expire_time"],
                }));
            }
            // The answer for a key names no audience, because keys have none.
            assert!(connection.verify(&key.secret).get("audiences").is_none());
            let other = text(&connection.derive(&key.secret, algorithm, &json!({}))["token"]);
            assert_ne!(other, token, "each token has its own name");

            connection.post("/v2alpha1/apiKeys:selfRevoke", &json!({"credential": token}))
                .assert_error(400, "INVALID_ARGUMENT", "DERIVED_TOKEN_NOT_REVOCABLE");
            connection.post(IMPORT, &json!({"raw_key": token, "name": "n", "actor_id": "a"}))
                .assert_error(409, "FAILED_PRECONDITION", "FAILED_PRECONDITION");
            connection.ask_for_token(&token, algorithm, &json!({}))
                .assert_error(400, "INVALID_ARGUMENT", "INVALID_TOKEN_TYPE");
            assert_valid(&connection.verify(&token), &key.key_id);

            assert_eq!(connection.revoke(&key.key_id).status, 204);
            for token in [&token, &other] {
                for headers in CACHE_CONTROLS {
                    assert_refused(&connection.verify_with(token, headers), "REVOKED");
                }
            }
            connection.ask_for_token(&key.secret, algorithm, &json!({}))
                .assert_error(401, "UNAUTHENTICATED", "API_KEY_REVOKED");
        }
        let (_, page) = metrics::Page::scrape(metrics::listener(&server));
        for algorithm in ["jwt", "macaroon"] {
            let sample = format!("talos_tokens_minted_total{{algorithm=\"{algorithm}\"}} 2");
            assert!(page.lines().any(|line| line == sample), "{sample}\n{page}");
        }
        let log = server.log.clone();
        server.stop();
        let log = fs::read_to_string(log).unwrap();
        assert_eq!(log.matches("APIKeyDerivedToken").count(), 4, "{log}");
        assert_eq!(log.matches(r#""ttl":"3600s""#).count(), 4, "{log}");
        assert!(log.contains(r#""owner_id":"a""#) && !log.contains(r#""actor_id""#), "{log}");
        assert!(!log.contains("eyJhbGciOi") && !log.contains("mc_v1_"), "a token in the log: {log}");
    }

    fn rotation_and_deletion_end_tokens_too(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site);
        let mut connection = server.connect();
        let key = connection.issue("key");
        let imported = json!({"raw_key": "sk_1", "name": "n", "actor_id": "a", "scopes": ["s"]});
        let imported_id = text(&connection.post(IMPORT, &imported).json()["key_id"]);
        let of_key = ALGORITHMS.map(|algorithm| connection.token(&key.secret, algorithm));
        let of_imported = ALGORITHMS.map(|algorithm| connection.token("sk_1", algorithm));
        for token in of_key.iter().chain(&of_imported) {
            assert_eq!(connection.verify(token)["is_valid"], true);
        }
        let rotated = connection.post(&format!("{ISSUE}/{}:rotate", key.key_id), &json!({}));
        assert_eq!(rotated.status, 201);
        assert_eq!(connection.call("DELETE", &format!("{IMPORT}/{imported_id}"), &[], b"").status, 204);
        for token in of_key.iter().chain(&of_imported) {
            for headers in CACHE_CONTROLS {
                assert_refused(&connection.verify_with(token, headers), "REVOKED");
            }
        }
        server.stop();
    }

    fn tokens_outlive_their_key_without_the_parent_check(driver: Driver) {
        let site = Site::new(driver);
        let server = start_with(&site, &[(SIGNING_KEYS, &url(ED25519_JWK)), ("DERIVED_TOKENS_CHECK_PARENT", "false")]);
        let mut connection = server.connect();
        let key = connection.issue("key");
        let tokens = ALGORITHMS.map(|algorithm| connection.token(&key.secret, algorithm));
        assert_eq!(connection.revoke(&key.key_id).status, 204);
        for token in &tokens {
            for headers in CACHE_CONTROLS {
                assert_valid(&connection.verify_with(token, headers), &key.key_id);
            }
        }
        server.stop();
    }

    fn audiences_are_exact(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site);
        let mut connection = server.connect();
        let key = connection.issue("key");
        for algorithm in ALGORITHMS {
            let derived = connection.derive(&key.secret, algorithm, &json!({"audiences": ["api", "web"]}));
            assert_eq!(derived["audiences"], json!(["api", "web"]));
            let token = text(&derived["token"]);
            for _ in 0..2 {
                let verdict = verify_for(&mut connection, &token, &["other", "web"]);
                assert_valid(&verdict, &key.key_id);
                assert_eq!(verdict["audiences"], json!(["api", "web"]));
                for expected in [&[][..], &["API"], &["ap"], &["api "], &["*"]] {
                    assert_refused(&verify_for(&mut connection, &token, expected), "AUDIENCE_MISMATCH");
                }
            }
            let batch = json!({"requests": [
                {"credential": token}, {"credential": token, "expected_audiences": ["api"]},
            ]});
            let results = connection.post("/v2alpha1/admin/apiKeys:batchVerify", &batch).json()["results"].clone();
            assert_refused(&results[0], "AUDIENCE_MISMATCH");
            assert_valid(&results[1], &key.key_id);
            let plain = connection.token(&key.secret, algorithm);
            assert_refused(&verify_for(&mut connection, &plain, &["api"]), "AUDIENCE_MISMATCH");
        }
        server.stop();
    }

    fn macaroons_are_narrowed_offline(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site);
        let mut connection = server.connect();
        let key = issue_with(&mut connection, &json!({}));
        let token = connection.token(&key.secret, ALGORITHMS[1]);
        let narrow = |token: &str, flags: &[&str]| {
            let line = [&["macaroon", "attenuate", "-"], flags].concat();
            talos_with_input(server.address, &line, token).succeeded().trim_end().to_owned()
        };
        let read = narrow(&token, &["--scopes", "read:*", "--ttl", "10m"]);
        let verdict = connection.verify(&read);
        assert_valid(&verdict, &key.key_id);
        assert_eq!(verdict["scopes"], json!(["read:*"]));
        let here = narrow(&read, &["--cidrs", "127.0.0.0/8"]);
        assert_valid(&connection.verify(&here), &key.key_id);
        let elsewhere = narrow(&here, &["--cidrs", "127.0.0.99/32"]);
        for _ in 0..2 {
            assert_refused(&connection.verify(&elsewhere), "IP_NOT_ALLOWED");
        }
        assert_eq!(connection.verify(&token)["scopes"], json!(["read:*", "write:*"]));
        server.stop();
    }

    /// A holder's clock is often a second behind the server's.
    fn caveats_with_weaker_times_change_nothing(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site);
        let mut connection = server.connect();
        let key = issue_with(&mut connection, &json!({}));
        let token = connection.token(&key.secret, ALGORITHMS[1]);
        let before = connection.verify(&token);
        assert_valid(&before, &key.key_id);
        let now_s = clock::now().seconds();
        let narrow = |token: &str, exp: Option<i64>, nbf: Option<i64>| {
            let caveat = Narrowing { expires_at_s: exp, not_before_s: nbf, ..Narrowing::default() };
            macaroon::attenuate(token, &caveat).unwrap()
        };
        let mut weakened = token.clone();
        for (exp, nbf) in [
            (None, Some(now_s - 1)),
            (None, Some(0)),
            (Some(now_s + 1_000_000_000), None),
            (Some(now_s + 1_000_000_000), Some(now_s - 100)),
            (Some(i64::MAX), Some(i64::MIN)),
        ] {
            assert_eq!(connection.verify(&narrow(&token, exp, nbf)), before, "{exp:?} {nbf:?}");
            weakened = narrow(&weakened, exp, nbf);
            assert_eq!(connection.verify(&weakened), before, "{exp:?} {nbf:?}");
        }
        // A stronger one still ends it, whatever follows.
        let ended = narrow(&weakened, Some(now_s - 3600), None);
        assert_refused(&connection.verify(&ended), "EXPIRED");
        let ended = narrow(&ended, Some(i64::MAX), None);
        assert_refused(&connection.verify(&ended), "EXPIRED");
        server.stop();
    }

    fn invalid_requests_for_tokens_are_refused(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site);
        let mut connection = server.connect();
        let key = issue_with(&mut connection, &json!({"ttl": "1h"}));
        let restricted = issue_with(&mut connection, &json!({"ip_restriction": {"allowed_cidrs": ["192.0.2.0/24"]}}));
        let last = if key.secret.ends_with('2') { '3' } else { '2' };
        let wrong_checksum = format!("{}{last}", &key.secret[..key.secret.len() - 1]);
        let large = json!({"a": "x".repeat(9000)});
        let heavy = issue_with(&mut connection, &json!({"metadata": {"a": "x".repeat(9000)}}));
        for algorithm in ALGORITHMS {
            for (credential, more, status, grpc, reason) in [
                ("", json!({}), 400, "INVALID_ARGUMENT", "CREDENTIAL_REQUIRED"),
                ("eyJ.e30.x", json!({}), 400, "INVALID_ARGUMENT", "INVALID_TOKEN_TYPE"),
                ("mc_v1_AgEB", json!({}), 400, "INVALID_ARGUMENT", "INVALID_TOKEN_TYPE"),
                ("unknown", json!({}), 401, "UNAUTHENTICATED", "PARENT_KEY_INVALID"),
                (&wrong_checksum, json!({}), 401, "UNAUTHENTICATED", "PARENT_KEY_INVALID"),
                (&restricted.secret, json!({}), 403, "PERMISSION_DENIED", "IP_NOT_ALLOWED"),
                (&key.secret, json!({"scopes": ["admin"]}), 403, "PERMISSION_DENIED", "FORBIDDEN"),
                (&key.secret, json!({"scopes": ["read:*", "READ:*"]}), 403, "PERMISSION_DENIED", "FORBIDDEN"),
                (&key.secret, json!({"ttl": "61m"}), 400, "INVALID_ARGUMENT", "BAD_REQUEST"),
                (&key.secret, json!({"ttl": "8761h"}), 400, "INVALID_ARGUMENT", "BAD_REQUEST"),
                (&key.secret, json!({"ttl": "100ms"}), 400, "INVALID_ARGUMENT", "BAD_REQUEST"),
                (&key.secret, json!({"algorithm": "HS256"}), 400, "INVALID_ARGUMENT", "BAD_REQUEST"),
                (&key.secret, json!({"audiences": vec!["a"; 17]}), 400, "INVALID_ARGUMENT", "BAD_REQUEST"),
                (&key.secret, json!({"audiences": ["x".repeat(256)]}), 400, "INVALID_ARGUMENT", "BAD_REQUEST"),
                (&key.secret, json!({"custom_claims": [1]}), 400, "INVALID_ARGUMENT", "BAD_REQUEST"),
                (&key.secret, json!({"custom_claims": large}), 400, "INVALID_ARGUMENT", "BAD_REQUEST"),
                (&heavy.secret, json!({}), 400, "INVALID_ARGUMENT", "BAD_REQUEST"),
            ] {
                eprintln!("{algorithm} {more}");
                connection.ask_for_token(credential, algorithm, &more).assert_error(status, grpc, reason);
            }
            // The default lifetime of an hour is cut to the rest of the key's lifetime; a requested
            // hour is refused.
            let derived = connection.derive(&key.secret, algorithm, &json!({}));
            let parent = connection.get(&key.key_id);
            let seconds = |value: &Value| text(&value["expire_time"])[..19].to_owned();
            assert!(seconds(&derived) <= seconds(&parent), "{derived} {parent}");
        }
        connection.call("GET", DERIVE, &[], b"").assert_error(405, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED");
        server.stop();
    }

    fn an_expired_key_has_no_tokens(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site);
        let mut connection = server.connect();
        let key = issue_with(&mut connection, &json!({"ttl": "1s"}));
        while connection.verify(&key.secret)["is_valid"] == true {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        connection.ask_for_token(&key.secret, ALGORITHMS[0], &json!({}))
            .assert_error(401, "UNAUTHENTICATED", "API_KEY_EXPIRED");
        server.stop();
    }

    fn without_signing_keys_only_macaroons_are_made(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let key = connection.issue("key");
        let answer = connection.ask_for_token(&key.secret, ALGORITHMS[0], &json!({}));
        answer.assert_error(409, "FAILED_PRECONDITION", "FAILED_PRECONDITION");
        let message = text(&answer.json()["error"]["message"]);
        assert!(message.contains("credentials.derived_tokens.jwt.signing_keys.urls"), "{message}");
        let token = connection.token(&key.secret, ALGORITHMS[1]);
        assert_valid(&connection.verify(&token), &key.key_id);
        server.stop();

        let server = start_with(&site, &[(SIGNING_KEYS, &url(ED25519_JWK)), ("DERIVED_TOKENS_JWT_SIGNING_KEY_ID", "other")]);
        let answer = server.connect().ask_for_token(&key.secret, ALGORITHMS[0], &json!({}));
        answer.assert_error(500, "INTERNAL", "INTERNAL_SERVER_ERROR");
        let message = text(&answer.json()["error"]["message"]);
        assert!(message.contains("\"other\""), "{message}");
        server.stop();
    }

    fn retired_issuers_prefixes_and_secrets_still_count(driver: Driver) {
        let site = Site::new(driver);
        let keys = url(ED25519_JWK);
        let server = start(&site);
        let mut connection = server.connect();
        let key = connection.issue("key");
        let [jwt, macaroon] = ALGORITHMS.map(|algorithm| connection.token(&key.secret, algorithm));
        server.stop();

        let check = |variables: &[(&str, &str)], of_jwt: Option<&str>, of_macaroon: Option<&str>| {
            let server = start_with(&site, &[&[(SIGNING_KEYS, keys.as_str())], variables].concat());
            let mut connection = server.connect();
            for (token, refusal) in [(&jwt, of_jwt), (&macaroon, of_macaroon)] {
                let verdict = connection.verify(token);
                match refusal {
                    None => assert_valid(&verdict, &key.key_id),
                    Some(code) => assert_refused(&verdict, code),
                }
            }
            server.stop();
        };
        let other = ("ISSUER", "https://other.example");
        check(&[other], Some("NOT_FOUND"), Some("NOT_FOUND"));
        check(&[other, ("ISSUER_RETIRED", "https://older.example,https://issuer.example")], None, None);
        check(&[("DERIVED_TOKENS_MACAROON_PREFIX_CURRENT", "new")], None, Some("NOT_FOUND"));
        check(
            &[("DERIVED_TOKENS_MACAROON_PREFIX_CURRENT", "new"), ("DERIVED_TOKENS_MACAROON_PREFIX_RETIRED", "mc")],
            None,
            None,
        );
        let mut command = site.command();
        command
            .env("TALOS_SECRETS_HMAC_CURRENT", "another secret for tests, of more than 32 characters")
            .env("TALOS_SECRETS_HMAC_RETIRED_0", crate::harness::tokens::SECRET);
        let server = crate::harness::site::Server::start(command, site.directory().join("retired.log"));
        let mut connection = server.connect();
        assert_valid(&connection.verify(&macaroon), &key.key_id);
        // The new server has other signing keys.
        assert_refused(&connection.verify(&jwt), "SIGNATURE_INVALID");
        server.stop();
    }

    fn configured_prefixes_cannot_be_imported(driver: Driver) {
        let site = Site::new(driver);
        let server = start_with(&site, &[
            ("DERIVED_TOKENS_MACAROON_PREFIX_CURRENT", "new"), ("DERIVED_TOKENS_MACAROON_PREFIX_RETIRED", "old"),
        ]);
        let mut connection = server.connect();
        let import = |raw_key: &str| json!({"raw_key": raw_key, "name": "n", "actor_id": "a"});
        for raw_key in ["new_v1_x", "old_v1_x"] {
            connection.post(IMPORT, &import(raw_key)).assert_error(409, "FAILED_PRECONDITION", "FAILED_PRECONDITION");
        }
        assert_eq!(connection.post(IMPORT, &import("mc_v1_x")).status, 201);
        assert_eq!(connection.verify("mc_v1_x")["is_valid"], true);
        server.stop();
    }

    fn without_a_cache_tokens_work_as_well(driver: Driver) {
        let site = Site::new(driver);
        let mut command = site.command();
        command.env("TALOS_CACHE_TYPE", "noop").env(format!("TALOS_CREDENTIALS_{SIGNING_KEYS}"), url(ED25519_JWK));
        let server = crate::harness::site::Server::start(command, site.directory().join("noop.log"));
        let mut connection = server.connect();
        let key = connection.issue("key");
        let tokens = ALGORITHMS.map(|algorithm| connection.token(&key.secret, algorithm));
        for token in &tokens {
            assert_valid(&connection.verify(token), &key.key_id);
        }
        assert_eq!(connection.revoke(&key.key_id).status, 204);
        for token in &tokens {
            assert_refused(&connection.verify(token), "REVOKED");
        }
        server.stop();
    }

    fn over_the_command_line(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site);
        let mut connection = server.connect();
        let key = connection.issue("key");
        let derived = talos(server.address, &[
            "keys", "derive-token", &key.secret, "--algorithm", "jwt", "--ttl", "1h",
            "--claims", r#"{"role":"preview-user","environment":"demo"}"#, "--format", "json",
        ]).json();
        assert_eq!(derived["token"]["claims"]["role"], "preview-user");
        let token = text(&derived["token"]["token"]);
        assert_valid(&talos(server.address, &["keys", "verify", &token, "--format", "json"]).json(), &key.key_id);

        let line = ["keys", "derive-token", "-", "--algorithm", "macaroon", "--scopes", "read:*", "--audiences", "api", "-q"];
        let quiet = talos_with_input(server.address, &line, &key.secret);
        let macaroon = quiet.succeeded().trim_end().to_owned();
        assert_valid(&verify_for(&mut connection, &macaroon, &["api"]), &key.key_id);
        let table = talos(server.address, &["keys", "derive-token", &key.secret]);
        assert!(table.succeeded().contains("expire_time") && table.stdout.contains("eyJ"), "{table:?}");
        let refused = talos(server.address, &["keys", "derive-token", &key.secret, "--scopes", "admin"]);
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{refused:?}");
        assert!(refused.stderr.contains("admin"), "{refused:?}");
        assert_eq!(talos(server.address, &["keys", "derive-token", &key.secret, "--algorithm", "HS256"]).code, Some(2));
        server.stop();
    }
}

#[test]
fn a_development_server_signs() {
    let directory = tempfile::tempdir().unwrap();
    let server = DevServer::start(directory.path());
    let mut connection = Connection::open(server.address);
    let key = connection.issue("key");
    for algorithm in ALGORITHMS {
        let token = connection.token(&key.secret, algorithm);
        assert_valid(&connection.verify(&token), &key.key_id);
    }
    server.stop();
}

#[test]
fn ambiguous_prefixes_stop_the_start() {
    let site = Site::new(crate::harness::Driver::Epoll);
    for (key_prefix, macaroon_prefix) in [("same", "same"), ("a_v1_b", "a")] {
        let mut command = site.command();
        command
            .env("TALOS_CREDENTIALS_API_KEYS_PREFIX_CURRENT", key_prefix)
            .env(
                "TALOS_CREDENTIALS_DERIVED_TOKENS_MACAROON_PREFIX_CURRENT",
                macaroon_prefix,
            );
        run(command).assert_one_line_and_code_1(&[
            "credentials.derived_tokens.macaroon.prefix",
            key_prefix,
        ]);
    }
}
