//! Verifies one credential and writes the answer.
//!
//! Guarantees: an answer from memory allocates nothing and waits for no other thread; the
//! credential is borrowed from the connection's buffer and never copied, logged or kept.

use talos_api::error::ApiError;
use talos_api::quota_fields::QuotaFields;
use talos_api::verify::{VerifyRequest, refused_body};
use talos_engine::{Loaded, PendingRead, VerifyStep};
use talos_model::{Answer, CacheStatus, Query, RateLimit, RateLimitPolicy, Refusal, Verdict};
use tokio::sync::oneshot;

use crate::audit;
use crate::metrics::Outcomes;
use crate::request_context::RequestContext;
use crate::response::{self, Exchange};
use crate::throttle::{Offence, is_failure};

/// The credential to be verified, or the error that answers the request.
pub(crate) type Question<'a> = Result<VerifyRequest<'a>, ApiError>;

/// Writes an answer from memory into `output`, or returns the read that is needed.
pub(crate) fn verify(
    exchange: &Exchange<'_>,
    question: Question<'_>,
    context: RequestContext,
    output: &mut Vec<u8>,
) -> VerifyStep<()> {
    let request = match question {
        Ok(request) => request,
        Err(error) => {
            exchange.refuse(output, &error);
            return VerifyStep::Answered(());
        }
    };
    with_query(&request, context, |query| {
        exchange.core.shared.engine.verify(query, |answer| {
            note_failure(exchange, query, &answer);
            write_answer(exchange, context, answer, output);
        })
    })
}

/// Writes the answer to a verification for which the engine has read `loaded`.
pub(crate) fn finish(
    exchange: &Exchange<'_>,
    question: Question<'_>,
    context: RequestContext,
    loaded: Loaded,
    output: &mut Vec<u8>,
) {
    match question {
        Ok(request) => with_query(&request, context, |query| {
            exchange.core.shared.engine.finish(query, loaded, |answer| {
                note_failure(exchange, query, &answer);
                write_answer(exchange, context, answer, output);
            });
        }),
        // Cannot happen: the same bytes were parsed without error before the read. This is still a
        // right answer.
        Err(error) => exchange.refuse(output, &error),
    }
}

/// Starts a read on a disk thread. The receiver fails when the engine drops the request.
pub(crate) fn read(exchange: &Exchange<'_>, pending: PendingRead) -> oneshot::Receiver<Loaded> {
    exchange.core.metrics.disk_reads.increment();
    let (sender, receiver) = oneshot::channel();
    exchange.core.shared.engine.read(pending, move |loaded| {
        // The receiver is gone when the connection was cut.
        let _ = sender.send(loaded);
    });
    receiver
}

/// Calls `ask` with the query of `request`.
pub(crate) fn with_query<R>(
    request: &VerifyRequest<'_>,
    context: RequestContext,
    ask: impl FnOnce(&Query<'_>) -> R,
) -> R {
    let audiences = audiences(request);
    ask(&query(request, &audiences, context))
}

/// The audiences that `request` expects. Allocates nothing when there are none, which is the usual
/// case.
pub(crate) fn audiences<'r>(request: &'r VerifyRequest<'_>) -> Vec<&'r str> {
    let audiences = request.expected_audiences.iter();
    audiences.map(AsRef::as_ref).collect()
}

/// The query for the engine.
pub(crate) fn query<'q>(
    request: &'q VerifyRequest<'_>,
    expected_audiences: &'q [&'q str],
    context: RequestContext,
) -> Query<'q> {
    Query {
        tenant: context.tenant,
        credential: request.credential.as_bytes(),
        expected_audiences,
        client_ip: context.client_ip,
        cache: context.cache,
        now: context.now,
    }
}

/// Notes in the log and in the audit log that a credential was refused. An administrator who looks
/// at a credential is no client that failed.
#[inline]
pub(crate) fn note_failure(exchange: &Exchange<'_>, query: &Query<'_>, answer: &Answer<'_>) {
    if let Verdict::Refused(refusal) = answer.verdict
        && answer.cache != CacheStatus::Observed
    {
        audit::note_failure(exchange, query, refusal);
    }
}

fn write_answer(
    exchange: &Exchange<'_>,
    context: RequestContext,
    answer: Answer<'_>,
    output: &mut Vec<u8>,
) {
    if let Verdict::Refused(refusal) = answer.verdict
        && answer.cache != CacheStatus::Observed
    {
        count_failures(exchange, context, u64::from(is_failure(refusal)));
    }
    let outcomes = exchange.core.metrics.verdicts.of(answer.cache);
    let mut response = exchange.answer(output, 200, answer.sequence.into());
    response.raw(match answer.cache {
        CacheStatus::Hit => b"Content-Type: application/json\r\nOry-Talos-Cache: HIT\r\n",
        CacheStatus::Miss => b"Content-Type: application/json\r\nOry-Talos-Cache: MISS\r\n",
        CacheStatus::Skip | CacheStatus::Observed => {
            b"Content-Type: application/json\r\nOry-Talos-Cache: SKIP\r\n"
        }
    });
    if let Verdict::Limited { retry_after_s, .. } = answer.verdict {
        response.raw(b"Retry-After: ");
        response.decimal(retry_after_s.max(1));
        response.raw(b"\r\n");
    }
    let (body, rate_limit) = verdict_body(answer.verdict, outcomes);
    if let Some(rate_limit) = rate_limit {
        write_rate_limit(&mut response, rate_limit);
    }
    with_quota_fields(body, rate_limit, |parts| response.finish_in_parts(parts));
}

/// The greatest integer of a structured field (RFC 9651 §3.3.1). Greater quotas are shown as this.
const FIELD_INTEGER_MAX: u64 = 999_999_999_999_999;

/// Writes the fields of draft-ietf-httpapi-ratelimit-headers: the policy, and the remaining quota
/// if the limit is enforced.
fn write_rate_limit(response: &mut response::Answer<'_>, rate_limit: RateLimit) {
    let RateLimitPolicy { quota, window_s } = rate_limit.policy;
    response.raw(b"RateLimit-Policy: \"default\";q=");
    response.decimal(quota.min(FIELD_INTEGER_MAX));
    response.raw(b";w=");
    response.decimal(window_s.min(FIELD_INTEGER_MAX));
    response.raw(b"\r\n");
    if let Some(standing) = rate_limit.standing {
        response.raw(b"RateLimit: \"default\";r=");
        response.decimal(standing.remaining.min(FIELD_INTEGER_MAX));
        response.raw(b"\r\n");
    }
}

/// Counts verifications of credentials that are not valid, if their number is bounded.
pub(crate) fn count_failures(exchange: &Exchange<'_>, context: RequestContext, count: u64) {
    let core = exchange.core;
    if let Some(throttle) = &core.live().throttle {
        throttle.count(Offence::Failure, context.origin(), count, core.now());
    }
}

/// Counts a verdict. Returns the body of its answer and the rate limit of the key.
pub(crate) fn verdict_body<'a>(
    verdict: Verdict<'a>,
    outcomes: &Outcomes,
) -> (&'a [u8], Option<RateLimit>) {
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

/// Calls `take` with the parts of `body`. Inserts the remaining quota if it is known.
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
