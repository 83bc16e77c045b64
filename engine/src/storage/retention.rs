//! The change log does not grow for ever: changes that are too old, or too many bytes, are dropped from its beginning.
//!
//! The last changes always stay, whatever the bounds: recovery compares them with their records.

use rocksdb::{Direction, IteratorMode};

use super::StorageError;
use super::change_format::{self, encode_position};
use super::rocks::{LOG, RocksStore};
use crate::clock::UnixMillis;
use crate::ids::{Position, Sequence};
use crate::limits::{LOG_RETENTION_BYTES, LOG_RETENTION_MS, RECOVERY_CHECKED_CHANGES};

/// What the log may keep.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Changes older than this many milliseconds may go.
    pub age_ms: i64,
    /// The oldest changes go until the rest takes about this many bytes.
    pub bytes: u64,
    /// So many changes stay in any case.
    pub changes_min: u64,
}

impl Retention {
    /// The bounds of `limits.rs`.
    pub const DEFAULT: Self = Self {
        age_ms: LOG_RETENTION_MS,
        bytes: LOG_RETENTION_BYTES,
        changes_min: RECOVERY_CHECKED_CHANGES as u64,
    };
}

impl RocksStore {
    /// Drops what need not be kept at `now`; returns the first sequence that is left. Not synced: a log that is longer than
    /// it need be after a power cut is trimmed again.
    pub fn trim_log(
        &self,
        retention: Retention,
        now: UnixMillis,
    ) -> Result<Sequence, StorageError> {
        let Some((first, last)) = self.log_ends()? else {
            return Ok(Sequence(0));
        };
        let count = last.sequence.0 - first.sequence.0 + 1;
        let by_age = self.first_after(first, last, now.0.saturating_sub(retention.age_ms))?;
        let by_bytes = first.sequence.0 + excess(count, self.log_bytes()?, retention.bytes);
        let newest = (last.sequence.0 + 1).saturating_sub(retention.changes_min);
        let keep_from = by_age.max(by_bytes).min(newest).max(first.sequence.0);
        if keep_from > first.sequence.0 {
            // Epochs rise with sequences: what is left of an older one goes with the first change of this one that goes.
            let end = encode_position(at(last, keep_from));
            self.db.delete_range_cf(self.family(LOG)?, [0; 16], end)?;
            tracing::debug!(
                from = first.sequence.0,
                to = keep_from,
                "dropped old changes"
            );
        }
        Ok(Sequence(keep_from))
    }

    /// The first and the last change of the newest epoch.
    fn log_ends(&self) -> Result<Option<(Position, Position)>, StorageError> {
        let Some(last) = self.last_position()? else {
            return Ok(None);
        };
        let start = encode_position(at(last, 0));
        let mode = IteratorMode::From(&start, Direction::Forward);
        let mut entries = self.db.iterator_cf(self.family(LOG)?, mode);
        let first = entries.next().transpose()?;
        let first = first
            .map(|(key, _)| change_format::decode_position(&key))
            .transpose()?;
        Ok(first.map(|first| (first, last)))
    }

    /// About how many bytes the log takes, on disk and in memory.
    pub fn log_bytes(&self) -> Result<u64, StorageError> {
        let family = self.family(LOG)?;
        let property = |name: &str| self.db.property_int_value_cf(family, name);
        let on_disk = property("rocksdb.estimate-live-data-size")?.unwrap_or(0);
        let in_memory = property("rocksdb.cur-size-all-mem-tables")?.unwrap_or(0);
        Ok(on_disk + in_memory)
    }

    /// The first sequence whose change was decided at or after `time_ms`: times rise with sequences.
    fn first_after(
        &self,
        first: Position,
        last: Position,
        time_ms: i64,
    ) -> Result<u64, StorageError> {
        let (mut low, mut high) = (first.sequence.0, last.sequence.0 + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let position = at(last, middle);
            let bytes = self
                .db
                .get_pinned_cf(self.family(LOG)?, encode_position(position))?;
            let bytes = bytes.ok_or(StorageError::Corrupt("a change is missing in the log"))?;
            if change_format::decode(position, &bytes)?.time.0 < time_ms {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

/// The place of the change with this sequence in the epoch of `position`.
fn at(position: Position, sequence: u64) -> Position {
    Position {
        epoch: position.epoch,
        sequence: Sequence(sequence),
    }
}

/// How many of `count` changes are too many, when all of them take `bytes` and `allowed` are allowed.
fn excess(count: u64, bytes: u64, allowed: u64) -> u64 {
    if bytes <= allowed {
        return 0;
    }
    let kept = u128::from(count) * u128::from(allowed) / u128::from(bytes);
    count - u64::try_from(kept).unwrap_or(count).min(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_excess_is_a_share_of_the_changes() {
        assert_eq!(excess(100, 1000, 1000), 0);
        assert_eq!(excess(100, 2000, 1000), 50);
        assert_eq!(excess(100, 1001, 0), 100);
        assert_eq!(excess(0, 10, 1), 0);
    }
}
