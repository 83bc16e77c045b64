//! Requests that are the same, and the field in which others differ.

use uuid::Uuid;

use super::*;
use crate::clock::UnixMillis;
use crate::command::IssueKey;
use crate::ids::{Sequence, TenantId};

fn key() -> IssueKey {
    IssueKey {
        tenant: TenantId::SINGLE,
        name: "n".to_owned(),
        actor_id: "a".to_owned(),
        scopes: vec!["read".to_owned(), "write".to_owned()],
        metadata: r#"{"a":1,"b":[1.5,"x"]}"#.to_owned(),
        visibility: Visibility::Public,
        ttl_ms: Some(1000),
        rate_limit: Some(RateLimitPolicy {
            quota: 5,
            window_s: 60,
        }),
        allowed_cidrs: vec![
            "10.0.0.0/8".parse().unwrap(),
            "2001:db8::/32".parse().unwrap(),
        ],
        request_id: None,
    }
}

fn digest(key: &IssueKey) -> RequestDigest {
    key.request_digest(key.ttl_ms)
}

/// A request that differs from [`key`] in each field, and the request without each field.
fn others() -> Vec<(RequestField, IssueKey)> {
    use RequestField as Field;
    let (quota, window_s) = (5, 60);
    let policy = |quota, window_s| Some(RateLimitPolicy { quota, window_s });
    let mut others = Vec::new();
    let mut other = |field, change: &dyn Fn(&mut IssueKey)| {
        let mut key = key();
        change(&mut key);
        others.push((field, key));
    };
    other(Field::Name, &|key| key.name.push('m'));
    other(Field::ActorId, &|key| key.actor_id.push('b'));
    other(Field::Scopes, &|key| key.scopes.truncate(1));
    other(Field::Scopes, &|key| key.scopes.clear());
    other(Field::Scopes, &|key| {
        key.scopes = vec!["readwrite".to_owned()];
    });
    other(Field::Metadata, &|key| key.metadata.clear());
    other(Field::Metadata, &|key| {
        key.metadata = r#"{"a":2,"b":[1.5,"x"]}"#.to_owned();
    });
    other(Field::Metadata, &|key| {
        key.metadata = r#"{"a":1,"b":["x",1.5]}"#.to_owned();
    });
    other(Field::Metadata, &|key| {
        key.metadata = r#"{"a":"1","b":[1.5,"x"]}"#.to_owned();
    });
    other(Field::Visibility, &|key| {
        key.visibility = Visibility::Secret;
    });
    other(Field::Ttl, &|key| key.ttl_ms = None);
    other(Field::Ttl, &|key| key.ttl_ms = Some(1001));
    other(Field::RateLimitPolicy, &|key| key.rate_limit = None);
    other(Field::RateLimitPolicy, &|key| {
        key.rate_limit = policy(quota + 1, window_s);
    });
    other(Field::RateLimitPolicy, &|key| {
        key.rate_limit = policy(quota, window_s + 1);
    });
    other(Field::IpRestriction, &|key| key.allowed_cidrs.clear());
    other(Field::IpRestriction, &|key| {
        key.allowed_cidrs.push("192.0.2.0/24".parse().unwrap());
    });
    others
}

#[test]
fn the_field_that_differs_is_named() {
    for (field, other) in others() {
        let difference = digest(&key()).difference(&digest(&other));
        assert_eq!(difference, Some(field), "{other:?}");
        assert_eq!(digest(&other).difference(&digest(&key())), Some(field));
    }
    let imports = [3, 4].map(|byte| digest(&key()).importing(KeyId::Imported([byte; 32])));
    let difference = imports[0].difference(&imports[1]);
    assert_eq!(difference, Some(RequestField::RawKey));
    assert_eq!(imports[0].difference(&imports[0].clone()), None);
}

#[test]
fn spellings_do_not_matter() {
    let same = |change: &dyn Fn(&mut IssueKey)| {
        let mut other = key();
        change(&mut other);
        let difference = digest(&key()).difference(&digest(&other));
        assert_eq!(difference, None, "{other:?}");
    };
    same(&|key| key.scopes.reverse());
    same(&|key| key.scopes.push("read".to_owned()));
    same(&|key| key.allowed_cidrs.reverse());
    for metadata in [
        r#" { "b" : [1.5, "x"], "a" : 1 } "#,
        r#"{"a":1.0,"b":[15e-1,"\u0078"]}"#,
        r#"{"\u0061":1e0,"b":[1.50,"x"]}"#,
    ] {
        same(&|key| key.metadata = metadata.to_owned());
    }
}

fn record(key: &IssueKey) -> Record {
    let create_time = UnixMillis(5);
    Record {
        tenant: key.tenant,
        key_id: KeyId::Issued(Uuid::from_u128(1)),
        sequence: Sequence(1),
        name: key.name.clone(),
        actor_id: key.actor_id.clone(),
        scopes: key.scopes.clone(),
        metadata: key.metadata.clone(),
        visibility: key.visibility,
        prefix: None,
        create_time,
        update_time: create_time,
        expire_time: key.ttl_ms.map(|ttl| UnixMillis(5 + ttl.cast_signed())),
        revocation: None,
        rate_limit: key.rate_limit,
        allowed_cidrs: key.allowed_cidrs.clone(),
    }
}

#[test]
fn a_record_stands_in_for_a_request_that_was_not_kept() {
    let unchanged = record(&key());
    let mut changed = record(&key());
    changed.update_time = UnixMillis(6);
    let asked = digest(&key());
    assert_eq!(asked.difference_from_record(&unchanged), None);
    for (field, other) in others() {
        let asked = digest(&other);
        let differs = asked.difference_from_record(&unchanged);
        let is_default = other.ttl_ms.is_none();
        assert_eq!(differs, Some(field).filter(|_| !is_default), "{other:?}");
        // An update may have made the difference.
        let lasts = matches!(
            field,
            RequestField::ActorId | RequestField::Visibility | RequestField::Ttl
        );
        let differs = asked.difference_from_record(&changed);
        let wanted = Some(field).filter(|_| lasts && !is_default);
        assert_eq!(differs, wanted, "{other:?}");
    }
    let imported = |byte| Record {
        key_id: KeyId::Imported([byte; 32]),
        ..changed.clone()
    };
    let asked = asked.importing(KeyId::Imported([3; 32]));
    assert_eq!(asked.difference_from_record(&imported(3)), None);
    let differs = asked.difference_from_record(&imported(4));
    assert_eq!(differs, Some(RequestField::RawKey));
}

/// Later releases compare with what this one has written: neither the hashes nor the bytes may
/// ever change.
#[test]
fn the_bytes_are_fixed() {
    let bytes = digest(&key())
        .importing(KeyId::Imported([3; 32]))
        .to_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = [
        "004866291e0a58a1db",
        "010a8bae24670faacb",
        "021f4e961eb632c6e6",
        "03643328c0ff63f2b6",
        "0496c6c0d30e48cae9",
        "05ebce86ebd2f92ee1",
        "068d2537f2308e128b",
        "079703a334034f8fb9",
        "0860ab5a89d0b991c0",
    ];
    assert_eq!(hex, expected.concat());
    let read = RequestDigest::from_bytes(&bytes).expect("a digest");
    assert_eq!(read.to_bytes(), bytes);
    for length in (0..bytes.len()).filter(|length| length % 9 != 0) {
        assert_eq!(RequestDigest::from_bytes(&bytes[..length]), None);
    }
    // The field of a later release is kept, and differs from nothing.
    let later = [bytes.as_slice(), &[200; 9]].concat();
    let later = RequestDigest::from_bytes(&later).expect("a digest");
    assert_eq!(later.difference(&read), None);
    assert!(RequestDigest::from_bytes(&[]).is_some_and(|digest| digest.is_empty()));
}
