//! Rules: one change that ends many keys at once.
//!
//! A rule is in force from the moment at which its change is durable and published, on every node that takes the change. The
//! records on disk follow later, a few at a time ([`catch_up`]); until then a record is never shown as it is on disk, but as the
//! rules in force make it ([`Rules::apply`]). When all records have followed, another change takes the rule away.
//!
//! Guarantees:
//! - A rule ends a record only if the last change of that record came before the rule. What was created, or rotated to, later is
//!   not hit; and a command about a key that a rule has ended writes the end of the key first (`commit/stage.rs`), so that the end
//!   is not lost by a later change.
//! - Who reads a record takes the rules *before* the read. A record that was read under older rules may be kept in a cell, with a
//!   note up to which rule it was compared; whoever finds it there under newer rules reads again, unless none of them can concern
//!   it ([`Rules::concern`]).
//! - The end that is shown before the record has followed is the one that the record shows afterwards: reason, words and time
//!   are those of the rule.

mod rule;
mod traits;

use std::sync::Arc;

#[cfg(test)]
pub(crate) use rule::tests as rule_tests;
pub use rule::{Matcher, Rule};
pub use traits::Traits;

use crate::ids::{Sequence, TenantId};
use crate::record::Record;

/// The rules that are in force at one moment, and how far their history has come.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The newest rule that there ever was since the engine was opened or copied, in force or not. Never falls, so that what was
    /// compared with more rules always counts as newer.
    newest: Sequence,
    /// Oldest first; `None` when there are none, which a verification finds out without leaving its cache line.
    in_force: Option<Arc<[InForce]>>,
}

#[derive(Debug)]
struct InForce {
    rule: Arc<Rule>,
    traits: Traits,
}

/// What a row knows of its record for [`Rules::concern`].
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The newest rule that the record was compared with, or its own last change if that is later.
    pub compared: Sequence,
    /// When it was created, in milliseconds since 1970.
    pub create_ms: i64,
    /// What else rules ask for.
    pub traits: Traits,
}

impl Rules {
    /// These, in any order.
    #[must_use]
    pub fn new(mut rules: Vec<Rule>) -> Self {
        let mut all = Self::default();
        rules.sort_by_key(|rule| rule.position.sequence);
        for rule in rules {
            all = all.with(rule);
        }
        all
    }

    /// These and one more, which is newer than all of them.
    #[must_use]
    pub fn with(&self, rule: Rule) -> Self {
        let newest = rule.position.sequence;
        let added = InForce {
            traits: Traits::wanted(&rule.matcher),
            rule: Arc::new(rule),
        };
        let known = self.in_force().iter().map(InForce::share);
        Self {
            newest,
            in_force: Some(known.chain([added]).collect()),
        }
    }

    /// These without one.
    #[must_use]
    pub fn without(&self, rule: &Rule) -> Self {
        let others = self
            .in_force()
            .iter()
            .filter(|known| known.rule.id != rule.id);
        let left: Arc<[_]> = others.map(InForce::share).collect();
        Self {
            newest: self.newest,
            in_force: (!left.is_empty()).then_some(left),
        }
    }

    /// See [`Rules`].
    #[must_use]
    pub fn newest(&self) -> Sequence {
        self.newest
    }

    /// Whether none is in force. A verification from memory asks this first, and no more if it is true.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.in_force.is_none()
    }

    /// How many are in force.
    #[must_use]
    pub fn len(&self) -> usize {
        self.in_force().len()
    }

    /// The rules in force, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.in_force().iter().map(|known| &known.rule)
    }

    /// The rule that ends this record: the first, should there be several.
    #[must_use]
    pub fn ending(&self, record: &Record) -> Option<&Arc<Rule>> {
        self.iter().find(|rule| rule.ends(record))
    }

    /// The record as it is to be shown.
    #[must_use]
    pub fn apply(&self, record: Record) -> Record {
        match self.ending(&record) {
            Some(rule) => rule.end(record),
            None => record,
        }
    }

    /// Whether any of them is about keys of this tenant.
    #[must_use]
    pub fn concern_tenant(&self, tenant: TenantId) -> bool {
        self.iter().any(|rule| rule.tenant == tenant)
    }

    /// Whether one of them may end a record of which no more is known than this, so that it has to be read again.
    #[must_use]
    pub fn concern(&self, tenant: TenantId, facts: &Facts) -> bool {
        self.in_force().iter().any(|InForce { rule, traits }| {
            let created_before = rule.matcher.created_before;
            rule.position.sequence > facts.compared
                && rule.tenant == tenant
                && created_before.is_none_or(|end| facts.create_ms < end.0)
                && facts.traits.may_have(*traits)
        })
    }

    fn in_force(&self) -> &[InForce] {
        self.in_force.as_deref().unwrap_or_default()
    }
}

impl InForce {
    fn share(&self) -> Self {
        Self {
            rule: Arc::clone(&self.rule),
            traits: self.traits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::rule_tests::{conditions, record, rule};
    use super::*;

    fn facts(record: &Record, compared: u64) -> Facts {
        Facts {
            compared: Sequence(compared),
            create_ms: record.create_time.0,
            traits: Traits::of(record),
        }
    }

    #[test]
    fn what_a_rule_ends_it_also_concerns() {
        for (matcher, holds) in conditions() {
            let rules = Rules::new(vec![rule(5, matcher.clone())]);
            let concerned = rules.concern(TenantId::SINGLE, &facts(&record(1), 1));
            assert!(concerned || !holds, "{matcher:?}");
            assert_eq!(rules.ending(&record(1)).is_some(), holds, "{matcher:?}");
            let compared = rules.concern(TenantId::SINGLE, &facts(&record(1), 5));
            assert!(!compared, "{matcher:?}");
        }
        let elsewhere = TenantId(uuid::Uuid::from_u128(4));
        let rules = Rules::new(vec![rule(5, Matcher::default())]);
        assert!(!rules.concern(elsewhere, &facts(&record(1), 1)));
        assert!(rules.concern_tenant(TenantId::SINGLE) && !rules.concern_tenant(elsewhere));
    }

    #[test]
    fn the_first_rule_ends_a_key_and_the_newest_is_remembered() {
        let of_all = |sequence| rule(sequence, Matcher::default());
        let rules = Rules::new(vec![of_all(9), of_all(4)]);
        let first = |rules: &Rules, sequence| {
            let rule = rules.ending(&record(sequence));
            rule.map(|rule| rule.position.sequence.0)
        };
        assert_eq!(first(&rules, 3), Some(4));
        assert_eq!(first(&rules, 4), Some(9));
        assert_eq!(first(&rules, 9), None);
        let fewer = rules.without(&of_all(9));
        assert_eq!((fewer.len(), fewer.newest().0), (1, 9));
        assert_eq!(first(&fewer, 5), None);
        let none = fewer.without(&of_all(4));
        assert_eq!((none.len(), none.newest().0), (0, 9));
        assert!(!none.concern(TenantId::SINGLE, &facts(&record(1), 1)));
    }
}
