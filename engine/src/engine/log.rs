//! Reading the change log.

use std::sync::Arc;

use talos_model::{Change, LogRead, LoggedChange, Position, ReadError, ReadLimits};

use super::{Engine, read_error};
use crate::disk::Admission;
use crate::storage;

/// Where a read of the log starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStart {
    /// At the oldest change that the log holds.
    Oldest,
    /// At the change after this one.
    After(Position),
}

impl Engine {
    /// Reads the next changes on a disk thread: all of one epoch, none beyond the committed
    /// position. `done` is called exactly once.
    pub fn read_log(
        &self,
        start: LogStart,
        limits: ReadLimits,
        done: impl FnOnce(Result<LogRead, ReadError>) + Send + 'static,
    ) {
        let (verifier, store) = (Arc::clone(&self.verifier), Arc::clone(&self.store));
        let commit_position = Arc::clone(&self.commit_position);
        self.admin_disk.submit(Box::new(move |admission| {
            let read = || {
                let up_to = commit_position.committed().sequence;
                match start {
                    LogStart::Oldest => store.oldest_changes(up_to, limits),
                    LogStart::After(position) => store.changes_after(position, up_to, limits),
                }
            };
            done(match admission {
                Admission::Run if verifier.is_closed() => Err(ReadError::Incomplete),
                Admission::Run => read().map_err(read_error),
                Admission::Refused => Err(ReadError::Busy),
            });
        }));
    }
}

impl Engine {
    /// The number of shards.
    pub(crate) fn shard_count(&self) -> u16 {
        self.store.shards().count()
    }
}

/// Decodes a change from the bytes of the log.
///
/// # Errors
/// If the bytes are damaged, or were written by a later release.
pub fn decode_change(logged: &LoggedChange) -> Result<Change, ReadError> {
    storage::decode_change(logged.position, &logged.bytes).map_err(read_error)
}
