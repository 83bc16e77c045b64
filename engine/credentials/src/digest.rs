//! Digests of credentials: the id of an imported key, and the proof that memory keeps.

use sha2::{Digest, Sha256, Sha512_256};
use talos_model::{KeyId, TenantId};

const SHA256_BLOCK_BYTES: usize = 64;

/// The id of the imported key `raw_key`: SHA-512/256 over the tenant's hyphenated UUID, a zero byte
/// and the raw key. The same raw key has different ids in different tenants.
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

/// Makes the digests that represent the credentials of one tenant in memory: SHA-256 over the
/// tenant, padded with zeros to a whole block, and the credential. The credential itself is never
/// kept.
///
/// The block of the tenant is hashed once and reused, so an issued key takes two blocks instead of
/// three.
#[derive(Clone, Debug)]
pub struct ProofDigests(Sha256);

impl ProofDigests {
    /// The digests of `tenant`.
    #[must_use]
    pub fn new(tenant: TenantId) -> Self {
        let hasher = Sha256::new()
            .chain_update(tenant.0.as_bytes())
            .chain_update([0; SHA256_BLOCK_BYTES - size_of::<uuid::Bytes>()]);
        Self(hasher)
    }

    /// The digest of `credential`.
    #[inline]
    #[must_use]
    pub fn of(&self, credential: &[u8]) -> [u8; 32] {
        self.0.clone().chain_update(credential).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python: `hashlib.sha256(tenant.bytes + bytes(48) + b"sk_test").hexdigest()`.
    #[test]
    fn the_digest_of_a_credential() {
        let tenants = [
            (
                TenantId::SINGLE,
                "74ac306adf1c7c9adf9bd5c037ec345f9cf19a104d59b61de4bf0dc251cacfa4",
            ),
            (
                TenantId(uuid::Uuid::from_u128(7)),
                "dbc0dad3f16b8a2a09275935a9feddcbcb55381010e94be6ef688878892eb615",
            ),
        ];
        for (tenant, expected) in tenants {
            let digest = ProofDigests::new(tenant).of(b"sk_test");
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(digest, expected);
        }
    }

    /// Computed with Python: `hashlib.new("sha512_256",
    /// b"00000000-0000-0000-0000-000000000000\0sk_test").hexdigest()`.
    #[test]
    fn the_id_of_an_imported_key() {
        let id = imported_key_id(TenantId::SINGLE, b"sk_test").to_string();
        assert_eq!(
            id,
            "fc1a7f3824ebbc3a4508e732f2ccf8476ffe562e8cebd102ac75b9cd445bb20e"
        );
    }
}
