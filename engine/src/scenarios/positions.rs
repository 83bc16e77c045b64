//! Positions around a write that is on its way: nobody is shown a change before the ceiling says so.

use std::sync::mpsc::{Receiver, Sender};

use talos_model::{Mode, Position, Sequence};

use super::*;
use crate::storage::{Group, Journal, MembershipWrite as Written, StorageError};

/// Stops before and after every group: the test is told, and says when to go on, and whether the write fails.
struct Stopping {
    journal: Box<dyn Journal>,
    stopped: Sender<()>,
    go_on: Receiver<Result<(), StorageError>>,
}

impl Stopping {
    fn stop(&self) -> Result<(), StorageError> {
        self.stopped.send(()).expect("a test");
        self.go_on.recv().expect("a test")
    }
}

impl Journal for Stopping {
    fn append(&mut self, group: &Group<'_>) -> Result<(), StorageError> {
        self.stop()?;
        self.journal.append(group)?;
        self.stop()
    }

    fn write_membership(&mut self, step: &Written<'_>) -> Result<(), StorageError> {
        self.journal.write_membership(step)
    }

    fn change_at(&self, position: Position) -> Result<Option<Vec<u8>>, StorageError> {
        self.journal.change_at(position)
    }
}

/// What is said of a credential, and the change that it rests on.
fn rests_on(engine: &Engine, credential: &str, cache: CacheMode) -> (Said, Option<u64>) {
    let query = query(credential, cache);
    let both = |answer: Answer<'_>| {
        let sequence = answer.sequence.map(|sequence| sequence.0);
        (said(answer).0, sequence)
    };
    match engine.verify(&query, both) {
        VerifyStep::Answered(answer) => answer,
        VerifyStep::Pending(pending) => {
            let (sender, receiver) = channel();
            engine.read(pending, move |loaded| {
                sender.send(loaded).expect("a receiver");
            });
            engine.finish(&query, receiver.recv().expect("a record"), both)
        }
    }
}

#[test]
fn the_in_flight_position_rises_before_a_change_can_be_seen() {
    let scratch = tempfile::tempdir().unwrap();
    let (stopped, stops) = channel();
    let (answers, go_on) = channel();
    let wrap = |journal| {
        Box::new(Stopping {
            journal,
            stopped,
            go_on,
        }) as Box<dyn Journal>
    };
    let engine = Engine::open_with(
        options(scratch.path()),
        Mode::Primary,
        |reader| reader,
        wrap,
    )
    .unwrap();
    // Gone before the engine is, whose thread would wait for them.
    let (stops, answers) = (stops, answers);
    let at = |sequence| Position {
        sequence: Sequence(sequence),
        ..Position::START
    };
    let standing = || (engine.committed(), engine.in_flight());
    let begin = |command| {
        let (sender, receiver) = channel();
        engine.submit(command, move |outcome| {
            sender.send(outcome).expect("a receiver");
        });
        stops.recv().expect("a stop");
        receiver
    };
    let go_on = || answers.send(Ok(())).expect("a journal");
    assert_eq!(standing(), (at(0), at(0)));

    let issued = begin(Command::Issue(key("a")));
    assert_eq!(standing(), (at(0), at(1)), "before anything is written");
    go_on();
    stops.recv().expect("a stop");
    go_on();
    let Ok(Outcome::Issued { record, secret }) = issued.recv().expect("an outcome") else {
        panic!("no key");
    };
    let credential = secret.expect("a credential").expose().to_owned();
    assert_eq!(standing(), (at(1), at(1)));
    assert_eq!(
        rests_on(&engine, &credential, CacheMode::Use),
        (valid("a"), Some(1))
    );

    let moves = engine.moves();
    let revoked = begin(revocation(record.key_id));
    assert_ne!(engine.moves(), moves);
    go_on();
    stops.recv().expect("a stop");
    // Storage has it, memory does not: each answer says which change it rests on, and the ceiling is not below it.
    assert_eq!(standing(), (at(1), at(2)));
    assert_eq!(
        rests_on(&engine, &credential, CacheMode::Use),
        (valid("a"), Some(1))
    );
    let from_storage = rests_on(&engine, &credential, CacheMode::Bypass);
    assert_eq!(from_storage, (Said::Refused(Refusal::Revoked), Some(2)));
    let moves = engine.moves();
    go_on();
    assert!(revoked.recv().expect("an outcome").is_ok());
    assert_ne!(engine.moves(), moves);
    assert_eq!(standing(), (at(2), at(2)));

    let (rest, last) = credential.split_at(credential.len() - 1);
    let other = if last == "2" { "3" } else { "2" };
    let damaged = rests_on(&engine, &format!("{rest}{other}"), CacheMode::Use);
    assert_eq!(
        damaged,
        (Said::Refused(Refusal::NotFound), Some(0)),
        "needs no record"
    );
    let forgotten = rests_on(&engine, "a key of another system", CacheMode::Use);
    assert_eq!(
        forgotten,
        (Said::Refused(Refusal::NotFound), None),
        "there may have been one"
    );

    let failed = begin(Command::Issue(key("b")));
    assert_eq!(standing(), (at(2), at(3)));
    let full = StorageError::Io("full".to_owned());
    answers.send(Err(full)).expect("a journal");
    assert!(failed.recv().expect("an outcome").is_err());
    assert_eq!(
        standing(),
        (at(2), at(2)),
        "what was not written is not waited for"
    );
}
