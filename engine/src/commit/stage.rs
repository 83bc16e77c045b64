//! A group of commands on its way to one write: each sees what those before it in the group have done.

use std::collections::HashMap;

use uuid::Uuid;

use super::apply;
use crate::clock::UnixMillis;
use crate::command::{CommandError, IssueKey, Outcome, RevokeKey};
use crate::ids::{Position, TenantId};
use crate::record::Record;
use crate::secret::Secret;
use crate::storage::{Change, RecordKey, Rows, StorageError};

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
        /// When it was asked for.
        now: UnixMillis,
    },
    /// End a key.
    Revoke {
        /// What was asked for.
        command: RevokeKey,
        /// When it was asked for.
        now: UnixMillis,
    },
}

/// The changes of a group, none of them durable yet.
pub struct Stage<'a> {
    rows: &'a dyn Rows,
    last: Position,
    changes: Vec<Change>,
    records: HashMap<RecordKey, Record>,
    requests: HashMap<(TenantId, String), RecordKey>,
}

impl<'a> Stage<'a> {
    /// An empty group that continues after `last`.
    pub fn new(rows: &'a dyn Rows, last: Position) -> Self {
        Self {
            rows,
            last,
            changes: Vec::new(),
            records: HashMap::new(),
            requests: HashMap::new(),
        }
    }

    /// The changes so far, in order.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The position of the last change.
    pub fn last(&self) -> Position {
        self.last
    }

    /// Applies one command; what it returns holds once the group is durable.
    pub fn apply(&mut self, command: Prepared) -> Result<Outcome, CommandError> {
        match command {
            Prepared::Issue {
                command,
                uuid,
                secret,
                now,
            } => {
                if let Some(record) = self.made_before(&command)? {
                    return Ok(Outcome::Issued {
                        record,
                        secret: None,
                    });
                }
                let record = self.push(apply::issue(command, uuid, now, self.next()));
                Ok(Outcome::Issued {
                    record,
                    secret: Some(secret),
                })
            }
            Prepared::Revoke { command, now } => {
                let current = self.record(&RecordKey::new(command.tenant, command.key_id))?;
                let record = self.push(apply::revoke(current, command, now, self.next())?);
                Ok(Outcome::Revoked { record })
            }
        }
    }

    fn next(&self) -> Position {
        Position {
            epoch: self.last.epoch,
            sequence: self.last.sequence.next(),
        }
    }

    fn push(&mut self, change: Change) -> Record {
        debug_assert_eq!(change.position, self.next(), "sequences have no gap");
        let record = change.record.clone();
        let key = RecordKey::new(record.tenant, record.key_id);
        if let Some(request_id) = &change.request_id {
            self.requests
                .insert((record.tenant, request_id.clone()), key);
        }
        self.records.insert(key, record.clone());
        self.last = change.position;
        self.changes.push(change);
        record
    }

    fn record(&self, key: &RecordKey) -> Result<Option<Record>, StorageError> {
        match self.records.get(key) {
            Some(record) => Ok(Some(record.clone())),
            None => self.rows.read(key),
        }
    }

    /// The key that an earlier command with the same request id made (AIP-155).
    fn made_before(&self, command: &IssueKey) -> Result<Option<Record>, StorageError> {
        let Some(request_id) = &command.request_id else {
            return Ok(None);
        };
        let key = match self.requests.get(&(command.tenant, request_id.clone())) {
            Some(key) => Some(*key),
            None => self.rows.key_of_request(command.tenant, request_id)?,
        };
        key.map_or(Ok(None), |key| self.record(&key))
    }
}

impl From<StorageError> for CommandError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error.to_string())
    }
}
