//! The record of a key.

use crate::cidr::Cidr;
use crate::clock::UnixMillis;
use crate::ids::{KeyId, Sequence, TenantId};

/// A key after the change with the number [`Record::sequence`]. It contains no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The tenant that owns the key.
    pub tenant: TenantId,
    /// The key's id within the tenant.
    pub key_id: KeyId,
    /// The last change to this record.
    pub sequence: Sequence,
    /// A label for people.
    pub name: String,
    /// The actor that the key belongs to.
    pub actor_id: String,
    /// What the key may do; the issuer defines the meaning.
    pub scopes: Vec<String>,
    /// A JSON object as text, without insignificant white space; empty if there is none.
    pub metadata: String,
    /// Whether the key may be shown to clients.
    pub visibility: Visibility,
    /// The prefix of the key's credential. `None` for an imported key, and for a key issued before
    /// records contained the prefix.
    pub prefix: Option<String>,
    /// When the key was created.
    pub create_time: UnixMillis,
    /// When the record last changed.
    pub update_time: UnixMillis,
    /// The key is expired from this instant on; `None` = it does not expire.
    pub expire_time: Option<UnixMillis>,
    /// Set once the key is revoked; never unset.
    pub revocation: Option<Revocation>,
    /// How often the key may be verified; `None` = without a limit.
    pub rate_limit: Option<RateLimitPolicy>,
    /// The addresses from which the key may be used; empty = from anywhere.
    pub allowed_cidrs: Vec<Cidr>,
}

impl Record {
    /// When the key expires: at its expiry time, or at the greatest age of an issued key, whatever
    /// comes first. `None` = never. Imported keys have no greatest age.
    #[must_use]
    pub fn end_of_life(&self, max_ttl_s: u64) -> Option<UnixMillis> {
        let by_age = match self.key_id {
            KeyId::Issued(_) => Some(self.create_time.plus_seconds(max_ttl_s)),
            KeyId::Imported(_) => None,
        };
        self.expire_time.into_iter().chain(by_age).min()
    }

    /// The record as it is shown and judged: its expiry time is the end of its life. The stored
    /// record keeps its own, so that the greatest age can be configured anew.
    #[must_use]
    pub fn ending_within(self, max_ttl_s: u64) -> Self {
        Self {
            expire_time: self.end_of_life(max_ttl_s),
            ..self
        }
    }

    /// The status of the key at `now`. A key that is both revoked and expired counts as revoked.
    #[must_use]
    pub fn status(&self, now: UnixMillis) -> Status {
        match (&self.revocation, self.expire_time) {
            (Some(_), _) => Status::Revoked,
            (None, Some(expire_time)) if expire_time <= now => Status::Expired,
            _ => Status::Active,
        }
    }
}

/// The status of a key at some instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The key can be used.
    Active,
    /// The key was revoked.
    Revoked,
    /// The key's expiry time has passed.
    Expired,
}

/// Whether a key may be shown to clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Visibility {
    /// For servers only.
    #[default]
    Secret,
    /// Safe in browsers and apps; has a prefix of its own.
    Public,
}

/// Why and when a key was revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The reason.
    pub reason: RevocationReason,
    /// Free text; only with [`RevocationReason::PrivilegeWithdrawn`].
    pub description: String,
    /// When it happened.
    pub time: UnixMillis,
}

/// Reasons for a revocation, after RFC 5280 §5.3.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RevocationReason {
    /// No reason was given.
    #[default]
    Unspecified,
    /// The key is known to somebody who must not know it.
    KeyCompromise,
    /// The actor's relation to the issuer changed.
    AffiliationChanged,
    /// Another key took its place.
    Superseded,
    /// The actor may no longer do what the key allowed.
    PrivilegeWithdrawn,
}

/// A quota of requests over a window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimitPolicy {
    /// Requests per window; at least 1.
    pub quota: u64,
    /// The window in seconds; at least 1.
    pub window_s: u64,
}
