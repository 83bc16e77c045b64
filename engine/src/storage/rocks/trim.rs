//! Trims the change log: changes that are too old, or too many bytes, are dropped from its beginning.
//!
//! The last changes always stay, whatever the bounds: recovery compares them with their records.

use rocksdb::{Direction, IteratorMode, Range};
use talos_model::clock::UnixMillis;
use talos_model::{Epoch, Position, Sequence};

use super::families::LOG;
use super::store::RocksStore;
use crate::storage::error::StorageError;
use crate::storage::format::change;
use crate::storage::format::position::{decode_position, encode_position};
use crate::storage::retention::Retention;

/// What the log holds: changes without a gap, of one epoch or several.
struct Held {
    /// The first change of each epoch, oldest first; never empty.
    starts: Vec<Position>,
    last: Position,
}

impl Held {
    fn first(&self) -> Position {
        self.starts.first().copied().unwrap_or(self.last)
    }

    /// The place of the change with this sequence.
    fn place(&self, sequence: u64) -> Position {
        let begun = |start: &&Position| start.sequence.0 <= sequence;
        let start = self.starts.iter().rev().find(begun);
        Position {
            epoch: start.map_or(self.first().epoch, |start| start.epoch),
            sequence: Sequence(sequence),
        }
    }
}

impl RocksStore {
    /// Drops what need not be kept at `now`; returns the first sequence that is left. Not synced: a log that is longer than
    /// it need be after a power cut is trimmed again.
    pub fn trim_log(
        &self,
        retention: Retention,
        now: UnixMillis,
    ) -> Result<Sequence, StorageError> {
        let Some(held) = self.held()? else {
            return Ok(Sequence(0));
        };
        let (first, last) = (held.first().sequence.0, held.last.sequence.0);
        let count = (last + 1).saturating_sub(first);
        let by_age = self.first_after(&held, now.0.saturating_sub(retention.age_ms))?;
        let by_bytes = first + excess(count, self.bytes_held(&held)?, retention.bytes);
        let newest = (last + 1).saturating_sub(retention.changes_min);
        let keep_from = by_age.max(by_bytes).min(newest).max(first);
        if keep_from > first {
            let end = encode_position(held.place(keep_from));
            self.db.delete_range_cf(self.family(LOG)?, [0; 16], end)?;
            tracing::debug!(from = first, to = keep_from, "dropped old changes");
        }
        Ok(Sequence(keep_from))
    }

    fn held(&self) -> Result<Option<Held>, StorageError> {
        let Some(last) = self.last_position()? else {
            return Ok(None);
        };
        let mut starts = Vec::new();
        let mut next = self.first_position()?;
        // One step an epoch: there are few, for each is a promotion.
        while let Some(start) = next {
            starts.push(start);
            if start.epoch >= last.epoch {
                break;
            }
            next = self.first_of(Epoch(start.epoch.0 + 1))?;
        }
        Ok(Some(Held { starts, last }))
    }

    /// The first change of this epoch, or else of a later one.
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

    /// About how many bytes the log takes, on disk and in memory; not what is deleted and has not been compacted away yet.
    fn bytes_held(&self, held: &Held) -> Result<u64, StorageError> {
        let family = self.family(LOG)?;
        let (start, end) = (
            encode_position(held.first()),
            encode_position(held.last.next()),
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

    /// About how many bytes the log takes, for tests.
    #[cfg(test)]
    pub fn log_bytes(&self) -> Result<u64, StorageError> {
        let held = self.held()?;
        held.map_or(Ok(0), |held| self.bytes_held(&held))
    }

    /// The first sequence whose change was decided at or after `time_ms`: times rise with sequences.
    fn first_after(&self, held: &Held, time_ms: i64) -> Result<u64, StorageError> {
        let (mut low, mut high) = (held.first().sequence.0, held.last.sequence.0 + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let position = held.place(middle);
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
