//! The bytes of a change in the log: keyed by (epoch, sequence), both big-endian so that order on disk is order in time.

use talos_model::clock::UnixMillis;
use talos_model::{Change, Epoch, Event, Position, RecordKey, Sequence, Subject};
use wincode::{SchemaRead, SchemaWrite};

use super::{StorageError, record_format, rule_format};

/// The version of a change of one key.
const OF_A_KEY: u8 = 1;
/// The version of a change of many keys. Releases that know no such changes refuse it by its number, for they would go on to accept
/// those keys. It is the newest that this release reads.
const OF_MANY_KEYS: u8 = 2;

/// Their numbers on disk are their places here.
const EVENTS: [Event; 10] = [
    Event::IssuedKeyCreated,
    Event::IssuedKeyRevoked,
    Event::ImportedKeyRevoked,
    Event::ImportedKeyCreated,
    Event::IssuedKeyUpdated,
    Event::ImportedKeyUpdated,
    Event::IssuedKeyRotated,
    Event::ImportedKeyDeleted,
    Event::RuleAdded,
    Event::RuleCompleted,
];

#[derive(SchemaWrite, SchemaRead)]
struct ChangeV1 {
    time_ms: i64,
    event: u8,
    request_id: Option<String>,
    /// Of the record; empty when a rule follows.
    key: Vec<u8>,
    /// The record or the rule.
    subject: Vec<u8>,
}

/// The key of a change on disk.
pub fn encode_position(position: Position) -> [u8; 16] {
    let both = (u128::from(position.epoch.0) << 64) | u128::from(position.sequence.0);
    both.to_be_bytes()
}

/// The position whose key these bytes are.
pub fn decode_position(bytes: &[u8]) -> Result<Position, StorageError> {
    let bytes: [u8; 16] = bytes
        .try_into()
        .map_err(|_| StorageError::Corrupt("a change's position"))?;
    let both = u128::from_be_bytes(bytes);
    let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
    Ok(Position {
        epoch: Epoch(half(both >> 64)),
        sequence: Sequence(half(both)),
    })
}

/// The bytes that stand for `change` under its position; `subject` are those of its record or rule.
pub fn encode(change: &Change, subject: &[u8]) -> Result<Vec<u8>, StorageError> {
    let (version, key) = match &change.subject {
        Subject::Key(record) => {
            let key = RecordKey::new(record.tenant, record.key_id);
            (OF_A_KEY, key.as_bytes().to_vec())
        }
        Subject::Rule(_) => (OF_MANY_KEYS, Vec::new()),
    };
    let fields = ChangeV1 {
        time_ms: change.time.0,
        event: (0..)
            .zip(EVENTS)
            .find(|(_, event)| *event == change.event)
            .map_or(0, |(code, _)| code),
        request_id: change.request_id.clone(),
        key,
        subject: subject.to_vec(),
    };
    let fields =
        wincode::serialize(&fields).map_err(|error| StorageError::Encode(error.to_string()))?;
    Ok(std::iter::once(version).chain(fields).collect())
}

/// The change that `bytes` stand for at `position`.
pub fn decode(position: Position, bytes: &[u8]) -> Result<Change, StorageError> {
    let (&version, fields) = bytes
        .split_first()
        .ok_or(StorageError::Corrupt("an empty change"))?;
    if ![OF_A_KEY, OF_MANY_KEYS].contains(&version) {
        return Err(StorageError::NewerRecord {
            found: version,
            supported: OF_MANY_KEYS,
        });
    }
    let fields: ChangeV1 = wincode::deserialize_exact(fields)
        .map_err(|_| StorageError::Corrupt("a change's fields"))?;
    let subject = match version {
        OF_A_KEY => record_format::decode(&fields.key, &fields.subject).map(Subject::Key),
        _ => rule_format::decode(&fields.subject).map(Subject::Rule),
    };
    let change = Change {
        position,
        time: UnixMillis(fields.time_ms),
        event: *EVENTS
            .get(usize::from(fields.event))
            .ok_or(StorageError::Corrupt("a change's event"))?,
        request_id: fields.request_id,
        subject: subject?,
    };
    let is_consistent = change.is_consistent();
    is_consistent
        .then_some(change)
        .ok_or(StorageError::Corrupt("an event of something else"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_sort_by_epoch_then_sequence() {
        let at = |epoch, sequence| Position {
            epoch: Epoch(epoch),
            sequence: Sequence(sequence),
        };
        let ordered = [at(1, 1), at(1, 255), at(1, 256), at(2, 3), at(256, 0)];
        assert!(
            ordered
                .windows(2)
                .all(|pair| encode_position(pair[0]) < encode_position(pair[1]))
        );
        assert!(
            ordered
                .iter()
                .all(|&position| decode_position(&encode_position(position)).unwrap() == position)
        );
        assert!(decode_position(&[0; 15]).is_err());
    }
}
