//! Makes a backup, one part at a time.

use sha2::{Digest as _, Sha256};
use talos_model::{CopyCounts, CopyCursor, CopyEnd, NodeState, ReadLimits, clock};

use super::BackupHead;
use super::format::{self, Body};
use crate::engine::Engine;
use crate::limits::BACKUP_ROWS_AT_ONCE;
use crate::snapshot::{Snapshot, SnapshotError};
use crate::storage::count_row;

/// A backup of a running node that is being made. The node keeps serving. While this value lives,
/// RocksDB keeps the files of the backup's moment.
pub struct BackupMaker {
    snapshot: Snapshot,
    head: BackupHead,
    next: Next,
    counts: CopyCounts,
    digest: Sha256,
}

enum Next {
    Head,
    /// Rows after the cursor.
    Rows(CopyCursor),
    End,
    Done,
}

impl Engine {
    /// Begins a backup of the present state. `release` is the node's release, for display. Waits
    /// for the disk, as do all methods of [`BackupMaker`].
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn backup(&self, release: &str) -> Result<BackupMaker, SnapshotError> {
        let time = clock::now();
        let snapshot = self.snapshot()?;
        let position = snapshot.position();
        let NodeState {
            cluster, epochs, ..
        } = self.standing();
        if !epochs.has(position) {
            // A copy of another node began between the two calls.
            return Err(SnapshotError::Incomplete);
        }
        let head = BackupHead {
            time,
            position,
            cluster,
            epochs,
            shards: self.shard_count(),
            release: release.to_owned(),
        };
        Ok(BackupMaker {
            snapshot,
            head,
            next: Next::Head,
            counts: CopyCounts::default(),
            digest: Sha256::new(),
        })
    }
}

impl BackupMaker {
    /// Description of the backup.
    #[must_use]
    pub fn head(&self) -> &BackupHead {
        &self.head
    }

    /// The next bytes, about as many as [`BACKUP_ROWS_AT_ONCE`] allows; `None` after the last.
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
                self.next = Next::Done;
                let digest = self.digest.clone().finalize();
                return frame(&Body::End(self.counts, digest.into())).map(Some);
            }
            Next::Done => return Ok(None),
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
