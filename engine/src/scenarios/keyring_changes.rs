//! Changing secrets, prefixes or the issuer takes effect on the next verification.

use talos_credentials::DeriveToken;
use talos_credentials::token::{CustomClaims, TokenType};
use talos_model::clock::UnixMillis;
use talos_model::{FieldChanges, KeyKind, ListQuery, Rejection, RotateKey, Selection, Status};

use super::lists::page;
use super::*;

#[test]
fn a_new_secret_voids_proofs_at_once_and_a_new_issuer_is_named_at_once() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let (_, credential) = issue_new(&engine, "a");
    for _ in 0..2 {
        assert_eq!(verify(&engine, &credential, CacheMode::Use).0, valid("a"));
    }
    set_keyring(&engine, keyring("second"));
    assert_eq!(
        verify(&engine, &credential, CacheMode::Use).0,
        OwnedVerdict::Refused(Refusal::NotFound)
    );
    let (_, newer) = issue_new(&engine, "b");
    assert_eq!(verify(&engine, &newer, CacheMode::Use).0, valid("b"));

    let mut settings = KeyringSettings {
        hmac_current: Secret::new("second".to_owned()),
        hmac_retired: vec![Secret::new("first".to_owned()).into()],
        prefixes: Prefixes {
            current: "talos".to_owned(),
            retired: Vec::new(),
            public_current: None,
            public_retired: Vec::new(),
        },
        issuer: "elsewhere".to_owned(),
        max_ttl_s: 86_400,
        clock_skew_s: 0,
        tokens: TokenSettings::default(),
    };
    set_keyring(&engine, Keyring::new(settings.clone()));
    for _ in 0..2 {
        for (name, credential) in [("a", &credential), ("b", &newer)] {
            assert_eq!(
                verify(&engine, credential, CacheMode::Use).0,
                OwnedVerdict::Valid(format!("{name}@elsewhere"))
            );
        }
    }
    settings.prefixes.current = "other".to_owned();
    set_keyring(&engine, Keyring::new(settings));
    assert_eq!(
        verify(&engine, &newer, CacheMode::Use).0,
        OwnedVerdict::Refused(Refusal::NotFound)
    );
}

/// A keyring whose keys live for `max_ttl_s` at most.
fn aging(max_ttl_s: u64) -> Keyring {
    Keyring::new(KeyringSettings {
        max_ttl_s,
        ..keyring_settings("first")
    })
}

fn after(time: UnixMillis, seconds: i64) -> UnixMillis {
    UnixMillis(time.0 + seconds * 1000)
}

/// The names of the keys with this status at `now`, and of all keys.
fn names(engine: &Engine, status: Option<Status>, now: UnixMillis) -> Vec<String> {
    let query = ListQuery {
        selection: Selection {
            tenant: TenantId::SINGLE,
            kind: KeyKind::Issued,
            actor_id: None,
            status,
        },
        after: Vec::new(),
        limit: 100,
        now,
    };
    let page = page(engine, query);
    assert_eq!(page.next, None);
    let name = |record: Record| {
        let shown = record.status(now);
        assert!(status.is_none_or(|status| status == shown), "{record:?}");
        record.name
    };
    page.records.into_iter().map(name).collect()
}

#[test]
fn a_key_beyond_its_greatest_age_is_expired_everywhere() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let (record, secret) = issue(&engine, key("endless"));
    let credential = secret.unwrap();
    let lasting = IssueKey {
        ttl_ms: Some(3_000_000),
        ..key("lasting")
    };
    let (lasting, _) = issue(&engine, lasting);
    let short = IssueKey {
        ttl_ms: Some(1_000),
        ..key("short")
    };
    issue(&engine, short);
    let end = after(record.create_time, 86_400);
    assert_eq!(record.expire_time, Some(end));
    assert_eq!(get(&engine, record.key_id).unwrap().expire_time, Some(end));
    let at = |now| Query {
        now,
        ..query(&credential, CacheMode::Use)
    };
    let expired = OwnedVerdict::Refused(Refusal::Expired);
    // First from storage, then from memory.
    for (now, verdict) in [
        (UnixMillis(end.0 - 1), valid("endless")),
        (UnixMillis(end.0 - 1), valid("endless")),
        (end, expired.clone()),
        (end, expired.clone()),
    ] {
        assert_eq!(verify_query(&engine, &at(now)).0, verdict);
    }
    assert_eq!(engine.identify(&at(end)), Ok(record.key_id));
    // The greatest age becomes shorter: keys that live now are beyond it.
    set_keyring(&engine, aging(60));
    let end = after(lasting.create_time, 60);
    for mode in [CacheMode::Use, CacheMode::Use, CacheMode::Bypass] {
        let query = Query {
            cache: mode,
            ..at(end)
        };
        assert_eq!(verify_query(&engine, &query).0, expired, "{mode:?}");
    }
    assert_eq!(get(&engine, lasting.key_id).unwrap().expire_time, Some(end));
    let before = after(record.create_time, 30);
    assert_eq!(
        names(&engine, Some(Status::Active), before),
        ["lasting", "endless"]
    );
    assert_eq!(names(&engine, Some(Status::Expired), before), ["short"]);
    assert_eq!(
        names(&engine, Some(Status::Active), end),
        Vec::<String>::new()
    );
    assert_eq!(
        names(&engine, Some(Status::Expired), end),
        ["short", "lasting", "endless"]
    );
    assert_eq!(names(&engine, None, end).len(), 3);
    let derived = engine.derive(
        &get(&engine, record.key_id).unwrap(),
        DeriveToken {
            token_type: TokenType::Macaroon,
            ttl_ms: None,
            scopes: Vec::new(),
            audiences: Vec::new(),
            custom: CustomClaims::default(),
        },
        None,
    );
    assert!(derived.is_ok(), "{derived:?}");
    // And longer: the stored record kept its own expiry time.
    set_keyring(&engine, aging(86_400));
    assert_eq!(
        names(&engine, Some(Status::Active), end),
        ["lasting", "endless"]
    );
    assert_eq!(verify_query(&engine, &at(end)).0, valid("endless"));
}

#[test]
fn a_key_beyond_its_greatest_age_is_not_rotated_and_none_is_issued() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let (record, _) = issue(&engine, key("old"));
    set_keyring(&engine, aging(0));
    let rotate = RotateKey {
        tenant: TenantId::SINGLE,
        key_id: record.key_id,
        changes: FieldChanges::default(),
        visibility: None,
    };
    let refused = |rejection| Some(CommandError::Rejected(rejection));
    let rotated = submit(&engine, Command::Rotate(rotate.clone()));
    assert_eq!(rotated.err(), refused(Rejection::NotActive));
    set_keyring(&engine, aging(60));
    for (ttl_ms, is_accepted) in [(60_000, true), (60_001, false), (u64::MAX, false)] {
        let wanted = IssueKey {
            ttl_ms: Some(ttl_ms),
            ..key("wanted")
        };
        let issued = submit(&engine, Command::Issue(wanted));
        if is_accepted {
            assert!(issued.is_ok(), "{issued:?}");
        } else {
            assert_eq!(issued.err(), refused(Rejection::TtlBeyondMax { max_s: 60 }));
        }
    }
    assert!(matches!(
        submit(&engine, Command::Rotate(rotate)),
        Ok(Outcome::Rotated(_))
    ));
}
