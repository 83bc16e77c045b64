//! The bytes of the uses of secrets, which `meta` holds in one value.

use talos_model::clock::UnixMillis;
use talos_model::{SecretFingerprint, SecretUse, SecretUses};
use wincode::{SchemaRead, SchemaWrite};

use crate::storage::error::StorageError;

/// Key in `META` of the uses of secrets.
pub const SECRET_USES: &[u8] = b"secret-uses";
/// The version that this release writes, and the newest that it reads.
const VERSION: u8 = 1;

#[derive(SchemaWrite, SchemaRead)]
struct SecretUseV1 {
    fingerprint: [u8; 16],
    first_ms: i64,
    last_ms: i64,
}

/// Encodes `uses`.
pub fn encode(uses: &SecretUses) -> Result<Vec<u8>, StorageError> {
    let uses: Vec<_> = uses.all().iter().map(SecretUseV1::from).collect();
    let uses =
        wincode::serialize(&uses).map_err(|error| StorageError::Encode(error.to_string()))?;
    Ok(std::iter::once(VERSION).chain(uses).collect())
}

/// Decodes uses of secrets.
pub fn decode(bytes: &[u8]) -> Result<SecretUses, StorageError> {
    let (&version, uses) = bytes
        .split_first()
        .ok_or(StorageError::Corrupt("empty uses of secrets"))?;
    if version != VERSION {
        return Err(StorageError::NewerRecord {
            found: version,
            supported: VERSION,
        });
    }
    let uses: Vec<SecretUseV1> = wincode::deserialize_exact(uses)
        .map_err(|_| StorageError::Corrupt("the uses of secrets"))?;
    Ok(SecretUses::new(uses.into_iter().map(Into::into).collect()))
}

impl From<&SecretUse> for SecretUseV1 {
    fn from(one: &SecretUse) -> Self {
        Self {
            fingerprint: one.fingerprint.0,
            first_ms: one.first.0,
            last_ms: one.last.0,
        }
    }
}

impl From<SecretUseV1> for SecretUse {
    fn from(one: SecretUseV1) -> Self {
        Self {
            fingerprint: SecretFingerprint(one.fingerprint),
            first: UnixMillis(one.first_ms),
            last: UnixMillis(one.last_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses() -> SecretUses {
        let one = |byte, first, last| SecretUse {
            fingerprint: SecretFingerprint([byte; 16]),
            first: UnixMillis(first),
            last: UnixMillis(last),
        };
        SecretUses::new(vec![one(1, 1000, 2000), one(2, 2, 2)])
    }

    #[test]
    fn uses_survive_their_bytes() {
        for uses in [SecretUses::default(), uses()] {
            let bytes = encode(&uses).unwrap();
            assert_eq!(decode(&bytes), Ok(uses));
            for len in 0..bytes.len() {
                assert!(decode(&bytes[..len]).is_err(), "{len}");
            }
            let mut newer = bytes;
            newer[0] = 2;
            let error = decode(&newer).unwrap_err().to_string();
            assert!(error.contains("version 2"), "{error}");
        }
    }

    /// Later releases must read what this one writes: the meaning of these bytes may never change.
    #[test]
    fn the_layout_of_version_1_is_fixed() {
        let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
        let expected = [
            "01",               // version
            "0200000000000000", // two secrets
            &"01".repeat(16),
            "e803000000000000",
            "d007000000000000",
            &"02".repeat(16),
            "0200000000000000",
            "0200000000000000",
        ];
        assert_eq!(hex(&encode(&uses()).unwrap()), expected.concat());
    }
}
