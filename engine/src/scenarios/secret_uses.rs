//! Which secrets have signed keys is known after restarts, on replicas, in backups and in copies.

use std::io::Cursor;

use talos_model::clock::UnixMillis;
use talos_model::limits::SECRET_USE_INTERVAL_MS;
use talos_model::{FieldChanges, RotateKey, SecretFingerprint};

use super::replication::{begin, feed, finish_copy, open_primary, open_replica};
use super::*;
use crate::backup::{Since, restore};
use crate::{KeyCount, NeededSecrets};

fn print(secret: &str) -> SecretFingerprint {
    keyring(secret).fingerprint()
}

fn uses(engine: &Engine) -> Vec<SecretFingerprint> {
    let uses = engine.secret_uses();
    uses.all().iter().map(|one| one.fingerprint).collect()
}

/// Opens the database with this current secret and these retired ones.
fn open_with(path: &Path, current: &str, retired: &[&str]) -> Arc<Engine> {
    let retired = retired
        .iter()
        .map(|&old| Secret::new(old.to_owned()).into());
    let keyring = Keyring::new(KeyringSettings {
        hmac_retired: retired.collect(),
        ..keyring_settings(current)
    });
    Engine::open(Options {
        tenants: tenants(keyring),
        ..options(path)
    })
    .expect("a database")
}

/// What the keys of all tenants need.
fn needed_at(engine: &Engine, now: UnixMillis) -> Vec<NeededSecrets> {
    engine
        .needed_secrets(&engine.tenants(), now)
        .expect("readable")
}

/// How many secrets the node has and which it lacks, with the number of their keys, of the first
/// tenant.
fn summary(engine: &Engine) -> (usize, Vec<(SecretFingerprint, KeyCount)>) {
    let all = needed_at(engine, clock::now());
    let Some(needed) = all.iter().find(|one| one.tenant == TenantId::SINGLE) else {
        return (0, Vec::new());
    };
    let missing = needed.missing.iter();
    let missing = missing.map(|one| (one.fingerprint, one.keys));
    (needed.present, missing.collect())
}

fn issue_at(engine: &Engine, now: i64) {
    let (sender, receiver) = channel();
    engine.submit_at(None, key("k"), UnixMillis(now), move |outcome| {
        sender.send(outcome).expect("a receiver");
    });
    receiver.recv().expect("an outcome").expect("a key");
}

fn notes(engine: &Engine) -> usize {
    let changes = super::replication::all_after(engine, talos_model::Position::START);
    let changes = changes.iter();
    let noted = changes.filter(|change| {
        let change = crate::decode_change(change).expect("a change");
        change.signed_by.is_some()
    });
    noted.count()
}

#[test]
fn a_secret_is_noted_when_it_first_signs_and_once_an_hour() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let imported = talos_model::ImportKey {
        key_id: talos_credentials::imported_key_id(TenantId::SINGLE, b"raw"),
        key: key("imported"),
    };
    submit(&engine, Command::Import(imported)).expect("an imported key");
    assert_eq!(uses(&engine), [], "no secret signs an imported key");
    let start = clock::now().0;
    for (later, noted) in [
        (0, 1),
        (1, 1),
        (SECRET_USE_INTERVAL_MS - 1, 1),
        (SECRET_USE_INTERVAL_MS, 2),
        (SECRET_USE_INTERVAL_MS + 1, 2),
    ] {
        issue_at(&engine, start + later);
        assert_eq!(notes(&engine), noted, "{later}");
    }
    let last = UnixMillis(start + SECRET_USE_INTERVAL_MS);
    let before = engine.secret_uses();
    assert_eq!(before.all()[0].first, UnixMillis(start));
    assert_eq!(before.all()[0].last, last);
    drop(engine);
    let engine = open(scratch.path());
    assert_eq!(engine.secret_uses(), before, "after a restart");
    issue_at(&engine, last.0 + 1);
    assert_eq!(notes(&engine), 2);
    set_keyring(&engine, keyring("second"));
    issue_at(&engine, last.0 + 2);
    assert_eq!(notes(&engine), 3);
}

#[test]
fn the_new_key_of_a_rotation_is_signed_too() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let (key_id, _) = issue_new(&engine, "a");
    set_keyring(&engine, keyring("second"));
    let rotate = RotateKey {
        tenant: TenantId::SINGLE,
        key_id,
        changes: FieldChanges::default(),
        visibility: None,
    };
    submit(&engine, Command::Rotate(rotate)).expect("a rotated key");
    let mut expected = [print("first"), print("second")];
    expected.sort();
    assert_eq!(uses(&engine), expected);
}

#[test]
fn missing_secrets_are_found_with_the_number_of_their_keys() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path();
    let engine = open_with(path, "first", &[]);
    assert_eq!(needed_at(&engine, clock::now()), [], "a new database");
    let (revoked, _) = issue_new(&engine, "a");
    issue_new(&engine, "b");
    let short = IssueKey {
        ttl_ms: Some(1),
        ..key("short")
    };
    issue(&engine, short);
    let elsewhere = IssueKey {
        tenant: TenantId(uuid::Uuid::from_u128(7)),
        ..key("elsewhere")
    };
    issue(&engine, elsewhere.clone());
    revoke(&engine, revoked).expect("a revoked key");
    assert_eq!(summary(&engine), (1, vec![]));
    drop(engine);
    std::thread::sleep(std::time::Duration::from_millis(5));
    let active = KeyCount::Exactly(1);
    let engine = open_with(path, "second", &[]);
    assert_eq!(summary(&engine), (0, vec![(print("first"), active)]));
    assert_eq!(engine.missing_secrets(clock::now()), 2, "of two tenants");
    let other = needed_at(&engine, clock::now());
    let other = other.iter().find(|one| one.tenant == elsewhere.tenant);
    assert_eq!(other.unwrap().missing[0].keys, active);
    // A tenant without settings is refused in any case.
    let single = engine.tenants()[..1].to_vec();
    assert_eq!(
        engine.needed_secrets(&single, clock::now()).unwrap().len(),
        1
    );
    drop(engine);
    let engine = open_with(path, "second", &["first"]);
    assert_eq!(summary(&engine), (1, vec![]));
    issue_new(&engine, "c");
    assert_eq!(summary(&engine), (2, vec![]));
    drop(engine);
    // With another secret beside it, the first one alone is missing.
    let engine = open_with(path, "second", &["third"]);
    let (present, missing) = summary(&engine);
    assert_eq!((present, missing[0].0), (1, print("first")));
    let max_ttl_ms = 86_400_000;
    let later = UnixMillis(clock::now().0 + max_ttl_ms + SECRET_USE_INTERVAL_MS);
    assert_eq!(needed_at(&engine, later), [], "every key has ended");
}

#[test]
fn a_secret_without_active_keys_is_forgotten_by_a_primary() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path();
    let engine = open_with(path, "first", &[]);
    let (key_id, _) = issue_new(&engine, "a");
    revoke(&engine, key_id).expect("a revoked key");
    drop(engine);
    let engine = open_with(path, "second", &[]);
    assert_eq!(needed_at(&engine, clock::now()), []);
    assert_eq!(uses(&engine), []);
    drop(engine);
    assert_eq!(uses(&open_with(path, "second", &[])), [], "durably");
}

#[test]
fn secrets_are_forgotten_durably_until_they_sign_again() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path();
    let engine = open_with(path, "first", &[]);
    issue_new(&engine, "a");
    drop(engine);
    let engine = open_with(path, "second", &[]);
    let first = (TenantId::SINGLE, print("first"));
    engine.forget_secrets(vec![first]).unwrap();
    assert_eq!(summary(&engine), (0, vec![]));
    drop(engine);
    let engine = open_with(path, "second", &[]);
    assert_eq!(uses(&engine), []);
    issue_new(&engine, "b");
    drop(engine);
    let engine = open_with(path, "first", &[]);
    let (present, missing) = summary(&engine);
    assert_eq!((present, missing.len()), (0, 1));
    assert_eq!(missing[0].0, print("second"));
}

#[test]
fn replicas_copies_and_backups_know_the_secrets() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let engine = open_primary(&at("primary"));
    issue_new(&engine, "a");
    let mut backup = Vec::new();
    let mut maker = engine.backup("test").unwrap();
    while let Some(part) = maker.next_part().unwrap() {
        backup.extend(part);
    }
    set_keyring(&engine, keyring("second"));
    issue_new(&engine, "b");
    assert_eq!(uses(&engine).len(), 2);

    let follower = open_replica(&at("follower"));
    follower.adopt(engine.standing().epochs).unwrap();
    feed(&engine, &follower);
    assert_eq!(follower.secret_uses(), engine.secret_uses());
    let copied = open_replica(&at("copied"));
    let snapshot = engine.snapshot().unwrap();
    begin(&engine, &snapshot, &copied);
    assert_eq!(uses(&copied), []);
    finish_copy(&snapshot, &copied);
    assert_eq!(copied.secret_uses(), engine.secret_uses());
    // A replica does not forget: it may lack changes of its primary.
    set_keyring(&follower, keyring("third"));
    assert_eq!(summary(&follower).1.len(), 2);
    drop((follower, copied));
    for name in ["follower", "copied"] {
        let again = open_replica(&at(name));
        assert_eq!(again.secret_uses(), engine.secret_uses(), "{name}");
    }

    let expected = engine.secret_uses();
    drop((snapshot, maker, engine));
    for (to, since, secrets) in [
        ("alone", Since::Unknown, 1),
        ("with-log", Since::Log(&at("primary")), 2),
    ] {
        restore(Cursor::new(&backup), &at(to), since, |_| {}).unwrap();
        let restored = open_primary(&at(to));
        assert_eq!(uses(&restored).len(), secrets, "{to}");
        if secrets == 2 {
            assert_eq!(restored.secret_uses(), expected);
        }
    }
}
