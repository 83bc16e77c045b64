//! What a command does to a record: pure functions of the record as it is, the command and the time.

use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::command::{IssueKey, Rejection, RevokeKey};
use crate::ids::{KeyId, Position};
use crate::record::{Record, Revocation};
use crate::storage::{Change, Event};

/// The change that makes a new key.
pub fn issue(command: IssueKey, uuid: Uuid, now: UnixMillis, position: Position) -> Change {
    let ttl_ms = command
        .ttl_ms
        .map(|ttl_ms| i64::try_from(ttl_ms).unwrap_or(i64::MAX));
    let record = Record {
        tenant: command.tenant,
        key_id: KeyId::Issued(uuid),
        sequence: position.sequence,
        name: command.name,
        actor_id: command.actor_id,
        scopes: command.scopes,
        metadata: command.metadata,
        visibility: command.visibility,
        create_time: now,
        update_time: now,
        expire_time: ttl_ms.map(|ttl_ms| UnixMillis(now.0.saturating_add(ttl_ms))),
        revocation: None,
        rate_limit: command.rate_limit,
        allowed_cidrs: command.allowed_cidrs,
    };
    Change {
        position,
        time: now,
        event: Event::IssuedKeyCreated,
        request_id: command.request_id,
        record,
    }
}

/// The change that ends a key.
pub fn revoke(
    current: Option<Record>,
    command: RevokeKey,
    now: UnixMillis,
    position: Position,
) -> Result<Change, Rejection> {
    let mut record = current.ok_or(Rejection::NotFound)?;
    if record.revocation.is_some() {
        return Err(Rejection::AlreadyRevoked);
    }
    record.sequence = position.sequence;
    record.update_time = now;
    record.revocation = Some(Revocation {
        reason: command.reason,
        description: command.description,
        time: now,
    });
    let event = match record.key_id {
        KeyId::Issued(_) => Event::IssuedKeyRevoked,
        KeyId::Imported(_) => Event::ImportedKeyRevoked,
    };
    Ok(Change {
        position,
        time: now,
        event,
        request_id: None,
        record,
    })
}
