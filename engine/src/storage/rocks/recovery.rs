//! What is checked when a database opens: that the log, the records and the witness tell one story.

use std::collections::HashSet;
use std::path::Path;

use talos_model::{
    EpochHistory, EpochId, Event, Leadership, NodeState, Position, RecordKey, Sequence, Subject,
};

use super::store::RocksStore;
use crate::error::OpenError;
use crate::limits::RECOVERY_CHECKED_CHANGES;
use crate::storage::error::StorageError;
use crate::storage::rows::Rows;

/// Why a database must not be opened.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// The parts do not fit together.
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
    /// The same, as the operator sees it.
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

/// What is durable besides the changes; a database that has no epoch history yet gets one, durably.
pub fn standing(store: &RocksStore) -> Result<NodeState, Fault> {
    if let Some(standing) = store.standing()? {
        return Ok(standing);
    }
    let epochs = EpochHistory::first(random()?, EpochId(random()?));
    store.found(&epochs)?;
    Ok(NodeState {
        epochs,
        leadership: Leadership::Own,
        copying: None,
    })
}

fn random() -> Result<[u8; 16], StorageError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| StorageError::Io(error.to_string()))?;
    Ok(bytes)
}

/// Compares the end of the log with the witness and with the records; returns the last position.
pub fn check(
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
    if let Some(noted) = witness.filter(|noted| *noted > last) {
        return Err(Fault::Damaged(format!(
            "change {} was acknowledged, but the log ends at {}",
            noted.sequence.0, last.sequence.0
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

/// The last changes have no gap, and no record is older than its last change.
fn check_tail(store: &RocksStore, last: Position) -> Result<(), Fault> {
    let mut expected = last.sequence.0;
    // Newest first, so the first change of a key that is met decides how its record must stand, and that of a rule, whether it is
    // in force.
    let mut met = HashSet::new();
    let mut rules_met = HashSet::new();
    let in_force: HashSet<_> = store.rules()?.into_iter().map(|rule| rule.id).collect();
    for change in store.newest_changes()?.take(RECOVERY_CHECKED_CHANGES) {
        let change = change?;
        if change.position.sequence.0 != expected {
            return Err(Fault::Damaged(format!(
                "change {expected} is missing in the log"
            )));
        }
        let (is_there, place) = match &change.subject {
            Subject::Key(record) => {
                let key = RecordKey::new(record.tenant, record.key_id);
                let wanted = (!change.deletes()).then_some(change.position.sequence);
                let is_newest = met.insert(key);
                let is_there =
                    !is_newest || store.read(&key)?.map(|record| record.sequence) == wanted;
                (is_there, "its record")
            }
            Subject::Rule(rule) => {
                let is_wanted = change.event == Event::RuleAdded;
                let is_newest = rules_met.insert(rule.id);
                let is_there = !is_newest || in_force.contains(&rule.id) == is_wanted;
                (is_there, "the rules in force")
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
