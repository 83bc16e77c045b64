//! Which secrets have signed keys, and when. The secrets themselves are not part of it.

use std::fmt;

use crate::clock::UnixMillis;
use crate::limits::{SECRET_USE_INTERVAL_MS, SECRET_USES};

/// Identifies a secret without revealing it: an HMAC of a fixed text under the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretFingerprint(pub [u8; 16]);

impl fmt::Display for SecretFingerprint {
    /// 32 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// When a secret signed keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretUse {
    /// The secret.
    pub fingerprint: SecretFingerprint,
    /// When it signed the first key.
    pub first: UnixMillis,
    /// When it signed a key that was noted; later ones may follow within
    /// [`SECRET_USE_INTERVAL_MS`].
    pub last: UnixMillis,
}

impl SecretUse {
    /// The time after which the secret has signed no key.
    #[must_use]
    pub fn end(&self) -> UnixMillis {
        UnixMillis(self.last.0.saturating_add(SECRET_USE_INTERVAL_MS))
    }

    /// The time from which no key needs the secret, if keys live for `max_ttl_s` at most.
    #[must_use]
    pub fn needed_until(&self, max_ttl_s: u64) -> UnixMillis {
        let max_ttl_ms = i64::try_from(max_ttl_s.saturating_mul(1000)).unwrap_or(i64::MAX);
        UnixMillis(self.end().0.saturating_add(max_ttl_ms))
    }
}

/// All secrets that have signed keys. At most [`SECRET_USES`]: beyond that, the one that has not
/// signed for the longest time is forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretUses(Vec<SecretUse>);

impl SecretUses {
    /// The uses in `uses`, ordered by fingerprint.
    #[must_use]
    pub fn new(mut uses: Vec<SecretUse>) -> Self {
        uses.sort_by_key(|one| one.fingerprint);
        uses.dedup_by_key(|one| one.fingerprint);
        Self(uses)
    }

    /// All uses, ordered by fingerprint.
    #[must_use]
    pub fn all(&self) -> &[SecretUse] {
        &self.0
    }

    /// Whether a signature at `now` has to be noted.
    #[must_use]
    pub fn is_due(&self, fingerprint: SecretFingerprint, now: UnixMillis) -> bool {
        let known = self.0.iter().find(|one| one.fingerprint == fingerprint);
        known.is_none_or(|known| known.end() <= now)
    }

    /// Notes that a secret signed a key.
    pub fn note(&mut self, fingerprint: SecretFingerprint, time: UnixMillis) {
        let known = self.0.iter_mut();
        if let Some(known) = known.into_iter().find(|one| one.fingerprint == fingerprint) {
            known.first = known.first.min(time);
            known.last = known.last.max(time);
            return;
        }
        if self.0.len() >= SECRET_USES {
            let oldest = self.0.iter().enumerate();
            let oldest = oldest.min_by_key(|(_, one)| one.last).map(|(at, _)| at);
            oldest.map(|at| self.0.remove(at));
        }
        let at = self.0.partition_point(|one| one.fingerprint < fingerprint);
        self.0.insert(
            at,
            SecretUse {
                fingerprint,
                first: time,
                last: time,
            },
        );
    }

    /// Forgets these secrets.
    pub fn forget(&mut self, fingerprints: &[SecretFingerprint]) {
        self.0
            .retain(|one| !fingerprints.contains(&one.fingerprint));
    }

    /// The uses of secrets that keys may still need at `now`, if keys live for `max_ttl_s` at most.
    pub fn needed(&self, max_ttl_s: u64, now: UnixMillis) -> impl Iterator<Item = &SecretUse> {
        let uses = self.0.iter();
        uses.filter(move |one| one.needed_until(max_ttl_s) > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = SECRET_USE_INTERVAL_MS;

    fn print(byte: u8) -> SecretFingerprint {
        SecretFingerprint([byte; 16])
    }

    #[test]
    fn a_signature_is_noted_at_first_and_once_an_hour() {
        let mut uses = SecretUses::default();
        assert!(uses.is_due(print(1), UnixMillis(5)));
        uses.note(print(1), UnixMillis(5));
        assert!(!uses.is_due(print(1), UnixMillis(5 + HOUR - 1)));
        assert!(uses.is_due(print(1), UnixMillis(5 + HOUR)));
        assert!(uses.is_due(print(2), UnixMillis(5)));
        uses.note(print(1), UnixMillis(5 + HOUR));
        let expected = SecretUse {
            fingerprint: print(1),
            first: UnixMillis(5),
            last: UnixMillis(5 + HOUR),
        };
        assert_eq!(uses.all(), [expected]);
    }

    #[test]
    fn a_secret_is_needed_until_its_last_key_has_ended() {
        let mut uses = SecretUses::default();
        uses.note(print(1), UnixMillis(0));
        uses.note(print(2), UnixMillis(1));
        let needed = |now| uses.needed(10, UnixMillis(now)).count();
        let last_of_first = HOUR + 10_000;
        assert_eq!(needed(last_of_first - 1), 2);
        assert_eq!(needed(last_of_first), 1);
        assert_eq!(needed(last_of_first + 1), 0);
        assert_eq!(uses.needed(u64::MAX, UnixMillis(i64::MAX - 1)).count(), 2);
        let mut uses = uses.clone();
        uses.forget(&[print(1)]);
        assert_eq!(uses.needed(10, UnixMillis(0)).count(), 1);
    }

    #[test]
    fn the_secret_that_has_not_signed_for_longest_is_forgotten() {
        let mut uses = SecretUses::default();
        for byte in 0..=u8::try_from(SECRET_USES).unwrap() {
            uses.note(print(byte), UnixMillis(i64::from(byte)));
        }
        assert_eq!(uses.all().len(), SECRET_USES);
        assert!(uses.is_due(print(0), UnixMillis(1)));
        assert!(!uses.is_due(print(1), UnixMillis(1)));
        assert_eq!(SecretUses::new(uses.all().to_vec()), uses);
    }

    #[test]
    fn a_fingerprint_is_shown_as_hexadecimal_digits() {
        assert_eq!(print(0x0a).to_string(), "0a".repeat(16));
    }
}
