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
    /// `IssuedAPIKeyRotated`: the new key. The change before it revokes the old key.
    IssuedKeyRotated,
    /// `ImportedAPIKeyDeleted`: the subject is the record before its deletion.
    ImportedKeyDeleted,
    /// `RevocationRuleAdded`: all keys that the bulk revocation matches are revoked.
    BulkRevocationAdded,
    /// `RevocationRuleCompleted`: the records of all these keys now contain the revocation.
    BulkRevocationCompleted,
}

/// One entry of the change log: an event and its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its position in the log.
    pub position: Position,
    /// When the primary decided it.
    pub time: UnixMillis,
    /// What happened.
    pub event: Event,
    /// The idempotency key of the command, if it had one.
    pub request_id: Option<String>,
    /// What the event changed.
    pub subject: Subject,
}

/// What a change is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A key, as its record after the change.
    Key(Record),
    /// Many keys: a bulk revocation that comes into force or is completed.
    BulkRevocation(BulkRevocation),
}

impl Change {
    /// The tenant of the subject.
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

    /// Whether the event, the subject and the position fit together.
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
