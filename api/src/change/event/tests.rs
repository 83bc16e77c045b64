//! Events and what is between them, byte for byte.

use std::sync::Arc;

use talos_model::clock::UnixMillis;
use talos_model::{Matcher, Proof, Record, Revocation, RevocationReason, TenantId};
use uuid::Uuid;

use super::*;
use crate::change::fixture::{admin_token, change};
use crate::key::tests::full;

#[test]
fn an_event_is_three_lines_and_an_empty_one() {
    let record = Record {
        name: "two\nlines\r".to_owned(),
        ..full()
    };
    let change = Change {
        subject: Subject::Key(record),
        ..change(Event::IssuedKeyUpdated)
    };
    let mut out = Vec::new();
    render(&change, &mut out);
    let text = String::from_utf8(out).expect("UTF-8");
    let lines: Vec<_> = text.split('\n').collect();
    let [id, event, data, "", ""] = lines.as_slice() else {
        panic!("{text}");
    };
    assert_eq!((*id, *event), ("id: 2.42", "event: IssuedAPIKeyUpdated"));
    let data = data.strip_prefix("data: ").expect("data");
    let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
    assert_eq!(data["event"], "IssuedAPIKeyUpdated");
    assert_eq!(data["position"], "2.42");
    assert_eq!(data["time"], "2023-11-14T22:13:20Z");
    assert_eq!(data["request_id"], "r-1");
    assert_eq!(data["key"]["name"], "two\nlines\r");
    assert_eq!(data["key"]["key_id"], data["key_id"]);
    assert_eq!(data["key"]["actor_id"], data["actor_id"]);
    assert!(!text.contains('\r'));
}

#[test]
fn an_event_says_what_kind_of_key_it_is_about_and_why_it_ended() {
    let data = |event: Event, record: Record| -> serde_json::Value {
        let change = Change {
            subject: Subject::Key(record),
            ..change(event)
        };
        serde_json::from_slice(&render_data(&change)).expect("JSON")
    };
    let issued = Record {
        prefix: Some("ory_ak".to_owned()),
        ..full()
    };
    let shown = data(Event::IssuedKeyCreated, issued.clone());
    for (name, value) in [
        ("key_type", "issued"),
        ("prefix", "ory_ak"),
        ("visibility", "KEY_VISIBILITY_PUBLIC"),
        ("expire_time", "2023-11-14T22:14:20Z"),
    ] {
        assert_eq!(shown[name], value);
    }
    for absent in ["reason", "initiated_by"] {
        assert!(shown.get(absent).is_none(), "{shown}");
    }
    let revoked = Record {
        revocation: Some(Revocation {
            reason: RevocationReason::KeyCompromise,
            description: String::new(),
            time: UnixMillis(0),
        }),
        ..issued
    };
    let shown = data(Event::IssuedKeyRevoked, revoked);
    assert_eq!(shown["reason"], "REVOCATION_REASON_KEY_COMPROMISE");
    let imported = Record {
        key_id: "ab".repeat(32).parse().expect("an id"),
        expire_time: None,
        ..full()
    };
    let shown = data(Event::ImportedKeyCreated, imported);
    assert_eq!(shown["key_type"], "imported");
    for absent in ["prefix", "expire_time", "reason"] {
        assert!(shown.get(absent).is_none(), "{shown}");
    }
}

#[test]
fn a_revocation_by_the_holder_says_so() {
    for (author, initiated_by) in [
        (None, serde_json::Value::Null),
        (Some(Author::holder(None)), "self".into()),
        (
            // An administrator of this name is not the holder.
            Some(Author {
                proof: Proof::Token,
                ..Author::holder(None)
            }),
            serde_json::Value::Null,
        ),
    ] {
        let change = Change {
            author: author.map(Arc::new),
            ..change(Event::IssuedKeyRevoked)
        };
        let data: serde_json::Value = serde_json::from_slice(&render_data(&change)).expect("JSON");
        assert_eq!(data["initiated_by"], initiated_by);
    }
}

#[test]
fn an_event_of_many_keys_says_what_they_have_in_common() {
    let rule = BulkRevocation {
        id: Uuid::from_u128(5),
        tenant: TenantId::SINGLE,
        position: "2.41".parse().expect("a position"),
        matcher: Matcher {
            actor_id: Some("a".to_owned()),
            created_before: Some(UnixMillis(0)),
            metadata: vec![("k".to_owned(), "v".to_owned())],
            ..Matcher::default()
        },
        revocation: Revocation {
            reason: RevocationReason::KeyCompromise,
            description: String::new(),
            time: UnixMillis(1_700_000_000_000),
        },
    };
    let change = Change {
        subject: Subject::BulkRevocation(rule),
        ..change(Event::BulkRevocationCompleted)
    };
    let data: serde_json::Value = serde_json::from_slice(&render_data(&change)).expect("JSON");
    let rule = serde_json::json!({
        "rule_id": "00000000-0000-0000-0000-000000000005", "position": "2.41", "actor_id": "a",
        "created_before": "1970-01-01T00:00:00Z", "metadata": {"k": "v"},
        "reason": "REVOCATION_REASON_KEY_COMPROMISE",
    });
    assert_eq!(
        (&data["rule"], &data["key"]),
        (&rule, &serde_json::Value::Null)
    );
    assert_eq!(data["event"], "RevocationRuleCompleted");
}

#[test]
fn an_event_names_its_author() {
    let author = |address: Option<&str>| Author {
        name: "ci".to_owned(),
        proof: Proof::BootstrapToken,
        address: address.map(|text| text.parse().expect("an address")),
    };
    for (author, shown) in [
        (None, serde_json::Value::Null),
        (
            Some(author(Some("2001:db8::1"))),
            serde_json::json!({
                "name": "ci", "proof": "bootstrap_token", "address": "2001:db8::1",
            }),
        ),
        (
            Some(author(None)),
            serde_json::json!({"name": "ci", "proof": "bootstrap_token"}),
        ),
    ] {
        let change = Change {
            author: author.map(Arc::new),
            ..change(Event::IssuedKeyUpdated)
        };
        let data: serde_json::Value = serde_json::from_slice(&render_data(&change)).expect("JSON");
        assert_eq!(data["author"], shown);
    }
}

#[test]
fn an_event_of_an_admin_token_shows_nothing_of_its_text() {
    let tenant = TenantId(Uuid::from_u128(7));
    for (event, name) in [
        (Event::AdminTokenCreated, "AdminTokenCreated"),
        (Event::AdminTokenRotated, "AdminTokenRotated"),
        (Event::AdminTokenRevoked, "AdminTokenRevoked"),
    ] {
        for of in [None, Some(tenant)] {
            let change = Change {
                request_id: None,
                subject: Subject::AdminToken(admin_token(of)),
                ..change(event)
            };
            let data: serde_json::Value =
                serde_json::from_slice(&render_data(&change)).expect("JSON");
            let mut expected = serde_json::json!({
                "event": name, "position": "2.42", "time": "2023-11-14T22:13:20Z",
                "admin_token": {
                    "id": "00000000-0000-0000-0000-000000000006", "name": "ci", "role": "operate",
                },
            });
            if let Some(tenant) = of {
                expected["tenant"] = tenant.to_string().into();
                expected["admin_token"]["tenant"] = tenant.to_string().into();
            }
            assert_eq!(data, expected);
        }
    }
}

#[test]
fn what_is_no_event_has_no_data() {
    let place = "1.5".parse().ok();
    assert_eq!(opening(place), b"retry: 1000\nid: 1.5\n\n");
    assert_eq!(opening(None), b"retry: 1000\n\n");
    assert_eq!(heartbeat(place), b": nothing new\nid: 1.5\n\n");
}
