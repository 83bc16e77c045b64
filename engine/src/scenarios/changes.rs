//! Updates, rotations and the quota.

use std::thread;

use talos_model::{FieldChanges, Rejection, RotateKey, Rotation, Status, UpdateKey};

use super::*;

fn update(engine: &Engine, key_id: KeyId, changes: FieldChanges) -> Result<Record, CommandError> {
    let tenant = TenantId::SINGLE;
    match submit(
        engine,
        Command::Update(UpdateKey {
            tenant,
            key_id,
            changes,
        }),
    )? {
        Outcome::Updated { record } => Ok(record),
        other => panic!("{other:?}"),
    }
}

fn rotate(
    engine: &Engine,
    key_id: KeyId,
    changes: FieldChanges,
) -> Result<(Record, String, Record), CommandError> {
    let command = RotateKey {
        tenant: TenantId::SINGLE,
        key_id,
        changes,
        visibility: None,
    };
    match submit(engine, Command::Rotate(command))? {
        Outcome::Rotated(rotation) => {
            let Rotation {
                record,
                secret,
                old,
            } = *rotation;
            Ok((record, secret.expose().to_owned(), old))
        }
        other => panic!("{other:?}"),
    }
}

fn named(name: &str) -> FieldChanges {
    FieldChanges {
        name: Some(name.to_owned()),
        ..FieldChanges::default()
    }
}

#[test]
fn an_update_is_seen_by_the_next_verification() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let (key_id, credential) = issue_new(&engine, "before");
    assert_eq!(
        verify(&engine, &credential, CacheMode::Use).0,
        valid("before")
    );
    let record = update(&engine, key_id, named("after")).unwrap();
    assert_eq!(
        (record.scopes.as_slice(), record.sequence.0),
        (["read".to_owned()].as_slice(), 2)
    );
    assert_eq!(
        verify(&engine, &credential, CacheMode::Use),
        (valid("after"), CacheStatus::Hit)
    );
    assert_eq!(get(&engine, key_id), Some(record));
    let unknown = KeyId::Issued(uuid::Uuid::from_u128(1));
    let refused = update(&engine, unknown, named("x")).unwrap_err();
    assert_eq!(refused, CommandError::Rejected(Rejection::NotFound));
}

#[test]
fn a_rotated_key_lives_on_under_a_new_credential() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let (old_record, credential) = issue(
        &engine,
        IssueKey {
            ttl_ms: Some(60_000),
            ..key("a")
        },
    );
    let credential = credential.unwrap();
    assert_eq!(verify(&engine, &credential, CacheMode::Use).0, valid("a"));
    let (record, newer, old) = rotate(&engine, old_record.key_id, named("b")).unwrap();
    assert_eq!(
        verify(&engine, &credential, CacheMode::Use).0,
        OwnedVerdict::Refused(Refusal::Revoked)
    );
    assert_eq!(verify(&engine, &newer, CacheMode::Use).0, valid("b"));
    assert_eq!(record.expire_time, old_record.expire_time);
    assert_eq!(
        (record.actor_id.as_str(), record.scopes.len()),
        ("actor", 1)
    );
    assert_eq!(
        old.revocation.as_ref().unwrap().reason,
        RevocationReason::Superseded
    );
    assert_eq!(old.status(clock::now()), Status::Revoked);
    assert_eq!(get(&engine, old.key_id), Some(old.clone()));
    let again = rotate(&engine, old.key_id, named("c")).unwrap_err();
    assert_eq!(again, CommandError::Rejected(Rejection::NotActive));
    let public = RotateKey {
        tenant: TenantId::SINGLE,
        key_id: record.key_id,
        changes: FieldChanges::default(),
        visibility: Some(Visibility::Public),
    };
    let refused = submit(&engine, Command::Rotate(public)).unwrap_err();
    assert_eq!(refused, CommandError::Rejected(Rejection::NoPublicPrefix));
    assert_eq!(
        verify(&engine, &newer, CacheMode::Use).0,
        valid("b"),
        "nothing was half done"
    );
}

#[test]
fn the_quota_is_exact_under_concurrent_issuing() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    set_live_keys_max(&engine, Some(10));
    let outcomes: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    (0..5)
                        .map(|_| submit(&engine, Command::Issue(key("a"))))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let made: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| outcome.as_ref().ok())
        .collect();
    assert_eq!(made.len(), 10);
    let over = CommandError::Rejected(Rejection::QuotaExceeded { max: 10 });
    assert!(
        outcomes
            .iter()
            .filter_map(|outcome| outcome.as_ref().err())
            .all(|error| *error == over)
    );

    let Outcome::Issued { record, .. } = made[0] else {
        unreachable!()
    };
    let (rotated, ..) =
        rotate(&engine, record.key_id, FieldChanges::default()).expect("a rotation adds no key");
    assert_eq!(submit(&engine, Command::Issue(key("b"))).unwrap_err(), over);
    revoke(&engine, rotated.key_id).unwrap();
    drop(engine);
    let engine = open(scratch.path());
    set_live_keys_max(&engine, Some(10));
    submit(&engine, Command::Issue(key("b")))
        .expect("a revoked key makes room, also after a restart");
    assert_eq!(submit(&engine, Command::Issue(key("c"))).unwrap_err(), over);
}
