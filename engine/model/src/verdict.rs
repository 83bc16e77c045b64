//! Verification: the query, the verdict and its parts.

use std::net::IpAddr;

use crate::clock::UnixMillis;
use crate::ids::{Sequence, TenantId};
use crate::limits::CREDENTIAL_BYTES;
use crate::record::RateLimitPolicy;

/// A query: is this credential valid, whose is it, and what may it do?
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The tenant, from the request's host.
    pub tenant: TenantId,
    /// The credential as the client sent it, 1 to 8192 bytes.
    pub credential: &'a [u8],
    /// The credential must name at least one of these audiences; empty = it must name none.
    pub expected_audiences: &'a [&'a str],
    /// The client's address. `None` = unknown; a key with an address restriction is then refused.
    pub client_ip: Option<IpAddr>,
    /// Whether caches may be read and written, and whether the query counts as a use of the key.
    pub cache: CacheMode,
    /// The time of the request.
    pub now: UnixMillis,
}

impl Query<'_> {
    /// Whether the length of the credential is allowed.
    #[inline]
    #[must_use]
    pub fn has_length_of_credential(&self) -> bool {
        (1..=CREDENTIAL_BYTES).contains(&self.credential.len())
    }
}

/// Whether caches may be read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheMode {
    /// Read and write.
    #[default]
    Use,
    /// Read storage and write the cache (`Cache-Control: no-cache`).
    Refresh,
    /// Read storage and do not write the cache (`Cache-Control: no-store`).
    Bypass,
    /// As [`CacheMode::Bypass`], and the query is no use of the key: it takes nothing from its rate
    /// limit, which does not limit it either, and its time of last use stays (`?observe=true`).
    Observe,
}

impl CacheMode {
    /// Whether the answer may be put into the cache.
    #[inline]
    #[must_use]
    pub fn writes_cache(self) -> bool {
        matches!(self, Self::Use | Self::Refresh)
    }
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheStatus {
    /// From memory.
    Hit,
    /// From storage.
    Miss,
    /// From storage, because the request asked for it.
    Skip,
    /// From storage, for a query that is no use of the key.
    Observed,
}

/// The answer to a query.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The verdict.
    pub verdict: Verdict<'a>,
    /// Where the answer came from.
    pub cache: CacheStatus,
    /// The last change that the answer takes into account; 0 = no change, `None` = unknown.
    pub sequence: Option<Sequence>,
}

impl<'a> Answer<'a> {
    /// An answer that takes the changes up to `sequence` into account.
    #[inline]
    pub fn new(
        verdict: Verdict<'a>,
        cache: CacheStatus,
        sequence: impl Into<Option<Sequence>>,
    ) -> Self {
        let sequence = sequence.into();
        Self {
            verdict,
            cache,
            sequence,
        }
    }
}

/// Valid or refused. A refused credential is a value, not an error.
#[derive(Clone, Copy, Debug)]
pub enum Verdict<'a> {
    /// The credential is valid.
    Valid {
        /// The response body, rendered once per change of the record.
        body: &'a [u8],
        /// The key's rate limit, if it has one.
        rate_limit: Option<RateLimit>,
    },
    /// The credential is valid, but it has been used too often. This request did not count against
    /// its quota.
    Limited {
        /// The key's rate limit.
        rate_limit: RateLimit,
        /// Seconds until the key can be used again, rounded up; at least 1.
        retry_after_s: u64,
    },
    /// The credential is refused.
    Refused(Refusal),
}

/// The rate limit of a key, and what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The policy in the key's record.
    pub policy: RateLimitPolicy,
    /// What is left; `None` if limits are not enforced.
    pub standing: Option<Standing>,
}

/// What is left of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The number of requests that would pass now.
    pub remaining: u64,
    /// When the whole quota is available again, if the key is not used until then.
    pub reset_time: UnixMillis,
}

/// Why a credential is refused. An unknown key, an unknown prefix, a wrong checksum and a key over
/// the maximum age share one variant, so that clients cannot tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not a credential at all.
    InvalidFormat,
    /// It has expired.
    Expired,
    /// It was revoked.
    Revoked,
    /// Unknown, or issued by another system.
    NotFound,
    /// Its signature is wrong.
    SignatureInvalid,
    /// Storage failed during the look-up.
    Internal,
    /// Used from an address that is not allowed.
    IpNotAllowed,
    /// Used too often.
    RateLimited,
    /// Meant for another audience.
    AudienceMismatch,
    /// Not judged wrong: its result does not fit into the answer to a batch.
    AnswerTooLarge,
}
