//! Facts about the database itself, in the column family `meta`: the node's state and the bulk
//! revocations in force.

use rocksdb::{Direction, IteratorMode};
use talos_model::{BulkRevocation, NodeState};

use super::families::META;
use super::store::RocksStore;
use crate::storage::error::StorageError;
use crate::storage::format::bulk_revocation::{self, BULK_REVOCATION};
use crate::storage::format::membership::{COPYING, EPOCH_HISTORY, decode_copying, decode_epochs};

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
        let mode = IteratorMode::From(BULK_REVOCATION, Direction::Forward);
        let entries = self.db.iterator_cf(self.family(META)?, mode);
        let mut bulk_revocations = Vec::new();
        for entry in entries {
            let (key, value) = entry?;
            if !key.starts_with(BULK_REVOCATION) {
                break;
            }
            bulk_revocations.push(bulk_revocation::decode(&value)?);
        }
        Ok(bulk_revocations)
    }
}
