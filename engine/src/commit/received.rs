//! Changes that come from another node: whether they are the next ones, and what follows from them.

use std::collections::HashMap;

use talos_model::{
    Change, EpochHistory, Event, FollowError, LoggedChange, Position, Sequence, Subject, TenantId,
};

use crate::storage::{Rows, StorageError, decode_change};

/// Whether `found` is the change after `last`, of the epoch that it belongs to.
pub fn check_next(
    epochs: &EpochHistory,
    last: Position,
    found: Position,
) -> Result<(), FollowError> {
    let expected = last.sequence.next();
    if found.sequence != expected {
        return Err(FollowError::Gap {
            expected,
            found: found.sequence,
        });
    }
    check_epoch(epochs, found)
}

fn check_epoch(epochs: &EpochHistory, found: Position) -> Result<(), FollowError> {
    match epochs.epoch_of(found.sequence) {
        Some(known) if found.epoch == known => Ok(()),
        Some(known) if found.epoch < known => Err(FollowError::OlderEpoch {
            known,
            found: found.epoch,
        }),
        _ => Err(FollowError::UnknownEpoch { found: found.epoch }),
    }
}

/// Whether a change that is not after the last one is the very change that is here, of which the log says `logged`. The log
/// forgets old changes; of those only the epoch can be compared.
pub fn check_known(
    epochs: &EpochHistory,
    change: &LoggedChange,
    logged: Option<&[u8]>,
) -> Result<(), FollowError> {
    let is_same = match logged {
        Some(logged) => logged == change.bytes,
        None => epochs.has(change.position),
    };
    let at = change.position.sequence;
    is_same.then_some(()).ok_or(FollowError::Diverged { at })
}

/// The change that these bytes are.
pub fn read(logged: &LoggedChange) -> Result<Change, FollowError> {
    let change = decode_change(logged.position, &logged.bytes)
        .map_err(|error| FollowError::Malformed(error.to_string()))?;
    // Cells order rows by it: a record must not claim to be newer than its change.
    if let Subject::Key(record) = &change.subject
        && record.sequence != logged.position.sequence
    {
        let sequence = record.sequence;
        let Sequence(at) = logged.position.sequence;
        return Err(FollowError::Malformed(format!(
            "change {at} holds a record of change {}",
            sequence.0
        )));
    }
    Ok(change)
}

/// How many keys that are not revoked the tenants have after these changes.
pub fn live_keys(
    rows: &dyn Rows,
    changes: &[Change],
) -> Result<HashMap<TenantId, u64>, StorageError> {
    let mut counts = HashMap::new();
    for change in changes {
        let Subject::Key(record) = &change.subject else {
            continue;
        };
        let tenant = record.tenant;
        let live = match counts.get(&tenant) {
            Some(live) => *live,
            None => rows.live_keys(tenant)?,
        };
        let is_live = record.revocation.is_none();
        let live = match change.event {
            Event::IssuedKeyCreated | Event::ImportedKeyCreated | Event::IssuedKeyRotated => {
                live + 1
            }
            Event::IssuedKeyRevoked | Event::ImportedKeyRevoked => live.saturating_sub(1),
            Event::ImportedKeyDeleted if is_live => live.saturating_sub(1),
            Event::ImportedKeyDeleted
            | Event::IssuedKeyUpdated
            | Event::ImportedKeyUpdated
            | Event::RuleAdded
            | Event::RuleCompleted => live,
        };
        counts.insert(tenant, live);
    }
    Ok(counts)
}
