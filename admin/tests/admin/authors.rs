//! The log names the administrator who made a change.

use std::sync::Arc;

use serde_json::json;
use talos_engine::decode_change;
use talos_model::{Author, LogRead, Position, Principal, Proof, ReadLimits, Role};

use crate::harness::{Harness, ISSUED_KEYS, Setup};

const IMPORTED_KEYS: &str = "/v2alpha1/admin/importedApiKeys";

/// The authors of all changes, oldest first.
fn authors(harness: &Harness) -> Vec<Option<Author>> {
    let all = ReadLimits {
        entries: usize::MAX,
        bytes: usize::MAX,
    };
    let read = harness.engine.changes_after(Position::START, all);
    let changes = match read.expect("the log") {
        LogRead::Changes(changes) => changes,
        LogRead::None | LogRead::Gone => Vec::new(),
    };
    let author = |logged| decode_change(logged).expect("a change").author;
    changes
        .iter()
        .map(|logged| author(logged).map(|author| (*author).clone()))
        .collect()
}

/// Makes changes by every route that makes some. Returns how many.
fn make_changes(harness: &Harness) -> usize {
    let call = |method: &str, path: &str, body: &serde_json::Value| {
        let response = harness.call(method, path, &body.to_string());
        assert!(response.status < 300, "{path}: {response:?}");
        response.body
    };
    let (key_id, _) = harness.issue(&json!({"name": "a", "actor_id": "b"}));
    let issued = format!("{ISSUED_KEYS}/{key_id}");
    call("PATCH", &issued, &json!({"name": "c"}));
    let rotated = call("POST", &format!("{issued}:rotate"), &json!({}));
    let rotated = rotated["issued_api_key"]["key_id"].as_str().expect("an id");
    call(
        "POST",
        &format!("{ISSUED_KEYS}/{rotated}:revoke"),
        &json!({}),
    );
    let key = json!({"name": "a", "actor_id": "b", "raw_key": "of-another-system"});
    let imported = call("POST", IMPORTED_KEYS, &key);
    let imported = imported["key_id"].as_str().expect("an id");
    let deleted = harness.call("DELETE", &format!("{IMPORTED_KEYS}/{imported}"), "");
    assert_eq!(deleted.status, 204);
    let batch = json!({"requests": [{"name": "a", "actor_id": "b", "raw_key": "another-one"}]});
    call("POST", &format!("{IMPORTED_KEYS}:batchCreate"), &batch);
    let condition = json!({"scope": "of no key"});
    call("POST", "/v2alpha1/admin/apiKeys:revokeWhere", &condition);
    while harness.engine.bulk_revocations_in_force() > 0 {
        std::thread::yield_now();
    }
    // A rotation makes two changes. The last of all completes the bulk revocation.
    10
}

#[test]
fn the_log_names_who_made_a_change() {
    let principal = Principal {
        name: "ops".to_owned(),
        proof: Proof::Certificate,
        role: Role::Admin,
        tenant: None,
    };
    let author = Author {
        name: "ops".to_owned(),
        proof: Proof::Certificate,
        address: Some([127, 0, 0, 1].into()),
    };
    let harness = Harness::with(Setup {
        principal: Some(Arc::new(principal)),
        ..Setup::default()
    });
    let count = make_changes(&harness);
    let mut expected = vec![Some(author); count - 1];
    expected.push(None);
    assert_eq!(authors(&harness), expected);
}

#[test]
fn without_authentication_no_change_has_an_author() {
    let harness = Harness::new();
    let count = make_changes(&harness);
    assert_eq!(authors(&harness), vec![None; count]);
}

#[test]
fn the_holder_is_the_author_of_its_own_revocation() {
    let principal = Principal {
        name: "ops".to_owned(),
        proof: Proof::Certificate,
        role: Role::Admin,
        tenant: None,
    };
    for principal in [None, Some(Arc::new(principal))] {
        let harness = Harness::with(Setup {
            principal,
            ..Setup::default()
        });
        let (_, secret) = harness.issue(&json!({"name": "a", "actor_id": "b"}));
        let body = json!({"credential": secret}).to_string();
        for _ in 0..2 {
            let revoked = harness.call("POST", "/v2alpha1/apiKeys:selfRevoke", &body);
            assert_eq!(revoked.status, 204);
        }
        let authors = authors(&harness);
        let holder = Author {
            name: "self".to_owned(),
            proof: Proof::Credential,
            address: Some([127, 0, 0, 1].into()),
        };
        assert_eq!((authors.len(), &authors[1]), (2, &Some(holder)));
    }
}
