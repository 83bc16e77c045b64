//! Checks of changes that another node sent, and what follows from the changes.

use std::borrow::Cow;
use std::collections::HashMap;

use talos_model::{
    Change, EpochHistory, Event, FollowError, LoggedChange, Position, SecretUse, SecretUses,
    Sequence, Subject, TenantId,
};

use crate::storage::{RecordReader, StorageError, decode_change};

/// Checks that `found` is the position after `last`, and of the epoch that its sequence belongs to.
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

/// Checks that a change which the node holds already is the same as the one in its log. `logged` is
/// the log's entry. The log drops old changes; of these only the epoch can be compared.
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

/// Decodes a change from the bytes of the log.
pub fn read(logged: &LoggedChange) -> Result<Change, FollowError> {
    let change = decode_change(logged.position, &logged.bytes)
        .map_err(|error| FollowError::Malformed(error.to_string()))?;
    // Cells order their values by the record's sequence: a record must not claim to be newer than
    // its change.
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

/// How many keys that are not revoked the tenants have after these changes. Holds the tenants that
/// occur in the changes.
pub fn live_keys(
    reader: &dyn RecordReader,
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
            None => reader.live_keys(tenant)?,
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
            | Event::BulkRevocationAdded
            | Event::BulkRevocationCompleted
            | Event::AdminTokenCreated
            | Event::AdminTokenRotated
            | Event::AdminTokenRevoked => live,
        };
        counts.insert(tenant, live);
    }
    Ok(counts)
}

/// The uses of secrets that these changes note, as they are after all of them.
pub fn secret_uses(uses: &SecretUses, changes: &[Change]) -> Vec<SecretUse> {
    let mut uses = Cow::Borrowed(uses);
    let signed = changes
        .iter()
        .filter_map(|change| Some((change.tenant()?, change.signed_by?, change.time)));
    signed
        .map(|(tenant, fingerprint, time)| uses.to_mut().note(tenant, fingerprint, time))
        .collect()
}
