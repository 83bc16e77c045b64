//! Changes: the entries of the change log.

use crate::bulk_revocation::BulkRevocation;
use crate::clock::UnixMillis;
use crate::ids::{Position, TenantId};
use crate::record::Record;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// `IssuedAPIKeyCreated`
    IssuedKeyCreated,
    /// `IssuedAPIKeyRevoked`
    IssuedKeyRevoked,
    /// `ImportedAPIKeyRevoked`
    ImportedKeyRevoked,
    /// `ImportedAPIKeyCreated`
    ImportedKeyCreated,
    /// `IssuedAPIKeyUpdated`
    IssuedKeyUpdated,
    /// `ImportedAPIKeyUpdated`
    ImportedKeyUpdated,
    /// `IssuedAPIKeyRotated`: the new key; the old one's revocation precedes it.
    IssuedKeyRotated,
    /// `ImportedAPIKeyDeleted`: the record is the last that there was.
    ImportedKeyDeleted,
    /// `RevocationRuleAdded`: all keys that the bulk revocation matches have ended.
    BulkRevocationAdded,
    /// `RevocationRuleCompleted`: the records of all these keys say so themselves.
    BulkRevocationCompleted,
}

/// One entry of the change log: what happened, and to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where it stands in the log.
    pub position: Position,
    /// When it was decided.
    pub time: UnixMillis,
    /// What happened.
    pub event: Event,
    /// The idempotency key of the command, if it had one.
    pub request_id: Option<String>,
    /// What is concerned.
    pub subject: Subject,
}

/// What a change is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A key: its record after the change.
    Key(Record),
    /// Many keys: a bulk revocation that begins, or that is no longer needed.
    BulkRevocation(BulkRevocation),
}

impl Change {
    /// The tenant of what is concerned.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        match &self.subject {
            Subject::Key(record) => record.tenant,
            Subject::BulkRevocation(bulk_revocation) => bulk_revocation.tenant,
        }
    }

    /// Whether the change removes the record.
    #[must_use]
    pub fn deletes(&self) -> bool {
        self.event == Event::ImportedKeyDeleted
    }

    /// Whether the event is one of what is concerned.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        match (&self.subject, self.event) {
            (Subject::BulkRevocation(bulk_revocation), Event::BulkRevocationAdded) => {
                bulk_revocation.position == self.position
            }
            (Subject::BulkRevocation(bulk_revocation), Event::BulkRevocationCompleted) => {
                bulk_revocation.position.sequence < self.position.sequence
            }
            (Subject::BulkRevocation(_), _) => false,
            (Subject::Key(_), event) => !matches!(
                event,
                Event::BulkRevocationAdded | Event::BulkRevocationCompleted
            ),
        }
    }
}
