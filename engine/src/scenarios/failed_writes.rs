//! A failed write stops all further writes and nothing else.

use std::sync::atomic::{AtomicBool, Ordering};

use talos_model::{LogRead, Mode, Position, ReadLimits, Sequence};

use super::*;
use crate::storage::{
    Group, Journal, MembershipWrite as Written, ReopenError, Reopened, StorageError,
};
use talos_model::Health;

pub(super) struct Failing {
    journal: Box<dyn Journal>,
    fail: Arc<AtomicBool>,
}

impl Failing {
    /// A journal that fails while `fail` is set.
    pub(super) fn boxed(journal: Box<dyn Journal>, fail: Arc<AtomicBool>) -> Box<dyn Journal> {
        Box::new(Self { journal, fail })
    }
}

impl Journal for Failing {
    fn append(&mut self, group: &Group<'_>) -> Result<(), StorageError> {
        if self.fail.load(Ordering::SeqCst) {
            return Err(StorageError::Io("no space left on device".to_owned()));
        }
        self.journal.append(group)
    }

    fn write_membership(&mut self, step: &Written<'_>) -> Result<(), StorageError> {
        if self.fail.load(Ordering::SeqCst) {
            return Err(StorageError::Io("no space left on device".to_owned()));
        }
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

#[test]
fn a_failed_write_latches_and_changes_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let fail = Arc::new(AtomicBool::new(false));
    let failing = Arc::clone(&fail);
    let wrap = move |journal| Failing::boxed(journal, failing);
    let engine = Engine::open_with(
        options(scratch.path()),
        Mode::Primary,
        |reader| reader,
        wrap,
    )
    .unwrap();
    let (key_id, credential) = issue_new(&engine, "a");
    assert_eq!(verify(&engine, &credential, CacheMode::Use).0, valid("a"));
    assert_eq!(engine.health(), Health::Ok);

    fail.store(true, Ordering::SeqCst);
    let latched = CommandError::Latched("no space left on device".to_owned());
    assert_eq!(revoke(&engine, key_id).unwrap_err(), latched);
    assert_eq!(
        verify(&engine, &credential, CacheMode::Use).0,
        valid("a"),
        "what is not durable is not published"
    );

    fail.store(false, Ordering::SeqCst);
    assert_eq!(
        revoke(&engine, key_id).unwrap_err(),
        latched,
        "a failed sync is never tried again"
    );
    assert_eq!(
        submit(&engine, Command::Issue(key("b"))).unwrap_err(),
        latched
    );
    assert_eq!(
        engine.health(),
        Health::WritesStopped("no space left on device".to_owned())
    );
    assert_eq!(
        verify(&engine, &credential, CacheMode::Bypass).0,
        valid("a")
    );
    drop(engine);

    let engine = open(scratch.path());
    revoke(&engine, key_id).expect("a restart accepts writes again");
}

struct Panicking;

impl Journal for Panicking {
    fn append(&mut self, _: &Group<'_>) -> Result<(), StorageError> {
        panic!("on purpose")
    }

    fn write_membership(&mut self, _: &Written<'_>) -> Result<(), StorageError> {
        panic!("on purpose")
    }

    fn change_at(&self, _: Position) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(None)
    }

    fn changes_after(
        &self,
        _: Position,
        _: Sequence,
        _: ReadLimits,
    ) -> Result<LogRead, StorageError> {
        Ok(LogRead::None)
    }

    fn reopen(&mut self, _: &mut dyn FnMut(Position)) -> Result<Reopened, ReopenError> {
        panic!("on purpose")
    }
}

#[test]
fn a_panic_of_the_committing_thread_stops_writes_and_is_reported() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = Engine::open_with(
        options(scratch.path()),
        Mode::Primary,
        |reader| reader,
        |_| Box::new(Panicking),
    )
    .unwrap();
    let (sender, receiver) = channel();
    engine.submit(Command::Issue(key("a")), move |outcome| {
        sender.send(outcome.is_ok()).expect("a receiver");
    });
    assert!(receiver.recv().is_err(), "no success is reported");
    let latched = CommandError::Latched("the committing thread panicked".to_owned());
    while engine.health() == Health::Ok {
        std::thread::yield_now();
    }
    assert_eq!(
        submit(&engine, Command::Issue(key("b"))).unwrap_err(),
        latched
    );
}
