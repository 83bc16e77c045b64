//! A consistent view of the database at one moment. Copies are read from it, and the hash that
//! compares nodes is computed from it.

use rocksdb::{Direction, IteratorMode, ReadOptions, SnapshotWithThreadMode};
use talos_model::copy::{
    ADMIN_TOKEN_ROWS, BULK_REVOCATION_ROWS, CHANGE_ROWS, REQUEST_ROWS, SECRET_USE_ROWS, USED_ROWS,
};
use talos_model::{
    CopyChunk, CopyCursor, CopyEnd, CopyRow, Epoch, Position, ReadLimits, RecordKey, Sequence,
    StateHash,
};
use xxhash_rust::xxh3::xxh3_128;

use super::families::{LOG, META, REQUESTS, USED};
use super::store::RocksStore;
use crate::storage::error::StorageError;
use crate::storage::format::admin_token::{self, ADMIN_TOKEN};
use crate::storage::format::bulk_revocation::{self, BULK_REVOCATION};
use crate::storage::format::position::{decode_position, encode_position};
use crate::storage::format::secret_uses::SECRET_USE;
use crate::storage::format::{record, request};

/// The database at one moment.
pub struct View<'a> {
    store: &'a RocksStore,
    snapshot: SnapshotWithThreadMode<'a, rocksdb::DB>,
}

impl RocksStore {
    /// The database as it is now. Each batch is contained completely or not at all.
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
    /// The last change in the view.
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

    /// The rows of a copy after `after`, up to `limits`.
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
                // The change is the last row. Never end a chunk with `More` after it.
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

    /// Computes the hash that compares nodes. Reads every record.
    pub fn state_hash(&self) -> Result<StateHash, StorageError> {
        let mut hash = StateHash {
            position: self.position()?,
            records: 0,
            records_hash: 0,
            requests_hash: 0,
            bulk_revocations_hash: 0,
            admin_tokens_hash: 0,
        };
        for shard in self.store.shards().all() {
            for entry in self.entries(shard.0, &[])? {
                let (key, value) = entry?;
                // Encode again: nodes of different releases must compute the same hash.
                let value = record::encode(&record::decode(&key, &value)?)?;
                hash.records += 1;
                hash.records_hash = hash.records_hash.wrapping_add(hash_of(&key, &value));
            }
        }
        for entry in self.entries(REQUEST_ROWS, &[])? {
            let (key, value) = entry?;
            // Without the digest: releases that kept none must compute the same hash.
            let made = request::decode(&value)?.key;
            let hash_of_request = hash_of(&key, made.as_bytes());
            hash.requests_hash = hash.requests_hash.wrapping_add(hash_of_request);
        }
        for entry in self.entries(BULK_REVOCATION_ROWS, BULK_REVOCATION)? {
            let (key, value) = entry?;
            let value = bulk_revocation::encode(&bulk_revocation::decode(&value)?)?;
            hash.bulk_revocations_hash = hash
                .bulk_revocations_hash
                .wrapping_add(hash_of(&key, &value));
        }
        for entry in self.entries(ADMIN_TOKEN_ROWS, ADMIN_TOKEN)? {
            let (key, value) = entry?;
            let value = admin_token::encode(&admin_token::decode(&value)?)?;
            hash.admin_tokens_hash = hash.admin_tokens_hash.wrapping_add(hash_of(&key, &value));
        }
        Ok(hash)
    }

    /// The families of rows, in the order in which a copy sends them.
    fn families(&self) -> impl Iterator<Item = u16> {
        let shards = self.store.shards().all().map(|shard| shard.0);
        shards.chain([
            REQUEST_ROWS,
            USED_ROWS,
            BULK_REVOCATION_ROWS,
            ADMIN_TOKEN_ROWS,
            SECRET_USE_ROWS,
            CHANGE_ROWS,
        ])
    }

    fn first_key(&self, family: u16) -> Result<Vec<u8>, StorageError> {
        Ok(match family {
            // A copy has only the last change of the log.
            CHANGE_ROWS => encode_position(self.position()?).to_vec(),
            BULK_REVOCATION_ROWS => BULK_REVOCATION.to_vec(),
            ADMIN_TOKEN_ROWS => ADMIN_TOKEN.to_vec(),
            SECRET_USE_ROWS => SECRET_USE.to_vec(),
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
            BULK_REVOCATION_ROWS | ADMIN_TOKEN_ROWS | SECRET_USE_ROWS => self.store.family(META)?,
            CHANGE_ROWS => self.store.family(LOG)?,
            shard => self.store.shard(talos_model::ShardId(shard))?,
        };
        let mut options = ReadOptions::default();
        // These blocks are read once. They must not displace those that verifications use.
        options.fill_cache(false);
        let mode = IteratorMode::From(start, Direction::Forward);
        let entries = self.snapshot.iterator_cf_opt(column, options, mode);
        let is_row = move |entry: &Result<Row, _>| match (entry, family) {
            (Err(_), _) | (_, REQUEST_ROWS | USED_ROWS | CHANGE_ROWS) => true,
            // `META` also holds facts about the node. They are not part of a copy.
            (Ok((key, _)), BULK_REVOCATION_ROWS) => key.starts_with(BULK_REVOCATION),
            (Ok((key, _)), ADMIN_TOKEN_ROWS) => key.starts_with(ADMIN_TOKEN),
            (Ok((key, _)), SECRET_USE_ROWS) => key.starts_with(SECRET_USE),
            // A shard also holds the sequence of its last change.
            (Ok((key, _)), _) => RecordKey::split(key).is_some(),
        };
        Ok(entries.filter(is_row))
    }
}

/// Hashes the key's length too, so that the boundary between key and value counts.
fn hash_of(key: &[u8], value: &[u8]) -> u128 {
    let length = (key.len() as u64).to_le_bytes();
    xxh3_128(&[length.as_slice(), key, value].concat())
}
