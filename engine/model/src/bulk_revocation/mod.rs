//! Bulk revocations: one change that revokes many keys at once.
//!
//! A bulk revocation is in force as soon as its change is durable and published, on every node that
//! applies the change. The records on disk are rewritten later, a few at a time (the engine's
//! `catch_up.rs`). Until then every reader applies the bulk revocations in force to
//! a record before it shows it ([`BulkRevocations::apply`]). When all records are rewritten,
//! another change completes the bulk revocation, which is then no longer in force.
//!
//! Guarantees:
//! - A bulk revocation revokes a key only if the last change of its record came before the bulk
//!   revocation. Keys that are created later, also by a rotation, are not affected. A command on a
//!   key that a bulk revocation has revoked writes that revocation to the record first (the
//!   engine's `commit/stage.rs`), so that the later change does not undo it.
//! - A reader takes the bulk revocations *before* it reads the record. A cell may keep a record
//!   that was read under older bulk revocations, together with the newest one that it was compared
//!   with. A verification that finds it there under newer ones reads the record again, unless none
//!   of them can match it ([`BulkRevocations::concern`]).
//! - A key shows the same revocation before and after its record is rewritten: reason, description
//!   and time of the bulk revocation.

mod bloom_fingerprint;
mod revocation;

use std::sync::Arc;

pub use bloom_fingerprint::BloomFingerprint;
#[cfg(test)]
pub(crate) use revocation::tests as samples;
pub use revocation::{BulkRevocation, Matcher};

use crate::ids::{Sequence, TenantId};
use crate::record::Record;

/// The bulk revocations that are in force at one moment, and the newest one that was ever in force.
#[derive(Clone, Debug, Default)]
pub struct BulkRevocations {
    /// The newest bulk revocation, in force or not, since the engine was opened or copied. Never
    /// decreases, so that a record compared with more bulk revocations always counts as newer.
    newest: Sequence,
    /// Oldest first. `None` if there are none, so that a verification needs no other cache line to
    /// find that out.
    in_force: Option<Arc<[InForce]>>,
}

#[derive(Debug)]
struct InForce {
    bulk_revocation: Arc<BulkRevocation>,
    fingerprint: BloomFingerprint,
}

/// What a cached key knows about its record, for [`BulkRevocations::concern`].
#[derive(Clone, Copy, Debug)]
pub struct KeyFacts {
    /// The newest bulk revocation that the record was compared with, or its own last change if that
    /// is later.
    pub compared: Sequence,
    /// When the record was created, in milliseconds since 1970.
    pub create_ms: i64,
    /// The other properties that bulk revocations match.
    pub fingerprint: BloomFingerprint,
}

impl BulkRevocations {
    /// Puts these into force; they may be in any order.
    #[must_use]
    pub fn new(mut bulk_revocations: Vec<BulkRevocation>) -> Self {
        let mut all = Self::default();
        bulk_revocations.sort_by_key(|bulk_revocation| bulk_revocation.position.sequence);
        for bulk_revocation in bulk_revocations {
            all = all.with(bulk_revocation);
        }
        all
    }

    /// A copy with one more, which must be newer than all of them.
    #[must_use]
    pub fn with(&self, bulk_revocation: BulkRevocation) -> Self {
        let newest = bulk_revocation.position.sequence;
        let added = InForce {
            fingerprint: BloomFingerprint::wanted(&bulk_revocation.matcher),
            bulk_revocation: Arc::new(bulk_revocation),
        };
        let known = self.in_force().iter().map(InForce::share);
        Self {
            newest,
            in_force: Some(known.chain([added]).collect()),
        }
    }

    /// A copy without this one.
    #[must_use]
    pub fn without(&self, bulk_revocation: &BulkRevocation) -> Self {
        let others = self
            .in_force()
            .iter()
            .filter(|known| known.bulk_revocation.id != bulk_revocation.id);
        let left: Arc<[_]> = others.map(InForce::share).collect();
        Self {
            newest: self.newest,
            in_force: (!left.is_empty()).then_some(left),
        }
    }

    /// The newest bulk revocation, in force or not, since the engine was opened or copied.
    #[inline]
    #[must_use]
    pub fn newest(&self) -> Sequence {
        self.newest
    }

    /// Whether none is in force. A verification from memory checks this first and, if true, nothing
    /// else.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.in_force.is_none()
    }

    /// The number of bulk revocations in force.
    #[must_use]
    pub fn len(&self) -> usize {
        self.in_force().len()
    }

    /// The bulk revocations in force, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<BulkRevocation>> {
        self.in_force().iter().map(|known| &known.bulk_revocation)
    }

    /// The bulk revocation that revokes this key: the oldest, if there are several.
    #[must_use]
    pub fn ending(&self, record: &Record) -> Option<&Arc<BulkRevocation>> {
        self.iter()
            .find(|bulk_revocation| bulk_revocation.ends(record))
    }

    /// The record with the bulk revocations in force applied.
    #[must_use]
    pub fn apply(&self, record: Record) -> Record {
        match self.ending(&record) {
            Some(bulk_revocation) => bulk_revocation.end(record),
            None => record,
        }
    }

    /// Whether any of them revokes keys of this tenant.
    #[must_use]
    pub fn concern_tenant(&self, tenant: TenantId) -> bool {
        self.iter()
            .any(|bulk_revocation| bulk_revocation.tenant == tenant)
    }

    /// Whether one of them may revoke the key with these facts, so that its record must be read
    /// again.
    #[must_use]
    pub fn concern(&self, tenant: TenantId, facts: &KeyFacts) -> bool {
        self.in_force().iter().any(
            |InForce {
                 bulk_revocation,
                 fingerprint,
             }| {
                let created_before = bulk_revocation.matcher.created_before;
                bulk_revocation.position.sequence > facts.compared
                    && bulk_revocation.tenant == tenant
                    && created_before.is_none_or(|end| facts.create_ms < end.0)
                    && facts.fingerprint.may_have(*fingerprint)
            },
        )
    }

    fn in_force(&self) -> &[InForce] {
        self.in_force.as_deref().unwrap_or_default()
    }
}

impl InForce {
    fn share(&self) -> Self {
        Self {
            bulk_revocation: Arc::clone(&self.bulk_revocation),
            fingerprint: self.fingerprint,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::samples::{bulk_revocation, conditions, record};
    use super::*;

    fn facts(record: &Record, compared: u64) -> KeyFacts {
        KeyFacts {
            compared: Sequence(compared),
            create_ms: record.create_time.0,
            fingerprint: BloomFingerprint::of(record),
        }
    }

    #[test]
    fn a_bulk_revocation_concerns_every_key_that_it_revokes() {
        for (matcher, holds) in conditions() {
            let bulk_revocations = BulkRevocations::new(vec![bulk_revocation(5, matcher.clone())]);
            let concerned = bulk_revocations.concern(TenantId::SINGLE, &facts(&record(1), 1));
            assert!(concerned || !holds, "{matcher:?}");
            assert_eq!(
                bulk_revocations.ending(&record(1)).is_some(),
                holds,
                "{matcher:?}"
            );
            let compared = bulk_revocations.concern(TenantId::SINGLE, &facts(&record(1), 5));
            assert!(!compared, "{matcher:?}");
        }
        let elsewhere = TenantId(uuid::Uuid::from_u128(4));
        let bulk_revocations = BulkRevocations::new(vec![bulk_revocation(5, Matcher::default())]);
        assert!(!bulk_revocations.concern(elsewhere, &facts(&record(1), 1)));
        assert!(
            bulk_revocations.concern_tenant(TenantId::SINGLE)
                && !bulk_revocations.concern_tenant(elsewhere)
        );
    }

    #[test]
    fn the_first_bulk_revocation_ends_a_key_and_the_newest_is_remembered() {
        let of_all = |sequence| bulk_revocation(sequence, Matcher::default());
        let bulk_revocations = BulkRevocations::new(vec![of_all(9), of_all(4)]);
        let first = |bulk_revocations: &BulkRevocations, sequence| {
            let bulk_revocation = bulk_revocations.ending(&record(sequence));
            bulk_revocation.map(|bulk_revocation| bulk_revocation.position.sequence.0)
        };
        assert_eq!(first(&bulk_revocations, 3), Some(4));
        assert_eq!(first(&bulk_revocations, 4), Some(9));
        assert_eq!(first(&bulk_revocations, 9), None);
        let fewer = bulk_revocations.without(&of_all(9));
        assert_eq!((fewer.len(), fewer.newest().0), (1, 9));
        assert_eq!(first(&fewer, 5), None);
        let none = fewer.without(&of_all(4));
        assert_eq!((none.len(), none.newest().0), (0, 9));
        assert!(!none.concern(TenantId::SINGLE, &facts(&record(1), 1)));
    }
}
