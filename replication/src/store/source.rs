//! An engine's log and snapshots, as feeds read them.
//!
//! Copies are kept when their connection breaks, so that they can be gone on with; one that nobody has read for
//! [`COPY_IDLE`] makes room when another one is wanted, and never one that is being read: replicas would take it from
//! each other for ever.

use std::sync::Arc;
use std::time::Instant;

use talos_engine::{CopyEnd, Engine, LogRead, ReadError, ReadLimits, Snapshot, SnapshotError};

use super::{digest_at, engines_cursor, engines_position, position_of};
use crate::limits::{BATCH_CHANGES, CHUNK_ROWS, COPY_IDLE};
use crate::message::{Batch, Cursor, End, Mark, Row};
use crate::position::{CopyId, Position, Sequence};
use crate::source::{ChangeSource, CopyOpening, CopyReading, Looked, Reading, SourceError};

struct Kept {
    copy: CopyId,
    mark: Mark,
    snapshot: Snapshot,
    last_read: Instant,
}

/// See the module.
pub struct EngineSource {
    engine: Arc<Engine>,
    copies: Vec<Kept>,
}

impl EngineSource {
    /// The storage of this engine. It stays open as long as a copy of it is kept.
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            copies: Vec::new(),
        }
    }

    fn kept(&mut self, copy: CopyId) -> Option<&mut Kept> {
        self.copies.iter_mut().find(|kept| kept.copy == copy)
    }

    fn snapshot(&mut self) -> Result<Option<Snapshot>, SourceError> {
        let mut opened = self.engine.snapshot();
        if matches!(opened, Err(SnapshotError::Busy)) {
            self.copies
                .retain(|kept| kept.last_read.elapsed() < COPY_IDLE);
            opened = self.engine.snapshot();
        }
        match opened {
            Ok(snapshot) => Ok(Some(snapshot)),
            Err(SnapshotError::Busy) => Ok(None),
            Err(error) => Err(SourceError(error.to_string())),
        }
    }
}

impl ChangeSource for EngineSource {
    fn look(&mut self, at: Position) -> Result<Looked, SourceError> {
        let position = engines_position(at);
        if at.sequence == Sequence(0) {
            let oldest = self.engine.oldest_logged().map_err(failed)?;
            let is_whole = oldest.is_none_or(|oldest| oldest.sequence.0 == 1);
            return Ok(if is_whole {
                Looked::Here(None)
            } else {
                Looked::Gone
            });
        }
        let digest = digest_at(&self.engine, position).map_err(failed)?;
        Ok(digest.map_or(Looked::Gone, |digest| Looked::Here(Some(digest))))
    }

    fn read(
        &mut self,
        after: Position,
        up_to: Sequence,
        bytes_max: usize,
    ) -> Result<Reading, SourceError> {
        let limits = ReadLimits {
            entries: BATCH_CHANGES,
            bytes: bytes_max,
        };
        let read = self.engine.changes_after(engines_position(after), limits);
        let mut changes = match read.map_err(failed)? {
            LogRead::Changes(changes) => changes,
            LogRead::None => return Ok(Reading::None),
            LogRead::Gone => return Ok(Reading::Gone),
        };
        changes.retain(|change| change.position.sequence.0 <= up_to.0);
        let Some(first) = changes.first().map(|change| position_of(change.position)) else {
            return Ok(Reading::None);
        };
        let changes = changes.into_iter().map(|change| change.bytes).collect();
        Ok(Reading::Changes(Batch { first, changes }))
    }

    fn open_copy(&mut self, resume: Option<CopyId>) -> Result<CopyOpening, SourceError> {
        if let Some(kept) = resume.and_then(|copy| self.kept(copy)) {
            kept.last_read = Instant::now();
            return Ok(CopyOpening::Open(kept.copy, kept.mark));
        }
        let Some(snapshot) = self.snapshot()? else {
            return Ok(CopyOpening::Busy);
        };
        let mark = Mark {
            position: position_of(snapshot.position()),
            digest: digest_at(&self.engine, snapshot.position()).map_err(failed)?,
        };
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| SourceError(error.to_string()))?;
        let copy = CopyId(id);
        self.copies.push(Kept {
            copy,
            mark,
            snapshot,
            last_read: Instant::now(),
        });
        Ok(CopyOpening::Open(copy, mark))
    }

    fn read_copy(
        &mut self,
        copy: CopyId,
        after: &Cursor,
        bytes_max: usize,
    ) -> Result<CopyReading, SourceError> {
        let Some(kept) = self.kept(copy) else {
            return Ok(CopyReading::Gone);
        };
        kept.last_read = Instant::now();
        let limits = ReadLimits {
            entries: CHUNK_ROWS,
            bytes: bytes_max,
        };
        let chunk = kept.snapshot.read(&engines_cursor(after), limits);
        let chunk = chunk.map_err(|error| SourceError(error.to_string()))?;
        let row = |row: talos_engine::CopyRow| Row {
            family: row.family,
            key: row.key,
            value: row.value,
        };
        let end = match chunk.end {
            CopyEnd::More => End::More,
            CopyEnd::Last => End::Last,
        };
        let rows = chunk.rows.into_iter().map(row).collect();
        Ok(CopyReading::Rows(rows, end))
    }

    fn close_copy(&mut self, copy: CopyId) {
        self.copies.retain(|kept| kept.copy != copy);
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: ReadError) -> SourceError {
    SourceError(error.to_string())
}
