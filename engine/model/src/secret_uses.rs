//! Which secrets have signed keys, and when. The secrets themselves are not part of it.

use std::fmt;

use crate::clock::UnixMillis;
use crate::ids::TenantId;
use crate::limits::SECRET_USE_INTERVAL_MS;

/// Identifies a secret without revealing it: an HMAC of a fixed text under the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretFingerprint(pub [u8; 16]);

impl fmt::Display for SecretFingerprint {
    /// 32 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// When a secret signed keys of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretUse {
    /// The tenant.
    pub tenant: TenantId,
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

    fn key(&self) -> (TenantId, SecretFingerprint) {
        (self.tenant, self.fingerprint)
    }
}

/// All secrets that have signed keys, ordered by tenant and fingerprint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretUses(Vec<SecretUse>);

impl SecretUses {
    /// These uses.
    #[must_use]
    pub fn new(mut uses: Vec<SecretUse>) -> Self {
        uses.sort_by_key(SecretUse::key);
        uses.dedup_by_key(|one| one.key());
        Self(uses)
    }

    /// All uses.
    #[must_use]
    pub fn all(&self) -> &[SecretUse] {
        &self.0
    }

    /// Whether a signature at `now` has to be noted.
    #[must_use]
    pub fn is_due(
        &self,
        tenant: TenantId,
        fingerprint: SecretFingerprint,
        now: UnixMillis,
    ) -> bool {
        let place = self.place(tenant, fingerprint).ok();
        let known = place.and_then(|place| self.0.get(place));
        known.is_none_or(|known| known.end() <= now)
    }

    /// Notes that a secret signed a key. Returns the use as it is then.
    pub fn note(
        &mut self,
        tenant: TenantId,
        fingerprint: SecretFingerprint,
        time: UnixMillis,
    ) -> SecretUse {
        let new = SecretUse {
            tenant,
            fingerprint,
            first: time,
            last: time,
        };
        match self.place(tenant, fingerprint) {
            Ok(place) => match self.0.get_mut(place) {
                Some(known) => {
                    known.first = known.first.min(time);
                    known.last = known.last.max(time);
                    *known
                }
                None => new,
            },
            Err(place) => {
                self.0.insert(place, new);
                new
            }
        }
    }

    /// Forgets these secrets of tenants.
    pub fn forget(&mut self, secrets: &[(TenantId, SecretFingerprint)]) {
        self.0.retain(|one| !secrets.contains(&one.key()));
    }

    /// The uses of secrets that keys of a tenant may still need at `now`, if its keys live for
    /// `max_ttl_s` at most.
    pub fn needed(
        &self,
        tenant: TenantId,
        max_ttl_s: u64,
        now: UnixMillis,
    ) -> impl Iterator<Item = &SecretUse> + use<'_> {
        let first = self.0.partition_point(|one| one.tenant < tenant);
        let from = self.0.get(first..).unwrap_or_default().iter();
        from.take_while(move |one| one.tenant == tenant)
            .filter(move |one| one.needed_until(max_ttl_s) > now)
    }

    fn place(&self, tenant: TenantId, fingerprint: SecretFingerprint) -> Result<usize, usize> {
        self.0
            .binary_search_by_key(&(tenant, fingerprint), SecretUse::key)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const HOUR: i64 = SECRET_USE_INTERVAL_MS;
    const TENANT: TenantId = TenantId::SINGLE;

    fn print(byte: u8) -> SecretFingerprint {
        SecretFingerprint([byte; 16])
    }

    #[test]
    fn a_signature_is_noted_at_first_and_once_an_hour() {
        let mut uses = SecretUses::default();
        assert!(uses.is_due(TENANT, print(1), UnixMillis(5)));
        uses.note(TENANT, print(1), UnixMillis(5));
        assert!(!uses.is_due(TENANT, print(1), UnixMillis(5 + HOUR - 1)));
        assert!(uses.is_due(TENANT, print(1), UnixMillis(5 + HOUR)));
        assert!(uses.is_due(TENANT, print(2), UnixMillis(5)));
        let other = TenantId(Uuid::from_u128(7));
        assert!(uses.is_due(other, print(1), UnixMillis(5)));
        let noted = uses.note(TENANT, print(1), UnixMillis(5 + HOUR));
        let expected = SecretUse {
            tenant: TENANT,
            fingerprint: print(1),
            first: UnixMillis(5),
            last: UnixMillis(5 + HOUR),
        };
        assert_eq!((noted, uses.all()), (expected, &[expected][..]));
    }

    #[test]
    fn a_secret_is_needed_until_its_last_key_has_ended() {
        let mut uses = SecretUses::default();
        let other = TenantId(Uuid::from_u128(7));
        uses.note(other, print(1), UnixMillis(0));
        uses.note(TENANT, print(1), UnixMillis(0));
        uses.note(TENANT, print(2), UnixMillis(1));
        let needed = |now| uses.needed(TENANT, 10, UnixMillis(now)).count();
        let last_of_first = HOUR + 10_000;
        assert_eq!(needed(last_of_first - 1), 2);
        assert_eq!(needed(last_of_first), 1);
        assert_eq!(needed(last_of_first + 1), 0);
        let for_ever = uses.needed(TENANT, u64::MAX, UnixMillis(i64::MAX - 1));
        assert_eq!(for_ever.count(), 2);
        assert_eq!(uses.needed(other, 10, UnixMillis(0)).count(), 1);
        let mut after = uses.clone();
        after.forget(&[(TENANT, print(1))]);
        assert_eq!(after.needed(TENANT, 10, UnixMillis(0)).count(), 1);
        assert_eq!(after.needed(other, 10, UnixMillis(0)).count(), 1);
        assert_eq!(SecretUses::new(uses.all().to_vec()), uses);
    }

    #[test]
    fn a_fingerprint_is_shown_as_hexadecimal_digits() {
        assert_eq!(print(0x0a).to_string(), "0a".repeat(16));
    }
}
