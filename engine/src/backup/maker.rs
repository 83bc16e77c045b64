//! Making a backup, a part at a time.

use sha2::{Digest as _, Sha256};
use talos_model::{CopyCursor, CopyEnd, ReadLimits, clock};

use super::format::{self, Body};
use super::{BackupCounts, BackupHead};
use crate::engine::Engine;
use crate::limits::BACKUP_ROWS_AT_ONCE;
use crate::snapshot::{Snapshot, SnapshotError};
use crate::storage::count_row;

/// A backup of a running node that is being made. The node goes on with everything; as long as this lives, the files of its time
/// are kept.
pub struct BackupMaker {
    snapshot: Snapshot,
    head: BackupHead,
    next: Next,
    counts: BackupCounts,
    digest: Sha256,
}

enum Next {
    Head,
    Rows(CopyCursor),
    End,
    Nothing,
}

impl Engine {
    /// Begins a backup of everything as it is now. `release` is for people. Waits for the disk, as does all that follows.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn backup(&self, release: &str) -> Result<BackupMaker, SnapshotError> {
        let time = clock::now();
        let snapshot = self.snapshot()?;
        let (position, epochs) = (snapshot.position(), self.standing().epochs);
        if !epochs.has(position) {
            // A copy of another node began in between.
            return Err(SnapshotError::Incomplete);
        }
        let head = BackupHead {
            time,
            position,
            epochs,
            shards: self.shard_count(),
            release: release.to_owned(),
        };
        Ok(BackupMaker {
            snapshot,
            head,
            next: Next::Head,
            counts: BackupCounts::default(),
            digest: Sha256::new(),
        })
    }
}

impl BackupMaker {
    /// What the backup says of itself.
    #[must_use]
    pub fn head(&self) -> &BackupHead {
        &self.head
    }

    /// The next bytes; `None` after the last. About as many as [`BACKUP_ROWS_AT_ONCE`] says.
    ///
    /// # Errors
    /// When storage cannot be read.
    pub fn next_part(&mut self) -> Result<Option<Vec<u8>>, SnapshotError> {
        let part = match &self.next {
            Next::Head => {
                let frame = frame(&Body::Head(self.head.clone()))?;
                self.next = Next::Rows(CopyCursor::default());
                [format::preamble(), frame].concat()
            }
            Next::Rows(after) => {
                let chunk = self.snapshot.read(after, BACKUP_ROWS_AT_ONCE)?;
                for row in &chunk.rows {
                    count_row(row, &mut self.counts)?;
                }
                self.next = match chunk.rows.last() {
                    Some(row) if chunk.end == CopyEnd::More => Next::Rows(row.cursor()),
                    _ => Next::End,
                };
                frame(&Body::Rows(chunk))?
            }
            Next::End => {
                self.next = Next::Nothing;
                let digest = self.digest.clone().finalize();
                return frame(&Body::End(self.counts, digest.into())).map(Some);
            }
            Next::Nothing => return Ok(None),
        };
        self.digest.update(&part);
        Ok(Some(part))
    }
}

fn frame(body: &Body) -> Result<Vec<u8>, SnapshotError> {
    let body = format::encode(body).map_err(SnapshotError::Storage)?;
    if body.len() > format::BODY_BYTES_MAX {
        let message = format!("a part of a backup of {} bytes", body.len());
        return Err(SnapshotError::Storage(message));
    }
    Ok(format::frame(&body))
}

const _: () = {
    let ReadLimits { bytes, .. } = BACKUP_ROWS_AT_ONCE;
    assert!(bytes <= format::BODY_BYTES_MAX / 8);
};
