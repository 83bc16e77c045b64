//! Reads the change log for replicas and the changes feed.

use rocksdb::{Direction, IteratorMode};
use talos_model::clock::UnixMillis;
use talos_model::{LogRead, LoggedChange, Position, ReadLimits, Sequence};

use super::families::LOG;
use super::store::RocksStore;
use super::view::Row;
use crate::storage::error::StorageError;
use crate::storage::format::change;
use crate::storage::format::position::{decode_position, encode_position};

impl RocksStore {
    /// The position of the oldest change in the log.
    pub fn first_position(&self) -> Result<Option<Position>, StorageError> {
        let mut oldest = self.db.iterator_cf(self.family(LOG)?, IteratorMode::Start);
        oldest
            .next()
            .map(|entry| decode_position(&entry?.0))
            .transpose()
    }

    /// The bytes of the change at `position`, if the log holds it.
    pub fn change_at(&self, position: Position) -> Result<Option<Vec<u8>>, StorageError> {
        let key = encode_position(position);
        Ok(self.db.get_cf(self.family(LOG)?, key)?)
    }

    /// The time of the change at `position`, if the log holds it.
    pub fn time_of(&self, position: Position) -> Result<Option<UnixMillis>, StorageError> {
        let bytes = self.change_at(position)?;
        let change = bytes.map(|bytes| change::decode(position, &bytes));
        Ok(change.transpose()?.map(|change| change.time))
    }

    /// The changes after `after` and up to `up_to`, of one epoch. [`LogRead::Gone`] when the log
    /// does not hold the change at `after`.
    pub fn changes_after(
        &self,
        after: Position,
        up_to: Sequence,
        limits: ReadLimits,
    ) -> Result<LogRead, StorageError> {
        let start = encode_position(after);
        let mode = IteratorMode::From(&start, Direction::Forward);
        let mut entries = self.db.iterator_cf(self.family(LOG)?, mode).peekable();
        // The change at `after` must exist: otherwise it was trimmed, or this log never had it.
        let is_there = match entries.peek() {
            Some(Ok((key, _))) if after.sequence == Sequence(0) => {
                decode_position(key)?.sequence == Sequence(1)
            }
            Some(Ok((key, _))) => **key == start,
            Some(Err(_)) => true,
            None => after.sequence == Sequence(0),
        };
        if !is_there {
            return Ok(LogRead::Gone);
        }
        if after.sequence > Sequence(0) {
            entries.next().transpose()?;
        }
        read(entries, Some(after.sequence.next()), up_to, limits)
    }

    /// The oldest changes in the log, up to `up_to`, of one epoch.
    pub fn oldest_changes(
        &self,
        up_to: Sequence,
        limits: ReadLimits,
    ) -> Result<LogRead, StorageError> {
        let entries = self.db.iterator_cf(self.family(LOG)?, IteratorMode::Start);
        read(entries, None, up_to, limits)
    }
}

/// Reads changes of one epoch from `entries`, up to `up_to` and `limits`. If `expected` is given,
/// the first must have this sequence.
///
/// # Errors
/// When a sequence is missing.
pub fn read(
    entries: impl Iterator<Item = Result<Row, rocksdb::Error>>,
    mut expected: Option<Sequence>,
    up_to: Sequence,
    limits: ReadLimits,
) -> Result<LogRead, StorageError> {
    let (mut changes, mut bytes) = (Vec::<LoggedChange>::new(), 0);
    for entry in entries {
        let (key, value) = entry?;
        let position = decode_position(&key)?;
        let of_one_epoch = changes
            .first()
            .is_none_or(|first| first.position.epoch == position.epoch);
        let is_full = changes.len() >= limits.entries || bytes >= limits.bytes;
        if position.sequence > up_to || !of_one_epoch || (is_full && !changes.is_empty()) {
            break;
        }
        if expected.is_some_and(|expected| position.sequence != expected) {
            return Err(StorageError::Corrupt("a change is missing in the log"));
        }
        expected = Some(position.sequence.next());
        bytes += value.len();
        let bytes = value.into_vec();
        changes.push(LoggedChange { position, bytes });
    }
    Ok(if changes.is_empty() {
        LogRead::None
    } else {
        LogRead::Changes(changes)
    })
}
