//! The bytes of a change in the log.

use talos_model::clock::UnixMillis;
use talos_model::{Change, Event, Position, RecordKey, Subject};
use wincode::{SchemaRead, SchemaWrite};

use super::{bulk_revocation, record};
use crate::storage::error::StorageError;

/// The version of a change of one key.
const OF_A_KEY: u8 = 1;
/// The version of a change of many keys, and the newest that this release reads. Releases without
/// bulk revocations must refuse such a change, because they would go on accepting the revoked keys.
/// The version number makes them refuse it.
const OF_MANY_KEYS: u8 = 2;

/// An event's code on disk is its index here.
const EVENTS: [Event; 10] = [
    Event::IssuedKeyCreated,
    Event::IssuedKeyRevoked,
    Event::ImportedKeyRevoked,
    Event::ImportedKeyCreated,
    Event::IssuedKeyUpdated,
    Event::ImportedKeyUpdated,
    Event::IssuedKeyRotated,
    Event::ImportedKeyDeleted,
    Event::BulkRevocationAdded,
    Event::BulkRevocationCompleted,
];

#[derive(SchemaWrite, SchemaRead)]
struct ChangeV1 {
    time_ms: i64,
    event: u8,
    request_id: Option<String>,
    /// The key of the record; empty when `subject` is a bulk revocation.
    key: Vec<u8>,
    /// The record or the bulk revocation.
    subject: Vec<u8>,
}

/// Encodes `change`. `subject` is its encoded record or bulk revocation.
pub fn encode(change: &Change, subject: &[u8]) -> Result<Vec<u8>, StorageError> {
    let (version, key) = match &change.subject {
        Subject::Key(record) => {
            let key = RecordKey::new(record.tenant, record.key_id);
            (OF_A_KEY, key.as_bytes().to_vec())
        }
        Subject::BulkRevocation(_) => (OF_MANY_KEYS, Vec::new()),
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

/// Decodes the change at `position`.
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
        OF_A_KEY => record::decode(&fields.key, &fields.subject).map(Subject::Key),
        _ => bulk_revocation::decode(&fields.subject).map(Subject::BulkRevocation),
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
