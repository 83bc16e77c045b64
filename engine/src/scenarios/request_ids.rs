//! A request id belongs to one request: a repetition returns the first key, and another request is
//! refused, naming the field that differs.

use talos_model::{FieldChanges, Rejection, RequestField, UpdateKey};

use super::*;

/// The refusal of a request whose id made the key `key_id`.
fn reused(engine: &Engine, field: RequestField, key_id: KeyId) -> CommandError {
    let sequence = get(engine, key_id).expect("a key").sequence;
    let rejection = Rejection::RequestIdReused {
        field,
        key_id,
        sequence,
    };
    rejection.into()
}

fn refused(engine: &Engine, command: Command) -> CommandError {
    submit(engine, command).expect_err("another request")
}

fn import_of(raw: &str) -> ImportKey {
    ImportKey {
        key_id: talos_credentials::imported_key_id(TenantId::SINGLE, raw.as_bytes()),
        key: key(raw),
    }
}

fn rename(engine: &Engine, key_id: KeyId, name: &str) {
    let changes = FieldChanges {
        name: Some(name.to_owned()),
        ..FieldChanges::default()
    };
    let tenant = TenantId::SINGLE;
    let update = UpdateKey {
        tenant,
        key_id,
        changes,
    };
    submit(engine, Command::Update(update)).expect("a changed key");
}

#[test]
fn another_request_with_the_id_is_refused_for_good() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let (made, _) = issue(&engine, with_id("r", key("a")));
    let other = || Command::Issue(with_id("r", key("b")));
    let last = engine.committed();
    assert_eq!(
        refused(&engine, other()),
        reused(&engine, RequestField::Name, made.key_id)
    );
    assert_eq!(engine.committed(), last, "nothing was changed");
    drop(engine);
    let engine = open(scratch.path());
    assert_eq!(
        refused(&engine, other()),
        reused(&engine, RequestField::Name, made.key_id)
    );
    // The key is compared as it was asked for, not as it is.
    rename(&engine, made.key_id, "b");
    assert_eq!(
        refused(&engine, other()),
        reused(&engine, RequestField::Name, made.key_id)
    );
    let (again, secret) = issue(&engine, with_id("r", key("a")));
    assert_eq!((again.name.as_str(), secret), ("b", None));
}

#[test]
fn in_a_batch_only_the_other_request_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let first = import_with_id("r", import_of("one"));
    let second = import_with_id("r", import_of("two"));
    let batch = vec![first.clone(), second, import_of("three"), first.clone()];
    let [one, three] = [&batch[0], &batch[2]].map(|import| import.key_id);
    for _ in 0..2 {
        let Ok(Outcome::ImportedMany(results)) =
            submit(&engine, Command::ImportMany(batch.clone()))
        else {
            panic!("a batch");
        };
        let results: Vec<_> = results
            .into_iter()
            .map(|result| result.map(|record| record.key_id))
            .collect();
        assert_eq!(results[0], Ok(one));
        assert_eq!(results[1], Err(reused(&engine, RequestField::RawKey, one)));
        assert_eq!(results[3], Ok(one));
        // Without an id a repetition is a second import.
        let exists = Err(CommandError::Rejected(Rejection::AlreadyExists));
        assert!(results[2] == Ok(three) || results[2] == exists);
    }
    let two = import_of("two").key_id;
    assert_eq!(get(&engine, two), None, "never imported");
}

/// A request as an earlier release stored it.
fn without_digest(request: IssueKey) -> IssueKey {
    let request_id = request.request_id.map(|request| RequestId {
        digest: RequestDigest::default(),
        ..request
    });
    IssueKey {
        request_id,
        ..request
    }
}

#[test]
fn entries_of_earlier_releases_are_compared_with_the_key() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let (made, _) = issue(&engine, without_digest(with_id("r", key("a"))));
    drop(engine);
    let engine = open(scratch.path());
    let again = || with_id("r", key("a"));
    assert_eq!(issue(&engine, again()), (made.clone(), None));
    let renamed = || Command::Issue(with_id("r", key("b")));
    assert_eq!(
        refused(&engine, renamed()),
        reused(&engine, RequestField::Name, made.key_id)
    );
    let other_actor = IssueKey {
        actor_id: "another".to_owned(),
        ..key("a")
    };
    let other_actor = || Command::Issue(with_id("r", other_actor.clone()));
    let reused_actor = |engine: &Engine| reused(engine, RequestField::ActorId, made.key_id);
    assert_eq!(refused(&engine, other_actor()), reused_actor(&engine));
    // After an update nobody knows any more what the name was.
    std::thread::sleep(std::time::Duration::from_millis(2));
    rename(&engine, made.key_id, "c");
    assert_eq!(issue(&engine, again()).1, None);
    assert!(submit(&engine, renamed()).is_ok());
    assert_eq!(refused(&engine, other_actor()), reused_actor(&engine));

    let old = without_digest(with_id("i", key("one")));
    let one = ImportKey {
        key: old,
        ..import_of("one")
    };
    submit(&engine, Command::Import(one.clone())).expect("an imported key");
    let two = import_with_id("i", import_of("two"));
    assert_eq!(
        refused(&engine, Command::Import(two)),
        reused(&engine, RequestField::RawKey, one.key_id)
    );
    let again = import_with_id("i", import_of("one"));
    assert!(submit(&engine, Command::Import(again)).is_ok());
}
