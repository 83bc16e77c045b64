//! The sending side of a full copy: a snapshot of the database at one position, read in chunks.
//!
//! RocksDB's snapshot borrows the database, so a thread of its own holds it and serves reads over a
//! channel. While a snapshot lives, RocksDB keeps the files of its moment. Therefore
//! [`crate::Options`] limits the number of snapshots, and the caller drops a snapshot that is no
//! longer used.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use talos_model::{CopyChunk, CopyCursor, Position, ReadLimits};

use crate::limits::SNAPSHOT_POLL;
use crate::storage::{Database, StorageError};

/// Why a snapshot cannot be opened or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The maximum number of snapshots is open; try again later.
    #[error("too many copies are under way")]
    Busy,
    /// The node's own copy of another node is incomplete.
    #[error("this node holds a part of a copy")]
    Incomplete,
    /// Storage could not be read; for the operator.
    #[error("storage: {0}")]
    Storage(String),
}

impl From<StorageError> for SnapshotError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error.to_string())
    }
}

/// Limits the number of open snapshots.
#[derive(Debug)]
pub struct SnapshotPermits {
    taken: AtomicUsize,
    max: usize,
}

struct Permit(Arc<SnapshotPermits>);

impl SnapshotPermits {
    /// Permits for `max` snapshots at a time.
    pub fn new(max: usize) -> Self {
        Self {
            taken: AtomicUsize::new(0),
            max,
        }
    }

    fn take(self: &Arc<Self>) -> Option<Permit> {
        let more = |taken: usize| (taken < self.max).then_some(taken + 1);
        let taken = self
            .taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.is_ok().then(|| Permit(Arc::clone(self)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

struct Request {
    after: CopyCursor,
    limits: ReadLimits,
    answer: Sender<Result<CopyChunk, StorageError>>,
}

/// A snapshot of the database. The database stays open while a snapshot of it lives.
pub struct Snapshot {
    position: Position,
    requests: Option<Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    _permit: Permit,
}

impl Snapshot {
    pub(crate) fn open(
        store: &Arc<Database>,
        permits: &Arc<SnapshotPermits>,
    ) -> Result<Self, SnapshotError> {
        let permit = permits.take().ok_or(SnapshotError::Busy)?;
        let (requests, received) = bounded(0);
        let (opened, position) = bounded(1);
        let store = Arc::clone(store);
        let thread = thread::Builder::new()
            .name("talos-snapshot".to_owned())
            .spawn(move || serve(&store, &opened, &received))
            .map_err(|error| SnapshotError::Storage(error.to_string()))?;
        let position = position.recv().map_err(|_| ended())??;
        Ok(Self {
            position,
            requests: Some(requests),
            thread: Some(thread),
            _permit: permit,
        })
    }

    /// The last change in the snapshot.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Reads the rows after `after`, up to `limits`. Waits for the disk.
    ///
    /// # Errors
    /// When storage cannot be read.
    pub fn read(&self, after: &CopyCursor, limits: ReadLimits) -> Result<CopyChunk, SnapshotError> {
        let (answer, answered) = bounded(1);
        let request = Request {
            after: after.clone(),
            limits,
            answer,
        };
        let requests = self.requests.as_ref().ok_or_else(ended)?;
        requests.send(request).map_err(|_| ended())?;
        Ok(answered.recv().map_err(|_| ended())??)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // Closing the channel ends the thread. Wait for it: the database stays open until then.
        self.requests = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of a snapshot had panicked");
        }
    }
}

fn serve(
    database: &Database,
    opened: &Sender<Result<Position, StorageError>>,
    requests: &Receiver<Request>,
) {
    let served = database.with(|store| {
        let view = store.view();
        drop(opened.send(Ok(view.position()?)));
        // A snapshot keeps the database open. It ends when the database has to be opened anew.
        while !database.is_closing() {
            match requests.recv_timeout(SNAPSHOT_POLL) {
                Ok(request) => {
                    let rows = view.rows(&request.after, request.limits);
                    drop(request.answer.send(rows));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok::<_, StorageError>(())
    });
    if let Err(error) = served {
        drop(opened.send(Err(error)));
    }
}

fn ended() -> SnapshotError {
    SnapshotError::Storage("the thread of the snapshot has ended".to_owned())
}
