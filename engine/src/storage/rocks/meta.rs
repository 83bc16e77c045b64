//! The column family `meta`: the node's state, the bulk revocations in force, the admin tokens, and
//! the uses of secrets.

use rocksdb::{Direction, IteratorMode, WriteBatch};
use talos_model::{AdminToken, BulkRevocation, NodeState, SecretFingerprint, SecretUses, TenantId};

use super::families::META;
use super::store::RocksStore;
use crate::storage::error::StorageError;
use crate::storage::format::admin_token::{self, ADMIN_TOKEN};
use crate::storage::format::bulk_revocation::{self, BULK_REVOCATION};
use crate::storage::format::membership::{COPYING, EPOCH_HISTORY, decode_copying, decode_epochs};
use crate::storage::format::secret_uses::{self, SECRET_USE};

impl RocksStore {
    /// The durable state of the node; `None` when no epoch history was ever written.
    pub fn standing(&self) -> Result<Option<NodeState>, StorageError> {
        let meta = self.family(META)?;
        let Some(epochs) = self.db.get_cf(meta, EPOCH_HISTORY)? else {
            return Ok(None);
        };
        let copying = self.db.get_cf(meta, COPYING)?;
        Ok(Some(NodeState {
            copying: copying.map(|bytes| decode_copying(&bytes)).transpose()?,
            ..decode_epochs(&epochs)?
        }))
    }

    /// The bulk revocations in force.
    pub fn bulk_revocations(&self) -> Result<Vec<BulkRevocation>, StorageError> {
        self.decode_all(BULK_REVOCATION, bulk_revocation::decode)
    }

    /// The admin tokens.
    pub fn admin_tokens(&self) -> Result<Vec<AdminToken>, StorageError> {
        self.decode_all(ADMIN_TOKEN, admin_token::decode)
    }

    /// The uses of secrets; none in a database of a release that did not note them.
    pub fn secret_uses(&self) -> Result<SecretUses, StorageError> {
        let uses = self.decode_rows(SECRET_USE, secret_uses::decode)?;
        Ok(SecretUses::new(uses))
    }

    /// The batch that removes the uses of these secrets.
    pub(super) fn forgetting_batch(
        &self,
        secrets: &[(TenantId, SecretFingerprint)],
    ) -> Result<WriteBatch, StorageError> {
        let (mut batch, meta) = (WriteBatch::default(), self.family(META)?);
        for (tenant, fingerprint) in secrets {
            batch.delete_cf(meta, secret_uses::key(*tenant, *fingerprint));
        }
        Ok(batch)
    }

    /// Decodes all values whose keys begin with `prefix`.
    fn decode_all<T>(
        &self,
        prefix: &[u8],
        decode: impl Fn(&[u8]) -> Result<T, StorageError>,
    ) -> Result<Vec<T>, StorageError> {
        self.decode_rows(prefix, |_, value| decode(value))
    }

    /// Decodes all rows whose keys begin with `prefix`.
    fn decode_rows<T>(
        &self,
        prefix: &[u8],
        decode: impl Fn(&[u8], &[u8]) -> Result<T, StorageError>,
    ) -> Result<Vec<T>, StorageError> {
        let mode = IteratorMode::From(prefix, Direction::Forward);
        let mut found = Vec::new();
        for entry in self.db.iterator_cf(self.family(META)?, mode) {
            let (key, value) = entry?;
            if !key.starts_with(prefix) {
                break;
            }
            found.push(decode(&key, &value)?);
        }
        Ok(found)
    }
}
