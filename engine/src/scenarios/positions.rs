//! Positions during a write: no answer shows a change before the in-flight position includes it.

use std::sync::mpsc::{Receiver, Sender};

use talos_model::{LogRead, Mode, Position, ReadLimits, Sequence};

use super::*;
use crate::storage::{
    Group, Journal, MembershipWrite as Written, ReopenError, Reopened, StorageError,
};

/// A journal that stops before and after every group. The test gets a message, and its reply makes
/// the write continue or fail.
struct SteppedJournal {
    journal: Box<dyn Journal>,
    stopped: Sender<()>,
    go_on: Receiver<Result<(), StorageError>>,
}

impl SteppedJournal {
    fn stop(&self) -> Result<(), StorageError> {
        self.stopped.send(()).expect("a test");
        self.go_on.recv().expect("a test")
    }
}

impl Journal for SteppedJournal {
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

    fn changes_after(
        &self,
        after: Position,
        up_to: Sequence,
        limits: ReadLimits,
    ) -> Result<LogRead, StorageError> {
        self.journal.changes_after(after, up_to, limits)
    }

    fn reopen(
        &mut self,
        before_readers: &mut dyn FnMut(Position),
    ) -> Result<Reopened, ReopenError> {
        self.journal.reopen(before_readers)
    }
}

/// The verdict on a credential, and the last change that it takes into account.
fn verdict_and_sequence(
    engine: &Engine,
    credential: &str,
    cache: CacheMode,
) -> (OwnedVerdict, Option<u64>) {
    let query = query(credential, cache);
    let both = |answer: Answer<'_>| {
        let sequence = answer.sequence.map(|sequence| sequence.0);
        (owned_verdict(answer).0, sequence)
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
        Box::new(SteppedJournal {
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
    // Declared after the engine, so dropped before it: its thread would otherwise wait for them.
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
        verdict_and_sequence(&engine, &credential, CacheMode::Use),
        (valid("a"), Some(1))
    );

    let moves = engine.moves();
    let revoked = begin(revocation(record.key_id));
    assert_ne!(engine.moves(), moves);
    go_on();
    stops.recv().expect("a stop");
    // Storage has the change, memory does not. Each answer says which change it takes into account,
    // and the in-flight position is not below that.
    assert_eq!(standing(), (at(1), at(2)));
    assert_eq!(
        verdict_and_sequence(&engine, &credential, CacheMode::Use),
        (valid("a"), Some(1))
    );
    let from_storage = verdict_and_sequence(&engine, &credential, CacheMode::Bypass);
    assert_eq!(
        from_storage,
        (OwnedVerdict::Refused(Refusal::Revoked), Some(2))
    );
    let moves = engine.moves();
    go_on();
    assert!(revoked.recv().expect("an outcome").is_ok());
    assert_ne!(engine.moves(), moves);
    assert_eq!(standing(), (at(2), at(2)));

    let (rest, last) = credential.split_at(credential.len() - 1);
    let other = if last == "2" { "3" } else { "2" };
    let damaged = verdict_and_sequence(&engine, &format!("{rest}{other}"), CacheMode::Use);
    assert_eq!(
        damaged,
        (OwnedVerdict::Refused(Refusal::NotFound), Some(0)),
        "needs no record"
    );
    let forgotten = verdict_and_sequence(&engine, "a key of another system", CacheMode::Use);
    assert_eq!(
        forgotten,
        (OwnedVerdict::Refused(Refusal::NotFound), None),
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
