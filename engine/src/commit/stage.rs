//! A group of commands on its way to one write. Each command sees the effects of those before it.

mod admin_tokens;
mod bulk_revocations;

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use talos_model::clock::UnixMillis;
use talos_model::{
    AdminTokens, Author, BulkRevocations, Change, CommandError, DeleteKey, ImportKey, ImportKeys,
    IssueKey, Issued, KeyId, KeyKind, Position, Record, RecordKey, Rejection, RevokeKey, RotateKey,
    Rotation, SecretFingerprint, SecretUse, SecretUses, TenantId, UpdateKey, Visibility,
};
use uuid::Uuid;

use super::apply::{self, KeyChange, Replacement};
use super::prepared::{Answer, Credential, Prepared};
use crate::storage::{Group, RecordReader, RequestEntry, StorageError};
use crate::tenants::Tenants;

/// The changes of a group. None of them is durable yet.
pub struct Stage<'a> {
    reader: &'a dyn RecordReader,
    last: Position,
    /// The time of the last change.
    last_time: Option<UnixMillis>,
    /// The quotas, and the greatest ages of issued keys.
    tenants: Tenants,
    /// The bulk revocations in force, with those that the group has added and without those that it
    /// has removed.
    bulk_revocations: BulkRevocations,
    /// The admin tokens after the changes.
    admin_tokens: Arc<AdminTokens>,
    /// The uses of secrets after the changes.
    secret_uses: Arc<SecretUses>,
    /// Those that changes of the group note.
    noted: Vec<SecretUse>,
    /// The author of the command that is being applied.
    author: Option<Arc<Author>>,
    changes: Vec<Change>,
    /// The records after the changes; `None` = deleted.
    records: HashMap<RecordKey, Option<Record>>,
    requests: HashMap<(TenantId, KeyKind, String), RequestEntry>,
    live_keys: HashMap<TenantId, u64>,
}

impl<'a> Stage<'a> {
    /// An empty group after the position `last`, whose change has `last_time`, under these tenants,
    /// bulk revocations and admin tokens, and after these uses of secrets.
    pub fn new(
        reader: &'a dyn RecordReader,
        last: Position,
        last_time: Option<UnixMillis>,
        tenants: Tenants,
        bulk_revocations: BulkRevocations,
        admin_tokens: Arc<AdminTokens>,
        secret_uses: Arc<SecretUses>,
    ) -> Self {
        Self {
            reader,
            last,
            last_time,
            tenants,
            bulk_revocations,
            admin_tokens,
            secret_uses,
            noted: Vec::new(),
            author: None,
            changes: Vec::new(),
            records: HashMap::new(),
            requests: HashMap::new(),
            live_keys: HashMap::new(),
        }
    }

    /// The group, ready to be written.
    pub fn group(&self) -> Group<'_> {
        Group {
            changes: &self.changes,
            received: None,
            live_keys: &self.live_keys,
            secret_uses: &self.noted,
        }
    }

    /// The changes, in order.
    pub fn into_changes(self) -> Vec<Change> {
        self.changes
    }

    /// Applies one command of `author`. Its answer holds once the group is durable. An error leaves
    /// the group unchanged, with one exception: the group may have gained the revocation of the
    /// record that the command read, if a bulk revocation had ended it.
    pub fn apply(
        &mut self,
        command: Prepared,
        author: Option<Arc<Author>>,
        now: UnixMillis,
    ) -> Answer {
        self.author = author;
        match command {
            Prepared::Issue {
                command,
                uuid,
                credential,
                done,
            } => {
                let issued = self.issue(command, uuid, credential, now);
                let shown = issued.map(|issued| Issued {
                    record: self.shown(issued.record),
                    ..issued
                });
                Answer::new(done, shown)
            }
            Prepared::Import(command, done) => Answer::new(done, self.import(command, now)),
            Prepared::ImportMany(ImportKeys(commands), done) => {
                let import = |command| self.import(command, now);
                let outcomes = commands.into_iter().map(import).collect();
                Answer::new(done, Ok(outcomes))
            }
            Prepared::Update(command, done) => {
                let updated = self.update(command, now);
                Answer::new(done, updated.map(|record| self.shown(record)))
            }
            Prepared::Rotate {
                command,
                uuid,
                secret,
                public,
                done,
            } => {
                let key_id = KeyId::Issued(uuid);
                let rotated = self.rotate(command, key_id, [secret, public], now);
                let shown = rotated.map(|rotation| Rotation {
                    record: self.shown(rotation.record),
                    old: self.shown(rotation.old),
                    ..rotation
                });
                Answer::new(done, shown)
            }
            Prepared::Revoke(command, done) => {
                let revoked = self.revoke(command, now);
                Answer::new(done, revoked.map(|record| self.shown(record)))
            }
            Prepared::RevokeWhere(command, id, done) => {
                Answer::new(done, self.revoke_where(command, id, now))
            }
            Prepared::EndByBulkRevocations(keys, done) => {
                Answer::new(done, self.end_by_bulk_revocations(&keys, now))
            }
            Prepared::FinishBulkRevocation(id, done) => {
                self.finish_bulk_revocation(id, now);
                Answer::new(done, Ok(()))
            }
            Prepared::Delete(command, done) => Answer::new(done, self.delete(&command, now)),
            Prepared::CreateAdminToken(command, id, done) => {
                Answer::new(done, self.create_admin_token(command, id, now))
            }
            Prepared::RotateAdminToken(command, done) => {
                Answer::new(done, self.rotate_admin_token(&command, now))
            }
            Prepared::RevokeAdminToken(command, done) => {
                Answer::new(done, self.revoke_admin_token(&command, now))
            }
        }
    }

    /// The record as an answer shows it.
    fn shown(&self, record: Record) -> Record {
        let max_ttl_s = self.max_ttl_s(record.tenant);
        record.ending_within(max_ttl_s)
    }

    fn issue(
        &mut self,
        command: IssueKey,
        uuid: Uuid,
        credential: Option<Credential>,
        now: UnixMillis,
    ) -> Result<Issued, CommandError> {
        let Credential {
            secret,
            prefix,
            signed_by,
        } = credential.ok_or(Rejection::NoPublicPrefix)?;
        if let Some(record) = self.created_before(&command, KeyKind::Issued, now)? {
            return Ok(Issued {
                record,
                secret: None,
            });
        }
        let max_s = self.max_ttl_s(command.tenant);
        if command
            .ttl_ms
            .is_some_and(|ttl_ms| ttl_ms > max_s.saturating_mul(1000))
        {
            return Err(Rejection::TtlBeyondMax { max_s }.into());
        }
        let record = self.create(command, KeyId::Issued(uuid), Some(prefix), now)?;
        self.note_signature(record.tenant, signed_by, now);
        let secret = Some(secret);
        Ok(Issued { record, secret })
    }

    fn update(&mut self, command: UpdateKey, now: UnixMillis) -> Result<Record, CommandError> {
        let current = self.record(command.tenant, command.key_id, now)?;
        let change = apply::update(current, command.changes, now, self.last.next())?;
        Ok(self.push(change))
    }

    fn revoke(&mut self, command: RevokeKey, now: UnixMillis) -> Result<Record, CommandError> {
        let current = self.record(command.tenant, command.key_id, now)?;
        let tenant = command.tenant;
        let change = apply::revoke(current, command, now, self.last.next())?;
        self.update_live_keys(tenant, |live| live.saturating_sub(1))?;
        Ok(self.push(change))
    }

    fn delete(&mut self, command: &DeleteKey, now: UnixMillis) -> Result<Record, CommandError> {
        let current = self.record(command.tenant, command.key_id, now)?;
        let was_live = current.as_ref().is_some_and(|key| key.revocation.is_none());
        let change = apply::delete(current, now, self.last.next())?;
        if was_live {
            self.update_live_keys(command.tenant, |live| live.saturating_sub(1))?;
        }
        Ok(self.push(change))
    }

    fn import(&mut self, command: ImportKey, now: UnixMillis) -> Result<Record, CommandError> {
        if let Some(record) = self.created_before(&command.key, KeyKind::Imported, now)? {
            return Ok(record);
        }
        let known = self.record(command.key.tenant, command.key_id, now)?;
        if known.is_some() {
            return Err(Rejection::AlreadyExists.into());
        }
        self.create(command.key, command.key_id, None, now)
    }

    fn create(
        &mut self,
        key: IssueKey,
        key_id: KeyId,
        prefix: Option<String>,
        now: UnixMillis,
    ) -> Result<Record, CommandError> {
        let live = self.live_keys(key.tenant)?;
        let quota = self.tenants.get(key.tenant);
        let quota = quota.and_then(|tenant| tenant.settings().live_keys_max);
        if let Some(max) = quota.filter(|max| live >= *max) {
            return Err(Rejection::QuotaExceeded { max }.into());
        }
        self.update_live_keys(key.tenant, |live| live + 1)?;
        let change = apply::create(key, key_id, prefix, now, self.last.next());
        Ok(self.push(change))
    }

    fn rotate(
        &mut self,
        command: RotateKey,
        key_id: KeyId,
        [secret, public]: [Option<Credential>; 2],
        now: UnixMillis,
    ) -> Result<Rotation, CommandError> {
        let current = self.record(command.tenant, command.key_id, now)?;
        let max_ttl_s = self.max_ttl_s(command.tenant);
        let end = |record: &Record| record.end_of_life(max_ttl_s);
        let is_live = |record: &Record| record.revocation.is_none();
        if current
            .as_ref()
            .is_some_and(|record| is_live(record) && end(record).is_some_and(|end| end <= now))
        {
            return Err(Rejection::NotActive.into());
        }
        let inherited = current.as_ref().map(|record| record.visibility);
        let visibility = command.visibility.or(inherited).unwrap_or_default();
        let credential = match visibility {
            Visibility::Secret => secret,
            Visibility::Public => public,
        };
        let prefix = credential.as_ref().map(|made| made.prefix.clone());
        let replacement = Replacement {
            key_id,
            visibility,
            prefix: prefix.unwrap_or_default(),
            changes: command.changes,
        };
        let [old, new] = apply::rotate(current, replacement, now, self.last.next())?;
        // Both changes or none: everything that can fail comes before the first `push`.
        let Credential {
            secret, signed_by, ..
        } = credential.ok_or(Rejection::NoPublicPrefix)?;
        let old = self.push(old);
        let record = self.push(new);
        self.note_signature(record.tenant, signed_by, now);
        Ok(Rotation {
            record,
            secret,
            old,
        })
    }

    fn push(&mut self, change: KeyChange) -> Record {
        let record = change.record.clone();
        let change = Change::from(change);
        let key = RecordKey::new(record.tenant, record.key_id);
        if let Some(request_id) = &change.request_id {
            let request = (record.tenant, key.kind(), request_id.id.clone());
            let digest = request_id.digest.clone();
            self.requests.insert(request, RequestEntry { key, digest });
        }
        let remaining = (!change.deletes()).then(|| record.clone());
        self.records.insert(key, remaining);
        self.append(change);
        record
    }

    /// Adds a change of the current author. Its time is not before that of the last change: the
    /// clock may have been set back, and a command may have waited longer than one after it.
    fn append(&mut self, mut change: Change) {
        debug_assert_eq!(change.position, self.last.next(), "sequences have no gap");
        change.author.clone_from(&self.author);
        change.time = self
            .last_time
            .map_or(change.time, |last| last.max(change.time));
        self.last = change.position;
        self.last_time = Some(change.time);
        self.changes.push(change);
    }

    /// The last change made a key of `tenant` whose credential this secret signed. The change notes
    /// it if no change within the last hour did.
    fn note_signature(
        &mut self,
        tenant: TenantId,
        fingerprint: SecretFingerprint,
        now: UnixMillis,
    ) {
        if self.secret_uses.is_due(tenant, fingerprint, now)
            && let Some(change) = self.changes.last_mut()
        {
            change.signed_by = Some(fingerprint);
            let uses = Arc::make_mut(&mut self.secret_uses);
            self.noted.push(uses.note(tenant, fingerprint, now));
        }
    }

    fn record(
        &mut self,
        tenant: TenantId,
        key_id: KeyId,
        now: UnixMillis,
    ) -> Result<Option<Record>, StorageError> {
        self.load(&RecordKey::new(tenant, key_id), now)
    }

    /// The current record. If a bulk revocation has ended it, the group first gains the change that
    /// writes the revocation into the record. Otherwise a later change would bring the key back,
    /// because a bulk revocation ends only records that are older than itself. That change has no
    /// author: it follows from the bulk revocation, whatever the command is.
    fn load(&mut self, key: &RecordKey, now: UnixMillis) -> Result<Option<Record>, StorageError> {
        let record = match self.records.get(key) {
            Some(record) => record.clone(),
            None => self.reader.read(key)?,
        };
        let Some(record) = record else {
            return Ok(None);
        };
        let Some(bulk_revocation) = self.bulk_revocations.ending(&record).cloned() else {
            return Ok(Some(record));
        };
        self.update_live_keys(record.tenant, |live| live.saturating_sub(1))?;
        let change = apply::revoke_in_bulk(record, &bulk_revocation, now, self.last.next());
        let author = mem::take(&mut self.author);
        let record = self.push(change);
        self.author = author;
        Ok(Some(record))
    }

    /// The greatest age of a tenant's issued keys in seconds.
    fn max_ttl_s(&self, tenant: TenantId) -> u64 {
        let tenant = self.tenants.get(tenant);
        tenant.map_or(u64::MAX, |tenant| tenant.keyring().max_ttl_s())
    }

    fn live_keys(&self, tenant: TenantId) -> Result<u64, StorageError> {
        match self.live_keys.get(&tenant) {
            Some(live) => Ok(*live),
            None => self.reader.live_keys(tenant),
        }
    }

    fn update_live_keys(
        &mut self,
        tenant: TenantId,
        change: impl FnOnce(u64) -> u64,
    ) -> Result<(), StorageError> {
        let live = self.live_keys(tenant)?;
        self.live_keys.insert(tenant, change(live));
        Ok(())
    }

    /// The key that an earlier command with the same request id created (AIP-155). That command
    /// must have asked for the same. If the key was deleted since, its request id is free again.
    fn created_before(
        &mut self,
        command: &IssueKey,
        kind: KeyKind,
        now: UnixMillis,
    ) -> Result<Option<Record>, CommandError> {
        let Some(request) = &command.request_id else {
            return Ok(None);
        };
        let id = (command.tenant, kind, request.id.clone());
        let earlier = match self.requests.get(&id) {
            Some(entry) => Some(entry.clone()),
            None => self.reader.request(command.tenant, kind, &request.id)?,
        };
        let Some(earlier) = earlier else {
            return Ok(None);
        };
        let Some(record) = self.load(&earlier.key, now)? else {
            return Ok(None);
        };
        let difference = if earlier.digest.is_empty() {
            request.digest.difference_from_record(&record)
        } else {
            request.digest.difference(&earlier.digest)
        };
        match difference {
            None => Ok(Some(record)),
            Some(field) => Err(Rejection::RequestIdReused {
                field,
                key_id: record.key_id,
                sequence: record.sequence,
            }
            .into()),
        }
    }
}

impl From<StorageError> for CommandError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error.to_string())
    }
}
