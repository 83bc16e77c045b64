//! The life of a key, over HTTP and over the command line.

use serde_json::json;
use talos_test_kit::http::Connection;
use talos_test_kit::keys::{ISSUE, Issued, VERIFY, assert_refused, assert_valid};

use crate::harness::cli::talos;
use crate::harness::site::Site;

/// Every way in which the headers of a request control caches.
const CACHE_CONTROLS: [&[(&str, &str)]; 7] = [
    &[],
    &[("Cache-Control", "no-cache")],
    &[("Pragma", "no-cache")],
    &[("Cache-Control", "no-store")],
    &[("cache-control", "NO-CACHE")],
    &[("Cache-Control", "max-age=0, No-Store")],
    &[],
];

fn issue_first_key(connection: &mut Connection) -> Issued {
    let body = json!({
        "name": "My first key", "actor_id": "quickstart-user", "scopes": ["read:*", "write:*"], "ttl": "168h",
    });
    let answer = connection.post(ISSUE, &body);
    let key = answer.json()["issued_api_key"].clone();
    assert_eq!(key["name"], "My first key");
    assert_eq!(key["actor_id"], "quickstart-user");
    assert_eq!(key["scopes"], json!(["read:*", "write:*"]));
    assert_eq!(key["status"], "KEY_STATUS_ACTIVE");
    let expires = key["expire_time"].as_str().unwrap();
    assert!(expires.ends_with('Z'), "{expires}");
    assert!(key.get("secret").is_none());
    let issued = Issued::from(&answer);
    assert!(issued.secret.starts_with("ory_ak_v1_"), "{}", issued.secret);
    issued
}

both_drivers! {
    fn over_http(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let key = issue_first_key(&mut connection);

        for headers in CACHE_CONTROLS {
            let verdict = connection.verify_with(&key.secret, headers);
            assert_valid(&verdict, &key.key_id);
            assert_eq!(verdict["is_active"], true);
            assert_eq!(verdict["status"], "KEY_STATUS_ACTIVE");
            assert_eq!(verdict["actor_id"], "quickstart-user");
            assert_eq!(verdict["scopes"], json!(["read:*", "write:*"]));
            assert_eq!(verdict["issuer"], "https://issuer.example");
            assert!(verdict["expire_time"].is_string());
            assert!(!verdict.to_string().contains(&key.secret), "a secret in an answer");
        }

        let revoked = connection.revoke(&key.key_id);
        assert_eq!((revoked.status, revoked.text()), (204, ""));
        // RFC 9110 §8.6: an answer 204 has no Content-Length.
        assert_eq!((revoked.header("content-length"), revoked.header("content-type")), (None, None));
        for headers in CACHE_CONTROLS {
            assert_refused(&connection.verify_with(&key.secret, headers), "REVOKED");
        }
        let resource = connection.get(&key.key_id);
        assert_eq!(resource["status"], "KEY_STATUS_REVOKED");
        assert_eq!(resource["revocation_reason"], "REVOCATION_REASON_SUPERSEDED");
        connection.revoke(&key.key_id).assert_error(409, "FAILED_PRECONDITION", "FAILED_PRECONDITION");
        server.stop();
    }

    /// With two workers, some of these connections belong to another core than the one that
    /// verified the key first.
    fn a_revocation_holds_at_once_on_every_connection(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut writer = server.connect();
        let mut readers: Vec<_> = (0..16).map(|_| server.connect()).collect();
        for round in 0..20 {
            let key = writer.issue(&format!("round {round}"));
            for reader in &mut readers {
                assert_valid(&reader.verify(&key.secret), &key.key_id);
            }
            assert_eq!(writer.revoke(&key.key_id).status, 204);
            for (index, reader) in readers.iter_mut().enumerate() {
                let headers = CACHE_CONTROLS[index % CACHE_CONTROLS.len()];
                assert_refused(&reader.verify_with(&key.secret, headers), "REVOKED");
            }
        }
        server.stop();
    }

    fn both_revocation_paths_work(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let key = connection.issue("key");
        let path = format!("{ISSUE}/{}:revoke", key.key_id);
        let body = json!({"reason": "REVOCATION_REASON_PRIVILEGE_WITHDRAWN", "description": "left the team"});
        assert_eq!(connection.post(&path, &body).status, 204);
        let resource = connection.get(&key.key_id);
        assert_eq!(resource["revocation_reason"], "REVOCATION_REASON_PRIVILEGE_WITHDRAWN");
        assert_eq!(resource["revocation_description"], "left the team");
        server.stop();
    }

    fn everything_survives_a_clean_restart(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let (kept, revoked) = (connection.issue("kept"), connection.issue("revoked"));
        assert_eq!(connection.revoke(&revoked.key_id).status, 204);
        let resource = connection.get(&kept.key_id);
        server.stop();

        let server = site.start();
        let mut connection = server.connect();
        assert_eq!(connection.get(&kept.key_id), resource);
        assert_valid(&connection.verify(&kept.secret), &kept.key_id);
        assert_refused(&connection.verify(&revoked.secret), "REVOKED");
        server.stop();
    }

    fn the_cache_header_says_where_the_answer_came_from(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let key = connection.issue("key");
        let body = json!({"credential": key.secret}).to_string();
        let mut status = |headers: &[(&str, &str)]| {
            let answer = connection.call("POST", VERIFY, headers, body.as_bytes());
            answer.header("ory-talos-cache").map(ToOwned::to_owned).unwrap_or_default()
        };
        let first = status(&[]);
        assert!(["HIT", "MISS"].contains(&first.as_str()), "{first}");
        assert_eq!(status(&[]), "HIT");
        assert_eq!(status(&[("Cache-Control", "no-cache")]), "SKIP");
        assert_eq!(status(&[("Cache-Control", "no-store")]), "SKIP");
        assert_eq!(status(&[]), "HIT");
        server.stop();
    }

    fn over_the_command_line(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let talos = |arguments: &[&str]| talos(server.address, arguments);
        let issued = talos(&[
            "keys", "issue", "My first key", "--actor", "quickstart-user", "--scopes", "read:*,write:*", "--ttl", "168h",
            "--format", "json",
        ])
        .json();
        let secret = issued["secret"].as_str().unwrap();
        let key_id = issued["issued_api_key"]["key_id"].as_str().unwrap();
        assert_eq!(issued["issued_api_key"]["scopes"], json!(["read:*", "write:*"]));

        let verified = talos(&["keys", "verify", secret]);
        assert!(verified.succeeded().contains(key_id), "{verified:?}");
        assert_valid(&talos(&["keys", "verify", secret, "--format", "json"]).json(), key_id);

        let got = talos(&["keys", "issued", "get", key_id, "--format", "json"]).json();
        assert_eq!((&got["key_id"], &got["status"]), (&json!(key_id), &json!("KEY_STATUS_ACTIVE")));

        talos(&["keys", "revoke", key_id, "--reason", "superseded"]).succeeded();
        for arguments in [["keys", "verify", secret].as_slice(), &["keys", "verify", secret, "--no-cache"]] {
            let refused = talos(arguments);
            assert_eq!(refused.code, Some(1), "{refused:?}");
            assert!(refused.stdout.contains("VERIFICATION_ERROR_REVOKED"), "{refused:?}");
        }
        let again = talos(&["keys", "issued", "revoke", key_id]);
        assert_eq!((again.code, again.stdout.as_str()), (Some(1), ""), "{again:?}");
        assert_eq!(talos(&["keys", "issue", "no actor"]).code, Some(2));
        server.stop();
    }
}
