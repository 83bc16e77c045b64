//! The bytes of a bulk revocation. They are in the change that adds it and in the change that
//! completes it, and between the two also in `meta`.

use talos_model::clock::UnixMillis;
use talos_model::{BulkRevocation, Epoch, Matcher, Position, Revocation, Sequence, TenantId};
use uuid::Uuid;
use wincode::{SchemaRead, SchemaWrite};

use super::position::encode_position;
use super::record::{reason_code, reason_from};
use crate::storage::error::StorageError;

/// Prefix of the keys in `META` of bulk revocations in force. The position follows.
pub const BULK_REVOCATION: &[u8] = b"rule";
/// The end of the range of bulk revocations in `META`.
pub const BULK_REVOCATION_END: &[u8] = b"rulf";
/// The version that this release writes, and the newest that it reads.
const VERSION: u8 = 1;

#[derive(SchemaWrite, SchemaRead)]
struct BulkRevocationV1 {
    id: [u8; 16],
    tenant: [u8; 16],
    epoch: u64,
    sequence: u64,
    actor_id: Option<String>,
    prefix: Option<String>,
    created_before_ms: Option<i64>,
    scope: Option<String>,
    metadata: Vec<MemberV1>,
    reason: u8,
    description: String,
    time_ms: i64,
}

#[derive(SchemaWrite, SchemaRead)]
struct MemberV1 {
    name: String,
    value: String,
}

/// The key of a bulk revocation in `META`.
pub fn key(bulk_revocation: &BulkRevocation) -> Vec<u8> {
    [
        BULK_REVOCATION,
        encode_position(bulk_revocation.position).as_slice(),
    ]
    .concat()
}

/// Encodes `bulk_revocation`.
pub fn encode(bulk_revocation: &BulkRevocation) -> Result<Vec<u8>, StorageError> {
    let member = |(name, value): &(String, String)| MemberV1 {
        name: name.clone(),
        value: value.clone(),
    };
    let fields = BulkRevocationV1 {
        id: bulk_revocation.id.into_bytes(),
        tenant: bulk_revocation.tenant.0.into_bytes(),
        epoch: bulk_revocation.position.epoch.0,
        sequence: bulk_revocation.position.sequence.0,
        actor_id: bulk_revocation.matcher.actor_id.clone(),
        prefix: bulk_revocation.matcher.prefix.clone(),
        created_before_ms: bulk_revocation.matcher.created_before.map(|time| time.0),
        scope: bulk_revocation.matcher.scope.clone(),
        metadata: bulk_revocation
            .matcher
            .metadata
            .iter()
            .map(member)
            .collect(),
        reason: reason_code(bulk_revocation.revocation.reason),
        description: bulk_revocation.revocation.description.clone(),
        time_ms: bulk_revocation.revocation.time.0,
    };
    let fields =
        wincode::serialize(&fields).map_err(|error| StorageError::Encode(error.to_string()))?;
    Ok(std::iter::once(VERSION).chain(fields).collect())
}

/// Decodes a bulk revocation.
pub fn decode(bytes: &[u8]) -> Result<BulkRevocation, StorageError> {
    let (&version, fields) = bytes
        .split_first()
        .ok_or(StorageError::Corrupt("an empty bulk revocation"))?;
    if version != VERSION {
        return Err(StorageError::NewerRecord {
            found: version,
            supported: VERSION,
        });
    }
    let fields: BulkRevocationV1 = wincode::deserialize_exact(fields)
        .map_err(|_| StorageError::Corrupt("a bulk revocation's fields"))?;
    let members = fields.metadata.into_iter();
    Ok(BulkRevocation {
        id: Uuid::from_bytes(fields.id),
        tenant: TenantId(Uuid::from_bytes(fields.tenant)),
        position: Position {
            epoch: Epoch(fields.epoch),
            sequence: Sequence(fields.sequence),
        },
        matcher: Matcher {
            actor_id: fields.actor_id,
            prefix: fields.prefix,
            created_before: fields.created_before_ms.map(UnixMillis),
            scope: fields.scope,
            metadata: members.map(|member| (member.name, member.value)).collect(),
        },
        revocation: Revocation {
            reason: reason_from(fields.reason)
                .ok_or(StorageError::Corrupt("a bulk revocation's reason"))?,
            description: fields.description,
            time: UnixMillis(fields.time_ms),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn full() -> BulkRevocation {
        let some = |text: &str| Some(text.to_owned());
        let matcher = Matcher {
            actor_id: some("a"),
            prefix: some("p"),
            created_before: Some(UnixMillis(9)),
            scope: some("s"),
            metadata: vec![("k".to_owned(), "v".to_owned())],
        };
        samples::bulk_revocation(5, matcher)
    }

    #[test]
    fn a_bulk_revocation_survives_its_bytes() {
        for bulk_revocation in [full(), samples::bulk_revocation(5, Matcher::default())] {
            assert_eq!(
                decode(&encode(&bulk_revocation).unwrap()),
                Ok(bulk_revocation)
            );
        }
        let bytes = encode(&full()).unwrap();
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len]).is_err(), "{len}");
        }
        let mut newer = bytes;
        newer[0] = 2;
        let error = decode(&newer).unwrap_err().to_string();
        assert!(error.contains("version 2"), "{error}");
    }

    /// Later releases must read what this one writes: the meaning of these bytes may never change.
    #[test]
    fn the_layout_of_version_1_is_fixed() {
        let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
        let expected = [
            "01",                               // version
            "00000000000000050000000000000000", // id
            "00000000000000000000000000000000", // tenant
            "0100000000000000",
            "0500000000000000", // epoch, sequence
            "01",
            "0100000000000000",
            "61", // actor
            "01",
            "0100000000000000",
            "70", // prefix
            "01",
            "0900000000000000", // created before
            "01",
            "0100000000000000",
            "73", // scope
            "0100000000000000",
            "0100000000000000",
            "6b",
            "0100000000000000",
            "76", // metadata
            "01",
            "0000000000000000",
            "8813000000000000", // reason, description, time
        ];
        assert_eq!(hex(&encode(&full()).unwrap()), expected.concat());
    }
}
