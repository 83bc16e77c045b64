//! Builds one batch from a group of changes: log, records, index, request ids, counts, bulk
//! revocations, admin tokens, uses of secrets.

use std::collections::HashMap;

use rocksdb::WriteBatch;
use talos_model::{
    AdminToken, BulkRevocation, Change, Event, LoggedChange, Record, RecordKey, Subject,
};

use super::families::{COUNTS, INDEX, LAST, LOG, META, REQUESTS, USED, request_key};
use super::store::RocksStore;
use crate::storage::error::StorageError;
use crate::storage::format::position::encode_position;
use crate::storage::format::{admin_token, bulk_revocation, change, record, request, secret_uses};
use crate::storage::index;
use crate::storage::journal::Group;

impl RocksStore {
    /// The batch of a group, to be written atomically.
    pub(super) fn batch(&self, group: &Group<'_>) -> Result<WriteBatch, StorageError> {
        let mut batch = WriteBatch::default();
        let mut received = group.received.unwrap_or_default().iter();
        for change in group.changes {
            self.add_change(&mut batch, change, received.next())?;
        }
        // Once per shard, not once per change: per change it would be a seventh of a large batch.
        let mut last = HashMap::new();
        for change in group.changes {
            match &change.subject {
                Subject::Key(record) => {
                    let key = RecordKey::new(record.tenant, record.key_id);
                    last.insert(self.shard_of(&key), change.position.sequence);
                }
                // A bulk revocation changes every shard. A change of an admin token changes none,
                // but some shard has to name the last change of the log.
                Subject::BulkRevocation(_) | Subject::AdminToken(_) => {
                    let shards = self.shards().all();
                    last.extend(shards.map(|shard| (shard, change.position.sequence)));
                }
            }
        }
        for (shard, sequence) in last {
            batch.put_cf(self.shard(shard)?, LAST, sequence.0.to_le_bytes());
        }
        let counts = self.family(COUNTS)?;
        for (tenant, live_keys) in group.live_keys {
            batch.put_cf(counts, tenant.0.as_bytes(), live_keys.to_le_bytes());
        }
        let meta = self.family(META)?;
        for one in group.secret_uses {
            let key = secret_uses::key(one.tenant, one.fingerprint);
            batch.put_cf(meta, key, secret_uses::encode(one));
        }
        Ok(batch)
    }

    fn add_change(
        &self,
        batch: &mut WriteBatch,
        change: &Change,
        received: Option<&LoggedChange>,
    ) -> Result<(), StorageError> {
        let subject = match &change.subject {
            Subject::Key(record) => record::encode(record)?,
            Subject::BulkRevocation(bulk_revocation) => bulk_revocation::encode(bulk_revocation)?,
            Subject::AdminToken(token) => admin_token::encode(token)?,
        };
        let log = self.family(LOG)?;
        let position = encode_position(change.position);
        match received {
            Some(received) => batch.put_cf(log, position, &received.bytes),
            None => batch.put_cf(log, position, change::encode(change, &subject)?),
        }
        match &change.subject {
            Subject::Key(record) => self.add_key(batch, change, record, subject),
            Subject::BulkRevocation(bulk_revocation) => {
                self.add_bulk_revocation(batch, change, bulk_revocation, subject)
            }
            Subject::AdminToken(token) => self.add_admin_token(batch, change, token, subject),
        }
    }

    fn add_bulk_revocation(
        &self,
        batch: &mut WriteBatch,
        change: &Change,
        bulk_revocation: &BulkRevocation,
        bytes: Vec<u8>,
    ) -> Result<(), StorageError> {
        let (meta, key) = (self.family(META)?, bulk_revocation::key(bulk_revocation));
        match change.event {
            Event::BulkRevocationCompleted => batch.delete_cf(meta, key),
            _ => batch.put_cf(meta, key, bytes),
        }
        Ok(())
    }

    fn add_admin_token(
        &self,
        batch: &mut WriteBatch,
        change: &Change,
        token: &AdminToken,
        bytes: Vec<u8>,
    ) -> Result<(), StorageError> {
        let (meta, key) = (self.family(META)?, admin_token::key(token.id));
        if change.deletes() {
            batch.delete_cf(meta, key);
        } else {
            batch.put_cf(meta, key, bytes);
        }
        Ok(())
    }

    fn add_key(
        &self,
        batch: &mut WriteBatch,
        change: &Change,
        record: &Record,
        bytes: Vec<u8>,
    ) -> Result<(), StorageError> {
        let key = RecordKey::new(record.tenant, record.key_id);
        let shard = self.shard(self.shard_of(&key))?;
        if let Some(request_id) = &change.request_id {
            let entry = request_key(record.tenant, key.kind(), &request_id.id);
            let value = request::encode(&key, &request_id.digest);
            batch.put_cf(self.family(REQUESTS)?, entry, value);
        }
        if change.deletes() {
            batch.delete_cf(shard, key.as_bytes());
            batch.delete_cf(self.family(USED)?, key.as_bytes());
        } else {
            batch.put_cf(shard, key.as_bytes(), bytes);
        }
        self.add_index(batch, change, record)
    }

    fn add_index(
        &self,
        batch: &mut WriteBatch,
        change: &Change,
        record: &Record,
    ) -> Result<(), StorageError> {
        let family = self.family(INDEX)?;
        if change.deletes() {
            for entry in index::entries(record) {
                batch.delete_cf(family, entry);
            }
        } else {
            for entry in index::entries(record) {
                batch.put_cf(family, entry, []);
            }
            if record.revocation.is_some() {
                for entry in index::entries_before_revocation(record) {
                    batch.delete_cf(family, entry);
                }
            }
        }
        Ok(())
    }
}
