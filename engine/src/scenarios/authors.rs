//! Authors of changes in the log.

use talos_model::{Author, Change, FieldChanges, Mode, Position, Proof, RotateKey, UpdateKey};

use super::replication::{all_after, feed, open_replica};
use super::*;

fn author(name: &str) -> Author {
    Author {
        name: name.to_owned(),
        proof: Proof::Token,
        address: Some("192.0.2.7".parse().unwrap()),
    }
}

fn submit_as(
    engine: &Engine,
    author: Option<Author>,
    command: Command,
) -> Result<Outcome, CommandError> {
    let (sender, receiver) = channel();
    engine.submit_as(author, command, move |outcome| {
        sender.send(outcome).expect("a receiver");
    });
    receiver.recv().expect("an outcome")
}

/// The changes in the log, and the version of each.
fn log(engine: &Engine) -> Vec<(u8, Change)> {
    let decoded = |logged: &talos_model::LoggedChange| {
        let change = crate::decode_change(logged).expect("a change");
        (logged.bytes[0], change)
    };
    let all = all_after(engine, Position::START);
    all.iter().map(decoded).collect()
}

/// The version and the author's name of each change.
fn authors(engine: &Engine) -> Vec<(u8, Option<String>)> {
    let of = |(version, change): (u8, Change)| {
        let name = change.author.map(|author| author.name.clone());
        (version, name)
    };
    log(engine).into_iter().map(of).collect()
}

#[test]
fn each_change_names_the_author_of_its_command() {
    let scratch = tempfile::tempdir().unwrap();
    let primary = open(&scratch.path().join("primary"));
    let (key_id, _) = issue_new(&primary, "a");
    let tenant = TenantId::SINGLE;
    let update = Command::Update(UpdateKey {
        tenant,
        key_id,
        changes: FieldChanges::default(),
    });
    submit_as(&primary, Some(author("one")), update).unwrap();
    let rotation = Command::Rotate(RotateKey {
        tenant,
        key_id,
        changes: FieldChanges::default(),
        visibility: None,
    });
    submit_as(&primary, Some(author("two")), rotation).unwrap();
    issue_new(&primary, "b");
    let named = |name: &str| (3, Some(name.to_owned()));
    let expected = [
        // It notes which secret signed.
        (5, None),
        named("one"),
        // The old key and the new one.
        named("two"),
        named("two"),
        (1, None),
    ];
    assert_eq!(authors(&primary), expected);
    let newest = log(&primary).remove(1).1;
    assert_eq!(newest.author.as_deref(), Some(&author("one")));

    let replica = open_replica(&scratch.path().join("replica"));
    replica.adopt(primary.standing().epochs).unwrap();
    feed(&primary, &replica);
    assert_eq!(log(&replica), log(&primary));
    drop(replica);
    let again = Engine::open_as(
        Options {
            shards: None,
            ..options(&scratch.path().join("replica"))
        },
        Mode::Replica,
    );
    assert_eq!(authors(&again.unwrap()), expected);
}

/// Commands of different authors may share a write.
#[test]
fn commands_of_one_write_keep_their_authors() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let (sender, receiver) = channel();
    let names: Vec<_> = (0..200_u32)
        .map(|n| (n % 3 > 0).then(|| format!("author-{}", n % 7)))
        .collect();
    for name in &names {
        let sender = sender.clone();
        let author = name.as_deref().map(author);
        engine.submit_as(author, key("a"), move |outcome| {
            sender.send(outcome.is_ok()).unwrap();
        });
    }
    drop(sender);
    assert!(receiver.iter().all(|is_issued| is_issued));
    let found: Vec<_> = authors(&engine).into_iter().map(|(_, name)| name).collect();
    assert_eq!(found, names);
}
