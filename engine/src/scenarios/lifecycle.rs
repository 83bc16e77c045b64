//! A key from issue to revocation, cached or not, before and after a restart.

use std::thread;

use talos_model::clock::UnixMillis;
use talos_model::{Rejection, Status};

use super::*;

#[test]
fn issue_verify_revoke() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let (key_id, credential) = issue_new(&engine, "a");
    assert_eq!(
        verify(&engine, &credential, CacheMode::Use),
        (valid("a"), CacheStatus::Miss)
    );
    assert_eq!(
        verify(&engine, &credential, CacheMode::Use),
        (valid("a"), CacheStatus::Hit)
    );
    assert_eq!(
        verify(&engine, &credential, CacheMode::Refresh),
        (valid("a"), CacheStatus::Skip)
    );
    assert_eq!(
        verify(&engine, &credential, CacheMode::Bypass),
        (valid("a"), CacheStatus::Skip)
    );

    let Ok(Outcome::Revoked { record }) = revoke(&engine, key_id) else {
        panic!("not revoked")
    };
    assert_eq!(record.status(clock::now()), Status::Revoked);
    for (mode, status) in [
        (CacheMode::Use, CacheStatus::Hit),
        (CacheMode::Refresh, CacheStatus::Skip),
        (CacheMode::Bypass, CacheStatus::Skip),
    ] {
        assert_eq!(
            verify(&engine, &credential, mode),
            (OwnedVerdict::Refused(Refusal::Revoked), status)
        );
    }
    assert_eq!(
        revoke(&engine, key_id).unwrap_err(),
        CommandError::Rejected(Rejection::AlreadyRevoked)
    );
    let unknown = KeyId::Issued(uuid::Uuid::from_u128(1));
    assert_eq!(
        revoke(&engine, unknown).unwrap_err(),
        CommandError::Rejected(Rejection::NotFound)
    );
    assert_eq!(get(&engine, key_id), Some(record));
    assert_eq!(get(&engine, unknown), None);
}

#[test]
fn everything_is_there_after_a_restart() {
    let scratch = tempfile::tempdir().unwrap();
    let first = open(scratch.path());
    let (revoked, revoked_credential) = issue_new(&first, "revoked");
    let (kept, kept_credential) = issue_new(&first, "kept");
    revoke(&first, revoked).unwrap();
    let before = get(&first, kept);
    drop(first);

    let second = open(scratch.path());
    assert_eq!(get(&second, kept), before);
    assert_eq!(
        verify(&second, &kept_credential, CacheMode::Use).0,
        valid("kept")
    );
    assert_eq!(
        verify(&second, &revoked_credential, CacheMode::Use).0,
        OwnedVerdict::Refused(Refusal::Revoked)
    );
    let (record, _) = issue(&second, key("next"));
    assert_eq!(record.sequence.0, 4, "sequences go on without a gap");
}

#[test]
fn unknown_keys_are_not_found() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let (_, credential) = issue_new(&engine, "a");
    let mut wrong = credential.clone().into_bytes();
    let last = wrong.last_mut().unwrap();
    *last = if *last == b'2' { b'3' } else { b'2' };
    let wrong = String::from_utf8(wrong).unwrap();
    let foreign = credential.replacen("talos_", "other_", 1);
    for unknown in [
        wrong.as_str(),
        foreign.as_str(),
        "sk_live_whatever",
        "x",
        "ünï\0code",
    ] {
        for mode in [CacheMode::Use, CacheMode::Refresh, CacheMode::Bypass] {
            assert_eq!(
                verify(&engine, unknown, mode).0,
                OwnedVerdict::Refused(Refusal::NotFound),
                "{unknown}"
            );
        }
    }
    assert_eq!(
        verify(&engine, "", CacheMode::Use).0,
        OwnedVerdict::Refused(Refusal::InvalidFormat)
    );
    assert_eq!(
        verify(&engine, &"x".repeat(8193), CacheMode::Use).0,
        OwnedVerdict::Refused(Refusal::InvalidFormat)
    );
}

#[test]
fn a_key_of_one_tenant_is_unknown_in_another() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let (key_id, credential) = issue_new(&engine, "a");
    assert_eq!(verify(&engine, &credential, CacheMode::Use).0, valid("a"));
    let other = TenantId(uuid::Uuid::from_u128(9));
    let mut elsewhere = query(&credential, CacheMode::Use);
    elsewhere.tenant = other;
    assert_eq!(
        verify_query(&engine, &elsewhere).0,
        OwnedVerdict::Refused(Refusal::NotFound)
    );
    let Command::Revoke(mut foreign) = revocation(key_id) else {
        unreachable!()
    };
    foreign.tenant = other;
    let refused = submit(&engine, Command::Revoke(foreign)).unwrap_err();
    assert_eq!(refused, CommandError::Rejected(Rejection::NotFound));
}

#[test]
fn time_address_and_audience_are_checked_on_every_hit() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let restricted = IssueKey {
        ttl_ms: Some(60_000),
        allowed_cidrs: vec!["10.0.0.0/8".parse().unwrap()],
        ..key("a")
    };
    let (record, credential) = issue(&engine, restricted);
    let credential = credential.unwrap();
    let mut inside = query(&credential, CacheMode::Use);
    inside.client_ip = Some("10.1.1.1".parse().unwrap());
    for _ in 0..2 {
        assert_eq!(verify_query(&engine, &inside).0, valid("a"));
        let outside = Query {
            client_ip: Some("192.0.2.1".parse().unwrap()),
            ..inside
        };
        assert_eq!(
            verify_query(&engine, &outside).0,
            OwnedVerdict::Refused(Refusal::IpNotAllowed)
        );
        let unknown_address = Query {
            client_ip: None,
            ..inside
        };
        assert_eq!(
            verify_query(&engine, &unknown_address).0,
            OwnedVerdict::Refused(Refusal::IpNotAllowed)
        );
        let audience = Query {
            expected_audiences: &["api"],
            ..inside
        };
        assert_eq!(
            verify_query(&engine, &audience).0,
            OwnedVerdict::Refused(Refusal::AudienceMismatch)
        );
        let last_instant = Query {
            now: UnixMillis(record.expire_time.unwrap().0 - 1),
            ..inside
        };
        assert_eq!(verify_query(&engine, &last_instant).0, valid("a"));
        let expired = Query {
            now: record.expire_time.unwrap(),
            ..inside
        };
        assert_eq!(
            verify_query(&engine, &expired).0,
            OwnedVerdict::Refused(Refusal::Expired)
        );
    }
}

#[test]
fn a_key_over_the_maximum_age_is_expired() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let (record, credential) = issue(&engine, key("a"));
    let credential = credential.unwrap();
    let made = record.create_time;
    let young = Query {
        now: UnixMillis(made.0 + 86_399_999),
        ..query(&credential, CacheMode::Use)
    };
    let old = Query {
        now: UnixMillis(made.0 + 86_400_000),
        ..young
    };
    for _ in 0..2 {
        assert_eq!(verify_query(&engine, &young).0, valid("a"));
        assert_eq!(
            verify_query(&engine, &old).0,
            OwnedVerdict::Refused(Refusal::Expired)
        );
    }
}

#[test]
fn a_request_id_makes_one_key_however_often_and_whenever_it_is_sent() {
    let scratch = tempfile::tempdir().unwrap();
    let request = || with_id("r1", key("a"));
    let engine = open(scratch.path());
    let made: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| issue(&engine, request())))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(
        made.iter().filter(|(_, secret)| secret.is_some()).count(),
        1
    );
    assert!(made.iter().all(|(record, _)| *record == made[0].0));
    drop(engine);
    let engine = open(scratch.path());
    assert_eq!(issue(&engine, request()), (made[0].0.clone(), None));
    let elsewhere = IssueKey {
        tenant: TenantId(uuid::Uuid::from_u128(9)),
        ..request()
    };
    assert!(
        issue(&engine, elsewhere).1.is_some(),
        "request ids of tenants do not meet"
    );
}

#[test]
fn public_keys_need_a_prefix() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let public = IssueKey {
        visibility: Visibility::Public,
        ..key("a")
    };
    let refused = submit(&engine, Command::Issue(public)).unwrap_err();
    assert_eq!(refused, CommandError::Rejected(Rejection::NoPublicPrefix));
}

#[test]
fn without_a_cache_every_answer_comes_from_storage() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = Engine::open(Options {
        cache_bytes: 0,
        ..options(scratch.path())
    })
    .unwrap();
    let (key_id, credential) = issue_new(&engine, "a");
    for _ in 0..2 {
        assert_eq!(
            verify(&engine, &credential, CacheMode::Use),
            (valid("a"), CacheStatus::Miss)
        );
    }
    revoke(&engine, key_id).unwrap();
    assert_eq!(
        verify(&engine, &credential, CacheMode::Use).0,
        OwnedVerdict::Refused(Refusal::Revoked)
    );
}

#[test]
fn answers_older_than_the_cache_lifetime_are_read_again() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let (_, credential) = issue_new(&engine, "a");
    let now = query(&credential, CacheMode::Use);
    let later = |seconds: u64| Query {
        now: now.now.plus_seconds(seconds),
        ..now
    };
    assert_eq!(verify_query(&engine, &now).1, CacheStatus::Miss);
    assert_eq!(verify_query(&engine, &later(300)).1, CacheStatus::Hit);
    assert_eq!(verify_query(&engine, &later(301)).1, CacheStatus::Miss);
    assert_eq!(verify_query(&engine, &later(302)).1, CacheStatus::Hit);
}

#[test]
fn after_shutdown_writes_are_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    engine.shutdown();
    assert_eq!(
        submit(&engine, Command::Issue(key("a"))).unwrap_err(),
        CommandError::Stopping
    );
}
