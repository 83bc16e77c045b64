//! Where a feed begins, and which changes are chosen.

use talos_model::{Epoch, Sequence, Subject};

use super::*;
use crate::change::fixture::{admin_token, change};

fn at(epoch: u64, sequence: u64) -> Start {
    Start::After(Position {
        epoch: Epoch(epoch),
        sequence: Sequence(sequence),
    })
}

fn wanted(query: &str) -> Wanted {
    parse_request(query, None).expect("valid").wanted
}

#[test]
fn the_header_wins_over_the_query() {
    for (query, header, wanted) in [
        ("", None, Start::Now),
        ("after=", Some(""), Start::Now),
        ("after=0", None, Start::Oldest),
        ("after=1.0", None, at(1, 0)),
        ("after=1.7", None, at(1, 7)),
        ("after=0", Some("2.9"), at(2, 9)),
    ] {
        let request = parse_request(query, header).expect("valid");
        let wanted = FeedRequest {
            start: wanted,
            wanted: Wanted::default(),
        };
        assert_eq!(request, wanted, "{query}");
    }
    for (query, header, field) in [
        ("after=7", None, "after: "),
        ("after=1.7&after=1.8", None, "after: "),
        ("after=-1.7", None, "after: "),
        ("", Some("x"), "Last-Event-ID: "),
        ("tenant=x", None, "tenant: "),
        ("kind=KeyCreated", None, "kind: "),
    ] {
        let error = parse_request(query, header).expect_err("a refusal");
        assert_eq!(error.status(), 400);
        assert!(error.to_string().starts_with(field), "{query}: {error}");
    }
}

#[test]
fn every_event_has_one_name_and_is_chosen_by_it() {
    for &(name, event) in EventName::VALUES {
        assert_eq!(EventName::name(event), name);
        let wanted = wanted(&format!("kind={name}"));
        for &(_, other) in EventName::VALUES {
            assert_eq!(wanted.includes(&change(other)), other == event);
        }
    }
    let wanted = wanted("kind=IssuedAPIKeyRevoked,IssuedAPIKeyRotated");
    assert!(wanted.includes(&change(Event::IssuedKeyRotated)));
    assert!(!wanted.includes(&change(Event::IssuedKeyCreated)));
}

#[test]
fn tenants_are_told_apart() {
    let change = change(Event::IssuedKeyCreated);
    let mine = change.tenant().expect("the tenant of the key");
    for (tenant, is_wanted) in [(mine, true), (TenantId(Uuid::from_u128(99)), false)] {
        let wanted = wanted(&format!("tenant={tenant}"));
        assert_eq!(wanted.includes(&change), is_wanted);
    }
}

#[test]
fn an_admin_token_of_every_tenant_is_of_no_single_one() {
    let change = Change {
        subject: Subject::AdminToken(admin_token(None)),
        ..change(Event::AdminTokenCreated)
    };
    assert!(wanted("").includes(&change));
    assert!(wanted("kind=AdminTokenCreated").includes(&change));
    let of_one = format!("tenant={}", TenantId::SINGLE);
    assert!(!wanted(&of_one).includes(&change));
}
