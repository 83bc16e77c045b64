//! The change log, for whoever wants to know what has happened.

use std::sync::Arc;

use talos_model::{Change, LogRead, LoggedChange, Position, ReadError, ReadLimits};

use super::Engine;
use crate::disk::Turn;
use crate::storage::{self, StorageError};

/// From where the log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStart {
    /// From the oldest change that it holds.
    Oldest,
    /// From the change after this one.
    After(Position),
}

impl Engine {
    /// Reads the next changes on a disk thread, of one epoch, none of them beyond the head; `done` is called exactly once.
    pub fn read_log(
        &self,
        start: LogStart,
        limits: ReadLimits,
        done: impl FnOnce(Result<LogRead, ReadError>) + Send + 'static,
    ) {
        let (verifier, store) = (Arc::clone(&self.verifier), Arc::clone(&self.store));
        let head = Arc::clone(&self.head);
        self.admin_disk.submit(Box::new(move |turn| {
            let read = || {
                let up_to = head.position().sequence;
                match start {
                    LogStart::Oldest => store.oldest_changes(up_to, limits),
                    LogStart::After(position) => store.changes_after(position, up_to, limits),
                }
            };
            done(match turn {
                Turn::Run if verifier.is_closed() => Err(ReadError::Incomplete),
                Turn::Run => read().map_err(unreadable),
                Turn::Refused => Err(ReadError::Busy),
            });
        }));
    }
}

impl Engine {
    /// How many parts the key space has.
    pub(crate) fn shard_count(&self) -> u16 {
        self.store.shards().count()
    }
}

/// Decodes a change from the bytes of the log.
///
/// # Errors
/// When it is damaged, or of a later release.
pub fn decode_change(logged: &LoggedChange) -> Result<Change, ReadError> {
    storage::decode_change(logged.position, &logged.bytes).map_err(unreadable)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(error: StorageError) -> ReadError {
    ReadError::Storage(error.to_string())
}
