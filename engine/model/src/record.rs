//! What the system knows of one key.

use crate::cidr::Cidr;
use crate::clock::UnixMillis;
use crate::ids::{KeyId, Sequence, TenantId};

/// A key as it stood after the change numbered [`Record::sequence`]. It holds no secret.
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
    /// Whose key it is.
    pub actor_id: String,
    /// What the key may do, in the words of its issuer.
    pub scopes: Vec<String>,
    /// A JSON object as text, without insignificant white space; empty when there is none.
    pub metadata: String,
    /// Whether the key may be shown to clients.
    pub visibility: Visibility,
    /// The prefix that the key was issued under. `None` for an imported key, and for one that was issued when records did not
    /// hold it.
    pub prefix: Option<String>,
    /// When the key was created.
    pub create_time: UnixMillis,
    /// When the record last changed.
    pub update_time: UnixMillis,
    /// From this instant on the key is expired.
    pub expire_time: Option<UnixMillis>,
    /// Set once the key is revoked; never unset.
    pub revocation: Option<Revocation>,
    /// How often the key may be verified.
    pub rate_limit: Option<RateLimitPolicy>,
    /// From where the key may be used; empty = from anywhere.
    pub allowed_cidrs: Vec<Cidr>,
}

impl Record {
    /// The state of the key at `now`. Revocation wins over expiry: it is the stronger statement.
    #[must_use]
    pub fn status(&self, now: UnixMillis) -> Status {
        match (&self.revocation, self.expire_time) {
            (Some(_), _) => Status::Revoked,
            (None, Some(expire_time)) if expire_time <= now => Status::Expired,
            _ => Status::Active,
        }
    }
}

/// The state of a key at some instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The key can be used.
    Active,
    /// The key was revoked.
    Revoked,
    /// The key's time has passed.
    Expired,
}

/// Whether a key may be shown to clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Visibility {
    /// For servers only.
    #[default]
    Secret,
    /// Safe in browsers and apps; carries its own prefix.
    Public,
}

/// Why, when and with which words a key was revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The reason given.
    pub reason: RevocationReason,
    /// Free text; only with [`RevocationReason::PrivilegeWithdrawn`].
    pub description: String,
    /// When it happened.
    pub time: UnixMillis,
}

/// Reasons after RFC 5280 §5.3.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RevocationReason {
    /// None was given.
    #[default]
    Unspecified,
    /// The key is in the wrong hands.
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
