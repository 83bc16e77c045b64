//! A disk that was full and has room again: the database is opened anew, and memory shows what it
//! holds.

use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use talos_model::{
    FollowError, Health, LogRead, LoggedChange, Mode, Position, ReadLimits, Sequence,
};

use super::*;
use crate::storage::{
    Group, Journal, MembershipWrite as Written, ReopenError, Reopened, StorageError,
};

/// Much longer than a look for room takes, so that only a hang exceeds it.
const PATIENCE: Duration = Duration::from_secs(60);
const FULL: &str = "No space left on device";

/// How a disk takes writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disk {
    HasRoom = 0,
    /// Nothing is written.
    Full = 1,
    /// All is written, and then the sync fails.
    FullAtSync = 2,
    /// Nothing is written, and nothing can be known.
    Broken = 3,
}

struct Filled {
    journal: Box<dyn Journal>,
    disk: Arc<AtomicU8>,
}

impl Filled {
    fn state(&self) -> u8 {
        self.disk.load(Ordering::SeqCst)
    }

    fn write(
        &mut self,
        write: impl FnOnce(&mut dyn Journal) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        match self.state() {
            0 => write(&mut *self.journal),
            1 => Err(StorageError::Full(FULL.to_owned())),
            2 => {
                write(&mut *self.journal)?;
                Err(StorageError::Full(FULL.to_owned()))
            }
            _ => Err(StorageError::Io("input/output error".to_owned())),
        }
    }
}

impl Journal for Filled {
    fn append(&mut self, group: &Group<'_>) -> Result<(), StorageError> {
        self.write(|journal| journal.append(group))
    }

    fn write_membership(&mut self, step: &Written<'_>) -> Result<(), StorageError> {
        self.write(|journal| journal.write_membership(step))
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
        if self.state() != Disk::HasRoom as u8 {
            return Err(ReopenError::NotNow(FULL.to_owned()));
        }
        self.journal.reopen(before_readers)
    }
}

/// An engine and its disk.
fn open_on_disk(path: &Path, mode: Mode) -> (Arc<Engine>, impl Fn(Disk)) {
    let disk = Arc::new(AtomicU8::new(Disk::HasRoom as u8));
    let of_journal = Arc::clone(&disk);
    let wrap = move |journal| {
        Box::new(Filled {
            journal,
            disk: of_journal,
        }) as Box<dyn Journal>
    };
    let engine = Engine::open_with(options(path), mode, |reader| reader, wrap).unwrap();
    let set = move |state: Disk| disk.store(state as u8, Ordering::SeqCst);
    (engine, set)
}

fn await_writes(engine: &Engine) {
    let began = Instant::now();
    while engine.health() != Health::Ok {
        assert!(began.elapsed() < PATIENCE, "{:?}", engine.health());
        thread::sleep(Duration::from_millis(5));
    }
}

fn latched() -> CommandError {
    CommandError::Latched(FULL.to_owned())
}

#[test]
fn writes_go_on_and_a_refused_one_leaves_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let (engine, set) = open_on_disk(scratch.path(), Mode::Primary);
    engine.set_failure_timeout(Duration::from_millis(1));
    let (key_id, credential) = issue_new(&engine, "a");
    set(Disk::Full);
    let before = engine.committed();
    for _ in 0..2 {
        assert_eq!(revoke(&engine, key_id).unwrap_err(), latched());
    }
    assert_eq!(engine.health(), Health::WritesStopped(FULL.to_owned()));
    // A restart would need the room as well.
    thread::sleep(Duration::from_millis(5));
    assert!(!engine.needs_restart());
    set(Disk::HasRoom);
    await_writes(&engine);
    assert_eq!((engine.committed(), engine.in_flight()), (before, before));
    for cache in [CacheMode::Use, CacheMode::Bypass] {
        assert_eq!(verify(&engine, &credential, cache).0, valid("a"));
    }
    revoke(&engine, key_id).unwrap();
    let refused = OwnedVerdict::Refused(Refusal::Revoked);
    assert_eq!(verify(&engine, &credential, CacheMode::Use).0, refused);
    assert_eq!(engine.write_stops(), 1);
    drop(engine);
    let engine = open(scratch.path());
    assert_eq!(verify(&engine, &credential, CacheMode::Use).0, refused);
}

#[test]
fn a_refused_change_that_is_on_disk_is_shown_everywhere_at_once() {
    let scratch = tempfile::tempdir().unwrap();
    let (engine, set) = open_on_disk(scratch.path(), Mode::Primary);
    let (key_id, credential) = issue_new(&engine, "a");
    assert_eq!(verify(&engine, &credential, CacheMode::Use).0, valid("a"));
    let before = engine.committed();
    set(Disk::FullAtSync);
    assert_eq!(revoke(&engine, key_id).unwrap_err(), latched());
    assert_eq!(verify(&engine, &credential, CacheMode::Use).0, valid("a"));
    set(Disk::HasRoom);
    await_writes(&engine);
    let refused = OwnedVerdict::Refused(Refusal::Revoked);
    for cache in [CacheMode::Use, CacheMode::Bypass] {
        assert_eq!(verify(&engine, &credential, cache).0, refused);
    }
    // Replicas get it as well.
    assert_eq!(engine.committed().sequence, before.sequence.next());
    let limits = ReadLimits {
        entries: 10,
        bytes: 1 << 20,
    };
    let LogRead::Changes(changes) = engine.changes_after(before, limits).unwrap() else {
        panic!("no changes");
    };
    assert_eq!(changes.len(), 1);
    issue_new(&engine, "b");
    drop(engine);
    let engine = open(scratch.path());
    assert_eq!(verify(&engine, &credential, CacheMode::Use).0, refused);
}

#[test]
fn after_any_other_failure_only_a_restart_helps() {
    let scratch = tempfile::tempdir().unwrap();
    let (engine, set) = open_on_disk(scratch.path(), Mode::Primary);
    let (key_id, credential) = issue_new(&engine, "a");
    set(Disk::Broken);
    revoke(&engine, key_id).unwrap_err();
    set(Disk::HasRoom);
    thread::sleep(Duration::from_millis(2500));
    assert!(matches!(engine.health(), Health::WritesStopped(_)));
    assert!(!engine.needs_restart(), "there is no timeout");
    engine.set_failure_timeout(Duration::from_secs(3600));
    assert!(!engine.needs_restart(), "it is not over");
    engine.set_failure_timeout(Duration::from_millis(1));
    assert!(engine.needs_restart());
    assert_eq!(verify(&engine, &credential, CacheMode::Use).0, valid("a"));
}

#[test]
fn a_replica_goes_on_from_what_its_disk_holds() {
    let scratch = tempfile::tempdir().unwrap();
    let primary = open(&scratch.path().join("primary"));
    for disk in [Disk::Full, Disk::FullAtSync] {
        let path = scratch.path().join(format!("replica-{disk:?}"));
        let (replica, set) = open_on_disk(&path, Mode::Replica);
        replica.adopt(primary.standing().epochs).unwrap();
        let (key_id, credential) = issue_new(&primary, "a");
        super::replication::feed(&primary, &replica);
        assert_eq!(verify(&replica, &credential, CacheMode::Use).0, valid("a"));
        revoke(&primary, key_id).unwrap();
        let changes = super::replication::all_after(&primary, replica.committed());
        set(disk);
        let apply = |changes: &[LoggedChange]| replica.apply(changes.to_vec());
        assert_eq!(apply(&changes), Err(FollowError::Latched(FULL.to_owned())));
        assert_eq!(verify(&replica, &credential, CacheMode::Use).0, valid("a"));
        set(Disk::HasRoom);
        await_writes(&replica);
        // What is there already is skipped.
        apply(&changes).unwrap();
        super::replication::assert_equal(&primary, &replica);
        let refused = OwnedVerdict::Refused(Refusal::Revoked);
        assert_eq!(verify(&replica, &credential, CacheMode::Use).0, refused);
    }
}

#[test]
fn a_snapshot_does_not_keep_the_database_from_being_opened_anew() {
    let scratch = tempfile::tempdir().unwrap();
    let (engine, set) = open_on_disk(scratch.path(), Mode::Primary);
    let (key_id, _) = issue_new(&engine, "a");
    let snapshot = engine.snapshot().unwrap();
    set(Disk::Full);
    revoke(&engine, key_id).unwrap_err();
    set(Disk::HasRoom);
    await_writes(&engine);
    let limits = ReadLimits {
        entries: 10,
        bytes: 1 << 20,
    };
    assert!(
        snapshot
            .read(&talos_model::CopyCursor::default(), limits)
            .is_err()
    );
    drop(snapshot);
    revoke(&engine, key_id).unwrap();
}
