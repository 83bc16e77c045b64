//! Going on after the disk was full and has room again.
//!
//! The database is opened anew, as a restart would do, and everything in memory is brought to what
//! it holds. A change that was refused because its write failed may be on disk as a whole; then it
//! is published like any other, here and on the replicas, as it would be after a restart. Nothing
//! that was acknowledged may be missing: otherwise writes stay stopped.

use std::time::Instant;

use talos_model::{
    AdminTokens, BulkRevocations, LogRead, LoggedChange, NodeState, Position, ReadLimits,
};

use super::latch::Remedy;
use super::{Worker, received};
use crate::limits::RESUME_INTERVAL;
use crate::storage::{ReopenError, Reopened, StorageError};

/// How much of the log is read at once.
const CHANGES_AT_ONCE: ReadLimits = ReadLimits {
    entries: 1024,
    bytes: 4 << 20,
};

impl Worker {
    /// When to look for room, if a full disk has stopped writes.
    pub(super) fn plan_to_resume(&mut self) {
        let remedy = self.latch.stopped().map(|stopped| stopped.remedy);
        match remedy {
            Some(Remedy::Room) => {
                let next = || Instant::now() + RESUME_INTERVAL;
                self.resume_at.get_or_insert_with(next);
            }
            Some(Remedy::Restart) | None => self.resume_at = None,
        }
    }

    /// Accepts writes again if the disk has room and the database is whole.
    pub(super) fn try_to_resume(&mut self) {
        self.resume_at = None;
        let commit_position = &self.commit_position;
        let known = self.last;
        let mut before_readers = |last: Position| {
            if last.sequence > known.sequence {
                commit_position.begin(last);
            }
        };
        let reopened = self.journal.reopen(&mut before_readers);
        let resumed = match reopened {
            Ok(reopened) => self.catch_up_with(reopened),
            Err(ReopenError::NotNow(reason)) => {
                tracing::debug!(reason, "writes stay stopped");
                self.resume_at = Some(Instant::now() + RESUME_INTERVAL);
                return;
            }
            Err(ReopenError::Never(reason)) => Err(reason),
        };
        match resumed {
            Ok(()) => {
                self.latch.release();
                self.catch_up.ring();
                tracing::warn!(
                    position = %self.last,
                    "the disk has room again; the database was opened anew and writes are accepted"
                );
            }
            Err(reason) => {
                tracing::error!(
                    reason,
                    "the database cannot be written, though the disk has room; restart the server"
                );
                self.latch.stop(reason, Remedy::Restart);
            }
        }
    }

    /// Brings memory to what the database holds.
    fn catch_up_with(&mut self, reopened: Reopened) -> Result<(), String> {
        let Reopened { last, standing } = reopened;
        let was_copying = self.membership().standing.copying.is_some();
        if was_copying || standing.copying.is_some() {
            return self
                .rebuild(last, standing)
                .map_err(|error| error.to_string());
        }
        if last.sequence < self.last.sequence || !standing.epochs.has(self.last) {
            return Err(format!(
                "change {} was acknowledged, but the log ends at {last}",
                self.last
            ));
        }
        self.membership().standing = standing;
        while self.last < last {
            let read = self
                .journal
                .changes_after(self.last, last.sequence, CHANGES_AT_ONCE);
            let found = match read.map_err(|error| error.to_string())? {
                LogRead::Changes(found) => found,
                LogRead::None | LogRead::Gone => {
                    return Err(format!("the log ends at {} instead of {last}", self.last));
                }
            };
            let changes: Result<Vec<_>, _> = found
                .iter()
                .map(|one: &LoggedChange| received::read(one))
                .collect();
            self.publish(&changes.map_err(|error| error.to_string())?);
        }
        // A copy that could not be begun has closed it.
        self.verifier.open();
        Ok(())
    }

    /// A copy was under way, or its beginning was reported as failed. Nothing of what memory knows
    /// is needed any more.
    fn rebuild(&mut self, last: Position, standing: NodeState) -> Result<(), StorageError> {
        self.verifier.close();
        self.verifier.forget();
        let is_complete = standing.copying.is_none();
        self.membership().standing = standing;
        self.last = last;
        if !is_complete {
            self.admin_tokens.replace(AdminTokens::default());
            return Ok(());
        }
        let reader = self.verifier.reader();
        let (bulk_revocations, admin_tokens) = (reader.bulk_revocations()?, reader.admin_tokens()?);
        self.admin_tokens.replace(AdminTokens::new(admin_tokens));
        self.verifier
            .begin_bulk_revocations(BulkRevocations::new(bulk_revocations));
        self.commit_position.begin(last);
        self.verifier.open();
        self.commit_position.advance(last);
        Ok(())
    }
}
