//! Facts about the database itself, in the column family `meta`: the node's membership and the bulk
//! revocations in force.

use rocksdb::{Direction, IteratorMode};
use talos_model::{NodeState, Rule};

use super::families::META;
use super::store::RocksStore;
use crate::storage::error::StorageError;
use crate::storage::format::bulk_revocation::{self, RULE};
use crate::storage::format::membership::{COPYING, EPOCH_HISTORY, decode_copying, decode_epochs};

impl RocksStore {
    /// What is durable; `None` when no epoch history was ever written.
    pub fn standing(&self) -> Result<Option<NodeState>, StorageError> {
        let meta = self.family(META)?;
        let Some(epochs) = self.db.get_cf(meta, EPOCH_HISTORY)? else {
            return Ok(None);
        };
        let (epochs, leadership) = decode_epochs(&epochs)?;
        let copying = self.db.get_cf(meta, COPYING)?;
        Ok(Some(NodeState {
            epochs,
            leadership,
            copying: copying.map(|bytes| decode_copying(&bytes)).transpose()?,
        }))
    }

    /// The rules in force.
    pub fn rules(&self) -> Result<Vec<Rule>, StorageError> {
        let mode = IteratorMode::From(RULE, Direction::Forward);
        let entries = self.db.iterator_cf(self.family(META)?, mode);
        let mut rules = Vec::new();
        for entry in entries {
            let (key, value) = entry?;
            if !key.starts_with(RULE) {
                break;
            }
            rules.push(bulk_revocation::decode(&value)?);
        }
        Ok(rules)
    }
}
