//! `POST /v2alpha1/admin/apiKeys:revokeWhere` and `talos keys revoke-where`: one change revokes
//! many keys.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use talos_test_kit::http::{Answer, Connection};
use talos_test_kit::keys::{ISSUE, Issued, assert_refused, assert_valid};

use crate::harness::Driver;
use crate::harness::cli::talos;
use crate::harness::site::Site;
use crate::harness::tokens::{self, ALGORITHMS};
use crate::metrics::{Page, listener};

const REVOKE_WHERE: &str = "/v2alpha1/admin/apiKeys:revokeWhere";
const IMPORT: &str = "/v2alpha1/admin/importedApiKeys";
const WAYS: [&[(&str, &str)]; 3] = [
    &[],
    &[("Cache-Control", "no-cache")],
    &[("Cache-Control", "no-store")],
];

fn issue(connection: &mut Connection, actor: &str, scope: &str) -> Issued {
    let body = json!({
        "name": "n", "actor_id": actor, "scopes": [scope], "metadata": {"team": actor, "level": 1},
    });
    Issued::from(&connection.post(ISSUE, &body))
}

#[track_caller]
fn answered(answer: &Answer) -> Value {
    let body = answer.json();
    assert_eq!(answer.status, 200, "{body}");
    body
}

fn status(connection: &mut Connection, key_id: &str) -> Value {
    connection.get(key_id)["status"].clone()
}

/// The ids of all issued keys that a filter finds, over all pages.
fn listed(connection: &mut Connection, filter: &str) -> BTreeSet<String> {
    let (mut ids, mut token) = (BTreeSet::new(), String::new());
    loop {
        let path = format!("{ISSUE}?page_size=2&filter={filter}&page_token={token}");
        let page = answered(&connection.call("GET", &path, &[], b""));
        for key in page["issued_api_keys"].as_array().unwrap() {
            ids.insert(key["key_id"].as_str().unwrap().to_owned());
        }
        page["next_page_token"]
            .as_str()
            .unwrap()
            .clone_into(&mut token);
        if token.is_empty() {
            return ids;
        }
    }
}

both_drivers! {
    fn all_matching_keys_end_at_once(driver: Driver) {
        let site = Site::new(driver);
        let server = tokens::start(&site);
        let mut connection = server.connect();
        let leavers: Vec<_> = (0..5).map(|_| issue(&mut connection, "leaver", "read")).collect();
        let stayer = issue(&mut connection, "stayer", "read");
        let import = json!({"raw_key": "raw", "name": "n", "actor_id": "leaver", "scopes": ["read"]});
        assert_eq!(connection.post(IMPORT, &import).status, 201);
        let derived: Vec<_> = ALGORITHMS.iter().map(|algorithm| connection.token(&leavers[0].secret, algorithm)).collect();
        let mut credentials: Vec<_> = leavers.iter().map(|key| key.secret.clone()).chain(derived).collect();
        credentials.push("raw".to_owned());
        for credential in &credentials {
            for _ in 0..2 {
                assert_eq!(connection.verify(credential)["is_valid"], true);
            }
        }
        let body = |dry_run: bool| json!({"actor_id": "leaver", "reason": "REVOCATION_REASON_AFFILIATION_CHANGED", "dry_run": dry_run});
        let counted = answered(&connection.post(REVOKE_WHERE, &body(true)));
        assert_eq!(counted, json!({"matched": 6, "dry_run": true}));
        assert_eq!(status(&mut connection, &leavers[0].key_id), "KEY_STATUS_ACTIVE");

        let revoked = answered(&connection.post(REVOKE_WHERE, &body(false)));
        assert_eq!((&revoked["matched"], &revoked["dry_run"]), (&json!(6), &json!(false)));
        assert_eq!(revoked["position"], "1.8");
        assert_eq!(revoked["rule_id"].as_str().unwrap().len(), 36);
        // Another core refuses them, too.
        for mut connection in [connection, server.connect(), server.connect()] {
            for credential in &credentials {
                for headers in WAYS {
                    assert_refused(&connection.verify_with(credential, headers), "REVOKED");
                }
            }
            let requests: Vec<_> = credentials.iter().map(|credential| json!({"credential": credential})).collect();
            let batch = connection.post("/v2alpha1/admin/apiKeys:batchVerify", &json!({"requests": requests}));
            for verdict in batch.json()["results"].as_array().unwrap() {
                assert_refused(verdict, "REVOKED");
            }
            assert_valid(&connection.verify(&stayer.secret), &stayer.key_id);
        }
        let mut connection = server.connect();
        let shown = connection.get(&leavers[0].key_id);
        assert_eq!(shown["status"], "KEY_STATUS_REVOKED");
        assert_eq!(shown["revocation_reason"], "REVOCATION_REASON_AFFILIATION_CHANGED");
        let ids: BTreeSet<_> = leavers.iter().map(|key| key.key_id.clone()).collect();
        assert_eq!(listed(&mut connection, "status=KEY_STATUS_REVOKED"), ids);
        assert_eq!(listed(&mut connection, "status=KEY_STATUS_ACTIVE"), BTreeSet::from([stayer.key_id.clone()]));
        connection.revoke(&leavers[1].key_id).assert_error(409, "FAILED_PRECONDITION", "FAILED_PRECONDITION");
        let again = answered(&connection.post(REVOKE_WHERE, &body(false)));
        assert_eq!(again["matched"], 0);
        let (page, _) = Page::scrape(listener(&server));
        let counted = page.sum("talos_keys_revoked_total", &[("reason", "affiliation_changed")]);
        assert!((counted - 6.0).abs() < 0.5, "each key once: {counted}");

        let late = issue(&mut connection, "leaver", "read");
        server.stop();
        let server = tokens::start(&site);
        let mut connection = server.connect();
        for credential in &credentials {
            assert_refused(&connection.verify(credential), "REVOKED");
        }
        assert_valid(&connection.verify(&late.secret), &late.key_id);
        assert_valid(&connection.verify(&stayer.secret), &stayer.key_id);
        server.stop();
    }

    fn each_condition_selects_its_keys(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let old = issue(&mut connection, "a", "write");
        let create_time = connection.get(&old.key_id)["create_time"].clone();
        // Creation times differ by at least a millisecond.
        thread::sleep(Duration::from_millis(5));
        let one = issue(&mut connection, "a", "read");
        let prefix = one.secret.split("_v1_").next().unwrap().to_owned();
        let two = issue(&mut connection, "b", "deploy");
        let one_time = connection.get(&one.key_id)["create_time"].clone();
        let mut count = |body: Value| {
            let mut body = body;
            body["dry_run"] = json!(true);
            answered(&connection.post(REVOKE_WHERE, &body))["matched"].clone()
        };
        assert_eq!(count(json!({"prefix": prefix})), 3);
        assert_eq!(count(json!({"prefix": "other"})), 0);
        assert_eq!(count(json!({"created_before": create_time})), 0);
        assert_eq!(count(json!({"created_before": one_time})), 1);
        assert_eq!(count(json!({"scope": "deploy"})), 1);
        assert_eq!(count(json!({"metadata": {"team": "a"}})), 2);
        assert_eq!(count(json!({"metadata": {"team": "a", "more": "x"}})), 0);
        assert_eq!(count(json!({"metadata": {"team": "a"}, "scope": "read"})), 1);
        let body = json!({"metadata": {"team": "a"}, "scope": "read", "prefix": prefix});
        assert_eq!(answered(&connection.post(REVOKE_WHERE, &body))["matched"], 1);
        assert_refused(&connection.verify(&one.secret), "REVOKED");
        assert_valid(&connection.verify(&old.secret), &old.key_id);
        assert_valid(&connection.verify(&two.secret), &two.key_id);
        server.stop();
    }

    fn an_invalid_condition_revokes_nothing(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let key = issue(&mut connection, "a", "read");
        for body in [
            json!({}),
            json!({"dry_run": false}),
            json!({"actor": "a", "scope": "read"}),
            json!({"actor_id": "", "scope": "read"}),
            json!({"created_before": "tomorrow"}),
            json!({"scope": "read", "description": "for no such reason"}),
        ] {
            let answer = connection.post(REVOKE_WHERE, &body);
            answer.assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
        }
        connection.call("GET", REVOKE_WHERE, &[], b"").assert_error(405, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED");
        assert_valid(&connection.verify(&key.secret), &key.key_id);
        server.stop();
    }

    /// The quota counts the keys that are left, once the records are revoked one by one.
    fn the_quota_follows(driver: Driver) {
        let site = Site::new(driver);
        let mut command = site.command();
        command.env("TALOS_QUOTA_API_KEYS_MAX", "3");
        let server = crate::harness::site::Server::start(command, site.directory().join("quota.log"));
        let mut connection = server.connect();
        for _ in 0..3 {
            issue(&mut connection, "leaver", "read");
        }
        let body = json!({"name": "n", "actor_id": "stayer"});
        connection.post(ISSUE, &body).assert_error(402, "PERMISSION_DENIED", "API_KEY_QUOTA_EXCEEDED");
        answered(&connection.post(REVOKE_WHERE, &json!({"actor_id": "leaver"})));
        while connection.post(ISSUE, &body).status != 201 {
            thread::sleep(Duration::from_millis(1));
        }
        server.stop();
    }
}

#[test]
fn the_command_asks_before_it_revokes() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let mut connection = server.connect();
    let keys: Vec<_> = (0..2)
        .map(|_| issue(&mut connection, "leaver", "read"))
        .collect();
    let other = issue(&mut connection, "stayer", "read");
    let run = |arguments: &[&str]| {
        let line = [&["keys", "revoke-where"], arguments].concat();
        talos(server.address, &line)
    };
    let unasked = run(&["--actor", "leaver"]);
    assert_eq!(unasked.code, Some(2), "{unasked:?}");
    assert!(unasked.stderr.contains("--yes"), "{unasked:?}");
    let aimless = run(&["--yes"]);
    assert_eq!(aimless.code, Some(2), "{aimless:?}");
    assert_eq!(run(&["--metadata", "team", "--yes"]).code, Some(2));

    let metadata = ["--metadata", "team=leaver", "--scope", "read"];
    let counted = run(&[&metadata[..], &["--dry-run", "-q"]].concat());
    assert_eq!(counted.succeeded(), "2\n");
    assert_valid(&connection.verify(&keys[0].secret), &keys[0].key_id);
    let reason = ["--reason", "privilege_withdrawn", "--reason-text", "left"];
    let revoked = run(&[&metadata[..], &reason, &["--yes", "--format", "json"]].concat());
    assert_eq!(revoked.json()["matched"], 2);
    for key in &keys {
        assert_refused(&connection.verify(&key.secret), "REVOKED");
    }
    assert_eq!(
        connection.get(&keys[1].key_id)["revocation_description"],
        "left"
    );
    assert_valid(&connection.verify(&other.secret), &other.key_id);
    let early = run(&[
        "--created-before",
        "1999-12-31T00:00:00Z",
        "--prefix",
        "x",
        "--yes",
        "-q",
    ]);
    assert_eq!(early.succeeded(), "0\n");
    server.stop();
}
