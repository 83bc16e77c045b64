//! Commands on keys that a bulk revocation has revoked, before their records are rewritten.

use talos_credentials::imported_key_id;
use talos_model::{
    Author, DeleteKey, FieldChanges, ImportKey, Proof, Rejection, RotateKey, UpdateKey,
};

use super::*;

const RAW: &str = "a-key-of-another-system";

fn rename(key_id: KeyId) -> Command {
    Command::Update(UpdateKey {
        tenant: TenantId::SINGLE,
        key_id,
        changes: FieldChanges {
            name: Some("renamed".to_owned()),
            ..FieldChanges::default()
        },
    })
}

fn rejected<T: std::fmt::Debug>(outcome: Result<T, CommandError>) -> Rejection {
    match outcome.unwrap_err() {
        CommandError::Rejected(rejection) => rejection,
        other => panic!("{other:?}"),
    }
}

/// Tested with both orders: a command or the catch-up thread rewrites the record first.
#[test]
fn no_command_brings_a_key_back() {
    for goes_first in ["a command", "the thread"] {
        let scratch = tempfile::tempdir().unwrap();
        let engine = paused(scratch.path());
        let keys: Vec<_> = (0..3).map(|_| made(&engine, "leaver", "read")).collect();
        for (_, credential) in &keys {
            cache(&engine, credential);
        }
        let key_id = imported_key_id(TenantId::SINGLE, RAW.as_bytes());
        let import = || {
            let key = key_of("leaver", "read");
            submit(&engine, Command::Import(ImportKey { key_id, key }))
        };
        import().expect("an imported key");
        let bulk_revocation = revoke_where(&engine, of_actor("leaver"));
        if goes_first == "the thread" {
            engine.finish_catch_up();
        }
        let updated = match submit(&engine, rename(keys[0].0)).expect("an update") {
            Outcome::Updated { record } => record,
            other => panic!("{other:?}"),
        };
        assert_eq!(updated.revocation, Some(bulk_revocation.revocation.clone()));
        assert_eq!(updated.name, "renamed");
        let rotate = RotateKey {
            tenant: TenantId::SINGLE,
            key_id: keys[1].0,
            changes: FieldChanges::default(),
            visibility: None,
        };
        assert_eq!(
            rejected(submit(&engine, Command::Rotate(rotate))),
            Rejection::NotActive
        );
        assert_eq!(
            rejected(revoke(&engine, keys[2].0)),
            Rejection::AlreadyRevoked
        );
        assert_eq!(rejected(import()), Rejection::AlreadyExists);
        for (key_id, credential) in &keys {
            assert_revoked(&engine, credential);
            let shown = get(&engine, *key_id).expect("a key");
            assert_eq!(shown.revocation, Some(bulk_revocation.revocation.clone()));
        }
        assert_revoked(&engine, RAW);

        let tenant = TenantId::SINGLE;
        submit(&engine, Command::Delete(DeleteKey { tenant, key_id })).expect("a deletion");
        import().expect("a new key of the same name");
        assert_valid(&engine, RAW);
        assert_eq!(engine.store().live_keys(tenant), Ok(1), "{goes_first}");
        engine.finish_catch_up();
        assert_valid(&engine, RAW);
        assert_eq!(engine.store().live_keys(tenant), Ok(1), "{goes_first}");
        let revoked = get(&engine, keys[0].0).expect("a key");
        assert_eq!(revoked, updated, "the record was rewritten already");
        drop(engine);
        let engine = open(scratch.path());
        for (_, credential) in &keys {
            assert_revoked(&engine, credential);
        }
        assert_valid(&engine, RAW);
    }
}

#[test]
fn a_request_that_made_a_key_shows_it_as_ended() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = paused(scratch.path());
    let request = with_id("once", key_of("leaver", "read"));
    let (first, _) = issue(&engine, request.clone());
    let bulk_revocation = revoke_where(&engine, of_actor("leaver"));
    let (again, secret) = issue(&engine, request);
    assert_eq!((again.key_id, secret), (first.key_id, None));
    assert_eq!(again.revocation, Some(bulk_revocation.revocation));
}

#[test]
fn a_bulk_revocation_and_commands_share_a_write() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = paused(scratch.path());
    let (key_id, credential) = made(&engine, "leaver", "read");
    let (_, other) = made(&engine, "leaver", "read");
    let (sender, receiver) = channel();
    // Commands that are queued together mostly share a group. The order is the same in any case.
    let commands = [
        Command::Issue(key_of("leaver", "read")),
        decision(of_actor("leaver")),
        rename(key_id),
        Command::Issue(key_of("leaver", "read")),
    ];
    for command in commands {
        let sender = sender.clone();
        engine.submit(command, move |outcome| drop(sender.send(outcome)));
    }
    let mut secrets = Vec::new();
    for outcome in receiver.iter().take(4) {
        if let Outcome::Issued { secret, .. } = outcome.expect("an outcome") {
            secrets.push(secret.expect("a credential").expose().to_owned());
        }
    }
    for credential in [&credential, &other, &secrets[0]] {
        assert_revoked(&engine, credential);
    }
    assert_valid(&engine, &secrets[1]);
    engine.finish_catch_up();
    assert_valid(&engine, &secrets[1]);
    assert_eq!(engine.store().live_keys(TenantId::SINGLE), Ok(1));
}

/// The end of each key follows from the bulk revocation, also when a command of another author
/// meets the key first.
#[test]
fn only_the_change_that_begins_it_has_an_author() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = paused(scratch.path());
    let keys: Vec<_> = (0..3).map(|_| made(&engine, "leaver", "read")).collect();
    let submit_as = |name: &str, command: Command| {
        let author = Author {
            name: name.to_owned(),
            proof: Proof::Token,
            address: None,
        };
        let (sender, receiver) = channel();
        engine.submit_as(Some(author), command, move |outcome| {
            sender.send(outcome).expect("a receiver");
        });
        receiver.recv().expect("an outcome").expect("a change");
    };
    submit_as("one", decision(of_actor("leaver")));
    submit_as("two", rename(keys[0].0));
    engine.finish_catch_up();
    let store = engine.store();
    let newest = store.newest_changes().expect("the log");
    let mut authors: Vec<_> = newest
        .map(|change| change.expect("a change"))
        .map(|change| change.author.map(|author| author.name.clone()))
        .collect();
    authors.reverse();
    let authors: Vec<_> = authors.iter().map(Option::as_deref).collect();
    let issued = [None; 3];
    // The end of the renamed key, its new name, the ends of the others, and the completion.
    let expected = [Some("one"), None, Some("two"), None, None, None];
    assert_eq!(authors, [issued.as_slice(), &expected].concat());
}
