//! The bytes of a change in the log: keyed by (epoch, sequence), both big-endian so that order on disk is order in time.

use wincode::{SchemaRead, SchemaWrite};

use super::StorageError;
use super::key::RecordKey;
use crate::clock::UnixMillis;
use crate::ids::{Epoch, Position, Sequence};
use crate::record::Record;

/// The version that this release writes, and the newest that it reads.
const VERSION: u8 = 1;

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// `IssuedAPIKeyCreated`
    IssuedKeyCreated,
    /// `IssuedAPIKeyRevoked`
    IssuedKeyRevoked,
    /// `ImportedAPIKeyRevoked`
    ImportedKeyRevoked,
    /// `ImportedAPIKeyCreated`
    ImportedKeyCreated,
    /// `IssuedAPIKeyUpdated`
    IssuedKeyUpdated,
    /// `ImportedAPIKeyUpdated`
    ImportedKeyUpdated,
    /// `IssuedAPIKeyRotated`: the new key; the old one's revocation precedes it.
    IssuedKeyRotated,
    /// `ImportedAPIKeyDeleted`: the record is the last that there was.
    ImportedKeyDeleted,
}

/// Their numbers on disk are their places here.
const EVENTS: [Event; 8] = [
    Event::IssuedKeyCreated,
    Event::IssuedKeyRevoked,
    Event::ImportedKeyRevoked,
    Event::ImportedKeyCreated,
    Event::IssuedKeyUpdated,
    Event::ImportedKeyUpdated,
    Event::IssuedKeyRotated,
    Event::ImportedKeyDeleted,
];

/// One entry of the change log: what happened, and the record as it was afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where it stands in the log.
    pub position: Position,
    /// When it was decided.
    pub time: UnixMillis,
    /// What happened.
    pub event: Event,
    /// The idempotency key of the command, if it had one.
    pub request_id: Option<String>,
    /// The record after the change; its tenant is the tenant of the change.
    pub record: Record,
}

impl Change {
    /// Whether the change removes the record.
    #[must_use]
    pub fn deletes(&self) -> bool {
        self.event == Event::ImportedKeyDeleted
    }
}

#[derive(SchemaWrite, SchemaRead)]
struct ChangeV1 {
    time_ms: i64,
    event: u8,
    request_id: Option<String>,
    key: Vec<u8>,
    record: Vec<u8>,
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

/// The bytes that stand for `change` under its position; `record` are those of its record.
pub fn encode(change: &Change, record: &[u8]) -> Result<Vec<u8>, StorageError> {
    let fields = ChangeV1 {
        time_ms: change.time.0,
        event: (0..)
            .zip(EVENTS)
            .find(|(_, event)| *event == change.event)
            .map_or(0, |(code, _)| code),
        request_id: change.request_id.clone(),
        key: RecordKey::new(change.record.tenant, change.record.key_id)
            .as_bytes()
            .to_vec(),
        record: record.to_vec(),
    };
    let fields =
        wincode::serialize(&fields).map_err(|error| StorageError::Encode(error.to_string()))?;
    Ok(std::iter::once(VERSION).chain(fields).collect())
}

/// The change that `bytes` stand for at `position`.
pub fn decode(position: Position, bytes: &[u8]) -> Result<Change, StorageError> {
    let (&version, fields) = bytes
        .split_first()
        .ok_or(StorageError::Corrupt("an empty change"))?;
    if version != VERSION {
        return Err(StorageError::NewerRecord {
            found: version,
            supported: VERSION,
        });
    }
    let fields: ChangeV1 = wincode::deserialize_exact(fields)
        .map_err(|_| StorageError::Corrupt("a change's fields"))?;
    Ok(Change {
        position,
        time: UnixMillis(fields.time_ms),
        event: *EVENTS
            .get(usize::from(fields.event))
            .ok_or(StorageError::Corrupt("a change's event"))?,
        request_id: fields.request_id,
        record: super::record_format::decode(&fields.key, &fields.record)?,
    })
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
