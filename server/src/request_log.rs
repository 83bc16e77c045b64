//! The log lines of requests that the data plane answers itself.

use crate::metrics::Route;
use crate::parser::Head;
use crate::response::Exchange;
use crate::step::{Started, elapsed_us};

/// Logs a request to a hot route. The status is read from the bytes of `answer`.
pub(crate) fn log_hot(
    head: &Head<'_, '_>,
    exchange: &Exchange<'_>,
    answer: Option<&[u8]>,
    started: Started,
) {
    let Some(started) = started else { return };
    let is_health = matches!(exchange.route, Route::Alive | Route::Ready);
    if is_health && !exchange.core.live().log_health_requests {
        return;
    }
    let status = answer
        .and_then(|answer| answer.get(9..12))
        .unwrap_or_default();
    tracing::debug!(
        method = head.method,
        route = exchange.route.name(),
        status = %String::from_utf8_lossy(status),
        duration_us = elapsed_us(started),
        request_id = %String::from_utf8_lossy(exchange.request_id.bytes()),
        "request"
    );
}
