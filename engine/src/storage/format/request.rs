//! The bytes of the entry of a request id: the key that the request made, and the digest of the
//! request.

use talos_model::{RecordKey, RequestDigest};

use crate::storage::error::StorageError;

/// Bytes of the record keys of issued and imported keys.
const KEY_BYTES: [usize; 2] = [33, 49];
/// The version of the digest. Entries of releases that kept no digest end after the record key.
const WITH_DIGEST: u8 = 1;

/// What is known of an earlier request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestEntry {
    /// The key that it made.
    pub key: RecordKey,
    /// What it asked for; empty if that was not kept.
    pub digest: RequestDigest,
}

/// Encodes an entry.
pub fn encode(key: &RecordKey, digest: &RequestDigest) -> Vec<u8> {
    if digest.is_empty() {
        return key.as_bytes().to_vec();
    }
    [key.as_bytes(), &[WITH_DIGEST], &digest.to_bytes()].concat()
}

/// Decodes an entry.
pub fn decode(bytes: &[u8]) -> Result<RequestEntry, StorageError> {
    let corrupt = StorageError::Corrupt("a request's key");
    // Record keys of the two kinds have different lengths, and begin with their kind.
    let found = KEY_BYTES.into_iter().find_map(|length| {
        let (key, rest) = bytes.split_at_checked(length)?;
        Some((RecordKey::split(key)?, rest))
    });
    let ((tenant, key_id), rest) = found.ok_or(corrupt)?;
    let digest = match rest {
        [] => RequestDigest::default(),
        [WITH_DIGEST, digest @ ..] => {
            let digest = RequestDigest::from_bytes(digest).filter(|digest| !digest.is_empty());
            digest.ok_or(StorageError::Corrupt("the digest of a request"))?
        }
        [found, ..] => {
            return Err(StorageError::NewerRecord {
                found: *found,
                supported: WITH_DIGEST,
            });
        }
    };
    let key = RecordKey::new(tenant, key_id);
    Ok(RequestEntry { key, digest })
}

#[cfg(test)]
mod tests {
    use talos_model::{KeyId, TenantId};
    use uuid::Uuid;

    use super::*;
    use crate::samples;

    fn keys() -> [RecordKey; 2] {
        let ids = [KeyId::Issued(Uuid::from_u128(7)), KeyId::Imported([9; 32])];
        ids.map(|key_id| RecordKey::new(TenantId(Uuid::from_u128(3)), key_id))
    }

    #[test]
    fn an_entry_survives_its_bytes() {
        for key in keys() {
            for digest in [RequestDigest::default(), samples::request_id().digest] {
                let bytes = encode(&key, &digest);
                let entry = RequestEntry { key, digest };
                assert_eq!(decode(&bytes).as_ref(), Ok(&entry));
                let key_bytes = key.as_bytes().len();
                for length in (0..bytes.len()).filter(|length| *length != key_bytes) {
                    let is_whole = length > key_bytes + 1 && (length - key_bytes - 1) % 9 == 0;
                    assert_eq!(decode(&bytes[..length]).is_ok(), is_whole, "{length}");
                }
            }
        }
    }

    /// Later releases must read what this one writes, and this one what earlier releases wrote.
    #[test]
    fn the_layouts_are_fixed() {
        let digest = samples::request_id().digest;
        for key in keys() {
            let old = encode(&key, &RequestDigest::default());
            assert_eq!(old, key.as_bytes());
            let bytes = encode(&key, &digest);
            assert_eq!(bytes, [&old, [1].as_slice(), &digest.to_bytes()].concat());
            let newer = [&old, [2].as_slice(), &digest.to_bytes()].concat();
            let error = decode(&newer).expect_err("refused").to_string();
            assert!(error.contains("up to version 1"), "{error}");
        }
    }
}
