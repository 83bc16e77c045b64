//! A walk over all keys that a rule may end, a stretch at a time.

use talos_model::clock::UnixMillis;
use talos_model::{KeyKind, ListQuery, Matcher, Record, RecordKey, Selection, ShardId, TenantId};

use crate::limits::RULE_WALK_KEYS;
use crate::shards::Shards;
use crate::storage::{Rows, StorageError};

enum Part {
    /// The tenant's keys in one shard.
    Shard(ShardId),
    /// The keys of one kind and of this actor, which the index knows.
    Actor(KeyKind, String),
}

/// See the module. Keys that are made while it goes on may be met or not.
pub struct Walk<'a> {
    rows: &'a dyn Rows,
    tenant: TenantId,
    /// What is still to be gone over, the next part last.
    parts: Vec<Part>,
    /// Where the last stretch of the part ended.
    after: Vec<u8>,
}

impl<'a> Walk<'a> {
    /// Over the keys of `tenant` that `matcher` may match.
    pub fn new(rows: &'a dyn Rows, shards: Shards, tenant: TenantId, matcher: &Matcher) -> Self {
        let parts = match &matcher.actor_id {
            Some(actor_id) => [KeyKind::Issued, KeyKind::Imported]
                .map(|kind| Part::Actor(kind, actor_id.clone()))
                .into(),
            None => shards.all().map(Part::Shard).collect(),
        };
        Self {
            rows,
            tenant,
            parts,
            after: Vec::new(),
        }
    }

    /// Those of the next stretch that are wanted; `None` after the last one. Waits for the disk.
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
                let rows = self.rows;
                let stretch = rows.scan(*shard, tenant, &self.after, RULE_WALK_KEYS, wanted)?;
                (stretch.keys, stretch.end)
            }
            Part::Actor(kind, actor_id) => {
                let page = self.rows.list(&ListQuery {
                    selection: Selection {
                        tenant: self.tenant,
                        kind: *kind,
                        actor_id: Some(actor_id.clone()),
                        status: None,
                    },
                    after: self.after.clone(),
                    limit: RULE_WALK_KEYS,
                    // Of no account without a status.
                    now: UnixMillis(0),
                })?;
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
