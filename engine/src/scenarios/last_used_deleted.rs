//! Deleting a key while its use is noted leaves no time of last use behind.

use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use talos_credentials::imported_key_id;
use talos_model::clock::UnixMillis;
use talos_model::{
    Change, DeleteKey, ImportKey, LogRead, Mode, Position, ReadLimits, RecordKey, Sequence,
};

use super::*;
use crate::storage::{
    Group, Journal, MembershipWrite as Written, ReopenError, Reopened, StorageError,
};

const TENANT: TenantId = TenantId::SINGLE;
/// Much longer than a write takes, so that only a hang exceeds it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A journal that pauses when a deletion is durable and not yet published.
struct PausingJournal {
    journal: Box<dyn Journal>,
    is_written: Sender<()>,
    go_on: Receiver<()>,
}

impl Journal for PausingJournal {
    fn append(&mut self, group: &Group<'_>) -> Result<(), StorageError> {
        self.journal.append(group)?;
        if group.changes.iter().any(Change::deletes) {
            self.is_written.send(()).expect("the test waits");
            self.go_on.recv().expect("the test opens the gate");
        }
        Ok(())
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

fn import(engine: &Engine, key_id: KeyId) {
    let key = key("a");
    submit(engine, Command::Import(ImportKey { key_id, key })).expect("an import");
}

fn delete(engine: &Engine, key_id: KeyId) {
    let tenant = TENANT;
    let command = Command::Delete(DeleteKey { tenant, key_id });
    submit(engine, command).expect("a deletion");
}

/// Imports a key and uses it once. Waits until the use is written and returns its time.
fn import_and_use(engine: &Engine, key_id: KeyId) -> UnixMillis {
    import(engine, key_id);
    let used = query("raw", CacheMode::Use);
    assert_eq!(verify_query(engine, &used).0, valid("a"));
    await_written(engine, 1);
    assert_eq!(stored(engine, key_id), Some(used.now));
    used.now
}

fn stored(engine: &Engine, key_id: KeyId) -> Option<UnixMillis> {
    let key = RecordKey::new(TENANT, key_id);
    engine.store().last_used(&key).expect("a readable time")
}

fn await_written(engine: &Engine, written: u64) {
    let start = Instant::now();
    while engine.last_used_counts().written < written {
        assert!(start.elapsed() < PATIENCE, "nothing is written");
        thread::yield_now();
    }
    // Wait for one more write. When it is done, the check after the first write is done, too.
    let key_id = imported_key_id(TENANT, &written.to_le_bytes());
    engine.touch(TENANT, key_id, clock::now());
    while engine.last_used_counts().written == written {
        assert!(start.elapsed() < PATIENCE, "nothing is written");
        thread::yield_now();
    }
}

fn eager(path: &Path) -> Options {
    let last_used = LastUsedOptions {
        flush_size: 1,
        ..LastUsedOptions::default()
    };
    Options {
        last_used,
        ..options(path)
    }
}

#[test]
fn a_use_noted_before_the_deletion_is_published_is_deleted_with_the_key() {
    let scratch = tempfile::tempdir().unwrap();
    let (is_written, written) = channel();
    let (open_gate, go_on) = channel();
    let held = move |journal| -> Box<dyn Journal> {
        Box::new(PausingJournal {
            journal,
            is_written,
            go_on,
        })
    };
    let engine = Engine::open_with(eager(scratch.path()), Mode::Primary, |reader| reader, held);
    let engine = engine.unwrap();
    let key_id = imported_key_id(TENANT, b"raw");
    let used = import_and_use(&engine, key_id);

    let deletes = thread::spawn({
        let engine = Arc::clone(&engine);
        move || delete(&engine, key_id)
    });
    written.recv().unwrap();
    assert_eq!(
        stored(&engine, key_id),
        None,
        "it is written with the deletion"
    );
    // A verification would still find the key in its cell.
    let later = used.plus_seconds(60);
    engine.touch(TENANT, key_id, later);
    await_written(&engine, 3);
    assert_eq!(stored(&engine, key_id), Some(later));
    open_gate.send(()).unwrap();
    deletes.join().unwrap();
    assert_eq!(stored(&engine, key_id), None);
}

#[test]
fn a_use_noted_after_the_deletion_is_removed() {
    for cache_bytes in [1 << 20, 0] {
        let scratch = tempfile::tempdir().unwrap();
        let engine = Engine::open(Options {
            cache_bytes,
            ..eager(scratch.path())
        });
        let engine = engine.unwrap();
        let key_id = imported_key_id(TENANT, b"raw");
        let used = import_and_use(&engine, key_id);
        delete(&engine, key_id);
        engine.touch(TENANT, key_id, used.plus_seconds(60));
        await_written(&engine, 3);
        assert_eq!(stored(&engine, key_id), None);
    }
}

#[test]
fn memory_knows_which_keys_exist() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let key_id = imported_key_id(TENANT, b"raw");
    let knows = || engine.knows(TENANT, key_id);
    import(&engine, key_id);
    assert!(!knows(), "it has not been read yet");
    assert_eq!(verify(&engine, "raw", CacheMode::Use).0, valid("a"));
    assert!(knows());
    revoke(&engine, key_id).unwrap();
    assert!(knows());
    delete(&engine, key_id);
    assert!(!knows());
}
