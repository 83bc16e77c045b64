//! Imported keys.

use talos_credentials::imported_key_id;
use talos_model::{DeleteKey, ImportKey, Rejection};

use super::*;

fn import_of(raw: &str) -> ImportKey {
    ImportKey {
        key_id: imported_key_id(TenantId::SINGLE, raw.as_bytes()),
        key: key(raw),
    }
}

fn import(engine: &Engine, import: ImportKey) -> Result<Record, CommandError> {
    match submit(engine, Command::Import(import))? {
        Outcome::Imported { record } => Ok(record),
        other => panic!("{other:?}"),
    }
}

fn delete(engine: &Engine, key_id: KeyId) -> Result<Outcome, CommandError> {
    let tenant = TenantId::SINGLE;
    submit(engine, Command::Delete(DeleteKey { tenant, key_id }))
}

#[test]
fn an_imported_key_is_verified_revoked_and_found_after_a_restart() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let record = import(&engine, import_of("sk_1")).unwrap();
    assert_eq!(
        verify(&engine, "sk_1", CacheMode::Use),
        (valid("sk_1"), CacheStatus::Miss)
    );
    assert_eq!(
        verify(&engine, "sk_1", CacheMode::Use),
        (valid("sk_1"), CacheStatus::Hit)
    );
    let again = import(&engine, import_of("sk_1")).unwrap_err();
    assert_eq!(again, CommandError::Rejected(Rejection::AlreadyExists));
    drop(engine);
    let engine = open(scratch.path());
    assert_eq!(verify(&engine, "sk_1", CacheMode::Use).0, valid("sk_1"));
    revoke(&engine, record.key_id).unwrap();
    for mode in [CacheMode::Use, CacheMode::Refresh, CacheMode::Bypass] {
        assert_eq!(
            verify(&engine, "sk_1", mode).0,
            OwnedVerdict::Refused(Refusal::Revoked)
        );
    }
}

#[test]
fn a_deleted_key_is_gone_at_once_and_can_be_imported_anew() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let record = import(&engine, import_of("sk_1")).unwrap();
    assert_eq!(verify(&engine, "sk_1", CacheMode::Use).0, valid("sk_1"));
    delete(&engine, record.key_id).unwrap();
    for mode in [CacheMode::Use, CacheMode::Refresh, CacheMode::Bypass] {
        assert_eq!(
            verify(&engine, "sk_1", mode).0,
            OwnedVerdict::Refused(Refusal::NotFound)
        );
    }
    assert_eq!(get(&engine, record.key_id), None);
    let again = delete(&engine, record.key_id).unwrap_err();
    assert_eq!(again, CommandError::Rejected(Rejection::NotFound));
    drop(engine);
    let engine = open(scratch.path());
    let anew = import(&engine, import_of("sk_1")).unwrap();
    assert_eq!(anew.sequence.0, 3);
    assert_eq!(verify(&engine, "sk_1", CacheMode::Use).0, valid("sk_1"));
}

#[test]
fn a_batch_accepts_or_rejects_each_key_separately() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    import(&engine, import_of("known")).unwrap();
    let batch = ["a", "known", "b", "a"].map(import_of).to_vec();
    let Outcome::ImportedMany(results) = submit(&engine, Command::ImportMany(batch)).unwrap()
    else {
        panic!("another outcome");
    };
    let names: Vec<_> = results
        .iter()
        .map(|result| result.as_ref().map(|record| record.name.as_str()))
        .collect();
    let rejected = CommandError::Rejected(Rejection::AlreadyExists);
    let exists = Err(&rejected);
    assert_eq!(names, [Ok("a"), exists, Ok("b"), exists]);
    assert!(
        ["a", "b", "known"]
            .iter()
            .all(|raw| verify(&engine, raw, CacheMode::Use).0 == valid(raw))
    );
}

#[test]
fn request_ids_of_imports_and_issues_are_separate() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let (issued, _) = issue(&engine, with_id("r", key("i")));
    let imported = import_with_id("r", import_of("sk_1"));
    let first = import(&engine, imported.clone()).unwrap();
    assert_ne!(first.key_id, issued.key_id);
    assert_eq!(
        import(&engine, imported).unwrap(),
        first,
        "the same request is answered alike"
    );
}
