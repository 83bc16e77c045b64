//! Updating, rotating and self-revoking keys on the command line, against a real server.

use serde_json::json;
use talos_test_kit::keys::{assert_refused, assert_valid};

use crate::harness::Driver;
use crate::harness::cli::{talos, talos_with_input};
use crate::harness::site::Site;

#[test]
fn an_update_is_seen_at_once_and_can_clear() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let mut connection = server.connect();
    let key = connection.issue("before");
    let update = |arguments: &[&str]| {
        let line = [
            &["keys", "issued", "update", &key.key_id, "--format", "json"],
            arguments,
        ]
        .concat();
        talos(server.address, &line)
    };
    let updated = update(&[
        "--name",
        "after",
        "--scopes",
        "a,b",
        "--allowed-cidrs",
        "127.0.0.0/8",
        "--rate-limit-quota",
        "5",
        "--rate-limit-window",
        "60s",
    ]);
    let updated = updated.json();
    assert_eq!(
        (&updated["name"], &updated["scopes"]),
        (&json!("after"), &json!(["a", "b"]))
    );
    assert_eq!(updated["rate_limit_policy"]["quota"], "5");
    let verdict = connection.verify(&key.secret);
    assert_valid(&verdict, &key.key_id);
    assert_eq!(verdict["scopes"], json!(["a", "b"]));
    update(&["--allowed-cidrs", "10.0.0.0/8"]).succeeded();
    assert_refused(&connection.verify(&key.secret), "IP_NOT_ALLOWED");
    let cleared = update(&[
        "--scopes",
        "",
        "--allowed-cidrs",
        "",
        "--rate-limit-quota",
        "0",
    ])
    .json();
    assert!(
        cleared["rate_limit_policy"].is_null() && cleared["ip_restriction"].is_null(),
        "{cleared}"
    );
    assert_eq!(cleared["name"], "after");
    assert_valid(&connection.verify(&key.secret), &key.key_id);
    let unknown = update(&["--update-mask", "secret"]);
    assert_eq!(unknown.code, Some(1), "{unknown:?}");

    let import = [
        "keys",
        "imported",
        "import",
        "n",
        "--actor",
        "a",
        "--raw-key",
        "raw",
        "-q",
    ];
    let imported = talos(server.address, &import);
    let line = [
        "keys",
        "imported",
        "update",
        imported.succeeded().trim(),
        "--metadata",
        r#"{"a":1}"#,
    ];
    talos(server.address, &line).succeeded();
    assert_eq!(connection.verify("raw")["metadata"], json!({"a": 1}));
    server.stop();
}

#[test]
fn a_rotation_ends_the_old_secret_and_shows_the_new_one() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let mut connection = server.connect();
    let old = connection.issue("key");
    let rotate = ["keys", "issued", "rotate", &old.key_id];
    let new = talos(
        server.address,
        &[&rotate[..], &["--format", "json", "--name", "successor"]].concat(),
    )
    .json();
    assert_refused(&connection.verify(&old.secret), "REVOKED");
    let new_id = new["issued_api_key"]["key_id"].as_str().unwrap();
    let verdict = connection.verify(new["secret"].as_str().unwrap());
    assert_valid(&verdict, new_id);
    assert_eq!(verdict["scopes"], json!(["read:*"]));
    assert_eq!(connection.get(new_id)["name"], "successor");
    let again = talos(server.address, &rotate);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("FAILED_PRECONDITION"), "{again:?}");
    server.stop();
}

#[test]
fn a_holder_revokes_the_credential() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let mut connection = server.connect();
    let key = connection.issue("key");
    let line = ["keys", "self-revoke", "-", "--reason", "key_compromise"];
    for _ in 0..2 {
        let revoked = talos_with_input(server.address, &line, &key.secret);
        assert!(!revoked.succeeded().contains(&key.secret));
    }
    assert_refused(&connection.verify(&key.secret), "REVOKED");
    assert_eq!(
        connection.get(&key.key_id)["revocation_reason"],
        "REVOCATION_REASON_KEY_COMPROMISE"
    );
    let withdrawn = [
        "keys",
        "self-revoke",
        &key.secret,
        "--reason",
        "privilege_withdrawn",
    ];
    assert_eq!(talos(server.address, &withdrawn).code, Some(1));
    server.stop();
}
