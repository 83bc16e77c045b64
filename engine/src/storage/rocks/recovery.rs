//! Checks when a database opens that the log, the records and the witness are consistent.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use talos_model::{
    EpochHistory, EpochId, Event, Leadership, NodeState, Position, RecordKey, Sequence, Subject,
};

use super::store::RocksStore;
use crate::error::OpenError;
use crate::limits::RECOVERY_CHECKED_CHANGES;
use crate::storage::error::StorageError;
use crate::storage::record_reader::RecordReader;

/// Why a database must not be opened.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// The parts are not consistent.
    Damaged(String),
    /// A part cannot be read.
    Unreadable(StorageError),
}

impl From<StorageError> for Fault {
    fn from(error: StorageError) -> Self {
        Self::Unreadable(error)
    }
}

impl Fault {
    /// Converts the fault to the operator's error.
    pub fn at(self, path: &Path) -> OpenError {
        let path = path.to_owned();
        match self {
            Self::Damaged(what) => OpenError::Damaged { path, what },
            Self::Unreadable(StorageError::Corrupt(what)) => OpenError::Damaged {
                path,
                what: what.to_owned(),
            },
            Self::Unreadable(error) => OpenError::Storage {
                path,
                message: error.to_string(),
            },
        }
    }
}

/// The state of the node, and the last change in its log: [`Position::START`] while a copy is
/// incomplete. Checks that no change up to `acknowledged` is missing.
pub fn checked(
    store: &RocksStore,
    acknowledged: Option<Position>,
) -> Result<(NodeState, Position), Fault> {
    let standing = standing(store)?;
    let last = match standing.copying {
        // The parts do not match before the copy is complete.
        Some(_) => Position::START,
        None => check(store, &standing.epochs, acknowledged)?,
    };
    Ok((standing, last))
}

/// The durable state of the node. A database without an epoch history gets one, durably.
fn standing(store: &RocksStore) -> Result<NodeState, Fault> {
    if let Some(standing) = store.standing()? {
        return Ok(standing);
    }
    let state = NodeState {
        cluster: random()?,
        epochs: EpochHistory::first(EpochId(random()?)),
        leadership: Leadership::Own,
        copying: None,
    };
    store.write_first_state(&state)?;
    Ok(state)
}

fn random() -> Result<[u8; 16], StorageError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| StorageError::Io(error.to_string()))?;
    Ok(bytes)
}

/// Compares the end of the log with the witness and with the records. Returns the last position.
fn check(
    store: &RocksStore,
    epochs: &EpochHistory,
    witness: Option<Position>,
) -> Result<Position, Fault> {
    let last = store.last_position()?.unwrap_or(Position::START);
    if !epochs.has(last) {
        return Err(Fault::Damaged(format!(
            "change {} is of epoch {}, which the database does not know",
            last.sequence.0, last.epoch.0
        )));
    }
    if let Some(acknowledged) = witness.filter(|acknowledged| *acknowledged > last) {
        return Err(Fault::Damaged(format!(
            "change {} was acknowledged, but the log ends at {}",
            acknowledged.sequence.0, last.sequence.0
        )));
    }
    let mut newest = Sequence(0);
    for shard in store.shards().all() {
        newest = newest.max(store.last_of_shard(shard)?);
    }
    if newest != last.sequence {
        return Err(Fault::Damaged(format!(
            "the records end at change {}, the log at {}",
            newest.0, last.sequence.0
        )));
    }
    check_tail(store, last)?;
    Ok(last)
}

/// Checks that the last changes have no gap, and that their records, the bulk revocations in force
/// and the admin tokens agree with them.
fn check_tail(store: &RocksStore, last: Position) -> Result<(), Fault> {
    let mut expected = last.sequence.0;
    // Newest first: the first change seen of a key or an admin token determines its state, and the
    // first change seen of a bulk revocation determines whether it is in force.
    let mut seen = HashSet::new();
    let mut bulk_revocations_seen = HashSet::new();
    let in_force: HashSet<_> = store
        .bulk_revocations()?
        .into_iter()
        .map(|bulk_revocation| bulk_revocation.id)
        .collect();
    let mut admin_tokens_seen = HashSet::new();
    let admin_tokens: HashMap<_, _> = store
        .admin_tokens()?
        .into_iter()
        .map(|token| (token.id, token.sequence))
        .collect();
    for change in store.newest_changes()?.take(RECOVERY_CHECKED_CHANGES) {
        let change = change?;
        if change.position.sequence.0 != expected {
            return Err(Fault::Damaged(format!(
                "change {expected} is missing in the log"
            )));
        }
        let wanted = (!change.deletes()).then_some(change.position.sequence);
        let (is_there, place) = match &change.subject {
            Subject::Key(record) => {
                let key = RecordKey::new(record.tenant, record.key_id);
                let is_newest = seen.insert(key);
                let is_there =
                    !is_newest || store.read(&key)?.map(|record| record.sequence) == wanted;
                (is_there, "its record")
            }
            Subject::BulkRevocation(bulk_revocation) => {
                let is_wanted = change.event == Event::BulkRevocationAdded;
                let is_newest = bulk_revocations_seen.insert(bulk_revocation.id);
                let is_there = !is_newest || in_force.contains(&bulk_revocation.id) == is_wanted;
                (is_there, "the rules in force")
            }
            Subject::AdminToken(token) => {
                let is_newest = admin_tokens_seen.insert(token.id);
                let is_there = !is_newest || admin_tokens.get(&token.id).copied() == wanted;
                (is_there, "the admin tokens")
            }
        };
        if !is_there {
            return Err(Fault::Damaged(format!(
                "change {expected} is in the log, but not in {place}"
            )));
        }
        expected -= 1;
    }
    Ok(())
}
