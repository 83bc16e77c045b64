//! The bytes of the uses of secrets: one row of `meta` for each secret of a tenant.

use talos_model::clock::UnixMillis;
use talos_model::{SecretFingerprint, SecretUse, TenantId};
use uuid::Uuid;

use crate::storage::error::StorageError;

/// Prefix of the keys in `META` of the uses of secrets. Tenant and fingerprint follow.
pub const SECRET_USE: &[u8] = b"signer";
/// The end of their range in `META`.
pub const SECRET_USE_END: &[u8] = b"signes";
/// The version that this release writes, and the newest that it reads.
const VERSION: u8 = 1;

/// The key of a use in `META`.
pub fn key(tenant: TenantId, fingerprint: SecretFingerprint) -> Vec<u8> {
    [SECRET_USE, tenant.0.as_bytes(), fingerprint.0.as_slice()].concat()
}

/// Encodes the value of a use.
pub fn encode(one: &SecretUse) -> Vec<u8> {
    let (first, last) = (one.first.0.to_le_bytes(), one.last.0.to_le_bytes());
    [&[VERSION], first.as_slice(), last.as_slice()].concat()
}

/// Decodes a use from its key and its value.
pub fn decode(key: &[u8], value: &[u8]) -> Result<SecretUse, StorageError> {
    let corrupt = || StorageError::Corrupt("a use of a secret");
    let names = key.strip_prefix(SECRET_USE).ok_or_else(corrupt)?;
    let (tenant, fingerprint) = names.split_first_chunk().ok_or_else(corrupt)?;
    let fingerprint = fingerprint.try_into().map_err(|_| corrupt())?;
    let (&version, times) = value.split_first().ok_or_else(corrupt)?;
    if version != VERSION {
        return Err(StorageError::NewerRecord {
            found: version,
            supported: VERSION,
        });
    }
    let (first, last) = times.split_first_chunk().ok_or_else(corrupt)?;
    let last = last.try_into().map_err(|_| corrupt())?;
    Ok(SecretUse {
        tenant: TenantId(Uuid::from_bytes(*tenant)),
        fingerprint: SecretFingerprint(fingerprint),
        first: UnixMillis(i64::from_le_bytes(*first)),
        last: UnixMillis(i64::from_le_bytes(last)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> SecretUse {
        SecretUse {
            tenant: TenantId(Uuid::from_u128(3)),
            fingerprint: SecretFingerprint([1; 16]),
            first: UnixMillis(1000),
            last: UnixMillis(2000),
        }
    }

    #[test]
    fn a_use_survives_its_bytes() {
        let one = sample();
        let (key, value) = (key(one.tenant, one.fingerprint), encode(&one));
        assert_eq!(decode(&key, &value), Ok(one));
        for len in 0..key.len() {
            assert!(decode(&key[..len], &value).is_err(), "{len}");
        }
        for len in 0..value.len() {
            assert!(decode(&key, &value[..len]).is_err(), "{len}");
        }
        let mut trailing = value.clone();
        trailing.push(0);
        assert!(decode(&key, &trailing).is_err());
        let mut newer = value;
        newer[0] = 2;
        let error = decode(&key, &newer).unwrap_err().to_string();
        assert!(error.contains("version 2"), "{error}");
    }

    /// Later releases must read what this one writes: the meaning of these bytes may never change.
    #[test]
    fn the_layout_of_version_1_is_fixed() {
        let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
        let one = sample();
        let expected = "01e803000000000000d007000000000000";
        assert_eq!(hex(&encode(&one)), expected);
        let fingerprint = "01".repeat(16);
        let expected = [
            "7369676e6572",
            "00000000000000000000000000000003",
            &fingerprint,
        ];
        assert_eq!(hex(&key(one.tenant, one.fingerprint)), expected.concat());
    }
}
