//! A walk over all keys that a bulk revocation may end, in steps of bounded size.

use talos_model::clock::UnixMillis;
use talos_model::{KeyKind, ListQuery, Matcher, Record, RecordKey, Selection, ShardId, TenantId};

use crate::limits::BULK_REVOCATION_WALK_KEYS;
use crate::shards::Shards;
use crate::storage::{RecordReader, StorageError};

enum Part {
    /// The tenant's keys in one shard.
    Shard(ShardId),
    /// The keys of one kind and this actor, from the index.
    Actor(KeyKind, String),
}

/// A walk over the keys of one tenant. It may miss keys that are created while it goes on.
pub struct Walk<'a> {
    reader: &'a dyn RecordReader,
    tenant: TenantId,
    /// The parts that are left; the next one is the last.
    parts: Vec<Part>,
    /// The place in the part after which the next step begins.
    after: Vec<u8>,
}

impl<'a> Walk<'a> {
    /// A walk over the keys of `tenant` that `matcher` may match.
    pub fn new(
        reader: &'a dyn RecordReader,
        shards: Shards,
        tenant: TenantId,
        matcher: &Matcher,
    ) -> Self {
        let parts = match &matcher.actor_id {
            Some(actor_id) => [KeyKind::Issued, KeyKind::Imported]
                .map(|kind| Part::Actor(kind, actor_id.clone()))
                .into(),
            None => shards.all().map(Part::Shard).collect(),
        };
        Self {
            reader,
            tenant,
            parts,
            after: Vec::new(),
        }
    }

    /// The keys of the next step that are `wanted`; `None` after the last step. Blocks on disk.
    pub fn next(
        &mut self,
        wanted: &dyn Fn(&Record) -> bool,
    ) -> Result<Option<Vec<RecordKey>>, StorageError> {
        let Some(part) = self.parts.last() else {
            return Ok(None);
        };
        let (keys, end) = match part {
            Part::Shard(shard) => {
                let tenant = Some(self.tenant);
                let reader = self.reader;
                let stretch = reader.scan(
                    *shard,
                    tenant,
                    &self.after,
                    BULK_REVOCATION_WALK_KEYS,
                    wanted,
                )?;
                (stretch.keys, stretch.end)
            }
            Part::Actor(kind, actor_id) => {
                let query = ListQuery {
                    selection: Selection {
                        tenant: self.tenant,
                        kind: *kind,
                        actor_id: Some(actor_id.clone()),
                        status: None,
                    },
                    after: self.after.clone(),
                    limit: BULK_REVOCATION_WALK_KEYS,
                    // Not used without a status, as is the age.
                    now: UnixMillis(0),
                };
                let page = self.reader.list(&query, UnixMillis(i64::MIN))?;
                let found = page.records.iter().filter(|record| wanted(record));
                let keys = found.map(|record| RecordKey::new(record.tenant, record.key_id));
                (keys.collect(), page.next)
            }
        };
        if end.is_none() {
            self.parts.pop();
        }
        self.after = end.unwrap_or_default();
        Ok(Some(keys))
    }
}
