//! A group of commands on its way to one write: each sees what those before it in the group have done.

use std::collections::HashMap;

use uuid::Uuid;

use super::apply::{self, Replacement};
use crate::clock::UnixMillis;
use crate::command::{
    CommandError, DeleteKey, ImportKey, IssueKey, Outcome, Rejection, RevokeKey, RotateKey,
    Rotation, UpdateKey,
};
use crate::ids::{KeyId, Position, TenantId};
use crate::record::{Record, Visibility};
use crate::secret::Secret;
use crate::storage::{Change, Group, KeyKind, RecordKey, Rows, StorageError};

/// A command with everything that was drawn or looked at before it was queued, so that applying it is pure.
pub enum Prepared {
    /// Make a key with this id and credential.
    Issue {
        /// What was asked for.
        command: IssueKey,
        /// The id of the key, unless the request id made one before.
        uuid: Uuid,
        /// Its credential.
        secret: Secret,
    },
    /// Take over a key.
    Import(ImportKey),
    /// Take over many keys.
    ImportMany(Vec<ImportKey>),
    /// Change a key.
    Update(UpdateKey),
    /// Replace a key.
    Rotate {
        /// What was asked for.
        command: RotateKey,
        /// The id of the new key.
        uuid: Uuid,
        /// Its credential if it is to be secret.
        secret: Secret,
        /// Its credential if it is to be public; `None` without a prefix for public keys.
        public: Option<Secret>,
    },
    /// End a key.
    Revoke(RevokeKey),
    /// Forget a key.
    Delete(DeleteKey),
}

/// The changes of a group, none of them durable yet.
pub struct Stage<'a> {
    rows: &'a dyn Rows,
    last: Position,
    live_keys_max: u64,
    changes: Vec<Change>,
    /// What the changes made of records; `None` = forgotten.
    records: HashMap<RecordKey, Option<Record>>,
    requests: HashMap<(TenantId, KeyKind, String), RecordKey>,
    live_keys: HashMap<TenantId, u64>,
}

impl<'a> Stage<'a> {
    /// An empty group that continues after `last`; a tenant may have `live_keys_max` keys that are not revoked.
    pub fn new(rows: &'a dyn Rows, last: Position, live_keys_max: u64) -> Self {
        Self {
            rows,
            last,
            live_keys_max,
            changes: Vec::new(),
            records: HashMap::new(),
            requests: HashMap::new(),
            live_keys: HashMap::new(),
        }
    }

    /// What there is to write.
    pub fn group(&self) -> Group<'_> {
        Group {
            changes: &self.changes,
            received: None,
            live_keys: &self.live_keys,
        }
    }

    /// The changes, in order.
    pub fn into_changes(self) -> Vec<Change> {
        self.changes
    }

    /// Applies one command; what it returns holds once the group is durable. After an error the group is as it was.
    pub fn apply(&mut self, command: Prepared, now: UnixMillis) -> Result<Outcome, CommandError> {
        match command {
            Prepared::Issue {
                command,
                uuid,
                secret,
            } => {
                if let Some(record) = self.made_before(&command, KeyKind::Issued)? {
                    return Ok(Outcome::Issued {
                        record,
                        secret: None,
                    });
                }
                let record = self.create(command, KeyId::Issued(uuid), now)?;
                let secret = Some(secret);
                Ok(Outcome::Issued { record, secret })
            }
            Prepared::Import(command) => {
                let record = self.import(command, now)?;
                Ok(Outcome::Imported { record })
            }
            Prepared::ImportMany(commands) => {
                let import = |command| self.import(command, now);
                Ok(Outcome::ImportedMany(
                    commands.into_iter().map(import).collect(),
                ))
            }
            Prepared::Update(command) => {
                let current = self.record(command.tenant, command.key_id)?;
                let change = apply::update(current, command.changes, now, self.last.next())?;
                let record = self.push(change);
                Ok(Outcome::Updated { record })
            }
            Prepared::Rotate {
                command,
                uuid,
                secret,
                public,
            } => self.rotate(command, KeyId::Issued(uuid), [Some(secret), public], now),
            Prepared::Revoke(command) => {
                let current = self.record(command.tenant, command.key_id)?;
                let tenant = command.tenant;
                let change = apply::revoke(current, command, now, self.last.next())?;
                self.count(tenant, |live| live.saturating_sub(1))?;
                let record = self.push(change);
                Ok(Outcome::Revoked { record })
            }
            Prepared::Delete(command) => {
                let current = self.record(command.tenant, command.key_id)?;
                let was_live = current.as_ref().is_some_and(|key| key.revocation.is_none());
                let change = apply::delete(current, now, self.last.next())?;
                if was_live {
                    self.count(command.tenant, |live| live.saturating_sub(1))?;
                }
                let record = self.push(change);
                Ok(Outcome::Deleted { record })
            }
        }
    }

    fn import(&mut self, command: ImportKey, now: UnixMillis) -> Result<Record, CommandError> {
        if let Some(record) = self.made_before(&command.key, KeyKind::Imported)? {
            return Ok(record);
        }
        if self.record(command.key.tenant, command.key_id)?.is_some() {
            return Err(Rejection::AlreadyExists.into());
        }
        self.create(command.key, command.key_id, now)
    }

    fn create(
        &mut self,
        key: IssueKey,
        key_id: KeyId,
        now: UnixMillis,
    ) -> Result<Record, CommandError> {
        if self.live_keys(key.tenant)? >= self.live_keys_max {
            return Err(Rejection::QuotaExceeded.into());
        }
        self.count(key.tenant, |live| live + 1)?;
        Ok(self.push(apply::create(key, key_id, now, self.last.next())))
    }

    fn rotate(
        &mut self,
        command: RotateKey,
        key_id: KeyId,
        [secret, public]: [Option<Secret>; 2],
        now: UnixMillis,
    ) -> Result<Outcome, CommandError> {
        let current = self.record(command.tenant, command.key_id)?;
        let inherited = current.as_ref().map(|record| record.visibility);
        let visibility = command.visibility.or(inherited).unwrap_or_default();
        let replacement = Replacement {
            key_id,
            visibility,
            changes: command.changes,
        };
        let [old, new] = apply::rotate(current, replacement, now, self.last.next())?;
        let credential = match visibility {
            Visibility::Secret => secret,
            Visibility::Public => public,
        };
        // Both changes or none: whatever can fail comes before the first of them.
        let secret = credential.ok_or(Rejection::NoPublicPrefix)?;
        let old = self.push(old);
        let record = self.push(new);
        Ok(Outcome::Rotated(Box::new(Rotation {
            record,
            secret,
            old,
        })))
    }

    fn push(&mut self, change: Change) -> Record {
        debug_assert_eq!(change.position, self.last.next(), "sequences have no gap");
        let record = change.record.clone();
        let key = RecordKey::new(record.tenant, record.key_id);
        if let Some(request_id) = &change.request_id {
            let request = (record.tenant, key.kind(), request_id.clone());
            self.requests.insert(request, key);
        }
        let left = (!change.deletes()).then(|| record.clone());
        self.records.insert(key, left);
        self.last = change.position;
        self.changes.push(change);
        record
    }

    fn record(&self, tenant: TenantId, key_id: KeyId) -> Result<Option<Record>, StorageError> {
        let key = RecordKey::new(tenant, key_id);
        match self.records.get(&key) {
            Some(record) => Ok(record.clone()),
            None => self.rows.read(&key),
        }
    }

    fn live_keys(&self, tenant: TenantId) -> Result<u64, StorageError> {
        match self.live_keys.get(&tenant) {
            Some(live) => Ok(*live),
            None => self.rows.live_keys(tenant),
        }
    }

    fn count(
        &mut self,
        tenant: TenantId,
        change: impl FnOnce(u64) -> u64,
    ) -> Result<(), StorageError> {
        let live = self.live_keys(tenant)?;
        self.live_keys.insert(tenant, change(live));
        Ok(())
    }

    /// The key that an earlier command with the same request id made (AIP-155).
    fn made_before(
        &self,
        command: &IssueKey,
        kind: KeyKind,
    ) -> Result<Option<Record>, StorageError> {
        let Some(request_id) = &command.request_id else {
            return Ok(None);
        };
        let request = (command.tenant, kind, request_id.clone());
        let key = match self.requests.get(&request) {
            Some(key) => Some(*key),
            None => self.rows.key_of_request(command.tenant, kind, request_id)?,
        };
        match key.and_then(|key| RecordKey::split(key.as_bytes())) {
            Some((tenant, key_id)) => self.record(tenant, key_id),
            None => Ok(None),
        }
    }
}

impl From<StorageError> for CommandError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error.to_string())
    }
}
