//! Changes of records and admin tokens: pure functions of the current state, the command and the
//! time.

use talos_model::clock::UnixMillis;
use talos_model::limits::ADMIN_TOKENS;
use talos_model::{
    AdminToken, AdminTokens, BulkRevocation, Change, CreateAdminToken, Event, FieldChanges,
    IssueKey, KeyId, Position, Record, Rejection, RequestId, Revocation, RevocationReason,
    RevokeKey, RotateAdminToken, Status, Subject, Visibility,
};
use uuid::Uuid;

/// The change of one key, before it joins a group.
pub struct KeyChange {
    position: Position,
    time: UnixMillis,
    event: Event,
    request_id: Option<RequestId>,
    /// The record after the change.
    pub record: Record,
}

impl From<KeyChange> for Change {
    fn from(change: KeyChange) -> Self {
        Self {
            position: change.position,
            time: change.time,
            event: change.event,
            request_id: change.request_id,
            author: None,
            signed_by: None,
            subject: Subject::Key(change.record),
        }
    }
}

/// The change that creates a key: an issued key with its prefix, or an imported key without one.
pub fn create(
    key: IssueKey,
    key_id: KeyId,
    prefix: Option<String>,
    now: UnixMillis,
    position: Position,
) -> KeyChange {
    let record = Record {
        tenant: key.tenant,
        key_id,
        sequence: position.sequence,
        name: key.name,
        actor_id: key.actor_id,
        scopes: key.scopes,
        metadata: key.metadata,
        visibility: key.visibility,
        prefix,
        create_time: now,
        update_time: now,
        expire_time: key.ttl_ms.map(|ttl_ms| after(now, ttl_ms)),
        revocation: None,
        rate_limit: key.rate_limit,
        allowed_cidrs: key.allowed_cidrs,
    };
    let event = by_kind(key_id, Event::IssuedKeyCreated, Event::ImportedKeyCreated);
    KeyChange {
        position,
        time: now,
        event,
        request_id: key.request_id,
        record,
    }
}

/// The change that sets fields of a key.
pub fn update(
    current: Option<Record>,
    changes: FieldChanges,
    now: UnixMillis,
    position: Position,
) -> Result<KeyChange, Rejection> {
    let mut record = current.ok_or(Rejection::NotFound)?;
    set_fields(&mut record, changes);
    let event = by_kind(
        record.key_id,
        Event::IssuedKeyUpdated,
        Event::ImportedKeyUpdated,
    );
    Ok(changed(record, event, now, position))
}

/// The change that revokes a key.
pub fn revoke(
    current: Option<Record>,
    command: RevokeKey,
    now: UnixMillis,
    position: Position,
) -> Result<KeyChange, Rejection> {
    let mut record = current.ok_or(Rejection::NotFound)?;
    if record.revocation.is_some() {
        return Err(Rejection::AlreadyRevoked);
    }
    record.revocation = Some(Revocation {
        reason: command.reason,
        description: command.description,
        time: now,
    });
    let event = by_kind(
        record.key_id,
        Event::IssuedKeyRevoked,
        Event::ImportedKeyRevoked,
    );
    Ok(changed(record, event, now, position))
}

/// The change that writes the effect of a bulk revocation into a record that it has ended.
pub fn revoke_in_bulk(
    record: Record,
    bulk_revocation: &BulkRevocation,
    now: UnixMillis,
    position: Position,
) -> KeyChange {
    let mut record = bulk_revocation.end(record);
    record.sequence = position.sequence;
    let event = by_kind(
        record.key_id,
        Event::IssuedKeyRevoked,
        Event::ImportedKeyRevoked,
    );
    KeyChange {
        position,
        time: now,
        event,
        request_id: None,
        record,
    }
}

/// The two changes that rotate an active key: the revocation of the old key, and the new key, which
/// inherits the fields that are not overridden. Both belong in one write.
pub fn rotate(
    current: Option<Record>,
    replacement: Replacement,
    now: UnixMillis,
    position: Position,
) -> Result<[KeyChange; 2], Rejection> {
    let current = current.ok_or(Rejection::NotFound)?;
    if current.status(now) != Status::Active {
        return Err(Rejection::NotActive);
    }
    let mut record = Record {
        key_id: replacement.key_id,
        visibility: replacement.visibility,
        prefix: Some(replacement.prefix),
        create_time: now,
        ..current.clone()
    };
    set_fields(&mut record, replacement.changes);
    let superseded = RevokeKey {
        tenant: current.tenant,
        key_id: current.key_id,
        reason: RevocationReason::Superseded,
        description: String::new(),
    };
    let old = revoke(Some(current), superseded, now, position)?;
    let new = changed(record, Event::IssuedKeyRotated, now, position.next());
    Ok([old, new])
}

/// The properties of the new key of a rotation that its predecessor did not have.
pub struct Replacement {
    /// The id of the new key.
    pub key_id: KeyId,
    /// The visibility of the new key.
    pub visibility: Visibility,
    /// The prefix of its credential.
    pub prefix: String,
    /// The fields that the new key does not inherit.
    pub changes: FieldChanges,
}

/// The change that deletes an imported key.
pub fn delete(
    current: Option<Record>,
    now: UnixMillis,
    position: Position,
) -> Result<KeyChange, Rejection> {
    let record = current.ok_or(Rejection::NotFound)?;
    Ok(changed(record, Event::ImportedKeyDeleted, now, position))
}

/// The admin token of a creation, if there is room for it and its name is free.
pub fn create_admin_token(
    tokens: &AdminTokens,
    command: CreateAdminToken,
    id: Uuid,
    now: UnixMillis,
    position: Position,
) -> Result<AdminToken, Rejection> {
    if tokens.named(&command.name).is_some() {
        return Err(Rejection::AdminTokenExists);
    }
    if tokens.all().len() >= ADMIN_TOKENS {
        return Err(Rejection::TooManyAdminTokens);
    }
    Ok(AdminToken {
        id,
        name: command.name,
        digest: command.digest,
        role: command.role,
        tenant: command.tenant,
        create_time: now,
        rotate_time: now,
        expire_time: command.ttl_ms.map(|ttl_ms| after(now, ttl_ms)),
        sequence: position.sequence,
    })
}

/// The admin token after its rotation.
pub fn rotate_admin_token(
    current: Option<&AdminToken>,
    command: &RotateAdminToken,
    now: UnixMillis,
    position: Position,
) -> Result<AdminToken, Rejection> {
    let current = current.ok_or(Rejection::AdminTokenNotFound)?;
    let expire_time = command.ttl_ms.map(|ttl_ms| after(now, ttl_ms));
    Ok(AdminToken {
        digest: command.digest,
        rotate_time: now,
        expire_time: expire_time.or(current.expire_time),
        sequence: position.sequence,
        ..current.clone()
    })
}

/// The admin token that a revocation removes.
pub fn revoke_admin_token(
    current: Option<&AdminToken>,
    position: Position,
) -> Result<AdminToken, Rejection> {
    let current = current.ok_or(Rejection::AdminTokenNotFound)?;
    Ok(AdminToken {
        sequence: position.sequence,
        ..current.clone()
    })
}

/// The instant `ttl_ms` milliseconds after `now`.
fn after(now: UnixMillis, ttl_ms: u64) -> UnixMillis {
    let ttl_ms = i64::try_from(ttl_ms).unwrap_or(i64::MAX);
    UnixMillis(now.0.saturating_add(ttl_ms))
}

fn set_fields(record: &mut Record, changes: FieldChanges) {
    fn set<T>(field: &mut T, value: Option<T>) {
        if let Some(value) = value {
            *field = value;
        }
    }
    set(&mut record.name, changes.name);
    set(&mut record.scopes, changes.scopes);
    set(&mut record.metadata, changes.metadata);
    set(&mut record.rate_limit, changes.rate_limit);
    set(&mut record.allowed_cidrs, changes.allowed_cidrs);
}

fn changed(mut record: Record, event: Event, now: UnixMillis, position: Position) -> KeyChange {
    record.sequence = position.sequence;
    record.update_time = now;
    KeyChange {
        position,
        time: now,
        event,
        request_id: None,
        record,
    }
}

fn by_kind(key_id: KeyId, issued: Event, imported: Event) -> Event {
    match key_id {
        KeyId::Issued(_) => issued,
        KeyId::Imported(_) => imported,
    }
}
