//! The engine's log and snapshots as a [`ChangeSource`].
//!
//! A copy is kept when its connection breaks, so that it can be resumed. A copy that was not read
//! for [`COPY_IDLE`] is dropped when another one is requested. A copy that is being read is never
//! dropped: replicas would take it from each other for ever.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use talos_engine::{Engine, Snapshot, SnapshotError};
use talos_model::{CopyCursor, CopyName, LogRead, Position, ReadError, ReadLimits, Sequence};
use talos_replication::limits::{BATCH_CHANGES, CHUNK_ROWS, COPY_IDLE};
use talos_replication::message::{Batch, LogPoint};
use talos_replication::source::{
    ChangeSource, CopyOpening, CopyReading, Looked, Reading, SourceError,
};

use super::digest_at;

struct Kept {
    copy: CopyName,
    point: LogPoint,
    /// Shared with readers, so that it is not closed while they read.
    snapshot: Arc<Snapshot>,
    last_read: Instant,
}

/// The storage of a primary. Clones share the same copies.
#[derive(Clone)]
pub struct EngineSource {
    engine: Arc<Engine>,
    copies: Arc<Mutex<Vec<Kept>>>,
}

impl EngineSource {
    /// Creates the source of this engine. The engine stays open while a copy is kept.
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            copies: Arc::default(),
        }
    }

    fn copies(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds a copy and marks it as read now.
    fn read_now(&self, copy: CopyName) -> Option<(LogPoint, Arc<Snapshot>)> {
        let mut copies = self.copies();
        let kept = copies.iter_mut().find(|kept| kept.copy == copy)?;
        kept.last_read = Instant::now();
        Some((kept.point, Arc::clone(&kept.snapshot)))
    }

    fn snapshot(&self) -> Result<Option<Snapshot>, SourceError> {
        let mut opened = self.engine.snapshot();
        if matches!(opened, Err(SnapshotError::Busy)) {
            // Dropped without the lock: closing a snapshot waits for its thread.
            let idle: Vec<_> = {
                let mut copies = self.copies();
                let is_idle = |kept: &mut Kept| kept.last_read.elapsed() >= COPY_IDLE;
                copies.extract_if(.., is_idle).collect()
            };
            drop(idle);
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
        if at.sequence == Sequence(0) {
            let oldest = self.engine.oldest_logged().map_err(failed)?;
            let is_whole = oldest.is_none_or(|oldest| oldest.sequence.0 == 1);
            return Ok(if is_whole {
                Looked::Here(None)
            } else {
                Looked::Gone
            });
        }
        let digest = digest_at(&self.engine, at).map_err(failed)?;
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
        let read = self.engine.changes_after(after, limits);
        let mut changes = match read.map_err(failed)? {
            LogRead::Changes(changes) => changes,
            LogRead::None => return Ok(Reading::None),
            LogRead::Gone => return Ok(Reading::Gone),
        };
        changes.retain(|change| change.position.sequence.0 <= up_to.0);
        let Some(first) = changes.first().map(|change| change.position) else {
            return Ok(Reading::None);
        };
        let changes = changes.into_iter().map(|change| change.bytes).collect();
        Ok(Reading::Changes(Batch { first, changes }))
    }

    fn open_copy(&mut self, resume: Option<CopyName>) -> Result<CopyOpening, SourceError> {
        if let Some(copy) = resume
            && let Some((point, _)) = self.read_now(copy)
        {
            return Ok(CopyOpening::Open(copy, point));
        }
        let Some(snapshot) = self.snapshot()? else {
            return Ok(CopyOpening::Busy);
        };
        let point = LogPoint {
            position: snapshot.position(),
            digest: digest_at(&self.engine, snapshot.position()).map_err(failed)?,
        };
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| SourceError(error.to_string()))?;
        let copy = CopyName(id);
        self.copies().push(Kept {
            copy,
            point,
            snapshot: Arc::new(snapshot),
            last_read: Instant::now(),
        });
        Ok(CopyOpening::Open(copy, point))
    }

    fn read_copy(
        &mut self,
        copy: CopyName,
        after: &CopyCursor,
        bytes_max: usize,
    ) -> Result<CopyReading, SourceError> {
        let Some((_, snapshot)) = self.read_now(copy) else {
            return Ok(CopyReading::Gone);
        };
        let limits = ReadLimits {
            entries: CHUNK_ROWS,
            bytes: bytes_max,
        };
        let chunk = snapshot.read(after, limits);
        let chunk = chunk.map_err(|error| SourceError(error.to_string()))?;
        Ok(CopyReading::Rows(chunk.rows, chunk.end))
    }

    fn close_copy(&mut self, copy: CopyName) {
        let closed: Vec<_> = {
            let mut copies = self.copies();
            copies.extract_if(.., |kept| kept.copy == copy).collect()
        };
        drop(closed);
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: ReadError) -> SourceError {
    SourceError(error.to_string())
}
