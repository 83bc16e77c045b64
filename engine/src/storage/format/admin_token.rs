//! The bytes of an admin token, in `meta` and in its changes.

use talos_model::clock::UnixMillis;
use talos_model::{AdminToken, Role, Sequence, TenantId, TokenDigest};
use uuid::Uuid;
use wincode::{SchemaRead, SchemaWrite};

use crate::storage::error::StorageError;

/// Prefix of the keys in `META` of admin tokens. The id follows.
pub const ADMIN_TOKEN: &[u8] = b"token";
/// The end of the range of admin tokens in `META`.
pub const ADMIN_TOKEN_END: &[u8] = b"tokeo";
/// The version that this release writes, and the newest that it reads.
const VERSION: u8 = 1;

/// A role's code on disk is its index here.
const ROLES: [Role; 5] = [
    Role::Verify,
    Role::Read,
    Role::Write,
    Role::Operate,
    Role::Admin,
];

#[derive(SchemaWrite, SchemaRead)]
struct AdminTokenV1 {
    id: [u8; 16],
    name: String,
    digest: [u8; 32],
    role: u8,
    tenant: Option<[u8; 16]>,
    create_time_ms: i64,
    rotate_time_ms: i64,
    expire_time_ms: Option<i64>,
    sequence: u64,
}

/// The key of an admin token in `META`.
pub fn key(id: Uuid) -> Vec<u8> {
    [ADMIN_TOKEN, id.as_bytes().as_slice()].concat()
}

/// Encodes `token`.
pub fn encode(token: &AdminToken) -> Result<Vec<u8>, StorageError> {
    let role = (0..).zip(ROLES).find(|(_, role)| *role == token.role);
    let fields = AdminTokenV1 {
        id: token.id.into_bytes(),
        name: token.name.clone(),
        digest: token.digest.0,
        role: role.map_or(0, |(code, _)| code),
        tenant: token.tenant.map(|TenantId(tenant)| tenant.into_bytes()),
        create_time_ms: token.create_time.0,
        rotate_time_ms: token.rotate_time.0,
        expire_time_ms: token.expire_time.map(|time| time.0),
        sequence: token.sequence.0,
    };
    let fields =
        wincode::serialize(&fields).map_err(|error| StorageError::Encode(error.to_string()))?;
    Ok(std::iter::once(VERSION).chain(fields).collect())
}

/// Decodes an admin token.
pub fn decode(bytes: &[u8]) -> Result<AdminToken, StorageError> {
    let (&version, fields) = bytes
        .split_first()
        .ok_or(StorageError::Corrupt("an empty admin token"))?;
    if version != VERSION {
        return Err(StorageError::NewerRecord {
            found: version,
            supported: VERSION,
        });
    }
    let fields: AdminTokenV1 = wincode::deserialize_exact(fields)
        .map_err(|_| StorageError::Corrupt("an admin token's fields"))?;
    let role = ROLES.get(usize::from(fields.role)).copied();
    Ok(AdminToken {
        id: Uuid::from_bytes(fields.id),
        name: fields.name,
        digest: TokenDigest(fields.digest),
        role: role.ok_or(StorageError::Corrupt("an admin token's role"))?,
        tenant: fields
            .tenant
            .map(|tenant| TenantId(Uuid::from_bytes(tenant))),
        create_time: UnixMillis(fields.create_time_ms),
        rotate_time: UnixMillis(fields.rotate_time_ms),
        expire_time: fields.expire_time_ms.map(UnixMillis),
        sequence: Sequence(fields.sequence),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn full() -> AdminToken {
        AdminToken {
            name: "n".to_owned(),
            tenant: Some(TenantId(Uuid::from_u128(3))),
            expire_time: Some(UnixMillis(9)),
            ..samples::admin_token(5)
        }
    }

    #[test]
    fn an_admin_token_survives_its_bytes() {
        for role in ROLES {
            for token in [full(), samples::admin_token(5)] {
                let token = AdminToken { role, ..token };
                assert_eq!(decode(&encode(&token).unwrap()), Ok(token));
            }
        }
        let bytes = encode(&full()).unwrap();
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len]).is_err(), "{len}");
        }
        let mut trailing = bytes.clone();
        trailing.push(0);
        assert!(decode(&trailing).is_err());
        let mut newer = bytes.clone();
        newer[0] = 2;
        let error = decode(&newer).unwrap_err().to_string();
        assert!(error.contains("version 2"), "{error}");
        // After the version, id, name and digest.
        let mut unknown_role = bytes;
        assert_eq!(unknown_role[58], 1);
        unknown_role[58] = 5;
        assert!(decode(&unknown_role).is_err());
    }

    /// Later releases must read what this one writes: the meaning of these bytes may never change.
    #[test]
    fn the_layout_of_version_1_is_fixed() {
        let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
        let digest = "05".repeat(32);
        let expected = [
            "01",                               // version
            "00000000000000050000000000000000", // id
            "0100000000000000",
            "6e",    // name
            &digest, // digest
            "01",    // role
            "01",
            "00000000000000000000000000000003", // tenant
            "e803000000000000",
            "d007000000000000", // create, rotate
            "01",
            "0900000000000000", // expire
            "0500000000000000", // sequence
        ];
        assert_eq!(hex(&encode(&full()).unwrap()), expected.concat());
        let expected_key = ["746f6b656e", "00000000000000050000000000000000"];
        assert_eq!(hex(&key(full().id)), expected_key.concat());
    }
}
