//! Between issue and revocation: updates with masks, rotation, revocation by the holder. Each takes
//! effect at once.

use serde_json::{Value, json};
use talos_test_kit::http::{Answer, Connection};
use talos_test_kit::keys::{ISSUE, Issued, assert_refused, assert_valid};

use crate::harness::site::{Server, Site};

const IMPORT: &str = "/v2alpha1/admin/importedApiKeys";
const SELF_REVOKE: &str = "/v2alpha1/apiKeys:selfRevoke";
const UNKNOWN_ID: &str = "00000000-0000-4000-8000-000000000000";

fn patch(connection: &mut Connection, path: &str, body: &Value) -> Answer {
    connection.call("PATCH", path, &[], body.to_string().as_bytes())
}

/// One key of each kind, with every field that can change, as (path, id, credential).
fn full_keys(connection: &mut Connection) -> [(String, String, String); 2] {
    let fields = json!({
        "name": "before", "actor_id": "tester", "scopes": ["read"], "metadata": {"team": "a"},
        "rate_limit_policy": {"quota": "10", "window": "60s"}, "ip_restriction": {"allowed_cidrs": ["127.0.0.0/8"]},
    });
    let issued = Issued::from(&connection.post(ISSUE, &fields));
    let mut import = fields;
    import["raw_key"] = json!("raw key");
    let answer = connection.post(IMPORT, &import);
    assert_eq!(answer.status, 201, "{answer:?}");
    let imported = answer.json()["key_id"].as_str().unwrap().to_owned();
    [
        (
            format!("{ISSUE}/{}", issued.key_id),
            issued.key_id,
            issued.secret,
        ),
        (
            format!("{IMPORT}/{imported}"),
            imported,
            "raw key".to_owned(),
        ),
    ]
}

both_drivers! {
    fn an_update_changes_what_it_names_at_once(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        for (path, key_id, credential) in full_keys(&mut connection) {
            assert_valid(&connection.verify(&credential), &key_id);
            let before = connection.call("GET", &path, &[], b"").json();

            let updated = patch(&mut connection, &path, &json!({"scopes": ["write"], "name": ""}));
            assert_eq!(updated.status, 200, "{updated:?}");
            let after = updated.json();
            let mut wanted = before.clone();
            wanted["scopes"] = json!(["write"]);
            wanted["update_time"] = after["update_time"].clone();
            assert_eq!(after, wanted);
            assert_eq!(connection.call("GET", &path, &[], b"").json(), after);
            assert_eq!(connection.verify(&credential)["scopes"], json!(["write"]));

            let wrapper = if path.starts_with(IMPORT) { "imported_api_key" } else { "issued_api_key" };
            let body = json!({wrapper: {"key_id": key_id, "name": "after", "scopes": ["ignored"]}});
            let masked = format!("{path}?update_mask=name,metadata,rate_limit_policy,ip_restriction");
            let after = patch(&mut connection, &masked, &body).json();
            assert_eq!((&after["name"], &after["scopes"]), (&json!("after"), &json!(["write"])));
            for cleared in ["metadata", "rate_limit_policy", "ip_restriction"] {
                assert!(after.get(cleared).is_none(), "{after}");
            }
            let body = json!({"ip_restriction": {"allowed_cidrs": ["10.0.0.0/8"]}});
            assert_eq!(patch(&mut connection, &path, &body).status, 200);
            assert_refused(&connection.verify(&credential), "IP_NOT_ALLOWED");
            let cleared = patch(&mut connection, &format!("{path}?update_mask=ip_restriction"), &json!({}));
            assert_eq!(cleared.status, 200);
            assert_valid(&connection.verify(&credential), &key_id);
        }
        server.stop();
    }

    fn updates_that_are_refused_change_nothing(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        for (path, key_id, _) in full_keys(&mut connection) {
            let before = connection.call("GET", &path, &[], b"").json();
            let long = format!("update_mask=name,{}", "x".repeat(7000));
            for query in [
                "update_mask=actor_id", "update_mask=status,name", "update_mask=*", "update_mask=name,,scopes",
                "update_mask=name%00", "update_mask=%2fname", "update_mask=%zz", "update_mask=name&update_mask=scopes", &long,
            ] {
                let answer = patch(&mut connection, &format!("{path}?{query}"), &json!({"name": "n"}));
                eprintln!("{query}");
                answer.assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
            }
            for body in [
                json!({"name": "n".repeat(256)}), json!({"scopes": vec!["s"; 101]}), json!({"scopes": ["s".repeat(256)]}),
                json!({"metadata": {"m": "m".repeat(65536)}}), json!({"issued_api_key": "n"}), json!([]),
                json!({"rate_limit_policy": {"quota": 0, "window": "1s"}}),
                json!({"ip_restriction": {"allowed_cidrs": vec!["::/0"; 101]}}),
            ] {
                patch(&mut connection, &path, &body).assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
            }
            let unnamed = patch(&mut connection, &format!("{path}?update_mask=name"), &json!({}));
            unnamed.assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
            assert_eq!(connection.call("GET", &path, &[], b"").json(), before);

            let other_kind = if path.starts_with(IMPORT) { ISSUE } else { IMPORT };
            for id in [key_id.as_str(), "%2f", "%00", "a%3Ab", &"a".repeat(64), UNKNOWN_ID] {
                let answer = patch(&mut connection, &format!("{other_kind}/{id}"), &json!({"name": "n"}));
                answer.assert_error(404, "NOT_FOUND", "API_KEY_NOT_FOUND");
            }
        }
        server.stop();
    }

    fn a_rotation_replaces_a_key_in_one_step(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let [(path, old_id, old_secret), (imported, ..)] = full_keys(&mut connection);
        let before = connection.call("GET", &path, &[], b"").json();
        assert_valid(&connection.verify(&old_secret), &old_id);

        let rotate = |id: &str| format!("{ISSUE}/{id}:rotate");
        let answer = connection.post(&rotate(&old_id), &json!({"name": "second", "scopes": []}));
        let (new, rotated) = (Issued::from(&answer), answer.json());
        assert_ne!(new.key_id, old_id);
        assert_refused(&connection.verify(&old_secret), "REVOKED");
        assert_valid(&connection.verify(&new.secret), &new.key_id);
        let key = &rotated["issued_api_key"];
        assert_eq!((&key["name"], &key["scopes"]), (&json!("second"), &json!([])));
        for inherited in ["actor_id", "metadata", "rate_limit_policy", "ip_restriction", "visibility"] {
            assert_eq!(key[inherited], before[inherited], "{inherited}");
        }
        // Without a time of its own a key ends at its greatest age, which begins with each key.
        let year = |time: &serde_json::Value| time.as_str().unwrap()[..4].parse::<u32>().unwrap();
        assert!(year(&key["expire_time"]) > year(&key["create_time"]));
        let lasting = json!({"name": "n", "actor_id": "a", "ttl": "3600s"});
        let lasting = connection.post(ISSUE, &lasting).json()["issued_api_key"].clone();
        let renewed = connection.post(&rotate(lasting["key_id"].as_str().unwrap()), &json!({})).json();
        assert_eq!(renewed["issued_api_key"]["expire_time"], lasting["expire_time"]);
        let beyond = json!({"name": "n", "actor_id": "a", "ttl": "31536001s"});
        connection.post(ISSUE, &beyond).assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
        let old = &rotated["old_issued_api_key"];
        assert_eq!((&old["key_id"], &old["status"]), (&json!(old_id), &json!("KEY_STATUS_REVOKED")));
        assert_eq!(old["revocation_reason"], "REVOCATION_REASON_SUPERSEDED");
        assert_eq!(connection.get(&old_id), *old);
        let mut shown = connection.get(&new.key_id);
        assert!(shown.as_object_mut().unwrap().remove("last_used_time").is_some(), "it was verified");
        assert_eq!(shown, *key);

        let again = connection.call("POST", &rotate(&old_id), &[], b"");
        again.assert_error(409, "FAILED_PRECONDITION", "FAILED_PRECONDITION");
        let public = json!({"visibility": "KEY_VISIBILITY_PUBLIC"});
        connection.post(&rotate(&new.key_id), &public).assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
        assert_valid(&connection.verify(&new.secret), &new.key_id);
        for path in [rotate(UNKNOWN_ID), rotate(imported.rsplit_once('/').unwrap().1), rotate("%2f")] {
            connection.post(&path, &json!({})).assert_error(404, "NOT_FOUND", "API_KEY_NOT_FOUND");
        }
        let third = Issued::from(&connection.call("POST", &rotate(&new.key_id), &[], b""));
        server.stop();

        let server = site.start();
        let mut connection = server.connect();
        assert_refused(&connection.verify(&new.secret), "REVOKED");
        assert_valid(&connection.verify(&third.secret), &third.key_id);
        server.stop();
    }

    fn concurrent_rotations_leave_one_key(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let key_id = server.connect().issue("contended").key_id;
        let path = format!("{ISSUE}/{key_id}:rotate");
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| server.connect().post(&path, &json!({})))).collect();
            asking.into_iter().map(|client| client.join().unwrap()).collect()
        });
        let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
        server.stop();
    }

    fn the_holder_of_a_key_can_revoke_it(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        for (path, key_id, credential) in full_keys(&mut connection) {
            assert_valid(&connection.verify(&credential), &key_id);
            let withdrawn = json!({"credential": credential, "reason": "REVOCATION_REASON_PRIVILEGE_WITHDRAWN"});
            connection.post(SELF_REVOKE, &withdrawn).assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
            assert_valid(&connection.verify(&credential), &key_id);

            let body = json!({"credential": credential, "reason": "REVOCATION_REASON_KEY_COMPROMISE"});
            for _ in 0..2 {
                let answer = connection.post(SELF_REVOKE, &body);
                assert_eq!((answer.status, answer.text()), (204, ""));
                assert_refused(&connection.verify(&credential), "REVOKED");
            }
            let other_reason = json!({"credential": credential, "reason": "REVOCATION_REASON_SUPERSEDED"});
            assert_eq!(connection.post(SELF_REVOKE, &other_reason).status, 204);
            let shown = connection.call("GET", &path, &[], b"").json();
            assert_eq!(shown["revocation_reason"], "REVOCATION_REASON_KEY_COMPROMISE");
        }
        server.stop();
    }

    fn a_public_key_ends_only_by_an_administrator(driver: Driver) {
        let site = Site::new(driver);
        let mut command = site.command();
        command.env("TALOS_CREDENTIALS_API_KEYS_PREFIX_PUBLIC_CURRENT", "pub");
        let server = Server::start(command, site.directory().join("talos.log"));
        let mut connection = server.connect();
        let body = json!({"name": "n", "actor_id": "a", "visibility": "KEY_VISIBILITY_PUBLIC"});
        let issued = connection.post(ISSUE, &body).json();
        let key_id = issued["issued_api_key"]["key_id"].as_str().unwrap();
        let credential = issued["secret"].as_str().unwrap();
        let ask = json!({"credential": credential, "reason": "REVOCATION_REASON_KEY_COMPROMISE"});
        for _ in 0..2 {
            connection.post(SELF_REVOKE, &ask).assert_error(403, "PERMISSION_DENIED", "FORBIDDEN");
            assert_valid(&connection.verify(credential), key_id);
        }
        connection.revoke(key_id);
        // What has ended already is no error. The published client for Rust needs a body.
        let agent = [("User-Agent", "ory-client-rust/v1.22.89")];
        let answer = connection.call("POST", SELF_REVOKE, &agent, ask.to_string().as_bytes());
        assert_eq!((answer.status, answer.json()), (200, json!({})));
        assert_eq!(connection.post(SELF_REVOKE, &ask).status, 204);
        assert_refused(&connection.verify(credential), "REVOKED");
        server.stop();
    }

    fn invalid_credentials_revoke_nothing(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let key = connection.issue("key");
        let last = if key.secret.ends_with('2') { '3' } else { '2' };
        let wrong_checksum = format!("{}{last}", &key.secret[..key.secret.len() - 1]);
        let foreign_prefix = key.secret.replacen("ory_ak", "other", 1);
        let mut unknown: Vec<_> = ["nobody's", &wrong_checksum, &foreign_prefix, &key.key_id, "a/b:c%2f\0"]
            .into_iter()
            .map(|credential| {
                let answer = connection.post(SELF_REVOKE, &json!({"credential": credential}));
                answer.assert_error(400, "INVALID_ARGUMENT", "UNKNOWN_CREDENTIAL");
                answer.body
            })
            .collect();
        unknown.dedup();
        assert_eq!(unknown.len(), 1, "all alike");
        for token in ["eyJhbGciOiJub25lIn0.e30.", "mc_v1_AgEB"] {
            let answer = connection.post(SELF_REVOKE, &json!({"credential": token}));
            answer.assert_error(400, "INVALID_ARGUMENT", "DERIVED_TOKEN_NOT_REVOCABLE");
        }
        for body in [json!({}), json!({"credential": ""})] {
            connection.post(SELF_REVOKE, &body).assert_error(400, "INVALID_ARGUMENT", "CREDENTIAL_REQUIRED");
        }
        for body in [json!({"credential": "x".repeat(8193)}), json!({"credential": key.secret, "reason": "x"})] {
            connection.post(SELF_REVOKE, &body).assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
        }
        assert_valid(&connection.verify(&key.secret), &key.key_id);
        let log = server.log.clone();
        server.stop();
        let log = std::fs::read_to_string(log).unwrap();
        assert!(log.contains(":selfRevoke") && !log.contains(&key.secret), "{log}");
    }
}
