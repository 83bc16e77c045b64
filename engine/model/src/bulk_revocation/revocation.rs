//! One bulk revocation and the matcher that selects its keys.

use std::collections::HashMap;

use serde_json::value::RawValue;
use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::ids::{Position, TenantId};
use crate::record::{Record, Revocation, RevocationReason};

/// The conditions of a bulk revocation. A key must meet all that are given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matcher {
    /// Keys of this actor.
    pub actor_id: Option<String>,
    /// Issued keys whose credentials begin with this prefix and an underscore. Records without a
    /// prefix never match: imported keys, and keys issued before records contained the prefix.
    pub prefix: Option<String>,
    /// Keys that were created before this instant.
    pub created_before: Option<UnixMillis>,
    /// Keys that have this scope.
    pub scope: Option<String>,
    /// Keys whose metadata contains all of these members, with these strings as values.
    pub metadata: Vec<(String, String)>,
}

impl Matcher {
    /// Whether no condition is given, so that every key would match.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a record meets all conditions.
    #[must_use]
    pub fn matches(&self, record: &Record) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            let wanted = wanted.as_deref();
            wanted.is_none_or(|wanted| wanted == found)
        };
        let scope = self.scope.as_ref();
        let created_before = self.created_before;
        is(&self.actor_id, &record.actor_id)
            && (self.prefix.is_none() || self.prefix == record.prefix)
            && created_before.is_none_or(|end| record.create_time < end)
            && scope.is_none_or(|scope| record.scopes.contains(scope))
            && has_members(&record.metadata, &self.metadata)
    }
}

/// Whether the JSON object `metadata` has all of `wanted` as members at its top level.
fn has_members(metadata: &str, wanted: &[(String, String)]) -> bool {
    if wanted.is_empty() {
        return true;
    }
    let Ok(members) = serde_json::from_str::<HashMap<String, &RawValue>>(metadata) else {
        return false;
    };
    let is_there = |(name, text): &(String, String)| {
        let value = members.get(name).map(|value| value.get());
        let value = value.and_then(|value| serde_json::from_str::<String>(value).ok());
        value.is_some_and(|value| value == *text)
    };
    wanted.iter().all(is_there)
}

/// The decision to revoke all keys that match: those that existed at that moment and have not
/// changed since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkRevocation {
    /// Its id.
    pub id: Uuid,
    /// The tenant whose keys it revokes.
    pub tenant: TenantId,
    /// The position of the change that put it into force.
    pub position: Position,
    /// Which keys it revokes.
    pub matcher: Matcher,
    /// The reason, the description and the time.
    pub revocation: Revocation,
}

impl BulkRevocation {
    /// Whether it revokes this key. False for a key that is revoked already.
    #[must_use]
    pub fn ends(&self, record: &Record) -> bool {
        record.revocation.is_none()
            && record.sequence < self.position.sequence
            && record.tenant == self.tenant
            && self.matcher.matches(record)
    }

    /// The record with this revocation. The sequence stays, because the record on disk has not
    /// changed.
    #[must_use]
    pub fn end(&self, record: Record) -> Record {
        Record {
            update_time: self.revocation.time,
            revocation: Some(self.revocation.clone()),
            ..record
        }
    }

    /// Whether the record on disk contains this revocation.
    #[must_use]
    pub fn has_ended(&self, record: &Record) -> bool {
        record.sequence > self.position.sequence
            && record.tenant == self.tenant
            && record.revocation.as_ref() == Some(&self.revocation)
            && self.matcher.matches(record)
    }

    /// The reason for the revocation.
    #[must_use]
    pub fn reason(&self) -> RevocationReason {
        self.revocation.reason
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::ids::{Epoch, KeyId, Sequence};
    use crate::record::Visibility;

    pub fn record(sequence: u64) -> Record {
        Record {
            tenant: TenantId::SINGLE,
            key_id: KeyId::Issued(Uuid::from_u128(sequence.into())),
            sequence: Sequence(sequence),
            name: "a key".to_owned(),
            actor_id: "actor".to_owned(),
            scopes: vec!["read".to_owned(), "write".to_owned()],
            metadata: r#"{"team":"a","level":3,"quote":"a\"b","deep":{"team":"b"}}"#.to_owned(),
            visibility: Visibility::Secret,
            prefix: Some("talos".to_owned()),
            create_time: UnixMillis(1000),
            update_time: UnixMillis(1000),
            expire_time: None,
            revocation: None,
            rate_limit: None,
            allowed_cidrs: Vec::new(),
        }
    }

    pub fn bulk_revocation(sequence: u64, matcher: Matcher) -> BulkRevocation {
        BulkRevocation {
            id: Uuid::from_u128(u128::from(sequence) << 64),
            tenant: TenantId::SINGLE,
            position: Position {
                epoch: Epoch(1),
                sequence: Sequence(sequence),
            },
            matcher,
            revocation: Revocation {
                reason: RevocationReason::KeyCompromise,
                description: String::new(),
                time: UnixMillis(5000),
            },
        }
    }

    fn metadata(members: &[(&str, &str)]) -> Matcher {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Matcher {
            metadata: members.iter().map(owned).collect(),
            ..Matcher::default()
        }
    }

    /// Each condition alone, with whether `record` meets it.
    pub fn conditions() -> Vec<(Matcher, bool)> {
        let with = |change: fn(&mut Matcher, &str), text| {
            let mut matcher = Matcher::default();
            change(&mut matcher, text);
            matcher
        };
        let actor = |text| {
            with(
                |matcher, text| matcher.actor_id = Some(text.to_owned()),
                text,
            )
        };
        let prefix = |text| with(|matcher, text| matcher.prefix = Some(text.to_owned()), text);
        let scope = |text| with(|matcher, text| matcher.scope = Some(text.to_owned()), text);
        let before = |time| Matcher {
            created_before: Some(UnixMillis(time)),
            ..Matcher::default()
        };
        vec![
            (actor("actor"), true),
            (actor("Actor"), false),
            (actor("acto"), false),
            (actor(""), false),
            (prefix("talos"), true),
            (prefix("tal"), false),
            (scope("write"), true),
            (scope("wr"), false),
            (before(1001), true),
            (before(1000), false),
            (metadata(&[("team", "a")]), true),
            (metadata(&[("team", "b")]), false),
            (metadata(&[("quote", "a\"b")]), true),
            (metadata(&[("level", "3")]), false),
            (metadata(&[("deep", "b")]), false),
            (metadata(&[("none", "")]), false),
            (metadata(&[("team", "a"), ("quote", "x")]), false),
        ]
    }

    #[test]
    fn every_condition_that_is_given_must_hold() {
        for (matcher, holds) in conditions() {
            assert_eq!(matcher.matches(&record(1)), holds, "{matcher:?}");
            let both = Matcher {
                actor_id: Some("actor".to_owned()),
                ..matcher.clone()
            };
            let is_actor = matcher.actor_id.is_some();
            assert!(is_actor || both.matches(&record(1)) == holds, "{both:?}");
            let other = Matcher {
                actor_id: Some("other".to_owned()),
                ..matcher
            };
            assert!(!other.matches(&record(1)), "{other:?}");
        }
        assert!(Matcher::default().is_empty());
        assert!(!metadata(&[("a", "b")]).is_empty());
    }

    #[test]
    fn absent_fields_do_not_match() {
        let mut bare = record(1);
        (bare.prefix, bare.metadata) = (None, String::new());
        bare.scopes.clear();
        for (matcher, _) in conditions() {
            let holds = matcher.matches(&bare);
            let is_asked = matcher.actor_id.is_none() && matcher.created_before.is_none();
            assert!(!(is_asked && holds), "{matcher:?}");
        }
    }

    #[test]
    fn only_older_keys_of_the_same_tenant_are_revoked() {
        let bulk_revocation = bulk_revocation(7, Matcher::default());
        assert!(bulk_revocation.ends(&record(6)));
        assert!(!bulk_revocation.ends(&record(7)));
        assert!(!bulk_revocation.ends(&record(8)));
        let elsewhere = Record {
            tenant: TenantId(Uuid::from_u128(9)),
            ..record(6)
        };
        assert!(!bulk_revocation.ends(&elsewhere));
        let ended = bulk_revocation.end(record(6));
        assert_eq!(ended.revocation, Some(bulk_revocation.revocation.clone()));
        assert!(!bulk_revocation.ends(&ended), "once");
        assert!(
            !bulk_revocation.has_ended(&ended),
            "the record on disk is another"
        );
        let written = Record {
            sequence: Sequence(8),
            ..ended
        };
        assert!(bulk_revocation.has_ended(&written));
    }
}
