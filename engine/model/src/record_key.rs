//! The key under which a record is stored: tenant, kind, id.

use std::fmt;

use uuid::Uuid;

use crate::ids::{KeyId, KeyKind, TenantId};

const TENANT_BYTES: usize = 16;
const KIND_ISSUED: u8 = 0;
const KIND_IMPORTED: u8 = 1;
const BYTES_MAX: usize = TENANT_BYTES + 1 + 32;

/// 33 bytes for an issued key, 49 for an imported one. Keys of one tenant and kind are adjacent.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordKey {
    /// Padded with zeros, so that equal keys have equal arrays.
    bytes: [u8; BYTES_MAX],
    len: u8,
}

impl RecordKey {
    /// The storage key of `key_id` in `tenant`.
    #[inline]
    #[must_use]
    pub fn new(tenant: TenantId, key_id: KeyId) -> Self {
        let (kind, id): (u8, &[u8]) = match &key_id {
            KeyId::Issued(uuid) => (KIND_ISSUED, uuid.as_bytes()),
            KeyId::Imported(digest) => (KIND_IMPORTED, digest),
        };
        let mut bytes = [0; BYTES_MAX];
        let parts = tenant
            .0
            .as_bytes()
            .iter()
            .chain(std::iter::once(&kind))
            .chain(id);
        let mut len = 0;
        for (to, from) in bytes.iter_mut().zip(parts) {
            *to = *from;
            len += 1;
        }
        Self { bytes, len }
    }

    /// Which system issued the key.
    #[inline]
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        match self.bytes.get(TENANT_BYTES) {
            Some(&KIND_ISSUED) => KeyKind::Issued,
            _ => KeyKind::Imported,
        }
    }

    /// The tenant that owns the key.
    #[inline]
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        let tenant = self.bytes.first_chunk::<TENANT_BYTES>();
        TenantId(tenant.map_or(Uuid::nil(), |bytes| Uuid::from_bytes(*bytes)))
    }

    /// The bytes on disk.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The id: the bytes of a UUID or a digest.
    #[inline]
    #[must_use]
    pub fn id_bytes(&self) -> &[u8] {
        self.as_bytes().get(TENANT_BYTES + 1..).unwrap_or_default()
    }

    /// The tenant and the id of a storage key; `None` if the bytes are not a storage key.
    #[must_use]
    pub fn split(bytes: &[u8]) -> Option<(TenantId, KeyId)> {
        let (tenant, rest) = bytes.split_first_chunk::<TENANT_BYTES>()?;
        let (&kind, id) = rest.split_first()?;
        let key_id = match kind {
            KIND_ISSUED => KeyId::Issued(Uuid::from_bytes(id.try_into().ok()?)),
            KIND_IMPORTED => KeyId::Imported(id.try_into().ok()?),
            _ => return None,
        };
        Some((TenantId(Uuid::from_bytes(*tenant)), key_id))
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::split(self.as_bytes()) {
            Some((tenant, key_id)) => write!(f, "{tenant}/{key_id}"),
            None => f.write_str("(no record key)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_lead_back_to_the_parts() {
        let tenant = TenantId(Uuid::from_u128(7));
        for key_id in [KeyId::Issued(Uuid::from_u128(9)), KeyId::Imported([5; 32])] {
            let key = RecordKey::new(tenant, key_id);
            assert_eq!(RecordKey::split(key.as_bytes()), Some((tenant, key_id)));
        }
        for bytes in [&[][..], &[0; 17], &[0; 32], &[0; 34], &[2; 33]] {
            assert_eq!(RecordKey::split(bytes), None);
        }
    }
}
