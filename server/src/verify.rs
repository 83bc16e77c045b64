//! The routes that this server exists for: a verification, answered in place.
//!
//! Guarantees: an answer from memory allocates nothing and waits for nobody; the credential is borrowed from the
//! connection's buffer and never copied, logged or kept.

use std::net::IpAddr;

use talos_api::error::ApiError;
use talos_api::quota_fields::QuotaFields;
use talos_api::verify::{VerifyRequest, refused_body};
use talos_engine::PendingRead;
use talos_engine::clock::UnixMillis;
use talos_engine::{
    Answer, CacheMode, CacheStatus, Loaded, Query, RateLimit, RateLimitPolicy, Refusal, Step,
    TenantId, Verdict,
};

use crate::metrics::Outcomes;
use crate::response::{self, Exchange};

/// What a verification needs to know beside its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances {
    /// The client's address.
    pub client_ip: Option<IpAddr>,
    /// Whether caches may be read and written.
    pub cache: CacheMode,
    /// The time of the request.
    pub now: UnixMillis,
}

/// What is to be verified, or why that cannot be told.
pub(crate) type Question<'a> = Result<VerifyRequest<'a>, ApiError>;

/// Answers from memory into `output`, or says which read is needed.
pub(crate) fn verify(
    exchange: &Exchange<'_>,
    question: Question<'_>,
    circumstances: Circumstances,
    output: &mut Vec<u8>,
) -> Step<()> {
    let request = match question {
        Ok(request) => request,
        Err(error) => {
            exchange.refuse(output, &error);
            return Step::Answered(());
        }
    };
    with_query(&request, circumstances, |query| {
        exchange
            .core
            .shared
            .engine
            .verify(query, |answer| write_answer(exchange, answer, output))
    })
}

/// Answers into `output` a verification for which `loaded` was read.
pub(crate) fn finish(
    exchange: &Exchange<'_>,
    question: Question<'_>,
    circumstances: Circumstances,
    loaded: Loaded,
    output: &mut Vec<u8>,
) {
    match question {
        Ok(request) => with_query(&request, circumstances, |query| {
            exchange.core.shared.engine.finish(query, loaded, |answer| {
                write_answer(exchange, answer, output);
            });
        }),
        // The same bytes were understood before the read; were it otherwise, this is still the right answer.
        Err(error) => exchange.refuse(output, &error),
    }
}

/// Starts the read on a disk thread. The receiver fails when the engine drops the request.
pub(crate) fn read(
    exchange: &Exchange<'_>,
    pending: PendingRead,
) -> tokio::sync::oneshot::Receiver<Loaded> {
    exchange.core.metrics.disk_reads.increment();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    exchange.core.shared.engine.read(pending, move |loaded| {
        // The receiver is gone when the connection was cut; nobody misses the record then.
        let _ = sender.send(loaded);
    });
    receiver
}

pub(crate) fn with_query<R>(
    request: &VerifyRequest<'_>,
    circumstances: Circumstances,
    ask: impl FnOnce(&Query<'_>) -> R,
) -> R {
    let audiences = audiences(request);
    ask(&query(request, &audiences, circumstances))
}

/// The audiences that `request` expects. Without any, which is the rule, nothing is allocated.
pub(crate) fn audiences<'r>(request: &'r VerifyRequest<'_>) -> Vec<&'r str> {
    let audiences = request.expected_audiences.iter();
    audiences.map(AsRef::as_ref).collect()
}

/// What `request` asks of the engine.
pub(crate) fn query<'q>(
    request: &'q VerifyRequest<'_>,
    expected_audiences: &'q [&'q str],
    circumstances: Circumstances,
) -> Query<'q> {
    Query {
        tenant: TenantId::SINGLE,
        credential: request.credential.as_bytes(),
        expected_audiences,
        client_ip: circumstances.client_ip,
        cache: circumstances.cache,
        now: circumstances.now,
    }
}

fn write_answer(exchange: &Exchange<'_>, answer: Answer<'_>, output: &mut Vec<u8>) {
    let outcomes = exchange.core.metrics.verdicts.of(answer.cache);
    let mut response = exchange.answer(output, 200, answer.sequence.into());
    response.raw(match answer.cache {
        CacheStatus::Hit => b"Content-Type: application/json\r\nOry-Talos-Cache: HIT\r\n",
        CacheStatus::Miss => b"Content-Type: application/json\r\nOry-Talos-Cache: MISS\r\n",
        CacheStatus::Skip => b"Content-Type: application/json\r\nOry-Talos-Cache: SKIP\r\n",
    });
    if let Verdict::Limited { retry_after_s, .. } = answer.verdict {
        response.raw(b"Retry-After: ");
        response.decimal(retry_after_s.max(1));
        response.raw(b"\r\n");
    }
    let (body, rate_limit) = said(answer.verdict, outcomes);
    if let Some(rate_limit) = rate_limit {
        write_rate_limit(&mut response, rate_limit);
    }
    with_quota_fields(body, rate_limit, |parts| response.finish_in_parts(parts));
}

/// The fields of draft-ietf-httpapi-ratelimit-headers: the policy, and what is left where it is enforced.
fn write_rate_limit(response: &mut response::Answer<'_>, rate_limit: RateLimit) {
    let RateLimitPolicy { quota, window_s } = rate_limit.policy;
    response.raw(b"RateLimit-Policy: \"default\";q=");
    response.decimal(quota);
    response.raw(b";w=");
    response.decimal(window_s);
    response.raw(b"\r\n");
    if let Some(standing) = rate_limit.standing {
        response.raw(b"RateLimit: \"default\";r=");
        response.decimal(standing.remaining);
        response.raw(b"\r\n");
    }
}

/// Counts a verdict; its body, and the rate limit that goes with it.
pub(crate) fn said<'a>(verdict: Verdict<'a>, outcomes: &Outcomes) -> (&'a [u8], Option<RateLimit>) {
    match verdict {
        Verdict::Valid { body, rate_limit } => {
            outcomes.valid.increment();
            (body, rate_limit)
        }
        Verdict::Limited { rate_limit, .. } => {
            outcomes.refused(Refusal::RateLimited).increment();
            (refused_body(Refusal::RateLimited), Some(rate_limit))
        }
        Verdict::Refused(refusal) => {
            outcomes.refused(refusal).increment();
            (refused_body(refusal), None)
        }
    }
}

/// Hands `body` to `take` in parts: with what is left of the quota in it, if that is known.
pub(crate) fn with_quota_fields(
    body: &[u8],
    rate_limit: Option<RateLimit>,
    take: impl FnOnce(&[&[u8]]),
) {
    match rate_limit.and_then(|rate_limit| rate_limit.standing) {
        Some(standing) => take(&QuotaFields::new(standing).within(body)),
        None => take(&[body]),
    }
}
