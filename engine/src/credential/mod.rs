//! The shapes of credentials.

pub mod issued;
pub mod shape;
#[cfg(test)]
mod vectors;

use sha2::{Digest, Sha256, Sha512_256};

use crate::ids::{KeyId, TenantId};

/// The id of the imported key `raw_key`: SHA-512/256 over the tenant's hyphenated UUID, a zero byte and the key, so that
/// the same raw key has another id in another tenant.
#[must_use]
pub fn imported_key_id(tenant: TenantId, raw_key: &[u8]) -> KeyId {
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let tenant = tenant.0.hyphenated().encode_lower(&mut text);
    let digest = Sha512_256::new()
        .chain_update(tenant)
        .chain_update([0])
        .chain_update(raw_key)
        .finalize();
    KeyId::Imported(digest.into())
}

/// What stands for a credential in memory: SHA-256 over tenant and credential. The credential itself is never kept.
#[must_use]
pub fn proof_digest(tenant: TenantId, credential: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(tenant.0.as_bytes())
        .chain_update(credential)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python: `hashlib.new("sha512_256", b"00000000-0000-0000-0000-000000000000\0sk_test").hexdigest()`.
    #[test]
    fn the_id_of_an_imported_key() {
        let id = imported_key_id(TenantId::SINGLE, b"sk_test").to_string();
        assert_eq!(
            id,
            "fc1a7f3824ebbc3a4508e732f2ccf8476ffe562e8cebd102ac75b9cd445bb20e"
        );
    }
}
