//! The bytes of a rule: in the change that begins it, in the one that ends it, and in `meta` in between.

use talos_model::clock::UnixMillis;
use talos_model::{Epoch, Matcher, Position, Revocation, Rule, Sequence, TenantId};
use uuid::Uuid;
use wincode::{SchemaRead, SchemaWrite};

use super::position::encode_position;
use super::record::{reason_code, reason_from};
use crate::storage::error::StorageError;

/// In `META`, before the position of a rule that is in force.
pub const RULE: &[u8] = b"rule";
/// After all rules in `META`.
pub const RULE_END: &[u8] = b"rulf";
/// The version that this release writes, and the newest that it reads.
const VERSION: u8 = 1;

#[derive(SchemaWrite, SchemaRead)]
struct RuleV1 {
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

/// The key of a rule in `META`.
pub fn key(rule: &Rule) -> Vec<u8> {
    [RULE, encode_position(rule.position).as_slice()].concat()
}

/// The bytes that stand for `rule`.
pub fn encode(rule: &Rule) -> Result<Vec<u8>, StorageError> {
    let member = |(name, value): &(String, String)| MemberV1 {
        name: name.clone(),
        value: value.clone(),
    };
    let fields = RuleV1 {
        id: rule.id.into_bytes(),
        tenant: rule.tenant.0.into_bytes(),
        epoch: rule.position.epoch.0,
        sequence: rule.position.sequence.0,
        actor_id: rule.matcher.actor_id.clone(),
        prefix: rule.matcher.prefix.clone(),
        created_before_ms: rule.matcher.created_before.map(|time| time.0),
        scope: rule.matcher.scope.clone(),
        metadata: rule.matcher.metadata.iter().map(member).collect(),
        reason: reason_code(rule.revocation.reason),
        description: rule.revocation.description.clone(),
        time_ms: rule.revocation.time.0,
    };
    let fields =
        wincode::serialize(&fields).map_err(|error| StorageError::Encode(error.to_string()))?;
    Ok(std::iter::once(VERSION).chain(fields).collect())
}

/// The rule that `bytes` stand for.
pub fn decode(bytes: &[u8]) -> Result<Rule, StorageError> {
    let (&version, fields) = bytes
        .split_first()
        .ok_or(StorageError::Corrupt("an empty rule"))?;
    if version != VERSION {
        return Err(StorageError::NewerRecord {
            found: version,
            supported: VERSION,
        });
    }
    let fields: RuleV1 =
        wincode::deserialize_exact(fields).map_err(|_| StorageError::Corrupt("a rule's fields"))?;
    let members = fields.metadata.into_iter();
    Ok(Rule {
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
            reason: reason_from(fields.reason).ok_or(StorageError::Corrupt("a rule's reason"))?,
            description: fields.description,
            time: UnixMillis(fields.time_ms),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn full() -> Rule {
        let some = |text: &str| Some(text.to_owned());
        let matcher = Matcher {
            actor_id: some("a"),
            prefix: some("p"),
            created_before: Some(UnixMillis(9)),
            scope: some("s"),
            metadata: vec![("k".to_owned(), "v".to_owned())],
        };
        samples::rule(5, matcher)
    }

    #[test]
    fn a_rule_survives_its_bytes() {
        for rule in [full(), samples::rule(5, Matcher::default())] {
            assert_eq!(decode(&encode(&rule).unwrap()), Ok(rule));
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

    /// As with a record, these bytes may never change their meaning.
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
