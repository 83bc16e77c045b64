//! The bytes of a record: one version byte, then the fields in bincode's fixed-width layout.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use talos_model::cidr::Cidr;
use talos_model::clock::UnixMillis;
use talos_model::{
    RateLimitPolicy, Record, RecordKey, Revocation, RevocationReason, Sequence, Visibility,
};
use wincode::{SchemaRead, SchemaWrite};

use crate::storage::error::StorageError;

/// The version that this release writes, and the newest that it reads. Version 1 has no prefix.
const VERSION: u8 = 2;

#[derive(SchemaWrite, SchemaRead)]
struct RecordV1 {
    sequence: u64,
    name: String,
    actor_id: String,
    scopes: Vec<String>,
    metadata: String,
    visibility: u8,
    create_time_ms: i64,
    update_time_ms: i64,
    expire_time_ms: Option<i64>,
    revocation: Option<RevocationV1>,
    rate_limit: Option<RateLimitV1>,
    allowed_cidrs: Vec<CidrV1>,
}

#[derive(SchemaWrite, SchemaRead)]
struct RecordV2 {
    prefix: Option<String>,
    fields: RecordV1,
}

#[derive(SchemaWrite, SchemaRead)]
struct RevocationV1 {
    reason: u8,
    description: String,
    time_ms: i64,
}

#[derive(SchemaWrite, SchemaRead)]
struct RateLimitV1 {
    quota: u64,
    window_s: u64,
}

#[derive(SchemaWrite, SchemaRead)]
struct CidrV1 {
    family: u8,
    prefix_len: u8,
    network: [u8; 16],
}

/// Encodes `record`. Tenant and key id are not included; they are the key in the database.
pub fn encode(record: &Record) -> Result<Vec<u8>, StorageError> {
    let fields = RecordV2 {
        prefix: record.prefix.clone(),
        fields: encode_fields(record),
    };
    let fields =
        wincode::serialize(&fields).map_err(|error| StorageError::Encode(error.to_string()))?;
    Ok(std::iter::once(VERSION).chain(fields).collect())
}

fn encode_fields(record: &Record) -> RecordV1 {
    RecordV1 {
        sequence: record.sequence.0,
        name: record.name.clone(),
        actor_id: record.actor_id.clone(),
        scopes: record.scopes.clone(),
        metadata: record.metadata.clone(),
        visibility: match record.visibility {
            Visibility::Secret => 0,
            Visibility::Public => 1,
        },
        create_time_ms: record.create_time.0,
        update_time_ms: record.update_time.0,
        expire_time_ms: record.expire_time.map(|time| time.0),
        revocation: record.revocation.as_ref().map(|revocation| RevocationV1 {
            reason: reason_code(revocation.reason),
            description: revocation.description.clone(),
            time_ms: revocation.time.0,
        }),
        rate_limit: record.rate_limit.map(|policy| RateLimitV1 {
            quota: policy.quota,
            window_s: policy.window_s,
        }),
        allowed_cidrs: record.allowed_cidrs.iter().map(encode_cidr).collect(),
    }
}

/// Decodes the record stored under `key`.
pub fn decode(key: &[u8], bytes: &[u8]) -> Result<Record, StorageError> {
    let (tenant, key_id) = RecordKey::split(key).ok_or(StorageError::Corrupt("a record's key"))?;
    let (&version, fields) = bytes
        .split_first()
        .ok_or(StorageError::Corrupt("an empty record"))?;
    let unreadable = |_| StorageError::Corrupt("a record's fields");
    let (prefix, fields) = match version {
        1 => {
            let fields = wincode::deserialize_exact::<RecordV1>(fields);
            (None, fields.map_err(unreadable)?)
        }
        VERSION => {
            let fields = wincode::deserialize_exact::<RecordV2>(fields);
            let RecordV2 { prefix, fields } = fields.map_err(unreadable)?;
            (prefix, fields)
        }
        found => {
            return Err(StorageError::NewerRecord {
                found,
                supported: VERSION,
            });
        }
    };
    let revocation = fields.revocation.map(|revocation| {
        Some(Revocation {
            reason: reason_from(revocation.reason)?,
            description: revocation.description,
            time: UnixMillis(revocation.time_ms),
        })
    });
    Ok(Record {
        tenant,
        key_id,
        sequence: Sequence(fields.sequence),
        name: fields.name,
        actor_id: fields.actor_id,
        scopes: fields.scopes,
        metadata: fields.metadata,
        visibility: match fields.visibility {
            0 => Visibility::Secret,
            1 => Visibility::Public,
            _ => return Err(StorageError::Corrupt("a record's visibility")),
        },
        prefix,
        create_time: UnixMillis(fields.create_time_ms),
        update_time: UnixMillis(fields.update_time_ms),
        expire_time: fields.expire_time_ms.map(UnixMillis),
        revocation: match revocation {
            Some(None) => return Err(StorageError::Corrupt("a revocation's reason")),
            Some(known) => known,
            None => None,
        },
        rate_limit: fields.rate_limit.map(|policy| RateLimitPolicy {
            quota: policy.quota,
            window_s: policy.window_s,
        }),
        allowed_cidrs: fields
            .allowed_cidrs
            .iter()
            .map(decode_cidr)
            .collect::<Option<_>>()
            .ok_or(StorageError::Corrupt("a record's CIDR block"))?,
    })
}

const REASONS: [RevocationReason; 5] = [
    RevocationReason::Unspecified,
    RevocationReason::KeyCompromise,
    RevocationReason::AffiliationChanged,
    RevocationReason::Superseded,
    RevocationReason::PrivilegeWithdrawn,
];

pub(super) fn reason_code(reason: RevocationReason) -> u8 {
    (0..)
        .zip(REASONS)
        .find(|(_, known)| *known == reason)
        .map_or(0, |(code, _)| code)
}

pub(super) fn reason_from(code: u8) -> Option<RevocationReason> {
    REASONS.get(usize::from(code)).copied()
}

fn encode_cidr(cidr: &Cidr) -> CidrV1 {
    let (network, prefix_len) = cidr.parts();
    match network {
        IpAddr::V4(v4) => CidrV1 {
            family: 4,
            prefix_len,
            network: u128::from(v4.to_bits()).to_be_bytes(),
        },
        IpAddr::V6(v6) => CidrV1 {
            family: 6,
            prefix_len,
            network: v6.octets(),
        },
    }
}

fn decode_cidr(cidr: &CidrV1) -> Option<Cidr> {
    let bits = u128::from_be_bytes(cidr.network);
    let network = match cidr.family {
        4 => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits).ok()?)),
        6 => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        _ => return None,
    };
    Cidr::new(network, cidr.prefix_len)
}

#[cfg(test)]
mod tests {
    use talos_model::{KeyId, TenantId};
    use uuid::Uuid;

    use super::*;

    fn full() -> Record {
        Record {
            tenant: TenantId(Uuid::from_u128(3)),
            key_id: KeyId::Issued(Uuid::from_u128(4)),
            sequence: Sequence(77),
            name: "naïve ✓".to_owned(),
            actor_id: "actor".to_owned(),
            scopes: vec!["a:b".to_owned(), String::new()],
            metadata: r#"{"a":[1,2]}"#.to_owned(),
            visibility: Visibility::Public,
            prefix: Some("talos".to_owned()),
            create_time: UnixMillis(1),
            update_time: UnixMillis(2),
            expire_time: Some(UnixMillis(3)),
            revocation: Some(Revocation {
                reason: RevocationReason::PrivilegeWithdrawn,
                description: "left".to_owned(),
                time: UnixMillis(4),
            }),
            rate_limit: Some(RateLimitPolicy {
                quota: 5,
                window_s: 6,
            }),
            allowed_cidrs: ["10.0.0.0/8", "2001:db8::/32"]
                .iter()
                .map(|cidr| cidr.parse().unwrap())
                .collect(),
        }
    }

    #[test]
    fn a_record_survives_its_bytes() {
        let mut bare = full();
        (bare.expire_time, bare.revocation, bare.rate_limit) = (None, None, None);
        bare.prefix = None;
        bare.allowed_cidrs.clear();
        for record in [full(), bare] {
            let key = RecordKey::new(record.tenant, record.key_id);
            assert_eq!(
                decode(key.as_bytes(), &encode(&record).unwrap()).unwrap(),
                record
            );
        }
        for reason in REASONS {
            assert_eq!(reason_from(reason_code(reason)), Some(reason));
        }
    }

    #[test]
    fn damaged_bytes_are_refused_and_a_newer_version_is_named() {
        let record = full();
        let key = RecordKey::new(record.tenant, record.key_id);
        let bytes = encode(&record).unwrap();
        for len in 0..bytes.len() {
            assert!(decode(key.as_bytes(), &bytes[..len]).is_err(), "{len}");
        }
        let mut trailing = bytes.clone();
        trailing.push(0);
        assert!(decode(key.as_bytes(), &trailing).is_err());
        let mut newer = bytes;
        newer[0] = 3;
        let error = decode(key.as_bytes(), &newer).unwrap_err().to_string();
        assert!(error.contains("version 3"), "{error}");
    }

    /// Later releases must read what this one writes: the meaning of these bytes may never change.
    #[test]
    fn the_layouts_are_fixed() {
        let mut record = full();
        record.name = "n".to_owned();
        record.actor_id = "a".to_owned();
        record.scopes = vec!["s".to_owned()];
        record.metadata = "{}".to_owned();
        record.allowed_cidrs.truncate(1);
        let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
        let version_1 = [
            "4d00000000000000", // sequence
            "0100000000000000",
            "6e", // name
            "0100000000000000",
            "61", // actor_id
            "0100000000000000",
            "0100000000000000",
            "73", // scopes
            "0200000000000000",
            "7b7d", // metadata
            "01",   // visibility
            "0100000000000000",
            "0200000000000000", // create, update
            "01",
            "0300000000000000", // expire
            "01",
            "04",
            "0400000000000000",
            "6c656674",
            "0400000000000000", // revocation
            "01",
            "0500000000000000",
            "0600000000000000", // rate limit
            "0100000000000000",
            "04",
            "08",
            "0000000000000000000000000a000000", // CIDR blocks
        ]
        .concat();
        let version_2 = ["02", "01", "0500000000000000", "74616c6f73"].concat();
        let bytes = encode(&record).unwrap();
        assert_eq!(hex(&bytes), [version_2, version_1].concat());

        let without_prefix = [&[1], &bytes[1 + 1 + 8 + 5..]].concat();
        let key = RecordKey::new(record.tenant, record.key_id);
        record.prefix = None;
        assert_eq!(decode(key.as_bytes(), &without_prefix), Ok(record));
    }
}
