//! Changes: the entries of the change log.

use std::sync::Arc;

use crate::admin_token::AdminToken;
use crate::author::Author;
use crate::bulk_revocation::BulkRevocation;
use crate::clock::UnixMillis;
use crate::ids::{Position, TenantId};
use crate::record::Record;
use crate::request_id::RequestId;
use crate::secret_uses::SecretFingerprint;

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
    /// `AdminTokenCreated`
    AdminTokenCreated,
    /// `AdminTokenRotated`: the token has a new text, and its former text is refused.
    AdminTokenRotated,
    /// `AdminTokenRevoked`: the subject is the token before its revocation.
    AdminTokenRevoked,
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
    /// The request id of the command, if it had one.
    pub request_id: Option<RequestId>,
    /// Its author. `None` if its request needed no principal, and for changes that follow from an
    /// earlier one, such as the end of a key by a bulk revocation.
    pub author: Option<Arc<Author>>,
    /// The secret that signed the credential of the new key, if this use of the secret has to be
    /// noted.
    pub signed_by: Option<SecretFingerprint>,
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
    /// An admin token after the change; if it is revoked, as it was before.
    AdminToken(AdminToken),
}

impl Change {
    /// The tenant of the subject; `None` for an admin token of every tenant.
    #[must_use]
    pub fn tenant(&self) -> Option<TenantId> {
        match &self.subject {
            Subject::Key(record) => Some(record.tenant),
            Subject::BulkRevocation(bulk_revocation) => Some(bulk_revocation.tenant),
            Subject::AdminToken(token) => token.tenant,
        }
    }

    /// Whether the change removes the record or the admin token.
    #[must_use]
    pub fn deletes(&self) -> bool {
        matches!(
            self.event,
            Event::ImportedKeyDeleted | Event::AdminTokenRevoked
        )
    }

    /// Whether the change makes a key whose credential a secret signs.
    fn signs(&self) -> bool {
        matches!(
            self.event,
            Event::IssuedKeyCreated | Event::IssuedKeyRotated
        )
    }

    /// Whether the event, the subject and the position fit together.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        if self.signed_by.is_some() && !self.signs() {
            return false;
        }
        match self.event {
            Event::IssuedKeyCreated
            | Event::IssuedKeyRevoked
            | Event::ImportedKeyRevoked
            | Event::ImportedKeyCreated
            | Event::IssuedKeyUpdated
            | Event::ImportedKeyUpdated
            | Event::IssuedKeyRotated
            | Event::ImportedKeyDeleted => matches!(self.subject, Subject::Key(_)),
            Event::BulkRevocationAdded => matches!(
                &self.subject,
                Subject::BulkRevocation(added) if added.position == self.position
            ),
            Event::BulkRevocationCompleted => matches!(
                &self.subject,
                Subject::BulkRevocation(completed)
                    if completed.position.sequence < self.position.sequence
            ),
            Event::AdminTokenCreated | Event::AdminTokenRotated | Event::AdminTokenRevoked => {
                matches!(
                    &self.subject,
                    Subject::AdminToken(token) if token.sequence == self.position.sequence
                )
            }
        }
    }
}
