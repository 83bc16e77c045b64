//! The expected state of the engine: maps in memory, and the effect of every command on them.

use std::collections::{BTreeMap, HashSet};

use talos_model::clock::UnixMillis;
use talos_model::{
    AdminToken, Author, Event, FieldChanges, ImportKey, KeyKind, Rejection, RequestField,
    RequestId, Revocation, RotateKey, Sequence, Status, Subject, UpdateKey,
};
use uuid::Uuid;

use super::*;

/// An entry of the change log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) event: Event,
    pub(super) time: UnixMillis,
    pub(super) request_id: Option<RequestId>,
    pub(super) author: Option<Author>,
    pub(super) subject: Subject,
}

impl Entry {
    /// The key that the change is about; `None` for a change of something else.
    pub(super) fn key(&self) -> Option<(TenantId, KeyId)> {
        match &self.subject {
            Subject::Key(record) => Some((record.tenant, record.key_id)),
            Subject::BulkRevocation(_) | Subject::AdminToken(_) => None,
        }
    }
}

/// A credential that a client holds.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) tenant: TenantId,
    pub(super) key_id: KeyId,
    pub(super) credential: String,
    /// The start of the maximum age; `None` for an imported key, which has none.
    pub(super) issue_time: Option<UnixMillis>,
}

impl Held {
    /// When it reaches the maximum age and expires.
    pub(super) fn end_of_age(&self) -> Option<UnixMillis> {
        self.issue_time.map(end_of_age)
    }
}

/// The model.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) records: BTreeMap<(TenantId, KeyId), Record>,
    pub(super) log: Vec<Entry>,
    pub(super) admin_tokens: BTreeMap<Uuid, AdminToken>,
    /// The author of the current command.
    pub(super) author: Option<Author>,
    pub(super) held: Vec<Held>,
    /// The key that each request made, and the request.
    requests: BTreeMap<(TenantId, u8, String), (KeyId, IssueKey)>,
    live_keys_max: Option<u64>,
}

pub(super) type Expected<T> = Result<T, Rejection>;

impl State {
    pub(super) fn set_live_keys_max(&mut self, live_keys_max: Option<u64>) {
        self.live_keys_max = live_keys_max;
    }

    /// The number of keys of the tenant that are not revoked.
    pub(super) fn live_keys(&self, tenant: TenantId) -> u64 {
        let live = |record: &&Record| record.tenant == tenant && record.revocation.is_none();
        self.records.values().filter(live).count() as u64
    }

    /// The key of an earlier request with the id of `command`, if both ask for the same key.
    /// `imported` is the key that an import asks for.
    pub(super) fn requested_before(
        &self,
        command: &IssueKey,
        imported: Option<KeyId>,
    ) -> Option<Expected<Record>> {
        let request_id = command.request_id.as_ref()?.id.clone();
        let kind = imported.map_or(KeyKind::Issued, |key_id| key_id.kind());
        let (made, earlier) = self
            .requests
            .get(&(command.tenant, kind.code(), request_id))?;
        let key_id = *made;
        let record = self.records.get(&(command.tenant, key_id)).cloned()?;
        let difference = if imported.is_some_and(|imported| imported != key_id) {
            Some(RequestField::RawKey)
        } else {
            difference(command, earlier)
        };
        Some(match difference {
            Some(field) => Err(Rejection::RequestIdReused {
                field,
                key_id,
                sequence: record.sequence,
            }),
            None => Ok(record),
        })
    }

    /// `key_id` is the one that the engine drew; `None` if it refused the command.
    pub(super) fn create(
        &mut self,
        key: IssueKey,
        key_id: Option<KeyId>,
        now: UnixMillis,
        event: Event,
    ) -> Expected<Record> {
        if let Some(max) = self.live_keys_max
            && self.live_keys(key.tenant) >= max
        {
            return Err(Rejection::QuotaExceeded { max });
        }
        let key_id = key_id.expect("nothing stands against this key");
        if let Some(request) = &key.request_id {
            let id = (key.tenant, key_id.kind().code(), request.id.clone());
            self.requests.insert(id, (key_id, key.clone()));
        }
        assert!(!self.records.contains_key(&(key.tenant, key_id)));
        let record = Record {
            tenant: key.tenant,
            key_id,
            sequence: self.next_sequence(),
            name: key.name,
            actor_id: key.actor_id,
            scopes: key.scopes,
            metadata: key.metadata,
            visibility: key.visibility,
            prefix: prefix(key_id, key.visibility),
            create_time: now,
            update_time: now,
            expire_time: key
                .ttl_ms
                .map(|ttl| UnixMillis(now.0 + i64::try_from(ttl).expect("a short life"))),
            revocation: None,
            rate_limit: key.rate_limit,
            allowed_cidrs: key.allowed_cidrs,
        };
        Ok(self.changed(record, event, key.request_id, now))
    }

    pub(super) fn import(&mut self, command: ImportKey, now: UnixMillis) -> Expected<Record> {
        if let Some(earlier) = self.requested_before(&command.key, Some(command.key_id)) {
            return earlier;
        }
        if self
            .records
            .contains_key(&(command.key.tenant, command.key_id))
        {
            return Err(Rejection::AlreadyExists);
        }
        self.create(
            command.key,
            Some(command.key_id),
            now,
            Event::ImportedKeyCreated,
        )
    }

    pub(super) fn update(&mut self, command: UpdateKey, now: UnixMillis) -> Expected<Record> {
        let mut record = self.find(command.tenant, command.key_id)?;
        set(&mut record, command.changes);
        record.update_time = now;
        record.sequence = self.next_sequence();
        let event = match record.key_id {
            KeyId::Issued(_) => Event::IssuedKeyUpdated,
            KeyId::Imported(_) => Event::ImportedKeyUpdated,
        };
        Ok(self.changed(record, event, None, now))
    }

    pub(super) fn rotate(
        &mut self,
        command: RotateKey,
        drawn: Option<KeyId>,
        now: UnixMillis,
    ) -> Expected<(Record, Record)> {
        let found = self.find(command.tenant, command.key_id)?;
        if status(&found, now) != Status::Active {
            return Err(Rejection::NotActive);
        }
        let old = self.revoke(
            RevokeKey {
                tenant: command.tenant,
                key_id: command.key_id,
                reason: RevocationReason::Superseded,
                description: String::new(),
            },
            now,
        )?;
        let mut record = Record {
            key_id: drawn.expect("nothing stands against this rotation"),
            visibility: command.visibility.unwrap_or(found.visibility),
            prefix: prefix(old.key_id, command.visibility.unwrap_or(found.visibility)),
            create_time: now,
            update_time: now,
            sequence: self.next_sequence(),
            ..found
        };
        set(&mut record, command.changes);
        Ok((
            old,
            self.changed(record, Event::IssuedKeyRotated, None, now),
        ))
    }

    pub(super) fn revoke(&mut self, command: RevokeKey, now: UnixMillis) -> Expected<Record> {
        let mut record = self.find(command.tenant, command.key_id)?;
        if record.revocation.is_some() {
            return Err(Rejection::AlreadyRevoked);
        }
        record.revocation = Some(Revocation {
            reason: command.reason,
            description: command.description,
            time: now,
        });
        record.update_time = now;
        record.sequence = self.next_sequence();
        let event = match record.key_id {
            KeyId::Issued(_) => Event::IssuedKeyRevoked,
            KeyId::Imported(_) => Event::ImportedKeyRevoked,
        };
        Ok(self.changed(record, event, None, now))
    }

    pub(super) fn delete(
        &mut self,
        tenant: TenantId,
        key_id: KeyId,
        now: UnixMillis,
    ) -> Expected<Record> {
        let mut record = self.find(tenant, key_id)?;
        record.update_time = now;
        record.sequence = self.next_sequence();
        let record = self.changed(record, Event::ImportedKeyDeleted, None, now);
        self.records.remove(&(tenant, key_id));
        Ok(record)
    }

    fn find(&self, tenant: TenantId, key_id: KeyId) -> Expected<Record> {
        let record = self.records.get(&(tenant, key_id)).cloned();
        record.ok_or(Rejection::NotFound)
    }

    pub(super) fn next_sequence(&self) -> Sequence {
        Sequence(self.log.len() as u64 + 1)
    }

    pub(super) fn changed(
        &mut self,
        record: Record,
        event: Event,
        request_id: Option<RequestId>,
        time: UnixMillis,
    ) -> Record {
        self.records
            .insert((record.tenant, record.key_id), record.clone());
        self.log(Entry {
            event,
            time,
            request_id,
            author: self.author.clone(),
            subject: Subject::Key(record.clone()),
        });
        record
    }

    /// Adds an entry. The times of the log never fall, also when the clock is set back.
    pub(super) fn log(&mut self, mut entry: Entry) {
        if let Some(last) = self.log.last() {
            entry.time = entry.time.max(last.time);
        }
        self.log.push(entry);
    }
}

/// The first field in which two requests for a key differ.
fn difference(one: &IssueKey, other: &IssueKey) -> Option<RequestField> {
    let scopes = |key: &IssueKey| key.scopes.iter().cloned().collect::<HashSet<_>>();
    let blocks = |key: &IssueKey| key.allowed_cidrs.iter().copied().collect::<HashSet<_>>();
    [
        (one.name == other.name, RequestField::Name),
        (one.actor_id == other.actor_id, RequestField::ActorId),
        (scopes(one) == scopes(other), RequestField::Scopes),
        (one.metadata == other.metadata, RequestField::Metadata),
        (one.visibility == other.visibility, RequestField::Visibility),
        (one.ttl_ms == other.ttl_ms, RequestField::Ttl),
        (
            one.rate_limit == other.rate_limit,
            RequestField::RateLimitPolicy,
        ),
        (blocks(one) == blocks(other), RequestField::IpRestriction),
    ]
    .into_iter()
    .find_map(|(is_equal, field)| (!is_equal).then_some(field))
}

/// The prefix of a key's credential, as histories configure it.
fn prefix(key_id: KeyId, visibility: Visibility) -> Option<String> {
    let prefix = match (key_id, visibility) {
        (KeyId::Imported(_), _) => return None,
        (KeyId::Issued(_), Visibility::Secret) => "talos",
        (KeyId::Issued(_), Visibility::Public) => "pub",
    };
    Some(prefix.to_owned())
}

/// When a key that was issued at `time` reaches the maximum age.
fn end_of_age(time: UnixMillis) -> UnixMillis {
    UnixMillis(time.0 + i64::try_from(MAX_TTL_S * 1000).expect("a day"))
}

/// A key as it is shown: an issued key expires at the latest when it reaches the maximum age.
pub(super) fn shown(record: &Record) -> Record {
    let mut record = record.clone();
    if record.key_id.kind() == KeyKind::Issued {
        let end = end_of_age(record.create_time);
        record.expire_time = Some(record.expire_time.map_or(end, |expiry| expiry.min(end)));
    }
    record
}

/// The status of a key at `now`. A revoked key stays revoked; a key is expired from the millisecond
/// of its expiry time on.
pub(super) fn status(record: &Record, now: UnixMillis) -> Status {
    match (&record.revocation, shown(record).expire_time) {
        (Some(_), _) => Status::Revoked,
        (None, Some(end)) if now >= end => Status::Expired,
        (None, _) => Status::Active,
    }
}

fn set(record: &mut Record, changes: FieldChanges) {
    let FieldChanges {
        name,
        scopes,
        metadata,
        rate_limit,
        allowed_cidrs,
    } = changes;
    record.name = name.unwrap_or(record.name.clone());
    record.scopes = scopes.unwrap_or(record.scopes.clone());
    record.metadata = metadata.unwrap_or(record.metadata.clone());
    record.rate_limit = rate_limit.unwrap_or(record.rate_limit);
    record.allowed_cidrs = allowed_cidrs.unwrap_or(record.allowed_cidrs.clone());
}
