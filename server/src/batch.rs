//! Verifies many credentials in one request. The first pass answers from memory. The records that
//! are not in memory are read from disk at the same time, and the answer is written after the last
//! read.
//!
//! Guarantees: results have the order of the requests; a batch whose records are all in memory does
//! not wait; the credentials are borrowed from the connection's buffer and parsed again after a
//! wait; the results together have at most `BodyLimits::batch_answer` bytes and a short error for
//! each result that does not fit.

use std::ops::Range;

use talos_api::batch_verify::{parse_requests, render_refused, render_results};
use talos_api::error::ApiError;
use talos_api::verify::refused_body;
use talos_engine::{Loaded, VerifyStep};
use talos_model::{Answer, CacheStatus, Refusal, Verdict};
use tokio::sync::oneshot;

use crate::head_cache::ReadPosition;
use crate::request_context::RequestContext;
use crate::response::Exchange;
use crate::throttle::is_failure;
use crate::verify::{
    audiences, count_failures, note_failure, query, read, verdict_body, with_query,
    with_quota_fields,
};
use crate::wait::Dropped;

/// The state of a batch while records are read.
pub(crate) struct Batch {
    /// The bodies of the results, in the order in which they became known.
    bodies: Vec<u8>,
    /// The place of each result in `bodies`; `None` = not known yet.
    results: Vec<Option<Range<usize>>>,
    cache: CacheStatus,
    read_position: ReadPosition,
    /// Credentials that are not valid.
    failures: u64,
    reads: Vec<(usize, oneshot::Receiver<Loaded>)>,
    loaded: Vec<(usize, Result<Loaded, Dropped>)>,
}

impl Batch {
    /// The memory of the results that are known, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.bodies.capacity()
    }

    /// The next read to wait for, and the index of its request.
    pub(crate) fn next_read(&mut self) -> Option<(usize, oneshot::Receiver<Loaded>)> {
        self.reads.pop()
    }

    /// Keeps the result of a read for the request at `place`.
    pub(crate) fn take(&mut self, place: usize, loaded: Result<Loaded, Dropped>) {
        self.loaded.push((place, loaded));
    }

    fn add(&mut self, exchange: &Exchange<'_>, place: usize, answer: Answer<'_>) {
        let outcomes = exchange.core.metrics.verdicts.of(answer.cache);
        if let Verdict::Refused(refusal) = answer.verdict
            && answer.cache != CacheStatus::Observed
        {
            self.failures += u64::from(is_failure(refusal));
        }
        let (mut body, mut rate_limit) = verdict_body(answer.verdict, outcomes);
        if self.bodies.len() + body.len() > exchange.core.live().bodies.batch_answer {
            let refusal = Refusal::AnswerTooLarge;
            outcomes.refused(refusal).increment();
            (body, rate_limit) = (refused_body(refusal), None);
        }
        if answer.cache != CacheStatus::Hit {
            self.cache = answer.cache;
        }
        self.read_position = self.read_position.and(answer.sequence.into());
        let start = self.bodies.len();
        with_quota_fields(body, rate_limit, |parts| {
            for part in parts {
                self.bodies.extend_from_slice(part);
            }
        });
        self.set_result(place, start);
    }

    /// Adds the result of a request that the contract does not allow.
    fn add_refused(&mut self, place: usize, error: &ApiError) {
        let start = self.bodies.len();
        self.bodies.extend_from_slice(&render_refused(error));
        self.set_result(place, start);
    }

    /// Notes that the result at `place` is what was added to the bodies from `start` on.
    fn set_result(&mut self, place: usize, start: usize) {
        if let Some(result) = self.results.get_mut(place) {
            *result = Some(start..self.bodies.len());
        }
    }

    fn answer(&self, exchange: &Exchange<'_>, context: RequestContext, output: &mut Vec<u8>) {
        count_failures(exchange, context, self.failures);
        let body_of = |range: &Option<Range<usize>>| self.bodies.get(range.clone()?);
        let results: Option<Vec<&[u8]>> = self.results.iter().map(body_of).collect();
        let Some(results) = results else {
            // Only if the engine dropped a read: there is no result to show for it.
            return exchange.refuse(output, &ApiError::internal());
        };
        let mut response = exchange.answer(output, 200, self.read_position);
        response.raw(match self.cache {
            CacheStatus::Hit => b"Content-Type: application/json\r\nOry-Talos-Cache: HIT\r\n",
            CacheStatus::Miss => b"Content-Type: application/json\r\nOry-Talos-Cache: MISS\r\n",
            CacheStatus::Skip | CacheStatus::Observed => {
                b"Content-Type: application/json\r\nOry-Talos-Cache: SKIP\r\n"
            }
        });
        response.finish_in_parts(&render_results(results.into_iter()));
    }
}

/// Writes the answer if all records are in memory; else returns the batch with its reads.
pub(crate) fn verify(
    exchange: &Exchange<'_>,
    body: &[u8],
    context: RequestContext,
    output: &mut Vec<u8>,
) -> Option<Batch> {
    let requests = match parse_requests(body) {
        Ok(requests) => requests,
        Err(error) => {
            exchange.refuse(output, &error);
            return None;
        }
    };
    let mut batch = Batch {
        bodies: Vec::new(),
        results: vec![None; requests.len()],
        cache: CacheStatus::Hit,
        read_position: ReadPosition::NOTHING,
        failures: 0,
        reads: Vec::new(),
        loaded: Vec::new(),
    };
    // The requests that can be asked, each with its place in the batch.
    let mut places = Vec::with_capacity(requests.len());
    let mut asked = Vec::with_capacity(requests.len());
    for (place, request) in requests.iter().enumerate() {
        match request {
            Ok(request) => {
                places.push(place);
                asked.push(request);
            }
            Err(error) => batch.add_refused(place, error),
        }
    }
    let audiences: Vec<_> = asked.iter().map(|request| audiences(request)).collect();
    let queries: Vec<_> = asked
        .iter()
        .zip(&audiences)
        .map(|(request, audiences)| query(request, audiences, context))
        .collect();
    let engine = &exchange.core.shared.engine;
    engine.verify_many(&queries, |index, step| {
        let (Some(place), Some(query)) = (places.get(index).copied(), queries.get(index)) else {
            return;
        };
        match step {
            VerifyStep::Answered(answer) => {
                note_failure(exchange, query, &answer);
                batch.add(exchange, place, answer);
            }
            VerifyStep::Pending(pending) => batch.reads.push((place, read(exchange, pending))),
        }
    });
    if batch.reads.is_empty() {
        batch.answer(exchange, context, output);
        return None;
    }
    Some(batch)
}

/// Writes the answer to a batch whose records have been read.
pub(crate) fn finish(
    exchange: &Exchange<'_>,
    body: &[u8],
    context: RequestContext,
    mut batch: Batch,
    output: &mut Vec<u8>,
) {
    // These bytes were parsed without error before the wait.
    let requests = parse_requests(body).unwrap_or_default();
    for (place, loaded) in std::mem::take(&mut batch.loaded) {
        let (Some(Ok(request)), Ok(loaded)) = (requests.get(place), loaded) else {
            continue;
        };
        with_query(request, context, |query| {
            let engine = &exchange.core.shared.engine;
            engine.finish(query, loaded, |answer| {
                note_failure(exchange, query, &answer);
                batch.add(exchange, place, answer);
            });
        });
    }
    batch.answer(exchange, context, output);
}
