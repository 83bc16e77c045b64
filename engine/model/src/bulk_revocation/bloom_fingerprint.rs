//! A fingerprint of a record in eight bytes, to compare it with bulk revocations without reading
//! it.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::bulk_revocation::Matcher;
use crate::record::Record;

const ACTOR: u64 = 1;
const PREFIX: u64 = 2;
const SCOPE: u64 = 3;
const METADATA: u64 = 4;

/// A Bloom filter over a record's actor, prefix and scopes, and over whether it has metadata, with
/// three bits for each. A false positive costs a read of the record. There are no false negatives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BloomFingerprint(u64);

impl BloomFingerprint {
    /// The fingerprint of a record.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let prefix = record.prefix.as_deref().map(|prefix| bits(PREFIX, prefix));
        let scopes = record.scopes.iter().map(|scope| bits(SCOPE, scope));
        let metadata = (!record.metadata.is_empty()).then(|| bits(METADATA, ""));
        let actor = bits(ACTOR, &record.actor_id);
        let others = prefix.into_iter().chain(metadata).chain(scopes);
        Self(others.fold(actor, |all, bits| all | bits))
    }

    /// The bits that the fingerprint of every matching record contains.
    #[must_use]
    pub fn wanted(matcher: &Matcher) -> Self {
        let of = |kind, text: &Option<String>| text.as_deref().map(|text| bits(kind, text));
        let metadata = (!matcher.metadata.is_empty()).then(|| bits(METADATA, ""));
        let wanted = [
            of(ACTOR, &matcher.actor_id),
            of(PREFIX, &matcher.prefix),
            of(SCOPE, &matcher.scope),
            metadata,
        ];
        Self(wanted.into_iter().flatten().fold(0, |all, bits| all | bits))
    }

    /// Whether a record with this fingerprint may match a matcher with the bits `wanted`.
    #[must_use]
    pub fn may_have(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }
}

fn bits(kind: u64, text: &str) -> u64 {
    let hash = xxh3_64_with_seed(text.as_bytes(), kind);
    [0, 6, 12]
        .into_iter()
        .fold(0, |bits, shift| bits | 1 << ((hash >> shift) & 63))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk_revocation::samples::record;

    #[test]
    fn most_other_records_are_distinguished() {
        let fingerprint = BloomFingerprint::of(&record(1));
        let other = |actor: u64| Matcher {
            actor_id: Some(format!("actor-{actor}")),
            ..Matcher::default()
        };
        let may_be = |actor: &u64| fingerprint.may_have(BloomFingerprint::wanted(&other(*actor)));
        let mistaken = (0..1000).filter(may_be).count();
        assert!(mistaken < 100, "{mistaken}");
    }
}
