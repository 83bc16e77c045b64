//! Is this credential valid, whose is it, what may it do?

use std::net::IpAddr;

use crate::clock::UnixMillis;
use crate::ids::{Sequence, TenantId};
use crate::limits::CREDENTIAL_BYTES;
use crate::record::RateLimitPolicy;

/// One question.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// From the request's host.
    pub tenant: TenantId,
    /// The credential as it came, 1 to 8192 bytes.
    pub credential: &'a [u8],
    /// Audiences of which the credential must name at least one; empty = it must name none.
    pub expected_audiences: &'a [&'a str],
    /// The client's address; `None` when unknown, which fails a key with an IP restriction.
    pub client_ip: Option<IpAddr>,
    /// Whether caches may be read and written.
    pub cache: CacheMode,
    /// The time of the request.
    pub now: UnixMillis,
}

impl Query<'_> {
    /// Whether the credential is as long as one may be.
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
    /// Read storage, then write the cache (`Cache-Control: no-cache`).
    Refresh,
    /// Read storage and leave the cache alone (`Cache-Control: no-store`).
    Bypass,
}

/// How a question was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheStatus {
    /// From memory.
    Hit,
    /// From storage.
    Miss,
    /// From storage, because the request asked for it.
    Skip,
}

/// The answer.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Valid or refused.
    pub verdict: Verdict<'a>,
    /// Where it came from.
    pub cache: CacheStatus,
    /// The last change that it rests on, 0 for none; `None` when that is not known.
    pub sequence: Option<Sequence>,
}

impl<'a> Answer<'a> {
    /// An answer that rests on the changes up to `sequence`.
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
    /// The credential holds.
    Valid {
        /// The answer body, rendered once per change of the record.
        body: &'a [u8],
        /// The key's rate limit, if it has one.
        rate_limit: Option<RateLimit>,
    },
    /// It would, but it has been used too often. Nothing was taken from its quota.
    Limited {
        /// The key's rate limit.
        rate_limit: RateLimit,
        /// Seconds until it can be used again, rounded up; at least 1.
        retry_after_s: u64,
    },
    /// It does not.
    Refused(Refusal),
}

/// How often a key may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// What its record says.
    pub policy: RateLimitPolicy,
    /// What is left; `None` when limits are not enforced.
    pub standing: Option<Standing>,
}

/// What is left of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Requests that would pass now.
    pub remaining: u64,
    /// When all of the quota is there again, if the key is not used.
    pub reset_time: UnixMillis,
}

/// Why a credential is refused. An unknown key, a foreign prefix, a wrong checksum and an over-age key are one
/// variant, so that nobody can tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not a credential at all.
    InvalidFormat,
    /// Its time has passed.
    Expired,
    /// It was revoked.
    Revoked,
    /// Unknown, or not ours.
    NotFound,
    /// A signature does not fit.
    SignatureInvalid,
    /// Storage failed while it was looked up.
    Internal,
    /// Used from an address that is not allowed.
    IpNotAllowed,
    /// Used too often.
    RateLimited,
    /// Meant for somebody else.
    AudienceMismatch,
    /// Not judged wrong: its result does not fit into the answer to a batch.
    AnswerTooLarge,
}
