//! The sender's side of a full copy: everything as it was at one position, read a chunk at a time.
//!
//! RocksDB's snapshot borrows the database, and who sends a copy comes and goes; so a thread of its own holds the snapshot and
//! reads for whoever asks. As long as a snapshot lives, the files of its time are kept: there are as many at most as
//! [`crate::Options`] says, and who opens one drops it when nobody asks for it any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam::channel::{Receiver, Sender, bounded};
use talos_model::{CopyChunk, CopyCursor, Position, ReadLimits};

use crate::storage::{RocksStore, StorageError};

/// Why there is no snapshot, or no rows of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// As many as are allowed are there; try again later.
    #[error("too many copies are under way")]
    Busy,
    /// The node holds a part of a copy itself.
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

/// Counts snapshots.
#[derive(Debug)]
pub struct Permits {
    taken: AtomicUsize,
    max: usize,
}

struct Permit(Arc<Permits>);

impl Permits {
    /// For so many snapshots at a time.
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

/// See the module. The database stays open as long as a snapshot of it lives.
pub struct Snapshot {
    position: Position,
    requests: Option<Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    _permit: Permit,
}

impl Snapshot {
    pub(crate) fn open(
        store: &Arc<RocksStore>,
        permits: &Arc<Permits>,
    ) -> Result<Self, SnapshotError> {
        let permit = permits.take().ok_or(SnapshotError::Busy)?;
        let (requests, asked) = bounded(0);
        let (opened, position) = bounded(1);
        let store = Arc::clone(store);
        let thread = thread::Builder::new()
            .name("talos-snapshot".to_owned())
            .spawn(move || serve(&store, &opened, &asked))
            .map_err(|error| SnapshotError::Storage(error.to_string()))?;
        let position = position.recv().map_err(|_| ended())??;
        Ok(Self {
            position,
            requests: Some(requests),
            thread: Some(thread),
            _permit: permit,
        })
    }

    /// The last change that the snapshot contains. Changes after it are in no row.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// The rows after `after`. Waits for the disk.
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
        // Without anybody to ask, the thread ends. It is awaited because the database is open until then.
        self.requests = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of a snapshot had panicked");
        }
    }
}

fn serve(
    store: &RocksStore,
    opened: &Sender<Result<Position, StorageError>>,
    asked: &Receiver<Request>,
) {
    let view = store.view();
    let position = match view.position() {
        Ok(position) => position,
        Err(error) => {
            drop(opened.send(Err(error)));
            return;
        }
    };
    drop(opened.send(Ok(position)));
    while let Ok(request) = asked.recv() {
        drop(
            request
                .answer
                .send(view.rows(&request.after, request.limits)),
        );
    }
}

fn ended() -> SnapshotError {
    SnapshotError::Storage("the thread of the snapshot has ended".to_owned())
}
