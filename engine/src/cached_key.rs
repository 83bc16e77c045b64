//! A cached key: a record reduced to what every verification checks, and the rendered answer.

use std::mem;
use std::sync::Arc;

use talos_model::cidr::{self, Cidr};
use talos_model::clock::UnixMillis;
use talos_model::{
    BloomFingerprint, BulkRevocations, KeyFacts, Query, RateLimit, RateLimitPolicy, Record,
    RecordKey, Refusal, Sequence, TenantId, Verdict,
};

use crate::last_used::NextRecording;
use crate::limiter::Meter;
use crate::render::RenderBody;
use crate::tenants::{ActiveTenant, Tenants};

/// The tenants and the bulk revocations that verifications use at one moment. In a later value each
/// tenant has a greater generation; or the same generation, and bulk revocations that are as new or
/// newer.
#[derive(Debug)]
pub struct Current {
    /// The bulk revocations in force.
    pub bulk_revocations: BulkRevocations,
    /// All tenants.
    pub tenants: Tenants,
}

impl Current {
    /// What verifications for one tenant use; `None` if there is no such tenant.
    #[inline]
    pub fn view(&self, tenant: TenantId) -> Option<View<'_>> {
        Some(View {
            bulk_revocations: &self.bulk_revocations,
            tenant: self.tenants.get(tenant)?,
        })
    }
}

/// What verifications for one tenant use at one moment.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The bulk revocations in force, of all tenants.
    pub bulk_revocations: &'a BulkRevocations,
    /// The tenant.
    pub tenant: &'a ActiveTenant,
}

/// The generation of cached keys that were made while there was no such tenant.
const NO_TENANT: u64 = 0;

fn generation(tenant: Option<&Arc<ActiveTenant>>) -> u64 {
    tenant.map_or(NO_TENANT, |tenant| tenant.generation())
}

/// The state of the key, its expiry aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Live,
    Revoked,
    /// The record is deleted; this cached key keeps older ones from coming back.
    Forgotten,
}

/// A record as verification needs it. Immutable, except that it counts uses of the key.
#[derive(Debug)]
pub struct CachedKey {
    sequence: Sequence,
    generation: u64,
    loaded_s: i64,
    /// The end of the key's life; [`i64::MAX`] when it does not expire.
    expire_ms: i64,
    state: State,
    facts: KeyFacts,
    rate_limit: Option<RateLimitPolicy>,
    meter: Option<Meter>,
    next_recording: NextRecording,
    allowed_cidrs: Box<[Cidr]>,
    body: Box<[u8]>,
}

impl CachedKey {
    /// The cached key of `record`. The record was read at `now` under `bulk_revocations`, and has
    /// their effect. The answer is rendered under `tenant`, that of the record. Without a tenant,
    /// the cached key is never fresh.
    pub fn new(
        record: &Record,
        bulk_revocations: &BulkRevocations,
        tenant: Option<&Arc<ActiveTenant>>,
        render: RenderBody,
        now: UnixMillis,
    ) -> Self {
        let state = match record.revocation {
            None => State::Live,
            Some(_) => State::Revoked,
        };
        let keyring = tenant.map(|tenant| tenant.keyring());
        let expire_time = match keyring {
            Some(keyring) => record.end_of_life(keyring.max_ttl_s()),
            None => record.expire_time,
        };
        let render = || {
            let shown = Record {
                expire_time,
                ..record.clone()
            };
            let body = keyring.map(|keyring| render(&shown, keyring.issuer()));
            body.unwrap_or_default().into_boxed_slice()
        };
        Self {
            sequence: record.sequence,
            generation: generation(tenant),
            loaded_s: now.seconds(),
            expire_ms: expire_time.map_or(i64::MAX, |time| time.0),
            state,
            facts: KeyFacts {
                compared: record.sequence.max(bulk_revocations.newest()),
                create_ms: record.create_time.0,
                fingerprint: BloomFingerprint::of(record),
            },
            rate_limit: record.rate_limit,
            meter: None,
            next_recording: NextRecording::default(),
            allowed_cidrs: record.allowed_cidrs.clone().into_boxed_slice(),
            body: match state {
                State::Live => render(),
                State::Revoked | State::Forgotten => Box::default(),
            },
        }
    }

    /// What remains of a key that the change with this `record` deleted.
    pub fn forgotten(record: &Record, tenant: Option<&Arc<ActiveTenant>>, now: UnixMillis) -> Self {
        Self {
            sequence: record.sequence,
            generation: generation(tenant),
            loaded_s: now.seconds(),
            expire_ms: i64::MAX,
            state: State::Forgotten,
            facts: KeyFacts {
                compared: record.sequence,
                create_ms: record.create_time.0,
                fingerprint: BloomFingerprint::default(),
            },
            rate_limit: None,
            meter: None,
            next_recording: NextRecording::default(),
            allowed_cidrs: Box::default(),
            body: Box::default(),
        }
    }

    /// This cached key with a meter, if it has a rate limit and is live.
    pub fn metered(self, meter: impl FnOnce(RateLimitPolicy) -> Meter) -> Self {
        let policy = self.rate_limit.filter(|_| self.state == State::Live);
        Self {
            meter: policy.map(meter),
            ..self
        }
    }

    /// The answer for a valid credential.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The last change that it reflects: the one that wrote the record, or a bulk revocation that
    /// it was compared with.
    pub fn sequence(&self) -> Sequence {
        self.facts.compared
    }

    /// Whether the record is deleted.
    pub fn is_forgotten(&self) -> bool {
        self.state == State::Forgotten
    }

    /// Counts the requests that pass.
    pub fn meter(&self) -> Option<&Meter> {
        self.meter.as_ref()
    }

    /// The time from which on the next use of the key is recorded.
    pub fn next_recording(&self) -> &NextRecording {
        &self.next_recording
    }

    /// Whether the cached key may be used without a read of storage: it was rendered under the
    /// keyring of its tenant, is not older than the cache's lifetime, and no bulk revocation that
    /// it was not compared with may end it.
    pub fn is_fresh(&self, key: &RecordKey, view: View<'_>, now: UnixMillis) -> bool {
        self.generation == view.tenant.generation()
            && now.seconds() - self.loaded_s <= view.tenant.cache_ttl_s()
            && (view.bulk_revocations.is_empty() || !self.may_be_ended(key, view.bulk_revocations))
    }

    #[cold]
    fn may_be_ended(&self, key: &RecordKey, bulk_revocations: &BulkRevocations) -> bool {
        self.state == State::Live && bulk_revocations.concern(key.tenant(), &self.facts)
    }

    /// The verdict on a credential that is proven to belong to this key, its rate limit aside. A
    /// pure function of the cached key and the query.
    pub fn judge(&self, query: &Query<'_>) -> Verdict<'_> {
        match self.state {
            State::Live => {}
            State::Revoked => return Verdict::Refused(Refusal::Revoked),
            State::Forgotten => return Verdict::Refused(Refusal::NotFound),
        }
        if self.expire_ms <= query.now.0 {
            return Verdict::Refused(Refusal::Expired);
        }
        // API keys name no audience, so a query that expects one fails.
        if !query.expected_audiences.is_empty() {
            return Verdict::Refused(Refusal::AudienceMismatch);
        }
        if !cidr::allow(&self.allowed_cidrs, query.client_ip) {
            return Verdict::Refused(Refusal::IpNotAllowed);
        }
        Verdict::Valid {
            body: &self.body,
            rate_limit: self.rate_limit.map(|policy| RateLimit {
                policy,
                standing: None,
            }),
        }
    }

    /// Why a token that was derived from this key is refused at `now`, whatever the token says
    /// itself. `None` while the key is in force. A deleted key counts as a revoked one.
    pub fn ends_tokens(&self, now: UnixMillis) -> Option<Refusal> {
        match self.state {
            State::Live => (self.expire_ms <= now.0).then_some(Refusal::Expired),
            State::Revoked | State::Forgotten => Some(Refusal::Revoked),
        }
    }
}

impl talos_cells::CellValue for CachedKey {
    fn supersedes(&self, current: &Self) -> bool {
        let rank = |cached: &Self| {
            let KeyFacts { compared, .. } = cached.facts;
            (
                cached.sequence,
                cached.generation,
                compared,
                cached.loaded_s,
            )
        };
        rank(self) > rank(current)
    }

    fn bytes(&self) -> usize {
        mem::size_of::<Self>() + mem::size_of_val(&*self.allowed_cidrs) + self.body.len()
    }
}
