//! Many verifications in one request. All are looked at in one pass; the few whose records are not in memory are read from
//! disk at the same time, and the answer is given when the last is there.
//!
//! Guarantees: results stand in the order of the requests; nothing waits as long as memory knows; the credentials are
//! borrowed from the connection's buffer and are read again after a wait.

use std::ops::Range;

use talos_api::batch_verify::{parse_requests, render_results};
use talos_api::error::ApiError;
use talos_engine::{Answer, CacheStatus, Loaded, Step};
use tokio::sync::oneshot;

use crate::handover::Dropped;
use crate::position::Basis;
use crate::response::Exchange;
use crate::verify::{Circumstances, audiences, query, read, said, with_query, with_quota_fields};

/// What is known while some records are on their way.
pub(crate) struct Batch {
    /// Bodies of results, in the order in which they became known.
    bodies: Vec<u8>,
    /// Where the body of each result is; `None` = not known yet.
    results: Vec<Option<Range<usize>>>,
    cache: CacheStatus,
    basis: Basis,
    reads: Vec<(usize, oneshot::Receiver<Loaded>)>,
    loaded: Vec<(usize, Result<Loaded, Dropped>)>,
}

impl Batch {
    /// The next read to be waited for, and the request that it is for.
    pub(crate) fn next_read(&mut self) -> Option<(usize, oneshot::Receiver<Loaded>)> {
        self.reads.pop()
    }

    /// Takes what was read for a request.
    pub(crate) fn take(&mut self, place: usize, loaded: Result<Loaded, Dropped>) {
        self.loaded.push((place, loaded));
    }

    fn add(&mut self, exchange: &Exchange<'_>, place: usize, answer: Answer<'_>) {
        let outcomes = exchange.core.metrics.verdicts.of(answer.cache);
        let (body, rate_limit) = said(answer.verdict, outcomes);
        if answer.cache != CacheStatus::Hit {
            self.cache = answer.cache;
        }
        self.basis = self.basis.and(answer.sequence.into());
        let start = self.bodies.len();
        with_quota_fields(body, rate_limit, |parts| {
            for part in parts {
                self.bodies.extend_from_slice(part);
            }
        });
        if let Some(result) = self.results.get_mut(place) {
            *result = Some(start..self.bodies.len());
        }
    }

    fn answer(&self, exchange: &Exchange<'_>, output: &mut Vec<u8>) {
        let body_of = |range: &Option<Range<usize>>| self.bodies.get(range.clone()?);
        let results: Option<Vec<&[u8]>> = self.results.iter().map(body_of).collect();
        let Some(results) = results else {
            // Every read was waited for, so every result is known; were it otherwise, nothing may be made up.
            return exchange.refuse(output, &ApiError::internal());
        };
        let mut response = exchange.answer(output, 200, self.basis);
        response.raw(match self.cache {
            CacheStatus::Hit => b"Content-Type: application/json\r\nOry-Talos-Cache: HIT\r\n",
            CacheStatus::Miss => b"Content-Type: application/json\r\nOry-Talos-Cache: MISS\r\n",
            CacheStatus::Skip => b"Content-Type: application/json\r\nOry-Talos-Cache: SKIP\r\n",
        });
        response.finish(&render_results(results.into_iter()));
    }
}

/// Answers from memory into `output`, or returns what is known so far.
pub(crate) fn verify(
    exchange: &Exchange<'_>,
    body: &[u8],
    circumstances: Circumstances,
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
        basis: Basis::NOTHING,
        reads: Vec::new(),
        loaded: Vec::new(),
    };
    let audiences: Vec<_> = requests.iter().map(audiences).collect();
    let queries: Vec<_> = requests
        .iter()
        .zip(&audiences)
        .map(|(request, audiences)| query(request, audiences, circumstances))
        .collect();
    let engine = &exchange.core.shared.engine;
    engine.verify_many(&queries, |place, step| match step {
        Step::Answered(answer) => batch.add(exchange, place, answer),
        Step::Pending(pending) => batch.reads.push((place, read(exchange, pending))),
    });
    if batch.reads.is_empty() {
        batch.answer(exchange, output);
        return None;
    }
    Some(batch)
}

/// Answers into `output` a batch whose records have been read.
pub(crate) fn finish(
    exchange: &Exchange<'_>,
    body: &[u8],
    circumstances: Circumstances,
    mut batch: Batch,
    output: &mut Vec<u8>,
) {
    // The same bytes were understood before the wait.
    let requests = parse_requests(body).unwrap_or_default();
    for (place, loaded) in std::mem::take(&mut batch.loaded) {
        let (Some(request), Ok(loaded)) = (requests.get(place), loaded) else {
            continue;
        };
        with_query(request, circumstances, |query| {
            let engine = &exchange.core.shared.engine;
            engine.finish(query, loaded, |answer| batch.add(exchange, place, answer));
        });
    }
    batch.answer(exchange, output);
}
