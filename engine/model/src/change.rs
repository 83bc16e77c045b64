//! Changes: the entries of the change log.

use crate::clock::UnixMillis;
use crate::ids::{Position, TenantId};
use crate::record::Record;
use crate::rules::Rule;

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
    /// `RevocationRuleAdded`: all keys that the rule matches have ended.
    RuleAdded,
    /// `RevocationRuleCompleted`: the records of all these keys say so themselves.
    RuleCompleted,
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
    /// Many keys: a rule that begins, or that is no longer needed.
    Rule(Rule),
}

impl Change {
    /// The tenant of what is concerned.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        match &self.subject {
            Subject::Key(record) => record.tenant,
            Subject::Rule(rule) => rule.tenant,
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
            (Subject::Rule(rule), Event::RuleAdded) => rule.position == self.position,
            (Subject::Rule(rule), Event::RuleCompleted) => {
                rule.position.sequence < self.position.sequence
            }
            (Subject::Rule(_), _) => false,
            (Subject::Key(_), event) => !matches!(event, Event::RuleAdded | Event::RuleCompleted),
        }
    }
}
