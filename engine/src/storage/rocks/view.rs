//! Everything as it was at one moment: what a copy is read from, and what nodes are compared by.

use rocksdb::{Direction, IteratorMode, ReadOptions, SnapshotWithThreadMode};
use talos_model::copy::{CHANGE_ROWS, REQUEST_ROWS, RULE_ROWS, USED_ROWS};
use talos_model::{
    CopyChunk, CopyCursor, CopyEnd, CopyRow, Epoch, Position, ReadLimits, RecordKey, Sequence,
    StateHash,
};
use xxhash_rust::xxh3::xxh3_128;

use super::families::{LOG, META, REQUESTS, USED};
use super::store::RocksStore;
use crate::storage::error::StorageError;
use crate::storage::format::bulk_revocation::{self, RULE};
use crate::storage::format::position::{decode_position, encode_position};
use crate::storage::format::record;

/// See the module.
pub struct View<'a> {
    store: &'a RocksStore,
    snapshot: SnapshotWithThreadMode<'a, rocksdb::DB>,
}

impl RocksStore {
    /// Everything as it is now. A batch is in it or is not.
    pub fn view(&self) -> View<'_> {
        View {
            store: self,
            snapshot: self.db.snapshot(),
        }
    }
}

/// A key and its value.
pub type Row = (Box<[u8]>, Box<[u8]>);

impl View<'_> {
    /// The last change that is contained.
    pub fn position(&self) -> Result<Position, StorageError> {
        let mut newest = self
            .snapshot
            .iterator_cf(self.store.family(LOG)?, IteratorMode::End);
        Ok(match newest.next().transpose()? {
            Some((key, _)) => decode_position(&key)?,
            None => Position {
                epoch: Epoch::FIRST,
                sequence: Sequence(0),
            },
        })
    }

    /// The rows of a copy after `after`.
    pub fn rows(&self, after: &CopyCursor, limits: ReadLimits) -> Result<CopyChunk, StorageError> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        for family in self.families().filter(|family| *family >= after.family) {
            let start = match &after.key {
                key if family == after.family && !key.is_empty() => [key, [0].as_slice()].concat(),
                _ => self.first_key(family)?,
            };
            for entry in self.entries(family, &start)? {
                let (key, value) = entry?;
                bytes += key.len() + value.len();
                rows.push(CopyRow {
                    family,
                    key: key.into_vec(),
                    value: value.into_vec(),
                });
                // The change is the last row there is: what follows need not be asked for.
                let is_full = rows.len() >= limits.entries || bytes >= limits.bytes;
                if is_full && family != CHANGE_ROWS {
                    let end = CopyEnd::More;
                    return Ok(CopyChunk { rows, end });
                }
            }
        }
        let end = CopyEnd::Last;
        Ok(CopyChunk { rows, end })
    }

    /// See [`StateHash`]. Reads every record.
    pub fn state_hash(&self) -> Result<StateHash, StorageError> {
        let mut hash = StateHash {
            position: self.position()?,
            records: 0,
            records_hash: 0,
            requests_hash: 0,
            rules_hash: 0,
        };
        for shard in self.store.shards().all() {
            for entry in self.entries(shard.0, &[])? {
                let (key, value) = entry?;
                // Written anew, so that nodes of two releases say the same of the same record.
                let value = record::encode(&record::decode(&key, &value)?)?;
                hash.records += 1;
                hash.records_hash = hash.records_hash.wrapping_add(hash_of(&key, &value));
            }
        }
        for entry in self.entries(REQUEST_ROWS, &[])? {
            let (key, value) = entry?;
            hash.requests_hash = hash.requests_hash.wrapping_add(hash_of(&key, &value));
        }
        for entry in self.entries(RULE_ROWS, RULE)? {
            let (key, value) = entry?;
            let value = bulk_revocation::encode(&bulk_revocation::decode(&value)?)?;
            hash.rules_hash = hash.rules_hash.wrapping_add(hash_of(&key, &value));
        }
        Ok(hash)
    }

    /// In the order of rows.
    fn families(&self) -> impl Iterator<Item = u16> {
        let shards = self.store.shards().all().map(|shard| shard.0);
        shards.chain([REQUEST_ROWS, USED_ROWS, RULE_ROWS, CHANGE_ROWS])
    }

    fn first_key(&self, family: u16) -> Result<Vec<u8>, StorageError> {
        Ok(match family {
            // Of the log only the last change.
            CHANGE_ROWS => encode_position(self.position()?).to_vec(),
            RULE_ROWS => RULE.to_vec(),
            _ => Vec::new(),
        })
    }

    fn entries(
        &self,
        family: u16,
        start: &[u8],
    ) -> Result<impl Iterator<Item = Result<Row, rocksdb::Error>>, StorageError> {
        let column = match family {
            REQUEST_ROWS => self.store.family(REQUESTS)?,
            USED_ROWS => self.store.family(USED)?,
            RULE_ROWS => self.store.family(META)?,
            CHANGE_ROWS => self.store.family(LOG)?,
            shard => self.store.shard(talos_model::ShardId(shard))?,
        };
        let mut options = ReadOptions::default();
        // Read once, and not to drive out what verifications use.
        options.fill_cache(false);
        let mode = IteratorMode::From(start, Direction::Forward);
        let entries = self.snapshot.iterator_cf_opt(column, options, mode);
        let is_row = move |entry: &Result<Row, _>| match (entry, family) {
            (Err(_), _) | (_, REQUEST_ROWS | USED_ROWS | CHANGE_ROWS) => true,
            // After the facts about the node.
            (Ok((key, _)), RULE_ROWS) => key.starts_with(RULE),
            // A shard also holds the sequence of its last change.
            (Ok((key, _)), _) => RecordKey::split(key).is_some(),
        };
        Ok(entries.filter(is_row))
    }
}

/// The length keeps apart what belongs to the key and what to the value.
fn hash_of(key: &[u8], value: &[u8]) -> u128 {
    let length = (key.len() as u64).to_le_bytes();
    xxh3_128(&[length.as_slice(), key, value].concat())
}
