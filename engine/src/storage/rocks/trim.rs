//! Trims the change log: drops its oldest changes when they are too old or the log is too large.
//!
//! The last changes always stay, because recovery compares them with their records.

use rocksdb::{Direction, IteratorMode, Range};
use talos_model::clock::UnixMillis;
use talos_model::{Epoch, Position, Sequence};

use super::families::LOG;
use super::store::RocksStore;
use crate::storage::error::StorageError;
use crate::storage::format::change;
use crate::storage::format::position::{decode_position, encode_position};
use crate::storage::retention::Retention;

/// The range of changes in the log. It has no gap and covers one epoch or several.
struct LogRange {
    /// The first change of each epoch, oldest first; never empty.
    starts: Vec<Position>,
    last: Position,
}

impl LogRange {
    fn first(&self) -> Position {
        self.starts.first().copied().unwrap_or(self.last)
    }

    /// The position of the change with this sequence.
    fn position(&self, sequence: u64) -> Position {
        let begun = |start: &&Position| start.sequence.0 <= sequence;
        let start = self.starts.iter().rev().find(begun);
        Position {
            epoch: start.map_or(self.first().epoch, |start| start.epoch),
            sequence: Sequence(sequence),
        }
    }
}

impl RocksStore {
    /// Drops the changes that `retention` does not keep at `now`. Returns the first sequence that
    /// is left. Not synced: if a power cut undoes it, a later call trims again.
    pub fn trim_log(
        &self,
        retention: Retention,
        now: UnixMillis,
    ) -> Result<Sequence, StorageError> {
        let Some(range) = self.log_range()? else {
            return Ok(Sequence(0));
        };
        let (first, last) = (range.first().sequence.0, range.last.sequence.0);
        let count = (last + 1).saturating_sub(first);
        let by_age = self.first_after(&range, now.0.saturating_sub(retention.age_ms))?;
        let by_bytes = first + excess(count, self.bytes_in(&range)?, retention.bytes);
        let newest = (last + 1).saturating_sub(retention.changes_min);
        let keep_from = by_age.max(by_bytes).min(newest).max(first);
        if keep_from > first {
            let end = encode_position(range.position(keep_from));
            self.db.delete_range_cf(self.family(LOG)?, [0; 16], end)?;
            tracing::debug!(from = first, to = keep_from, "dropped old changes");
        }
        Ok(Sequence(keep_from))
    }

    /// `None` when the log is empty.
    fn log_range(&self) -> Result<Option<LogRange>, StorageError> {
        let Some(last) = self.last_position()? else {
            return Ok(None);
        };
        let mut starts = Vec::new();
        let mut next = self.first_position()?;
        // One look-up per epoch. Epochs are few, because each is a promotion.
        while let Some(start) = next {
            starts.push(start);
            if start.epoch >= last.epoch {
                break;
            }
            next = self.first_of(Epoch(start.epoch.0 + 1))?;
        }
        Ok(Some(LogRange { starts, last }))
    }

    /// The first change of this epoch; if it has none, of the next one that has.
    fn first_of(&self, epoch: Epoch) -> Result<Option<Position>, StorageError> {
        let start = encode_position(Position {
            epoch,
            sequence: Sequence(0),
        });
        let mode = IteratorMode::From(&start, Direction::Forward);
        let mut entries = self.db.iterator_cf(self.family(LOG)?, mode);
        let first = entries.next().transpose()?;
        first.map(|(key, _)| decode_position(&key)).transpose()
    }

    /// Approximate size of the log in bytes, on disk and in memory, without deleted changes that
    /// are not yet compacted.
    fn bytes_in(&self, range: &LogRange) -> Result<u64, StorageError> {
        let family = self.family(LOG)?;
        let (start, end) = (
            encode_position(range.first()),
            encode_position(range.last.next()),
        );
        let ranges = [Range::new(&start, &end)];
        let on_disk: u64 = self
            .db
            .get_approximate_sizes_cf(family, &ranges)
            .iter()
            .sum();
        let in_memory = self
            .db
            .property_int_value_cf(family, "rocksdb.cur-size-all-mem-tables")?;
        Ok(on_disk + in_memory.unwrap_or(0))
    }

    /// Approximate size of the log in bytes, for tests.
    #[cfg(test)]
    pub fn log_bytes(&self) -> Result<u64, StorageError> {
        let range = self.log_range()?;
        range.map_or(Ok(0), |range| self.bytes_in(&range))
    }

    /// The sequence of the first change at or after `time_ms`, found by bisection: times rise with
    /// sequences.
    fn first_after(&self, range: &LogRange, time_ms: i64) -> Result<u64, StorageError> {
        let (mut low, mut high) = (range.first().sequence.0, range.last.sequence.0 + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let position = range.position(middle);
            let bytes = self
                .db
                .get_pinned_cf(self.family(LOG)?, encode_position(position))?;
            let bytes = bytes.ok_or(StorageError::Corrupt("a change is missing in the log"))?;
            if change::decode(position, &bytes)?.time.0 < time_ms {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

/// How many of `count` changes must be dropped when together they take `bytes` and `allowed` bytes
/// are allowed.
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
